"""Parameters of the risk model: bounds, speed limits, ramps, and what follows from them alone.

Owns: one row of parameters an underlying, changed at most once a day, and those shared by all. A
change reaches the maintenance margin along a ramp of a day, so that it never makes a healthy
account liquidatable at once; the initial margin takes the stricter end at once. Rounding: rates and
charges up, credit and its cap down. Source: docs/SPEC.md §4. Twin:
``contracts/risk_parameters.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import packed
from novate.model.store import Store
from novate.units import DAY_S, PPM, WAD, clamp, div_down, div_up, ppm_down, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

THOUSAND_USD = 1000 * WAD
# What governance may set, at most once a day; of the scan range a day's factor, too.
SCAN_RANGE_BOUNDS_PPM = (10_000, 900_000)
SCAN_RANGE_STEP_PPM = (980_000, 1_100_000)
LIQUIDITY_PPM_MAX = 500_000
HAIRCUT_PPM_MAX = 900_000
INTEREST_E5_MAX = 50_000
CREDIT_PERMILLE_MAX = 1_000
INITIAL_RATIO_BOUNDS_PPM = (1_100_000, 2_000_000)
CREDIT_CAP_MAX = 100_000_000 * WAD
STALE_DRIFT_BOUNDS_PPM_S = (10, 1_000)


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


def ramp(amount: int, low: int, high: int, rate_max: int) -> tuple[int, int]:
    """Numerator and denominator of a rate rising linearly from 0 at ``low`` to ``rate_max`` at
    ``high``.
    """
    if amount <= low or rate_max == 0:
        return 0, 1
    return rate_max * (min(amount, high) - low), high - low


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


def set_parameters(world: World, caller: str, underlying: int, new: RiskParameters) -> None:
    """Governance: bounded change, at most one a day; everything ramps over that day (rule 17)."""
    require(caller == world.addresses["timelock"], errors.NotAuthorized)
    in_bounds = (
        underlying < limits.UNDERLYINGS_MAX
        and SCAN_RANGE_BOUNDS_PPM[0] <= new.psr_target <= SCAN_RANGE_BOUNDS_PPM[1]
        and new.liquidity_low < new.liquidity_high
        and new.liquidity_max <= LIQUIDITY_PPM_MAX
        and new.haircut_maintenance <= new.haircut_initial <= HAIRCUT_PPM_MAX
        and new.interest_low < new.interest_high
        and new.interest_max <= INTEREST_E5_MAX
        and new.credit <= CREDIT_PERMILLE_MAX
    )
    require(in_bounds, errors.OutOfBounds)
    old = world.risk.parameters[underlying]
    psr_from = new.psr_target
    if old.psr_target != 0:
        psr_from = old.psr_target
        low, high = SCAN_RANGE_STEP_PPM
        slow = ppm_up(psr_from, low) <= new.psr_target <= ppm_down(psr_from, high)
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
        INITIAL_RATIO_BOUNDS_PPM[0] <= new.initial_ratio_ppm <= INITIAL_RATIO_BOUNDS_PPM[1]
        and new.credit_cap <= CREDIT_CAP_MAX
        and STALE_DRIFT_BOUNDS_PPM_S[0] <= new.stale_drift_ppm_s <= STALE_DRIFT_BOUNDS_PPM_S[1]
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
