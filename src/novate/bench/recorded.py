"""A recorded public book turned back into commands: the real flow of the matching benchmark.

Owns: the rows of a level-2 recording (snapshot, level changes, trades) as orders. A level's
increase is a limit order; its decrease cancels the level's youngest orders, the last one of them
amended down if it is larger; a trade is an immediate order of the side that took. What rests is
known from a fast book that carries the commands out as they are made. Rows whose price is off the
ladder around the first price are left out.

Columns: ``kind`` (0 snapshot, 1 level, 2 best price, which repeats, 3 trade), ``side`` (1 bid or
buyer, -1 ask or seller), ``px``, ``qty``.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from novate import errors
from novate.bench.flows import COLUMNS, IMMEDIATE, OWNERS, Flow
from novate.engine.book import FastBook
from novate.errors import Rejected
from novate.model.book_terms import Capacity, Command, Event, Kind, What

TICKS_PER_UNIT = 10
LOTS_PER_UNIT = 1_000
_SNAPSHOT, _LEVEL, _TRADE = 0, 1, 3


class _Recorder:
    """The commands made so far, and what of them rests: level -> identity -> (total, left)."""

    def __init__(self, capacity: Capacity) -> None:
        self.rows: list[Command] = []
        self._book = FastBook(capacity)
        self._levels: dict[tuple[bool, int], dict[int, tuple[int, int]]] = defaultdict(dict)
        self._places: dict[int, tuple[bool, int]] = {}
        self._last = 0

    def change_level(self, is_bid: bool, price: int, lots: int) -> None:
        """Bring a level to some lots."""
        level = self._levels[is_bid, price]
        excess = sum(left for _, left in level.values()) - lots
        if excess < 0:
            self._place(-excess if is_bid else excess, price, 0)
        for identity, (total, left) in reversed(list(level.items())):
            if excess <= 0:
                break
            owner = identity % OWNERS
            if left <= excess:
                self._do(Command(Kind.CANCEL, identity, owner))
            else:
                signed = total - excess if is_bid else excess - total
                self._do(Command(Kind.AMEND, identity, owner, lots=signed, price=price))
            excess -= left

    def trade(self, is_buy: bool, price: int, lots: int) -> None:
        """Take at a price."""
        self._place(lots if is_buy else -lots, price, IMMEDIATE)

    def _place(self, lots: int, price: int, options: int) -> None:
        self._last += 1
        owner = self._last % OWNERS
        self._do(Command(Kind.PLACE, self._last, owner, owner, lots, price, options))

    def _do(self, command: Command) -> None:
        self.rows.append(command)
        if self._book.one(command) == 0:
            for event in self._book.last_events():
                self._learn(command, event)

    def _learn(self, command: Command, event: Event) -> None:
        if event.what == What.RESTED:
            self._places[event.order] = (command.lots > 0, event.price)
        if event.order not in self._places:
            return
        level = self._levels[self._places[event.order]]
        is_out = event.what in (What.CANCELLED, What.EVICTED) or event.lots_left == 0
        if is_out:
            del level[event.order], self._places[event.order]
        elif event.what == What.FILL:
            level[event.order] = (level[event.order][0], event.lots_left)
        else:
            level[event.order] = (abs(event.lots), event.lots_left)


def recorded(path: Path) -> Flow:
    """The commands of a recording. Errors: ``PriceFileMissing``, ``PriceFileColumns``."""
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowInvalid):
        raise Rejected(errors.PriceFileMissing, str(path)) from None
    names = ("kind", "side", "px", "qty")
    missing = [name for name in names if name not in table.column_names]
    if missing:
        raise Rejected(errors.PriceFileColumns, ", ".join(missing))
    kinds, sides, prices, sizes = (table[name].to_numpy() for name in names)
    ticks = np.rint(prices * TICKS_PER_UNIT).astype(np.int64)
    lots = np.rint(sizes * LOTS_PER_UNIT).astype(np.int64)
    middle = int(np.median(ticks[kinds == _SNAPSHOT])) if (kinds == _SNAPSHOT).any() else 0
    capacity = Capacity(price_base=max(middle - Capacity().levels // 2, 1))
    top = capacity.price_base + capacity.levels
    fits = (ticks >= capacity.price_base) & (ticks < top) & np.isin(kinds, (0, 1, 3))
    recorder, seeded = _Recorder(capacity), 0
    chosen = (kinds[fits].tolist(), sides[fits].tolist(), ticks[fits].tolist(), lots[fits].tolist())
    for kind, side, price, size in zip(*chosen, strict=True):
        if kind == _TRADE:
            recorder.trade(side > 0, price, size)
        else:
            recorder.change_level(side > 0, price, size)
        if kind == _SNAPSHOT:
            seeded = len(recorder.rows)
    rows = np.array(recorder.rows, np.int64).reshape(-1, COLUMNS)
    text = f"{int(fits.sum()):,} recorded changes and trades as orders"
    return Flow("recorded", text, capacity, rows[:seeded], rows[seeded:])
