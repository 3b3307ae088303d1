"""Reading and sending on threads of their own: what the loop is given, and in which order."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

import pytest

from novate.chain.connection import RpcFault
from novate.chain.ipc import Subscription
from novate.chain.node import LocalNode
from novate.services.post import Background, Direct
from novate.services.reader import Pause, Reader
from novate.wire.records import ChainReorganised

LETTERS = [(b"\1" * 32, b"raw one"), (b"\2" * 32, b"raw two")]


class Node:
    """Answers what it is told to, and remembers what it was sent."""

    def __init__(self) -> None:
        self.sent: list[str] = []
        self.fault: RpcFault | None = None
        self.free = threading.Event()
        self.free.set()
        self.closed = False

    def request_each(self, method: str, rows: list[tuple[str]]) -> list[Any]:
        assert method == "eth_sendRawTransaction" and self.free.wait(5)
        if self.fault is not None:
            raise self.fault
        self.sent += [row[0] for row in rows]
        return [f"answer {row[0]}" for row in rows]

    def close(self) -> None:
        self.closed = True


class Watching:
    """A watcher whose polls are written down before: rows, or a fault."""

    def __init__(self, *polls: Any) -> None:
        self.next_block = 5
        self._polls = list(polls)

    def poll(self) -> list[ChainReorganised]:
        if not self._polls:
            return []
        found = self._polls.pop(0)
        if isinstance(found, Exception):
            raise found
        self.next_block += 1
        return list(found)


class Silent:
    """A bell that nobody rings."""

    def wait(self, seconds: float) -> bool:
        time.sleep(0.001)
        return False


def row(block: int) -> ChainReorganised:
    return ChainReorganised(block)


def test_direct_post_has_its_answers_at_once_and_gives_each_once() -> None:
    node = Node()
    post = Direct(node)  # type: ignore[arg-type]
    post.offer(LETTERS)
    ((hashes, answers),) = post.replies()
    assert hashes == [LETTERS[0][0], LETTERS[1][0]]
    assert answers == [f"answer 0x{raw.hex()}" for _, raw in LETTERS]
    assert post.replies() == []


def test_background_post_does_not_wait_for_a_busy_node() -> None:
    node, told = Node(), threading.Event()
    node.free.clear()
    with Background(node, told.set) as post:  # type: ignore[arg-type]
        for letter in LETTERS:
            post.offer([letter])
        assert post.replies() == [] and node.sent == []
        node.free.set()
        deadline, replies = time.monotonic() + 5, []
        while len(replies) < 2 and time.monotonic() < deadline:
            assert told.wait(5)
            replies += post.replies()
    assert [hashes for hashes, _ in replies] == [[letter[0]] for letter in LETTERS]
    assert node.sent == [f"0x{raw.hex()}" for _, raw in LETTERS], "in their order"
    assert node.closed


def test_a_fault_meets_all_that_went_together() -> None:
    node = Node()
    node.fault = RpcFault("away")
    post = Direct(node)  # type: ignore[arg-type]
    post.offer(LETTERS)
    assert post.replies() == [([letter[0] for letter in LETTERS], node.fault)]


def read(reader: Reader, told: threading.Event) -> Any:
    """The next thing that ``poll`` has to give."""
    assert told.wait(5)
    told.clear()
    return reader.poll()


def test_a_reader_gives_what_was_read_and_stands_behind_it() -> None:
    told, watching = threading.Event(), Watching([row(5)], [], [row(7)])
    reader = Reader(watching, Silent(), told.set)  # type: ignore[arg-type]
    assert (reader.next_block, reader.poll()) == (5, [])
    found: list[Any] = []
    with reader:
        while reader.next_block < 8:
            found += read(reader, told)
    assert found == [row(5), row(7)] and reader.next_block == 8


def test_a_readers_fault_comes_after_what_was_read_before_it() -> None:
    told, fault = threading.Event(), RpcFault("away")
    reader = Reader(Watching([row(5)], fault), Silent(), told.set)  # type: ignore[arg-type]
    with reader:
        deadline = time.monotonic() + 5
        while reader._read.qsize() < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert reader.poll() == [row(5)]
        with pytest.raises(RpcFault) as raised:
            reader.poll()
        assert raised.value is fault and reader.poll() == []


class Stalled(Watching):
    """Answers once, then not until it is let go."""

    def __init__(self) -> None:
        super().__init__([row(5)])
        self.asked, self.free = threading.Event(), threading.Event()

    def poll(self) -> list[ChainReorganised]:
        if self._polls:
            return super().poll()
        self.asked.set()
        assert self.free.wait(5)
        return []


def test_a_reader_whose_node_stalls_holds_nobody_up_and_knows_since_when() -> None:
    watching, told = Stalled(), threading.Event()
    with Reader(watching, Pause(), told.set) as reader:  # type: ignore[arg-type]
        assert read(reader, told) == [row(5)]
        assert watching.asked.wait(5)
        heard, began = reader.heard_at, time.monotonic()
        assert reader.poll() == [] and time.monotonic() - began < 0.1
        assert reader.heard_at == heard <= began
        watching.free.set()
        deadline = time.monotonic() + 5
        while reader.heard_at == heard and time.monotonic() < deadline:
            time.sleep(0.001)
        assert reader.heard_at > heard


def test_a_node_says_that_there_is_a_new_block_and_nobody_needs_to_ask(tmp_path: Path) -> None:
    with LocalNode() as node:
        heads, client = Subscription(node.ipc_path, "newHeads"), node.client()
        while heads.wait(0.2):  # the answer to the subscription itself
            pass
        client.request("evm_mine")
        assert heads.wait(5)
        assert not heads.wait(0.05)
        heads.close()
    began = time.monotonic()
    nobody = Subscription(tmp_path / "nobody.ipc", "newHeads")
    assert not nobody.wait(0.05) and time.monotonic() - began >= 0.05
