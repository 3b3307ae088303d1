"""Margin in exact fractions: the yardstick that integer margin must never fall short of (I07).

The same formulas as ``margin.py`` (docs/SPEC.md §4) with no rounding anywhere. Given are the value
of a lot, the scan range and the credit in force, which are whole numbers by definition; everything
derived from them is a fraction of a wei. It shares no code with the integers but those inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

from novate.model import margin
from novate.model.instrument import PERP, SPOT
from novate.model.margin import THOUSAND_USD, RiskParameters, between_down
from novate.units import DAY_S, PPM

if TYPE_CHECKING:
    from novate.model.state import World

ZERO = Fraction(0)
CHARGE_MAX = 65_535
DEVIATION_MAX = 2**23 - 1


@dataclass(frozen=True, slots=True)
class ExactMargin:
    """Requirements and corrections in wad, unrounded."""

    maintenance: Fraction = ZERO
    initial: Fraction = ZERO
    penalty: Fraction = ZERO
    bonus: Fraction = ZERO


@dataclass(slots=True)
class _Group:
    delta: int = 0
    spot: int = 0
    confidence: int = 0
    fall: Fraction = ZERO
    rise: Fraction = ZERO


@dataclass(slots=True)
class _Totals:
    """Maintenance and initial side by side, and what both share."""

    scan: list[Fraction] = field(default_factory=lambda: [ZERO, ZERO])
    base: list[Fraction] = field(default_factory=lambda: [ZERO, ZERO])
    cross: list[Fraction] = field(default_factory=lambda: [ZERO, ZERO])
    liquidity: list[Fraction] = field(default_factory=lambda: [ZERO, ZERO])
    haircut: list[Fraction] = field(default_factory=lambda: [ZERO, ZERO])
    confidence: Fraction = ZERO
    charges: Fraction = ZERO
    penalty: Fraction = ZERO


def exact_margin(world: World, positions: Mapping[int, int]) -> ExactMargin:
    """Margin of ``positions`` (instrument -> lots) at the current round, in fractions."""
    totals, groups = _Totals(), dict[int, _Group]()
    for instrument, lots in positions.items():
        line = margin.row(world, instrument)
        group = groups.setdefault(line.underlying, _Group())
        notional = lots * line.notional_lot
        group.delta += notional
        group.spot += notional if line.kind == SPOT else 0
        group.confidence = max(group.confidence, line.confidence)
        deviation = _deviation(world, instrument)
        group.fall, group.rise = max(group.fall, -deviation), max(group.rise, deviation)
        charge = _charge(world, instrument, line.notional_lot)
        totals.charges += charge * Fraction(abs(notional), 100_000)
    for underlying, group in groups.items():
        _add(world, totals, underlying, group)
    return _total(world, totals)


def _deviation(world: World, instrument: int) -> Fraction:
    """How far the average is above the mark, in ppm, clipped."""
    feed = world.snapshot(instrument)[2]
    found = Fraction((feed.average - feed.mark) * PPM, feed.mark)
    return max(min(found, Fraction(DEVIATION_MAX)), Fraction(-DEVIATION_MAX))


def _charge(world: World, instrument: int, notional_lot: int) -> Fraction:
    """Open-interest rate plus eight hours of funding, in 1e-5, clipped."""
    terms, market = world.snapshot(instrument)[:2]
    if terms.kind != PERP:
        return ZERO
    amount = market.open_interest * notional_lot
    target, old, elapsed = margin.transition(world, terms.underlying)
    ends = [_ramp(amount, p.interest_low, p.interest_high, p.interest_max) for p in (old, target)]
    interest = _between(ends[0], ends[1], elapsed)
    return min(interest + Fraction(abs(market.rate), 10_000), Fraction(CHARGE_MAX))


def _ramp(amount: int, low: int, high: int, most: int) -> Fraction:
    """A rate rising from 0 at ``low`` to ``most`` at ``high`` (thousands of USD)."""
    start, end = low * THOUSAND_USD, high * THOUSAND_USD
    if amount <= start or most == 0:
        return ZERO
    return Fraction(most * (min(amount, end) - start), end - start)


def _between(start: Fraction, end: Fraction, elapsed: int) -> Fraction:
    """Where a value stands ``elapsed`` seconds into its day."""
    return start + (end - start) * Fraction(elapsed, DAY_S)


def _liquidity(size: int, parameters: RiskParameters) -> Fraction:
    low, high = parameters.liquidity_low, parameters.liquidity_high
    return _ramp(size, low, high, parameters.liquidity_max) * Fraction(size, PPM)


def _add(world: World, totals: _Totals, underlying: int, group: _Group) -> None:
    target, old, elapsed = margin.transition(world, underlying)
    size, psr = abs(group.delta), target.psr_now(world.now)
    credit = between_down(old.credit, target.credit, elapsed)
    full = _liquidity(size, target)
    liquidity = _between(_liquidity(size, old), full, elapsed)
    haircuts = [
        _between(Fraction(getattr(old, name)), Fraction(getattr(target, name)), elapsed)
        for name in ("haircut_maintenance", "haircut_initial")
    ]
    stricter = max(haircuts[1], Fraction(target.haircut_initial))
    sides = (
        (psr, credit, liquidity, haircuts[0]),
        (max(psr, target.psr_target), min(credit, target.credit), max(liquidity, full), stricter),
    )
    for side, (scan_ppm, credit_now, charge, haircut) in enumerate(sides):
        scan = Fraction(size * scan_ppm, PPM)
        totals.scan[side] += scan
        totals.base[side] += scan * Fraction(credit_now, 1000)
        totals.cross[side] += Fraction(group.delta * scan_ppm * credit_now, PPM * 1000)
        totals.liquidity[side] += charge
        totals.haircut[side] += haircut * Fraction(group.spot, PPM)
    adverse = group.fall if group.delta > 0 else group.rise
    totals.confidence += Fraction(size * group.confidence, PPM)
    totals.penalty += max(Fraction(group.confidence), adverse) * Fraction(size, PPM)


def _total(world: World, totals: _Totals) -> ExactMargin:
    shared = world.risk.globals
    cap = shared.credit_cap_now(world.now)
    required = []
    for side, most in enumerate((cap, min(cap, shared.credit_cap))):
        saving = max(ZERO, min(totals.base[side] - abs(totals.cross[side]), Fraction(most)))
        linear = totals.scan[side] - saving + totals.confidence + totals.charges
        required.append(linear + totals.liquidity[side])
    return ExactMargin(
        maintenance=required[0] + totals.haircut[0],
        initial=required[1] * Fraction(shared.initial_ratio_ppm, PPM) + totals.haircut[1],
        penalty=totals.penalty,
        bonus=totals.confidence,
    )
