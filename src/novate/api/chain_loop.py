"""The loop between journal and chain: batches and rounds out, whole blocks in.

Owns: the settler and the watcher of a running venue, and the hours at which they work. What they
say enters the journal through the core; what the core writes reaches them by ``follow``. Calls of
the node run on a thread, so that a slow node holds nobody up but this loop; the two objects are
touched by one step at a time. Times in milliseconds.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from novate.api.core import Core
from novate.chain.client import Client
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire.records import AnyRecord, BatchClosed, ChainReorganised, OracleRound

CHECK_EVERY_MS = 1_000
IDLE_SECONDS = 0.02


@dataclass(slots=True)
class ChainLoop:
    """One venue's way to its chain and back; ``block_ms``: how often a local chain is mined."""

    core: Core
    client: Client
    settler: Settler
    watcher: Watcher
    block_ms: int
    clock_ms: Callable[[], int]
    fresh: deque[AnyRecord] = field(default_factory=deque)
    checked_ms: int = 0
    mined_ms: int = 0
    blocks: int = 0
    resumed: list[ChainReorganised] = field(default_factory=list)

    def follow(self, record: AnyRecord) -> None:
        """Take note of a durable record; the settler reads it at the next step."""
        self.fresh.append(record)

    async def run(self) -> None:
        """Work until cancelled; raises what the node's connection raises."""
        while self.resumed:
            # the chain no longer has what the journal's end says of it
            await self.core.enter(self.resumed.pop(0))
        while True:
            await self.step()
            await asyncio.sleep(IDLE_SECONDS)

    async def step(self) -> None:
        """Send what is new, mine if it is our chain and time, and bring in what happened."""
        now = self.clock_ms()
        asked = now - self.checked_ms >= CHECK_EVERY_MS
        plans = await asyncio.to_thread(self._plan, now, asked)
        for intent in plans:
            await self.core.enter(intent)
        due = self.client.mines and now - self.mined_ms >= self.block_ms
        found = await asyncio.to_thread(self._exchange, now, due)
        for record in found:
            await self.core.enter(record)

    def _plan(self, now: int, asked: bool) -> list[AnyRecord]:
        """On the thread: what the settler will send, for the journal."""
        self._catch_up()
        plans: list[AnyRecord] = [*self.settler.plan(now)]
        if asked and not plans:
            self.checked_ms = now
            plans += self.settler.check(now, self.watcher.next_block - 1)
        return plans

    def _exchange(self, now: int, due: bool) -> list[AnyRecord]:
        """On the thread: send, mine, and read new blocks."""
        self._catch_up()
        self.settler.transmit()
        if due:
            self.client.mine(max(now // 1_000, self.client.block().timestamp + 1))  # seconds
            self.mined_ms = now
            self.blocks += 1
        return [*self.watcher.poll()]

    def _catch_up(self) -> None:
        while self.fresh:
            self.settler.follow(self.fresh.popleft())

    @property
    def waiting(self) -> int:
        """Batches and rounds not yet on the chain, as far as the settler knows."""
        queued = sum(isinstance(r, BatchClosed | OracleRound) for r in self.settler.waiting)
        return queued + sum(f.block is None for f in self.settler.flights.values())
