"""Open orders of options and dated futures: no portfolio within their reach needs more than the
bound.
"""

from __future__ import annotations

import pytest

from novate.model import dated_margin, dated_open_margin, margin
from novate.model.margin import RiskGlobals
from novate.model.option_id import DATED, is_option
from novate.units import DAY_S
from tests.differential.test_dated_valuation_matches_model import PSR_MAX, market, parameters
from tests.support.dated import DatedBench

WORLDS, BOXES, POINTS = 8, 8, 12
WEI = 64


def need(bench: DatedBench, held: dict[int, int]) -> int:
    found = margin.evaluate(bench.world, {i: lots for i, lots in held.items() if lots})
    return found.margin_initial + found.penalty


@pytest.mark.parametrize("seed", range(3))
def test_no_portfolio_within_the_ends_needs_more(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = DatedBench(100 + seed, monkeypatch)
    monkeypatch.setattr(dated_open_margin, "epoch_now", bench.epoch_now)
    draw, world = bench.random, bench.world
    for underlying in (0, 1):
        bench.set_parameters(underlying, parameters(draw, draw.choice([10_000, 150_000, PSR_MAX])))
    for _ in range(WORLDS):
        bench.advance(draw.choice([50, DAY_S // 2]))
        cap = draw.choice([0, 10**24, 10**40])
        world.risk.shared["globals"] = RiskGlobals(credit_cap=cap, credit_cap_from=cap)
        ids = market(bench)
        dated = [id for id in ids if id >= DATED]
        for _ in range(BOXES):
            held = bench.holding(draw.choice([ids, dated]), draw.choice([1, 2, 5, 20]))
            ends = {}
            for instrument, lots in held.items():
                linear = instrument < DATED
                spot = linear and world.ledger.terms[instrument].kind == margin.SPOT
                other = lots if spot else draw.choice([lots, 0, -lots, lots // 3, 2 * lots])
                ends[instrument] = min(lots, other), max(lots, other)
            rows = {i: dated_margin.row(world, i) for i in ends if i >= DATED}
            needed = dated_open_margin.required(world, ends, rows.__getitem__)
            for _ in range(POINTS):
                point = {i: draw.choice([low, high]) for i, (low, high) in ends.items()}
                if draw.random() < 0.3:
                    point = {i: draw.randint(low, high) for i, (low, high) in ends.items()}
                assert need(bench, point) <= needed
            if not any(is_option(i) for i in held):
                alone = {i: (lots, lots) for i, lots in held.items()}
                exact = dated_open_margin.required(world, alone, rows.__getitem__)
                assert 0 <= exact - need(bench, held) <= 2 * WEI
