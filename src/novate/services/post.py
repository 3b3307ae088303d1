"""How transactions reach the node: at once, or on a thread of its own.

Owns: the way of raw transactions and of the node's answers. A node that is mining answers nothing
else (anvil holds its state for as long as a block takes), so a settler that waits for it plans
nothing meanwhile: ``Background`` has a thread and a connection of its own, and answers are taken
when they are there. What an answer means is the settler's to say.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import SimpleQueue
from typing import Any, Protocol

from novate.chain.client import Client
from novate.chain.connection import RpcFault
from novate.chain.rows import hexed

Letter = tuple[bytes, bytes]  # a transaction's hash and its bytes
# hashes that went together, and the node's answer to each, or the fault that met them all
Reply = tuple[list[bytes], list[Any] | RpcFault]


class Post(Protocol):
    """A way to the node."""

    def offer(self, letters: Sequence[Letter]) -> None:
        """Hand transactions over, in their order."""
        ...

    def replies(self) -> list[Reply]:
        """What has been answered since the last call."""
        ...


class Direct:
    """Sends while the caller waits."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._replies: list[Reply] = []

    def offer(self, letters: Sequence[Letter]) -> None:
        """Hand transactions over and wait."""
        self._replies.append(_send(self._client, letters))

    def replies(self) -> list[Reply]:
        """What was answered."""
        found, self._replies = self._replies, []
        return found


class Background:
    """Sends on a thread over a connection of its own; ``told`` is called on it after each answer.

    A context manager: what is offered and not sent when it ends is sent by the settler that follows
    the journal next.
    """

    def __init__(self, client: Client, told: Callable[[], None]) -> None:
        self._client = client
        self._told = told
        self._letters: SimpleQueue[list[Letter] | None] = SimpleQueue()
        self._answered: SimpleQueue[Reply] = SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="settlement post", daemon=True)

    def __enter__(self) -> Background:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._letters.put(None)
        self._thread.join()
        self._client.close()

    def offer(self, letters: Sequence[Letter]) -> None:
        """Hand transactions to the thread."""
        self._letters.put(list(letters))

    def replies(self) -> list[Reply]:
        """What has been answered by now."""
        return [self._answered.get() for _ in range(self._answered.qsize())]

    def _run(self) -> None:
        while (letters := self._letters.get()) is not None:
            self._answered.put(_send(self._client, letters))
            self._told()


def _send(client: Client, letters: Sequence[Letter]) -> Reply:
    hashes = [transaction for transaction, _ in letters]
    try:
        rows = [(hexed(raw),) for _, raw in letters]
        return hashes, client.request_each("eth_sendRawTransaction", rows)
    except RpcFault as fault:
        return hashes, fault
