"""RiskModel: evaluate, accrued, parameters and their ramps, and the row cache, contract beside
model.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from support.clearing import (
    BUYER,
    DAY_S,
    SELLER,
    Clearing,
    eth_trade,
    name_of_refusal,
    pack_positions,
)
from support.core import BTC, ETH, NODE_KEYS, ORACLE_PER_USD, PARAMETERS, WETH

from novate.chain.harness import CHAIN_ID, actor
from novate.model import ledger, oracle
from novate.model.instrument import PERP, Terms
from novate.model.margin import RiskGlobals, RiskParameters
from novate.model.oracle import Observation
from novate.units import ORACLE_UNIT, PPM, WAD
from novate.wire import round as wire_round

CONTRACTS = Path(__file__).parents[1] / "contracts"
STRANGER = actor("stranger")
NOTIONAL = 60 * WAD  # a lot of the bitcoin perp at 60,000


@pytest.fixture
def core() -> Clearing:
    return Clearing()


def later(core: Clearing, seconds: int = DAY_S) -> None:
    """A jump in time, then prices again and the grace over."""
    core.advance(seconds)
    core.settle_in(250)


# evaluate


def test_no_positions_need_nothing(core: Clearing) -> None:
    core.advance(10**6)
    assert core.evaluate({}).flags == 0


def test_a_long_position_holds_its_scan_range_and_a_quarter_more(core: Clearing) -> None:
    found = core.evaluate({BTC: 1000})
    scan = 1000 * NOTIONAL * 150_000 // PPM
    assert (found.value_linear, found.value_spot) == (1000 * NOTIONAL, 0)
    assert (found.margin_maintenance, found.margin_initial) == (scan, scan * 5 // 4)
    assert (found.penalty, found.bonus, found.liquidity, found.flags) == (0, 0, 0, 0)


def test_long_and_short_of_one_underlying_net(core: Clearing) -> None:
    ether = 3 * 10**6
    found = core.evaluate({ETH: -300, WETH: ether})
    assert found.value_spot == 9_000 * WAD
    assert found.margin_maintenance == 9_000 * WAD * 100_000 // PPM  # the haircut alone


def test_opposite_underlyings_earn_a_capped_credit(core: Clearing) -> None:
    alone = [core.evaluate(p).margin_maintenance for p in ({BTC: 1000}, {ETH: -1000})]
    both = core.evaluate({BTC: 1000, ETH: -1000}).margin_maintenance
    assert sum(alone) - both == min(alone)  # 2 · 0.5 · the smaller scan
    same = core.evaluate({BTC: 1000, ETH: 1000}).margin_maintenance
    assert same == sum(alone)
    core.set_globals(RiskGlobals(credit_cap=100 * WAD))
    later(core)
    capped = core.evaluate({BTC: 1000, ETH: -1000}).margin_maintenance
    assert sum(alone) - capped == 100 * WAD


def test_a_concentrated_position_is_dearer(core: Clearing) -> None:
    low = core.evaluate({BTC: 5_000_000 // 60})
    assert low.liquidity == 0
    high = core.evaluate({BTC: 100_000_000 // 60})
    assert 0.0999 < high.liquidity / (1_666_666 * NOTIONAL) <= 0.1
    assert high.margin_maintenance > 20 * low.margin_maintenance


def test_open_interest_and_funding_charge_every_holder(core: Clearing) -> None:
    before = core.evaluate({BTC: 1000}).margin_maintenance
    for account in (BUYER, SELLER):
        core.fund(account, 10**9)
    core.run("timelock", "set_caps", ledger.set_caps, BTC, 10**7, 10**7)
    assert core.trade(BUYER, SELLER, 5_000_000, 60_000) == "settled"
    after = core.evaluate({BTC: 1000}).margin_maintenance
    assert after - before == 1000 * NOTIONAL * 2_500 // 100_000  # half of the ramp to 5 %
    core.price(60_000, btc_mark=60_300 * ORACLE_PER_USD, seconds=50)
    rate = core.world.snapshot(BTC)[1].rate
    assert rate == 1_666 * 50
    charge = core.evaluate({BTC: 1000}).margin_maintenance
    assert charge > 1000 * NOTIONAL * (2_500 + rate // 10_000) // 100_000


def test_confidence_is_charged_and_gives_the_liquidated_the_benefit(core: Clearing) -> None:
    core.price(60_000, confidence=20_000)
    found = core.evaluate({BTC: 1000})
    doubt = 1000 * NOTIONAL * 20_000 // PPM
    assert found.bonus == found.penalty == doubt
    assert found.margin_maintenance == 1000 * NOTIONAL * 150_000 // PPM + doubt


def test_the_penalty_looks_at_the_average_that_hurts(core: Clearing) -> None:
    core.price(62_000)
    assert core.evaluate({BTC: 1000}).penalty > 1_900 * WAD  # long above the average
    assert core.evaluate({BTC: -1000}).penalty == 0
    core.price(57_000, seconds=5)
    core.price(57_000, seconds=5)
    assert core.evaluate({BTC: -1000}).penalty > 2_500 * WAD
    assert core.evaluate({BTC: 1000}).penalty == 0


def test_an_old_feed_is_flagged_and_widens_slowly(core: Clearing) -> None:
    core.advance(60)
    assert core.evaluate({BTC: 1000}).flags == 0
    core.advance(1)
    found = core.evaluate({BTC: 1000})
    assert found.flags == 3  # the feed is stale, and the whole oracle is silent
    assert found.bonus == 1000 * NOTIONAL * 100 // PPM
    core.advance(10**6)
    assert core.evaluate({BTC: 1000}).bonus == 1000 * NOTIONAL * 200_000 // PPM


def test_the_grace_is_flagged_until_it_ends(core: Clearing) -> None:
    core.advance(200)
    core.price(60_000)
    core.advance(50)
    core.price(60_000, seconds=0)
    core.advance(59)
    core.price(60_000, seconds=0)
    assert core.evaluate({BTC: 1}).flags == 2
    core.price(60_000, seconds=11)
    assert core.evaluate({BTC: 1}).flags == 0


def test_an_underlying_without_parameters_is_held_at_its_whole_price(core: Clearing) -> None:
    core.list_instrument(9, Terms(10**15, 5 * 10**17, 1_000, 1_000, 7, 0, PERP))
    found = core.evaluate({9: 100})
    assert found.margin_maintenance == 100 * NOTIONAL
    assert found.margin_initial == 125 * NOTIONAL
    assert core.trade(BUYER, SELLER, 1_000, 60_000, instrument=9) == "settled"
    core.pay_out(BUYER, 25_000)
    assert core.pay_out(BUYER, 1) == "InsufficientMargin"


# accrued


def test_accrued_projects_funding_and_gives_the_mark(core: Clearing) -> None:
    core.trade(BUYER, SELLER, 1000, 60_000)
    core.price(60_000, btc_mark=60_100 * ORACLE_PER_USD, seconds=50)
    stored = core.clearinghouse.view("market", BTC)[1]
    market, mark = core.accrued(BTC)
    terms, expected, _, _ = core.world.snapshot(BTC)
    assert market == expected.pack(terms) != stored and expected.funding_index > 0
    assert mark == 60_100 * WAD
    assert core.accrued(BTC, market) == (market, mark)


def test_only_the_clearinghouse_asks_what_accrued(core: Clearing) -> None:
    """Its word enters the cache of the transaction."""
    _, stored, config = core.clearinghouse.view("market", BTC)
    for caller in (STRANGER, core.address["timelock"], core.address["venue"]):
        refusal = name_of_refusal(core.risk, "accrued", BTC, stored, config, sender=caller)
        assert refusal == "NotAuthorized"


def test_only_the_risk_model_itself_sums_rows(core: Clearing) -> None:
    """What round they are of is the caller's word, and they enter the cache of the transaction."""
    totals = ([0] * 4, 0, 0, 0)
    book = ((totals, 0, 0, 0, 0, 0, 0, 0, [0] * 16, [0] * 16), 0, 0, 0, 0, 0)
    for caller in (STRANGER, core.address["timelock"], core.address["venue"]):
        refusal = name_of_refusal(core.risk, "with_rows", book, [], 0, 0, 0, sender=caller)
        assert refusal == "NotAuthorized"


# parameters


def test_only_governance_sets_parameters(core: Clearing) -> None:
    later(core)
    assert core.set_parameters(0, PARAMETERS[0], STRANGER) == "NotAuthorized"
    assert core.set_globals(RiskGlobals(), STRANGER) == "NotAuthorized"


@pytest.mark.parametrize(
    "change",
    [
        {"psr_target": 9_999},
        {"psr_target": 900_001},
        {"liquidity_low": 100_000},
        {"liquidity_max": 500_001},
        {"haircut_maintenance": 120_001},
        {"haircut_initial": 900_001},
        {"interest_low": 500_000},
        {"interest_max": 50_001},
        {"credit": 1001},
    ],
)
def test_parameters_out_of_bounds_are_refused(core: Clearing, change: dict[str, int]) -> None:
    later(core)
    assert core.set_parameters(0, replace(PARAMETERS[0], **change)) == "OutOfBounds"


def test_an_unknown_underlying_and_unused_bits_are_refused(core: Clearing) -> None:
    governor = core.address["timelock"]
    good = PARAMETERS[0].pack()
    for underlying, word in ((16, good), (5, good | 1 << 254)):
        refusal = name_of_refusal(core.risk, "set_parameters", underlying, word, sender=governor)
        assert refusal == "OutOfBounds"


def test_one_change_a_day_and_the_scan_range_at_most_a_tenth_up_or_a_fiftieth_down(
    core: Clearing,
) -> None:
    same = PARAMETERS[0]
    assert core.set_parameters(0, same) == "TooFast"
    later(core)
    for target, refusal in ((165_001, "TooFast"), (146_999, "TooFast"), (165_000, None)):
        assert core.set_parameters(0, replace(same, psr_target=target)) == refusal
    assert core.set_parameters(0, same) == "TooFast"
    later(core)
    assert core.set_parameters(0, replace(same, psr_target=161_700)) is None


def test_a_higher_scan_range_binds_initial_margin_at_once_and_maintenance_over_a_day(
    core: Clearing,
) -> None:
    later(core)
    core.set_parameters(0, replace(PARAMETERS[0], psr_target=160_000))
    now = core.evaluate({BTC: 1000})
    assert now.margin_maintenance == 1000 * NOTIONAL * 150_000 // PPM
    assert now.margin_initial == 1000 * NOTIONAL * 160_000 * 5 // 4 // PPM
    core.advance(DAY_S // 2)
    core.price(60_000, seconds=0)
    half = core.evaluate({BTC: 1000})
    assert half.margin_maintenance == 1000 * NOTIONAL * 155_000 // PPM
    core.advance(DAY_S)
    core.price(60_000, seconds=0)
    assert core.evaluate({BTC: 1000}).margin_maintenance == 1000 * NOTIONAL * 160_000 // PPM


@pytest.mark.parametrize(
    "change",
    [
        {"liquidity_low": 0, "liquidity_high": 1},
        {"liquidity_max": 500_000},
        {"haircut_maintenance": 800_000, "haircut_initial": 900_000},
        {"interest_low": 0, "interest_high": 1, "interest_max": 50_000},
        {"credit": 0},
    ],
)
def test_every_stricter_field_ramps_into_maintenance_and_never_jumps(
    core: Clearing, change: dict[str, int]
) -> None:
    later(core)
    core.trade(BUYER, SELLER, 1000, 60_000)
    eth_trade(core, BUYER, SELLER, 1000)
    large = {BTC: -300_000, ETH: 400_000, WETH: 10**7}
    before = core.evaluate(large)
    for underlying, parameters in PARAMETERS.items():
        assert core.set_parameters(underlying, replace(parameters, **change)) is None
    at_once = core.evaluate(large)
    assert at_once.margin_maintenance == before.margin_maintenance
    assert at_once.margin_initial >= before.margin_initial
    steps = [at_once.margin_maintenance]
    for _ in range(4):
        core.advance(DAY_S // 4)
        core.price(60_000, seconds=0)
        steps.append(core.evaluate(large).margin_maintenance)
    rises = [b - a for a, b in itertools.pairwise(steps)]
    assert min(rises) > 0 and steps[-1] > before.margin_maintenance


def test_a_looser_parameter_never_leaves_initial_below_maintenance_margin(core: Clearing) -> None:
    later(core)
    looser = {"liquidity_max": 0, "haircut_maintenance": 0, "haircut_initial": 0, "credit": 1000}
    large = {BTC: -300_000, ETH: 400_000, WETH: 10**7}
    before = core.evaluate(large)
    for underlying, parameters in PARAMETERS.items():
        core.set_parameters(underlying, replace(parameters, **looser))
    for _ in range(3):
        found = core.evaluate(large)
        assert found.margin_maintenance <= found.margin_initial
        assert found.margin_maintenance <= before.margin_maintenance
        core.advance(DAY_S // 2)
        core.price(60_000, seconds=0)
    assert found.margin_maintenance < before.margin_maintenance


def test_globals_are_bounded_and_change_once_a_day(core: Clearing) -> None:
    for bad in (
        RiskGlobals(initial_ratio_ppm=1_099_999),
        RiskGlobals(initial_ratio_ppm=2_000_001),
        RiskGlobals(credit_cap=100_000_000 * WAD + 1),
        RiskGlobals(stale_drift_ppm_s=9),
        RiskGlobals(stale_drift_ppm_s=1001),
    ):
        assert core.set_globals(bad) == "OutOfBounds"
    wanted = RiskGlobals(1_500_000, 7 * WAD, 50)
    assert core.set_globals(wanted) is None
    names = ("initial_ratio_ppm", "credit_cap", "stale_drift_ppm_s")
    assert [core.risk.view(name) for name in names] == [1_500_000, 7 * WAD, 50]
    assert core.set_globals(wanted) == "TooFast"
    found = core.evaluate({BTC: 1000})
    assert found.margin_initial == found.margin_maintenance * 3 // 2


def test_a_lower_credit_cap_binds_initial_margin_first(core: Clearing) -> None:
    large = {BTC: 1000, ETH: -1000}
    before = core.evaluate(large)
    core.set_globals(RiskGlobals(credit_cap=0))
    after = core.evaluate(large)
    assert after.margin_maintenance == before.margin_maintenance
    assert after.margin_initial > before.margin_initial
    core.advance(DAY_S)
    core.price(60_000, seconds=0)
    assert core.evaluate(large).margin_maintenance > before.margin_maintenance


# the row cache


def post_round_call(core: Clearing, usd: int) -> bytes:
    """Calldata of the next round, which the model accepts here."""
    words = [Observation(0, usd * ORACLE_PER_USD, usd * ORACLE_PER_USD).pack()]
    core.round += 1
    signers: Any = list(enumerate(NODE_KEYS))[:3]
    domain = wire_round.domain_separator(CHAIN_ID, core.oracle.address)
    made = wire_round.signed_round(domain, core.round, core.chain.timestamp, words, signers)
    signed = made.signers(domain)
    oracle.post_round(core.world, core.round, core.chain.timestamp, words, signed)
    return core.oracle.abi.encode_call("post_round", *made.arguments())


def test_two_rounds_in_one_transaction_never_serve_a_stale_row(core: Clearing) -> None:
    twice = core.chain.deploy("TwoRounds", root=CONTRACTS)
    core.advance(1)
    positions = {BTC: 1000, ETH: 5}
    before = core.evaluate(positions)
    call = post_round_call(core, 61_000)
    words = pack_positions(positions)
    twice.call("run", core.risk.address, words, core.oracle.address, call)
    assert core.events_of("RoundPosted")
    after = core.evaluate(positions)
    assert twice.view("first")[:4] == (
        before.value_linear,
        before.value_spot,
        before.margin_maintenance,
        before.margin_initial,
    )
    assert twice.view("second")[:5] == (
        after.value_linear,
        after.value_spot,
        after.margin_maintenance,
        after.margin_initial,
        after.penalty,
    )
    assert before.value_linear < after.value_linear


def test_the_cache_ends_with_its_transaction(core: Clearing) -> None:
    """The same round a day later: an older price, a wider confidence."""
    first = core.evaluate({BTC: 1000})
    core.advance(DAY_S)
    second = core.evaluate({BTC: 1000})
    assert second.margin_maintenance > first.margin_maintenance


def test_parameters_are_read_by_getters(core: Clearing) -> None:
    stored = RiskParameters.unpack(core.risk.view("parameters", 0))
    assert stored == core.world.risk.parameters[0]
    assert stored.psr_from == stored.psr_target == 150_000
    later(core)
    core.set_parameters(0, replace(PARAMETERS[0], psr_target=155_000))
    assert RiskParameters.unpack(core.risk.view("earlier", 0)) == stored
    assert core.world.oracle.feeds[0].mark * ORACLE_UNIT == 60_000 * WAD
