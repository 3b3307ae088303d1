"""Market-maker protection: how much an account's protected orders may fill within a window.

Owns: limits and counts by account and underlying; when they trip and until when. An account's
quotes, and orders that say so, are pulled once a limit is reached, in the middle of a sweep too,
and refused until the freeze ends. Quantities and deltas in base units (wad), times in seconds. An
option counts as its whole size, a put's delta with the other sign: an upper bound of its delta. Its
vega is that of Black-76 at the moment of the fill, in USD (wad) a point of volatility, rounded away
from zero: long for who buys, calls and puts alike.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import isqrt
from typing import NamedTuple

from novate import errors
from novate.errors import Rejected, require
from novate.model import options
from novate.model.instrument import OPTION
from novate.model.option_id import PUT, is_option, place_of
from novate.model.option_listing import feed_of, terms
from novate.model.pricing import YEAR_S
from novate.model.state import World
from novate.units import ORACLE_UNIT, WAD, div_up, mul_div_up

Key = tuple[int, int]  # account, underlying
POINTS = 100  # of volatility in 1.00


class Size(NamedTuple):
    """What a fill counts: base units, their delta (both wad), and vega a point (USD, wad)."""

    quantity: int
    delta: int
    vega: int = 0


@dataclass(frozen=True, slots=True)
class Protection:
    """A limit of 0 is none, a window of 0 none at all; ``until`` 0 is until reset."""

    interval_s: int = 0
    frozen_s: int = 0
    quantity_limit: int = 0
    delta_limit: int = 0
    vega_limit: int = 0
    opened: int = 0
    quantity: int = 0
    delta: int = 0
    vega: int = 0
    frozen: bool = False
    until: int = 0

    def is_frozen(self, now: int) -> bool:
        """Whether the account may not quote."""
        return self.frozen and (self.until == 0 or now < self.until)

    def counted(self, fill: Size, now: int) -> Protection:
        """After a fill of that size; ``frozen`` if that reached a limit."""
        if self.interval_s == 0:
            return self
        if self.frozen:  # the freeze has ended: count anew
            return self.reset().counted(fill, now)
        if self.quantity == 0 or now - self.opened >= self.interval_s:
            after = replace(
                self, opened=now, quantity=fill.quantity, delta=fill.delta, vega=fill.vega
            )
        else:
            after = replace(
                self,
                quantity=self.quantity + fill.quantity,
                delta=self.delta + fill.delta,
                vega=self.vega + fill.vega,
            )
        if not after.is_full:
            return after
        until = now + self.frozen_s if self.frozen_s else 0
        return replace(after, frozen=True, until=until)

    @property
    def is_full(self) -> bool:
        """Whether a limit is reached."""
        return (
            0 < self.quantity_limit <= self.quantity
            or 0 < self.delta_limit <= abs(self.delta)
            or 0 < self.vega_limit <= abs(self.vega)
        )

    def reset(self) -> Protection:
        """Unfrozen, counts anew."""
        limits = self.quantity_limit, self.delta_limit, self.vega_limit
        return Protection(self.interval_s, self.frozen_s, *limits)


def size_of(world: World, instrument: int, signed_lots: int, by_vega: bool) -> Size:
    """What a fill counts; its vega only if that is asked for, which costs a pricing."""
    listed = world.ledger.terms_of(instrument)
    size = signed_lots * listed.lot_size
    is_put = listed.kind == OPTION and bool(instrument & PUT)
    vega = 0
    if by_vega:
        vega = mul_div_up(abs(size), vega_of(world, instrument), POINTS * WAD)
    return Size(abs(size), -size if is_put else size, vega if size > 0 else -vega)


def vega_of(world: World, instrument: int) -> int:
    """Vega of a base unit for a volatility of 1.00, in USD (wad): the model's at the forward and
    the surface of now, down; where one of them is stale the most it may be, which is less than
    0.4 F sqrt(T), up; 0 of what is no option.
    """
    if not is_option(instrument):
        return 0
    try:
        return options.greeks(world, instrument).vega
    except Rejected:
        forward = world.oracle.feeds[feed_of(world, *place_of(instrument))].mark * ORACLE_UNIT
        left = max(terms(world, instrument)[0] - world.now, 0)
        root = isqrt(div_up(left * WAD * WAD, YEAR_S)) + 1
        return mul_div_up(4 * forward, root, 10 * WAD)


class Protections:
    """Every account's protection."""

    def __init__(self) -> None:
        self.rows: dict[Key, Protection] = {}

    def __getitem__(self, key: Key) -> Protection:
        return self.rows.get(key, _NONE)

    def require_open(self, key: Key, now: int) -> None:
        """The account may quote. Errors: ``QuotesFrozen``."""
        require(not self[key].is_frozen(now), errors.QuotesFrozen)

    def set(self, key: Key, limits: Protection) -> None:
        """Other limits: counts anew, a freeze stays; without a window, none."""
        old = self[key]
        self.rows[key] = replace(limits, frozen=old.frozen, until=old.until)
        if limits.interval_s == 0:
            del self.rows[key]

    def reset(self, key: Key) -> None:
        """Unfreeze."""
        if key in self.rows:
            self.rows[key] = self.rows[key].reset()


_NONE = Protection()
