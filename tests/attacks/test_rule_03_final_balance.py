"""Rule 3: one check of the final balance: healthy, or no worse; price inside the band; accounts
unique.

Source: RULES.md, rule 3; MARGIN.md §3 (Derive refuses a buy-back of a short while cash leaves).
"""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, SELLER, Clearing
from support.core import BTC

from novate.model.novation import Trade
from novate.units import WAD


def leveraged(cash_usd: int, price: float) -> Clearing:
    """The seller holds a lot of cash; the buyer is long one bitcoin with ``cash_usd``; the price is
    now ``price``.
    """
    core = Clearing(cash_usd)
    core.fund(SELLER, 10**6)
    core.fund(ACCOMPLICE, 10**6)
    assert core.trade(BUYER, SELLER, 1000, 60_000) == "settled"
    core.walk(price)
    return core


def test_below_initial_margin_a_short_is_bought_back_although_cash_leaves() -> None:
    core = Clearing(cash_usd=12_500)
    core.fund(SELLER, 10**6)
    assert core.trade(SELLER, BUYER, 1000, 60_000) == "settled"
    core.walk(61_500)
    found = core.health(BUYER)
    assert found.valuation.margin_maintenance < found.equity < found.valuation.margin_initial
    assert core.trade(BUYER, SELLER, 100, 61_500, fee_taker=20 * WAD) == "settled"
    assert core.health(BUYER).cash < found.cash


def test_it_may_even_pay_a_little_more_than_the_mark() -> None:
    core = leveraged(12_500, 58_000)
    found = core.health(BUYER)
    assert found.equity < found.valuation.margin_initial
    assert core.trade(SELLER, BUYER, 500, 57_500) == "settled"
    after = core.health(BUYER)
    assert after.equity * found.valuation.margin_maintenance > (
        found.equity * after.valuation.margin_maintenance
    )


@pytest.mark.parametrize("price", [55_700, 55_000, 52_000, 49_000, 47_500])
def test_a_liquidatable_account_cannot_sell_off_market_to_an_accomplice(price: float) -> None:
    """Whatever it gives away per lot is at most health times the margin that the lot releases."""
    core = leveraged(12_500, price)
    assert core.can_be_liquidated(BUYER)
    before = core.health(BUYER)
    pair = [core.health(a).equity for a in (BUYER, ACCOMPLICE)]
    for discount in (0.049, 0.04, 0.02, 0.01):
        core.trade(ACCOMPLICE, BUYER, 1000, price * (1 - discount))
        core.trade(ACCOMPLICE, BUYER, 100, price * (1 - discount))
    after = core.health(BUYER)
    given = pair[0] - after.equity
    released = before.valuation.margin_maintenance - after.valuation.margin_maintenance
    assert given * before.valuation.margin_maintenance <= max(before.equity, 0) * released
    if before.equity > 0:
        assert after.equity > 0
    else:
        assert given == 0 and core.lots(BUYER) == 1000


def test_an_insolvent_account_leaves_no_cent_more_to_insurance() -> None:
    core = leveraged(12_500, 45_000)
    before = core.health(BUYER)
    assert before.equity < 0
    assert core.trade(ACCOMPLICE, BUYER, 1000, 44_900) == "InsufficientMargin"
    assert core.trade(ACCOMPLICE, BUYER, 1000, 45_000) == "settled"
    assert core.health(BUYER).equity == before.equity


def test_a_liquidatable_account_cannot_grow_or_turn() -> None:
    core = leveraged(12_500, 55_000)
    assert core.trade(BUYER, SELLER, 1, 55_000) == "InsufficientMargin"
    assert core.trade(SELLER, BUYER, 2100, 55_000) == "InsufficientMargin"
    assert core.trade(SELLER, BUYER, 1000, 55_000) == "settled"


def test_many_small_steps_gain_nothing_over_one() -> None:
    """Ten sales at the worst price that passes leave at least the health it began with."""
    core = leveraged(12_500, 55_000)
    before = core.health(BUYER)
    for _ in range(10):
        for discount in (0.049, 0.03, 0.02, 0.015, 0.01, 0.005, 0.0):
            if core.trade(ACCOMPLICE, BUYER, 50, 55_000 * (1 - discount)) == "settled":
                break
    after = core.health(BUYER)
    assert after.equity * before.valuation.margin_maintenance >= (
        before.equity * after.valuation.margin_maintenance
    )


def test_the_check_is_after_all_legs() -> None:
    """Two legs that each would fail, together hedged, pass; their order does not matter."""
    core = Clearing(cash_usd=1_000)
    core.fund(SELLER, 10**7)
    pair = sorted([BUYER, SELLER])
    me, other = pair.index(BUYER), pair.index(SELLER)
    long = Trade(me, other, 0, True, 2000, 60_000 * WAD)
    short = Trade(me, other, 0, False, 1990, 60_000 * WAD)
    assert core.batch(pair, [BTC], [long]) == ["InsufficientMargin"]
    assert core.batch(pair, [BTC], [long, short]) == ["settled", "settled"]
    assert core.batch(pair, [BTC], [short, long]) == ["settled", "settled"]
