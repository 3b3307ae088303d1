"""What happened to one account: orders, money in and out, profit and loss, margin.

Amounts of tokens are in the token's own decimals. An average price is cut off (toward zero) at 18
places; everything else is exact.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, literal, select, tuple_

from novate.errors import BadQuery, require
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY
from novate.store import names, schema
from novate.store.answers import (
    LogEntry,
    MarginPoint,
    Order,
    OrderEvent,
    Settlement,
    Transfer,
)
from novate.store.database import chunks
from novate.store.decimals import amount, exact, oracle_price
from novate.store.names import Instruments, Listed, Money
from novate.store.pages import Answer, Page, fetch
from novate.units import div_zero

LOG_TYPES = (
    "deposit",
    "withdrawal",
    "trade",
    "settlement",
    "delivery",
    "liquidation",
    "transfer",
    "interest",
)
REQUESTED, CANCELLED, WITHDRAWN, DEPOSITED = "requested", "cancelled", "withdrawn", "deposited"
# Block, position in it, part of that.
Place = tuple[int, int, int]
# Deribit's words: in the queue, executed, given up, and replaced after its window had passed
STATES = {WITHDRAWN: "completed", CANCELLED: "cancelled", REQUESTED: "interrupted"}


def get_order_history_by_instrument(
    connection: Connection,
    account: str,
    instrument_name: str,
    page: Page,
    include_unfilled: bool = False,
) -> Answer[Order]:
    """Orders that are over; those that never traded only if asked for.

    Errors: ``UnknownInstrument``, ``BadQuery``.
    """
    holder, listed = names.account(account), names.instrument(connection, instrument_name)
    table = schema.orders
    query = select(table).where(table.c.account == holder, table.c.state != "open")
    query = query.where(table.c.instrument == listed.instrument)
    query = query.where(listed.within(table.c.placed_ms, 1000))
    if not include_unfilled:
        query = query.where(table.c.lots_filled > 0)
    rows, more = fetch(connection, query, (table.c.record,), table.c.placed_ms, page)
    return Answer([_order(row, listed) for row in rows], more)


def get_order_history_by_currency(
    connection: Connection,
    account: str,
    currency: str,
    page: Page,
    include_unfilled: bool = False,
) -> Answer[Order]:
    """The same of all instruments of a currency ("any" for all). Errors: ``BadQuery``."""
    holder, listed, table = names.account(account), names.instruments(connection), schema.orders
    query = select(table).where(table.c.account == holder, table.c.state != "open")
    query = query.where(listed.of(currency, table.c.instrument))
    if not include_unfilled:
        query = query.where(table.c.lots_filled > 0)
    rows, more = fetch(connection, query, (table.c.record,), table.c.placed_ms, page)
    found = [
        _order(row, listed.at(row.instrument, row.placed_ms // 1000)) for row in rows
    ]  # division: to seconds
    return Answer(found, more)


def _order(row: Row[Any], listed: Listed) -> Order:
    filled = row.lots_filled
    if row.fill_or_kill:
        time_in_force = "fill_or_kill"
    elif row.flags & IMMEDIATE:
        time_in_force = "immediate_or_cancel"
    else:
        time_in_force = "good_til_cancelled"
    return Order(
        order_id=row.digest,
        order_state=row.state,
        order_type="limit",
        instrument_name=listed.name,
        direction="buy" if row.lots > 0 else "sell",
        price=exact(row.price),
        amount=amount(abs(row.lots), listed.lot_size),
        filled_amount=amount(filled, listed.lot_size),
        average_price=exact(div_zero(row.notional, filled) if filled else 0),
        commission=exact(row.fees),
        time_in_force=time_in_force,
        post_only=bool(row.flags & POST_ONLY),
        reduce_only=bool(row.flags & REDUCE_ONLY),
        label=row.label,
        client_order_id=row.client_order_id,
        nonce=str(row.nonce),
        revision=row.revision,
        creation_timestamp=row.placed_ms,
        last_update_timestamp=row.changed_ms,
        reason=names.reason(row.code),
    )


def get_order_events(connection: Connection, order_id: str) -> list[OrderEvent]:
    """Every step of one order, oldest first. Errors: ``BadQuery``."""
    table, orders = schema.order_events, schema.orders
    digest = names.digest(order_id)
    kind = select(orders.c.instrument).where(orders.c.digest == digest)
    found = connection.execute(kind).scalar_one_or_none()
    if found is None:
        return []
    lot_size = names.instruments(connection)[found].lot_size
    query = select(table).where(table.c.digest == digest)
    return [
        OrderEvent(
            record=row.record,
            timestamp=row.timestamp_ms,
            event=row.event,
            amount=amount(abs(row.lots), lot_size),
            price=None if row.price is None else exact(row.price),
            trade_id=None if row.sequence is None else str(row.sequence),
            reason=names.reason(row.code),
        )
        for row in connection.execute(query.order_by(table.c.record, table.c.part))
    ]


def get_transaction_log(
    connection: Connection, account: str, page: Page, type: str | None = None
) -> Answer[LogEntry]:
    """Changes of an account's balance, all or of one type. Errors: ``BadQuery``."""
    table = schema.account_log
    query = select(table).where(table.c.account == names.account(account))
    if type is not None:
        require(type in LOG_TYPES, BadQuery, f"query: is one of {', '.join(LOG_TYPES)}")
        query = query.where(table.c.event == type)
    rows, more = fetch(connection, query, _place(table), table.c.timestamp, page, 1000)
    listed, currency = names.instruments(connection), names.cash(connection)
    return Answer([_entry(row, listed, currency) for row in rows], more)


def _place(table: Any) -> tuple[Any, Any, Any]:
    return table.c.block, table.c.position, table.c.part


def _entry(row: Row[Any], listed: Instruments, currency: str) -> LogEntry:
    held = listed.at(row.instrument, row.timestamp) if row.instrument is not None else None
    lot_size = held.lot_size if held is not None else 0
    return LogEntry(
        id=f"{row.block}.{row.position}.{row.part}",
        timestamp=row.timestamp * 1000,
        type=row.event,
        change=exact(row.change),
        balance=exact(row.balance),
        commission=exact(row.commission),
        currency=currency,
        transaction=row.transaction,
        block=row.block,
        instrument_name=held.name if held is not None else None,
        side=None if row.lots is None else ("buy" if row.lots > 0 else "sell"),
        amount=None if row.lots is None else amount(abs(row.lots), lot_size),
        price=None if row.price is None else exact(row.price),
        position=None if row.held is None else amount(row.held, lot_size),
        trade_id=None if row.sequence is None else str(row.sequence),
    )


def get_settlement_history_by_instrument(
    connection: Connection, account: str, instrument_name: str, page: Page
) -> Answer[Settlement]:
    """Profit and loss of an account's position as it was turned into cash.

    Errors: ``UnknownInstrument``, ``BadQuery``.
    """
    holder, listed = names.account(account), names.instrument(connection, instrument_name)
    table = schema.settlements
    query = select(table).where(table.c.account == holder)
    query = query.where(table.c.instrument == listed.instrument)
    query = query.where(listed.within(table.c.timestamp))
    rows, more = fetch(connection, query, _place(table), table.c.timestamp, page, 1000)
    return Answer([_settlement(row, listed) for row in rows], more)


def _settlement(row: Row[Any], listed: Listed) -> Settlement:
    return Settlement(
        type="settlement",
        timestamp=row.timestamp * 1000,
        instrument_name=listed.name,
        position=amount(row.lots, listed.lot_size),
        mark_price=oracle_price(row.mark_price),
        index_price=oracle_price(row.index_price),
        funding=exact(row.funding),
        profit_loss=exact(row.profit_loss),
        transaction=row.transaction,
    )


def newest_settlement(connection: Connection) -> Place:
    """The place of the last settlement of anybody's; before the first if there is none."""
    place = _place(schema.settlements)
    query = select(*place).order_by(*(column.desc() for column in place)).limit(1)
    row = connection.execute(query).first()
    return (-1, -1, -1) if row is None else (row[0], row[1], row[2])


def settlements_after(
    connection: Connection, holders: Sequence[str], told: Place, most: int
) -> list[tuple[Place, str, Settlement]]:
    """The first settlements of some accounts behind a place, each with its place and account.

    Errors: ``BadQuery``.
    """
    table, (block, position, part) = schema.settlements, _place(schema.settlements)
    found: list[Row[Any]] = []
    for some in chunks([names.account(holder) for holder in holders]):
        query = select(table).where(table.c.account.in_(some))
        query = query.where(tuple_(block, position, part) > tuple_(*map(literal, told)))
        found += connection.execute(query.order_by(block, position, part).limit(most))
    listed = names.instruments(connection)
    rows = sorted((((r.block, r.position, r.part), r) for r in found), key=lambda pair: pair[0])
    return [
        (place, row.account, _settlement(row, listed.at(row.instrument, row.timestamp)))
        for place, row in rows[:most]
    ]


def get_deposits(connection: Connection, account: str, page: Page) -> Answer[Transfer]:
    """Tokens that came in. Errors: ``BadQuery``."""
    rows, more = _custody(connection, account, DEPOSITED, page)
    money = names.tokens(connection)
    return Answer([_transfer(row, money, "completed", row.timestamp) for row in rows], more)


def get_withdrawals(connection: Connection, account: str, page: Page) -> Answer[Transfer]:
    """Withdrawals asked for, each with what became of it. Errors: ``BadQuery``."""
    rows, more = _custody(connection, account, REQUESTED, page)
    money, later = names.tokens(connection), _later(connection, account, rows)
    made = []
    for row in rows:
        place = row.block, row.position, row.part
        after = next((e for e in later if e.token == row.token and _key(e) > place), None)
        state = "confirmed" if after is None else STATES[after.event]
        changed = row.timestamp if after is None else after.timestamp
        made.append(_transfer(row, money, state, changed, 1000 * row.eligible_at))
    return Answer(made, more)


def _custody(
    connection: Connection, account: str, event: str, page: Page
) -> tuple[list[Row[Any]], str | None]:
    table = schema.custody_events
    query = select(table).where(table.c.account == names.account(account))
    query = query.where(table.c.event == event)
    return fetch(connection, query, _place(table), table.c.timestamp, page, 1000)


def _key(row: Row[Any]) -> tuple[int, int, int]:
    return row.block, row.position, row.part


def _later(connection: Connection, account: str, rows: Sequence[Row[Any]]) -> list[Row[Any]]:
    """What happened to an account's requests since the first of these, in order."""
    if not rows:
        return []
    table = schema.custody_events
    query = select(table).where(table.c.account == names.account(account))
    query = query.where(table.c.event != DEPOSITED, table.c.block >= min(r.block for r in rows))
    return list(connection.execute(query.order_by(*_place(table))))


def _transfer(
    row: Row[Any],
    money: dict[str, Money],
    state: str,
    changed: int,
    confirmed_ms: int | None = None,
) -> Transfer:
    token = money.get(row.token, Money(row.token, 0))
    return Transfer(
        id=f"{row.block}.{row.position}.{row.part}",
        currency=token.name,
        amount=exact(row.amount, token.decimals),
        state=state,
        created_timestamp=1000 * row.timestamp,
        updated_timestamp=1000 * changed,
        transaction_id=row.transaction,
        confirmed_timestamp=confirmed_ms,
    )


def get_margin_history(connection: Connection, account: str, page: Page) -> Answer[MarginPoint]:
    """Equity and margin after each transaction that changed the account. Errors: ``BadQuery``."""
    table = schema.account_margins
    query = select(table).where(table.c.account == names.account(account))
    rows, more = fetch(connection, query, _place(table), table.c.timestamp, page, 1000)
    made = [
        MarginPoint(
            timestamp=row.timestamp * 1000,
            cash=exact(row.cash),
            equity=exact(row.equity),
            initial_margin=exact(row.margin_initial),
            maintenance_margin=exact(row.margin_maintenance),
            in_auction=bool(row.in_auction),
            transaction=row.transaction,
        )
        for row in rows
    ]
    return Answer(made, more)
