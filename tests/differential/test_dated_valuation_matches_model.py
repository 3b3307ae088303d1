"""RiskModel and model value the same random portfolios of perpetuals, spot, futures and options,
whatever the words of Options, and agree to the wei; no such portfolio makes either fail.
"""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from support.clearing import pack_positions
from support.core import PARAMETERS
from support.dated import DatedBench

from novate.chain.harness import CallReverted
from novate.model import dated_margin, margin
from novate.model.arrays import PSR_MAX
from novate.model.instrument import LOT_EXPONENTS, PERP, SPOT
from novate.model.option_id import future_id
from novate.model.risk_parameters import RiskParameters

DAY_S = 86_400
FEEDS = 6
BARE = 7  # an underlying without parameters
ROUNDS = 25


def parameters(draw: random.Random, psr: int) -> RiskParameters:
    """Any that governance may set at this scan range."""
    return replace(
        PARAMETERS[0],
        psr_target=psr,
        liquidity_low=draw.choice([0, 5_000, 10**6]),
        liquidity_high=draw.choice([10**6 + 1, 2**24 - 1]),
        liquidity_max=draw.choice([0, 100_000, 500_000]),
        interest_low=draw.choice([0, 10_000]),
        interest_high=draw.choice([10_001, 2**24 - 1]),
        interest_max=draw.choice([0, 50_000]),
        credit=draw.choice([0, 500, 1000]),
    )


def changed(bench: DatedBench, underlying: int) -> None:
    """A change that ramps for a day; arrays are built at the larger end."""
    draw, old = bench.random, bench.world.risk.parameters[underlying]
    psr = -(-old.psr_target * draw.choice([98, 100, 109]) // 100)
    bench.set_parameters(underlying, parameters(draw, min(max(psr, 10_000), PSR_MAX)))


def market(bench: DatedBench) -> list[int]:
    """Prices, perpetuals, spot and expiries of three underlyings, one of them without
    parameters.
    """
    draw, ids = bench.random, []
    bench.said.clear()
    bench.prices(FEEDS, draw.choice([2**40, 2**56 - 1]))
    for number, underlying in enumerate((0, 1, BARE, 3)):
        bench.list_linear(2 * number + 1, underlying, number, PERP)
        bench.list_linear(2 * number + 2, underlying, number, SPOT)
        ids += [2 * number + 1, 2 * number + 2]
        if underlying == 3:
            continue
        exponent = draw.choice(LOT_EXPONENTS)
        for slot in draw.sample(range(16), 3):
            ids += bench.list_expiry(underlying, slot, draw.randrange(FEEDS), exponent, 8)
        row = bench.world.risk.parameters[underlying]
        ramps = bench.world.now - row.psr_set_at < DAY_S
        psr = max(row.psr_from, row.psr_target) if ramps else row.psr_target
        bench.set_epoch(underlying, psr or PSR_MAX, draw.randint(10**6, 2**55))
    bench.tell()
    return ids


@pytest.mark.parametrize("seed", range(4))
def test_any_portfolio_with_dated_instruments_is_worth_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = DatedBench(seed, monkeypatch)
    draw, flags = bench.random, set()
    for underlying in (0, 1):
        bench.set_parameters(underlying, parameters(draw, draw.choice([10_000, 150_000, PSR_MAX])))
    for _ in range(ROUNDS):
        bench.advance(draw.choice([50, DAY_S // 2, DAY_S]))
        for underlying in (0, 1):
            since = bench.world.now - bench.world.risk.parameters[underlying].psr_set_at
            if since >= DAY_S and draw.random() < 0.7:
                changed(bench, underlying)
        ids = market(bench)
        for count in (1, 2, draw.randint(3, 16), draw.randint(17, 128)):
            some = draw.choice([ids, [id for id in ids if id >= 2**19]])
            flags.add(bench.evaluate(bench.holding(some, count)).flags)
    assert flags == {0, 1, 2, 3}


def test_no_positions_and_all_128_are_valued(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = DatedBench(9, monkeypatch)
    bench.prices(1)
    ids = [id for slot in range(2) for id in bench.list_expiry(0, slot, 0, 15)]
    bench.set_epoch(0, PSR_MAX, 10**9)
    bench.tell()
    assert bench.evaluate({}) == margin.Valuation()
    assert bench.evaluate(bench.holding(ids, 128)).margin_maintenance > 0


@pytest.mark.parametrize("left", [0, 0b0101, 2**32 - 1])
def test_options_are_worth_the_same_summed_and_by_rows(
    left: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = DatedBench(12, monkeypatch)
    bench.set_parameters(0, PARAMETERS[0])
    for _ in range(5):
        bench.prices(1)
        ids = [id for slot in range(3) for id in bench.list_expiry(0, slot, 0, 15, 4)]
        bench.set_epoch(0, PARAMETERS[0].psr_target, 10**10)
        bench.tell()
        bench.options.call("set_left", left)
        bench.evaluate(bench.holding(ids, 27))


def test_quoted_is_what_a_valuation_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = DatedBench(10, monkeypatch)
    for _ in range(5):
        bench.prices(2)
        ids = [id for slot in range(4) for id in bench.list_expiry(1, slot, slot % 2, 15, 2)]
        bench.set_epoch(1, 150_000, 10**10)
        bench.tell()
        for id in ids:
            found = bench.risk.call("quoted", id)
            assert found == dated_margin.quoted(bench.world, id) and found[1] > 0
    for unknown in (3, future_id(2, 0), 2**19, 2**20):
        assert bench.risk.call("quoted", unknown) == (0, 0)


@pytest.mark.parametrize("held", [{future_id(2, 0): 5}, {2**19 + 1: -1, 1: 3}])
def test_what_options_does_not_know_has_no_value(
    held: dict[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = DatedBench(11, monkeypatch)
    bench.prices(1)
    bench.list_linear(1, 0, 0, PERP)
    with pytest.raises(CallReverted):
        bench.risk.call("evaluate", pack_positions(held))
