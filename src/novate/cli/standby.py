"""``novate standby``: a second process holds a running venue's state and takes over from it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Annotated

import msgspec
import typer

from novate import config
from novate.api import event_loop, hot_standby, up_config
from novate.api.host import Host, clock_ms
from novate.api.hot_standby import ENDED, FOLLOWS, SERVES, TAKES_OVER, HotStandby, Status
from novate.chain.connection import RpcFault
from novate.chain.deployment import Deployment
from novate.chain.node import NodeFault
from novate.cli.up import keys_of, log_into, serve
from novate.engine.journal import Journal
from novate.engine.journal_lock import WriterLock
from novate.engine.recovery import Diverged
from novate.engine.sequencer import Sequencer
from novate.errors import InvalidParameter, Rejected, require
from novate.lab.prices import load_event, load_prices
from novate.lab.smiles import SmileTable, load_smiles
from novate.services.boot import sequencer_at_genesis

POLL_SECONDS = 0.02
PROMOTE_SECONDS_MAX = 60


@dataclass(slots=True)
class _Asked:
    """What signals have asked for."""

    promote: bool = False
    end: bool = False

    def hear(self, number: int, _: FrameType | None) -> None:
        """Take note of a signal."""
        if number == signal.SIGUSR1:
            self.promote = True
        else:
            self.end = True


def command(
    folder: Annotated[Path, typer.Argument(help="The folder of a running `novate up`.")],
    auto: Annotated[
        bool, typer.Option("--auto", help="Take over as soon as the venue's process is gone.")
    ] = False,
    promote: Annotated[
        bool,
        typer.Option("--promote", help="Tell the standby that follows this folder to take over."),
    ] = False,
    settings: Annotated[
        Path | None, typer.Option("--config", help="The TOML file that `novate up` has.")
    ] = None,
    rpc: Annotated[str | None, typer.Option(help="The chain's URL, as for `novate up`.")] = None,
    port: Annotated[
        int | None, typer.Option(help="Port of the API once it serves, as for `novate up`.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option(help="Bars to play, CSV or Parquet.", show_default="2025-10-10")
    ] = None,
    parameters: Annotated[
        Path, typer.Option(help="The venue's parameter file.", show_default="the built-in one")
    ] = config.DEFAULT,
    every: Annotated[float, typer.Option(help="Seconds between two lines.", min=0.1)] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a line.")] = False,
) -> None:
    """Follow a venue's journal with the same engine, and become the venue when its process is gone.

    It says from time to time up to which record it has come, what its state's hash is, and how
    long a record takes to be here; standby.json in the folder holds the same. It takes over with
    --auto at once, otherwise when told to: by SIGUSR1, or by `novate standby FOLDER --promote`. A
    venue whose process still lives is never replaced: stop or kill that process first. From then on
    it is the venue, as `novate up` with the same options in that folder, and no acknowledged order
    is lost.

    Example:  novate standby out/venue --auto
    """
    if promote:
        _say(_promoted(folder), as_json)
        return
    found = up_config.load(settings)
    if port is not None:
        found = replace(found, port=port)
    table = load_prices(prices) if prices else load_event()
    smiles = SmileTable() if prices else load_smiles()
    read = config.load(parameters)
    host = Host(folder, found, read, table, rpc, smiles, keys_of(settings, rpc), parameters)
    try:
        _run(host, auto, every, as_json)
    except (Diverged, NodeFault, RpcFault) as fault:
        typer.echo(f"error: {' '.join(str(fault).split())}", err=True)
        sys.exit(2)


def _run(host: Host, auto: bool, every: float, as_json: bool) -> None:
    """Follow until told to end, or to take over and the venue is gone; then be the venue."""
    _require_only_one(host.folder)

    def build(deployment: Deployment) -> Sequencer:
        host.keys.require_roles(deployment.roles)  # not only when it takes over
        return sequencer_at_genesis(deployment, host.parameters, host.keys.executor)

    follower = HotStandby(host.folder, build, clock_ms)
    asked = _Asked()
    for number in (signal.SIGUSR1, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, asked.hear)
    try:
        journal = _follow(follower, asked, auto, every, as_json)
        if journal is None:
            return
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)
        host.promoted = journal, follower.sequencer
        follower.tell(follower.status(TAKES_OVER))
        log_into(host.folder)

        def is_up(url: str) -> None:
            follower.tell(follower.status(SERVES, url))

        event_loop.run(serve(host, as_json, is_up))
    finally:
        follower.tell(follower.status(ENDED))


def _follow(
    follower: HotStandby, asked: _Asked, auto: bool, every: float, as_json: bool
) -> Journal | None:
    """The journal, once it is ours to write; None if told to end before."""
    told_at = 0.0
    while not asked.end:
        follower.poll()
        if time.monotonic() - told_at >= every:
            status = follower.status(FOLLOWS, hashed=True)
            follower.tell(status)
            _say(status, as_json)
            told_at = time.monotonic()
        if auto or asked.promote:
            journal = follower.try_promote()
            if journal is not None:
                return journal
            if asked.promote:
                typer.echo("the venue's process still runs: it is not replaced", err=True)
                asked.promote = False
        time.sleep(POLL_SECONDS)
    return None


def _require_only_one(folder: Path) -> None:
    """Errors: ``InvalidParameter`` if another standby follows this folder."""
    other = hot_standby.told(folder)
    if other is not None and other.pid != os.getpid() and other.state == FOLLOWS:
        alive = _is_standby(other.pid)
        require(not alive, InvalidParameter, f"process {other.pid} follows {folder} already")


def _promoted(folder: Path) -> Status:
    """Tell the folder's standby to take over; its word once it serves.

    Errors: ``InvalidParameter`` (there is none), ``JournalLocked`` (the venue still runs); raises
    ``OSError`` if it fails.
    """
    found = hot_standby.told(folder)
    if found is None or found.state != FOLLOWS or not _is_standby(found.pid):
        raise Rejected(InvalidParameter, f"no standby follows {folder}: begin one with `standby`")
    WriterLock.take(folder / "journal.bin").release()  # whether the venue's process is gone
    os.kill(found.pid, signal.SIGUSR1)
    for _ in range(PROMOTE_SECONDS_MAX * 20):
        time.sleep(0.05)
        found = hot_standby.told(folder)
        if found is not None and found.state == SERVES:
            return found
        if found is None or not _is_standby(found.pid):
            break
    raise OSError(f"the standby of {folder} did not come to serve; see what it says itself")


def _is_standby(pid: int) -> bool:
    """Whether that process is one: a number may be another's by now."""
    found = subprocess.run(
        ["ps", "-o", "args=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "standby" in found.stdout and "<defunct>" not in found.stdout


def _say(status: Status, as_json: bool) -> None:
    if as_json:
        typer.echo(msgspec.json.encode(status).decode())
        return
    state = f"  state {status.state_hash[:16]}" if status.state_hash else ""
    where = f"  {status.url}" if status.url else ""
    lag = f"  lag {status.lag_ms} ms"
    typer.echo(f"{status.state}  record {status.sequence}{state}{lag}{where}")
