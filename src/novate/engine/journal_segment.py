"""The files of a journal: what they are called, what they begin with, where their records end.

Owns: segments. The first has the journal's own name, each later one the number of its first record
and its epoch behind it: ``journal.bin``, ``journal.bin.000000081920.0001``. A segment begins with

    magic 8 | epoch u64 | first sequence u64 | previous hash 32 | crc32 of these u32 | zeros to 64

so each says by itself where in the chain it belongs. It is as long as was taken from the disk for
it; zeros behind the last record are room, no record begins with them. A segment that has a
successor is cut to its records. An epoch is one succession of writers: where a segment of a later
epoch begins, everything of an earlier one ends, whatever a fenced writer may still have put there.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from novate.engine.journal_frame import (
    EMPTY,
    GROUP_BEGINS,
    HASH_BYTES,
    LENGTH_MIN,
    RECORD_BYTES_MAX,
    WORDS,
    Head,
    whole,
)
from novate.errors import JournalCorrupt, require

MAGIC = b"NOVATEJ2"
HEADER_BYTES = 64
SECTOR_BYTES = 512
_HEADER = struct.Struct(">8sQQ32s")
_CHECK = struct.Struct(">I")
_SUFFIX = re.compile(r"\.(\d{12,20})\.(\d{4,20})")
_BEGINNING = re.compile(rb"[\x80][\x00-\x10]", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Segment:
    """One file: its epoch, and the record it goes on after."""

    path: Path
    epoch: int
    before: Head

    @property
    def first(self) -> int:
        """The number of its first record."""
        return self.before.sequence + 1

    def header(self) -> bytes:
        """Its first 64 bytes."""
        fields = _HEADER.pack(MAGIC, self.epoch, self.first, self.before.hash)
        return (fields + _CHECK.pack(zlib.crc32(fields))).ljust(HEADER_BYTES, b"\0")


def next_segment(journal: Path, epoch: int, before: Head) -> Segment:
    """The segment that goes on after a record."""
    name = f"{journal.name}.{before.sequence + 1:012}.{epoch:04}"
    return Segment(journal.with_name(name), epoch, before)


def read_segment(path: Path) -> Segment:
    """A file's own account of itself. Errors: ``JournalCorrupt``."""
    with path.open("rb") as stream:
        data = stream.read(HEADER_BYTES)
    end = _HEADER.size + _CHECK.size
    sound = len(data) == HEADER_BYTES and not any(data[end:])
    require(sound, JournalCorrupt, f"{path.name}: segment header")
    magic, epoch, first, previous = _HEADER.unpack_from(data)
    (check,) = _CHECK.unpack_from(data, _HEADER.size)
    sound = magic == MAGIC and zlib.crc32(data[: _HEADER.size]) == check
    require(sound, JournalCorrupt, f"{path.name}: segment header")
    return Segment(path, epoch, Head(first - 1, previous))


def segment_files(journal: Path) -> list[Path]:
    """All files that are named as segments of a journal, the first one at the front."""
    prefix = journal.name
    others = [
        path
        for path in journal.parent.iterdir()
        if path.name.startswith(prefix) and _SUFFIX.fullmatch(path.name[len(prefix) :])
    ]
    return [journal, *sorted(others)]


def segments(journal: Path) -> list[Segment]:
    """The segments that make up the journal, in order; those of fenced writers are left out.

    Errors: ``JournalCorrupt`` for a file that is not what its name says; ``FileNotFoundError``.
    """
    found = [read_segment(path) for path in segment_files(journal)]
    for segment in found[1:]:
        named = next_segment(journal, segment.epoch, segment.before).path
        require(named == segment.path, JournalCorrupt, f"{segment.path.name}: another's header")
    require(found[0].before == EMPTY, JournalCorrupt, f"{journal.name}: begins later")
    live: list[Segment] = []
    for segment in sorted(found, key=lambda s: (s.epoch, s.first), reverse=True):
        if not live or segment.first < live[-1].first or segment is found[0]:
            live.append(segment)
    return live[::-1]


def written_bytes(data: bytes) -> int:
    """Where the zeros at the end of a file begin."""
    return len(data.rstrip(b"\0"))


def is_torn(data: bytes, offset: int) -> bool:
    """Whether the frame at ``offset`` of the last segment is one whose writing was cut short.

    It is, if no record of a later group follows (that group's beginning would prove this one
    durable), and if a part of it is missing: the file ends in it, its hash was never written, or a
    sector of it was not. Anything else that is not a whole record is damage.
    """
    return _lacks_a_part(data, offset) and not later_group(data, offset)


def later_group(data: bytes, offset: int) -> bool:
    """Whether a sound record that begins a group follows the frame at ``offset``."""
    after = offset + 1
    if (known := _end(data, offset)) is not None:
        after = known  # what lies in the frame is its payload, whatever it looks like
    return any(_begins_group(data, found.start()) for found in _BEGINNING.finditer(data, after))


def _begins_group(data: bytes, start: int) -> bool:
    end = whole(data, start, len(data))
    if end == 0:
        return False
    body = data[start + WORDS.size : end - HASH_BYTES]
    return sha256(body).digest() == data[end - HASH_BYTES : end]


def _end(data: bytes, offset: int) -> int | None:
    """Where the frame at ``offset`` would end by its word, if that can be believed."""
    if offset + WORDS.size > len(data):
        return None
    word, check = WORDS.unpack_from(data, offset)
    length = int(word) & ~GROUP_BEGINS
    sound = zlib.crc32(data[offset : offset + 4]) == check
    if not sound or not LENGTH_MIN <= length <= RECORD_BYTES_MAX:
        return None
    return offset + WORDS.size + length


def _lacks_a_part(data: bytes, offset: int) -> bool:
    size, start = len(data), offset + WORDS.size
    end = _end(data, offset)
    if end is not None:
        if end > size or not data[end - HASH_BYTES : end].strip(b"\0"):
            return True
    elif start > size or written_bytes(data) <= start:
        return True
    else:
        end = min(start + -start % SECTOR_BYTES, size)
    return any(not data[a:b].strip(b"\0") for a, b in _sectors(offset, end))


def _sectors(start: int, end: int) -> Iterator[tuple[int, int]]:
    """What of each sector lies between two offsets."""
    while start < end:
        upto = min(start - start % SECTOR_BYTES + SECTOR_BYTES, end)
        yield start, upto
        start = upto
