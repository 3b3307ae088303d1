# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option arrays: the stored words of listed options, refreshed by anyone (docs/SPEC.md §14;
        twin of novate/model/options.py)
@notice Begins the epochs: quantum and scan range that all arrays of an underlying share, so that
        lanes of two quanta are never added. An expiry is always refreshed whole, and with it what
        its open interest amounts to. Prices and the quantum in oracle units, psr in ppm; the
        quantum is rounded up, marks and Greeks down.
"""

from interfaces import IArrayBuilder
from interfaces import IClearinghouse
from interfaces import IRiskParameters
from lib import black76
from lib import errors
from lib import fixed_point
from lib import lanes
from lib import option_id
from lib import surface
from lib import units
import option_listing

uses: option_listing

event EpochStarted:
    underlying: indexed(uint256)
    word: uint256

event ArraysRefreshed:
    underlying: indexed(uint256)
    slot: indexed(uint256)
    generation: uint256
    forward: uint256
    words: uint256

IDS_MAX: constant(uint256) = 16
DAY_S: constant(uint256) = 86_400
YEAR_S: constant(uint256) = 31_536_000
EPOCH_MOVE_INVERSE: constant(uint256) = 10
DELTA_ONE: constant(uint256) = 2**20
PSR_MAX: constant(uint256) = 900_000
QUANTUM_DIVISOR: constant(uint256) = 2**15 * 10**6
M8: constant(uint256) = 2**8 - 1
M20: constant(uint256) = 2**20 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M56: constant(uint256) = 2**56 - 1
# in an interest word; the lowest four bits of vega are left out
VEGA_SHIFT: constant(uint256) = option_listing.VEGA_OF_STRIKE_SHIFT + 4
# in an info word
GENERATION_SHIFT: constant(uint256) = 244
# delta and vega of an expiry's word
SUMS: constant(uint256) = (2**140 - 1) << 64

CLEARINGHOUSE: immutable(IClearinghouse)
BUILDER: immutable(IArrayBuilder)


@deploy
def __init__(clearinghouse: address, builder: address):
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    BUILDER = IArrayBuilder(builder)


@external
def refresh(underlying: uint256, slot: uint256) -> uint256:
    """
    @notice Build the arrays of all strikes of one expiry anew, at the forward and the surface of
            now; anyone may. Returns how many words were written.
    @custom:errors UnknownInstrument, StalePrice, StaleSurface
    """
    expiry: uint256 = 0
    count: uint256 = 0
    expiry, count = option_listing._live(underlying, slot)
    stale_after: uint256 = option_listing._stale_after()
    feed: uint256 = option_listing._feed_of(underlying, slot)
    forward: uint256 = option_listing._fresh_mark(feed, stale_after)
    word: uint256 = self._fresh_surface(underlying, slot, expiry, stale_after)
    epoch: uint256 = self._begin(underlying, feed, stale_after)
    generation: uint256 = self._generation(underlying, epoch)
    built: DynArray[uint256[3], option_listing.STRIKES_MAX] = staticcall BUILDER.build_expiry(
        forward,
        expiry - block.timestamp,
        word,
        (epoch >> 112) & M20,
        epoch & M56,
        option_listing._strikes(underlying, slot, count),
    )
    spread: uint256 = self._spread(word) << option_listing.SPREAD_SHIFT
    self._store(underlying, slot, built, generation << GENERATION_SHIFT, spread)
    log ArraysRefreshed(
        underlying=underlying,
        slot=slot,
        generation=generation,
        forward=forward,
        words=3 * count,
    )
    return 3 * count


@external
@view
@reentrant
def words(ids: DynArray[uint256, IDS_MAX]) -> DynArray[uint256[3], IDS_MAX]:
    """
    @notice Array, info and interest word of each option's strike, as stored; the info is zero if it
            is not listed or was never refreshed. Errors: UnknownInstrument for what is no option's
            id.
    """
    found: DynArray[uint256[3], IDS_MAX] = []
    for id: uint256 in ids:
        errors.require(option_id.is_option(id), errors.UnknownInstrument)
        strike: uint256 = id >> 1
        info: uint256 = option_listing.infos[strike]
        found.append([option_listing.arrays[strike], info, option_listing.interests[strike]])
    return found


@external
@view
@reentrant
def epoch(underlying: uint256) -> uint256:
    """@notice The epoch word of an underlying; 0 before its first refresh."""
    return option_listing._epoch(underlying)


@external
@view
@reentrant
def epoch_now(underlying: uint256) -> uint256:
    """
    @notice The epoch word in force, or the one that a refresh would begin now, at the last price
            even if it is old; 0 before any price.
    """
    return self._epoch_now(underlying)


@external
@view
@reentrant
def generation(underlying: uint256) -> uint256:
    """@notice What a usable array of `underlying` is stamped with: surfaces plus epochs so far."""
    return self._generation(underlying, option_listing._epoch(underlying))


@external
@view
@reentrant
def greeks(id: uint256) -> black76.Greeks:
    """
    @notice Price, delta, gamma, vega (per 1.00 of volatility) and theta (per year) of a base unit,
            wad, at the forward and the surface of now.
    @custom:errors UnknownInstrument, StalePrice, StaleSurface
    """
    expiry: uint256 = 0
    strike: uint256 = 0
    expiry, strike = option_listing._terms(id)
    errors.require(block.timestamp < expiry, errors.UnknownInstrument)
    underlying: uint256 = option_id.underlying(id)
    slot: uint256 = option_id.slot(id)
    stale_after: uint256 = option_listing._stale_after()
    feed: uint256 = option_listing._feed_of(underlying, slot)
    forward: uint256 = option_listing._fresh_mark(feed, stale_after)
    word: uint256 = self._fresh_surface(underlying, slot, expiry, stale_after)
    seconds: uint256 = expiry - block.timestamp
    k: int256 = fixed_point.log_ratio(strike, forward)
    variance: uint256 = surface.total_variance_at(word, k, block.timestamp)
    # |k| < 40 for prices of 56 bits: variance below 2**104 at x96, times 2**25 and 2**120
    sigma: uint256 = self._root((variance * YEAR_S * (units.WAD * units.WAD) // seconds) >> 96)
    return black76.black76(
        forward * units.ORACLE_UNIT,
        strike * units.ORACLE_UNIT,
        sigma,
        seconds,
        not option_id.is_put(id),
    )


@internal
def _store(
    underlying: uint256,
    slot: uint256,
    built: DynArray[uint256[3], option_listing.STRIKES_MAX],
    generation: uint256,
    spread: uint256,
):
    """
    @notice Keep the words of all strikes, the open interest of each as it was, and sum up what it
            amounts to. Generation and spread are where they stand in their words.
    """
    strike: uint256 = option_id.call_id(underlying, slot, 0) >> 1
    # 64 options of less than 2**44 lots, |delta| at most 2**20, vega below 2**20: sums below 2**70
    delta: uint256 = 0
    vega: uint256 = 0
    for words: uint256[3] in built:
        open: uint256 = option_listing.interests[strike] & option_listing.OPEN_INTEREST
        beside: uint256 = open | (words[2] << option_listing.VEGA_OF_STRIKE_SHIFT) | spread
        option_listing.arrays[strike] = words[0]
        option_listing.infos[strike] = words[1] | generation
        option_listing.interests[strike] = beside
        if open != 0:
            of_call: uint256 = open & option_listing.M44
            of_put: uint256 = open >> option_listing.PUT_INTEREST_SHIFT
            delta = unsafe_add(delta, unsafe_mul(of_call, self._size_of_delta(words[1], False)))
            delta = unsafe_add(delta, unsafe_mul(of_put, self._size_of_delta(words[1], True)))
            # both have the same vega
            each: uint256 = self._vega_of(beside)
            vega = unsafe_add(vega, unsafe_mul(unsafe_add(of_call, of_put), each))
        # at most 32 strikes: within 19 bits
        strike = unsafe_add(strike, 1 << (option_id.STRIKE_SHIFT - 1))
    key: uint256 = (underlying << 4) | slot  # both below 16
    sums: uint256 = delta << option_listing.DELTA_SHIFT
    sums |= vega << option_listing.VEGA_SHIFT
    option_listing.expiries[key] = (option_listing.expiries[key] & ~SUMS) | sums


@internal
@pure
def _size_of_delta(info: uint256, is_put: bool) -> uint256:
    """@notice |delta| of a call or put by their info word, in 2**-20, rounded down."""
    delta: uint256 = (info >> lanes.DELTA_SHIFT) & lanes.DELTA_MASK
    if is_put:
        delta = unsafe_sub(2**30, delta)  # a call's is within [0, 1]
    return delta >> 10


@internal
@pure
def _vega_of(beside: uint256) -> uint256:
    """@notice Vega of an interest word, in 2**-20 of the forward, rounded down."""
    return (beside >> VEGA_SHIFT) & M20


@internal
def _begin(underlying: uint256, feed: uint256, stale_after: uint256) -> uint256:
    """@notice The epoch word in force, which begins now if it must. Errors: StalePrice."""
    grid_feed: uint256 = option_listing._grid_feed(underlying)
    if feed != grid_feed:
        option_listing._fresh_mark(grid_feed, stale_after)
    word: uint256 = self._epoch_now(underlying)
    if word != option_listing._epoch(underlying):
        grid: uint256 = option_listing.epochs[underlying] >> option_listing.EPOCH_BITS
        option_listing.epochs[underlying] = word | (grid << option_listing.EPOCH_BITS)
        log EpochStarted(underlying=underlying, word=word)
    return word


@internal
@view
def _epoch_now(underlying: uint256) -> uint256:
    """@notice The epoch word in force, or the one that would begin now."""
    reference: uint256 = option_listing._mark(option_listing._grid_feed(underlying))
    return self._epoch(underlying, option_listing._epoch(underlying), reference, 0)


@internal
@view
def _epoch(underlying: uint256, old: uint256, reference: uint256, given: uint256) -> uint256:
    """
    @notice The epoch word `old`, or a new one once the reference has left a tenth around its own,
            or the scan range (`given`, or asked for if that is zero) has changed. The reference is
            the mark of the grid's feed for all expiries: were it the forward of the one refreshed,
            two of them apart could end each other's epochs.
    """
    if reference == 0:
        return old
    psr: uint256 = given
    if psr == 0:
        psr = self._psr(underlying)
    before: uint256 = (old >> 56) & M56
    # unsafe: marks have 56 bits, psr has 20, an epoch word has 180
    move: uint256 = unsafe_sub(reference, before)
    if reference < before:
        move = unsafe_sub(before, reference)
    if unsafe_mul(move, EPOCH_MOVE_INVERSE) <= before and (old >> 112) & M20 == psr:
        return old
    quantum: uint256 = units.div_up(unsafe_mul(reference << 2, psr), QUANTUM_DIVISOR)
    count: uint256 = unsafe_add(old >> 172, 1) & M8
    word: uint256 = quantum | (reference << 56) | (psr << 112)
    return word | (block.timestamp << 132) | (count << 172)


@internal
@view
def _psr(underlying: uint256) -> uint256:
    """
    @notice The scan range (ppm) of arrays: the target, or while a change ramps in the larger of its
            two ends; the widest that arrays take while there are no parameters. Never less than
            what stands now or is to come, as one array serves both margins; and constant over the
            ramp, as every other range is another epoch.
    """
    model: address = (staticcall CLEARINGHOUSE.risk_model()).address
    word: uint256 = staticcall IRiskParameters(model).parameters(underlying)
    if word == 0:
        return PSR_MAX
    target: uint256 = (word >> 20) & M20
    if block.timestamp >= unsafe_add((word >> 40) & M32, DAY_S):  # 32 bits
        return target
    return max(word & M20, target)


@internal
@pure
def _root(x: uint256) -> uint256:
    """@notice The square root, rounded down, in one place: the compiler writes it out at each."""
    return isqrt(x)


@internal
@view
def _spread(word: uint256) -> uint256:
    """
    @notice sigma T at the money of a surface word whose expiry is to come, from now on, in 2**-56,
            rounded down: below 2**60, as theta and T are at most 75 and 3 years.
    """
    # theta has 64 bits, times 40 and 40, 56 more
    left: uint256 = unsafe_sub((word >> 156) & M40, block.timestamp)
    theta: uint256 = unsafe_mul(word & (2**64 - 1), left)
    theta = unsafe_div(theta, unsafe_sub((word >> 156) & M40, word >> 196))
    return self._root(unsafe_div(unsafe_mul(theta, left) << 56, YEAR_S))


@internal
@view
def _surface(underlying: uint256, slot: uint256) -> uint256:
    """@notice The surface word in a slot."""
    return staticcall option_listing.SURFACES.surface(underlying, slot)


@internal
@view
def _fresh_surface(
    underlying: uint256, slot: uint256, expiry: uint256, stale_after: uint256
) -> uint256:
    """@notice The surface word of a slot. Errors: StaleSurface, if old or of another expiry."""
    word: uint256 = self._surface(underlying, slot)
    fresh: bool = (word >> 156) & M40 == expiry
    # 40 and 16 bits
    fresh = fresh and block.timestamp <= unsafe_add((word >> 196) & M40, stale_after)
    errors.require(fresh, errors.StaleSurface)
    return word


@internal
@view
def _generation(underlying: uint256, epoch: uint256) -> uint256:
    """
    @notice Surfaces and epochs so far, modulo 256: neither counter ever falls, so the sum changes
            whenever one of them does.
    """
    surfaces: uint256 = staticcall option_listing.SURFACES.generation(underlying)
    return (surfaces + (epoch >> 172)) & M8
