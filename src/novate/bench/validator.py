"""A validator for a local chain, as a process of its own: it mines what pends.

Owns: when. At once where nothing was going on, and everything that has come meanwhile where blocks
are busy: it waits while more keeps coming, and no longer than ``GATHER_SECONDS``. Blocks are
nobody's work but the chain's, so none of it is in the process that is measured.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novate.chain.client import Client
from novate.chain.connection import RpcFault
from novate.chain.ipc import Subscription
from novate.chain.rows import integer

GATHER_SECONDS = 0.01
STEP_SECONDS = 0.001
IDLE_SECONDS = 0.1


def validate(path: Path) -> None:
    """Mine until the node is gone."""
    pending = Subscription(path, "newPendingTransactions")
    client = Client.over_ipc(path)
    print("ready", flush=True)
    try:
        while True:
            if not mine_pending(client):
                pending.wait(IDLE_SECONDS)
    except RpcFault:
        return
    finally:
        pending.close()
        client.close()


def mine_pending(client: Client) -> bool:
    """Mine once what pends, when no more comes; whether something did."""
    count, until = _pending(client), time.monotonic() + GATHER_SECONDS
    if not count:
        return False
    while time.monotonic() < until:
        time.sleep(STEP_SECONDS)
        count, before = _pending(client), count
        if count == before:
            break
    client.request("evm_mine")
    return True


def _pending(client: Client) -> int:
    return integer(client.request("txpool_status")["pending"])


@contextmanager
def validator(path: Path) -> Iterator[None]:
    """The process, begun and for as long as the context lasts."""
    command = [sys.executable, "-m", __name__, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            child.stdout.readline()
            yield
        finally:
            child.terminate()


if __name__ == "__main__":
    validate(Path(sys.argv[1]))
