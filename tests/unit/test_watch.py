"""The watcher before a chain that changes under its hands, and a node that fails in the middle."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest

from novate.chain.connection import RpcFault
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import ReorgTooDeep
from novate.services.watch import Watcher
from novate.wire.eip712 import keccak
from novate.wire.records import ChainReorganised, ChainTransaction
from tests.support.engine import deployed
from tests.support.journals import rejection

FIRST, DEPTH = 100, 3


class Node:
    """A chain of empty blocks but for ``ours``, which hold a transaction of the venue's each;
    ``branch`` names what stands from a height on.
    """

    def __init__(self) -> None:
        self.head = FIRST + 2 * REORG_BLOCKS_MAX
        self.branch: list[tuple[int, str]] = [(0, "a")]
        self.ours: set[int] = set()
        self.fails: Callable[[str, int], bool] = lambda method, number: False

    def name(self, number: int) -> str:
        branch = [name for start, name in self.branch if start <= number][-1]
        return "0x" + keccak(f"{branch} {number}".encode()).hex()

    def request(self, method: str, *parameters: Any) -> Any:
        if method == "eth_chainId":
            return hex(deployed()[0].chain_id)
        if method == "eth_blockNumber":
            return hex(self.head)
        number = int(parameters[0], 16)
        if self.fails(method, number):
            raise RpcFault("late")
        if number > self.head:
            return None
        row = {"hash": f"0x{number:064x}", "transactionHash": f"0x{number:064x}"}
        rows = [row] if number in self.ours else []
        if method == "eth_getBlockReceipts":
            more = {"transactionIndex": "0x0", "status": "0x1", "gasUsed": "0x1", "logs": []}
            return [one | more | {"blockHash": self.name(number)} for one in rows]
        sent = {"to": deployed()[0].addresses["exchange"], "from": "0x" + "11" * 20, "input": "0x"}
        block = {"hash": self.name(number), "parentHash": self.name(number - 1), "timestamp": "0x1"}
        return block | {"transactions": [one | sent for one in rows]}

    def request_many(self, method: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
        return [self.request(method, *row) for row in rows]


@pytest.fixture
def node() -> Node:
    return Node()


@pytest.fixture
def watcher(node: Node) -> Watcher:
    made = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    assert made.poll() == [] and made.next_block == node.head + 1
    return made


def test_what_has_left_the_chain_is_told_however_often_the_node_fails(
    node: Node, watcher: Watcher
) -> None:
    """A fault while it looks back must not make it forget what it was looking for."""
    gone = node.head - DEPTH + 1
    node.branch.append((gone, "b"))
    for failing in range(node.head - 1, gone - 2, -1):
        node.fails = lambda method, number, failing=failing: number == failing
        with pytest.raises(RpcFault):
            watcher.poll()
    node.fails = lambda method, number: False
    assert watcher.poll() == [ChainReorganised(gone)]
    assert watcher.poll() == [] and watcher.next_block == node.head + 1


def test_more_than_can_be_taken_back_is_said_again_and_again(node: Node, watcher: Watcher) -> None:
    """Whoever begins the watcher again must not go on with a chain that does not fit."""
    node.branch.append((node.head - REORG_BLOCKS_MAX - 5, "b"))
    for _ in range(3):
        node.head += 1
        refused = rejection(watcher.poll)
        assert refused is not None and refused[0] is ReorgTooDeep
    node.branch.pop()  # the node had lied
    assert watcher.poll() == [] and watcher.next_block == node.head + 1


def test_a_branch_that_comes_while_it_reads_is_told_next_time(node: Node, watcher: Watcher) -> None:
    before, gone = node.head, node.head - DEPTH + 1
    node.head += DEPTH

    def turns(method: str, number: int) -> bool:
        if number == before + 2:
            node.branch.append((gone, "b"))
            node.fails = lambda method, number: False
        return False

    node.fails = turns
    told = [*watcher.poll(), *watcher.poll()]
    assert told == [ChainReorganised(gone)] and watcher.next_block == node.head + 1


def test_a_chain_that_has_become_shorter_is_followed_back(node: Node, watcher: Watcher) -> None:
    node.head -= DEPTH
    assert watcher.poll() == [ChainReorganised(node.head + 1)]
    node.head += DEPTH
    assert watcher.poll() == [] and watcher.next_block == node.head + 1


def started_again(node: Node, ours: set[int]) -> Watcher:
    """A watcher that goes on behind a journal with the blocks of ours."""
    node.ours = ours
    first = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    held = first.poll()
    assert {record.block for record in held if isinstance(record, ChainTransaction)} == ours
    again = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    assert again.resume(held) == []
    return again


@pytest.mark.parametrize("depth", [1, 12, REORG_BLOCKS_MAX])
def test_what_leaves_the_chain_right_behind_a_start_is_told(node: Node, depth: int) -> None:
    newest = node.head
    again = started_again(node, {FIRST + 1, newest - REORG_BLOCKS_MAX, newest - 5, newest})
    node.branch.append((newest - depth + 1, "b"))
    told = again.poll()
    assert told[0] == ChainReorganised(newest - depth + 1)
    assert len(told) == 1 + len([n for n in node.ours if n > newest - depth])


def test_deeper_behind_a_start_is_too_deep(node: Node) -> None:
    again = started_again(node, {node.head})
    node.branch.append((node.head - REORG_BLOCKS_MAX - 1, "b"))
    refused = rejection(again.poll)
    assert refused is not None and refused[0] is ReorgTooDeep


def test_hashes_of_another_branch_are_not_taken_for_what_the_journal_rests_on(node: Node) -> None:
    """The branch changes between the block and those before it."""
    newest = node.head
    node.ours = {newest - 5, newest}
    first = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    held, many = first.poll(), node.request_many

    def turns(method: str, rows: Sequence[Sequence[Any]]) -> list[Any]:
        node.branch.append((newest - 8, "b"))
        return many(method, rows)

    node.request_many = turns  # type: ignore[method-assign]
    again = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    again.resume(held)
    refused = rejection(again.poll)
    assert refused is not None and refused[0] is ReorgTooDeep, "a start anew finds where it is"
    node.request_many = many  # type: ignore[method-assign]
    anew = Watcher(node, deployed()[0], FIRST)  # type: ignore[arg-type]
    assert anew.resume(held) == [], "the same transactions at the same places and times"
