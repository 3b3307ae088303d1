"""``novate index``: the read side, kept up to date, built again, or looked into."""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from novate import config
from novate.chain.client import Client, RpcFault
from novate.chain.deployment import Deployment
from novate.cli import index_show
from novate.errors import InvalidParameter, Rejected
from novate.services.indexer import BY_JOURNAL, BY_NODE, CHAIN, Indexer
from novate.services.indexer_blocks import NodeChain
from novate.services.indexer_feed import Feed, Taken
from novate.store import database
from novate.store.database import Database

app = typer.Typer(
    help="Trades, candles, funding, settlements and accounts in a database that can be rebuilt.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog="Example: novate index run --journal out/demo/journal.bin --once",
)
app.command("show")(index_show.show)

Journal = Annotated[Path, typer.Option(help="The journal's first file.")]
Beside = Annotated[
    Path | None, typer.Option(help="deployment.json.", show_default="beside the journal")
]
Url = Annotated[
    str | None,
    typer.Option(
        "--database",
        help="sqlite:///FILE or postgresql://USER@HOST/NAME.",
        show_default="index.db beside the journal",
    ),
]
Rpc = Annotated[
    str | None,
    typer.Option(
        help="A node's URL: the chain is then read from it and may change; else what the journal "
        "holds of it is used."
    ),
]
Parameters = Annotated[
    Path, typer.Option(help="The venue's parameter file.", show_default="the built-in one")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON objects, one a line.")]
JOURNAL = Path("out/demo/journal.bin")


@app.command(epilog="Example: novate index run --rpc http://127.0.0.1:8545")
def run(
    journal: Journal = JOURNAL,
    deployment: Beside = None,
    database_url: Url = None,
    rpc: Rpc = None,
    parameters: Parameters = config.DEFAULT,
    once: Annotated[bool, typer.Option("--once", help="Stop when nothing is new.")] = False,
    interval: Annotated[float, typer.Option(min=0.05, help="Seconds between polls.")] = 0.5,
    while_stdin: Annotated[
        bool, typer.Option("--while-stdin", help="Stop when standard input ends: with its parent.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring the index up to date and keep it there, until it is told to stop.

    Killed at any moment, it goes on where it was. Exit code 2 names what stops it: a damaged
    journal, a record that it does not know, a database of another venue.
    """
    with _feed(journal, deployment, database_url, rpc, parameters) as (store, feed):
        if once:
            _report(store, _all(feed), as_json)
            return
        stop = threading.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: stop.set())
        if while_stdin:
            threading.Thread(target=_until_end, args=(stop,), daemon=True).start()
        while not stop.is_set():
            taken = feed.poll()
            if taken.records or taken.blocks or taken.fault:
                _report(store, taken, as_json)
            stop.wait(interval)


@app.command(epilog="Example: novate index rebuild --journal out/demo/journal.bin --json")
def rebuild(
    journal: Journal = JOURNAL,
    deployment: Beside = None,
    database_url: Url = None,
    rpc: Rpc = None,
    parameters: Parameters = config.DEFAULT,
    as_json: Json = False,
) -> None:
    """Build the index again from the journal and the chain, beside the one that is there.

    The rows are those that an index that grew holds. Until all of them are there it answers with
    what it had; then they take its place at once. If anything fails, it stays as it was.
    """
    _facts(journal, deployment)
    began = time.monotonic()
    with (
        closing(Database.open(_url(journal, database_url))) as store,
        TemporaryDirectory(prefix=".index-", dir=journal.parent) as folder,
        _feed(journal, deployment, f"sqlite:///{folder}/index.db", rpc, parameters) as (made, feed),
    ):
        taken = _all(feed)
        with made.begin() as source, store.begin() as target:
            database.replace(source, target)
        _report(store, taken, as_json, round(time.monotonic() - began, 3))


def _until_end(stop: threading.Event) -> None:
    """Whoever began this process holds the other end, and lets go of it however it ends."""
    sys.stdin.buffer.read()
    stop.set()


def _all(feed: Feed) -> Taken:
    """Poll until nothing is new. Raises ``OSError`` when the node fails."""
    records = blocks = 0
    while True:
        taken = feed.poll()
        if taken.fault is not None:
            raise OSError(str(taken.fault))
        if not taken.records and not taken.blocks:
            return Taken(records, blocks)
        records, blocks = records + taken.records, blocks + taken.blocks


def _url(journal: Path, url: str | None) -> str:
    return url if url is not None else f"sqlite:///{journal.with_name('index.db')}"


def _facts(journal: Path, deployment: Path | None) -> Deployment:
    if not journal.is_file():
        raise FileNotFoundError(f"no journal {journal}")
    path = deployment if deployment is not None else journal.with_name("deployment.json")
    try:
        return Deployment.load(path)
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected(InvalidParameter, f"{path.name}: {error}") from None


@contextmanager
def _feed(
    journal: Path, deployment: Path | None, url: str | None, rpc: str | None, parameters: Path
) -> Iterator[tuple[Database, Feed]]:
    """The database, and what fills it."""
    facts, settings = _facts(journal, deployment), config.load(parameters)
    with closing(Database.open(_url(journal, url))) as store:
        if rpc is None:
            yield store, Feed(Indexer(store, facts, settings, BY_JOURNAL), journal)
            return
        try:
            with closing(Client.over_http(rpc)) as client:
                chain = NodeChain(client, facts)
                yield store, Feed(Indexer(store, facts, settings, BY_NODE), journal, chain)
        except RpcFault as fault:
            raise OSError(str(fault)) from fault


def _report(store: Database, taken: Taken, as_json: bool, seconds: float | None = None) -> None:
    with store.begin() as connection:
        journal, chain = (database.place(connection, s).position for s in ("journal", CHAIN))
    line: dict[str, Any] = {
        "records": taken.records,
        "blocks": taken.blocks,
        "journal": journal,
        "chain": chain,
    }
    if seconds is not None:
        line["seconds"] = seconds
    if taken.fault is not None:
        line["fault"] = str(taken.fault)
    if as_json:
        typer.echo(json.dumps(line))
        return
    text = f"{taken.records} records, {taken.blocks} blocks: journal {journal}, chain {chain}"
    text += f", {seconds:.1f} s" if seconds is not None else ""
    Console(stderr=True).print(text, highlight=False)
    if taken.fault is not None:
        Console(stderr=True).print(f"[yellow]{taken.fault}[/]", highlight=False)
