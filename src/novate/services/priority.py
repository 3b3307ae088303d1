"""Price-time priority, checked a second time: over the journal's records alone, without an engine.

Orders arrive in the order of their ``OrderPlaced`` records and leave with ``OrderDone`` or
``OrderRejected``; in between nobody may trade before a better price, or before an earlier order at
the same price. It shares no code with the book. Lots and wad prices as in the records.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from novate.model.order import IMMEDIATE
from novate.wire import records
from novate.wire.records import AnyRecord, Matched, OrderDone, OrderPlaced, OrderRejected


class OutOfOrder(Exception):
    """A record that breaks price-time priority; the text says how."""


@dataclass(slots=True)
class _Entry:
    """An order that may still trade."""

    arrival: int
    instrument: int
    buys: bool
    price: int
    left: int
    immediate: bool


class Priority:
    """Follows a journal and raises ``OutOfOrder`` at the first record that jumps the queue."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Entry] = {}
        self._again: Counter[bytes] = Counter()
        self._arrivals = 0
        self.matches = 0

    def follow(self, record: AnyRecord) -> None:
        """Take the next record."""
        match record:
            case OrderPlaced():
                self._place(record)
            case OrderRejected():
                self._reject(record.digest)
            case Matched():
                self._match(record)
            case OrderDone():
                self._done(record)
            case _:
                pass

    def _place(self, record: OrderPlaced) -> None:
        order = record.order
        if record.digest in self._open:
            self._again[record.digest] += 1  # the same order: refused, while the first one stays
            return
        self._arrivals += 1
        self._open[record.digest] = _Entry(
            arrival=self._arrivals,
            instrument=order.instrument,
            buys=order.lots > 0,
            price=records.number(order.price),
            left=abs(order.lots),
            immediate=bool(order.flags & IMMEDIATE),
        )

    def _reject(self, digest: bytes) -> None:
        if self._again[digest]:
            self._again[digest] -= 1
        else:
            self._open.pop(digest, None)

    def _match(self, record: Matched) -> None:
        taker, maker = self._entry(record.taker), self._entry(record.maker)
        if maker.arrival > taker.arrival or maker.immediate:
            raise OutOfOrder("the maker was not resting when the taker came")
        if maker.instrument != taker.instrument or maker.buys == taker.buys:
            raise OutOfOrder("two orders that do not meet")
        if taker.buys != record.taker_buys or taker.instrument != record.instrument:
            raise OutOfOrder("side or instrument is not the taker's")
        price = records.number(record.price)
        if price != maker.price or not _crosses(taker, maker):
            raise OutOfOrder(f"traded at {price}, the maker asked {maker.price}")
        if self._best(taker) is not maker:
            raise OutOfOrder("another order had a better price or came earlier")
        if record.lots != min(maker.left, taker.left):
            raise OutOfOrder(f"{record.lots} lots, {min(maker.left, taker.left)} could trade")
        maker.left -= record.lots
        taker.left -= record.lots
        self.matches += 1

    def _done(self, record: OrderDone) -> None:
        entry = self._entry(record.digest)
        if record.lots_left != entry.left:
            raise OutOfOrder(f"{record.lots_left} lots left, {entry.left} were")
        if record.end == "unfilled":
            best = self._best(entry)
            if best is not None and _crosses(entry, best):
                raise OutOfOrder("ended unfilled though a resting order would have traded")
        if record.end == "filled" and entry.left:
            raise OutOfOrder("ended as filled with lots left")
        del self._open[record.digest]

    def _entry(self, digest: bytes) -> _Entry:
        entry = self._open.get(digest)
        if entry is None:
            raise OutOfOrder(f"order 0x{digest.hex()} is not open")
        return entry

    def _best(self, taker: _Entry) -> _Entry | None:
        """What an arriving order meets first: best price, then earliest, of what came before it."""
        sign = 1 if taker.buys else -1
        met = [
            (sign * e.price, e.arrival, e)
            for e in self._open.values()
            if e.instrument == taker.instrument
            and e.buys != taker.buys
            and e.arrival < taker.arrival
            and e.left
        ]
        return min(met, key=lambda item: item[:2])[2] if met else None


def _crosses(taker: _Entry, maker: _Entry) -> bool:
    return maker.price <= taker.price if taker.buys else maker.price >= taker.price
