"""The fast margin never gives another answer than the exact model, at the boundary least of all."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from novate.engine.lanes import Lanes
from novate.engine.lanes_layout import (
    EQUITY,
    FAILS,
    FLAGS,
    INITIAL,
    MAINTENANCE,
    NOBODY,
    PASSES,
    PENALTY,
    QUESTION_COLUMNS,
    SPOT,
    TOLERANCE,
    TOO_CLOSE,
)
from novate.engine.open_orders import added
from novate.model import ledger, margin, open_margin
from novate.model.account import Account
from novate.model.open_margin import Reach
from novate.model.state import World
from novate.model.venue import Settings
from novate.units import WAD
from tests.support.core import BTC, ETH
from tests.support.margins import MONEY, PERPS, PORTFOLIOS, WEI, money, row_of, worlds

RATES = Settings(taker_ppm=500, maker_ppm=100)

CHANGES = st.tuples(st.sampled_from(PERPS), st.integers(-(10**6), 10**6).filter(bool))


def changed(row: Account, instrument: int, lots: int) -> Account:
    return ledger.change_lots(row, instrument, lots)


def standing(world: World, row: Account) -> tuple[Lanes, int]:
    lanes = Lanes(world)
    lanes.round.refresh()
    number = lanes.add()
    lanes.load(number, row.positions, {})
    return lanes, number


def answer(world: World, start: Account, now: Account, change: tuple[int, int], cash: int) -> int:
    """The lanes' answer for ``now`` with a change and that cash, checked against the gate."""
    after = replace(changed(now, *change), cash=cash)
    lanes, number = standing(world, now)
    begun = lanes.add()
    lanes.load(begun, start.positions, {})
    allowed = world.ledger.pot.debt <= world.ledger.pot.debt_cap
    question = number, *change, money(world, after), allowed
    found = lanes.passes_from((begun, money(world, start)), *question)
    exact = ledger.passes_gate(world, start, ledger.check_row(world, after))
    assert found in (TOO_CLOSE, exact), (found, exact)
    alone = lanes.passes_from((NOBODY, 0.0), *question)
    assert alone != PASSES or exact
    return found


def room(world: World, row: Account) -> int:
    """What a row has beyond its initial margin."""
    check = ledger.check_row(world, row)
    return check.equity - check.valuation.penalty - check.valuation.margin_initial


# What accounts have and need


@given(worlds(), PORTFOLIOS, MONEY)
@settings(max_examples=300)
def test_every_figure_is_the_models_within_a_quarter_of_the_tolerance(
    world: World, positions: dict[int, int], cash: int
) -> None:
    row = row_of(positions, cash, cash // 7)
    lanes, number = standing(world, row)
    lanes.revalue(money=lanes.standings[:1, 0] + money(world, row))
    found, exact = lanes.standings[number], margin.evaluate(world, positions)
    assert int(found[FLAGS]) == exact.flags
    for column, figure in (
        (EQUITY, ledger.equity_of(world, row, exact)),
        (SPOT, exact.value_spot),
        (MAINTENANCE, exact.margin_maintenance),
        (INITIAL, exact.margin_initial),
        (PENALTY, exact.penalty),
    ):
        assert 4 * abs(int(found[column]) - figure) <= found[TOLERANCE], column


@given(worlds(), PORTFOLIOS, st.lists(CHANGES, max_size=12))
def test_fills_one_by_one_end_where_loading_the_row_does(
    world: World, positions: dict[int, int], changes: list[tuple[int, int]]
) -> None:
    row = row_of(positions, 10**24)
    lanes, number = standing(world, row)
    for change in changes:
        row = changed(row, *change)
        lanes.fill(number, *change)
    lanes.revalue()
    whole, one = standing(world, row)
    whole.revalue()
    known = lanes.standings[number], whole.standings[one]
    assert abs(known[0] - known[1]).max() <= known[1][TOLERANCE]


# The gate


@given(worlds(), PORTFOLIOS, CHANGES, MONEY, MONEY)
@settings(max_examples=300)
def test_the_gate_is_the_models(
    world: World, positions: dict[int, int], change: tuple[int, int], cash: int, cash_after: int
) -> None:
    row = row_of(positions, cash)
    answer(world, row, row, change, cash_after)


@given(worlds(), PORTFOLIOS, CHANGES, CHANGES, MONEY, WEI)
@settings(max_examples=300)
def test_the_gate_is_the_models_at_the_initial_margin_and_a_wei_beside_it(
    world: World,
    positions: dict[int, int],
    earlier: tuple[int, int],
    change: tuple[int, int],
    cash: int,
    beside: int,
) -> None:
    start = row_of(positions, cash)
    now = changed(start, *earlier)
    edge = replace(changed(now, *change), cash=0)
    answer(world, start, now, change, beside - room(world, edge))


@given(worlds(), PORTFOLIOS, MONEY, st.integers(0, 100), WEI)
@settings(max_examples=300)
def test_the_gate_is_the_models_where_an_account_is_just_no_worse(
    world: World, positions: dict[int, int], cash: int, percent: int, beside: int
) -> None:
    """Part of a position is closed at a loss of about what it may cost."""
    instrument = next((i for i in positions if i in PERPS), None)
    if instrument is None:
        return
    row = row_of(positions, cash)
    lots = -(positions[instrument] * percent // 100) or -positions[instrument]
    after = changed(row, instrument, lots)
    old, new = ledger.check_row(world, row), ledger.check_row(world, after)
    released = old.valuation.margin_maintenance - new.valuation.margin_maintenance
    required = max(old.valuation.margin_maintenance, 1)
    health = min(max(old.equity, 0), required)
    loss = released * health // required
    answer(world, row, row, (instrument, lots), cash + old.equity - new.equity - loss + beside)


@given(worlds(), PORTFOLIOS, CHANGES, st.sampled_from([-1, 1]))
def test_beyond_a_billionth_of_its_size_nothing_is_too_close(
    world: World, positions: dict[int, int], change: tuple[int, int], sign: int
) -> None:
    row = row_of(positions, 0)
    edge = replace(changed(row, *change), cash=0)
    lanes, number = standing(world, row)
    lines = {i: margin.row(world, i) for i, _ in edge.positions}
    gross = sum(abs(lots) * lines[i].notional_lot for i, lots in edge.positions) + WAD
    steepest = max(lanes.round.underlyings[:, 13])  # weight
    aside = sign * int(gross * steepest) // 10**9
    after = replace(edge, cash=aside - room(world, edge))
    asked = lanes.passes_from((NOBODY, 0.0), number, *change, money(world, after), True)
    flagged = ledger.check_row(world, after).valuation.flags
    assert asked == (FAILS if flagged or sign < 0 else PASSES)


@given(worlds(), st.lists(st.tuples(PORTFOLIOS, CHANGES, MONEY), min_size=1, max_size=6))
def test_a_batch_of_questions_is_answered_as_each_alone(
    world: World, asked: list[tuple[dict[int, int], tuple[int, int], int]]
) -> None:
    lanes = Lanes(world, accounts=1)
    rows = [row_of(positions, cash) for positions, _, cash in asked]
    for row in rows:
        lanes.load(lanes.add(), row.positions, {})
    lanes.revalue(money=lanes.standings[: len(rows), 0] + [money(world, row) for row in rows])
    questions = np.zeros((len(rows), QUESTION_COLUMNS), np.int64)
    for number, (_, (instrument, lots), _) in enumerate(asked):
        questions[number, :3] = number, lanes.round.place(instrument), lots
    paid = lanes.standings[: len(rows), 0] - 1e20
    found = lanes.passes(questions, paid, True)
    for number, (_, change, _) in enumerate(asked):
        begun = number, float(lanes.standings[number, 0])
        alone = lanes.passes_from(begun, number, *change, float(paid[number]), True)
        assert found[number] == alone


# Open orders at their worst

ORDERS = st.lists(
    st.tuples(
        st.sampled_from(PERPS),
        st.integers(-(10**6), 10**6).filter(bool),
        st.booleans(),  # only reduces
        st.integers(-3, 3),  # percent that its price is off the mark
    ),
    max_size=6,
)


def sums(world: World, orders: list[tuple[int, int, bool, int]]) -> tuple[dict[int, Reach], int]:
    reaches: dict[int, Reach] = {}
    costs = 0
    for instrument, lots, reduces, percent in orders:
        reach = reaches.get(instrument, Reach())
        reaches[instrument] = added(reach, lots > 0, reduces, abs(lots))
        terms, _, feed, _ = world.snapshot(instrument)
        paid = price(world, instrument, percent)
        costs += open_margin.cost(RATES, terms, feed.mark * 10**8, 0, lots, paid)
    return reaches, costs


def price(world: World, instrument: int, percent: int) -> int:
    terms, _, feed, _ = world.snapshot(instrument)
    aimed = feed.mark * 10**8 * (100 + percent) // 100
    return aimed - aimed % terms.tick


@given(worlds(), PORTFOLIOS, ORDERS, st.data())
@settings(max_examples=400)
def test_no_combination_of_open_orders_needs_more_than_the_worst(
    world: World,
    positions: dict[int, int],
    orders: list[tuple[int, int, bool, int]],
    data: Any,
) -> None:
    """Orders fill in any order, each partly, those that reduce only while they do."""
    row = row_of(positions, 10**24)
    reaches, costs = sums(world, orders)
    needed = open_margin.required(world, open_margin.ranges(row, reaches)) + costs
    worst = ledger.check_row(world, row).equity - needed
    left = {number: abs(order[1]) for number, order in enumerate(orders)}
    for number in data.draw(st.lists(st.sampled_from(sorted(left) or [0]), max_size=8)):
        if not orders:
            break
        instrument, lots, reduces, percent = orders[number]
        sign = 1 if lots > 0 else -1
        held = dict(row.positions).get(instrument, 0)
        most = min(left[number], max(-held * sign, 0)) if reduces else left[number]
        fill = data.draw(st.sampled_from([most, most // 2, min(1, most)]))
        left[number] -= fill
        terms, market, _, _ = world.snapshot(instrument)
        value = terms.price_lot(price(world, instrument, percent))
        fee = -(-fill * value * 500 // 10**6)
        paid = sign * fill * (value - market.funding_index)
        row = replace(changed(row, instrument, sign * fill), cash=row.cash - fee)
        row = replace(row, variation=row.variation - paid)
        assert room(world, row) >= worst
        rest = [
            (instrument, left[n] if lots > 0 else -left[n], reduces, percent)
            for n, (instrument, lots, reduces, percent) in enumerate(orders)
            if left[n]
        ]
        reaches, costs = sums(world, rest)
        needed = open_margin.required(world, open_margin.ranges(row, reaches)) + costs
        assert ledger.check_row(world, row).equity - needed >= worst, "a fill takes no spare"


@given(worlds(), PORTFOLIOS, ORDERS, MONEY, st.none() | WEI)
@settings(max_examples=400)
def test_entry_is_judged_as_the_exact_bound_says(
    world: World,
    positions: dict[int, int],
    orders: list[tuple[int, int, bool, int]],
    cash: int,
    beside: int | None,
) -> None:
    orders = [*orders, (ETH, 5, False, 0)]
    reaches, costs = sums(world, orders)
    row = row_of(positions, cash)
    if beside is not None:
        needed = open_margin.required(world, open_margin.ranges(row, reaches)) + costs
        row = replace(row, cash=cash + needed - ledger.check_row(world, row).equity + beside)
    lanes, number = standing(world, row)
    before, _ = sums(world, orders[:-1])
    lanes.load(number, row.positions, before)
    found = lanes.holds(number, ETH, 0, 5, float(row.cash - costs))
    exact = open_margin.funded(world, row, reaches, costs)
    assert found in (TOO_CLOSE, exact)
    if beside is not None and abs(beside) <= 1:
        assert exact == (beside >= 0)


@given(worlds(), PORTFOLIOS, ORDERS, ORDERS.filter(bool))
@settings(max_examples=400)
def test_an_order_more_takes_no_more_than_its_slope_and_one_less_takes_nothing(
    world: World,
    positions: dict[int, int],
    orders: list[tuple[int, int, bool, int]],
    more: list[tuple[int, int, bool, int]],
) -> None:
    """Of an instrument that was counted when the account was asked about."""
    world.exchange.set_settings(RATES)
    row = row_of(positions, 10**24)
    lanes, _ = standing(world, row)
    orders = [*orders, *((instrument, 1, False, 0) for instrument in PERPS)]

    def needed(held: list[tuple[int, int, bool, int]]) -> int:
        reaches, costs = sums(world, held)
        return open_margin.required(world, open_margin.ranges(row, reaches)) + costs

    before = needed(orders)
    for instrument, lots, reduces, percent in more:
        orders = [*orders, (instrument, lots, reduces, percent)]
        after = needed(orders)
        limit = price(world, instrument, percent)
        most = lanes.round.slope(instrument).at_most(abs(lots), lots > 0, limit)
        assert 0 <= after - before <= most
        before = after


def test_reach_of_orders_that_only_reduce_stops_at_zero() -> None:
    assert Reach(buys=5, sells=3).around(10) == (7, 15)
    assert Reach(reducing_sells=30).around(10) == (0, 10)
    assert Reach(sells=4, reducing_sells=30).around(10) == (-4, 10)
    assert Reach(reducing_buys=30, reducing_sells=2).around(-10) == (-10, 0)
    assert Reach(buys=1, reducing_sells=9).around(0) == (0, 1)


def test_an_instrument_without_a_price_is_too_close_for_every_answer() -> None:
    from tests.support.model import ModelVenue

    world = ModelVenue().world
    row = row_of({BTC: 5}, 10**24)
    lanes, number = standing(world, row)
    world.oracle.feeds[0] = replace(world.oracle.feeds[0], mark=0)
    assert lanes.round.refresh()
    assert lanes.passes_from((NOBODY, 0.0), number, ETH, 1, 1e24, True) == TOO_CLOSE
    assert lanes.holds(number, ETH, 0, 1, 1e24) == TOO_CLOSE
