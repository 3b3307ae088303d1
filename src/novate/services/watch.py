"""The watcher: every transaction to one of our contracts comes back into the journal, in chain
order.

It reads whole blocks with their receipts, so deposits, rounds, batches, auctions and attempts that
failed are all seen; what went to other contracts is left out.
"""

from __future__ import annotations

from typing import Any

from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.wire.records import ChainTransaction


class Watcher:
    """Follows one venue's contracts from a block on."""

    def __init__(self, client: Client, deployment: Deployment, next_block: int) -> None:
        self._client = client
        self._ours = set(deployment.acting().values())
        self.next_block = next_block

    def poll(self) -> list[ChainTransaction]:
        """Transactions of all blocks since the last poll."""
        head = int(self._client.request("eth_blockNumber"), 16)
        found: list[ChainTransaction] = []
        for number in range(self.next_block, head + 1):
            found += self._block(number)
        self.next_block = head + 1
        return found

    def _block(self, number: int) -> list[ChainTransaction]:
        block = self._client.request("eth_getBlockByNumber", hex(number), True)
        rows = [t for t in block["transactions"] if (t["to"] or "").lower() in self._ours]
        if not rows:
            return []
        receipts = self._client.request("eth_getBlockReceipts", hex(number))
        by_hash = {r["transactionHash"]: r for r in receipts}
        timestamp = int(block["timestamp"], 16)
        return [_record(row, by_hash[row["hash"]], number, timestamp) for row in rows]


def _record(
    row: dict[str, Any], receipt: dict[str, Any], block: int, timestamp: int
) -> ChainTransaction:
    return ChainTransaction(
        block=block,
        timestamp=timestamp,
        position=int(receipt["transactionIndex"], 16),
        transaction=_bytes(row["hash"]),
        sender=_bytes(row["from"]),
        contract=_bytes(row["to"]),
        calldata=_bytes(row["input"]),
        succeeded=receipt["status"] == "0x1",
        gas_used=int(receipt["gasUsed"], 16),
        events=[
            (_bytes(log["address"]), [_bytes(t) for t in log["topics"]], _bytes(log["data"]))
            for log in receipt["logs"]
        ],
    )


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
