"""``novate order``: place, list and cancel orders at a running venue."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url
from novate.cli.numbers import WithNumbers, above_zero
from novate.sdk import Client, Rounding

app = typer.Typer(
    no_args_is_help=True,
    help="Orders at a running venue.",
    epilog="Example:  novate order buy BTC-PERPETUAL 0.1 99000 --key trader.key",
)
FIELDS = (
    ("order_id", "order"),
    ("instrument_name", "instrument"),
    ("direction", "side"),
    ("price", "price"),
    ("amount", "amount"),
    ("filled_amount", "filled"),
    ("order_state", "state"),
    ("cancel_reason", "reason"),
    ("label", "label"),
)
# what is open has no reason; the id is last, where a narrow terminal has it below
OPEN = (*(field for field in FIELDS[1:] if field[1] != "reason"), FIELDS[0])


class TimeInForce(StrEnum):
    """How long an order may wait."""

    GOOD_TIL_CANCELLED = "good_til_cancelled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"


Symbol = Annotated[str, typer.Argument(help="BTC-PERPETUAL, or BTC/USDC:USDC.")]
Amount = Annotated[
    str, typer.Argument(help="Size in base units, such as 0.25.", callback=above_zero)
]
Price = Annotated[str, typer.Argument(help="Limit price in USD.", callback=above_zero)]
Post = Annotated[bool, typer.Option("--post-only", help="Refused if it would trade at once.")]
Reduce = Annotated[bool, typer.Option("--reduce-only", help="May only shrink a position.")]
Force = Annotated[
    TimeInForce, typer.Option("--time-in-force", help="How long it may wait for others.")
]
Label = Annotated[str, typer.Option("--label", help="A name of your own, up to 64 characters.")]
Mode = Annotated[
    Rounding, typer.Option("--rounding", help="What to do with a number between two steps.")
]
Dry = Annotated[bool, typer.Option("--dry-run", help="Sign and show it; send nothing.")]


def _side(side: str) -> Callable[..., None]:
    """The command that places an order of this side."""

    def place(
        symbol: Symbol,
        amount: Amount,
        price: Price,
        key: KeyFile = None,
        account: AccountId = None,
        venue: Url = DEFAULT_URL,
        post_only: Post = False,
        reduce_only: Reduce = False,
        time_in_force: Force = TimeInForce.GOOD_TIL_CANCELLED,
        label: Label = "",
        rounding: Mode = Rounding.EXACT,
        dry_run: Dry = False,
        as_json: AsJson = False,
    ) -> None:
        options = {
            "post_only": post_only,
            "reduce_only": reduce_only,
            "time_in_force": time_in_force.value,
            "label": label,
        }

        def work(client: Client) -> dict[str, Any]:
            return client.create_order(symbol, side, amount, price, **options)

        held = shared.read_key(key, account)
        placed = shared.run(venue, held, work, rounding, dry_run)
        if dry_run:
            shown = {"order_id": placed["order"]["order_id"]} | placed["request"]
            shared.show_one(shown, tuple((name, name) for name in shown), as_json)
            return
        shared.show_one(placed["order"] if not as_json else placed, FIELDS, as_json)

    return place


for _name, _price in (("buy", "99000"), ("sell", "101000")):
    app.command(
        _name,
        cls=WithNumbers,
        help=f"{_name.capitalize()} at a limit price.",
        epilog=f"Example:  novate order {_name} BTC-PERPETUAL 0.1 {_price} --key trader.key",
    )(_side(_name))


@app.command(
    cls=WithNumbers, epilog="Example:  novate order edit 0x… --price 99100 --key trader.key"
)
def edit(
    order_id: Annotated[str, typer.Argument(help="The order's id (0x and 64 digits).")],
    amount: Annotated[
        str | None,
        typer.Option(
            "--amount", help="Its whole size, what is filled included.", callback=above_zero
        ),
    ] = None,
    price: Annotated[
        str | None, typer.Option("--price", help="Limit price in USD.", callback=above_zero)
    ] = None,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    rounding: Mode = Rounding.EXACT,
    as_json: AsJson = False,
) -> None:
    """Change an open order's size or price; it has a new id then."""
    if amount is None and price is None:
        raise typer.BadParameter("name --amount, --price, or both")
    held = shared.read_key(key, account)

    def work(client: Client) -> dict[str, Any]:
        return client.edit_order(order_id, amount, price)

    changed = shared.run(venue, held, work, rounding)
    shared.show_one(changed["order"] if not as_json else changed, FIELDS, as_json)


@app.command("list", epilog="Example:  novate order list BTC-PERPETUAL --key trader.key")
def list_orders(
    symbol: Annotated[str | None, typer.Argument(help="Of one instrument only.")] = None,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Open orders, oldest first."""
    held = shared.read_key(key, account)
    rows = shared.run(venue, held, lambda client: client.fetch_open_orders(symbol))
    shared.show(rows, OPEN, as_json, "no open orders")


@app.command(epilog="Example:  novate order show 0x… --key trader.key")
def show(
    order_id: Annotated[str, typer.Argument(help="The order's id (0x and 64 digits).")],
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """One order, up to a day after its end."""
    held = shared.read_key(key, account)
    row = shared.run(venue, held, lambda client: client.fetch_order(order_id))
    shared.show_one(row, FIELDS, as_json)


@app.command(epilog="Example:  novate order cancel --all --key trader.key")
def cancel(
    order_id: Annotated[str | None, typer.Argument(help="One order; or use --all.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every open order.")] = False,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take one order, or all of them, out of the book."""
    if (order_id is None) != everything:
        raise typer.BadParameter("name one order, or say --all")
    held = shared.read_key(key, account)
    if order_id is None:
        count = shared.run(venue, held, lambda client: client.cancel_all_orders())
        shared.show_one({"cancelled": count}, (("cancelled", "cancelled"),), as_json)
        return
    row = shared.run(venue, held, lambda client: client.cancel_order(order_id))
    shared.show_one(row, FIELDS, as_json)
