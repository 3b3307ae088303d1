# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option series: open interest of options and dated futures, its limits, and settlement
        (docs/SPEC.md §14; twin of novate/model/option_series.py)
@notice Owns the exposure limits; open interest by instrument and expiry stands in option_listing.
        The Clearinghouse alone moves open interest. Prices in oracle units, interest in lots,
        limits in thousands of USD; sums of delta and vega are never below zero, rooms are rounded
        down.
"""

from lib import errors
from lib import lanes
from lib import option_id
from lib import units
import option_arrays
import option_lanes
import option_listing

uses: option_arrays
uses: option_lanes
uses: option_listing

event ExposureLimitsSet:
    underlying: indexed(uint256)
    vega_limit: uint256
    gamma_limit: uint256

OPEN: constant(uint256) = 1
REDUCTIONS_ONLY: constant(uint256) = 2
OVER: constant(uint256) = 3
CLOSING_S: constant(uint256) = 1_800
LIMIT_MAX: constant(uint256) = 2**30 - 1
ROOM_MAX: constant(uint256) = 2**44 - 1
# a thousand USD (wad) over the forward in oracle units, in 2**-20: 1e21 * 1e18 / 1e8 * 2**20
LIMIT_SCALE: constant(uint256) = 10**31 * 2**20
M8: constant(uint256) = 2**8 - 1
M20: constant(uint256) = 2**20 - 1
M40: constant(uint256) = 2**40 - 1
M56: constant(uint256) = 2**56 - 1



@external
def set_exposure_limits(underlying: uint256, vega_limit: uint256, gamma_limit: uint256):
    """
    @notice How much the open interest of each expiry may amount to, in thousands of USD: vega per
            1.00 of volatility, gamma as the delta that a move of 1 % changes. 0: no limit. They
            stop increases only.
    @custom:errors NotAuthorized, OutOfBounds
    """
    errors.require(msg.sender == option_listing.GOVERNOR, errors.NotAuthorized)
    in_bounds: bool = underlying < option_listing.UNDERLYINGS_MAX
    in_bounds = in_bounds and vega_limit <= LIMIT_MAX and gamma_limit <= LIMIT_MAX
    errors.require(in_bounds, errors.OutOfBounds)
    kept: uint256 = option_listing.epochs[underlying] & (2**option_listing.LIMITS_SHIFT - 1)
    limits: uint256 = vega_limit | (gamma_limit << 30)
    option_listing.epochs[underlying] = kept | (limits << option_listing.LIMITS_SHIFT)
    log ExposureLimitsSet(
        underlying=underlying, vega_limit=vega_limit, gamma_limit=gamma_limit
    )


# No call leaves this function, so it needs no lock.
@external
@reentrant
def move_interest(id: uint256, change: int256):
    """
    @notice The open interest of a listed instrument changes by so many lots (within 2**44, and not
            below zero); what its expiry amounts to follows at the Greeks of the last refresh.
    @custom:errors NotAuthorized, UnknownInstrument
    """
    self._only_clearinghouse()
    key: uint256 = option_id.place(id)
    word: uint256 = option_listing.expiries[key]
    errors.require(option_lanes._is_listed(id, word), errors.UnknownInstrument)
    beside: uint256 = option_listing.interests[id >> 1]
    place: uint256 = self._shift(id)
    open: uint256 = (beside >> place) & option_listing.M44
    moved: uint256 = convert(convert(open, int256) + change, uint256)
    assert moved <= option_listing.M44
    option_listing.interests[id >> 1] = beside ^ ((open ^ moved) << place)
    delta: uint256 = 0
    vega: uint256 = 0
    delta, vega = self._amounts(id, beside)
    # 65 instruments of 44 bits
    lots: uint256 = word >> option_listing.OPEN_SHIFT
    lots = convert(convert(lots, int256) + change, uint256) << option_listing.OPEN_SHIFT
    delta = self._moved(word >> option_listing.DELTA_SHIFT, change, delta)
    vega = self._moved(word >> option_listing.VEGA_SHIFT, change, vega)
    lots |= (delta << option_listing.DELTA_SHIFT) | (vega << option_listing.VEGA_SHIFT)
    option_listing.expiries[key] = (word & option_listing.M64) | lots


@external
def close_interest(underlying: uint256, slot: uint256, lots: uint256):
    """
    @notice So many open lots of an expiry are settled: its slot is free again once all are.
    @custom:errors NotAuthorized
    """
    self._only_clearinghouse()
    key: uint256 = underlying * option_listing.SLOTS_MAX + slot
    word: uint256 = option_listing.expiries[key]
    open: uint256 = (word >> option_listing.OPEN_SHIFT) - lots
    word = word & ((1 << option_listing.OPEN_SHIFT) - 1)
    option_listing.expiries[key] = word | (open << option_listing.OPEN_SHIFT)


@external
@view
@reentrant
def interest(id: uint256) -> uint256:
    """
    @notice [open_interest 44 | room 44 | phase 8 | mark 56 | forward 56] of an option or a future;
            0 if it is not listed or has no price. Phases: 1 open, 2 reductions only, 3 expired.
            room: lots by which it may rise under the exposure limits of its expiry, all bits set
            without one. Mark and forward, at which margin values it, in oracle units; none of what
            expired, nor of an option whose stored words do not serve.
    """
    if not option_lanes._is_listed(id, option_listing.expiries[option_id.place(id)]):
        return 0
    stale_after: uint256 = option_listing._stale_after()
    shared: option_lanes.Frame = option_lanes._frame(
        id >> option_id.SLOT_SHIFT, empty(option_lanes.Frame), stale_after << 20
    )
    beside: uint256 = option_listing.interests[id >> 1]
    open: uint256 = (beside >> self._shift(id)) & option_listing.M44
    if shared.expiry <= block.timestamp:
        return open | (OVER << 88)
    if shared.forward == 0:
        return 0
    # of times of 40 and 32 bits the first is to come
    closing: bool = unsafe_sub(shared.expiry, block.timestamp) <= CLOSING_S
    closing = closing or block.timestamp > unsafe_add(shared.seen_at, stale_after)
    quote: uint256 = shared.forward | (shared.forward << 56)
    room: uint256 = ROOM_MAX
    if not option_id.is_future(id):
        closing = closing or shared.state == option_lanes.LIVE_OLD_SURFACE
        info: uint256 = option_listing.infos[id >> 1]
        spread: uint256 = beside >> option_listing.SPREAD_SHIFT
        if shared.is_stored and lanes.usable(
            info, shared.forward, block.timestamp, shared.generation
        ):
            quote = lanes.value(option_lanes._of(id, info), shared.forward)
            quote |= shared.forward << 56
        else:
            quote = 0
            spread = option_lanes._priced_by(shared)
            if spread == 0:
                return 0
            spread = option_arrays._spread(spread)
        room = self._room(shared, self._amounts(id, beside)[1], spread)
    phase: uint256 = REDUCTIONS_ONLY if closing else OPEN
    return open | (room << 44) | (phase << 88) | (quote << 96)


@external
@view
@reentrant
def settlement(
    underlying: uint256, slot: uint256
) -> (uint256, uint256, uint256, DynArray[uint256, option_listing.STRIKES_MAX]):
    """
    @notice The print of an expiry that is over (oracle units), the expiry, the lot exponent and the
            strikes.
    @custom:errors UnknownInstrument, ExpiryNotReached, MissingPrint
    """
    in_bounds: bool = underlying < option_listing.UNDERLYINGS_MAX
    in_bounds = in_bounds and slot < option_listing.SLOTS_MAX
    errors.require(in_bounds, errors.UnknownInstrument)
    word: uint256 = option_listing.expiries[(underlying << 4) | slot]
    expiry: uint256 = word & M40
    errors.require(expiry != 0, errors.UnknownInstrument)
    errors.require(expiry <= block.timestamp, errors.ExpiryNotReached)
    price: uint256 = staticcall option_listing.SURFACES.settlement_price(underlying, expiry)
    errors.require(price != 0, errors.MissingPrint)
    count: uint256 = (word >> option_listing.STRIKES_SHIFT) & M8
    lot_exponent: uint256 = (option_listing.grids[underlying] >> 136) & M8
    return price, expiry, lot_exponent, option_listing._strikes(underlying, slot, count)


@external
@view
@reentrant
def series(underlying: uint256, slot: uint256) -> uint256:
    """
    @notice [delta 80 | vega 80 | open 56] of an expiry: lots of its options times |delta| (2**-20)
            and times vega (2**-20 of the forward), and all its open lots.
    """
    word: uint256 = option_listing.expiries[underlying * option_listing.SLOTS_MAX + slot]
    delta: uint256 = (word >> option_listing.DELTA_SHIFT) & option_listing.M70
    vega: uint256 = (word >> option_listing.VEGA_SHIFT) & option_listing.M70
    return delta | (vega << 80) | ((word >> option_listing.OPEN_SHIFT) << 160)


@external
@view
@reentrant
def limits(underlying: uint256) -> (uint256, uint256):
    """@notice The exposure limits of each expiry, vega and gamma, thousands of USD; 0: none."""
    word: uint256 = option_listing.epochs[underlying] >> option_listing.LIMITS_SHIFT
    return word & LIMIT_MAX, word >> 30


@internal
@view
def _only_clearinghouse():
    """@notice Errors: NotAuthorized."""
    errors.require(msg.sender == option_arrays.CLEARINGHOUSE.address, errors.NotAuthorized)


@internal
@pure
def _shift(id: uint256) -> uint256:
    """@notice Where the open interest of an instrument stands in the interest word."""
    return unsafe_mul(id & option_id.PUT, option_listing.PUT_INTEREST_SHIFT)  # one bit


@internal
@view
def _amounts(id: uint256, beside: uint256) -> (uint256, uint256):
    """
    @notice |delta| (2**-20) and vega (2**-20 of the forward) of a lot as of the last refresh;
            before the first the most they may be, vega 0.4 times the root of the years left.
            Futures have none.
    """
    if option_id.is_future(id):
        return 0, 0
    info: uint256 = option_listing.infos[id >> 1]
    if info != 0:
        is_put: bool = option_id.is_put(id)
        return option_arrays._size_of_delta(info, is_put), option_arrays._vega_of(beside)
    expiry: uint256 = option_listing.expiries[option_id.place(id)] & M40
    left: uint256 = max(expiry, block.timestamp) - block.timestamp
    # a density is below 0.4; forty bits of seconds
    vega: uint256 = option_arrays._root((left << 40) // option_arrays.YEAR_S) * 4 // 10 + 1
    return option_arrays.DELTA_ONE, min(vega, M20)


@internal
@pure
def _moved(total: uint256, change: int256, each: uint256) -> uint256:
    """@notice The sum in the low 70 bits, which lots of `each` join or leave; not below zero."""
    kept: uint256 = total & option_listing.M70
    # at most 64 options of less than 2**44 lots, `each` at most 2**20: below 2**70
    amount: uint256 = unsafe_mul(units.magnitude(change), each)
    if change < 0:
        return unsafe_sub(kept, min(amount, kept))
    return unsafe_add(kept, amount)


@internal
@view
def _room(shared: option_lanes.Frame, vega: uint256, spread: uint256) -> uint256:
    """
    @notice Lots of this vega by which an option may still rise: what the limits leave of the
            expiry's vega, rounded down. gamma F^2 = vega / (sigma T), with the volatility at the
            money (`spread`), makes a limit of gamma one of vega.
    """
    word: uint256 = option_listing.epochs[(shared.place >> 4) & 15] >> option_listing.LIMITS_SHIFT
    if word == 0 or vega == 0:
        return ROOM_MAX
    limit: uint256 = word & LIMIT_MAX
    if limit == 0:
        limit = 2**128
    else:
        limit = limit << 56
    # unsafe: sigma T has 60 bits; limits are at most 2**128, times 2**123; a forward that prices
    # has 56 bits and is not zero, a lot has at most 10**19 wei
    if word >> 30 != 0:
        limit = min(limit, unsafe_mul(unsafe_mul(word >> 30, 100), spread))  # gamma per 1 %
    lot: uint256 = pow_mod256(10, (shared.head >> option_lanes.LOT_EXPONENT_SHIFT) & M8)
    cap: uint256 = unsafe_mul(limit, LIMIT_SCALE)
    cap = unsafe_div(cap, unsafe_mul(shared.forward, lot) << 56)
    total: uint256 = option_listing.expiries[shared.place & M8] >> option_listing.VEGA_SHIFT
    total = total & option_listing.M70
    return min((max(cap, total) - total) // vega, ROOM_MAX)
