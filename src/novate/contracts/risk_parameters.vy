# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Parameters of the risk model: bounds, speed limits, ramps (docs/SPEC.md §4; twin of
        novate/model/margin.py)
@notice One packed word an underlying, changed at most once a day. A change reaches the maintenance
        margin along a ramp of a day, so that it never makes a healthy account liquidatable at once;
        the initial margin takes the stricter end of a ramp at once.
        Rounding: rates and charges up, credit and its cap down.
"""

from lib import errors
from lib import units

event ParametersSet:
    underlying: indexed(uint256)
    word: uint256

event GlobalsSet:
    initial_ratio_ppm: uint256
    credit_cap: uint256
    stale_drift_ppm_s: uint256

UNDERLYINGS_MAX: constant(uint256) = 16
DAY_S: constant(uint256) = 86400
THOUSAND_USD: constant(uint256) = 10**21
M10: constant(uint256) = 2**10 - 1
M16: constant(uint256) = 2**16 - 1
M20: constant(uint256) = 2**20 - 1
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M40: constant(uint256) = 2**40 - 1
M96: constant(uint256) = 2**96 - 1

GOVERNOR: immutable(address)

parameters: public(uint256[UNDERLYINGS_MAX])     # by underlying, packed
earlier: public(uint256[UNDERLYINGS_MAX])        # those they ramp from for a day
shared: uint256                                  # credit_cap 96 | from 96 | set at 40 | ratio 24
stale_drift_ppm_s: public(uint256)               # confidence widening a second when stale


@deploy
def __init__(governor: address):
    GOVERNOR = governor
    credit_cap: uint256 = 5_000_000 * 10**18
    self.shared = credit_cap | (credit_cap << 96) | (1_250_000 << 232)
    self.stale_drift_ppm_s = 100


@external
def set_parameters(underlying: uint256, word: uint256):
    """
    @notice Bounded change, at most one a day; everything ramps over that day (psr_from and
            psr_set_at are ignored).
    @custom:errors NotAuthorized, OutOfBounds, TooFast
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    target: uint256 = (word >> 20) & M20
    maintenance: uint256 = (word >> 140) & M20
    initial: uint256 = (word >> 160) & M20
    in_bounds: bool = (
        underlying < UNDERLYINGS_MAX and target >= 10_000 and target <= 900_000
        and (word >> 72) & M24 < (word >> 96) & M24 and (word >> 120) & M20 <= 500_000
        and maintenance <= initial and initial <= 900_000
        and (word >> 180) & M24 < (word >> 204) & M24 and (word >> 228) & M16 <= 50_000
        and (word >> 244) & M10 <= 1000 and word >> 254 == 0
    )
    errors.require(in_bounds, errors.OutOfBounds)
    old: uint256 = self.parameters[underlying]
    start: uint256 = target
    if old != 0:
        start = (old >> 20) & M20
        lowest: uint256 = units.ppm_up(start, 980_000)
        slow: bool = target >= lowest and target <= units.ppm_down(start, 1_100_000)
        errors.require(slow and block.timestamp >= ((old >> 40) & M32) + DAY_S, errors.TooFast)
    stored: uint256 = ((word >> 72) << 72) | (block.timestamp << 40) | (target << 20) | start
    self.earlier[underlying] = stored if old == 0 else old
    self.parameters[underlying] = stored
    log ParametersSet(underlying=underlying, word=stored)


@external
def set_globals(initial_ratio_ppm: uint256, credit_cap: uint256, stale_drift_ppm_s: uint256):
    """
    @notice The shared parameters, bounded, at most once a day; the credit cap ramps over that day,
            a lower one binds the
            initial margin at once.
    @custom:errors NotAuthorized, OutOfBounds, TooFast
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    in_bounds: bool = (
        initial_ratio_ppm >= 1_100_000 and initial_ratio_ppm <= 2_000_000
        and credit_cap <= 100_000_000 * 10**18
        and stale_drift_ppm_s >= 10 and stale_drift_ppm_s <= 1000
    )
    errors.require(in_bounds, errors.OutOfBounds)
    old: uint256 = self.shared
    errors.require(block.timestamp >= ((old >> 192) & M40) + DAY_S, errors.TooFast)
    ramp: uint256 = credit_cap | ((old & M96) << 96) | (block.timestamp << 192)
    self.shared = ramp | (initial_ratio_ppm << 232)
    self.stale_drift_ppm_s = stale_drift_ppm_s
    log GlobalsSet(
        initial_ratio_ppm=initial_ratio_ppm,
        credit_cap=credit_cap,
        stale_drift_ppm_s=stale_drift_ppm_s,
    )


@external
@view
def initial_ratio_ppm() -> uint256:
    """@notice Initial margin over the same charges at maintenance."""
    return self.shared >> 232


@external
@view
def credit_cap() -> uint256:
    """@notice The most (wad) a correlation credit saves one account, at the end of its ramp."""
    return self.shared & M96


@internal
@view
def psr(word: uint256) -> uint256:
    """
    @notice Scan range in force (ppm): ramps from old to target over a day, rounded up; the whole
            price while none is set.
    """
    if word == 0:
        return units.PPM
    elapsed: uint256 = unsafe_sub(block.timestamp, (word >> 40) & M32)  # set earlier
    if elapsed >= DAY_S:
        return (word >> 20) & M20
    return self.between_up(word & M20, (word >> 20) & M20, elapsed)


@internal
@pure
def between_up(start: uint256, target: uint256, elapsed: uint256) -> uint256:
    """@notice Where a rate stands `elapsed` seconds (at most a day) into its ramp, rounded up."""
    if target > start:
        return start + units.div_up((target - start) * elapsed, DAY_S)
    return start - (start - target) * elapsed // DAY_S


@internal
@pure
def between_down(start: uint256, target: uint256, elapsed: uint256) -> uint256:
    """@notice The same for a threshold or a credit, rounded down."""
    if start == target:
        return target
    if target > start:
        return start + (target - start) * elapsed // DAY_S
    return start - units.div_up((start - target) * elapsed, DAY_S)


@internal
@view
def transition(underlying: uint256) -> (uint256, uint256, uint256):
    """
    @notice The word in force or ramped to, the one ramped from, and how far (seconds, at most a
            day).
    """
    target: uint256 = self.parameters[underlying]
    elapsed: uint256 = unsafe_sub(block.timestamp, (target >> 40) & M32)  # set earlier
    if elapsed >= DAY_S:
        return target, target, DAY_S
    return target, self.earlier[underlying], elapsed


@internal
@pure
def liquidity(size: uint256, word: uint256) -> uint256:
    """
    @notice What closing a dollar delta may cost beyond the mark: a ramp between two sizes, rounded
            up.
    """
    low: uint256 = unsafe_mul((word >> 72) & M24, THOUSAND_USD)  # below 2**94
    if size <= low:
        return 0
    high: uint256 = unsafe_mul((word >> 96) & M24, THOUSAND_USD)
    rate: uint256 = ((word >> 120) & M20) * (min(size, high) - low)
    return units.div_up(size * rate, (high - low) * units.PPM)


@internal
@view
def credit_caps() -> (uint256, uint256):
    """@notice The cap on correlation credits for maintenance and for initial margin (wad)."""
    word: uint256 = self.shared
    target: uint256 = word & M96
    elapsed: uint256 = unsafe_sub(block.timestamp, (word >> 192) & M40)  # set earlier
    if elapsed >= DAY_S:
        return target, target
    cap: uint256 = self.between_down((word >> 96) & M96, target, elapsed)
    return cap, min(cap, target)
