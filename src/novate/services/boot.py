"""A venue's engine over a world of its own, as every process that runs or checks one builds it."""

from __future__ import annotations

from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate.chain.deployment import Deployment, configuration_hash
from novate.chain.mirror import mirror_world
from novate.config import Parameters
from novate.engine.book import SparseBook
from novate.engine.ladder import MakeBook
from novate.engine.sequencer import Sequencer, Settings
from novate.services import settle_call
from novate.services.replica import Replica
from novate.wire import records
from novate.wire.records import Genesis, OracleRound


def coincurve_key(account: LocalAccount) -> PrivateKey:
    """The same key for libsecp256k1."""
    return PrivateKey(bytes(account.key))


def build_sequencer(
    deployment: Deployment,
    parameters: Parameters,
    executor: LocalAccount,
    now: int,
    make_book: MakeBook = SparseBook,
) -> Sequencer:
    """A sequencer over a fresh world of its own, whose state is what the journal makes of it."""
    world = mirror_world(deployment, parameters, now)
    follower = Replica(world, deployment, check_events=False)
    settings = Settings(
        executor=executor.address.lower(),
        key=coincurve_key(executor),
        separator=settle_call.separator(deployment),
    )

    def apply_round(_: object, record: OracleRound) -> None:
        signatures = [
            [int.from_bytes(s[:32], "big"), int.from_bytes(s[32:], "big")]
            for s in record.signatures
        ]
        words = [records.number(word) for word in record.observations]
        follower.post_round(
            (record.round, record.timestamp, words, records.number(record.nodes), signatures)
        )

    def apply_transaction(_: object, record: records.ChainTransaction) -> None:
        follower.apply(record)

    return Sequencer(
        world,
        settings,
        apply_round,
        apply_transaction,
        settle_call.read_sent(deployment, settings.executor),
        make_book,
    )


def genesis_of(deployment: Deployment, parameters: Parameters) -> Genesis:
    """The first record of a deployment's journal."""
    contracts = {n: bytes.fromhex(a[2:]) for n, a in deployment.addresses.items()}
    digest = bytes.fromhex(configuration_hash(parameters))
    return Genesis(deployment.chain_id, contracts, digest)
