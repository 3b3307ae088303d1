"""Cancel on disconnect and dead man's switches as the engine keeps them."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from support.engine import EXECUTOR, Floor, account_of, address_of, deployed
from support.journals import clock, opened

from novate.engine import snapshot
from novate.engine.safeguards import Leaver, Switch
from novate.engine.sequencer import Sequencer
from novate.engine.standby import Standby
from novate.model.order import POST_ONLY
from novate.services.boot import build_sequencer
from novate.wire import records
from novate.wire.records import AnyRecord, CancelRequested, OrderDone
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

MAKER = account_of("maker")
RAW, SIGNER = MAKER.to_bytes(32, "big"), bytes.fromhex(address_of("maker")[2:])


@pytest.fixture
def floor() -> Floor:
    made = Floor()
    made.deposit("maker", 1_000_000)
    made.place("maker", 100, 99_000, flags=POST_ONLY)
    return made


def set_switch(floor: Floor, seconds: int, at_ms: int) -> None:
    assert floor.feed(SwitchSet(RAW, seconds, SIGNER, at_ms)) == []


def fired(floor: Floor, at_ms: int, cause: str = "switch") -> list[AnyRecord]:
    return floor.feed(CancelRequested(RAW, "all", 0, SIGNER, at_ms, cause=cause))


def test_a_switch_cancels_when_it_is_due_and_is_over(floor: Floor) -> None:
    set_switch(floor, 5, 1_000)
    (done,) = fired(floor, 6_000)
    assert isinstance(done, OrderDone) and done.end == "cancelled"
    assert floor.sequencer.safeguards.switches == {}
    assert not floor.sequencer.has_orders(MAKER)


def test_a_switch_that_was_renewed_taken_back_or_never_set_cancels_nothing(floor: Floor) -> None:
    assert fired(floor, 10_000) == []
    set_switch(floor, 5, 1_000)
    set_switch(floor, 5, 4_000)
    assert fired(floor, 6_000) == []
    assert floor.sequencer.safeguards.switches == {MAKER: Switch(5, 4_000, SIGNER)}
    set_switch(floor, 0, 5_000)
    assert floor.sequencer.safeguards.switches == {}
    assert fired(floor, 9_000) == [] and floor.sequencer.has_orders(MAKER)


@pytest.mark.parametrize("cause", ["disconnect", "restart"])
def test_a_cancel_of_another_cause_needs_no_switch_and_leaves_it(floor: Floor, cause: str) -> None:
    set_switch(floor, 5, 1_000)
    assert len(fired(floor, 2_000, cause)) == 1
    assert floor.sequencer.safeguards.switches == {MAKER: Switch(5, 1_000, SIGNER)}


def test_scopes_of_cancel_on_disconnect_are_kept_apart(floor: Floor) -> None:
    held = floor.sequencer.safeguards
    for scope, on, always, connected in (
        ("account", True, True, False),
        ("connection", True, True, True),
        ("what", True, True, True),
        ("account", False, False, True),
    ):
        assert floor.feed(DisconnectSet(RAW, scope, on, SIGNER, 1)) == []
        assert held.leavers == {MAKER: Leaver(always, connected, SIGNER)}
    floor.feed(DisconnectSet(RAW, "connection", False, SIGNER, 2))
    assert held.leavers == {}


def test_a_snapshot_holds_what_is_set(floor: Floor) -> None:
    set_switch(floor, 20, 1_000)
    floor.feed(DisconnectSet(RAW, "account", True, SIGNER, 1))
    content = snapshot.content_of(floor.sequencer)
    other = Floor().sequencer
    snapshot.restore(other, content)
    assert other.safeguards == floor.sequencer.safeguards
    assert snapshot.content_of(other) == content


def test_a_standby_knows_what_is_set_once_it_is_promoted(floor: Floor, tmp_path: Path) -> None:
    set_switch(floor, 5, 1_000)
    set_switch(floor, 20, 2_000)
    assert fired(floor, 6_000) == []
    floor.feed(DisconnectSet(RAW, "account", True, SIGNER, 1))
    writer, follower = fresh(), fresh()
    standby = Standby(tmp_path / "journal.bin", follower)
    with opened(tmp_path / "journal.bin") as journal:
        journal.append(*records.encode(records.Genesis(1, {}, bytes(32), version=records.RULES)))
        for kind, payload in floor.commands:
            journal.append(kind, payload)
            for event in writer.handle(records.decode(kind, payload)):
                journal.append(*records.encode(event))
        journal.commit()
        standby.poll()
    standby.promote(clock).close()
    assert follower.safeguards == floor.sequencer.safeguards
    assert follower.safeguards.switches == {MAKER: Switch(20, 2_000, SIGNER)}
    assert follower.safeguards.leavers == {MAKER: Leaver(True, False, SIGNER)}


def fresh() -> Sequencer:
    """A sequencer in the state of its genesis."""
    deployment, parameters, now = deployed()
    return build_sequencer(deployment, parameters, EXECUTOR, now)


def test_a_cancel_of_an_older_journal_is_a_clients() -> None:
    """Written by the release before: seven fields behind its kind."""
    kind, payload = records.encode(CancelRequested(RAW, "all", 0, SIGNER, 5, True, "near"))
    fields = msgspec.msgpack.decode(payload)
    assert (fields.pop(), fields.pop()) == (False, ""), "whose orders, and the cause"
    old = records.decode(kind, msgspec.msgpack.encode(fields))
    assert old == CancelRequested(RAW, "all", 0, SIGNER, 5, True, "near", cause="")
