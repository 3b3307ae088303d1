"""The loop between journal and chain, beside the core: batches and rounds out, whole blocks in.

Owns: when the settlement service takes its turns, and how what it writes enters the journal through
the core. A turn runs on a thread, so that a slow node holds nobody up but this loop; reading and,
where others mine, sending have a thread and a connection each, so that neither waits for the other.
The service is touched by one turn at a time; where it does not know all that the chain holds of
ours, the core takes no orders. A local chain is mined here, and ``mined`` called after each block.
Times in milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field

from novate.api.core import Core
from novate.chain.client import Client
from novate.chain.connection import RpcFault
from novate.services.flights import BatchTimer
from novate.services.post import Background
from novate.services.reader import Bell, Reader
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire.records import AnyRecord, BatchClosed, ChainReorganised, OracleRound

IDLE_SECONDS = 0.01


@dataclass(slots=True)
class ChainLoop:
    """One venue's way to its chain and back; ``block_ms``: how often a local chain is mined.

    ``client`` asks and mines; ``watcher`` and ``letters`` have connections of their own. Without
    ``letters`` a turn sends by itself: where we mine, a block holds what was sent just before it.
    ``bell`` says when to read again.
    """

    core: Core
    client: Client
    settler: Settler
    watcher: Watcher
    letters: Client | None
    bell: Bell
    timer: BatchTimer
    block_ms: int
    clock_ms: Callable[[], int]
    mined: Callable[[], None] = lambda: None
    fresh: deque[AnyRecord] = field(default_factory=deque)
    mined_ms: int = 0
    turned_at: float = field(default_factory=time.monotonic)
    resumed: list[ChainReorganised] = field(default_factory=list)
    service: SettlementLoop = field(init=False)
    _reader: Reader | None = None
    _parts: ExitStack = field(default_factory=ExitStack)
    _loop: asyncio.AbstractEventLoop = field(init=False)

    def __post_init__(self) -> None:
        self.service = SettlementLoop(self.settler, self.watcher, self.timer, self._write)

    def follow(self, record: AnyRecord) -> None:
        """Take note of a durable record; the service reads it at its next turn."""
        self.fresh.append(record)

    async def run(self) -> None:
        """Take turns until cancelled; from the first one on, others read and send meanwhile, until
        ``close``. Errors: ``ReorgTooDeep``.
        """
        if self._reader is None:
            self._reader = self._parts.enter_context(Reader(self.watcher, self.bell, _nobody))
            self.service.watcher = self._reader
            if self.letters is not None:
                post = Background(self.letters, _nobody)
                self.settler.post = self._parts.enter_context(post)
        while True:
            await self.step()
            await asyncio.sleep(IDLE_SECONDS)

    def close(self) -> None:
        """End the threads, once they have their answers. What was read and not taken, or offered
        and not sent, the next start finds in the chain and in the journal.
        """
        self._parts.close()

    @property
    def heard_at(self) -> float:
        """Until when the node has answered everything, on the process's clock (seconds)."""
        heard = self._reader.heard_at if self._reader is not None else self.turned_at
        return min(self.turned_at, heard)

    async def step(self) -> None:
        """One turn of the service, and a block where it is our chain and time. The first one brings
        everything that the chain holds and the journal does not.
        """
        while self.resumed:
            # the chain no longer has what the journal's end says of it
            await self.core.enter(self.resumed.pop(0))
        self._loop = asyncio.get_running_loop()
        await asyncio.to_thread(self._turn, self.clock_ms())

    def _turn(self, now: int) -> None:
        """On the thread."""
        faults = self.settler.faults.total()
        self._catch_up()
        self.service.turn(now)
        self.core.barred = self.service.blind
        if self.client.mines and now - self.mined_ms >= self.block_ms:
            self.mined_ms = now
            second = now // 1_000  # division: to seconds
            try:
                # several blocks may share a second: the chain's clock never runs ahead of ours
                self.client.mine(max(second, self.client.block().timestamp))
                self.mined()
            except RpcFault as fault:  # a node that is away comes back, or is begun again
                self.settler.count(fault)
        if self.settler.faults.total() == faults:
            self.turned_at = time.monotonic()

    def _write(self, made: Sequence[AnyRecord]) -> None:
        """On the thread: have the core write records, and follow them."""
        for record in made:
            asyncio.run_coroutine_threadsafe(self.core.enter(record), self._loop).result()
        self._catch_up()

    def _catch_up(self) -> None:
        while self.fresh:
            self.service.follow(self.fresh.popleft())

    @property
    def waiting(self) -> int:
        """Batches and rounds not yet on the chain, as far as the settler knows."""
        queued = sum(isinstance(r, BatchClosed | OracleRound) for r in self.settler.waiting)
        return queued + sum(f.block is None for f in self.settler.flights.values())


def _nobody() -> None:
    """The next turn is soon enough."""
