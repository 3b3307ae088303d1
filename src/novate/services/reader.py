"""A watcher that reads on a thread of its own, so that a slow node holds up nothing else.

Owns: the thread. It stands in for the watcher in the settlement loop: ``poll`` gives what has been
read since, in the chain's order, and raises what reading met, each fault once. ``next_block`` is
behind what ``poll`` has given, not behind what the thread has read: whoever asks the node about a
block up to there has seen what is in it. Between blocks the thread waits for the node to say that
there is a new one, or looks again after a pause.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Protocol

from novate.services.watch import Watcher
from novate.wire.records import ChainReorganised, ChainTransaction

PAUSE_SECONDS = 0.1
FAULT_SECONDS = 0.25

Row = ChainTransaction | ChainReorganised


class Bell(Protocol):
    """Says that something may be new."""

    def wait(self, seconds: float) -> bool:
        """Wait until it does, or for so long."""
        ...


class Pause:
    """A bell where the node says nothing by itself: waits as long as it may."""

    def wait(self, seconds: float) -> bool:
        """Wait for so long."""
        time.sleep(seconds)
        return False


class Reader:
    """A context manager; ``told`` is called on the thread when ``poll`` has something to give.
    ``heard_at``: the last reading without a fault, on the process's clock (seconds).
    """

    def __init__(self, watcher: Watcher, bell: Bell, told: Callable[[], None]) -> None:
        self._watcher = watcher
        self._bell = bell
        self._told = told
        self._read: SimpleQueue[tuple[list[Row], int] | Exception] = SimpleQueue()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="settlement reader", daemon=True)
        self.next_block = watcher.next_block
        self.heard_at = time.monotonic()

    def __enter__(self) -> Reader:
        self.next_block = self._watcher.next_block
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def poll(self) -> list[Row]:
        """What has been read since the last poll. Errors: those of ``Watcher.poll``."""
        found: list[Row] = []
        while not self._read.empty():
            item = self._read.get()
            if isinstance(item, Exception):
                if not found:
                    raise item
                self._read.put(item)  # after what was read before it
                break
            rows, self.next_block = item
            found += rows
        return found

    def _run(self) -> None:
        told = self._watcher.next_block
        while not self._over.is_set():
            try:
                rows = self._watcher.poll()
            except Exception as fault:  # told where the loop handles them
                self._read.put(fault)
                self._told()
                self._over.wait(FAULT_SECONDS)
                continue
            self.heard_at = time.monotonic()
            if rows or self._watcher.next_block != told:
                told = self._watcher.next_block
                self._read.put((list(rows), told))
                self._told()
            else:
                self._bell.wait(PAUSE_SECONDS)
