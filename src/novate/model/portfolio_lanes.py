"""One unit of an instrument for ``portfolio_margin``: its mark, Greeks and scenario lanes.

Owns: nothing but the way from ``model/arrays`` (scenarios, nodes, volatility shocks, the sixteen
bits of a lane) and ``model/pricing`` (mark and Greeks) to wad a unit. Linear instruments have no
lanes of their own: theirs are ``arrays.LINEAR`` percents of scan range times price, and a put has
those of the call less that of its forward (parity). Rounding: lanes to the nearest quantum, as on
chain.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from novate.model import arrays, pricing
from novate.model.portfolio import OPTION, Line, Rates
from novate.units import ORACLE_UNIT, WAD, div_down


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit of an instrument: its mark and Greeks, and the lanes of its strike's call (none if
    linear), in wad; ``cut`` is the most that a lane lost to its sixteen bits.
    """

    greeks: pricing.Greeks
    lanes: tuple[int, ...] = ()
    cut: int = 0


def quantum(rates: Rates) -> int:
    """The quantum of a lane in oracle units: the chain's for a reference forward at the index, or
    one unit (1e-10 USD) where the margin is asked for without its rounding.
    """
    if not rates.charge_rounding:
        return 1
    return arrays.quantum_of(rates.psr_ppm, div_down(rates.index, ORACLE_UNIT))


@lru_cache(maxsize=4096)
def greeks_of(line: Line) -> pricing.Greeks:
    """Mark and Greeks of one unit; what is linear has a delta of one."""
    if line.kind != OPTION:
        return pricing.Greeks(line.forward, WAD, 0, 0, 0)
    return pricing.black76(line.forward, line.strike, line.sigma, line.seconds, line.is_call)


def forwards(line: Line) -> int:
    """How many forwards a unit gains by beside its lanes: a put one less than the call."""
    return 1 if line.kind != OPTION else 0 if line.is_call else -1


@lru_cache(maxsize=4096)
def unit(line: Line, rates: Rates) -> Unit:
    """The figures of one unit. Errors: ``OutOfBounds``."""
    greeks = greeks_of(line)
    if line.kind != OPTION:
        return Unit(greeks)
    size = quantum(rates)
    forward, strike = div_down(line.forward, ORACLE_UNIT), div_down(line.strike, ORACLE_UNIT)
    terms = (forward, strike, line.sigma, line.seconds, rates.psr_ppm, size)
    if rates.charge_rounding:
        built = arrays.build(*terms)
        lanes, cut = arrays.unpack(built.array), arrays.Info.unpack(built.info).clipped
    else:
        lanes, cut = arrays.scenarios(*terms), 0
    return Unit(
        greeks=greeks,
        lanes=tuple(lane * size * ORACLE_UNIT for lane in lanes),
        cut=cut * size * ORACLE_UNIT,
    )
