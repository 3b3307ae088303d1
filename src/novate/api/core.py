"""The venue as the API sees it: commands in, durable records out.

Owns: the one queue through which everything enters the journal (orders, cancels, rounds, chain
transactions), so that its order is the journal's; group commit; load shed by class; and the
listeners that follow every record after it is durable. A command's future ends with the events it
caused, all of them durable: nothing is acknowledged, and no listener told, before. Single-threaded,
on one event loop, but for the wait for the disk: while one group of records is synced by a thread,
the engine carries out the commands of the next.

So the engine may be ahead of what was told, by the orders of one sync: by what they did to its
books, and, if one of them closed a full batch, to the positions in its world (who looks there sees
orders and fills that nobody has been told of yet; what they cause is told only once it is durable).
Other commands that change its world (rounds, batches, the chain) wait until the disk has everything
before them, and nothing else happens until they are told.

A journal that refuses (full, read-only) loses and doubles nothing: a command it does not take is
refused by that name; what it has taken but cannot make durable waits here, and so does everything
behind it, until there is room. What nothing can cure (the engine or the journal failed, or a
successor writes) is ``CoreFailed``: no further command is taken.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from novate.api.engine_port import Engine
from novate.engine.journal import Group, Journal
from novate.errors import (
    JournalFull,
    JournalReadOnly,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    require,
)
from novate.model.order import REDUCE_ONLY
from novate.model.state import World
from novate.wire import records
from novate.wire.records import AnyRecord, CancelRequested, OrderPlaced, QuotesPlaced

# Commands waiting for their turn, beyond which a class is refused: new orders first, cancels last.
NEW_MAX = 10_000
REDUCE_MAX = 15_000
CANCEL_MAX = 40_000
BATCH_MAX = 256
AHEAD_MAX = 4_096  # commands carried out that the disk does not hold yet
ANSWER_SECONDS_MAX = 5.0
ROOM_SECONDS = 0.1
# They leave the engine's world but for its second and a batch that is over; all others change it.
_ORDERLY = (OrderPlaced, CancelRequested, QuotesPlaced)
_NO_ROOM = (JournalFull, JournalReadOnly)
_LOG = logging.getLogger("novate.core")


class CoreFailed(Exception):
    """Nothing may go on from here; a restart reads what is durable."""


Listener = Callable[[AnyRecord], None]
Answer = asyncio.Future[list[list[AnyRecord] | Rejected]]
Asked = tuple[list[AnyRecord], Answer]


@dataclass(frozen=True, slots=True)
class _Done:
    """A client's commands with what came of each, and the journal's head behind them."""

    commands: list[AnyRecord]
    answers: list[list[AnyRecord] | Rejected]
    future: Answer
    sequence: int


class Core:
    """One venue's journal and engine behind a queue."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self.journal = journal
        self.engine = engine
        self.listeners: list[Listener] = []
        self.failed = False
        self.busy = False
        self._refusal: tuple[Rejected, float] | None = None
        self.barred: Rejected | None = None  # why no order may be taken, until it is taken back
        self.carried_out = self.listener_faults = 0
        self.shed: Counter[str] = Counter()
        self._queue: deque[Asked] = deque()
        self._waiting = 0
        self._under_way: list[Asked] = []
        self._asked = asyncio.Event()
        self._done: deque[_Done] = deque()  # carried out, not durable or not told yet
        self._ahead = 0  # commands in it
        self._placed, self._told = asyncio.Event(), asyncio.Event()
        self._stuck = False  # the journal refuses what it has taken
        # answers in the order asked for, each with the moment its client is told to wait no longer
        self._due: deque[tuple[float, Answer]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    @property
    def world(self) -> World:
        """The engine's world, ahead of the chain by the batches under way."""
        return self.engine.world

    @property
    def waiting(self) -> int:
        """How many commands wait for their turn."""
        return self._waiting

    @property
    def refusing(self) -> Rejected | None:
        """Why no new order is taken at present; what the journal refuses is tried again soon."""
        if self.barred is not None:
            return self.barred
        if self._refusal is None or time.monotonic() > self._refusal[1] + 2 * ROOM_SECONDS:
            return None
        return self._refusal[0]

    @property
    def settled(self) -> bool:
        """Whether the engine stands where the durable journal ends."""
        caught_up = self.journal.durable.sequence == self.journal.head.sequence
        return caught_up and not self.busy and not self.failed

    async def submit(self, command: AnyRecord) -> list[AnyRecord]:
        """Enter a client's command; the events it caused, durable.

        Errors: ``Overloaded``, ``JournalFull``, ``JournalReadOnly`` (nothing entered),
        ``OutcomeUnknown`` (it may yet take effect).
        """
        (found,) = await self.begin([command])
        if isinstance(found, Rejected):
            raise found
        return found

    async def submit_all(self, commands: list[AnyRecord]) -> list[list[AnyRecord] | Rejected]:
        """Enter a client's commands, one behind the other: for each its events, or why it did not
        enter. Errors: ``Overloaded``, and those of a journal that refuses (none entered),
        ``OutcomeUnknown``.
        """
        return await self.begin(commands)

    def begin(self, commands: list[AnyRecord]) -> Answer:
        """``submit_all``, to be waited for; what it refuses at once it raises at once."""
        kind, most = _class_of(commands[0])
        if self.failed or self.waiting >= most:
            self.shed[kind] += len(commands)
            raise Rejected(Overloaded, f"{self.waiting} commands wait")
        refused = self.refusing
        if refused is not None and kind != "cancel":
            self.shed[kind] += len(commands)
            raise Rejected(refused.error)
        # whoever gives up waiting leaves a future that is done
        return self._in_time(self._queued(commands))

    async def enter(self, record: AnyRecord) -> list[AnyRecord]:
        """Enter a record of the venue's own; waits as long as it takes, also for room."""
        while True:
            require(not self.failed, Overloaded, "the venue stops")
            (found,) = await self._queued([record])
            if not isinstance(found, Rejected):
                return found
            if found.error not in _NO_ROOM:
                raise found
            await asyncio.sleep(ROOM_SECONDS)

    def _queued(self, commands: list[AnyRecord]) -> Answer:
        future: Answer = asyncio.get_running_loop().create_future()
        self._waiting += len(commands)
        self._queue.append((commands, future))
        self._asked.set()
        return future

    def _in_time(self, answer: Answer) -> Answer:
        """The same, ended by ``OutcomeUnknown`` if it is late: one timer serves all answers."""
        loop, due = asyncio.get_running_loop(), self._due
        while due and due[0][1].done():
            due.popleft()
        due.append((loop.time() + ANSWER_SECONDS_MAX, answer))
        if self._watch is None:
            self._watch = loop.call_at(due[0][0], self._end_late)
        return answer

    def _end_late(self) -> None:
        """Tell those who have waited too long; look again when the next is due."""
        loop, due = asyncio.get_running_loop(), self._due
        while due and (due[0][1].done() or due[0][0] <= loop.time()):
            _, answer = due.popleft()
            if not answer.done():
                answer.set_exception(Rejected(OutcomeUnknown))
        self._watch = loop.call_at(due[0][0], self._end_late) if due else None

    async def run(self) -> None:
        """Serve the queue until cancelled. Raises ``CoreFailed``."""
        require(not self.failed, Overloaded)
        try:
            async with asyncio.TaskGroup() as parts:
                parts.create_task(self._carry_out_all())
                parts.create_task(self._write_all())
        except ExceptionGroup as faults:
            self.failed = True
            self._give_up()
            raise CoreFailed(repr(faults.exceptions[0])) from faults

    async def _carry_out_all(self) -> None:
        """Take commands in their order, many at once, as long as the disk keeps up.

        If it is cancelled while it waits for room, the venue stays ``busy``: a restart completes
        what is then in the journal.
        """
        while True:
            while not self._queue:
                self._asked.clear()
                await self._asked.wait()
            orderly = isinstance(self._queue[0][0][0], _ORDERLY)
            await self._until_told(AHEAD_MAX if orderly else 0)
            taken = self._under_way = self._take() if orderly else [self._queue.popleft()]
            self._waiting -= sum(len(commands) for commands, _ in taken)
            self.busy = True
            await self._carry_out(taken)
            if not orderly:
                await self._commit()
                self._acknowledge()
            self._placed.set()
            self._under_way, self.busy = [], False
            # others (replies, reads) get their turn between batches
            await asyncio.sleep(0)

    def _take(self) -> list[Asked]:
        """The next orderly commands."""
        taken, count, queue = [self._queue.popleft()], 0, self._queue
        while queue and count < BATCH_MAX and isinstance(queue[0][0][0], _ORDERLY):
            taken.append(queue.popleft())
            count += len(taken[-1][0])
        return taken

    async def _until_told(self, most: int) -> None:
        """Wait until no more than so many commands are ahead of what was told."""
        while self._ahead > most or self._stuck:
            self._told.clear()
            await self._told.wait()

    async def _carry_out(self, taken: list[Asked]) -> None:
        """Take the commands into the journal, carry them out, and their events in behind them."""
        refusals = [[self._admits(command) for command in commands] for commands, _ in taken]
        for (commands, future), refused in zip(taken, refusals, strict=True):
            answers: list[list[AnyRecord] | Rejected] = []
            for command, refusal in zip(commands, refused, strict=True):
                events = [] if refusal is not None else self.engine.handle(command)
                for event in events:
                    try:
                        self.journal.append(*records.encode(event))
                    except Rejected as refused_now:
                        await self._wait(refused_now)
                        await self._append(event)
                answers.append(events if refusal is None else refusal)
            self._ahead += len(commands)
            head = self.journal.head.sequence
            self._done.append(_Done(commands, answers, future, head))

    async def _write_all(self) -> None:
        """Have a thread write and sync what was appended, one group after the other, and say so."""
        with ThreadPoolExecutor(1, "journal") as disk:
            while True:
                while not self._done:
                    self._placed.clear()
                    await self._placed.wait()
                group = self.journal.begin_commit()
                if group is not None:
                    try:
                        await self._write(disk, group)
                    except Rejected as refused:
                        self._stuck = True
                        await self._wait(refused)
                        await self._commit()
                        self._stuck = False
                self._acknowledge()

    async def _write(self, disk: ThreadPoolExecutor, group: Group) -> None:
        """One group. The thread is never left alone with the files: who cancels waits for it, and
        is not kept by a disk that refuses.
        """
        writing, cancelled = disk.submit(self.journal.write, group), False
        try:
            with self.journal.committing(group):
                try:
                    await asyncio.shield(asyncio.wrap_future(writing))
                except asyncio.CancelledError:
                    cancelled = True
                    writing.result()
        except Rejected:
            if not cancelled:
                raise
        if cancelled:
            self._acknowledge()
            raise asyncio.CancelledError

    def _acknowledge(self) -> None:
        """Tell the listeners, then the clients, what has become durable."""
        durable = self.journal.durable.sequence
        while self._done and self._done[0].sequence <= durable:
            done = self._done.popleft()
            self._ahead -= len(done.commands)
            for command, answer in zip(done.commands, done.answers, strict=True):
                if not isinstance(answer, Rejected):
                    self.carried_out += 1
                    self._tell(command)
                    for event in answer:
                        self._tell(event)
            if not done.future.done():
                done.future.set_result(done.answers)
        self._told.set()

    def _admits(self, command: AnyRecord) -> Rejected | None:
        """Why the journal does not take a command, which then has no trace; None if it does."""
        try:
            self.journal.append(*records.encode(command))
        except Rejected as refused:
            self._refuse(refused)
            return Rejected(refused.error)
        self._refusal = None
        return None

    async def _append(self, event: AnyRecord) -> None:
        """Append an event that has happened, however long the disk gives no room for it."""
        while True:
            try:
                self.journal.append(*records.encode(event))
            except Rejected as refused:
                await self._wait(refused)
            else:
                return

    async def _commit(self) -> None:
        """Make what was appended durable, however long the disk refuses."""
        while True:
            try:
                self.journal.commit()
            except Rejected as refused:
                await self._wait(refused)
            else:
                return

    async def _wait(self, refused: Rejected) -> None:
        if not refused.error.retryable:
            raise refused
        self._refuse(refused)
        await asyncio.sleep(ROOM_SECONDS)

    def _refuse(self, refused: Rejected) -> None:
        """New orders meet this refusal at once, until the journal takes a record again."""
        if refused.error in _NO_ROOM:
            if self._refusal is None:
                _LOG.error("the journal refuses: %s", refused)
            self._refusal = (refused, time.monotonic())

    def _tell(self, record: AnyRecord) -> None:
        """Tell every listener; what one of them makes of it is no reason not to acknowledge."""
        for listener in self.listeners:
            try:
                listener(record)
            except Exception:
                self.listener_faults += 1
                _LOG.exception("a listener failed at %s", type(record).__name__)

    def _give_up(self) -> None:
        """Nobody waits for an answer that will not come."""
        waiting = [*(done.future for done in self._done)]
        waiting += [future for _, future in (*self._under_way, *self._queue)]
        self._queue.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(Rejected(OutcomeUnknown))


async def heard(answer: Answer) -> list[list[AnyRecord] | Rejected]:
    """An answer that others wait for too: who gives up waiting leaves it as it is."""
    mine = asyncio.get_running_loop().create_future()

    def tell(_: Answer) -> None:
        if not mine.done():
            mine.set_result(None)

    answer.add_done_callback(tell)
    await mine
    return answer.result()


def _class_of(command: AnyRecord) -> tuple[str, int]:
    """A client's command's class, and how many may wait before it is refused."""
    if isinstance(command, CancelRequested):
        return "cancel", CANCEL_MAX
    if isinstance(command, OrderPlaced) and command.order.flags & REDUCE_ONLY:
        return "reduce", REDUCE_MAX
    return "new", NEW_MAX
