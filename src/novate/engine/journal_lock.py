"""Who may write a journal: one process, by a lock file beside it and an epoch number in it.

Owns: ``<journal>.lock``. Its writer holds an ``flock`` on it, which ends with the process. One that
is paused or lost keeps that lock, so whoever takes over replaces the file by one of its own with
the next epoch; a writer acknowledges only while the file it holds still bears the name. The
successor replaces the file first and reads the journal's tail afterwards; the writer syncs first
and looks at the file afterwards: so a record is in the successor's tail or is not acknowledged.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novate.engine.journal_disk import sync_folder
from novate.errors import JournalFenced, JournalLocked, Rejected, require


def lock_path(path: Path) -> Path:
    """The lock file of a journal."""
    return path.with_name(path.name + ".lock")


class WriterLock:
    """The right to write one journal, under one epoch."""

    def __init__(self, path: Path, descriptor: int, epoch: int) -> None:
        self._path = path
        self._descriptor = descriptor
        mine = os.fstat(descriptor)
        self._identity = mine.st_dev, mine.st_ino
        self.epoch = epoch

    @classmethod
    def take(cls, journal: Path) -> WriterLock:
        """Take a lock that nobody holds. Errors: ``JournalLocked``."""
        path = lock_path(journal)
        lock = cls(path, os.open(path, os.O_RDWR | os.O_CREAT, 0o600), 0)
        try:
            _flock(lock._descriptor, journal)
            # it may have been replaced between opening and locking
            require(lock._held, JournalLocked, str(journal))
            lock.epoch = _epoch_of(path)
        except BaseException:
            lock.release()
            raise
        return lock

    @classmethod
    def seize(cls, journal: Path, epoch: int) -> WriterLock:
        """Put a lock of that epoch, or a later one, in the place of whatever is there.

        Its holder is fenced from now on.
        """
        path = lock_path(journal)
        if path.exists():
            epoch = max(epoch, _epoch_of(path) + 1)
        aside = path.with_name(path.name + ".new")
        descriptor = os.open(aside, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            _flock(descriptor, journal)
            os.pwrite(descriptor, b"%d\n" % epoch, 0)
            os.fsync(descriptor)
            aside.rename(path)
            sync_folder(path.parent)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, descriptor, epoch)

    @property
    def _held(self) -> bool:
        try:
            there = os.stat(self._path)
        except FileNotFoundError:
            return False
        return (there.st_dev, there.st_ino) == self._identity

    def require_held(self) -> None:
        """Errors: ``JournalFenced`` once another process has taken over."""
        if not self._held:
            raise Rejected(JournalFenced, f"epoch {self.epoch}: {self._path}")

    def release(self) -> None:
        """Let the next one write."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextmanager
def one_successor(journal: Path) -> Iterator[None]:
    """Only one process at a time takes over in a folder. Errors: ``JournalLocked``."""
    descriptor = os.open(journal.parent, os.O_RDONLY)
    try:
        _flock(descriptor, journal)
        yield
    finally:
        os.close(descriptor)


def _flock(descriptor: int, journal: Path) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise Rejected(JournalLocked, str(journal)) from None


def _epoch_of(path: Path) -> int:
    """The number in a lock file; 0 in one that was never seized."""
    text = path.read_bytes().strip()
    return int(text) if text.isdigit() else 0
