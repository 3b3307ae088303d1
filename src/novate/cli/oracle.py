"""``novate oracle``: the prices in force at a running venue, and who signed them."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import typer

from novate.cli import client as shared
from novate.cli import watching
from novate.cli.client import DEFAULT_URL, AsJson, Url
from novate.sdk import Client

app = typer.Typer(
    no_args_is_help=True,
    help="The oracle of a running venue.",
    epilog="Example:  novate oracle show",
)
FEEDS = (
    ("index_name", "feed"),
    ("index_price", "index"),
    ("mark_price", "mark"),
    ("confidence", "confidence"),
    ("age", "age (s)"),
)


@app.callback()
def oracles() -> None:
    """The oracle of a running venue."""


@app.command(epilog="Example:  novate oracle show")
def show(venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """Each feed's index and mark, how far nodes may differ (a share of the price), its age; the
    round, and the nodes that signed it.
    """

    def work(client: Client) -> tuple[dict[str, Any], int]:
        return client.call("public/get_signed_feeds"), client.call("public/get_time")

    found, now_ms = shared.run(venue, None, work)
    now = now_ms // 1000  # division: to seconds
    rows = [row | {"age": max(now - row["timestamp"], 0)} for row in found["feeds"]]
    if as_json:
        shared.show_one(found | {"feeds": rows}, (), True)
        return
    rows = [row | {"confidence": percent(row["confidence"])} for row in rows]
    shared.show(rows, FEEDS, False, "no feed has a price yet")
    typer.echo("")
    for line in notes(found, now):
        typer.echo(line)


@app.command(epilog="Example:  novate oracle watch --count 3")
def watch(venue: Url = DEFAULT_URL, count: watching.Count = None, as_json: AsJson = False) -> None:
    """Every round as it comes, a line each; with --json the whole message."""
    watching.watch(venue, None, "oracle.feeds", count, None if as_json else lines)


def notes(found: dict[str, Any], now: int) -> Iterator[str]:
    """Who signed a round, and whether it is too old."""
    yield f"round {found['round']}, {signed(found)}"
    yield from (f"  {signer}" for signer in found["signers"] or ())
    if now - found["timestamp"] > found["stale_after"]:
        yield f"stale: older than {found['stale_after']} s; nothing trades until a new round"


def lines(message: dict[str, Any]) -> Iterator[str]:
    """A round in one line."""
    prices = "  ".join(
        f"{row['index_name']} {row['mark_price']} ± {percent(row['confidence'])}"
        for row in message["feeds"]
    )
    yield f"round {message['round']}  {prices}  {signed(message)}"


def signed(found: dict[str, Any]) -> str:
    """By how many a round was signed."""
    needed = f"{found['quorum']} of {found['node_count']} nodes needed"
    if found["signers"] is None:
        return f"from before the venue's start ({needed})"
    return f"signed by {len(found['signers'])} ({needed})"


def percent(fraction: str) -> str:
    """A fraction in percent."""
    return f"{(Decimal(fraction) * 100).normalize():f} %"
