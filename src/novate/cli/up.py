"""``novate up``: a whole venue on a local chain, or on the chain behind an RPC."""

from __future__ import annotations

import asyncio
import errno
import json
import logging
import os
import shlex
import signal
import socket
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from novate import config
from novate.api import event_loop, up_config
from novate.api.host import Host
from novate.chain.connection import RpcFault
from novate.chain.node import NodeFault, find_anvil
from novate.cli.client import DEFAULT_URL
from novate.cli.main import called_as
from novate.engine.recovery import Diverged
from novate.errors import InvalidParameter, require
from novate.lab.prices import load_event, load_prices
from novate.lab.smiles import SmileTable, load_smiles
from novate.model.account import account_of
from novate.services.steady import steady
from novate.services.venue_keys import VenueKeys


class JsonLines(logging.Formatter):
    """A log record as one JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        row: dict[str, Any] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname.lower(),
            "service": record.name,
            "message": record.getMessage(),
        }
        if record.exc_info:
            row["trace"] = self.formatException(record.exc_info)
        return msgspec.json.encode(row).decode()


def command(
    folder: Annotated[Path, typer.Option(help="Where journal, chain and logs are kept.")] = Path(
        "out/venue"
    ),
    settings: Annotated[
        Path | None, typer.Option("--config", help=r"TOML file with a \[venue] table (see below).")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option(help="A chain's URL; the folder holds its deployment.json.")
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the API; 0: any free one.")] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Bars to play, CSV or Parquet.", show_default="2025-10-10")
    ] = None,
    parameters: Annotated[
        Path, typer.Option(help="The venue's parameter file.", show_default="the built-in one")
    ] = config.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Say what is up as one line.")] = False,
) -> None:
    """Run a venue: chain, engine, settlement, oracle nodes and API, until interrupted.

    Without --rpc it brings a local chain with play money, lists options and dated futures there,
    funds accounts and writes their keys into the folder (trader-1.key, …; anyone knows them); with
    it, it shows what is listed on that chain. A second start in the same folder goes on where the
    first ended. Fields of \\[venue]: host, port,
    batch_ms, block_ms, confirmations, snapshot_minutes, traders, trader_usdc, database,
    connections, connections_of_an_address; the credits that requests cost (docs/api.md):
    request_credits, requests_per_second, cancel_credits, cancels_per_second, anonymous_credits,
    anonymous_per_second; fee_max_gwei (the most that gas may cost on a chain of --rpc). A table
    \\[keys] names files: executor, upkeep, and the list nodes; a chain that is not this
    machine's takes no keys that anyone knows.

    Example:  novate up --port 8080
    """
    found = up_config.load(settings)
    if port is not None:
        found = replace(found, port=port)
    keys = keys_of(settings, rpc)
    # what can fail at once does so before anything is written
    require_free(found.host, found.port)
    table = load_prices(prices) if prices else load_event()
    smiles = SmileTable() if prices else load_smiles()
    read = config.load(parameters)
    host = Host(folder, found, read, table, rpc, smiles, keys, parameters)
    try:
        if rpc is None:
            find_anvil()
        log_into(folder)
        event_loop.run(serve(host, as_json))
    except (Diverged, NodeFault, RpcFault) as fault:
        typer.echo(f"error: {' '.join(str(fault).split())}", err=True)
        sys.exit(2)


def keys_of(settings: Path | None, rpc: str | None) -> VenueKeys | None:
    """The keys that the settings name. Errors: ``InvalidParameter`` without a chain of one's own
    choice: a local one is deployed for local keys.
    """
    keys = up_config.load_keys(settings)
    require(keys is None or rpc is not None, InvalidParameter, "keys: only with --rpc")
    return keys


def require_free(host: str, port: int) -> None:
    """Raises ``OSError``, with what to do, if nobody could be served at this port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        why = " is taken" if error.errno == errno.EADDRINUSE else f": {error}"
        raise OSError(
            f"port {port} of {host}{why}. Name another one with --port "
            "(0: any free one), or stop the venue that runs there"
        ) from None


def log_into(folder: Path) -> None:
    """Everything that is worth a line goes to a file of the folder, which this makes."""
    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(folder / "log.jsonl")
    handler.setFormatter(JsonLines())
    logging.getLogger("novate").addHandler(handler)
    logging.getLogger("novate").setLevel(logging.INFO)


def _keys_into(host: Host) -> list[Path]:
    """The funded accounts' keys as files that the trading commands take."""
    files = []
    for number, key in enumerate(host.accounts, 1):
        file = host.folder / f"trader-{number}.key"
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
            out.write("0x" + bytes(key.key).hex() + "\n")
        files.append(file)
    return files


async def serve(host: Host, as_json: bool, is_up: Callable[[str], None] = lambda url: None) -> None:
    """Run a venue until it is interrupted; ``is_up`` is told its URL. Errors: those of ``start``;
    ends the process with 1 if a service failed for good.
    """
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(name, done.set)
    typer.echo("starting …", err=True)
    await host.start()
    steady()
    typer.echo(_said(host, _keys_into(host), as_json))
    is_up(url_of(host))
    waits = [asyncio.create_task(e.wait()) for e in (done, host.supervisor.given_up)]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for wait in waits:
        wait.cancel()
    typer.echo("stopping: the open batch is sent, then a snapshot is written", err=True)
    await host.stop()
    if host.supervisor.given_up.is_set():
        typer.echo(f"error: a service failed too often; see {host.folder}/log.jsonl", err=True)
        sys.exit(1)


def url_of(host: Host) -> str:
    """Where a venue that is up answers."""
    return f"http://{host.config.host}:{host.port}"


def _said(host: Host, keys: list[Path], as_json: bool) -> str:
    """What is up, and how to begin."""
    url = url_of(host)
    accounts = [
        {
            "address": key.address,
            "account": f"0x{account_of(key.address.lower()):064x}",
            "private_key": "0x" + bytes(key.key).hex(),
            "key_file": str(file),
        }
        for key, file in zip(host.accounts, keys, strict=True)
    ]
    chain = host.kept.node.http_url if host.kept is not None else host.rpc
    if as_json:
        row = {"url": url, "rpc": chain, "folder": str(host.folder), "accounts": accounts}
        return json.dumps(row)
    lines = [
        f"API        {url}/ws/api/v1 and {url}/api/v1",
        f"chain      {chain} (id {host.deployment.chain_id})",
        f"folder     {host.folder}",
    ]
    if accounts:
        lines += [f"accounts   {host.config.trader_usdc:,} play USDC each; anyone knows these keys"]
        lines += [f"  {row['address']}  {row['key_file']}" for row in accounts]
        program, where = called_as(), "" if url == DEFAULT_URL else f" --venue {url}"
        key = shlex.quote(str(keys[0]))
        lines += [
            "",
            "try, in another terminal:",
            f"  {program} venue ticker BTC-PERPETUAL{where}",
            f"  {program} order buy BTC-PERPETUAL 0.1 99000 --key {key}{where}",
        ]
    return "\n".join(lines)
