"""A settler of its own process, killed by its parent: it says how far it came, then waits.

Arguments: the venue's folder, the node's socket, and where to stop: written | sent.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.chain.node import local_key
from novate.engine.journal import Journal
from novate.services.settler import Settler
from novate.wire import records


def main(folder: Path, socket: Path, stop: str) -> None:
    """Plan, write, send; say each step once it is done."""
    client = Client.over_ipc(socket)
    deployment = Deployment.load(folder / "deployment.json")
    settler = Settler(client, deployment, local_key("executor"))
    with Journal.open(folder / "journal.bin", lambda: 0, create=False) as journal:
        for entry in journal.read(1):
            settler.follow(records.decode(entry.kind, entry.payload))
        planned = settler.plan(1)
        for submitted in planned:
            journal.append(*records.encode(submitted))
            settler.follow(submitted)
        journal.commit()
        if stop == "sent":
            settler.transmit()
        print(stop, *(submitted.transaction.hex() for submitted in planned), flush=True)
        time.sleep(60)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
