"""What the journal asks of a disk, and what it does when the disk refuses.

Owns: every system call that writes. A disk that is full or read-only is a coded refusal, after
which the same call may be tried again; every other failure stays an ``OSError`` and halts the
journal. After a failed sync nothing says what the disk holds, so a sync is never tried twice.
"""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from novate.errors import JournalFull, JournalReadOnly, Rejected

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_ZEROS = bytes(1 << 20)


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """Turns a full or read-only disk into ``JournalFull`` or ``JournalReadOnly``."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise Rejected(JournalFull, f"{what}: {error.strerror}") from error
        if error.errno == errno.EROFS:
            raise Rejected(JournalReadOnly, f"{what}: {error.strerror}") from error
        raise


def allocate(descriptor: int, size: int) -> None:
    """Make the file at least that long, zeros at its end, its blocks taken from the disk now."""
    held = os.fstat(descriptor).st_size
    if held >= size:
        return
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(descriptor, held, size - held)
    else:
        while held < size:
            held += os.pwrite(descriptor, _ZEROS[: size - held], held)
    os.fsync(descriptor)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """Write all of it; the same call again after a refusal leaves no trace of the first."""
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[written:], offset + written


def sync_data(descriptor: int) -> None:
    """Wait until the disk holds what was written."""
    # macOS has no fdatasync, and its fsync stops at the drive's cache.
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the disk holds the folder's names."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def cut(descriptor: int, size: int) -> None:
    """Shorten the file, durably."""
    os.ftruncate(descriptor, size)
    os.fsync(descriptor)


def write_whole(path: Path, data: bytes) -> None:
    """A file that is there whole or not at all: written aside, synced, renamed, folder synced."""
    aside = path.with_name(path.name + ".new")
    descriptor = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        write_at(descriptor, data, 0)
        os.fsync(descriptor)
    except BaseException:
        aside.unlink()
        raise
    finally:
        os.close(descriptor)
    aside.rename(path)
    sync_folder(path.parent)
