"""A venue to measure, in a process of its own: the API on a loopback port, the engine with margin,
and a journal that is synced to the disk before anything is acknowledged.

Owns: what stands in for the rest of a venue. The contracts are deployed on a chain in memory and
mirrored; accounts are funded by deposits of that chain; four nodes sign a round every ten seconds;
batches close every 400 ms and are applied to the engine's world, but nobody settles them. Credit
limits are lifted. The process says where it listens in one line of JSON, and ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from contextlib import suppress
from pathlib import Path

from novate.api import event_loop
from novate.api.core import Core
from novate.api.server import Server
from novate.api.session import Limits
from novate.api.venue import VenueApi
from novate.chain.backend import HarnessBackend, abi_of
from novate.chain.deploy import deploy
from novate.chain.deployment import CONTRACT_OF, Deployment, Roles
from novate.chain.harness import Chain
from novate.chain.node import local_key
from novate.config import load
from novate.engine.journal import Journal
from novate.engine.sequencer import Sequencer
from novate.model.account import account_of
from novate.model.oracle import Observation
from novate.services import settle_call
from novate.services.boot import build_sequencer, coincurve_key, genesis_of
from novate.services.gateway import Gateway
from novate.services.steady import steady
from novate.units import ORACLE_UNIT, WAD
from novate.wire import records
from novate.wire import round as wire_round
from novate.wire.records import BatchDue, ChainTransaction, OracleRound

TRADERS = 16
DEPOSIT_USD = 600_000
PRICES_USD = {1: 100_000, 2: 4_000}
BATCH_SECONDS = 0.4
ROUND_SECONDS = 10
UNLIMITED = (1 << 40, 1 << 40)
NODES = tuple(coincurve_key(local_key(f"oracle node {number}")) for number in range(4))


class Host:
    """One venue and what moves it."""

    def __init__(self, folder: Path) -> None:
        executor, parameters = local_key("executor"), load()
        roles = Roles(
            local_key("governor").address.lower(),
            local_key("guardian").address.lower(),
            (executor.address.lower(),),
            tuple(wire_round.address_of(key.public_key) for key in NODES),
        )
        backend = HarnessBackend(Chain())
        self.deployment: Deployment = deploy(backend, parameters, roles)
        self.journal = Journal.open(folder / "journal.bin", lambda: time.time_ns() // 10**6)
        self.journal.append(*records.encode(genesis_of(self.deployment, parameters)))
        self.sequencer: Sequencer = build_sequencer(
            self.deployment, parameters, executor, backend.now()
        )
        self.core = Core(self.journal, self.sequencer)
        separator = settle_call.separator(self.deployment)
        self.api = VenueApi(
            core=self.core,
            parameters=parameters,
            gateway=Gateway(separator),
            separator=separator,
            chain_id=self.deployment.chain_id,
            exchange=self.deployment.addresses["exchange"],
            executor=executor.address.lower(),
            limits=Limits(requests=UNLIMITED, anonymous=UNLIMITED, frames=UNLIMITED),
        )
        self.round = self.block = 0

    @property
    def now(self) -> int:
        """The venue's second."""
        return int(self.sequencer.world.now)

    async def post(self, later: int) -> None:
        """A signed round some seconds later."""
        self.round += 1
        oracle = self.deployment.addresses["oracle"]
        domain = wire_round.domain_separator(self.deployment.chain_id, oracle)
        words = []
        for feed, dollars in PRICES_USD.items():
            price = dollars * WAD // ORACLE_UNIT  # division: exact
            words.append(Observation(feed, price, price).pack())
        keys = list(enumerate(NODES))[:3]
        signed = wire_round.signed_round(domain, self.round, self.now + later, words, keys)
        number, timestamp, _, nodes, signatures = signed.arguments()
        packed = [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in signatures]
        big = [records.big(word) for word in words]
        await self.core.enter(OracleRound(number, timestamp, big, records.big(nodes), packed))

    async def fund(self, trader: int) -> None:
        """Cash for a trader's account, as the chain tells it."""
        self.block += 1
        owner = local_key(f"bench trader {trader}").address.lower()
        account = account_of(owner).to_bytes(32, "big")
        token = self.deployment.tokens["USDC"]
        call = abi_of(CONTRACT_OF["custody"]).encode_call(
            "deposit", token, account, DEPOSIT_USD * 10**6
        )
        await self.core.enter(
            ChainTransaction(
                block=self.block,
                timestamp=self.now,
                position=0,
                transaction=self.block.to_bytes(32, "big"),
                sender=bytes.fromhex(owner[2:]),
                contract=bytes.fromhex(self.deployment.addresses["custody"][2:]),
                calldata=call,
                succeeded=True,
                gas_used=0,
                events=[],
            )
        )

    async def move(self) -> None:
        """Close batches and post rounds until cancelled."""
        begun, at = self.now, time.monotonic()
        while True:
            await asyncio.sleep(BATCH_SECONDS)
            passed = int(time.monotonic() - at)
            if begun + passed - self.now >= ROUND_SECONDS:
                await self.post(begun + passed - self.now)
            await self.core.enter(BatchDue(self.now * 1000))

    async def serve(self) -> None:
        """Listen until the input ends."""
        running = asyncio.create_task(self.core.run())
        # the chain's first: what it does is applied beneath the rounds that wait for it
        for trader in range(TRADERS):
            await self.fund(trader)
        for later in (1, 50, 50, 50):  # past the grace after the first round
            await self.post(later)
        server = Server(self.api)
        port = await server.start()
        moving = asyncio.create_task(self.move())
        said = {"port": port, "separator": self.api.separator.hex(), "now": self.now}
        steady()
        print(json.dumps(said), flush=True)
        await asyncio.to_thread(sys.stdin.read)
        for task in (moving, running):
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
        await server.stop()
        self.journal.close()


if __name__ == "__main__":
    event_loop.run(Host(Path(sys.argv[1])).serve())
