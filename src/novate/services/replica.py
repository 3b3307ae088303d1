"""A replica: the model's world as a fold of the chain's transactions, in chain order.

Every transaction to one of our contracts is executed again by the model, from its calldata, and
must come to the same end: what the chain accepted the model accepts, with the same events. So a
replica is at once the read side of the services and a running check of chain against model.

Anybody may send anything. What reverted on the chain changed nothing there and changes nothing
here, whatever it was; that the model would have accepted it is told (``Outcome.unexplained``) and
stops nothing, since gas, value sent along and tokens are no part of the model. What succeeded but
has no twin stops the replica before it, with the code ``NoTwin``; a disagreement with
``ReplicaDiverged``. What reaches our contracts through a contract of somebody else is followed call
by call, all or nothing (``routed.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from novate import errors
from novate.chain.abi import Abi, Event
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.chain.rows import hexed
from novate.errors import Error
from novate.model import oracle, settlement_prints, surfaces
from novate.model.state import World
from novate.services import settle_call
from novate.services.calldata import Reader, Unreadable
from novate.services.routed import parts
from novate.services.twins import CHANGES_NOTHING, argument, twins
from novate.wire import round as wire_round
from novate.wire import surfaces as wire_surfaces
from novate.wire.records import ChainTransaction
from novate.wire.round import SignedRound
from novate.wire.surfaces import SignedSettlement, SignedSurfaces

# of set_peers, in its order
PEERS = ("risk_model", "custody", "auctioneer", "waterfall", "guardian", "options")
READ_ONLY = ("view", "pure")


class Divergence(Exception):
    """Model and chain came to different ends: a bug in one of them; nothing may go on from here."""

    error: Error = errors.ReplicaDiverged

    def __init__(self, text: str) -> None:
        super().__init__(f"{self.error.name} ({self.error.code}): {text}")
        self.text = text


class NotFollowed(Divergence):
    """The chain changed in a way that has no twin in the model: nothing may go on from here."""

    error = errors.NoTwin


@dataclass(slots=True)
class Outcome:
    """What one transaction was and did. Without a function nothing of ours can have accepted it."""

    contract: str
    function: str
    arguments: tuple[Any, ...]
    succeeded: bool
    events: list[Event] = field(default_factory=list)
    calldata: bytes = b""
    unexplained: bool = False  # it reverted, but the model would have accepted it


class _TakeBack(Exception):
    """Undoes a trial."""


class Replica:
    """One world that follows one venue; without ``check_events`` one that runs ahead of it."""

    def __init__(self, world: World, deployment: Deployment, check_events: bool = True) -> None:
        self.world = world
        self.deployment = deployment
        self.check_events = check_events
        self.stopped: Divergence | None = None
        self._names = {address: name for name, address in deployment.acting().items()}
        self._abis = {a: abi_of(CONTRACT_OF[n]) for a, n in self._names.items()}
        self._readers = {address: Reader(abi) for address, abi in self._abis.items()}
        self._domain = wire_round.domain_separator(
            deployment.chain_id, deployment.addresses["oracle"]
        )
        self._surfaces_domain = wire_surfaces.domain_separator(
            deployment.chain_id, deployment.addresses["surfaces"]
        )
        self._separator = settle_call.separator(deployment)
        self._twins = twins()
        self._read_only = CHANGES_NOTHING | {
            (self._names[address], function["name"])
            for address, abi in self._abis.items()
            for functions in abi.functions.values()
            for function in functions
            if function["stateMutability"] in READ_ONLY
        }

    def decode(self, record: ChainTransaction) -> Outcome:
        """Contract, function and arguments of a transaction, with its decoded events. Raises
        ``NotFollowed`` for a contract that is not the venue's.
        """
        address = "0x" + record.contract.hex()
        if address not in self._names:
            raise NotFollowed(f"{_place(record)} went to {address}, which is not the venue's")
        events = [e for e in map(self._event, record.events) if e is not None]
        try:
            function, arguments = self._readers[address].read(record.calldata)
        except Unreadable:
            function, arguments = "", ()
        return Outcome(
            self._names[address], function, arguments, record.succeeded, events, record.calldata
        )

    def _event(self, log: tuple[bytes, list[bytes], bytes]) -> Event | None:
        address = "0x" + log[0].hex()
        abi: Abi | None = self._abis.get(address)
        return abi.decode_event(address, list(log[1]), log[2]) if abi else None

    def apply(self, record: ChainTransaction) -> Outcome:
        """Follow a transaction. Raises ``Divergence``, from then on for every transaction; the
        world stays as it was before the one that stopped it.
        """
        if self.stopped is not None:
            raise self.stopped
        now = self.world.now
        try:
            if record.calls:
                return self._follow_routed(record)
            return self._follow(record)
        except Divergence as fault:
            self.stopped = fault
            self.world.now = now
            raise

    def _follow_routed(self, record: ChainTransaction) -> Outcome:
        """Follow each call of others' contracts into ours."""
        with self.world.store.transaction():
            outcomes = [self._follow(part) for part in parts(record)]
        events = [event for outcome in outcomes for event in outcome.events]
        return Outcome(hexed(record.contract), "", (), True, events, record.calldata)

    def _follow(self, record: ChainTransaction) -> Outcome:
        outcome = self.decode(record)
        self.world.now = record.timestamp
        if not record.succeeded:
            # a world that runs ahead of the chain cannot say what the chain must accept
            outcome.unexplained = self.check_events and self.would_accept(record)
            return outcome
        where = f"{_place(record)} ({outcome.contract}.{outcome.function})"
        self.world.take_events()
        with self.world.store.transaction():
            try:
                self._run(outcome, "0x" + record.sender.hex())
            except NotFollowed as fault:
                raise NotFollowed(f"{where}: {fault.text}") from None
            except Exception as fault:  # calldata is anybody's: what it causes here is a finding
                text = f"{where}: the chain accepted it, the model not: {fault!r}"
                raise Divergence(text) from fault
            if self.check_events:
                self._compare(where, self.world.take_events(), outcome.events)
        return outcome

    def would_accept(self, record: ChainTransaction) -> bool:
        """Whether the model accepts a call that it has a twin for; changes nothing."""
        outcome = self.decode(record)
        key = outcome.contract, outcome.function
        if not outcome.function or key in self._read_only or key == ("exchange", "confirm_wallet"):
            return False  # there is no twin, or a wallet decides
        if outcome.contract == "timelock":
            return False  # its schedule is not part of the world
        try:
            with self.world.store.transaction():
                self._run(outcome, "0x" + record.sender.hex())
                raise _TakeBack
        except _TakeBack:
            return True
        except Exception:  # a rejection, or an assertion where a contract reverts without a name
            return False
        finally:
            self.world.take_events()

    def _compare(self, where: str, expected: list[Any], got: list[Event]) -> None:
        left = [(e.name, _plain(e.arguments)) for e in expected if e.name in COMPARED]
        right = [(e.name, _plain(e.arguments)) for e in got if e.name in COMPARED]
        if left != right:
            raise Divergence(f"{where}: events differ: model {left}, chain {right}")

    def _run(self, outcome: Outcome, sender: str) -> None:
        """Do in the model what a call does."""
        key = outcome.contract, outcome.function
        if not outcome.function:
            raise NotFollowed("the chain accepted what none of the contract's functions accepts")
        if key == ("oracle", "post_round"):
            self.post_round(outcome.arguments)
        elif key == ("surfaces", "post_surfaces"):
            self.post_surfaces(outcome.arguments)
        elif key == ("surfaces", "post_settlement"):
            self.post_settlement(outcome.arguments)
        elif key == ("exchange", "settle"):
            self._settle(outcome, sender)
        elif key == ("timelock", "execute"):
            self._govern(outcome)
        elif key in self._twins:
            self._require_known_peers(outcome)
            self._twins[key](self.world, sender, *map(argument, outcome.arguments))
        elif key not in self._read_only and outcome.contract != "timelock":
            raise NotFollowed("the model has no twin of this function")

    def _settle(self, outcome: Outcome, sender: str) -> None:
        barred = {
            event.arguments["index"]: int.from_bytes(event.arguments["code"], "big")
            for event in outcome.events
            if event.name == "FillSkipped"
        }
        settle_call.run(
            self.world,
            self._separator,
            sender,
            outcome.arguments,
            self.post_round_calldata,
            outcome.calldata,
            barred if outcome.succeeded else None,
        )

    def _govern(self, outcome: Outcome) -> None:
        """Run a call of the timelock's; one that goes elsewhere must leave the venue alone."""
        target, data = outcome.arguments[:2]
        timelock = self.deployment.addresses["timelock"]
        if target not in self._names:
            touched = {event.address for event in outcome.events} - {timelock}
            if touched:
                raise NotFollowed(f"through {target} it moved {', '.join(sorted(touched))}")
            return
        try:
            function, arguments = self._readers[target].read(data)
        except Unreadable:
            function, arguments = "", ()
        name = self._names[target]
        inner = Outcome(name, function, arguments, outcome.succeeded, outcome.events, data)
        if (name, function) != ("timelock", "execute"):  # which the timelock's own lock refuses
            self._run(inner, timelock)

    def _require_known_peers(self, outcome: Outcome) -> None:
        """The code behind another peer is unknown, and so is what it will do to the ledger."""
        if (outcome.contract, outcome.function) != ("clearinghouse", "set_peers"):
            return
        for role, address in zip(PEERS, outcome.arguments, strict=False):
            if role != "guardian" and address != self.world.addresses[role]:
                raise NotFollowed(f"{address} becomes the {role}, whose code has no twin")

    def post_round(self, arguments: tuple[Any, ...]) -> bool:
        """Run ``Oracle.post_round`` from its decoded arguments."""
        number, timestamp, observations, nodes, signatures = arguments
        signed = SignedRound(number, timestamp, tuple(observations), _signed(nodes, signatures))
        signers = signed.signers(self._domain)
        return oracle.post_round(self.world, number, timestamp, list(observations), signers)

    def post_surfaces(self, arguments: tuple[Any, ...]) -> bool:
        """Run ``Surfaces.post_surfaces`` from its decoded arguments."""
        number, timestamp, underlying, words, nodes, signatures = arguments
        pairs = _signed(nodes, signatures)
        signed = SignedSurfaces(number, timestamp, underlying, tuple(words), pairs)
        signers = signed.signers(self._surfaces_domain)
        return surfaces.post_surfaces(
            self.world, number, timestamp, underlying, list(words), signers
        )

    def post_settlement(self, arguments: tuple[Any, ...]) -> bool:
        """Run ``Surfaces.post_settlement`` from its decoded arguments."""
        underlying, expiry, price, nodes, signatures = arguments
        signed = SignedSettlement(underlying, expiry, price, _signed(nodes, signatures))
        signers = signed.signers(self._surfaces_domain)
        return settlement_prints.post_settlement(self.world, underlying, expiry, price, signers)

    def post_round_calldata(self, calldata: bytes) -> bool:
        """Run the round that a settlement carries."""
        _, arguments = self._readers[self.deployment.addresses["oracle"]].read(calldata)
        return self.post_round(arguments)


COMPARED = frozenset(
    {
        "TradeSkipped",
        "FillSkipped",
        "BatchSettled",
        "SliceSold",
        "AuctionStarted",
        "AuctionEnded",
        "WrittenOff",
        "LayerPaid",
        "CashMoved",
        "GainsCut",
        "FeesDistributed",
        "ExpirySettled",
        "SettlementPrinted",
        "ExpiryListed",
        "StrikeListed",
        "EpochStarted",
        "ArraysRefreshed",
        "Deposited",
        "Withdrawn",
    }
)


def _signed(
    nodes: int, signatures: Sequence[Sequence[int]]
) -> tuple[tuple[int, tuple[int, int]], ...]:
    """(node index, signature) of what a quorum signed; an index is a byte of ``nodes``."""
    return tuple((nodes >> 8 * k & 255, (s[0], s[1])) for k, s in enumerate(signatures))


def _place(record: ChainTransaction) -> str:
    return f"transaction 0x{record.transaction.hex()}"


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in arguments.items()}


def _comparable(value: Any) -> Any:
    """Accounts and codes as integers, addresses in lower case."""
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    return value
