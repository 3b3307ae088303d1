"""Reading a journal's files: all of it at once (``Scanner``), or as it grows (``Tail``).

Owns: what is told of a file that is not as it must be. Damage before the last group is corruption:
it is refused with the first wrong record's number. A torn tail is a finding that names file, offset
and bytes; so is what a fenced writer left behind. Neither reader changes a file.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from novate.engine import journal_disk as disk
from novate.engine.journal_frame import RECORD_BYTES_MAX, WORDS, Chain, Head, Record
from novate.engine.journal_segment import (
    HEADER_BYTES,
    Segment,
    is_torn,
    later_group,
    segments,
    written_bytes,
)
from novate.errors import Error, JournalCorrupt, JournalFenced, JournalTorn, Rejected, require

READ_ATTEMPTS = 20
_WINDOW_BYTES = 1 << 16
_WINDOW_BYTES_MAX = 4 * RECORD_BYTES_MAX


@dataclass(frozen=True, slots=True)
class Torn:
    """Finding: the end of a file whose writing was cut short, and which held nothing promised."""

    sequence: int
    file: Path
    offset: int
    bytes_removed: int
    error: Error = JournalTorn

    def __str__(self) -> str:
        where = f"{self.file.name}, offset {self.offset}: {self.bytes_removed} bytes"
        return f"record {self.sequence}: torn, {where} are no record"


@dataclass(frozen=True, slots=True)
class Fenced:
    """Finding: bytes of a writer that had been replaced, behind the record where its epoch ended.

    ``sequence`` is the first record of its successor.
    """

    sequence: int
    file: Path
    offset: int
    bytes_ignored: int
    error: Error = JournalFenced

    def __str__(self) -> str:
        where = f"{self.file.name}, offset {self.offset}: {self.bytes_ignored} bytes"
        return f"record {self.sequence}: {where} of a fenced writer are ignored"


Finding = Torn | Fenced


class Scanner:
    """Reads and checks a whole journal; ``records`` are the good ones, also after a refusal.

    After ``run``, ``offset`` is where the last segment's records end, and ``torn`` says what lies
    behind them, if that is more than room.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chain = Chain()
        self.records: list[Record] = []
        self.segments: list[Segment] = []
        self.offset = HEADER_BYTES
        self.torn: Torn | None = None
        self.findings: list[Finding] = []

    def run(self) -> Scanner:
        """Read everything. Errors: ``JournalCorrupt`` (names the first wrong record)."""
        self.segments = segments(self.path)
        for segment, after in zip(self.segments, [*self.segments[1:], None], strict=True):
            require(
                segment.before == self.chain.head,
                JournalCorrupt,
                f"record {segment.first}: {segment.path.name} follows another record",
            )
            data = segment.path.read_bytes()
            limit = after.first if after else None
            self.offset = self.chain.walk(data, HEADER_BYTES, self.records, limit)
            if after is None:
                self.torn = tail_of(segment, self.chain, data, self.offset)
            else:
                self._cross(segment, after, max(written_bytes(data), self.offset))
        if self.torn is not None:
            self.findings.append(self.torn)
        return self

    def _cross(self, segment: Segment, after: Segment, written: int) -> None:
        """From a segment into the one after it."""
        if self.chain.head.sequence + 1 != after.first:
            raise self.chain.wrong(f"damaged, {segment.path.name} offset {self.offset}")
        if written == self.offset:
            return
        if segment.epoch == after.epoch:
            where = f"{segment.path.name} offset {self.offset}"
            raise self.chain.wrong(f"bytes behind the last record of {where}")
        extra = Fenced(after.first, segment.path, self.offset, written - self.offset)
        self.findings.append(extra)


def tail_of(segment: Segment, chain: Chain, data: bytes, offset: int) -> Torn | None:
    """What lies behind the records of the last segment, if that is more than room.

    Errors: ``JournalCorrupt`` unless it is a torn tail.
    """
    written = written_bytes(data)
    if written <= offset:
        return None
    if not is_torn(data, offset):
        raise chain.wrong(f"damaged, {segment.path.name} offset {offset}")
    return Torn(chain.head.sequence + 1, segment.path, offset, written - offset)


def read_span(path: Path, begin: int, end: int) -> Iterator[Record]:
    """Records ``begin`` to ``end`` - 1 of a journal that holds them, checked again, a segment at a
    time. Errors: ``JournalCorrupt``.
    """
    known = segments(path)
    for segment, after in zip(known, [*known[1:], None], strict=True):
        limit = end if after is None else min(end, after.first)
        if segment.first >= end or limit <= begin:
            continue
        found: list[Record] = []
        chain = Chain(segment.before)
        chain.walk(segment.path.read_bytes(), HEADER_BYTES, found, limit)
        if chain.head.sequence + 1 != limit:
            raise chain.wrong(f"damaged, {segment.path.name}")
        yield from found[max(begin - segment.first, 0) :]


def verify_chain(path: Path, published: Head | None = None) -> Head:
    """Check a whole journal without changing it; returns its head.

    ``published`` is a head seen earlier, which must lie on this chain: a journal cut short or
    rewritten from some record on is consistent in itself, and only such a witness tells.
    Errors: ``JournalCorrupt`` (names the first wrong record), ``JournalTorn``.
    """
    scanner = Scanner(path).run()
    head = scanner.chain.head
    if published is not None and 0 <= published.sequence <= head.sequence:
        found = scanner.records[published.sequence]
        same = found.hash == published.hash
        require(same, JournalCorrupt, f"record {found.sequence}: published hash")
    missing = head.sequence + 1
    require(scanner.torn is None, JournalTorn, f"record {missing}")
    short = published is not None and published.sequence > head.sequence
    require(not short, JournalCorrupt, f"record {missing}: missing, a later one was published")
    return head


class Tail:
    """Follows a journal that another process writes; ``records`` are all it has seen.

    What it reads is written but perhaps not yet durable: a machine that fails takes both processes
    with it, and whoever takes over syncs before anything is answered for.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.chain = Chain()
        self.records: list[Record] = []
        self.segment: Segment | None = None
        self.offset = HEADER_BYTES

    def poll(self) -> list[Record]:
        """Whole records that are new. Errors: ``JournalCorrupt``, once it is certain."""
        seen = len(self.records)
        while self._step():
            pass
        return self.records[seen:]

    def _step(self) -> bool:
        """Read what there is of one segment; whether there may be more."""
        known = segments(self.path) if self.path.exists() else []
        if self.segment is None:
            if not known:
                return False
            self._enter(known[0])
        segment = self.segment
        assert segment is not None
        place = [found.path for found in known].index(segment.path)
        after = known[place + 1] if place + 1 < len(known) else None
        self._read(segment, after.first if after else None)
        if after is None:
            self._require_in_progress(segment)
            return False
        if after.first != self.chain.head.sequence + 1:
            raise self.chain.wrong(f"damaged, {segment.path.name} offset {self.offset}")
        self._enter(after)
        return True

    def _enter(self, segment: Segment) -> None:
        require(
            segment.before == self.chain.head,
            JournalCorrupt,
            f"record {segment.first}: {segment.path.name} follows another record",
        )
        self.segment, self.offset = segment, HEADER_BYTES

    def _read(self, segment: Segment, limit: int | None = None) -> None:
        window = _WINDOW_BYTES
        with segment.path.open("rb") as stream:
            while True:
                data = os.pread(stream.fileno(), window, self.offset)
                used = self.chain.walk(data, 0, self.records, limit)
                self.offset += used
                whole = window == _WINDOW_BYTES_MAX or len(data) < window
                if used == 0 and (whole or not data.strip(b"\0")):
                    return
                window = min(2 * window, _WINDOW_BYTES_MAX)

    def _require_in_progress(self, segment: Segment) -> None:
        """Refuse damage: what follows is no record, though a later group is there."""
        with segment.path.open("rb") as stream:
            rest = os.pread(stream.fileno(), WORDS.size, self.offset)
            if not rest.strip(b"\0"):
                return
            stream.seek(self.offset)
            rest = stream.read()
        if not later_group(rest, 0):
            return
        before = self.chain.head
        self._read(segment)  # it may have been written while it was read
        if self.chain.head == before:
            raise self.chain.wrong(f"damaged, {segment.path.name} offset {self.offset}")

    def finish(self) -> Torn | None:
        """Take what is there as all there will be, durably: the writer has been replaced.

        Returns the torn tail, if there is one. Errors: ``JournalCorrupt``.
        """
        self.poll()
        assert self.segment is not None, "there is a journal to take over"
        path = self.segment.path
        descriptor = os.open(path, os.O_RDWR)
        try:
            os.fsync(descriptor)
            torn = self._settled(self.segment)
            disk.cut(descriptor, self.offset)
        finally:
            os.close(descriptor)
        return torn

    def _settled(self, segment: Segment) -> Torn | None:
        """The end of a segment, read again while a write that was under way still shows in part."""
        for attempt in range(READ_ATTEMPTS):
            data = segment.path.read_bytes()
            self.offset = self.chain.walk(data, self.offset, self.records)
            try:
                return tail_of(segment, self.chain, data, self.offset)
            except Rejected:
                if attempt == READ_ATTEMPTS - 1:
                    raise
        return None

    @property
    def head(self) -> Head:
        """The last record seen."""
        return self.chain.head

    @property
    def next_epoch(self) -> int:
        """The epoch of whoever takes over."""
        return max(s.epoch for s in segments(self.path)) + 1
