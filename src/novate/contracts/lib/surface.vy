# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title The volatility surface: one eSSVI slice an expiry in one word (docs/SPEC.md §11; twin:
        novate/model/surface.py)
@notice Pure. Word `[theta 64 | psi 60 | rho signed 32 | expiry 40 | timestamp 40]`: theta (total
        variance at the money) and psi (theta times phi) in 2**-56, rho in 2**-31, times in seconds;
        log-moneyness and total variance in 2**-96. Every comparison of the gate is exact, nothing
        is divided; `total_variance` rounds each step down.
"""

from lib import errors
from lib import units

ONE: constant(uint256) = 2**56
RHO_ONE: constant(uint256) = 2**31
YEAR: constant(uint256) = 365 * 86_400
TENOR_MAX: constant(uint256) = 3 * YEAR
RHO_MAX: constant(uint256) = RHO_ONE * 99 // 100
VARIANCE_MIN_INVERSE: constant(uint256) = 400  # volatility at the money at least 5 %
VARIANCE_MAX: constant(uint256) = 25  # and at most 500 %
WORD_BITS: constant(uint256) = 236
MOVE_PERIOD: constant(uint256) = 60
THETA_MOVE_INVERSE: constant(uint256) = 2
RHO_MOVE: constant(uint256) = RHO_ONE // 5
PSI_MOVE: constant(uint256) = ONE // 10

MASK_64: constant(uint256) = 2**64 - 1
MASK_60: constant(uint256) = 2**60 - 1
MASK_40: constant(uint256) = 2**40 - 1


struct Slice:
    theta: uint256
    psi: uint256
    rho: int256
    expiry: uint256
    timestamp: uint256


@internal
@pure
def unpack(word: uint256) -> Slice:
    """@notice The fields of a word."""
    return Slice(
        theta=word & MASK_64,
        psi=(word >> 64) & MASK_60,
        rho=units.signed(word, 100, 224),
        expiry=(word >> 156) & MASK_40,
        timestamp=(word >> 196) & MASK_40,
    )


@internal
@pure
def total_variance(word: uint256, k: int256) -> uint256:
    """
    @notice Total variance at k = ln(K/F), both in 2**-96, of a word that passed the gate; |k| < 128
            is the caller's. x = psi k: (theta + rho x + sqrt(x^2 + 2 rho theta x + theta^2)) / 2.
    """
    # By the gate theta <= 75 and psi < 4, so theta < 2^103 and |x|, |skew| < 2^105 at this scale:
    # the terms under the root are below 2^212 together. They are at least (1 - rho^2) theta^2 less
    # a rounding of 2 theta, and theta >= 2^62: positive, and so is theta + skew + root.
    # Signed numbers are carried in two's complement; their shifts round down.
    theta: uint256 = (word & MASK_64) << 40
    x: int256 = unsafe_mul(convert((word >> 64) & MASK_60, int256), k) >> 56
    rho: int256 = convert(convert(word << 100, bytes32), int256) >> 224
    skew: uint256 = convert(convert(unsafe_mul(rho, x) >> 31, bytes32), uint256)
    side: uint256 = convert(convert(x, bytes32), uint256)
    square: uint256 = unsafe_add(
        unsafe_mul(side, side), unsafe_mul(theta, unsafe_add(unsafe_add(skew, skew), theta))
    )
    return unsafe_add(unsafe_add(theta, skew), isqrt(square)) >> 1


@internal
@pure
def total_variance_at(word: uint256, k: int256, now: uint256) -> uint256:
    """
    @notice Total variance left at `now`: the volatility of each strike stays, the time runs
            (rounded down). Zero from expiry on; a `now` before the observation counts as it.
    """
    fields: Slice = self.unpack(word)
    if now >= fields.expiry:
        return 0
    whole: uint256 = fields.expiry - fields.timestamp
    return self.total_variance(word, k) * min(fields.expiry - now, whole) // whole


@internal
@pure
def gate(word: uint256, previous: uint256):
    """
    @notice Refuse a slice that is out of bounds or, with the next nearer one of the same surface
            (`previous`, 0: none), allows an arbitrage.
    """
    fields: Slice = self.unpack(word)
    errors.require(self._in_bounds(word, fields), errors.SurfaceOutOfBounds)
    errors.require(self._no_butterfly(fields), errors.ButterflyArbitrage)
    if previous == 0:
        return
    nearer: Slice = self.unpack(previous)
    errors.require(fields.timestamp == nearer.timestamp, errors.SurfaceOutOfBounds)
    errors.require(fields.expiry > nearer.expiry, errors.NotAscending)
    errors.require(self._no_calendar(nearer, fields), errors.CalendarArbitrage)


@internal
@pure
def within_rate(old: uint256, new: uint256):
    """
    @notice Refuse a move of one expiry that is too far for the time since its last update, against
            the old slice as it has aged (theta and psi times what is left of the tenor). A minute
            or more allows a half of theta, 0.2 of rho, 0.1 of psi; less time less in proportion.
            `new` passed the gate; `old` did before, or is 0: nothing to compare with.
    """
    if old == 0:
        return
    before: Slice = self.unpack(old)
    after: Slice = self.unpack(new)
    errors.require(before.expiry == after.expiry, errors.SurfaceOutOfBounds)
    errors.require(after.timestamp > before.timestamp, errors.StaleRound)
    tenor_before: uint256 = before.expiry - before.timestamp
    tenor_after: uint256 = after.expiry - after.timestamp
    elapsed: uint256 = min(after.timestamp - before.timestamp, MOVE_PERIOD)
    theta: uint256 = before.theta * tenor_after
    theta_move: uint256 = self._distance(after.theta * tenor_before, theta)
    psi_move: uint256 = self._distance(after.psi * tenor_before, before.psi * tenor_after)
    rho_move: uint256 = units.magnitude(after.rho - before.rho)
    errors.require(
        theta_move * (MOVE_PERIOD * THETA_MOVE_INVERSE) <= theta * elapsed
        and psi_move * MOVE_PERIOD <= PSI_MOVE * tenor_before * elapsed
        and rho_move * MOVE_PERIOD <= RHO_MOVE * elapsed,
        errors.SurfaceJump,
    )


@internal
@pure
def _in_bounds(word: uint256, fields: Slice) -> bool:
    """@notice No reserved bit; tenor, skew and volatility at the money within their bounds."""
    if word >> WORD_BITS != 0 or fields.expiry <= fields.timestamp:
        return False
    tenor: uint256 = fields.expiry - fields.timestamp
    variance: uint256 = fields.theta * YEAR
    return (
        tenor <= TENOR_MAX
        and units.magnitude(fields.rho) <= RHO_MAX
        and variance * VARIANCE_MIN_INVERSE >= tenor * ONE
        and variance <= tenor * ONE * VARIANCE_MAX
    )


@internal
@pure
def _no_butterfly(fields: Slice) -> bool:
    """@notice psi (1 + |rho|) < 4 and psi^2 (1 + |rho|) <= 4 theta; together enough."""
    wing: uint256 = fields.psi * (RHO_ONE + units.magnitude(fields.rho))
    return wing < 4 * ONE * RHO_ONE and wing * fields.psi <= fields.theta * (4 * ONE * RHO_ONE)


@internal
@pure
def _no_calendar(nearer: Slice, fields: Slice) -> bool:
    """@notice theta, psi do not fall, phi does not rise, |rho' psi' - rho psi| <= psi' - psi."""
    if fields.theta < nearer.theta or fields.psi < nearer.psi:
        return False
    if fields.psi * nearer.theta > nearer.psi * fields.theta:
        return False
    # below 2^92: rho has 32 bits, psi 60
    skew: int256 = fields.rho * convert(fields.psi, int256)
    skew -= nearer.rho * convert(nearer.psi, int256)
    return units.magnitude(skew) <= (fields.psi - nearer.psi) * RHO_ONE


@internal
@pure
def _distance(left: uint256, right: uint256) -> uint256:
    """@notice |left - right|."""
    return max(left, right) - min(left, right)
