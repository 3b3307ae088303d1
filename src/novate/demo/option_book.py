"""What an option trader of the demo sees of the options: each listed one with its mark, Greeks and
terms, in dollars and units.

Read from the engine's world after the arrays of the minute were refreshed. Floats: opinions are
formed on them, never money.
"""

from __future__ import annotations

from dataclasses import dataclass

from novate.model.arrays import DELTA_BITS, VEGA_BITS
from novate.model.instrument import Terms
from novate.model.option_id import PUT, OptionId, future_id, place_of, strike_of
from novate.model.options import info_of
from novate.model.state import World
from novate.units import ORACLE_UNIT, WAD

CLOSING_S = 1_800  # before expiry: reductions only


@dataclass(frozen=True, slots=True)
class OptionView:
    """One option: prices in USD a unit of the asset, ``delta`` of a unit, ``vega`` in USD for 1.00
    of volatility, ``unit`` units a lot.
    """

    id: int
    underlying: int
    expiry: int
    strike: float
    is_put: bool
    mark: float
    forward: float
    delta: float
    vega: float
    unit: float
    tick: float

    @property
    def out_of_the_money(self) -> bool:
        """Whether it would pay nothing now (at the money: the call)."""
        return self.strike < self.forward if self.is_put else self.strike >= self.forward

    def delta_usd(self, lots: int) -> float:
        """Dollar delta of a position."""
        return lots * self.unit * self.delta * self.forward


@dataclass(frozen=True, slots=True)
class FutureView:
    """One dated future."""

    id: int
    underlying: int
    expiry: int
    forward: float
    unit: float


@dataclass(frozen=True, slots=True)
class OptionBook:
    """All options and futures that live, by id; ``terms`` of each for who signs orders."""

    now: int
    options: dict[int, OptionView]
    futures: dict[int, FutureView]
    terms: dict[int, Terms]

    def ends(self) -> dict[int, int]:
        """When each expires."""
        options = {i: o.expiry for i, o in self.options.items()}
        return options | {i: f.expiry for i, f in self.futures.items()}

    def expiries(self, underlying: int) -> list[int]:
        """Expiries that still take new positions, nearest first."""
        found = {o.expiry for o in self.options.values() if o.underlying == underlying}
        return sorted(e for e in found if e - self.now > CLOSING_S)

    def chain(self, underlying: int, expiry: int) -> list[OptionView]:
        """The options of one expiry, nearest to the forward first."""
        found = [
            o for o in self.options.values() if (o.underlying, o.expiry) == (underlying, expiry)
        ]
        return sorted(found, key=lambda o: (abs(o.strike - o.forward), o.is_put))

    def delta_usd(self, underlying: int, positions: dict[int, int]) -> float:
        """Dollar delta of the options and futures among ``positions``."""
        total = 0.0
        for id, lots in positions.items():
            option, future = self.options.get(id), self.futures.get(id)
            if option is not None and option.underlying == underlying:
                total += option.delta_usd(lots)
            elif future is not None and future.underlying == underlying:
                total += lots * future.unit * future.forward
        return total


def read_book(world: World) -> OptionBook:
    """The options of ``world`` that have arrays and live."""
    options: dict[int, OptionView] = {}
    futures: dict[int, FutureView] = {}
    terms: dict[int, Terms] = {}
    for (underlying, slot), listed in world.options.listed.items():
        if listed.expiry <= world.now:
            continue
        for index, strike in enumerate(listed.strikes):
            for is_put in (False, True):
                id = OptionId(underlying, slot, index, is_put).pack()
                found = world.ledger.terms_of(id)
                if world.options.infos[strike_of(id)] and found.lot_size:
                    terms[id] = found
                    options[id] = _view(world, id, listed.expiry, strike, found)
        id = future_id(underlying, slot)
        found = world.ledger.terms_of(id)
        feed = world.oracle.feeds[world.options.grids[underlying].feed]
        if found.lot_size and feed.mark:
            terms[id] = found
            mark, unit = _usd(feed.mark), found.lot_size / WAD
            futures[id] = FutureView(id, underlying, listed.expiry, mark, unit)
    return OptionBook(world.now, options, futures, terms)


def _usd(price: int) -> float:
    """Oracle units as dollars."""
    return price * ORACLE_UNIT / WAD


def _view(world: World, id: int, expiry: int, strike: int, terms: Terms) -> OptionView:
    info, vega = info_of(world, id), world.options.vegas[strike_of(id)]
    forward = _usd(info.forward)
    return OptionView(
        id=id,
        underlying=place_of(id)[0],
        expiry=expiry,
        strike=_usd(strike),
        is_put=bool(id & PUT),
        mark=_usd(info.mark),
        forward=forward,
        delta=info.delta / 2**DELTA_BITS,
        vega=vega / 2**VEGA_BITS * forward,
        unit=terms.lot_size / WAD,
        tick=terms.tick / WAD,
    )
