"""The sequencer over the fast book and over the readable one: the same events, to the byte."""

from __future__ import annotations

from collections import Counter

import pytest

from novate import errors
from novate.engine import snapshot
from novate.engine.ladder import MarketBook
from novate.engine.sequencer import Sequencer
from novate.model import novation
from novate.model.book import Book
from novate.model.book_terms import Capacity
from novate.model.store import Store
from novate.services.boot import build_sequencer
from novate.services.priority import Priority
from novate.wire import records
from novate.wire.records import Matched, OrderDone, OrderRejected
from tests.support.engine import BTC, ETH, EXECUTOR, Floor, deployed
from tests.support.flow import ROLES, Flow

STEPS = 150
SIDES = [(instrument, is_buy) for instrument in (BTC, ETH) for is_buy in (True, False)]


def readable(capacity: Capacity) -> MarketBook:
    return Book(Store(), capacity)


def fresh() -> Sequencer:
    """A sequencer in the state of the genesis."""
    deployment, parameters, now = deployed()
    return build_sequencer(deployment, parameters, EXECUTOR, now)


def told(floor: Floor) -> list[bytes]:
    return [records.encode(event)[1] for event in floor.events]


@pytest.mark.parametrize("seed", range(12))
def test_both_books_make_the_same_venue(seed: int) -> None:
    fast, readable_floor = Flow(seed).run(STEPS), Flow(seed, readable).run(STEPS)
    assert told(fast) == told(readable_floor)
    for side in SIDES:
        queue = fast.sequencer.book.queue(*side)
        assert queue == readable_floor.sequencer.book.queue(*side)
        orders = fast.sequencer.matcher.orders.by_number
        assert [(orders[n].price_ticks, orders[n].lots_left) for n, *_ in queue] == [
            row[1:] for row in queue
        ]
    resting = {n for side in SIDES for n, *_ in fast.sequencer.book.queue(*side)}
    open_orders = fast.sequencer.matcher.orders.by_number.values()
    assert resting == {order.number for order in open_orders if not order.waits_for}


def test_the_flows_meet_every_kind_of_end_and_refusal() -> None:
    found: Counter[str] = Counter()
    for seed in range(12):
        for event in Flow(seed).run(STEPS).events:
            found[type(event).__name__] += 1
            if isinstance(event, OrderDone):
                found[event.end] += 1
            if isinstance(event, OrderDone | OrderRejected) and event.code:
                found[errors.BY_CODE[event.code].name] += 1
    kinds = {"filled", "cancelled", "unfilled", "replaced", "evicted", "OrderSlid"}
    kinds |= {"OrderTriggered", "ProtectionTriggered", "Matched", "BatchClosed"}
    names = {"InsufficientMargin", "FillOrKill", "PostOnly", "QuotesFrozen", "SelfMatch"}
    names |= {"ReduceOnly", "OrderExpired", "WouldTrigger", "StaleRevision"}
    assert not (kinds | names) - set(found), found
    assert "InternalFault" not in found


@pytest.mark.parametrize("seed", range(3))
def test_time_and_price_come_first_and_a_snapshot_changes_nothing(seed: int) -> None:
    """``Priority`` knows no engine; the second half is played by an engine that was restored."""
    floor = Flow(seed).run(STEPS)
    priority, again = Priority(), fresh()
    half = len(floor.commands) // 2
    events: list[bytes] = []
    for number, (kind, payload) in enumerate(floor.commands):
        command = records.decode(kind, payload)
        if number == half:
            content = snapshot.content_of(again)
            again = fresh()
            snapshot.restore(again, content)
            assert snapshot.content_of(again) == content
        made = again.handle(command)
        events += [records.encode(event)[1] for event in made]
        for record in (command, *made):
            priority.follow(record)
    assert events == told(floor)
    assert priority.matches == sum(isinstance(e, Matched) for e in floor.events) > 2


@pytest.mark.parametrize("seed", range(3))
def test_the_open_batch_holds_what_the_whole_of_it_comes_to(seed: int) -> None:
    """Rows and open interest are kept up match by match; the contract nets the batch at its end."""
    flow, seen = Flow(seed), 0
    for kind in flow.chance.choices(("place", "take", "kill", "quote", "prices"), k=200):
        getattr(flow, "_" + kind)(flow.chance.choice(ROLES))
        pending = flow.floor.sequencer.batching.open.pending
        for index, row in pending.rows.items():
            assert row == novation.applied(pending.batch, pending.net, index)
        kept = dict(pending.interest)
        pending.recount()
        assert kept == pending.interest
        seen += len(pending.rows)
    assert seen > 50
