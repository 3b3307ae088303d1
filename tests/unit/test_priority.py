"""The queues by which a journal's order of matches is checked again: whom an order meets first."""

from __future__ import annotations

import msgspec
import pytest

from novate.model.order import REDUCE_ONLY
from novate.services.priority import OutOfOrder, Priority, _Entry
from novate.wire import records
from novate.wire.records import AnyRecord, Matched, OrderShrunk
from tests.support.engine import Floor
from tests.support.flow import Flow


def told(floor: Floor) -> list[AnyRecord]:
    """Commands and what they caused, as a journal holds them."""
    again, found = Floor(), []
    for kind, payload in floor.commands[len(again.commands) :]:
        command = records.decode(kind, payload)
        found += [command, *again.sequencer.handle(command)]
    return found


def first_of_all(priority: Priority, taker: _Entry) -> _Entry | None:
    """The rule itself, over every open order."""
    sign = 1 if taker.buys else -1
    met = [
        entry
        for entry in priority._open.values()
        if (entry.instrument, entry.buys) == (taker.instrument, not taker.buys)
        and entry.arrival < taker.arrival
        and entry.left
        and not entry.waits
        and entry.block is None
    ]
    return min(met, key=lambda entry: (sign * entry.price, entry.arrival), default=None)


@pytest.mark.parametrize("seed", range(4))
def test_the_queues_find_whom_a_search_of_all_open_orders_finds(seed: int) -> None:
    priority, found = Priority(), 0
    for record in told(Flow(seed).run(150)):
        priority.follow(record)
        for entry in priority._open.values():
            best = first_of_all(priority, entry)
            assert priority._best(entry) is best
            found += best is not None
    assert priority.matches > 2 and found > 100


@pytest.mark.parametrize("seed", range(4))
def test_a_match_with_any_other_resting_order_is_out_of_order(seed: int) -> None:
    history, tried = told(Flow(seed).run(150)), 0
    priority = Priority()
    for record in history:
        if isinstance(record, Matched):
            for digest in set(priority._open) - {record.maker}:
                jumped = msgspec.structs.replace(record, maker=digest)
                with pytest.raises(OutOfOrder):
                    priority.follow(jumped)
                tried += 1
        priority.follow(record)
    assert tried > 20


def test_an_order_loses_lots_only_if_it_only_reduces_and_has_more() -> None:
    floor = Floor()
    for role in ("maker", "taker"):
        floor.deposit(role, 100_000)
    floor.place("maker", -9, 100_000)
    sold = floor.last
    floor.take("taker", 5, 100_000)
    floor.place("taker", -7, 101_000, flags=REDUCE_ONLY)
    reduces, priority = floor.last, Priority()
    shrunk = 0
    for record in told(floor):
        priority.follow(record)
        shrunk += isinstance(record, OrderShrunk)
    assert shrunk == 1 and priority._open[reduces].left == 5
    for digest, lots in ((sold, 1), (reduces, 0), (reduces, 5), (bytes(32), 1)):
        with pytest.raises(OutOfOrder):
            priority.follow(OrderShrunk(digest, lots, 0))
    priority.follow(OrderShrunk(reduces, 4, 1))
    priority.follow(records.OrderDone(reduces, "evicted", 1030, 1))
