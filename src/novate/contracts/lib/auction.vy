# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title The liquidation auction in numbers (MARGIN.md §6, docs/SPEC.md §8; twin:
        novate/model/liquidation.py)
@notice Pure. Rates and health in ppm of maintenance margin, money in wad, time in seconds since
        the auction began. While equity is positive, discount + fee < health after every rounding,
        so a slice never worsens health but by whole lots; the Auctioneer asserts that afterwards.
"""

from lib import units

PPM: constant(uint256) = 10**6
PPM_SQUARED: constant(uint256) = 10**12
DISCOUNT_START: constant(uint256) = 10_000
DISCOUNT_MIDDLE: constant(uint256) = 250_000
MIDDLE_SECONDS: constant(uint256) = 300
END_SECONDS: constant(uint256) = 900
FEE: constant(uint256) = 5_000
HEALTH_TARGET: constant(uint256) = 1_150_000
FRACTION_MIN: constant(uint256) = 10_000
# what insolvent accounts too small for a liquidity charge are worth taking over for
REWARD_FLOOR: constant(uint256) = 5_000
DUST: constant(uint256) = 10 * 10**18  # maintenance margin of a rest not worth leaving


@internal
@pure
def health(equity: int256, margin: uint256) -> uint256:
    """@notice Equity over maintenance margin in ppm, rounded down, within [0, 1e6]."""
    if equity <= 0:
        return 0
    if convert(equity, uint256) >= margin:
        return PPM
    return convert(equity, uint256) * PPM // margin


@internal
@pure
def discount(elapsed: uint256, health: uint256) -> (uint256, uint256):
    """
    @notice The bidder's discount and the fee to insurance. The discount ramps 1 % -> 25 % ->
            health; both stay one ppm short of health together, which pays for the rounding of the
            margin itself. The bidder comes before the fee.
    """
    room: uint256 = max(health, 1) - 1
    rate: uint256 = room
    if elapsed < MIDDLE_SECONDS:
        rate = DISCOUNT_START + (DISCOUNT_MIDDLE - DISCOUNT_START) * elapsed // MIDDLE_SECONDS
    elif elapsed < END_SECONDS:
        rate = DISCOUNT_MIDDLE
        if room > DISCOUNT_MIDDLE:
            span: uint256 = END_SECONDS - MIDDLE_SECONDS
            rate += (room - DISCOUNT_MIDDLE) * (elapsed - MIDDLE_SECONDS) // span
    rate = min(rate, room)
    return rate, min(FEE, room - rate)


@internal
@pure
def fraction_max(margin: uint256, health: uint256, charge: uint256) -> uint256:
    """
    @notice Largest fraction on sale (ppm, rounded up): what brings health to its target, the whole
            account when no slice can or when the rest would be dust. `charge` is discount + fee.
    """
    if health <= charge or health == 0:
        return PPM
    # charge < health <= 1e6 < HEALTH_TARGET
    fraction: uint256 = units.div_up((HEALTH_TARGET - health) * PPM, HEALTH_TARGET - charge)
    if margin * (PPM - fraction) // PPM < DUST:
        return PPM
    return fraction


@internal
@pure
def share(margin: uint256, rate: uint256, fraction: uint256) -> uint256:
    """@notice `fraction * rate * margin`, rounded down: what the account pays."""
    return margin * rate * fraction // PPM_SQUARED


@internal
@pure
def insolvent_reward(
    margin: uint256, liquidity: uint256, fraction: uint256, elapsed: uint256
) -> uint256:
    """
    @notice What the waterfall pays for a slice of an insolvent account: its liquidity charge, or a
            small share of its margin where that charge is smaller, ramping over five minutes
            (rounded down).
    """
    base: uint256 = max(liquidity, margin * REWARD_FLOOR // PPM)
    return base * fraction * min(elapsed, MIDDLE_SECONDS) // (MIDDLE_SECONDS * PPM)
