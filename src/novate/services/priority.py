"""Price-time priority, checked a second time: over the journal's records alone, without an engine.

Orders arrive in the order of their records, those that wait when their trigger is told, and leave
with ``OrderDone`` or ``OrderRejected``; in between nobody may trade before a better price, or
before an earlier order at the same price. An edit shares what its nonce has filled, and keeps its
place only at the same price and with no more left. All that both have left trades; an order that
may only reduce may be cut, by a position that is not in the journal. It shares no code with the
book: each side of an instrument is one list, sorted by price and arrival. Lots and wad prices as in
the records.

A block (``BlockAccepted``) is no part of that queue: its orders meet each other alone, whole, at
the one price that both signed, all legs or none; an order signed for blocks never meets the book.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from novate.model.order import BLOCK_REVISION, IMMEDIATE, REDUCE_ONLY
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BlockAccepted,
    Matched,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    OrderShrunk,
    OrderSlid,
    OrderTriggered,
    QuotesPlaced,
)

Nonce = tuple[bytes, bool, int]


class OutOfOrder(Exception):
    """A record that breaks price-time priority; the text says how."""


@dataclass(slots=True)
class _Block:
    """A block: the partner of each order, and whether its legs trade, or are refused."""

    partners: dict[bytes, bytes] = field(default_factory=dict)
    trades: bool | None = None

    def decide(self, trades: bool) -> None:
        """One leg's fate, which is that of all."""
        if self.trades not in (None, trades):
            raise OutOfOrder("a block traded in part")
        self.trades = trades


@dataclass(slots=True)
class _Entry:
    """An order that may still trade."""

    arrival: int
    nonce: Nonce
    instrument: int
    buys: bool
    price: int
    size: int
    left: int  # of its size, less what is filled and what it has lost
    lost: int = field(default=0, kw_only=True)
    immediate: bool
    waits: bool
    blocks_only: bool
    reduces_only: bool
    block: _Block | None = None

    @property
    def rests(self) -> bool:
        """Whether an order of the book that comes later may meet it."""
        return self.left > 0 and not self.waits and self.block is None

    @property
    def place(self) -> tuple[int, int]:
        """Its place in its queue: the better price first, then the earlier; no two share one."""
        return (-self.price if self.buys else self.price), self.arrival


class _Queue:
    """What rests on one side of an instrument, the first in turn first.

    Finding the first costs nothing that grows with the orders; joining and leaving a bisection.
    """

    def __init__(self) -> None:
        self._places: list[tuple[int, int]] = []
        self._entries: dict[int, _Entry] = {}  # by arrival

    def join(self, entry: _Entry) -> None:
        """An entry rests from now on."""
        insort(self._places, entry.place)
        self._entries[entry.arrival] = entry

    def leave(self, entry: _Entry) -> None:
        """A resting entry goes, or is about to change its place."""
        del self._places[bisect_left(self._places, entry.place)]
        del self._entries[entry.arrival]

    def first_before(self, arrival: int) -> _Entry | None:
        """The first in turn of those that came before; later ones are few, their events follow."""
        for _, came in self._places:
            if came < arrival:
                return self._entries[came]
        return None


class Priority:
    """Follows a journal and raises ``OutOfOrder`` at the first record that jumps the queue."""

    def __init__(self) -> None:
        self._open: dict[bytes, _Entry] = {}
        self._queues: defaultdict[tuple[int, bool], _Queue] = defaultdict(_Queue)
        self._by_nonce: dict[Nonce, bytes] = {}
        self._next: dict[bytes, bytes] = {}  # an order -> the edit that is to take its place
        self._again: Counter[bytes] = Counter()
        self._arrivals = 0
        self.matches = 0

    def follow(self, record: AnyRecord) -> None:
        """Take the next record."""
        match record:
            case OrderPlaced():
                self._place(record, record.amends)
            case QuotesPlaced():
                for placed in records.orders_in(record):
                    self._place(placed, True)
            case BlockAccepted():
                self._accept(record)
            case OrderRejected():
                self._reject(record.digest)
            case OrderSlid():
                self._slide(record)
            case OrderShrunk():
                self._shrink(record)
            case OrderTriggered():
                entry = self._entry(record.digest)
                with self._moving(entry):
                    entry.waits, entry.arrival = False, self._arrive()
            case Matched():
                self._match(record)
            case OrderDone():
                self._done(record)
            case _:
                pass

    def _arrive(self) -> int:
        self._arrivals += 1
        return self._arrivals

    @contextmanager
    def _moving(self, entry: _Entry) -> Iterator[None]:
        """Around a change of an open entry: its queue follows."""
        queue = self._queues[entry.instrument, entry.buys]
        if entry.rests:
            queue.leave(entry)
        yield
        if entry.rests:
            queue.join(entry)

    def _add(self, digest: bytes, entry: _Entry) -> None:
        self._open[digest] = entry
        if entry.rests:
            self._queues[entry.instrument, entry.buys].join(entry)

    def _remove(self, digest: bytes) -> _Entry | None:
        """Close an entry, and free its nonce if it holds it; None if it is not open."""
        entry = self._open.pop(digest, None)
        if entry is None:
            return None
        if entry.rests:
            self._queues[entry.instrument, entry.buys].leave(entry)
        if self._by_nonce.get(entry.nonce) == digest:
            del self._by_nonce[entry.nonce]
        return entry

    def _place(self, record: OrderPlaced, may_share: bool, block: _Block | None = None) -> None:
        order = record.order
        if record.digest in self._open:
            self._again[record.digest] += 1  # the same order: refused, while the first one stays
            return
        nonce = order.account, bool(order.flags & IMMEDIATE), order.nonce
        former = self._by_nonce.get(nonce)
        if may_share and former is not None:
            self._next[former] = record.digest
        entry = _Entry(
            arrival=self._arrive(),
            nonce=nonce,
            instrument=order.instrument,
            buys=order.lots > 0,
            price=records.number(order.price),
            size=abs(order.lots),
            left=abs(order.lots),
            immediate=bool(order.flags & IMMEDIATE) or record.fill_or_kill,
            waits=record.trigger != "",
            blocks_only=bool(order.flags & IMMEDIATE) and order.revision == BLOCK_REVISION,
            reduces_only=bool(order.flags & REDUCE_ONLY),
            block=block,
        )
        self._add(record.digest, entry)
        if former is None:
            self._by_nonce[nonce] = record.digest

    def _accept(self, record: BlockAccepted) -> None:
        block = _Block()
        for taker, maker in zip(record.taker, record.maker, strict=False):
            block.partners |= {taker.digest: maker.digest, maker.digest: taker.digest}
        for placed in record.orders:
            self._place(placed, False, block)

    def _reject(self, digest: bytes) -> None:
        if self._again[digest]:
            self._again[digest] -= 1  # one of two copies; the other one stands
            return
        entry = self._remove(digest)
        self._next = {old: new for old, new in self._next.items() if new != digest}
        if entry is not None and entry.block is not None:
            entry.block.decide(trades=False)

    def _slide(self, record: OrderSlid) -> None:
        entry, price = self._entry(record.digest), records.number(record.price)
        if (price > entry.price) if entry.buys else (price < entry.price):
            raise OutOfOrder(f"rests at {price}, worse than the {entry.price} it has signed")
        with self._moving(entry):
            entry.price = price
        best = self._best(entry)
        if best is not None and _crosses(entry, best):
            raise OutOfOrder("slid to a price at which it would trade")

    def _shrink(self, record: OrderShrunk) -> None:
        entry = self._entry(record.digest)
        if not entry.reduces_only or not 0 < record.lots < entry.left:
            raise OutOfOrder(f"an order of {entry.left} lots lost {record.lots}")
        with self._moving(entry):
            entry.left, entry.lost = entry.left - record.lots, entry.lost + record.lots

    def _match(self, record: Matched) -> None:
        taker, maker = self._entry(record.taker), self._entry(record.maker)
        if taker.block is not None or maker.block is not None:
            self._match_block(record, taker, maker)
            return
        if taker.blocks_only:
            raise OutOfOrder("an order signed for blocks alone met the book")
        if maker.arrival > taker.arrival or maker.immediate or maker.waits or taker.waits:
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
        most, cut = min(maker.left, taker.left), maker.reduces_only or taker.reduces_only
        if record.lots != most and not (cut and 0 < record.lots < most):
            raise OutOfOrder(f"{record.lots} lots, {most} could trade")
        for entry in (maker, taker):
            with self._moving(entry):
                entry.left -= record.lots
        self.matches += 1

    def _match_block(self, record: Matched, taker: _Entry, maker: _Entry) -> None:
        if taker.block is not maker.block or taker.block is None:
            raise OutOfOrder("an order of a block met another's")
        if not (taker.blocks_only and maker.blocks_only):
            raise OutOfOrder("an order not signed for blocks in one")
        if taker.block.partners[record.taker] != record.maker:
            raise OutOfOrder("two legs of a block that do not meet")
        if maker.instrument != taker.instrument or maker.buys == taker.buys:
            raise OutOfOrder("two orders that do not meet")
        if taker.buys != record.taker_buys or taker.instrument != record.instrument:
            raise OutOfOrder("side or instrument is not the taker's")
        if not taker.price == maker.price == records.number(record.price):
            raise OutOfOrder(f"a block at {record.price}, signed for {taker.price}, {maker.price}")
        if not taker.left == maker.left == record.lots:
            raise OutOfOrder(f"{record.lots} lots of a block of {taker.left} and {maker.left}")
        taker.block.decide(trades=True)
        taker.left = maker.left = 0
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
        self._remove(record.digest)
        successor = self._next.pop(record.digest, None)
        if record.end == "replaced" and successor is not None:
            self._succeed(entry, successor)

    def _succeed(self, old: _Entry, digest: bytes) -> None:
        """An edit takes an order's place, or a place behind all others."""
        new = self._entry(digest)
        self._by_nonce[new.nonce] = digest
        with self._moving(new):
            filled = old.size - old.lost - old.left
            new.left = max(new.size - new.lost - filled, 0)
            if new.price == old.price and new.left <= old.left and not new.waits and not old.waits:
                new.arrival = old.arrival

    def _entry(self, digest: bytes) -> _Entry:
        entry = self._open.get(digest)
        if entry is None:
            raise OutOfOrder(f"order 0x{digest.hex()} is not open")
        return entry

    def _best(self, taker: _Entry) -> _Entry | None:
        """What an arriving order meets first: best price, then earliest, of what came before it."""
        return self._queues[taker.instrument, not taker.buys].first_before(taker.arrival)


def _crosses(taker: _Entry, maker: _Entry) -> bool:
    return maker.price <= taker.price if taker.buys else maker.price >= taker.price
