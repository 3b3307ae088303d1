from __future__ import annotations

import pytest
from support.bench import (
    LIQUIDATOR,
    STRANGER,
    TRADER,
    WAD,
    Bench,
    account,
    refused,
)

from novate import errors
from novate.model import liquidation as model

LOTS = 100
MARGIN = 12_000 * WAD  # of 100 lots at 1,000: 10 % and a liquidity charge of 2 %
LIQUIDITY = 2_000 * WAD
TARGET = account(TRADER)
BIDDER = account(LIQUIDATOR)


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.bidder()
    made.fill_layers(1000 * WAD, 1000 * WAD, 1000 * WAD, 1000 * WAD)
    return made


def start(bench: Bench, equity: int, lots: int = LOTS, elapsed: int = 12) -> None:
    bench.insolvency(equity, lots)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    if elapsed:
        bench.chain.advance(elapsed)


def bid(bench: Bench, fraction: int = 10**6, health_min: int = 0, reward_min: int = 0) -> None:
    call = ("bid", TARGET, BIDDER, fraction, health_min, reward_min)
    bench.auctioneer.call(*call, sender=LIQUIDATOR)


def check(bench: Bench, of: bytes = TARGET) -> tuple[int, int]:
    found = bench.ledger.view("check", of)
    return found[0], found[4][2]


def restart(bench: Bench, restarted_at: int, grace: int = 120) -> None:
    bench.oracle.call("set_status", restarted_at << 104 | grace << 160)


# opening


def test_an_account_below_maintenance_goes_to_auction(bench: Bench) -> None:
    start(bench, MARGIN - 1, elapsed=0)
    event = {"account": TARGET, "equity": MARGIN - 1, "margin": MARGIN}
    assert bench.event("AuctionStarted") == event
    assert bench.ledger.view("in_auction", TARGET)
    opened_at = (bench.chain.timestamp, bench.chain.number)
    assert bench.auctioneer.view("opened_at", TARGET) == opened_at
    refused(errors.AuctionOpen, bench.auctioneer, "start", TARGET, sender=STRANGER)


def test_an_account_at_maintenance_or_within_the_best_price_is_left_alone(bench: Bench) -> None:
    bench.insolvency(MARGIN, LOTS)
    refused(errors.NotLiquidatable, bench.auctioneer, "start", TARGET, sender=STRANGER)
    bench.insolvency(MARGIN - WAD, 0)
    bench.ledger.call("set_lots", TARGET, 1, LOTS)
    bench.ledger.call("set_corrections", TARGET, WAD, 0)
    refused(errors.NotLiquidatable, bench.auctioneer, "start", TARGET, sender=STRANGER)


def test_a_layer_of_the_waterfall_is_never_liquidated(bench: Bench) -> None:
    layer = bench.layer(1)
    bench.ledger.call("set_money", layer, -1, 0)
    refused(errors.NotLiquidatable, bench.auctioneer, "start", layer, sender=STRANGER)
    refused(errors.NoDeficit, bench.auctioneer, "write_off", layer, sender=STRANGER)


def test_nothing_is_liquidated_in_the_grace_after_an_outage(bench: Bench) -> None:
    bench.insolvency(MARGIN // 2, LOTS)
    restart(bench, bench.chain.timestamp)
    refused(errors.RestartGrace, bench.auctioneer, "start", TARGET, sender=STRANGER)
    bench.chain.advance(120)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    bench.chain.advance(600)
    restart(bench, bench.chain.timestamp)
    call = ("bid", TARGET, BIDDER, 10**6, 0, 0)
    refused(errors.RestartGrace, bench.auctioneer, *call, sender=LIQUIDATOR)
    bench.chain.advance(120)
    assert bench.auctioneer.view("quote", TARGET)[2] == 10_000  # the ramp begins again after it
    bid(bench)


# bidding


def test_a_bid_moves_a_slice_and_improves_health(bench: Bench) -> None:
    equity = MARGIN // 2
    start(bench, equity, elapsed=300)
    fraction = model.fraction_ppm_max(MARGIN, 500_000, 255_000)
    reward, fee = model.share(MARGIN, 250_000, fraction), model.share(MARGIN, 5_000, fraction)
    quoted = bench.auctioneer.view("quote", TARGET)
    assert quoted == (equity, MARGIN, 250_000, fraction, reward)
    insurance = bench.cash(bench.layer(2))
    bid(bench, reward_min=reward, health_min=500_000)
    sold, ended = bench.event("SliceSold"), bench.event("AuctionEnded")
    assert sold["fraction_ppm"] == fraction < 10**6
    assert (sold["discount_ppm"], sold["reward"], sold["fee"]) == (250_000, reward, fee)
    moved = -(-LOTS * fraction // 10**6)
    assert bench.ledger.view("lots", TARGET, 1) == LOTS - moved
    assert bench.ledger.view("lots", BIDDER, 1) == moved
    assert bench.cash(bench.layer(2)) == insurance + fee
    assert bench.cash(BIDDER) == 10**6 * WAD + reward
    after, margin_after = check(bench)
    assert after == equity - reward - fee
    assert after * MARGIN > equity * margin_after
    assert after >= margin_after  # the largest fraction restores health, so the auction is over
    assert (ended["equity"], ended["margin"]) == (after, margin_after)
    assert not bench.ledger.view("in_auction", TARGET)


def test_a_small_slice_leaves_the_auction_open(bench: Bench) -> None:
    start(bench, MARGIN // 2)
    bid(bench, 100_000)
    assert bench.ledger.view("lots", TARGET, 1) == 90
    assert bench.ledger.view("in_auction", TARGET)
    refused(errors.StillLiquidatable, bench.auctioneer, "end", TARGET, sender=STRANGER)


def test_an_auction_is_not_opened_and_bid_on_in_one_block_or_second(bench: Bench) -> None:
    start(bench, MARGIN // 2, elapsed=0)
    call = ("bid", TARGET, BIDDER, 10**6, 0, 0)
    refused(errors.SameBlock, bench.auctioneer, *call, sender=LIQUIDATOR)
    bench.chain.advance(1, blocks=0)
    refused(errors.SameBlock, bench.auctioneer, *call, sender=LIQUIDATOR)
    bench.chain.advance(-1, blocks=1)
    refused(errors.SameBlock, bench.auctioneer, *call, sender=LIQUIDATOR)
    bench.chain.advance(1)
    bid(bench)


def test_who_may_bid(bench: Bench) -> None:
    bench.insolvency(MARGIN // 2, LOTS)
    call = ("bid", TARGET, BIDDER, 10**6, 0, 0)
    refused(errors.NoAuction, bench.auctioneer, *call, sender=LIQUIDATOR)
    start(bench, MARGIN // 2)
    refused(errors.NotOwner, bench.auctioneer, *call, sender=STRANGER)
    own = ("bid", TARGET, account(TRADER, 1), 10**6, 0, 0)
    refused(errors.OwnAccount, bench.auctioneer, *own, sender=TRADER)
    bench.bidder(0)
    refused(errors.InsufficientMargin, bench.auctioneer, *call, sender=LIQUIDATOR)


def test_a_bids_own_limits_hold(bench: Bench) -> None:
    start(bench, MARGIN // 2, elapsed=300)
    reward = bench.auctioneer.view("quote", TARGET)[4]
    auctioneer = bench.auctioneer
    low = ("bid", TARGET, BIDDER, 10**6, 500_001, 0)
    refused(errors.HealthTooLow, auctioneer, *low, sender=LIQUIDATOR)
    fraction = auctioneer.view("quote", TARGET)[3]
    poor = ("bid", TARGET, BIDDER, fraction, 0, reward + 1)
    refused(errors.RewardTooLow, auctioneer, *poor, sender=LIQUIDATOR)
    absurd = ("bid", TARGET, BIDDER, fraction, 0, 2**200)
    refused(errors.RewardTooLow, auctioneer, *absurd, sender=LIQUIDATOR)
    for bad in (0, 9_999, 10**6 + 1):
        call = ("bid", TARGET, BIDDER, bad, 0, 0)
        refused(errors.BadFraction, auctioneer, *call, sender=LIQUIDATOR)
    bid(bench, fraction, 500_000, reward)


def test_a_dust_bid_in_front_does_not_void_a_larger_one(bench: Bench) -> None:
    start(bench, MARGIN // 2, elapsed=300)
    fraction, reward = bench.auctioneer.view("quote", TARGET)[3:]
    dust = ("bid", TARGET, account(STRANGER), 10_000, 0, 0)
    bench.ledger.call("set_money", account(STRANGER), 10**6 * WAD, 0)
    bench.auctioneer.call(*dust, sender=STRANGER)
    assert bench.auctioneer.view("quote", TARGET)[3] < fraction
    bid(bench, fraction, 0, reward * 98 // 100)
    assert not bench.ledger.view("in_auction", TARGET)


def test_health_that_rounding_would_worsen_is_refused(bench: Bench) -> None:
    """A hedge of 3 lots against 1,000 small ones: selling a third of the one and a hundredth of
    the other unhedges the rest.
    """
    bench.ledger.call("set_mark", 2, 3 * WAD)
    bench.insolvency(0, 3)
    bench.ledger.call("set_lots", TARGET, 2, -1000)
    margin = 120 * WAD
    assert check(bench) == (0, margin)
    bench.ledger.call("set_money", TARGET, margin // 2, 0)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    bench.chain.advance(12)
    call = ("bid", TARGET, BIDDER, 10_000, 0, 0)
    refused(errors.HealthWorsened, bench.auctioneer, *call, sender=LIQUIDATOR)
    bid(bench, 333_333)


def test_a_margin_that_would_grow_while_insolvent_is_refused(bench: Bench) -> None:
    bench.ledger.call("set_mark", 2, 3 * WAD)
    bench.insolvency(-WAD, 3)
    bench.ledger.call("set_lots", TARGET, 2, -1000)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    bench.chain.advance(12)
    call = ("bid", TARGET, BIDDER, 10_000, 0, 0)
    refused(errors.HealthWorsened, bench.auctioneer, *call, sender=LIQUIDATOR)


def test_a_recovered_account_is_not_sold_and_anyone_ends_its_auction(bench: Bench) -> None:
    start(bench, MARGIN - 1)
    bench.ledger.call("credit", TARGET, 0, 1)
    call = ("bid", TARGET, BIDDER, 10**6, 0, 0)
    refused(errors.NotLiquidatable, bench.auctioneer, *call, sender=LIQUIDATOR)
    bench.auctioneer.call("end", TARGET, sender=STRANGER)
    event = {"account": TARGET, "equity": MARGIN, "margin": MARGIN}
    assert bench.event("AuctionEnded") == event
    assert not bench.ledger.view("in_auction", TARGET)
    assert bench.auctioneer.view("opened_at", TARGET) == (0, 0)
    refused(errors.NoAuction, bench.auctioneer, "end", TARGET, sender=STRANGER)


def test_the_best_price_corrects_who_enters_but_not_who_leaves(bench: Bench) -> None:
    start(bench, MARGIN - WAD)
    bench.ledger.call("set_corrections", TARGET, 2 * WAD, 0)
    refused(errors.StillLiquidatable, bench.auctioneer, "end", TARGET, sender=STRANGER)


# insolvency


def test_the_waterfall_rewards_who_takes_an_insolvent_account_over(bench: Bench) -> None:
    start(bench, -500 * WAD, elapsed=150)
    assert bench.auctioneer.view("quote", TARGET)[2:] == (0, 10**6, LIQUIDITY // 2)
    bid(bench, 400_000)
    sold = bench.event("SliceSold")
    assert (sold["discount_ppm"], sold["fee"]) == (0, 0)
    assert sold["reward"] == LIQUIDITY * 2 // 10
    assert bench.event("LayerPaid") == {"layer": 1, "account": BIDDER, "amount": sold["reward"]}
    assert check(bench)[0] == -500 * WAD
    assert bench.ledger.view("in_auction", TARGET)


def test_the_last_slice_of_an_insolvent_account_writes_it_off(bench: Bench) -> None:
    start(bench, -1500 * WAD, elapsed=1)
    bid(bench)
    assert bench.event("WrittenOff") == {"account": TARGET, "deficit": 1500 * WAD}
    assert check(bench) == (0, 0)
    assert not bench.ledger.view("in_auction", TARGET)


def test_a_reward_that_the_layers_cannot_pay_is_refused_if_the_bidder_minds(bench: Bench) -> None:
    bench.fill_layers(0, 0, 0)
    start(bench, -WAD, elapsed=300)
    call = ("bid", TARGET, BIDDER, 500_000, 0, 1)
    refused(errors.RewardTooLow, bench.auctioneer, *call, sender=LIQUIDATOR)
    bid(bench, 500_000)
    assert bench.event("SliceSold")["reward"] == 0


def test_anyone_writes_off_a_deficit_without_positions(bench: Bench) -> None:
    bench.insolvency(-300 * WAD)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    bench.auctioneer.call("write_off", TARGET, sender=STRANGER)
    assert bench.event("LayerPaid") == {"layer": 1, "account": TARGET, "amount": 300 * WAD}
    assert bench.cash(TARGET) == 0
    assert not bench.ledger.view("in_auction", TARGET)


@pytest.mark.parametrize(("equity", "lots"), [(0, 0), (1, 0), (-1, 1)])
def test_what_is_no_deficit_or_still_has_positions_is_not_written_off(
    bench: Bench, equity: int, lots: int
) -> None:
    bench.insolvency(equity, lots)
    refused(errors.NoDeficit, bench.auctioneer, "write_off", TARGET, sender=STRANGER)


def test_a_deficit_is_what_cash_and_gains_leave_together(bench: Bench) -> None:
    bench.insolvency(-70 * WAD, gains=30 * WAD)
    bench.auctioneer.call("write_off", TARGET, sender=STRANGER)
    assert bench.event("WrittenOff")["deficit"] == 70 * WAD
