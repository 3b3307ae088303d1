# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option listing: grids, expiries and strikes (docs/SPEC.md §14; twin of
        novate/model/option_listing.py)
@notice Owns the grid of each underlying, what is listed on it, the two words by which margin knows
        call and put of a strike, and the open interest. Governance sets the grid within bounds;
        anyone lists what lies on it. Prices and strikes in oracle units of 1e8 wei a base unit,
        times in seconds. Nothing is rounded. A strike that was not built since it was listed has an
        info word of zero.
"""

from interfaces import IOracle
from interfaces import ISurfaces
from lib import errors
from lib import option_id

event GridSet:
    underlying: indexed(uint256)
    word: uint256

event ForwardFeedSet:
    underlying: indexed(uint256)
    slot: indexed(uint256)
    entry: uint256

event ExpiryListed:
    underlying: indexed(uint256)
    slot: indexed(uint256)
    expiry: uint256

event StrikeListed:
    underlying: indexed(uint256)
    slot: indexed(uint256)
    id: indexed(uint256)
    strike: uint256

UNDERLYINGS_MAX: constant(uint256) = 16
SLOTS_MAX: constant(uint256) = 16
STRIKES_MAX: constant(uint256) = 32
FEEDS_MAX: constant(uint256) = 256
PRICE_MAX: constant(uint256) = 2**56 - 1
STRIKE_REACH: constant(uint256) = 5
TENOR_MIN: constant(uint256) = 86_400
TENOR_MAX: constant(uint256) = 3 * 365 * 86_400
PERIOD_MIN: constant(uint256) = 3_600
PERIOD_MAX: constant(uint256) = 28 * 86_400
LOT_EXPONENT_MIN: constant(uint256) = 10
LOT_EXPONENT_MAX: constant(uint256) = 19
GRID_BITS: constant(uint256) = 153
M8: constant(uint256) = 2**8 - 1
M16: constant(uint256) = 2**16 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1
M70: constant(uint256) = 2**70 - 1
EPOCH_BITS: constant(uint256) = 180
GRID_FEED_SHIFT: constant(uint256) = EPOCH_BITS + 8
LIMITS_SHIFT: constant(uint256) = EPOCH_BITS + 16
# in an expiry's word
STRIKES_SHIFT: constant(uint256) = 40
FEED_SHIFT: constant(uint256) = 48
DELTA_SHIFT: constant(uint256) = 64
VEGA_SHIFT: constant(uint256) = 134
OPEN_SHIFT: constant(uint256) = 204
# in an interest word: of the put, and of both
PUT_INTEREST_SHIFT: constant(uint256) = 44
VEGA_OF_STRIKE_SHIFT: constant(uint256) = 88
SPREAD_SHIFT: constant(uint256) = 112
OPEN_INTEREST: constant(uint256) = 2**88 - 1

GOVERNOR: immutable(address)
ORACLE: immutable(IOracle)
SURFACES: immutable(ISurfaces)

# By underlying: [step 56 | tenor_max 32 | period 24 | offset 24 | lot_exponent 8 | feed 8 |
# enabled 1]; its feed is the reference of the quantum, and the forward of slots without their own
grids: uint256[UNDERLYINGS_MAX]
# By underlying: the epoch word [quantum 56 | reference 56 | psr 20 | started_at 40 | count 8], then
# the grid's [lot_exponent 8 | feed 8], so that pricing reads one word, and the exposure limits of
# each expiry, [vega 30 | gamma 30] in thousands of USD, 0: none
epochs: uint256[UNDERLYINGS_MAX]
# By underlying and slot: [expiry 40 | strikes 8 | feed of its forward plus one, 0: the grid's, 16],
# then its series: [delta 70 | vega 70 | open 52], lots of its options times |delta| (2**-20), times
# vega (2**-20 of the forward), and all open lots, the future's too
expiries: uint256[UNDERLYINGS_MAX * SLOTS_MAX]
# By underlying and slot: strikes in the order of listing, four of 64 bits a word
strikes: uint256[UNDERLYINGS_MAX * SLOTS_MAX * STRIKES_MAX // 4]
# By id without its lowest bit, which call and put of a strike share: the words of docs/SPEC.md §12,
# and beside them [open interest of the call or the future 44 | of the put 44 | vega 24 in 2**-24 of
# the forward | sigma T at the money 60 in 2**-56], which margin does not read
arrays: uint256[2**19]
infos: uint256[2**19]
interests: uint256[2**19]


@deploy
def __init__(governor: address, oracle: address, surfaces: address):
    GOVERNOR = governor
    ORACLE = IOracle(oracle)
    SURFACES = ISurfaces(surfaces)


@external
def set_grid(underlying: uint256, word: uint256):
    """
    @notice The grid on which options of `underlying` may be listed. The lot exponent is for good:
            all its options share one lot, so that their arrays may be added. What is listed stays.
    @custom:errors NotAuthorized, OutOfBounds, BadTerms
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    step: uint256 = word & M56
    tenor: uint256 = (word >> 56) & M32
    period: uint256 = (word >> 88) & M24
    lot_exponent: uint256 = (word >> 136) & M8
    in_bounds: bool = underlying < UNDERLYINGS_MAX and word >> GRID_BITS == 0 and step != 0
    in_bounds = in_bounds and TENOR_MIN <= tenor and tenor <= TENOR_MAX
    in_bounds = in_bounds and PERIOD_MIN <= period and period <= PERIOD_MAX
    in_bounds = in_bounds and (word >> 112) & M24 < period
    in_bounds = in_bounds and LOT_EXPONENT_MIN <= lot_exponent and lot_exponent <= LOT_EXPONENT_MAX
    errors.require(in_bounds, errors.OutOfBounds)
    old: uint256 = self.grids[underlying]
    errors.require(old == 0 or (old >> 136) & M8 == lot_exponent, errors.BadTerms)
    self.grids[underlying] = word
    kept: uint256 = self.epochs[underlying] & ~(M16 << EPOCH_BITS)
    self.epochs[underlying] = kept | (((word >> 136) & M16) << EPOCH_BITS)
    log GridSet(underlying=underlying, word=word)


@external
def set_forward_feed(underlying: uint256, slot: uint256, entry: uint256):
    """
    @notice Whose mark is the forward of a slot: feed `entry` - 1, or for 0 the grid's feed.
    @custom:errors NotAuthorized, OutOfBounds
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(
        underlying < UNDERLYINGS_MAX and slot < SLOTS_MAX and entry <= FEEDS_MAX,
        errors.OutOfBounds,
    )
    self._set_forward_feed(underlying, slot, entry)


@external
def list_expiry(underlying: uint256, expiry: uint256) -> uint256:
    """
    @notice List an expiry on the grid and its future, without strikes yet; anyone may. Takes the
            slot of an expiry that is over, if nothing of it is open; a forward feed of its own goes
            with it, that it does not price the next. Returns the slot.
    @custom:errors ListingClosed, ExpiryOffGrid, MissingExpiry, AlreadyListed, SlotInUse
    """
    grid: uint256 = self._open_grid(underlying)
    on_grid: bool = expiry > block.timestamp
    on_grid = on_grid and expiry - block.timestamp <= (grid >> 56) & M32
    on_grid = on_grid and expiry % ((grid >> 88) & M24) == (grid >> 112) & M24
    errors.require(on_grid, errors.ExpiryOffGrid)
    slot: uint256 = staticcall SURFACES.slot_of(underlying, expiry)
    assert slot < SLOTS_MAX
    key: uint256 = (underlying << 4) | slot  # both below 16
    old: uint256 = self.expiries[key]
    errors.require(old & M40 != expiry, errors.AlreadyListed)
    # strictly: an order on the old one may live until its very second
    errors.require(old & M40 < block.timestamp, errors.SlotInUse)
    if old & M40 != 0:
        errors.require(old >> OPEN_SHIFT == 0, errors.SlotInUse)
        self._clear(underlying, slot, (old >> STRIKES_SHIFT) & M8)
        if (old >> FEED_SHIFT) & M16 != 0:
            self._set_forward_feed(underlying, slot, 0)
    self.expiries[key] = expiry | (self.expiries[key] & (M16 << FEED_SHIFT))
    log ExpiryListed(underlying=underlying, slot=slot, expiry=expiry)
    return slot


@external
def list_strike(underlying: uint256, slot: uint256, strike: uint256) -> uint256:
    """
    @notice List the call and the put of one strike (oracle units) of a listed expiry; anyone may.
            Returns the call's id.
    @custom:errors ListingClosed, UnknownInstrument, StrikeOffGrid, StalePrice, StrikeOutOfRange,
        AlreadyListed, TooManyItems
    """
    grid: uint256 = self._open_grid(underlying)
    count: uint256 = self._live(underlying, slot)[1]
    errors.require(strike % (grid & M56) == 0, errors.StrikeOffGrid)
    forward: uint256 = self._fresh_mark(self._feed_of(underlying, slot), self._stale_after())
    # unsafe: a mark has 56 bits, and so has a strike that gets as far as to be multiplied
    in_range: bool = strike <= PRICE_MAX and strike <= unsafe_mul(forward, STRIKE_REACH)
    in_range = in_range and unsafe_mul(strike, STRIKE_REACH) >= forward
    errors.require(in_range, errors.StrikeOutOfRange)
    listed: DynArray[uint256, STRIKES_MAX] = self._strikes(underlying, slot, count)
    errors.require(strike not in listed, errors.AlreadyListed)
    errors.require(count < STRIKES_MAX, errors.TooManyItems)

    key: uint256 = (underlying << 4) | slot  # both below 16
    at: uint256 = (key << 3) | (count >> 2)  # four a word: 32 are eight words
    word: uint256 = strike
    if count % 4 != 0:  # the first of a word clears what an earlier expiry left in it
        word = self.strikes[at] | (strike << ((count & 3) << 6))
    self.strikes[at] = word
    self.expiries[key] += 1 << STRIKES_SHIFT  # below 32 before: eight bits
    id: uint256 = option_id.call_id(underlying, slot, count)
    log StrikeListed(underlying=underlying, slot=slot, id=id, strike=strike)
    return id


@external
@view
@reentrant
def grid(underlying: uint256) -> uint256:
    """@notice The grid word of an underlying; 0: none."""
    return self.grids[underlying]


@external
@view
@reentrant
def forward_feed(underlying: uint256, slot: uint256) -> uint256:
    """@notice The feed whose mark is the forward of a slot. Errors: UnknownInstrument."""
    errors.require(underlying < UNDERLYINGS_MAX and slot < SLOTS_MAX, errors.UnknownInstrument)
    return self._feed_of(underlying, slot)


@external
@view
@reentrant
def expiry_of(underlying: uint256, slot: uint256) -> (uint256, uint256):
    """
    @notice Expiry of a slot, also once it is over (0: none), and the mark of the feed of its
            forward, however old. Errors: UnknownInstrument.
    """
    errors.require(underlying < UNDERLYINGS_MAX and slot < SLOTS_MAX, errors.UnknownInstrument)
    mark: uint256 = self._mark(self._feed_of(underlying, slot))
    return self.expiries[(underlying << 4) | slot] & M40, mark  # both below 16


@external
@view
@reentrant
def listed(underlying: uint256, slot: uint256) -> (uint256, DynArray[uint256, STRIKES_MAX]):
    """
    @notice Expiry and strikes of a slot, in the order of their indices; an expiry that is over
            stays until another takes its slot. Errors: UnknownInstrument.
    """
    errors.require(underlying < UNDERLYINGS_MAX and slot < SLOTS_MAX, errors.UnknownInstrument)
    word: uint256 = self.expiries[(underlying << 4) | slot]
    return word & M40, self._strikes(underlying, slot, (word >> STRIKES_SHIFT) & M8)


@external
@view
@reentrant
def terms(id: uint256) -> (uint256, uint256):
    """
    @notice Expiry and strike of a listed option, also after it has expired. Errors:
            UnknownInstrument.
    """
    return self._terms(id)


@internal
@view
def _terms(id: uint256) -> (uint256, uint256):
    """@notice Expiry and strike of a listed option. Errors: UnknownInstrument."""
    errors.require(option_id.is_option(id), errors.UnknownInstrument)
    key: uint256 = option_id.place(id)
    word: uint256 = self.expiries[key]
    index: uint256 = option_id.strike_index(id)
    errors.require(index < (word >> STRIKES_SHIFT) & M8, errors.UnknownInstrument)
    return word & M40, self._strike(key, index)


@internal
@view
def _strike(key: uint256, index: uint256) -> uint256:
    """@notice A strike (index below 32) of the slot at `key` (below 256)."""
    packed: uint256 = self.strikes[(key << 3) | (index >> 2)]  # eight words each
    return (packed >> ((index & 3) << 6)) & M64


@internal
@view
def _open_grid(underlying: uint256) -> uint256:
    """@notice The grid, if listing on it is open. Errors: ListingClosed."""
    errors.require(underlying < UNDERLYINGS_MAX, errors.ListingClosed)
    grid: uint256 = self.grids[underlying]
    errors.require(grid >> 152 == 1, errors.ListingClosed)
    return grid


@internal
@view
def _live(underlying: uint256, slot: uint256) -> (uint256, uint256):
    """@notice Expiry of a slot and how many strikes it has; not over. Errors: UnknownInstrument."""
    errors.require(underlying < UNDERLYINGS_MAX and slot < SLOTS_MAX, errors.UnknownInstrument)
    word: uint256 = self.expiries[(underlying << 4) | slot]
    errors.require(word & M40 > block.timestamp, errors.UnknownInstrument)
    return word & M40, (word >> STRIKES_SHIFT) & M8


@internal
@view
def _strikes(
    underlying: uint256, slot: uint256, count: uint256
) -> DynArray[uint256, STRIKES_MAX]:
    """@notice The first `count` (at most 32) strikes of a slot."""
    found: DynArray[uint256, STRIKES_MAX] = []
    at: uint256 = ((underlying << 4) | slot) << 3  # eight words each; both below 16
    word: uint256 = 0
    for i: uint256 in range(count, bound=STRIKES_MAX):
        if i % 4 == 0:
            word = self.strikes[at | (i >> 2)]
        found.append(word & M64)
        word = word >> 64
    return found


@internal
def _clear(underlying: uint256, slot: uint256, count: uint256):
    """@notice Forget a slot's words, that none of them serves the next expiry's instruments."""
    self.interests[option_id.future_id(underlying, slot) >> 1] = 0
    for i: uint256 in range(count, bound=STRIKES_MAX):
        strike: uint256 = option_id.call_id(underlying, slot, i) >> 1
        self.infos[strike] = 0
        self.interests[strike] = 0


@internal
def _set_forward_feed(underlying: uint256, slot: uint256, entry: uint256):
    """@notice Keep the entry (at most 256) of a slot."""
    key: uint256 = (underlying << 4) | slot  # both below 16
    kept: uint256 = self.expiries[key] & ~(M16 << FEED_SHIFT)
    self.expiries[key] = kept | (entry << FEED_SHIFT)
    log ForwardFeedSet(underlying=underlying, slot=slot, entry=entry)


@internal
@view
def _feed_of(underlying: uint256, slot: uint256) -> uint256:
    """@notice The feed whose mark is the forward of a slot."""
    # both below 16
    entry: uint256 = (self.expiries[(underlying << 4) | slot] >> FEED_SHIFT) & M16
    if entry != 0:
        return unsafe_sub(entry, 1)  # not zero
    return self._grid_feed(underlying)


@internal
@view
def _grid_feed(underlying: uint256) -> uint256:
    """@notice The feed of the grid: the reference of quanta."""
    return (self.epochs[underlying] >> GRID_FEED_SHIFT) & M8


@internal
@view
def _epoch(underlying: uint256) -> uint256:
    """@notice The stored epoch word; 0 before the first."""
    return self.epochs[underlying] & ((1 << EPOCH_BITS) - 1)


@internal
@view
def _stale_after() -> uint256:
    """@notice How old (seconds) a price or a surface may be."""
    return (staticcall ORACLE.status() >> 144) & M16


@internal
@view
def _price(feed: uint256) -> uint256:
    """@notice The Oracle's word of a feed; 0 before its first price."""
    return staticcall ORACLE.feed(feed)


@internal
@view
def _mark(feed: uint256) -> uint256:
    """@notice The mark of a feed, however old; 0 before its first."""
    return (self._price(feed) >> 56) & M56


@internal
@view
def _fresh_mark(feed: uint256, stale_after: uint256) -> uint256:
    """@notice The mark of a feed. Errors: StalePrice, also for a feed without a price."""
    word: uint256 = self._price(feed)
    seen_at: uint256 = (word >> 192) & M32
    # 32 and 16 bits
    errors.require(block.timestamp <= unsafe_add(seen_at, stale_after), errors.StalePrice)
    return (word >> 56) & M56
