"""Nonces: each used once, over all threads and processes that trade for an account.

Owns: the allocator. With a file, a block of nonces is reserved under a lock on that file and
written down before it is used, so that two processes, or one that crashed, never use one twice; a
crash leaves at most a block unused, which costs nothing. Without a file, nonces begin at the
clock's microseconds, which suits one process with a clock that does not run backwards.
"""

from __future__ import annotations

import fcntl
import os
import threading
import time
from pathlib import Path

BLOCK = 256
LIMIT = 2**63


class Nonces:
    """Nonces of one account, ascending."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._next = 0 if path else time.time_ns() // 1_000  # division: to microseconds
        self._end = 0 if path else LIMIT

    def take(self) -> int:
        """A nonce nobody else gets. Errors: ``OSError``, ``ValueError`` for a damaged file."""
        with self._lock:
            if self._next >= self._end:
                self._reserve()
            found = self._next
            self._next += 1
            return found

    def _reserve(self) -> None:
        assert self._path is not None
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            file.seek(0)
            text = file.read().strip()
            if text and not text.isdecimal():
                raise ValueError(f"{self._path} holds no nonce: {text[:32]!r}")
            start = max(int(text or "0"), time.time_ns() // 1_000)  # division: to microseconds
            file.seek(0)
            file.truncate()
            file.write(f"{start + BLOCK}\n")
            file.flush()
            os.fsync(file.fileno())
        self._next, self._end = start, start + BLOCK
