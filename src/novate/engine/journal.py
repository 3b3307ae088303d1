"""The journal: an append-only, hash-chained log, the only state shared between services.

Owns: the order of all commands. Record ``n`` carries the hash of record ``n - 1``, so the head's
hash commits to everything before it. The modules behind it, in reading order: ``journal_frame``
(one record), ``journal_segment`` (one file), ``journal_scan`` (reading), ``journal_lock`` (who
writes), ``journal_disk`` (system calls), ``journal_writer`` (where records go). What is promised,
and what happens when: docs/journal.md.

Durability: ``append`` only buffers; ``commit`` writes the group and returns after an ``fdatasync``.
Readers see durable records only: nothing is acted upon that a crash could take back. Time is
injected, in milliseconds, and never runs backwards within a journal.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import chain
from pathlib import Path
from types import TracebackType

from novate.engine import journal_disk as disk
from novate.engine.journal_frame import (
    EMPTY,
    GENESIS_KIND,
    KIND_BYTES_MAX,
    RECORD_BYTES_MAX,
    Chain,
    Head,
    Record,
    frame,
    frame_bytes,
)
from novate.engine.journal_lock import WriterLock, one_successor
from novate.engine.journal_scan import Finding, Scanner, Tail, Torn, read_span, verify_chain
from novate.engine.journal_segment import Segment, next_segment
from novate.engine.journal_writer import SEGMENT_BYTES, Group, Writer, begin, new_file, reopen
from novate.errors import Rejected

__all__ = [
    "EMPTY",
    "GENESIS_KIND",
    "KIND_BYTES_MAX",
    "RECORD_BYTES_MAX",
    "Cursor",
    "Group",
    "Head",
    "Journal",
    "Record",
    "Scanner",
    "Torn",
    "remove",
    "verify_chain",
]

ClockMs = Callable[[], int]
KEPT = 1 << 12  # records in memory, and an eighth more, so that few are let go at once
_SPARE = re.compile(r"\.spare\.(\d+)\.\d+")


class Journal:
    """One open journal: the single writer of its files, with the last records in memory for
    followers; once it has grown, older ones are read from the files again.

    Use from one thread (``write`` apart). After a failed sync, or once fenced, the object refuses
    further use: reopen it. A full or read-only disk only refuses; the same call works again when
    there is room.
    """

    def __init__(
        self, writer: Writer, read: Chain, records: list[Record], clock_ms: ClockMs
    ) -> None:
        self._writer = writer
        self._clock_ms = clock_ms
        self._records = records
        self._first = read.head.sequence + 1 - len(records)
        self.sequence = read.head.sequence  # of the last appended record, durable or not
        self._hash = read.head.hash
        self._durable = read.head
        self._timestamp_ms = read.timestamp_ms
        self._usable = True
        self._refused = self._closed = False
        self.torn: Torn | None = None
        self.findings: list[Finding] = []

    @classmethod
    def open(
        cls,
        path: Path,
        clock_ms: ClockMs,
        create: bool = True,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Journal:
        """Lock, verify and load; ``findings`` then report a tail that was cut off, or ignored.

        Errors: ``JournalLocked``, ``JournalCorrupt``, ``JournalFull``, ``JournalReadOnly``;
        ``FileNotFoundError`` unless ``create``.
        """
        if not create and not path.exists():
            raise FileNotFoundError(f"no journal {path}")
        with disk.refusals(path.name):
            lock = WriterLock.take(path)
        try:
            if not path.exists():
                first = new_file(path.with_name(path.name + ".new"), segment_bytes)
                begin(first, Segment(path, max(lock.epoch, 1), EMPTY))
                first.close()
            return cls._load(path, lock, clock_ms, segment_bytes)
        except BaseException:
            lock.release()
            raise

    @classmethod
    def _load(cls, path: Path, lock: WriterLock, clock_ms: ClockMs, size: int) -> Journal:
        scanner = Scanner(path).run()
        lock.epoch = max(lock.epoch, scanner.segments[-1].epoch)
        _remove_spares(path, lock.epoch)
        last = scanner.segments[-1].path
        file = reopen(last, scanner.offset, size, scanner.torn is not None)
        disk.sync_folder(path.parent)
        writer = Writer(path, lock, file, scanner.chain.head, size)
        journal = cls(writer, scanner.chain, scanner.records, clock_ms)
        journal.torn, journal.findings = scanner.torn, scanner.findings
        return journal

    @classmethod
    def take_over(
        cls,
        tail: Tail,
        clock_ms: ClockMs,
        force: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Journal:
        """Go on with the journal that ``tail`` has followed, in a new epoch and a new segment.

        ``force`` also replaces a writer whose process lives: it is fenced, and what it has
        acknowledged is kept. Errors: ``JournalLocked`` without it; ``JournalFull`` and
        ``JournalReadOnly`` before anybody is fenced; ``JournalCorrupt``.
        """
        path = tail.path
        tail.poll()
        with one_successor(path), disk.refusals(path.name), ExitStack() as undo:
            free = None if force else WriterLock.take(path)
            undo.callback(free.release if free else lambda: None)
            file = new_file(path.with_name(path.name + ".successor.new"), segment_bytes)
            undo.callback(file.close)
            lock = WriterLock.seize(path, tail.next_epoch)
            undo.callback(lock.release)
            torn = tail.finish()
            begin(file, next_segment(path, lock.epoch, tail.head))
            writer = Writer(path, lock, file, tail.head, segment_bytes)
            undo.pop_all()
        if free is not None:
            free.release()
        journal = cls(writer, tail.chain, tail.records, clock_ms)
        if torn is not None:
            journal.torn, journal.findings = torn, [torn]
        return journal

    @property
    def head(self) -> Head:
        """The last appended record, durable or not."""
        return Head(self.sequence, self._hash)

    @property
    def durable(self) -> Head:
        """The last record that a crash cannot take back."""
        return self._durable

    @property
    def path(self) -> Path:
        """The first segment, whose name all other files of the journal begin with."""
        return self._writer.journal

    @property
    def epoch(self) -> int:
        """How many writers have succeeded one another, this one included."""
        return self._writer.lock.epoch

    def append(self, kind: str, payload: bytes) -> Record:
        """Number, chain and buffer a record; readers see it after ``commit``.

        The first record must be the genesis. Nothing is appended by a refusal: ``RecordTooLarge``;
        ``JournalFull`` or ``JournalReadOnly``, which new orders meet first and cancels last.
        """
        assert self._usable, "the journal failed or is closed: reopen it"
        if self._refused:
            self.commit()
        previous, sequence = self._hash, self.sequence + 1
        assert (kind == GENESIS_KIND) == (sequence == 0), "the genesis comes first and once"
        size = frame_bytes(kind, payload)
        begins = self._writer.place(size, kind, self.sequence, previous)
        timestamp_ms = self._timestamp_ms = max(self._timestamp_ms, self._clock_ms())
        data, digest = frame(sequence, timestamp_ms, kind, payload, previous, begins)
        self._writer.add(data, size)
        record = Record(sequence, timestamp_ms, kind, payload, previous, digest)
        self._records.append(record)
        self.sequence, self._hash = sequence, digest
        if len(self._records) > KEPT + KEPT // 8:  # division: down
            self._let_go()
        return record

    def _let_go(self) -> None:
        """Hold the last records alone, and those that are not on the disk yet."""
        first = min(self.sequence + 1 - KEPT, self._durable.sequence + 1)
        del self._records[: first - self._first]
        self._first = first

    def commit(self) -> Head:
        """Write everything appended and wait for the disk; only now may it be acknowledged.

        Errors: ``JournalFenced``, and the journal is of no further use; ``JournalFull`` and
        ``JournalReadOnly``, and what was appended waits for the next ``commit``.
        """
        while (group := self.begin_commit()) is not None:
            with self.committing(group):
                self.write(group)
        return self._durable

    # A commit in steps, so that the disk is waited for in another thread

    def begin_commit(self) -> Group | None:
        """What a commit has to ``write`` next, one group after the other; None if all is durable.
        What is appended from now on is none of it. Errors: ``JournalFenced``.
        """
        assert self._usable, "the journal failed or is closed: reopen it"
        try:
            return self._writer.take(self.head)
        except BaseException:
            self._usable = False
            raise

    def write(self, group: Group) -> None:
        """Write a group and wait for the disk; the one thing that another thread may call.

        Errors: ``JournalFull``, ``JournalReadOnly``, for ``committing`` to see.
        """
        self._writer.write(group)

    @contextmanager
    def committing(self, group: Group) -> Iterator[None]:
        """Within it a group is written, or ``write`` is waited for; then it is durable.

        A refusal leaves the group to the next ``begin_commit``; another failure ends the journal.
        """
        try:
            yield
            self._writer.written()
        except Rejected as refused:
            self._refused = self._usable = refused.error.retryable
            raise
        except BaseException:
            self._usable = False
            raise
        self._durable, self._refused = group.head, False

    def read(self, from_sequence: int = 0, limit: int | None = None) -> Iterator[Record]:
        """Durable records from a sequence on, as of now (cheap when there are none, or they are
        among the last). Errors: ``JournalCorrupt``, if old ones were damaged since it was opened.
        """
        assert from_sequence >= 0
        end = self._durable.sequence + 1
        if limit is not None:
            end = min(end, from_sequence + limit)
        if from_sequence >= end:
            return iter(())
        begin = max(from_sequence - self._first, 0)
        held = self._records[begin : max(end - self._first, 0)]
        if from_sequence >= self._first:
            return iter(held)
        return chain(read_span(self.path, from_sequence, min(self._first, end)), held)

    def close(self) -> None:
        """Commit what was appended, give unused room back, and let the next one write."""
        try:
            if self._usable:
                self.commit()
                self._writer.trim()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Let go of everything as a crash would: what was not committed is dropped."""
        self._usable = False
        if not self._closed:
            self._closed = True
            self._writer.release()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close; after an exception the uncommitted records are dropped, as in a crash."""
        if kind is None:
            self.close()
        else:
            self.abandon()


class Cursor:
    """One follower's place in a journal."""

    def __init__(self, journal: Journal, sequence: int = 0) -> None:
        self.journal = journal
        self.sequence = sequence

    def poll(self, limit: int | None = None) -> list[Record]:
        """The durable records not yet seen, at most ``limit``; moves past them."""
        if self.sequence > self.journal.durable.sequence:
            return []
        found = list(self.journal.read(self.sequence, limit))
        self.sequence += len(found)
        return found


def remove(path: Path) -> None:
    """Delete a journal with all that lies beside it under its name. For tests and demos."""
    for file in path.parent.glob(path.name + "*"):
        file.unlink()


def _remove_spares(path: Path, epoch: int) -> None:
    """Room that earlier writers had prepared and never used; a later one's is not ours to touch."""
    for file in path.parent.glob(path.name + ".spare.*"):
        found = _SPARE.fullmatch(file.name[len(path.name) :])
        if found is not None and int(found[1]) <= epoch:
            file.unlink()
