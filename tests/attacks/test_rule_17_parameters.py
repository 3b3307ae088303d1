"""Rule 17: parameters are bounded, accrued before they change, phased; a pause never stops the way
out.

Source: RULES.md, rule 17. Every bound by itself: tests/contract/test_risk_model.py and
test_clearinghouse.py.
"""

from __future__ import annotations

import itertools
from dataclasses import replace

from support.clearing import BUYER, DAY_S, LIQUIDATOR, SELLER, Clearing
from support.core import BTC, ORACLE_PER_USD, PARAMETERS, TERMS

from novate.model import ledger
from novate.model.ledger import Config
from novate.units import PPM, WAD


def test_a_raise_of_a_tenth_a_day_is_the_fastest_there_is() -> None:
    """From 15 % to twice that takes more than a week, of which everybody sees every step."""
    core = Clearing()
    core.settle_in(100)
    core.advance(DAY_S)
    psr, days = 150_000, 0
    while psr < 300_000:
        assert (
            core.set_parameters(0, replace(PARAMETERS[0], psr_target=psr * 12 // 10)) == "TooFast"
        )
        psr = psr * 11 // 10
        assert core.set_parameters(0, replace(PARAMETERS[0], psr_target=psr)) is None
        assert core.set_parameters(0, replace(PARAMETERS[0], psr_target=psr)) == "TooFast"
        core.advance(DAY_S)
        days += 1
    assert days == 8


def test_on_its_way_the_margin_never_jumps() -> None:
    """Every stricter field at once, hour by hour: no hour adds more than a twentieth of the whole
    change.
    """
    core = Clearing()
    core.advance(DAY_S)
    core.settle_in(200)
    core.trade(BUYER, SELLER, 1000, 60_000)
    strict = replace(
        PARAMETERS[0],
        psr_target=165_000,
        liquidity_low=0,
        liquidity_high=100,
        liquidity_max=500_000,
        interest_low=0,
        interest_high=1,
        interest_max=50_000,
    )
    assert core.set_parameters(0, strict) is None
    steps = [core.evaluate({BTC: 1000}).margin_maintenance]
    for _ in range(24):
        core.advance(3600)
        core.price(60_000, seconds=0)
        steps.append(core.evaluate({BTC: 1000}).margin_maintenance)
    whole = steps[-1] - steps[0]
    assert whole > steps[0]
    assert all(0 < b - a < whole // 20 for a, b in itertools.pairwise(steps))


def test_funding_and_interest_accrue_before_the_configuration_changes() -> None:
    core = Clearing()
    core.trade(BUYER, SELLER, 500, 60_000)
    core.price(60_000, seconds=50, btc_mark=60_300 * ORACLE_PER_USD)
    expected = core.world.snapshot(BTC)[1]
    assert expected.funding_index > 0
    core.set_config(replace(Config(), funding_cap_ppb=0))
    assert core.clearinghouse.view("market", BTC)[1] == expected.pack(TERMS[BTC])


def test_a_pause_leaves_the_way_out_and_the_deposit_open_throughout() -> None:
    core = Clearing()
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.run("guardian", "pause", ledger.pause, 7 * DAY_S)
    assert core.trade(LIQUIDATOR, SELLER, 1, 60_000) == "Paused"
    assert core.fund(BUYER, 1) is None
    assert core.trade(SELLER, BUYER, 999, 60_000) == "settled"
    assert core.pay_out(SELLER, 1) is None
    assert core.sweep([BUYER, SELLER]) is None
    slice_of_all = (BUYER, LIQUIDATOR, PPM, 0, 0)
    core.run("auctioneer", "transfer_slice", ledger.transfer_slice, *slice_of_all)
    assert core.lots(LIQUIDATOR) == 1


def test_only_the_two_halves_together_change_a_pair() -> None:
    """Coupled parameters travel in one word and are checked as a pair."""
    core = Clearing()
    core.advance(DAY_S)
    for change in (
        {"liquidity_low": 100_000},
        {"interest_low": 500_000},
        {"haircut_maintenance": 120_001},
    ):
        assert core.set_parameters(0, replace(PARAMETERS[0], **change)) == "OutOfBounds"
    assert core.world.ledger.pot.debt_cap == 10**24 == 10**6 * WAD
