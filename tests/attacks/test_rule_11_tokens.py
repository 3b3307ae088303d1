"""Rule 11: only tokens that move exactly what was asked are kept, and a token that refuses a
payout blocks nothing else.

Sources: the fee-on-transfer drain of Balancer pools (2020-06-28), rebasing AMPL in lending pools,
tokens listed in github.com/d-xo/weird-erc20, and stablecoin blacklists.
"""

from __future__ import annotations

import pytest
from support.bench import (
    GOVERNOR,
    LIQUIDATOR,
    STRANGER,
    TRADER,
    USD,
    WAD,
    Bench,
    account,
    refused,
)

from novate import errors
from novate.chain.harness import Contract


@pytest.fixture
def bench() -> Bench:
    return Bench()


def listed(bench: Bench, name: str) -> Contract:
    token = bench.deploy_test(name)
    bench.list_token(token)
    return token


def requested(bench: Bench, token: Contract, amount: int) -> tuple[str, bytes, str]:
    """The trader deposits 100 and has an eligible request for ``amount``; returns the call that
    executes it.
    """
    bench.deposit(token, TRADER, 100 * USD)
    arguments = (account(TRADER), token.address, amount)
    bench.custody.call("request_withdrawal", *arguments, sender=TRADER)
    bench.chain.advance(60)
    return ("withdraw", account(TRADER), token.address)


def test_a_fee_on_transfer_is_refused_going_in(bench: Bench) -> None:
    token = listed(bench, "FeeToken")
    token.call("set_fees", 1, 0)
    bench.fund(token, TRADER, USD)
    call = ("deposit", token.address, account(TRADER), USD)
    refused(errors.AmountMismatch, bench.custody, *call, sender=TRADER)
    assert bench.cash(account(TRADER)) == 0
    assert bench.custody.view("token", token.address)[0] == 0


def test_a_fee_on_top_is_refused_going_out(bench: Bench) -> None:
    token = listed(bench, "FeeToken")
    bench.deposit(token, LIQUIDATOR, 100 * USD)
    withdraw = requested(bench, token, 10 * USD)
    token.call("set_fees", 0, 1)
    refused(errors.AmountMismatch, bench.custody, *withdraw, sender=STRANGER)
    assert bench.custody.view("token", token.address)[0] == 200 * USD


@pytest.mark.parametrize("scale_ppm", [999_000, 1_001_000])
def test_a_rebase_in_a_transfer_is_refused(bench: Bench, scale_ppm: int) -> None:
    token = listed(bench, "RebasingToken")
    bench.deposit(token, LIQUIDATOR, 100 * USD)
    token.call("set_rebase_in_transfer", scale_ppm)
    bench.fund(token, TRADER, USD)
    call = ("deposit", token.address, account(TRADER), USD)
    refused(errors.AmountMismatch, bench.custody, *call, sender=TRADER)


def test_a_rebase_between_transfers_never_reaches_the_sheet(bench: Bench) -> None:
    token = listed(bench, "RebasingToken")
    bench.deposit(token, TRADER, 100 * USD)
    for scale_ppm in (2_000_000, 500_000):
        token.call("rebase", scale_ppm)
        assert bench.custody.view("token", token.address)[0] == 100 * USD
        assert bench.cash(account(TRADER)) == 100 * WAD
        found = bench.lens.view("solvency", [account(TRADER)], [token.address])
        assert found[3][0][2:4] == (100 * USD, 100 * USD * scale_ppm // 10**6)


def test_a_token_that_returns_nothing_is_accepted(bench: Bench) -> None:
    token = listed(bench, "SilentToken")
    withdraw = requested(bench, token, 10 * USD)
    bench.custody.call(*withdraw, sender=STRANGER)
    assert token.view("balanceOf", TRADER) == 10 * USD


@pytest.mark.parametrize("quiet", [False, True])
def test_a_refused_payout_leaves_everything_as_it_was(bench: Bench, quiet: bool) -> None:
    token = listed(bench, "BlacklistToken")
    withdraw = requested(bench, token, 10 * USD)
    token.call("set_quiet", quiet)
    token.call("set_blocked", TRADER, True)
    refused(errors.TransferFailed, bench.custody, *withdraw, sender=STRANGER)
    assert bench.cash(account(TRADER)) == 100 * WAD
    assert bench.custody.view("token", token.address)[0] == 100 * USD
    assert bench.custody.view("request", account(TRADER), token.address)[0] == 10 * USD
    token.call("set_blocked", TRADER, False)
    bench.custody.call(*withdraw, sender=STRANGER)


@pytest.mark.parametrize("quiet", [False, True])
def test_a_refused_payment_credits_nothing(bench: Bench, quiet: bool) -> None:
    token = listed(bench, "BlacklistToken")
    token.call("set_quiet", quiet)
    token.call("set_blocked", TRADER, True)
    bench.fund(token, TRADER, USD)
    call = ("deposit", token.address, account(TRADER), USD)
    refused(errors.TransferFailed, bench.custody, *call, sender=TRADER)
    assert bench.cash(account(TRADER)) == 0


def test_a_blacklisted_trader_and_a_blacklisted_custody_are_still_liquidated(bench: Bench) -> None:
    token = listed(bench, "BlacklistToken")
    bench.ledger.call("set_mark", 1, 1000 * WAD)
    bench.deposit(token, TRADER, 600 * USD)
    bench.deposit(token, LIQUIDATOR, 10_000 * USD)
    bench.ledger.call("set_lots", account(TRADER), 1, 10)
    for holder in (TRADER, LIQUIDATOR, bench.custody.address):
        token.call("set_blocked", holder, True)
    bench.auctioneer.call("start", account(TRADER), sender=STRANGER)
    bench.chain.advance(12)
    call = ("bid", account(TRADER), account(LIQUIDATOR), 10**6, 0, 0)
    bench.auctioneer.call(*call, sender=LIQUIDATOR)
    assert bench.ledger.view("lots", account(LIQUIDATOR), 1) > 0


def test_decimals_are_the_tokens_own_between_six_and_eighteen(bench: Bench) -> None:
    for decimals in (6, 8, 18):
        token = bench.deploy_token("Dollar", "D", decimals)
        bench.list_token(token, decimals=decimals)
        bench.deposit(token, TRADER, 3 * 10**decimals, number=decimals)
        assert bench.cash(account(TRADER, decimals)) == 3 * WAD
    for decimals in (5, 19):
        token = bench.deploy_token("Dollar", "D", decimals)
        call = ("set_token", token.address, 0, decimals, 0, 1)
        refused(errors.OutOfBounds, bench.custody, *call, sender=GOVERNOR)
