"""Margin: what a portfolio of linear instruments must hold (docs/SPEC.md §4, MARGIN.md).

Pure over one snapshot of prices, markets and parameters. Every add-on rounds against the account.
The sixteen lanes of a linear position are multiples of its dollar delta, so their minimum is the
full scan range; ``lanes`` spells them out and tests compare. Twin: ``contracts/RiskModel.vy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novate import limits
from novate.model.instrument import PERP, SPOT
from novate.model.kept import MARGIN_SOURCES, kept
from novate.model.option_id import DATED
from novate.model.risk_parameters import (
    THOUSAND_USD,
    RiskGlobals,
    RiskParameters,
    RiskState,
    Transition,
    between_down,
    between_up,
    liquidity,
    ramp,
    set_globals,
    set_parameters,
    transition,
)
from novate.units import PPM, clamp, div_down, div_up, ppm_down, ppm_up

if TYPE_CHECKING:
    from novate.model.oracle import Feed, Status
    from novate.model.state import World

__all__ = [
    "THOUSAND_USD",
    "RiskGlobals",
    "RiskParameters",
    "RiskState",
    "Transition",
    "between_down",
    "between_up",
    "liquidity",
    "ramp",
    "set_globals",
    "set_parameters",
    "transition",
]
STALE = 1
GRACE = 2
NODES_PERCENT = (0, 15, -15, 50, -50, 100, -100)


@dataclass(frozen=True, slots=True)
class Row:
    """One instrument at one round: what a lot is worth and what charges it carries."""

    value_lot: int
    notional_lot: int
    underlying: int
    kind: int
    stale: bool
    charge: int
    confidence: int
    deviation: int


@dataclass(frozen=True, slots=True)
class Valuation:
    """A portfolio's value and requirements, in wad."""

    value_linear: int = 0
    value_spot: int = 0
    margin_maintenance: int = 0
    margin_initial: int = 0
    penalty: int = 0
    bonus: int = 0
    liquidity: int = 0
    flags: int = 0


@dataclass(slots=True)
class Group:
    """Positions of one underlying, summed: the delta of what is linear (wad), each spot value, and
    the worst of their feeds (ppm).
    """

    delta: int = 0
    spots: list[int] = field(default_factory=list)
    confidence: int = 0
    fall: int = 0
    rise: int = 0

    def widen(self, confidence: int, deviation: int) -> None:
        """Take in the gauge of one more feed."""
        self.confidence = max(self.confidence, confidence)
        self.fall = max(self.fall, -deviation)
        self.rise = max(self.rise, deviation)

    def adverse(self, delta: int) -> int:
        """The correction (ppm) that hurts a delta most."""
        return max(self.confidence, self.fall if delta > 0 else self.rise)


@dataclass(slots=True)
class Held:
    """Positions, summed: values, charges (1e-5 wad) and the groups by underlying."""

    value_linear: int = 0
    value_spot: int = 0
    charges: int = 0
    flags: int = 0
    groups: dict[int, Group] = field(default_factory=dict)


@dataclass(slots=True)
class _Sums:
    """Running totals of one evaluation (wad; cross sums in wad * 1e9)."""

    scan: dict[str, int] = field(default_factory=lambda: {"maintenance": 0, "initial": 0})
    base: dict[str, int] = field(default_factory=lambda: {"maintenance": 0, "initial": 0})
    cross: dict[str, int] = field(default_factory=lambda: {"maintenance": 0, "initial": 0})
    added: int = 0
    liquidity_initial: int = 0
    haircut_maintenance: int = 0
    haircut_initial: int = 0
    penalty: int = 0
    bonus: int = 0
    liquidity: int = 0


def lanes(delta: int, psr_ppm: int) -> list[int]:
    """The sixteen scenario P&Ls of a linear dollar delta (wad, floored): each node twice, then the
    two weighted extremes.
    """
    nodes = [n for n in NODES_PERCENT for _ in range(2)] + [100, -100]
    return [
        delta * psr_ppm * n // (PPM * 100) for n in nodes
    ]  # division: floor, against the account


@kept(*MARGIN_SOURCES)
def row(world: World, instrument: int) -> Row:
    """One instrument's row at the current round."""
    if instrument >= DATED:
        from novate.model import dated_margin

        return dated_margin.row(world, instrument).of_a_lot()
    terms, market, feed, status = world.snapshot(instrument)
    stale, confidence, deviation = gauge(world, feed, status)
    price = feed.index if terms.kind == SPOT else feed.mark
    notional = terms.mark_lot(price)
    return Row(
        value_lot=notional - (market.funding_index if terms.kind == PERP else 0),
        notional_lot=notional,
        underlying=terms.underlying,
        kind=terms.kind,
        stale=stale,
        charge=_charge(
            world, terms.underlying, terms.kind, market.open_interest * notional, market.rate
        ),
        confidence=confidence,
        deviation=deviation,
    )


def quoted(world: World, instrument: int) -> tuple[int, int]:
    """Mark and forward (wad) of a base unit of a dated instrument; zeros if Options has none."""
    from novate.model import dated_margin

    return dated_margin.quoted(world, instrument)


def gauge(world: World, feed: Feed, status: Status) -> tuple[bool, int, int]:
    """Whether a feed is stale, its confidence widened by that, and how far its average lies from
    the mark (both ppm, away from zero).
    """
    late = max(world.now - feed.timestamp - status.stale_after, 0)
    widening = min(late * world.risk.globals.stale_drift_ppm_s, limits.STALE_WIDENING_PPM_MAX)
    gap = min(div_up(abs(feed.average - feed.mark) * PPM, feed.mark), 2**23 - 1)
    confidence = min(feed.confidence_ppm + widening, 2**24 - 1)
    return late > 0, confidence, gap if feed.average >= feed.mark else -gap


def _charge(world: World, underlying: int, kind: int, interest: int, rate_ppb: int) -> int:
    """Open-interest rate plus eight hours of funding, in 1e-5, rounded up."""
    if kind != PERP:
        return 0
    rate = interest_rate(world, underlying, interest)
    return min(rate + div_up(abs(rate_ppb), 10_000), 65_535)


def interest_rate(world: World, underlying: int, interest: int) -> int:
    """Charge on the open interest (wad) of a whole market or expiry, 1e-5, rounded up."""
    target, old, elapsed = transition(world, underlying)
    return between_up(_interest_rate(interest, old), _interest_rate(interest, target), elapsed)


def _interest_rate(interest: int, parameters: RiskParameters) -> int:
    """A ramp of notional, 1e-5, rounded up."""
    low, high = parameters.interest_low * THOUSAND_USD, parameters.interest_high * THOUSAND_USD
    return div_up(*ramp(interest, low, high, parameters.interest_max))


def evaluate(world: World, positions: Mapping[int, int]) -> Valuation:
    """Value and margin of ``positions`` (instrument -> lots) at the current round."""
    return _valuation(world, tuple(positions.items())) if positions else Valuation()


@kept(*MARGIN_SOURCES)
def _valuation(world: World, held: tuple[tuple[int, int], ...]) -> Valuation:
    positions = dict(held)
    if any(instrument >= DATED for instrument in positions):
        from novate.model import dated_margin

        return dated_margin.evaluate(world, positions)
    sums, gathered = _Sums(), gather(world, positions)
    for underlying, group in sorted(gathered.groups.items()):
        _add_underlying(sums, group, transition(world, underlying), world.now)
    return _total(world, sums, gathered)


def gather(world: World, positions: Mapping[int, int]) -> Held:
    """Sums over perpetuals and spot."""
    held = Held(flags=GRACE if world.in_restart_grace() or world.oracle_is_silent() else 0)
    for instrument, lots in sorted(positions.items()):
        line = row(world, instrument)
        group = held.groups.setdefault(line.underlying, Group())
        notional = lots * line.notional_lot
        group.delta += notional
        if line.kind == SPOT:
            group.spots.append(notional)
            held.value_spot += notional
        else:
            held.value_linear += lots * line.value_lot
        held.charges += abs(notional) * line.charge
        group.widen(line.confidence, line.deviation)
        held.flags |= STALE if line.stale else 0
    return held


def haircuts(group: Group, ramped: Transition) -> tuple[int, int]:
    """What spot collateral counts less at maintenance and at initial margin, each position rounded
    up.
    """
    target, old, elapsed = ramped
    maintenance = between_up(old.haircut_maintenance, target.haircut_maintenance, elapsed)
    initial = between_up(old.haircut_initial, target.haircut_initial, elapsed)
    initial = max(initial, target.haircut_initial)
    return (
        sum(ppm_up(spot, maintenance) for spot in group.spots),
        sum(ppm_up(spot, initial) for spot in group.spots),
    )


def _add_underlying(sums: _Sums, group: Group, ramped: Transition, now: int) -> None:
    """A change ramps into the maintenance margin; the initial margin takes the stricter end at
    once.
    """
    target, old, elapsed = ramped
    size = abs(group.delta)
    psr_now = target.psr_now(now)
    credit_now = between_down(old.credit, target.credit, elapsed)
    both = (
        ("maintenance", psr_now, credit_now),
        ("initial", max(psr_now, target.psr_target), min(credit_now, target.credit)),
    )
    for key, psr, credit in both:
        scan = ppm_up(size, psr)
        sums.scan[key] += scan
        sums.base[key] += div_down(credit * scan, 1000)
        sums.cross[key] += credit * psr * group.delta
    charge = between_up(liquidity(size, old), liquidity(size, target), elapsed)
    sums.liquidity += charge
    sums.liquidity_initial += max(charge, liquidity(size, target))
    sums.added += ppm_up(size, group.confidence)
    sums.bonus += ppm_down(size, group.confidence)
    sums.penalty += ppm_up(size, group.adverse(group.delta))
    maintenance, initial = haircuts(group, ramped)
    sums.haircut_maintenance += maintenance
    sums.haircut_initial += initial


def _total(world: World, sums: _Sums, held: Held) -> Valuation:
    shared = world.risk.globals
    cap = shared.credit_cap_now(world.now)
    scan = {}
    for key, most in (("maintenance", cap), ("initial", min(cap, shared.credit_cap))):
        saving = sums.base[key] - div_up(abs(sums.cross[key]), 1000 * PPM)
        scan[key] = sums.scan[key] - clamp(saving, 0, most)
    added = sums.added + div_up(held.charges, 100_000)
    maintenance = scan["maintenance"] + added + sums.liquidity + sums.haircut_maintenance
    initial = ppm_up(scan["initial"] + added + sums.liquidity_initial, shared.initial_ratio_ppm)
    initial += sums.haircut_initial
    return Valuation(
        held.value_linear,
        held.value_spot,
        maintenance,
        initial,
        sums.penalty,
        sums.bonus,
        sums.liquidity,
        held.flags,
    )
