"""The oracle nodes of a venue: a round when it is due, or when a price has moved enough.

Owns: the nodes with their keys, the number of the next round, and the
hours. A node that sees nothing signs nothing; a round without a quorum is not made. Times in
seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from coincurve import PrivateKey

from novate.api.core import Core
from novate.api.prices import Replay
from novate.chain.deployment import Deployment
from novate.config import Oracle
from novate.errors import Rejected
from novate.services.oracle_node import Network, NodePrice, OracleNode, joint_round
from novate.units import PPM
from novate.wire import round as wire_round

TOLERANCE_PPM = 50_000  # recorded venues of one day stood several percent apart
_LOG = logging.getLogger("novate.oracle")


@dataclass(slots=True)
class OracleLoop:
    """All nodes in one process."""

    core: Core
    settings: Oracle
    deployment: Deployment
    prices: Replay
    keys: Sequence[PrivateKey]
    nodes: list[OracleNode] = field(default_factory=list)
    number: int = 0
    posted_at: int = 0
    posted: dict[int, int] = field(default_factory=dict)
    skipped: int = 0

    def __post_init__(self) -> None:
        domain = wire_round.domain_separator(
            self.deployment.chain_id, self.deployment.addresses["oracle"]
        )
        network = Network(domain, self.deployment.roles.nodes, tolerance_ppm=TOLERANCE_PPM)
        self.nodes = [OracleNode(key, network) for key in self.keys]

    async def run(self) -> None:
        """Make rounds until cancelled."""
        while True:
            now = int(time.time())
            seen = self.prices.seen(now)
            if now > self.posted_at and self._due(now, seen):
                await self.round(now, seen)
            await asyncio.sleep(1)

    def _due(self, now: int, seen: dict[int, dict[int, NodePrice]]) -> bool:
        if now <= self.core.world.oracle.statuses[0].timestamp:
            return False  # the machine's clock went back: no chain takes a round of then
        if now - self.posted_at >= self.settings.round_seconds:
            return True
        for feed, price in seen.get(0, {}).items():
            before = self.posted.get(feed, price.mark)
            if abs(price.mark - before) * PPM > before * self.settings.deviation_ppm:
                return True
        return False

    async def round(self, now: int, seen: dict[int, dict[int, NodePrice]]) -> None:
        """Make the round of second ``now``, if the nodes agree."""
        for index, node in enumerate(self.nodes):
            node.observe(seen.get(index, {}))
        # an attempt that fails has used its number up: a node signs a number once
        self.number = max(self.number, self.core.world.oracle.statuses[0].round) + 1
        self.posted_at = now
        leader = self.nodes[self.number % len(self.nodes)]
        try:
            signed = joint_round(leader, self.nodes, self.number, now, now)
        except Rejected as rejected:
            self.skipped += 1
            _LOG.warning("no round %d: %s", self.number, rejected)
            return
        self.posted = {feed: price.mark for feed, price in seen.get(0, {}).items()}
        record = signed.record()
        refused = self.core.engine.refusal(record)
        if refused is not None:
            # say, other nodes by now: in the journal it would be sent, and believed by who reads it
            self.skipped += 1
            _LOG.error("round %d would have no effect: %r", self.number, refused)
            return
        await self.core.enter(record)
