"""The settler before a node that answers anything: a fault is counted, nothing ends, and nothing
that no journal can hold is made of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from novate import errors
from novate.chain.connection import RpcFault
from novate.chain.node import local_key
from novate.errors import Rejected
from novate.services import batch_call
from novate.services.fees import FeePolicy
from novate.services.flights import BatchTimer, SettlerOptions
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire import records
from novate.wire.eip712 import keccak
from novate.wire.records import AnyRecord, BatchClosed, BatchSubmitted, Matched
from tests.support.engine import deployed

WORD = bytes(32)
GWEI = 10**9
TURN_MS = 10
MALFORMED: tuple[Any, ...] = (
    *(None, True, 7, -1, 1.5, [], {}, "", "0x", "zz", "-0x1", "7", " 0x7", "0x_7", "0x７"),
    *("0x" + "f" * 16, "0x" + "f" * 64, "0x" + "f" * 5_000),
)


class Node:
    """A node; ``says`` has its answers by method where they are not in order."""

    def __init__(self, chain_id: int) -> None:
        self.chain_id = chain_id
        self.says: dict[str, Any] = {}
        self.sent: list[str] = []
        self.known: set[str] = set()

    def request(self, method: str, *parameters: Any) -> Any:
        if method in self.says:
            return self.says[method]
        return {
            "eth_chainId": hex(self.chain_id),
            "eth_getTransactionCount": "0x7",
            "eth_blockNumber": "0x4",
        }[method]

    def block(self) -> Any:
        raise AssertionError("not without fees")

    def request_many(self, method: str, rows: Sequence[Any]) -> list[Any]:
        assert method == "eth_getTransactionByHash"
        return [{} if row[0] in self.known else None for row in rows]

    def request_each(self, method: str, rows: Sequence[Any]) -> list[Any]:
        assert method == "eth_sendRawTransaction"
        hashes = ["0x" + keccak(bytes.fromhex(row[0][2:])).hex() for row in rows]
        self.sent += hashes
        answer = self.says.get(method, hashes)
        return answer if isinstance(answer, list) and answer is hashes else [answer] * len(rows)

    def sign_at(self, nonce: int, *rest: Any) -> bytes:
        return repr((nonce, rest)).encode()


@pytest.fixture
def loop(monkeypatch: pytest.MonkeyPatch) -> SettlementLoop:
    """A settlement loop with one batch to settle; ``written`` is its journal."""
    monkeypatch.setattr(batch_call, "settle_calldata", lambda posted, fills, first: b"batch")
    monkeypatch.setattr(Settler, "_fills", lambda self, found: found)
    deployment = deployed()[0]
    node: Any = Node(deployment.chain_id)
    settler = Settler(node, deployment, local_key("executor"))
    watcher = Watcher(node, deployment, 5)
    made = SettlementLoop(settler, watcher, BatchTimer(), write)
    made.follow(Matched(0, WORD, WORD, WORD, WORD, 1, True, 1, "1", "0", "0", 0, bytes(64), 0))
    made.follow(BatchClosed(0, 1, 0, 0))
    written.clear()
    follower[:] = [made]
    return made


written: list[AnyRecord] = []
follower: list[SettlementLoop] = []


def write(made: Sequence[AnyRecord]) -> None:
    """As a journal would: only what it can give back."""
    for record in made:
        again = records.decode(*records.encode(record))
        assert again == record
        written.append(again)
        follower[0].follow(again)


def turns(loop: SettlementLoop, begin_ms: int, end_ms: int) -> None:
    for now_ms in range(begin_ms, end_ms, TURN_MS):
        loop.turn(now_ms)


def node_of(loop: SettlementLoop) -> Any:
    return loop.settler.client


@pytest.mark.parametrize(
    "method",
    ["eth_chainId", "eth_getTransactionCount", "eth_blockNumber", "eth_sendRawTransaction"],
)
@pytest.mark.parametrize("answer", MALFORMED, ids=lambda answer: repr(answer)[:20])
def test_a_malformed_answer_ends_nothing(loop: SettlementLoop, method: str, answer: Any) -> None:
    node = node_of(loop)
    node.says[method] = answer
    turns(loop, 0, 30)
    turns(loop, 3_000, 3_030)
    assert loop.faults["NodeLied"] + loop.faults["NodeOnWrongChain"] > 0
    node.says.clear()
    turns(loop, 6_000, 6_030)
    (flight,) = loop.settler.flights.values()
    assert (flight.nonce, flight.sent) == (7, True)
    assert node.sent[-1] == "0x" + flight.last.transaction.hex()


def test_a_base_fee_that_is_none_is_a_fault(loop: SettlementLoop) -> None:
    node = node_of(loop)
    loop.settler.options = SettlerOptions(fees=FeePolicy(priority=GWEI, maximum=5 * GWEI))
    for fault in (KeyError("number"), TypeError("int()"), ValueError("zz")):

        def block(fault: Exception = fault) -> Any:
            raise fault

        node.block = block
        turns(loop, 0, 20)
        assert written == []
    assert loop.faults["NodeLied"] == 6


@pytest.mark.parametrize(
    "refusal",
    [
        RpcFault("eth_sendRawTransaction: replacement transaction underpriced"),
        RpcFault("eth_sendRawTransaction: insufficient funds for gas * price + value"),
        RpcFault("eth_sendRawTransaction: txpool is full"),
        Rejected(errors.StaleRound),
        RpcFault("eth_sendRawTransaction: already known"),
    ],
)
def test_what_a_node_refuses_is_offered_again_from_time_to_time(
    loop: SettlementLoop, refusal: Exception
) -> None:
    """Not at each turn; and so is what it said it knew, and does not."""
    node = node_of(loop)
    node.says["eth_sendRawTransaction"] = refusal
    turns(loop, 0, 10_000)
    assert 4 <= len(node.sent) <= 6
    node.says.clear()
    turns(loop, 10_000, 12_100)
    (flight,) = loop.settler.flights.values()
    assert node.sent[-1] == "0x" + flight.last.transaction.hex()
    assert len(written) == 1, "always the same transaction"


def test_what_a_node_has_stays_where_it_is(loop: SettlementLoop) -> None:
    node = node_of(loop)
    turns(loop, 0, 20)
    node.known.update(node.sent)
    turns(loop, 20, 14_000)
    assert len(node.sent) == len(written) == 1


def test_a_nonce_of_far_ahead_is_taken_back(loop: SettlementLoop) -> None:
    """The node counts too many, then too few, then right: the batch ends under the right one."""
    node, nonces = node_of(loop), []
    for second, count in enumerate((7, 2**40, 0, 7, 7)):
        node.says["eth_getTransactionCount"] = hex(count)
        turns(loop, 3_000 * second, 3_000 * second + 30)
        nonces.append(max(loop.settler.flights))
    assert nonces == [7, 2**40, 0, 7, 7]
    assert all(isinstance(record, BatchSubmitted) for record in written)
