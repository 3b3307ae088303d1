"""The standby: it holds the writer's state, takes over with all that was acknowledged, and the
writer it replaced can add nothing."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from novate.engine import journal_disk
from novate.engine.journal import Cursor, Head, Journal, verify_chain
from novate.engine.journal_frame import frame
from novate.engine.journal_lock import one_successor
from novate.engine.journal_scan import Fenced, Scanner, Tail
from novate.engine.journal_segment import next_segment, segments
from novate.engine.recovery import Diverged, Follower
from novate.engine.standby import Standby
from novate.errors import JournalCorrupt, JournalFenced, JournalFull, JournalLocked, JournalTorn
from novate.wire import records
from tests.support.journals import SEGMENT, Refusing, Venue, child, clock, opened, order, rejection


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.bin"


def promote(standby: Standby, force: bool = False) -> Journal:
    return standby.promote(clock, force, SEGMENT)


def test_a_standby_holds_the_writers_state_over_all_segments(path: Path) -> None:
    engine, follower = Refusing(), Refusing()
    standby = Standby(path, follower)
    assert standby.poll() == 0, "there is no journal yet"
    with opened(path) as journal:
        venue = Venue(journal, engine)
        for number in range(122):
            venue.take(number)
            if number % 7 == 0:
                standby.poll()
                assert follower.state_hash() == engine.state_hash()
        assert standby.poll() > 0 and standby.tail.head == journal.durable
        assert len(segments(path)) > 3
    assert follower.state_hash() == engine.state_hash()


def test_a_standby_takes_over_from_a_writer_that_is_gone(path: Path) -> None:
    engine = Refusing()
    standby = Standby(path, Refusing())
    journal = opened(path)
    venue = Venue(journal, engine)
    for number in range(50):
        venue.take(number)
    standby.poll()
    venue.take(50)
    promised = journal.durable
    journal.abandon()
    with promote(standby) as successor:
        assert successor.epoch == 2 and successor.durable == promised
        assert standby.follower.engine.seen == engine.seen
        Venue(successor, standby.follower.engine).take(51)
    last = segments(path)[-1]
    assert (last.epoch, last.before) == (2, promised)
    assert verify_chain(path, promised).sequence == promised.sequence + 2
    with opened(path) as again:
        assert again.epoch == 2 and again.findings == []


def test_answers_that_a_killed_writer_owed_are_given_once(path: Path) -> None:
    journal = opened(path)
    venue = Venue(journal)
    venue.take(1)
    for number in (2, 3):
        journal.append(*records.encode(order(number)))
    journal.append(*records.encode(venue.engine.fold(order(2))[0]))
    journal.commit()
    journal.abandon()
    standby = Standby(path, Refusing())
    with promote(standby) as successor:
        kinds = [entry.kind for entry in successor.read()]
        assert kinds[-4:] == ["OrderPlaced", "OrderPlaced", "OrderRejected", "OrderRejected"]
        last = records.decode(*[(e.kind, e.payload) for e in successor.read()][-1])
        assert isinstance(last, records.OrderRejected) and last.digest == order(3).digest
    third = Refusing()
    follower = Follower(third)
    follower.follow(Scanner(path).run().records[1:])
    assert not follower.pending and third.seen == standby.follower.engine.seen


def test_a_living_writer_is_not_replaced_unless_forced(path: Path) -> None:
    with opened(path) as journal:
        venue = Venue(journal)
        venue.take(1)
        standby = Standby(path, Refusing())
        assert rejection(lambda: promote(standby))[0] is JournalLocked
        venue.take(2)
        assert journal.epoch == 1
        assert rejection(lambda: promote(standby))[0] is JournalLocked
        seen = list(venue.engine.seen)
    assert verify_chain(path).sequence == 4
    with promote(standby):
        assert standby.follower.engine.seen == seen, "what it read when it was refused counts"


def test_a_replaced_writer_can_acknowledge_nothing(path: Path) -> None:
    old = opened(path)
    venue = Venue(old)
    venue.take(1)
    standby = Standby(path, Refusing())
    with promote(standby, force=True) as successor:
        durable = old.durable
        old.append(*records.encode(order(2)))
        error, detail = rejection(old.commit)
        assert error is JournalFenced and "epoch 1" in detail
        assert old.durable == durable
        with pytest.raises(AssertionError):
            old.append(*records.encode(order(3)))
        old.close()
        Venue(successor, standby.follower.engine).take(4)
        assert rejection(lambda: opened(path))[0] is JournalLocked
    assert [e.kind for e in Scanner(path).run().records].count("OrderPlaced") == 2


def take_over_during(path: Path, hook: str, monkeypatch: pytest.MonkeyPatch) -> tuple[bool, Head]:
    """Replace the writer at one of its system calls; whether its record was kept."""
    old = opened(path)
    venue = Venue(old)
    venue.take(1)
    standby = Standby(path, Refusing())
    standby.poll()
    real: Callable[..., None] = getattr(journal_disk, hook)
    taken: list[Journal] = []

    def replaced(*arguments: object) -> None:
        monkeypatch.setattr(journal_disk, hook, real)
        taken.append(promote(standby, force=True))
        real(*arguments)

    late = old.append(*records.encode(order(2)))
    monkeypatch.setattr(journal_disk, hook, replaced)
    assert rejection(old.commit)[0] is JournalFenced
    assert old.durable.sequence == late.sequence - 1
    (successor,) = taken
    kept = any(entry.hash == late.hash for entry in successor.read())
    Venue(successor, standby.follower.engine).take(3)
    head = successor.durable
    successor.close()
    old.close()
    return kept, head


def test_a_writer_replaced_before_its_write_leaves_bytes_that_count_for_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, head = take_over_during(path, "write_at", monkeypatch)
    assert not kept
    scanner = Scanner(path).run()
    (finding,) = scanner.findings
    assert isinstance(finding, Fenced) and finding.file == path and finding.bytes_ignored > 0
    assert "fenced writer" in str(finding) and str(finding.offset) in str(finding)
    assert scanner.chain.head == head == verify_chain(path)
    with opened(path) as again:
        assert again.findings == [finding] and again.durable == head


def test_a_record_written_before_the_takeover_is_kept(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, head = take_over_during(path, "sync_data", monkeypatch)
    assert kept
    scanner = Scanner(path).run()
    assert scanner.findings == [] and scanner.chain.head == head


def test_a_segment_that_a_replaced_writer_still_made_is_left_out(path: Path) -> None:
    old = opened(path)
    venue = Venue(old)
    venue.take(1)
    before = old.durable
    standby = Standby(path, Refusing())
    with promote(standby, force=True) as successor:
        stray = next_segment(path, 1, before)
        forged, _ = frame(before.sequence + 1, clock(), "Order", b"late", before.hash, True)
        stray.path.write_bytes(stray.header() + forged)
        Venue(successor, standby.follower.engine).take(2)
        head = successor.durable
    old.abandon()
    assert verify_chain(path) == head
    second = Standby(path, Refusing())
    second.poll()
    assert second.tail.head == head


def test_a_third_process_follows_over_a_takeover(path: Path) -> None:
    old = opened(path)
    venue = Venue(old)
    venue.take(1)
    watcher, standby = Standby(path, Refusing()), Standby(path, Refusing())
    watcher.poll()
    venue.take(2)
    with promote(standby, force=True) as successor:
        Venue(successor, standby.follower.engine).take(3)
        watcher.poll()
        assert watcher.tail.head == successor.durable
        assert watcher.follower.engine.state_hash() == standby.follower.engine.state_hash()
        with promote(watcher, force=True) as third:
            assert third.epoch == 3
            successor.append(*records.encode(order(9)))
            assert rejection(successor.commit)[0] is JournalFenced
    old.abandon()


def test_a_full_disk_refuses_a_takeover_before_the_writer_is_fenced(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(descriptor: int, offset: int, size: int) -> None:
        raise OSError(28, "No space left on device")

    old = opened(path)
    venue = Venue(old)
    venue.take(1)
    standby = Standby(path, Refusing())
    monkeypatch.setattr(os, "posix_fallocate", full)
    assert rejection(lambda: promote(standby, force=True))[0] is JournalFull
    monkeypatch.undo()
    venue.take(2)
    with promote(standby, force=True) as successor:
        assert successor.durable == old.durable
    old.abandon()


def test_only_one_takes_over_at_a_time(path: Path) -> None:
    opened(path).close()
    standby = Standby(path, Refusing())
    with one_successor(path):
        assert rejection(lambda: promote(standby, force=True))[0] is JournalLocked


def test_a_torn_tail_is_cut_at_the_takeover_and_reported(path: Path) -> None:
    journal = opened(path)
    venue = Venue(journal)
    venue.take(1)
    journal.abandon()
    promised, end = journal.durable, len(path.read_bytes().rstrip(b"\0"))
    with path.open("r+b") as stream:
        stream.seek(end)
        stream.write(path.read_bytes()[end - 200 : end - 150])
    standby = Standby(path, Refusing())
    error, _ = rejection(lambda: promote(standby))
    assert error is JournalCorrupt, "what is no record's beginning is not cut"
    whole, _ = frame(promised.sequence + 1, clock(), "Order", b"x" * 90, promised.hash, True)
    with path.open("r+b") as stream:
        stream.seek(end)
        stream.write(whole[:70])
    with promote(Standby(path, Refusing())) as successor:
        assert successor.torn is not None and successor.torn.error is JournalTorn
        assert (successor.torn.offset, successor.torn.bytes_removed) == (end, 70)
        assert successor.durable == promised
    assert verify_chain(path) == promised


def test_damage_under_a_standby_is_refused_with_its_record(path: Path) -> None:
    with opened(path, 1 << 20) as journal:
        venue = Venue(journal)
        for number in range(20):
            venue.take(number)
    sound = path.read_bytes()
    damaged = Scanner(path).run().records[10]
    path.write_bytes(sound.replace(damaged.hash, bytes(31) + b"x", 1))
    standby = Standby(path, Refusing())
    error, detail = rejection(standby.poll)
    assert error is JournalCorrupt and detail.startswith("record 10:")


def test_another_story_than_the_engines_stops_a_standby(path: Path) -> None:
    with opened(path) as journal:
        Venue(journal).take(1)
        journal.append(*records.encode(records.OrderRejected(order(1).digest, 1)))
    with pytest.raises(Diverged, match="record 3: OrderRejected that nothing caused"):
        Standby(path, Refusing()).poll()


def test_a_record_longer_than_what_is_read_at_once_is_followed(path: Path) -> None:
    tail = Tail(path)
    with opened(path, 4 << 20) as journal:
        Venue(journal)
        for size in (10, 200_000, 1_000_000, 10):
            journal.append("Order", b"\1" * size)
            journal.commit()
            assert tail.poll()[-1] == list(journal.read())[-1]
    assert [len(r.payload) for r in tail.records[1:]] == [10, 200_000, 1_000_000, 10]


WRITER = """
import sys
from pathlib import Path
from novate.errors import Rejected
from tests.support.journals import Venue, opened
venue = Venue(opened(Path(sys.argv[1])))
for number in range(100_000):
    try:
        venue.take(number)
    except Rejected as refused:
        print(refused.error.name, flush=True)
        sys.exit(0)
    print(venue.journal.durable.sequence, venue.journal.durable.hash.hex(), flush=True)
"""


@pytest.mark.parametrize("acknowledgements", [1, 40, 90])
def test_a_paused_writer_wakes_up_fenced_and_loses_nothing_it_promised(
    path: Path, acknowledgements: int
) -> None:
    writer = child(WRITER, path)
    assert writer.stdout is not None and writer.stderr is not None
    said = [writer.stdout.readline() for _ in range(acknowledgements)]
    standby = Standby(path, Refusing())
    standby.poll()
    os.kill(writer.pid, signal.SIGSTOP)
    assert rejection(lambda: promote(standby))[0] is JournalLocked
    with promote(standby, force=True) as successor:
        os.kill(writer.pid, signal.SIGCONT)
        rest, errors = writer.communicate(timeout=30)
        *said_late, last = rest.splitlines()
        assert last == "JournalFenced", errors
        hashes = [entry.hash.hex() for entry in Cursor(successor).poll()]
        for line in [*said, *said_late]:
            sequence, digest = line.split()
            assert hashes[int(sequence)] == digest
        Venue(successor, standby.follower.engine).take(10**6)
        head = successor.durable
    assert verify_chain(path) == head
