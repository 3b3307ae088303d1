"""``novate position``: what an account holds at a running venue."""

from __future__ import annotations

import typer

from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url

app = typer.Typer(
    no_args_is_help=True,
    help="Positions at a running venue.",
    epilog="Example:  novate position list --key trader.key",
)
FIELDS = (
    ("instrument_name", "instrument"),
    ("direction", "side"),
    ("size", "size"),
    ("mark_price", "mark"),
    ("notional", "notional"),
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
    """Every position."""
    held = shared.read_key(key, account)
    rows = shared.run(venue, held, lambda client: client.fetch_positions())
    shared.show(rows, FIELDS, as_json, "no positions")
