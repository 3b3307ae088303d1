"""The auction's arithmetic over its whole range: rounding never costs the account its health
(I09), model and library agree.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.bench import LIQUIDATOR, STRANGER, TRADER, Bench, account

from novate.chain.harness import Contract
from novate.errors import HealthWorsened, Rejected
from novate.model import liquidation as model
from novate.units import PPM, WAD

MONEY = st.integers(min_value=1, max_value=10**12 * WAD)
RATIOS = st.integers(min_value=0, max_value=PPM)
TIMES = st.integers(min_value=0, max_value=2000)


@cache
def library() -> Contract:
    return Bench().deploy_test("SettlementMath")


@st.composite
def insolvent_or_short(draw: st.DrawFn) -> tuple[int, int]:
    """(equity, margin) of an account below its maintenance margin."""
    margin = draw(MONEY)
    return draw(st.integers(min_value=-margin, max_value=margin - 1)), margin


@given(short=insolvent_or_short(), elapsed=TIMES)
def test_discount_and_fee_stay_below_health(short: tuple[int, int], elapsed: int) -> None:
    equity, margin = short
    health = model.health_ppm(equity, margin)
    discount, fee = model.discount_ppm(elapsed, health)
    assert discount + fee <= max(health - 1, 0)
    assert (discount + fee) * margin <= max(equity, 0) * PPM


@given(
    margin=st.integers(min_value=WAD, max_value=10**12 * WAD),
    share=st.fractions(min_value=0, max_value=1),
    elapsed=TIMES,
    asked=st.integers(1, PPM),
)
def test_paying_for_a_slice_never_lowers_health(
    margin: int, share: Fraction, elapsed: int, asked: int
) -> None:
    """Margin left may exceed its share by the wei that its terms round up: as many as terms in a
    full account.
    """
    equity = max(int((margin - 1) * share), 1)
    health = model.health_ppm(equity, margin)
    discount, fee = model.discount_ppm(elapsed, health)
    fraction = max(min(asked, model.fraction_ppm_max(margin, health, discount + fee)), 10_000)
    equity_after = (
        equity - model.share(margin, discount, fraction) - model.share(margin, fee, fraction)
    )
    margin_after = -(-margin * (PPM - fraction) // PPM)
    if fraction < PPM:
        margin_after += 128 + 16 * 6
    assert equity_after * margin >= equity * margin_after


@given(health=RATIOS, first=TIMES, second=TIMES)
def test_the_discount_only_rises(health: int, first: int, second: int) -> None:
    early, late = sorted((first, second))
    assert model.discount_ppm(early, health)[0] <= model.discount_ppm(late, health)[0]
    assert model.discount_ppm(900, health)[0] == max(health - 1, 0)


@given(short=insolvent_or_short(), elapsed=TIMES)
def test_the_largest_slice_restores_the_target_or_is_everything(
    short: tuple[int, int], elapsed: int
) -> None:
    equity, margin = short
    health = model.health_ppm(equity, margin)
    discount, fee = model.discount_ppm(elapsed, health)
    fraction = model.fraction_ppm_max(margin, health, discount + fee)
    assert 0 < fraction <= PPM
    if fraction < PPM:
        left = health * PPM - fraction * (discount + fee)
        assert left >= model.HEALTH_PPM_TARGET * (PPM - fraction)
        assert margin * (PPM - fraction) // PPM >= model.DUST


@settings(max_examples=60)
@given(short=insolvent_or_short(), elapsed=TIMES, fraction=st.integers(1, PPM))
def test_the_library_equals_the_model(short: tuple[int, int], elapsed: int, fraction: int) -> None:
    equity, margin = short
    maths = library()
    health = model.health_ppm(equity, margin)
    assert maths.view("health", equity, margin) == health
    discount, fee = model.discount_ppm(elapsed, health)
    assert maths.view("discount", elapsed, health) == (discount, fee)
    charge = discount + fee
    found = maths.view("fraction_max", margin, health, charge)
    assert found == model.fraction_ppm_max(margin, health, charge)
    assert maths.view("share", margin, discount, fraction) == model.share(
        margin, discount, fraction
    )
    for liquidity in (0, margin // 50):
        reward = model.insolvent_reward(margin, liquidity, fraction, elapsed)
        found = maths.view("insolvent_reward", margin, liquidity, fraction, elapsed)
        assert found == reward


def test_an_insolvent_account_without_a_liquidity_charge_is_still_worth_taking_over() -> None:
    margin = 12_000 * WAD
    assert model.insolvent_reward(margin, 0, PPM, 0) == 0
    assert model.insolvent_reward(margin, 0, PPM, 150) == 30 * WAD
    assert model.insolvent_reward(margin, 0, PPM // 2, 900) == 30 * WAD
    assert model.insolvent_reward(margin, 2_000 * WAD, PPM, 300) == 2_000 * WAD


@settings(max_examples=40)
@given(
    lots=st.lists(st.integers(-3000, 3000).filter(bool), min_size=1, max_size=4),
    health=st.integers(1, PPM - 1),
    elapsed=st.integers(1, 1200),
    fraction=st.integers(10_000, PPM),
)
def test_health_never_falls_on_chain(
    lots: list[int], health: int, elapsed: int, fraction: int
) -> None:
    """Whatever is bid on whatever portfolio: the slice is refused or health does not fall, and the
    deficit never appears.
    """
    bench = bench_of_bids()
    checkpoint = bench.chain.evm.snapshot()
    try:
        target, bidder = account(TRADER), account(LIQUIDATOR)
        for instrument, count in enumerate(lots, start=1):
            bench.ledger.call("set_mark", instrument, (17 * instrument + 3) * WAD + instrument)
            bench.ledger.call("set_lots", target, instrument, count)
        margin = bench.ledger.view("check", target)[4][2]
        equity = margin * health // PPM
        bench.ledger.call("set_money", target, equity, 0)
        bench.auctioneer.call("start", target, sender=STRANGER)
        bench.chain.advance(elapsed)
        try:
            bench.auctioneer.call("bid", target, bidder, fraction, 0, 0, sender=LIQUIDATOR)
        except Rejected as rejected:
            assert rejected.error is HealthWorsened and len(lots) > 1
            return
        after = bench.ledger.view("check", target)
        assert after[0] * margin >= equity * after[4][2]
        assert after[0] >= 0
    finally:
        bench.chain.evm.revert(checkpoint)


@cache
def bench_of_bids() -> Bench:
    made = Bench()
    made.bidder(10**9 * WAD)
    return made


@pytest.mark.parametrize("health", [0, 1, 4_999, 5_000, 10_001, 999_999])
def test_the_bidder_comes_before_the_fee(health: int) -> None:
    discount, fee = model.discount_ppm(0, health)
    assert discount == min(10_000, max(health - 1, 0))
    assert fee == min(5_000, max(health - 1, 0) - discount)
