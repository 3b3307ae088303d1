"""Other venues' margin: the eleven books against their published figures, and each rule by hand."""

from __future__ import annotations

import math
from itertools import pairwise

import pytest

from novate.model.instrument import PERP, SPOT
from novate.model.portfolio import FUTURE, OPTION, Line
from novate.model.pricing import black76
from novate.risk.peer_books import BookRow, Cell, books
from novate.risk.peers import Figure, compare, rules
from novate.units import DAY_S, WAD

INDEX = {"BTC": 65_000.0, "ETH": 3_000.0, "SOL": 200.0}
ROWS = books()


def perp(name: str = "BTC") -> Line:
    return Line(f"{name}-PERPETUAL", name, PERP, int(INDEX[name]) * WAD)


def option(strike: int, is_call: bool, days: int = 30, name: str = "BTC") -> Line:
    terms = (days * DAY_S, strike * WAD, 6 * WAD // 10, is_call)
    return Line(f"{name}-{days}-{strike}-{is_call}", name, OPTION, int(INDEX[name]) * WAD, *terms)


def mark(line: Line) -> float:
    terms = (line.forward, line.strike, line.sigma, line.seconds, line.is_call)
    return black76(*terms).price / WAD


def ask(*held: tuple[Line, float]) -> dict[str, Figure]:
    found = compare([(line, int(q * WAD)) for line, q in held], INDEX)
    return {figure.venue: figure for figure in found}


# the eleven books


def test_there_are_eleven_books_with_a_date() -> None:
    assert len(ROWS) == 11
    assert rules()["as_of"] == "autumn 2026"


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_our_column_of_the_page_comes_out_within_a_dollar(row: BookRow) -> None:
    for found, page in zip(row.novate.computed, row.novate.published, strict=True):
        assert found is not None and page is not None
        assert abs(found - page) <= 1


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_the_rounded_weight_matters_to_the_covered_call_only(row: BookRow) -> None:
    initial, maintenance = row.novate.computed
    assert initial is not None and maintenance is not None
    apart = row.novate_exact[1] - maintenance
    if row.name == "covered call":
        assert 11 < apart < 12
    else:
        assert abs(apart) < 1e-6
    assert initial == pytest.approx(1.25 * maintenance)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
@pytest.mark.parametrize("venue", ["deribit_portfolio", "paradex_portfolio"])
def test_a_computed_figure_is_within_a_dollar_of_the_published(row: BookRow, venue: str) -> None:
    cell = row.venues[venue]
    assert cell.published[0] is not None
    for found, page in zip(cell.computed, cell.published, strict=True):
        assert found is not None and page is not None
        assert abs(found - page) <= 1
    assert not cell.differs


def test_where_no_rule_is_known_the_published_figure_is_shown() -> None:
    for row in ROWS:
        cell = row.venues["derive_portfolio"]
        assert cell.computed == (None, None) and cell.shown == cell.published
    assert ROWS[0].venues["derive_portfolio"].shown == (14_300, 11_310)
    assert ROWS[1].venues["derive_portfolio"].shown == (None, None)


def test_a_figure_more_than_a_dollar_off_is_called_different() -> None:
    assert Cell((100.0, 50.0), (101.5, 50)).differs
    assert Cell((100.0, 50.0), (100, 52)).differs
    assert not Cell((100.0, 50.0), (100.9, 50)).differs
    assert not Cell((None, None), (100, 50)).differs


# Deribit


def test_deribits_roll_shock_grows_with_the_tenor() -> None:
    future = Line("BTC-F", "BTC", FUTURE, 65_000 * WAD, 365 * DAY_S)
    found = ask((perp(), 1), (future, -1))["deribit_portfolio"]
    assert found.initial == pytest.approx(65_000 * (0.01 + 0.10))
    assert found.maintenance == pytest.approx(0.8 * 65_000 * 0.11)


def test_deribit_has_a_wider_range_for_eth_and_none_known_for_others() -> None:
    assert ask((perp("ETH"), 1))["deribit_portfolio"].initial == pytest.approx(3_000 * 0.19)
    found = ask((perp("SOL"), 1))["deribit_portfolio"]
    assert found.initial is None and "SOL" in found.note


def test_deribits_delta_shock_is_named_when_left_out() -> None:
    assert "at least" in ask((perp(), 400))["deribit_portfolio"].note
    assert ask((perp(), 300))["deribit_portfolio"].note == ""


def test_deribits_standard_margin_of_short_calls_only() -> None:
    near, far = option(65_000, True), option(100_000, True)
    found = ask((near, -2), (far, -1))["deribit_standard"]
    hand = 2 * (0.15 * 65_000 + mark(near)) + 0.10 * 65_000 + mark(far)
    assert found.initial == pytest.approx(hand)
    assert found.maintenance is None and found.note
    assert ask((near, 1))["deribit_standard"].initial is None


# Derive


def test_derives_perpetuals_are_charged_by_size() -> None:
    found = ask((perp(), -2))["derive_standard"]
    assert (found.initial, found.maintenance) == pytest.approx((13_000, 8_450))


def test_derives_short_options_stand_alone() -> None:
    call = option(71_500, True)
    found = ask((call, -1))["derive_standard"]
    assert found.initial == pytest.approx(0.13 * 65_000 + mark(call))
    assert found.maintenance == pytest.approx(0.09 * 65_000 + mark(call))
    put = option(58_500, False)
    found = ask((put, -1))["derive_standard"]
    least = 0.09 * mark(put) + mark(put)
    assert (found.initial, found.maintenance) == pytest.approx((1.05 * least, least))


def test_derives_spread_costs_its_worst_payoff() -> None:
    found = ask((option(65_000, True), -1), (option(66_000, True), 1))["derive_standard"]
    assert (found.initial, found.maintenance) == pytest.approx((1_000, 1_000))
    naked = ask((option(65_000, True), -2), (option(66_000, True), 1))["derive_standard"]
    assert naked.initial == pytest.approx(2 * (0.15 * 65_000 + mark(option(65_000, True))))


def test_derive_takes_ether_at_a_discount_and_no_futures() -> None:
    ether = Line("ETH", "ETH", SPOT, 3_000 * WAD)
    found = ask((ether, 10))["derive_standard"]
    assert (found.initial, found.maintenance) == pytest.approx((30_000 * 0.25, 30_000 * 0.2))
    future = Line("BTC-F", "BTC", FUTURE, 65_000 * WAD, DAY_S)
    assert ask((future, 1))["derive_standard"].initial is None
    coin = Line("BTC", "BTC", SPOT, 65_000 * WAD)
    assert ask((coin, 1))["derive_standard"].initial is None


# Paradex and Hyperliquid


def test_paradexs_minimum_binds_a_hedged_book() -> None:
    found = ask((perp(), 1), (Line("BTC-F", "BTC", FUTURE, 65_000 * WAD, DAY_S), -1))
    assert found["paradex_portfolio"].initial == pytest.approx(650)


def test_hyperliquids_tiers_join_without_a_jump() -> None:
    assert ask((perp(), 1))["hyperliquid"].initial == pytest.approx(1_625)
    assert ask((perp(), -1))["hyperliquid"].maintenance == pytest.approx(812.5)
    large = ask((perp(), 4_000))["hyperliquid"].initial
    assert large == pytest.approx(150e6 / 40 + 110e6 / 20)
    assert ask((option(65_000, True), 1))["hyperliquid"].initial is None
    edge = 150e6 / 65_000
    sizes = [ask((perp(), edge * x))["hyperliquid"].initial for x in (0.999_999, 1, 1.000_001)]
    assert all(b - a < 10 for a, b in pairwise(size or 0 for size in sizes))


# all


def test_spot_that_a_venue_has_no_rule_for_is_said_to_be_left_out() -> None:
    found = ask((perp("ETH"), 1), (Line("ETH", "ETH", SPOT, 3_000 * WAD), 5))
    alone = ask((perp("ETH"), 1))
    for venue in ("deribit_portfolio", "paradex_portfolio"):
        assert found[venue].initial == alone[venue].initial
        assert "spot" in found[venue].note and not alone[venue].note


def test_underlyings_add_up_and_one_unknown_leaves_the_sum_unknown() -> None:
    both = ask((perp(), 1), (perp("ETH"), 1))
    for venue in ("deribit_portfolio", "paradex_portfolio", "hyperliquid", "derive_standard"):
        parts = [ask((perp(name), 1))[venue].initial for name in ("BTC", "ETH")]
        assert both[venue].initial == pytest.approx(math.fsum(part or 0 for part in parts))
    assert ask((perp(), 1), (perp("SOL"), 1))["deribit_portfolio"].initial is None
