# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option lanes: the words by which margin values options and dated futures, stored or built at
        once (docs/SPEC.md §14; twin of novate/model/option_lanes.py)
@notice Owns nothing; reads what is listed, its arrays, prices, surfaces and prints. What can be
        priced at all always has words: never reverts. Prices in oracle units, interest in lots,
        rounded down.
"""

from lib import lanes
from lib import option_id
import option_arrays
import option_listing

uses: option_arrays
uses: option_listing

LIVE: constant(uint256) = 1
LIVE_OLD_SURFACE: constant(uint256) = 2
EXPIRED: constant(uint256) = 3
PRINTED: constant(uint256) = 4
FRAMES_MAX: constant(uint256) = 4
# how many references a forward may be worth for its arrays to fit the quantum (docs/SPEC.md §14)
FORWARD_REACH: constant(uint256) = 64
NEUTRAL: constant(uint256) = 32_768 * (max_value(uint256) // 65_535)
DELTA_BITS: constant(uint256) = 20
INTEREST_MAX: constant(uint256) = 2**48 - 1
M8: constant(uint256) = 2**8 - 1
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M56: constant(uint256) = 2**56 - 1
# forward, timestamp and generation of an info word
STAMP: constant(uint256) = (M56 << 56) | (M32 << 212) | (M8 << 244)
# in a head word: [forward 56 | feed 8 | lot_exponent 8 | state 8 | interest 48]
FEED_SHIFT: constant(uint256) = 56
LOT_EXPONENT_SHIFT: constant(uint256) = 64
STATE_SHIFT: constant(uint256) = 72
INTEREST_SHIFT: constant(uint256) = 80


# IArrayBuilder's, with lists no longer than they are here: less memory
interface OneStrike:
    def build_expiry(
        forward: uint256,
        seconds: uint256,
        surface: uint256,
        psr: uint256,
        quantum: uint256,
        strikes: DynArray[uint256, 1],
    ) -> DynArray[uint256[4], 1]: view

struct Frame:                # what the instruments of one expiry share
    key: uint256             # underlying times 16 plus slot
    expiry: uint256          # 0: none is listed
    strikes: uint256
    forward: uint256         # or the print; 0: no price yet
    seen_at: uint256         # when the forward was
    state: uint256           # 0: of no expiry
    feed: uint256            # of the forward
    head: uint256            # of its options
    epoch: uint256           # that of now, 0 before any price
    is_stored: bool          # whether stored arrays may serve: it lives, and they are of that epoch
    generation: uint256


@external
@view
@reentrant
def lane_words(positions: uint256[4]) -> uint256[48]:
    """
    @notice Array, info and head word of up to sixteen packed positions, lane by lane; zeros where
            nothing dated is listed and priced. Never reverts.
    """
    found: uint256[48] = empty(uint256[48])
    frames: DynArray[Frame, FRAMES_MAX] = []
    shared: Frame = empty(Frame)
    shared.key = max_value(uint256)
    # what all infos that are usable now have in common, once one of them was found so
    stamp: uint256 = max_value(uint256)
    for i: uint256 in range(4):
        # unsafe: i <= 3, at <= 45
        word: uint256 = positions[i] >> 44
        at: uint256 = unsafe_mul(i, 12)
        for _: uint256 in range(4):
            if word == 0:
                break
            id: uint256 = word & M20
            if id >= option_id.DATED:
                key: uint256 = (id >> option_id.SLOT_SHIFT) & M8
                if shared.key != key:
                    before: Frame = shared
                    for place: uint256 in range(len(frames), bound=FRAMES_MAX):
                        if frames[place].key == key:
                            shared = frames[place]
                            break
                    if shared.key != key:
                        shared = self._frame(key, before)
                        if len(frames) < FRAMES_MAX:
                            frames.append(shared)
                    # whether an info is usable depends on forward and generation alone
                    if (
                        shared.forward != before.forward
                        or shared.generation != before.generation
                        or not shared.is_stored
                    ):
                        stamp = max_value(uint256)
                info: uint256 = option_listing.infos[id]
                if info & STAMP != stamp:
                    found[at], info, found[unsafe_add(at, 2)] = self._lane(shared, id, info)
                    found[unsafe_add(at, 1)] = info
                    # built at once or stored, what has these bits is of now; futures have none
                    if info & STAMP != 0 and shared.is_stored:
                        stamp = info & STAMP
                else:  # only what is listed there has been built since
                    found[at] = option_listing.arrays[id]
                    found[unsafe_add(at, 1)] = info
                    found[unsafe_add(at, 2)] = shared.head
            word = word >> 64
            at = unsafe_add(at, 3)
    return found


@internal
@pure
def _is_listed(id: uint256, word: uint256) -> bool:
    """@notice Whether an instrument is among those of its expiry's word, also after it is over."""
    if word & M40 == 0 or id >> 20 != 0:
        return False
    if option_id.is_future(id):
        return True
    strikes: uint256 = (word >> option_listing.STRIKES_SHIFT) & M8
    return option_id.is_option(id) and option_id.strike_index(id) < strikes


@internal
@view
def _frame(key: uint256, near: Frame) -> Frame:
    """
    @notice What the instruments of the slot at `key` (below 256) share; never reverts. `near` is
            another one of this call, from which is taken what is the same.
    """
    shared: Frame = empty(Frame)
    shared.key = key
    word: uint256 = option_listing.expiries[key]
    shared.expiry = word & M40
    if shared.expiry == 0:
        return shared
    shared.strikes = (word >> option_listing.STRIKES_SHIFT) & M8
    underlying: uint256 = key >> 4
    kept: uint256 = option_listing.epochs[underlying]
    grid_feed: uint256 = kept >> option_listing.GRID_FEED_SHIFT
    kept = kept & ((1 << option_listing.GRID_FEED_SHIFT) - 1)
    lot_exponent: uint256 = kept >> option_listing.EPOCH_BITS
    kept = kept & ((1 << option_listing.EPOCH_BITS) - 1)
    feed: uint256 = grid_feed
    entry: uint256 = (word >> option_listing.FEED_SHIFT) & M16
    if entry != 0:
        feed = unsafe_sub(entry, 1)  # not zero
    shared.state = LIVE
    if shared.expiry <= block.timestamp:
        shared.state = EXPIRED
        shared.forward = staticcall option_listing.SURFACES.settlement_price(
            underlying, shared.expiry
        )
    shared.feed = feed
    if shared.forward != 0:
        shared.state = PRINTED
    elif (
        shared.state == LIVE
        and (near.state == LIVE or near.state == LIVE_OLD_SURFACE)
        and near.key >> 4 == underlying
        and near.feed == feed
    ):
        shared.forward = near.forward
        shared.seen_at = near.seen_at
        shared.state = near.state
        shared.epoch = near.epoch
        shared.is_stored = near.is_stored
        shared.generation = near.generation
    else:
        price: uint256 = staticcall option_listing.ORACLE.feed(feed)
        shared.forward = (price >> 56) & M56
        shared.seen_at = (price >> 192) & M32
        reference: uint256 = shared.forward
        if feed != grid_feed:
            reference = option_arrays._mark(grid_feed)
        shared.epoch = option_arrays._epoch(underlying, kept, reference)
        if shared.state == LIVE:
            shared.is_stored = shared.epoch == kept
            status: uint256 = staticcall option_listing.SURFACES.status_of(underlying)
            shared.generation = (((status >> 104) & M8) + (shared.epoch >> 172)) & M8
            # every surface has all expiries that live, so that the newest one's time is this one's
            if block.timestamp > ((status >> 64) & M40) + option_listing._stale_after():
                shared.state = LIVE_OLD_SURFACE
    total: uint256 = ((word >> option_listing.DELTA_SHIFT) & option_listing.M70) >> DELTA_BITS
    shared.head = shared.forward | (feed << FEED_SHIFT) | (shared.state << STATE_SHIFT)
    shared.head |= lot_exponent << LOT_EXPONENT_SHIFT
    shared.head |= min(total, INTEREST_MAX) << INTEREST_SHIFT  # of 50 bits at most
    return shared


@internal
@view
def _lane(shared: Frame, id: uint256, info: uint256) -> (uint256, uint256, uint256):
    """@notice Array, info and head of one instrument, zeros if it is not listed or not priced."""
    if shared.forward == 0 or id & (option_id.UNUSED | option_id.FUTURE) != 0:
        if shared.forward == 0 or not option_id.is_future(id):
            return 0, 0, 0
        return self._future_lane(shared, info)
    if option_id.strike_index(id) >= shared.strikes:
        return 0, 0, 0
    if shared.is_stored:
        if lanes.usable(info, shared.forward, block.timestamp, shared.generation):
            return option_listing.arrays[id], info, shared.head
    return self._built(shared, id, info & option_listing.OPEN_INTEREST)


@internal
@view
def _future_lane(shared: Frame, info: uint256) -> (uint256, uint256, uint256):
    """@notice Words of a future: no array, and nothing but open interest in the info."""
    head: uint256 = shared.head & ((1 << INTEREST_SHIFT) - 1)
    if shared.state == LIVE_OLD_SURFACE:  # no surface prices it
        head ^= (LIVE ^ LIVE_OLD_SURFACE) << STATE_SHIFT
    return 0, info, head | ((info >> option_listing.INTEREST_SHIFT) << INTEREST_SHIFT)


@internal
@view
def _built(shared: Frame, id: uint256, kept: uint256) -> (uint256, uint256, uint256):
    """
    @notice Words of an option as of now: at the last surface, however old; intrinsic once expired,
            at the print for good. `kept` are the bits of its open interest.
    """
    strike: uint256 = option_listing._strike(shared.key, option_id.strike_index(id))
    if shared.state == PRINTED:
        mark: uint256 = 0
        if option_id.is_put(id):
            mark = max(strike, shared.forward) - shared.forward
        else:
            mark = max(strike, shared.forward) - strike
        return NEUTRAL, mark | (shared.forward << 56) | kept, shared.head
    if not self._is_priced(shared):
        return 0, 0, 0
    psr: uint256 = (shared.epoch >> 112) & M20
    quantum: uint256 = shared.epoch & M56
    if shared.state == EXPIRED:
        words: uint256[2] = staticcall option_arrays.BUILDER.build(
            shared.forward, strike, 0, 1, not option_id.is_put(id), psr, quantum
        )
        return words[0], words[1] | kept, shared.head
    built: DynArray[uint256[4], 1] = staticcall OneStrike(
        option_arrays.BUILDER.address
    ).build_expiry(
        shared.forward,
        shared.expiry - block.timestamp,
        self._surface(shared),
        psr,
        quantum,
        [strike],
    )
    kept_and_stamp: uint256 = kept | (shared.generation << option_arrays.GENERATION_SHIFT)
    if option_id.is_put(id):
        return built[0][2], built[0][3] | kept_and_stamp, shared.head
    return built[0][0], built[0][1] | kept_and_stamp, shared.head


@internal
@view
def _surface(shared: Frame) -> uint256:
    """@notice The surface word in an expiry's slot."""
    return staticcall option_listing.SURFACES.surface(shared.key >> 4, shared.key & 15)


@internal
@view
def _is_priced(shared: Frame) -> bool:
    """
    @notice Whether options of a listed expiry can be built: there is an epoch, whose lanes reach
            its forward, and as long as it lives a surface.
    """
    reference: uint256 = (shared.epoch >> 56) & M56
    if shared.forward == 0 or shared.forward > reference * FORWARD_REACH:
        return False
    return shared.state > LIVE_OLD_SURFACE or (
        (self._surface(shared) >> 156) & M40 == shared.expiry
    )
