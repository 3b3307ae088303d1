"""A venue's hot standby: the engine of a folder's journal, kept where its writer is.

Owns: what is followed in a folder, what a standby says of itself (``standby.json``, for whoever
asks), and the moment it takes over. The engine that follows is the one that goes on: nothing is
replayed. A writer whose process lives is never replaced. Times in milliseconds.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import msgspec

from novate.chain.deployment import Deployment
from novate.engine.journal import Journal
from novate.engine.sequencer import Sequencer
from novate.engine.snapshot import content_of
from novate.engine.standby import Standby
from novate.errors import InvalidParameter, JournalLocked, Rejected, require

FOLLOWS = "follows"
TAKES_OVER = "takes over"
SERVES = "serves"
ENDED = "ended"


class Status(msgspec.Struct, frozen=True):
    """Where a standby is: the last record it took in, SHA-256 of all that decides what its engine
    does next ("" while that would cost time), and ``lag_ms``: how old the newest record was when
    its effect was here.
    """

    state: str
    pid: int
    sequence: int
    state_hash: str
    lag_ms: int
    url: str = ""


def status_file(folder: Path) -> Path:
    """Where the standby of a folder says how it is."""
    return folder / "standby.json"


@dataclass(slots=True)
class HotStandby:
    """Follows the venue of one folder; ``build`` makes its engine in the state of the genesis."""

    folder: Path
    build: Callable[[Deployment], Sequencer]
    clock_ms: Callable[[], int]
    sequencer: Sequencer = field(init=False)
    lag_ms: int = 0
    _standby: Standby = field(init=False)

    def __post_init__(self) -> None:
        found = self.folder / "deployment.json"
        require(found.exists(), InvalidParameter, f"{self.folder} holds no venue to follow")
        self.sequencer = self.build(Deployment.load(found))
        self._standby = Standby(self.folder / "journal.bin", self.sequencer)

    def poll(self) -> int:
        """Take in what is new; how many records. Errors: those of ``Standby.poll``."""
        count = self._standby.poll()
        if count:
            self.lag_ms = max(self.clock_ms() - self._standby.tail.chain.timestamp_ms, 0)
        return count

    @property
    def sequence(self) -> int:
        """The last record taken in."""
        return self._standby.follower.next_sequence - 1

    def status(self, state: str, url: str = "", hashed: bool = False) -> Status:
        """How it is now; with its state's ``hashed`` only where there is time for it."""
        found = sha256(content_of(self.sequencer)).hexdigest() if hashed else ""
        return Status(state, os.getpid(), self.sequence, found, self.lag_ms, url)

    def tell(self, status: Status) -> None:
        """Write it down for others; not synced, for it would hold up the journal's disk."""
        file = status_file(self.folder)
        aside = file.with_name(file.name + ".new")
        with contextlib.suppress(OSError):  # a disk that takes nothing keeps the last word
            aside.write_bytes(msgspec.json.encode(status) + b"\n")
            aside.rename(file)

    def try_promote(self) -> Journal | None:
        """Become the writer; None while another process is. Errors: those of ``Standby.promote``
        but ``JournalLocked``.
        """
        if self._standby.tail.head.sequence < 0:
            return None  # the venue has not begun
        try:
            return self._standby.promote(self.clock_ms)
        except Rejected as refused:
            if refused.error is not JournalLocked:
                raise
            return None


def told(folder: Path) -> Status | None:
    """What the standby of a folder said last, if there is one."""
    try:
        return msgspec.json.decode(status_file(folder).read_bytes(), type=Status)
    except (OSError, msgspec.DecodeError):
        return None
