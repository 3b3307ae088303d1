"""``novate venue``: what a running venue lists and shows."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AsJson, Url
from novate.sdk import Client

app = typer.Typer(
    no_args_is_help=True,
    help="A running venue's markets.",
    epilog="Example:  novate venue book BTC-PERPETUAL",
)
FIELDS = (
    ("instrument_name", "instrument"),
    ("kind", "kind"),
    ("expires", "expires (UTC)"),
    ("tick_size", "tick"),
    ("contract_size", "lot"),
    ("taker_commission", "taker fee"),
    ("state", "state"),
)
TICKER = (
    ("instrument_name", "instrument"),
    ("mark_price", "mark"),
    ("index_price", "index"),
    ("best_bid_price", "bid"),
    ("best_ask_price", "ask"),
    ("last_price", "last"),
    ("open_interest", "open interest"),
    ("current_funding", "funding (8 h)"),
)
OPTION = (
    ("mark_iv", "mark vol %"),
    ("bid_iv", "bid vol %"),
    ("ask_iv", "ask vol %"),
    ("underlying_price", "forward"),
    ("delta", "delta"),
    ("gamma", "gamma"),
    ("vega", "vega (1 point)"),
    ("theta", "theta (a day)"),
)
CHAIN = (
    ("instrument_name", "option"),
    ("bid_price", "bid"),
    ("mark", "mark"),
    ("ask_price", "ask"),
    ("iv", "vol %"),
    ("delta", "delta"),
    ("open_interest", "open interest"),
)
NEVER_MS = 32_503_708_800_000
Symbol = Annotated[str, typer.Argument(help="BTC-PERPETUAL, or BTC/USDC:USDC.")]


class Kind(StrEnum):
    """What is shown."""

    ANY = "any"
    FUTURE = "future"
    OPTION = "option"
    SPOT = "spot"


@app.command()
def instruments(
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
    currency: Annotated[str, typer.Option(help="BTC, ETH, or any.")] = "any",
    kind: Annotated[Kind, typer.Option(help="Perpetuals are futures.")] = Kind.ANY,
    expired: Annotated[bool, typer.Option("--expired", help="What is over instead.")] = False,
) -> None:
    """Everything listed."""
    asked = {"currency": currency, "kind": kind.value, "expired": expired}
    rows = shared.run(venue, None, lambda client: client.call("public/get_instruments", **asked))
    if not as_json:
        rows = [row | {"expires": _expires(row["expiration_timestamp"])} for row in rows]
    shared.show(rows, FIELDS, as_json, "nothing is listed")


def _expires(at_ms: int) -> str:
    """When an instrument expires; nothing for what does not."""
    if at_ms == NEVER_MS:
        return ""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M")


@app.command()
def chain(
    currency: Annotated[str, typer.Argument(help="BTC or ETH.")],
    expiry: Annotated[str, typer.Option(help="One expiry, as in names: 27DEC26.")] = "",
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """The options of a currency: prices, volatility, delta."""
    asked = {"currency": currency, "kind": "option"}
    method = "public/get_book_summary_by_currency"
    found = shared.run(venue, None, lambda client: client.call(method, **asked))
    rows = [row for row in found if expiry in ("", row["instrument_name"].split("-")[1])]
    if not as_json:
        rows = [_line(row) for row in rows]
    shared.show(rows, CHAIN, as_json, "no option is listed")


def _line(row: dict[str, Any]) -> dict[str, Any]:
    """A row of the chain, as short as one reads it."""
    shown = {name: row[name] or "" for name in ("bid_price", "ask_price")}
    iv, greeks = row["mark_iv"], row["greeks"]
    shown |= {
        "mark": f"{Decimal(row['mark_price']):.2f}",
        "iv": f"{Decimal(iv):.1f}" if iv is not None else "",
        "delta": f"{Decimal(greeks['delta']):.3f}" if greeks is not None else "",
    }
    return row | shown


@app.command()
def ticker(symbol: Symbol, venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Best prices, mark, index, funding; of an option volatilities and Greeks."""
    row = shared.run(venue, None, lambda client: client.fetch_ticker(symbol))
    if "mark_iv" not in row:
        shared.show_one(row, TICKER, as_json)
        return
    shared.show_one(
        row if as_json else row | (row["greeks"] or {}), (*TICKER[:-1], *OPTION), as_json
    )


@app.command()
def book(
    symbol: Symbol,
    depth: Annotated[int, typer.Option(help="Levels a side.")] = 10,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Both sides of a book, best first."""

    def work(client: Client) -> dict[str, Any]:
        return client.fetch_order_book(symbol, depth)

    found = shared.run(venue, None, work)
    if as_json:
        shared.show_one(found, (), True)
        return
    rows = [
        {"side": side, "price": price, "amount": amount}
        for side, levels in (("ask", found["asks"][::-1]), ("bid", found["bids"]))
        for price, amount in levels
    ]
    shared.show(rows, (("side", "side"), ("price", "price"), ("amount", "amount")), False, "empty")
