# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Oracle feed: the feed words and the step from one to the next (docs/SPEC.md §3)
@notice Owns the words of all feeds, which feeds are registered, the layout of feed and observation
        words, the clamp of a price to its move bound and the 15-minute average. Prices are in units
        of 1e8 wei. Rounding: the bound down (a price moves less, never more), the widened
        confidence up, the average's step toward zero. Twin: novate/model/oracle.py.
"""

from lib import errors

event FeedRegistered:
    feed: indexed(uint256)

event PriceClamped:
    feed: indexed(uint256)
    is_mark: bool
    raw: uint256
    clamped: uint256

FEEDS_MAX: constant(uint256) = 256
OBSERVATIONS_MAX: constant(uint256) = 32
MASK_24: constant(uint256) = 2**24 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_56: constant(uint256) = 2**56 - 1
PPM: constant(uint256) = 10**6
AVERAGE_WINDOW_S: constant(uint256) = 900

# Bit i: feed i is registered.
_registered: uint256
# [index 56 | mark 56 | average 56 | confidence_ppm 24 | timestamp 32 | resumed_at 32]; 0 until the
# first price. resumed_at: when the feed came back after more than the staleness limit without a
# price; 0 if it never did
_words: uint256[FEEDS_MAX]


@internal
def register(feed: uint256):
    """@notice Accept prices for `feed` from now on."""
    errors.require(feed < FEEDS_MAX, errors.OutOfBounds)
    self._registered |= 1 << feed
    log FeedRegistered(feed=feed)


@internal
def store(
    observations: DynArray[uint256, OBSERVATIONS_MAX],
    timestamp: uint256,
    stale_after: uint256,
    bound_ppm: uint256,
):
    """
    @notice Step every observed feed. `timestamp` exceeds that of every stored feed and is at most
        the block's, so it fits 32 bits until 2106. Bits of an observation above the feed's eight
        make it an unknown feed.
    @dev One function without calls, branches instead of `require`: it runs in every round.
    """
    registered: uint256 = self._registered
    lowest: uint256 = PPM - bound_ppm
    width: uint256 = 2 * bound_ppm
    next: uint256 = 0  # the least feed the next observation may carry
    for observation: uint256 in observations:
        feed: uint256 = observation >> 136
        index: uint256 = observation & MASK_56
        mark: uint256 = (observation >> 56) & MASK_56
        if feed < next:
            errors.require(False, errors.FeedsNotAscending)
        next = unsafe_add(feed, 1)  # 120 bits
        if index == 0 or mark == 0:
            errors.require(False, errors.ZeroPrice)
        if (registered >> feed) & 1 == 0:
            errors.require(False, errors.UnknownFeed)

        confidence: uint256 = (observation >> 112) & MASK_24
        average: uint256 = mark
        resumed_at: uint256 = 0
        word: uint256 = self._words[feed]
        if word != 0:
            # A price is beyond the bound iff price * 1e6 lies outside last * (1e6 ± bound); less
            # than the lower end wraps around to more than the width. Products of 56 and 21 bits.
            last: uint256 = word & MASK_56
            above: uint256 = unsafe_sub(unsafe_mul(index, PPM), unsafe_mul(last, lowest))
            if above > unsafe_mul(last, width):
                index, confidence = self._clamp(feed, False, index, last, confidence, bound_ppm)
            last = (word >> 56) & MASK_56
            # as above
            above = unsafe_sub(unsafe_mul(mark, PPM), unsafe_mul(last, lowest))
            if above > unsafe_mul(last, width):
                mark, confidence = self._clamp(feed, True, mark, last, confidence, bound_ppm)

            average = (word >> 112) & MASK_56
            resumed_at = word >> 224
            # timestamp exceeds every stored one
            elapsed: uint256 = unsafe_sub(timestamp, (word >> 192) & MASK_32)
            if elapsed > stale_after:
                resumed_at = timestamp
            if elapsed > AVERAGE_WINDOW_S:
                elapsed = AVERAGE_WINDOW_S
            # a 56-bit difference times at most 900; the average stays between itself and the mark
            if mark >= average:
                average = unsafe_add(
                    average,
                    unsafe_div(unsafe_mul(unsafe_sub(mark, average), elapsed), AVERAGE_WINDOW_S),
                )
            else:
                average = unsafe_sub(
                    average,
                    unsafe_div(unsafe_mul(unsafe_sub(average, mark), elapsed), AVERAGE_WINDOW_S),
                )
        # every part is within its field's bits
        self._words[feed] = (
            index | (mark << 56) | (average << 112) | (confidence << 168) | (timestamp << 192)
            | (resumed_at << 224)
        )


@internal
def _clamp(
    feed: uint256,
    is_mark: bool,
    raw: uint256,
    last: uint256,
    confidence: uint256,
    bound_ppm: uint256,
) -> (uint256, uint256):
    """
    @notice `raw` cut to `last` ± the bound (at least 1, as the bound is below `last`) and the
        confidence widened.
    """
    bound: uint256 = last * bound_ppm // PPM
    clamped: uint256 = last + bound
    gap: uint256 = 0
    if raw > last:
        gap = raw - clamped
    else:
        clamped = last - bound
        gap = clamped - raw
    log PriceClamped(feed=feed, is_mark=is_mark, raw=raw, clamped=clamped)
    return clamped, min(max(confidence, (gap * PPM + clamped - 1) // clamped), MASK_24)
