"""The venue as the API sees it: commands in, durable records out.

Owns: the one queue through which everything enters the journal (orders, cancels, rounds, chain
transactions), so that its order is the journal's; group commit; and the listeners that follow every
record after it is durable. A command's future ends with the events it caused, all of them durable:
nothing is acknowledged before. Single-threaded: everything runs on one event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from novate.engine.journal import Journal
from novate.errors import OutcomeUnknown, Overloaded, Rejected, require
from novate.model.matching import Book
from novate.model.state import World
from novate.wire import records
from novate.wire.records import AnyRecord

# Commands waiting for their turn; beyond it only cancels are taken.
QUEUE_MAX = 20_000
BATCH_MAX = 256
ANSWER_SECONDS_MAX = 5.0


class Engine(Protocol):
    """The sequencer: a deterministic fold of the journal."""

    world: World
    book: Book

    def handle(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command; the events it causes."""
        ...


Listener = Callable[[AnyRecord], None]


class Core:
    """One venue's journal and engine behind a queue."""

    def __init__(self, journal: Journal, engine: Engine) -> None:
        self.journal = journal
        self.engine = engine
        self.listeners: list[Listener] = []
        self.cursor = journal.durable.sequence + 1
        self._queue: asyncio.Queue[tuple[AnyRecord, asyncio.Future[list[AnyRecord]]]] = (
            asyncio.Queue()
        )

    @property
    def world(self) -> World:
        """The engine's world, ahead of the chain by the batches under way."""
        return self.engine.world

    @property
    def waiting(self) -> int:
        """How many commands wait for their turn."""
        return self._queue.qsize()

    async def submit(self, command: AnyRecord, shed: bool = True) -> list[AnyRecord]:
        """Enter a command; the events it caused, durable.

        ``shed``: refused when the queue is full (cancels and the venue's own records are not).
        Errors: ``Overloaded`` (nothing entered), ``OutcomeUnknown`` (it may yet take effect).
        """
        require(not shed or self.waiting < QUEUE_MAX, Overloaded)
        future = self._queued(command)
        try:
            return await asyncio.wait_for(asyncio.shield(future), ANSWER_SECONDS_MAX)
        except TimeoutError:
            raise Rejected(OutcomeUnknown) from None

    async def enter(self, record: AnyRecord) -> list[AnyRecord]:
        """Enter a record of the venue's own; waits as long as it takes."""
        return await self._queued(record)

    def _queued(self, command: AnyRecord) -> asyncio.Future[list[AnyRecord]]:
        future: asyncio.Future[list[AnyRecord]] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait((command, future))
        return future

    async def run(self) -> None:
        """Serve the queue until cancelled."""
        while True:
            taken = [await self._queue.get()]
            while len(taken) < BATCH_MAX and not self._queue.empty():
                taken.append(self._queue.get_nowait())
            self._carry_out(taken)
            # others (replies, reads) get their turn between batches
            await asyncio.sleep(0)

    def _carry_out(self, taken: list[tuple[AnyRecord, asyncio.Future[list[AnyRecord]]]]) -> None:
        """Write the commands, carry them out, write their events, then say so."""
        done: list[tuple[AnyRecord, list[AnyRecord], asyncio.Future[list[AnyRecord]]]] = []
        for command, _ in taken:
            self.journal.append(*records.encode(command))
        self.journal.commit()
        for command, future in taken:
            events = self.engine.handle(command)
            for event in events:
                self.journal.append(*records.encode(event))
            done.append((command, events, future))
        self.journal.commit()
        for command, events, future in done:
            for record in (command, *events):
                for listener in self.listeners:
                    listener(record)
            if not future.done():
                future.set_result(events)
