"""The journal: an append-only, hash-chained file, the only state shared between services.

Owns: the order of all commands. Record ``n`` carries the hash of record ``n - 1``, so the head's
hash commits to everything before it. A frame on disk is

    length u32 | crc32 of length u32 | body | hash 32     (big-endian; length of body and hash)
    body = sequence u64 | timestamp_ms u64 | previous hash 32 | kind length u8 | kind | payload
    hash = sha256(body); the first record (sequence 0, kind ``Genesis``) follows ``SEED``.

Durability: ``append`` only buffers; ``commit`` writes the group and returns after an ``fdatasync``.
Readers see durable records only: nothing is acted upon that a crash could take back.

Recovery: a tail is *torn* when its record's hash was never written, that is, when every byte from
there to the end of the file is missing or zero (a file that grew before its data arrived); it held
nothing acknowledged and is cut off with a finding. Everything else that is wrong is corruption,
names the first wrong record, and is never repaired silently. Time is injected, in milliseconds, and
never runs backwards within a journal.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

import msgspec

from novate.errors import (
    Error,
    JournalCorrupt,
    JournalLocked,
    JournalTorn,
    RecordTooLarge,
    Rejected,
    require,
)

GENESIS_KIND = "Genesis"
RECORD_BYTES_MAX = 1 << 20
KIND_BYTES_MAX = 64
SEED = sha256(b"novate journal 1").digest()

_FRAME = struct.Struct(">II")
_BODY = struct.Struct(">QQ32sB")
_HASH_BYTES = 32
_LENGTH_MIN = _BODY.size + 1 + _HASH_BYTES
_CHUNK_BYTES = 1 << 20


class Record(msgspec.Struct, frozen=True, gc=False):
    """One numbered entry; ``payload`` is opaque here (``wire/records.py`` gives it meaning)."""

    sequence: int
    timestamp_ms: int
    kind: str
    payload: bytes
    previous_hash: bytes
    hash: bytes


@dataclass(frozen=True, slots=True)
class Head:
    """The last record's number and hash; an empty journal has sequence −1 and the seed."""

    sequence: int
    hash: bytes


EMPTY = Head(-1, SEED)


@dataclass(frozen=True, slots=True)
class Torn:
    """Finding: the incomplete tail that ``Journal.open`` cut off."""

    sequence: int
    offset: int
    bytes_removed: int
    error: Error = JournalTorn


def _frame(
    sequence: int, timestamp_ms: int, kind: str, payload: bytes, previous: bytes
) -> tuple[bytes, bytes]:
    """The record's bytes on disk, and its hash."""
    name = kind.encode("ascii")
    require(0 < len(name) <= KIND_BYTES_MAX, RecordTooLarge, f"kind of {len(name)} bytes")
    body = _BODY.pack(sequence, timestamp_ms, previous, len(name)) + name + payload
    length = len(body) + _HASH_BYTES
    require(length <= RECORD_BYTES_MAX, RecordTooLarge, f"{length} bytes")
    digest = sha256(body).digest()
    size = length.to_bytes(4, "big")
    return size + zlib.crc32(size).to_bytes(4, "big") + body + digest, digest


class Scanner:
    """Walks a journal file and checks every record against the one before.

    After the walk ``head`` is the last good record, ``offset`` the byte after it, and ``torn`` says
    whether an incomplete tail follows. Raises ``JournalCorrupt`` naming the first wrong record.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.head = EMPTY
        self.timestamp_ms = 0
        self.offset = 0
        self.torn = False

    def __iter__(self) -> Iterator[Record]:
        while header := self._stream.read(_FRAME.size):
            record = self._next(header)
            if record is None:
                self.torn = True
                return
            yield record

    def _next(self, header: bytes) -> Record | None:
        """The record behind ``header``, or None for a torn tail."""
        if len(header) < _FRAME.size:
            return None
        length, check = _FRAME.unpack(header)
        if zlib.crc32(header[:4]) != check:
            self._require_unwritten(header, "frame")
            return None
        if not _LENGTH_MIN <= length <= RECORD_BYTES_MAX:
            raise self._wrong("length")
        data = self._stream.read(length)
        if len(data) < length:
            return None
        body, digest = data[:-_HASH_BYTES], data[-_HASH_BYTES:]
        if sha256(body).digest() != digest:
            self._require_unwritten(digest, "hash")
            return None
        self.offset += _FRAME.size + length
        return self._accept(body, digest)

    def _accept(self, body: bytes, digest: bytes) -> Record:
        sequence, timestamp_ms, previous, kind_length = _BODY.unpack_from(body)
        split = _BODY.size + kind_length
        if sequence != self.head.sequence + 1:
            raise self._wrong(f"number {sequence} found")
        if previous != self.head.hash:
            raise self._wrong("previous hash")
        if timestamp_ms < self.timestamp_ms:
            raise self._wrong("timestamp")
        if not 0 < kind_length <= min(KIND_BYTES_MAX, len(body) - _BODY.size):
            raise self._wrong("kind")
        kind = body[_BODY.size : split].decode("ascii", "replace")
        if (sequence == 0) != (kind == GENESIS_KIND):
            raise self._wrong("the genesis comes first and once")
        self.head = Head(sequence, digest)
        self.timestamp_ms = timestamp_ms
        return Record(sequence, timestamp_ms, kind, body[split:], previous, digest)

    def _wrong(self, what: str) -> Rejected:
        return Rejected(JournalCorrupt, f"record {self.head.sequence + 1}: {what}")

    def _require_unwritten(self, data: bytes, what: str) -> None:
        if any(data) or not self._rest_is_zero():
            raise self._wrong(what)

    def _rest_is_zero(self) -> bool:
        while chunk := self._stream.read(_CHUNK_BYTES):
            if any(chunk):
                return False
        return True


def verify_chain(path: Path, published: Head | None = None) -> Head:
    """Check a whole journal file without changing it; returns its head.

    ``published`` is a head seen earlier, which must lie on this chain: a journal cut short or
    rewritten from some record on is consistent in itself, and only such a witness tells.
    Errors: ``JournalCorrupt`` (names the first wrong record), ``JournalTorn``.
    """
    with path.open("rb") as stream:
        scanner = Scanner(stream)
        for record in scanner:
            if published is not None and record.sequence == published.sequence:
                require(
                    record.hash == published.hash,
                    JournalCorrupt,
                    f"record {record.sequence}: published hash",
                )
        missing = scanner.head.sequence + 1
        require(not scanner.torn, JournalTorn, f"record {missing}")
        short = published is not None and published.sequence > scanner.head.sequence
        require(not short, JournalCorrupt, f"record {missing}: missing, a later one was published")
    return scanner.head


class Journal:
    """One open journal: the single writer of its file, with all records in memory for followers.

    Use from one thread. A failed write or sync leaves the file's end unknown, so the object refuses
    further use: reopen it.
    """

    def __init__(
        self,
        descriptor: int,
        scanner: Scanner,
        records: list[Record],
        clock_ms: Callable[[], int],
        torn: Torn | None,
    ) -> None:
        self._descriptor = descriptor
        self._clock_ms = clock_ms
        self._records = records
        self._buffer: list[bytes] = []
        self._head = self._durable = scanner.head
        self._timestamp_ms = scanner.timestamp_ms
        self._usable = True
        self.torn = torn

    @classmethod
    def open(cls, path: Path, clock_ms: Callable[[], int], create: bool = True) -> Journal:
        """Lock, verify and load; ``torn`` then reports a tail that was cut off.

        Errors: ``JournalLocked``, ``JournalCorrupt``; ``FileNotFoundError`` unless ``create``.
        """
        descriptor = os.open(path, os.O_RDWR | os.O_APPEND | (os.O_CREAT if create else 0), 0o600)
        try:
            return cls._load(path, descriptor, clock_ms)
        except BaseException:
            os.close(descriptor)
            raise

    @classmethod
    def _load(cls, path: Path, descriptor: int, clock_ms: Callable[[], int]) -> Journal:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Rejected(JournalLocked, str(path)) from None
        with path.open("rb") as stream:
            scanner = Scanner(stream)
            records = list(scanner)
        torn = None
        if scanner.torn:
            torn = Torn(len(records), scanner.offset, os.fstat(descriptor).st_size - scanner.offset)
            os.ftruncate(descriptor, scanner.offset)
        # A crash may have left records written but not synced: make durable what will be read.
        os.fsync(descriptor)
        _sync_folder(path.parent)
        return cls(descriptor, scanner, records, clock_ms, torn)

    @property
    def head(self) -> Head:
        """The last appended record, durable or not."""
        return self._head

    @property
    def durable(self) -> Head:
        """The last record that a crash cannot take back."""
        return self._durable

    def append(self, kind: str, payload: bytes) -> Record:
        """Number, chain and buffer a record; readers see it after ``commit``.

        The first record must be the genesis. Errors: ``RecordTooLarge`` (nothing is appended).
        """
        assert self._usable, "the journal failed or is closed: reopen it"
        sequence = self._head.sequence + 1
        assert (kind == GENESIS_KIND) == (sequence == 0), "the genesis comes first and once"
        timestamp_ms = max(self._timestamp_ms, self._clock_ms())
        frame, digest = _frame(sequence, timestamp_ms, kind, payload, self._head.hash)
        record = Record(sequence, timestamp_ms, kind, payload, self._head.hash, digest)
        self._buffer.append(frame)
        self._records.append(record)
        self._head = Head(sequence, digest)
        self._timestamp_ms = timestamp_ms
        return record

    def commit(self) -> Head:
        """Write everything appended and wait for the disk; only now may it be acknowledged."""
        assert self._usable, "the journal failed or is closed: reopen it"
        if self._buffer:
            self._usable = False
            group = memoryview(b"".join(self._buffer))
            while group:
                group = group[os.write(self._descriptor, group) :]
            _sync_data(self._descriptor)
            self._usable = True
            self._buffer.clear()
            self._durable = self._head
        return self._durable

    def read(self, from_sequence: int = 0, limit: int | None = None) -> Iterator[Record]:
        """Durable records from a sequence on, as of now (cheap when there are none)."""
        assert from_sequence >= 0
        end = self._durable.sequence + 1
        if limit is not None:
            end = min(end, from_sequence + limit)
        return iter(self._records[from_sequence:end] if from_sequence < end else ())

    def close(self) -> None:
        """Commit what was appended and release the file."""
        if self._descriptor >= 0:
            try:
                if self._usable:
                    self.commit()
            finally:
                self._release()

    def _release(self) -> None:
        descriptor, self._descriptor = self._descriptor, -1
        self._usable = False
        if descriptor >= 0:
            os.close(descriptor)

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
            self._release()


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


def _sync_data(descriptor: int) -> None:
    # macOS has no fdatasync, and its fsync stops at the drive's cache.
    if sys.platform == "darwin":
        fcntl.fcntl(descriptor, fcntl.F_FULLFSYNC)
    else:
        os.fdatasync(descriptor)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
