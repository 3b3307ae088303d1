"""``novate index show``: what the read side answers, as the gateway asks it."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from sqlalchemy import Connection, func, select

from novate.errors import BadQuery, require
from novate.store import accounts, busts, database, history, schema, trades
from novate.store.database import Database
from novate.store.pages import COUNT_DEFAULT, Answer, Page

WIDTH_OF_A_FILE = 2_000


class Asked(msgspec.Struct, frozen=True):
    """The options of one question."""

    instrument: str
    account: str
    index: str
    order: str
    resolution: str
    page: Page

    def span(self) -> tuple[int, int]:
        """The times asked for; without them everything until now."""
        start, end = self.page.start_timestamp, self.page.end_timestamp
        return start or 0, end if end is not None else 2**53


Question = Callable[[Connection, Asked], Any]


def status(connection: Connection, asked: Asked) -> dict[str, Any]:
    """How far the index has come, and what it holds."""
    places = connection.execute(select(schema.progress)).all()
    counted = {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in sorted(schema.METADATA.tables.items())
    }
    found: dict[str, Any] = {row.source: f"{row.position} {row.hash}".strip() for row in places}
    found["chain_source"] = database.fact(connection, "chain_source") or "nothing yet"
    return found | {"rows": counted}


QUESTIONS: dict[str, Question] = {
    "status": status,
    "trades": lambda c, a: trades.get_last_trades_by_instrument(c, a.instrument, a.page),
    "user_trades": lambda c, a: trades.get_user_trades_by_instrument(
        c, a.account, a.instrument, a.page
    ),
    "candles": lambda c, a: trades.get_tradingview_chart_data(
        c, a.instrument, *a.span(), a.resolution
    ),
    "batches": lambda c, a: trades.get_batches(c, a.page),
    "busts": lambda c, a: busts.get_trade_busts(c, a.page),
    "funding": lambda c, a: history.get_funding_rate_history(c, a.instrument, *a.span()),
    "settlements": lambda c, a: history.get_last_settlements_by_instrument(c, a.instrument, a.page),
    "delivery_prices": lambda c, a: history.get_delivery_prices(c, a.index, a.page.count),
    "auctions": lambda c, a: history.get_auctions(c, a.page, a.account or None),
    "orders": lambda c, a: accounts.get_order_history_by_instrument(
        c, a.account, a.instrument, a.page, include_unfilled=True
    ),
    "order_events": lambda c, a: accounts.get_order_events(c, a.order),
    "log": lambda c, a: accounts.get_transaction_log(c, a.account, a.page),
    "user_settlements": lambda c, a: accounts.get_settlement_history_by_instrument(
        c, a.account, a.instrument, a.page
    ),
    "deposits": lambda c, a: accounts.get_deposits(c, a.account, a.page),
    "withdrawals": lambda c, a: accounts.get_withdrawals(c, a.account, a.page),
    "margins": lambda c, a: accounts.get_margin_history(c, a.account, a.page),
}


def show(
    what: Annotated[str, typer.Argument(help=", ".join(QUESTIONS) + ".")] = "status",
    url: Annotated[
        str, typer.Option("--database", help="sqlite:///FILE or postgresql://USER@HOST/NAME.")
    ] = "sqlite:///out/demo/index.db",
    instrument: Annotated[str, typer.Option(help="Instrument by name.")] = "BTC-PERPETUAL",
    account: Annotated[str, typer.Option(help="Account: 0x and 64 hexadecimal digits.")] = "",
    index: Annotated[str, typer.Option(help="Index of delivery prices.")] = "btc_usd",
    order: Annotated[str, typer.Option(help="Digest of an order.")] = "",
    resolution: Annotated[str, typer.Option(help="Of candles: minutes, or 1D.")] = "60",
    count: Annotated[int, typer.Option(help="Rows a page.")] = COUNT_DEFAULT,
    start: Annotated[int | None, typer.Option(help="First timestamp, ms.")] = None,
    end: Annotated[int | None, typer.Option(help="Last timestamp, ms.")] = None,
    sorting: Annotated[str, typer.Option(help="asc, desc or default.")] = "default",
    continuation: Annotated[str | None, typer.Option(help="Where the last page ended.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Print what the index answers.

    Example: novate index show trades --instrument ETH-PERPETUAL --count 20 --json
    """
    require(what in QUESTIONS, BadQuery, f"{what[:40]} is none of {', '.join(QUESTIONS)}")
    page = Page(count, start, end, sorting, continuation)
    asked = Asked(instrument, account, index, order, resolution, page)
    with closing(Database.open(url, migrate=False)) as store, store.begin() as connection:
        found = QUESTIONS[what](connection, asked)
    if as_json:
        typer.echo(msgspec.json.encode(found).decode())
    else:
        console = Console()
        wide = console if console.is_terminal else Console(width=WIDTH_OF_A_FILE)
        _print(wide, msgspec.to_builtins(found), isinstance(found, Answer))


def _print(console: Console, found: Any, paged: bool) -> None:
    rows = found["rows"] if paged else found
    if not isinstance(rows, list):
        for name, value in rows.items():
            console.print(f"{name}: {value}", highlight=False)
        return
    table = Table(box=None)
    heads = list(dict.fromkeys(name for row in rows for name in row))
    for head in heads:
        table.add_column(head, overflow="fold")
    for row in rows:
        table.add_row(*(str(row.get(head, "")) for head in heads))
    console.print(table)
    if paged and found["continuation"] is not None:
        console.print(f"more: --continuation {found['continuation']}", highlight=False)
