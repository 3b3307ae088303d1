"""Where a journal's records go on disk: placing, writing, syncing, and the room that is kept.

Owns: the last segment, the spare one after it, and who may use the room when no more can be had.
Room is taken from the disk before it is needed: the whole of a segment at once, and always a spare
segment more. Once the disk gives no other spare, the last ``reserve_bytes`` are kept for what must
not be refused: new orders go first, cancels last (``Need``).
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path
from threading import Lock

from novate.engine import journal_disk as disk
from novate.engine.journal_frame import Head
from novate.engine.journal_lock import WriterLock
from novate.engine.journal_segment import HEADER_BYTES, Segment, next_segment
from novate.errors import JournalFull, RecordTooLarge, Rejected, require

SEGMENT_BYTES = 32 << 20
SEGMENT_BYTES_MIN = 1 << 12


class Need(IntEnum):
    """How much of the reserve must be left for a record to be admitted, in eighths."""

    NEW = 8  # the reserve is not for new orders
    UPKEEP = 4  # prices, batches and what the chain did: read again when there is room
    CANCEL = 1  # the last thing to be refused
    ANSWER = 0  # the events of what was admitted, and what has already happened


NEEDS = {
    "OracleRound": Need.UPKEEP,
    "BatchDue": Need.UPKEEP,
    "ChainReorganised": Need.UPKEEP,
    "ChainTransaction": Need.UPKEEP,
    "DisconnectSet": Need.UPKEEP,
    "SwitchSet": Need.UPKEEP,
    "CancelRequested": Need.CANCEL,
    "OrderRejected": Need.ANSWER,
    "Matched": Need.ANSWER,
    "OrderDone": Need.ANSWER,
    "BatchClosed": Need.ANSWER,
    "Busted": Need.ANSWER,
    "OrderSlid": Need.ANSWER,
    "OrderTriggered": Need.ANSWER,
    "ProtectionTriggered": Need.ANSWER,
    "BatchSubmitted": Need.ANSWER,
}


@dataclass(slots=True)
class File:
    """An open file with room for records: ``offset`` is where the next goes, ``size`` its end."""

    path: Path
    descriptor: int
    offset: int
    size: int

    def close(self) -> None:
        """Let go of it."""
        os.close(self.descriptor)


@dataclass(slots=True)
class _Piece:
    """Records that are written and synced together, and where in which file they go."""

    file: File
    offset: int
    before: Head
    frames: list[bytes] = field(default_factory=list)
    bytes: int = 0
    left: int = field(init=False)  # room behind what is placed

    def __post_init__(self) -> None:
        self.left = self.file.size - self.offset


@dataclass(frozen=True, slots=True)
class Group:
    """All that one commit makes durable; ``head`` is its last record."""

    pieces: list[_Piece]
    head: Head


class Writer:
    """The only hand that writes a journal's segments."""

    def __init__(
        self, journal: Path, lock: WriterLock, last: File, head: Head, segment_bytes: int
    ) -> None:
        assert segment_bytes >= SEGMENT_BYTES_MIN
        self.journal = journal
        self.lock = lock
        self.segment_bytes = segment_bytes
        self.reserve_bytes = segment_bytes // 8
        self._last = last
        self._pieces = [_Piece(last, last.offset, head)]
        self._taken: Group | None = None  # the one under way
        self._spares: list[File] = []
        self._made = 0
        self._making = Lock()
        self._make_spare()

    # Placing

    def place(self, size: int, kind: str, sequence: int, digest: bytes) -> bool:
        """Find room for a record of ``size`` bytes; whether a group begins with it. The record
        before it is ``sequence``, of the hash ``digest``.

        Errors: ``RecordTooLarge`` for an empty segment; ``JournalFull``, ``JournalReadOnly`` when
        what would be left is kept for others.
        """
        piece = self._pieces[-1]
        if piece.left >= size + self.reserve_bytes:
            return not piece.frames
        largest = self.segment_bytes - HEADER_BYTES
        require(size <= largest, RecordTooLarge, f"{size} bytes, a segment holds {largest}")
        keep = self.reserve_bytes * NEEDS.get(kind, Need.NEW) // 8
        if self._room(size) < size + keep:
            refused = self._make_spare(len(self._spares))
            if refused is not None:
                raise refused
        if self._pieces[-1].left < size:
            file = self._spares.pop(0)  # the next write makes another
            self._pieces.append(_Piece(file, file.offset, Head(sequence, digest)))
        return not self._pieces[-1].frames

    def add(self, frame: bytes, size: int) -> None:
        """Put a record where room was found."""
        piece = self._pieces[-1]
        piece.frames.append(frame)
        piece.bytes += size
        piece.left -= size

    def _room(self, size: int) -> int:
        left = self._pieces[-1].left
        spare = sum(file.size - file.offset for file in self._spares)
        return spare + (left if left >= size else 0)

    def _make_spare(self, beside: int = 0) -> Rejected | None:
        """Have a spare segment ready ``beside`` so many; the reason if the disk gives none."""
        with self._making:  # who writes makes one as soon as one is used, who places if it must
            if len(self._spares) > beside:
                return None
            self._made += 1
            name = f"{self.journal.name}.spare.{self.lock.epoch:04}.{self._made}"
            try:
                made = new_file(self.journal.with_name(name), self.segment_bytes)
            except Rejected as refused:
                return refused
            self._spares.append(made)
            return None

    # Writing

    def take(self, head: Head) -> Group | None:
        """What is to be written next: the group under way, if it has been refused, or everything
        placed since the last one; None if that is nothing. ``head`` is the last record placed.
        What is placed from now on goes behind it, into a group of its own.

        Errors: ``JournalFenced``.
        """
        if self._taken is None and (len(self._pieces) > 1 or self._pieces[0].frames):
            last = self._pieces[-1]
            self._taken = Group(self._pieces, head)
            self._pieces = [_Piece(last.file, last.offset + last.bytes, head)]
        if self._taken is not None:
            self.lock.require_held()
        return self._taken

    def write(self, group: Group) -> None:
        """Make the group that was taken durable; another thread may place meanwhile.

        Errors: ``JournalFull`` and ``JournalReadOnly``, after which the same call may be made
        again. It makes as few system calls as it can: behind each, a thread waits for Python's lock
        anew.
        """
        while group.pieces:
            piece = group.pieces[0]
            if piece.file is not self._last:
                self._begin(piece)
            if piece.frames:
                with disk.refusals(piece.file.path.name):
                    disk.write_at(piece.file.descriptor, b"".join(piece.frames), piece.offset)
                disk.sync_data(piece.file.descriptor)
                piece.file.offset = piece.offset + piece.bytes
            del group.pieces[0]
        if not self._spares:
            self._make_spare()

    def written(self) -> None:
        """The group is durable, and counts if the lock is still held: the next one may be taken.

        Errors: ``JournalFenced``.
        """
        self.lock.require_held()
        self._taken = None

    def _begin(self, piece: _Piece) -> None:
        """Turn a spare into the next segment, and cut the one before to its records."""
        old, new = self._last, piece.file
        segment = next_segment(self.journal, self.lock.epoch, piece.before)
        with disk.refusals(old.path.name):
            disk.cut(old.descriptor, old.offset)
        begin(new, segment)
        old.close()
        self._last = new

    def trim(self) -> None:
        """Give the unused room back: the file then ends with its last record."""
        self.lock.require_held()
        disk.cut(self._last.descriptor, self._last.offset)
        for spare in self._spares:
            spare.path.unlink()

    def release(self) -> None:
        """Close the files and the lock, as a crash would."""
        taken = self._taken.pieces if self._taken is not None else []
        held = [self._last, *self._spares, *(piece.file for piece in (*taken, *self._pieces))]
        for descriptor in sorted({file.descriptor for file in held}):
            os.close(descriptor)
        self._pieces, self._spares = [], []
        self.lock.release()


def new_file(path: Path, size: int) -> File:
    """A file of that size, its room taken. Errors: ``JournalFull``, ``JournalReadOnly``."""
    with disk.refusals(path.name):
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
        try:
            disk.allocate(descriptor, size)
        except BaseException:
            os.close(descriptor)
            path.unlink()
            raise
    return File(path, descriptor, HEADER_BYTES, size)


def begin(file: File, segment: Segment) -> None:
    """Turn a prepared file into a segment: under its name it is there whole, or not at all.

    May be called again after a refusal. Errors: ``JournalFull``, ``JournalReadOnly``.
    """
    with disk.refusals(segment.path.name):
        disk.write_at(file.descriptor, segment.header(), 0)
        disk.sync_data(file.descriptor)
        file.path.rename(segment.path)
    file.path = segment.path
    disk.sync_folder(segment.path.parent)


def reopen(path: Path, offset: int, size: int, torn: bool) -> File:
    """The last segment of a journal, a torn tail cut off, its room taken if the disk gives it.

    Errors: ``JournalReadOnly``.
    """
    with disk.refusals(path.name):
        descriptor = os.open(path, os.O_RDWR)
        try:
            if torn:
                disk.cut(descriptor, offset)
            _allocate_if_it_can(descriptor, size)
            # a crash may have left records written but not synced: what will be read is durable
            os.fsync(descriptor)
        except BaseException:
            os.close(descriptor)
            raise
    return File(path, descriptor, offset, os.fstat(descriptor).st_size)


def _allocate_if_it_can(descriptor: int, size: int) -> None:
    try:
        with disk.refusals("room"):
            disk.allocate(descriptor, size)
    except Rejected as refused:
        if refused.error is not JournalFull:
            raise
