"""Rule 7: a token that calls back finds one lock and whole state.

Sources: The DAO (2016-06-17), imBTC's ERC-777 hooks against Uniswap and Lendf.Me (2020-04-18), GMX
v1 (2025-07-09).
"""

from __future__ import annotations

from typing import Any

import pytest
from support.bench import STRANGER, TRADER, USD, WAD, Bench, account

from novate.chain.harness import Contract

NONE, REFUSED, THROUGH = 0, 1, 2
ACCOMPLICE = account(STRANGER)


@pytest.fixture
def bench() -> Bench:
    return Bench()


@pytest.fixture
def token(bench: Bench) -> Contract:
    """A callback token whose two holders have 100 each and an eligible request for 10 each."""
    made = bench.deploy_test("CallbackToken")
    bench.list_token(made)
    for owner in (TRADER, STRANGER):
        bench.deposit(made, owner, 100 * USD)
        arguments = (account(owner), made.address, 10 * USD)
        bench.custody.call("request_withdrawal", *arguments, sender=owner)
    bench.chain.advance(60)
    return made


def arm(bench: Bench, token: Contract, function: str, *arguments: Any) -> None:
    payload = bench.custody.abi.encode_call(function, *arguments)
    token.call("arm", bench.custody.address, payload)


def test_a_withdrawal_cannot_be_entered_from_a_withdrawal(bench: Bench, token: Contract) -> None:
    """The inner call is open to anyone and works by itself: only the lock refuses it."""
    arm(bench, token, "withdraw", ACCOMPLICE, token.address)
    bench.custody.call("withdraw", account(TRADER), token.address, sender=TRADER)
    assert token.view("outcome") == REFUSED
    assert bench.custody.view("token", token.address)[0] == 190 * USD
    token.call("arm", "0x" + "00" * 20, b"")
    bench.custody.call("withdraw", ACCOMPLICE, token.address, sender=TRADER)
    assert bench.custody.view("token", token.address)[0] == 180 * USD


def test_the_same_withdrawal_is_not_paid_twice(bench: Bench, token: Contract) -> None:
    arm(bench, token, "withdraw", account(TRADER), token.address)
    bench.custody.call("withdraw", account(TRADER), token.address, sender=TRADER)
    assert token.view("outcome") == REFUSED
    assert token.view("balanceOf", TRADER) == 10 * USD
    assert bench.cash(account(TRADER)) == 90 * WAD


@pytest.mark.parametrize("function", ["deposit", "withdraw"])
def test_nothing_is_entered_from_a_deposit(bench: Bench, token: Contract, function: str) -> None:
    calls: dict[str, tuple[Any, ...]] = {
        "deposit": (token.address, ACCOMPLICE, USD),
        "withdraw": (ACCOMPLICE, token.address),
    }
    token.call("mint", token.address, USD)
    token.call("approve", bench.custody.address, USD, sender=STRANGER)
    arm(bench, token, function, *calls[function])
    bench.deposit(token, TRADER, 5 * USD)
    assert token.view("outcome") == REFUSED
    assert bench.cash(account(TRADER)) == 105 * WAD
    assert bench.cash(ACCOMPLICE) == 100 * WAD
    assert bench.custody.view("token", token.address)[0] == 205 * USD


def test_what_a_callback_reads_is_already_whole(bench: Bench, token: Contract) -> None:
    """Views stay open; the sheet they show in the middle of a payout is the one after it."""
    arm(bench, token, "token", token.address)
    bench.custody.call("withdraw", account(TRADER), token.address, sender=TRADER)
    assert token.view("outcome") == THROUGH


def test_liquidation_from_a_callback_finds_a_whole_ledger(bench: Bench, token: Contract) -> None:
    """The deposit is not credited yet, so a call into the auctioneer sees the account as before
    it: consistent, no more.
    """
    bench.ledger.call("set_mark", 1, 1000 * WAD)
    bench.ledger.call("set_lots", account(TRADER), 1, 10)
    payload = bench.auctioneer.abi.encode_call("start", account(TRADER))
    token.call("arm", bench.auctioneer.address, payload)
    bench.deposit(token, TRADER, 5000 * USD)
    assert token.view("outcome") == THROUGH
    assert bench.ledger.view("in_auction", account(TRADER))
    bench.auctioneer.call("end", account(TRADER), sender=STRANGER)
    assert bench.cash(account(TRADER)) == 5100 * WAD
