"""Leave a venue whose operator is gone: one match's document, an RPC and your key are enough.

    NOVATE_KEY=0x… python examples/leave_without_operator.py match.json https://rpc.example

Every match comes with its document: both signed orders and the executor's receipt. Keep the last
ones. The contracts need nobody else: after the executor's own window anyone settles a match by its
receipt, and custody pays a requested withdrawal to the account's owner after its notice.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from eth_account import Account

from novate.chain.client import Client
from novate.services.leaving import Leaver, wait_for
from novate.wire.exit_data import ExitData


def main(document: str, rpc: str) -> None:
    """Settle the match, then withdraw whatever is free."""
    client = Client.over_http(rpc)
    me = Account.from_key(os.environ["NOVATE_KEY"])
    leaver = Leaver(client, ExitData.load(Path(document)), me, wait_for(client))

    leaver.require_genuine()  # this chain, and the exchange that I signed my order for
    print(leaver.settle().text)  # waits for the executor's window, if it is still open

    for token in ExitData.load(Path(document)).tokens:
        for step in leaver.withdraw(token):  # asks, waits for the notice, takes
            print(step.name, step.text)

    client.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
