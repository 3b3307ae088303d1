"""The workload with options and dated futures: surfaces, listing, refreshing, trading, expiry.

Expiries lie on the hour, so that a run sees many of them come, be printed, be settled account by
account while others still hold them, and their slots be taken again.
"""

from __future__ import annotations

from math import isqrt
from typing import Any

from novate.model import expiry as expiry_model
from novate.model import option_listing, option_series, options, settlement_prints, surfaces
from novate.model.account import Account
from novate.model.option_id import OptionId, future_id, is_dated, place_of
from novate.model.state import World
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack, unpack
from novate.sim.desk import Person
from novate.sim.upkeep import Simulation
from novate.sim.workload import ACCEPTED, BOTH, KINDS
from novate.sim.world import GRIDS, HOUR_S, NODE_KEYS, Step, word
from novate.units import div_down
from novate.wire.surfaces import signed_settlement, signed_surfaces

DATED_KINDS: dict[str, tuple[int, tuple[str, ...]]] = {
    "surface": (22, BOTH),
    "list_expiry": (5, BOTH),
    "list_strike": (8, BOTH),
    "refresh": (12, BOTH),
    "dated": (60, BOTH),
    "write": (14, BOTH),
    "expire": (4, (ACCEPTED,)),
    "print_expiry": (6, BOTH),
    "settle_expiry": (12, BOTH),
    "limits": (1, BOTH),
}
EXPIRIES = 3
STRIKES = 12


class DatedSimulation(Simulation):
    """Every kind of operation, with options and dated futures."""

    kinds = KINDS | DATED_KINDS

    def __init__(self, seed: int) -> None:
        self.percent = {0: 60.0, 1: 75.0}
        self.surface_round = 0
        super().__init__(seed)
        self.both.advance(60)
        self.round()
        self.surface()
        for _ in range(4):
            self.list_expiry()
            self.list_strike()

    # What is there

    def places(self, live: bool = True) -> list[tuple[int, int]]:
        """(underlying, slot) of listed expiries: those to come, or those that are over."""
        rows = self.world.options.listed.items()
        return [place for place, row in rows if (row.expiry > self.world.now) == live]

    def instruments(self, live: bool = True) -> list[int]:
        """Listed options and futures."""
        found = []
        for place in self.places(live):
            count = len(self.world.options.listed[place].strikes)
            found += [future_id(*place), *option_listing.ids_of(*place, count)]
        return found

    def some_place(self) -> tuple[int, int]:
        """Mostly a listed expiry."""
        found = self.places(self.random.random() < 0.9) or [(0, 0)]
        return self.random.choice(found) if self.random.random() < 0.97 else (16, 3)

    def traded_wildly(self) -> list[int]:
        """Also options and futures: alive, over, and not listed."""
        listed, over = self.instruments(), self.instruments(live=False)
        r = self.random
        chosen = r.sample(listed, min(4, len(listed))) + r.sample(over, min(1, len(over)))
        unlisted = OptionId(r.choice([0, 1, 5]), r.randrange(16), 31, True).pack()
        return sorted({*super().traded_wildly(), *chosen, unlisted})

    # Surfaces, prints, listing

    def surface(self) -> None:
        """Surfaces of both underlyings, of now, by the quorum; seldom with a fault."""
        for underlying in GRIDS:
            age = self.world.now - self.world.surfaces.statuses[underlying].timestamp
            if age == 0 and self.random.random() < 0.9:
                continue
            before = self.percent[underlying]
            moved = before * (1 + self.random.gauss(0, 0.05) * min(age, 60) / 60)
            self.percent[underlying] = min(max(moved, 20), 200)
            if not self._post_surface(underlying):
                self.percent[underlying] = before

    def _expiries(self, underlying: int) -> list[int]:
        """Those that must be there, and the next hours."""
        now, rows = self.world.now, self.world.surfaces
        slots = rows.statuses[underlying].slots
        stored = {unpack(rows.words[underlying, slot]).expiry for slot in slots}
        first = div_down(now, HOUR_S) + 1
        hours = {(first + hour) * HOUR_S for hour in range(EXPIRIES)}
        return sorted(e for e in stored | hours if e > now)

    def _post_surface(self, underlying: int) -> bool:
        r, at, expiries = self.random, self.world.now, self._expiries(underlying)
        keys, fault = list(enumerate(NODE_KEYS))[:3], r.randrange(80)
        if fault == 0:
            expiries = expiries[1:]
        elif fault == 1:
            at -= 400
        elif fault == 2:
            keys = keys[:2]
        elif fault == 3:
            keys = [keys[0], keys[0], keys[2]]
        elif fault == 4:
            self.percent[underlying] *= 3
        words = [_word(expiry, at, self.percent[underlying]) for expiry in expiries]
        self.surface_round += 1 if fault != 5 else 0
        domain, number = self.both.surfaces_domain, self.surface_round
        made = signed_surfaces(domain, number, at, underlying, words, keys)
        signers = made.signers(domain)

        def twin(world: World) -> bool:
            return surfaces.post_surfaces(world, number, at, underlying, words, signers)

        contract, arguments = self.both.surfaces, made.arguments()
        return bool(self._anyone("surface", contract, "post_surfaces", arguments, twin).value)

    def _anyone(
        self, kind: str, contract: Any, function: str, arguments: tuple[Any, ...], twin: Any
    ) -> Any:
        """A call that does not ask who makes it."""
        return self.run(kind, Step(contract, function, self.stranger, arguments, twin))

    def list_expiry(self) -> None:
        """An expiry of the surface, mostly a new one, or one that is none."""
        underlying = self.random.choice(list(GRIDS))
        listed = [self.world.options.listed[place].expiry for place in self.places()]
        found = self._expiries(underlying)
        expiry = self.random.choice([e for e in found if e not in listed] or found)
        if self.random.random() < 0.05:
            expiry += self.random.choice([1, 10 * HOUR_S])

        def twin(world: World) -> int:
            return option_listing.list_expiry(world, underlying, expiry)

        arguments = underlying, expiry
        self._anyone("list_expiry", self.both.options, "list_expiry", arguments, twin)

    def list_strike(self) -> None:
        """A few strikes around the price, seldom off the grid or out of reach."""
        underlying, slot = self.some_place()
        grid = GRIDS.get(underlying, GRIDS[0])
        mark = div_down(self.desk.mark(underlying + 1 if underlying < 2 else 1), 10**8)
        for _ in range(3):
            steps = div_down(mark, grid.step) + self.random.randint(-4, 5)
            strike = max(steps, 1) * grid.step
            if self.random.random() < 0.03:
                strike = self.random.choice([strike + 1, strike * 7])
            if len(self.world.options.listed[underlying, slot].strikes) < STRIKES:
                self._list_strike(underlying, slot, strike)

    def _list_strike(self, *given: int) -> None:
        def twin(world: World) -> int:
            return option_listing.list_strike(world, *given)

        self._anyone("list_strike", self.both.options, "list_strike", given, twin)

    def refresh(self) -> None:
        """Anyone refreshes an expiry."""
        given = self.some_place()
        twin = lambda world: options.refresh(world, *given)  # noqa: E731
        self._anyone("refresh", self.both.options, "refresh", given, twin)

    def limits(self) -> None:
        """Governance, or a stranger, limits the exposure."""
        timelock = self.both.address["timelock"]
        sender = self.random.choice([timelock, timelock, self.stranger])
        given = self.random.choice([0, 1]), self.random.choice([0, 50, 10**6]), 0
        self.act("limits", self.both.options, sender, option_series.set_exposure_limits, *given)

    # Trading and expiry

    def dated(self) -> None:
        """A signed trade of an option or a future, of a size that margin often allows."""
        self._look_after()
        listed = self.instruments()
        if not listed:
            return
        r = self.random
        taker, maker = r.sample(self.people, 2)
        lots = r.choice([1, r.randint(1, 20), r.randint(1, 100), r.randint(1, 2_000)])
        self._trade("dated", taker, maker, r.choice(listed), lots, r.random() < 0.5)

    def write(self) -> None:
        """A levered trader sells options, about as many as its margin lets it."""
        self._look_after()
        listed = [id for id in self.instruments() if id & 2 == 0]
        who = self.random.choice(self.levered)
        if not listed or self.world.ledger.accounts[who.account].in_auction:
            return
        maker, lots = self.random.choice(self.deep), self.random.randint(50, 3_000)
        id = self.random.choice(listed)
        for _ in range(3):
            if self._trade("write", who, maker, id, lots, False):
                return
            lots = max(1, lots // 3)  # division: a third

    def _look_after(self) -> None:
        """Mostly there are surfaces of now, and a few strikes to trade."""
        r = self.random
        seen = [self.world.surfaces.statuses[underlying].timestamp for underlying in GRIDS]
        if self.world.now - min(seen) > 250 and r.random() < 0.8:
            self.round()
            self.surface()
        if len(self.instruments()) < 12 and r.random() < 0.7:
            self.list_expiry()
            self.list_strike()

    def _trade(
        self, kind: str, taker: Person, maker: Person, id: int, lots: int, buys: bool
    ) -> Any:
        fill = self.desk.fill(taker, maker, id, lots, buys)
        return self.run(kind, self.desk.settle([fill])).value

    def expire(self) -> None:
        """Time passes to the next expiry, or half an hour before it; prices come."""
        ends = [self.world.options.listed[place].expiry for place in self.places()]
        if not ends:
            return
        before = self.random.choice([0, 0, 0, 1, 1_800, 1_799])
        self.both.advance(max(min(ends) - before - self.world.now, 0))
        for _ in range(3):
            self.post(0.003, kind="expire")
            self.both.advance(30)

    def print_expiry(self) -> None:
        """The quorum prints an expiry, mostly one that is over and that somebody holds."""
        r, rows = self.random, self.world.options
        over = [place for place in self.places(live=False) if rows.series[place].open]
        found = over if over and r.random() < 0.9 else list(rows.listed.rows)
        if not found:
            return
        underlying, slot = r.choice(sorted(found))
        until = rows.listed[underlying, slot].expiry
        price = div_down(self.desk.mark(underlying + 1), 10**8)
        price = r.choice([price] * 30 + [0, 2**56])
        keys = list(enumerate(NODE_KEYS))[: 3 if r.random() < 0.97 else 2]
        domain = self.both.surfaces_domain
        made = signed_settlement(domain, underlying, until, price, keys)
        signers = made.signers(domain)

        def twin(world: World) -> bool:
            return settlement_prints.post_settlement(world, underlying, until, price, signers)

        self._anyone("print_expiry", self.both.surfaces, "post_settlement", made.arguments(), twin)

    def settle_expiry(self) -> None:
        """Anyone settles some accounts, or all, of an expiry that is over; the same one twice."""
        r = self.random
        over = [p for p in self.places(live=False) if self.world.options.series[p].open]
        place = r.choice(over) if over and r.random() < 0.9 else self.some_place()
        holders = [who.account for who in self.people if _holds(self._row(who), place)]
        accounts = r.sample(holders, r.randint(0, len(holders)))
        if r.random() < 0.3:
            accounts = [who.account for who in (*self.people, self.saver)]
        accounts += accounts[:1]

        def twin(world: World) -> None:
            expiry_model.settle_expiry(world, self.stranger, accounts, *place)

        arguments = [word(account) for account in accounts], *place
        house = self.both.clearinghouse
        self._anyone("settle_expiry", house, "settle_expiry", arguments, twin)

    def _row(self, who: Person) -> Account:
        return self.world.ledger.accounts[who.account]


def _holds(row: Account, place: tuple[int, int]) -> bool:
    return any(is_dated(id) and place_of(id) == place for id, _ in row.positions)


def _word(expiry: int, at: int, percent: float) -> int:
    """A slice of one volatility, seen at a time."""
    per_myriad = int(percent * 100)
    theta = div_down(per_myriad**2 * (expiry - at) * ONE, 10**8 * YEAR_S)
    psi = div_down(isqrt(theta * ONE) * 2, 5)
    return pack(Slice(theta, psi, -div_down(RHO_ONE, 4), expiry, at))
