"""The volatilities of the demo: the shipped table, the curves through it, the nodes' quotes."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from novate.errors import PriceFileMissing, Rejected
from novate.lab.smiles import (
    ETH_RATIO,
    NEAR_RATIO,
    NOISE,
    NOVEMBER,
    OCTOBER,
    SmileTable,
    load_smiles,
    solve,
)
from novate.model.surface import YEAR_S
from novate.risk import surface
from tools import make_oct10_options

EVENING = 1_760_137_200  # 2025-10-10 23:00 UTC
LOW = 1_760_131_260  # 21:21


@pytest.fixture(scope="module")
def table() -> SmileTable:
    return load_smiles()


def test_the_table_is_small_in_order_and_covers_the_event(table: SmileTable) -> None:
    times = [row.ts for row in table.rows]
    assert times == sorted(set(times)) and 100 < len(times) <= 400
    assert times[0] == 1_760_115_600 and times[-1] == 1_760_140_500
    assert all(len(row.volatilities) == 4 for row in table.rows)


def test_the_figures_are_those_of_the_night(table: SmileTable) -> None:
    first, low = table.rows[0], next(row for row in table.rows if row.ts == LOW)
    assert first.forward == 118_243.3
    assert first.volatilities[OCTOBER, 135_000] == 0.4107
    assert low.volatilities[OCTOBER, 135_000] == 0.5739


def test_the_table_is_what_the_tool_makes_of_the_source(shared_folder: Path) -> None:
    if not (shared_folder / "data" / make_oct10_options.SOURCE).exists():
        pytest.skip("no market data: set NOVATE_DATA to a folder that holds it")
    made = make_oct10_options.render(shared_folder / "data")
    assert made == make_oct10_options.TARGET.read_text()


def test_every_curve_meets_both_measured_strikes(table: SmileTable) -> None:
    for row in table.rows:
        for (expiry, strike), seen in row.volatilities.items():
            curve = solve(row, expiry)
            k = math.log(strike / row.forward)
            assert curve.volatility(k, (expiry - row.ts) / YEAR_S) == pytest.approx(seen, abs=1e-6)


def test_what_is_modelled_keeps_its_stated_ratio(table: SmileTable) -> None:
    october = table.smile("BTC", OCTOBER, LOW)
    assert table.smile("BTC", EVENING, LOW).sigma == pytest.approx(NEAR_RATIO * october.sigma)
    assert table.smile("ETH", OCTOBER, LOW).sigma == pytest.approx(ETH_RATIO * october.sigma)
    notes = " ".join(table.sources)
    assert notes.count("(modelled)") == 3 and "(measured)" in notes and str(ETH_RATIO) in notes


def test_a_row_holds_until_the_next_and_the_first_before_it(table: SmileTable) -> None:
    first, second = table.rows[:2]
    at = [table.smile("BTC", OCTOBER, ts) for ts in (0, first.ts, second.ts - 1, second.ts)]
    assert at[0] == at[1] == at[2] != at[3]


def test_nodes_differ_by_the_stated_noise_at_most(table: SmileTable) -> None:
    ts = table.rows[0].ts
    seen = [table.quotes("BTC", OCTOBER, ts, 118_000.0, node, seed=1) for node in range(4)]
    apart = [abs(q.volatility - seen[0].volatility).max() for q in seen]
    assert 0 < max(apart) <= 2 * NOISE
    again = table.quotes("BTC", OCTOBER, ts, 118_000.0, 0, seed=1)
    assert (again.volatility == seen[0].volatility).all()


def test_the_nodes_fit_passes_the_gate_before_at_and_after_the_low(table: SmileTable) -> None:
    for ts in (table.rows[0].ts, LOW, LOW + 120, EVENING - 60):
        for asset, forward in (("BTC", 110_000.0), ("ETH", 3_700.0)):
            expiries = (EVENING, OCTOBER, NOVEMBER)
            quotes = [table.quotes(asset, e, ts, forward, 0, seed=1) for e in expiries]
            fitted = surface.fit(quotes)
            assert [f.verdict for f in fitted] == ["passed"] * 3
            assert max(f.rmse_points for f in fitted) < 0.5


def test_without_an_event_the_smile_stands_still() -> None:
    still = SmileTable()
    assert still.smile("BTC", EVENING, 0) == still.smile("BTC", OCTOBER, LOW)


def test_an_unknown_event_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        load_smiles("none")
    assert refused.value.error is PriceFileMissing
