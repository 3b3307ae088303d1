"""Whatever happens to a journal's files, it is repaired with a report or refused by name; no record
is ever read that was not written, and none is lost that was acknowledged."""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from novate.engine.journal import GENESIS_KIND, Journal, Record, Scanner
from novate.engine.journal_frame import frame_bytes
from novate.engine.journal_segment import HEADER_BYTES, SECTOR_BYTES, segment_files, segments
from novate.errors import JournalCorrupt, Rejected
from tests.support.journals import clock, put

SEGMENT = 1 << 13
SEEDS = range(4)
PAGE = 4096


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a disk holds is decided here; waiting for the machine's own would only take time."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)
    monkeypatch.setattr(os, "fdatasync", lambda descriptor: None)


class Made:
    """A journal of random groups as a crash finds it: its last group written, not acknowledged."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path = path
        chance = random.Random(seed)
        journal = Journal.open(path, clock, segment_bytes=SEGMENT)
        self.written: list[Record] = []
        for _ in range(chance.randint(3, 12)):
            for _ in range(chance.randint(1, 6)):
                kind = "Order" if self.written else GENESIS_KIND
                self.written.append(journal.append(kind, chance.randbytes(chance.randint(0, 700))))
            self.acknowledged = journal.durable.sequence
            journal.commit()
        journal.abandon()
        self.last = segments(path)[-1]
        self.sound = {file: file.read_bytes() for file in segment_files(path)}
        self.offsets = [HEADER_BYTES]
        for record in self.written[self.last.first :]:
            self.offsets.append(self.offsets[-1] + frame_bytes(record.kind, record.payload))
        #: where the last group begins in the last segment
        self.begin = self.offsets[max(self.acknowledged + 1 - self.last.first, 0)]

    def damage(self, data: bytes) -> str:
        """Put other bytes in the last segment; ``repaired``, ``refused`` or ``sound``."""
        put(self.last.path, data)
        scanner = Scanner(self.path)
        try:
            scanner.run()
        except Rejected as rejected:
            assert rejected.error is JournalCorrupt
            assert rejected.detail.startswith(f"record {len(scanner.records)}:"), rejected.detail
            self.require_prefix(scanner.records)
            return "refused"
        self.require_prefix(scanner.records)
        torn = scanner.torn
        if torn is None:
            return "sound"
        assert (torn.sequence, torn.file) == (len(scanner.records), self.last.path)
        assert torn.offset == self.offsets[torn.sequence - self.last.first]
        assert torn.bytes_removed == len(data.rstrip(b"\0")) - torn.offset > 0
        return "repaired"

    def require_prefix(self, found: list[Record]) -> None:
        assert found == self.written[: len(found)], "nothing is read that was not written"

    def require_reopens(self, least: int) -> None:
        """The next writer goes on behind the records that were kept, and all is sound again."""
        with Journal.open(self.path, clock, segment_bytes=SEGMENT) as journal:
            kept = list(journal.read())
            assert len(kept) > least
            self.require_prefix(kept)
            added = journal.append("Order", b"after")
        assert Scanner(self.path).run().records == [*kept, added]

    def restore(self) -> None:
        for file in segment_files(self.path):
            if file not in self.sound:
                file.unlink()
        for file, data in self.sound.items():
            put(file, data)


@pytest.fixture(params=SEEDS)
def made(request: pytest.FixtureRequest, tmp_path: Path) -> Made:
    return Made(tmp_path / "journal.bin", request.param)


def test_a_write_cut_anywhere_in_the_last_group_is_repaired(made: Made) -> None:
    sound = made.sound[made.last.path]
    for size in range(made.begin, made.offsets[-1] + 1):
        outcome = made.damage(sound[:size])
        lost = len(sound[:size].rstrip(b"\0")) not in made.offsets
        whole = size in made.offsets or not lost
        assert outcome == ("sound" if whole else "repaired"), size
        if size % 101 == 0:
            made.require_reopens(made.acknowledged)
            made.restore()


def test_a_write_cut_at_a_sector_of_prepared_room_is_repaired(made: Made) -> None:
    sound = made.sound[made.last.path]
    first = -(-made.begin // SECTOR_BYTES) * SECTOR_BYTES
    for size in range(first, made.offsets[-1], SECTOR_BYTES):
        outcome = made.damage(sound[:size].ljust(len(sound), b"\0"))
        assert outcome in ("repaired", "sound"), size
        made.require_reopens(made.acknowledged)
        made.restore()


def test_any_sectors_that_never_arrived_are_repaired(made: Made) -> None:
    """A disk writes the sectors of a group in any order; what was acknowledged it holds."""
    chance = random.Random(5)
    sound = made.sound[made.last.path]
    first = -(-made.begin // SECTOR_BYTES) * SECTOR_BYTES
    places = range(first, made.offsets[-1], SECTOR_BYTES)
    for _ in range(25 if places else 0):
        data = bytearray(sound)
        for place in chance.sample(places, chance.randint(1, len(places))):
            data[place : place + SECTOR_BYTES] = bytes(SECTOR_BYTES)
        assert made.damage(bytes(data)) in ("repaired", "sound")
        made.require_reopens(made.acknowledged)
        made.restore()


def test_a_flipped_byte_is_never_read_as_if_it_were_right(made: Made) -> None:
    """Every byte of the last records; the finding names the very record."""
    sound = made.sound[made.last.path]
    chance = random.Random(7)
    for position in range(made.offsets[max(len(made.offsets) - 4, 0)], made.offsets[-1]):
        data = bytearray(sound)
        data[position] ^= chance.randint(1, 255)
        outcome = made.damage(bytes(data))
        assert outcome != "sound", position
        number = sum(offset <= position for offset in made.offsets) - 1 + made.last.first
        scanner = Scanner(made.path)
        try:
            scanner.run()
        except Rejected as rejected:
            assert rejected.detail.startswith(f"record {number}:")
        else:
            assert scanner.torn is not None and scanner.torn.sequence == number


def test_damage_before_the_last_group_is_always_refused(made: Made) -> None:
    """Flips and unwritten sectors alike, in every segment."""
    chance = random.Random(13)
    for segment in segments(made.path):
        sound = made.sound[segment.path]
        end = made.begin if segment == made.last else len(sound.rstrip(b"\0"))
        for _ in range(40 if end > HEADER_BYTES + 1 else 0):
            data = bytearray(sound)
            place = chance.randrange(HEADER_BYTES, end)
            if chance.random() < 0.5:
                data[place] ^= chance.randint(1, 255)
            else:
                upto = min(place + SECTOR_BYTES, end)
                data[place:upto] = bytes(upto - place)
            if bytes(data) == sound:
                continue
            put(segment.path, data)
            with pytest.raises(Rejected) as refused:
                Journal.open(made.path, clock, segment_bytes=SEGMENT)
            assert refused.value.error is JournalCorrupt
            assert segment.path.read_bytes() == data, "what is refused is not touched"
            put(segment.path, sound)


def test_random_garbage_never_becomes_a_record(made: Made) -> None:
    chance = random.Random(17)
    sound = made.sound[made.last.path]
    for _ in range(60):
        data = bytearray(sound)
        start = chance.randrange(HEADER_BYTES, len(data) - 1)
        garbage = chance.randbytes(chance.randint(1, PAGE))[: len(data) - start]
        data[start : start + len(garbage)] = garbage
        made.damage(bytes(data))
