"""Black-76 and its special functions in integers (docs/SPEC.md §10).

Owns: the fixed-point functions and the Greeks, pure and without state. The Vyper twins,
``contracts/lib/fixed_point.vy`` and ``lib/black76.vy``, give the same integers.
Units: inside, x96 (2**96 stands for 1); money, volatility and Greeks in wad; time in seconds, the
year of 365 days. No interest: ``black76_discounted`` adds it, off chain only.
Rounding: every shift and division down (toward −inf), but the reduced argument of ``ln`` toward
zero; an option's value and the size of every Greek so come out rounded down.
Sources: the Mills ratio by a rational of degree (6, 7) fitted to R(x) = N(−x)/φ(x) with weight φ,
largest error in N 2.3e-17; e^x by its [7/7] Padé fraction; ln by the series of 2·artanh.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from novate.errors import OutOfBounds, require
from novate.units import WAD, div_down, div_zero

ONE = 2**96
YEAR_S = 31_536_000
MONEY_MAX = 2**112 - 1
VOLATILITY_MAX = 2**70 - 1
SECONDS_MAX = 2**32 - 1
GUARD_BITS = 64

LN2 = 54_916_777_467_707_473_351_141_471_128
LN2_X120 = 921_350_637_599_661_305_226_344_307_672_478_454
INVERSE_LN2 = 114_302_077_158_074_026_402_637_675_937
INVERSE_SQRT_2PI = 31_607_463_825_455_920_808_620_519_744
SQRT2_X120 = 1_879_812_259_125_035_246_445_576_347_481_445_757
EXPONENT_MAX = 256 * ONE
# √(2·96·ln 2), rounded up: beyond, φ(x)·R(x) is less than one x96 unit.
TAIL = 913_993_124_172_427_125_190_255_260_510
# Beyond 18 deviations no Greek reaches one unit, whatever the inputs within their bounds.
REACH = 18 * ONE

EXP_EVEN = tuple(div_down(ONE * n, d) for n, d in ((1, 308_880), (5, 3_432), (3, 26), (1, 1)))
EXP_ODD = tuple(div_down(ONE * n, d) for n, d in ((1, 17_297_280), (1, 11_440), (5, 312), (1, 2)))
ARTANH = tuple(div_down(2**120, n) for n in range(35, 0, -2))
MILLS_NUMERATOR = (
    79_229_630_905_444_634_813_071_364_926,
    1_574_354_294_851_936_978_373_730_479_006,
    14_332_862_487_720_376_354_172_816_409_266,
    76_281_719_172_049_398_705_079_594_132_275,
    252_174_725_545_538_102_068_226_262_268_978,
    497_847_232_581_705_363_378_340_071_531_002,
    495_741_776_802_927_433_905_503_316_654_109,
)
MILLS_DENOMINATOR = (
    79_228_162_514_264_337_593_543_950_336,
    1_574_414_987_388_640_275_071_541_799_371,
    14_410_858_806_700_477_416_938_790_465_728,
    77_872_473_136_081_469_585_433_609_757_667,
    266_189_389_300_668_952_824_218_540_121_778,
    572_184_940_239_062_582_909_009_034_890_150,
    712_823_637_616_759_742_806_668_111_889_767,
    395_544_709_856_035_844_890_419_785_045_480,
)


@dataclass(frozen=True, slots=True)
class Greeks:
    """One option's figures in wad: delta and gamma by the forward, vega per 1.00 of volatility,
    theta per year (never positive without interest).
    """

    price: int
    delta: int
    gamma: int
    vega: int
    theta: int


def _polynomial(coefficients: tuple[int, ...], x: int, bits: int = 96) -> int:
    """Horner's rule, highest power first, every product rounded down."""
    total = coefficients[0]
    for coefficient in coefficients[1:]:
        total = (total * x >> bits) + coefficient
    return total


def exp_parts(x: int) -> tuple[int, int]:
    """(m, k) with e^x = m·2^k, k the whole number nearest x/ln 2, m at x96 and rounded down;
    |x| ≤ 256, x96. Relative error below 3e-23: the Padé fraction is off by 2.8e-23 at ±ln(2)/2.
    """
    assert -EXPONENT_MAX <= x <= EXPONENT_MAX
    k = (x * INVERSE_LN2 + 2**191) >> 192
    reduced = x - k * LN2
    square = reduced * reduced >> 96
    even = _polynomial(EXP_EVEN, square)
    odd = _polynomial(EXP_ODD, square) * reduced >> 96
    return div_down((even + odd) << 96, even - odd), k


def expn(y: int) -> int:
    """e^−y for y ≥ 0, x96, rounded down."""
    if y > EXPONENT_MAX:
        return 0
    mantissa, k = exp_parts(-y)
    return mantissa >> -k


def ln(x: int) -> int:
    """Natural logarithm of x (x96, 0 < x < 2**255), x96, rounded down; ln(1) = 0 exactly.

    x = m·2^e with m in [1, 2); ln m = 2·artanh(s), s = (m − c)/(m + c), c = 1 or 2, |s| ≤ 0.172:
    eighteen terms leave 2^-98. Error below two x96 units.
    """
    assert 0 < x < 2**255
    exponent = x.bit_length() - 1
    mantissa = x << 255 - exponent >> 135
    exponent -= 96
    centre = 2**120
    if mantissa > SQRT2_X120:
        centre = 2**121
        exponent += 1
    s = div_zero((mantissa - centre) << 120, mantissa + centre)
    series = _polynomial(ARTANH, s * s >> 120, 120)
    return ((s * series >> 119) + exponent * LN2_X120) >> 24


def log_ratio(numerator: int, denominator: int) -> int:
    """ln(numerator / denominator), x96; both positive and below 2**159. Odd in its sign: swapping
    the two negates it. Error below three x96 units.
    """
    if numerator >= denominator:
        return ln(div_down(numerator << 96, denominator))
    return -ln(div_down(denominator << 96, numerator))


def sqrt(x: int) -> int:
    """Square root of a wad, wad: exactly rounded down below 2**196, above to nine digits less."""
    return isqrt(x * WAD) if x < 2**196 else isqrt(x) * 10**9


def root_time(seconds: int) -> int:
    """√(seconds / year), x96, rounded down; seconds < 2**40."""
    return isqrt(div_down(seconds << 192, YEAR_S))


def mills(x: int) -> int:
    """R(x) = N(−x)/φ(x), x96, rounded down, 0 ≤ x ≤ 64.

    All coefficients are positive, so that nothing cancels. Largest error of φ(x)·R(x): 2.3e-17.
    """
    return div_down(_polynomial(MILLS_NUMERATOR, x) << 96, _polynomial(MILLS_DENOMINATOR, x))


def normal_pdf(x: int) -> int:
    """φ(x), x96; any x, zero beyond ``TAIL``."""
    if abs(x) > TAIL:
        return 0
    mantissa, k = exp_parts(-(x * x >> 97))
    return mantissa * INVERSE_SQRT_2PI >> 96 - k


def normal_cdf(x: int) -> int:
    """N(x), x96; any x. The tail side is rounded down, so N(x) + N(−x) = 1 exactly but at 0."""
    size = abs(x)
    tail = normal_pdf(x) * mills(size) >> 96 if size <= TAIL else 0
    return tail if x < 0 else ONE - tail


def otm_ratio(k: int, v: int) -> int:
    """Value of the out-of-the-money option over min(F, K), x96, within [0, 1], rounded down.

    k = ln(F/K) of either sign, |k| ≤ 128, and v = σ√T, 0 ≤ v < 2**127, both x96. With
    d = v/2 − |k|/v and y = v/2 + |k|/v it is N(d) − e^|k|·N(−y), which, as φ(d) = e^|k|·φ(y), is
    φ(d)·(R(−d) − R(y)) for d ≤ 0 and 1 − φ(d)·(R(d) + R(y)) beyond.
    """
    if v == 0:
        return 0
    half = v >> 1
    z = div_down(abs(k) << 96, v)
    d = half - z
    if d < -TAIL:
        return 0
    if d > TAIL:
        return ONE
    density = normal_pdf(d)
    if d <= 0:
        return max(density * (mills(-d) - mills(half + z)) >> 96, 0)
    return max(ONE - (density * (mills(d) + mills(half + z)) >> 96), 0)


def _limits(forward: int, strike: int, is_call: bool, full: bool) -> Greeks:
    """The limits of ``black76``: no variance left, or (``full``) so much that a call is worth its
    forward and a put its strike. Without variance at the money a call's delta is one half.
    """
    delta = WAD if full or forward > strike else div_down(WAD, 2) if forward == strike else 0
    if is_call:
        return Greeks(forward if full else max(forward - strike, 0), delta, 0, 0, 0)
    return Greeks(strike if full else max(strike - forward, 0), delta - WAD, 0, 0, 0)


def _figures(
    forward: int, strike: int, sigma: int, seconds: int, is_call: bool, guard: int
) -> Greeks:
    """``black76`` in units of 2**-guard wei; the chain's figures are those of ``guard`` 0.

    With low = min(F, K), high = max(F, K), d and y of ``otm_ratio``: a call's delta is N(d) for
    F ≤ K and 1 − N(−y) beyond, N(−y) = φ(d)·R(y)·low/high; vega = low·φ(d)·√T,
    gamma = low·φ(d)/(F²·v), theta = −vega·σ/(2T). φ(d) is kept as mantissa and power of two, so
    that small Greeks stay exact to the unit or to 1e-10.
    """
    unit = 1 << guard
    root = root_time(seconds)
    v = div_down(sigma * root, WAD)
    low, high = min(forward, strike), max(forward, strike)
    if low == 0 or v == 0:
        return _scaled(_limits(forward, strike, is_call, False), unit)
    half = v >> 1
    z = div_down(log_ratio(high, low) << 96, v)
    d = half - z
    if abs(d) > REACH:
        return _scaled(_limits(forward, strike, is_call, d > 0), unit)
    mantissa, power = exp_parts(-(d * d >> 97))
    phi = mantissa * INVERSE_SQRT_2PI >> 96
    density, near, far = phi >> -power, mills(abs(d)), mills(half + z)
    if d <= 0:
        ratio = max(density * (near - far) >> 96, 0)
        delta = density * near >> 96
    else:
        ratio = max(ONE - (density * (near + far) >> 96), 0)
        delta = ONE - (density * near >> 96)
    scaled = phi
    if forward > strike:
        delta = ONE - div_down((density * far >> 96) * low, forward)
        scaled = div_down(phi * strike, forward)
    gamma = div_down(scaled * unit * 10**36, forward * v) >> -power
    vega = ((low * phi * unit >> 56 - power) * root) >> 96
    decay = div_down(vega * sigma * YEAR_S, seconds * 2 * WAD)
    intrinsic = forward - low if is_call else strike - low
    price = intrinsic * unit + (low * ratio * unit >> 96)
    delta = (delta * WAD * unit >> 96) - (0 if is_call else WAD * unit)
    return Greeks(price, delta, gamma, vega >> 40, -(decay >> 40))


def _scaled(greeks: Greeks, unit: int) -> Greeks:
    """Limits, whose other Greeks are zero, in units of 1/unit wei."""
    return Greeks(greeks.price * unit, greeks.delta * unit, 0, 0, 0)


def _check(forward: int, strike: int, sigma: int, seconds: int) -> None:
    assert min(forward, strike, sigma, seconds) >= 0
    inside = max(forward, strike) <= MONEY_MAX and sigma <= VOLATILITY_MAX
    require(inside and seconds <= SECONDS_MAX, OutOfBounds)


def black76(forward: int, strike: int, sigma: int, seconds: int, is_call: bool) -> Greeks:
    """Price and Greeks of one option, wad, r = 0; σ√T = 0 gives the intrinsic value.

    Prices and sizes of Greeks are rounded down; call − put = forward − strike and the deltas'
    difference is 1, both to the wei. A price is off by at most 5e-17·max(F, K) and one wei.
    Errors: ``OutOfBounds``.
    """
    _check(forward, strike, sigma, seconds)
    return _figures(forward, strike, sigma, seconds, is_call, 0)


def black76_discounted(
    forward: int, strike: int, sigma: int, seconds: int, is_call: bool, rate: int
) -> Greeks:
    """``black76`` times e^(−rate·T), off chain only: ``rate`` continuous, wad a year, any sign.

    Theta keeps forward, volatility and rate fixed: rate·price is added to the discounted one. All
    figures are rounded down. Errors: ``OutOfBounds`` (also for |rate·T| above 256).
    """
    _check(forward, strike, sigma, seconds)
    exponent = div_zero(-rate * seconds << 96, YEAR_S * WAD)
    require(abs(exponent) <= EXPONENT_MAX, OutOfBounds)
    plain = _figures(forward, strike, sigma, seconds, is_call, GUARD_BITS)
    mantissa, power = exp_parts(exponent)

    def discounted(figure: int) -> int:
        # a power is at least −370
        return figure * mantissa << 370 + power >> 466

    price = discounted(plain.price)
    theta = discounted(plain.theta) + div_zero(rate * price, WAD)
    figures = (
        price,
        discounted(plain.delta),
        discounted(plain.gamma),
        discounted(plain.vega),
        theta,
    )
    return Greeks(*(figure >> GUARD_BITS for figure in figures))
