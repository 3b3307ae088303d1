"""What keeps the options of a venue alive beside its oracle rounds: surfaces that the nodes agree
on, listing on a local chain, arrays refreshed, prints and the settlement of what has expired.

Owns: when each of these is due. Everything is a transaction of one key, which anyone could send;
it comes back through the chain, and what has not come back after a while is sent again. Reads the
engine's world on the loop; fitting and sending run on a thread. Times in seconds, prices in oracle
units.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial

from novate.api.core import Core
from novate.api.prices import Replay
from novate.api.venue import VenueApi
from novate.chain.client import Client
from novate.chain.connection import CallReverted, RpcFault
from novate.chain.deployment import Deployment
from novate.config import Oracle
from novate.errors import Rejected
from novate.lab.smiles import SmileTable, around, seeded_noise
from novate.model import surface, surfaces
from novate.model.arrays import STRIKES_MAX
from novate.model.option_id import OptionId
from novate.model.options import usable
from novate.model.oracle import Observation
from novate.model.state import World
from novate.risk.quotes import Quotes
from novate.services.option_keeper import (
    FAR_PERCENT,
    NEAR_PERCENT,
    OptionKeeper,
    expired,
    holders,
    printed,
    strikes_for,
)
from novate.services.oracle_node import NodePrice
from novate.services.settlement_node import WINDOW_S
from novate.services.venue_keys import VenueKeys
from novate.units import DAY_S, ORACLE_UNIT, WAD
from novate.wire import records
from novate.wire.records import AnyRecord, OracleRound

SURFACE_SECONDS = 30
AGAIN_SECONDS = 10
INDEX_SECONDS = 10
EIGHT_O_CLOCK_S = 8 * 3_600
TENOR_MIN_S = 6 * 3_600  # nothing is listed that ends sooner
NEAR_S = 2 * DAY_S
FRIDAY = 1  # days since 1970, modulo seven
STRIKES_A_SIDE_MIN = 2
Send = Callable[[], object]
Seen = dict[int, dict[int, NodePrice]]
_LOG = logging.getLogger("novate.options")


def expiries_from(now: int) -> tuple[int, int, int]:
    """What should be listed: the next day's expiry, a Friday after it, and one four weeks later; at
    08:00 UTC.
    """
    first = (now + TENOR_MIN_S - EIGHT_O_CLOCK_S) // DAY_S + 1
    week = first + 2 + (FRIDAY - first - 2) % 7
    near, far = (d * DAY_S + EIGHT_O_CLOCK_S for d in (week, week + 28))
    return first * DAY_S + EIGHT_O_CLOCK_S, near, far


@dataclass(slots=True)
class OptionLoop:
    """All nodes' part in options, in one process; ``lists``: it lists what is missing, too."""

    core: Core
    keeper: OptionKeeper
    prices: Replay
    smiles: SmileTable
    settings: Oracle
    underlyings: dict[int, str]
    lists: bool
    skipped: int = 0
    faults: int = 0
    posted_at: int = 0
    watched_at: int = 0
    _quiet_until: int = 0
    _asked: dict[tuple[object, ...], int] = field(default_factory=dict)

    async def run(self) -> None:
        """Do what is due until cancelled."""
        while True:
            await self.step(int(time.time()))
            await asyncio.sleep(1)

    async def step(self, now: int) -> None:
        """Do what is due now."""
        seen = self.prices.seen(now)
        self._watch(now, seen)
        sends = await self._surfaces(now, seen)
        sends += [*self._listing(now), *self._arrays(now), *self._expiries(now)]
        if sends and now >= self._quiet_until:
            await asyncio.to_thread(self._send, sends, now)

    def recall(self, held: Iterable[AnyRecord], now: int) -> None:
        """After a restart, the nodes know the indices of the rounds that the journal holds."""
        feeds = {self._feed(u): u for u in self.underlyings}
        for record in held:
            if isinstance(record, OracleRound) and now - WINDOW_S < record.timestamp <= now:
                seen = (Observation.unpack(records.number(word)) for word in record.observations)
                found = {feeds[o.feed]: o.index for o in seen if o.feed in feeds}
                for node in self.keeper.settlers:
                    node.observe(record.timestamp, found)
                self.watched_at = record.timestamp

    @property
    def complete(self) -> bool:
        """Whether everything that should be listed is, with arrays."""
        world = self.core.world
        listed = {(place[0], e.expiry): place for place, e in world.options.listed.items()}
        places = [listed.get((u, e)) for u in self.underlyings for e in expiries_from(world.now)]
        return all(
            p is not None
            and world.options.listed[p].strikes
            and usable(world, OptionId(p[0], p[1], 0, False).pack())
            for p in places
        )

    @property
    def seen_at(self) -> int:
        """When the oldest of the surfaces was observed; 0 before the first. Now, if none is due."""
        world = self.core.world
        seen = (surfaces.status_of(world, u).timestamp for u in self.underlyings)
        return min(seen, default=world.now)

    def _feed(self, underlying: int) -> int:
        return self.core.world.options.grids[underlying].feed

    def _due(self, now: int, *what: object, every: int = AGAIN_SECONDS) -> bool:
        """Whether something may be sent (again); it is taken as sent."""
        if now - self._asked.get(what, -every) < every:
            return False
        self._asked[what] = now
        return True

    def _send(self, sends: Sequence[Send], now: int) -> None:
        """On a thread: hand everything over; the first refusal ends it, and later all that is then
        due is sent anew.
        """
        try:
            for send in sends:
                send()
        except (RpcFault, CallReverted, Rejected) as fault:
            self.faults += 1
            self._quiet_until = now + AGAIN_SECONDS
            self.keeper.client.forget_nonces()
            _LOG.warning("not sent: %s", fault)

    # Surfaces and arrays

    async def _surfaces(self, now: int, seen: Seen) -> list[Send]:
        """Sends of what a quorum signs, each with the arrays that rest on it."""
        every = min(SURFACE_SECONDS, self.settings.stale_after_seconds // 2)  # division: half
        if now - self.posted_at < every:
            return []
        self.posted_at = now
        world, keeper = self.core.world, self.keeper
        keeper.turn += 1
        for number, node in enumerate(keeper.nodes):
            node.observe(self._quotes(number, now, seen.get(number, {})))
        sends: list[Send] = []
        for underlying in self.underlyings:
            stored = surfaces.newest(world, underlying)
            signed = await asyncio.to_thread(keeper.agree, underlying, stored, now)
            if signed is None:
                self.skipped += 1
                _LOG.warning("no surface of underlying %d", underlying)
                continue
            sends.append(partial(keeper.post, signed))
            for u, slot in self._live(world, now):
                if u == underlying and self._due(now, "refresh", u, slot, every=1):
                    sends.append(partial(keeper.refresh, u, slot))
        return sends

    def _quotes(self, number: int, now: int, seen: dict[int, NodePrice]) -> dict[int, list[Quotes]]:
        """What one node's venue shows: recorded volatilities around its own price."""
        found = {}
        for underlying, asset in self.underlyings.items():
            price = seen.get(self._feed(underlying))
            if price is None:
                continue
            smile = self.smiles.smile(asset, 0, self.prices.recorded(now))
            noise = seeded_noise(self.prices.seed, asset, number, now)
            forward = price.mark * ORACLE_UNIT / WAD
            found[underlying] = [
                around(smile, expiry, now, forward, noise)
                for expiry in self._quoted(underlying, now)
            ]
        return found

    def _quoted(self, underlying: int, now: int) -> list[int]:
        """Expiries that are quoted: those of the surface while they live, and what may be listed
        next.
        """
        words = surfaces.newest(self.core.world, underlying)
        held = {surface.unpack(word).expiry for word in words}
        return sorted(e for e in held.union(expiries_from(now)) if e - now > 60)

    @staticmethod
    def _live(world: World, now: int) -> list[tuple[int, int]]:
        """Expiries that live and have strikes."""
        listed = world.options.listed.items()
        return [place for place, found in listed if found.expiry > now and found.strikes]

    def _arrays(self, now: int) -> list[Send]:
        """Refreshes where the price has moved, or a strike is new."""
        world, keeper = self.core.world, self.keeper
        sends: list[Send] = []
        for underlying, slot in self._live(world, now):
            last = len(world.options.listed[underlying, slot].strikes) - 1
            ends = [OptionId(underlying, slot, index, False).pack() for index in (0, last)]
            if all(usable(world, id) for id in ends):
                continue
            if self._due(now, "refresh", underlying, slot, every=3):
                sends.append(partial(keeper.refresh, underlying, slot))
        return sends

    # Listing

    def _listing(self, now: int) -> list[Send]:
        """What should be listed and is not; strikes once their expiry is on the chain."""
        if not self.lists:
            return []
        world, keeper = self.core.world, self.keeper
        sends: list[Send] = []
        for underlying in self.underlyings:
            words = surfaces.newest(world, underlying)
            shown = {surface.unpack(word).expiry for word in words}
            for expiry in expiries_from(now):
                if expiry not in shown:
                    continue
                slot = surfaces.slot_of(world, underlying, expiry)
                if world.options.listed[underlying, slot].expiry == expiry:
                    sends += self._strikes(now, underlying, slot)
                elif world.options.series[underlying, slot].open:
                    continue  # what was there before is not settled yet
                elif self._due(now, "expiry", underlying, expiry):
                    sends.append(partial(keeper.list_expiry, underlying, expiry))
        return sends

    def _strikes(self, now: int, underlying: int, slot: int) -> list[Send]:
        """A grid around the forward, again once that has left it."""
        world, keeper = self.core.world, self.keeper
        listed, grid = world.options.listed[underlying, slot], world.options.grids[underlying]
        forward = world.oracle.feeds[grid.feed].mark
        above = sum(strike > forward for strike in listed.strikes)
        if forward == 0 or min(above, len(listed.strikes) - above) >= STRIKES_A_SIDE_MIN:
            return []
        percents = NEAR_PERCENT if listed.expiry - now <= NEAR_S else FAR_PERCENT
        wanted = [s for s in strikes_for(forward, grid.step, percents) if s not in listed.strikes]
        return [
            partial(keeper.list_strike, underlying, slot, strike)
            for strike in wanted[: STRIKES_MAX - len(listed.strikes)]
            if self._due(now, "strike", underlying, slot, strike)
        ]

    # Expiry

    def _watch(self, now: int, seen: Seen) -> None:
        """Let each node note the indices that its venue shows."""
        if now - self.watched_at < INDEX_SECONDS:
            return
        self.watched_at = now
        for number, node in enumerate(self.keeper.settlers):
            node.observe(now, self._indices(seen.get(number, {})))

    def _indices(self, seen: dict[int, NodePrice]) -> dict[int, int]:
        feeds = {u: self._feed(u) for u in self.underlyings}
        return {u: seen[feed].index for u, feed in feeds.items() if feed in seen}

    def _expiries(self, now: int) -> list[Send]:
        """Prints of what is over, and the payment of whoever holds it."""
        world, keeper = self.core.world, self.keeper
        sends: list[Send] = []
        for underlying, slot in expired(world):
            place = underlying, slot
            expiry = world.options.listed[place].expiry
            if not printed(world, *place):
                if self._due(now, "print", expiry, *place):
                    self._remember(underlying, expiry)
                    sends.append(partial(self._print, underlying, expiry, now))
                continue
            held = holders(world, *place)
            if held and self._due(now, "settle", expiry, *place):
                sends.append(partial(keeper.settle, *place, held))
        return sends

    def _print(self, underlying: int, expiry: int, now: int) -> None:
        if not self.keeper.print_price(underlying, expiry, now):
            self.skipped += 1
            _LOG.warning("no settlement price of underlying %d at %d", underlying, expiry)

    def _remember(self, underlying: int, expiry: int) -> None:
        """Nodes that were down in the last half hour of an expiry ask their venues' history."""
        for number, node in enumerate(self.keeper.settlers):
            try:
                node.mean(underlying, expiry)
                continue
            except Rejected:
                node.seen.clear()
            for at in range(expiry - WINDOW_S + INDEX_SECONDS, expiry + 1, INDEX_SECONDS):
                node.observe(at, self._indices(self.prices.seen(at).get(number, {})))


def option_loop(
    venue: VenueApi,
    deployment: Deployment,
    client: Client,
    prices: Replay,
    smiles: SmileTable,
    keys: VenueKeys,
    lists: bool,
) -> OptionLoop:
    """The loop of a venue that has all nodes' keys, over a connection of its own."""
    parameters = venue.parameters
    currencies = {u.id: u.name for u in parameters.underlyings}
    return OptionLoop(
        venue.core,
        OptionKeeper(client, deployment, keys.upkeep, keys.nodes),
        prices,
        smiles,
        parameters.oracle,
        {o.underlying: currencies[o.underlying] for o in parameters.options},
        lists,
    )
