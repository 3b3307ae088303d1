"""Rule 12: a one-lot position is liquidated at a profit by somebody; dust earns its holder nothing.

Source: RULES.md, rule 12. What a bidder gets ramps from 1 % of maintenance margin to 25 % after
five minutes and to all of the equity but a millionth after fifteen. So a lot of 60 USD yields up to
about 8 USD: it pays while a bid costs less gas than that, and an account can be left alone at most
with an equity below the gas price of one bid.
"""

from __future__ import annotations

from typing import Any

import pytest
from support.core import BTC, ORACLE_PER_USD, trader
from support.venue import DOLLAR, Venue

from novate.units import WAD

HOLDER = trader("holder of one lot")
OTHER = trader("other side")
LIQUIDATOR = trader("liquidator")


@pytest.fixture
def venue() -> Venue:
    """One lot long with ten dollars fewer than it lost room for; the price fell below
    maintenance.
    """
    made = Venue()
    rounds(made, 60_000, 6)
    made.deposit(HOLDER, made.usd, 12 * DOLLAR)
    for account in (OTHER, LIQUIDATOR):
        made.deposit(account, made.usd, 10_000 * DOLLAR)
    assert made.trade(HOLDER, OTHER, BTC, 1, 60_000) == 1
    for usd in (58_000, 56_500, 55_500):
        rounds(made, usd, 3)
    return made


def rounds(venue: Venue, usd: int, count: int) -> None:
    """Rounds twenty seconds apart."""
    for _ in range(count):
        venue.advance(20)
        venue.post(usd * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)


def equity(venue: Venue, account: int) -> int:
    found: Any = venue.check(account)
    equity: int = found.equity
    return equity


@pytest.mark.parametrize(("wait", "least_percent"), [(1, 1), (15, 25), (46, 99)])
def test_one_lot_is_liquidated_at_a_profit(venue: Venue, wait: int, least_percent: int) -> None:
    """``wait`` rounds after the start the reward is at least that share of margin (at the end, of
    equity).
    """
    assert venue.start(HOLDER) is True
    rounds(venue, 55_500, wait)
    left, required = equity(venue, HOLDER), venue.check(HOLDER).valuation.margin_maintenance
    before = equity(venue, LIQUIDATOR)
    assert venue.bid(HOLDER, LIQUIDATOR, 10**6) is True
    profit = equity(venue, LIQUIDATOR) - before
    base = left if least_percent == 99 else required
    assert profit >= base * least_percent // 100 - WAD // 1000
    assert venue.check(HOLDER).positions == 0
    if least_percent == 99:
        assert profit > 7 * WAD  # dollars for one bid


def test_a_rest_below_ten_dollars_of_margin_goes_whole(venue: Venue) -> None:
    """No crumb is left that nobody would bid for."""
    venue.start(HOLDER)
    rounds(venue, 55_500, 1)
    assert venue.bid(HOLDER, LIQUIDATOR, 10_000) is True  # asks for one percent
    assert venue.check(HOLDER).positions == 0  # lots round away from zero: one lot is one lot


def test_even_an_insolvent_lot_is_taken_at_no_loss(venue: Venue) -> None:
    """Below zero the slice moves at the mark: the bidder loses nothing, the deficit goes to the
    waterfall.
    """
    venue.start(HOLDER)
    for usd in (53_000, 51_000, 49_000, 47_000):
        rounds(venue, usd, 3)
    assert equity(venue, HOLDER) < 0
    before = equity(venue, LIQUIDATOR)
    assert venue.bid(HOLDER, LIQUIDATOR, 10**6) is True
    assert equity(venue, LIQUIDATOR) >= before
