"""Option listing: the grid of each underlying, and the expiries and strikes listed on it.

Owns: grids, forward feeds, listed expiries and strikes, the two words by which margin knows call
and put of a strike (array and info, zero while not built since it was listed), open interest and
what that of an expiry amounts to. Units: prices and strikes in oracle units of 1e8 wei a base unit,
times in seconds. Nothing is rounded. Governance sets grids within bounds; anyone lists what lies on
one. Source: docs/SPEC.md §14. Twin: ``contracts/option_listing.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from novate import errors, limits
from novate.errors import require
from novate.model import oracle, packed, surfaces
from novate.model.arrays import PRICE_MAX, STRIKES_MAX
from novate.model.governance import bounded
from novate.model.option_id import (
    OptionId,
    future_id,
    is_dated,
    is_future,
    is_option,
    place_of,
    strike_of,
)
from novate.model.store import Store
from novate.model.surface import TENOR_MAX_S
from novate.units import DAY_S

if TYPE_CHECKING:
    from novate.model.state import World

SLOTS_MAX = 16
STRIKE_REACH = 5
TENOR_BOUNDS_S = (DAY_S, TENOR_MAX_S)
PERIOD_BOUNDS_S = (3_600, 28 * DAY_S)
LOT_EXPONENT_BOUNDS = (10, 19)
GRID_BITS = (
    ("step", 56),
    ("tenor_max", 32),
    ("period", 24),
    ("offset", 24),
    ("lot_exponent", 8),
    ("feed", 8),
    ("enabled", 1),
)


@dataclass(frozen=True, slots=True)
class Grid:
    """Where options of one underlying may be listed: strikes on multiples of ``step``, expiries at
    ``offset`` seconds into every ``period``; lots of 10**lot_exponent wei.
    """

    step: int = 0
    tenor_max: int = 0
    period: int = 0
    offset: int = 0
    lot_exponent: int = 0
    feed: int = 0
    enabled: bool = False

    def pack(self) -> int:
        """The grid word."""
        return packed.pack(self, GRID_BITS)

    @staticmethod
    def unpack(word: int) -> Grid:
        """Read the grid word."""
        values = packed.unpack(word, GRID_BITS)
        return Grid(enabled=bool(values.pop("enabled")), **values)


class Listed(NamedTuple):
    """An expiry and its strikes, by index."""

    expiry: int = 0
    strikes: tuple[int, ...] = ()


class Series(NamedTuple):
    """What the open interest of an expiry amounts to: lots of its options times |delta| (2**-20)
    and times vega (2**-20 of the forward), and all open lots, the future's too.
    """

    delta: int = 0
    vega: int = 0
    open: int = 0

    def pack(self) -> int:
        """The series word [delta 80 | vega 80 | open 56]."""
        return self.delta | self.vega << 80 | self.open << 160


class OptionsState:
    """Tables of the options: by underlying (grids, epochs, limits of thousands of USD for vega and
    gamma), by (underlying, slot), by strike (``strike_of`` an id: arrays, infos, vegas in
    2**-24 of the forward, spreads: sigma T at the money in 2**-56) and by id (open interest in
    lots).
    """

    def __init__(self, store: Store) -> None:
        self.grids = store.table("options.grids", Grid())
        self.forward_feeds = store.table("options.forward_feeds", 0)  # feed + 1; 0: the grid's
        self.listed = store.table("options.listed", Listed())
        self.series = store.table("options.series", Series())
        self.epochs = store.table("options.epochs", 0)
        self.limits = store.table("options.limits", (0, 0))
        self.arrays = store.table("options.arrays", 0)
        self.infos = store.table("options.infos", 0)
        self.vegas = store.table("options.vegas", 0)
        self.spreads = store.table("options.spreads", 0)
        self.interests = store.table("options.interests", 0)


def set_grid(world: World, caller: str, underlying: int, word: int) -> None:
    """Set the grid of an underlying; its lot exponent is for good, what is listed stays.

    Errors: NotAuthorized, OutOfBounds, BadTerms.
    """
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)
    bounded(underlying, 0, limits.UNDERLYINGS_MAX - 1)
    bounded(word, 0, 2 ** sum(bits for _, bits in GRID_BITS) - 1)
    grid = Grid.unpack(word)
    bounded(grid.step, 1, PRICE_MAX)
    bounded(grid.tenor_max, *TENOR_BOUNDS_S)
    bounded(grid.period, *PERIOD_BOUNDS_S)
    bounded(grid.offset, 0, grid.period - 1)
    bounded(grid.lot_exponent, *LOT_EXPONENT_BOUNDS)
    old = world.options.grids[underlying]
    require(old == Grid() or old.lot_exponent == grid.lot_exponent, errors.BadTerms)
    world.options.grids[underlying] = grid
    world.emit("GridSet", underlying=underlying, word=word)


def set_forward_feed(world: World, caller: str, underlying: int, slot: int, entry: int) -> None:
    """Take the forward of a slot from feed ``entry`` - 1, or for 0 from the grid's feed.

    Errors: NotAuthorized, OutOfBounds.
    """
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)
    bounded(underlying, 0, limits.UNDERLYINGS_MAX - 1)
    bounded(slot, 0, SLOTS_MAX - 1)
    bounded(entry, 0, limits.FEEDS_MAX)
    _set_forward_feed(world, underlying, slot, entry)


def list_expiry(world: World, underlying: int, expiry: int) -> int:
    """List an expiry on the grid and its future, in the slot of its surface; an expiry that is over
    and has nothing open gives its slot up, and the forward feed of its own goes with it, that it
    does not price the next. Returns the slot.

    Errors: ListingClosed, ExpiryOffGrid, MissingExpiry, AlreadyListed, SlotInUse.
    """
    grid = _open_grid(world, underlying)
    on_grid = 0 < expiry - world.now <= grid.tenor_max and expiry % grid.period == grid.offset
    require(on_grid, errors.ExpiryOffGrid)
    slot = surfaces.slot_of(world, underlying, expiry)
    old = world.options.listed[underlying, slot]
    require(old.expiry != expiry, errors.AlreadyListed)
    # strictly: an order on the old one may live until its very second
    require(old.expiry < world.now, errors.SlotInUse)
    require(world.options.series[underlying, slot].open == 0, errors.SlotInUse)
    for id in (future_id(underlying, slot), *ids_of(underlying, slot, len(old.strikes))):
        world.options.infos[strike_of(id)] = 0
        world.options.vegas[strike_of(id)] = 0
        world.options.spreads[strike_of(id)] = 0
        world.options.interests[id] = 0
    world.options.series[underlying, slot] = Series()
    if old.expiry and world.options.forward_feeds[underlying, slot]:
        _set_forward_feed(world, underlying, slot, 0)
    world.options.listed[underlying, slot] = Listed(expiry)
    world.emit("ExpiryListed", underlying=underlying, slot=slot, expiry=expiry)
    return slot


def list_strike(world: World, underlying: int, slot: int, strike: int) -> int:
    """List call and put of one strike of a listed expiry. Returns the call's id.

    Errors: ListingClosed, UnknownInstrument, StrikeOffGrid, StalePrice, StrikeOutOfRange,
    AlreadyListed, TooManyItems.
    """
    grid = _open_grid(world, underlying)
    found = live(world, underlying, slot)
    require(strike % grid.step == 0, errors.StrikeOffGrid)
    forward = fresh_mark(world, feed_of(world, underlying, slot))
    in_range = forward <= strike * STRIKE_REACH and strike <= min(forward * STRIKE_REACH, PRICE_MAX)
    require(in_range, errors.StrikeOutOfRange)
    require(strike not in found.strikes, errors.AlreadyListed)
    index = len(found.strikes)
    require(index < STRIKES_MAX, errors.TooManyItems)
    world.options.listed[underlying, slot] = Listed(found.expiry, (*found.strikes, strike))
    id = OptionId(underlying, slot, index, False).pack()
    world.emit("StrikeListed", underlying=underlying, slot=slot, id=id, strike=strike)
    return id


def ids_of(underlying: int, slot: int, count: int) -> list[int]:
    """Ids of the first ``count`` strikes of a slot: the call's, then the put's of each."""
    places = ((index, is_put) for index in range(count) for is_put in (False, True))
    return [OptionId(underlying, slot, index, is_put).pack() for index, is_put in places]


def terms(world: World, id: int) -> tuple[int, int]:
    """Expiry and strike of a listed option, also after it has expired.

    Errors: UnknownInstrument.
    """
    require(is_option(id), errors.UnknownInstrument)
    option = OptionId.unpack(id)
    found = world.options.listed[option.underlying, option.slot]
    require(option.strike_index < len(found.strikes), errors.UnknownInstrument)
    return found.expiry, found.strikes[option.strike_index]


def is_listed(world: World, id: int) -> bool:
    """Whether an option or a future is among those of its slot's expiry, also after it is over."""
    if not (is_option(id) or is_future(id)):
        return False
    found = world.options.listed[place_of(id)]
    if is_future(id):
        return found.expiry != 0
    return OptionId.unpack(id).strike_index < len(found.strikes)


def live(world: World, underlying: int, slot: int) -> Listed:
    """What is listed in a slot and not over. Errors: UnknownInstrument."""
    require(underlying < limits.UNDERLYINGS_MAX and slot < SLOTS_MAX, errors.UnknownInstrument)
    found = world.options.listed[underlying, slot]
    require(found.expiry > world.now, errors.UnknownInstrument)
    return found


def feed_of(world: World, underlying: int, slot: int) -> int:
    """The feed whose mark is the forward of a slot."""
    entry = world.options.forward_feeds[underlying, slot]
    return entry - 1 if entry else world.options.grids[underlying].feed


def expiry_of(world: World, underlying: int, slot: int) -> tuple[int, int]:
    """Expiry of a slot, also once it is over (0: none), and the mark of the feed of its forward,
    however old.

    Errors: UnknownInstrument.
    """
    in_bounds = underlying < limits.UNDERLYINGS_MAX and slot < SLOTS_MAX
    require(in_bounds, errors.UnknownInstrument)
    mark = oracle.feed(world, feed_of(world, underlying, slot)).mark
    return world.options.listed[underlying, slot].expiry, mark


def ends_at(world: World, instrument: int) -> int | None:
    """When the expiry of a dated instrument's slot is (0: none is listed); None: it never ends."""
    if not is_dated(instrument):
        return None
    return world.options.listed[place_of(instrument)].expiry


def fresh_mark(world: World, feed: int) -> int:
    """The mark of a feed. Errors: StalePrice, also for a feed without a price."""
    found = oracle.feed(world, feed)
    fresh = world.now <= found.timestamp + oracle.status(world).stale_after
    require(fresh, errors.StalePrice)
    return found.mark


def _set_forward_feed(world: World, underlying: int, slot: int, entry: int) -> None:
    world.options.forward_feeds[underlying, slot] = entry
    world.emit("ForwardFeedSet", underlying=underlying, slot=slot, entry=entry)


def _open_grid(world: World, underlying: int) -> Grid:
    """The grid, if listing on it is open. Errors: ListingClosed."""
    require(underlying < limits.UNDERLYINGS_MAX, errors.ListingClosed)
    grid = world.options.grids[underlying]
    require(grid.enabled, errors.ListingClosed)
    return grid
