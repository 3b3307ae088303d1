"""Nonces: each used once, over all threads and processes that trade for an account.

Owns: the allocator. Nonces are claimed by whole blocks of 256, aligned, so that a busy account
fills the words in which the contract keeps them. By default a file in the user's state folder says,
under a lock, what is claimed, before any of it is used: two processes, or one that crashed, never
use one twice; a crash leaves at most a block unused, which costs nothing. A process begins at

    second 33 | chance 22 | 0 8

so nonces ascend with time (the contract's floor only rises) and two machines, or processes that can
write no file, do not meet either. A forked process claims its own.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import threading
import time
from pathlib import Path

BLOCK = 256
CHANCE_BITS = 22
LIMIT = 2**63


def state_file(account: int) -> Path:
    """Where the nonces of an account are claimed by default."""
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    return Path(base) / "novate" / f"nonces-{account:064x}"


class Nonces:
    """Nonces of one account, ascending; ``strict``: without its file it gives none."""

    def __init__(self, path: Path | None = None, strict: bool = True) -> None:
        self._path, self._strict = path, strict
        self._lock = threading.Lock()
        self._next = self._end = self._process = 0

    @classmethod
    def of(cls, account: int) -> Nonces:
        """Those of an account by the file in the state folder; without it, if none can be there."""
        return cls(state_file(account), strict=False)

    def take(self) -> int:
        """A nonce nobody else gets. Errors: ``OSError``, ``ValueError`` for a damaged file."""
        with self._lock:
            if self._next >= self._end or self._process != os.getpid():
                self._claim()
            found = self._next
            self._next += 1
            return found

    def leave(self) -> None:
        """Go on elsewhere: what is left of the block has been used by somebody else."""
        with self._lock:
            self._next = self._end = self._process = 0

    def _claim(self) -> None:
        """The next block: behind the last one of this process, or a new place."""
        least = self._end if self._process == os.getpid() else _new_place()
        start = least
        if self._path is not None:
            with contextlib.nullcontext() if self._strict else contextlib.suppress(OSError):
                start = _claimed(self._path, least)
        if start + BLOCK > LIMIT:
            raise ValueError(f"{self._path} is at the end of all nonces")
        self._next, self._end, self._process = start, start + BLOCK, os.getpid()


def _new_place() -> int:
    return (int(time.time()) << CHANCE_BITS | secrets.randbits(CHANCE_BITS)) * BLOCK


def _claimed(path: Path, least: int) -> int:
    """Claim a block at ``least`` or above, behind all that are claimed; where it begins."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        file.seek(0)
        text = file.read().strip()
        if text and not text.isdecimal():
            raise ValueError(f"{path} holds no nonce: {text[:32]!r}")
        start = max(least, -(-int(text or "0") // BLOCK) * BLOCK)  # division: up to a whole block
        # in place, and no number is shorter than the one before: without room the old one stands
        file.seek(0)
        file.write(f"{start + BLOCK}\n")
        file.flush()
        file.truncate()
        os.fsync(file.fileno())
    return start
