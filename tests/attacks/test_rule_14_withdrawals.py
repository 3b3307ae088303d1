"""Rule 14: a withdrawal is judged at the worst price, waits its notice and its turn, and never
forces a liquidation.

Sources: Mango (2022-10-11) and Hyperliquid JELLY (2025-03-26), where margin left while the
position stayed; Ronin (2022-03-23), where nothing limited the outflow.
"""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
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
from novate.chain.harness import actor

HOURLY = 100 * USD
OWNERS = [actor(f"saver {index}") for index in range(4)]


def ready(deposited: int = 2000 * USD, lots: int = 10) -> Bench:
    """The trader holds 10 lots at 1,000 (initial margin 1,500) on ``deposited``."""
    bench = Bench()
    bench.list_token(bench.usd)
    bench.ledger.call("set_mark", 1, 1000 * WAD)
    bench.deposit(bench.usd, LIQUIDATOR, 100_000 * USD)
    bench.deposit(bench.usd, TRADER, deposited)
    bench.ledger.call("set_lots", account(TRADER), 1, lots)
    return bench


def request(bench: Bench, amount: int) -> tuple[str, bytes, str]:
    arguments = (account(TRADER), bench.usd.address, amount)
    bench.custody.call("request_withdrawal", *arguments, sender=TRADER)
    bench.chain.advance(60)
    return ("withdraw", account(TRADER), bench.usd.address)


def test_margin_does_not_leave_while_the_position_stays() -> None:
    bench = ready()
    withdraw = request(bench, 501 * USD)
    refused(errors.InsufficientMargin, bench.custody, *withdraw, sender=TRADER)
    bench.custody.call("cancel_withdrawal", account(TRADER), bench.usd.address, sender=TRADER)
    bench.custody.call(*request(bench, 500 * USD), sender=TRADER)
    refused(errors.NotLiquidatable, bench.auctioneer, "start", account(TRADER), sender=STRANGER)


def test_the_worst_price_counts() -> None:
    bench = ready()
    withdraw = request(bench, 500 * USD)
    bench.ledger.call("set_corrections", account(TRADER), 0, 1)
    refused(errors.InsufficientMargin, bench.custody, *withdraw, sender=TRADER)


def test_a_loss_in_the_notice_counts() -> None:
    bench = ready()
    withdraw = request(bench, 500 * USD)
    bench.ledger.call("set_mark", 1, 999 * WAD)
    refused(errors.InsufficientMargin, bench.custody, *withdraw, sender=TRADER)


def test_nothing_leaves_an_auction_and_a_request_made_before_does_not_help() -> None:
    bench = ready()
    withdraw = request(bench, 500 * USD)
    bench.ledger.call("set_mark", 1, 850 * WAD)
    bench.auctioneer.call("start", account(TRADER), sender=STRANGER)
    refused(errors.InAuction, bench.custody, *withdraw, sender=TRADER)
    bench.custody.call("cancel_withdrawal", account(TRADER), bench.usd.address, sender=TRADER)
    again = ("request_withdrawal", account(TRADER), bench.usd.address, USD)
    refused(errors.InAuction, bench.custody, *again, sender=TRADER)


def test_only_the_owner_asks_and_only_the_owner_is_paid() -> None:
    bench = ready()
    steal = ("request_withdrawal", account(TRADER), bench.usd.address, USD)
    refused(errors.NotOwner, bench.custody, *steal, sender=STRANGER)
    bench.custody.call(*request(bench, USD), sender=STRANGER)
    assert bench.usd.view("balanceOf", TRADER) == USD
    assert bench.usd.view("balanceOf", STRANGER) == 0


def test_a_thief_of_all_keys_waits_hours_for_what_the_pool_holds() -> None:
    """With governance too: a looser limit is a week away."""
    bench = ready()
    now = bench.chain.timestamp
    arguments = (account(LIQUIDATOR), bench.usd.address, 100_000 * USD)
    bench.custody.call("request_withdrawal", *arguments, sender=LIQUIDATOR)
    eligible_at = bench.event("WithdrawalRequested")["eligible_at"]
    assert eligible_at >= now + 8 * 3600
    loose = ("set_limits", bench.usd.address, 10**9 * USD, 10**9 * USD, 60)
    bench.custody.call(*loose, sender=GOVERNOR)
    assert bench.custody.view("queue", bench.usd.address)[1] == 10_200 * USD
    bench.chain.advance(3600)
    withdraw = ("withdraw", account(LIQUIDATOR), bench.usd.address)
    refused(errors.NotYet, bench.custody, *withdraw, sender=LIQUIDATOR)


def test_governance_cannot_freeze_withdrawals() -> None:
    bench = ready()
    bench.custody.call("set_limits", bench.usd.address, 0, 0, 86_400, sender=GOVERNOR)
    bench.custody.call("set_deposit_cap", bench.usd.address, 0, sender=GOVERNOR)
    withdraw = request(bench, 100 * USD)
    bench.chain.advance(86_400 - 60)
    bench.custody.call(*withdraw, sender=TRADER)


STEP = st.tuples(
    st.integers(0, 3),
    st.sampled_from(["request", "cancel"]),
    st.integers(1, 250),
    st.integers(0, 5000),
)


@settings(max_examples=25)
@given(steps=st.lists(STEP, min_size=5, max_size=30))
def test_whatever_is_asked_the_outflow_stays_within_its_limit(
    steps: list[tuple[int, str, int, int]],
) -> None:
    """By time t at most (t + 1 h) of the limit through the queue, and one limit a clock hour
    through floors.
    """
    bench = Bench()
    bench.list_token(bench.usd)
    bench.custody.call("set_limits", bench.usd.address, HOURLY, 40 * USD, 60, sender=GOVERNOR)
    for owner in OWNERS:
        bench.deposit(bench.usd, owner, 250 * USD)
    began = bench.chain.timestamp
    out: list[tuple[int, int]] = []
    for index, action, whole, wait in steps:
        owner = OWNERS[index]
        amount, eligible_at, expires_at = bench.custody.view(
            "request", account(owner), bench.usd.address
        )
        now = bench.chain.timestamp
        if action == "cancel" and amount:
            bench.custody.call("cancel_withdrawal", account(owner), bench.usd.address, sender=owner)
        elif amount and eligible_at <= now <= expires_at:
            bench.custody.call("withdraw", account(owner), bench.usd.address, sender=owner)
            out.append((now, amount))
        elif not amount and whole * WAD <= bench.cash(account(owner)):
            arguments = (account(owner), bench.usd.address, whole * USD)
            bench.custody.call("request_withdrawal", *arguments, sender=owner)
        bench.chain.advance(wait)
    total = 0
    for at, amount in out:
        total += amount
        hours = at // 3600 - began // 3600 + 1
        assert total <= HOURLY * (at - began + 3600) // 3600 + HOURLY * hours
    booked = bench.custody.view("token", bench.usd.address)[0]
    assert booked == 1000 * USD - total == bench.usd.view("balanceOf", bench.custody.address)
