from __future__ import annotations

import pytest
from support.bench import LIQUIDATOR, TRADER, USD, WAD, Bench, account, refused

from novate import errors
from novate.chain.harness import actor

LOT_UNITS = 10**4


@pytest.fixture
def bench() -> Bench:
    made = Bench()
    made.list_token(made.usd)
    made.list_token(made.btc, 7, 8, 10**14, 1000)
    made.ledger.call("set_mark", 1, 1000 * WAD)
    made.ledger.call("set_mark", 7, 5 * WAD)
    return made


def test_a_portfolio_is_shown_as_stored(bench: Bench) -> None:
    trader = account(TRADER)
    bench.ledger.call("set_money", trader, -3 * WAD, 0)
    bench.ledger.call("set_lots", trader, 1, -40)
    bench.ledger.call("set_lots", trader, 7, 2)
    bench.ledger.call("set_in_auction", trader, True)
    found = bench.lens.view("portfolio", trader)
    cash, variation, gain_now, gain_previous, epoch, in_auction, instruments, lots = found
    assert (cash, variation) == (-3 * WAD, 40_000 * WAD - 10 * WAD)
    assert (gain_now, gain_previous, epoch, in_auction) == (0, 0, 0, True)
    assert (instruments, lots) == ((1, 7), (-40, 2))


def test_margin_shows_both_requirements_and_health(bench: Bench) -> None:
    trader = account(TRADER)
    bench.ledger.call("set_money", trader, 600 * WAD, 0)
    bench.ledger.call("set_lots", trader, 1, 10)
    bench.ledger.call("set_corrections", trader, 5, 7)
    found = bench.lens.view("margin", trader)
    assert found == (600 * WAD, 600 * WAD, 1500 * WAD, 1200 * WAD, 7, 5, 500_000, 0, False)
    bench.ledger.call("set_money", trader, -1, 0)
    assert bench.lens.view("margin", trader)[6] == 0
    assert bench.lens.view("margin", account(LIQUIDATOR))[6] == 2**128 - 1


def test_solvency_compares_the_sheet_with_every_claim(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 100 * USD)
    bench.deposit(bench.usd, LIQUIDATOR, 50 * USD)
    bench.deposit(bench.btc, TRADER, 3 * LOT_UNITS)
    for lots, owner in ((2, TRADER), (-2, LIQUIDATOR)):
        bench.ledger.call("set_lots", account(owner), 1, lots)
    bench.ledger.call("set_mark", 1, 1010 * WAD)
    accounts = sorted([account(TRADER), account(LIQUIDATOR)])
    tokens = [bench.usd.address, bench.btc.address]
    assets, claims, gap, sheets = bench.lens.view("solvency", accounts, tokens)
    assert (assets, claims, gap) == (150 * WAD, 150 * WAD, 0)
    usd, btc = (bench.usd.address.lower(), bench.btc.address.lower())
    assert sheets[0] == (usd, 0, 150 * USD, 150 * USD, 150 * WAD, 0)
    assert sheets[1] == (btc, 7, 3 * LOT_UNITS, 3 * LOT_UNITS, 3, 3)


def test_a_claim_without_an_asset_is_a_gap_below_zero(bench: Bench) -> None:
    bench.deposit(bench.usd, TRADER, 100 * USD)
    bench.ledger.call("set_money", account(TRADER), 90 * WAD, 11 * WAD)
    found = bench.lens.view("solvency", [account(TRADER)], [bench.usd.address])
    assert found[2] == -WAD


def test_tokens_sent_past_custody_count_for_nothing(bench: Bench) -> None:
    bench.usd.call("mint", bench.custody.address, 7 * USD)
    assets, _, _, sheets = bench.lens.view("solvency", [], [bench.usd.address])
    assert assets == 0
    assert sheets[0][2:4] == (0, 7 * USD)


def test_an_account_is_never_counted_twice(bench: Bench) -> None:
    once = account(TRADER)
    for page in ([once, once], sorted([once, account(LIQUIDATOR)], reverse=True)):
        refused(errors.NotAscending, bench.lens, "solvency", page, [], sender=TRADER)
    unknown = actor("unknown token")
    refused(errors.UnknownToken, bench.lens, "solvency", [], [unknown], sender=TRADER)


def test_a_full_page_fits(bench: Bench) -> None:
    page = [account(TRADER, number) for number in range(256)]
    assert bench.lens.view("solvency", page, [bench.usd.address])[1] == 0
