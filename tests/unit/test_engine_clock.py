"""The engine's second: commands move it, never back, never far ahead of rounds and blocks."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from novate import errors, limits
from novate.engine.clock import BATCH_S, LEAD_S
from novate.model.order import IMMEDIATE, POST_ONLY
from novate.model.session import TRADE, SessionKey
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BatchDue,
    Busted,
    CancelRequested,
    OrderDone,
    OrderPlaced,
    QuotesPlaced,
)
from tests.support.engine import (
    BTC,
    Floor,
    account_of,
    address_of,
    batches,
    ends,
    floor_of,
    matches,
    rejection,
)

floor = floor_of("maker", "taker", "other")
ROOM = limits.EXPIRY_ROOM_S


def later(floor: Floor, seconds: float, role: str, lots: int, **fields: Any) -> OrderPlaced:
    """An order that the gateway takes some seconds from the engine's own second."""
    order = floor.order(role, lots, 100_000, **fields)
    return replace(floor.command(order, role), received_ms=floor.now * 1000 + int(seconds * 1000))


def cancel(floor: Floor, role: str, received_ms: int) -> CancelRequested:
    account, signer = account_of(role).to_bytes(32, "big"), bytes.fromhex(address_of(role)[2:])
    return CancelRequested(account, "instrument", BTC, signer, received_ms)


def test_a_command_moves_the_second_and_what_expires_by_then_meets_nobody(floor: Floor) -> None:
    began = floor.now
    floor.place("maker", -5, 100_000, expiry=began + ROOM + 3)
    digest = floor.last
    events = floor.feed(later(floor, 3.999, "taker", 5, flags=IMMEDIATE))
    assert floor.now == began + 3
    assert events[0] == OrderDone(digest, "evicted", errors.OrderExpired.code, 5)
    assert matches(events) == [] and ends(events)[1] == ("unfilled", "")


def test_an_order_is_judged_at_the_moment_at_which_it_came(floor: Floor) -> None:
    expiry = floor.now + ROOM + 4
    floor.place("maker", -9, 100_000)
    taken = floor.feed(later(floor, 3, "taker", 5, flags=IMMEDIATE, expiry=expiry))
    assert len(matches(taken)) == 1
    floor.close()
    late = floor.feed(later(floor, 1, "taker", 4, flags=IMMEDIATE, expiry=expiry))
    assert rejection(late) == "OrderExpired"
    assert not any(isinstance(event, Busted) for event in floor.events)


def test_a_session_key_is_judged_at_the_moment_at_which_its_order_came(floor: Floor) -> None:
    key = SessionKey(floor.now + ROOM + 3, TRADE, (1 << 16) - 1, 10**12, 10**12)
    fields = key.expiry, key.scope, key.underlyings, key.notional_left, key.loss_left
    account = account_of("taker").to_bytes(32, "big")
    floor.transact(
        address_of("taker"), "exchange", "set_session_key", account, address_of("other"), *fields
    )
    floor.place("maker", -9, 100_000)
    for seconds, ended in ((3, [("filled", "")]), (4, None)):
        order = floor.order("taker", 1, 100_000, flags=IMMEDIATE)
        stamp = (key.expiry - ROOM - 3 + seconds) * 1000
        events = floor.feed(replace(floor.command(order, "other"), received_ms=stamp))
        if ended is None:
            assert rejection(events[-1:]) == "BadSignature"
        else:
            assert ends(events) == ended
        floor.close()
    assert floor.held("taker") == 1


@pytest.mark.parametrize("kind", ["cancel", "quotes", "protection", "reset"])
def test_every_command_of_a_client_moves_the_second(floor: Floor, kind: str) -> None:
    began, expiry = floor.now, floor.now + ROOM + 3
    floor.place("maker", -5, 100_000, expiry=expiry)
    raw, signer = account_of("other").to_bytes(32, "big"), bytes.fromhex(address_of("other")[2:])
    stamp = (began + 3) * 1000
    command: AnyRecord
    if kind == "cancel":
        command = cancel(floor, "other", stamp)
    elif kind == "quotes":
        placed = floor.command(floor.order("other", 1, 90_000, flags=POST_ONLY), "other")
        quote = records.Quote(placed.digest, placed.order, placed.signature)
        command = QuotesPlaced(raw, signer, stamp, [quote])
    else:
        command = records.ProtectionReset(raw, 1, signer, stamp)
        if kind == "protection":
            command = records.ProtectionSet(raw, 1, 5, 0, "0", "0", signer, stamp)
    assert ends(floor.feed(command)) == [("evicted", "OrderExpired")]
    assert floor.now == began + 3


def test_the_second_never_goes_back(floor: Floor) -> None:
    began = floor.now
    floor.feed(cancel(floor, "other", (began + 5) * 1000))
    floor.feed(cancel(floor, "other", (began - 50) * 1000))
    floor.feed(BatchDue((began - 50) * 1000))
    assert floor.now == began + 5
    # nor by a round that the nodes signed a moment ago, which is in force all the same
    floor.prices(100_100, later=-2)
    assert floor.world.oracle.statuses[0].timestamp == began + 3
    assert floor.now == began + 5


@pytest.mark.parametrize("ahead", [LEAD_S + 1, 10**9])
def test_a_stamp_far_ahead_of_rounds_and_blocks_is_no_time(floor: Floor, ahead: int) -> None:
    began = floor.now
    floor.place("maker", -5, 100_000, expiry=began + 60)
    assert floor.feed(BatchDue((began + ahead) * 1000)) == []
    assert floor.feed(cancel(floor, "other", (began + ahead) * 1000)) == []
    events = floor.feed(later(floor, ahead, "taker", 5, flags=IMMEDIATE))
    assert floor.now == began and len(matches(events)) == 1


def test_a_stamp_may_lead_the_last_round_or_the_last_block_by_the_bound(floor: Floor) -> None:
    began = floor.now
    floor.feed(cancel(floor, "other", (began + LEAD_S) * 1000))
    assert floor.now == began + LEAD_S
    floor.deposit("maker", 1)  # in a block of this second
    floor.feed(cancel(floor, "other", (began + LEAD_S + 20) * 1000))
    assert floor.now == began + LEAD_S + 20


def test_an_open_batch_is_settled_at_the_second_it_was_judged_at(floor: Floor) -> None:
    floor.chain_follows, began = False, floor.now
    floor.place("maker", -9, 100_000)
    assert len(matches(floor.take("taker", 1, 100_000))) == 1
    stands = floor.feed(later(floor, BATCH_S - 0.001, "taker", 1, flags=IMMEDIATE))
    assert len(matches(stands)) == 1 and batches(stands) == [] and floor.now == began
    closes = floor.feed(later(floor, BATCH_S, "taker", 1, flags=IMMEDIATE))
    (closed,) = batches(closes)
    assert (closed.count, closed.judged_at, floor.now) == (2, began, began + BATCH_S)
    floor.close()
    floor.chain_follows = True
    floor.close()
    assert floor.held("taker") == 3
    assert not any(isinstance(event, Busted) for event in floor.events)


def test_prices_of_a_silent_oracle_grow_old_by_commands_alone(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    stale = floor.world.oracle.statuses[0].stale_after
    events = floor.feed(later(floor, stale + 1, "taker", 5, flags=IMMEDIATE))
    assert matches(events) == [] and floor.world.oracle_is_silent()


def test_a_replay_comes_to_the_same(floor: Floor) -> None:
    for seconds in (0.3, 1.2, 2.5, 400, 3, 1):
        floor.place("maker", -2, 100_000, expiry=floor.now + ROOM + 2)
        floor.feed(later(floor, seconds, "taker", 1, flags=IMMEDIATE))
    events, state = floor.replayed()
    assert events == floor.events and state == floor.world.state_hash()
    assert {name for _, name in ends(events)} == {"", "OrderExpired"}


def test_a_journal_of_earlier_rules_is_read_as_it_was_written(floor: Floor) -> None:
    """Time stood between rounds, and the room was five seconds."""
    floor.sequencer.adopt(1)
    began = floor.now
    floor.place("maker", -5, 100_000, expiry=began + 6)
    events = floor.feed(later(floor, 200, "taker", 5, flags=IMMEDIATE, expiry=began + 6))
    assert len(matches(events)) == 1 and floor.now == began
    assert rejection(floor.take("taker", 5, 100_000, expiry=began + 5)) == "OrderExpired"
    floor.feed(BatchDue((began + 10**6) * 1000))
    assert floor.now == began + 10**6
