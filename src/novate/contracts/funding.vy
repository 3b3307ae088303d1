# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Funding of perpetual futures as a cumulative index a lot (docs/SPEC.md §2; twin of
        novate/model/funding.py)
@notice Pure. The index moves all holders at once and lots sum to zero, so money is conserved
        exactly.
"""

from lib import units

KIND_PERP: constant(uint256) = 1
PERIOD_S: constant(int256) = 28800
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M128: constant(uint256) = 2**128 - 1


@internal
@view
def project(
    market: uint256,
    terms: uint256,
    feed: uint256,
    resumed_at: uint256,
    stale_after: uint256,
    config: uint256,
) -> uint256:
    """
    @notice The market word as it stands now; idempotent at one timestamp.
    @param resumed_at When the feed's prices came back after its last outage, which is not charged
            afterwards.
    """
    interest: uint256 = market >> 208
    head: uint256 = (interest << 208) | (block.timestamp << 168)
    if terms >> 248 != KIND_PERP or interest == 0:
        return head | (market & M128)
    start: uint256 = max((market >> 168) & M40, resumed_at)
    end: uint256 = min(block.timestamp, (feed >> 224) + stale_after)
    rate: int256 = units.signed(market, 88, 216)
    if end <= start:
        return head | (units.unsigned(rate, M40) << 128) | (market & M128)
    seconds: int256 = convert(unsafe_sub(end, start), int256)  # start < end
    index: int256 = convert(feed & M64, int256)
    rate = self._rate(rate, index, convert((feed >> 64) & M64, int256), seconds, config)
    lot_size: int256 = convert(terms & M64, int256)
    # |rate| < 2**40, index, lot_size < 2**64, seconds < 2**40, 1e8 < 2**27: the product is below
    # 2**235
    size: int256 = unsafe_mul(unsafe_mul(unsafe_mul(index, 10**8), lot_size), seconds)
    step: int256 = unsafe_div(unsafe_mul(rate, size), units.PPB * PERIOD_S * 10**18)
    moved: uint256 = units.unsigned(units.signed(market, 128, 128) + step, M128)
    return head | (units.unsigned(rate, M40) << 128) | moved


@internal
@pure
def _rate(rate: int256, index: int256, mark: int256, seconds: int256, config: uint256) -> int256:
    """
    @notice Premium plus clamped interest, capped, at most `slope` a second away from the last rate
            (ppb per 8 h).
    """
    # prices of 64 bits, rates of 32, seconds of 40: no sum or product below leaves 2**104
    premium: int256 = unsafe_mul(unsafe_sub(mark, index), units.PPB) // index
    bound: int256 = convert((config >> 56) & M32, int256)
    cap: int256 = convert((config >> 88) & M32, int256)
    pull: int256 = unsafe_sub(convert((config >> 24) & M32, int256), premium)
    target: int256 = unsafe_add(premium, max(unsafe_sub(0, bound), min(bound, pull)))
    target = max(unsafe_sub(0, cap), min(cap, target))
    step: int256 = unsafe_mul(convert((config >> 120) & M32, int256), seconds)
    return max(unsafe_sub(rate, step), min(unsafe_add(rate, step), target))
