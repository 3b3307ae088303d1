"""The options of the demo's venue: what is listed, the surfaces that the four nodes sign each
minute, arrays refreshed before anybody trades, prints and the settlement of what has expired.

Everything here is a transaction that anyone could send; one key does, so that they stand in one
block in the order sent, and not the executor's, whose nonces are the settler's. Expiries: the
evening of the event (made for the demo, so that one settles in it) and two that were really listed,
or dates like them for another price file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from novate.chain.node import local_key
from novate.demo.venue import Venue
from novate.errors import Rejected
from novate.lab.prices import Quote
from novate.lab.smiles import NOVEMBER, OCTOBER, SmileTable
from novate.model import surfaces
from novate.model.option_id import is_dated, place_of
from novate.model.settlement_prints import settlement_price
from novate.services.settlement_node import SettlementNode, joint_settlement
from novate.services.surface_node import SurfaceNetwork, SurfaceNode, joint_surface
from novate.units import DAY_S, ORACLE_UNIT, WAD
from novate.wire import surfaces as wire
from novate.wire.eip712 import address_of

POSTER = local_key("surface poster")
EVENING_HOURS = 6
EIGHT_O_CLOCK_S = 8 * 3_600
NEAR_PERCENT = (-8, -6, -4, -2, 0, 2, 4, 6)
FAR_PERCENT = (-20, -15, -10, -5, 0, 5, 10, 15)
ACCOUNTS_A_CALL = 32
# 25 bp: each node of the demo reads one venue, and those of that night stood further apart than
# the means of several that a node reads in service
PRINT_TOLERANCE_INVERSE = 400
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


def strikes_for(forward: int, step: int, percents: tuple[int, ...]) -> list[int]:
    """Multiples of the step nearest below each percentage of the forward, each once, within what
    may be listed (a fifth to five times the forward).
    """
    wanted = {forward * (100 + p) // 100 // step * step for p in percents}
    return sorted(s for s in wanted if s > 0 and forward <= 5 * s and s <= 5 * forward)


@dataclass
class OptionMarket:
    """Surfaces, listing, refreshing and settling, over one run."""

    venue: Venue
    smiles: SmileTable
    expiries: tuple[int, ...]
    seed: int
    assets: Mapping[int, str]
    listed: int = 0

    def __post_init__(self) -> None:
        deployment = self.venue.deployment
        domain = wire.domain_separator(deployment.chain_id, deployment.addresses["surfaces"])
        network = SurfaceNetwork(domain, deployment.roles.nodes)
        self.nodes = [SurfaceNode(key, network) for key in self.venue.node_keys]
        assert [address_of(k.public_key) for k in self.venue.node_keys] == list(network.nodes)
        self.settlers = [
            SettlementNode(key, network, PRINT_TOLERANCE_INVERSE) for key in self.venue.node_keys
        ]
        self.surfaces = self.venue.attach("surfaces")
        self.options = self.venue.attach("options")
        self.turn = 0

    def observe(self, seen: list[dict[str, Quote]], ts: int) -> None:
        """Give each node what its venue shows; a silent one has no volatilities either."""
        for index, (node, quotes) in enumerate(zip(self.nodes, seen, strict=True)):
            node.observe(
                {
                    u: [
                        self.smiles.quotes(
                            a, e, ts, quotes[a].mark_price * ORACLE_UNIT / WAD, index, self.seed
                        )
                        for e in self.expiries
                        if e > ts
                    ]
                    for u, a in self.assets.items()
                    if a in quotes
                }
            )

    def watch(self, quotes: Callable[[int], list[dict[str, Quote]]], ts: int) -> None:
        """Give each node the indices of its venue in the minute that ends at ``ts``."""
        for step in range(INDEX_STEPS - 1, -1, -1):
            at = ts - step * INDEX_STEP_S
            for node, row in zip(self.settlers, quotes(at), strict=True):
                seen = {u: row[a].index_price for u, a in self.assets.items() if a in row}
                node.observe(at, seen)

    def post(self, ts: int) -> None:
        """Send the surface of each underlying that a quorum signs, and refresh every expiry."""
        world, key = self.venue.replica.world, POSTER
        self.turn += 1
        for underlying in self.assets:
            able = [node for node in self.nodes if node.quotes.get(underlying)]
            if not able:
                continue
            leader, stored = able[self.turn % len(able)], surfaces.newest(world, underlying)
            try:
                signed = joint_surface(leader, able, underlying, stored, ts)
            except Rejected:
                continue
            self.surfaces.send("post_surfaces", *signed.arguments(), key=key)
        for (underlying, slot), found in world.options.listed.items():
            if found.expiry > ts:
                self.options.send("refresh", underlying, slot, key=key)

    def list_all(self) -> None:
        """Once every asset has a surface: list its expiries, and their strikes around the mark."""
        venue, world, key = self.venue, self.venue.replica.world, POSTER
        if self.listed or not all(surfaces.newest(world, u) for u in self.assets):
            return
        for underlying in self.assets:
            for expiry in self.expiries:
                self.options.send("list_expiry", underlying, expiry, key=key)
        venue.mine(venue.now + 1)
        for underlying in self.assets:
            grid = world.options.grids[underlying]
            forward = world.oracle.feeds[grid.feed].mark
            for expiry in self.expiries:
                slot = surfaces.slot_of(world, underlying, expiry)
                percents = NEAR_PERCENT if expiry == self.expiries[0] else FAR_PERCENT
                for strike in strikes_for(forward, grid.step, percents):
                    self.options.send("list_strike", underlying, slot, strike, key=key)
        outcomes = venue.mine(venue.now + 1)
        self.listed = 2 * sum(o.succeeded for o in outcomes)

    # What has expired

    def holders(self, underlying: int, slot: int) -> list[int]:
        """Accounts with positions of an expiry."""
        accounts = self.venue.replica.world.ledger.accounts
        return [
            account
            for account, row in accounts.items()
            if any(is_dated(i) and place_of(i) == (underlying, slot) for i, _ in row.positions)
        ]

    def expired(self) -> list[tuple[int, int]]:
        """(underlying, slot) of what was listed and is over."""
        world = self.venue.replica.world
        found = world.options.listed.items()
        return [place for place, listed in found if 0 < listed.expiry <= world.now]

    def settled(self) -> int:
        """How many expiries are printed and held by nobody any more."""
        return sum(self._printed(*p) and not self.holders(*p) for p in self.expired())

    def expire(self, ts: int) -> None:
        """Print what has expired, and pay everybody who holds it; again until it is done."""
        house, key = self.venue.clearinghouse, POSTER
        listed = self.venue.replica.world.options.listed
        for (underlying, slot), found in listed.items():
            if found.expiry > ts:
                continue
            if not self._printed(underlying, slot) and not self._print(
                underlying, found.expiry, ts
            ):
                continue
            holders = [h.to_bytes(32, "big") for h in self.holders(underlying, slot)]
            for first in range(0, len(holders), ACCOUNTS_A_CALL):
                part = holders[first : first + ACCOUNTS_A_CALL]
                house.send("settle_expiry", part, underlying, slot, key=key)

    def _printed(self, underlying: int, slot: int) -> bool:
        world = self.venue.replica.world
        expiry = world.options.listed[underlying, slot].expiry
        return settlement_price(world, underlying, expiry) != 0

    def _print(self, underlying: int, expiry: int, ts: int) -> bool:
        """Send the print that a quorum signs; False without one (it is tried again)."""
        try:
            signed = joint_settlement(self.settlers, underlying, expiry, ts)
        except Rejected:
            return False
        self.surfaces.send("post_settlement", *signed.arguments(), key=POSTER)
        return True
