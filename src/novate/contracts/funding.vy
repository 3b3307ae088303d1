# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Funding of perpetual futures as a cumulative index a lot (docs/SPEC.md §2; twin of
        novate/model/funding.py)
@notice Pure. The index moves all holders at once and lots sum to zero, so money is conserved
        exactly.
"""

from lib import units

KIND: constant(uint256) = 15 * 2**68
PERP: constant(uint256) = 1 * 2**68
PERIOD_S: constant(int256) = 28800
# beyond any price a lot can have, so that value_lot always fits its 96 bits
INDEX_MAX: constant(int256) = 2**94
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1


@internal
@pure
def target(feed: uint256, config: uint256) -> int256:
    """@notice The rate a feed's prices call for: premium plus clamped interest, capped."""
    # prices of 56 bits, rates of 32: no sum or product below leaves 2**104
    index: int256 = convert(feed & M56, int256)
    mark: int256 = convert((feed >> 56) & M56, int256)
    premium: int256 = unsafe_div(unsafe_mul(unsafe_sub(mark, index), units.PPB), index)
    bound: int256 = convert((config >> 56) & M32, int256)
    cap: int256 = convert((config >> 88) & M32, int256)
    pull: int256 = unsafe_sub(convert((config >> 24) & M32, int256), premium)
    rate: int256 = unsafe_add(premium, max(unsafe_sub(0, bound), min(bound, pull)))
    return max(unsafe_sub(0, cap), min(cap, rate))


@internal
@pure
def step(
    market: uint256, quote: uint256, lot_index: uint256, config: uint256
) -> (int256, int256):
    """
    @notice Rate and funding index of a market up to now, or to when the price of its feed's quote
            (rows.vy) went stale, the rate at most the config's slope a second nearer to the
            quote's target; idempotent at one timestamp. The feed's last outage, up to its
            resumed_at, is not charged afterwards. Without open interest the rate is zero and the
            index stays.
    @param lot_index Value of a lot at the feed's index, wad, below 2**87.
    """
    index: int256 = convert(convert(market, bytes32), int256) >> 160
    if market & M44 == 0:
        return 0, index
    if market & KIND != PERP:
        return 0, index
    rate: int256 = convert(convert(market << 96, bytes32), int256) >> 224
    start: uint256 = (market >> 96) & M32
    if start < (quote >> 144) & M32:
        start = (quote >> 144) & M32
    end: uint256 = (quote >> 112) & M32
    if end <= start:
        return rate, index
    seconds: int256 = convert(convert(unsafe_sub(end, start), bytes32), int256)  # start < end
    # a slope and seconds of 32 bits each
    reach: int256 = unsafe_mul(convert((config >> 120) & M32, int256), seconds)
    gap: int256 = unsafe_sub(convert(convert(quote << 49, bytes32), int256) >> 225, rate)
    # |gap| < 2**33, reach < 2**64: one comparison, as a sum below zero wraps around
    if convert(convert(unsafe_add(gap, reach), bytes32), uint256) > convert(
        convert(unsafe_mul(reach, 2), bytes32), uint256
    ):
        gap = reach if gap > 0 else unsafe_sub(0, reach)
    rate = unsafe_add(rate, gap)
    # |rate| < 2**32, seconds < 2**32: the product is below 2**151
    paid: int256 = unsafe_mul(
        unsafe_mul(rate, convert(convert(lot_index, bytes32), int256)), seconds
    )
    index = unsafe_add(index, unsafe_div(paid, units.PPB * PERIOD_S))
    # |index| below 2**152: less than -INDEX_MAX wraps around
    if convert(convert(unsafe_add(index, INDEX_MAX), bytes32), uint256) > 2 * 2**94:
        index = max(-INDEX_MAX, min(INDEX_MAX, index))
    return rate, index
