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
from novate.chain.harness import Contract, actor
from novate.model import custody as model

LOT_SIZE = 10**14
LOT_UNITS = 10**4
SPOT = 7


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.list_token(made.usd)
    made.list_token(made.btc, SPOT, 8, LOT_SIZE, 1000)
    return made


def limits(bench: Bench, hourly: int, account_floor: int, notice: int = 60) -> None:
    arguments = (bench.usd.address, hourly, account_floor, notice)
    bench.custody.call("set_limits", *arguments, sender=GOVERNOR)


def request(bench: Bench, owner: str, amount: int, token: Contract | None = None) -> int:
    address = (token or bench.usd).address
    bench.custody.call("request_withdrawal", account(owner), address, amount, sender=owner)
    found: int = bench.event("WithdrawalRequested")["eligible_at"]
    return found


# listing


def test_a_listed_token_starts_with_a_cap_of_zero() -> None:
    bench = Bench()
    arguments = (bench.btc.address, SPOT, 8, LOT_SIZE, 50)
    bench.custody.call("set_token", *arguments, sender=GOVERNOR)
    event = bench.event("TokenListed")
    assert event == {
        "token": bench.btc.address.lower(),
        "instrument": SPOT,
        "decimals": 8,
        "lot_units": LOT_UNITS,
        "cap_step": 50,
    }
    assert bench.custody.view("token", bench.btc.address) == (0, 0, 8, SPOT, LOT_UNITS)
    bench.fund(bench.btc, TRADER, LOT_UNITS)
    call = ("deposit", bench.btc.address, account(TRADER), LOT_UNITS)
    refused(errors.DepositCap, bench.custody, *call, sender=TRADER)


@pytest.mark.parametrize(
    ("instrument", "decimals", "lot_size", "cap_step", "error"),
    [
        (0, 5, 0, 1, errors.OutOfBounds),
        (0, 19, 0, 1, errors.OutOfBounds),
        (0, 6, 0, 2**48, errors.OutOfBounds),
        (0, 18, 0, 1, errors.BadTerms),  # the token itself says 6
        (2**20, 6, LOT_SIZE, 1, errors.BadTerms),
        (0, 6, LOT_SIZE, 1, errors.BadTerms),  # cash has no lots
        (1, 6, LOT_SIZE, 1, errors.BadTerms),  # not a spot instrument
        (SPOT, 6, 2 * LOT_SIZE, 1, errors.BadTerms),  # not the listed lot size
    ],
)
def test_a_token_with_inconsistent_terms_is_not_listed(
    instrument: int, decimals: int, lot_size: int, cap_step: int, error: errors.Error
) -> None:
    bench = Bench()
    call = ("set_token", bench.usd.address, instrument, decimals, lot_size, cap_step)
    refused(error, bench.custody, *call, sender=GOVERNOR)


def test_only_governance_lists_and_limits_and_only_once(bench: Bench) -> None:
    usd = bench.usd.address
    call = ("set_token", usd, 0, 6, 0, 1)
    refused(errors.NotAuthorized, bench.custody, *call, sender=STRANGER)
    refused(errors.AlreadyListed, bench.custody, *call, sender=GOVERNOR)
    refused(errors.NotAuthorized, bench.custody, "set_deposit_cap", usd, 1, sender=STRANGER)
    refused(errors.NotAuthorized, bench.custody, "set_limits", usd, 1, 1, 60, sender=STRANGER)
    unknown = actor("unknown token")
    refused(errors.UnknownToken, bench.custody, "set_deposit_cap", unknown, 1, sender=GOVERNOR)
    refused(errors.UnknownToken, bench.custody, "set_limits", unknown, 1, 1, 60, sender=GOVERNOR)


def test_a_cap_at_most_doubles_plus_one_step(bench: Bench) -> None:
    btc = bench.btc.address
    refused(errors.TooFast, bench.custody, "set_deposit_cap", btc, 3001, sender=GOVERNOR)
    bench.custody.call("set_deposit_cap", btc, 3000, sender=GOVERNOR)
    assert bench.event("DepositCapSet") == {"token": btc.lower(), "cap": 3000}
    bench.custody.call("set_deposit_cap", btc, 0, sender=GOVERNOR)
    refused(errors.OutOfBounds, bench.custody, "set_deposit_cap", btc, 2**48, sender=GOVERNOR)


# deposits


def test_a_deposit_credits_cash_in_wad(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 5 * USD)
    assert bench.event("Deposited") == {
        "account": account(TRADER),
        "token": bench.usd.address.lower(),
        "amount": 5 * USD,
    }
    assert bench.cash(account(TRADER)) == 5 * WAD
    assert bench.custody.view("token", bench.usd.address)[0] == 5 * USD
    assert bench.usd.view("balanceOf", bench.custody.address) == 5 * USD
    assert bench.ledger.view("last_caller").lower() == bench.custody.address.lower()


def test_anyone_may_deposit_for_any_account(bench: Bench) -> None:
    bench.fund(bench.usd, STRANGER, USD)
    call = ("deposit", bench.usd.address, account(TRADER, 7), USD)
    bench.custody.call(*call, sender=STRANGER)
    assert bench.cash(account(TRADER, 7)) == WAD


def test_a_spot_deposit_credits_whole_lots_only(bench: Bench) -> None:
    bench.deposit(bench.btc, TRADER, 3 * LOT_UNITS)
    assert bench.ledger.view("lots", account(TRADER), SPOT) == 3
    bench.fund(bench.btc, TRADER, LOT_UNITS)
    call = ("deposit", bench.btc.address, account(TRADER), LOT_UNITS - 1)
    refused(errors.NotWholeLots, bench.custody, *call, sender=TRADER)


def test_deposits_that_cannot_be_are_refused(bench: Bench) -> None:
    usd, trader = bench.usd.address, account(TRADER)
    bench.fund(bench.usd, TRADER, USD)
    unknown = actor("unknown token")
    refused(errors.UnknownToken, bench.custody, "deposit", unknown, trader, USD, sender=TRADER)
    refused(errors.ZeroAmount, bench.custody, "deposit", usd, trader, 0, sender=TRADER)
    nobody = (7).to_bytes(32, "big")
    refused(errors.UnknownAccount, bench.custody, "deposit", usd, nobody, USD, sender=TRADER)
    for amount in (10**9 * USD + 1, 2**256 - 1):
        refused(errors.DepositCap, bench.custody, "deposit", usd, trader, amount, sender=TRADER)
    refused(errors.TransferFailed, bench.custody, "deposit", usd, trader, USD + 1, sender=TRADER)


# withdrawals


def test_a_withdrawal_pays_the_owner_after_the_notice(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 100 * USD)
    eligible_at = request(bench, TRADER, 10 * USD)
    assert eligible_at == bench.chain.timestamp + 60
    found = bench.custody.view("request", account(TRADER), bench.usd.address)
    assert found == (10 * USD, eligible_at, eligible_at + 86_400)
    withdraw = ("withdraw", account(TRADER), bench.usd.address)
    bench.chain.advance(59)
    refused(errors.NotYet, bench.custody, *withdraw, sender=STRANGER)
    bench.chain.advance(1)
    bench.custody.call(*withdraw, sender=STRANGER)
    assert bench.event("Withdrawn")["amount"] == 10 * USD
    assert bench.usd.view("balanceOf", TRADER) == 10 * USD
    assert bench.cash(account(TRADER)) == 90 * WAD
    assert bench.custody.view("token", bench.usd.address)[0] == 90 * USD
    refused(errors.NoRequest, bench.custody, *withdraw, sender=STRANGER)
    assert bench.custody.view("request", account(TRADER), bench.usd.address) == (0, 0, 0)


def test_a_spot_withdrawal_moves_whole_lots(bench: Bench) -> None:
    bench.deposit(bench.btc, TRADER, 50 * LOT_UNITS)
    call = ("request_withdrawal", account(TRADER), bench.btc.address)
    refused(errors.NotWholeLots, bench.custody, *call, LOT_UNITS + 1, sender=TRADER)
    bench.deposit(bench.btc, LIQUIDATOR, 50 * LOT_UNITS)
    refused(errors.InsufficientCash, bench.custody, *call, 51 * LOT_UNITS, sender=TRADER)
    request(bench, TRADER, 2 * LOT_UNITS, bench.btc)
    bench.chain.advance(60)
    bench.custody.call("withdraw", account(TRADER), bench.btc.address, sender=TRADER)
    assert bench.ledger.view("lots", account(TRADER), SPOT) == 48
    assert bench.btc.view("balanceOf", TRADER) == 2 * LOT_UNITS


def test_requests_that_cannot_be_are_refused(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 10 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 10 * USD)
    custody, usd, trader = bench.custody, bench.usd.address, account(TRADER)
    call = ("request_withdrawal", trader, usd)
    refused(errors.ZeroAmount, custody, *call, 0, sender=TRADER)
    refused(errors.NotOwner, custody, *call, USD, sender=STRANGER)
    unknown = ("request_withdrawal", trader, actor("unknown token"), USD)
    refused(errors.UnknownToken, custody, *unknown, sender=TRADER)
    refused(errors.InsufficientCash, custody, *call, 10 * USD + 1, sender=TRADER)
    refused(errors.InsufficientCash, custody, *call, 2**255, sender=TRADER)
    bench.ledger.call("set_in_auction", trader, True)
    refused(errors.InAuction, custody, *call, USD, sender=TRADER)
    bench.ledger.call("set_in_auction", trader, False)
    request(bench, TRADER, USD)
    refused(errors.RequestOpen, custody, *call, USD, sender=TRADER)


def test_a_lapsed_request_is_not_executed_and_gives_way(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 10 * USD)
    request(bench, TRADER, USD)
    bench.chain.advance(60 + 86_401)
    withdraw = ("withdraw", account(TRADER), bench.usd.address)
    refused(errors.RequestExpired, bench.custody, *withdraw, sender=TRADER)
    request(bench, TRADER, USD)
    bench.chain.advance(60)
    bench.custody.call(*withdraw, sender=TRADER)


def test_only_the_owner_cancels(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 10 * USD)
    call = ("cancel_withdrawal", account(TRADER), bench.usd.address)
    refused(errors.NoRequest, bench.custody, *call, sender=TRADER)
    request(bench, TRADER, USD)
    refused(errors.NotOwner, bench.custody, *call, sender=STRANGER)
    bench.custody.call(*call, sender=TRADER)
    assert bench.event("WithdrawalCancelled")["amount"] == USD
    refused(
        errors.NoRequest,
        bench.custody,
        "withdraw",
        account(TRADER),
        bench.usd.address,
        sender=TRADER,
    )


# the queue


def test_the_queue_paces_net_outflow_by_a_tenth_of_the_balance_an_hour(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 600 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 400 * USD)
    now = bench.chain.timestamp
    assert (
        request(bench, TRADER, 300 * USD) == now + 2 * 3600
    )  # three hours' worth, one of them at once
    assert request(bench, LIQUIDATOR, 50 * USD) == now + 2 * 3600 + 1800
    clock, hourly, _, _ = bench.custody.view("queue", bench.usd.address)
    assert (clock, hourly) == ((now + 12_600) * 1000, 100 * USD)


def test_cancelling_gives_back_only_what_lies_ahead(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 1000 * USD)
    now = bench.chain.timestamp
    request(bench, TRADER, 300 * USD)
    bench.chain.advance(3600)
    bench.custody.call("cancel_withdrawal", account(TRADER), bench.usd.address, sender=TRADER)
    assert bench.custody.view("queue", bench.usd.address)[0] == (now + 3600) * 1000
    bench.chain.advance(3600)
    request(bench, TRADER, 100 * USD)
    bench.chain.advance(7200)
    bench.custody.call("cancel_withdrawal", account(TRADER), bench.usd.address, sender=TRADER)
    assert bench.custody.view("queue", bench.usd.address)[0] == (now + 3 * 3600) * 1000


def test_deposits_move_the_clock_back_but_never_below_now(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 900 * USD)
    now = bench.chain.timestamp
    request(bench, TRADER, 270 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 100 * USD)  # an hour's worth of the new balance
    assert bench.custody.view("queue", bench.usd.address)[0] == (now + 2 * 3600) * 1000
    bench.deposit(bench.usd, LIQUIDATOR, 9000 * USD)
    assert bench.custody.view("queue", bench.usd.address)[0] == now * 1000


def test_a_floor_skips_the_queue_once_an_hour_and_not_the_notice(bench: Bench) -> None:
    limits(bench, 100 * USD, 30 * USD)
    bench.deposit(bench.usd, TRADER, 1000 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 1000 * USD)
    request(bench, TRADER, 1000 * USD)
    now = bench.chain.timestamp
    assert request(bench, LIQUIDATOR, 30 * USD) == now + 60
    bench.chain.advance(60)
    usd = bench.usd.address
    bench.custody.call("withdraw", account(LIQUIDATOR), usd, sender=LIQUIDATOR)
    later = request(bench, LIQUIDATOR, 30 * USD)
    assert later > now + 4 * 3600
    bench.custody.call("cancel_withdrawal", account(LIQUIDATOR), usd, sender=LIQUIDATOR)
    bench.chain.advance(3540)
    assert request(bench, LIQUIDATOR, 31 * USD) > now + 4 * 3600  # above the floor
    bench.custody.call("cancel_withdrawal", account(LIQUIDATOR), usd, sender=LIQUIDATOR)
    assert request(bench, LIQUIDATOR, 30 * USD) == now + 3600 + 60


def test_all_floors_of_an_hour_share_one_limit(bench: Bench) -> None:
    limits(bench, 100 * USD, 60 * USD)
    bench.chain.advance(3600 - bench.chain.timestamp % 3600)
    for name in ("first", "second", "whale"):
        bench.deposit(bench.usd, actor(name), 300 * USD)
    now = bench.chain.timestamp
    request(bench, actor("whale"), 300 * USD)
    assert request(bench, actor("first"), 60 * USD) == now + 60
    assert request(bench, actor("second"), 60 * USD) > now + 60


def test_a_looser_limit_waits_seven_days_and_a_tighter_one_does_not(bench: Bench) -> None:
    limits(bench, 100, 10, 3600)
    assert bench.event("LimitsSet")["effective_at"] == bench.chain.timestamp  # the sheet is empty
    bench.deposit(bench.usd, TRADER, USD)
    limits(bench, 10 * USD, 5, 600)
    assert bench.event("LimitsSet")["effective_at"] == bench.chain.timestamp + 604_800
    assert bench.custody.view("queue", bench.usd.address)[2:] == (5, 3600)
    bench.chain.advance(604_799)
    assert bench.custody.view("queue", bench.usd.address)[2:] == (5, 3600)
    bench.chain.advance(1)
    assert bench.custody.view("queue", bench.usd.address)[1:] == (10 * USD, 5, 600)
    limits(bench, 0, 5, 7200)
    assert bench.custody.view("queue", bench.usd.address)[1:] == (USD // 10, 5, 7200)


@pytest.mark.parametrize(
    ("hourly", "account_floor", "notice"),
    [(2**96, 0, 60), (0, 2**96, 60), (0, 0, 59), (0, 0, 86_401)],
)
def test_limits_stay_within_their_bounds(
    bench: Bench, hourly: int, account_floor: int, notice: int
) -> None:
    call = ("set_limits", bench.usd.address, hourly, account_floor, notice)
    refused(errors.OutOfBounds, bench.custody, *call, sender=GOVERNOR)


def test_the_queue_arithmetic_equals_the_models() -> None:
    maths = Bench().deploy_test("SettlementMath")
    for balance in (0, 1, 9, 10, 10**12 + 7, 2**108):
        for hourly in (0, 1, 10**9, 2**96 - 1):
            limit = model.hourly_limit(balance, hourly)
            assert maths.view("limit", balance, hourly) == limit
            for amount in (1, 7, balance + 1):
                assert maths.view("step_up", amount, limit) == model.step_up(amount, limit)
                for clock in (0, 999, 1_760_000_000_000, 1_760_003_600_001):
                    now_ms = 1_760_000_000_000
                    found = maths.view("after_deposit", clock, now_ms, amount, limit)
                    assert found == model.after_deposit(clock, now_ms, amount, limit)
    for slot_end_ms in (3_600_000, 3_600_001, 1_760_000_000_999):
        assert maths.view("comes_up_at", slot_end_ms) == model.comes_up_at(slot_end_ms)
