"""Blocks of a node and the venue's transactions in them: those sent to one of its contracts, failed
ones too, and those of others that left logs of one.

Owns: the reading of both, for all who follow the chain. A node may lag, restart, lie, or answer
from another branch: what its answers contradict of each other is an ``RpcFault`` named
``NodeLied``, and so is whatever is not shaped as an answer must be. What reached us through
somebody else's contract comes with the calls that did (``routed.py``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from msgspec.structs import replace

from novate.chain.client import Client
from novate.chain.connection import CallReverted, RpcFault
from novate.chain.deployment import Deployment
from novate.chain.rows import counted, hexed, raw_bytes
from novate.errors import NodeLied, NoTwin, Rejected, require
from novate.services import routed
from novate.wire import records
from novate.wire.record_types import RoutedCall
from novate.wire.records import ChainTransaction

NOBODY = bytes(20)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Block:
    """One block and the venue's transactions in it, in their order."""

    number: int
    hash: str
    parent: str
    timestamp: int
    transactions: tuple[ChainTransaction, ...]


class BlockReader:
    """Reads blocks; ``traced``: a transaction by others' contracts must come with its calls, else
    it comes without where the node has no trace of it.
    """

    def __init__(self, client: Client, deployment: Deployment, traced: bool = True) -> None:
        self._client = client
        self._ours = set(deployment.acting().values())
        self._traced = traced

    def head(self) -> int:
        """Number of the newest block. Raises ``RpcFault``."""
        return read("eth_blockNumber", lambda: counted(self._client.request("eth_blockNumber")))

    def hash_of(self, number: int) -> str | None:
        """A block's hash; None where there is no such block. Raises ``RpcFault``."""
        found = self._client.request("eth_getBlockByNumber", hex(number), False)
        return None if found is None else read("hash", lambda: _hash(found))

    def before(self, number: int, name: str, count: int) -> dict[int, str]:
        """Hashes of the blocks before one that is named, by number, as far as each is the parent of
        the next. Raises ``RpcFault``.
        """
        numbers = range(number, max(number - count, 0) - 1, -1)
        rows = [(hex(one), False) for one in numbers]
        headers = self._client.request_many("eth_getBlockByNumber", rows)
        links = read("headers", lambda: [(_hash(h), h["parentHash"].lower()) for h in headers])
        found: dict[int, str] = {}
        for one, (held, parent) in zip(numbers, links, strict=True):
            if held != name:
                break
            found[one], name = held, parent
        return {one: held for one, held in found.items() if one != number}

    def block(self, number: int, parent: str | None = None) -> Block | None:
        """A whole block; None where there is no such block (any more), or it follows another than
        ``parent``. Errors: ``NoTwin`` if calls of others' contracts must be known and cannot;
        raises ``RpcFault``.
        """
        found = self._client.request("eth_getBlockByNumber", hex(number), True)
        if found is None:
            return None
        before = read("parent", lambda: str(found["parentHash"].lower()))
        if parent is not None and before != parent:
            return None
        rows = read("transactions", lambda: list(found["transactions"]))
        receipts: dict[str, Any] = {}
        if rows:
            answer = self._client.request("eth_getBlockReceipts", hex(number)) or []
            receipts = read("receipts", lambda: {r["transactionHash"]: r for r in answer})
        made = read("block", lambda: self._block(number, found, rows, receipts))
        strange = [t for t in made.transactions if hexed(t.contract) not in self._ours]
        calls = {t.transaction: self._calls(t) for t in strange if t.succeeded}
        told = (replace(t, calls=calls.get(t.transaction, [])) for t in made.transactions)
        held = read("transactions", lambda: tuple(map(_held, told)))
        return Block(number, made.hash, made.parent, made.timestamp, held)

    def _block(self, number: int, found: Any, rows: list[Any], receipts: dict[str, Any]) -> Block:
        name, timestamp = _hash(found), counted(found["timestamp"])
        if counted(found.get("number", hex(number))) != number:
            raise RpcFault(f"block {number} has another number", NodeLied)
        ours = []
        for row in rows:
            receipt = receipts[row["hash"]]
            place = row.get("transactionIndex", receipt["transactionIndex"])
            if receipt["blockHash"].lower() != name or receipt["transactionIndex"] != place:
                raise RpcFault(f"block {number}: transaction {row['hash']}", NodeLied)
            logged = any(log["address"].lower() in self._ours for log in receipt["logs"])
            if logged or (row["to"] or "").lower() in self._ours:
                ours.append(_transaction(row, receipt, number, timestamp))
        ours = [replace(record, more=True) for record in ours[:-1]] + ours[-1:]
        return Block(number, name, found["parentHash"].lower(), timestamp, tuple(ours))

    def _calls(self, record: ChainTransaction) -> list[RoutedCall]:
        """How others' contracts reached ours. Errors: ``NoTwin``; raises ``RpcFault``."""
        where = hexed(record.transaction)
        try:
            trace = self._client.request("debug_traceTransaction", where, routed.TRACER)
        except (CallReverted, RpcFault) as fault:
            if isinstance(fault, RpcFault) and fault.error is not None:
                raise
            require(not self._traced, NoTwin, f"the node does not trace {where}: {fault}")
            return []
        try:
            return read("trace", lambda: routed.calls_of(trace, record.events, self._ours))
        except Rejected as unexplained:
            require(not self._traced, NoTwin, f"{where}: {unexplained}")
            return []


def _transaction(
    row: dict[str, Any], receipt: dict[str, Any], block: int, timestamp: int
) -> ChainTransaction:
    return ChainTransaction(
        block=block,
        timestamp=timestamp,
        position=counted(receipt["transactionIndex"]),
        transaction=raw_bytes(row["hash"]),
        sender=raw_bytes(row["from"]),
        contract=raw_bytes(row["to"]) if row["to"] else NOBODY,
        calldata=raw_bytes(row["input"]),
        succeeded=receipt["status"] == "0x1",
        gas_used=counted(receipt["gasUsed"]),
        events=[
            (
                raw_bytes(log["address"]),
                [raw_bytes(t) for t in log["topics"]],
                raw_bytes(log["data"]),
            )
            for log in receipt["logs"]
        ],
    )


def _held(record: ChainTransaction) -> ChainTransaction:
    """The record as a journal gives it back. Raises ``ValueError`` for one that it would not: which
    stood there, and nothing could be started from it any more.
    """
    try:
        again = records.decode(*records.encode(record))
    except (Rejected, OverflowError) as fault:
        raise ValueError(fault) from None
    assert isinstance(again, ChainTransaction)
    return again


def read(what: str, action: Callable[[], T]) -> T:
    """What an answer holds; anybody may run the node, so anything may be in it."""
    try:
        return action()
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise RpcFault(f"{what}: malformed answer: {error!r}", NodeLied) from None


def _hash(block: Any) -> str:
    name: str = block["hash"].lower()
    if len(raw_bytes(name)) != 32:
        raise ValueError(f"hash {name[:80]}")
    return name
