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
before them. A batch that is due holds nothing but fills that then are told, so orders follow it at
once; behind the others nothing else happens until they are told.

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
from collections.abc import Callable, Iterator
from functools import partial
from itertools import islice

from novate.api.deadlines import Deadlines
from novate.api.engine_port import Engine
from novate.api.group_commit import ROOM_SECONDS, GroupCommit
from novate.api.shedding import CANCEL, NEW, REDUCE, class_of
from novate.engine.journal import Journal
from novate.errors import (
    JournalFull,
    JournalReadOnly,
    OutcomeUnknown,
    Overloaded,
    Rejected,
    require,
)
from novate.model.state import World
from novate.wire.records import (
    AnyRecord,
    BatchDue,
    CancelRequested,
    OrderPlaced,
    QuotesPlaced,
    encode,
)
from novate.wire.safeguard_records import SAFEGUARDS

# Commands waiting for their turn, beyond which a class is refused: new orders first, cancels last.
NEW_MAX = 10_000
REDUCE_MAX = 15_000
CANCEL_MAX = 40_000
BATCH_MAX = 256
AHEAD_MAX = 4_096  # commands carried out that the disk does not hold yet
ANSWER_SECONDS_MAX = 5.0
# They leave the engine's world as it is but for a batch that is full; all others change it.
_ORDERLY = frozenset({OrderPlaced, CancelRequested, QuotesPlaced, *SAFEGUARDS})
_NO_ROOM = (JournalFull, JournalReadOnly)
_LOG = logging.getLogger("novate.core")


class CoreFailed(Exception):
    """Nothing may go on from here; a restart reads what is durable."""


Listener = Callable[[AnyRecord], None]
Answer = asyncio.Future[list[list[AnyRecord] | Rejected]]
Asked = tuple[list[AnyRecord], Answer]
# Commands, what came of each, who waits for that, and the journal's last record behind them.
Done = tuple[list[AnyRecord], list[list[AnyRecord] | Rejected], Answer, int]


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
        self._done: deque[Done] = deque()  # carried out, not durable or not told yet
        self._ahead = 0  # commands in it
        self._ended: asyncio.Future[None] | None = None  # while it runs
        self._called = self._halted = False  # a turn is to come; events wait for room
        self._resting: deque[Callable[[], None]] = deque()
        self._deadlines = Deadlines()
        self._disk = GroupCommit(journal, self)

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
        if self.failed or self._waiting >= NEW_MAX or self.refusing is not None:
            self._require_taken(commands)
        answer = self._queued(commands)
        self._deadlines.add(answer, ANSWER_SECONDS_MAX)
        return answer  # whoever gives up waiting leaves a future that is done

    def _require_taken(self, commands: list[AnyRecord]) -> None:
        """Shed what cannot be taken. Errors: those of ``begin``."""
        kind = class_of(commands)
        most = {NEW: NEW_MAX, REDUCE: REDUCE_MAX, CANCEL: CANCEL_MAX}[kind]
        if self.failed or self._waiting >= most:
            self.shed[kind] += len(commands)
            raise Rejected(Overloaded, f"{self._waiting} commands wait")
        refused = self.refusing
        if refused is not None and kind != CANCEL:
            self.shed[kind] += len(commands)
            raise Rejected(refused.error)

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
        self._call()
        return future

    def at_rest(self, work: Callable[[], None]) -> None:
        """Call ``work``, now or soon, when the engine stands where the durable journal ends; until
        then no further command is carried out.
        """
        if self.settled:
            work()
        else:
            self._resting.append(work)

    async def run(self) -> None:
        """Serve the queue until cancelled. Raises ``CoreFailed``.

        If it is cancelled while it waits for room, the venue stays ``busy``: a restart completes
        what is then in the journal.
        """
        require(not self.failed, Overloaded)
        self._ended = asyncio.get_running_loop().create_future()
        self._disk.open()
        try:
            self._disk.begin()
            await self._ended
        except Exception as fault:
            self.failed = True
            raise CoreFailed(repr(fault)) from fault
        finally:
            self._ended = None
            self._disk.close()  # what it still made durable is acknowledged
            if self.failed:
                self._give_up()

    def _call(self) -> None:
        """Have the next commands carried out when the loop comes to it, many at once."""
        if self._queue and not self._called and self._ended is not None:
            self._called = True
            asyncio.get_running_loop().call_soon(self._guarded, self._turn)

    def _guarded(self, part: Callable[[], None]) -> None:
        """A part of ``run``, unless that has ended; what it raises ends it."""
        if self._ended is None or self._ended.done():
            return
        try:
            part()
        except Exception as fault:
            self.broke(fault)

    def _turn(self) -> None:
        """Carry out the next commands, as long as the disk keeps up."""
        self._called = False
        if self._halted or self._disk.stuck or not self._queue:
            return
        kind = type(self._queue[0][0][0])
        orderly = kind in _ORDERLY
        if self._ahead > (AHEAD_MAX if orderly and not self._resting else 0):
            return  # until more is told
        taken = self._under_way = self._take() if orderly else [self._queue.popleft()]
        self._waiting -= sum([len(commands) for commands, _ in taken])
        self.busy = True
        self._go_on(self._carry_out(taken), waits=not orderly and kind is not BatchDue)

    def _take(self) -> list[Asked]:
        """The next orderly commands."""
        taken, count, queue = [self._queue.popleft()], 0, self._queue
        while queue and count < BATCH_MAX and type(queue[0][0][0]) in _ORDERLY:
            taken.append(queue.popleft())
            count += len(taken[-1][0])
        return taken

    def _go_on(self, carried_out: Iterator[Rejected], waits: bool) -> None:
        """Carry out to the end, or until the journal gives no room; then again and again. All else
        ``waits`` for the disk, or goes on.
        """
        refused = None if self._disk.stuck else next(carried_out, None)
        self._halted = self._disk.stuck or refused is not None
        if self._halted:
            if refused is not None:
                self.refused(refused)
            part = partial(self._go_on, carried_out, waits)
            asyncio.get_running_loop().call_later(ROOM_SECONDS, self._guarded, part)
        else:
            self._under_way, self.busy = [], False
        if waits and self._disk.idle and not self._halted:
            self._disk.commit()
        else:
            self._disk.begin()
        self._call()  # others (replies, reads) get their turn between batches

    def _carry_out(self, taken: list[Asked]) -> Iterator[Rejected]:
        """Take the commands into the journal, carry them out, and their events in behind them;
        yields whenever an event, which has happened, finds no room.
        """
        append = self.journal.append
        folded = iter(self._folded(taken))
        for commands, future in taken:
            answers: list[list[AnyRecord] | Rejected] = []
            for answer in islice(folded, len(commands)):
                answers.append(answer)
                for event in () if isinstance(answer, Rejected) else answer:
                    kind, payload = encode(event)
                    while True:
                        try:
                            append(kind, payload)
                        except Rejected as refused:
                            yield refused
                        else:
                            break
            self._ahead += len(commands)
            self._done.append((commands, answers, future, self.journal.sequence))

    def _folded(self, taken: list[Asked]) -> list[list[AnyRecord] | Rejected]:
        """What comes of each command; the receipts of all are made in one call."""
        refusals, fold = iter(self._admit(taken)), self.engine.fold
        made: list[list[AnyRecord] | Rejected] = [
            fold(command) if (refusal := next(refusals)) is None else refusal
            for commands, _ in taken
            for command in commands
        ]
        bare = [event for one in made if not isinstance(one, Rejected) for event in one]
        events = iter(self.engine.sealed(bare))
        return [
            one if isinstance(one, Rejected) else list(islice(events, len(one))) for one in made
        ]

    def _admit(self, taken: list[Asked]) -> list[Rejected | None]:
        """Take commands into the journal; for each why it was refused and has no trace, or None."""
        append, found = self.journal.append, []
        for commands, _ in taken:
            for command in commands:
                refusal = None
                try:
                    append(*encode(command))
                    self._refusal = None
                except Rejected as refused:
                    self._refuse(refused)
                    refusal = Rejected(refused.error)
                found.append(refusal)
        return found

    # What the journal's disk says

    def durable(self) -> None:
        """Tell what has become durable, and go on."""
        self._acknowledge()
        while self._resting and self.settled:
            self._resting.popleft()()
        self._call()

    def refused(self, refused: Rejected) -> None:
        """What waits is tried again, unless that cures nothing."""
        if not refused.error.retryable:
            raise refused
        self._refuse(refused)

    def broke(self, fault: Exception) -> None:
        """End ``run``."""
        if self._ended is not None and not self._ended.done():
            self._ended.set_exception(fault)

    def _acknowledge(self) -> None:
        """Tell the listeners, then the clients, what has become durable."""
        durable, done, listeners = self.journal.durable.sequence, self._done, self.listeners
        while done and done[0][3] <= durable:
            commands, answers, future, _ = done.popleft()
            self._ahead -= len(commands)
            for command, answer in zip(commands, answers, strict=True):
                if isinstance(answer, Rejected):
                    continue
                self.carried_out += 1
                for record in (command, *answer):
                    for listener in listeners:
                        try:
                            listener(record)
                        except Exception:  # no reason not to acknowledge
                            self.listener_faults += 1
                            _LOG.exception("a listener failed at %s", type(record).__name__)
            if not future.done():
                future.set_result(answers)

    def _refuse(self, refused: Rejected) -> None:
        """New orders meet this refusal at once, until the journal takes a record again."""
        if refused.error in _NO_ROOM:
            if self._refusal is None:
                _LOG.error("the journal refuses: %s", refused)
            self._refusal = (refused, time.monotonic())

    def _give_up(self) -> None:
        """Nobody waits for an answer that will not come."""
        waiting = [done[2] for done in self._done]
        waiting += [future for _, future in (*self._under_way, *self._queue)]
        self._queue.clear()
        for future in waiting:
            if not future.done():
                future.set_exception(Rejected(OutcomeUnknown))
