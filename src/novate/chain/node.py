"""A local chain: anvil as a child process, started, awaited and stopped by its id.

Owns: finding the binary ($NOVATE_ANVIL, the repository's ``node_modules``, $PATH), its flags, a
free loopback port, and a temporary folder for the socket and the cache. Blocks are mined by hand,
in the order transactions arrived, at no gas price. Keys of ``local_key`` are public knowledge: they
belong on a local chain and nowhere else.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
import weakref
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from eth_account import Account
from eth_account.signers.local import LocalAccount
from eth_utils.crypto import keccak

from novate.chain.client import Client

ROOT = Path(__file__).parents[3]
READY_SECONDS_MAX = 20
STOP_SECONDS_MAX = 60  # a long chain takes its time to be written
DUMP_INTERVAL_S = 10**9
# Blocks whose state can be asked, traced from or gone back to: four times what a reorganisation
# takes back. Of itself the node writes those before the last 500 to disk, two a block and each
# whole; it answers nothing meanwhile, and whoever syncs to the same disk waits for it as well.
STATES_KEPT = 256
START_ATTEMPTS_MAX = 3


class NodeFault(Exception):
    """The local node is missing, did not start, or died."""


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What a local chain is like; ``timestamp`` is the genesis block's, in seconds.

    ``dump_state`` names a file that keeps the whole chain when the node stops, ``load_state`` one
    to go on from; ``port`` is taken if it is free, else any other (0: any).
    """

    chain_id: int = 31_337
    timestamp: int = 1_760_000_000
    gas_limit: int = 4 * 10**9
    hardfork: str = "prague"
    dump_state: Path | None = None
    load_state: Path | None = None
    port: int = 0


def find_anvil() -> Path:
    """The anvil binary. Errors: ``NodeFault``, telling how to get it."""
    named = os.environ.get("NOVATE_ANVIL")
    candidates = [Path(named)] if named else []
    candidates += [folder / "node_modules/.bin/anvil" for folder in (Path.cwd(), ROOT)]
    on_path = shutil.which("anvil")
    candidates += [Path(on_path)] if on_path else []
    for candidate in candidates:
        if candidate.is_file():
            return _native(candidate.resolve())
        if named:
            raise NodeFault(f"NOVATE_ANVIL names no file: {named}")
    raise NodeFault("anvil, the local chain, is not installed: run `make setup`")


def _native(launcher: Path) -> Path:
    """The program behind npm's launcher, so that the child's id is the node's own."""
    if launcher.suffix == ".mjs":
        for binary in sorted(launcher.parent.parent.glob("anvil-*/bin/anvil")):
            if os.access(binary, os.X_OK):
                return binary
    return launcher


def _free_port(wanted: int = 0) -> int:
    """A free port of the loopback interface: the one wanted, or any other."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            if not wanted:
                raise
            return _free_port()
        port: int = probe.getsockname()[1]
        return port


def _stop(process: subprocess.Popen[bytes], folder: str, parent: int) -> None:
    """Stop the child by its id and remove its folder; not from a fork of its parent."""
    if os.getpid() != parent:
        return
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_SECONDS_MAX)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    shutil.rmtree(folder, ignore_errors=True)


class LocalNode:
    """One running local chain; a context manager, stopped at the latest when Python ends."""

    def __init__(self, options: NodeOptions | None = None) -> None:
        self.options = options or NodeOptions()
        self._clients: list[Client] = []
        self._start(find_anvil())

    def _start(self, binary: Path) -> None:
        for attempt in range(START_ATTEMPTS_MAX):
            self.port = _free_port(self.options.port if attempt == 0 else 0)
            self.ipc_path = Path(tempfile.mkdtemp(prefix="novate-")) / "anvil.ipc"
            said = self._spawn(binary)
            if not said:
                return
            self._stop()
        raise NodeFault(f"the local chain did not start: {said}")

    def _spawn(self, binary: Path) -> str:
        """Begin the child at our port and socket; what it said if it did not start."""
        folder = str(self.ipc_path.parent)
        log = self.ipc_path.with_name("anvil.log")
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(binary), *self._flags(folder)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._process = process
        self._stop = weakref.finalize(self, _stop, process, folder, os.getpid())
        if self._ready():
            return ""
        return log.read_text(errors="replace").strip()[-500:] or "it said nothing"

    @property
    def is_alive(self) -> bool:
        """Whether the child runs (or is merely stopped)."""
        return self._process.poll() is None

    def revive(self, load_state: Path) -> None:
        """Begin a child that has died again, from a kept state, where its clients look for it.

        Errors: ``NodeFault``.
        """
        assert not self.is_alive
        self._stop.detach()
        self.options = replace(self.options, load_state=load_state)
        self.ipc_path.unlink(missing_ok=True)
        said = self._spawn(find_anvil())
        if said:
            raise NodeFault(f"the local chain did not start again: {said}")

    def _flags(self, folder: str) -> list[str]:
        options = self.options
        # at its end only: by itself the node writes the whole chain every minute, and stands still
        interval = ["--state-interval", str(DUMP_INTERVAL_S)]
        kept = ["--dump-state", str(options.dump_state), *interval] if options.dump_state else []
        loaded = ["--load-state", str(options.load_state)] if options.load_state else []
        return [
            *kept,
            *loaded,
            *("--host", "127.0.0.1", "--port", str(self.port), "--ipc", str(self.ipc_path)),
            *("--chain-id", str(options.chain_id), "--timestamp", str(options.timestamp)),
            *("--hardfork", options.hardfork, "--gas-limit", str(options.gas_limit)),
            *("--no-mining", "--order", "fifo", "--accounts", "0", "--quiet"),
            *("--base-fee", "0", "--gas-price", "0", "--disable-min-priority-fee"),
            *("--no-request-size-limit", "--cache-path", folder),
            *("--prune-history", str(STATES_KEPT)),
        ]

    def _ready(self) -> bool:
        """Wait for the socket to answer; False if the child ended (its port was taken, say)."""
        deadline = time.monotonic() + READY_SECONDS_MAX
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(str(self.ipc_path))
                return True
            except OSError:
                time.sleep(0.01)
        return False

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    @property
    def http_url(self) -> str:
        """Where others on this machine reach the chain."""
        return f"http://127.0.0.1:{self.port}"

    def client(self) -> Client:
        """A client over the socket (some times faster than HTTP) that mines by hand."""
        made = Client.over_ipc(self.ipc_path, mines=True)
        self._clients.append(made)
        return made

    def stop(self) -> None:
        """Close the clients made here and end the child; its chain is gone."""
        for client in self._clients:
            client.close()
        self._clients.clear()
        self._stop()

    def __enter__(self) -> LocalNode:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


def local_key(role: str) -> LocalAccount:
    """The key of a role on a local chain; anyone can derive it."""
    made: LocalAccount = Account.from_key(keccak(b"novate local chain: " + role.encode()))
    return made
