"""Blocks of a node, as the read side takes them in: with their hashes, so that a change shows.

Owns: which transactions are the venue's: those sent to one of its contracts, failed ones too, and
those of others that left logs of one. A node may lag, restart or answer from another branch; what
it says is checked by hashes that must chain, and a malformed answer is an ``RpcFault``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from novate.chain.client import Client, RpcFault
from novate.chain.deployment import Deployment
from novate.errors import IndexForeign, require
from novate.wire.records import ChainTransaction

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """One block and the venue's transactions in it, in their order."""

    number: int
    hash: str
    parent: str
    timestamp: int
    transactions: tuple[ChainTransaction, ...]


class Chain(Protocol):
    """A chain that can be read block by block. Each raises ``RpcFault``."""

    def head(self) -> int:
        """Number of the newest block."""
        ...

    def hash_of(self, number: int) -> str | None:
        """A block's hash; None where there is no such block."""
        ...

    def block(self, number: int) -> Block | None:
        """A whole block; None where there is no such block (any more)."""
        ...


class NodeChain:
    """The chain behind a JSON-RPC client."""

    def __init__(self, client: Client, deployment: Deployment) -> None:
        same = client.chain_id == deployment.chain_id
        require(same, IndexForeign, f"the node's chain is {client.chain_id}")
        self._client = client
        self._ours = set(deployment.acting().values())

    def head(self) -> int:
        """Number of the newest block."""
        return _read("eth_blockNumber", lambda: int(self._client.request("eth_blockNumber"), 16))

    def hash_of(self, number: int) -> str | None:
        """A block's hash."""
        found = self._client.request("eth_getBlockByNumber", hex(number), False)
        return None if found is None else _read("hash", lambda: _hash(found))

    def block(self, number: int) -> Block | None:
        """A whole block with the receipts that belong to it."""
        found = self._client.request("eth_getBlockByNumber", hex(number), True)
        if found is None:
            return None
        rows = _read("transactions", lambda: list(found["transactions"]))
        receipts: dict[str, Any] = {}
        if rows:
            answer = self._client.request("eth_getBlockReceipts", hex(number)) or []
            receipts = _read("receipts", lambda: {r["transactionHash"]: r for r in answer})
        return _read("block", lambda: self._block(number, found, rows, receipts))

    def _block(self, number: int, found: Any, rows: list[Any], receipts: dict[str, Any]) -> Block:
        timestamp, name = int(found["timestamp"], 16), _hash(found)
        ours = []
        for row in rows:
            receipt = receipts[row["hash"]]
            if receipt["blockHash"].lower() != name:
                raise RpcFault(f"block {number}: receipts of another block")
            logged = any(log["address"].lower() in self._ours for log in receipt["logs"])
            if logged or (row["to"] or "").lower() in self._ours:
                ours.append(_transaction(row, receipt, number, timestamp))
        parent = found["parentHash"].lower()
        return Block(number, name, parent, timestamp, tuple(ours))


def _transaction(
    row: dict[str, Any], receipt: dict[str, Any], block: int, timestamp: int
) -> ChainTransaction:
    return ChainTransaction(
        block=block,
        timestamp=timestamp,
        position=int(receipt["transactionIndex"], 16),
        transaction=_bytes(row["hash"]),
        sender=_bytes(row["from"]),
        contract=_bytes(row["to"] or "0x" + "00" * 20),
        calldata=_bytes(row["input"]),
        succeeded=receipt["status"] == "0x1",
        gas_used=int(receipt["gasUsed"], 16),
        events=[
            (_bytes(log["address"]), [_bytes(t) for t in log["topics"]], _bytes(log["data"]))
            for log in receipt["logs"]
        ],
    )


def _read(what: str, action: Callable[[], T]) -> T:
    """What an answer holds; anybody may run the node, so anything may be in it."""
    try:
        return action()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RpcFault(f"{what}: malformed answer: {error!r}") from None


def _hash(block: Any) -> str:
    name: str = block["hash"].lower()
    if len(_bytes(name)) != 32:
        raise ValueError(f"hash {name[:80]}")
    return name


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text[2:])
