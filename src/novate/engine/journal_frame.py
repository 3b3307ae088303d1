"""One record of the journal on disk, and the chain that holds records together.

Owns: the bytes of a frame and the check of each record against the one before. A frame is

    word u32 | crc32 of word u32 | body | hash 32     (big-endian; word: length of body and hash)
    body = sequence u64 | timestamp_ms u64 | previous hash 32 | kind length u8 | kind | payload
    hash = sha256(body); the first record (sequence 0, kind ``Genesis``) follows ``SEED``.

The word's top bit says that a group begins here: everything before it was durable when it was
written, so a record of a later group proves that damage before it is no torn tail. The hash that
chains the records is also their checksum (it is computed anyway, and finds what a CRC misses); the
word alone has a CRC of its own, because it must be believed before the body can be found. How
records were grouped is no part of the chain: the same records have the same hashes on every disk.
"""

from __future__ import annotations

import struct
from hashlib import sha256
from zlib import crc32

import msgspec

from novate.errors import JournalCorrupt, RecordTooLarge, Rejected

GENESIS_KIND = "Genesis"
RECORD_BYTES_MAX = 1 << 20
KIND_BYTES_MAX = 64
SEED = sha256(b"novate journal 2").digest()
GROUP_BEGINS = 1 << 31

WORDS = struct.Struct(">II")
BODY = struct.Struct(">QQ32sB")
HASH_BYTES = 32
_WORDS, _BODY = WORDS.unpack_from, BODY.unpack_from
_LENGTH = GROUP_BEGINS - 1
_HEADS: dict[int, bytes] = {}
_HEADS_MAX = 4_096
_KINDS: dict[bytes, str] = {}
_NAMES: dict[str, bytes] = {}
_KINDS_MAX = 64
_FIXED_BYTES = BODY.size + HASH_BYTES
LENGTH_MIN = BODY.size + 1 + HASH_BYTES


class Record(msgspec.Struct, frozen=True, gc=False):
    """One numbered entry; ``payload`` is opaque here (``wire/records.py`` gives it meaning)."""

    sequence: int
    timestamp_ms: int
    kind: str
    payload: bytes
    previous_hash: bytes
    hash: bytes


class Head(msgspec.Struct, frozen=True, gc=False):
    """The last record's number and hash; an empty journal has sequence −1 and the seed."""

    sequence: int
    hash: bytes


EMPTY = Head(-1, SEED)


def frame(
    sequence: int, timestamp_ms: int, kind: str, payload: bytes, previous: bytes, begins: bool
) -> tuple[bytes, bytes]:
    """The record's bytes on disk, and its hash; ``frame_bytes`` has said that they fit."""
    name = _NAMES.get(kind) or _named(kind)
    body = BODY.pack(sequence, timestamp_ms, previous, len(name)) + name + payload
    digest = sha256(body).digest()
    length = len(body) + HASH_BYTES
    if begins:
        length |= GROUP_BEGINS
    return b"".join((_HEADS.get(length) or _headed(length), body, digest)), digest


def _headed(word: int) -> bytes:
    """A frame's first bytes; most frames are of few lengths."""
    data = word.to_bytes(4, "big")
    head = data + crc32(data).to_bytes(4, "big")
    if len(_HEADS) < _HEADS_MAX:
        _HEADS[word] = head
    return head


def frame_bytes(kind: str, payload: bytes) -> int:
    """How many bytes a record takes on disk. Errors: ``RecordTooLarge``."""
    length = _FIXED_BYTES + len(kind) + len(payload)
    if not 0 < len(kind) <= KIND_BYTES_MAX:
        raise Rejected(RecordTooLarge, f"kind of {len(kind)} bytes")
    if length > RECORD_BYTES_MAX:
        raise Rejected(RecordTooLarge, f"{length} bytes")
    return WORDS.size + length


class Chain:
    """Checks records, each against the one before; ``head`` is the last good one."""

    def __init__(self, head: Head = EMPTY, timestamp_ms: int = 0) -> None:
        self.head = head
        self.timestamp_ms = timestamp_ms

    def walk(self, data: bytes, offset: int, found: list[Record], limit: int | None = None) -> int:
        """Add the good records from ``offset`` on to ``found``; the offset of the first other byte.

        It stops before record ``limit``, and at whatever is not a whole record with its own hash.
        Errors: ``JournalCorrupt`` for a whole record that does not follow from the one before.
        """
        sequence, previous, timestamp_ms = self.head.sequence, self.head.hash, self.timestamp_ms
        last = len(data) - WORDS.size
        while offset <= last and sequence + 1 != limit:
            # as ``whole``, written out: this loop is what a restart waits for
            word, check = _WORDS(data, offset)
            end = offset + WORDS.size + (word & _LENGTH)
            split, start = end - HASH_BYTES, offset + WORDS.size
            body, digest = data[start:split], data[split:end]
            if crc32(data[offset : offset + 4]) != check or sha256(body).digest() != digest:
                break
            if not LENGTH_MIN <= end - start <= RECORD_BYTES_MAX:
                break
            number, time, link, kind_bytes = _BODY(body)
            payload_at = BODY.size + kind_bytes
            kind = _KINDS.get(body[BODY.size : payload_at]) or _kind(body[BODY.size : payload_at])
            if (
                number != sequence + 1
                or link != previous
                or time < timestamp_ms
                or not 0 < kind_bytes <= KIND_BYTES_MAX
                or payload_at > len(body)
                or (number == 0) != (kind == GENESIS_KIND)
            ):
                self._move(sequence, previous, timestamp_ms)
                raise self.wrong("does not follow from the one before")
            found.append(Record(number, time, kind, body[payload_at:], link, digest))
            offset, sequence, previous, timestamp_ms = end, number, digest, time
        self._move(sequence, previous, timestamp_ms)
        return offset

    def _move(self, sequence: int, digest: bytes, timestamp_ms: int) -> None:
        if sequence != self.head.sequence:
            self.head, self.timestamp_ms = Head(sequence, digest), timestamp_ms

    def wrong(self, what: str) -> Rejected:
        """The refusal that names the record after the head."""
        return Rejected(JournalCorrupt, f"record {self.head.sequence + 1}: {what}")


def _kind(name: bytes) -> str:
    """The kind's text; the same few come again and again."""
    kind = name.decode("ascii", "replace")
    if len(_KINDS) < _KINDS_MAX:
        _KINDS[name] = kind
    return kind


def _named(kind: str) -> bytes:
    """The kind's bytes; the same few come again and again."""
    name = kind.encode("ascii")
    if len(_NAMES) < _KINDS_MAX:
        _NAMES[kind] = name
    return name


def whole(data: bytes, offset: int, size: int) -> int:
    """Where the frame at ``offset`` ends, or 0 if no sound frame lies wholly before ``size``."""
    start = offset + WORDS.size
    if start > size:
        return 0
    word, check = WORDS.unpack_from(data, offset)
    if crc32(data[offset : offset + 4]) != check:
        return 0
    length = int(word) & ~GROUP_BEGINS
    if not LENGTH_MIN <= length <= RECORD_BYTES_MAX or start + length > size:
        return 0
    return start + length
