"""What an option is worth and how it moves, in Deribit's words, from the integers of the model.

Owns: marks, implied volatilities and Greeks, worked out once a round and kept until something they
rest on changes. Volatilities leave in percent, vega for one volatility point, theta for a day, all
for one base unit in USD; cut off (toward zero) at eight decimals. Old prices or surfaces still give
a figure; without any there is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from novate.api.names import Listed
from novate.api.numbers import decimal
from novate.errors import Rejected
from novate.model import margin, oracle, pricing, surface, surfaces
from novate.model.implied import implied_volatility
from novate.model.option_id import place_of, strike_of
from novate.model.option_listing import feed_of
from novate.model.options import volatility
from novate.model.state import World
from novate.units import ORACLE_UNIT, WAD, div_zero

DECIMALS = 10**10  # of a wad: eight places are left
DAYS = 365


@dataclass(frozen=True, slots=True)
class OptionView:
    """One option now (wad); ``sigma`` None and no Greeks where no surface prices it."""

    mark: int
    forward: int
    sigma: int | None
    greeks: pricing.Greeks | None


def cut(value: int) -> str:
    """A wad with eight decimals, toward zero."""
    return decimal(div_zero(value, DECIMALS) * DECIMALS)


def scaled(greeks: pricing.Greeks) -> dict[str, int]:
    """Greeks of a base unit as they are shown (wad): vega of one point, theta of one day."""
    return {
        "delta": greeks.delta,
        "gamma": greeks.gamma,
        "vega": div_zero(greeks.vega, 100),
        "theta": div_zero(greeks.theta, DAYS),
    }


def percent(volatility_wad: int | None) -> str | None:
    """A volatility in percent."""
    return None if volatility_wad is None else cut(100 * volatility_wad)


@dataclass(slots=True)
class OptionViews:
    """Views over one world, by id; each with what it rests on."""

    world: World
    _kept: dict[int, tuple[tuple[int, ...], OptionView]] = field(default_factory=dict)

    def of(self, item: Listed) -> OptionView:
        """An option as it is now."""
        world, place = self.world, place_of(item.id)
        rests_on = (
            item.expiry,
            item.expiry <= world.now,
            world.oracle.statuses[0].round,
            surfaces.status_of(world, place[0]).round,
            world.options.infos[strike_of(item.id)],
            world.surfaces.prints[place[0], item.expiry],
        )
        kept = self._kept.get(item.id)
        if kept is None or kept[0] != rests_on:
            kept = self._kept[item.id] = rests_on, self._made(item)
        return kept[1]

    def _made(self, item: Listed) -> OptionView:
        world, place = self.world, place_of(item.id)
        if world.options.listed[place].expiry != item.expiry:
            return OptionView(0, 0, None, None)  # over, and its slot is another's
        mark, forward = margin.quoted(world, item.id)
        word = surfaces.surface_word(world, *place)
        live = forward > 0 and item.expiry > world.now
        if not live or surface.unpack(word).expiry != item.expiry:
            return OptionView(mark, forward, None, None)
        seconds = item.expiry - world.now
        strike, price = item.strike // ORACLE_UNIT, forward // ORACLE_UNIT  # division: exact
        sigma = volatility(word, strike, price, seconds, world.now)
        greeks = pricing.black76(forward, item.strike, sigma, seconds, not item.is_put)
        return OptionView(mark, forward, sigma, greeks)

    def implied(self, item: Listed, price: int) -> int | None:
        """The volatility at which a price (wad) would be right; None where there is none."""
        feed = oracle.feed(self.world, feed_of(self.world, *place_of(item.id)))
        forward, seconds = feed.mark * ORACLE_UNIT, item.expiry - self.world.now
        if price <= 0 or forward == 0 or seconds <= 0:
            return None
        try:
            return implied_volatility(price, forward, item.strike, seconds, not item.is_put)
        except Rejected:
            return None

    def greeks(self, item: Listed) -> dict[str, str] | None:
        """``greeks`` of a ticker."""
        found = self.of(item).greeks
        if found is None:
            return None
        return {name: cut(value) for name, value in scaled(found).items()} | {"rho": "0"}

    def fields(self, item: Listed, bid: int, ask: int) -> dict[str, Any]:
        """What a ticker of an option shows beside prices; best ``bid`` and ``ask`` in wad or 0."""
        found = self.of(item)
        return {
            "mark_iv": percent(found.sigma),
            "bid_iv": percent(self.implied(item, bid)) or "0",
            "ask_iv": percent(self.implied(item, ask)) or "0",
            "greeks": self.greeks(item),
            "underlying_price": decimal(found.forward),
            "interest_rate": "0",
        }


def quotient(price: int, other: int) -> str | None:
    """How far a price is from another, in percent; None from nothing."""
    return None if other == 0 else cut(div_zero((price - other) * 100 * WAD, other))
