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
# how many strikes are built at once: of calls and puts, a page of them
BUILT_MAX: constant(uint256) = 8
# in place of a head word: none has no state
TO_BUILD: constant(uint256) = 1
# what tells instruments of one expiry apart in an id
OWN_BITS: constant(uint256) = (1 << option_id.SLOT_SHIFT) - 1
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
EPOCH: constant(uint256) = (1 << option_listing.EPOCH_BITS) - 1
# in a head word: [forward 56 | feed 8 | lot_exponent 8 | state 8 | interest 48]
FEED_SHIFT: constant(uint256) = 56
LOT_EXPONENT_SHIFT: constant(uint256) = 64
STATE_SHIFT: constant(uint256) = 72
INTEREST_SHIFT: constant(uint256) = 80


# IArrayBuilder's, with lists no longer than they are here: less memory
interface FewStrikes:
    def build_expiry(
        forward: uint256,
        seconds: uint256,
        surface: uint256,
        psr: uint256,
        quantum: uint256,
        strikes: DynArray[uint256, BUILT_MAX],
    ) -> DynArray[uint256[3], BUILT_MAX]: view

struct Frame:                # what the instruments of one expiry share
    place: uint256           # their ids without what tells them apart; 0: none
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

struct Page:
    lanes: uint256[3][16]    # array, info, head
    epoch: uint256           # of now, of the last dated lane's underlying; 0: no lane needs it


@external
@view
@reentrant
def lane_words(positions: uint256[4], known: uint256 = 0) -> Page:
    """
    @notice Array, info (a put's as `lanes.of_put` has it) and head word of up to sixteen packed
            positions, lane by lane; zeros where nothing dated is listed and priced; and the epoch
            word of now. Never reverts.
    @param known [scan range of arrays 20 | the Oracle's stale_after 16], if the caller has them and
        all positions are of one underlying; 0: asked for here
    """
    page: Page = empty(Page)
    shared: Frame = empty(Frame)
    for i: uint256 in range(4):
        rest: uint256 = positions[i] >> 44
        for j: uint256 in range(4):
            if rest == 0:
                break
            lane: uint256 = unsafe_add(unsafe_mul(i, 4), j)  # both at most 3
            id: uint256 = rest & M20
            rest = rest >> 64
            if id >> option_id.SLOT_SHIFT != shared.place:
                if id < option_id.DATED:
                    continue
                shared = self._frame(id >> option_id.SLOT_SHIFT, shared, known)
            if page.lanes[lane][2] == 0:  # else built along with another one
                words: uint256[3] = self._lane(shared, id)
                if words[2] != TO_BUILD:
                    page.lanes[lane] = words
                    continue
                slots: uint256 = 0
                strikes: DynArray[uint256, BUILT_MAX] = []
                slots, strikes = self._wanted(shared, positions, lane)
                surface: uint256 = self._priced_by(shared)
                if surface == 0:
                    continue
                built: DynArray[uint256[3], BUILT_MAX] = staticcall FewStrikes(
                    option_arrays.BUILDER.address
                ).build_expiry(
                    shared.forward,
                    shared.expiry - block.timestamp,
                    surface,
                    (shared.epoch >> 112) & M20,
                    shared.epoch & M56,
                    strikes,
                )
                for at: uint256 in range(lane, 16, bound=16):
                    if slots == 0:
                        break
                    place: uint256 = (slots >> option_id.SLOT_SHIFT) & 15
                    if place != 0:
                        made: uint256[3] = built[unsafe_sub(place, 1)]
                        info: uint256 = shared.generation << option_arrays.GENERATION_SHIFT
                        info |= made[1]
                        page.lanes[at] = [made[0], self._of(slots, info), shared.head]
                    slots = slots >> 16
    page.epoch = shared.epoch
    return page


@external
@view
@reentrant
def usable(id: uint256) -> bool:
    """
    @notice Whether the stored array of an option may be used now: not expired, at most 60 s old,
            the forward within 25 bp of its own, surface and epoch the same, and the epoch one that
            a refresh would leave in force.
    """
    if not option_id.is_option(id):
        return False
    shared: Frame = self._frame(id >> option_id.SLOT_SHIFT, empty(Frame), 0)
    if not shared.is_stored:
        return False
    info: uint256 = option_listing.infos[id >> 1]
    return lanes.usable(info, shared.forward, block.timestamp, shared.generation)


@internal
@pure
def _of(id: uint256, info: uint256) -> uint256:
    """@notice The info word of a strike as its call or its put has it, by the id's lowest bit."""
    return lanes.of_put(info) if option_id.is_put(id) else info


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
def _frame(place: uint256, near: Frame, known: uint256) -> Frame:
    """
    @notice What the instruments at `place` (9 bits, dated) share; never reverts. `near` is another
            one of this call, from which is taken what is the same; `known` as in `lane_words`.
    """
    shared: Frame = empty(Frame)
    shared.place = place
    is_near: bool = near.place >> 4 == place >> 4
    if is_near:
        shared.epoch = near.epoch
    word: uint256 = option_listing.expiries[place & M8]
    shared.expiry = word & M40
    if shared.expiry == 0:
        return shared
    shared.strikes = (word >> option_listing.STRIKES_SHIFT) & M8
    underlying: uint256 = (place >> 4) & 15
    kept: uint256 = option_listing.epochs[underlying]
    grid_feed: uint256 = (kept >> option_listing.GRID_FEED_SHIFT) & M8
    lot_exponent: uint256 = (kept >> option_listing.EPOCH_BITS) & M8
    kept = kept & EPOCH
    entry: uint256 = (word >> option_listing.FEED_SHIFT) & M16
    shared.feed = grid_feed
    if entry != 0:
        shared.feed = unsafe_sub(entry, 1)  # not zero
    shared.state = LIVE
    if shared.expiry <= block.timestamp:
        shared.state = EXPIRED
        shared.forward = staticcall option_listing.SURFACES.settlement_price(
            underlying, shared.expiry
        )
    if shared.forward != 0:
        shared.state = PRINTED
    else:
        is_near = is_near and (near.state == LIVE or near.state == LIVE_OLD_SURFACE)
        if is_near and near.feed == shared.feed:
            shared.forward = near.forward
            shared.seen_at = near.seen_at
        else:
            price: uint256 = option_listing._price(shared.feed)
            shared.forward = (price >> 56) & M56
            shared.seen_at = (price >> 192) & M32
        if not is_near:
            reference: uint256 = shared.forward
            if shared.feed != grid_feed:
                reference = option_listing._mark(grid_feed)
            shared.epoch = option_arrays._epoch(underlying, kept, reference, known & M20)
        if is_near and shared.state == LIVE:
            shared.state = near.state
            shared.is_stored = near.is_stored
            shared.generation = near.generation
        elif shared.state == LIVE:
            shared.is_stored = shared.epoch == kept
            seen: uint256 = staticcall option_listing.SURFACES.status_of(underlying)
            shared.generation = (((seen >> 104) & M8) + (shared.epoch >> 172)) & M8
            # every surface has all expiries that live, so that the newest one's time is this one's
            stale_after: uint256 = known >> 20
            if known == 0:
                stale_after = option_listing._stale_after()
            if block.timestamp > unsafe_add((seen >> 64) & M40, stale_after):
                shared.state = LIVE_OLD_SURFACE
    total: uint256 = ((word >> option_listing.DELTA_SHIFT) & option_listing.M70) >> DELTA_BITS
    shared.head = shared.forward | (shared.feed << FEED_SHIFT) | (shared.state << STATE_SHIFT)
    shared.head |= lot_exponent << LOT_EXPONENT_SHIFT
    shared.head |= min(total, INTEREST_MAX) << INTEREST_SHIFT  # of 50 bits at most
    return shared


@internal
@view
def _lane(shared: Frame, id: uint256) -> uint256[3]:
    """
    @notice Array, info and head of one instrument, zeros if it is not listed or not priced; no more
            than `TO_BUILD` for a head if they must be built.
    """
    if shared.forward == 0:
        return [0, 0, 0]
    if id & (option_id.UNUSED | option_id.FUTURE) != 0:
        if not option_id.is_future(id):
            return [0, 0, 0]
        head: uint256 = shared.head & ((1 << INTEREST_SHIFT) - 1)
        if shared.state == LIVE_OLD_SURFACE:  # no surface prices it
            head ^= (LIVE ^ LIVE_OLD_SURFACE) << STATE_SHIFT
        return [0, 0, head | (option_listing.interests[id >> 1] << INTEREST_SHIFT)]
    if option_id.strike_index(id) >= shared.strikes:
        return [0, 0, 0]
    if shared.is_stored:
        info: uint256 = option_listing.infos[id >> 1]
        if lanes.usable(info, shared.forward, block.timestamp, shared.generation):
            return [option_listing.arrays[id >> 1], self._of(id, info), shared.head]
    if shared.state < EXPIRED:
        return [0, 0, TO_BUILD]
    return self._over(shared, id)


@internal
@view
def _over(shared: Frame, id: uint256) -> uint256[3]:
    """@notice Words of an option that has expired: intrinsic, at the print for good."""
    strike: uint256 = option_listing._strike(shared.place & M8, option_id.strike_index(id))
    if shared.state == PRINTED:
        mark: uint256 = max(strike, shared.forward)
        if option_id.is_put(id):
            mark = unsafe_sub(mark, shared.forward)  # it is at least each of them
        else:
            mark = unsafe_sub(mark, strike)  # likewise
        return [NEUTRAL, mark | (shared.forward << 56), shared.head]
    if self._priced_by(shared) == 0:
        return [0, 0, 0]
    words: uint256[3] = staticcall option_arrays.BUILDER.build(
        shared.forward, strike, 0, 1, (shared.epoch >> 112) & M20, shared.epoch & M56
    )
    return [words[0], self._of(id, words[1]), shared.head]


@internal
@view
def _wanted(
    shared: Frame, positions: uint256[4], first: uint256
) -> (uint256, DynArray[uint256, BUILT_MAX]):
    """
    @notice What is to be built of an expiry that lives, from lane `first` on: at most eight
            strikes; and in sixteen bits a lane, from `first` on, `OWN_BITS` of its id, and above
            them the place of its strike, from one on; 0: it is not among them.
    """
    slots: uint256 = 0
    strikes: DynArray[uint256, BUILT_MAX] = []
    places: uint256 = 0  # four bits a strike: its place in the list, from one on
    rest: uint256 = positions[first >> 2] >> (44 + ((first & 3) << 6))
    for lane: uint256 in range(first, 16, bound=16):
        if lane & 3 == 0:
            rest = positions[lane >> 2] >> 44
        id: uint256 = rest & M20
        rest = rest >> 64
        if id >> option_id.SLOT_SHIFT != shared.place:
            continue
        if self._lane(shared, id)[2] != TO_BUILD:
            continue
        at: uint256 = option_id.strike_index(id) << 2
        if (places >> at) & 15 == 0:
            if len(strikes) == BUILT_MAX:
                continue
            strikes.append(option_listing._strike(shared.place & M8, at >> 2))
            places |= len(strikes) << at
        own: uint256 = (id & OWN_BITS) | (((places >> at) & 15) << option_id.SLOT_SHIFT)
        slots |= own << (unsafe_sub(lane, first) << 4)
    return slots, strikes


@internal
@view
def _priced_by(shared: Frame) -> uint256:
    """
    @notice What options of a listed expiry are built by: its surface while it lives, afterwards 1;
            0 if they cannot be. There must be an epoch, whose lanes reach its forward.
    """
    reference: uint256 = (shared.epoch >> 56) & M56
    if shared.forward == 0 or shared.forward > reference * FORWARD_REACH:
        return 0
    if shared.state > LIVE_OLD_SURFACE:
        return 1
    word: uint256 = option_arrays._surface((shared.place >> 4) & 15, shared.place & 15)
    if (word >> 156) & M40 != shared.expiry:
        return 0
    return word
