"""Orders and trades as clients follow them: every record folded into their present state.

Owns: the state of each order by its digest (open, filled, cancelled, rejected), kept for a day
after its end, and the trades with what became of them (matched → batched → settled | busted). A
pure fold of the journal's records: fed from the first record again, it is the same. Sizes in lots,
prices in wad, times in milliseconds of the venue's clock.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice, takewhile
from operator import attrgetter
from typing import Any

import msgspec

from novate.api.entries import Entries
from novate.engine.orders import terms_of
from novate.errors import BY_CODE
from novate.model.order import Order
from novate.services.flights import settled_by
from novate.services.tape import Tape, ticked
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    BatchSubmitted,
    BlockAccepted,
    Busted,
    CancelRequested,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    OrderShrunk,
    OrderSlid,
    OrderTriggered,
    ProtectionReset,
    ProtectionSet,
    QuotesPlaced,
)
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

UNTRIGGERED = "untriggered"
# By how many of its last digests an edited order is still found.
PAST_KEPT = 16
KEEP_MS = 24 * 3_600_000
TRADES_KEPT = 10_000
FORGET_MAX = 2_000


class OrderState(msgspec.Struct, gc=False):
    """One order: what was signed, and how far it has come. It refers to nothing that refers back,
    so the collector of cycles need not look at it.
    """

    digest: bytes
    terms: Order
    label: str
    time_in_force: str
    created_ms: int
    updated_ms: int
    state: str = "open"
    filled: int = 0
    cost: int = 0
    fee: int = 0
    reason: str = ""
    again: int = 0
    placed: OrderPlaced | None = None
    lost: int = 0
    resting_price: int = 0
    triggered: bool = False
    edits: int = 0
    past: tuple[bytes, ...] = ()

    @property
    def is_open(self) -> bool:
        """Whether the order may still trade."""
        return self.state in ("open", UNTRIGGERED)

    @property
    def left(self) -> int:
        """Lots that may still be filled."""
        return self.size - self.filled

    @property
    def size(self) -> int:
        """The signed lots, less those that an order which only reduces has lost."""
        return self.terms.size - self.lost


class Trade(msgspec.Struct, gc=False):
    """One match and what became of it."""

    match: Matched
    timestamp_ms: int
    price: int
    mark: int
    index: int
    settlement: str = "matched"
    batch: int | None = None
    transaction: bytes = b""
    block: int = 0
    reason: str = ""
    rfq: bytes = b""
    number: int = 0  # in its instrument, from 1
    tick_direction: int = 0


@dataclass(slots=True)
class Orders:
    """The fold: orders by digest and by account, trades by instrument and by sequence; ``blocks``
    are the requests for quotes behind the orders of blocks, ``executed`` their trades.
    """

    entries: Entries = field(default_factory=Entries)

    by_digest: dict[bytes, OrderState] = field(default_factory=dict)
    by_account: dict[int, dict[bytes, OrderState]] = field(
        default_factory=lambda: defaultdict(dict)
    )
    trades: dict[int, Trade] = field(default_factory=dict)
    by_instrument: dict[int, deque[Trade]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=TRADES_KEPT))
    )
    submitted: dict[bytes, BatchSubmitted] = field(default_factory=dict)
    ended: deque[tuple[int, bytes]] = field(default_factory=deque)
    blocks: dict[bytes, bytes] = field(default_factory=dict)
    executed: dict[bytes, list[int]] = field(default_factory=dict)
    revisions: dict[tuple[int, bool, int], OrderState] = field(default_factory=dict)
    tapes: dict[int, Tape] = field(default_factory=dict)
    now_ms: int = 0

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record."""
        told = _TIMES.get(type(record))
        if told is not None:
            self.now_ms = max(self.now_ms, told(record))
        match record:
            case OrderPlaced():
                self._placed(record)
            case OrderDone():
                self._done(record)
            case Matched():
                self._matched(record)
            case QuotesPlaced():
                for placed in records.orders_in(record):
                    self._placed(placed, is_quote=True)
            case BlockAccepted():
                for placed in record.orders:
                    self._placed(placed)
                    self.blocks[placed.digest] = record.rfq
            case OrderRejected():
                self._rejected(record)
            case OrderSlid():
                self.by_digest[record.digest].resting_price = records.number(record.price)
            case OrderShrunk():
                state = self.by_digest[record.digest]
                state.lost += record.lots
                state.updated_ms = self.now_ms
            case OrderTriggered():
                state = self.by_digest[record.digest]
                state.state, state.triggered, state.updated_ms = "open", True, self.now_ms
            case BatchClosed():
                for trade in self._span(record.first_sequence, record.count):
                    trade.settlement = "batched"
                    if trade.batch is None:  # what goes again by itself is of its first batch
                        trade.batch = record.first_sequence
            case BatchSubmitted():
                self.submitted[record.transaction] = record
            case ChainTransaction():
                self._settled(record)
                self.entries.follow(record)
            case ChainReorganised():
                self.entries.leave(record.first_block)
                for trade in self.trades.values():
                    if trade.block >= record.first_block:
                        trade.settlement, trade.block, trade.transaction = "batched", 0, b""
            case Busted():
                for trade in self._span(record.sequence, 1):
                    self.entries.busted(trade.match)
                    trade.settlement, trade.reason = "busted", BY_CODE[record.code].name
            case _:
                pass

    def open_orders(self, account: int, instrument: int | None = None) -> list[OrderState]:
        """Open orders of an account, oldest first."""
        return [
            state
            for state in self.by_account.get(account, {}).values()
            if state.is_open and instrument in (None, state.terms.instrument)
        ]

    def forget_old(self, most: int = FORGET_MAX) -> int:
        """Drop orders that ended, and trades made, more than a day ago, at most so many of each;
        how many of what there was most of.
        """
        before = self.now_ms - KEEP_MS
        sent = takewhile(lambda row: row[1].submitted_ms < before, self.submitted.items())
        for transaction, _ in list(islice(sent, most)):
            del self.submitted[transaction]
        made = takewhile(lambda row: row[1].timestamp_ms < before, self.trades.items())
        trades = list(islice(made, most))
        for sequence, trade in trades:
            del self.trades[sequence]
            self.executed.pop(trade.rfq, None)
        ended = 0
        while ended < most and self.ended and self.ended[0][0] < before:
            self._forget(self.ended.popleft()[1])
            ended += 1
        return max(len(trades), ended)

    def _forget(self, digest: bytes) -> None:
        """Drop an order, unless it is open again."""
        state = self.by_digest.get(digest)
        if state is None or state.is_open:
            return
        del self.by_account[state.terms.account][digest]
        for name in (digest, *state.past):
            self.by_digest.pop(name, None)
        self.blocks.pop(digest, None)
        self._forget_revision(state)

    def _placed(self, record: OrderPlaced, is_quote: bool = False) -> None:
        terms = terms_of(record.order)
        force = "good_til_date"
        if terms.immediate:
            force = "fill_or_kill" if record.fill_or_kill else "immediate_or_cancel"
        elif record.fill_or_kill:
            force = "fill_or_kill"
        state = OrderState(
            record.digest,
            terms,
            record.label,
            force,
            record.received_ms,
            record.received_ms,
            UNTRIGGERED if record.trigger else "open",
            placed=record,
            resting_price=terms.price,
        )
        first = self.by_digest.setdefault(record.digest, state)
        if first is state:
            self.by_account[terms.account][record.digest] = state
        elif first.state == "rejected":
            first.state = state.state  # what had been refused may now be taken
        else:
            first.again += 1  # it will be refused, and leaves the first order as it is
            return
        if record.amends or is_quote:
            self.revisions[_nonce(terms)] = first

    def _rejected(self, record: OrderRejected) -> None:
        state = self.by_digest[record.digest]
        if state.again:
            state.again -= 1  # one of two copies; the other one decides
        else:
            self._ended(record.digest, "rejected", BY_CODE[record.code].name)
            self._forget_revision(state)

    def _forget_revision(self, state: OrderState) -> None:
        if self.revisions.get(_nonce(state.terms)) is state:
            del self.revisions[_nonce(state.terms)]

    def _matched(self, record: Matched) -> None:
        price = records.number(record.price)
        rfq = self.blocks.get(record.taker, b"")
        tape = self.tapes[record.instrument] = ticked(self.tapes.get(record.instrument), price)
        mark, index = records.number(record.mark), records.number(record.index)
        trade = Trade(record, self.now_ms, price, mark, index, rfq=rfq)
        trade.number, _, trade.tick_direction = tape
        self.trades[record.sequence] = trade
        self.entries.matched(record, price)
        if rfq:
            self.executed.setdefault(rfq, []).append(record.sequence)
        self.by_instrument[record.instrument].append(trade)
        for digest, fee in ((record.maker, record.fee_maker), (record.taker, record.fee_taker)):
            state = self.by_digest[digest]
            state.filled += record.lots
            state.cost += record.lots * price
            state.fee += records.number(fee)
            state.updated_ms = self.now_ms

    def _done(self, record: OrderDone) -> None:
        ends = {"filled": "filled", "unfilled": "cancelled", "evicted": "cancelled"}
        reason = BY_CODE[record.code].name if record.code else ""
        if record.end == "replaced":
            old = self.by_digest[record.digest]
            new = self.revisions.get(_nonce(old.terms))
            if new is not None and new is not old:
                self._revised(old, new)
                return
            reason = "replaced"  # a quote whose place one of another nonce took
        self._ended(record.digest, ends.get(record.end, "cancelled"), reason)

    def _revised(self, old: OrderState, new: OrderState) -> None:
        """An edit: the order goes on under its new digest; its last ones still find it."""
        mine = self.by_account[new.terms.account]
        del mine[old.digest]
        for digest in old.past[: -PAST_KEPT + 1]:
            self.by_digest.pop(digest, None)
        new.past = (*old.past[-PAST_KEPT + 1 :], old.digest)
        for digest in new.past:
            self.by_digest[digest] = new
        new.filled, new.cost, new.fee = old.filled, old.cost, old.fee
        new.created_ms, new.edits = old.created_ms, old.edits + 1

    def _ended(self, digest: bytes, how: str, reason: str) -> None:
        state = self.by_digest.get(digest)
        if state is None or not state.is_open:
            return
        state.state, state.reason, state.updated_ms = how, reason, self.now_ms
        self.ended.append((self.now_ms, digest))

    def _settled(self, record: ChainTransaction) -> None:
        batch = self.submitted.get(record.transaction)
        if batch is None:
            return
        settled = settled_by(record)
        for trade in self._span(batch.first_sequence, batch.count):
            if trade.match.sequence in settled:
                trade.settlement, trade.reason = "settled", ""
                trade.transaction, trade.block = record.transaction, record.block

    def _span(self, first: int, count: int) -> Iterator[Trade]:
        return (
            self.trades[sequence]
            for sequence in range(first, first + count)
            if sequence in self.trades
        )


def _nonce(terms: Order) -> tuple[int, bool, int]:
    """What an order and its edits share."""
    return terms.account, terms.immediate, terms.nonce


# When a record says that it was (ms); what is not here is of its forerunner's time.
_TIMES: dict[type, Callable[[Any], int]] = {
    **dict.fromkeys(
        (
            OrderPlaced,
            QuotesPlaced,
            BlockAccepted,
            CancelRequested,
            ProtectionSet,
            ProtectionReset,
            DisconnectSet,
            SwitchSet,
        ),
        attrgetter("received_ms"),
    ),
    BatchDue: attrgetter("due_ms"),
    BatchSubmitted: attrgetter("submitted_ms"),
    **dict.fromkeys((OracleRound, ChainTransaction), lambda record: record.timestamp * 1_000),
}
