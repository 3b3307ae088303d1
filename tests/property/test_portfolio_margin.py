"""The margin of any portfolio: 2,000 random ones against its properties and against real numbers.

Exact means the same sixteen scenarios and charges in real numbers, computed here by mpmath from the
page's formulas and nothing of the model but the rates. Portfolios are seeded, so that a failure
names the one that failed.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from functools import cache
from math import ceil
from random import Random
from typing import Any

import mpmath
import numpy as np
import pytest
from support.core import BTC, ETH, ORACLE_PER_USD, PARAMETERS, TERMS, WETH
from support.model import ModelVenue

from novate.model import arrays, dated_margin
from novate.model.instrument import PERP, SPOT
from novate.model.margin import RiskParameters, evaluate
from novate.model.option_id import OptionId, future_id
from novate.model.option_lanes import LIVE, Head
from novate.model.options import Epoch
from novate.model.portfolio import FUTURE, OPTION, Holding, Line, Rates, Shared
from novate.model.portfolio_lanes import quantum
from novate.model.portfolio_margin import (
    CHARGE_NAMES,
    EXACT,
    PortfolioMargin,
    equity,
    net,
    portfolio_margin,
    scenario_sums,
)
from novate.model.state import World
from novate.units import DAY_S, ORACLE_UNIT, WAD

mpmath.mp.dps = 40
PORTFOLIOS = 2_000
NOISE = mpmath.mpf(-1) / 10**28  # forty digits of a margin of up to 1e9 USD
THOUSAND = 1000 * WAD
# Those of a venue, but some of ETH's so high that they bind now and then.
RATES = {
    "BTC": Rates(
        index=650_001_234_567_891 * ORACLE_UNIT,
        psr_ppm=150_000,
        credit_permille=500,
        liquidity_low=5_000 * THOUSAND,
        liquidity_high=100_000 * THOUSAND,
        liquidity_max_ppm=100_000,
        liquidity_vega_low=500 * THOUSAND,
        liquidity_vega_high=10_000 * THOUSAND,
        liquidity_vega_max_ppm=100_000,
        confidence_ppm=300,
        funding_ppb=-123_456,
        open_interest=200_000 * THOUSAND,
        interest_low=50_000 * THOUSAND,
        interest_high=500_000 * THOUSAND,
        interest_max_e5=5_000,
        haircut_maintenance_ppm=80_000,
        haircut_initial_ppm=120_000,
    ),
    "ETH": Rates(
        index=30_009_876_543_217 * ORACLE_UNIT,
        psr_ppm=180_000,
        credit_permille=400,
        liquidity_low=3_000 * THOUSAND,
        liquidity_high=60_000 * THOUSAND,
        liquidity_max_ppm=100_000,
        confidence_ppm=500,
        short_option_ppm=80_000,
        haircut_maintenance_ppm=100_000,
        haircut_initial_ppm=150_000,
    ),
}
SHARED = Shared(credit_cap=10 * THOUSAND)
UNCAPPED = replace(SHARED, credit_cap=10**60)
# Lanes of 1e-10 USD: for what is said of the scan in exact arithmetic.
FINE = {name: replace(rates, charge_rounding=False) for name, rates in RATES.items()}


def on_grid(price: int) -> int:
    """A price of whole oracle units, as every price on chain is."""
    return price // ORACLE_UNIT * ORACLE_UNIT


def universe() -> list[Line]:
    lines = []
    for name, rates in RATES.items():
        index = rates.index
        lines += [Line(f"{name}-PERPETUAL", name, PERP, index), Line(name, name, SPOT, index)]
        for days, basis, sigma in ((1, 1000, 90), (14, 1003, 70), (45, 1010, 60), (180, 1040, 55)):
            forward, seconds = on_grid(index * basis // 1000), days * DAY_S // 2
            lines.append(Line(f"{name}-{days}", name, FUTURE, forward, seconds))
            for percent in (60, 90, 100, 110, 160):
                strike, smile = on_grid(index * percent // 100), (sigma + abs(percent - 100) // 2)
                for is_call in (True, False):
                    label = f"{name}-{days}-{percent}-{'C' if is_call else 'P'}"
                    terms = (seconds, strike, smile * WAD // 100, is_call)
                    lines.append(Line(label, name, OPTION, forward, *terms))
    return lines


LINES = universe()


def portfolio(seed: int) -> list[Holding]:
    """One to nine instruments, every tenth portfolio without options; quantities of either sign
    over six powers of ten, odd to the last three digits, so that roundings show.
    """
    draw = Random(seed)
    found = []
    lines = LINES if seed % 10 else [line for line in LINES if line.kind != OPTION]
    for line in draw.sample(lines, draw.randint(1, 9)):
        size = int(10 ** draw.uniform(0, 5.5) * 10**12) * 1000
        quantity = size if line.kind == SPOT or draw.random() < 0.5 else -size
        found.append(Holding(line, quantity))
    return found


def margin(holdings: list[Holding], shared: Shared = SHARED) -> PortfolioMargin:
    return portfolio_margin(holdings, RATES, shared)


def times(holdings: list[Holding], numerator: int, denominator: int = 1) -> list[Holding]:
    scaled = []
    for each in holdings:
        assert each.quantity * numerator % denominator == 0
        scaled.append(replace(each, quantity=each.quantity * numerator // denominator))
    return scaled


def for_all(check: Callable[[int, list[Holding]], None]) -> None:
    for seed in range(PORTFOLIOS):
        try:
            check(seed, portfolio(seed))
        except AssertionError as error:
            raise AssertionError(f"portfolio({seed}): {error}") from error


# order and splitting


def test_neither_order_nor_splitting_changes_anything() -> None:
    def check(seed: int, held: list[Holding]) -> None:
        draw = Random(-seed)
        parts = []
        for each in held:
            cut = draw.randint(-abs(each.quantity), abs(each.quantity))
            parts += [replace(each, quantity=q) for q in (cut, each.quantity - cut) if q]
        draw.shuffle(parts)
        assert margin(parts) == margin(held)

    for_all(check)


# the scan in exact arithmetic


def scanned(holdings: list[Holding]) -> int:
    """max(blended scan, short-option minimum), exact and uncapped, in 1/1000 of ``EXACT``."""
    joint = [0] * 16
    apart = short = 0
    for name, rates in FINE.items():
        group = [(line, q) for line, q in net(holdings) if line.underlying == name]
        lanes = scenario_sums(group, rates)
        credit = rates.credit_permille
        apart += (1000 - credit) * max(0, -min(lanes))
        joint = [total + credit * lane for total, lane in zip(joint, lanes, strict=True)]
        sold = sum(max(-q, 0) * line.forward for line, q in group if line.kind == OPTION)
        short += 1000 * 100 * sold * rates.short_option_ppm
    return max(apart + max(0, -min(joint)), short)


def test_the_margin_is_that_scan_plus_the_charges() -> None:
    def check(_: int, held: list[Holding]) -> None:
        found = portfolio_margin(held, FINE, UNCAPPED)
        risk = found.margin_maintenance - found.haircut_maintenance
        exact = -(-scanned(held) // (1000 * EXACT))
        alone = max(found.scan, found.short_option_minimum)
        assert exact <= alone <= exact + 3
        assert risk == max(found.scan + found.charges, found.short_option_minimum)
        assert found.charges == sum(
            getattr(part.charges, name)
            for part in found.underlyings.values()
            for name in CHARGE_NAMES
        )

    for_all(check)


def test_the_scan_is_homogeneous_and_subadditive() -> None:
    def check(seed: int, held: list[Holding]) -> None:
        factor = seed % 17 + 2
        assert scanned(times(held, factor)) == factor * scanned(held)
        other = portfolio(seed + PORTFOLIOS)
        assert scanned(held + other) <= scanned(held) + scanned(other)

    for_all(check)


def test_a_long_option_never_raises_the_scan_by_more_than_its_mark() -> None:
    options = [line for line in LINES if line.kind == OPTION]

    def check(seed: int, held: list[Holding]) -> None:
        draw = Random(seed)
        bought = Holding(draw.choice(options), draw.randint(1, 10**6) * WAD // 1000)
        mark = equity([bought], 0)
        # a lane is rounded to 1e-10 USD
        rounded = bought.quantity * 10**8 // WAD + 2
        raised = scanned([*held, bought]) - scanned(held)
        assert raised <= (mark + rounded) * 1000 * EXACT

    for_all(check)


# the whole


def test_a_part_of_a_portfolio_costs_at_most_its_part() -> None:
    """Large positions are dearer by ramps, and the credit is capped: never the other way round."""

    def check(seed: int, held: list[Holding]) -> None:
        share = seed % 1000 + 1
        whole, part = margin(held), margin(times(held, share, 1000))
        wei = 40 * 1000  # each charge is rounded up by itself
        assert 1000 * part.margin_maintenance <= share * whole.margin_maintenance + wei
        assert 1000 * part.margin_initial <= share * whole.margin_initial + 2 * wei

    for_all(check)


# real numbers


def phi(x: Any) -> Any:
    return mpmath.ncdf(x)


def black(forward: Any, line: Line, sigma: Any) -> tuple[Any, Any]:
    """Price and delta of an option in USD."""
    strike, t = mpmath.mpf(line.strike) / WAD, mpmath.mpf(line.seconds) / (365 * DAY_S)
    v = sigma * mpmath.sqrt(t)
    d1 = mpmath.log(forward / strike) / v + v / 2
    call = forward * phi(d1) - strike * phi(d1 - v)
    if line.is_call:
        return call, phi(d1)
    return call - forward + strike, phi(d1) - 1


@cache
def exact_unit(line: Line) -> tuple[list[Any], Any, Any, Any]:
    """The sixteen P&Ls of a unit, mark and delta in real numbers, and vega: lane 0, which is
    measured in whole quanta.
    """
    rates = RATES[line.underlying]
    psr, forward = mpmath.mpf(rates.psr_ppm) / 10**6, mpmath.mpf(line.forward) / WAD
    moves = [psr * n / 100 for n in (0, 15, -15, 50, -50, 100, -100)]
    if line.kind != OPTION:
        lanes = [forward * move for move in moves for _ in "ud"] + [forward * psr, -forward * psr]
        return lanes, forward, mpmath.mpf(1), mpmath.mpf(0)
    sigma, days = mpmath.mpf(line.sigma) / WAD, mpmath.mpf(line.seconds) / DAY_S
    m = (30 / max(days, mpmath.mpf(1))) ** (mpmath.mpf(30 if days <= 30 else 13) / 100)
    up = max(sigma * (1 + m / 2), mpmath.mpf(4) / 10)
    down = sigma * max(1 - 3 * m / 10, mpmath.mpf(1) / 20)
    mark, delta = black(forward, line, sigma)
    lanes = [black(forward * (1 + x), line, s)[0] - mark for x in moves for s in (up, down)]
    for percent in (200, -66):
        x = mpmath.mpf(percent) / 100
        lanes.append((black(forward * (1 + x), line, up)[0] - mark) * psr / abs(x))
    size = mpmath.mpf(quantum(rates) * ORACLE_UNIT) / WAD
    return lanes, mark, delta, mpmath.floor(lanes[0] / size + mpmath.mpf(1) / 2) * size


def ramped(size: Any, low: int, high: int, most_ppm: int) -> Any:
    start, end = mpmath.mpf(low) / WAD, mpmath.mpf(high) / WAD
    share = max(mpmath.mpf(0), min(size, end) - start) / (end - start)
    return size * share * most_ppm / 10**6


def exact_charges(group: list[tuple[Line, int]], rates: Rates) -> Any:
    """All add-ons but the rounding of lanes."""
    zero = mpmath.mpf(0)
    deltas: dict[int, Any] = {}
    vegas: dict[int, Any] = {}
    gap = funding = turned = zero
    for line, wad in group:
        q = mpmath.mpf(wad) / WAD
        _, mark, delta, vega = exact_unit(line)
        s = mpmath.mpf(line.forward) / WAD
        deltas[line.seconds] = deltas.get(line.seconds, zero) + q * delta * s
        vegas[line.seconds] = vegas.get(line.seconds, zero) + q * vega
        if line.kind == OPTION:
            charge = s * rates.gap_ppm / 10**6
            gap += abs(q) * (min(charge, mark) if q > 0 else charge)
        funding += abs(q) * mark * abs(rates.funding_ppb) / 10**9 if line.kind == PERP else 0
        turned += abs(q * delta) * s if line.kind != SPOT else 0

    def offset(amounts: dict[int, Any]) -> Any:
        longs = sum((max(x, zero) for x in amounts.values()), zero)
        return min(longs, sum((max(-x, zero) for x in amounts.values()), zero))

    size, vega = abs(sum(deltas.values(), zero)), abs(sum(vegas.values(), zero))
    most = rates.interest_max_e5 * 10
    low, high = rates.interest_low, rates.interest_high
    interest = mpmath.mpf(rates.open_interest) / WAD
    rate = ramped(interest, low, high, most) / interest if interest else zero
    return (
        offset(deltas) * rates.calendar_ppm / 10**6
        + offset(vegas) * rates.calendar_vega_ppm / 10**6
        + ramped(size, rates.liquidity_low, rates.liquidity_high, rates.liquidity_max_ppm)
        + ramped(
            vega, rates.liquidity_vega_low, rates.liquidity_vega_high, rates.liquidity_vega_max_ppm
        )
        + gap
        + funding
        + turned * rate
        + size * rates.confidence_ppm / 10**6
    )


def exact_margin(holdings: list[Holding]) -> tuple[Any, Any]:
    """Maintenance and initial margin in USD."""
    zero = mpmath.mpf(0)
    joint, scans, base, charges, short, haircuts = [zero] * 16, zero, zero, zero, zero, [zero] * 2
    for name, rates in RATES.items():
        group = [(line, q) for line, q in net(holdings) if line.underlying == name]
        lanes = [zero] * 16
        for line, wad in group:
            q = mpmath.mpf(wad) / WAD
            lanes = [a + q * b for a, b in zip(lanes, exact_unit(line)[0], strict=True)]
        scan, credit = max(zero, -min(lanes)), mpmath.mpf(rates.credit_permille) / 1000
        scans, base = scans + scan, base + credit * scan
        joint = [a + credit * b for a, b in zip(joint, lanes, strict=True)]
        charges += exact_charges(group, rates)
        s = mpmath.mpf(rates.index) / WAD
        sold = sum(max(-q, 0) * line.forward for line, q in group if line.kind == OPTION)
        short += mpmath.mpf(sold) / WAD**2 * rates.short_option_ppm / 10**6
        spot = mpmath.mpf(sum(q for line, q in group if line.kind == SPOT)) / WAD * s
        haircuts[0] += spot * rates.haircut_maintenance_ppm / 10**6
        haircuts[1] += spot * rates.haircut_initial_ppm / 10**6
    saved = min(base - max(zero, -min(joint)), mpmath.mpf(SHARED.credit_cap) / WAD)
    risk = max(scans - saved + charges, short)
    return risk + haircuts[0], risk * SHARED.initial_ratio_ppm / 10**6 + haircuts[1]


def test_the_integer_is_never_below_the_real_number_and_close_to_it() -> None:
    """Above by no more than both halves of a quantum: what lanes may round away, and its charge."""

    def check(_: int, held: list[Holding]) -> None:
        found = margin(held)
        rounding = sum(part.charges.rounding for part in found.underlyings.values())
        room = mpmath.mpf(2 * rounding + 40) / WAD
        maintenance, initial = exact_margin(held)
        assert NOISE <= mpmath.mpf(found.margin_maintenance) / WAD - maintenance <= room
        assert NOISE <= mpmath.mpf(found.margin_initial) / WAD - initial <= room * 5 / 4

    for_all(check)


def test_the_scan_misses_little_between_its_scenarios() -> None:
    """Against 121 moves within the scan range times 9 volatilities between the shocks: at most 100
    bp of what is held, options and linear together; the gap charge is there for it.
    """
    assert max(short_of_grid(seed) for seed in range(PORTFOLIOS // 2)) <= 100


def short_of_grid(seed: int) -> float:
    """How much the worst point of a fine grid loses beyond the scan, in bp of gross notional."""
    worst = 0.0
    for name in RATES:
        group = [(line, q / WAD) for line, q in net(portfolio(seed)) if line.underlying == name]
        if not group:
            continue
        holdings = [Holding(line, int(quantity * WAD)) for line, quantity in group]
        scan = portfolio_margin(holdings, RATES, SHARED).underlyings[name].scan / WAD
        loss = -float(np.sum([q * on_fine_grid(line) for line, q in group], axis=0).min())
        gross = sum(abs(q) * line.forward / WAD for line, q in group)
        worst = max(worst, 1e4 * (loss - scan) / gross)
    return worst


@cache
def on_fine_grid(line: Line) -> Any:
    """Gains of a unit on the grid, in floating point."""
    forward, psr = line.forward / WAD, RATES[line.underlying].psr_ppm / 1e6
    moved = forward * (1 + np.linspace(-1, 1, 121) * psr)[:, None] * np.ones((1, 9))
    if line.kind != OPTION:
        return moved - forward
    sigma, strike = line.sigma / WAD, line.strike / WAD
    days, years = line.seconds / DAY_S, line.seconds / (365 * DAY_S)
    m = (30 / max(days, 1)) ** (0.30 if days <= 30 else 0.13)
    shocked = np.linspace(sigma * max(1 - 0.3 * m, 0.05), max(sigma * (1 + m / 2), 0.4), 9)

    def price(at: Any, volatility: Any) -> Any:
        v = volatility * math.sqrt(years)
        d = np.log(at / strike) / v + v / 2
        call = at * normal(d) - strike * normal(d - v)
        return call if line.is_call else call - at + strike

    return price(moved, shocked[None, :]) - price(np.array([[forward]]), np.array([[sigma]]))


def normal(x: Any) -> Any:
    return np.vectorize(lambda each: 0.5 * math.erfc(-each / math.sqrt(2)))(x)


RULES = (
    test_neither_order_nor_splitting_changes_anything,
    test_the_scan_is_homogeneous_and_subadditive,
    test_a_long_option_never_raises_the_scan_by_more_than_its_mark,
    test_a_part_of_a_portfolio_costs_at_most_its_part,
    test_the_integer_is_never_below_the_real_number_and_close_to_it,
)


@pytest.mark.nightly
@pytest.mark.parametrize("rule", RULES)
def test_the_same_of_200_000_portfolios(
    rule: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.modules[__name__], "PORTFOLIOS", 200_000)
    rule()


def test_the_samples_reach_every_charge_and_the_cap() -> None:
    """Else the properties above would say nothing about them."""
    met = dict.fromkeys(("cap", "credit", "minimum", "haircut", *CHARGE_NAMES), 0)
    for seed in range(PORTFOLIOS):
        found = margin(portfolio(seed))
        met["cap"] += found.credit == SHARED.credit_cap
        met["credit"] += 0 < found.credit < SHARED.credit_cap
        met["minimum"] += found.short_option_minimum > found.scan + found.charges
        met["haircut"] += found.haircut_maintenance > 0
        for part in found.underlyings.values():
            for name in CHARGE_NAMES:
                met[name] += getattr(part.charges, name) > 0
    assert min(met.values()) >= 10, met


def test_each_charge_of_linear_positions_is_its_own_ceiling() -> None:
    rates = RATES["BTC"]
    perpetual, future = (next(x for x in LINES if x.kind == kind) for kind in (PERP, FUTURE))
    long, short = 1_234_567_890_123_456_789, 987_654_321_098_765_433
    held = [Holding(perpetual, long), Holding(future, -short)]
    found = margin(held).underlyings["BTC"].charges
    s, f = Fraction(perpetual.forward, WAD), Fraction(future.forward, WAD)
    interest = Fraction(rates.interest_max_e5 * 150_000, 450_000 * 100_000)
    assert found.calendar == ceil(min(long * s, short * f) * Fraction(rates.calendar_ppm, 10**6))
    net_size = ceil(abs(long * s - short * f))
    assert found.confidence == ceil(net_size * Fraction(rates.confidence_ppm, 10**6))
    funding = Fraction(abs(rates.funding_ppb) * perpetual.forward, 10**9 * WAD)
    assert found.funding == ceil(long * funding)
    assert found.open_interest == ceil((long * s + short * f) * interest)


def test_what_a_lane_of_sixteen_bits_cuts_off_is_charged_to_both_sides() -> None:
    """A scan range of 1 % reaches 4 % of the price; a year at 200 % gains far more."""
    narrow = {"BTC": replace(RATES["BTC"], psr_ppm=10_000)}
    fine = {"BTC": replace(narrow["BTC"], charge_rounding=False)}
    index = narrow["BTC"].index
    line = Line("BTC-wild", "BTC", OPTION, index, 365 * DAY_S, index, 2 * WAD, True)
    for quantity in (WAD, -WAD):
        packed = portfolio_margin([Holding(line, quantity)], narrow, SHARED)
        exact = portfolio_margin([Holding(line, quantity)], fine, SHARED)
        assert packed.underlyings["BTC"].charges.rounding > 1000 * WAD
        assert packed.margin_maintenance >= exact.margin_maintenance


@pytest.mark.parametrize("quantity", [WAD, -WAD, 7 * WAD + 1])
def test_equity_is_floored_and_a_future_counts_its_gain_only(quantity: int) -> None:
    future = next(line for line in LINES if line.kind == FUTURE)
    option = next(line for line in LINES if line.kind == OPTION)
    assert equity([Holding(future, quantity)], 5) == 5
    entry = future.forward - 3 * WAD
    assert equity([Holding(future, quantity, entry)], 0) == 3 * quantity
    both = equity([Holding(option, quantity)], 0) + equity([Holding(option, -quantity)], 0)
    assert -1 <= both <= 0


# the chain's own


def test_perpetuals_and_spot_cost_what_the_settlement_model_asks() -> None:
    """``margin.evaluate`` is what the contract computes; at a mark equal to the index, and rates
    that its hundred-thousandths hold, the two differ by a few wei of rounding.
    """
    kinds = {BTC: ("BTC", PERP), ETH: ("ETH", PERP), WETH: ("ETH", SPOT)}
    for seed in range(300):
        draw = Random(seed)
        venue = ModelVenue()
        prices = {"BTC": draw.randint(10_000, 200_000), "ETH": draw.randint(500, 9_000)}
        venue.price(prices["BTC"] * ORACLE_PER_USD, prices["ETH"] * ORACLE_PER_USD)
        rates = {}
        for feed, (name, perpetual) in enumerate((("BTC", BTC), ("ETH", ETH))):
            confidence, funding = draw.randint(0, 50_000), draw.randint(-50, 50) * 10_000
            venue.feed(feed, confidence_ppm=confidence)
            venue.market(perpetual, open_interest=1, rate=funding)
            rates[name] = settled(PARAMETERS[feed], prices[name], confidence, funding)
        size = 10 ** draw.randint(1, 6)
        lots = {BTC: draw.randint(-size, size), ETH: draw.randint(-size, size), WETH: size**2 // 9}
        held = {instrument: number for instrument, number in lots.items() if number}
        holdings = []
        for instrument, number in held.items():
            name, kind = kinds[instrument]
            line = Line(f"{name}-{kind}", name, kind, prices[name] * WAD)
            holdings.append(Holding(line, number * TERMS[instrument].lot_size))
        shared = venue.world.risk.globals
        asked = evaluate(venue.world, held)
        found = portfolio_margin(
            holdings, rates, Shared(shared.initial_ratio_ppm, shared.credit_cap)
        )
        assert abs(found.margin_maintenance - asked.margin_maintenance) <= 12, seed
        assert abs(found.margin_initial - asked.margin_initial) <= 16, seed


def test_options_and_futures_cost_what_the_settlement_model_asks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same with options and futures of both underlyings: so what holds here of real numbers,
    order and splitting holds of the contract, which equals that model bit for bit.
    """
    places = [(line, dated_id(line)) for line in LINES if line.kind in (OPTION, FUTURE)]
    for seed in range(200):
        draw = Random(seed)
        venue = ModelVenue({feed: dated_parameters(name) for feed, name in enumerate(RATES)})
        index = {name: rates.index // ORACLE_UNIT for name, rates in RATES.items()}
        venue.price(*index.values())
        words = {id: dated_words(line) for line, id in places}
        monkeypatch.setattr(dated_margin, "words_of", lambda _, id, w=words: w[id])
        monkeypatch.setattr(dated_margin, "epoch_now", dated_epoch)
        held = {
            id: draw.choice([-1, 1]) * draw.randint(1, 10 ** draw.randint(1, 5))
            for _, id in draw.sample(places, draw.randint(1, 9))
        }
        lots = {id: line for line, id in places if id in held}
        holdings = [Holding(line, held[id] * WAD // 1000) for id, line in lots.items()]
        asked, shared = evaluate(venue.world, held), venue.world.risk.globals
        terms = Shared(shared.initial_ratio_ppm, shared.credit_cap)
        found = portfolio_margin(holdings, {n: dated_rates(n) for n in RATES}, terms)
        # marks and deltas are floored at 1e-10 USD and 2**-30 on chain
        gross = sum(abs(x.quantity) * x.line.forward // WAD for x in holdings)
        room = 60 + gross // 2**28
        assert abs(found.margin_maintenance - asked.margin_maintenance) <= room, seed
        assert abs(found.margin_initial - asked.margin_initial) <= 2 * room, seed


def dated_parameters(name: str) -> RiskParameters:
    """Parameters without what rates of the page have in their own units."""
    rates = RATES[name]
    return RiskParameters(
        psr_target=rates.psr_ppm,
        psr_from=rates.psr_ppm,
        liquidity_low=rates.liquidity_low // THOUSAND,
        liquidity_high=rates.liquidity_high // THOUSAND,
        liquidity_max=rates.liquidity_max_ppm,
        credit=rates.credit_permille,
        interest_high=1,
    )


def dated_rates(name: str) -> Rates:
    """The same, of the page."""
    rates = RATES[name]
    return Rates(
        index=rates.index,
        psr_ppm=rates.psr_ppm,
        credit_permille=rates.credit_permille,
        liquidity_low=rates.liquidity_low,
        liquidity_high=rates.liquidity_high,
        liquidity_max_ppm=rates.liquidity_max_ppm,
        liquidity_vega_low=rates.liquidity_low // 10,
        liquidity_vega_high=rates.liquidity_high // 10,
        liquidity_vega_max_ppm=rates.liquidity_max_ppm,
    )


def dated_id(line: Line) -> int:
    """A place on the grid: slots by tenor, strikes by moneyness."""
    underlying = list(RATES).index(line.underlying)
    slot = (1, 14, 45, 180).index(line.seconds * 2 // DAY_S)
    if line.kind == FUTURE:
        return future_id(underlying, slot)
    percent = round(100 * line.strike / RATES[line.underlying].index)
    strike = (60, 90, 100, 110, 160).index(percent)
    return OptionId(underlying, slot, strike, not line.is_call).pack()


@cache
def dated_words(line: Line) -> tuple[int, int, int]:
    """What Options would say: an array built at the line's volatility, lots of 1e15 wei."""
    rates = RATES[line.underlying]
    forward, strike = line.forward // ORACLE_UNIT, line.strike // ORACLE_UNIT
    head = Head(forward, list(RATES).index(line.underlying), 15, LIVE).pack()
    if line.kind == FUTURE:
        return 0, 0, head
    terms = (forward, strike, line.sigma, line.seconds, rates.psr_ppm)
    built = arrays.build(*terms, quantum(rates))
    return built.array, arrays.Info.unpack(built.info).of(not line.is_call).pack(), head


def dated_epoch(_: World, underlying: int) -> int:
    """The epoch of those arrays."""
    rates = list(RATES.values())[underlying]
    return Epoch(quantum(rates), rates.index // ORACLE_UNIT, rates.psr_ppm).pack()


def settled(parameters: RiskParameters, usd: int, confidence: int, funding: int) -> Rates:
    """The rates of an underlying of the settlement model."""
    return Rates(
        index=usd * WAD,
        psr_ppm=parameters.psr_target,
        credit_permille=parameters.credit,
        liquidity_low=parameters.liquidity_low * THOUSAND,
        liquidity_high=parameters.liquidity_high * THOUSAND,
        liquidity_max_ppm=parameters.liquidity_max,
        confidence_ppm=confidence,
        funding_ppb=funding,
        haircut_maintenance_ppm=parameters.haircut_maintenance,
        haircut_initial_ppm=parameters.haircut_initial,
    )
