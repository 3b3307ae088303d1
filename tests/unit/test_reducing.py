"""Resting orders that only reduce never add up to more than the position."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from novate import errors
from novate.engine import reducing, snapshot
from novate.engine.open_orders import OpenOrder
from novate.engine.sequencer import Sequencer
from novate.model.account import account_of as account_at
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.model.state import World
from novate.services.boot import build_sequencer
from novate.services.priority import Priority
from novate.units import WAD
from novate.wire import records
from novate.wire.records import OrderDone, OrderShrunk
from tests.support.engine import (
    BTC,
    EXECUTOR,
    Floor,
    account_of,
    address_of,
    deployed,
    ends,
    floor_of,
    matches,
    rejection,
)
from tests.support.flow import Flow

floor = floor_of("maker", "taker", "other")


def long(floor: Floor, lots: int = 9) -> None:
    """The taker holds so many lots."""
    floor.place("maker", -lots, 100_000)
    floor.take("taker", lots, 100_000)
    floor.close()


def reduce(floor: Floor, lots: int, dollars: int, **fields: Any) -> bytes:
    """A resting order of the taker's that only reduces; its digest."""
    floor.place("taker", lots, dollars, flags=REDUCE_ONLY, **fields)
    return floor.last


def asks(floor: Floor) -> list[tuple[int, int]]:
    """(dollars, lots) of the book's asks, best first."""
    return [(price // 2, lots) for _, price, lots in floor.sequencer.book.queue(BTC, False)]


def evicted(digest: bytes, lots: int) -> OrderDone:
    return OrderDone(digest, "evicted", errors.ReduceOnly.code, lots)


def test_without_a_position_none_rests(floor: Floor) -> None:
    assert rejection(floor.place("taker", -5_000, 100_000, flags=REDUCE_ONLY)) == "ReduceOnly"
    flags = REDUCE_ONLY | POST_ONLY
    assert rejection(floor.quote("taker", [(-5_000, 100_000)], flags=flags)) == "ReduceOnly"
    long(floor)
    assert rejection(floor.place("taker", 1, 90_000, flags=REDUCE_ONLY)) == "ReduceOnly"
    assert asks(floor) == []


def test_it_rests_with_what_the_position_leaves(floor: Floor) -> None:
    long(floor)
    assert floor.place("taker", -4, 101_000, flags=REDUCE_ONLY) == []
    (shrunk,) = floor.place("taker", -8, 102_000, flags=REDUCE_ONLY)
    assert shrunk == OrderShrunk(floor.last, 3, 5)
    assert rejection(floor.place("taker", -1, 102_000, flags=REDUCE_ONLY)) == "ReduceOnly"
    assert asks(floor) == [(101_000, 4), (102_000, 5)]


def test_a_position_of_the_open_batch_counts(floor: Floor) -> None:
    floor.place("maker", -9, 100_000)
    floor.take("taker", 9, 100_000)
    assert floor.held("taker") == 0
    assert floor.place("taker", -9, 101_000, flags=REDUCE_ONLY) == []


def test_a_more_aggressive_one_takes_from_the_least_aggressive(floor: Floor) -> None:
    long(floor)
    near, far = reduce(floor, -5, 101_000), reduce(floor, -4, 102_000)
    events = floor.place("taker", -6, 100_500, flags=REDUCE_ONLY)
    assert events == [evicted(far, 4), OrderShrunk(near, 2, 3)]
    assert asks(floor) == [(100_500, 6), (101_000, 3)]


def test_what_rests_shrinks_with_the_position_least_aggressive_first(floor: Floor) -> None:
    long(floor)
    near, far = reduce(floor, -5, 101_000), reduce(floor, -4, 102_000)
    floor.place("other", 2, 99_900)
    events = floor.take("taker", -2, 99_900)  # it sells otherwise
    assert events[-1] == OrderShrunk(far, 2, 2)
    floor.place("other", 9, 99_900)
    events = floor.take("taker", -6, 99_900)
    assert events[-2:] == [evicted(far, 2), OrderShrunk(near, 4, 1)]
    events = floor.take("taker", -2, 99_900)  # the position turns
    assert events[-1] == evicted(near, 1)
    assert asks(floor) == [] and floor.sequencer.matcher.orders.reducing == {}


def test_its_own_fills_leave_it_as_it_is(floor: Floor) -> None:
    long(floor)
    reduce(floor, -5, 101_000), reduce(floor, -4, 102_000)
    events = floor.take("other", 3, 101_000)
    assert len(matches(events)) == 1 and ends(events) == [("filled", "")]
    assert asks(floor) == [(101_000, 2), (102_000, 4)]


def test_while_they_fit_none_is_looked_at(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a thousand of one lot cost an entry, and each of its makers, no more than one."""
    turns, looked = reducing._turn, []

    def counted(order: OpenOrder) -> tuple[int, int]:
        looked.append(order.number)
        return turns(order)

    long(floor, 30)
    monkeypatch.setattr(reducing, "_turn", counted)
    for _ in range(30):
        reduce(floor, -1, 101_000)
    assert len(looked) == 30, "each entering one, by itself"
    assert len(matches(floor.take("other", 20, 101_000))) == 20
    floor.close()
    assert len(looked) == 30 and sum(lots for _, lots in asks(floor)) == floor.held("taker") == 10
    floor.place("maker", 5, 99_000)
    assert len(matches(floor.take("taker", -5, 99_000))) == 1
    assert len(asks(floor)) == 5


def test_a_maker_s_position_counts_too(floor: Floor) -> None:
    long(floor)
    digest = reduce(floor, -9, 101_000)
    floor.place("taker", -4, 100_500)
    events = floor.take("other", 4, 100_500)
    assert events[-1] == OrderShrunk(digest, 4, 5)


def test_what_the_chain_does_to_a_position_counts(floor: Floor) -> None:
    """Another engine's batch, a liquidation: a transaction that this engine had no part in."""
    long(floor)
    digest = reduce(floor, -9, 101_000)
    accounts = floor.world.ledger.accounts
    row = accounts[account_of("taker")]
    apply = floor.sequencer.ahead._apply_transaction

    def moves(world: World, record: records.ChainTransaction) -> None:
        apply(world, record)
        accounts[account_of("taker")] = replace(row, positions=((BTC, 2),))

    floor.sequencer.ahead._apply_transaction = moves
    floor.transact(
        address_of("maker"),
        "custody",
        "deposit",
        floor.deployment.tokens["USDC"],
        account_of("maker").to_bytes(32, "big"),
        10**6,
    )
    assert floor.events[-1] == OrderShrunk(digest, 7, 2)
    assert asks(floor) == [(101_000, 2)]


def test_an_edit_shares_fills_and_gets_back_what_the_position_allows(floor: Floor) -> None:
    long(floor)
    first = reduce(floor, -20, 101_000)
    floor.take("other", 3, 101_000)  # 3 of 9 are filled, 11 it has lost
    events = floor.edit("taker", first, -20, 101_000)
    second = floor.last
    assert events[-2:] == [OrderShrunk(second, 11, 6), OrderDone(first, "replaced", 0, 6)]
    assert asks(floor) == [(101_000, 6)]
    events = floor.edit("taker", second, -5, 101_000)
    assert events == [OrderDone(second, "replaced", 0, 6)] and asks(floor) == [(101_000, 2)]


def test_a_stop_waits_as_signed_and_takes_the_place_of_others_when_it_fires(floor: Floor) -> None:
    long(floor)
    target = reduce(floor, -9, 110_000)
    waits = {"trigger": "stop", "trigger_price": records.big(99_000 * WAD)}
    stop = reduce(floor, -30, 98_000, command=waits)
    assert stop in floor.sequencer.matcher.orders.by_digest
    floor.prices(98_900)
    shrunk = [event for event in floor.events if isinstance(event, OrderShrunk)]
    assert shrunk == [OrderShrunk(stop, 21, 9)] and evicted(target, 9) in floor.events
    assert asks(floor) == [(98_000, 9)]


@pytest.mark.parametrize("flags", [IMMEDIATE | REDUCE_ONLY, REDUCE_ONLY])
def test_one_that_trades_at_once_comes_before_those_that_rest(floor: Floor, flags: int) -> None:
    long(floor)
    rests = reduce(floor, -9, 101_000)
    floor.place("other", 4, 99_900)
    events = floor.place("taker", -4, 99_900, flags=flags)
    assert [match.lots for match in matches(events)] == [4]
    assert events[-1] == OrderShrunk(rests, 4, 5)


def test_another_account_of_the_same_owner_reduces_its_own(floor: Floor) -> None:
    long(floor)
    other = account_at(address_of("taker"), 1)
    floor.deposit("taker", 1_000, number=1)
    refused = floor.place("taker", -1, 101_000, flags=REDUCE_ONLY, account=other)
    assert rejection(refused) == "ReduceOnly"


def test_a_journal_of_earlier_rules_is_read_as_it_was_written(floor: Floor) -> None:
    floor.sequencer.adopt(1)
    assert floor.place("taker", -5_000, 101_000, flags=REDUCE_ONLY) == []
    long(floor)
    floor.place("other", 9, 99_900)
    assert not any(isinstance(e, OrderShrunk) for e in floor.take("taker", -9, 99_900))
    assert asks(floor) == [(101_000, 5_000)]


def beyond(sequencer: Sequencer) -> list[tuple[int, int]]:
    """Accounts and instruments whose resting orders that only reduce could do more than that."""
    matcher, found = sequencer.matcher, []
    open_orders = list(matcher.orders.by_number.values())
    resting = [o for o in open_orders if o.terms.reduce_only and not o.waits_for]
    for order in resting:
        key = order.terms.account, order.terms.instrument
        same = [o for o in resting if (o.terms.account, o.terms.instrument) == key]
        held = matcher.held(order)
        wrong = [o for o in same if o.terms.lots * held >= 0]
        if wrong or sum(o.lots_left for o in same) > abs(held):
            found.append(key)
    kept = sum(len(orders) for orders in matcher.orders.reducing.values())
    assert kept == len(resting)
    return found


@pytest.mark.parametrize("seed", range(6))
def test_whatever_is_done_they_stay_within_the_position(seed: int) -> None:
    flow, priority = Flow(seed), Priority()
    tell = flow.floor.tell

    def checked(command: records.AnyRecord) -> list[records.AnyRecord]:
        events = tell(command)
        for record in (command, *events):
            priority.follow(record)
        if flow.floor.sequencer.ahead.state.lifted is None:
            assert beyond(flow.floor.sequencer) == []
        return events

    flow.floor.tell = checked  # type: ignore[method-assign]
    for _ in range(80):
        flow.run(2)
        for role in ("trader 3", "trader 4", "trader 5"):
            held = flow.floor.held(role)
            if held:
                dollars = flow.btc + flow.chance.randint(-10, 40) * (1 if held > 0 else -1)
                flow.floor.place(role, -2 * held, dollars, flags=REDUCE_ONLY)
    assert sum(isinstance(event, OrderShrunk) for event in flow.floor.events) > 5


def test_what_they_have_lost_is_in_a_snapshot(floor: Floor) -> None:
    long(floor)
    reduce(floor, -20, 101_000)
    content, commands = snapshot.content_of(floor.sequencer), list(floor.commands)
    deployment, parameters, now = deployed()
    again = build_sequencer(deployment, parameters, EXECUTOR, now)
    snapshot.restore(again, content)
    floor.take("other", 3, 101_000), floor.take("taker", -2, 90_000)
    later: list[records.AnyRecord] = []
    for kind, payload in floor.commands[len(commands) :]:
        later += again.handle(records.decode(kind, payload))
    assert later == floor.events[-len(later) :]
    assert snapshot.content_of(again) == snapshot.content_of(floor.sequencer)
