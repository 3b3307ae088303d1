"""Rule 16: bad debt goes down the layers in order, at most a cap of insurance an hour, and never
to who gained nothing.

Sources: Mango (2022-10-11), dYdX v3 YFI (2023-11-17: about 100 wallets took nine million of
insurance), the deleveraging of 2025-10-10.
"""

from __future__ import annotations

import pytest
from support.bench import (
    GOVERNOR,
    LIQUIDATOR,
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
WINNER = account(actor("winner"))
SAVER = account(actor("saver without positions"))
HOUR = 3600


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.chain.advance(HOUR - made.chain.timestamp % HOUR)
    made.fill_layers(100 * WAD, 1000 * WAD, 100 * WAD, 5000 * WAD)
    made.ledger.call("set_money", WINNER, 10 * WAD, 400 * WAD)
    made.ledger.call("set_money", SAVER, 700 * WAD, 0)
    made.waterfall.call("set_limits", 300 * WAD, 600, sender=GOVERNOR)
    made.bidder()
    return made


def lose(bench: Bench, amount: int, owner: str = TRADER) -> bytes:
    """An account without positions and a deficit, written off."""
    loser = account(owner)
    bench.ledger.call("set_money", loser, -amount * WAD, 0)
    bench.auctioneer.call("write_off", loser, sender=STRANGER)
    return loser


def layers(bench: Bench) -> list[int]:
    return [amount // WAD for amount in bench.waterfall.view("layers")]


def test_from_the_last_slice_to_the_haircut_in_order(bench: Bench) -> None:
    bench.insolvency(-900 * WAD, 10)
    bench.auctioneer.call("start", TARGET, sender=STRANGER)
    bench.chain.advance(1)
    bench.auctioneer.call("bid", TARGET, account(LIQUIDATOR), 10**6, 0, 0, sender=LIQUIDATOR)
    logs = [e for e in bench.chain.events() if e.name == "LayerPaid"]
    to_target = [e.arguments["layer"] for e in logs if e.arguments["account"] == TARGET]
    assert to_target == [1, 2, 3]
    assert layers(bench) == [0, 700, 0, 5000]
    reward = sum(e.arguments["amount"] for e in logs if e.arguments["account"] != TARGET)
    short = bench.waterfall.view("pending", TARGET)[0]
    assert short == 400 * WAD + reward
    bench.chain.advance(600)
    bench.waterfall.call("execute_haircut", TARGET, sender=STRANGER)
    assert bench.ledger.view("gains", WINNER) == 0
    assert bench.cash(WINNER) == 10 * WAD
    assert bench.cash(SAVER) == 700 * WAD
    assert bench.waterfall.view("uncovered", TARGET) == reward


def test_a_hundred_wallets_take_no_more_than_one(bench: Bench) -> None:
    for index in range(100):
        lose(bench, 20, actor(f"wallet {index}"))
    assert layers(bench) == [0, 700, 0, 5000]


def test_opposite_accounts_of_one_attacker_drain_no_more_than_the_cap(bench: Bench) -> None:
    """The winning leg's gain is immature: what the layers leave is cut from it first of all."""
    attacker = account(actor("attacker's winning leg"))
    bench.ledger.call("set_money", WINNER, 0, 0)
    bench.ledger.call("set_money", attacker, 0, 2000 * WAD)
    loser = lose(bench, 2000, actor("attacker's losing leg"))
    bench.chain.advance(600)
    bench.waterfall.call("execute_haircut", loser, sender=STRANGER)
    assert (
        bench.ledger.view("gains", attacker) == 500 * WAD
    )  # the own tranches and the capped insurance
    assert layers(bench) == [0, 700, 0, 5000]


def test_writing_off_again_and_again_pays_once(bench: Bench) -> None:
    loser = lose(bench, 900)
    before = layers(bench)
    for _ in range(3):
        bench.auctioneer.call("write_off", loser, sender=STRANGER)
        bench.chain.advance(HOUR)
    assert layers(bench) == before
    assert bench.waterfall.view("pending", loser)[0] == 400 * WAD


def test_a_deficit_cannot_block_the_next_liquidation(bench: Bench) -> None:
    """An account with an open deficit that trades again and fails again is liquidated like any
    other.
    """
    loser = lose(bench, 900)
    bench.ledger.call("set_money", loser, 500 * WAD, 0)
    bench.insolvency(-450 * WAD, 10)
    bench.auctioneer.call("start", loser, sender=STRANGER)
    bench.chain.advance(HOUR)
    bench.auctioneer.call("bid", loser, account(LIQUIDATOR), 10**6, 0, 0, sender=LIQUIDATOR)
    assert not bench.ledger.view("in_auction", loser)
    assert (
        layers(bench)[1] == 700 - 200 - 50
    )  # the reward, then only what exceeds the 400 on record


def test_nobody_but_the_auctioneer_draws_on_the_layers(bench: Bench) -> None:
    for function in ("cover", "pay_reward"):
        for caller in (GOVERNOR, STRANGER, LIQUIDATOR):
            call = (function, account(LIQUIDATOR), WAD)
            refused(errors.NotAuthorized, bench.waterfall, *call, sender=caller)
    refused(errors.NoDeficit, bench.auctioneer, "write_off", WINNER, sender=STRANGER)
    refused(errors.NoDeficit, bench.waterfall, "execute_haircut", TARGET, sender=STRANGER)
