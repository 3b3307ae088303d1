# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Option sums: what the positions of one account in options of one underlying add up to, as far
        as stored arrays serve (docs/SPEC.md §14; twin of novate/model/option_sums.py)
@notice Owns nothing. The words of an option are summed where they stand, so that margin gets sums
        and no words. Prices in oracle units, delta in 2**-30, vega in quanta, lots signed; all
        sums are exact.
"""

from lib import lanes
from lib import option_id
from lib import units
import option_lanes
import option_listing

uses: option_lanes
uses: option_listing

# Options one after another of one expiry: what they have in common, their sums, and at their end
# what these come to; and the sums of all that ended before. Signed where so typed
struct Run:
    forward: uint256
    gap: uint256               # ppm of the forward
    drifted: bool              # the forward is not the one that the arrays were built at
    before: uint256            # the first sum before them
    net: int256                # lots
    short: uint256             # lots of short ones
    puts: int256               # lots of puts
    spared: uint256            # of lots times gap, what long options are worth less than that
    delta: int256              # lots times delta
    negative: int256           # of that, what is below zero
    tenor: int256
    charged: uint256
    net_all: int256
    gross_all: uint256
    gap_all: uint256
    shorts_all: uint256
    parity_all: int256

GAP_PPM: constant(uint256) = 1_500
LOTS_OFFSET: constant(uint256) = 2**43
VEGA_SPAN: constant(int256) = 2**80
DELTA_ONE: constant(int256) = 2**30
SPREAD: constant(uint256) = lanes.SPREAD_MASK
NO_PLACE: constant(uint256) = max_value(uint256)
NO_STAMP: constant(uint256) = max_value(uint256)
# in place of a word after the last one: no option
END: constant(uint256) = 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1


@external
@view
@reentrant
def fresh_sums(words: DynArray[uint256, 32], underlying: uint256, known: uint256) -> lanes.Sums:
    """
    @notice Sums over those of the packed positions `words` that are options of `underlying` with a
            usable stored array; `left` has a bit for each other dated one of it. Never reverts.
    @param known as in `lane_words`
    """
    s: lanes.Sums = empty(lanes.Sums)  # within the bounds of that
    sums: uint256[4] = empty(uint256[4])
    run: Run = empty(Run)
    shared: option_lanes.Frame = empty(option_lanes.Frame)
    stamps: uint256[16] = empty(uint256[16])  # by slot, once an option of it has served
    place: uint256 = NO_PLACE  # what the run's ids have in common, nine bits
    stamp: uint256 = NO_STAMP  # and their infos
    dead: uint256 = NO_STAMP   # what the last one had that does not serve
    at: uint256 = 0            # the slot
    strike: uint256 = NO_PLACE  # of the last one that served, 19 bits, and its words
    info: uint256 = 0
    array: uint256 = 0
    both: uint256 = 0          # lots of its call and put, wrapping: not yet in the sums
    for i: uint256 in range(unsafe_add(len(words), 1), bound=33):
        rest: uint256 = words[i] if i != len(words) else END
        for j: uint256 in range(4):
            if rest == 0:
                break
            lane: uint256 = rest & M64
            rest = rest >> 64
            if lane >> 45 != strike:
                if strike != NO_PLACE:
                    # wraps on purpose, as `lanes.added` says
                    sums[0] = unsafe_add(sums[0], unsafe_mul(both, array & SPREAD))
                    sums[1] = unsafe_add(sums[1], unsafe_mul(both, (array >> 16) & SPREAD))
                    sums[2] = unsafe_add(sums[2], unsafe_mul(both, (array >> 32) & SPREAD))
                    sums[3] = unsafe_add(sums[3], unsafe_mul(both, (array >> 48) & SPREAD))
                    strike = NO_PLACE
                if lane >> 55 != place:
                    if lane >> 59 != 16 | underlying and i != len(words):
                        continue
                    if place != NO_PLACE:
                        run = self._ended(run, sums[0])
                        s.tenors[at] = unsafe_add(s.tenors[at], run.tenor)
                        s.heads[at] = unsafe_add(s.heads[at], run.charged << 128)
                    if i == len(words):
                        break
                    place = lane >> 55
                    at = place & 15
                    dead = NO_STAMP
                    stamp = stamps[at]
                    run.forward = s.heads[at] & M56
                    if stamp == 0:
                        shared = option_lanes._frame(place, shared, known)
                        run.forward = shared.forward
                        stamp = NO_STAMP
                    run.gap = unsafe_mul(run.forward, GAP_PPM)
                    run.drifted = (stamp >> 56) & M56 != run.forward
                info = option_listing.infos[lane >> 45]
                if info & option_lanes.STAMP != stamp:
                    # an expiry is built as a whole: of those with the same bits all serve or none
                    is_new: bool = info & option_lanes.STAMP != dead and shared.place == place
                    if not is_new or not self._serves(shared, lane >> 44, info):
                        dead = info & option_lanes.STAMP
                        s.left |= 1 << ((i << 2) | j)
                        continue
                    stamp = info & option_lanes.STAMP
                    stamps[at] = stamp
                    s.heads[at] = ((s.heads[at] >> 128) << 128) | shared.head
                    s.slots |= 1 << at
                    run.drifted = (stamp >> 56) & M56 != run.forward
                strike = lane >> 45
                array = option_listing.arrays[strike]
                both = 0
            q: uint256 = unsafe_sub(lane & M44, LOTS_OFFSET)
            both = unsafe_add(both, q)
            lots: int256 = convert(convert(q, bytes32), int256)
            run.net = unsafe_add(run.net, lots)
            mark: uint256 = info & M56
            delta: int256 = convert(convert(info << 112, bytes32), int256) >> 224
            if (lane >> 44) & option_id.PUT != 0:  # as `lanes.of_put` has it
                run.puts = unsafe_add(run.puts, lots)
                mark = (info >> lanes.PUT_MARK_SHIFT) & M56
                delta = unsafe_sub(delta, DELTA_ONE)
            if run.drifted:
                mark = lanes.value(option_lanes._of(lane >> 44, info), run.forward)
            s.marks = unsafe_add(s.marks, unsafe_mul(lots, convert(convert(mark, bytes32), int256)))
            if lots < 0:
                run.short = unsafe_sub(run.short, q)
            elif unsafe_mul(mark, units.PPM) < run.gap:
                mark = unsafe_sub(run.gap, unsafe_mul(mark, units.PPM))
                run.spared = unsafe_add(run.spared, unsafe_mul(q, mark))
            delta = unsafe_mul(lots, delta)
            run.delta = unsafe_add(run.delta, delta)
            if delta < 0:
                run.negative = unsafe_add(run.negative, delta)
            if info >> 252 != 0:
                q = unsafe_mul(units.magnitude(lots), lanes.clipped(info))
                s.totals.cut = unsafe_add(s.totals.cut, q)
    s.totals.sums = sums
    s.totals.net = run.net_all
    s.totals.gross = run.gross_all
    s.gap = run.gap_all
    s.shorts = run.shorts_all
    s.parity = run.parity_all
    s.epoch = shared.epoch
    return s


@internal
@pure
def _ended(run: Run, after: uint256) -> Run:
    """
    @notice What a run comes to when the first sum is `after` (of none, nothing), and nothing of the
            next one yet.
    """
    next: Run = empty(Run)
    # lots below 2**50, spared and gap below 2**126, a delta times its forward below 2**137
    net: uint256 = convert(convert(run.net, bytes32), uint256)
    gross: uint256 = unsafe_add(net, unsafe_add(run.short, run.short))
    gap: uint256 = unsafe_sub(unsafe_mul(gross, run.gap), run.spared)
    next.net_all = unsafe_add(run.net_all, run.net)
    next.gross_all = unsafe_add(run.gross_all, gross)
    next.gap_all = unsafe_add(run.gap_all, gap)
    next.shorts_all = unsafe_add(run.shorts_all, unsafe_mul(run.short, run.forward))
    size: int256 = unsafe_sub(run.delta, unsafe_add(run.negative, run.negative))
    next.charged = convert(convert(size, bytes32), uint256)
    # lane 0 is the vega; of the sum of its lots the lowest 64 bits are kept, which is within 2**63
    vega: int256 = convert(convert(unsafe_sub(after, run.before) << 192, bytes32), int256) >> 192
    vega = unsafe_sub(vega, unsafe_mul(lanes.BIAS, run.net))  # below 2**64
    forward: int256 = convert(convert(run.forward, bytes32), int256)
    next.parity_all = unsafe_add(run.parity_all, unsafe_mul(run.puts, forward))
    delta: int256 = unsafe_mul(run.delta, forward)
    next.tenor = unsafe_add(unsafe_mul(delta, VEGA_SPAN), vega)
    next.before = after
    return next


@internal
@view
def _serves(shared: option_lanes.Frame, id: uint256, info: uint256) -> bool:
    """@notice Whether the stored words of an instrument of that expiry may be used."""
    if not shared.is_stored or id & (option_id.UNUSED | option_id.FUTURE) != 0:
        return False
    if option_id.strike_index(id) >= shared.strikes:
        return False
    return lanes.usable(info, shared.forward, block.timestamp, shared.generation)
