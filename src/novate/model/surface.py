"""The volatility surface: one eSSVI slice an expiry in one word, and the gate it must pass.

Owns: the layout of the surface word, total variance at a strike, freedom from arbitrage, and how
fast a slice may move. Units: ``theta`` (at-the-money total variance sigma^2 T) and ``psi`` (theta
times phi) in 2**-56, ``rho`` signed in 2**-31, times in seconds; log-moneyness and total variance
in 2**-96. Rounding: every comparison is exact in integers, nothing is divided; ``total_variance``
rounds each step down and is within 8 units of the real number. Source: Hendriks and Martini,
"The extended SSVI volatility surface" (2019); Gatheral and Jacquier (2014) for the butterfly
conditions; docs/SPEC.md §11. Twin: ``contracts/lib/surface.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isqrt

from novate import errors
from novate.errors import require
from novate.model import packed
from novate.units import mul_div_down

FIELDS = (("theta", 64), ("psi", 60), ("rho", 32), ("expiry", 40), ("timestamp", 40))
VARIANCE_BITS = 56
RHO_BITS = 31
SCALE_BITS = 96

ONE = 1 << VARIANCE_BITS
RHO_ONE = 1 << RHO_BITS
YEAR_S = 365 * 86_400
TENOR_MAX_S = 3 * YEAR_S
RHO_MAX_PERCENT = 99
VOLATILITY_MIN_INVERSE_SQUARED = 400  # at the money at least 1/20
VOLATILITY_MAX_SQUARED = 25  # at the money at most 5
MONEYNESS_MAX = 128 << SCALE_BITS  # |ln(K/F)|: beyond what any two prices of 128 bits are apart

# How far a slice may move in a minute; less in proportion for an earlier update, never more.
MOVE_PERIOD_S = 60
THETA_MOVE_INVERSE = 2  # a half of theta
RHO_MOVE = RHO_ONE // 5  # division: a constant of the rate limit, rounded down
PSI_MOVE = ONE // 10  # division: a constant of the rate limit, rounded down


@dataclass(frozen=True, slots=True)
class Slice:
    """The fields of one word: one expiry as it was seen at ``timestamp``."""

    theta: int
    psi: int
    rho: int
    expiry: int
    timestamp: int

    @property
    def tenor(self) -> int:
        """Seconds from the observation to expiry."""
        return self.expiry - self.timestamp


def pack(slice_: Slice) -> int:
    """The word of a slice; a field that does not fit is a bug of the caller."""
    return packed.pack(slice_, FIELDS, signed=("rho",))


def unpack(word: int) -> Slice:
    """The slice of a word; bits above the fields are ignored here and refused by ``gate``."""
    return Slice(**packed.unpack(word, FIELDS, signed=("rho",)))


def total_variance(word: int, k: int) -> int:
    """Total variance at log-moneyness ``k`` = ln(K/F), both in 2**-96.

    theta/2 (1 + rho phi k + sqrt((phi k + rho)^2 + 1 - rho^2)) without its division: with
    x = psi k it is (theta + rho x + sqrt(x^2 + 2 rho theta x + theta^2)) / 2. Every step rounds
    down. The word passed ``gate``; |k| < 128.
    """
    s = unpack(word)
    assert abs(k) < MONEYNESS_MAX
    theta = s.theta << (SCALE_BITS - VARIANCE_BITS)
    x = (s.psi * k) >> VARIANCE_BITS
    skew = (s.rho * x) >> RHO_BITS
    return (theta + skew + isqrt(x * x + 2 * skew * theta + theta * theta)) >> 1


def total_variance_at(word: int, k: int, now: int) -> int:
    """Total variance left at ``now``: the volatility of each strike stays, the time runs (down).

    Scaling by (expiry - now) / (expiry - timestamp) keeps every condition of ``gate``. Zero from
    expiry on; a ``now`` before the observation counts as the observation.
    """
    s = unpack(word)
    left = max(s.expiry - now, 0)
    return mul_div_down(total_variance(word, k), min(left, s.tenor), s.tenor)


def gate(word: int, previous: int) -> None:
    """Refuse a slice that is out of bounds or, with the next nearer one, allows an arbitrage.

    ``previous`` is the accepted word of the next nearer expiry of the same surface, or 0 for the
    nearest. Raises, in order, SurfaceOutOfBounds, ButterflyArbitrage, NotAscending,
    CalendarArbitrage.
    """
    s = unpack(word)
    require(_in_bounds(word, s), errors.SurfaceOutOfBounds)
    require(_no_butterfly(s), errors.ButterflyArbitrage)
    if previous == 0:
        return
    nearer = unpack(previous)
    require(s.timestamp == nearer.timestamp, errors.SurfaceOutOfBounds)
    require(s.expiry > nearer.expiry, errors.NotAscending)
    require(_no_calendar(nearer, s), errors.CalendarArbitrage)


def _in_bounds(word: int, s: Slice) -> bool:
    """No bit above the fields, 0 < tenor <= 3 years, |rho| <= 0.99, volatility 5 % to 500 %."""
    variance = s.theta * YEAR_S
    return (
        word >> sum(bits for _, bits in FIELDS) == 0
        and 0 < s.tenor <= TENOR_MAX_S
        and abs(s.rho) * 100 <= RHO_ONE * RHO_MAX_PERCENT
        and variance * VOLATILITY_MIN_INVERSE_SQUARED >= s.tenor * ONE
        and variance <= s.tenor * ONE * VOLATILITY_MAX_SQUARED
    )


def _no_butterfly(s: Slice) -> bool:
    """psi (1 + |rho|) < 4 and psi^2 (1 + |rho|) <= 4 theta; together enough."""
    wing = s.psi * (RHO_ONE + abs(s.rho))
    return wing < 4 * ONE * RHO_ONE and wing * s.psi <= 4 * s.theta * ONE * RHO_ONE


def _no_calendar(nearer: Slice, s: Slice) -> bool:
    """theta and psi do not fall, phi does not rise, |rho' psi' - rho psi| <= psi' - psi."""
    return (
        s.theta >= nearer.theta
        and s.psi >= nearer.psi
        and s.psi * nearer.theta <= nearer.psi * s.theta
        and abs(s.rho * s.psi - nearer.rho * nearer.psi) <= (s.psi - nearer.psi) * RHO_ONE
    )


def within_rate(old: int, new: int) -> None:
    """Refuse a move of one expiry that is too far for the time since its last update.

    Compared with the old slice as it has aged (theta and psi times what is left of the tenor), and
    in a minute: theta moves by at most a half of itself, rho by 0.2, psi by 0.1; a shorter time
    allows less in proportion, a longer one no more. ``old`` 0: nothing to compare with. Raises
    SurfaceOutOfBounds (another expiry), StaleRound (not newer), SurfaceJump.
    """
    if old == 0:
        return
    before, after = unpack(old), unpack(new)
    require(before.expiry == after.expiry, errors.SurfaceOutOfBounds)
    require(after.timestamp > before.timestamp, errors.StaleRound)
    time = min(after.timestamp - before.timestamp, MOVE_PERIOD_S)
    theta = before.theta * after.tenor
    psi = before.psi * after.tenor
    theta_move = abs(after.theta * before.tenor - theta)
    psi_move = abs(after.psi * before.tenor - psi)
    require(
        theta_move * MOVE_PERIOD_S * THETA_MOVE_INVERSE <= theta * time
        and psi_move * MOVE_PERIOD_S <= PSI_MOVE * before.tenor * time
        and abs(after.rho - before.rho) * MOVE_PERIOD_S <= RHO_MOVE * time,
        errors.SurfaceJump,
    )
