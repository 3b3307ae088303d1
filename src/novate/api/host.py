"""A running venue: chain, journal, engine, settler, oracle nodes and API in one process.

Owns: what is started in which order, what a start finds of an earlier run (journal, snapshots,
deployment, chain), and the clean end: no more commands, the open batch closed and sent, a snapshot
written. Without an RPC it brings a local chain, deploys, and funds accounts for a test drive; with
one it needs a folder that holds the ``deployment.json`` of a venue there. A standby that has been
promoted brings journal and engine with it: nothing of the engine is replayed then.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from eth_account.signers.local import LocalAccount

from novate.api import host_says
from novate.api.chain_loop import ChainLoop
from novate.api.core import Core
from novate.api.door import room_for
from novate.api.drive import fund
from novate.api.index_process import IndexProcess, until_begun
from novate.api.kept_chain import KeptChain
from novate.api.option_loop import OptionLoop, option_loop
from novate.api.oracle_loop import OracleLoop
from novate.api.orders import FORGET_MAX
from novate.api.prices import Replay
from novate.api.server import Server
from novate.api.supervisor import Supervisor
from novate.api.up_config import UpConfig
from novate.api.venue import VenueApi
from novate.chain.client import Client
from novate.chain.deployment import Deployment
from novate.chain.ipc import Subscription
from novate.chain.rows import Fees
from novate.config import DEFAULT, Parameters
from novate.engine import recovery, snapshot
from novate.engine.journal import Journal
from novate.engine.sequencer import Sequencer
from novate.errors import InvalidParameter, Rejected, require
from novate.lab.prices import PriceTable
from novate.lab.smiles import SmileTable
from novate.model import session
from novate.model.order import Order
from novate.services.boot import genesis_of, sequencer_at_genesis
from novate.services.fees import FeePolicy
from novate.services.flights import BatchTimer, SettlerOptions
from novate.services.gateway import Gateway
from novate.services.local_venue import deploy_local
from novate.services.reader import Pause
from novate.services.settle_call import separator
from novate.services.settler import Settler
from novate.services.venue_keys import VenueKeys, is_local, local_keys
from novate.services.watch import Watcher, canonical
from novate.wire import records
from novate.wire.records import AnyRecord, BatchDue

# A local chain is deployed through its timelock, whose delays its clock jumps over.
BEFORE_GENESIS_S = 7_200
# How much of the record is played before the venue opens.
WARM_UP_S = 600
# How long a chain that is not ours may take to answer, before it counts as silent.
RPC_SECONDS_MAX = 10
# What is forgotten at once holds up the loop; then it has its turn.
FORGET_PAUSE_SECONDS = 0.02
# Surfaces, then expiries, then strikes, then arrays; each is on the chain before the next.
LISTING_STEPS_MAX = 12
_LOG = logging.getLogger("novate.host")


def clock_ms() -> int:
    """The wall clock in milliseconds."""
    return time.time_ns() // 1_000_000  # division: to milliseconds


def stopped_at(second: int) -> Callable[[], int]:
    """A clock in milliseconds that stands at a second."""
    return lambda: second * 1_000


@dataclass(slots=True)
class Host:
    """One venue in one folder."""

    folder: Path
    config: UpConfig
    parameters: Parameters
    table: PriceTable
    rpc: str | None = None
    smiles: SmileTable = field(default_factory=SmileTable)
    given: VenueKeys | None = None
    parameters_file: Path = DEFAULT
    supervisor: Supervisor = field(default_factory=Supervisor)
    kept: KeptChain | None = None
    promoted: tuple[Journal, Sequencer] | None = None
    port: int = 0
    accounts: list[LocalAccount] = field(default_factory=list)
    client: Client = field(init=False)
    deployment: Deployment = field(init=False)
    journal: Journal = field(init=False)
    sequencer: Sequencer = field(init=False)
    core: Core = field(init=False)
    api: VenueApi = field(init=False)
    server: Server = field(init=False)
    chain: ChainLoop = field(init=False)
    oracle: OracleLoop = field(init=False)
    options: OptionLoop = field(init=False)
    index: IndexProcess = field(init=False)

    @property
    def keys(self) -> VenueKeys:
        """What this venue signs with."""
        return self.given or local_keys(self.parameters.oracle.node_count)

    async def start(self) -> None:
        """Bring everything up; returns once the API answers.

        Errors: ``JournalLocked`` (another process runs this venue), ``JournalCorrupt``,
        ``InvalidParameter``; raises ``NodeFault``, ``RpcFault``, ``OSError``.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if self.promoted is not None:
            self.journal, self.sequencer = self.promoted
        else:
            self.journal = Journal.open(self.folder / "journal.bin", clock_ms)
        try:
            await asyncio.to_thread(self._chain)
            held = await asyncio.to_thread(self._recover)
        except BaseException:
            self.journal.close()
            if self.kept is not None:
                self.kept.node.stop()
            raise
        self._wire(held)
        self.supervisor.start("core", self.core.run)
        await self.api.keeper.begin()
        if self.kept is not None and self.sequencer.world.oracle.statuses[0].round == 0:
            await self._warm_up()
            await asyncio.to_thread(self.kept.dump)  # a chain without these rounds begins in grace
        else:
            # what the chain has listed meanwhile is shown from the start; a fault comes again below
            with contextlib.suppress(Rejected):
                await self.chain.step()
        self.api.store = await asyncio.to_thread(self.index.open)
        self.supervisor.start("index", self.index.run)
        self.supervisor.start("index lag", partial(self.index.watch, self.api.store))
        await until_begun(self.api.store)
        self.port = await self.server.start(self.config.host, self.config.port)
        if self.kept is not None:
            self.supervisor.start("node", self._keep_node)
        self.supervisor.start("chain", self.chain.run)
        self.supervisor.start("oracle", self.oracle.run)
        self.supervisor.start("options", self.options.run)
        self.supervisor.start("snapshots", self._snapshots)

    async def stop(self) -> None:
        """Take no more commands, send what is open, write a snapshot, stop."""
        await self.server.stop()
        with contextlib.suppress(TimeoutError, Rejected):  # a disk without room, a core that failed
            await asyncio.wait_for(self.core.enter(BatchDue(clock_ms())), 2)
        for _ in range(50):
            await asyncio.sleep(0.05)
            if self.chain.waiting == 0:
                break
        await self.supervisor.stop()
        await asyncio.to_thread(self.chain.close)
        if self.api.store is not None:
            self.api.store.close()
        self._snapshot()
        if self.kept is not None:
            await asyncio.to_thread(self.kept.stop)
        else:
            self.client.close()
        # last: whoever waits for the journal begins the chain of this folder next
        try:
            self.journal.close()
        except Rejected as refused:
            _LOG.error("the journal could not be closed in order: %s", refused)

    # Start

    def _chain(self) -> None:
        """The chain and what is deployed on it."""
        found = self.folder / "deployment.json"
        if self.rpc is not None:
            require(found.exists(), InvalidParameter, f"rpc: {found} says what is deployed there")
            self.client = self._connected()
            self.deployment = Deployment.load(found)
            if not is_local(self.client.chain_id, self.rpc):
                self.keys.require_secret(self.deployment.roles)
            self.keys.require_roles(self.deployment.roles)
            return
        kept = self.folder / "chain.json"
        fresh = not (kept.exists() and found.exists())
        started = int(time.time()) - BEFORE_GENESIS_S
        require(
            not fresh or self.journal.head.sequence < 0,
            InvalidParameter,
            f"{self.folder} holds a journal without its chain; take another folder",
        )
        self.kept = KeptChain.open(self.folder, started, fresh, self.config.block_ms)
        self.client = self.kept.client
        self.deployment = (
            deploy_local(self.client, self.parameters) if fresh else Deployment.load(found)
        )
        self.accounts = fund(
            self.client, self.deployment, self.config.traders, self.config.trader_usdc, fresh
        )
        if fresh:
            self.kept.dump()
            # last: with this file the folder holds a venue, killed before it none
            aside = found.with_name(found.name + ".new")
            self.deployment.save(aside)
            aside.rename(found)

    def _recover(self) -> list[AnyRecord]:
        """The engine as the journal has it; every record, for those who follow."""
        if self.promoted is None:
            self._replay()
        return [records.decode(e.kind, e.payload) for e in self.journal.read()]

    def _replay(self) -> None:
        if self.journal.head.sequence < 0:
            self.journal.append(*records.encode(genesis_of(self.deployment, self.parameters)))
            self.journal.commit()
        found = recovery.recover(
            self.journal,
            lambda: sequencer_at_genesis(self.deployment, self.parameters, self.keys.executor),
        )
        self.sequencer = found.sequencer
        _LOG.info(
            "engine recovered: %d records replayed, %d completed", found.replayed, found.completed
        )

    def _wire(self, held: list[AnyRecord]) -> None:
        self._open_api()
        watcher = Watcher(
            self._connected(), self.deployment, self.deployment.block + 1, self.config.confirmations
        )
        paid = FeePolicy() if self.kept is not None else self.config.fees
        stale = self.parameters.oracle.stale_after_seconds
        options = SettlerOptions(stale_after_s=stale, fees=paid)
        self.chain = ChainLoop(
            self.core,
            self.client,
            Settler(self.client, self.deployment, self.keys.executor, options),
            watcher,
            None if self.kept else self._connected(),
            Subscription(self.kept.node.ipc_path, "newHeads") if self.kept else Pause(),
            BatchTimer(self.config.batch_ms),
            self.config.block_ms,
            clock_ms,
            mined=self.kept.dump_if_due if self.kept is not None else lambda: None,
        )
        self.api.parts += host_says.parts(self)
        self.api.figures = partial(host_says.figures, self)
        self.api.market.listings.recall(canonical(held))
        for record in held:
            self.api.recall(record)
            self.chain.follow(record)
        self.api.rfqs.keep(self.folder / "requests.jsonl")
        self.core.listeners.append(self.chain.follow)
        self.chain.resumed = watcher.resume(held) if canonical(held) else []
        start = int(time.time()) - WARM_UP_S
        chain_url = self.kept.node.http_url if self.kept is not None else self.rpc
        database = self.config.database or f"sqlite:///{self.folder / 'index.db'}"
        self.index = IndexProcess(self.folder, database, chain_url, self.parameters_file)
        self.oracle = OracleLoop(
            self.core,
            self.parameters.oracle,
            self.deployment,
            Replay(self.table, self.parameters, start),
            self.keys.nodes,
        )
        self.options = option_loop(
            self.api,
            self.deployment,
            self._connected(),
            self.oracle.prices,
            self.smiles,
            self.keys,
            self.kept is not None,
        )
        self.options.recall(held, int(time.time()))

    def _open_api(self) -> None:
        """The core, and what stands before it."""
        world = self.sequencer.world
        self.core = Core(self.journal, self.sequencer)
        domain = separator(self.deployment)

        def is_key(account: int, signer: str) -> bool:
            # the engine's second stands while nothing comes
            now = max(world.now, clock_ms() // 1_000)  # division: to seconds
            return world.exchange.keys[account, signer].live(now)

        def may_sign(order: Order, signer: str) -> bool:
            return is_key(order.account, signer)

        def may_cancel(account: int, signer: str) -> bool:
            scope = world.exchange.keys[account, signer].scope
            return is_key(account, signer) and bool(scope & session.CANCEL)

        self.api = VenueApi(
            core=self.core,
            parameters=self.parameters,
            gateway=Gateway(domain, may_sign=may_sign, is_key=is_key, may_cancel=may_cancel),
            separator=domain,
            chain_id=self.deployment.chain_id,
            exchange=self.deployment.addresses["exchange"],
            executor=self.keys.executor.address.lower(),
            testnet=self.rpc is None,
            deployment=self.deployment,
            limits=self.config.limits,
        )
        wanted, of_one = self.config.connections, self.config.connections_of_an_address
        room = room_for(wanted)
        if room < wanted:
            _LOG.warning("files allow %d connections, not %d: see ulimit -n", room, wanted)
        self.server = Server(self.api, room, of_one)

    def _connected(self) -> Client:
        """A connection of its own. Raises ``RpcFault``."""
        if self.kept is not None:
            return self.kept.node.client()
        fees = Fees(self.config.fees.maximum, self.config.fees.priority)
        return Client.over_http(self.rpc or "", fees=fees, seconds=RPC_SECONDS_MAX)

    async def _warm_up(self) -> None:
        """Rounds of the last minutes, on a chain whose clock is still there: a venue whose prices
        have just begun takes no risk for the restart grace. Then the options are listed.
        """
        settings, now = self.parameters.oracle, int(time.time())
        step = settings.stale_after_seconds // 2  # division: a whole number of seconds
        second = now - settings.restart_grace_seconds - 2 * step
        while second < now:
            self.chain.clock_ms = stopped_at(second)
            await self.oracle.round(second, self.oracle.prices.seen(second))
            self.chain.mined_ms = 0
            await self.chain.step()
            second += step
        self.chain.clock_ms = clock_ms
        for _ in range(LISTING_STEPS_MAX):
            if self.options.complete:
                return
            await self.options.step(int(time.time()))
            for _ in range(2):  # into a block, and back from it
                self.chain.mined_ms = 0
                await self.chain.step()
        _LOG.warning("not everything is listed yet")

    # Hours

    async def _keep_node(self) -> None:
        """Begin the local chain's node again when it has died."""
        assert self.kept is not None
        while True:
            await asyncio.to_thread(self.kept.revive_if_dead)
            await asyncio.sleep(0.2)

    async def _snapshots(self) -> None:
        """Write the engine's state down from time to time."""
        while True:
            await asyncio.sleep(self.config.snapshot_minutes * 60)
            child = await self._snapshot_aside()
            if not await asyncio.to_thread(child.wait):
                _LOG.error("no snapshot was written; a start replays more of the journal")
            while self.api.orders.forget_old() == FORGET_MAX:
                await asyncio.sleep(FORGET_PAUSE_SECONDS)

    async def _snapshot_aside(self) -> snapshot.Child:
        """Have a child write the state that the durable journal comes to. Raises ``OSError``."""
        begun: asyncio.Future[snapshot.Child] = asyncio.get_running_loop().create_future()

        def begin() -> None:
            if begun.done():
                return
            try:
                head = self.journal.durable
                begun.set_result(snapshot.save_aside(self.journal.path, head, self.sequencer))
            except OSError as fault:
                begun.set_exception(fault)

        self.core.at_rest(begin)
        return await begun

    def _snapshot(self) -> None:
        """A disk without room is no reason not to go on: the next start replays more."""
        if self.core.settled:
            try:
                snapshot.save(self.journal.path, self.journal.durable, self.sequencer)
            except Rejected as refused:
                _LOG.error("no snapshot was written: %s", refused)
