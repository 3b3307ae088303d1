"""Margin of any portfolio over a given market: what the chain will ask, and why, off chain.

Owns: the account's side of the method (MARGIN.md §2): scan, every add-on by itself, the capped
credit across underlyings, both requirements, equity and Greeks. Pure: no chain, no clock. Units:
wad. Rounding: lanes of a portfolio are summed exactly and floored, the scan and every charge are
rounded up, the credit down. So the result is never below the same scenarios in real numbers: what
pricing and lanes round away (half a quantum a contract) ``rounding`` charges.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from novate.model.arrays import CHARGE_BITS, LANES, LINEAR, LOT_CHARGE
from novate.model.instrument import PERP, SPOT
from novate.model.margin import ramp
from novate.model.portfolio import OPTION, Holding, Line, Rates, Shared
from novate.model.portfolio_lanes import Unit, forwards, greeks_of, quantum, unit
from novate.units import ORACLE_UNIT, PPB, PPM, WAD, clamp, div_down, div_up, ppm_up

# The exact sums of lanes: wad quantity times wad price times ppm range times percent node.
EXACT = WAD * PPM * 100


@dataclass(frozen=True, slots=True)
class Charges:
    """The add-ons of one underlying, each rounded up."""

    calendar: int = 0
    calendar_vega: int = 0
    liquidity: int = 0
    liquidity_vega: int = 0
    gap: int = 0
    open_interest: int = 0
    confidence: int = 0
    funding: int = 0
    rounding: int = 0

    def total(self) -> int:
        """Their sum."""
        return sum(getattr(self, name) for name in CHARGE_NAMES)


CHARGE_NAMES = tuple(Charges.__dataclass_fields__)


@dataclass(frozen=True, slots=True)
class UnderlyingMargin:
    """One underlying's part: the sixteen P&Ls (floored), the number of the worst, its scan, the
    add-ons, the floor for short options and the haircuts of spot collateral.
    """

    scenarios: tuple[int, ...]
    exact: tuple[int, ...]
    worst: int
    scan: int
    charges: Charges
    short_option_minimum: int
    haircut_maintenance: int
    haircut_initial: int


@dataclass(frozen=True, slots=True)
class PortfolioMargin:
    """Both requirements and how they come about."""

    underlyings: dict[str, UnderlyingMargin]
    credit: int
    scan: int
    charges: int
    short_option_minimum: int
    haircut_maintenance: int
    haircut_initial: int
    margin_maintenance: int
    margin_initial: int


@dataclass(frozen=True, slots=True)
class PositionGreeks:
    """A position's value and Greeks in wad: delta and gamma in units, vega per 1.00 of volatility,
    theta per year; toward −inf.
    """

    quantity: int
    mark: int
    value: int
    delta: int
    gamma: int
    vega: int
    theta: int


def net(holdings: Sequence[Holding]) -> list[tuple[Line, int]]:
    """One quantity an instrument, ordered by name; what nets to nothing is left out."""
    lines: dict[str, Line] = {}
    quantities: dict[str, int] = {}
    for holding in holdings:
        name = holding.line.name
        assert lines.setdefault(name, holding.line) == holding.line, name
        quantities[name] = quantities.get(name, 0) + holding.quantity
    return [(lines[name], quantities[name]) for name in sorted(lines) if quantities[name]]


def portfolio_margin(
    holdings: Sequence[Holding], rates: Mapping[str, Rates], shared: Shared
) -> PortfolioMargin:
    """Initial and maintenance margin of the netted holdings; ``rates`` by underlying."""
    groups: dict[str, list[tuple[Line, int]]] = {}
    for line, quantity in net(holdings):
        groups.setdefault(line.underlying, []).append((line, quantity))
    parts = {name: _underlying(groups[name], rates[name]) for name in sorted(groups)}
    credit = clamp(_credit(parts, rates), 0, shared.credit_cap)
    scan = sum(part.scan for part in parts.values()) - credit
    charges = sum(part.charges.total() for part in parts.values())
    minimum = sum(part.short_option_minimum for part in parts.values())
    risk = max(scan + charges, minimum)
    haircut_maintenance = sum(part.haircut_maintenance for part in parts.values())
    haircut_initial = sum(part.haircut_initial for part in parts.values())
    return PortfolioMargin(
        underlyings=parts,
        credit=credit,
        scan=scan,
        charges=charges,
        short_option_minimum=minimum,
        haircut_maintenance=haircut_maintenance,
        haircut_initial=haircut_initial,
        margin_maintenance=risk + haircut_maintenance,
        margin_initial=ppm_up(risk, shared.initial_ratio_ppm) + haircut_initial,
    )


def scenario_sums(group: Sequence[tuple[Line, int]], rates: Rates) -> tuple[int, ...]:
    """The sixteen P&Ls of one underlying's positions, exact, in ``EXACT`` parts of a USD."""
    linear = sum(quantity * forwards(line) * line.forward for line, quantity in group)
    sums = [linear * rates.psr_ppm * percent for percent in LINEAR]
    for line, quantity in group:
        for lane, value in enumerate(unit(line, rates).lanes):
            sums[lane] += quantity * value * PPM * 100
    assert len(sums) == LANES
    return tuple(sums)


def _credit(parts: Mapping[str, UnderlyingMargin], rates: Mapping[str, Rates]) -> int:
    """What the same move of all underlyings saves: Σ c·scan − scan of Σ c·lanes, rounded down."""
    weights = {name: rates[name].credit_permille for name in parts}
    apart = sum(weights[name] * max(0, -min(part.exact)) for name, part in parts.items())
    lanes = (
        sum(weights[name] * part.exact[lane] for name, part in parts.items())
        for lane in range(LANES)
    )
    return div_down(apart - max(0, -min(lanes)), 1000 * EXACT)


def _underlying(group: Sequence[tuple[Line, int]], rates: Rates) -> UnderlyingMargin:
    exact = scenario_sums(group, rates)
    lowest = min(exact)
    options = [(line, quantity) for line, quantity in group if line.kind == OPTION]
    short = sum(max(-quantity, 0) * _price(line, rates) for line, quantity in options)
    spot = sum(quantity * line.forward for line, quantity in group if line.kind == SPOT)
    held = max(spot, 0)
    return UnderlyingMargin(
        # division: a reported P&L, floored against the account
        scenarios=tuple(value // EXACT for value in exact),
        exact=exact,
        worst=exact.index(lowest),
        scan=div_up(max(0, -lowest), EXACT),
        charges=_charges(group, rates),
        short_option_minimum=div_up(short * rates.short_option_ppm, WAD * PPM),
        haircut_maintenance=div_up(held * rates.haircut_maintenance_ppm, WAD * PPM),
        haircut_initial=div_up(held * rates.haircut_initial_ppm, WAD * PPM),
    )


def _charges(group: Sequence[tuple[Line, int]], rates: Rates) -> Charges:
    """Deltas are dollars of the line's own forward (wad³), vega is the gain in lane 0, where only
    volatility rises (wad²); what never expires is a tenor of its own.
    """
    units = [(line, quantity, unit(line, rates)) for line, quantity in group]
    deltas: dict[int, int] = {}
    vegas: dict[int, int] = {}
    contracts = cut = gap = turned = perps = 0
    for line, quantity, each in units:
        delta = quantity * each.greeks.delta * _price(line, rates)
        deltas[line.seconds] = deltas.get(line.seconds, 0) + delta
        turned += abs(delta) if line.kind != SPOT else 0
        perps += abs(quantity) * line.forward if line.kind == PERP else 0
        if line.kind == OPTION:
            vegas[line.seconds] = vegas.get(line.seconds, 0) + quantity * each.lanes[0]
            contracts += abs(quantity)
            cut += abs(quantity) * each.cut
            gap += _gap(quantity, line, each, rates)
    size = div_up(abs(sum(deltas.values())), WAD**2)
    vega = div_up(abs(sum(vegas.values())), WAD)
    interest = ramp(
        rates.open_interest, rates.interest_low, rates.interest_high, rates.interest_max_e5
    )
    return Charges(
        calendar=div_up(_offset(deltas) * rates.calendar_ppm, WAD**2 * PPM),
        calendar_vega=div_up(_offset(vegas) * rates.calendar_vega_ppm, WAD * PPM),
        liquidity=_ramped(size, rates.liquidity_low, rates.liquidity_high, rates.liquidity_max_ppm),
        liquidity_vega=_ramped(
            vega,
            rates.liquidity_vega_low,
            rates.liquidity_vega_high,
            rates.liquidity_vega_max_ppm,
        ),
        gap=div_up(gap, WAD * PPM),
        open_interest=div_up(turned * interest[0], WAD**2 * interest[1] * 100_000),
        confidence=ppm_up(size, rates.confidence_ppm),
        funding=div_up(perps * abs(rates.funding_ppb), WAD * PPB),
        rounding=_rounding(contracts, cut, rates),
    )


def _price(line: Line, rates: Rates) -> int:
    """What a unit of delta stands for in charges: the line's forward, as on chain."""
    return rates.index if rates.charge_at_index else line.forward


def _offset(amounts: Mapping[int, int]) -> int:
    """What long and short tenors cancel of each other."""
    values = amounts.values()
    return min(sum(max(value, 0) for value in values), sum(max(-value, 0) for value in values))


def _gap(quantity: int, line: Line, each: Unit, rates: Rates) -> int:
    """What may lie between the nodes, at most the mark of what is held long; wad² ppm."""
    charge = _price(line, rates) * rates.gap_ppm
    return abs(quantity) * (min(charge, each.greeks.price * PPM) if quantity > 0 else charge)


def _ramped(size: int, low: int, high: int, most_ppm: int) -> int:
    """A rate that rises with the size, times the size, rounded up."""
    numerator, denominator = ramp(size, low, high, most_ppm)
    return div_up(size * numerator, denominator * PPM)


def _rounding(contracts: int, cut: int, rates: Rates) -> int:
    """What the lanes of so many contracts may hide, as ``arrays.rounding`` charges it: half a
    quantum and 2**-20 each, and what was cut off (wad²).
    """
    if not rates.charge_rounding:
        return 0
    hidden = contracts * quantum(rates) * ORACLE_UNIT * LOT_CHARGE + (cut << CHARGE_BITS)
    return div_up(hidden, WAD << CHARGE_BITS)


def position_greeks(line: Line, quantity: int) -> PositionGreeks:
    """What a position is worth at the mark and how it moves; floored."""
    greeks = greeks_of(line)

    def times(figure: int) -> int:
        return quantity * figure // WAD  # division: a reported figure, floored

    return PositionGreeks(
        quantity=quantity,
        mark=greeks.price,
        value=times(greeks.price),
        delta=times(greeks.delta),
        gamma=times(greeks.gamma),
        vega=times(greeks.vega),
        theta=times(greeks.theta),
    )


def equity(holdings: Sequence[Holding], cash: int) -> int:
    """Cash, options and spot at the mark, and what perpetuals and futures gained since their entry
    (nothing without one: their gains are in cash); floored, one rounding a holding.
    """
    total = cash
    for holding in holdings:
        line = holding.line
        mark = greeks_of(line).price
        paid = 0
        if line.kind not in (OPTION, SPOT):
            paid = mark if holding.entry is None else holding.entry
        total += holding.quantity * (mark - paid) // WAD  # division: floored, against the account
    return total
