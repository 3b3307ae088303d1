"""One whole venue in one process: chain, oracle nodes, gateway, sequencer, settler, watcher, over
one journal.

Services only meet in the journal: each reads from its own cursor and appends. Time is the event's:
a round's timestamp, the blocks that settle its matches and the journal's clock all follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from novate.chain.backend import abi_of
from novate.chain.client import CallReverted, Client, RemoteContract
from novate.chain.compile import LOCAL_CONTRACTS
from novate.chain.deployment import CONTRACT_OF
from novate.chain.mirror import mirror_world
from novate.chain.node import LocalNode, NodeOptions, local_key
from novate.config import Parameters
from novate.demo.actors import Desk
from novate.engine import snapshot
from novate.engine.journal import Journal
from novate.engine.recovery import Follower
from novate.engine.sequencer import Sequencer
from novate.errors import Rejected
from novate.model.instrument import PERP, Terms
from novate.model.ledger import Check
from novate.model.order import Order
from novate.services import settle_call
from novate.services.audit import Auditor
from novate.services.boot import build_sequencer, genesis_of
from novate.services.flights import SettlerOptions
from novate.services.gateway import Gateway
from novate.services.local_venue import deploy_local, node_keys
from novate.services.oracle_node import Network, NodePrice, OracleNode, joint_round
from novate.services.replica import Outcome, Replica
from novate.services.settler import Settler
from novate.services.watch import Watcher, canonical
from novate.units import ORACLE_UNIT, WAD
from novate.wire import records
from novate.wire import round as wire_round
from novate.wire.order import SignedOrder
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    BlockAccepted,
    ChainReorganised,
    Matched,
    OrderPlaced,
    QuotesPlaced,
)

NODES = 4
TOLERANCE_PPM = 50_000  # the venues of that day stood several percent apart


class Venue:
    """A deployed venue with all its services."""

    def __init__(self, folder: Path, parameters: Parameters, genesis_time: int) -> None:
        self.folder = folder
        self.parameters = parameters
        self.now = genesis_time
        self.executor = local_key("executor")
        # whoever brings surfaces, arrays and prints; the executor's own nonces are the settler's
        self.upkeep = local_key("upkeep")
        self.node_keys = node_keys(NODES)
        kept = NodeOptions(timestamp=genesis_time, dump_state=folder / "chain.json")
        self.node = LocalNode(kept)
        self.client: Client = self.node.client()
        self.deployment = deploy_local(self.client, parameters)
        self.deployment.save(folder / "deployment.json")
        self.now = self.genesis_time = self.client.block().timestamp
        self.journal = Journal.open(folder / "journal.bin", lambda: self.now * 1000)
        self._append(genesis_of(self.deployment, parameters))
        self.replica = Replica(mirror_world(self.deployment, parameters, self.now), self.deployment)
        self.auditor = Auditor(self.replica)
        self.sequencer = build_sequencer(self.deployment, parameters, self.executor, self.now)
        self.separator = settle_call.separator(self.deployment)
        self.gateway = Gateway(self.separator, may_sign=self._may_sign)
        options = SettlerOptions(stale_after_s=parameters.oracle.stale_after_seconds)
        self.settler = Settler(self.client, self.deployment, self.executor, options)
        self.watcher = Watcher(self.client, self.deployment, self.client.block().number + 1)
        self.oracle_nodes = self._oracle_nodes()
        self.round = 0
        self.cursor = 1
        self.settlements: list[records.ChainTransaction] = []
        self.last_batch: BatchClosed | None = None
        self.matches: dict[int, Matched] = {}
        self.placed: dict[bytes, OrderPlaced] = {}
        self.custody = self.attach("custody")
        self.auctioneer = self.attach("auctioneer")
        self.clearinghouse = self.attach("clearinghouse")
        self.tokens = {
            name: self.client.attach(address, abi_of("TestToken", LOCAL_CONTRACTS), name)
            for name, address in self.deployment.tokens.items()
        }

    def attach(self, name: str) -> RemoteContract:
        """One of the venue's contracts, to read from and send to."""
        return self.client.attach(
            self.deployment.addresses[name], abi_of(CONTRACT_OF[name]), CONTRACT_OF[name]
        )

    def _may_sign(self, order: Order, signer: str) -> bool:
        """Whether a session key signs for the account, in the engine's world."""
        return self.sequencer.world.exchange.keys[order.account, signer].live(self.now)

    def _oracle_nodes(self) -> list[OracleNode]:
        network = Network(
            domain=wire_round.domain_separator(
                self.deployment.chain_id, self.deployment.addresses["oracle"]
            ),
            nodes=self.deployment.roles.nodes,
            tolerance_ppm=TOLERANCE_PPM,
        )
        return [OracleNode(key, network) for key in self.node_keys]

    # The journal

    def _append(self, record: AnyRecord) -> None:
        self.journal.append(*records.encode(record))
        self.journal.commit()

    def pump(self) -> list[AnyRecord]:
        """Sequencer and settler read what is new; the sequencer's events follow the command they
        answer.
        """
        self.journal.commit()
        events: list[AnyRecord] = []
        while True:
            fresh = list(self.journal.read(self.cursor))
            if not fresh:
                return events
            for entry in fresh:
                record = records.decode(entry.kind, entry.payload)
                self.cursor = entry.sequence + 1
                self.settler.follow(record)
                self._remember(record)
                for event in self.sequencer.handle(record):
                    self.journal.append(*records.encode(event))
                    events.append(event)
            self.journal.commit()

    def _remember(self, record: AnyRecord) -> None:
        """The last batch with its matches and orders: what a receipt holder keeps."""
        match record:
            case OrderPlaced() | QuotesPlaced() | BlockAccepted():
                self.placed |= {placed.digest: placed for placed in records.orders_in(record)}
            case Matched():
                self.matches[record.sequence] = record
            case BatchClosed():
                self.last_batch = record
            case _:
                pass

    # Steps of the loop

    def post_prices(self, prices: Mapping[int, Mapping[int, NodePrice]], timestamp: int) -> bool:
        """One oracle round at ``timestamp`` from what each node sees (node -> feed -> price); False
        without a quorum.
        """
        self.now = timestamp
        for index, node in enumerate(self.oracle_nodes):
            node.observe(prices.get(index, {}))
        # an attempt that fails has used its number up: a node signs a number once
        self.round += 1
        leader = self.oracle_nodes[self.round % NODES]
        try:
            signed = joint_round(leader, self.oracle_nodes, self.round, timestamp, timestamp)
        except Rejected:
            self.journal.append(*records.encode(BatchDue(timestamp * 1000)))
            self.pump()
            return False
        self.journal.append(*records.encode(signed.record()))
        self.pump()
        return True

    def send_round(self) -> None:
        """Hand the newest round to the chain by itself, before what builds on its prices."""
        self.submit()

    def open_trading(self, timestamp: int) -> None:
        """Move the engine's clock to the second at which the next batch will settle."""
        self.now = timestamp
        self.journal.append(*records.encode(BatchDue(timestamp * 1000)))
        self.pump()

    def place(self, signed: SignedOrder, fill_or_kill: bool = False) -> None:
        """Hand an order in; it is processed at the next pump. Errors: those of the gateway."""
        command = self.gateway.order(signed, self.now * 1000, fill_or_kill)
        self.journal.append(*records.encode(command))

    def cancel_all(self, account: int, signer: str) -> None:
        """Take an account's orders out of the book."""
        command = self.gateway.cancel(account, "all", 0, signer, self.now * 1000)
        self.journal.append(*records.encode(command))

    def settle(self, timestamp: int) -> list[Outcome]:
        """Close the batch, send everything, mine at ``timestamp``, and follow the chain."""
        self.journal.append(*records.encode(BatchDue(self.now * 1000)))
        self.pump()
        self.submit()
        return self.mine(timestamp)

    def submit(self) -> None:
        """Write down what the settler will send, then send it."""
        for submitted in self.settler.plan(self.now * 1000):
            self.journal.append(*records.encode(submitted))
        self.pump()
        self.settler.transmit()

    def mine(self, timestamp: int) -> list[Outcome]:
        """Mine what is pending at ``timestamp`` and bring it into the journal."""
        self.now = max(self.now, timestamp)
        self.client.mine(timestamp)
        return self.watch()

    def watch(self) -> list[Outcome]:
        """Bring what the chain did into the journal, and follow it."""
        outcomes = []
        for record in self.watcher.poll():
            self.journal.append(*records.encode(record))
            if isinstance(record, ChainReorganised):
                self._follow_again()
                continue
            outcome = self.auditor.apply(record)
            outcomes.append(outcome)
            if (outcome.contract, outcome.function) == ("exchange", "settle"):
                self.settlements.append(record)
        self.replica.world.now = self.now
        self.pump()
        return outcomes

    def _follow_again(self) -> None:
        """A replica of the chain as the journal has it now, after blocks have left it."""
        world = mirror_world(self.deployment, self.parameters, self.genesis_time)
        self.replica = Replica(world, self.deployment)
        self.auditor = Auditor(self.replica)
        self.journal.commit()
        held = (records.decode(e.kind, e.payload) for e in self.journal.read())
        for record in canonical(held):
            self.auditor.apply(record)

    def take_settlements(self) -> list[records.ChainTransaction]:
        """Settlement transactions since the last call."""
        taken, self.settlements = self.settlements, []
        return taken

    def loot(self) -> tuple[Matched, OrderPlaced, OrderPlaced] | None:
        """A match of the last batch with both its signed orders (maker's first)."""
        if self.last_batch is None:
            return None
        match = self.matches[self.last_batch.first_sequence]
        return match, self.placed[match.maker], self.placed[match.taker]

    def mark_wad(self, instrument: int) -> int:
        """The instrument's mark on chain (wad)."""
        world = self.sequencer.world
        return world.oracle.feeds[world.ledger.terms[instrument].feed].mark * ORACLE_UNIT

    def desk(
        self,
        checks: dict[int, Check],
        dated: Mapping[int, Terms] | None = None,
        ends: Mapping[int, int] | None = None,
    ) -> Desk:
        """What a trader sees now: the engine's view, this minute's round included; ``dated`` are
        the terms of options and dated futures by id, ``ends`` when they expire.
        """
        world = self.sequencer.world
        perps = {i: t for i, t in world.ledger.terms.items() if t.kind == PERP}
        return Desk(
            now=self.now,
            separator=self.separator,
            executor=self.executor.address.lower(),
            terms={**perps, **(dated or {})},
            marks={i: self.mark_wad(i) / WAD for i in perps},
            checks=checks,
            positions={a: dict(world.ledger.accounts[a].positions) for a in checks},
            ends=ends or {},
            settings=world.exchange.settings,
        )

    def reason(self, transaction: bytes) -> str:
        """Why a transaction failed, by its registered name."""
        try:
            found = self.client.receipt(transaction)
            if found is not None and not found.succeeded:
                raise self.client.why(found)
        except Rejected as rejected:
            return rejected.error.name
        except CallReverted:
            return "reverted"
        return ""

    def rebuilt_sequencer(self) -> Sequencer:
        """A second sequencer, fed the journal from its first record."""
        first = self.genesis_time
        made = build_sequencer(self.deployment, self.parameters, self.executor, first)
        Follower(made).follow(self.journal.read(1))
        return made

    def snapshot(self) -> Path:
        """Write the sequencer's state down, so that a start replays only what follows."""
        head = self.journal.durable
        assert self.cursor == head.sequence + 1, "everything is pumped"
        return snapshot.save(self.journal.path, head, self.sequencer)

    def close(self) -> None:
        """Stop the services; the chain's state is dumped as the node ends."""
        self.journal.commit()
        self.journal.close()
        self.node.stop()
