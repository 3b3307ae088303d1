"""``novate account history | deposits | withdrawals | withdraw | keys``: an account's past, its
money, and who signs for it.
"""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from novate.cli import client as shared
from novate.cli import sending
from novate.cli.client import DEFAULT_URL, AccountId, AsJson, KeyFile, Url
from novate.sdk import Client

LOG = (
    ("time", "time (UTC)"),
    ("type", "type"),
    ("instrument_name", "instrument"),
    ("side", "side"),
    ("amount", "amount"),
    ("price", "price"),
    ("change", "change"),
    ("balance", "balance"),
)
TRANSFERS = (
    ("time", "time (UTC)"),
    ("currency", "currency"),
    ("amount", "amount"),
    ("state", "state"),
    ("transaction_id", "transaction"),
)
KEYS = (
    ("key", "key"),
    ("scope", "scope"),
    ("currencies", "currencies"),
    ("until", "until (UTC)"),
    ("notional_left", "notional left"),
    ("loss_left", "loss left"),
    ("live", "live"),
)
WITHDRAWAL = (
    ("currency", "currency"),
    ("amount", "amount"),
    ("address", "to"),
    ("eligible", "eligible (UTC)"),
    ("expires", "expires (UTC)"),
)
SCOPE = "read trade withdraw"
Most = Annotated[int, typer.Option(help="At most so many, the newest first.", min=1, max=1000)]


def add_to(app: typer.Typer) -> None:
    """Make these commands of ``novate account``."""
    example = "Example:  novate account {} --key trader.key"
    for command in (history, deposits, withdrawals, keys):
        app.command(epilog=example.format(command.__name__))(command)
    app.command(epilog=example.format("withdraw 100"))(withdraw)


def history(
    count: Most = 20,
    days: Annotated[int, typer.Option(help="How far back.", min=1)] = 30,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Every change of the balance: trades, funding and profit, money in and out."""

    def work(client: Client) -> Any:
        since = client.call("public/get_time") - days * 86_400_000
        asked = {"count": count, "start_timestamp": since}
        return client.call("private/get_transaction_log", **asked)["logs"]

    rows = shared.run(venue, shared.read_key(key, account), work)
    shared.show(rows if as_json else _timed(rows), LOG, as_json, "nothing has happened yet")


def deposits(
    count: Most = 20,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Tokens that came in."""
    held = shared.read_key(key, account)
    _transfers(held, venue, "private/get_deposits", count, as_json, "no deposits")


def withdrawals(
    count: Most = 20,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Withdrawals asked for, and what became of each."""
    held = shared.read_key(key, account)
    _transfers(held, venue, "private/get_withdrawals", count, as_json, "no withdrawals")


def _transfers(held: Any, venue: str, method: str, count: int, as_json: bool, nothing: str) -> None:
    rows = shared.run(venue, held, lambda client: client.call(method, count=count))["data"]
    shared.show(rows if as_json else _timed(rows), TRANSFERS, as_json, nothing)


def keys(
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Session keys that sign for the account, and what each has left, in USD."""
    held = shared.read_key(key, account)
    rows = shared.run(venue, held, lambda client: client.call("private/list_session_keys"))
    if not as_json:
        shown = (
            {"until": _time(r["expiry"]), "currencies": " ".join(r["currencies"])} for r in rows
        )
        rows = [row | more for row, more in zip(rows, shown, strict=True)]
    shared.show(rows, KEYS, as_json, "no session keys")


def withdraw(
    amount: Annotated[str, typer.Argument(help="How much of the token.")],
    currency: Annotated[str, typer.Option(help="The token.")] = "USDC",
    rpc: sending.Rpc = None,
    fee_max: sending.FeeMax = 200,
    key: KeyFile = None,
    account: AccountId = None,
    venue: Url = DEFAULT_URL,
    as_json: AsJson = False,
) -> None:
    """Take tokens out, to the account's owner: one transaction asks for a place in the queue, the
    second takes it once it is eligible. They are shown, or sent with --rpc, which waits between.
    """
    held = shared.read_key(key, account)

    def work(client: Client) -> Any:
        client.login(SCOPE)
        return client.call("private/withdraw", currency=currency, amount=amount)

    made = shared.run(venue, held, work)
    if not as_json:
        times = {"eligible": _time(made["eligible_at"]), "expires": _time(made["expires_at"])}
        shared.show_one(made | times, WITHDRAWAL, False)
    assert isinstance(key, Path)
    done = sending.send(made["transactions"], key, rpc, fee_max)
    if as_json:
        shared.show_one(made | {"transactions": done}, (), True)
    else:
        sending.show(done)


def _timed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with their time as one reads it, and nothing for what they do not have."""
    found = []
    for row in rows:
        at_ms = row.get("timestamp", row.get("created_timestamp", 0))
        shown = {name: "" if value is None else value for name, value in row.items()}
        found.append(shown | {"time": _time(at_ms // 1000)})  # division: to seconds
    return found


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M:%S")
