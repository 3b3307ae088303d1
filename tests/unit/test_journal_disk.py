"""The journal's files: segments, room taken in advance, and disks that are full or read-only.

Full disks are real: a process's limit of file sizes, and a small file system of its own where the
system lets a process have one. What neither gives (a disk that turns read-only under an open file,
room that ends at a chosen byte) comes from the two system calls themselves, replaced.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from novate.engine import journal, journal_disk
from novate.engine.journal import GENESIS_KIND, Head, Journal, Scanner, remove, verify_chain
from novate.engine.journal_segment import HEADER_BYTES, read_segment, segments
from novate.engine.journal_writer import NEEDS, Need
from novate.errors import JournalCorrupt, JournalFull, JournalReadOnly, RecordTooLarge, Rejected
from novate.wire import records
from tests.support.journals import (
    SEGMENT,
    Venue,
    cancel,
    child,
    fill,
    opened,
    order,
    rejection,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.bin"


# Segments


def test_records_go_on_in_the_next_segment_and_are_read_as_one_journal(path: Path) -> None:
    made = fill(path, 300)
    found = segments(path)
    assert len(found) > 4 and found[0].path == path
    for segment in found[1:]:
        assert segment.path.name == f"journal.bin.{segment.first:012}.0001"
        assert made[segment.first].previous_hash == segment.before.hash
        assert segment.path.stat().st_size <= SEGMENT
    with opened(path) as journal:
        assert list(journal.read()) == made
        assert list(journal.read(120, 3)) == made[120:123]
        following = journal.append("Order", b"")
    assert verify_chain(path) == Head(300, following.hash)


def test_old_records_leave_memory_and_are_read_again_from_the_files(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT", 20)
    with opened(path) as growing:
        made = [growing.append(GENESIS_KIND, b"")]
        for number in range(300):
            made.append(growing.append("Order", bytes([number % 251 + 1]) * 200))
            if number % 7 == 0:
                growing.commit()
            durable = growing.durable.sequence
            for first in (0, 1, durable - 45, durable - 25, durable - 5, durable, durable + 1):
                begin = max(first, 0)
                assert list(growing.read(begin)) == made[begin : durable + 1]
                assert list(growing.read(begin, 9)) == made[begin : min(begin + 9, durable + 1)]
            assert sys.getsizeof(growing._records) < 1_000, "what is held is bounded"
        early = growing.read(3)
        for _ in range(100):
            growing.append("Order", bytes(100))
        growing.commit()
        assert list(early) == made[3 : durable + 1], "as of when it was asked for"
        second = segments(path)[1]
        data = bytearray(second.path.read_bytes())
        data[HEADER_BYTES + 60] ^= 1
        second.path.write_bytes(data)
        error, detail = rejection(lambda: list(growing.read(second.first)))
        assert error is JournalCorrupt and detail.startswith(f"record {second.first}:")


def test_what_is_not_durable_stays_in_memory_however_much_it_is(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "KEPT", 5)
    with opened(path) as growing:
        made = [growing.append(GENESIS_KIND, b"")]
        growing.commit()
        made += [growing.append("Order", bytes(50)) for _ in range(60)]
        assert list(growing.read()) == made[:1]
        growing.commit()
        assert list(growing.read()) == made


def test_hashes_depend_on_neither_groups_nor_segments(path: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.bin"
    assert [r.hash for r in fill(path, 60)] == [r.hash for r in fill(other, 60, 1 << 20)]
    assert len(segments(other)) == 1 < len(segments(path))


def test_room_is_taken_from_the_disk_before_it_is_needed(path: Path) -> None:
    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        journal.commit()
        files = [path, *path.parent.glob("*.spare.*")]
        assert [file.stat().st_size for file in files] == [SEGMENT, SEGMENT]
        assert all(file.stat().st_blocks * 512 >= SEGMENT for file in files)
    assert path.stat().st_size < 300, "what is closed takes no more than its records"
    assert [file.name for file in path.parent.iterdir() if ".spare." in file.name] == []


def test_a_crash_leaves_room_that_the_next_writer_clears_or_uses(path: Path) -> None:
    journal = opened(path)
    journal.append(GENESIS_KIND, b"")
    journal.commit()
    journal.abandon()
    assert path.stat().st_size == SEGMENT and verify_chain(path).sequence == 0
    with opened(path) as again:
        assert again.findings == []
        assert len(list(path.parent.glob("*.spare.*"))) == 1


def test_a_record_larger_than_a_segment_is_refused(path: Path) -> None:
    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"")
        assert rejection(lambda: journal.append("Order", bytes(SEGMENT)))[0] is RecordTooLarge
        journal.append("Order", bytes(SEGMENT - HEADER_BYTES - 8 - 49 - 5 - 32))
    assert verify_chain(path).sequence == 1


def test_one_commit_may_fill_several_segments(path: Path) -> None:
    with opened(path) as journal:
        made = [journal.append(GENESIS_KIND, b"")]
        made += [journal.append("Order", bytes([7]) * 5000) for _ in range(12)]
        assert list(journal.read()) == []
        journal.commit()
        assert list(journal.read()) == made
    assert Scanner(path).run().records == made and len(segments(path)) >= 4


@pytest.mark.parametrize("place", [1, 2])
def test_a_missing_segment_is_noticed(path: Path, place: int) -> None:
    fill(path, 200)
    missing = segments(path)[place]
    missing.path.unlink()
    error, detail = rejection(lambda: verify_chain(path))
    assert error is JournalCorrupt and detail.startswith(f"record {missing.first}:")


def test_only_a_published_head_tells_that_the_last_segment_is_gone(path: Path) -> None:
    made = fill(path, 200)
    last = segments(path)[-1]
    last.path.unlink()
    assert verify_chain(path).sequence == last.first - 1
    published = Head(199, made[199].hash)
    error, detail = rejection(lambda: verify_chain(path, published))
    assert error is JournalCorrupt and detail.startswith(f"record {last.first}:")


def test_a_segment_under_another_name_or_of_another_journal_is_refused(path: Path) -> None:
    fill(path, 200)
    second, third = segments(path)[1:3]
    kept = second.path.read_bytes()
    shutil.copy(third.path, second.path)
    assert rejection(lambda: verify_chain(path))[0] is JournalCorrupt
    second.path.write_bytes(kept)
    other = path.with_name("other.bin")
    with Journal.open(other, lambda: 7, segment_bytes=SEGMENT) as journal:
        journal.append(GENESIS_KIND, b"another")
    shutil.copy(other, path)
    assert rejection(lambda: verify_chain(path))[0] is JournalCorrupt


def test_every_byte_of_a_segments_header_counts(path: Path) -> None:
    fill(path, 100)
    second = segments(path)[1].path
    sound = second.read_bytes()
    for position in range(HEADER_BYTES):
        flipped = bytearray(sound)
        flipped[position] ^= 0x10
        second.write_bytes(flipped)
        assert rejection(lambda: read_segment(second))[0] is JournalCorrupt, position
    second.write_bytes(sound)
    assert verify_chain(path).sequence == 99


def test_damage_in_an_earlier_segment_is_refused_with_its_record(path: Path) -> None:
    made = fill(path, 200)
    second = segments(path)[1]
    sound = second.path.read_bytes()
    number = second.first + 3
    for change in (
        sound.replace(made[number].hash, bytes(32)),
        sound[: sound.index(made[number].hash) - 10],
        sound[: sound.index(made[number].hash)] + bytes(len(sound)),
    ):
        second.path.write_bytes(change)
        for command in (lambda: verify_chain(path), lambda: opened(path)):
            error, detail = rejection(command)
            assert error is JournalCorrupt and detail.startswith(f"record {number}:")
        assert second.path.read_bytes() == change, "what is refused is not touched"


def test_bytes_behind_a_closed_segment_are_refused(path: Path) -> None:
    fill(path, 200)
    first, second = segments(path)[:2]
    first.path.write_bytes(first.path.read_bytes() + b"more")
    error, detail = rejection(lambda: verify_chain(path))
    assert error is JournalCorrupt and detail.startswith(f"record {second.first}:")


def test_a_journal_is_removed_with_all_its_files(path: Path) -> None:
    fill(path, 100)
    remove(path)
    assert list(path.parent.iterdir()) == []


# Full and read-only disks


def no_more_room(descriptor: int, offset: int, size: int) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_the_reserve_is_for_cancels_and_answers(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk gives no further segment (shim): orders end first, then upkeep, cancels last."""
    with opened(path) as journal:
        venue = Venue(journal)
        monkeypatch.setattr(os, "posix_fallocate", no_more_room)
        taken = 0
        with pytest.raises(Rejected) as refused:
            for _ in range(1000):
                venue.take(taken)
                taken += 1
        assert refused.value.error is JournalFull and refused.value.error.retryable
        assert taken > 40
        cancels = 0
        due = records.encode(records.BatchDue(1))
        while cancels < 1000:
            try:
                journal.append(*records.encode(cancel(cancels)))
                journal.commit()
            except Rejected:
                break
            cancels += 1
        assert 3 < cancels < 1000
        assert rejection(lambda: journal.append(*due))[0] is JournalFull
        assert rejection(lambda: venue.take(taken))[0] is JournalFull
        answer = records.encode(records.OrderRejected(bytes(32), 1))
        journal.append(*answer)
        journal.commit()
        head = journal.durable
        monkeypatch.undo()
        venue.take(taken)
        assert journal.durable.sequence == head.sequence + 2, "room is back, so is the service"
    assert verify_chain(path, head).sequence == head.sequence + 2


def test_every_kind_but_what_is_new_says_how_much_it_needs() -> None:
    kinds = {c.__name__ for c in records.AnyRecord.__args__}
    orders = {"OrderPlaced", "QuotesPlaced", "BlockAccepted"}
    assert set(NEEDS) == kinds - orders - {"Genesis", "ProtectionSet", "ProtectionReset"}
    assert NEEDS["CancelRequested"] < Need.UPKEEP < Need.NEW
    assert all(NEEDS[event.__name__] is Need.ANSWER for event in records.EVENTS)


@pytest.mark.parametrize(
    ("number", "error"), [(errno.EROFS, JournalReadOnly), (errno.ENOSPC, JournalFull)]
)
def test_a_write_that_the_disk_refuses_waits_and_is_made_again(
    path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: object
) -> None:
    """The disk turns under an open file, in the middle of a group (shim of ``pwrite``)."""
    real = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if offset > 1000:
            raise OSError(number, os.strerror(number))
        return real(descriptor, bytes(data)[:100], offset)

    with opened(path) as journal:
        journal.append(GENESIS_KIND, b"x" * 300)
        journal.commit()
        durable = journal.durable
        waiting = [journal.append("Order", bytes([n]) * 300) for n in range(1, 5)]
        monkeypatch.setattr(os, "pwrite", half)
        assert rejection(journal.commit)[0] is error
        assert journal.durable == durable and len(list(journal.read())) == 1
        assert rejection(lambda: journal.append("Order", b""))[0] is error
        crashed = path.with_name("crashed.bin")
        shutil.copy(path, crashed)
        monkeypatch.undo()
        made = journal.append("Order", b"")
        assert list(journal.read(1)) == waiting, "the append has committed what waited"
    assert verify_chain(path) == Head(5, made.hash)
    with opened(crashed) as after:
        assert after.torn is not None and durable.sequence <= after.head.sequence < 4


LIMITED = """
import json, resource, sys
from pathlib import Path
from novate.errors import Rejected
from tests.support.journals import Venue, opened
path, said = Path(sys.argv[1]), {}
def limit(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
def take(venue, first):
    for number in range(first, first + 80):
        try:
            venue.take(number)
        except Rejected as refused:
            return number - first, refused.error.name
    return 80, ""
with opened(path, 1 << 15) as journal:
    venue = Venue(journal)
    limit(20_000)
    said["full"] = take(venue, 0)
    said["durable"] = journal.durable.sequence
    said["readable"] = len(list(journal.read()))
    limit(resource.RLIM_INFINITY)
    said["resumed"] = take(venue, 1000)
with_room = path.stat().st_size
limit(with_room)
with opened(path, 1 << 15) as journal:
    said["opened_full"] = take(Venue(journal), 2000)
    limit(resource.RLIM_INFINITY)
    said["resumed_again"] = take(Venue(journal), 3000)
print(json.dumps(said))
"""


def test_a_limit_of_file_sizes_refuses_and_nothing_is_lost(path: Path) -> None:
    process = child(LIMITED, path)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    said = json.loads(out)
    taken, why = said["full"]
    assert 5 < taken < 80 and why == "JournalFull"
    assert said["readable"] == said["durable"] + 1
    assert said["resumed"] == [80, ""] and said["resumed_again"] == [80, ""]
    assert said["opened_full"] == [0, "JournalFull"]
    assert verify_chain(path).sequence > 300


MOUNTED = """
import json, os, subprocess, sys
from pathlib import Path
from novate.engine.journal import Journal, verify_chain
from novate.errors import Rejected
from novate.wire import records
from tests.support.journals import Venue, cancel, opened
folder, said = Path(sys.argv[1]), {}
def count(act):
    for number in range(2000):
        try:
            act(number)
        except Rejected as refused:
            return number, refused.error.name
    return 2000, ""
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=256k", "none", folder], check=True)
path, ballast = folder / "journal.bin", folder / "ballast"
ballast.write_bytes(bytes(100_000))
with opened(path, 1 << 16) as journal:
    venue = Venue(journal)
    said["orders"] = count(venue.take)
    def stop(number):
        journal.append(*records.encode(cancel(number)))
        journal.commit()
    said["cancels"] = count(stop)
    head = journal.durable
    ballast.unlink()
    venue.take(5000)
    said["resumed"] = journal.durable.sequence - head.sequence
said["verified"] = verify_chain(path, head).sequence - head.sequence
subprocess.run(["mount", "-o", "remount,ro", folder], check=True)
said["read_only"] = count(lambda number: opened(path))
said["still_verified"] = verify_chain(path, head).sequence - head.sequence
print(json.dumps(said))
"""
NAMESPACE = ("unshare", "--map-root-user", "--mount")


def has_mounts(folder: Path) -> bool:
    """Whether this system lets a process have file systems of its own."""
    if shutil.which("unshare") is None:
        return False
    made = ("mount", "-t", "tmpfs", "none", str(folder))
    return subprocess.run([*NAMESPACE, *made], capture_output=True, check=False).returncode == 0


def test_a_small_disk_fills_empties_and_turns_read_only(tmp_path: Path) -> None:
    if not has_mounts(tmp_path):
        pytest.skip("this system gives a process no file systems of its own")
    process = child(MOUNTED, tmp_path, prefix=NAMESPACE)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    said = json.loads(out)
    orders, why = said["orders"]
    assert 100 < orders < 2000 and why == "JournalFull"
    cancels, why = said["cancels"]
    assert 10 < cancels < 2000 and why == "JournalFull"
    assert said["resumed"] == said["verified"] == said["still_verified"] == 2
    assert said["read_only"] == [0, "JournalReadOnly"]


def test_a_refused_call_other_than_for_room_stays_a_fault() -> None:
    with pytest.raises(OSError, match="Input/output"), journal_disk.refusals("a test"):
        raise OSError(errno.EIO, "Input/output error")


def test_new_orders_are_refused_before_what_is_there_is_touched(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with opened(path) as journal:
        venue = Venue(journal)
        monkeypatch.setattr(os, "posix_fallocate", no_more_room)
        with pytest.raises(Rejected):
            for number in range(1000):
                venue.take(number)
        before = [(file, file.read_bytes()) for file in sorted(path.parent.glob("journal.bin*"))]
        assert rejection(lambda: journal.append(*records.encode(order(0))))[0] is JournalFull
        journal.commit()
        after = [(file, file.read_bytes()) for file in sorted(path.parent.glob("journal.bin*"))]
        assert after == before
        monkeypatch.undo()
