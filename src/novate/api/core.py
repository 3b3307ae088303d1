"""The venue as the API sees it: commands in, durable records out.

Owns: the one queue through which everything enters the journal (orders, cancels, rounds, chain
transactions), so that its order is the journal's; group commit; load shed by class; and the
listeners that follow every record after it is durable. A command's future ends with the events it
caused, all of them durable: nothing is acknowledged before. Single-threaded: everything runs on one
event loop.

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
from typing import Protocol

from novate.engine.journal import Journal
from novate.engine.protection import Protection
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
from novate.wire.records import AnyRecord, CancelRequested, OrderPlaced

# Commands waiting for their turn, beyond which a class is refused: new orders first, cancels last.
NEW_MAX = 10_000
REDUCE_MAX = 15_000
CANCEL_MAX = 40_000
BATCH_MAX = 256
ANSWER_SECONDS_MAX = 5.0
ROOM_SECONDS = 0.1
_NO_ROOM = (JournalFull, JournalReadOnly)
_LOG = logging.getLogger("novate.core")


class CoreFailed(Exception):
    """Nothing may go on from here; a restart reads what is durable."""


class Book(Protocol):
    """What rests, by instrument."""

    def depth(self, instrument: int, is_buy: bool, levels: int = ...) -> list[tuple[int, int]]:
        """(price in ticks, lots) of one side, best first."""
        ...

    def warm(self) -> None:
        """Make ready for the first order."""
        ...


class Engine(Protocol):
    """The sequencer: a deterministic fold of the journal."""

    world: World

    @property
    def book(self) -> Book:
        """What rests."""
        ...

    @property
    def placed(self) -> dict[bytes, OrderPlaced]:
        """Every order that was taken, by its digest."""
        ...

    def protection(self, account: int, underlying: int) -> Protection:
        """An account's market-maker protection in an underlying."""
        ...

    def handle(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command; the events it causes."""
        ...


Listener = Callable[[AnyRecord], None]
Answer = asyncio.Future[list[list[AnyRecord] | Rejected]]
Asked = tuple[list[AnyRecord], Answer]


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
        self._queue: asyncio.Queue[Asked] = asyncio.Queue()
        self._waiting = 0
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
        self._queue.put_nowait((commands, future))
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
        while True:
            taken = [await self._queue.get()]
            count = len(taken[0][0])
            while count < BATCH_MAX and not self._queue.empty():
                taken.append(self._queue.get_nowait())
                count += len(taken[-1][0])
            self._waiting -= count
            self.busy = True
            try:
                await self._carry_out(taken)
                self.busy = False
            except Exception as error:
                self.failed = True
                self._give_up(taken)
                raise CoreFailed(repr(error)) from error
            # others (replies, reads) get their turn between batches
            await asyncio.sleep(0)

    async def _carry_out(self, taken: list[Asked]) -> None:
        """Take the commands into the journal, carry them out, make them durable with their events
        (one sync for all), then say so.

        If it is cancelled while it waits for room, the venue stays ``busy``: a restart completes
        what is then in the journal.
        """
        refusals = [[self._admits(command) for command in commands] for commands, _ in taken]
        done: list[tuple[list[list[AnyRecord] | Rejected], Asked]] = []
        for (commands, future), refused in zip(taken, refusals, strict=True):
            answers: list[list[AnyRecord] | Rejected] = []
            for command, refusal in zip(commands, refused, strict=True):
                events = [] if refusal is not None else self.engine.handle(command)
                for event in events:
                    await self._append(event)
                answers.append(events if refusal is None else refusal)
            done.append((answers, (commands, future)))
        await self._commit()
        for answers, (commands, future) in done:
            for command, answer in zip(commands, answers, strict=True):
                if not isinstance(answer, Rejected):
                    self.carried_out += 1
                    for record in (command, *answer):
                        self._tell(record)
            if not future.done():
                future.set_result(answers)

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

    def _give_up(self, taken: list[Asked]) -> None:
        """Nobody waits for an answer that will not come."""
        while not self._queue.empty():
            taken.append(self._queue.get_nowait())
        for _, future in taken:
            if not future.done():
                future.set_exception(Rejected(OutcomeUnknown))


def _class_of(command: AnyRecord) -> tuple[str, int]:
    """A client's command's class, and how many may wait before it is refused."""
    if isinstance(command, CancelRequested):
        return "cancel", CANCEL_MAX
    if isinstance(command, OrderPlaced) and command.order.flags & REDUCE_ONLY:
        return "reduce", REDUCE_MAX
    return "new", NEW_MAX
