"""Open orders at their worst: what an account must hold to enter one more (docs/SPEC.md §5).

Any of an account's open orders may fill, each wholly or in part, in any order. Judged is one figure
that no such combination exceeds, without walking through them:

- positions: an instrument ends within ``reach``; an underlying's delta D then lies between all of
  its sells and all of its buys, [low, high], and |D| is at most the larger end;
- requirement: everything of ``margin.evaluate`` that grows with |D| is taken at the larger end, the
  penalty at the worse end, and an instrument's charges at its own larger end. Underlyings may share
  a credit: scan − saving = max(Σ|x| − cap, Σ(1 − c)|x| + |Σ c·x|) with x = psr·D, and over a box of
  x each Σ is largest at the larger ends, the last term at all highs or at all lows. The integers
  keep that order: ``s − s·c // 1000`` and every rounded share rise with s;
- equity: that of now, less what each order pays worse than the mark, less fees at the higher rate
  for each lot rounded up (``fees.at_most``); gains from better prices are not counted. A sell
  filled above its price pays more fee, but gains more than that.

Money in wad, lots signed. What is judged here is judged again, exactly, when it matches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from novate.model import dated_margin, dated_open_margin, fees, ledger, margin
from novate.model.account import Account
from novate.model.dated_open_margin import DatedRows, Range
from novate.model.instrument import SPOT, Terms
from novate.model.margin import Transition, between_down, between_up, liquidity, transition
from novate.model.option_id import DATED
from novate.model.venue import Settings
from novate.units import PPM, clamp, div_down, div_up, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World


@dataclass(slots=True)
class Reach:
    """Lots of one instrument's open orders; ``reducing_*`` those that only reduce a position."""

    buys: int = 0
    sells: int = 0
    reducing_buys: int = 0
    reducing_sells: int = 0

    def around(self, held: int) -> Range:
        """The lowest and the highest position that any combination leads to.

        Orders that only reduce stop at zero, so from ``held`` they add at most what is held: they
        fill before the others, or after those of the other side, and then end no further out.
        """
        lowest = held - self.sells - min(self.reducing_sells, max(held, 0))
        highest = held + self.buys + min(self.reducing_buys, max(-held, 0))
        return lowest, highest


def cost(settings: Settings, terms: Terms, mark: int, forward: int, lots: int, price: int) -> int:
    """What ``lots`` at ``price`` lose at most against the mark (all wad), fees included."""
    value = terms.price_lot(price)
    worse = value - terms.price_lot(mark) if lots > 0 else terms.price_lot(mark) - value
    fee = fees.at_most(settings, terms, abs(lots), abs(lots) * value, forward)
    return abs(lots) * max(worse, 0) + fee


@dataclass(slots=True)
class _Ends:
    low: int = 0
    high: int = 0
    spots: list[int] = field(default_factory=list)
    confidence: int = 0
    fall: int = 0
    rise: int = 0

    def penalty(self) -> int:
        """The worst correction at either end."""
        found = []
        for end in (self.low, self.high):
            adverse = self.fall if end > 0 else self.rise
            found.append(ppm_up(abs(end), max(self.confidence, adverse)))
        return max(found)


def required(world: World, ranges: Mapping[int, Range]) -> int:
    """Initial margin and penalty that no portfolio within ``ranges`` (instrument -> lowest and
    highest lots) exceeds; spot is not traded, so its ends are one.
    """
    groups: dict[int, _Ends] = {}
    charges = 0
    for instrument, (lowest, highest) in sorted(ranges.items()):
        line = margin.row(world, instrument)
        group = groups.setdefault(line.underlying, _Ends())
        low, high = lowest * line.notional_lot, highest * line.notional_lot
        group.low, group.high = group.low + low, group.high + high
        if line.kind == SPOT:
            group.spots.append(high)
        charges += max(abs(low), abs(high)) * line.charge
        group.confidence = max(group.confidence, line.confidence)
        group.fall = max(group.fall, -line.deviation)
        group.rise = max(group.rise, line.deviation)
    return _total(world, groups, div_up(charges, 100_000))


def _total(world: World, groups: Mapping[int, _Ends], charges: int) -> int:
    scans = base = highs = lows = haircuts = 0
    added = charges
    for underlying, group in sorted(groups.items()):
        ramped = transition(world, underlying)
        target, old, elapsed = ramped
        size = max(abs(group.low), abs(group.high))
        psr = max(target.psr_now(world.now), target.psr_target)
        credit = min(between_down(old.credit, target.credit, elapsed), target.credit)
        scan = ppm_up(size, psr)
        scans += scan
        base += div_down(credit * scan, 1000)
        highs += credit * psr * group.high
        lows += credit * psr * group.low
        added += _liquidity(size, ramped) + ppm_up(size, group.confidence)
        haircut = between_up(old.haircut_initial, target.haircut_initial, elapsed)
        haircut = max(haircut, target.haircut_initial)
        haircuts += sum(ppm_up(spot, haircut) for spot in group.spots)
    shared = world.risk.globals
    cap = min(shared.credit_cap_now(world.now), shared.credit_cap)
    saving = clamp(base - div_up(max(abs(highs), abs(lows)), 1000 * PPM), 0, cap)
    initial = ppm_up(scans - saving + added, shared.initial_ratio_ppm) + haircuts
    return initial + sum(group.penalty() for group in groups.values())


def _liquidity(size: int, ramped: Transition) -> int:
    target, old, elapsed = ramped
    end = liquidity(size, target)
    return max(between_up(liquidity(size, old), end, elapsed), end)


def ranges(row: Account, reaches: Mapping[int, Reach]) -> dict[int, Range]:
    """Where each instrument of an account may end."""
    held = dict(row.positions)
    around = {i: reaches.get(i, Reach()).around(lots) for i, lots in held.items()}
    return around | {i: reach.around(held.get(i, 0)) for i, reach in reaches.items()}


def funded(
    world: World,
    row: Account,
    reaches: Mapping[int, Reach],
    costs: int,
    rows: DatedRows | None = None,
) -> bool:
    """Whether a loaded row can hold the worst of its open orders, which cost ``costs``; ``rows`` of
    dated instruments, if they are known.

    A stale feed or the grace after an outage refuses nothing here: it refuses the match.
    """
    equity = ledger.check_row(world, row).equity
    found = ranges(row, reaches)
    if any(instrument >= DATED for instrument in found):
        rows = rows or partial(dated_margin.row, world)
        return equity - costs >= dated_open_margin.required(world, found, rows)
    return equity - costs >= required(world, found)


def reduces(world: World, before: Account, after: Account) -> bool:
    """Whether one order, filled at its price, leaves a loaded row no worse (the gate's rule)."""
    old, new = ledger.check_row(world, before), ledger.check_row(world, after)
    return ledger.no_worse(
        old.equity,
        old.valuation.margin_maintenance,
        new.equity,
        new.valuation.margin_maintenance,
    )
