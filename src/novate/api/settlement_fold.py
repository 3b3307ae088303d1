"""Batches and what became of them, folded from the journal as the read side would tell it.

Owns: the newest batches with the transactions that settled them, and the trades that settlement
refused; how both go back when blocks leave the chain. ``follow`` answers what moved. Bounded: the
oldest go first. Which fills a batch of ours was refused is read from the transaction's logs only if
its bitmap says that there are any. Times in milliseconds, blocks by number.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from novate.api.orders import Orders
from novate.services.flights import SETTLED, span_of
from novate.services.indexer_chain import ChainRows, Contracts
from novate.store import names, schema
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    Busted,
    ChainReorganised,
    ChainTransaction,
)

BATCHES_MAX = 1_024
BUSTS_MAX = 1_000
Key = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Part:
    """What one transaction settled of a batch: bit 0 is its first match."""

    block: int
    transaction: bytes
    bitmap: int


@dataclass(slots=True)
class Batch:
    """Matches that settle together; ``own``: what was sent as this very batch."""

    closed: BatchClosed
    closed_ms: int
    submitted: bytes = b""
    own: list[Part] = field(default_factory=list)
    others: list[Part] = field(default_factory=list)

    @property
    def settled(self) -> int:
        """The bitmap of what has settled."""
        found = 0
        for part in (*self.own, *self.others):
            found |= part.bitmap
        return found

    def row(self) -> dict[str, Any]:
        """As ``get_batches`` shows it."""
        count = self.settled.bit_count()
        # of several attempts the one that settled most, the first of equals
        best = max(self.own, key=lambda p: (p.bitmap.bit_count(), -p.block), default=None)
        if count == self.closed.count:
            state = "settled"
        elif count or best is not None:
            state = "partly_settled"
        else:
            state = "submitted" if self.submitted else "closed"
        blocks = [part.block for part in self.others]
        transaction = best.transaction if best is not None else self.submitted
        return {
            "batch": self.closed.first_sequence,
            "count": self.closed.count,
            "state": state,
            "timestamp": self.closed_ms,
            "oracle_round": self.closed.oracle_round,
            "settled": count,
            "transaction": "0x" + transaction.hex() if transaction else None,
            "block": best.block if best is not None else max(blocks, default=None),
        }

    @property
    def is_over(self) -> bool:
        """Whether all of it has settled."""
        return self.settled.bit_count() == self.closed.count


@dataclass(frozen=True, slots=True)
class Bust:
    """A trade that settlement refused (``refused``: it is tried again) or the venue gave up
    (``given_up``); without a block where no transaction says so.
    """

    sequence: int
    timestamp_ms: int
    instrument: int
    code: int
    state: str
    transaction: bytes = b""
    block: int | None = None


@dataclass(slots=True)
class Moved:
    """What one record moved: batches, trades by sequence, trades that were refused or (``back``)
    are so no more; ``first_block`` of a reorganisation.
    """

    batches: list[Batch] = field(default_factory=list)
    trades: list[int] = field(default_factory=list)
    busts: list[Bust] = field(default_factory=list)
    back: list[Bust] = field(default_factory=list)
    first_block: int | None = None


@dataclass(slots=True)
class Settlements:
    """The fold. ``contracts`` reads the venue's own logs; without them nothing settles here."""

    orders: Orders
    contracts: Contracts | None
    batches: dict[Key, Batch] = field(default_factory=dict)
    busts: dict[int, Bust] = field(default_factory=dict)

    def follow(self, record: AnyRecord) -> Moved | None:
        """Take in one durable record, behind ``orders``; None if nothing here is moved by it."""
        match record:
            case BatchClosed():
                return self._closed(record)
            case BatchSubmitted() if record.count:
                return self._submitted(record)
            case ChainTransaction():
                return self._settled(record)
            case ChainReorganised():
                return self._left(record.first_block)
            case Busted():
                return self._busted(record)
            case _:
                return None

    def open(self) -> list[Batch]:
        """Batches of which something has not settled, oldest first."""
        return [batch for batch in self.batches.values() if not batch.is_over]

    def _closed(self, record: BatchClosed) -> Moved:
        key = record.first_sequence, record.count
        batch = self.batches.get(key)
        if batch is None:
            closed_ms = max(self.orders.now_ms, record.judged_at * 1_000)
            batch = self.batches[key] = Batch(record, closed_ms)
            _bound(self.batches, BATCHES_MAX)
        return Moved([batch], list(span_of(record)))

    def _submitted(self, record: BatchSubmitted) -> Moved | None:
        batch = self.batches.get((record.first_sequence, record.count))
        if batch is None:
            return None
        batch.submitted = record.transaction
        return Moved([batch])

    def _settled(self, record: ChainTransaction) -> Moved | None:
        moved = Moved()
        for first, count, bitmap in self._logs(record):
            part = Part(record.block, record.transaction, bitmap)
            batch = self.batches.get((first, count))
            if batch is not None:
                batch.own.append(part)
                moved.batches.append(batch)
            moved.batches += self._shared(first, part, batch)
            settled = [first + place for place in range(count) if bitmap >> place & 1]
            moved.trades += settled
            moved.back += [self.busts.pop(s) for s in settled if s in self.busts]
            if bitmap.bit_count() < count and record.transaction in self.orders.submitted:
                moved.busts = self._refusals(record)
                moved.trades += [bust.sequence for bust in moved.busts]
        return moved if moved.batches or moved.trades else None

    def _logs(self, record: ChainTransaction) -> Iterator[tuple[int, int, int]]:
        """(first sequence, count, bitmap) of what our executors settled in a transaction."""
        if self.contracts is None or not record.succeeded:
            return
        exchange = bytes.fromhex(self.contracts.deployment.addresses["exchange"][2:])
        for address, topics, data in record.events:
            if address != exchange or topics[:1] != [SETTLED] or len(data) != 96:
                continue
            if "0x" + topics[1][12:].hex() in self.contracts.executors:
                first, count, bitmap = (
                    int.from_bytes(data[i : i + 32], "big") for i in (0, 32, 64)
                )
                yield first, count, bitmap

    def _shared(self, first: int, part: Part, own: Batch | None) -> list[Batch]:
        """Other batches with a match that this settled: it was sent again by itself, or brought by
        its receipt.
        """
        top = first + part.bitmap.bit_length()
        found = []
        for batch in reversed(self.batches.values()):
            start, end = batch.closed.first_sequence, span_of(batch.closed).stop
            if end <= first and batch.closed.count > 1:
                break  # those before it end before it, but for what went again by itself
            if batch is own or end <= first or start >= top:
                continue
            inside = part.bitmap << first >> start & (1 << batch.closed.count) - 1
            if inside:
                batch.others.append(Part(part.block, part.transaction, inside))
                found.append(batch)
        return found

    def _refusals(self, record: ChainTransaction) -> list[Bust]:
        """What a batch of ours was refused, as the read side reads it."""
        assert self.contracts is not None
        rows = ChainRows(self.contracts)
        rows.apply(self.contracts.decode(record))
        found = []
        for row in rows.rows.get(schema.outcomes, []):
            trade = self.orders.trades.get(row["sequence"])
            if row["settled"] or not row["ours"] or trade is None:
                continue
            place = record.timestamp * 1_000, trade.match.instrument, row["code"], "refused"
            bust = Bust(row["sequence"], *place, record.transaction, record.block)
            self.busts[bust.sequence] = bust
            found.append(bust)
        _bound(self.busts, BUSTS_MAX)
        return found

    def _busted(self, record: Busted) -> Moved | None:
        trade, before = self.orders.trades.get(record.sequence), self.busts.get(record.sequence)
        if trade is None:
            return None
        place = self.orders.now_ms, trade.match.instrument, record.code, "given_up"
        sent = (before.transaction, before.block) if before is not None else ()
        bust = self.busts[record.sequence] = Bust(record.sequence, *place, *sent)
        _bound(self.busts, BUSTS_MAX)
        return Moved(trades=[record.sequence], busts=[bust])

    def _left(self, first_block: int) -> Moved:
        """Blocks have left the chain: what they had settled is on its way again, and what they had
        refused is not refused.
        """
        moved = Moved(first_block=first_block)
        for batch in self.batches.values():
            before = batch.settled
            parts = len(batch.own) + len(batch.others)
            batch.own = [part for part in batch.own if part.block < first_block]
            batch.others = [part for part in batch.others if part.block < first_block]
            if parts > len(batch.own) + len(batch.others):
                moved.batches.append(batch)
                gone, first = before & ~batch.settled, batch.closed.first_sequence
                places = range(batch.closed.count)
                moved.trades += [first + place for place in places if gone >> place & 1]
        for bust in list(self.busts.values()):
            if bust.state == "refused" and bust.block is not None and bust.block >= first_block:
                moved.back.append(self.busts.pop(bust.sequence))
                moved.trades.append(bust.sequence)
        moved.trades = sorted(set(moved.trades))
        return moved


def reason_of(bust: Bust) -> str:
    """The registered name of what refused a trade; empty if the chain did not say."""
    return names.reason(bust.code) or ""


def _bound(rows: dict[Any, Any], most: int) -> None:
    while len(rows) > most:
        del rows[next(iter(rows))]
