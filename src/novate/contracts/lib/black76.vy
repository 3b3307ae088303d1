# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Black-76 without interest: Mills ratio, normal distribution, option value and Greeks
       (docs/SPEC.md §10; twin of novate/model/pricing.py)
@notice x96 inside (2**96 stands for 1), wad outside, the year of 365 days. Every shift and
        division rounds down, so that values and sizes of Greeks come out rounded down. Source: the
        Mills ratio R(x) = N(-x) / phi(x) by a rational of degree (6, 7) fitted with weight phi;
        largest error in N 2.3e-17; all coefficients are positive, so that nothing cancels.
"""

from lib import errors
from lib import fixed_point

ONE: constant(int256) = 2**96
WAD: constant(uint256) = 10**18
YEAR_S: constant(uint256) = 31_536_000
MONEY_MAX: constant(uint256) = 2**112 - 1
VOLATILITY_MAX: constant(uint256) = 2**70 - 1
SECONDS_MAX: constant(uint256) = 2**32 - 1

struct Greeks:
    price: uint256
    delta: int256
    gamma: uint256
    vega: uint256            # per 1.00 of volatility
    theta: int256            # per year

INVERSE_SQRT_2PI: constant(int256) = 31_607_463_825_455_920_808_620_519_744
# sqrt(2 * 96 * ln 2), rounded up: beyond, phi(x) R(x) is less than one x96 unit
TAIL: constant(int256) = 913_993_124_172_427_125_190_255_260_510
# beyond 18 deviations no Greek reaches one unit, whatever the inputs within their bounds
REACH: constant(int256) = 18 * 2**96

# numerator and denominator of the Mills ratio, by falling powers
N6: constant(int256) = 79_229_630_905_444_634_813_071_364_926
N5: constant(int256) = 1_574_354_294_851_936_978_373_730_479_006
N4: constant(int256) = 14_332_862_487_720_376_354_172_816_409_266
N3: constant(int256) = 76_281_719_172_049_398_705_079_594_132_275
N2: constant(int256) = 252_174_725_545_538_102_068_226_262_268_978
N1: constant(int256) = 497_847_232_581_705_363_378_340_071_531_002
N0: constant(int256) = 495_741_776_802_927_433_905_503_316_654_109
D6: constant(int256) = 1_574_414_987_388_640_275_071_541_799_371
D5: constant(int256) = 14_410_858_806_700_477_416_938_790_465_728
D4: constant(int256) = 77_872_473_136_081_469_585_433_609_757_667
D3: constant(int256) = 266_189_389_300_668_952_824_218_540_121_778
D2: constant(int256) = 572_184_940_239_062_582_909_009_034_890_150
D1: constant(int256) = 712_823_637_616_759_742_806_668_111_889_767
D0: constant(int256) = 395_544_709_856_035_844_890_419_785_045_480


@internal
@pure
def mills(x: int256) -> int256:
    """@notice R(x), x96, rounded down, for 0 <= x <= 64."""
    # both polynomials are positive and below (x + 3)^7 < 2**43 at x96; what is multiplied by x has
    # a power less: products are below 2**(37 + 96 + 102), and n << 96 below 2**229
    n: int256 = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(x, N6) >> 96, N5), x) >> 96, N4)
    n = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(n, x) >> 96, N3), x) >> 96, N2)
    n = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(n, x) >> 96, N1), x) >> 96, N0)
    d: int256 = unsafe_add(unsafe_mul(unsafe_add(x, D6), x) >> 96, D5)
    d = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(d, x) >> 96, D4), x) >> 96, D3)
    d = unsafe_add(unsafe_mul(unsafe_add(unsafe_mul(d, x) >> 96, D2), x) >> 96, D1)
    return unsafe_div(n << 96, unsafe_add(unsafe_mul(d, x) >> 96, D0))


@internal
@pure
def normal_pdf(x: int256) -> int256:
    """@notice phi(x), x96, rounded down; any x, zero beyond `TAIL`."""
    if x > TAIL or x < -TAIL:
        return 0
    # x^2 < 2**200, its half below 2**104 at x96
    exponent: int256 = unsafe_sub(0, unsafe_mul(x, x) >> 97)
    power: int256 = fixed_point.exp_power(exponent)
    # a mantissa below 2**97 times 2**95; the power is within [-97, 0]
    return unsafe_mul(
        fixed_point.exp_mantissa(exponent, power), INVERSE_SQRT_2PI
    ) >> convert(unsafe_sub(96, power), uint256)


@internal
@pure
def normal_cdf(x: int256) -> int256:
    """@notice N(x), x96; any x. The tail is rounded down, so N(x) + N(-x) = 1 exactly but at 0."""
    if x < 0:
        if x < -TAIL:
            return 0
        # -x <= TAIL < 64; phi < 2**95 and R < 2**97
        return unsafe_mul(self.normal_pdf(x), self.mills(unsafe_sub(0, x))) >> 96
    if x > TAIL:
        return ONE
    # as above, and the tail is at most one half
    return unsafe_sub(ONE, unsafe_mul(self.normal_pdf(x), self.mills(x)) >> 96)


@internal
@pure
def otm_ratio(k: int256, v: int256) -> int256:
    """
    @notice Value of the out-of-the-money option over min(F, K), x96, within [0, 1], rounded down.
    @dev    k = ln(F / K) of either sign, |k| <= 128, and v = sigma sqrt(T), 0 <= v < 2**127, both
            x96. With d = v/2 - |k|/v and y = v/2 + |k|/v it is N(d) - e^|k| N(-y), which, as
            phi(d) = e^|k| phi(y), is phi(d) (R(-d) - R(y)) for d <= 0 and 1 - phi(d) (R(d) + R(y))
            beyond.
    """
    if v == 0:
        return 0
    # |k| <= 2**103: the shifted quotient is below 2**200, and so are sums with v / 2
    half: int256 = v >> 1
    z: int256 = unsafe_div(max(k, unsafe_sub(0, k)) << 96, v)
    d: int256 = unsafe_sub(half, z)
    if d < -TAIL:
        return 0
    if d > TAIL:
        return ONE
    # |d| <= 11.6 leaves half * (half - 11.6) <= 64, so y = half + z <= 2 half + 11.6 < 44;
    # phi < 0.4 and R < 1.26 keep every product within 2**193
    density: int256 = self.normal_pdf(d)
    far: int256 = self.mills(unsafe_add(half, z))
    if d <= 0:
        near: int256 = self.mills(unsafe_sub(0, d))
        return max(unsafe_mul(density, unsafe_sub(near, far)) >> 96, 0)
    return max(unsafe_sub(ONE, unsafe_mul(density, unsafe_add(self.mills(d), far)) >> 96), 0)


@internal
@pure
def limits(forward: uint256, strike: uint256, is_call: bool, full: bool) -> Greeks:
    """
    @notice The limits of `black76`: no variance left, or (`full`) so much that a call is worth its
            forward and a put its strike. Without variance at the money a call's delta is one half.
    """
    greeks: Greeks = empty(Greeks)
    delta: int256 = 0
    if full or forward > strike:
        delta = convert(WAD, int256)
    elif forward == strike:
        delta = convert(WAD // 2, int256)
    # the larger less the smaller; a delta is at most 1 wad
    if is_call:
        greeks.delta = delta
        greeks.price = forward if full else unsafe_sub(max(forward, strike), strike)
    else:
        greeks.delta = unsafe_sub(delta, convert(WAD, int256))
        greeks.price = strike if full else unsafe_sub(max(forward, strike), forward)
    return greeks


@internal
@pure
def black76(
    forward: uint256, strike: uint256, sigma: uint256, seconds: uint256, is_call: bool
) -> Greeks:
    """
    @notice Price and Greeks of one option, wad, r = 0. Prices and sizes of Greeks are rounded down;
            call - put = forward - strike and the deltas' difference is 1, both to the wei.
    @dev    Errors: `OutOfBounds`. With low = min(F, K), high = max(F, K), d and y of `otm_ratio`,
            delta of a call is N(d) for F <= K and 1 - N(-y) beyond, N(-y) = phi(d) R(y) low / high;
            vega = low phi(d) sqrt T, gamma = low phi(d) / (F^2 v), theta = -vega sigma / (2 T).
    """
    errors.require(
        max(forward, strike) <= MONEY_MAX and sigma <= VOLATILITY_MAX and seconds <= SECONDS_MAX,
        errors.OutOfBounds,
    )
    root: uint256 = convert(fixed_point.root_time(seconds), uint256)
    # sigma < 2**70 and the root of 137 years < 2**100
    v: uint256 = unsafe_div(unsafe_mul(sigma, root), WAD)
    low: uint256 = min(forward, strike)
    high: uint256 = max(forward, strike)
    if low == 0 or v == 0:
        return self.limits(forward, strike, is_call, False)
    # v is in [1, 2**111), ln(high / low) < 78 at x96: the quotient and sums with v / 2 below 2**200
    half: int256 = convert(v >> 1, int256)
    z: int256 = unsafe_div(fixed_point.log_ratio(high, low) << 96, convert(v, int256))
    d: int256 = unsafe_sub(half, z)
    if d > REACH or d < -REACH:
        return self.limits(forward, strike, is_call, d > 0)
    # d^2 / 2 <= 162 at x96; the mantissa < 2**97 times 2**95
    exponent: int256 = unsafe_sub(0, unsafe_mul(d, d) >> 97)
    power: int256 = fixed_point.exp_power(exponent)
    phi: int256 = unsafe_mul(fixed_point.exp_mantissa(exponent, power), INVERSE_SQRT_2PI) >> 96
    halvings: uint256 = convert(unsafe_sub(0, power), uint256)
    greeks: Greeks = self.sensitivities(
        forward, strike, sigma, seconds, root, convert(phi, uint256), halvings
    )
    # |d| <= 18 leaves half * (half - 18) <= 39, so y = half + z <= 2 half + 18 < 60
    density: int256 = phi >> halvings
    near: int256 = self.mills(max(d, unsafe_sub(0, d)))
    far: int256 = self.mills(unsafe_add(half, z))
    return self.valued(greeks, forward, strike, is_call, d > 0, density, near, far)


@internal
@pure
def valued(
    greeks: Greeks,
    forward: uint256,
    strike: uint256,
    is_call: bool,
    beyond: bool,
    density: int256,
    near: int256,
    far: int256,
) -> Greeks:
    """@notice Price and delta from phi(d), R(|d|) and R(y); `beyond`: d > 0."""
    # phi <= 0.4, R <= 1.26: sums and products within 2**194, the ratio and N in [0, 1]
    ratio: int256 = max(unsafe_mul(density, unsafe_sub(near, far)) >> 96, 0)
    delta: int256 = unsafe_mul(density, near) >> 96
    if beyond:
        ratio = max(unsafe_sub(ONE, unsafe_mul(density, unsafe_add(near, far)) >> 96), 0)
        delta = unsafe_sub(ONE, delta)
    low: uint256 = min(forward, strike)
    if forward > strike:
        # the tail < 2**96 times low < 2**112, over the larger: at most the tail
        tail: uint256 = convert(unsafe_mul(density, far) >> 96, uint256)
        delta = unsafe_sub(ONE, convert(unsafe_div(unsafe_mul(tail, low), forward), int256))
    result: Greeks = greeks
    # low < 2**112 times ONE; a delta up to ONE times 2**60; low and the intrinsic value < 2**112
    otm: uint256 = unsafe_mul(low, convert(ratio, uint256)) >> 96
    result.delta = unsafe_mul(delta, convert(WAD, int256)) >> 96
    if is_call:
        result.price = unsafe_add(otm, unsafe_sub(forward, low))
    else:
        result.price = unsafe_add(otm, unsafe_sub(strike, low))
        result.delta = unsafe_sub(result.delta, convert(WAD, int256))
    return result


@internal
@pure
def sensitivities(
    forward: uint256,
    strike: uint256,
    sigma: uint256,
    seconds: uint256,
    root: uint256,
    phi: uint256,
    halvings: uint256,
) -> Greeks:
    """
    @notice Gamma, vega and theta from phi(d) = phi / 2**(96 + halvings), a floating number, so that
            small figures stay exact to the unit or to 1e-10.
    """
    greeks: Greeks = empty(Greeks)
    # phi < 2**96 times low < 2**112; 10**36 < 2**120; forward * v is in [1, 2**223)
    v: uint256 = unsafe_div(unsafe_mul(sigma, root), WAD)
    scaled: uint256 = phi
    if forward > strike:
        scaled = unsafe_div(unsafe_mul(phi, strike), forward)
    greeks.gamma = unsafe_div(unsafe_mul(scaled, 10**36), unsafe_mul(forward, v)) >> halvings
    # at x40: low * phi(d) below 2**152, times the root < 2**100 and back below 2**156
    vega: uint256 = unsafe_mul(min(forward, strike), phi) >> unsafe_add(56, halvings)
    vega = unsafe_mul(vega, root) >> 96
    greeks.vega = vega >> 40
    # sigma < 2**70 and the year < 2**25: below 2**251; seconds > 0, as v > 0
    decay: uint256 = unsafe_div(
        unsafe_mul(unsafe_mul(vega, sigma), YEAR_S), unsafe_mul(seconds, 2 * WAD)
    )
    greeks.theta = unsafe_sub(0, convert(decay >> 40, int256))
    return greeks
