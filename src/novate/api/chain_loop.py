"""The loop between journal and chain, beside the core: batches and rounds out, whole blocks in.

Owns: when the settlement service takes its turns (``heard_at``: the
last one without a fault, on the process's clock), and how what it writes enters the journal through
the core. A turn runs on a thread, so that a slow node holds nobody up but this loop; the service is
touched by one turn at a time. A local chain is mined here, and ``mined`` called
after each block. Times in milliseconds.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from novate.api.core import Core
from novate.chain.client import Client
from novate.chain.connection import RpcFault
from novate.services.flights import BatchTimer
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire.records import AnyRecord, BatchClosed, ChainReorganised, OracleRound

IDLE_SECONDS = 0.01


@dataclass(slots=True)
class ChainLoop:
    """One venue's way to its chain and back; ``block_ms``: how often a local chain is mined."""

    core: Core
    client: Client
    settler: Settler
    watcher: Watcher
    timer: BatchTimer
    block_ms: int
    clock_ms: Callable[[], int]
    mined: Callable[[], None] = lambda: None
    fresh: deque[AnyRecord] = field(default_factory=deque)
    mined_ms: int = 0
    heard_at: float = field(default_factory=time.monotonic)
    resumed: list[ChainReorganised] = field(default_factory=list)
    service: SettlementLoop = field(init=False)
    _loop: asyncio.AbstractEventLoop = field(init=False)

    def __post_init__(self) -> None:
        self.service = SettlementLoop(self.settler, self.watcher, self.timer, self._write)

    def follow(self, record: AnyRecord) -> None:
        """Take note of a durable record; the service reads it at its next turn."""
        self.fresh.append(record)

    async def run(self) -> None:
        """Take turns until cancelled. Errors: ``ReorgTooDeep``."""
        while True:
            await self.step()
            await asyncio.sleep(IDLE_SECONDS)

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
            self.heard_at = time.monotonic()

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
