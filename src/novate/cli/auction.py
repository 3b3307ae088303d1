"""``novate auction``: liquidations at a running venue: what is on sale, what was, and a bid."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.cli import sending, watching
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url
from novate.sdk import Client

app = typer.Typer(
    no_args_is_help=True,
    help="Liquidation auctions at a running venue.",
    epilog="Example:  novate auction list",
)
LISTED = (
    ("account", "account"),
    ("event", "state"),
    ("equity", "equity"),
    ("maintenance_margin", "margin"),
    ("share", "on sale"),
    ("discount", "discount"),
    ("reward", "reward"),
)
PAST = (
    ("time", "time (UTC)"),
    ("event", "event"),
    ("account", "account"),
    ("equity", "equity"),
    ("share", "share"),
    ("discount", "discount"),
    ("reward", "reward"),
    ("amount", "amount"),
)
BID = (
    ("step", "step"),
    ("equity", "equity"),
    ("maintenance_margin", "maintenance margin"),
    ("discount", "discount"),
    ("share_max", "largest share"),
    ("reward_max", "reward for it"),
)
PAST_MAX = 100
LISTED_MAX = 100
Account = Annotated[str, typer.Argument(help="The account: 0x and 64 hexadecimal digits.")]


@app.callback()
def auctions() -> None:
    """Liquidation auctions at a running venue."""


@app.command("list", epilog="Example:  novate auction list")
def list_auctions(venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Accounts in auction, at present terms, and those whose auction anybody may start."""
    rows = shared.run(venue, None, on_sale)
    shared.show(rows if as_json else _shown(rows), LISTED, as_json, "no account is in trouble")


def on_sale(client: Client) -> list[dict[str, Any]]:
    """Open auctions, then what may be started."""
    rows: list[dict[str, Any]] = watching.first(client, "auctions")["auctions"]
    below = client.call("public/get_liquidatable", count=LISTED_MAX)
    return rows + [row | {"event": "may_start"} for row in below if not row["in_auction"]]


@app.command(epilog="Example:  novate auction show 0x70…")
def show(account: Account, venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """An account's auction, if it is open, and what has happened before, newest first."""

    def work(client: Client) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        asked = {"account": account, "count": PAST_MAX}
        past = client.call("public/get_auctions", **asked)["auctions"]
        return [row for row in on_sale(client) if row["account"] == account.lower()], past

    now, past = shared.run(venue, None, work)
    if as_json:
        shared.show_one({"now": now, "past": past}, (), True)
        return
    shared.show(_shown(now), LISTED, False, "not in auction, and not to be put into one")
    if past:
        typer.echo("")
        shared.show(_shown(past), PAST, False, "")


@app.command(epilog="Example:  novate auction watch")
def watch(venue: Url = DEFAULT_URL, count: watching.Count = None, as_json: AsJson = False) -> None:
    """Auctions as they open, sell and end; with --json whole messages."""
    watching.watch(venue, None, "auctions", count, None if as_json else lines)


def lines(message: dict[str, Any]) -> Iterator[str]:
    """A message, a line an event."""
    if "reorganised_from" in message:
        yield f"blocks from {message['reorganised_from']} on have left the chain; open are now:"
    if not message["auctions"]:
        yield "nothing is on sale"
    for row in _shown(message["auctions"]):
        more = (f"{heading} {row[name]}" for name, heading in PAST[3:] if row.get(name))
        yield "  ".join([row["time"], row["event"], row["account"], *more])


@app.command(epilog="Example:  novate auction bid 0x70… --share 0.25 --key trader.key")
def bid(
    account: Account,
    share: Annotated[
        str, typer.Option(help="What part of everything the account holds, at most.")
    ] = "1",
    reward_min: Annotated[str, typer.Option(help="The least reward in USD for that share.")] = "0",
    rpc: sending.Rpc = None,
    fee_max: sending.FeeMax = 200,
    key: KeyFile = None,
    own: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Start an account's auction or, once it is open, bid in it. What is bought comes into one's
    own account, with its margin. The transaction is shown, or sent with --rpc.
    """
    held = shared.read_key(key, own)
    asked = {"account": account, "share": share, "reward_min": reward_min}
    made = shared.run(venue, held, lambda client: client.call("private/liquidate", **asked))
    assert key is not None
    done = sending.send(made["transactions"], key, rpc, fee_max)
    if as_json:
        shared.show_one(made | {"transactions": done}, (), True)
        return
    shared.show_one(made, BID, False)
    sending.show(done)


def _shown(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows as one reads them."""
    return [row | _words(row) for row in rows]


def _words(row: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = {"event": row["event"].replace("_", " ")}
    if row.get("timestamp"):
        shown["time"] = datetime.fromtimestamp(row["timestamp"] / 1000, UTC).strftime(
            "%Y-%m-%d %H:%M:%S"
        )
    for name, ppm in (("share", "fraction_ppm"), ("discount", "discount_ppm")):
        if row.get(ppm) is not None:
            shown[name] = f"{Decimal(row[ppm]) / 10_000:f} %"
    for name in ("equity", "maintenance_margin", "reward", "amount"):
        if row.get(name) is not None:
            shown[name] = f"{Decimal(row[name]):.2f}"
    return shown
