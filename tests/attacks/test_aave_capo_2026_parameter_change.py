"""Aave CAPO, 2026-03-10, about 27 m USD liquidated: a guard rail bounded one half of a coupled pair
of parameters.

Source: RULES.md, incidents. What must hold: coupled parameters change together or not at all; a
change never makes a healthy account liquidatable at once.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.clearing import BUYER, DAY_S, SELLER, Clearing
from support.core import ETH, PARAMETERS, WETH

from novate.model import ledger
from novate.model.margin import RiskGlobals

STRICTEST = {
    "scan range": {"psr_target": 165_000},
    "liquidity": {"liquidity_low": 0, "liquidity_high": 1, "liquidity_max": 500_000},
    "haircuts": {"haircut_maintenance": 900_000, "haircut_initial": 900_000},
    "open interest": {"interest_low": 0, "interest_high": 1, "interest_max": 50_000},
    "correlation": {"credit": 0},
}


@pytest.fixture
def core() -> Clearing:
    """The buyer is healthy by a few dollars."""
    made = Clearing(cash_usd=12_000)
    made.advance(DAY_S)
    made.settle_in(200)
    made.fund(SELLER, 10**6)
    made.run("custody", "credit", ledger.credit, BUYER, WETH, 10**6)
    assert made.trade(BUYER, SELLER, 1000, 60_000) == "settled"
    assert eth(made) == "settled"
    made.walk(58_000)
    return until_only_just_healthy(made)


def eth(core: Clearing) -> str:
    """A short in ether, for the credit."""
    return core.trade(SELLER, BUYER, 300, 3_000, instrument=ETH)


def until_only_just_healthy(core: Clearing) -> Clearing:
    """Let the price take what is left above maintenance margin, dollar by dollar."""
    usd = 58_000.0
    while not core.can_be_liquidated(BUYER):
        usd -= 25
        core.price(usd)
    core.price(usd + 25)
    assert not core.can_be_liquidated(BUYER)
    return core


@pytest.mark.parametrize("name", STRICTEST)
def test_the_strictest_change_liquidates_nobody_at_once(core: Clearing, name: str) -> None:
    before = core.health(BUYER)
    for underlying, parameters in PARAMETERS.items():
        change = dict(STRICTEST[name])
        if name == "scan range":
            change["psr_target"] = parameters.psr_target * 11 // 10
        assert core.set_parameters(underlying, replace(parameters, **change)) is None
    after = core.health(BUYER)
    assert after.valuation.margin_maintenance == before.valuation.margin_maintenance
    assert not core.can_be_liquidated(BUYER)
    if name != "open interest":  # its charge ramps in both; the others bind new risk at once
        assert after.valuation.margin_initial > before.valuation.margin_initial


def test_all_together_with_the_globals(core: Clearing) -> None:
    change = {key: value for part in STRICTEST.values() for key, value in part.items()}
    for underlying, parameters in PARAMETERS.items():
        strict = {**change, "psr_target": parameters.psr_target * 11 // 10}
        assert core.set_parameters(underlying, replace(parameters, **strict)) is None
    assert core.set_globals(RiskGlobals(2_000_000, 0, 1000)) is None
    assert not core.can_be_liquidated(BUYER)
    core.advance(DAY_S)
    core.price(58_000, seconds=0)
    assert core.can_be_liquidated(BUYER)  # a day later it has arrived


@pytest.mark.parametrize(
    "half",
    [
        {"liquidity_low": 100_000},
        {"liquidity_high": 5_000},
        {"interest_low": 500_000},
        {"interest_high": 100_000},
        {"haircut_maintenance": 130_000},
        {"haircut_initial": 70_000},
    ],
)
def test_half_of_a_pair_is_refused(core: Clearing, half: dict[str, int]) -> None:
    assert core.set_parameters(0, replace(PARAMETERS[0], **half)) == "OutOfBounds"


def test_a_second_change_waits_for_the_first_to_arrive(core: Clearing) -> None:
    """Otherwise two halves of a day would make one jump."""
    assert core.set_parameters(0, replace(PARAMETERS[0], credit=400)) is None
    core.advance(DAY_S - 1)
    assert core.set_parameters(0, replace(PARAMETERS[0], credit=300)) == "TooFast"
    core.advance(1)
    assert core.set_parameters(0, replace(PARAMETERS[0], credit=300)) is None
