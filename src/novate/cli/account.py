"""``novate account``: cash, equity and margin of an account at a running venue."""

from __future__ import annotations

import typer

from novate.cli import account_money
from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url

app = typer.Typer(
    no_args_is_help=True,
    help="An account at a running venue.",
    epilog="Example:  novate account show --key trader.key",
)
FIELDS = (
    ("account", "account"),
    ("balance", "cash"),
    ("equity", "equity"),
    ("initial_margin", "initial margin"),
    ("maintenance_margin", "maintenance margin"),
    ("available_funds", "available"),
    ("positions", "positions"),
    ("in_auction", "in auction"),
)
IN_DOLLARS = ("balance", "equity", "initial_margin", "maintenance_margin", "available_funds")


@app.callback()
def accounts() -> None:
    """An account at a running venue."""


@app.command(epilog="Example:  novate account show --key trader.key")
def show(
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Cash, equity and both margins, in USD."""
    held = shared.read_key(key, account)
    row = shared.run(venue, held, lambda client: client.fetch_balance())
    if not as_json:
        row = row | {name: shared.cents(row[name]) for name in IN_DOLLARS}
    shared.show_one(row, FIELDS, as_json)


account_money.add_to(app)
