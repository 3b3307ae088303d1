"""Trades that settlement refused, and whether the venue has given them up."""

from __future__ import annotations

from sqlalchemy import Connection, exists, select

from novate.store import names, schema
from novate.store.answers import Bust
from novate.store.pages import Answer, Page, fetch


def get_trade_busts(connection: Connection, page: Page) -> Answer[Bust]:
    """Trades that settlement refused and that no other transaction settled: ``refused`` while they
    are tried again, ``given_up`` once the venue does so no more.

    Errors: ``BadQuery``.
    """
    table, trades, times = schema.outcomes, schema.trades, schema.transactions
    lost, again = schema.busts, table.alias()
    settled = select(again.c.sequence).where(again.c.settled == 1, again.c.ours == 1)
    query = (
        select(
            table,
            times.c.timestamp,
            trades.c.instrument.label("traded"),
            lost.c.code.label("given_up"),
        )
        .join(trades, trades.c.sequence == table.c.sequence)
        .join(times, (times.c.block == table.c.block) & (times.c.position == table.c.position))
        .join(lost, lost.c.sequence == table.c.sequence, isouter=True)
        .where(table.c.ours == 1, table.c.settled == 0)
        .where(~exists(settled.where(again.c.sequence == table.c.sequence)))
    )
    keys = table.c.block, table.c.position, table.c.part
    rows, more = fetch(connection, query, keys, times.c.timestamp, page, 1000)
    listed = names.instruments(connection)
    made = [
        Bust(
            trade_id=str(row.sequence),
            timestamp=row.timestamp * 1000,
            instrument_name=listed.at(row.traded, row.timestamp).name,
            reason=names.reason(row.code) or "",
            transaction=row.transaction,
            block=row.block,
            state="refused" if row.given_up is None else "given_up",
        )
        for row in rows
    ]
    return Answer(made, more)
