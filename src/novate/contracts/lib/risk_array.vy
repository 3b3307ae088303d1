# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Building risk arrays: one option in sixteen scenarios (docs/SPEC.md §12; twin of
       novate/model/arrays.py)
@notice Pure. Prices and the quantum come in oracle units of 1e8 wei a base unit and are wei inside;
        psr in ppm, volatility wad, logarithms and v = sigma sqrt(T) x96. Lanes are rounded to the
        nearest quantum, for either side may hold them; marks and Greeks down.
"""

from lib import black76
from lib import errors
from lib import fixed_point
from lib import lanes
from lib import option_ratio
from lib import surface
from lib import units

ONE: constant(int256) = 2**96
WAD: constant(uint256) = 10**18
ORACLE_UNIT: constant(uint256) = 10**8
PERCENT_PPM: constant(uint256) = 10**8  # percent times ppm
MONTH: constant(uint256) = 30 * 86_400
DAY: constant(uint256) = 86_400
PRICE_MAX: constant(uint256) = 2**56 - 1
PSR_MAX: constant(uint256) = 900_000
SECONDS_MAX: constant(uint256) = 2**32 - 1
VOLATILITY_MAX: constant(uint256) = 2**70 - 1
STRIKES_MAX: constant(uint256) = 32
DELTA_SHIFT: constant(uint256) = 66  # x96 to 2**-30
VEGA_SHIFT: constant(uint256) = 168  # two x96 to 2**-24
VEGA_MAX: constant(uint256) = 2**24 - 1
ROUNDS_UP: constant(int256) = 2**62
BIASED: constant(int256) = ROUNDS_UP - 2**15
# moves of the two extremes, in ppm
RISE: constant(int256) = 2_000_000
FALL: constant(int256) = 660_000
LN_RISEN: constant(int256) = 87_041_032_946_764_879_767_665_216_853
LN_FALLEN: constant(int256) = -85_472_107_173_133_746_473_843_783_340


struct Frame:                # what all options of one expiry share
    psr: int256
    quantum: int256          # wei
    root: int256
    up: int256
    down: int256
    forwards: int256[9]      # after the moves 0, .15, -.15, .5, -.5, 1, -1 psr, 200 %, -66 %; wei
    shifts: int256[7]        # ln of the moves by psr


struct Call:
    strike: int256           # wei
    worth: int256            # before any shock, wei
    delta: int256            # x96
    vega: uint256            # in 2**-24 of the forward
    gains: int256[16]        # of a long one in all scenarios, wei, the extremes not yet weighted


@internal
@pure
def multipliers(seconds: uint256) -> (int256, int256):
    """
    @notice Factors of the volatility up and down, x96: 1 + m/2 and 1 - 0.3 m but at least 0.05,
            with m = (30 / max(days, 1))^p, p = 0.30 up to 30 days and 0.13 beyond.
    """
    # |ln| < 8 for 2**32 seconds, so the exponent is within [-1, 1.03], its power within [-2, 2],
    # and m within [0.3, 2.8]
    length: int256 = fixed_point.log_ratio(MONTH, max(seconds, DAY))
    exponent: int256 = unsafe_div(unsafe_mul(length, 30 if seconds <= MONTH else 13), 100)
    power: int256 = fixed_point.exp_power(exponent)
    m: int256 = fixed_point.exp_mantissa(exponent, power) << convert(
        unsafe_add(power, 2), uint256
    ) >> 2
    down: int256 = max(unsafe_sub(ONE, unsafe_div(unsafe_mul(3, m), 10)), ONE // 20)
    return unsafe_add(ONE, m >> 1), down


@internal
@pure
def frame(forward: uint256, seconds: uint256, psr: uint256, quantum: uint256) -> Frame:
    """@notice What the options of one expiry share. Errors: `OutOfBounds`."""
    errors.require(
        forward != 0 and forward <= PRICE_MAX and quantum != 0 and quantum <= PRICE_MAX
        and psr != 0 and psr <= PSR_MAX and seconds <= SECONDS_MAX,
        errors.OutOfBounds,
    )
    # psr <= 0.9e6: the moves are within [1e7, 3e8]; prices below 2**56 * 2**27 wei
    scaled: uint256 = unsafe_mul(forward, ORACLE_UNIT)
    moves: uint256[9] = [
        PERCENT_PPM,
        unsafe_add(PERCENT_PPM, unsafe_mul(15, psr)),
        unsafe_sub(PERCENT_PPM, unsafe_mul(15, psr)),
        unsafe_add(PERCENT_PPM, unsafe_mul(50, psr)),
        unsafe_sub(PERCENT_PPM, unsafe_mul(50, psr)),
        unsafe_add(PERCENT_PPM, unsafe_mul(100, psr)),
        unsafe_sub(PERCENT_PPM, unsafe_mul(100, psr)),
        3 * PERCENT_PPM,
        34 * PERCENT_PPM // 100,
    ]
    shared: Frame = empty(Frame)
    shared.psr = convert(psr, int256)
    shared.quantum = convert(unsafe_mul(quantum, ORACLE_UNIT), int256)
    shared.root = fixed_point.root_time(seconds)
    shared.up, shared.down = self.multipliers(seconds)
    for node: uint256 in range(9):
        # below 2**83 * 2**29, divided by a constant
        shared.forwards[node] = convert(
            unsafe_div(unsafe_mul(scaled, moves[node]), PERCENT_PPM), int256
        )
        if 0 < node and node < 7:
            shared.shifts[node] = fixed_point.log_ratio(moves[node], PERCENT_PPM)
    return shared


@internal
@pure
def today(shared: Frame, strike: int256, k: int256, v: int256) -> Call:
    """
    @notice `black76.otm_ratio` with the Greeks that its terms give, of a call; all rounded down.
    """
    # Bounds as in `otm_ratio`: |k| < 128, v < 2**127, phi <= 0.4, R <= 1.26, |d| <= 11.6 leaves
    # y < 44, so that products of two x96 stay within 2**194; prices are in [1, 2**83).
    forward: int256 = shared.forwards[0]
    low: int256 = min(forward, strike)
    found: Call = empty(Call)
    found.strike = strike
    found.worth = unsafe_sub(forward, low)
    half: int256 = v >> 1
    z: int256 = 0
    if v != 0:
        z = unsafe_div(max(k, unsafe_sub(0, k)) << 96, v)
    d: int256 = unsafe_sub(half, z)
    if v == 0 or d < -black76.TAIL:
        if forward > strike:
            found.delta = ONE
        elif forward == strike:
            found.delta = ONE // 2
        return found
    if d > black76.TAIL:
        found.worth = forward
        found.delta = ONE
        return found
    density: int256 = black76.normal_pdf(d)
    near: int256 = black76.mills(max(d, unsafe_sub(0, d)))
    far: int256 = black76.mills(unsafe_add(half, z))
    # unsafe as above: phi (R -+ R) and N(d) are at most 1
    ratio: int256 = max(unsafe_mul(density, unsafe_sub(near, far)) >> 96, 0)
    found.delta = unsafe_mul(density, near) >> 96
    if d > 0:
        found.delta = unsafe_sub(ONE, found.delta)
        ratio = max(unsafe_sub(ONE, unsafe_mul(density, unsafe_add(near, far)) >> 96), 0)
    if forward > strike:
        tail: int256 = unsafe_mul(density, far) >> 96
        found.delta = unsafe_sub(ONE, unsafe_div(unsafe_mul(tail, low), forward))
    # low <= forward: the quotient is below 2**95, the root below 2**100
    sensitivity: int256 = unsafe_mul(
        unsafe_div(unsafe_mul(density, low), forward), shared.root
    )
    found.vega = min(convert(sensitivity >> VEGA_SHIFT, uint256), VEGA_MAX)
    found.worth = unsafe_add(found.worth, unsafe_mul(low, ratio) >> 96)
    return found


@internal
@pure
def priced(shared: Frame, strike: int256, k: int256, v: int256) -> Call:
    """
    @notice A call today and its gains in all scenarios; k = ln(F/K). The volatility shocked up is
            at least 40 %.
    """
    # v < 2**111 and multipliers below 3 x96; the root below 2**100
    up: int256 = max(unsafe_mul(v, shared.up) >> 96, unsafe_div(unsafe_mul(2, shared.root), 5))
    down: int256 = unsafe_mul(v, shared.down) >> 96
    found: Call = self.today(shared, strike, k, v)
    worth: int256 = found.worth
    for node: uint256 in range(7):
        # |k| < 60 and |shift| < 3; prices below 2**85 times ratios of at most 1 x96
        moved: int256 = shared.forwards[node]
        shifted: int256 = unsafe_add(k, shared.shifts[node])
        low: int256 = moved if moved < strike else strike
        base: int256 = unsafe_sub(unsafe_sub(moved, low), worth)
        # unsafe: node <= 6, and as above
        lane: uint256 = unsafe_add(node, node)
        found.gains[lane] = unsafe_add(base, unsafe_mul(low, option_ratio.ratio(shifted, up)) >> 96)
        found.gains[unsafe_add(lane, 1)] = unsafe_add(
            base, unsafe_mul(low, option_ratio.ratio(shifted, down)) >> 96
        )
    # unsafe as above
    lowest: int256 = min(shared.forwards[7], strike)
    found.gains[14] = unsafe_add(
        unsafe_sub(unsafe_sub(shared.forwards[7], lowest), worth),
        unsafe_mul(lowest, option_ratio.ratio(unsafe_add(k, LN_RISEN), up)) >> 96,
    )
    lowest = min(shared.forwards[8], strike)
    found.gains[15] = unsafe_add(
        unsafe_sub(unsafe_sub(shared.forwards[8], lowest), worth),
        unsafe_mul(lowest, option_ratio.ratio(unsafe_add(k, LN_FALLEN), up)) >> 96,
    )
    return found


@internal
@pure
def quantised(shared: Frame, call: Call) -> int256[16]:
    """
    @notice Gains of a call in quanta, to the nearest (a half up), the extremes weighted by
            psr/|move|.
    """
    # Gains are below 2**86 wei, a quantum at least 2**26: quotients below 2**61 and, added 2**62,
    # positive, so that truncating rounds down. Weights are below 2**21 on both sides.
    unit: int256 = shared.quantum
    offset: int256 = unsafe_add(unsafe_mul(unit, ROUNDS_UP), unit >> 1)
    found: int256[16] = empty(int256[16])
    for lane: uint256 in range(14):
        found[lane] = unsafe_sub(unsafe_div(unsafe_add(call.gains[lane], offset), unit), ROUNDS_UP)
    found[14] = self.extreme(shared, call.gains[14], RISE)
    found[15] = self.extreme(shared, call.gains[15], FALL)
    return found


@internal
@pure
def extreme(shared: Frame, gain: int256, weight: int256) -> int256:
    """@notice The lane of an extreme: its gain times psr / weight in quanta, to the nearest."""
    # bounds as in `quantised`
    unit: int256 = unsafe_mul(shared.quantum, weight)
    offset: int256 = unsafe_add(unsafe_mul(unit, ROUNDS_UP), unit >> 1)
    return unsafe_sub(
        unsafe_div(unsafe_add(unsafe_mul(gain, shared.psr), offset), unit), ROUNDS_UP
    )


@internal
@pure
def packed(shared: Frame, call: Call) -> (uint256, bool):
    """
    @notice `lanes.pack(quantised)` in one pass, and whether every lane fits its sixteen bits: if
            not, the word means nothing.
    """
    # bounds as in `quantised`, where quotients are 2**62 more than a lane; here 2**15
    unit: int256 = shared.quantum
    offset: int256 = unsafe_add(unsafe_mul(unit, ROUNDS_UP), unit >> 1)
    high: int256 = unsafe_add(self.extreme(shared, call.gains[15], FALL), 2**15)
    lane: int256 = unsafe_add(self.extreme(shared, call.gains[14], RISE), 2**15)
    word: int256 = unsafe_add(high << 16, lane)
    seen: int256 = high | lane
    for i: uint256 in range(7):
        # unsafe: i <= 6, magnitudes as said; words wrap only where a lane does not fit
        up: uint256 = unsafe_sub(12, unsafe_add(i, i))
        lane = unsafe_sub(unsafe_div(unsafe_add(call.gains[up], offset), unit), BIASED)
        high = unsafe_sub(
            unsafe_div(unsafe_add(call.gains[unsafe_add(up, 1)], offset), unit), BIASED
        )
        seen |= lane | high
        word = (word << 32) | (high << 16) | lane
    return convert(convert(word, bytes32), uint256), seen >> 16 == 0


@internal
@pure
def words(shared: Frame, call: Call) -> uint256[3]:
    """@notice Array, info word and vega (2**-24 of the forward) of a strike."""
    array: uint256 = 0
    clip: uint256 = 0
    fits: bool = False
    array, fits = self.packed(shared, call)
    if not fits:
        array, clip = lanes.pack(self.quantised(shared, call))
    # a call is worth at least forward less strike, so by parity a put not less than nothing; prices
    # are below 2**84, and over 1e8 wei fit 56 bits: an option is worth at most forward or strike
    put: int256 = unsafe_add(unsafe_sub(call.worth, shared.forwards[0]), call.strike)
    info: uint256 = unsafe_div(convert(call.worth, uint256), ORACLE_UNIT)
    info |= unsafe_div(convert(shared.forwards[0], uint256), ORACLE_UNIT) << 56
    # within [0, 1]
    info |= convert(call.delta >> DELTA_SHIFT, uint256) << 112
    info |= unsafe_div(convert(put, uint256), ORACLE_UNIT) << lanes.PUT_MARK_SHIFT
    return [array, info | (clip << 252), call.vega]


@internal
@pure
def scaled_strike(strike: uint256) -> int256:
    """@notice A strike in wei. Errors: `OutOfBounds`."""
    errors.require(strike != 0 and strike <= PRICE_MAX, errors.OutOfBounds)
    # below 2**56 * 2**27
    return convert(unsafe_mul(strike, ORACLE_UNIT), int256)


@internal
@pure
def call_at(shared: Frame, strike: uint256, sigma: uint256) -> Call:
    """@notice A call at volatility `sigma`. Errors: `OutOfBounds` (strike, volatility)."""
    scaled: int256 = self.scaled_strike(strike)
    errors.require(sigma <= VOLATILITY_MAX, errors.OutOfBounds)
    # below 2**70 * 2**100
    v: uint256 = unsafe_div(unsafe_mul(sigma, convert(shared.root, uint256)), WAD)
    k: int256 = self.log_moneyness(shared, scaled)
    return self.priced(shared, scaled, k, convert(v, int256))


@internal
@pure
def log_moneyness(shared: Frame, strike: int256) -> int256:
    """@notice ln(F/K), x96."""
    return fixed_point.log_ratio(
        convert(shared.forwards[0], uint256), convert(strike, uint256)
    )


@internal
@pure
def build_expiry(
    forward: uint256,
    seconds: uint256,
    surface_word: uint256,
    psr: uint256,
    quantum: uint256,
    strikes: DynArray[uint256, STRIKES_MAX],
) -> DynArray[uint256[3], STRIKES_MAX]:
    """
    @notice Array, info and vega of every strike of one expiry, `seconds` before it and stamped so.
            Generation is left zero.
    """
    surface.gate(surface_word, 0)
    seen: surface.Slice = surface.unpack(surface_word)
    # the gate makes the tenor positive
    tenor: uint256 = unsafe_sub(seen.expiry, seen.timestamp)
    errors.require(seconds <= tenor, errors.OutOfBounds)
    shared: Frame = self.frame(forward, seconds, psr, quantum)
    # seconds <= tenor <= expiry
    stamp: uint256 = (unsafe_sub(seen.expiry, seconds) & (2**32 - 1)) << 212
    found: DynArray[uint256[3], STRIKES_MAX] = []
    for strike: uint256 in strikes:
        scaled: int256 = self.scaled_strike(strike)
        k: int256 = self.log_moneyness(shared, scaled)
        # |k| < 40; a variance is below 2**112, seconds below 2**40: v is below 2**104
        variance: uint256 = surface.total_variance(surface_word, unsafe_sub(0, k))
        variance = unsafe_div(unsafe_mul(variance, seconds), tenor)
        call: Call = self.priced(shared, scaled, k, convert(isqrt(variance << 96), int256))
        built: uint256[3] = self.words(shared, call)
        built[1] |= stamp
        found.append(built)
    return found
