from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest
from support.bench import (
    GOVERNOR,
    STRANGER,
    TRADER,
    WAD,
    Bench,
    account,
    refused,
)

from novate import errors
from novate.chain.harness import actor

TARGET = account(TRADER)
AUCTIONEER = actor("auctioneer")
EPOCH_HOUR = 3600


@pytest.fixture
def bench() -> Bench:
    made = Bench(AUCTIONEER)
    made.chain.advance(EPOCH_HOUR - made.chain.timestamp % EPOCH_HOUR)
    made.fill_layers(100 * WAD, 200 * WAD, 50 * WAD, 400 * WAD)
    return made


def cover(bench: Bench, amount: int) -> int:
    """Cover as the auctioneer does; the account's equity is minus the amount."""
    bench.ledger.call("set_money", TARGET, -amount, 0)
    call = ("cover", TARGET, amount)
    short: int = bench.waterfall.call(*call, sender=AUCTIONEER)
    return short


def layers(bench: Bench) -> list[int]:
    return [amount // WAD for amount in bench.waterfall.view("layers")]


def paid(bench: Bench) -> list[tuple[int, int]]:
    """(layer, whole USD) of the payments in the last transaction, in order."""
    logs = [e.arguments for e in bench.chain.events() if e.name == "LayerPaid"]
    return [(log["layer"], log["amount"] // WAD) for log in logs]


def test_the_layers_pay_in_order_and_reserves_do_not(bench: Bench) -> None:
    assert cover(bench, 30 * WAD) == 0
    assert paid(bench) == [(1, 30)]
    assert cover(bench, 280 * WAD) == 0
    assert paid(bench) == [(1, 70), (2, 200), (3, 10)]
    assert layers(bench) == [0, 0, 40, 400]
    assert bench.cash(TARGET) == 0


def test_insurance_pays_at_most_its_cap_in_a_clock_hour_over_all_accounts(bench: Bench) -> None:
    bench.waterfall.call("set_limits", 60 * WAD, 600, sender=GOVERNOR)
    assert bench.event("CoverLimitsSet") == {"event_cap": 60 * WAD, "haircut_window": 600}
    cover(bench, 130 * WAD)
    assert paid(bench) == [(1, 100), (2, 30)]
    other = account(actor("another insolvent trader"))
    call = ("cover", other, 50 * WAD)
    bench.waterfall.call(*call, sender=AUCTIONEER)
    assert paid(bench) == [(2, 30), (3, 20)]
    assert bench.waterfall.view("insurance_left") == 0
    bench.waterfall.call("set_limits", 10 * WAD, 600, sender=GOVERNOR)
    assert bench.waterfall.view("insurance_left") == 0
    bench.chain.advance(EPOCH_HOUR)
    assert bench.waterfall.view("insurance_left") == 10 * WAD


def test_what_the_layers_leave_short_waits_for_the_window(bench: Bench) -> None:
    assert cover(bench, 400 * WAD) == 50 * WAD
    not_before = bench.chain.timestamp + 600
    event = {"account": TARGET, "amount": 50 * WAD, "not_before": not_before}
    assert bench.event("HaircutOpened") == event
    assert bench.waterfall.view("pending", TARGET) == (50 * WAD, not_before)
    bench.chain.advance(599)
    refused(errors.NotYet, bench.waterfall, "execute_haircut", TARGET, sender=STRANGER)


def test_a_recorded_deficit_is_not_paid_twice(bench: Bench) -> None:
    cover(bench, 400 * WAD)
    bench.fill_layers(500 * WAD)
    call = ("cover", TARGET, 50 * WAD)
    assert bench.waterfall.call(*call, sender=AUCTIONEER) == 0
    assert layers(bench)[0] == 500
    more = ("cover", TARGET, 70 * WAD)
    assert bench.waterfall.call(*more, sender=AUCTIONEER) == 0
    assert layers(bench)[0] == 480
    assert bench.waterfall.view("pending", TARGET)[0] == 50 * WAD


def test_a_second_shortfall_keeps_the_first_windows_time(bench: Bench) -> None:
    cover(bench, 400 * WAD)
    first = bench.waterfall.view("pending", TARGET)
    bench.chain.advance(100)
    call = ("cover", TARGET, 80 * WAD)
    assert bench.waterfall.call(*call, sender=AUCTIONEER) == 30 * WAD
    assert bench.waterfall.view("pending", TARGET) == (80 * WAD, first[1])


def test_after_the_window_gains_are_cut_and_the_account_is_whole(bench: Bench) -> None:
    winner = account(actor("winner"))
    bench.ledger.call("set_money", winner, 10 * WAD, 80 * WAD)
    cover(bench, 400 * WAD)
    bench.chain.advance(600)
    assert bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER) == 50 * WAD
    event = {"account": TARGET, "amount": 50 * WAD, "cut": 50 * WAD}
    assert bench.event("HaircutExecuted") == event
    assert bench.ledger.view("gains", winner) == 30 * WAD
    assert bench.cash(winner) == 10 * WAD  # cash is never touched
    assert bench.cash(TARGET) == 0
    assert bench.waterfall.view("pending", TARGET) == (0, 0)
    refused(errors.NoDeficit, bench.waterfall, "execute_haircut", TARGET, sender=STRANGER)


def test_layers_refilled_in_the_window_pay_before_gains_are_cut(bench: Bench) -> None:
    winner = account(actor("winner"))
    bench.ledger.call("set_money", winner, 0, 80 * WAD)
    cover(bench, 400 * WAD)
    bench.fill_layers(20 * WAD)
    bench.chain.advance(600)
    assert bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER) == 30 * WAD
    assert paid(bench) == [(1, 20)]
    assert bench.ledger.view("gains", winner) == 50 * WAD


def test_a_deficit_that_somebody_paid_meanwhile_costs_nobody_else(bench: Bench) -> None:
    winner = account(actor("winner"))
    bench.ledger.call("set_money", winner, 0, 80 * WAD)
    cover(bench, 400 * WAD)
    bench.ledger.call("credit", TARGET, 0, 50 * WAD)
    bench.chain.advance(600)
    assert bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER) == 0
    assert bench.ledger.view("gains", winner) == 80 * WAD
    assert bench.waterfall.view("uncovered", TARGET) == 0


def test_what_even_the_haircut_leaves_is_recorded_and_retried(bench: Bench) -> None:
    winner = account(actor("winner"))
    bench.ledger.call("set_money", winner, 0, 20 * WAD)
    cover(bench, 400 * WAD)
    bench.chain.advance(600)
    assert bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER) == 20 * WAD
    assert bench.event("DeficitUncovered") == {"account": TARGET, "amount": 30 * WAD}
    assert bench.waterfall.view("uncovered", TARGET) == 30 * WAD
    refused(errors.LayersEmpty, bench.waterfall, "retry", TARGET, sender=STRANGER)
    bench.waterfall.call("refill", 1, 10 * WAD, sender=GOVERNOR)
    assert bench.event("LayerRefilled") == {"layer": 1, "amount": 10 * WAD}
    assert bench.waterfall.call("retry", TARGET, sender=STRANGER) == 20 * WAD
    bench.waterfall.call("refill", 3, 100 * WAD, sender=GOVERNOR)
    assert bench.waterfall.call("retry", TARGET, sender=STRANGER) == 0
    assert layers(bench) == [0, 0, 80, 290]
    assert bench.cash(TARGET) == 0
    refused(errors.NoDeficit, bench.waterfall, "retry", TARGET, sender=STRANGER)


def test_an_uncovered_deficit_that_was_paid_otherwise_is_dropped(bench: Bench) -> None:
    cover(bench, 400 * WAD)
    bench.chain.advance(600)
    bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER)
    bench.ledger.call("credit", TARGET, 0, 50 * WAD)
    assert bench.waterfall.call("retry", TARGET, sender=STRANGER) == 0
    assert bench.waterfall.view("uncovered", TARGET) == 0


def test_a_reward_comes_from_the_same_layers(bench: Bench) -> None:
    bidder = account(actor("bidder"))
    call = ("pay_reward", bidder)
    caller = AUCTIONEER
    assert bench.waterfall.call(*call, 120 * WAD, sender=caller) == 120 * WAD
    assert paid(bench) == [(1, 100), (2, 20)]
    assert bench.waterfall.call(*call, 500 * WAD, sender=caller) == 230 * WAD
    assert bench.cash(bidder) == 350 * WAD


def test_who_may_do_what(bench: Bench) -> None:
    waterfall = bench.waterfall
    for call in (("cover", TARGET, 1), ("pay_reward", TARGET, 1)):
        refused(errors.NotAuthorized, waterfall, *call, sender=GOVERNOR)
    for call in (("refill", 1, 1), ("set_limits", 1, 600), ("set_auctioneer", STRANGER)):
        refused(errors.NotAuthorized, waterfall, *call, sender=STRANGER)
    refused(errors.NotAuthorized, waterfall, "set_auctioneer", STRANGER, sender=GOVERNOR)
    nothing = ("cover", TARGET, 0)
    refused(errors.NoDeficit, waterfall, *nothing, sender=AUCTIONEER)
    for layer in (0, 4, 5):
        refused(errors.OutOfBounds, waterfall, "refill", layer, 1, sender=GOVERNOR)
    refused(errors.InsufficientCash, waterfall, "refill", 1, 401 * WAD, sender=GOVERNOR)
    for limits in ((2**127, 600), (1, 299), (1, 3001)):
        refused(errors.OutOfBounds, waterfall, "set_limits", *limits, sender=GOVERNOR)


def test_the_auctioneer_is_named_once() -> None:
    bench = Bench()
    fresh = bench.chain.deploy("Waterfall", GOVERNOR, bench.ledger.address)
    fresh.call("set_auctioneer", STRANGER, sender=GOVERNOR)
    assert bench.event("AuctioneerSet") == {"auctioneer": STRANGER}
    assert fresh.view("auctioneer") == STRANGER
    assert fresh.view("layer_account", 2) == account(fresh.address, 2)


def test_the_published_loss_allocations_come_out(shared_folder: Path) -> None:
    cases = json.loads((shared_folder / "vectors" / "loss_allocation.json").read_text())["cases"]
    for case in cases:
        bench = Bench(AUCTIONEER)
        gains = [int(Decimal(gain) * WAD) for gain in case["gains"]]
        winners = [account(actor(f"winner {index}")) for index in range(len(gains))]
        for winner, gain in zip(winners, gains, strict=True):
            bench.ledger.call("set_money", winner, 0, gain)
        loss = int(Decimal(case["loss"]) * WAD)
        assert cover(bench, loss) == loss
        bench.chain.advance(600)
        bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER)
        for winner, gain, expected in zip(winners, gains, case["prorata"], strict=True):
            cut = gain - bench.ledger.view("gains", winner)
            assert 0 <= Decimal(expected) * WAD - cut < 1
        left = Decimal(case["uncovered"]) * WAD
        assert 0 <= bench.waterfall.view("uncovered", TARGET) - left < len(gains)
