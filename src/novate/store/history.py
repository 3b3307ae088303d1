"""What happened to instruments: funding, settlements, delivery prices, auctions.

Rates are fractions cut off (toward zero) at 18 places; a delivery price is an average rounded down
to an oracle unit. Everything else is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, func, select

from novate.errors import BadQuery, require
from novate.store import names, schema
from novate.store.answers import AuctionEvent, DeliveryPrice, FundingRate, PublicSettlement
from novate.store.decimals import amount, exact, oracle_price
from novate.store.pages import Answer, Page, fetch
from novate.units import DAY_S, ORACLE_UNIT, WAD, div_down, div_zero

HOUR_S = 3_600
HOURS_MAX = 744
FUNDING_HOURS = 8
DELIVERY_TIME_S = 8 * HOUR_S
DELIVERY_WINDOW_S = 1_800
DELIVERY_DAYS_MAX = 100


def chain_time(connection: Connection) -> int:
    """Time of the newest block that the index holds (seconds)."""
    found: int | None = connection.execute(select(func.max(schema.blocks.c.timestamp))).scalar_one()
    return found or 0


def get_funding_rate_history(
    connection: Connection, instrument_name: str, start_timestamp: int, end_timestamp: int
) -> list[FundingRate]:
    """Whole hours that ended in the time asked for, the newest 744 of them, oldest first.

    Funding counts in the hour in which the chain accrued it. Errors: ``UnknownInstrument``,
    ``BadQuery``.
    """
    listed = names.instrument(connection, instrument_name)
    Page(start_timestamp=start_timestamp, end_timestamp=end_timestamp).check()
    require(start_timestamp <= end_timestamp, BadQuery, "start_timestamp: lies after the end")
    hour_ms = 1000 * HOUR_S
    last = min(div_down(end_timestamp, hour_ms), div_down(chain_time(connection), HOUR_S))
    first = max(-(-start_timestamp // hour_ms), last - HOURS_MAX + 1)
    ends = _hour_ends(connection, listed.instrument, first - FUNDING_HOURS, last)
    made = []
    for hour in range(first, last + 1):
        now, before = ends[hour], ends[hour - 1]
        if now is None:
            continue
        eight = ends[hour - FUNDING_HOURS]
        made.append(
            FundingRate(
                timestamp=hour * hour_ms,
                index_price=oracle_price(now.index_price),
                prev_index_price=oracle_price((before or now).index_price),
                interest_1h=_rate(now, before, listed.lot_size),
                interest_8h=_rate(now, eight, listed.lot_size),
            )
        )
    return made


def _hour_ends(
    connection: Connection, instrument: int, first: int, last: int
) -> dict[int, Row[Any] | None]:
    """The last accrual at or before the end of each hour."""
    table = schema.funding
    hour = ((table.c.timestamp + (HOUR_S - 1)) // HOUR_S).label("hour")
    newest = table.c.block.desc(), table.c.position.desc()
    rank = func.row_number().over(partition_by=hour, order_by=newest).label("rank")
    columns = (table.c.timestamp, table.c.index_price, table.c.funding_index)
    mine = table.c.instrument == instrument
    inside = table.c.timestamp.between((first - 1) * HOUR_S + 1, last * HOUR_S)
    ranked = select(*columns, hour, rank).where(mine, inside).subquery()
    rows = connection.execute(select(ranked).where(ranked.c.rank == 1)).all()
    by_hour = {int(row.hour): row for row in rows}
    earlier = select(*columns).where(mine, table.c.timestamp <= (first - 1) * HOUR_S)
    current: Any = connection.execute(earlier.order_by(*newest).limit(1)).first()
    ends: dict[int, Row[Any] | None] = {}
    for number in range(first, last + 1):
        current = by_hour.get(number, current)
        ends[number] = current
    return ends


def _rate(now: Row[Any], before: Row[Any] | None, lot_size: int) -> str:
    """What a long paid between two accruals, as a fraction of the index."""
    moved = now.funding_index - (before.funding_index if before is not None else 0)
    lot = div_down(now.index_price * ORACLE_UNIT * lot_size, WAD)
    return exact(div_zero(moved * WAD, lot))


def get_last_settlements_by_instrument(
    connection: Connection, instrument_name: str, page: Page
) -> Answer[PublicSettlement]:
    """Accruals of an instrument's funding. Errors: ``UnknownInstrument``, ``BadQuery``."""
    listed, table = names.instrument(connection, instrument_name), schema.funding
    query = select(table).where(table.c.instrument == listed.instrument)
    keys = table.c.block, table.c.position
    rows, more = fetch(connection, query, keys, table.c.timestamp, page, 1000)
    made = [
        PublicSettlement(
            type="settlement",
            timestamp=row.timestamp * 1000,
            instrument_name=listed.name,
            position=amount(row.open_interest, listed.lot_size),
            mark_price=oracle_price(row.mark_price),
            index_price=oracle_price(row.index_price),
            funding=exact(row.longs_received),
        )
        for row in rows
    ]
    return Answer(made, more)


def get_delivery_prices(
    connection: Connection, index_name: str, count: int = 10, offset: int = 0
) -> Answer[DeliveryPrice]:
    """The index averaged over the half hour before 08:00 UTC, newest day first.

    Weighted by time, a price standing until the next. A day without a price
    in that time is left out.
    Errors: ``BadQuery``.
    """
    fits = type(count) is int and 1 <= count <= DELIVERY_DAYS_MAX
    fits = fits and type(offset) is int and 0 <= offset < 2**20
    require(fits, BadQuery, f"count: is 1 to {DELIVERY_DAYS_MAX}, offset from 0")
    feed = names.feed_of_index(connection, index_name)
    table = schema.feed_prices
    first = connection.execute(
        select(func.min(table.c.timestamp)).where(table.c.feed == feed)
    ).scalar_one()
    newest = chain_time(connection) - DELIVERY_TIME_S
    if first is None or newest < 0:
        return Answer([])
    made = []
    top = div_down(newest, DAY_S) - offset
    for day in range(top, top - count, -1):
        end = day * DAY_S + DELIVERY_TIME_S
        price = _average(connection, feed, end - DELIVERY_WINDOW_S, end)
        if price is not None:
            date = datetime.fromtimestamp(end, UTC).strftime("%Y-%m-%d")
            made.append(DeliveryPrice(date=date, delivery_price=oracle_price(price)))
    more = first <= (top - count) * DAY_S + DELIVERY_TIME_S
    return Answer(made, str(offset + count) if more else None)


def _average(connection: Connection, feed: int, start: int, end: int) -> int | None:
    table = schema.feed_prices
    columns = select(table.c.timestamp, table.c.index_price).where(table.c.feed == feed)
    order = table.c.timestamp, table.c.block, table.c.position
    inside = columns.where(table.c.timestamp > start, table.c.timestamp <= end)
    found = connection.execute(inside.order_by(*order)).all()
    if not found:
        return None
    earlier = columns.where(table.c.timestamp <= start, table.c.timestamp > start - DAY_S)
    before = connection.execute(
        earlier.order_by(*(column.desc() for column in order)).limit(1)
    ).all()
    steps = [(max(row.timestamp, start), row.index_price) for row in (*before, *found)]
    ends = [time for time, _ in steps[1:]] + [end]
    weights = [after - time for (time, _), after in zip(steps, ends, strict=True)]
    if sum(weights) == 0:
        return int(steps[-1][1])
    total = sum(price * weight for (_, price), weight in zip(steps, weights, strict=True))
    return div_down(total, sum(weights))


def get_auctions(
    connection: Connection, page: Page, account: str | None = None
) -> Answer[AuctionEvent]:
    """Liquidations, of all accounts or one, and what covered losses. Errors: ``BadQuery``."""
    table = schema.auction_events
    query = select(table)
    if account is not None:
        query = query.where(table.c.account == names.account(account))
    keys = table.c.block, table.c.position, table.c.part
    rows, more = fetch(connection, query, keys, table.c.timestamp, page, 1000)
    return Answer([auction_event(dict(row._mapping)) for row in rows], more)


def auction_event(row: Mapping[str, Any]) -> AuctionEvent:
    """One row of ``auction_events`` as clients see it."""
    return AuctionEvent(
        id=f"{row['block']}.{row['position']}.{row['part']}",
        timestamp=row["timestamp"] * 1000,
        event=row["event"],
        account=row["account"],
        transaction=row["transaction"],
        bidder=row["bidder"],
        equity=_money(row["equity"]),
        maintenance_margin=_money(row["margin"]),
        fraction_ppm=row["fraction_ppm"],
        discount_ppm=row["discount_ppm"],
        reward=_money(row["reward"]),
        fee=_money(row["fee"]),
        amount=_money(row["amount"]),
        layer=row["layer"],
    )


def _money(value: int | None) -> str | None:
    return None if value is None else exact(value)
