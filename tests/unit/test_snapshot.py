"""Snapshots: a start from one comes to the state of a full replay, or the snapshot is not used."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from novate.engine import plain, snapshot
from novate.engine.journal import Journal, Record
from novate.engine.matching import SelfTrade
from novate.engine.recovery import Diverged, Follower, Recovered, recover
from novate.engine.sequencer import Sequencer
from novate.errors import JournalFull, Rejected, SnapshotUnusable
from novate.model.book_terms import Kind
from novate.model.option_listing import Listed
from novate.model.oracle import Feed
from novate.services.boot import genesis_of
from novate.wire import records
from tests.support.engine import EXECUTOR, Floor, build_sequencer, deployed
from tests.support.journals import clock, rejection

MAKERS = 6


def fresh() -> Sequencer:
    deployment, parameters, now = deployed()
    return build_sequencer(deployment, parameters, EXECUTOR, now)


class Desk(Floor):
    """A floor whose commands and events go into a journal, as at a venue."""

    def __init__(self, path: Path) -> None:
        self.journal = Journal.open(path, clock, segment_bytes=1 << 16)
        deployment, parameters, _ = deployed()
        self.journal.append(*records.encode(genesis_of(deployment, parameters)))
        super().__init__()

    def tell(self, command: records.AnyRecord) -> list[records.AnyRecord]:
        events = super().tell(command)
        for record in (command, *events):
            self.journal.append(*records.encode(record))
        self.journal.commit()
        return events

    def trade(self, seed: int) -> None:
        """Quotes, a taker, a cancel, and now and then a batch that closes."""
        for number in range(MAKERS):
            self.place(f"maker {number}", -1 - number % 2, 100_000 + number)
        self.take("taker", 3, 100_010)
        self.cancel(f"maker {seed % MAKERS}", "instrument", 1)
        if seed % 2:
            self.close()
            self.prices(100_000 + seed)

    def save(self) -> Path:
        return snapshot.save(self.journal.path, self.journal.durable, self.sequencer)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path / "journal.bin")
    for number in range(MAKERS):
        made.deposit(f"maker {number}", 100_000)
    made.deposit("taker", 100_000)
    made.trade(1)
    made.trade(2)
    return made


def recovered(desk: Desk) -> Recovered:
    """The engine from the journal, which must be what the desk's own engine is now."""
    found = recover(desk.journal, fresh)
    assert snapshot.content_of(found.sequencer) == snapshot.content_of(desk.sequencer)
    assert found.sequencer.world.state_hash() == desk.sequencer.world.state_hash()
    return found


def test_a_row_may_be_a_named_tuple() -> None:
    listed = Listed(1_760_000_000, (6 * 10**14, 7 * 10**14))
    found = plain.decode(plain.encode({(0, 3): listed}))
    assert found == {(0, 3): listed} and type(found[0, 3]) is Listed


def test_a_start_replays_only_what_follows_the_snapshot(desk: Desk) -> None:
    assert desk.sequencer.batching.open.count > 0, "a batch is open: it is state too"
    everything = recovered(desk)
    assert everything.from_snapshot is None
    assert everything.replayed == desk.journal.durable.sequence
    desk.save()
    at = desk.journal.durable.sequence
    assert recovered(desk).replayed == 0
    desk.trade(3)
    found = recovered(desk)
    assert found.from_snapshot == at and not found.unused
    assert found.replayed == desk.journal.durable.sequence - at


def test_both_go_on_alike(desk: Desk) -> None:
    desk.save()
    found = recovered(desk).sequencer
    before = len(desk.commands)
    desk.trade(4)
    desk.cancel("maker 1", "all")
    desk.trade(5)
    events = [
        e for kind, p in desk.commands[before:] for e in found.handle(records.decode(kind, p))
    ]
    assert events == desk.events[-len(events) :] and len(events) > 10
    assert snapshot.content_of(found) == snapshot.content_of(desk.sequencer)


def test_a_damaged_snapshot_is_told_and_the_journal_replayed(desk: Desk) -> None:
    path = desk.save()
    sound = path.read_bytes()
    for position in (0, 9, 40, 60, len(sound) // 2, len(sound) - 1):
        damaged = bytearray(sound)
        damaged[position] ^= 4
        path.write_bytes(damaged)
        found = recover(desk.journal, fresh)
        (unused,) = found.unused
        assert unused.error is SnapshotUnusable and path.name in str(unused)
        assert found.from_snapshot is None
        assert found.replayed == desk.journal.durable.sequence
        assert snapshot.content_of(found.sequencer) == snapshot.content_of(desk.sequencer)
    path.write_bytes(sound[:-7])
    assert recovered(desk).from_snapshot is None


def test_the_one_before_is_used_where_the_newest_is_damaged(desk: Desk) -> None:
    first, at = desk.save(), desk.journal.durable.sequence
    desk.trade(3)
    second = desk.save()
    second.write_bytes(second.read_bytes()[:-1])
    found = recovered(desk)
    assert found.from_snapshot == at and [u.file for u in found.unused] == [second]
    assert snapshot.files(desk.journal.path) == [second, first]


def resealed(path: Path, **changes: object) -> None:
    """Change a snapshot's fields and give it the hash of that."""
    body = path.read_bytes()[len(snapshot.MAGIC) + 32 :]
    document = msgspec.msgpack.decode(body, type=snapshot._Document)
    body = msgspec.msgpack.encode(msgspec.structs.replace(document, **changes))
    path.write_bytes(snapshot.MAGIC + snapshot.sha256(body).digest() + body)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"record_hash": bytes(32)}, "is another in the journal"),
        ({"sequence": 10**6}, "is another in the journal"),
        ({"version": "0"}, "of version 0"),
        ({"world_hash": "00"}, "another state hash"),
        ({"content": plain.encode({"now": 1})}, "other tables"),
        ({"content": b"\xc1"}, "content"),
    ],
)
def test_a_snapshot_of_something_else_is_not_used(
    desk: Desk, changes: dict[str, object], why: str
) -> None:
    resealed(desk.save(), **changes)
    (unused,) = recovered(desk).unused
    assert why in unused.why


def test_only_the_newest_two_stay(desk: Desk) -> None:
    made = []
    for seed in (6, 7, 8):
        made.append(desk.save())
        desk.trade(seed)
    assert snapshot.files(desk.journal.path) == made[:0:-1]


def test_a_snapshot_is_there_whole_or_not_at_all(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.save()
    before = sorted(desk.journal.path.parent.iterdir())
    desk.trade(3)
    real = os.pwrite

    def full(descriptor: int, data: bytes, offset: int) -> int:
        if offset:
            raise OSError(28, "No space left on device")
        return real(descriptor, bytes(data)[:1000], offset)

    monkeypatch.setattr(os, "pwrite", full)
    assert rejection(desk.save)[0] is JournalFull
    monkeypatch.undo()
    assert [p for p in sorted(desk.journal.path.parent.iterdir()) if p not in before] == []
    assert recovered(desk).from_snapshot is not None


def test_a_child_writes_the_state_of_the_moment_while_the_engine_goes_on(desk: Desk) -> None:
    path, head = desk.journal.path, desk.journal.durable
    wanted = desk.save()
    expected = wanted.read_bytes()
    wanted.unlink()
    child = snapshot.save_aside(path, head, desk.sequencer)
    desk.trade(3)
    assert child.wait()
    assert snapshot.files(path) == [wanted] and wanted.read_bytes() == expected
    assert recovered(desk).from_snapshot == head.sequence


def test_a_child_keeps_neither_the_right_to_write_nor_a_client(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads, writes = os.pipe()
    real = snapshot.content_of

    def slowly(sequencer: Sequencer) -> bytes:
        time.sleep(1.0)
        return real(sequencer)

    monkeypatch.setattr(snapshot, "content_of", slowly)
    child = snapshot.save_aside(desk.journal.path, desk.journal.durable, desk.sequencer)
    os.close(writes)
    desk.journal.abandon()
    begun = time.monotonic()
    assert os.read(reads, 1) == b"", "its end is the only one"
    retaken = None
    while retaken is None and time.monotonic() < begun + 0.8:
        try:
            retaken = Journal.open(desk.journal.path, clock, segment_bytes=1 << 16)
        except Rejected:
            time.sleep(0.01)
    assert retaken is not None and time.monotonic() < begun + 0.9
    assert child.wait()
    assert recover(retaken, fresh).from_snapshot == retaken.head.sequence
    retaken.close()
    os.close(reads)


def test_a_child_that_the_disk_refuses_leaves_nothing(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.save()
    before = sorted(desk.journal.path.parent.iterdir())
    desk.trade(3)

    def full(descriptor: int, data: bytes, offset: int) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    child = snapshot.save_aside(desk.journal.path, desk.journal.durable, desk.sequencer)
    assert not child.wait()
    monkeypatch.undo()
    assert sorted(desk.journal.path.parent.iterdir()) == before
    assert recovered(desk).from_snapshot is not None


def test_answers_that_a_killed_engine_owed_are_completed(desk: Desk) -> None:
    complete = list(desk.journal.read())
    last = max(e.sequence for e in complete if e.kind in ("OrderPlaced", "CancelRequested"))
    owed = complete[last + 1 :]
    assert owed, "the last command was answered"
    with Journal.open(desk.journal.path.with_name("killed.bin"), clock) as killed:
        for entry in complete[: last + 1]:
            killed.append(entry.kind, entry.payload)
        killed.commit()
        found = recover(killed, fresh)
        assert found.completed == len(owed)
        assert [e.hash for e in killed.read()] == [e.hash for e in complete]
        assert recover(killed, fresh).completed == 0
    assert snapshot.content_of(found.sequencer) == snapshot.content_of(desk.sequencer)


def test_an_answer_that_the_engine_would_not_give_stops_the_start(desk: Desk) -> None:
    desk.journal.append(*records.encode(records.OrderRejected(bytes(32), 1)))
    desk.journal.commit()
    with pytest.raises(Diverged, match="that nothing caused"):
        recover(desk.journal, fresh)


def told_otherwise(desk: Desk, **fields: str) -> list[Record]:
    """The desk's journal with other fields in its matches."""
    found = []
    for entry in desk.journal.read(1):
        record = records.decode(entry.kind, entry.payload)
        if isinstance(record, records.Matched):
            assert record.mark != "0" != record.index
            _, payload = records.encode(replace(record, **fields))
            entry = replace(entry, payload=payload)
        found.append(entry)
    return found


def test_matches_of_a_release_that_did_not_say_the_mark_are_followed(desk: Desk) -> None:
    follower = Follower(fresh())
    follower.follow(told_otherwise(desk, mark="0", index="0"))
    assert snapshot.content_of(follower.engine) == snapshot.content_of(desk.sequencer)


@pytest.mark.parametrize("field", ["mark", "index"])
@pytest.mark.parametrize("value", ["0", "1"])
def test_a_match_with_another_mark_or_index_stops_the_start(
    desk: Desk, field: str, value: str
) -> None:
    with pytest.raises(Diverged, match="another Matched"):
        Follower(fresh()).follow(told_otherwise(desk, **{field: value}))


def test_a_follower_takes_no_record_twice_and_misses_none(desk: Desk) -> None:
    follower = Follower(fresh())
    entries = list(desk.journal.read(1))
    assert follower.follow(entries[:9]) == 9
    assert follower.follow(entries[:9]) == 0
    with pytest.raises(Diverged, match="10 is next"):
        follower.follow(entries[12:])


# The encoding


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text(max_size=8)
    | st.binary(max_size=8)
    | st.sampled_from([*SelfTrade, *Kind])
    | st.builds(Feed, st.integers(), st.integers()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.lists(inner, max_size=3).map(deque)
        | st.dictionaries(st.integers() | st.text(max_size=3), inner, max_size=3)
        | st.frozensets(st.binary(max_size=4), max_size=3).map(set)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_state_reads_back_as_it_was_written(value: object) -> None:
    again = plain.decode(plain.encode(value))
    assert again == value and type(again) is type(value)
    assert plain.encode(again) == plain.encode(value)


def test_the_order_of_a_dictionary_is_state() -> None:
    one, other = {1: 2, 3: 4}, {3: 4, 1: 2}
    assert plain.encode(one) != plain.encode(other)
    assert list(plain.decode(plain.encode(other))) == [3, 1]


@pytest.mark.parametrize(
    "name", ["os:system()", "novate.model.oracle:Feed(other)", "novate.model.oracle:round_due()"]
)
def test_nothing_but_our_own_rows_is_made(name: str) -> None:
    data = msgspec.msgpack.encode([6, name])
    assert rejection(lambda: plain.decode(data))[0] is SnapshotUnusable


def test_what_is_no_state_cannot_be_written() -> None:
    with pytest.raises(AssertionError, match="is no state"):
        plain.encode({"a": 1.5})
