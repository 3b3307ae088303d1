"""A journal is replayed: a record that stopped the engine once would stop it at every start. None
does, whatever stands in it, but for a chain that is not the one the model follows.
"""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Iterable
from random import Random
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from novate.api.oracle_loop import OracleLoop
from novate.engine import block_trade
from novate.engine.journal import Record
from novate.engine.recovery import Diverged, Follower
from novate.errors import BY_CODE, Rejected
from novate.model.order import POST_ONLY
from novate.services.local_venue import node_keys
from novate.services.oracle_node import NodePrice
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BatchSubmitted,
    CancelRequested,
    OracleRound,
    OrderRejected,
    ProtectionReset,
    ProtectionSet,
    QuotesPlaced,
)
from novate.wire.safeguard_records import DisconnectSet, SwitchSet
from tests.support.blocks import blocked
from tests.support.engine import BTC, Floor, account_of, address_of, deployed, matches

TEXTS = ("0", "1", "-1", "a", "", str(2**300), str(10**18), "１", "1e5", "-0", "nonce", "all")
NUMBERS = (0, 1, 2, 3, 255, 2**31, 2**32, 2**40, 2**43, 2**63, 2**64 - 1)
RECORDS = 1_000


@pytest.fixture
def floor() -> Floor:
    made = Floor()
    for role in ("maker", "taker"):
        made.deposit(role, 1_000_000)
    made.place("maker", -200, 100_000)
    made.place("maker", 100, 99_000)
    return made


def last_round(floor: Floor) -> OracleRound:
    held = [records.decode(*row) for row in floor.commands if row[0] == "OracleRound"]
    found = held[-1]
    assert isinstance(found, OracleRound)
    return found


FORGED: dict[str, Callable[[OracleRound], OracleRound]] = {
    "of an hour ago": lambda r: replace(r, round=r.round + 1, timestamp=r.timestamp - 3_600),
    "of a number that was": lambda r: replace(r, timestamp=2**64 - 1),
    "of the same second": lambda r: replace(r, round=r.round + 1),
    "of nobody": lambda r: replace(r, round=r.round + 1, timestamp=r.timestamp + 10, signatures=[]),
    "of strangers": lambda r: replace(r, round=r.round + 1, timestamp=r.timestamp + 10),
    "of no numbers": lambda r: replace(
        r, round=r.round + 1, timestamp=r.timestamp + 10, observations=["-1", "much"]
    ),
    "of no nodes": lambda r: replace(r, round=r.round + 1, timestamp=r.timestamp + 10, nodes="x"),
}


@pytest.mark.parametrize("kind", FORGED)
def test_a_round_that_no_chain_would_take_changes_nothing(floor: Floor, kind: str) -> None:
    before = floor.world.state_hash(), floor.now, copy.copy(floor.sequencer.ahead.state.steps)
    assert floor.tell(FORGED[kind](last_round(floor))) == []
    assert (floor.world.state_hash(), floor.now, floor.sequencer.ahead.state.steps) == before
    # the next one counts, orders trade on, and a restart comes to the same
    floor.prices(100_100)
    assert matches(floor.take("taker", 200, 100_000))
    assert floor.replayed() == (floor.events, floor.world.state_hash())


def test_a_round_that_would_have_no_effect_does_not_enter_the_journal(floor: Floor) -> None:
    """Nodes that governance has replaced sign on: whatever reads a journal believes its rounds."""
    deployment, parameters, _ = deployed()
    entered: list[AnyRecord] = []

    async def enter(record: AnyRecord) -> None:
        entered.append(record)

    core = SimpleNamespace(world=floor.world, engine=floor.sequencer, enter=enter)
    keys = node_keys(4)
    loop = OracleLoop(core, parameters.oracle, deployment, None, keys)  # type: ignore[arg-type]
    price = NodePrice(100_000 * 10**10, 100_000 * 10**10)
    seen = {node: {BTC: price} for node in range(4)}
    before = floor.world.state_hash(), floor.now
    asyncio.run(loop.round(floor.now + 10, seen))
    assert (floor.world.state_hash(), floor.now) == before, "nobody has told the engine"
    (good,) = entered
    assert isinstance(good, OracleRound)
    for forge in FORGED.values():
        assert floor.sequencer.refusal(forge(last_round(floor))) is not None
    assert (floor.world.state_hash(), floor.now) == before
    governor = floor.world.addresses["timelock"]
    strangers = [address_of(f"node {number}") for number in range(4)]
    floor.transact(governor, "oracle", "set_nodes", strangers)
    assert floor.sequencer.refusal(good) is not None
    asyncio.run(loop.round(floor.now + 20, seen))
    assert (entered, loop.skipped) == ([good], 1)


def test_nodes_make_no_round_while_the_clock_is_behind_the_last_one(floor: Floor) -> None:
    deployment, parameters, _ = deployed()
    core = SimpleNamespace(world=floor.world)
    keys = node_keys(4)
    loop = OracleLoop(core, parameters.oracle, deployment, None, keys)  # type: ignore[arg-type]
    last = floor.world.oracle.statuses[0].timestamp
    due = [loop._due(second, {}) for second in (last - 3_600, last, last + 1)]
    assert due == [False, False, True]


class Stops:
    """An engine that a record stops."""

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        raise ZeroDivisionError("over")

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        return list(events)


def test_what_stops_a_recovery_is_named() -> None:
    kind, payload = records.encode(records.BatchDue(1))
    entry = Record(1, 0, kind, payload, bytes(32), bytes(32))
    with pytest.raises(Diverged, match=r"record 1: BatchDue .*ZeroDivisionError\('over'\)"):
        Follower(Stops()).follow([entry])


def test_a_fault_of_ours_in_a_block_refuses_it_by_name(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(block_trade, "_require_open_orders", fails)
        refused = floor.feed(blocked(floor))
    assert {BY_CODE[e.code].name for e in refused if isinstance(e, OrderRejected)} == {
        "InternalFault"
    }
    assert len(refused) == 4
    assert len(matches(floor.feed(blocked(floor)))) == 2


# Whatever stands in a record


def sound(floor: Floor, random: Random) -> AnyRecord:
    """A record of some kind that would be in order."""
    account = account_of("maker").to_bytes(32, "big")
    signer, now = bytes.fromhex(address_of("maker")[2:]), floor.now * 1_000
    price = random.choice((99_000, 99_500, 100_000, 101_000))
    placed = floor.command(floor.order("maker", 100, price, flags=POST_ONLY), "maker")
    quote = records.Quote(placed.digest, placed.order, placed.signature, "a")
    made: list[Callable[[], AnyRecord]] = [
        lambda: placed,
        lambda: CancelRequested(account, random.choice(("nonce", "all", "x")), 1, signer, now),
        lambda: ProtectionSet(account, 1, 5, 5, "100", "100", signer, now),
        lambda: ProtectionReset(account, 1, signer, now),
        lambda: SwitchSet(account, 5, signer, now),
        lambda: DisconnectSet(account, random.choice(("account", "x")), True, signer, now),
        lambda: CancelRequested(account, "all", 0, signer, now, cause="switch"),
        lambda: blocked(floor),
        lambda: last_round(floor),
        lambda: BatchSubmitted(random.randbytes(32), 1, 1, 1, now),
        lambda: QuotesPlaced(account, signer, now, [quote]),
    ]
    return random.choice(made)()


def spoiled(value: Any, random: Random) -> Any:
    """The same with something else in it, here and there."""
    if isinstance(value, msgspec.Struct):
        names = [name for name in value.__struct_fields__ if random.random() < 0.25]
        return replace(value, **{name: spoiled(getattr(value, name), random) for name in names})
    match value:
        case bool():
            return not value
        case int():
            return random.choice(NUMBERS)
        case str():
            return random.choice(TEXTS)
        case bytes():
            return random.randbytes(len(value))
        case [*rows] if rows:
            place = random.randrange(len(rows))
            changed = spoiled(rows[place], random)
            return random.choice(
                (
                    rows[:place] + rows[place + 1 :],
                    [*rows, rows[place]],
                    [*rows[:place], changed, *rows[place + 1 :]],
                )
            )
        case _:
            return value


def test_no_record_that_can_be_read_stops_the_engine(floor: Floor) -> None:
    random, fed = Random(7), 0
    while fed < RECORDS:
        record = spoiled(sound(floor, random), random)
        try:
            records.decode(*records.encode(record))
        except (Rejected, OverflowError):
            continue  # it could not stand in a journal
        floor.tell(record)
        fed += 1
    assert floor.replayed() == (floor.events, floor.world.state_hash())
