"""Number types and the only divisions in the settlement layer.

Owns: the scale of every integer (wad 1e18, bp 1e-4, ppm 1e-6, ppb 1e-9, oracle unit 1e8 wei) and
the rounding direction of every division, which is in the function's name. The Vyper twin is
``contracts/lib/units.vy``.
"""

from __future__ import annotations

from typing import NewType

Wad = NewType("Wad", int)
Lots = NewType("Lots", int)
Ppm = NewType("Ppm", int)
Ppb = NewType("Ppb", int)
Bps = NewType("Bps", int)
Seconds = NewType("Seconds", int)

WAD = 10**18
PPM = 10**6
PPB = 10**9
BPS = 10**4
ORACLE_UNIT = 10**8
CENT = 10**16
FUNDING_PERIOD_S = 28_800
DAY_S = 86_400


def div_down(numerator: int, denominator: int) -> int:
    """Quotient rounded toward zero; both operands non-negative."""
    assert numerator >= 0 and denominator > 0
    return numerator // denominator


def div_up(numerator: int, denominator: int) -> int:
    """Quotient rounded away from zero; both operands non-negative."""
    assert numerator >= 0 and denominator > 0
    return -(-numerator // denominator)


def div_zero(numerator: int, denominator: int) -> int:
    """Quotient truncated toward zero, signed numerator (Vyper's ``//``)."""
    assert denominator > 0
    quotient = abs(numerator) // denominator
    return quotient if numerator >= 0 else -quotient


def mul_div_down(value: int, factor: int, divisor: int) -> int:
    """``value * factor / divisor`` rounded down; operands non-negative."""
    return div_down(value * factor, divisor)


def mul_div_up(value: int, factor: int, divisor: int) -> int:
    """``value * factor / divisor`` rounded up; operands non-negative."""
    return div_up(value * factor, divisor)


def ppm_up(value: int, rate_ppm: int) -> int:
    """Share ``rate_ppm`` of a non-negative value, rounded up."""
    return div_up(value * rate_ppm, PPM)


def ppm_down(value: int, rate_ppm: int) -> int:
    """Share ``rate_ppm`` of a non-negative value, rounded down."""
    return div_down(value * rate_ppm, PPM)


def clamp(value: int, low: int, high: int) -> int:
    """``value`` held within [low, high]."""
    return max(low, min(high, value))
