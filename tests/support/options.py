"""Options twice: contract on prices and surfaces set by hand, and model, fed the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from novate.chain.harness import Chain, actor
from novate.errors import Rejected
from novate.model import (
    margin,
    option_lanes,
    option_listing,
    option_series,
    option_sums,
    options,
    oracle,
)
from novate.model.arrays import Info
from novate.model.margin import RiskParameters
from novate.model.option_listing import Grid
from novate.model.oracle import Feed, Status
from novate.model.state import World
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack
from novate.model.surfaces import SurfaceStatus
from novate.units import DAY_S

CONTRACTS = Path(__file__).parents[1] / "contracts"
GOVERNOR, STRANGER = actor("timelock"), actor("stranger")
USD = 10**10
BTC, ETH = 0, 1
FORWARD = 60_000 * USD
EIGHT = 8 * 3_600
GRID = Grid(500 * USD, 400 * DAY_S, DAY_S, EIGHT, 16, 3, True)
RISK = RiskParameters(
    psr_target=150_000,
    liquidity_low=1_000,
    liquidity_high=10_000,
    interest_low=100_000,
    interest_high=1_000_000,
)
LISTING = ("set_grid", "set_forward_feed", "list_expiry", "list_strike")
SERIES = (
    "set_exposure_limits",
    "move_interest",
    "close_interest",
    "interest",
    "settlement",
)
GOVERNED = ("set_grid", "set_forward_feed", "set_exposure_limits")
LEDGERS = ("move_interest", "close_interest")


def plain(found: Any) -> Any:
    """Sequences as tuples, all the way down."""
    return tuple(plain(each) for each in found) if isinstance(found, (list, tuple)) else found


class OptionsBench:
    """BTC with a grid on feed 3, at 60,000, a surface of ``days`` and psr 15 %; nothing listed."""

    def __init__(self, *days: int) -> None:
        self.chain = Chain()
        self.world = World(self.chain.timestamp, {"timelock": GOVERNOR})
        deploy = self.chain.deploy
        self.oracle = deploy("SettableOracle", root=CONTRACTS)
        self.surfaces = deploy("SettableSurfaces", root=CONTRACTS)
        self.builder = deploy("ArrayBuilder")
        self.ledger = deploy("SettableLedger", root=CONTRACTS)
        self.world.addresses["clearinghouse"] = self.ledger.address
        self.options = deploy(
            "Options",
            GOVERNOR,
            *(x.address for x in (self.oracle, self.surfaces, self.ledger, self.builder)),
        )
        self.oracle.call("set_status", Status().pack())
        self.set_price(GRID.feed, FORWARD)
        self.set_risk(RISK)
        self.both("set_grid", BTC, GRID.pack())
        first = (self.world.now + DAY_S) // DAY_S * DAY_S + EIGHT
        self.expiries = [first + day * DAY_S for day in days or (1,)]
        for slot in range(len(self.expiries)):
            self.set_surface(slot)
        self.world.take_events()

    # What stands around the contract

    def advance(self, seconds: int) -> None:
        """Move both clocks."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def set_price(self, feed: int, mark: int) -> None:
        """A price of now, the index a little below the mark."""
        row = Feed(mark - mark // 1_000, mark, mark, 0, self.world.now)
        self.oracle.call("set_feed", feed, row.pack())
        self.world.oracle.feeds[feed] = row

    def set_risk(self, parameters: RiskParameters, underlying: int = BTC) -> None:
        """Parameters of an underlying, by governance."""
        margin.set_parameters(self.world, GOVERNOR, underlying, parameters)
        word = self.world.risk.parameters[underlying].pack()
        self.ledger.call("set_parameters", underlying, word)

    def set_surface(
        self, slot: int, percent: int = 60, expiry: int | None = None, underlying: int = BTC
    ) -> int:
        """A slice of now in a slot, at a volatility in percent; the word."""
        until = self.expiries[slot] if expiry is None else expiry
        theta = percent**2 * (until - self.world.now) * ONE // (10_000 * YEAR_S)
        word = pack(Slice(theta, theta // 2, -RHO_ONE // 4, until, self.world.now))
        self.surfaces.call("set_word", underlying, slot, word)
        self.world.surfaces.words[underlying, slot] = word
        old = self.world.surfaces.statuses[underlying]
        self.world.surfaces.statuses[underlying] = SurfaceStatus(
            round=old.round + 1,
            timestamp=self.world.now,
            generation=(old.generation + 1) % 256,
            slots=tuple(sorted({*old.slots, slot})),
        )
        return word

    def set_settlement(self, expiry: int, price: int, underlying: int = BTC) -> None:
        """Print what an expiry settles at."""
        self.surfaces.call("set_price", underlying, expiry, price)
        self.world.surfaces.prints[underlying, expiry] = price

    def set_open_interest(self, id: int, lots: int) -> None:
        """The Clearinghouse moves the open interest of an instrument."""
        change = lots - self.world.options.interests[id]
        self.both("move_interest", id, change)

    # Operations

    def both(self, function: str, *arguments: Any, sender: str | None = None) -> Any:
        """Run it on contract and model: the same result or rejection, and the same events."""
        caller = sender or self._caller(function)
        module: Any = option_listing if function in LISTING else options
        if function in SERIES:
            module = option_series
        elif function == "lane_words":
            module = option_lanes
        elif function == "fresh_sums":
            module = option_sums
        authority = (caller,) if function in (*GOVERNED, *LEDGERS) else ()
        before, events = self.world.state_hash(), len(self.world.events)
        try:
            with self.world.store.transaction():
                expected = getattr(module, function)(self.world, *authority, *arguments)
        except Rejected as rejection:
            del self.world.events[events:]
            assert self.world.state_hash() == before
            name = self.refusal(function, *arguments, sender=caller)
            assert name == rejection.error.name, (function, arguments, name)
            raise
        found = self._run(function, *arguments, sender=caller)
        assert plain(found) == plain(expected), (function, arguments)
        logged = [(e.name, e.arguments) for e in self.chain.events()]
        assert logged == [(e.name, e.arguments) for e in self.world.events[events:]]
        return found

    def _caller(self, function: str) -> str:
        """Who may call it."""
        if function in LEDGERS:
            return self.ledger.address
        return GOVERNOR if function in GOVERNED else STRANGER

    def refusal(self, function: str, *arguments: Any, sender: str = STRANGER) -> str:
        """The name of the contract's rejection; empty if it accepts (and then it has)."""
        try:
            self._run(function, *arguments, sender=sender)
        except Rejected as rejection:
            return rejection.error.name
        return ""

    def _run(self, function: str, *arguments: Any, sender: str) -> Any:
        """A transaction of the sender, or of whoever has the ledger do it."""
        if sender != self.ledger.address:
            return self.options.call(function, *arguments, sender=sender)
        data = self.options.abi.encode_call(function, *arguments)
        return self.ledger.call("run", self.options.address, data)

    def list(self, *strikes_usd: int, day: int = 0) -> list[int]:
        """List an expiry and strikes of it; the ids of calls and puts."""
        slot = self.both("list_expiry", BTC, self.expiries[day])
        calls = [self.both("list_strike", BTC, slot, usd * USD) for usd in strikes_usd]
        return [id for call in calls for id in (call, call | 1)]

    def stored(self, id: int) -> tuple[int, int]:
        """Array and info word of an option, as its call or put has it; what is stored of its strike
        is the same by contract and model.
        """
        [found] = self.options.view("words", [id])
        array, word, _ = found
        assert tuple(found) == options.words(self.world, [id])[0]
        return array, Info.unpack(word).of(bool(id & 1)).pack() if word else 0

    def vega(self, id: int) -> int:
        """Vega of an option at the last refresh, in 2**-24 of the forward."""
        found: int = self.options.view("words", [id])[0][2] >> 88 & (2**24 - 1)
        return found

    def lanes(self, *ids: int) -> list[tuple[int, int, int]]:
        """Array, info and head of up to sixteen instruments; contract and model agree."""
        words = [0] * 4
        for place, id in enumerate(ids):
            words[place // 4] |= (id << 44 | 2**43 + 1) << 64 * (place % 4)
        found, epoch = self.both("lane_words", words)
        lanes = [tuple(lane) for lane in found]
        if len({id >> 15 for id in ids if id >> 19}) == 1:  # of one underlying: as margin asks
            given = self.options.view("lane_words", words, self.known(ids[0] >> 15 & 15))
            assert plain(given) == plain((found, epoch))
        assert lanes[len(ids) :] == [(0, 0, 0)] * (16 - len(ids))
        return lanes[: len(ids)]

    def sums(self, words: list[int], underlying: int = BTC) -> option_sums.Sums:
        """What packed positions add up to; contract and model agree."""
        found = self.both("fresh_sums", words, underlying, 0)
        given = self.options.view("fresh_sums", words, underlying, self.known(underlying))
        assert plain(given) == plain(found)
        return option_sums.fresh_sums(self.world, words, underlying)

    def known(self, underlying: int) -> int:
        """What margin has at hand when it asks for lanes: scan range and age limit."""
        stale_after = oracle.status(self.world).stale_after
        return options.scan_range(self.world, underlying) | stale_after << 20

    def usable(self, id: int) -> bool:
        """Whether an array may be used; contract and model agree."""
        found: bool = self.options.view("usable", id)
        assert found == options.usable(self.world, id)
        return found
