"""Margin: what a portfolio of linear instruments must hold (docs/SPEC.md §4, MARGIN.md).

Pure over one snapshot of prices, markets and parameters. Every add-on rounds against the account.
The sixteen lanes of a linear position are multiples of its dollar delta, so their minimum is the
full scan range; ``lanes`` spells them out and tests compare. Twin: ``contracts/RiskModel.vy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import packed
from novate.model.instrument import PERP, SPOT
from novate.model.store import Store
from novate.units import DAY_S, PPM, WAD, clamp, div_down, div_up, ppm_down, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

STALE = 1
GRACE = 2
THOUSAND_USD = 1000 * WAD
NODES_PERCENT = (0, 15, -15, 50, -50, 100, -100)


@dataclass(frozen=True, slots=True)
class RiskParameters:
    """One underlying's parameters; ppm, thousands of USD, 1e-5 and 1e-3 as in the packed word."""

    psr_from: int = 0
    psr_target: int = 0
    psr_set_at: int = 0
    liquidity_low: int = 0
    liquidity_high: int = 0
    liquidity_max: int = 0
    haircut_maintenance: int = 0
    haircut_initial: int = 0
    interest_low: int = 0
    interest_high: int = 0
    interest_max: int = 0
    credit: int = 0

    def pack(self) -> int:
        """The parameters word of RiskModel."""
        return packed.pack(self, PARAMETER_BITS)

    @staticmethod
    def unpack(word: int) -> RiskParameters:
        """Read the parameters word."""
        return RiskParameters(**packed.unpack(word, PARAMETER_BITS))

    def psr_now(self, now: int) -> int:
        """Scan range in force (ppm): ramps from old to target over a day, rounded up; the whole
        price while none is set.
        """
        if self.psr_target == 0:
            return PPM
        return between_up(self.psr_from, self.psr_target, clamp(now - self.psr_set_at, 0, DAY_S))


PARAMETER_BITS = (
    ("psr_from", 20),
    ("psr_target", 20),
    ("psr_set_at", 32),
    ("liquidity_low", 24),
    ("liquidity_high", 24),
    ("liquidity_max", 20),
    ("haircut_maintenance", 20),
    ("haircut_initial", 20),
    ("interest_low", 24),
    ("interest_high", 24),
    ("interest_max", 16),
    ("credit", 10),
)


def between_up(start: int, target: int, elapsed: int) -> int:
    """Where a rate stands ``elapsed`` seconds (at most a day) into its ramp, rounded up."""
    if target >= start:
        return start + div_up((target - start) * elapsed, DAY_S)
    return start - div_down((start - target) * elapsed, DAY_S)


def between_down(start: int, target: int, elapsed: int) -> int:
    """The same for a threshold or a credit, rounded down."""
    if target >= start:
        return start + div_down((target - start) * elapsed, DAY_S)
    return start - div_up((start - target) * elapsed, DAY_S)


Transition = tuple[RiskParameters, RiskParameters, int]


@dataclass(frozen=True, slots=True)
class RiskGlobals:
    """Parameters shared by all underlyings."""

    initial_ratio_ppm: int = 1_250_000
    credit_cap: int = 5_000_000 * WAD
    stale_drift_ppm_s: int = 100
    credit_cap_from: int = 5_000_000 * WAD
    set_at: int = 0

    def credit_cap_now(self, now: int) -> int:
        """The cap in force for maintenance: ramps over a day, rounded down."""
        elapsed = clamp(now - self.set_at, 0, DAY_S)
        return between_down(self.credit_cap_from, self.credit_cap, elapsed)


class RiskState:
    """Parameters by underlying and those they ramp from, and the shared ones under the key
    ``globals``.
    """

    def __init__(self, store: Store) -> None:
        self.parameters = store.table("risk.parameters", RiskParameters())
        self.earlier = store.table("risk.earlier", RiskParameters())
        self.shared = store.table("risk.shared", RiskGlobals())

    @property
    def globals(self) -> RiskGlobals:
        """The shared parameters."""
        return self.shared["globals"]


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
class _Underlying:
    delta: int = 0
    spots: list[int] = field(default_factory=list)
    confidence: int = 0
    fall: int = 0
    rise: int = 0


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


def ramp(amount: int, low: int, high: int, rate_max: int) -> tuple[int, int]:
    """Numerator and denominator of a rate rising linearly from 0 at ``low`` to ``rate_max`` at
    ``high``.
    """
    if amount <= low or rate_max == 0:
        return 0, 1
    return rate_max * (min(amount, high) - low), high - low


def row(world: World, instrument: int) -> Row:
    """One instrument's row at the current round."""
    terms, market, feed, status = world.snapshot(instrument)
    age = world.now - feed.timestamp
    widening = 0
    if age > status.stale_after:
        drift = (age - status.stale_after) * world.risk.globals.stale_drift_ppm_s
        widening = min(drift, limits.STALE_WIDENING_PPM_MAX)
    price = feed.index if terms.kind == SPOT else feed.mark
    notional = terms.mark_lot(price)
    gap = div_up(abs(feed.average - feed.mark) * PPM, feed.mark)
    return Row(
        value_lot=notional - (market.funding_index if terms.kind == PERP else 0),
        notional_lot=notional,
        underlying=terms.underlying,
        kind=terms.kind,
        stale=age > status.stale_after,
        charge=_charge(
            world, terms.underlying, terms.kind, market.open_interest * notional, market.rate
        ),
        confidence=min(feed.confidence_ppm + widening, 2**24 - 1),
        deviation=min(gap, 2**23 - 1) * (1 if feed.average >= feed.mark else -1),
    )


def _charge(world: World, underlying: int, kind: int, interest: int, rate_ppb: int) -> int:
    """Open-interest rate plus eight hours of funding, in 1e-5, rounded up."""
    if kind != PERP:
        return 0
    target, old, elapsed = transition(world, underlying)
    rate = between_up(_interest_rate(interest, old), _interest_rate(interest, target), elapsed)
    return min(rate + div_up(abs(rate_ppb), 10_000), 65_535)


def _interest_rate(interest: int, parameters: RiskParameters) -> int:
    """Charge on the whole market's open interest: a ramp of notional, 1e-5, rounded up."""
    low, high = parameters.interest_low * THOUSAND_USD, parameters.interest_high * THOUSAND_USD
    return div_up(*ramp(interest, low, high, parameters.interest_max))


def evaluate(world: World, positions: Mapping[int, int]) -> Valuation:
    """Value and margin of ``positions`` (instrument -> lots) at the current round."""
    if not positions:
        return Valuation()
    value_linear = value_spot = charges = 0
    flags = GRACE if world.in_restart_grace() or world.oracle_is_silent() else 0
    groups: dict[int, _Underlying] = {}
    for instrument, lots in sorted(positions.items()):
        line = row(world, instrument)
        group = groups.setdefault(line.underlying, _Underlying())
        notional = lots * line.notional_lot
        group.delta += notional
        if line.kind == SPOT:
            group.spots.append(notional)
            value_spot += notional
        else:
            value_linear += lots * line.value_lot
        charges += abs(notional) * line.charge
        group.confidence = max(group.confidence, line.confidence)
        group.fall = max(group.fall, -line.deviation)
        group.rise = max(group.rise, line.deviation)
        flags |= STALE if line.stale else 0
    sums = _Sums()
    for underlying, group in sorted(groups.items()):
        _add_underlying(sums, group, transition(world, underlying), world.now)
    return _total(world, sums, charges, value_linear, value_spot, flags)


def transition(world: World, underlying: int) -> Transition:
    """The parameters in force or ramped to, those ramped from, and how far (seconds, at most a
    day).
    """
    target = world.risk.parameters[underlying]
    elapsed = world.now - target.psr_set_at
    if elapsed >= DAY_S:
        return target, target, DAY_S
    return target, world.risk.earlier[underlying], elapsed


def liquidity(size: int, parameters: RiskParameters) -> int:
    """What closing a dollar delta may cost beyond the mark: a ramp of size, rounded up."""
    low, high = parameters.liquidity_low * THOUSAND_USD, parameters.liquidity_high * THOUSAND_USD
    numerator, denominator = ramp(size, low, high, parameters.liquidity_max)
    return div_up(size * numerator, denominator * PPM)


def _add_underlying(sums: _Sums, group: _Underlying, ramped: Transition, now: int) -> None:
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
    adverse = group.fall if group.delta > 0 else group.rise
    sums.penalty += ppm_up(size, max(group.confidence, adverse))
    haircut = between_up(old.haircut_maintenance, target.haircut_maintenance, elapsed)
    sums.haircut_maintenance += sum(ppm_up(spot, haircut) for spot in group.spots)
    haircut = between_up(old.haircut_initial, target.haircut_initial, elapsed)
    haircut = max(haircut, target.haircut_initial)
    sums.haircut_initial += sum(ppm_up(spot, haircut) for spot in group.spots)


def _total(
    world: World, sums: _Sums, charges: int, value_linear: int, value_spot: int, flags: int
) -> Valuation:
    shared = world.risk.globals
    cap = shared.credit_cap_now(world.now)
    scan = {}
    for key, most in (("maintenance", cap), ("initial", min(cap, shared.credit_cap))):
        saving = sums.base[key] - div_up(abs(sums.cross[key]), 1000 * PPM)
        scan[key] = sums.scan[key] - clamp(saving, 0, most)
    added = sums.added + div_up(charges, 100_000)
    maintenance = scan["maintenance"] + added + sums.liquidity + sums.haircut_maintenance
    initial = ppm_up(scan["initial"] + added + sums.liquidity_initial, shared.initial_ratio_ppm)
    initial += sums.haircut_initial
    return Valuation(
        value_linear,
        value_spot,
        maintenance,
        initial,
        sums.penalty,
        sums.bonus,
        sums.liquidity,
        flags,
    )


def set_parameters(world: World, caller: str, underlying: int, new: RiskParameters) -> None:
    """Governance: bounded change, at most one a day; everything ramps over that day (rule 17)."""
    require(caller == world.addresses["timelock"], errors.NotAuthorized)
    in_bounds = (
        underlying < limits.UNDERLYINGS_MAX
        and 10_000 <= new.psr_target <= 900_000
        and new.liquidity_low < new.liquidity_high
        and new.liquidity_max <= 500_000
        and new.haircut_maintenance <= new.haircut_initial <= 900_000
        and new.interest_low < new.interest_high
        and new.interest_max <= 50_000
        and new.credit <= 1000
    )
    require(in_bounds, errors.OutOfBounds)
    old = world.risk.parameters[underlying]
    psr_from = new.psr_target
    if old.psr_target != 0:
        psr_from = old.psr_target
        slow = ppm_up(psr_from, 980_000) <= new.psr_target <= ppm_down(psr_from, 1_100_000)
        require(slow and world.now >= old.psr_set_at + DAY_S, errors.TooFast)
    stored = replace(new, psr_from=psr_from, psr_set_at=world.now)
    world.risk.earlier[underlying] = old if old.psr_target != 0 else stored
    world.risk.parameters[underlying] = stored
    world.emit("ParametersSet", underlying=underlying, word=stored.pack())


def set_globals(world: World, caller: str, new: RiskGlobals) -> None:
    """Governance: the shared parameters, bounded, at most once a day; the credit cap ramps over
    that day.
    """
    require(caller == world.addresses["timelock"], errors.NotAuthorized)
    in_bounds = (
        1_100_000 <= new.initial_ratio_ppm <= 2_000_000
        and new.credit_cap <= 100_000_000 * WAD
        and 10 <= new.stale_drift_ppm_s <= 1000
    )
    require(in_bounds, errors.OutOfBounds)
    old = world.risk.globals
    require(world.now >= old.set_at + DAY_S, errors.TooFast)
    world.risk.shared["globals"] = replace(new, credit_cap_from=old.credit_cap, set_at=world.now)
    world.emit(
        "GlobalsSet",
        initial_ratio_ppm=new.initial_ratio_ppm,
        credit_cap=new.credit_cap,
        stale_drift_ppm_s=new.stale_drift_ppm_s,
    )
