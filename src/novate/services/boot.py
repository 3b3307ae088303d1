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
from novate.services.batch_call import round_arguments
from novate.services.replica import Replica
from novate.wire.records import RULES, ChainTransaction, Genesis, OracleRound


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
    key = coincurve_key(executor)
    return sequencer_of(deployment, parameters, executor.address.lower(), key, now, make_book)


def sequencer_at_genesis(
    deployment: Deployment, parameters: Parameters, executor: LocalAccount
) -> Sequencer:
    """A sequencer where a venue's journal begins: its contracts are configured and funded."""
    first = max(deployment.executed_at + deployment.funded_at)
    return build_sequencer(deployment, parameters, executor, first)


def sequencer_of(
    deployment: Deployment,
    parameters: Parameters,
    executor: str,
    key: PrivateKey,
    now: int,
    make_book: MakeBook = SparseBook,
) -> Sequencer:
    """The same for an executor's address and the key that signs receipts."""
    world = mirror_world(deployment, parameters, now)
    follower = Replica(world, deployment, check_events=False)
    settings = Settings(executor=executor, key=key, separator=settle_call.separator(deployment))

    def apply_round(_: object, record: OracleRound) -> None:
        follower.post_round(round_arguments(record))

    def apply_transaction(_: object, record: ChainTransaction) -> None:
        follower.apply(record)

    read = settle_call.read_sent(deployment, executor)
    return Sequencer(world, settings, apply_round, apply_transaction, read, make_book)


def genesis_of(deployment: Deployment, parameters: Parameters) -> Genesis:
    """The first record of a deployment's journal."""
    contracts = {n: bytes.fromhex(a[2:]) for n, a in deployment.addresses.items()}
    digest = bytes.fromhex(configuration_hash(parameters))
    return Genesis(deployment.chain_id, contracts, digest, RULES)
