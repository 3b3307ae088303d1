"""Verification of a run by somebody who trusts nobody: from the journal and the chain alone.

A ``Case`` is what is given; each step is one function that returns what it found, or raises
``Wrong`` naming the first record that is not as it must be. No secret is needed: receipts are
checked by their signature, everything else is computed again and compared byte for byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

from novate.chain.client import Client
from novate.chain.compile import compile_contract, layout_of
from novate.chain.deployment import CONTRACT_OF, Deployment, configuration_hash
from novate.chain.mirror import mirror_world
from novate.config import Parameters
from novate.engine.journal import Head, Record, Scanner, verify_chain
from novate.engine.recovery import as_told
from novate.engine.sequencer import Sequencer
from novate.errors import Rejected
from novate.model import invariants
from novate.model.state import World
from novate.services import settle_call, signed_records
from novate.services.audit import Auditor
from novate.services.boot import sequencer_of
from novate.services.priority import OutOfOrder, Priority
from novate.services.replica import Divergence, Replica
from novate.services.watch import Watcher
from novate.wire import eip712, records
from novate.wire.exit_data import halves
from novate.wire.records import (
    EVENTS,
    AnyRecord,
    BlockAccepted,
    Busted,
    ChainReorganised,
    ChainTransaction,
    Genesis,
    Matched,
)

AUDIT_EVERY = 500
LOG_BLOCKS = 500
Tick = Callable[[int, int], None]


class Wrong(Exception):
    """A step failed; ``record`` is the first wrong one, where it is one."""

    def __init__(self, text: str, record: int | None = None) -> None:
        super().__init__(text)
        self.record = record


@dataclass(slots=True)
class Case:
    """What is verified: a journal, a deployment with its parameters, a chain, a witness."""

    journal: Path
    deployment: Deployment
    parameters: Parameters
    client: Client
    published: Head | None = None
    entries: list[Record] = field(default_factory=list)
    records: list[AnyRecord] = field(default_factory=list)
    world: World | None = None
    sequenced: World | None = None
    invariants: dict[str, bool] = field(default_factory=dict)

    @property
    def genesis_time(self) -> int:
        """Chain time of the genesis record (seconds)."""
        return self.entries[0].timestamp_ms // 1000

    def numbered(self) -> Iterator[tuple[int, AnyRecord]]:
        """Record numbers with their records, the genesis left out."""
        return iter(list(enumerate(self.records))[1:])

    def transactions(self) -> list[tuple[int, ChainTransaction]]:
        """The chain's transactions as the journal has them, without those that left the chain."""
        found: list[tuple[int, ChainTransaction]] = []
        for number, record in self.numbered():
            if isinstance(record, ChainTransaction):
                found.append((number, record))
            elif isinstance(record, ChainReorganised):
                while found and found[-1][1].block >= record.first_block:
                    found.pop()
        return found


@contextmanager
def _judging(number: int) -> Iterator[None]:
    """Whatever judging a record meets is a finding about that record: records are anybody's."""
    try:
        yield
    except Wrong:
        raise
    except Divergence as wrong:
        raise Wrong(str(wrong), number) from None
    except OutOfOrder as wrong:
        raise Wrong(f"price-time priority: {wrong}", number) from None
    except Exception as error:
        raise Wrong(f"cannot be followed: {error!r}", number) from None


def hash_chain(case: Case, tick: Tick) -> str:
    """Every record's hash covers all before it, the file ends with a record, each has a meaning."""
    scanner = Scanner(case.journal)
    case.entries = scanner.records
    try:
        scanner.run()
    except Rejected as rejected:
        raise Wrong(str(rejected), len(case.entries)) from None
    if scanner.torn is not None:
        raise Wrong(f"the file ends within a record: {scanner.torn}", len(case.entries))
    if not case.entries:
        raise Wrong("the journal is empty", 0)
    for number, entry in enumerate(case.entries):
        try:
            case.records.append(records.decode(entry.kind, entry.payload))
        except Rejected as rejected:
            raise Wrong(str(rejected), number) from None
        if number % 1000 == 0:
            tick(number, len(case.entries))
    head = case.entries[-1]
    return f"{len(case.entries)} records, head {head.sequence}:{head.hash.hex()[:16]}…"


def witness(case: Case, tick: Tick) -> str:
    """A head seen earlier lies on the chain: nothing was cut off or written anew since."""
    if case.published is None:
        return "no head was published"
    try:
        verify_chain(case.journal, case.published)
    except Rejected as rejected:
        number = min(case.published.sequence, len(case.entries))
        raise Wrong(str(rejected), number) from None
    return f"record {case.published.sequence} has the published hash"


def genesis(case: Case, tick: Tick) -> str:
    """The journal, the deployment, the parameters and the chain speak of the same venue."""
    first, deployment = case.records[0], case.deployment
    assert isinstance(first, Genesis), "the journal's own rule"
    contracts = {name: "0x" + address.hex() for name, address in first.contracts.items()}
    digest = configuration_hash(case.parameters)
    if deployment.configuration != digest:
        raise Wrong("these are not the parameters of the deployment", 0)
    facts = (
        ("chain id", first.chain_id, deployment.chain_id),
        ("chain id of the node", case.client.chain_id, deployment.chain_id),
        ("contracts", contracts, deployment.addresses),
        ("hash of the parameters", first.configuration_hash.hex(), digest),
    )
    for name, found, expected in facts:
        if found != expected:
            raise Wrong(f"{name}: {found}, not {expected}", 0)
    for name in deployment.addresses:
        _require_our_code(case, name)
    return f"chain {first.chain_id}, {len(contracts)} contracts, parameters {digest[:16]}…"


def _require_our_code(case: Case, name: str) -> None:
    """A Vyper contract is its runtime followed by its immutables: whom it obeys, calls or runs."""
    addresses = case.deployment.addresses
    code = bytes.fromhex(case.client.request("eth_getCode", addresses[name], "latest")[2:])
    made = compile_contract(CONTRACT_OF[name])
    runtime, immutables = code[: made.runtime_size_bytes], code[made.runtime_size_bytes :]
    if not code or runtime not in made.bytecode:
        raise Wrong(f"the code at the {name}'s address is not this repository's", 0)
    for immutable, start in _places(layout_of(CONTRACT_OF[name]).get("code_layout", {})):
        peer = "timelock" if immutable == "GOVERNOR" else immutable.lower()
        if peer in addresses and immutables[start : start + 32].hex()[24:] != addresses[peer][2:]:
            raise Wrong(f"the {name} was made with another {peer} than the deployment's", 0)


def _places(layout: dict[str, Any]) -> Iterator[tuple[str, int]]:
    """Every immutable of a contract and of its modules, with its first byte."""
    for name, found in layout.items():
        if "offset" in found:
            yield name, found["offset"]
        else:
            yield from _places(found)


def chain_transactions(case: Case, tick: Tick) -> str:
    """The journal has every transaction of ours on the chain, as it happened, in its order."""
    watcher = Watcher(case.client, case.deployment, case.deployment.block + 1)
    actual = [record for record in watcher.poll() if isinstance(record, ChainTransaction)]
    held = case.transactions()
    for place, (number, record) in enumerate(held):
        if place >= len(actual):
            raise Wrong(f"transaction {_name(record)} is not on the chain", number)
        if record != actual[place]:
            raise Wrong(_difference(record, actual[place]), number)
        if place % 200 == 0:
            tick(place, len(held))
    if len(actual) > len(held):
        missing = actual[len(held)]
        text = f"transaction {_name(missing)} of block {missing.block} is missing"
        raise Wrong(text, len(case.records))
    strangers = _strangers(case, {r.transaction for r in actual}, watcher.next_block)
    if strangers:
        raise Wrong(f"{strangers} transactions reached our contracts through other contracts")
    return f"{len(held)} transactions in {watcher.next_block - case.deployment.block - 1} blocks"


def _name(record: ChainTransaction) -> str:
    return f"0x{record.transaction.hex()}"


def _difference(held: ChainTransaction, actual: ChainTransaction) -> str:
    if held.transaction != actual.transaction:
        return f"the chain has transaction {_name(actual)} here, the journal {_name(held)}"
    fields = [f for f in held.__struct_fields__ if getattr(held, f) != getattr(actual, f)]
    return f"transaction {_name(held)}: {', '.join(fields)} not as on the chain"


def _strangers(case: Case, known: set[bytes], end: int) -> int:
    """Transactions that left logs of our contracts but were not sent to one of them."""
    found: set[bytes] = set()
    for first in range(case.deployment.block + 1, end, LOG_BLOCKS):
        last = min(first + LOG_BLOCKS, end) - 1
        logs = case.client.logs(first, last, case.deployment.acting().values())
        found |= {log.transaction for log in logs}
    return len(found - known)


def order_signatures(case: Case, tick: Tick) -> str:
    """Every order's digest is that of its terms, and its signature of the signer it names.

    That this was the owner or a live session key of its scope is for ``matching`` to find.
    """
    separator = settle_call.separator(case.deployment)
    count = wallets = blocks = 0
    for number, record in case.numbered():
        with _judging(number):
            if isinstance(record, BlockAccepted):
                _require(signed_records.fault_of_consents(separator, record), number)
                blocks += 1
            for placed in records.orders_in(record):
                _require(signed_records.fault_of_order(separator, placed), number)
                wallets += signed_records.is_by_wallet(placed)
                count += 1
                if count % 500 == 0:
                    tick(number, len(case.records))
    text = f"{count} orders" + (f", {blocks} blocks" if blocks else "")
    return text + (f", {wallets} of contract wallets left to the chain" if wallets else "")


def _require(fault: str, number: int) -> None:
    if fault:
        raise Wrong(fault, number)


def matching(case: Case, tick: Tick) -> str:
    """A fresh sequencer, fed the commands, comes to the same events: rights, priority and margin.

    ``Priority``, which knows no engine, checks the order once more; receipts by their signature.
    """
    sequencer = fresh_sequencer(case)
    priority, pending = Priority(), deque[tuple[AnyRecord, int]]()
    events = 0
    for number, record in case.numbered():
        if isinstance(record, EVENTS):
            events += 1
            with _judging(number):
                _require_expected(case, number, record, pending)
        else:
            with _judging(number):
                pending.extend((event, number) for event in sequencer.fold(record))
        with _judging(number):
            priority.follow(record)
        if number % 200 == 0:
            tick(number, len(case.records))
    if pending:
        event, cause = pending[0]
        text = f"the {type(event).__name__} that record {cause} caused is missing"
        raise Wrong(text, len(case.records))
    case.sequenced = sequencer.world
    text = f"{events} events again, {priority.matches} matches in price-time order"
    busts = sum(isinstance(record, Busted) for record in case.records)
    return text + (f", {busts} given up" if busts else "")


def _require_expected(
    case: Case, number: int, record: AnyRecord, pending: deque[tuple[AnyRecord, int]]
) -> None:
    if not pending:
        raise Wrong(f"{type(record).__name__} that no command caused", number)
    expected, cause = pending.popleft()
    if isinstance(record, Matched) and isinstance(expected, Matched):
        _require_receipt(case, number, record)
        expected = as_told(expected, record)
    if records.encode(expected) != records.encode(record):
        name = type(expected).__name__
        fields = [
            f for f in record.__struct_fields__ if getattr(record, f) != getattr(expected, f, None)
        ]
        raise Wrong(f"record {cause} caused another {name} ({', '.join(fields)})", number)


def _require_receipt(case: Case, number: int, record: Matched) -> None:
    price = records.number(record.price)
    match = eip712.Match(
        record.maker, record.taker, record.lots, price, record.sequence, record.matched_at
    )
    digest = eip712.match_digest(settle_call.separator(case.deployment), match)
    signer = eip712.recover(digest, *halves(record.receipt))
    if signer not in case.deployment.roles.executors:
        raise Wrong("the receipt is not signed by an executor", number)


def fresh_sequencer(case: Case) -> Sequencer:
    """A sequencer in the state of the genesis. Its key is nobody's: only receipts depend on it."""
    executor = case.deployment.roles.executors[0]
    key = PrivateKey(bytes(31) + b"\x01")
    return sequencer_of(case.deployment, case.parameters, executor, key, case.genesis_time)


def settlement(case: Case, tick: Tick) -> str:
    """The model executes every transaction to the same end, and no invariant breaks on the way."""
    world = mirror_world(case.deployment, case.parameters, case.genesis_time)
    auditor = Auditor(Replica(world, case.deployment))
    held = case.transactions()
    for place, (number, record) in enumerate(held):
        with _judging(number):
            auditor.apply(record)
        if auditor.findings:
            found = auditor.findings[0]
            raise Wrong(f"{found.invariant}: {found.text}", number)
        if (place + 1) % AUDIT_EVERY == 0 or place + 1 == len(held):
            _require_state(world, number)
        if place % 20 == 0:
            tick(place, len(held))
    case.world = world
    case.invariants = auditor.verdicts() | invariants.check_all(world)
    case.invariants["I12"] &= case.sequenced is not None and _same_ledger(world, case.sequenced)
    if not case.invariants["I12"]:
        raise Wrong("I12: two folds of the journal end in different ledgers", len(case.records) - 1)
    text = f"{len(held)} transactions again, {len(case.invariants)} invariants hold"
    unexplained = len(auditor.unexplained)
    return text + (f"; {unexplained} reverted for gas, value or a token" if unexplained else "")


def _require_state(world: World, number: int) -> None:
    broken = [name for name, holds in invariants.check_all(world).items() if not holds]
    if broken:
        raise Wrong(f"{', '.join(broken)} broken", number)


def _same_ledger(one: World, other: World) -> bool:
    """Whether the engine's fold and the chain's fold of one journal hold the same ledger (I12)."""
    names = [name for name in one.store.tables if name.startswith("ledger.")]
    return all(one.store.tables[n].rows == other.store.tables[n].rows for n in names)
