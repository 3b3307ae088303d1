"""A replica: the model's world as a fold of the chain's transactions, in chain order.

Every transaction to one of our contracts is executed again by the model, from its calldata, and
must come to the same end: the same success and the same events. So a replica is at once the read
side of the services and a running check of chain against model. Transactions that reach our
contracts through a contract of somebody else are not followed here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from novate.chain.abi import Abi, Event
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.errors import Rejected
from novate.model import (
    custody,
    fills,
    ledger,
    liquidation,
    margin,
    oracle,
    session,
    venue,
    waterfall,
)
from novate.model.instrument import Terms
from novate.model.ledger import Config
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.session import SessionKey
from novate.model.state import World
from novate.services import settle_call
from novate.wire import round as wire_round
from novate.wire.records import ChainTransaction
from novate.wire.round import SignedRound

Twin = Callable[..., Any]


class Divergence(Exception):
    """Model and chain came to different ends: a bug in one of them; nothing may go on from here."""


@dataclass(slots=True)
class Outcome:
    """What one transaction was and did."""

    contract: str
    function: str
    arguments: tuple[Any, ...]
    succeeded: bool
    events: list[Event] = field(default_factory=list)


class Replica:
    """One world that follows one venue."""

    def __init__(self, world: World, deployment: Deployment, check_events: bool = True) -> None:
        self.world = world
        self.deployment = deployment
        self.check_events = check_events
        self._names = {address: name for name, address in deployment.acting().items()}
        self._abis = {a: abi_of(CONTRACT_OF[n]) for a, n in self._names.items()}
        self._domain = wire_round.domain_separator(
            deployment.chain_id, deployment.addresses["oracle"]
        )
        self._separator = settle_call.separator(deployment)
        self._twins = _twins()

    def decode(self, record: ChainTransaction) -> Outcome:
        """Contract, function and arguments of a transaction, with its decoded events."""
        address = "0x" + record.contract.hex()
        abi = self._abis[address]
        function, arguments = abi.decode_call(record.calldata)
        events = [e for e in map(self._event, record.events) if e is not None]
        return Outcome(self._names[address], function, arguments, record.succeeded, events)

    def _event(self, log: tuple[bytes, list[bytes], bytes]) -> Event | None:
        address = "0x" + log[0].hex()
        abi: Abi | None = self._abis.get(address)
        return abi.decode_event(address, list(log[1]), log[2]) if abi else None

    def apply(self, record: ChainTransaction) -> Outcome:
        """Execute a transaction in the model. Raises ``Divergence`` when the chain came to another
        end.
        """
        outcome = self.decode(record)
        world = self.world
        world.now = record.timestamp
        world.take_events()
        try:
            with world.store.transaction():
                self._run(outcome, "0x" + record.sender.hex())
            succeeded, why = True, ""
        except Rejected as rejected:
            succeeded, why = False, str(rejected)
        except (AssertionError, IndexError, OverflowError, ValueError) as fault:
            # the contract's own guards revert without a name; the model's are assertions
            if record.succeeded:
                raise
            succeeded, why = False, repr(fault)
        where = f"transaction 0x{record.transaction.hex()} ({outcome.contract}.{outcome.function})"
        if succeeded != record.succeeded:
            raise Divergence(
                f"{where}: the chain {'accepted' if record.succeeded else 'refused'} it, "
                f"the model not: {why}"
            )
        expected = world.take_events() if succeeded else []
        if self.check_events:
            self._compare(where, expected, outcome.events)
        return outcome

    def _compare(self, where: str, expected: list[Any], got: list[Event]) -> None:
        left = [(e.name, _plain(e.arguments)) for e in expected if e.name in COMPARED]
        right = [(e.name, _plain(e.arguments)) for e in got if e.name in COMPARED]
        if left != right:
            raise Divergence(f"{where}: events differ: model {left}, chain {right}")

    def _run(self, outcome: Outcome, sender: str) -> None:
        key = outcome.contract, outcome.function
        if key == ("oracle", "post_round"):
            self.post_round(outcome.arguments)
        elif key == ("exchange", "settle"):
            settle_call.run(
                self.world, self._separator, sender, outcome.arguments, self.post_round_calldata
            )
        elif key == ("timelock", "execute"):
            self._govern(outcome.arguments)
        elif outcome.contract == "timelock":
            return
        elif key in self._twins:
            self._twins[key](self.world, sender, *map(_argument, outcome.arguments))
        else:
            raise Divergence(f"no twin of {outcome.contract}.{outcome.function}")

    def _govern(self, arguments: tuple[Any, ...]) -> None:
        target, data = arguments[0].lower(), arguments[1]
        if target not in self._abis:
            return  # moves nothing of the venue
        function, inner = self._abis[target].decode_call(data)
        twin = self._twins[self._names[target], function]
        twin(self.world, self.deployment.addresses["timelock"], *map(_argument, inner))

    def post_round(self, arguments: tuple[Any, ...]) -> bool:
        """Run ``Oracle.post_round`` from its decoded arguments."""
        number, timestamp, observations, nodes, signatures = arguments
        indices = [(nodes >> 8 * place) & 255 for place in range(len(signatures))]
        pairs = tuple((i, (s[0], s[1])) for i, s in zip(indices, signatures, strict=True))
        signed = SignedRound(number, timestamp, tuple(observations), pairs)
        signers = signed.signers(self._domain)
        return oracle.post_round(self.world, number, timestamp, list(observations), signers)

    def post_round_calldata(self, calldata: bytes) -> bool:
        """Run the round that a settlement carries."""
        oracle_address = self.deployment.addresses["oracle"]
        _, arguments = self._abis[oracle_address].decode_call(calldata)
        return self.post_round(arguments)


COMPARED = frozenset(
    {
        "TradeSkipped",
        "FillSkipped",
        "BatchSettled",
        "SliceTransferred",
        "SliceSold",
        "AuctionStarted",
        "AuctionEnded",
        "WrittenOff",
        "LayerPaid",
        "CashMoved",
        "GainsCut",
        "FeesDistributed",
        "Deposited",
        "Withdrawn",
    }
)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    return {name: _comparable(value) for name, value in arguments.items()}


def _comparable(value: Any) -> Any:
    """Accounts and codes as integers, addresses in lower case."""
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    if isinstance(value, str) and value.startswith("0x"):
        return int(value, 16)
    return value


def _argument(value: Any) -> Any:
    """An ABI value as the model takes it: accounts as integers, addresses in lower case."""
    if isinstance(value, bytes) and len(value) == 32:
        return int.from_bytes(value, "big")
    if isinstance(value, str):
        return value.lower()
    if isinstance(value, list | tuple):
        return [_argument(item) for item in value]
    return value


def _twins() -> dict[tuple[str, str], Twin]:
    def set_parameters(world: World, caller: str, underlying: int, word: int) -> None:
        margin.set_parameters(world, caller, underlying, RiskParameters.unpack(word))

    def set_globals(world: World, caller: str, *values: int) -> None:
        margin.set_globals(world, caller, RiskGlobals(*values))

    def set_config(world: World, caller: str, word: int) -> None:
        ledger.set_config(world, caller, Config.unpack(word))

    def list_instrument(world: World, caller: str, instrument: int, word: int) -> None:
        ledger.list_instrument(world, caller, instrument, Terms.unpack(word))

    def set_venue(world: World, caller: str, venue: str, approved: bool) -> None:
        ledger.only(world, caller, "timelock")
        world.ledger.venues[venue] = approved

    def set_session_key(world: World, caller: str, account: int, key: str, *fields: int) -> None:
        session.set_session_key(world, caller, account, key, SessionKey(*fields))

    clearinghouse: dict[str, Twin] = {
        "sweep": ledger.sweep,
        "credit": ledger.credit,
        "debit": ledger.debit,
        "set_in_auction": ledger.set_in_auction,
        "transfer_slice": ledger.transfer_slice,
        "move_cash": ledger.move_cash,
        "cut_gains": ledger.cut_gains,
        "distribute_fees": ledger.distribute_fees,
        "pause": ledger.pause,
        "set_caps": ledger.set_caps,
        "set_debt_cap": ledger.set_debt_cap,
        "set_config": set_config,
        "set_venue": set_venue,
        "list_instrument": list_instrument,
        "novate": settle_call.novate,
    }
    modules: dict[str, dict[str, Twin]] = {
        "clearinghouse": clearinghouse,
        "risk_model": {"set_parameters": set_parameters, "set_globals": set_globals},
        "custody": _functions(
            custody,
            (
                "deposit",
                "request_withdrawal",
                "cancel_withdrawal",
                "withdraw",
                "set_token",
                "set_deposit_cap",
                "set_limits",
            ),
        ),
        "auctioneer": _functions(liquidation, ("start", "bid", "end", "write_off")),
        "waterfall": _functions(
            waterfall, ("cover", "pay_reward", "execute_haircut", "retry", "refill", "set_limits")
        ),
        "oracle": _functions(oracle, ("set_nodes", "register_feed", "set_limits")),
        "exchange": {
            **_functions(venue, ("set_fees", "set_windows", "set_executor")),
            **_functions(fills, ("cancel", "cancel_below")),
            "set_session_key": set_session_key,
            "remove_session_key": session.remove_session_key,
        },
    }
    return {(m, f): twin for m, functions in modules.items() for f, twin in functions.items()}


def _functions(module: Any, names: tuple[str, ...]) -> dict[str, Twin]:
    return {name: getattr(module, name) for name in names}
