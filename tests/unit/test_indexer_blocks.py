"""A node may answer anything: what is malformed is a fault, never a row."""

from __future__ import annotations

from typing import Any

import pytest
from support.index import DEPLOYMENT, STRANGER
from support.journals import rejection

from novate.chain.client import RpcFault
from novate.errors import IndexForeign, NoTwin
from novate.services.blocks import BlockReader
from novate.services.indexer_blocks import NodeChain

HASH, PARENT = "0x" + "aB" * 32, "0x" + "cd" * 32
OURS = DEPLOYMENT.addresses["exchange"]


def row(number: int, to: str | None) -> dict[str, Any]:
    return {"hash": f"0x{number:064x}", "to": to, "from": STRANGER, "input": "0x01"}


def receipt(number: int, logged: str | None = None, block: str = HASH) -> dict[str, Any]:
    logs = [{"address": logged, "topics": ["0x" + "11" * 32], "data": "0x22"}] if logged else []
    return {
        "transactionHash": f"0x{number:064x}",
        "transactionIndex": hex(number),
        "blockHash": block,
        "status": "0x1",
        "gasUsed": "0x10",
        "logs": logs,
    }


class Node:
    """A client that answers what it is told to."""

    def __init__(self, chain_id: int = DEPLOYMENT.chain_id, **changed: Any) -> None:
        self.chain_id = chain_id
        rows = [row(0, STRANGER), row(1, OURS.upper().replace("0X", "0x")), row(2, None)]
        rows.append(row(3, STRANGER))
        self.block = {
            "hash": HASH,
            "parentHash": PARENT.upper().replace("0X", "0x"),
            "timestamp": "0x64",
            "transactions": rows,
        } | changed
        self.receipts: Any = [receipt(n, OURS if n == 3 else None) for n in range(4)]
        self.head: Any = "0x7"

    def request(self, method: str, *parameters: Any) -> Any:
        if method == "eth_blockNumber":
            return self.head
        if method == "debug_traceTransaction":
            raise RpcFault("no such method")
        return self.receipts if method == "eth_getBlockReceipts" else self.block


def chain(node: Any) -> NodeChain:
    return NodeChain(node, DEPLOYMENT)


def test_what_was_sent_to_us_or_left_our_logs_is_ours() -> None:
    node = Node()
    found = chain(node).block(7)
    assert found is not None and (found.hash, found.parent) == (HASH.lower(), PARENT)
    assert [t.position for t in found.transactions] == [1, 3] and found.timestamp == 100
    assert chain(node).head() == 7 and chain(node).hash_of(7) == HASH.lower()


def test_without_a_trace_only_who_can_do_without_it_goes_on() -> None:
    found = chain(Node()).block(7)
    assert found is not None and [t.calls for t in found.transactions] == [[], []]
    reader = BlockReader(Node(), DEPLOYMENT)  # type: ignore[arg-type]
    assert rejection(lambda: reader.block(7))[0] is NoTwin


def test_a_block_that_is_not_there_is_none() -> None:
    node = Node()
    node.block = None  # type: ignore[assignment]
    assert chain(node).block(7) is None and chain(node).hash_of(7) is None


def test_a_node_of_another_chain_is_refused() -> None:
    assert rejection(lambda: chain(Node(chain_id=1)))[0] is IndexForeign


@pytest.mark.parametrize(
    "changed",
    [
        {"hash": "0x12"},
        {"hash": None},
        {"hash": "0x" + "zz" * 32},
        {"parentHash": None},
        {"timestamp": "soon"},
        {"timestamp": 5},
        {"transactions": None},
        {"transactions": [None]},
        {"transactions": [row(9, OURS)]},
        {"transactions": [{"to": OURS}]},
    ],
)
def test_a_malformed_block_is_a_fault(changed: dict[str, Any]) -> None:
    with pytest.raises(RpcFault):
        chain(Node(**changed)).block(7)


@pytest.mark.parametrize("receipts", [None, [], [None], "no", [{}], [receipt(0), receipt(1)]])
def test_malformed_receipts_are_a_fault(receipts: Any) -> None:
    node = Node()
    node.receipts = receipts
    with pytest.raises(RpcFault):
        chain(node).block(7)


@pytest.mark.parametrize("journal", [True, False])
@pytest.mark.parametrize(
    ("part", "field", "value"),
    [
        ("block", "timestamp", "0x" + "f" * 16),
        ("block", "timestamp", "-0x1"),
        ("block", "timestamp", "0x" + "1" * 65),
        ("row", "from", "0x12"),
        ("row", "to", OURS + "00"),
        ("row", "hash", "0x12"),
        ("row", "input", 7),
        ("receipt", "gasUsed", "0x" + "f" * 16),
        ("receipt", "gasUsed", "1"),
        ("log", "address", "0x12"),
        ("log", "topics", ["11"]),
        ("log", "topics", [None]),
        ("log", "data", "0x1"),
        ("log", "data", {}),
    ],
)
def test_what_no_journal_could_give_back_is_a_fault(
    part: str, field: str, value: Any, journal: bool
) -> None:
    """It would be written, and then no engine started from it any more."""
    node = Node()
    node.receipts[1] = receipt(1, OURS)
    node.receipts[1]["logs"].append(dict(receipt(1, OURS)["logs"][0]))
    parts = {
        "block": node.block,
        "row": node.block["transactions"][1],
        "receipt": node.receipts[1],
        "log": node.receipts[1]["logs"][1],
    }
    if (part, field) == ("row", "hash"):
        node.receipts[1]["transactionHash"] = value
    parts[part][field] = value
    reader = BlockReader(node, DEPLOYMENT, traced=False)  # type: ignore[arg-type]
    with pytest.raises(RpcFault):
        (reader if journal else chain(node)).block(7)


def test_receipts_of_another_block_are_a_fault() -> None:
    node = Node()
    node.receipts = [receipt(n, block=PARENT) for n in range(4)]
    with pytest.raises(RpcFault):
        chain(node).block(7)


@pytest.mark.parametrize("head", [None, "x", 7, {}])
def test_a_malformed_head_is_a_fault(head: Any) -> None:
    node = Node()
    node.head = head
    with pytest.raises(RpcFault):
        chain(node).head()
