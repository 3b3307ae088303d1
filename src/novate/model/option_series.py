"""Option series: open interest of options and dated futures, its limits, and settlement.

Owns: how open interest moves (its tables stand in ``option_listing.OptionsState``) and the exposure
limits. The Clearinghouse alone moves open interest. Units: prices in oracle units of 1e8 wei a base
unit, interest in lots, limits in thousands of USD. Rounding: rooms down; sums of delta and vega are
kept within their fields. Source: docs/SPEC.md §14. Twin: ``contracts/option_series.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import oracle, packed, surfaces
from novate.model.governance import bounded
from novate.model.option_id import is_future, place_of, strike_of
from novate.model.option_lanes import LIVE_OLD_SURFACE, Head, head_of, is_priced
from novate.model.option_listing import SLOTS_MAX, Series, feed_of, is_listed
from novate.model.options import SUM_BITS, amounts_of, info_of, spread, usable
from novate.model.settlement_prints import settlement_price
from novate.model.surface import YEAR_S
from novate.units import ORACLE_UNIT, WAD, div_down

if TYPE_CHECKING:
    from novate.model.state import World

NONE, OPEN, REDUCTIONS_ONLY, OVER = 0, 1, 2, 3
CLOSING_S = 1_800
INTEREST_MAX = 2**44 - 1
ROOM_MAX = 2**44 - 1
LIMIT_MAX = 2**30 - 1
# a thousand USD (wad) over the forward in oracle units, in 2**-20
LIMIT_SCALE = div_down(1_000 * WAD * WAD, ORACLE_UNIT) << SUM_BITS
UNLIMITED = 2**128
INTEREST_FIELDS = (
    ("open_interest", 44),
    ("room", 44),
    ("phase", 8),
    ("mark", 56),
    ("forward", 56),
)


@dataclass(frozen=True, slots=True)
class Interest:
    """Open interest of an instrument, lots by which it may rise under the limits, its phase, and
    the mark and forward at which margin values it; none if these would have to be built.
    """

    open_interest: int = 0
    room: int = 0
    phase: int = NONE
    mark: int = 0
    forward: int = 0

    def pack(self) -> int:
        """The interest word."""
        return packed.pack(self, INTEREST_FIELDS)

    @staticmethod
    def unpack(word: int) -> Interest:
        """Read the interest word."""
        return Interest(**packed.unpack(word, INTEREST_FIELDS))


def set_exposure_limits(
    world: World, caller: str, underlying: int, vega_limit: int, gamma_limit: int
) -> None:
    """Limit what the open interest of each expiry may amount to, in thousands of USD: vega per 1.00
    of volatility, gamma as the delta that a move of 1 % changes; 0: no limit.

    Errors: NotAuthorized, OutOfBounds.
    """
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)
    bounded(underlying, 0, limits.UNDERLYINGS_MAX - 1)
    bounded(vega_limit, 0, LIMIT_MAX)
    bounded(gamma_limit, 0, LIMIT_MAX)
    world.options.limits[underlying] = (vega_limit, gamma_limit)
    world.emit(
        "ExposureLimitsSet",
        underlying=underlying,
        vega_limit=vega_limit,
        gamma_limit=gamma_limit,
    )


def move_interest(world: World, caller: str, id: int, change: int) -> None:
    """Change the open interest of a listed instrument by lots; what its expiry amounts to follows
    at the Greeks of the last refresh.

    Errors: NotAuthorized, UnknownInstrument.
    """
    require(caller == world.addresses.get("clearinghouse"), errors.NotAuthorized)
    require(is_listed(world, id), errors.UnknownInstrument)
    delta, vega = amounts(world, id)
    moved = world.options.interests[id] + change
    assert 0 <= moved <= INTEREST_MAX
    world.options.interests[id] = moved
    old = world.options.series[place_of(id)]
    assert old.open + change >= 0
    world.options.series[place_of(id)] = Series(
        max(old.delta + change * delta, 0),
        max(old.vega + change * vega, 0),
        old.open + change,
    )


def close_interest(world: World, caller: str, underlying: int, slot: int, lots: int) -> None:
    """So many open lots of an expiry are settled. Errors: NotAuthorized."""
    require(caller == world.addresses.get("clearinghouse"), errors.NotAuthorized)
    old = world.options.series[underlying, slot]
    assert 0 <= lots <= old.open
    world.options.series[underlying, slot] = old._replace(open=old.open - lots)


def interest(world: World, id: int) -> int:
    """The interest word of an option or a future; 0 if it is not listed or has no price."""
    if not is_listed(world, id):
        return 0
    place = place_of(id)
    held = world.options.interests[id]
    expiry = world.options.listed[place].expiry
    if world.now >= expiry:
        return Interest(held, 0, OVER).pack()
    head = head_of(world, *place)
    mark = _stored_mark(world, id, head)
    if head.forward == 0 or (mark is None and not is_priced(world, *place, head)):
        return 0
    seen_at = oracle.feed(world, feed_of(world, *place)).timestamp
    closing = (
        expiry - world.now <= CLOSING_S
        or world.now > seen_at + oracle.status(world).stale_after
        or (head.state == LIVE_OLD_SURFACE and not is_future(id))
    )
    phase = REDUCTIONS_ONLY if closing else OPEN
    quote = (0, 0) if mark is None else (mark, head.forward)
    return Interest(held, _room(world, id, head), phase, *quote).pack()


def _stored_mark(world: World, id: int, head: Head) -> int | None:
    """A future's mark, or an option's by its stored words, if they serve."""
    if is_future(id):
        return head.forward
    return info_of(world, id).value(head.forward) if usable(world, id) else None


def settlement(world: World, underlying: int, slot: int) -> tuple[int, int, int, tuple[int, ...]]:
    """Print (oracle units), expiry, lot exponent and strikes of an expiry that is over.

    Errors: UnknownInstrument, ExpiryNotReached, MissingPrint.
    """
    in_bounds = underlying < limits.UNDERLYINGS_MAX and slot < SLOTS_MAX
    require(in_bounds, errors.UnknownInstrument)
    expiry, strikes = world.options.listed[underlying, slot]
    require(expiry != 0, errors.UnknownInstrument)
    require(expiry <= world.now, errors.ExpiryNotReached)
    price = settlement_price(world, underlying, expiry)
    require(price != 0, errors.MissingPrint)
    return price, expiry, world.options.grids[underlying].lot_exponent, strikes


def amounts(world: World, id: int) -> tuple[int, int]:
    """|delta| (2**-20) and vega (2**-20 of the forward) of a lot as of the last refresh; before the
    first the most they may be, vega 0.4 times the root of the years left. Futures have none.
    """
    if is_future(id):
        return 0, 0
    if world.options.infos[strike_of(id)]:
        return amounts_of(world, id)
    left = max(world.options.listed[place_of(id)].expiry - world.now, 0)
    vega = div_down(isqrt(div_down(left << 2 * SUM_BITS, YEAR_S)) * 4, 10) + 1
    return 1 << SUM_BITS, min(vega, 2**SUM_BITS - 1)


def _room(world: World, id: int, head: Head) -> int:
    """Lots by which an instrument may still rise: what the limits leave of the expiry's vega, over
    its own. gamma F² = vega / (sigma T), with the volatility at the money as of the words by which
    the option is valued, makes a limit of gamma one of vega.
    """
    place = place_of(id)
    vega_limit, gamma_limit = world.options.limits[place[0]]
    vega = amounts(world, id)[1]
    if (not vega_limit and not gamma_limit) or not vega:
        return ROOM_MAX
    limit = vega_limit << 56 if vega_limit else UNLIMITED
    if gamma_limit:
        if usable(world, id):
            sigma_t = world.options.spreads[strike_of(id)]
        else:
            sigma_t = spread(surfaces.surface_word(world, *place), world.now)
        limit = min(limit, gamma_limit * 100 * sigma_t)
    cap = div_down(limit * LIMIT_SCALE, head.forward * 10**head.lot_exponent << 56)
    total: int = world.options.series[place].vega
    return min(div_down(max(cap - total, 0), vega), ROOM_MAX)
