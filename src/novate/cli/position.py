"""``novate position``: what an account holds at a running venue."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url
from novate.cli.numbers import WithNumbers, above_zero
from novate.sdk import Client

app = typer.Typer(
    no_args_is_help=True,
    help="Positions at a running venue.",
    epilog="Example:  novate position list --key trader.key",
)
FIELDS = (
    ("instrument_name", "instrument"),
    ("direction", "side"),
    ("size", "size"),
    ("average_price", "entry"),
    ("mark_price", "mark"),
    ("floating_profit_loss", "profit"),
    ("notional", "notional"),
)
IN_DOLLARS = ("average_price", "mark_price", "floating_profit_loss", "notional")
CLOSED = (
    ("instrument_name", "instrument"),
    ("direction", "side"),
    ("filled_amount", "closed"),
    ("average_price", "at"),
    ("order_state", "state"),
)


@app.callback()
def positions() -> None:
    """Positions at a running venue."""


@app.command("list", epilog="Example:  novate position list --key trader.key")
def list_positions(
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Every position, in USD: average entry, mark, gain or loss without fees and funding.

    An entry is blank where a part did not come by trades (an auction's slice, a deposit).
    """
    held = shared.read_key(key, account)
    rows = shared.run(venue, held, lambda client: client.fetch_positions())
    if not as_json:
        rows = [row | {name: shared.cents(row[name]) for name in IN_DOLLARS} for row in rows]
    shared.show(rows, FIELDS, as_json, "no positions")


@app.command(
    cls=WithNumbers, epilog="Example:  novate position close BTC-PERPETUAL --key trader.key"
)
def close(
    symbol: Annotated[str, typer.Argument(help="BTC-PERPETUAL, or BTC/USDC:USDC.")],
    amount: Annotated[
        str | None,
        typer.Option("--amount", help="How much of it; all if not said.", callback=above_zero),
    ] = None,
    price: Annotated[
        str | None,
        typer.Option(
            "--price", help="The worst price; the mark ± 4 % if not said.", callback=above_zero
        ),
    ] = None,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Reduce a position, at once or not at all."""
    held = shared.read_key(key, account)

    def work(client: Client) -> dict[str, Any]:
        return client.close_position(symbol, price, amount)

    done = shared.run(venue, held, work)
    shared.show_one(done["order"] if not as_json else done, CLOSED, as_json)
