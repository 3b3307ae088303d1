"""The settlement core with options and dated futures: real Options and Surfaces, and the model.

BTC is underlying 0 on feed 0, ETH underlying 1 on feed 1; expiries on the hour, strikes on every
500 and 25 USD, one lot of 0.01 BTC and 0.1 ETH for all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from novate.chain.harness import CHAIN_ID, Contract
from novate.errors import Rejected
from novate.model import expiry, ledger, option_listing, option_series, options
from novate.model import settlement_prints as prints
from novate.model import surfaces as surfaces_model
from novate.model.instrument import FUTURE, OPTION, Terms
from novate.model.option_id import OptionId, future_id, terms_key
from novate.model.option_listing import Grid
from novate.units import DAY_S
from novate.wire import surfaces as wire
from support.clearing import HOUR_S, Clearing
from support.core import NODE_KEYS, ORACLE_PER_USD, as_word
from support.surfaces import surface_of

BITCOIN, ETHER = 0, 1
LOT = {BITCOIN: 10**16, ETHER: 10**17}
TICK = 10**18
CAP = 10**9
GRIDS = {
    BITCOIN: Grid(500 * ORACLE_PER_USD, 400 * DAY_S, HOUR_S, 0, 16, 0, True),
    ETHER: Grid(25 * ORACLE_PER_USD, 400 * DAY_S, HOUR_S, 0, 17, 1, True),
}


def option_terms(underlying: int, kind: int = OPTION) -> Terms:
    """Terms of all options or futures of an underlying."""
    return Terms(LOT[underlying], TICK, CAP, CAP, underlying, 0, kind)


def key_of(underlying: int, kind: int = OPTION) -> int:
    """Where they stand."""
    if kind == FUTURE:
        return terms_key(future_id(underlying, 0))
    return terms_key(OptionId(underlying, 0, 0, False).pack())


class Dated(Clearing):
    """Grids and terms are set; ``days`` are the expiries of both surfaces, seen now."""

    def __init__(self, cash_usd: int = 1_000_000, days: Sequence[int] = (1, 7)) -> None:
        super().__init__(cash_usd)
        self.surfaces_domain = wire.domain_separator(CHAIN_ID, self.surfaces.address)
        self.surface_round = 0
        self.usd = {BITCOIN: 60_000.0, ETHER: 3_000.0}
        self.percent = {BITCOIN: 60, ETHER: 70}
        governor = self.address["timelock"]
        for underlying, grid in GRIDS.items():
            self.on(self.surfaces, governor, surfaces_model.register_underlying, underlying)
            self.on(self.options, governor, option_listing.set_grid, underlying, grid.pack())
            for kind in (OPTION, FUTURE):
                terms, key = option_terms(underlying, kind), key_of(underlying, kind)
                assert self.list_terms(key, terms) is None
        start = (self.world.now // HOUR_S + 1) * HOUR_S
        self.expiries = [start + day * DAY_S for day in days]
        self.fresh()

    def list_terms(self, key: int, terms: Terms, role: str = "timelock") -> Any:
        """Governance lists terms under a key."""
        packed = (key, terms.pack())
        return self.run(role, "list_instrument", ledger.list_instrument, key, terms, packed=packed)

    def on(
        self,
        contract: Contract,
        sender: str,
        twin: Callable[..., Any],
        *given: Any,
        anyone: bool = False,
        packed: tuple[Any, ...] = (),
    ) -> Any:
        """Run a function of Options or Surfaces and its twin: the same result, or the name of the
        rejection.
        """
        refusal, expected = "", None
        caller = () if anyone else (sender,)
        try:
            with self.world.store.transaction():
                expected = twin(self.world, *caller, *given)
        except Rejected as rejected:
            refusal = rejected.error.name
            self.world.take_events()
        try:
            found = contract.call(twin.__name__, *(packed or given), sender=sender)
        except Rejected as rejected:
            assert rejected.error.name == refusal, (twin.__name__, rejected.error.name, refusal)
            return refusal
        assert not refusal, (twin.__name__, refusal, "contract accepts")
        assert found == expected, (twin.__name__, found, expected)
        left = [(e.name, _bare(e.arguments)) for e in self.world.take_events()]
        assert [(e.name, _bare(e.arguments)) for e in self.chain.events()] == left
        return found

    # Prices, surfaces, prints

    def active(self) -> list[int]:
        """Expiries to come."""
        return [expiry for expiry in self.expiries if expiry > self.world.now]

    def surface(self, underlying: int, percent: int = 0, seen: int = 0) -> Any:
        """Post a surface of the active expiries, seen now (or at ``seen``) and signed."""
        self.surface_round += 1
        at = seen or self.world.now
        words = surface_of(self.active(), at, percent or self.percent[underlying])
        keys = list(enumerate(NODE_KEYS))[:3]
        domain = self.surfaces_domain
        made = wire.signed_surfaces(domain, self.surface_round, at, underlying, words, keys)
        given = self.surface_round, at, underlying, words, made.signers(domain)
        stranger = self.address["venue"]
        twin = surfaces_model.post_surfaces
        return self.on(self.surfaces, stranger, twin, *given, anyone=True, packed=made.arguments())

    def fresh(self, seconds: int = 10, btc: float = 0, eth: float = 0) -> None:
        """A round and both surfaces, ``seconds`` later."""
        self.usd[BITCOIN], self.usd[ETHER] = btc or self.usd[BITCOIN], eth or self.usd[ETHER]
        self.price(self.usd[BITCOIN], self.usd[ETHER], seconds)
        for underlying in (BITCOIN, ETHER):
            self.surface(underlying)

    def wait_until(self, time: int) -> None:
        """Prices and surfaces at ``time``, or a little later, out of the grace."""
        for _ in range(5):
            self.price(self.usd[BITCOIN], self.usd[ETHER], max(40, time - self.world.now - 160))
        for underlying in (BITCOIN, ETHER):
            self.surface(underlying)

    def print(self, underlying: int, expiry: int, usd: float) -> Any:
        """Anyone posts what the quorum signed."""
        price, keys = int(usd * ORACLE_PER_USD), list(enumerate(NODE_KEYS))[:3]
        domain = self.surfaces_domain
        made = wire.signed_settlement(domain, underlying, expiry, price, keys)
        given = underlying, expiry, price, made.signers(domain)
        return self.on(
            self.surfaces,
            self.address["venue"],
            prints.post_settlement,
            *given,
            anyone=True,
            packed=made.arguments(),
        )

    # Options

    def expiry(self, underlying: int, place: int = 0) -> Any:
        """List the expiry number ``place``; its slot."""
        given = underlying, self.expiries[place]
        stranger = self.address["venue"]
        return self.on(self.options, stranger, option_listing.list_expiry, *given, anyone=True)

    def strike(self, underlying: int, slot: int, usd: int) -> Any:
        """List a strike; the id of its call."""
        given = underlying, slot, usd * ORACLE_PER_USD
        stranger = self.address["venue"]
        return self.on(self.options, stranger, option_listing.list_strike, *given, anyone=True)

    def list_all(
        self, underlying: int, place: int, strikes: Iterable[int]
    ) -> tuple[int, list[int]]:
        """Slot of a newly listed expiry, and ids of calls and puts."""
        slot = self.expiry(underlying, place)
        calls = [self.strike(underlying, slot, usd) for usd in strikes]
        return slot, [id for call in calls for id in (call, call | 1)]

    def refresh(self, underlying: int, slot: int) -> Any:
        """Anyone refreshes an expiry."""
        stranger = self.address["venue"]
        return self.on(self.options, stranger, options.refresh, underlying, slot, anyone=True)

    def limits(self, underlying: int, vega: int, gamma: int) -> Any:
        """Governance limits the exposure of each expiry."""
        governor = self.address["timelock"]
        given = underlying, vega, gamma
        return self.on(self.options, governor, option_series.set_exposure_limits, *given)

    def settle(self, accounts: list[int], underlying: int, slot: int) -> Any:
        """Anyone settles accounts of an expiry: None, or the name of the rejection."""
        return self.run("venue", "settle_expiry", expiry.settle_expiry, accounts, underlying, slot)

    def held(self, account: int) -> dict[int, int]:
        """Positions."""
        return dict(self.world.ledger.accounts[account].positions)

    def open_interest(self, id: int) -> int:
        """Lots of one instrument, in the model."""
        return self.world.options.interests[id]

    def compare_dated(self) -> None:
        """Every word of Options that trading moves."""
        for id in {*self.world.options.infos.rows, *self.world.options.interests.rows}:
            if not id & 2:
                words = options.words(self.world, [id])
                assert [tuple(found) for found in self.options.view("words", [id])] == words, id
            found = self.options.view("interest", id)
            assert found == option_series.interest(self.world, id), id
        for place, series in self.world.options.series.items():
            assert self.options.view("series", *place) == series.pack(), place


def _bare(arguments: dict[str, Any]) -> dict[str, Any]:
    """Without what the nodes signed together, which is outside the model."""
    return {k: as_word(v) for k, v in arguments.items() if k != "digest"}
