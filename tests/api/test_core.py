"""The core's promises: what is acknowledged is there, what is refused is not, nothing is there
twice; whatever the disk, the load or a fault does.
"""

from __future__ import annotations

import asyncio
import errno
import gc
import threading
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace
from support.journals import Refusing, cancel, opened, order

from novate.api import core
from novate.api.core import Core
from novate.api.supervisor import Supervisor
from novate.engine import journal_disk
from novate.engine.journal import GENESIS_KIND, Journal
from novate.engine.recovery import Follower
from novate.errors import (
    JournalFull,
    JournalReadOnly,
    NoTwin,
    OutcomeUnknown,
    Overloaded,
    Rejected,
)
from novate.model.order import REDUCE_ONLY
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BatchDue,
    ChainReorganised,
    OrderPlaced,
    OrderRejected,
)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = opened(tmp_path / "journal.bin", 1 << 17)
    made.append(GENESIS_KIND, b"")
    made.commit()
    yield made
    made.close()


def serve(journal: Journal, work: Callable[[Core], Awaitable[None]]) -> Core:
    """Run a core beside some work; then its journal must replay to its engine's state."""
    engine = Refusing()
    made = Core(journal, engine)

    async def run() -> None:
        running = asyncio.create_task(made.run())
        await work(made)
        running.cancel()

    asyncio.run(run())
    replayed = Refusing()
    again = Follower(replayed)
    again.follow(journal.read(1))
    assert not again.pending
    assert replayed.seen == engine.seen
    return made


async def refusal(command: Awaitable[object]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        await command
    return caught.value


def digests(journal: Journal, kind: type[OrderPlaced | OrderRejected]) -> list[bytes]:
    held = [records.decode(entry.kind, entry.payload) for entry in journal.read(1)]
    return [record.digest for record in held if isinstance(record, kind)]


def full(monkeypatch: pytest.MonkeyPatch, number: int = errno.ENOSPC) -> None:
    def refuse(*_: object) -> None:
        raise OSError(number, "as a test wants it")

    for name in ("allocate", "write_at") if number == errno.EROFS else ("allocate",):
        monkeypatch.setattr(journal_disk, name, refuse)


def test_on_a_full_disk_orders_go_first_cancels_last_and_it_goes_on(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(venue: Core) -> None:
        taken: list[int] = []
        with monkeypatch.context() as patch:
            full(patch)
            for number in range(2_000):
                try:
                    await venue.submit(order(number))
                except Rejected as refused:
                    assert refused.error is JournalFull
                    break
                taken.append(number)
            assert 10 < len(taken) < 2_000
            assert (await refusal(venue.submit(order(9_000)))).error is JournalFull
            assert venue.refusing is not None and venue.shed["new"] >= 1
            upkeep = asyncio.create_task(upkeep_until_refused(venue))
            for number in range(20):
                assert await venue.submit(cancel(number)) == []
            await asyncio.sleep(0.3)
            assert not upkeep.done()
        await asyncio.wait_for(upkeep, 5)
        await venue.submit(order(9_001))
        assert venue.settled
        expected = [order(number).digest for number in (*taken, 9_001)]
        assert digests(journal, OrderPlaced) == digests(journal, OrderRejected) == expected

    serve(journal, work)


async def upkeep_until_refused(venue: Core) -> None:
    """The venue's own records wait for room; none is dropped."""
    for number in range(200):
        await venue.enter(BatchDue(number))


def test_on_a_read_only_disk_what_was_taken_waits_and_happens_once(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def work(venue: Core) -> None:
        await venue.submit(order(1))
        with monkeypatch.context() as patch:
            patch.setattr(core, "ANSWER_SECONDS_MAX", 0.3)
            full(patch, errno.EROFS)
            assert (await refusal(venue.submit(order(2)))).error is OutcomeUnknown
            assert (await refusal(venue.submit(order(3)))).error is JournalReadOnly
            assert (await refusal(venue.submit(cancel(1)))).error is OutcomeUnknown
            assert len(digests(journal, OrderPlaced)) == 1 and not venue.settled
        await asyncio.sleep(0.3)
        await venue.submit(order(4))
        expected = [order(number).digest for number in (1, 2, 4)]
        assert digests(journal, OrderPlaced) == digests(journal, OrderRejected) == expected

    serve(journal, work)


def test_load_is_shed_by_class_cancels_last(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, most in (("NEW_MAX", 10), ("REDUCE_MAX", 20), ("CANCEL_MAX", 30)):
        monkeypatch.setattr(core, name, most)

    async def run() -> None:
        venue = Core(journal, Refusing())  # and nobody serves it yet
        sent: list[asyncio.Task[list[AnyRecord]]] = []

        async def put(command: AnyRecord, count: int) -> None:
            sent.extend(asyncio.create_task(venue.submit(command)) for _ in range(count))
            await asyncio.sleep(0)

        plain = order(1)
        reducing = replace(plain, order=replace(plain.order, flags=REDUCE_ONLY))
        for command, room in ((plain, 10), (reducing, 20), (cancel(1), 30)):
            await put(command, room - venue.waiting)
            assert venue.waiting == room
            assert (await refusal(venue.submit(command))).error is Overloaded
            if command is plain:  # one reduction carries no new order past what refuses one
                for tree in ([reducing, plain], [cancel(1), plain], [plain, reducing]):
                    assert (await refusal(venue.submit_all([*tree]))).error is Overloaded
                assert venue.shed.pop("new") == 7
        assert venue.shed == {"reduce": 1, "cancel": 1}
        running = asyncio.create_task(venue.run())
        await asyncio.gather(*sent)
        assert venue.waiting == 0 and venue.carried_out == 30
        running.cancel()

    asyncio.run(run())


def test_a_listener_that_fails_keeps_nobody_from_an_answer(journal: Journal) -> None:
    heard: list[AnyRecord] = []

    def broken(record: AnyRecord) -> None:
        raise RuntimeError("as a test wants it")

    async def work(venue: Core) -> None:
        venue.listeners += [broken, heard.append]
        [event] = await venue.submit(order(1))
        assert isinstance(event, OrderRejected) and len(heard) == 2
        assert venue.listener_faults == 2

    serve(journal, work)


def test_an_engine_that_fails_stops_the_venue_at_once(journal: Journal) -> None:
    class Broken(Refusing):
        def fold(self, command: AnyRecord) -> list[AnyRecord]:
            raise RuntimeError("as a test wants it")

    async def run() -> None:
        venue, supervisor = Core(journal, Broken()), Supervisor()
        supervisor.start("core", venue.run)
        assert (await refusal(venue.submit(order(1)))).error is OutcomeUnknown
        await asyncio.wait_for(supervisor.given_up.wait(), 2)
        assert (await refusal(venue.submit(cancel(1)))).error is Overloaded
        assert (await refusal(venue.enter(BatchDue(1)))).error is Overloaded
        assert not venue.settled and not supervisor.restarts
        await supervisor.stop()

    asyncio.run(run())


def test_while_it_is_barred_nothing_but_cancels_and_the_venues_own_records_enter(
    journal: Journal,
) -> None:
    async def work(venue: Core) -> None:
        venue.barred = Rejected(NoTwin)
        assert (await refusal(venue.submit(order(1)))).error is NoTwin
        await venue.submit(cancel(1))
        await venue.enter(BatchDue(1))
        venue.barred = None
        await venue.submit(order(2))

    made = serve(journal, work)
    assert made.shed == {"new": 1} and len(digests(journal, OrderPlaced)) == 1


def test_while_one_group_is_synced_the_next_is_carried_out_but_nothing_told_before_it_is_durable(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, may_sync = threading.Event(), threading.Event()
    sync = journal_disk.sync_data

    def slowly(descriptor: int) -> None:
        synced.set()
        assert may_sync.wait(10)
        sync(descriptor)

    async def work(venue: Core) -> None:
        heard: list[AnyRecord] = []
        venue.listeners.append(heard.append)
        monkeypatch.setattr(journal_disk, "sync_data", slowly)
        first = asyncio.create_task(venue.submit(order(1)))
        await asyncio.to_thread(synced.wait)
        second = asyncio.create_task(venue.submit(order(2)))
        upkeep = asyncio.create_task(venue.enter(ChainReorganised(1)))
        third = asyncio.create_task(venue.submit(order(3)))
        await asyncio.sleep(0.05)
        assert isinstance(venue.engine, Refusing)
        assert len(venue.engine.seen) == 2, "the world moves only once all before it is durable"
        assert not heard and not any(task.done() for task in (first, second, upkeep, third))
        assert not venue.settled and not digests(journal, OrderPlaced)
        may_sync.set()
        await asyncio.gather(first, second, upkeep, third)
        assert [
            type(record).__name__ for record in heard if not isinstance(record, OrderRejected)
        ] == ["OrderPlaced", "OrderPlaced", "ChainReorganised", "OrderPlaced"]
        assert venue.settled

    serve(journal, work)


def test_a_batch_waits_for_what_is_before_it_and_keeps_no_order_waiting(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    syncing, may_sync = threading.Semaphore(0), threading.Semaphore(0)
    sync = journal_disk.sync_data

    def slowly(descriptor: int) -> None:
        syncing.release()
        assert may_sync.acquire(timeout=10)
        sync(descriptor)

    async def work(venue: Core) -> None:
        heard: list[str] = []
        carried_out: list[str] = []
        fold = venue.engine.fold

        def noted(command: AnyRecord) -> list[AnyRecord]:
            carried_out.append(type(command).__name__)
            return fold(command)

        monkeypatch.setattr(venue.engine, "fold", noted)
        venue.listeners.append(lambda record: heard.append(type(record).__name__))
        monkeypatch.setattr(journal_disk, "sync_data", slowly)
        sent = [asyncio.create_task(venue.submit(order(1)))]
        await asyncio.to_thread(syncing.acquire)
        sent += [asyncio.create_task(venue.enter(BatchDue(1)))]
        sent += [asyncio.create_task(venue.submit(order(2)))]
        await asyncio.sleep(0.05)
        assert carried_out == ["OrderPlaced"] and not heard
        may_sync.release()
        await asyncio.to_thread(syncing.acquire)
        await asyncio.sleep(0.05)
        assert carried_out == ["OrderPlaced", "BatchDue", "OrderPlaced"]
        assert heard == ["OrderPlaced", "OrderRejected"] and not sent[1].done()
        may_sync.release(2)
        await asyncio.gather(*sent)
        assert heard[2:] == ["BatchDue", "OrderPlaced", "OrderRejected"]

    serve(journal, work)


def test_work_at_rest_is_done_where_the_durable_journal_ends_however_many_commands_come(
    journal: Journal,
) -> None:
    async def work(venue: Core) -> None:
        seen: list[tuple[bool, int]] = []

        def look() -> None:
            assert isinstance(venue.engine, Refusing)
            seen.append((venue.settled, 2 * len(venue.engine.seen)))
            assert journal.durable == journal.head and journal.head.sequence == seen[-1][1]

        venue.at_rest(look)
        sent = [asyncio.create_task(venue.submit(order(number))) for number in range(40)]
        for _ in range(5):
            await asyncio.sleep(0)
            venue.at_rest(look)
            sent += [asyncio.create_task(venue.submit(order(100 + len(sent))))]
        await asyncio.gather(*sent)
        assert len(seen) == 6 and all(settled for settled, _ in seen) and seen[0] == (True, 0)

    serve(journal, work)


def test_who_stops_the_core_waits_for_the_disk_and_acknowledges_what_it_holds(
    journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced, sync = threading.Event(), journal_disk.sync_data

    def slowly(descriptor: int) -> None:
        synced.set()
        time.sleep(0.1)
        sync(descriptor)

    async def run() -> None:
        venue = Core(journal, Refusing())
        running = asyncio.create_task(venue.run())
        monkeypatch.setattr(journal_disk, "sync_data", slowly)
        sent = asyncio.create_task(venue.submit(order(1)))
        await asyncio.to_thread(synced.wait)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        [event] = await sent
        assert isinstance(event, OrderRejected) and venue.settled

    asyncio.run(run())


def test_who_stops_the_core_while_the_disk_refuses_is_not_held_up_by_it(
    journal: Journal, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    writing = threading.Event()

    def refuse(*_: object) -> None:
        writing.set()
        time.sleep(0.1)
        raise OSError(errno.EROFS, "as a test wants it")

    async def run() -> None:
        venue = Core(journal, Refusing())
        running = asyncio.create_task(venue.run())
        with monkeypatch.context() as patch:
            patch.setattr(journal_disk, "write_at", refuse)
            sent = asyncio.create_task(venue.submit(order(1)))
            await asyncio.to_thread(writing.wait)
            running.cancel()
            done, _ = await asyncio.wait([running], timeout=2)
        assert done and running.cancelled()
        assert not sent.done() and not venue.settled
        sent.cancel()
        journal.commit()
        assert digests(journal, OrderPlaced) == [order(1).digest], "what was taken waits"

    asyncio.run(run())
    gc.collect()
    assert [r for r in caplog.records if r.name == "asyncio"] == [], "nobody has to know twice"
