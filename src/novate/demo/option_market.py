"""The options of the demo's venue: what is listed, the surfaces that the four nodes sign each
minute, arrays refreshed before anybody trades, prints and the settlement of what has expired.

Everything here is a transaction that anyone could send; one key does, so that they stand in one
block in the order sent. Expiries: the evening of the event (made for the demo, so that one
settles in it) and two that were really listed, or dates like them for another price file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from novate.demo.fitting import Curves, Fitting
from novate.demo.venue import Venue
from novate.lab.prices import Quote
from novate.lab.smiles import NOVEMBER, OCTOBER
from novate.model import surfaces
from novate.services.option_keeper import (
    FAR_PERCENT,
    NEAR_PERCENT,
    OptionKeeper,
    expired,
    holders,
    printed,
    strikes_for,
)
from novate.units import DAY_S

EVENING_HOURS = 6
EIGHT_O_CLOCK_S = 8 * 3_600
INDEX_STEP_S, INDEX_STEPS = 10, 6


def expiries_for(start: int) -> tuple[int, ...]:
    """The evening's expiry (on the hour), and the two real ones that follow or 08:00 UTC in three
    and seven weeks.
    """
    evening = (start // 3_600 + EVENING_HOURS) * 3_600
    if evening < OCTOBER and start > OCTOBER - 60 * DAY_S:
        return evening, OCTOBER, NOVEMBER
    days = start // DAY_S
    return evening, *((days + n) * DAY_S + EIGHT_O_CLOCK_S for n in (21, 49))


@dataclass
class OptionMarket:
    """Surfaces, listing, refreshing and settling, over one run."""

    venue: Venue
    curves: Curves
    listed: int = 0

    def __post_init__(self) -> None:
        venue = self.venue
        self.assets: Mapping[int, str] = self.curves.assets
        self.expiries = self.curves.expiries
        self.fitting = Fitting(self.curves)
        # whoever brings surfaces, arrays and prints; the executor's own nonces are the settler's
        self.keeper = OptionKeeper(venue.client, venue.deployment, venue.upkeep, venue.node_keys)

    def observe(self, seen: list[dict[str, Quote]], ts: int) -> None:
        """Give each node what its venue shows; a silent one has no volatilities either."""
        for node, desk in zip(self.keeper.nodes, self.fitting.desks(seen, ts), strict=True):
            node.observe(desk.quotes, desk.fits)

    def watch(self, quotes: Callable[[int], list[dict[str, Quote]]], ts: int) -> None:
        """Give each node the indices of its venue in the minute that ends at ``ts``."""
        for step in range(INDEX_STEPS - 1, -1, -1):
            at = ts - step * INDEX_STEP_S
            for node, row in zip(self.keeper.settlers, quotes(at), strict=True):
                seen = {u: row[a].index_price for u, a in self.assets.items() if a in row}
                node.observe(at, seen)

    def post(self, ts: int) -> None:
        """Send the surface of each underlying that a quorum signs, and refresh every expiry."""
        world = self.venue.replica.world
        self.keeper.turn += 1
        for underlying in self.assets:
            signed = self.keeper.agree(underlying, surfaces.newest(world, underlying), ts)
            if signed is not None:
                self.keeper.post(signed)
        for (underlying, slot), found in world.options.listed.items():
            if found.expiry > ts:
                self.keeper.refresh(underlying, slot)

    def list_all(self) -> None:
        """Once every asset has a surface: list its expiries, and their strikes around the mark."""
        venue, world = self.venue, self.venue.replica.world
        if self.listed or not all(surfaces.newest(world, u) for u in self.assets):
            return
        for underlying in self.assets:
            for expiry in self.expiries:
                self.keeper.list_expiry(underlying, expiry)
        venue.mine(venue.now + 1)
        for underlying in self.assets:
            grid = world.options.grids[underlying]
            forward = world.oracle.feeds[grid.feed].mark
            for expiry in self.expiries:
                slot = surfaces.slot_of(world, underlying, expiry)
                percents = NEAR_PERCENT if expiry == self.expiries[0] else FAR_PERCENT
                for strike in strikes_for(forward, grid.step, percents):
                    self.keeper.list_strike(underlying, slot, strike)
        outcomes = venue.mine(venue.now + 1)
        self.listed = 2 * sum(o.succeeded for o in outcomes)

    # What has expired

    def expired(self) -> list[tuple[int, int]]:
        """(underlying, slot) of what was listed and is over."""
        return expired(self.venue.replica.world)

    def settled(self) -> int:
        """How many expiries are printed and held by nobody any more."""
        world = self.venue.replica.world
        return sum(printed(world, *p) and not holders(world, *p) for p in self.expired())

    def expire(self, ts: int) -> None:
        """Print what has expired, and pay everybody who holds it; again until it is done."""
        world = self.venue.replica.world
        for (underlying, slot), found in world.options.listed.items():
            if found.expiry > ts:
                continue
            if printed(world, underlying, slot) or self.keeper.print_price(
                underlying, found.expiry, ts
            ):
                self.keeper.settle(underlying, slot, holders(world, underlying, slot))
