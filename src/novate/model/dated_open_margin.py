"""Open orders at their worst where options or dated futures are held or ordered (docs/SPEC.md §5).

The same bound as ``open_margin.py``, for the margin of ``dated_margin.py``: each sum that margin
grows with is taken at the end of its range that makes it largest, each lane's gain at the end that
makes it smallest. Over a box of positions every one of these sums is a sum of one-position terms
that are convex in lots (or linear, for gains), so their extremes are at the ends:

- a lane's gain is at least Σ min over both ends of lots·gain of one option (of a put that of its
  call's lane less its forward's), and the linear part's at the lower of its ends, at the epoch's
  scan range or the parameters', as options may all be closed by an order;
- scan, and what the credits leave of it, rise as gains fall; what tenors cancel of each other is at
  most the lesser of all longs at their highest and all shorts at their lowest.

A combination without dated positions is judged by the formulas of ``margin.py``, which round
otherwise: ``ROUNDINGS`` wei cover that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novate.model import margin
from novate.model.arrays import DELTA_BITS, LANES, LINEAR, Totals, rounding, unpack
from novate.model.dated_margin import (
    CALENDAR_INVERSE,
    CALENDAR_VEGA_INVERSE,
    GAP_PPM,
    PRINTED_FUTURE,
    PRINTED_OPTION,
    SHORT_MINIMUM_PPM,
    DatedRow,
    credits_of,
    depth_charges,
    scan_ranges,
)
from novate.model.instrument import FUTURE, SPOT
from novate.model.margin import Group, Row, haircuts, transition
from novate.model.option_id import DATED
from novate.model.options import Epoch, epoch_now
from novate.units import PPM, clamp, div_down, div_up, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

Range = tuple[int, int]
DatedRows = Callable[[int], DatedRow]
ROUNDINGS = 64
SHARE = 100 * PPM  # of what a linear delta gains: percent times ppm


@dataclass(slots=True)
class _Box:
    """One underlying: by tenor the ends of delta (2**-30 wad) and of vega (quanta), the ends of
    what is linear (wad), the least gain of options by lane (1e-8 wad), their epoch, and the sums of
    ``Book``.
    """

    group: Group = field(default_factory=Group)
    deltas: dict[int, Range] = field(default_factory=dict)
    vegas: dict[int, Range] = field(default_factory=dict)
    linear: Range = (0, 0)
    options: list[int] = field(default_factory=lambda: [0] * LANES)
    epoch: Epoch = field(default_factory=Epoch)
    gross: int = 0
    cut: int = 0
    scale: int = 0
    gap: int = 0
    shorts: int = 0
    interest: int = 0


@dataclass(slots=True)
class _Sums:
    scan: int = 0
    base: int = 0
    joint: list[int] = field(default_factory=lambda: [0] * LANES)
    added: int = 0
    minimum: int = 0
    haircuts: int = 0
    penalty: int = 0


def required(world: World, ranges: Mapping[int, Range], rows: DatedRows) -> int:
    """Initial margin and penalty that no portfolio within ``ranges`` exceeds; ``rows`` are those of
    ``dated_margin``.
    """
    boxes: dict[int, _Box] = {}
    charges = 0
    for instrument, ends in sorted(ranges.items()):
        if instrument >= DATED:
            dated = rows(instrument)
            if dated.kind not in (PRINTED_OPTION, PRINTED_FUTURE):
                _add_dated(world, boxes.setdefault(dated.underlying, _Box()), dated, ends)
            continue
        line = margin.row(world, instrument)
        charges += max(map(abs, ends)) * line.notional_lot * line.charge
        _add_linear(boxes.setdefault(line.underlying, _Box()), line, ends)
    sums = _Sums()
    for underlying, box in sorted(boxes.items()):
        _add_underlying(world, sums, underlying, box)
        charges += div_up(box.interest, 1 << DELTA_BITS)
    shared = world.risk.globals
    cap = min(shared.credit_cap_now(world.now), shared.credit_cap)
    together = div_up(max(-min(sums.joint), 0), 1000)
    saving = clamp(sums.base - together, 0, cap)
    risk = max(sums.scan - saving + sums.added + div_up(charges, 100_000), sums.minimum)
    initial = ppm_up(risk, shared.initial_ratio_ppm) + sums.haircuts
    return initial + sums.penalty + ROUNDINGS


def _plus(found: Range, ends: Range, each: int) -> Range:
    """A range with that of ``ends`` lots at ``each``."""
    low, high = sorted((ends[0] * each, ends[1] * each))
    return found[0] + low, found[1] + high


def _add_linear(box: _Box, line: Row, ends: Range) -> None:
    box.group.widen(line.confidence, line.deviation)
    box.linear = _plus(box.linear, ends, line.notional_lot)
    tenor = box.deltas.get(0, (0, 0))
    box.deltas[0] = _plus(tenor, ends, line.notional_lot << DELTA_BITS)
    if line.kind == SPOT:
        box.group.spots.append(ends[1] * line.notional_lot)


def _add_dated(world: World, box: _Box, line: DatedRow, ends: Range) -> None:
    box.group.widen(line.confidence, line.deviation)
    most = max(map(abs, ends))
    notional, tenor = line.forward * line.scale, line.slot + 1
    box.scale = line.scale
    box.deltas[tenor] = _plus(box.deltas.get(tenor, (0, 0)), ends, notional * line.delta)
    box.interest += most * notional * abs(line.delta) * line.charge
    if line.kind == FUTURE:
        box.linear = _plus(box.linear, ends, notional)
        return
    if not box.gross:
        box.epoch = Epoch.unpack(epoch_now(world, line.underlying))
    lanes = unpack(line.array)
    unit, parity = box.epoch.quantum * line.scale * SHARE, notional * box.epoch.psr * line.is_put
    gains = [lane * unit - parity * node for lane, node in zip(lanes, LINEAR, strict=True)]
    rows = zip(box.options, gains, strict=True)
    box.options = [total + min(ends[0] * gain, ends[1] * gain) for total, gain in rows]
    box.vegas[tenor] = _plus(box.vegas.get(tenor, (0, 0)), ends, lanes[0])
    box.gross += most
    box.cut += most * line.clipped
    gap = notional * GAP_PPM
    long = min(gap, line.mark * line.scale * PPM)
    box.gap += max(max(-ends[0], 0) * gap, max(ends[1], 0) * long)
    box.shorts += max(-ends[0], 0) * notional


def _add_underlying(world: World, sums: _Sums, underlying: int, box: _Box) -> None:
    ramped = transition(world, underlying)
    ends = [sum(tenor[end] for tenor in box.deltas.values()) for end in (0, 1)]
    sizes = [div_up(abs(end), 1 << DELTA_BITS) for end in ends]
    size = max(sizes)
    ranges = {scan_ranges(world, ramped)["initial"]}
    unit = 0
    if box.gross:
        unit = box.epoch.quantum * box.scale
        ranges.add(box.epoch.psr)
    vega = max(abs(sum(tenor[end] for tenor in box.vegas.values())) for end in (0, 1)) * unit
    group = box.group
    sums.added += ppm_up(size, group.confidence) + div_up(box.gap, PPM)
    sums.added += rounding(Totals(gross=box.gross, cut=box.cut), unit)
    sums.added += div_up(_offset(box.deltas), CALENDAR_INVERSE << DELTA_BITS)
    sums.added += div_up(_offset(box.vegas) * unit, CALENDAR_VEGA_INVERSE)
    sums.added += depth_charges(size, vega, ramped)["initial"]
    sums.minimum += ppm_up(box.shorts, SHORT_MINIMUM_PPM)
    penalties = zip(sizes, ends, strict=True)
    sums.penalty += max(ppm_up(one, group.adverse(end)) for one, end in penalties)
    sums.haircuts += haircuts(group, ramped)[1]
    credit = credits_of(ramped)["initial"]
    gains = []
    for options, node in zip(box.options, LINEAR, strict=True):
        linear = (end * psr * node for end in box.linear for psr in ranges)
        gains.append((options + min(linear)) // SHARE)  # division: floor, as lanes do
    scan = max(-min(gains), 0)
    sums.scan += scan
    sums.base += div_down(credit * scan, 1000)
    sums.joint = [total + credit * gain for total, gain in zip(sums.joint, gains, strict=True)]


def _offset(tenors: Mapping[int, Range]) -> int:
    """The most that long and short tenors may cancel of each other."""
    longs = sum(max(high, 0) for _, high in tenors.values())
    shorts = sum(max(-low, 0) for low, _ in tenors.values())
    return min(longs, shorts)
