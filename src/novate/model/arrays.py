"""Risk arrays of options: sixteen scenarios of one strike in one word (docs/SPEC.md §12).

Owns: the scenarios, the two words of a strike (array and info), and sums of arrays. Units: prices,
marks and the quantum in oracle units of 1e8 wei a base unit, ``psr`` in ppm, ``sigma`` wad, inside
wei and x96; a lane is a gain of a long base unit of the call in quanta. The put gains that less
what the forward does, exactly (parity): who sums puts takes their forwards off what is linear.
Rounding: a lane to the nearest quantum, for either side may hold it; ``rounding`` then charges
every lot half a quantum and 2**-20 of one, which is far more than pricing can err, so that margin
is never below that of real numbers.
Twins: ``contracts/lib/lanes.vy`` (words and sums), ``lib/risk_array.vy`` (building).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isqrt
from typing import NamedTuple

from novate import errors
from novate.errors import require
from novate.model import packed, pricing, surface
from novate.model.pricing import ONE, TAIL, log_ratio, mills, normal_pdf, otm_ratio
from novate.units import DAY_S, ORACLE_UNIT, PPM, WAD, clamp, div_down, div_up, div_zero

LANES = 16
LANE_BITS = 16
BIAS = 2**15
SPREAD_MASK = 0xFFFF * (1 + 2**64 + 2**128 + 2**192)
SPREAD_BIAS = 2**63 * (1 + 2**64 + 2**128 + 2**192)
WORD = 2**256
LOTS_SUM_MAX = 2**47 - 1

# Moves of the forward in percent of the scan range, each with volatility up and down, then the two
# extremes in percent of the forward, volatility up; their gains count psr/|move|.
NODES = (0, 15, -15, 50, -50, 100, -100)
EXTREMES = (200, -66)
# What a linear position gains in each lane, in percent of the scan range.
LINEAR = (*(node for node in NODES for _ in range(2)), 100, -100)

PRICE_MAX = 2**56 - 1
PSR_MAX = 900_000
EPOCH_MOVE_INVERSE = 10
STRIKES_MAX = 32
MONTH_S = 30 * DAY_S

CLIPPED_BITS = 6
CLIPPED_MAX = 2**21
CHARGE_BITS = 20
LOT_CHARGE = 2**19 + 1

DELTA_BITS = 30
VEGA_BITS = 24
INFO_FIELDS = (
    ("mark", 56),
    ("forward", 56),
    ("delta", 32),
    ("put_mark", 56),
    ("unused", 12),
    ("timestamp", 32),
    ("generation", 8),
    ("clip", 4),
)
AGE_MAX_S = 60
DRIFT_MAX_INVERSE = 400  # 25 bp


@dataclass(frozen=True, slots=True)
class Info:
    """What stands beside an array: marks of call and put and the forward in oracle units, ``delta``
    of the call in 2**-30, all rounded down. ``generation`` counts surfaces and quanta of the
    underlying; ``clip`` says how far lanes were cut (``clipped``).
    """

    mark: int
    forward: int
    delta: int
    put_mark: int = 0
    timestamp: int = 0
    generation: int = 0
    clip: int = 0
    unused: int = 0

    def pack(self) -> int:
        """The info word."""
        return packed.pack(self, INFO_FIELDS, signed=("delta",))

    @staticmethod
    def unpack(word: int) -> Info:
        """Read the info word."""
        return Info(**packed.unpack(word, INFO_FIELDS, signed=("delta",)))

    def of(self, is_put: bool) -> Info:
        """As the call or the put has it: of the put its own mark, and delta less one."""
        if not is_put:
            return self
        return replace(self, mark=self.put_mark, delta=self.delta - (1 << DELTA_BITS))

    def value(self, forward: int) -> int:
        """Value of a base unit at ``forward``, oracle units, rounded down: the mark carried on by
        delta. Being convex, the option is worth at least that; never less than nothing. Of a put
        by what ``of`` gives.
        """
        return max(self.mark + (self.delta * (forward - self.forward) >> DELTA_BITS), 0)

    def usable(self, forward: int, now: int, generation: int) -> bool:
        """Whether the array may be used: at most a minute old, the forward within 25 bp of its
        own, surface and quantum the same. A ``generation`` cannot come round in a minute: it moves
        at most four times a round, and rounds are at least a second apart.
        """
        return (
            0 <= now - self.timestamp <= AGE_MAX_S
            and abs(forward - self.forward) * DRIFT_MAX_INVERSE <= self.forward
            and generation % 256 == self.generation
        )

    @property
    def clipped(self) -> int:
        """The most that any lane was cut by, in quanta; 0: none was."""
        return 1 << (self.clip + CLIPPED_BITS) if self.clip else 0


class Strike(NamedTuple):
    """The two words of one strike, and its vega (per 1.00 of volatility) in 2**-24 of the forward,
    rounded down.
    """

    array: int
    info: int
    vega: int = 0


def quantum_of(psr: int, reference: int) -> int:
    """4·PSR·F_ref / 32768, rounded up, so that sixteen bits reach ±4 scan ranges."""
    return div_up(4 * psr * reference, BIAS * PPM)


def same_epoch(forward: int, reference: int) -> bool:
    """Whether the quantum made of ``reference`` serves at ``forward``: within a tenth of it."""
    return abs(forward - reference) * EPOCH_MOVE_INVERSE <= reference


def multipliers(seconds: int) -> tuple[int, int]:
    """Factors of the volatility up and down, x96: 1 + m/2 and 1 − 0.3·m but at least 0.05, with
    m = (30 / max(days, 1))^p, p = 0.30 up to 30 days and 0.13 beyond.
    """
    hundredths = 30 if seconds <= MONTH_S else 13
    exponent = div_zero(log_ratio(MONTH_S, max(seconds, DAY_S)) * hundredths, 100)
    mantissa, power = pricing.exp_parts(exponent)
    # a power is at least −2
    m = mantissa << (power + 2) >> 2
    return ONE + (m >> 1), max(ONE - div_down(3 * m, 10), div_down(ONE, 20))


@dataclass(frozen=True, slots=True)
class Frame:
    """What all options of one expiry share; forwards and the quantum in wei, the rest x96."""

    psr: int
    quantum: int
    root: int
    up: int
    down: int
    forward: int
    forwards: tuple[int, ...]
    shifts: tuple[int, ...]


def frame(forward: int, seconds: int, psr: int, quantum: int) -> Frame:
    """The frame of an expiry. Errors: ``OutOfBounds``."""
    prices = 1 <= forward <= PRICE_MAX and 1 <= quantum <= PRICE_MAX
    times = 0 <= seconds <= pricing.SECONDS_MAX
    require(prices and times and 1 <= psr <= PSR_MAX, errors.OutOfBounds)
    moves = [PPM * 100 + node * psr for node in NODES]
    moves += [PPM * (100 + extreme) for extreme in EXTREMES]
    wei = forward * ORACLE_UNIT
    up, down = multipliers(seconds)
    return Frame(
        psr=psr,
        quantum=quantum * ORACLE_UNIT,
        root=pricing.root_time(seconds),
        up=up,
        down=down,
        forward=wei,
        forwards=tuple(div_down(wei * move, PPM * 100) for move in moves),
        shifts=tuple(log_ratio(move, PPM * 100) for move in moves),
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """A call in wei: its strike, what it is worth before any shock, delta x96, vega in 2**-24 of
    the forward, and the gains of a long one in all scenarios, the extremes not yet weighted.
    """

    strike: int
    worth: int
    delta: int
    vega: int
    gains: tuple[int, ...]


def _today(forward: int, strike: int, k: int, v: int, root: int) -> tuple[int, int, int]:
    """Worth, delta and vega of a call: ``pricing.otm_ratio`` with the Greeks that its terms give;
    all rounded down.
    """
    low = min(forward, strike)
    intrinsic = forward - low
    half = v >> 1
    z = div_down(abs(k) << 96, v) if v else 0
    d = half - z
    if v == 0 or d < -TAIL:
        return intrinsic, ONE if forward > strike else ONE >> 1 if forward == strike else 0, 0
    if d > TAIL:
        return forward, ONE, 0
    density, near, far = normal_pdf(d), mills(abs(d)), mills(half + z)
    delta = density * near >> 96
    ratio = max(density * (near - far) >> 96, 0)
    if d > 0:
        delta = ONE - delta
        ratio = max(ONE - (density * (near + far) >> 96), 0)
    if forward > strike:
        delta = ONE - div_down((density * far >> 96) * low, forward)
    vega = div_down(density * low, forward) * root >> (192 - VEGA_BITS)
    return intrinsic + (low * ratio >> 96), delta, min(vega, 2**VEGA_BITS - 1)


def _priced(shared: Frame, strike: int, k: int, v: int) -> _Call:
    """A call today and in all scenarios; k = ln(F/K). Shocked up, volatility is at least 40 %."""
    worth, delta, vega = _today(shared.forward, strike, k, v, shared.root)
    up = max(v * shared.up >> 96, div_down(2 * shared.root, 5))
    down = v * shared.down >> 96
    gains = []
    for node, (forward, shift) in enumerate(zip(shared.forwards, shared.shifts, strict=True)):
        low = min(forward, strike)
        for v_shocked in (up, down) if node < len(NODES) else (up,):
            gains.append(forward - low - worth + (low * otm_ratio(k + shift, v_shocked) >> 96))
    return _Call(strike, worth, delta, vega, tuple(gains))


def _call_at(shared: Frame, strike: int, sigma: int) -> _Call:
    """A call at volatility ``sigma``. Errors: ``OutOfBounds`` (strike, volatility)."""
    require(1 <= strike <= PRICE_MAX, errors.OutOfBounds)
    require(0 <= sigma <= pricing.VOLATILITY_MAX, errors.OutOfBounds)
    wei = strike * ORACLE_UNIT
    v = div_down(sigma * shared.root, WAD)
    return _priced(shared, wei, log_ratio(shared.forward, wei), v)


def _lanes(shared: Frame, call: _Call) -> list[int]:
    """Gains in quanta, rounded to nearest (a half up), extremes weighted by psr/|move|."""
    lanes = []
    for lane, gain in enumerate(call.gains):
        gained, unit = gain, shared.quantum
        if lane >= 14:
            gained *= 100 * shared.psr
            unit *= PPM * abs(EXTREMES[lane - 14])
        lanes.append((gained + (unit >> 1)) // unit)  # division: floor of a half more, to nearest
    return lanes


def pack(lanes: Sequence[int]) -> tuple[int, int]:
    """(array word, clip): lane j at bit 16·j, plus 32768. A lane beyond sixteen bits is cut, and
    ``clip`` tells the margin by how much, so that both sides are charged for it.

    Errors: ``OutOfBounds`` if one is cut by more than 2**21: such a quantum serves no forward near.
    """
    word = beyond = 0
    for lane in reversed(lanes):
        biased = lane + BIAS
        inside = clamp(biased, 0, 2**LANE_BITS - 1)
        beyond = max(beyond, abs(biased - inside))
        word = word << LANE_BITS | inside
    require(beyond <= CLIPPED_MAX, errors.OutOfBounds)
    clip = max((beyond - 1).bit_length() - CLIPPED_BITS, 1) if beyond else 0
    return word, clip


def unpack(array: int) -> list[int]:
    """The sixteen lanes of an array, in quanta."""
    return [(array >> LANE_BITS * lane) % 2**LANE_BITS - BIAS for lane in range(LANES)]


def _words(shared: Frame, call: _Call) -> Strike:
    """The words of a strike by its call; the put's mark by parity."""
    array, clip = pack(_lanes(shared, call))
    # a call is worth at least forward less strike, so a put is not worth less than nothing
    worths = call.worth, shared.forward, call.worth - shared.forward + call.strike
    mark, forward, put_mark = (div_down(worth, ORACLE_UNIT) for worth in worths)
    info = Info(mark, forward, call.delta >> 96 - DELTA_BITS, put_mark, clip=clip)
    return Strike(array, info.pack(), call.vega)


def scenarios(
    forward: int, strike: int, sigma: int, seconds: int, psr: int, quantum: int
) -> list[int]:
    """The lanes of a call before they are packed, at a quantum of any fineness.

    Errors: ``OutOfBounds``.
    """
    shared = frame(forward, seconds, psr, quantum)
    return _lanes(shared, _call_at(shared, strike, sigma))


def build(forward: int, strike: int, sigma: int, seconds: int, psr: int, quantum: int) -> Strike:
    """The words of one strike at volatility ``sigma``. No surface stands behind them: timestamp
    and generation are zero. Errors: ``OutOfBounds``.
    """
    shared = frame(forward, seconds, psr, quantum)
    return _words(shared, _call_at(shared, strike, sigma))


def build_expiry(
    forward: int, seconds: int, surface_word: int, psr: int, quantum: int, strikes: Sequence[int]
) -> list[Strike]:
    """The words of every strike of one expiry, on its surface, ``seconds`` before it; stamped with
    that time. Generation is left zero for who keeps the words.

    Errors: ``SurfaceOutOfBounds``, ``ButterflyArbitrage``, ``OutOfBounds`` (also for a time before
    the surface was seen).
    """
    assert len(strikes) <= STRIKES_MAX
    surface.gate(surface_word, 0)
    seen = surface.unpack(surface_word)
    require(seconds <= seen.tenor, errors.OutOfBounds)
    shared = frame(forward, seconds, psr, quantum)
    stamp = Info(0, 0, 0, timestamp=(seen.expiry - seconds) % 2**32).pack()
    found = []
    for strike in strikes:
        require(1 <= strike <= PRICE_MAX, errors.OutOfBounds)
        wei = strike * ORACLE_UNIT
        k = log_ratio(shared.forward, wei)
        variance = div_down(surface.total_variance(surface_word, -k) * seconds, seen.tenor)
        built = _words(shared, _priced(shared, wei, k, isqrt(variance << 96)))
        found.append(built._replace(info=built.info | stamp))
    return found


class Totals(NamedTuple):
    """Four words of four 64-bit sums, lots signed and unsigned, and lots times what was cut."""

    sums: tuple[int, int, int, int] = (0, 0, 0, 0)
    net: int = 0
    gross: int = 0
    cut: int = 0


def accumulate(totals: Totals, array: int, clipped: int, lots: int) -> Totals:
    """The totals with a position of ``lots``; ``clipped`` is that of its info word."""
    spread = (array >> LANE_BITS * i & SPREAD_MASK for i in range(4))
    sums = (t + lots * word for t, word in zip(totals.sums, spread, strict=True))
    a, b, c, d = (total % WORD for total in sums)
    size = abs(lots)
    net, gross, cut = totals.net + lots, totals.gross + size, totals.cut + size * clipped
    return Totals((a, b, c, d), net, gross, cut)


def lane_sums(totals: Totals) -> list[int]:
    """Gains of the positions by lane, in quanta times lots, exact.

    Errors: ``LotsOutOfRange`` from 2**47 lots (unsigned) on, where 64-bit lanes could overflow.
    """
    require(totals.gross <= LOTS_SUM_MAX, errors.LotsOutOfRange)
    words = [(total + SPREAD_BIAS) % WORD for total in totals.sums]
    offset = 2**63 + BIAS * totals.net
    return [(words[j % 4] >> 16 * (j - j % 4)) % 2**64 - offset for j in range(LANES)]


def profit(totals: Totals, quantum_lot: int, linear: int, psr: int) -> list[int]:
    """Gains by lane, wad, of options (a quantum of a lot is ``quantum_lot`` wei, exact) and of a
    linear dollar delta, rounded down.
    """
    return [
        options * quantum_lot
        + linear * psr * node // (PPM * 100)  # division: floor, against the account
        for options, node in zip(lane_sums(totals), LINEAR, strict=True)
    ]


def scan(totals: Totals, quantum_lot: int, linear: int, psr: int) -> int:
    """The worst scenario's loss, wad, not below zero; ``rounding`` comes on top."""
    return max(-min(profit(totals, quantum_lot, linear, psr)), 0)


def rounding(totals: Totals, quantum_lot: int) -> int:
    """What lanes may hide, wad, rounded up: (1/2 + 2**-20) quantum a lot, and what was cut off."""
    quanta = totals.gross * LOT_CHARGE + (totals.cut << CHARGE_BITS)
    return div_up(quanta * quantum_lot, 1 << CHARGE_BITS)


def quantum_lot(quantum: int, lot_size: int) -> int:
    """A quantum of one lot in wei; exact, as a lot is a multiple of 1e10 wei."""
    assert quantum * ORACLE_UNIT * lot_size % WAD == 0
    return div_down(quantum * ORACLE_UNIT * lot_size, WAD)
