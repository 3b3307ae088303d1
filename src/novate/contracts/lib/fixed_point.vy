# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Fixed-point exponential, logarithm and square root (docs/SPEC.md §10; twin of
       novate/model/pricing.py)
@notice Scale x96: 2**96 stands for 1. Every shift and division rounds down (toward minus
        infinity), but the reduced argument of `ln` toward zero. Sources: the [7/7] Pade fraction
        of e^x; the series of 2 artanh. Bounds of arguments are the callers' duty and stated.
"""

WAD: constant(uint256) = 10**18
YEAR_S: constant(uint256) = 31_536_000
EXPONENT_MAX: constant(int256) = 256 * 2**96

LN2: constant(int256) = 54_916_777_467_707_473_351_141_471_128
LN2_X120: constant(int256) = 921_350_637_599_661_305_226_344_307_672_478_454
INVERSE_LN2: constant(int256) = 114_302_077_158_074_026_402_637_675_937
SQRT2_X120: constant(int256) = 1_879_812_259_125_035_246_445_576_347_481_445_757

# even and odd coefficients of the Pade fraction, by falling powers
E6: constant(int256) = 2**96 // 308_880
E4: constant(int256) = 5 * 2**96 // 3_432
E2: constant(int256) = 3 * 2**96 // 26
E0: constant(int256) = 2**96
O7: constant(int256) = 2**96 // 17_297_280
O5: constant(int256) = 2**96 // 11_440
O3: constant(int256) = 5 * 2**96 // 312
O1: constant(int256) = 2**95

# the series of artanh at x120
A35: constant(int256) = 2**120 // 35
A33: constant(int256) = 2**120 // 33
A31: constant(int256) = 2**120 // 31
A29: constant(int256) = 2**120 // 29
A27: constant(int256) = 2**120 // 27
A25: constant(int256) = 2**120 // 25
A23: constant(int256) = 2**120 // 23
A21: constant(int256) = 2**120 // 21
A19: constant(int256) = 2**120 // 19
A17: constant(int256) = 2**120 // 17
A15: constant(int256) = 2**120 // 15
A13: constant(int256) = 2**120 // 13
A11: constant(int256) = 2**120 // 11
A09: constant(int256) = 2**120 // 9
A07: constant(int256) = 2**120 // 7
A05: constant(int256) = 2**120 // 5
A03: constant(int256) = 2**120 // 3
A01: constant(int256) = 2**120


@internal
@pure
def exp_power(x: int256) -> int256:
    """@notice The whole k nearest x / ln 2, so that e^x = 2^k * e^(x - k ln 2); |x| <= 256, x96."""
    # |x| <= 2**104 and the factor < 2**97: the sum is within 2**202
    return unsafe_add(unsafe_mul(x, INVERSE_LN2), 2**191) >> 192


@internal
@pure
def exp_mantissa(x: int256, power: int256) -> int256:
    """
    @notice e^x / 2^power for power = exp_power(x), x96, in [0.7, 1.42], rounded down; relative
            error below 3e-23.
    """
    # |power| <= 370: the product stays below 2**105 and leaves |r| <= ln(2) / 2 and a rounding
    r: int256 = unsafe_sub(x, unsafe_mul(power, LN2))
    # u = r^2 < 0.121: every sum below is in [0, 1.1] x96 or |r| times it, every product < 2**195
    u: int256 = unsafe_mul(r, r) >> 96
    even: int256 = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(u, E6) >> 96, E4), u) >> 96, E2)
    even = unsafe_add(unsafe_mul(even, u) >> 96, E0)
    odd: int256 = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(u, O7) >> 96, O5), u) >> 96, O3)
    odd = unsafe_mul(unsafe_add(unsafe_mul(odd, u) >> 96, O1), r) >> 96
    # even >= 1 and |odd| < 0.18: dividend and divisor are positive
    return unsafe_div(unsafe_add(even, odd) << 96, unsafe_sub(even, odd))


@internal
@pure
def expn(y: int256) -> int256:
    """@notice e^-y for y >= 0, x96, rounded down."""
    if y > EXPONENT_MAX:
        return 0
    # 0 <= y <= 2**104: its negative and that of a power within [-370, 0] fit
    x: int256 = unsafe_sub(0, y)
    power: int256 = self.exp_power(x)
    return self.exp_mantissa(x, power) >> convert(unsafe_sub(0, power), uint256)


@internal
@pure
def ln(x: int256) -> int256:
    """
    @notice Natural logarithm of x (x96, 0 < x), x96, rounded down; error below two units, ln(1) is
            exactly 0.
    @dev    x = m * 2^e with m in [1, 2); ln m = ln c + 2 artanh(s), s = (m - c) / (m + c), c = 1 or
            2, |s| <= 0.172: eighteen terms leave 2^-98.
    """
    value: uint256 = convert(x, uint256)
    bit: uint256 = convert(value >= 2**128, uint256) << 7
    bit |= convert(value >> bit >= 2**64, uint256) << 6
    bit |= convert(value >> bit >= 2**32, uint256) << 5
    bit |= convert(value >> bit >= 2**16, uint256) << 4
    bit |= convert(value >> bit >= 2**8, uint256) << 3
    bit |= convert(value >> bit >= 2**4, uint256) << 2
    bit |= convert(value >> bit >= 2**2, uint256) << 1
    bit |= value >> bit >> 1
    # bit <= 254 is the highest one set; shifted to 255 and back to 120 the mantissa is m at x120
    mantissa: int256 = convert(value << unsafe_sub(255, bit) >> 135, int256)
    power: int256 = unsafe_sub(convert(bit, int256), 96)
    centre: int256 = 2**120
    if mantissa > SQRT2_X120:
        centre = 2**121
        power = unsafe_add(power, 1)
    # numerator within 2**239, divisor at least 2**121; |s| <= 0.172 at x120, u = s^2 < 0.03, the
    # series is in [1, 1.02]: products stay within 2**241, the sum within 2**128
    s: int256 = unsafe_div(unsafe_sub(mantissa, centre) << 120, unsafe_add(mantissa, centre))
    u: int256 = unsafe_mul(s, s) >> 120
    t: int256 = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(u, A35) >> 120, A33), u) >> 120, A31)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A29), u) >> 120, A27)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A25), u) >> 120, A23)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A21), u) >> 120, A19)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A17), u) >> 120, A15)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A13), u) >> 120, A11)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A09), u) >> 120, A07)
    t = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(t, u) >> 120, A05), u) >> 120, A03)
    t = unsafe_add(unsafe_mul(t, u) >> 120, A01)
    return unsafe_add(unsafe_mul(s, t) >> 119, unsafe_mul(power, LN2_X120)) >> 24


@internal
@pure
def log_ratio(numerator: uint256, denominator: uint256) -> int256:
    """
    @notice ln(numerator / denominator), x96, both in [1, 2**159); swapping them negates it. Error
            below three units.
    """
    # the larger one over the smaller, shifted by 96: in [2**96, 2**255)
    if numerator >= denominator:
        return self.ln(convert(unsafe_div(numerator << 96, denominator), int256))
    return unsafe_sub(0, self.ln(convert(unsafe_div(denominator << 96, numerator), int256)))


@internal
@pure
def sqrt(x: uint256) -> uint256:
    """@notice Square root of a wad, wad, rounded down; from 2**196 on to nine digits less."""
    if x < 2**196:
        # 10**18 < 2**60: the product fits
        return isqrt(unsafe_mul(x, WAD))
    # a root is below 2**128 and 10**9 < 2**30
    return unsafe_mul(isqrt(x), 10**9)


@internal
@pure
def root_time(seconds: uint256) -> int256:
    """@notice Square root of seconds / year, x96, rounded down; seconds < 2**40."""
    # a constant divisor that is not zero
    return convert(isqrt(unsafe_div(seconds << 192, YEAR_S)), int256)
