"""The journal: what was acknowledged survives, and whatever else happened to the file is told."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from novate.engine import journal_disk
from novate.engine.journal import (
    EMPTY,
    GENESIS_KIND,
    RECORD_BYTES_MAX,
    Cursor,
    Head,
    Journal,
    Record,
    verify_chain,
)
from novate.engine.journal_frame import frame, frame_bytes
from novate.engine.journal_segment import HEADER_BYTES
from novate.errors import (
    Error,
    JournalCorrupt,
    JournalLocked,
    JournalTorn,
    RecordTooLarge,
    Rejected,
)
from tests.support.journals import put

RECORDS = 6


def clock() -> int:
    return 1_760_000_000_000


def opened(path: Path, create: bool = True) -> Journal:
    return Journal.open(path, clock, create, segment_bytes=2 << 20)


def write(path: Path, records: int = RECORDS) -> tuple[list[Record], list[int]]:
    """A journal of that many records, and the offset at which each begins (and the last ends)."""
    written, offsets = [], [HEADER_BYTES]
    with opened(path) as journal:
        for number in range(records):
            kind = "Order" if number else GENESIS_KIND
            written.append(journal.append(kind, b"payload %d" % number))
            journal.commit()
            offsets.append(offsets[-1] + frame_bytes(kind, written[-1].payload))
    assert path.stat().st_size == offsets[-1], "a closed journal ends with its last record"
    return written, offsets


def rejection(command: Callable[[], object]) -> tuple[Error, str]:
    with pytest.raises(Rejected) as caught:
        command()
    return caught.value.error, caught.value.detail


def assert_corrupt(path: Path, sequence: int) -> None:
    """Both the verifier and the next opening refuse, and name that record; the file stays."""
    before = path.read_bytes()
    for command in (lambda: verify_chain(path), lambda: opened(path)):
        error, detail = rejection(command)
        assert error is JournalCorrupt
        assert detail.startswith(f"record {sequence}:"), detail
    assert path.read_bytes() == before


@pytest.fixture(autouse=True)
def quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that is killed loses no page of the system's cache; only a power cut asks more."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal"


def test_records_are_numbered_chained_and_read_back(path: Path) -> None:
    written, _ = write(path)
    assert [record.sequence for record in written] == list(range(RECORDS))
    previous = EMPTY.hash
    for record in written:
        assert record.previous_hash == previous
        previous = record.hash
    with opened(path, create=False) as again:
        assert list(again.read()) == written
        assert list(again.read(4)) == written[4:]
        assert again.head == again.durable == Head(RECORDS - 1, previous)
        assert again.torn is None
        following = again.append("Order", b"more")
    assert following.sequence == RECORDS and following.previous_hash == previous
    assert verify_chain(path) == Head(RECORDS, following.hash)


def test_readers_see_only_what_is_durable(path: Path) -> None:
    with opened(path) as journal:
        cursor = Cursor(journal)
        genesis = journal.append(GENESIS_KIND, b"")
        assert list(journal.read()) == [] and cursor.poll() == []
        assert journal.head.sequence == 0 and journal.durable == EMPTY
        assert not path.read_bytes()[HEADER_BYTES:].strip(b"\0")
        assert journal.commit() == journal.head == journal.durable
        assert cursor.poll() == [genesis]
        assert cursor.poll() == []


def test_a_cursor_takes_the_records_in_portions(path: Path) -> None:
    written, _ = write(path)
    with opened(path) as journal:
        cursor = Cursor(journal, 1)
        assert cursor.poll(limit=2) == written[1:3]
        assert cursor.poll() == written[3:]


def test_one_commit_syncs_once_for_all_appended(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncs: list[int] = []
    with opened(path) as journal:
        monkeypatch.setattr(journal_disk, "sync_data", syncs.append)
        journal.append(GENESIS_KIND, b"")
        for _ in range(50):
            journal.append("Order", b"")
        journal.commit()
        assert len(syncs) == 1
        journal.commit()
        assert len(syncs) == 1


def test_a_commit_returns_only_after_the_sync(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, int]] = []
    with opened(path) as journal:
        record = journal.append(GENESIS_KIND, b"what is promised")

        def sync(descriptor: int) -> None:
            written = os.pread(descriptor, 1 << 12, 0)
            seen.append((record.hash in written, journal.durable.sequence))

        monkeypatch.setattr(journal_disk, "sync_data", sync)
        assert journal.commit().sequence == 0
    assert seen == [(True, -1)], "written before the sync, durable after it"


def test_a_journal_whose_sync_failed_refuses_further_use(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(descriptor: int) -> None:
        raise OSError(5, "Input/output error")

    journal = opened(path)
    journal.append(GENESIS_KIND, b"")
    with monkeypatch.context() as patch:
        patch.setattr(journal_disk, "sync_data", broken)
        with pytest.raises(OSError, match="Input/output"):
            journal.commit()
    assert list(journal.read()) == []
    with pytest.raises(AssertionError):
        journal.append("Order", b"")
    with pytest.raises(AssertionError):
        journal.commit()
    journal.close()
    with opened(path) as again:
        assert again.head.sequence == 0


def test_an_exception_drops_what_was_not_committed(path: Path) -> None:
    with pytest.raises(KeyError), opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        journal.commit()
        journal.append("Order", b"")
        raise KeyError
    assert verify_chain(path).sequence == 0


def test_time_never_runs_backwards(path: Path) -> None:
    times = iter([10, 7, 12])
    with Journal.open(path, lambda: next(times)) as journal:
        kinds = [GENESIS_KIND, "Order", "Order"]
        assert [journal.append(kind, b"").timestamp_ms for kind in kinds] == [10, 10, 12]
    with Journal.open(path, lambda: 3) as journal:
        assert journal.append("Order", b"").timestamp_ms == 12


def test_the_genesis_comes_first_and_once(path: Path) -> None:
    with opened(path) as journal:
        with pytest.raises(AssertionError):
            journal.append("Order", b"")
        journal.append(GENESIS_KIND, b"")
        with pytest.raises(AssertionError):
            journal.append(GENESIS_KIND, b"")


def test_a_record_is_bounded(path: Path) -> None:
    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        overhead = 8 + 8 + 32 + 1 + len("Order") + 32
        largest = bytes(RECORD_BYTES_MAX - overhead)
        assert rejection(lambda: journal.append("Order", largest + b"\0"))[0] is RecordTooLarge
        assert rejection(lambda: journal.append("K" * 65, b""))[0] is RecordTooLarge
        journal.append("Order", largest)
    assert verify_chain(path).sequence == 1


def test_a_second_writer_is_refused(path: Path) -> None:
    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        assert rejection(lambda: opened(path))[0] is JournalLocked
        script = (
            f"from novate.engine.journal import Journal; Journal.open({WRITER_PATH}, lambda: 0)"
        )
        other = subprocess.run(
            [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=False
        )
        assert other.returncode != 0 and "JournalLocked" in other.stderr
    with opened(path) as journal:
        assert journal.head.sequence == 0


def test_a_missing_journal_is_not_made_unless_asked(path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        opened(path, create=False)
    assert not path.exists()


def test_any_flipped_byte_is_found_and_its_record_named(path: Path) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    for sequence in (0, 3, RECORDS - 1):
        for position in range(offsets[sequence], offsets[sequence + 1]):
            for bit in (0x01, 0x80):
                flipped = bytearray(sound)
                flipped[position] ^= bit
                put(path, flipped)
                error, detail = rejection(lambda: verify_chain(path))
                assert error is JournalCorrupt, position
                assert detail.startswith(f"record {sequence}:"), (position, detail)
        assert_corrupt(path, sequence)


@pytest.mark.parametrize("sequence", [0, 1, 3, RECORDS - 2])
def test_a_dropped_record_is_found(path: Path, sequence: int) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    put(path, sound[: offsets[sequence]] + sound[offsets[sequence + 1] :])
    assert_corrupt(path, sequence)


@pytest.mark.parametrize("sequence", [0, 1, 3, RECORDS - 2])
def test_reordered_records_are_found(path: Path, sequence: int) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    first, second, end = offsets[sequence : sequence + 3]
    put(path, sound[:first] + sound[second:end] + sound[first:second] + sound[end:])
    assert_corrupt(path, sequence)


@pytest.mark.parametrize("sequence", [1, 3, RECORDS - 1])
def test_a_repeated_record_is_found(path: Path, sequence: int) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    start, end = offsets[sequence], offsets[sequence + 1]
    put(path, sound[:end] + sound[start:end] + sound[end:])
    assert_corrupt(path, sequence + 1)


def test_a_record_rewritten_with_its_own_hash_breaks_the_next_link(path: Path) -> None:
    written, offsets = write(path)
    sound = path.read_bytes()
    old = written[2]
    forged, _ = frame(2, old.timestamp_ms, old.kind, b"forged", old.previous_hash, True)
    put(path, sound[: offsets[2]] + forged + sound[offsets[3] :])
    assert_corrupt(path, 3)


def test_a_journal_that_starts_otherwise_or_starts_twice_is_refused(path: Path) -> None:
    with opened(path):
        pass
    header = path.read_bytes()
    start, digest = frame(0, 0, "Order", b"", EMPTY.hash, True)
    put(path, header + start)
    assert_corrupt(path, 0)
    start, digest = frame(0, 5, GENESIS_KIND, b"", EMPTY.hash, True)
    again, _ = frame(1, 5, GENESIS_KIND, b"", digest, True)
    put(path, header + start + again)
    assert_corrupt(path, 1)
    earlier, _ = frame(1, 4, "Order", b"", digest, True)
    put(path, header + start + earlier)
    assert_corrupt(path, 1)


def test_only_a_published_head_tells_a_journal_cut_at_a_record(path: Path) -> None:
    written, offsets = write(path)
    published = Head(4, written[4].hash)
    assert verify_chain(path, published).sequence == RECORDS - 1
    assert rejection(lambda: verify_chain(path, Head(4, b"\0" * 32)))[1].startswith("record 4:")
    put(path, path.read_bytes()[: offsets[4]])
    assert verify_chain(path).sequence == 3
    error, detail = rejection(lambda: verify_chain(path, published))
    assert error is JournalCorrupt and detail.startswith("record 4:")


def test_a_torn_tail_is_cut_off_and_reported_wherever_it_tore(path: Path) -> None:
    written, offsets = write(path)
    sound = path.read_bytes()
    for size in range(offsets[-2] + 1, offsets[-1]):
        put(path, sound[:size])
        kept = len(sound[:size].rstrip(b"\0")) - offsets[-2]
        if kept <= 0:
            continue
        assert rejection(lambda: verify_chain(path)) == (JournalTorn, f"record {RECORDS - 1}")
        with opened(path) as journal:
            torn = journal.torn
            assert torn is not None and torn.error is JournalTorn and journal.findings == [torn]
            assert (torn.sequence, torn.file) == (RECORDS - 1, path)
            assert (torn.offset, torn.bytes_removed) == (offsets[-2], kept)
            assert str(offsets[-2]) in str(torn) and path.name in str(torn)
            assert list(journal.read()) == written[:-1]
        assert path.read_bytes() == sound[: offsets[-2]]


@pytest.mark.parametrize("kept", [4, 8, 40, 70])
def test_a_record_half_written_into_prepared_room_is_torn(path: Path, kept: int) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    put(path, sound[: offsets[-2] + kept] + bytes(5000))
    assert rejection(lambda: verify_chain(path))[0] is JournalTorn
    with opened(path) as journal:
        assert journal.torn is not None and 0 < journal.torn.bytes_removed <= kept
        assert journal.head.sequence == RECORDS - 2


@pytest.mark.parametrize("room", [1, 40, 100_000])
def test_zeros_behind_the_last_record_are_room_and_no_finding(path: Path, room: int) -> None:
    written, _ = write(path)
    put(path, path.read_bytes() + bytes(room))
    assert verify_chain(path).sequence == RECORDS - 1
    with opened(path) as journal:
        assert journal.findings == [] and list(journal.read()) == written


def test_an_unwritten_stretch_before_a_later_group_is_corruption(path: Path) -> None:
    _, offsets = write(path)
    sound = path.read_bytes()
    hole = bytes(offsets[3] - offsets[2])
    put(path, sound[: offsets[2]] + hole + sound[offsets[3] :])
    assert_corrupt(path, 2)
    put(path, sound[: offsets[3] - 32] + bytes(32) + sound[offsets[3] :])
    assert_corrupt(path, 2)


def group_of_three(path: Path) -> tuple[bytes, list[int]]:
    """A journal whose last three records, of 600 bytes and more, were written as one group."""
    offsets = [HEADER_BYTES]
    with opened(path) as journal:
        for number in range(5):
            kind = "Order" if number else GENESIS_KIND
            payload = bytes([number + 1]) * 600
            journal.append(kind, payload)
            offsets.append(offsets[-1] + frame_bytes(kind, payload))
            if number < 2:
                journal.commit()
    return path.read_bytes(), offsets


def test_a_sector_that_never_arrived_tears_the_group_even_where_later_ones_did(path: Path) -> None:
    sound, offsets = group_of_three(path)
    sector = -(-offsets[2] // 512) * 512
    assert offsets[2] < sector < sector + 512 <= offsets[3]
    put(path, sound[:sector] + bytes(512) + sound[sector + 512 :] + bytes(4096))
    with opened(path) as journal:
        assert journal.torn is not None and journal.head.sequence == 1
        assert journal.torn.bytes_removed == len(sound) - offsets[2], "the whole group goes"


def test_a_sector_missing_from_an_earlier_group_is_corruption(path: Path) -> None:
    sound, _ = group_of_three(path)
    put(path, sound[:512] + bytes(512) + sound[1024:])
    assert_corrupt(path, 0)


def test_a_flipped_byte_in_the_last_group_is_no_torn_tail(path: Path) -> None:
    sound, offsets = group_of_three(path)
    for position in range(offsets[2], offsets[5], 37):
        flipped = bytearray(sound)
        flipped[position] ^= 0x55
        put(path, flipped)
        sequence = sum(offset <= position for offset in offsets) - 1
        assert_corrupt(path, sequence)


def test_what_a_payload_looks_like_decides_nothing(path: Path) -> None:
    """An order that carries a record of a later group in its label tears like any other."""
    bait, _ = frame(99, 5, "Order", b"bait", bytes(32), True)
    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        journal.commit()
        journal.append("Order", b"x" * 700 + bait + b"y" * 700)
    sound = path.read_bytes()
    put(path, sound[:-40] + bytes(4096))
    with opened(path) as journal:
        assert journal.torn is not None and journal.head.sequence == 0


def test_a_torn_genesis_leaves_an_empty_journal(path: Path) -> None:
    _, offsets = write(path, 1)
    put(path, path.read_bytes()[: offsets[1] - 1])
    with opened(path) as journal:
        assert journal.head == EMPTY and journal.torn is not None
        journal.append(GENESIS_KIND, b"")
    assert verify_chain(path).sequence == 0


WRITER_PATH = "__import__('pathlib').Path(__import__('sys').argv[1])"
WRITER = f"""
from novate.engine.journal import GENESIS_KIND, Journal
journal = Journal.open({WRITER_PATH}, lambda: 0, segment_bytes=1 << 16)
if journal.head.sequence < 0:
    journal.append(GENESIS_KIND, b"")
while True:
    for size in range(1, 40):
        journal.append("Order", b"x" * (size * 331))
    head = journal.commit()
    print(head.sequence, head.hash.hex(), flush=True)
"""


def test_kill_in_the_middle_of_appends_loses_nothing_acknowledged(path: Path) -> None:
    chance = random.Random(11)
    for acknowledgements in (1, 2, 12, 3):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        )
        assert writer.stdout is not None
        lines = [writer.stdout.readline() for _ in range(acknowledgements)]
        time.sleep(chance.random() / 50)
        os.kill(writer.pid, signal.SIGKILL)
        lines += [line for line in writer.stdout.read().splitlines() if len(line.split()) == 2]
        writer.stdout.close()
        assert writer.wait() == -signal.SIGKILL
        with opened(path) as journal:
            hashes = [record.hash.hex() for record in journal.read()]
            for line in lines:
                sequence, digest = line.split()
                assert hashes[int(sequence)] == digest
        assert verify_chain(path).sequence == len(hashes) - 1
