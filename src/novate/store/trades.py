"""Trades, public and private, with what became of each; candles; batches and busts.

``settlement_state`` is not stored but put together: from the journal when a trade matched and was
batched, from the chain whether it settled. A trade that settled is settled, whatever was tried with
it before or after.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row, func, or_, select

from novate.errors import BadQuery, require
from novate.store import names, schema
from novate.store.answers import Batch, BatchDetail, Candles, Trade, UserTrade
from novate.store.database import chunks
from novate.store.decimals import amount, exact, notional, oracle_price
from novate.store.names import Listed
from novate.store.pages import TIME_MS_MAX, Answer, Page, fetch
from novate.units import div_down

# Deribit's names, in seconds
RESOLUTIONS_S = {
    **{str(m): 60 * m for m in (1, 3, 5, 10, 15, 30, 60, 120, 180, 360, 720)},
    "1D": 86_400,
}
CANDLES_MAX = 5_000
BUY, SELL = "buy", "sell"


def get_last_trades_by_instrument(
    connection: Connection,
    instrument_name: str,
    page: Page,
    start_seq: int | None = None,
    end_seq: int | None = None,
) -> Answer[Trade]:
    """Trades of an instrument; ``start_seq`` and ``end_seq`` count its trades from 1.

    Errors: ``UnknownInstrument``, ``BadQuery``.
    """
    listed, table = names.instrument(connection, instrument_name), schema.trades
    query = select(table).where(table.c.instrument == listed.instrument)
    query = query.where(listed.within(table.c.timestamp_ms, 1000))
    if start_seq is not None:
        query = query.where(table.c.trade_seq >= _sequence(start_seq))
    if end_seq is not None:
        query = query.where(table.c.trade_seq <= _sequence(end_seq))
    keys = (table.c.sequence,)
    rows, more = fetch(connection, query, keys, table.c.timestamp_ms, page)
    common = _common(connection, rows, listed)
    made = [
        Trade(direction=BUY if row.taker_buys else SELL, **common[row.sequence]) for row in rows
    ]
    return Answer(made, more)


def get_user_trades_by_instrument(
    connection: Connection, account: str, instrument_name: str, page: Page
) -> Answer[UserTrade]:
    """An account's trades in an instrument. Errors: ``UnknownInstrument``, ``BadQuery``."""
    holder, listed = names.account(account), names.instrument(connection, instrument_name)
    table = schema.trades
    query = select(table).where(table.c.instrument == listed.instrument)
    query = query.where(listed.within(table.c.timestamp_ms, 1000))
    query = query.where(or_(table.c.maker_account == holder, table.c.taker_account == holder))
    keys = (table.c.sequence,)
    rows, more = fetch(connection, query, keys, table.c.timestamp_ms, page)
    common = _common(connection, rows, listed)
    return Answer(_own(connection, rows, holder, common), more)


def get_user_trades_by_currency(
    connection: Connection, account: str, currency: str, page: Page
) -> Answer[UserTrade]:
    """An account's trades in a currency ("any" for all). Errors: ``BadQuery``."""
    holder, listed = names.account(account), names.instruments(connection)
    table = schema.trades
    own = or_(table.c.maker_account == holder, table.c.taker_account == holder)
    query = select(table).where(own, listed.of(currency, table.c.instrument))
    rows, more = fetch(connection, query, (table.c.sequence,), table.c.timestamp_ms, page)
    of = {row.sequence: listed.at(row.instrument, row.timestamp_ms // 1000) for row in rows}
    common: dict[int, dict[str, Any]] = {}
    for one in set(of.values()):
        common |= _common(connection, [row for row in rows if of[row.sequence] is one], one)
    return Answer(_own(connection, rows, holder, common), more)


def _own(
    connection: Connection, rows: Sequence[Row[Any]], holder: str, common: dict[int, dict[str, Any]]
) -> list[UserTrade]:
    """Trades as one of their sides sees them."""
    currency, labels, made = names.cash(connection), _labels(connection, rows), []
    for row in rows:
        makes = row.maker_account == holder
        order = row.maker if makes else row.taker
        made.append(
            UserTrade(
                direction=BUY if bool(row.taker_buys) != makes else SELL,
                order_id=order,
                liquidity="M" if makes else "T",
                fee=exact(row.fee_maker if makes else row.fee_taker),
                fee_currency=currency,
                label=labels.get(order, ""),
                **common[row.sequence],
            )
        )
    return made


def _sequence(value: int) -> int:
    require(
        type(value) is int and 0 <= value < 2**63, BadQuery, "sequence: is a whole number from 0"
    )
    return value


def _labels(connection: Connection, rows: Sequence[Row[Any]]) -> dict[str, str]:
    table = schema.orders
    found: dict[str, str] = {}
    for part in chunks(sorted({d for row in rows for d in (row.maker, row.taker)})):
        query = select(table.c.digest, table.c.label).where(table.c.digest.in_(part))
        found |= {row.digest: row.label for row in connection.execute(query)}
    return found


def _common(
    connection: Connection, rows: Sequence[Row[Any]], listed: Listed
) -> dict[int, dict[str, Any]]:
    """By sequence, what both views of a trade show."""
    states = settlement_states(connection, {row.sequence: row.batch for row in rows})
    prices = _prices(connection, {row.oracle_round for row in rows}, listed.feed)
    made = {}
    for row in rows:
        index, mark = prices.get(row.oracle_round, (None, None))
        made[row.sequence] = {
            "trade_id": str(row.sequence),
            "trade_seq": row.trade_seq,
            "timestamp": row.timestamp_ms,
            "instrument_name": listed.name,
            "price": exact(row.price),
            "amount": amount(row.lots, listed.lot_size),
            "contracts": row.lots,
            "tick_direction": row.tick_direction,
            "mark_price": None if mark is None or listed.is_option else oracle_price(mark),
            "index_price": None if index is None else oracle_price(index),
            **states[row.sequence],
        }
    return made


def settlement_states(
    connection: Connection, batches: dict[int, int | None]
) -> dict[int, dict[str, Any]]:
    """By sequence, the state of trades whose batch, if any, is given."""
    made: dict[int, dict[str, Any]] = {
        sequence: {"settlement_state": "matched" if batch is None else "batched", "batch": batch}
        for sequence, batch in batches.items()
    }
    table, busts = schema.outcomes, schema.busts
    for part in chunks(batches):
        lost = select(busts.c.sequence, busts.c.code).where(busts.c.sequence.in_(part))
        for sequence, code in connection.execute(lost):
            told = {"settlement_state": "busted", "bust_reason": names.reason(code)}
            made[sequence] |= told
        ours = table.c.ours == 1, table.c.settled == 1
        query = select(table).where(*ours, table.c.sequence.in_(part))
        order = table.c.block, table.c.position, table.c.part
        for row in connection.execute(query.order_by(*order)):
            state = made[row.sequence]
            state.pop("bust_reason", None)
            state["settlement_state"] = "settled"
            state["transaction"], state["block"] = row.transaction, row.block
    return made


def _prices(connection: Connection, rounds: set[int], feed: int) -> dict[int, tuple[int, int]]:
    """Index and mark by round: as the chain took them, else as the quorum signed them."""
    found: dict[int, tuple[int, int]] = {}
    for table in (schema.rounds, schema.feed_prices):
        for part in chunks(sorted(rounds)):
            query = select(table.c.round, table.c.index_price, table.c.mark_price)
            query = query.where(table.c.feed == feed, table.c.round.in_(part))
            rows = connection.execute(query)
            found |= {row._mapping["round"]: tuple(row)[1:] for row in rows}
    return found


def get_tradingview_chart_data(
    connection: Connection,
    instrument_name: str,
    start_timestamp: int,
    end_timestamp: int,
    resolution: str,
) -> Candles:
    """Candles that begin in the time asked for, the newest 5,000 of them; one without a trade
    stands at the close before it. They end with the last trade of the venue.

    Errors: ``UnknownInstrument``, ``BadQuery``.
    """
    listed = names.instrument(connection, instrument_name)
    known = isinstance(resolution, str) and resolution in RESOLUTIONS_S
    require(known, BadQuery, f"resolution: there is none of {str(resolution)[:16]}")
    Page(start_timestamp=start_timestamp, end_timestamp=end_timestamp).check()
    require(
        start_timestamp <= end_timestamp <= TIME_MS_MAX,
        BadQuery,
        "start_timestamp: lies after the end",
    )
    width = 1000 * RESOLUTIONS_S[resolution]
    # of what takes over another's number by the minute, so that they do not share a candle
    stored = (60,) if listed.since else (60, 3_600, 86_400)
    base = max(b for b in stored if RESOLUTIONS_S[resolution] % b == 0)
    table = schema.candles
    rows = select(table).where(table.c.resolution_s == base)
    newest = connection.execute(
        select(func.max(table.c.start_ms)).where(table.c.resolution_s == base)
    ).scalar_one()
    end = min(end_timestamp, newest if newest is not None else -1) // width * width
    start = max(-(-start_timestamp // width) * width, end - (CANDLES_MAX - 1) * width)
    rows = rows.where(table.c.instrument == listed.instrument)
    rows = rows.where(listed.within(table.c.start_ms + 1000 * base - 1, 1000))
    before = rows.where(table.c.start_ms < start).order_by(table.c.start_ms.desc()).limit(1)
    previous = connection.execute(before).first()
    inside = rows.where(table.c.start_ms.between(start, end + width - 1))
    found = connection.execute(inside.order_by(table.c.start_ms)).all()
    return _columns(
        _merged(found, width), previous.close if previous else None, start, end, width, listed
    )


def _merged(rows: Sequence[Row[Any]], width: int) -> dict[int, dict[str, int]]:
    """Candles of one width from finer ones, by their start."""
    made: dict[int, dict[str, int]] = {}
    for row in rows:
        start = row.start_ms // width * width
        candle = made.get(start)
        if candle is None:
            made[start] = {
                n: row._mapping[n] for n in ("open", "high", "low", "close", "lots", "notional")
            }
            continue
        candle["high"] = max(candle["high"], row.high)
        candle["low"] = min(candle["low"], row.low)
        candle["close"] = row.close
        candle["lots"] += row.lots
        candle["notional"] += row.notional
    return made


def _columns(
    candles: dict[int, dict[str, int]],
    close: int | None,
    start: int,
    end: int,
    width: int,
    listed: Listed,
) -> Candles:
    made = Candles(
        status="no_data", ticks=[], open=[], high=[], low=[], close=[], volume=[], cost=[]
    )
    for tick in range(start, end + 1, width):
        candle = candles.get(tick)
        if candle is None:
            if close is None:
                continue
            candle = dict.fromkeys(("open", "high", "low", "close"), close)
            candle |= {"lots": 0, "notional": 0}
        close = candle["close"]
        made.ticks.append(tick)
        for name in ("open", "high", "low", "close"):
            getattr(made, name).append(exact(candle[name]))
        made.volume.append(amount(candle["lots"], listed.lot_size))
        made.cost.append(notional(candle["notional"], listed.lot_size))
    if made.ticks:
        return Candles(**{f: getattr(made, f) for f in made.__struct_fields__} | {"status": "ok"})
    return made


def get_batches(connection: Connection, page: Page) -> Answer[Batch]:
    """Batches with what became of them. Errors: ``BadQuery``."""
    table = schema.batches
    keys = (table.c.first_sequence,)
    rows, more = fetch(connection, select(table), keys, table.c.closed_ms, page)
    return Answer(_batches(connection, rows), more)


def _batches(connection: Connection, rows: Sequence[Row[Any]]) -> list[Batch]:
    firsts = [row.first_sequence for row in rows]
    submitted: dict[int, str] = {}
    sent: dict[int, Row[Any]] = {}
    for part in chunks(firsts):
        given = schema.submissions
        query = select(given).where(given.c.first_sequence.in_(part)).order_by(given.c.record)
        submitted |= {row.first_sequence: row.transaction for row in connection.execute(query)}
        done = schema.settled_batches
        query = select(done).where(done.c.ours == 1, done.c.first_sequence.in_(part))
        # of several attempts the one that settled most, the first of equals
        order = done.c.settled, done.c.block.desc(), done.c.position.desc()
        sent |= {row.first_sequence: row for row in connection.execute(query.order_by(*order))}
    settled = _settled_by_batch(connection, firsts)
    return [_batch(row, submitted, sent, settled) for row in rows]


def get_batch(connection: Connection, batch: int) -> BatchDetail:
    """One batch with its trades, in the order in which they matched. Errors: ``BadQuery``."""
    table, trades = schema.batches, schema.trades
    first = _sequence(batch)
    found = connection.execute(select(table).where(table.c.first_sequence == first)).all()
    require(bool(found), BadQuery, "batch: is the number of a closed batch's first trade")
    query = select(trades).where(trades.c.batch == first).order_by(trades.c.sequence)
    rows = connection.execute(query).all()
    listed = names.instruments(connection)
    items = {t.sequence: listed.at(t.instrument, div_down(t.timestamp_ms, 1000)) for t in rows}
    common: dict[int, dict[str, Any]] = {}
    for item in set(items.values()):
        common |= _common(connection, [t for t in rows if items[t.sequence] == item], item)
    made = [
        Trade(direction=BUY if row.taker_buys else SELL, **common[row.sequence]) for row in rows
    ]
    [whole] = _batches(connection, found)
    return BatchDetail(trades=made, **msgspec.structs.asdict(whole))


def _settled_by_batch(connection: Connection, firsts: Sequence[int]) -> dict[int, tuple[int, int]]:
    """By batch, how many of its trades have settled, by any transaction, and the last block."""
    table, trades = schema.outcomes, schema.trades
    found: dict[int, tuple[int, int]] = {}
    for part in chunks(firsts):
        query = (
            select(trades.c.batch, func.count(), func.max(table.c.block))
            .join(table, table.c.sequence == trades.c.sequence)
            .where(table.c.ours == 1, table.c.settled == 1, trades.c.batch.in_(part))
            .group_by(trades.c.batch)
        )
        found |= {batch: (count, block) for batch, count, block in connection.execute(query)}
    return found


def _batch(
    row: Row[Any],
    submitted: dict[int, str],
    sent: dict[int, Row[Any]],
    settled: dict[int, tuple[int, int]],
) -> Batch:
    first, own = row.first_sequence, sent.get(row.first_sequence)
    count, block = settled.get(first, (0, None))
    if count == row.size:
        state = "settled"
    elif count or own is not None:
        state = "partly_settled"
    else:
        state = "submitted" if first in submitted else "closed"
    return Batch(
        batch=first,
        count=row.size,
        state=state,
        timestamp=row.closed_ms,
        oracle_round=row.oracle_round,
        settled=count,
        transaction=own.transaction if own is not None else submitted.get(first),
        block=own.block if own is not None else block,
    )
