"""One whole venue in one process: chain, oracle nodes, gateway, sequencer, settler, watcher, over one journal.

Services only meet in the journal: each reads from its own cursor and appends. Time is the event's: a round's timestamp, the blocks
that settle its matches and the journal's clock all follow it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate.chain.client import Client
from novate.chain.deploy import deploy
from novate.chain.deployment import Deployment, Roles, configuration_hash
from novate.chain.mirror import mirror_world
from novate.chain.node import LocalNode, NodeOptions, local_key
from novate.chain.rpc_backend import RpcBackend
from novate.config import Parameters
from novate.engine.journal import Journal
from novate.engine.sequencer import Fees, Sequencer, Settings
from novate.errors import Rejected
from novate.services import settle_call
from novate.services.gateway import Gateway
from novate.services.oracle_node import Network, NodePrice, OracleNode, joint_round
from novate.services.replica import Outcome, Replica
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire import records
from novate.wire import round as wire_round
from novate.wire.order import SignedOrder
from novate.wire.records import AnyRecord, BatchDue, Genesis, OracleRound

NODES = 4
ROUND_AGE_S = 60


def coincurve_key(account: LocalAccount) -> PrivateKey:
    """The same key for libsecp256k1."""
    return PrivateKey(bytes(account.key))


@dataclass(slots=True)
class Observer:
    """What the loop tells whoever records it."""

    outcomes: list[Outcome] = field(default_factory=list)
    settlements: list[records.ChainTransaction] = field(default_factory=list)


class Venue:
    """A deployed venue with all its services."""

    def __init__(self, folder: Path, parameters: Parameters, genesis_time: int) -> None:
        self.folder = folder
        self.parameters = parameters
        self.now = genesis_time
        self.executor = local_key("executor")
        self.node_keys = [coincurve_key(local_key(f"oracle node {i}")) for i in range(NODES)]
        options = NodeOptions(timestamp=genesis_time, dump_state=folder / "chain.json")
        self.node = LocalNode(options)
        self.client: Client = self.node.client()
        self.deployment = self._deploy()
        self.now = self.client.block().timestamp
        self.journal = Journal.open(folder / "journal.bin", lambda: self.now * 1000)
        self._append(self._genesis())
        self.replica = Replica(mirror_world(self.deployment, parameters, self.now), self.deployment)
        self.sequencer = build_sequencer(self.deployment, parameters, self.executor, self.now)
        self.separator = settle_call.separator(self.deployment)
        self.gateway = Gateway(self.separator)
        self.settler = Settler(self.client, self.deployment, self.executor)
        self.watcher = Watcher(self.client, self.deployment, self.client.block().number + 1)
        self.oracle_nodes = self._oracle_nodes()
        self.round = 0
        self.cursor = 1
        self.observer = Observer()

    def _deploy(self) -> Deployment:
        nodes = tuple(wire_round.address_of(key.public_key) for key in self.node_keys)
        governor, guardian = local_key("governor"), local_key("guardian")
        executors = (self.executor.address.lower(),)
        roles = Roles(governor.address.lower(), guardian.address.lower(), executors, nodes)
        backend = RpcBackend(self.client, {governor.address.lower(): governor})
        made = deploy(backend, self.parameters, roles)
        made.save(self.folder / "deployment.json")
        return made

    def _genesis(self) -> Genesis:
        contracts = {n: bytes.fromhex(a[2:]) for n, a in self.deployment.addresses.items()}
        digest = bytes.fromhex(configuration_hash(self.parameters))
        return Genesis(self.deployment.chain_id, contracts, digest)

    def _oracle_nodes(self) -> list[OracleNode]:
        network = Network(
            domain=wire_round.domain_separator(
                self.deployment.chain_id, self.deployment.addresses["oracle"]
            ),
            nodes=self.deployment.roles.nodes,
        )
        return [OracleNode(key, network) for key in self.node_keys]

    # The journal

    def _append(self, record: AnyRecord) -> None:
        self.journal.append(*records.encode(record))
        self.journal.commit()

    def pump(self) -> list[AnyRecord]:
        """Sequencer and settler read what is new; the sequencer's events follow the command they answer."""
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
                for event in self.sequencer.handle(record):
                    self.journal.append(*records.encode(event))
                    events.append(event)
            self.journal.commit()

    # Steps of the loop

    def post_prices(self, prices: Mapping[int, Mapping[int, NodePrice]], timestamp: int) -> bool:
        """One oracle round at ``timestamp`` from what each node sees (node -> feed -> price); False without a quorum."""
        self.now = timestamp
        for index, node in enumerate(self.oracle_nodes):
            node.observe(prices.get(index, {}))
        leader = self.oracle_nodes[(self.round + 1) % NODES]
        try:
            signed = joint_round(leader, self.oracle_nodes, self.round + 1, timestamp, timestamp)
        except Rejected:
            return False
        self.round += 1
        number, time, words, nodes, signatures = signed.arguments()
        record = OracleRound(
            number,
            time,
            [records.big(w) for w in words],
            records.big(nodes),
            [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in signatures],
        )
        self.journal.append(*records.encode(record))
        self.pump()
        return True

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
        for submitted in self.settler.submit(self.now * 1000):
            self.journal.append(*records.encode(submitted))
        return self.mine(timestamp)

    def mine(self, timestamp: int) -> list[Outcome]:
        """Mine what is pending at ``timestamp`` and bring it into the journal."""
        self.now = max(self.now, timestamp)
        self.client.mine(timestamp)
        seen = self.watcher.poll()
        outcomes = []
        for record in seen:
            self.journal.append(*records.encode(record))
            outcome = self.replica.apply(record)
            outcomes.append(outcome)
            if (outcome.contract, outcome.function) == ("exchange", "settle"):
                self.observer.settlements.append(record)
        self.replica.world.now = self.now
        self.pump()
        assert not self.sequencer.diverged, "the chain settled what the sequencer predicted"
        return outcomes

    def close(self) -> None:
        """Stop the services; the chain's state is dumped as the node ends."""
        self.journal.commit()
        self.journal.close()
        self.node.stop()


def build_sequencer(
    deployment: Deployment, parameters: Parameters, executor: LocalAccount, now: int
) -> Sequencer:
    """A sequencer over a fresh world of its own, whose state is what the journal makes of it."""
    world = mirror_world(deployment, parameters, now)
    follower = Replica(world, deployment, check_events=False)
    settings = Settings(
        executor=executor.address.lower(),
        key=coincurve_key(executor),
        separator=settle_call.separator(deployment),
        fees=Fees(parameters.fees.taker_ppm, parameters.fees.maker_ppm),
    )

    def apply_round(_: object, record: OracleRound) -> None:
        signatures = [
            [int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big")] for s in record.signatures
        ]
        words = [records.number(word) for word in record.observations]
        follower.post_round(
            (record.round, record.timestamp, words, records.number(record.nodes), signatures)
        )

    def apply_transaction(_: object, record: records.ChainTransaction) -> None:
        follower.apply(record)

    return Sequencer(world, settings, apply_round, apply_transaction, settle_call.read_settled(deployment))
