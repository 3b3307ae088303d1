"""``novate venue``: what a running venue lists and shows."""

from __future__ import annotations

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
    ("tick_size", "tick"),
    ("contract_size", "lot"),
    ("taker_commission", "taker fee"),
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
Symbol = Annotated[str, typer.Argument(help="BTC-PERPETUAL, or BTC/USDC:USDC.")]


@app.command()
def instruments(venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Everything listed."""
    rows = shared.run(venue, None, lambda client: list(client.markets.values()))
    shared.show(rows, FIELDS, as_json, "nothing is listed")


@app.command()
def ticker(symbol: Symbol, venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Best prices, mark, index, funding."""
    row = shared.run(venue, None, lambda client: client.fetch_ticker(symbol))
    shared.show_one(row, TICKER, as_json)


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
