"""Margin: rounding, netting, homogeneity, lanes, ramps and the no-worse rule (MARGIN.md §2, §3;
I08).
"""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from support.clearing import BUYER, DAY_S, SELLER, Clearing, pack_positions
from support.core import BTC, ETH, ORACLE_PER_USD, PARAMETERS, TERMS, WETH
from support.model import ModelVenue

from novate.model import margin
from novate.model.instrument import PERP, SPOT
from novate.model.ledger import no_worse
from novate.model.margin import RiskParameters, between_down, between_up, evaluate, lanes
from novate.model.state import World
from novate.units import PPM, WAD, ppm_up

LOTS = st.integers(-2_000_000, 2_000_000)
PORTFOLIOS = st.fixed_dictionaries({BTC: LOTS, ETH: LOTS, WETH: st.integers(0, 10**10)}).map(
    lambda held: {instrument: lots for instrument, lots in held.items() if lots}
)
WITHOUT_RAMPS = {u: replace(p, liquidity_max=0) for u, p in PARAMETERS.items()}
WEI = 12  # roundings of one evaluation


@st.composite
def venues(draw: st.DrawFn, parameters: dict[int, RiskParameters] | None = None) -> ModelVenue:
    """Odd prices, marks off the index, averages off the mark, doubt, open interest, funding,
    age.
    """
    venue = ModelVenue(parameters)
    for feed, usd in ((0, 60_000), (1, 3_000)):
        mark = usd * ORACLE_PER_USD + draw(st.integers(-(10**13), 10**13))
        venue.feed(
            feed,
            index=usd * ORACLE_PER_USD + draw(st.integers(-(10**12), 10**12)),
            mark=mark,
            average=mark + draw(st.integers(-(10**12), 10**12)),
            confidence_ppm=draw(st.integers(0, 50_000)),
        )
    for instrument in (BTC, ETH):
        venue.market(
            instrument,
            open_interest=draw(st.integers(0, 10**7)),
            funding_index=draw(st.integers(-(10**18), 10**18)),
            rate=draw(st.integers(-1_666_666, 1_666_666)),
        )
    venue.world.now += draw(st.sampled_from([0, 1, 59, 61, 600]))
    return venue


# exact


def exact_ramp(amount: Fraction, low: int, high: int, most: Fraction) -> Fraction:
    """A rate rising linearly between two amounts in thousands of USD."""
    bottom, top = low * 1000 * WAD, high * 1000 * WAD
    share = (min(amount, Fraction(top)) - bottom) / (top - bottom)
    return most * max(share, Fraction(0))


def exact_margins(world: World, positions: dict[int, int]) -> tuple[Fraction, Fraction]:
    """MM and IM by the formulas of SPEC §4 in fractions, written without the model's code."""
    scan: dict[int, Fraction] = {}
    signed: dict[int, Fraction] = {}
    added = haircut = haircut_initial = Fraction(0)
    deltas: dict[int, int] = {}
    doubt: dict[int, Fraction] = {}
    for instrument, lots in positions.items():
        terms, market, feed, status = world.snapshot(instrument)
        price = feed.index if terms.kind == SPOT else feed.mark
        notional = lots * (price * 10**8 * terms.lot_size // WAD)
        deltas[terms.underlying] = deltas.get(terms.underlying, 0) + notional
        wait = max(world.now - feed.timestamp - status.stale_after, 0)
        ppm = feed.confidence_ppm + min(wait * 100, 200_000)
        doubt[terms.underlying] = max(doubt.get(terms.underlying, Fraction(0)), Fraction(ppm, PPM))
        parameters = world.risk.parameters[terms.underlying]
        if terms.kind == PERP:
            interest = Fraction(market.open_interest * (abs(notional) // abs(lots)))
            most = Fraction(parameters.interest_max, 100_000)
            rate = exact_ramp(interest, parameters.interest_low, parameters.interest_high, most)
            added += abs(notional) * (rate + Fraction(abs(market.rate), 10**9))
        else:
            haircut += notional * Fraction(parameters.haircut_maintenance, PPM)
            haircut_initial += notional * Fraction(parameters.haircut_initial, PPM)
    for underlying, delta in deltas.items():
        parameters = world.risk.parameters[underlying]
        size = Fraction(abs(delta))
        scan[underlying] = size * parameters.psr_target / PPM
        signed[underlying] = Fraction(delta) * parameters.psr_target / PPM
        most = Fraction(parameters.liquidity_max, PPM)
        low, high = parameters.liquidity_low, parameters.liquidity_high
        added += size * (exact_ramp(size, low, high, most) + doubt[underlying])
    credit = {u: Fraction(world.risk.parameters[u].credit, 1000) for u in deltas}
    joint = abs(sum((credit[u] * signed[u] for u in deltas), Fraction(0)))
    saving = sum((credit[u] * scan[u] for u in deltas), Fraction(0)) - joint
    saving = min(saving, Fraction(world.risk.globals.credit_cap))
    core = sum(scan.values(), Fraction(0)) - saving + added
    return core + haircut, core * Fraction(5, 4) + haircut_initial


@given(venues(), PORTFOLIOS)
@settings(max_examples=300)
def test_integers_are_never_below_the_exact_figures_and_close_to_them(
    venue: ModelVenue, positions: dict[int, int]
) -> None:
    found = evaluate(venue.world, positions)
    maintenance, initial = exact_margins(venue.world, positions)
    gross = sum(
        abs(lots) * margin.row(venue.world, instrument).notional_lot
        for instrument, lots in positions.items()
    )
    # the two rates of a charge are each rounded up to 1e-5
    assert 0 <= found.margin_maintenance - maintenance <= WEI + Fraction(2 * gross, 100_000)
    assert 0 <= found.margin_initial - initial <= WEI * 2 + Fraction(25 * gross, 10**6)


@given(venues(), PORTFOLIOS)
def test_the_benefit_rounds_down_and_the_doubt_up(
    venue: ModelVenue, positions: dict[int, int]
) -> None:
    found = evaluate(venue.world, positions)
    assert 0 <= found.bonus <= found.penalty
    assert found.margin_initial >= found.margin_maintenance
    assert found.liquidity <= found.margin_maintenance


# netting


def joined(a: dict[int, int], b: dict[int, int]) -> dict[int, int]:
    both = {k: a.get(k, 0) + b.get(k, 0) for k in sorted({*a, *b})}
    return {k: lots for k, lots in both.items() if lots}


@given(venues(WITHOUT_RAMPS), PORTFOLIOS, PORTFOLIOS)
@settings(max_examples=300)
def test_netting_never_costs(venue: ModelVenue, a: dict[int, int], b: dict[int, int]) -> None:
    """I08: M(a+b) ≤ M(a) + M(b); the cap on credits is off, as it makes large portfolios dearer on
    purpose.
    """
    shared = replace(venue.world.risk.globals, credit_cap=10**40, credit_cap_from=10**40)
    venue.world.risk.shared["globals"] = shared
    whole, parts = evaluate(venue.world, joined(a, b)), [evaluate(venue.world, x) for x in (a, b)]
    for name in ("margin_maintenance", "margin_initial", "penalty"):
        assert getattr(whole, name) <= sum(getattr(part, name) for part in parts) + WEI


@given(venues(), PORTFOLIOS, st.integers(1, 9))
@settings(max_examples=300)
def test_a_smaller_portfolio_needs_at_most_its_share(
    venue: ModelVenue, positions: dict[int, int], tenths: int
) -> None:
    """M(λq) ≤ λM(q) for λ ≤ 1, ramps included: large positions are dearer."""
    whole = evaluate(venue.world, {k: lots * 10 for k, lots in positions.items()})
    part = evaluate(venue.world, {k: lots * tenths for k, lots in positions.items()})
    for name in ("margin_maintenance", "margin_initial", "liquidity"):
        assert 10 * getattr(part, name) <= tenths * getattr(whole, name) + 10 * WEI


@given(venues(), PORTFOLIOS.filter(lambda held: BTC in held), st.integers(-(10**6), 10**6))
def test_splitting_a_position_changes_nothing(
    venue: ModelVenue, positions: dict[int, int], moved: int
) -> None:
    """Part of it in a twin instrument of the same terms and market."""
    twin = 9
    venue.world.ledger.terms[twin] = TERMS[BTC]
    venue.world.ledger.markets[twin] = venue.world.ledger.markets[BTC]
    split = joined({**positions, BTC: positions[BTC] - moved}, {twin: moved})
    whole, parts = evaluate(venue.world, positions), evaluate(venue.world, split)
    assert (parts.value_linear, parts.value_spot) == (whole.value_linear, whole.value_spot)
    assert (parts.penalty, parts.bonus, parts.liquidity) == (
        whole.penalty,
        whole.bonus,
        whole.liquidity,
    )
    if abs(positions[BTC] - moved) + abs(moved) == abs(positions[BTC]):
        assert 0 <= parts.margin_maintenance - whole.margin_maintenance <= 1


def test_the_order_of_positions_changes_nothing() -> None:
    """In the contract, which reads packed words one by one."""
    core = Clearing()
    core.price(60_100, 3_010, confidence=300)
    held = {BTC: 12_345, ETH: -6_789, WETH: 4_242_424}
    orders = ((BTC, ETH, WETH), (WETH, BTC, ETH), (ETH, WETH, BTC), (WETH, ETH, BTC))
    found = {
        core.risk.view("evaluate", pack_positions({k: held[k] for k in order})) for order in orders
    }
    assert len(found) == 1


# scenarios and ramps


@given(st.integers(-(2**120), 2**120), st.integers(10_000, PPM))
def test_the_worst_of_sixteen_lanes_is_the_scan(delta: int, psr: int) -> None:
    found = lanes(delta, psr)
    assert len(found) == 16
    assert -min(found) == ppm_up(abs(delta), psr)


@given(st.integers(0, 2**24), st.integers(0, 2**24), st.integers(0, DAY_S), st.integers(0, DAY_S))
def test_ramps_are_monotone_and_end_exactly(start: int, target: int, s: int, t: int) -> None:
    for between in (between_up, between_down):
        assert between(start, target, 0) == start and between(start, target, DAY_S) == target
        early, late = between(start, target, min(s, t)), between(start, target, max(s, t))
        assert early <= late if target >= start else early >= late
    gap = between_up(start, target, t) - between_down(start, target, t)
    assert gap in (0, 1)


@given(st.integers(10_000, 900_000), st.integers(9_800, 11_000), st.integers(0, 2 * DAY_S))
def test_the_scan_range_in_force_stays_between_old_and_new(old: int, ratio: int, t: int) -> None:
    target = old * ratio // 10_000
    parameters = RiskParameters(old, target, 0)
    now, next_second = parameters.psr_now(t), parameters.psr_now(t + 1)
    assert min(old, target) <= now <= max(old, target)
    assert now <= next_second if target >= old else now >= next_second
    assert parameters.psr_now(DAY_S) == target


# no worse


@given(st.integers(-(10**24), 10**24), st.integers(1, 10**24), st.integers(0, PPM))
def test_closing_at_the_mark_is_always_allowed(equity: int, required: int, fraction: int) -> None:
    after = required * (PPM - fraction) // PPM
    assert no_worse(equity, required, equity, after)


@given(
    st.integers(-(10**9), 10**9),
    st.integers(1, 10**9),
    st.integers(-(10**9), 10**9),
    st.integers(0, 10**9),
)
@settings(max_examples=500)
def test_what_passes_as_no_worse_hurts_nobody(e: int, mm: int, e_after: int, mm_after: int) -> None:
    """Margin does not grow; below maintenance health does not fall; a loss is at most health times
    the margin released.
    """
    if not no_worse(e, mm, e_after, mm_after):
        return
    assert mm_after <= mm
    if e >= mm:
        assert e_after >= mm_after
    elif e > 0:
        assert e_after * mm >= e * mm_after
        assert e_after >= 0
    else:
        assert e_after >= e


@given(
    st.integers(-(10**6), 10**6),
    st.integers(1, 10**6),
    *(st.tuples(st.integers(-(10**6), 10**6), st.integers(0, 10**6)) for _ in range(2)),
)
def test_two_allowed_steps_are_one_allowed_step(
    e: int, mm: int, first: tuple[int, int], second: tuple[int, int]
) -> None:
    """Nothing is gained by going in small steps from below maintenance margin."""
    below = e < mm and first[0] < first[1]
    if below and no_worse(e, mm, *first) and no_worse(*first, *second):
        assert no_worse(e, mm, *second)


def test_a_trader_under_initial_margin_buys_back_its_short_with_cash() -> None:
    core = Clearing(cash_usd=13_000)
    core.fund(BUYER, 10**6)
    assert core.trade(BUYER, SELLER, 1000, 60_000) == "settled"
    core.price(62_000)
    short = core.health(SELLER)
    assert short.equity < short.valuation.margin_initial
    assert core.trade(BUYER, SELLER, 1, 62_000) == "InsufficientMargin"
    fee = 20 * WAD
    assert core.trade(SELLER, BUYER, 500, 62_000, fee_taker=fee) == "settled"
    after = core.health(SELLER)
    assert after.cash < 13_000 * WAD - 1_900 * WAD
    assert after.equity == short.equity - fee
