"""Margin with options and dated futures: rows, add-ons, and both requirements (docs/SPEC.md §4).

Pure over one snapshot of prices, surfaces and parameters. Units: prices in oracle units of 1e8 wei
a base unit, money in wad; delta in 2**-30, vega in quanta. Rounding: lanes as ``arrays`` rounds
them and charges for it, every add-on up, the credit down. Twins: ``contracts/dated_rows.vy`` (rows)
and ``contracts/option_risk.vy`` (margin).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from novate.model import oracle
from novate.model.arrays import (
    BIAS,
    DELTA_BITS,
    LANE_BITS,
    Info,
    Totals,
    accumulate,
    profit,
    rounding,
)
from novate.model.instrument import FUTURE, OPTION
from novate.model.kept import DATED_SOURCES, kept
from novate.model.margin import (
    STALE,
    Group,
    Held,
    Row,
    Valuation,
    gather,
    gauge,
    haircuts,
    interest_rate,
)
from novate.model.option_id import DATED, PUT, is_option, place_of
from novate.model.option_lanes import EXPIRED, LIVE_OLD_SURFACE, PRINTED, Head, words_of
from novate.model.options import Epoch, epoch_now
from novate.model.risk_parameters import (
    RiskParameters,
    Transition,
    between_down,
    between_up,
    liquidity,
    transition,
)
from novate.units import ORACLE_UNIT, PPM, clamp, div_down, div_up, ppm_down, ppm_up

if TYPE_CHECKING:
    from novate.model.state import World

PRINTED_OPTION, PRINTED_FUTURE = 5, 6
GAP_PPM = 1_500
SHORT_MINIMUM_PPM = 5_000
CALENDAR_INVERSE = 100
CALENDAR_VEGA_INVERSE = 4
VEGA_DEPTH_INVERSE = 10
MARGINS = ("maintenance", "initial")


@dataclass(frozen=True, slots=True)
class DatedRow:
    """One option or dated future at one round: prices of a base unit, and ``scale``, the money of a
    lot at a price of one. ``array`` is that of the strike's call.
    """

    mark: int
    forward: int
    delta: int
    clipped: int
    scale: int
    underlying: int
    slot: int
    kind: int
    charge: int
    stale: bool
    confidence: int
    deviation: int
    array: int
    is_put: bool

    def of_a_lot(self) -> Row:
        """What a lot is worth and stands for, in wad; nothing stands for what is printed."""
        printed = self.kind in (PRINTED_OPTION, PRINTED_FUTURE)
        return Row(
            value_lot=self.mark * self.scale,
            notional_lot=0 if printed else self.forward * self.scale,
            underlying=self.underlying,
            kind=self.kind,
            stale=self.stale,
            charge=self.charge,
            confidence=self.confidence,
            deviation=self.deviation,
        )


@dataclass(slots=True)
class Book:
    """Dated positions of one underlying, summed: risk arrays; deltas (2**-30 wad) and vegas
    (quanta) by tenor, an expiry's slot plus one; of futures less puts what they gain by the forward
    beside arrays, of short options the notional (wad); gap in ppm of a wad, interest in 1e-5 and
    2**-30 of one.
    """

    totals: Totals = field(default_factory=Totals)
    deltas: dict[int, int] = field(default_factory=dict)
    vegas: dict[int, int] = field(default_factory=dict)
    forwards: int = 0
    scale: int = 0
    gap: int = 0
    shorts: int = 0
    interest: int = 0


@dataclass(slots=True)
class _Sums:
    """What all underlyings add up to; lanes are times credits in 1e-3."""

    scan: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MARGINS, 0))
    base: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MARGINS, 0))
    joint: dict[str, list[int]] = field(
        default_factory=lambda: {margin: [0] * 16 for margin in MARGINS}
    )
    liquidity: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MARGINS, 0))
    haircuts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MARGINS, 0))
    added: int = 0
    minimum: int = 0
    charges: int = 0
    penalty: int = 0
    bonus: int = 0


@kept(*DATED_SOURCES)
def row(world: World, instrument: int) -> DatedRow:
    """One dated instrument's row at the current round; Options knows and prices it."""
    array, info_word, head_word = words_of(world, instrument)
    head, info = Head.unpack(head_word), Info.unpack(info_word)
    assert head_word, instrument
    underlying, slot = place_of(instrument)
    option, printed = is_option(instrument), head.state == PRINTED
    scale = 10 ** (head.lot_exponent - 10)
    stale, confidence, deviation, charge = False, 0, 0, 0
    if not printed:
        found = oracle.feed(world, head.feed)
        stale, confidence, deviation = gauge(world, found, oracle.status(world))
        charge = interest_rate(world, underlying, head.interest * head.forward * scale)
    mark = head.forward
    if option:
        mark = info.mark if printed else info.value(head.forward)
    kinds = {(0, 0): FUTURE, (1, 0): OPTION, (1, 1): PRINTED_OPTION, (0, 1): PRINTED_FUTURE}
    return DatedRow(
        mark=mark,
        forward=head.forward,
        delta=info.delta if option else 1 << DELTA_BITS,
        clipped=info.clipped,
        scale=scale,
        underlying=underlying,
        slot=slot,
        kind=kinds[int(option), int(printed)],
        charge=charge,
        stale=stale or head.state in (LIVE_OLD_SURFACE, EXPIRED),
        confidence=confidence,
        deviation=deviation,
        array=array,
        is_put=option and bool(instrument & PUT),
    )


def quoted(world: World, instrument: int) -> tuple[int, int]:
    """Mark and forward (wad) of a base unit at this round; zeros if Options has none."""
    if instrument < DATED or not words_of(world, instrument)[2]:
        return 0, 0
    line = row(world, instrument)
    return line.mark * ORACLE_UNIT, line.forward * ORACLE_UNIT


def evaluate(world: World, positions: Mapping[int, int]) -> Valuation:
    """Value and margin of ``positions`` (instrument -> lots), dated ones among them."""
    held = gather(world, {i: lots for i, lots in positions.items() if i < DATED})
    books: dict[int, Book] = {}
    for instrument, lots in sorted(positions.items()):
        if instrument >= DATED:
            line = row(world, instrument)
            group = held.groups.setdefault(line.underlying, Group())
            _add(held, group, books.setdefault(line.underlying, Book()), line, lots)
    sums = _Sums()
    for underlying, group in sorted(held.groups.items()):
        book = books.get(underlying, Book())
        _add_underlying(world, sums, underlying, group, book)
    return _total(world, sums, held)


def _add(held: Held, group: Group, book: Book, line: DatedRow, lots: int) -> None:
    """Add one dated position; what is printed is a value and nothing else."""
    value = lots * line.mark * line.scale
    if line.kind in (OPTION, PRINTED_OPTION):
        held.value_spot += value
    else:
        held.value_linear += value
    book.scale = line.scale
    if line.kind in (PRINTED_OPTION, PRINTED_FUTURE):
        return
    group.widen(line.confidence, line.deviation)
    held.flags |= STALE if line.stale else 0
    notional = line.forward * line.scale
    tenor = line.slot + 1
    book.deltas[tenor] = book.deltas.get(tenor, 0) + lots * notional * line.delta
    book.interest += abs(lots) * notional * abs(line.delta) * line.charge
    if line.kind == FUTURE:
        book.forwards += lots * notional
        return
    book.forwards -= lots * notional if line.is_put else 0
    book.totals = accumulate(book.totals, line.array, line.clipped, lots)
    vega = line.array % 2**LANE_BITS - BIAS
    book.vegas[tenor] = book.vegas.get(tenor, 0) + lots * vega
    gap = notional * GAP_PPM
    book.gap += abs(lots) * (gap if lots < 0 else min(gap, line.mark * line.scale * PPM))
    book.shorts += max(-lots, 0) * notional


def _add_underlying(world: World, sums: _Sums, underlying: int, group: Group, book: Book) -> None:
    """Add one underlying; perpetuals and spot are a tenor of their own, without vega."""
    ramped = transition(world, underlying)
    tenors = {**book.deltas, 0: group.delta << DELTA_BITS}
    delta = sum(tenors.values())
    size = div_up(abs(delta), 1 << DELTA_BITS)
    unit = psr = 0
    if book.totals.gross:
        epoch = Epoch.unpack(epoch_now(world, underlying))
        unit, psr = epoch.quantum * book.scale, epoch.psr
    vega = abs(sum(book.vegas.values())) * unit
    sums.added += ppm_up(size, group.confidence)
    sums.added += div_up(book.gap, PPM) + rounding(book.totals, unit)
    sums.added += div_up(_offset(tenors), CALENDAR_INVERSE << DELTA_BITS)
    sums.added += div_up(_offset(book.vegas) * unit, CALENDAR_VEGA_INVERSE)
    sums.minimum += ppm_up(book.shorts, SHORT_MINIMUM_PPM)
    sums.charges += div_up(book.interest, 1 << DELTA_BITS)
    sums.bonus += ppm_down(size, group.confidence)
    sums.penalty += ppm_up(size, group.adverse(delta))
    liquid = depth_charges(size, vega, ramped)
    credits = credits_of(ramped)
    reach = scan_ranges(world, ramped) if psr == 0 else dict.fromkeys(MARGINS, psr)
    cut = dict(zip(MARGINS, haircuts(group, ramped), strict=True))
    for margin in MARGINS:
        gains = profit(book.totals, unit, group.delta + book.forwards, reach[margin])
        scan = max(-min(gains), 0)
        sums.scan[margin] += scan
        sums.base[margin] += div_down(credits[margin] * scan, 1000)
        joint = zip(sums.joint[margin], gains, strict=True)
        sums.joint[margin] = [total + credits[margin] * gain for total, gain in joint]
        sums.liquidity[margin] += liquid[margin]
        sums.haircuts[margin] += cut[margin]


def _offset(amounts: Mapping[int, int]) -> int:
    """What long and short tenors cancel of each other."""
    longs = sum(max(amount, 0) for amount in amounts.values())
    return min(longs, longs - sum(amounts.values()))


def scan_ranges(world: World, ramped: Transition) -> dict[str, int]:
    """Scan range (ppm) of an underlying without options: that of now, and for initial margin at
    least the target.
    """
    target = ramped[0]
    now = target.psr_now(world.now)
    return {"maintenance": now, "initial": max(now, target.psr_target)}


def credits_of(ramped: Transition) -> dict[str, int]:
    """Credits (1e-3) at maintenance and at initial margin."""
    target, old, elapsed = ramped
    now = between_down(old.credit, target.credit, elapsed)
    return {"maintenance": now, "initial": min(now, target.credit)}


def depth_charges(size: int, vega: int, ramped: Transition) -> dict[str, int]:
    """What closing delta and vega may cost beyond the mark."""
    target, old, elapsed = ramped
    end = _depth_charge(size, vega, target)
    now = between_up(_depth_charge(size, vega, old), end, elapsed)
    return {"maintenance": now, "initial": max(now, end)}


def _depth_charge(size: int, vega: int, parameters: RiskParameters) -> int:
    """The ramp of delta, and the same of vega between a tenth of its two sizes; rounded up."""
    ten = liquidity(vega * VEGA_DEPTH_INVERSE, parameters)
    return liquidity(size, parameters) + div_up(ten, VEGA_DEPTH_INVERSE)


def _total(world: World, sums: _Sums, held: Held) -> Valuation:
    shared = world.risk.globals
    cap = shared.credit_cap_now(world.now)
    caps = {"maintenance": cap, "initial": min(cap, shared.credit_cap)}
    added = sums.added + div_up(held.charges + sums.charges, 100_000)
    risk = {}
    for margin in MARGINS:
        together = div_up(max(-min(sums.joint[margin]), 0), 1000)
        saving = clamp(sums.base[margin] - together, 0, caps[margin])
        scanned = sums.scan[margin] - saving + added + sums.liquidity[margin]
        risk[margin] = max(scanned, sums.minimum)
    initial = ppm_up(risk["initial"], shared.initial_ratio_ppm)
    return Valuation(
        held.value_linear,
        held.value_spot,
        risk["maintenance"] + sums.haircuts["maintenance"],
        initial + sums.haircuts["initial"],
        sums.penalty,
        sums.bonus,
        sums.liquidity["maintenance"],
        held.flags,
    )
