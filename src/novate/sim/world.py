"""The settlement layer twice: all contracts on an in-memory EVM, and the model, fed the same steps.

``perform`` runs one transaction on both sides and holds outcome, rejection and events equal. The
governor is a plain address here: what the Timelock delays is judged by its own tests.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from coincurve import PrivateKey

import novate.chain
from novate.chain.harness import CHAIN_ID, CallReverted, Chain, Contract, actor
from novate.errors import Error, Rejected
from novate.model import custody, ledger, margin, option_listing, oracle, surfaces, venue
from novate.model.account import BorrowIndex
from novate.model.instrument import FUTURE, OPTION, PERP, SPOT, Terms
from novate.model.invariants import Change
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.option_id import OptionId, future_id, terms_key
from novate.model.option_listing import Grid
from novate.model.oracle import NodeSignature, Observation
from novate.model.order import Order
from novate.model.settlement import Fill
from novate.model.state import Event, World
from novate.units import DAY_S, WAD
from novate.wire import eip712
from novate.wire import round as wire_round
from novate.wire import surfaces as wire_surfaces

BTC, ETH, WETH = 1, 2, 3
DOLLAR = 10**6
ETHER_LOT = 10**12
STALE_AFTER_S, RESTART_GRACE_S, MOVE_BOUND_PPM = 300, 60, 50_000
LOCAL = Path(novate.chain.__file__).parent / "local"
NODE_KEYS = [PrivateKey((7_000 + i).to_bytes(32, "big")) for i in range(4)]
PARAMETERS = {
    0: RiskParameters(
        0, 150_000, 0, 5_000, 100_000, 100_000, 80_000, 120_000, 100_000, 500_000, 5_000, 500
    ),
    1: RiskParameters(
        0, 180_000, 0, 3_000, 60_000, 100_000, 100_000, 150_000, 60_000, 300_000, 5_000, 500
    ),
}
TERMS = {
    BTC: Terms(10**15, 5 * 10**17, 10_000_000, 2_000_000, 0, 0, PERP),
    ETH: Terms(10**16, 5 * 10**16, 10_000_000, 3_000_000, 1, 1, PERP),
    WETH: Terms(10**12, 10**16, 10**12, 10**11, 1, 1, SPOT),
}

HOUR_S = 3_600
GRIDS = {
    0: Grid(500 * 10**10, DAY_S, HOUR_S, 0, 16, 0, True),
    1: Grid(25 * 10**10, DAY_S, HOUR_S, 0, 17, 1, True),
}
DATED_TERMS = {
    terms_key(id): Terms(
        10 ** GRIDS[underlying].lot_exponent, WAD // 10, 10**6, 10**5, underlying, 0, kind
    )  # division: exact, a tick of ten cents
    for underlying in GRIDS
    for id, kind in (
        (OptionId(underlying, 0, 0, False).pack(), OPTION),
        (future_id(underlying, 0), FUTURE),
    )
}


class Difference(AssertionError):
    """Contract and model disagree, or an invariant is broken."""


def same(what: object, contract: Any, model: Any) -> None:
    """Reject two different values of one thing (``Difference``)."""
    if contract != model:
        raise Difference(f"{what}: contract {contract!r}, model {model!r}")


@dataclass(frozen=True, slots=True)
class Step:
    """One transaction for both sides; a settlement also says its orders and fills."""

    contract: Contract
    function: str
    sender: str
    arguments: tuple[Any, ...]
    twin: Callable[[World], Any]
    orders: tuple[Order, ...] = ()
    fills: tuple[Fill, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What a step did: its value or its rejection, its events, the rows it wrote as before it."""

    value: Any = None
    error: Error | None = None
    events: list[Event] = field(default_factory=list)
    change: Change = field(default_factory=lambda: Change({}))

    @property
    def accepted(self) -> bool:
        """Whether both sides took it."""
        return self.error is None


class Settlement:
    """All contracts and the World beside them, after the same governance."""

    def __init__(self) -> None:
        self.chain = Chain()
        self.address = {role: actor(role) for role in ("timelock", "guardian", "venue", "stranger")}
        self.engine_key = key_of("engine")
        self.address["engine"] = eip712.address_of(self.engine_key.public_key)
        self._deploy()
        self.world = World(self.chain.timestamp, self.address)
        self.world.ledger.borrow["index"] = BorrowIndex(0, self.chain.timestamp)
        self.world.risk.shared["globals"] = RiskGlobals()
        self.separator = eip712.Domain(CHAIN_ID, self.exchange.address).separator()
        self.surfaces_domain = wire_surfaces.domain_separator(CHAIN_ID, self.surfaces.address)
        self.oracle_domain = wire_round.domain_separator(CHAIN_ID, self.oracle.address)
        self.round = 0
        self._connect()
        self._govern()

    def _deploy(self) -> None:
        governor, deploy = self.address["timelock"], self.chain.deploy
        self.oracle = deploy("Oracle", governor)
        office = deploy("BackOffice", governor)
        config = ledger.Config().pack()
        self.clearinghouse = deploy("Clearinghouse", governor, config, office.address)
        house = self.clearinghouse.address
        oracle_address = self.oracle.address
        self.surfaces = deploy("Surfaces", governor, oracle_address)
        builder = deploy("ArrayBuilder")
        self.options = deploy(
            "Options", governor, oracle_address, self.surfaces.address, house, builder.address
        )
        self.risk = deploy("RiskModel", governor, house, oracle_address, self.options.address)
        self.custody = deploy("Custody", governor, house)
        self.waterfall = deploy("Waterfall", governor, house)
        self.auctioneer = deploy(
            "Auctioneer", governor, house, self.waterfall.address, self.oracle.address
        )
        self.exchange = deploy("Exchange", governor, house, self.oracle.address)
        self.usd = deploy("TestToken", "US dollar", "USD", 6, root=LOCAL)
        self.ether = deploy("TestToken", "Wrapped ether", "WETH", 18, root=LOCAL)
        self.tokens = {token.address.lower(): token for token in (self.usd, self.ether)}
        for role in ("custody", "waterfall", "auctioneer", "exchange", "options", "clearinghouse"):
            self.address[role] = getattr(self, role).address.lower()

    def _connect(self) -> None:
        """Peers and venues: addresses, which the model knows by role."""
        governor = self.address["timelock"]
        roles = ("custody", "auctioneer", "waterfall", "guardian", "options")
        peers = [self.address[role] for role in roles]
        self.clearinghouse.call("set_peers", self.risk.address, *peers, sender=governor)
        self.waterfall.call("set_auctioneer", self.address["auctioneer"], sender=governor)
        for role in ("venue", "exchange"):
            self.clearinghouse.call("set_venue", self.address[role], True, sender=governor)
            self.world.ledger.venues[self.address[role]] = True

    def _govern(self) -> None:
        nodes = [eip712.address_of(key.public_key) for key in NODE_KEYS]
        self.govern(self.oracle, oracle.set_nodes, nodes)
        limits = STALE_AFTER_S, RESTART_GRACE_S, MOVE_BOUND_PPM
        self.govern(self.oracle, oracle.set_limits, *limits)
        for feed in (0, 1):
            self.govern(self.oracle, oracle.register_feed, feed)
        for underlying, row in PARAMETERS.items():
            self.govern(self.risk, margin.set_parameters, underlying, row)
        for instrument, terms in TERMS.items():
            self.govern(self.clearinghouse, ledger.list_instrument, instrument, terms)
        for underlying, grid in GRIDS.items():
            self.govern(self.surfaces, surfaces.register_underlying, underlying)
            self.govern(self.options, option_listing.set_grid, underlying, grid.pack())
        for key, terms in DATED_TERMS.items():
            self.govern(self.clearinghouse, ledger.list_instrument, key, terms)
        self.govern(self.clearinghouse, ledger.set_debt_cap, 10**24)
        self.govern(self.exchange, venue.set_executor, self.address["engine"], True)
        self.govern(self.exchange, venue.set_fees, 400, 100)
        self.govern(self.exchange, venue.set_option_fees, 300, 1_250)
        for address, listing in zip(self.tokens, ((0, 6, 0), (WETH, 18, ETHER_LOT)), strict=True):
            self.govern(self.custody, custody.set_token, address, *listing, 10**9)
            self.govern(self.custody, custody.set_deposit_cap, address, 10**9)

    def govern(self, contract: Contract, twin: Callable[..., Any], *given: Any) -> None:
        """A governance call that has to pass."""
        result = self.perform(self.step(contract, self.address["timelock"], twin, *given))
        assert result.accepted, (twin, given, result.error)

    def step(self, contract: Contract, sender: str, twin: Callable[..., Any], *given: Any) -> Step:
        """A step whose model function has the contract's name and, packed, its arguments."""
        arguments = tuple(as_argument(item) for item in given)
        return Step(
            contract, twin.__name__, sender, arguments, lambda world: twin(world, sender, *given)
        )

    def perform(self, step: Step) -> Result:
        """Run a step on both sides; the outcome, the rejection and the events must agree."""
        expected, refusal = None, None
        written: list[tuple[Any, Any, Any, bool]] = []
        try:
            with self.world.store.transaction():
                try:
                    expected = step.twin(self.world)
                finally:
                    written = list(self.world.store.undo or [])
        except Rejected as rejected:
            refusal = rejected.error
        before: dict[tuple[str, Any], Any] = {}
        for table, key, row, existed in written:
            before.setdefault((table.name, key), row if existed else table.default)
            if refusal and table.rows.get(key, table.default) != before[table.name, key]:
                raise Difference(f"{step.function}: rejected, but {table.name} {key} changed")
        events = self.world.take_events()
        found: Error | None = None
        value = None
        try:
            value = step.contract.call(step.function, *step.arguments, sender=step.sender)
        except Rejected as rejected:
            found = rejected.error
        except CallReverted as reverted:
            raise Difference(f"{step.function}: {reverted}; model: {refusal}") from reverted
        same((step.function, "rejection"), found and found.name, refusal and refusal.name)
        if found is not None:
            return Result(error=found, change=Change(before))
        self._same_events(step.function, events)
        if value is not None:
            same((step.function, "value"), value, as_plain(expected))
        return Result(value, None, events, Change(before))

    def _same_events(self, function: str, events: list[Event]) -> None:
        logged = [e for e in self.chain.events() if e.address.lower() not in self.tokens]
        found = [(e.name, comparable(e.name, e.arguments)) for e in logged]
        expected = [(e.name, comparable(e.name, e.arguments)) for e in events]
        same((function, "events"), found, expected)

    def advance(self, seconds: int) -> None:
        """Move both clocks, and the chain by one block."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def round_call(
        self, words: list[int], timestamp: int, signers: list[int], number: int, stray: int = -1
    ) -> tuple[tuple[Any, ...], list[NodeSignature]]:
        """Arguments of a round signed by the nodes (``stray`` signs with another's key)."""
        keys = [(i, NODE_KEYS[i - 1 if i == stray else i]) for i in signers]
        signed = wire_round.signed_round(self.oracle_domain, number, timestamp, words, keys)
        return signed.arguments(), signed.signers(self.oracle_domain)

    def observations(self, prices: dict[int, tuple[int, int, int]]) -> list[int]:
        """Observation words of feeds: (index, mark, confidence)."""
        return [Observation(feed, *row).pack() for feed, row in sorted(prices.items())]


@cache
def key_of(role: str) -> PrivateKey:
    """The private key of a named actor."""
    return PrivateKey(eip712.keccak(b"key of " + role.encode()))


def word(account: int) -> bytes:
    """An account as bytes32."""
    return account.to_bytes(32, "big")


def as_argument(value: Any) -> Any:
    """A model argument as the contract takes it: accounts as bytes, rows packed."""
    if isinstance(value, int) and value >> 160:
        return word(value)
    if isinstance(value, RiskParameters | Terms | ledger.Config):
        return value.pack()
    return value


def as_plain(value: Any) -> Any:
    """A model value as the ABI decoder would give it."""
    if isinstance(value, ledger.Check):
        v = value.valuation
        valuation = (
            v.value_linear,
            v.value_spot,
            v.margin_maintenance,
            v.margin_initial,
            v.penalty,
            v.bonus,
            v.liquidity,
            v.flags,
        )
        return value.equity, value.cash, value.positions, value.in_auction, valuation
    return value


def comparable(name: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments of an event: bytes as integers, addresses in lower case. What the nodes signed
    together (a round's ``digest``) is outside the model."""
    signed = name in ("RoundPosted", "SurfacesPosted")
    return {k: as_word(v) for k, v in arguments.items() if not (signed and k == "digest")}


def as_word(value: Any) -> Any:
    """Bytes as an integer, an address in lower case, a list by its items."""
    if isinstance(value, bytes):
        return int.from_bytes(value, "big")
    if isinstance(value, str):
        return value.lower()
    return [as_word(item) for item in value] if isinstance(value, list | tuple) else value


def dollars(amount: int) -> int:
    """Dollars in wad."""
    return amount * WAD
