"""A local chain that a venue keeps in its folder: written down every few seconds, begun again from
there when its node dies, taken over when the venue died and its node did not.

Owns: ``chain.json`` (a whole state, there whole or not at all), ``node.json`` (which process and
socket hold the chain at present) and ``chain.port`` (where wallets reach it, kept across restarts
while nobody else takes it). A node that died takes the blocks since the last dump with it; to
the venue that is a reorganisation like any other, so a dump comes well before the depth that it
can take back. Times in seconds.
"""

from __future__ import annotations

import contextlib
import gzip
import logging
import os
import signal
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from novate.chain.client import Client
from novate.chain.connection import RpcFault
from novate.chain.node import LocalNode, NodeFault, NodeOptions
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.engine.journal_disk import write_whole

DUMP_SECONDS_MIN = 5.0
DUMP_SHARE = 20  # a dump takes at most this part of the time
BLOCKS_MAX = REORG_BLOCKS_MAX // 2  # division: half of what can be taken back
TAKE_OVER_SECONDS = 5
_LOG = logging.getLogger("novate.chain")


class Held(msgspec.Struct):
    """Which process holds the chain."""

    pid: int
    ipc: str


@dataclass(slots=True)
class KeptChain:
    """The local chain of one folder."""

    folder: Path
    node: LocalNode
    client: Client
    block_ms: int
    revivals: int = 0
    dumped_at: float = field(default_factory=time.monotonic)
    took: float = 0.0

    @classmethod
    def open(cls, folder: Path, timestamp: int, fresh: bool, block_ms: int) -> KeptChain:
        """Begin the chain, or go on with it; ``fresh`` knows of none. Raises ``NodeFault``."""
        state = folder / "chain.json"
        _end_former(folder / "node.json", None if fresh else state)
        port = folder / "chain.port"
        options = NodeOptions(
            timestamp=timestamp, load_state=None if fresh else state, port=_port_in(port)
        )
        node = LocalNode(options)
        write_whole(port, f"{node.port}\n".encode())
        kept = cls(folder, node, node.client(), block_ms)
        kept._name()
        return kept

    def _name(self) -> None:
        held = Held(self.node.pid, str(self.node.ipc_path))
        write_whole(self.folder / "node.json", msgspec.json.encode(held))

    @property
    def state(self) -> Path:
        """Where the chain is written down."""
        return self.folder / "chain.json"

    def dump(self) -> None:
        """Write the chain down. Raises ``RpcFault``, ``OSError``."""
        began = time.monotonic()
        _dump(self.client, self.state)
        self.dumped_at = time.monotonic()
        self.took = self.dumped_at - began

    def dump_if_due(self) -> None:
        """Write the chain down from time to time; a disk that is full now may have room later."""
        every = max(DUMP_SECONDS_MIN, DUMP_SHARE * self.took)
        every = min(every, BLOCKS_MAX * self.block_ms / 1_000)
        if time.monotonic() - self.dumped_at >= every:
            try:
                self.dump()
            except OSError as fault:
                self.dumped_at = time.monotonic()
                _LOG.error("the chain could not be written down: %s", fault)

    def revive_if_dead(self) -> bool:
        """Begin a node that died again, from the last dump. Raises ``NodeFault``."""
        if self.node.is_alive:
            return False
        _LOG.error("the local chain's node died; it begins again from the last dump")
        self.node.revive(self.state)
        self._name()
        self.revivals += 1
        return True

    def stop(self) -> None:
        """Write the chain down and end the node; without room on the disk the last dump counts."""
        try:
            self.dump()
        except (RpcFault, OSError) as fault:
            _LOG.error("the chain could not be written down: %s", fault)
        self.node.stop()
        (self.folder / "node.json").unlink(missing_ok=True)


def _port_in(file: Path) -> int:
    """The port that the chain had last; 0 if that is not known."""
    try:
        port = int(file.read_text(encoding="ascii"))
    except (OSError, ValueError):
        return 0
    return port if 0 < port < 1 << 16 else 0


def _dump(client: Client, path: Path) -> None:
    packed = client.request("anvil_dumpState")
    write_whole(path, gzip.decompress(bytes.fromhex(packed[2:])))


def _end_former(named: Path, state: Path | None) -> None:
    """Write down and end the node that a venue before us left behind, if it still runs."""
    try:
        held = msgspec.json.decode(named.read_bytes(), type=Held)
    except (OSError, msgspec.DecodeError):
        return
    if held.ipc not in _command_of(held.pid):
        return
    if state is not None:
        try:
            client = Client.over_ipc(Path(held.ipc), seconds=TAKE_OVER_SECONDS)
            _dump(client, state)
            client.close()
        except RpcFault as fault:
            _LOG.warning("the node before us does not answer; the last dump counts: %s", fault)
    with contextlib.suppress(ProcessLookupError):
        os.kill(held.pid, signal.SIGKILL)
    for _ in range(TAKE_OVER_SECONDS * 100):
        if held.ipc not in _command_of(held.pid):
            return
        time.sleep(0.01)
    raise NodeFault(f"process {held.pid} still holds the chain of this folder")


def _command_of(pid: int) -> str:
    """The command line of a process, "" if there is none: a number may be another's by now."""
    found = subprocess.run(
        ["ps", "-o", "args=", "-ww", "-p", str(pid)], capture_output=True, text=True, check=False
    )
    return "" if "<defunct>" in found.stdout else found.stdout
