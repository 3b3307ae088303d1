"""The journal's share of the read side: orders, trades, candles, batches, rounds as rows.

Owns: what each record of the engine does to the tables ``schema.JOURNAL``. One fold lives for one
transaction of the database: it loads what its records touch, changes it in memory and writes it at
the end. It believes the journal's hash chain and nothing else: a record that contradicts those
before it stops the index with ``IndexInconsistent`` and its number. Trades count when they match;
a candle keeps what was traded, also if settlement later refuses it (``outcomes`` says so).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, get_args

from sqlalchemy import Connection, Table, func, select, update

from novate import errors
from novate.engine.journal_frame import Record
from novate.errors import IndexInconsistent, Rejected, UnknownRecord, require
from novate.model.oracle import Observation
from novate.services.tape import Tape, ticked
from novate.store import database, schema
from novate.wire import records, safeguard_records
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
    Genesis,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    OrderSlid,
    OrderTriggered,
    ProtectionReset,
    ProtectionSet,
    ProtectionTriggered,
    QuotesPlaced,
)

RESOLUTIONS_S = (60, 3_600, 86_400)
OPEN, FILLED, CANCELLED, REJECTED = "open", "filled", "cancelled", "rejected"
MAKER, TAKER = "maker", "taker"
# What leaves no row here: the chain's transactions have tables of their own.
_OF_CHAIN = (Genesis, CancelRequested, BatchDue, ChainReorganised, ChainTransaction)
_OF_BOOK = (OrderSlid, OrderTriggered, ProtectionReset, ProtectionSet, ProtectionTriggered)
WITHOUT_ROWS = (*_OF_CHAIN, *_OF_BOOK, records.OrderShrunk, *safeguard_records.SAFEGUARDS)
_KINDS = {kind.__name__ for kind in get_args(AnyRecord)}

Order = dict[str, Any]


def text(data: bytes) -> str:
    """Bytes as the tables hold them."""
    return "0x" + data.hex()


def clean(words: str) -> str:
    """A client's words as every database holds them: PostgreSQL has no NUL."""
    return words.replace("\0", "\ufffd")


def decode(entry: Record) -> AnyRecord:
    """The record of a journal entry. Errors: ``UnknownRecord``, ``JournalCorrupt``."""
    known = entry.kind in _KINDS
    require(known, UnknownRecord, f"record {entry.sequence}: {entry.kind[:64]}")
    try:
        return records.decode(entry.kind, entry.payload)
    except Rejected as rejected:
        raise Rejected(rejected.error, f"record {entry.sequence}: {rejected.detail}") from None


class JournalFold:
    """Some consecutive records on their way into the tables."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._orders: dict[str, Order] = {}
        self._changed: set[str] = set()
        self._rows: dict[Table, list[Order]] = {}
        self._candles: dict[tuple[int, int, int], Order] = {}
        self._entry = Record(-1, 0, "", b"", b"", b"")
        trades, batches = schema.trades.c, schema.batches.c
        last = connection.execute(select(func.max(trades.sequence))).scalar_one()
        self._next_trade = 0 if last is None else last + 1
        newest = select(batches.first_sequence, batches.size)
        found = connection.execute(newest.order_by(batches.first_sequence.desc()).limit(1)).first()
        self._next_batch = found.first_sequence + found.size if found else None
        self._tapes: dict[int, Tape | None] = {}
        self._handlers: dict[type, Callable[[Any], None]] = {
            OrderPlaced: self._placed,
            QuotesPlaced: self._several,
            BlockAccepted: self._several,
            OrderRejected: self._rejected,
            Matched: self._matched,
            OrderDone: self._done,
            BatchClosed: self._closed,
            BatchSubmitted: self._submitted,
            Busted: self._busted,
            OracleRound: self._round,
        }

    def apply(self, entries: Sequence[tuple[Record, AnyRecord]]) -> None:
        """Take records in, for ``write``. Errors: ``IndexInconsistent``; then write nothing."""
        self._load(record for _, record in entries)
        for entry, record in entries:
            self._entry = entry
            handler = self._handlers.get(type(record))
            if handler is None:
                assert isinstance(record, WITHOUT_ROWS), type(record)
                continue
            try:
                handler(record)
            except Rejected as rejected:
                self._require(rejected.error is IndexInconsistent, str(rejected))
                raise

    def write(self) -> None:
        """Write everything that changed."""
        connection = self._connection
        changed = [self._orders[digest] for digest in sorted(self._changed)]
        database.put(connection, schema.orders, changed)
        database.put(connection, schema.candles, list(self._candles.values()))
        for table, rows in self._rows.items():
            database.add(connection, table, rows)
        self._changed.clear()
        self._rows.clear()
        self._candles.clear()

    def _require(self, condition: bool, what: str) -> None:
        require(condition, IndexInconsistent, f"record {self._entry.sequence}: {what}")

    def _add(self, table: Table, **row: Any) -> None:
        self._rows.setdefault(table, []).append(row)

    # Orders

    def _load(self, found: Iterable[AnyRecord]) -> None:
        """Orders that the records name and that stand in the table."""
        named: set[str] = set()
        for record in found:
            named |= {text(placed.digest) for placed in records.orders_in(record)}
            if isinstance(record, OrderRejected | OrderDone):
                named.add(text(record.digest))
            elif isinstance(record, Matched):
                named |= {text(record.maker), text(record.taker)}
        table = schema.orders
        for part in database.chunks(sorted(named - set(self._orders))):
            for row in self._connection.execute(select(table).where(table.c.digest.in_(part))):
                self._orders[row.digest] = dict(row._mapping)

    def _order(self, digest: bytes) -> Order:
        order = self._orders.get(text(digest))
        self._require(order is not None, f"order {text(digest)} was never placed")
        assert order is not None
        self._changed.add(order["digest"])
        order["changed_ms"] = self._entry.timestamp_ms
        return order

    def _event(self, order: Order, event: str, lots: int, code: int = 0, **more: Any) -> None:
        found = self._rows.setdefault(schema.order_events, [])
        part = found[-1]["part"] + 1 if found and found[-1]["record"] == self._entry.sequence else 0
        self._add(
            schema.order_events,
            record=self._entry.sequence,
            part=part,
            timestamp_ms=self._entry.timestamp_ms,
            lots=lots,
            code=code,
            sequence=more.get("sequence"),
            price=more.get("price"),
            digest=order["digest"],
            account=order["account"],
            event=event,
        )

    def _placed(self, record: OrderPlaced) -> None:
        """A digest that comes again is the same order: only a rejected one is tried anew."""
        known = self._orders.get(text(record.digest))
        if known is not None:
            order = self._order(record.digest)
            if order["state"] == REJECTED:
                order["state"], order["code"] = OPEN, 0
            else:
                order["waiting"] += 1
        else:
            order = self._orders[text(record.digest)] = self._new(record)
            self._changed.add(order["digest"])
        self._event(order, "placed", order["lots"])

    def _several(self, record: QuotesPlaced | BlockAccepted) -> None:
        for placed in records.orders_in(record):
            self._placed(placed)

    def _new(self, record: OrderPlaced) -> Order:
        terms = record.order
        return {
            "digest": text(record.digest),
            "record": self._entry.sequence,
            "instrument": terms.instrument,
            "lots": terms.lots,
            "nonce": terms.nonce,
            "revision": terms.revision,
            "expiry": terms.expiry,
            "flags": terms.flags,
            "fill_or_kill": int(record.fill_or_kill),
            "waiting": 0,
            "placed_ms": self._entry.timestamp_ms,
            "changed_ms": self._entry.timestamp_ms,
            "lots_filled": 0,
            "code": 0,
            "price": records.number(terms.price),
            "max_fee": records.number(terms.max_fee),
            "notional": 0,
            "fees": 0,
            "account": text(terms.account),
            "signer": text(record.signer),
            "executor": text(terms.executor),
            "self_trade": clean(record.self_trade),
            "label": clean(record.label),
            "client_order_id": clean(record.client_order_id),
            "state": OPEN,
        }

    def _rejected(self, record: OrderRejected) -> None:
        order = self._order(record.digest)
        again = order["waiting"] > 0
        if again:
            order["waiting"] -= 1
        if not again or record.code != errors.NonceUsed.code:
            self._require(order["state"] == OPEN, f"rejected although {order['state']}")
            order["state"] = OPEN if again else REJECTED
            order["code"] = 0 if again else record.code
        self._event(order, "rejected", 0, record.code)

    def _done(self, record: OrderDone) -> None:
        order = self._order(record.digest)
        self._require(order["state"] == OPEN, f"ended although {order['state']}")
        order["state"] = FILLED if record.end == FILLED else CANCELLED
        order["code"] = record.code
        self._event(order, record.end, record.lots_left, record.code)

    def _fill(self, digest: bytes, role: str, record: Matched, fee: str) -> None:
        order, price = self._order(digest), records.number(record.price)
        account = record.maker_account if role == MAKER else record.taker_account
        buys = record.taker_buys == (role == TAKER)
        same = order["account"] == text(account) and order["instrument"] == record.instrument
        self._require(same and buys == (order["lots"] > 0), f"not as the {role}'s order says")
        order["lots_filled"] += record.lots
        order["notional"] += record.lots * price
        order["fees"] += records.number(fee)
        self._require(order["lots_filled"] <= abs(order["lots"]), f"the {role} is overfilled")
        self._event(order, role, record.lots, sequence=record.sequence, price=price)

    # Trades

    def _matched(self, record: Matched) -> None:
        expected = self._next_trade
        self._require(record.sequence == expected, f"match {record.sequence}, not {expected}")
        self._next_trade += 1
        price = records.number(record.price)
        trade_seq, direction = self._tape(record.instrument, price)
        self._add(
            schema.trades,
            sequence=record.sequence,
            record=self._entry.sequence,
            timestamp_ms=self._entry.timestamp_ms,
            instrument=record.instrument,
            trade_seq=trade_seq,
            tick_direction=direction,
            taker_buys=int(record.taker_buys),
            lots=record.lots,
            matched_at=record.matched_at,
            oracle_round=record.oracle_round,
            batch=None,
            price=price,
            fee_maker=records.number(record.fee_maker),
            fee_taker=records.number(record.fee_taker),
            maker=text(record.maker),
            taker=text(record.taker),
            maker_account=text(record.maker_account),
            taker_account=text(record.taker_account),
            receipt=text(record.receipt),
        )
        self._fill(record.maker, MAKER, record, record.fee_maker)
        self._fill(record.taker, TAKER, record, record.fee_taker)
        for resolution in RESOLUTIONS_S:
            self._candle(resolution, record.instrument, record.lots, price)

    def _tape(self, instrument: int, price: int) -> tuple[int, int]:
        """Number of the trade in its instrument, and its tick direction."""
        if instrument not in self._tapes:
            table = schema.trades.c
            query = select(table.trade_seq, table.price, table.tick_direction)
            query = query.where(table.instrument == instrument)
            last = self._connection.execute(query.order_by(table.sequence.desc()).limit(1)).first()
            self._tapes[instrument] = None if last is None else (last[0], last[1], last[2])
        tape = self._tapes[instrument] = ticked(self._tapes[instrument], price)
        return tape[0], tape[2]

    def _candle(self, resolution: int, instrument: int, lots: int, price: int) -> None:
        start = self._entry.timestamp_ms // (1000 * resolution) * 1000 * resolution
        key = resolution, instrument, start
        candle = self._candles.get(key)
        if candle is None:
            candle = self._candles[key] = self._stored_candle(key, price)
        candle["high"] = max(candle["high"], price)
        candle["low"] = min(candle["low"], price)
        candle["close"] = price
        candle["lots"] += lots
        candle["trades"] += 1
        candle["notional"] += lots * price

    def _stored_candle(self, key: tuple[int, int, int], price: int) -> Order:
        table = schema.candles
        columns = table.c.resolution_s, table.c.instrument, table.c.start_ms
        query = select(table)
        for column, value in zip(columns, key, strict=True):
            query = query.where(column == value)
        found = self._connection.execute(query).first()
        if found is not None:
            return dict(found._mapping)
        made = dict(zip(("resolution_s", "instrument", "start_ms"), key, strict=True))
        prices = dict.fromkeys(("open", "high", "low", "close"), price)
        return made | prices | {"lots": 0, "trades": 0, "notional": 0}

    # Batches and rounds

    def _closed(self, record: BatchClosed) -> None:
        first, end = record.first_sequence, record.first_sequence + record.count
        expected = 0 if self._next_batch is None else self._next_batch
        if record.count == 1 and end <= expected:
            return  # what did not settle in its batch goes again, match by match
        self._require(first == expected, f"batch from {first}, not {expected}")
        self._require(first < end <= self._next_trade, f"a batch of {record.count} matches")
        self._next_batch = end
        waiting = self._rows.get(schema.trades, [])
        for row in waiting:
            if first <= row["sequence"] < end:
                row["batch"] = first
        if first < self._next_trade - len(waiting):
            table = schema.trades
            inside = table.c.sequence.between(first, end - 1)
            self._connection.execute(update(table).where(inside).values(batch=first))
        self._add(
            schema.batches,
            first_sequence=first,
            record=self._entry.sequence,
            size=record.count,
            oracle_round=record.oracle_round,
            judged_at=record.judged_at,
            closed_ms=self._entry.timestamp_ms,
        )

    def _submitted(self, record: BatchSubmitted) -> None:
        if record.count == 0:
            return  # a round alone
        known = self._next_batch is not None and record.first_sequence < self._next_batch
        self._require(known, f"batch {record.first_sequence} was never closed")
        self._add(
            schema.submissions,
            record=self._entry.sequence,
            first_sequence=record.first_sequence,
            size=record.count,
            oracle_round=record.oracle_round,
            submitted_ms=self._entry.timestamp_ms,
            transaction=text(record.transaction),
        )

    def _busted(self, record: Busted) -> None:
        place = {"sequence": record.sequence, "record": self._entry.sequence}
        self._add(schema.busts, **place, code=record.code, given_up_ms=self._entry.timestamp_ms)

    def _round(self, record: OracleRound) -> None:
        """One row a feed. A number that comes again changes nothing: the oracle takes one once."""
        table = schema.rounds
        known = select(table.c.round).where(table.c.round == record.round).limit(1)
        waiting = any(row["round"] == record.round for row in self._rows.get(table, ()))
        if waiting or self._connection.execute(known).first() is not None:
            return
        for word in record.observations:
            seen = Observation.unpack(records.number(word))
            self._add(
                table,
                round=record.round,
                feed=seen.feed,
                record=self._entry.sequence,
                timestamp=record.timestamp,
                index_price=seen.index,
                mark_price=seen.mark,
                confidence_ppm=seen.confidence_ppm,
                signatures=len(record.signatures),
            )
