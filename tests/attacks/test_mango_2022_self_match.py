"""Mango Markets, 2022-10-11, about 115 m USD: a self-matched perp, mark 0.038 → 0.91, borrowed
against unrealised profit.

Source: RULES.md, incidents. What must hold: an attacker's extractable value ≤ its own deposit;
linked accounts cannot match.
"""

from __future__ import annotations

import pytest
from support.clearing import ACCOMPLICE, BUYER, HOUR_S, SELLER, Clearing
from support.core import ORACLE_PER_USD, WETH

from novate.model import ledger
from novate.units import WAD

DEPOSIT = 100_000


def drained(core: Clearing, account: int) -> int:
    """The most dollars that leave now, by halving."""
    total, step = 0, 2**20
    while step:
        if core.pay_out(account, step) is None:
            total += step
        else:
            step //= 2
    return total


def test_subaccounts_of_one_owner_cannot_match() -> None:
    core = Clearing()
    core.fund(BUYER + 1, DEPOSIT)
    assert core.trade(BUYER, BUYER + 1, 100, 60_000) == "SelfMatch"


@pytest.mark.parametrize("factor", [1.2, 2.0, 5.0])
def test_two_colluding_owners_get_no_more_out_than_they_put_in(factor: float) -> None:
    """The mark is pushed in rounds of 5 %; at every step, and afterwards, both withdraw what they
    can.
    """
    core = Clearing()
    core.fund(ACCOMPLICE, DEPOSIT)
    assert core.trade(BUYER, ACCOMPLICE, 5_000, 60_000) == "settled"
    taken, mark = 0, 60_000.0
    while mark < 60_000 * factor:
        mark = min(mark * 1.05, 60_000 * factor)
        core.price(60_000, btc_mark=int(mark * ORACLE_PER_USD))
        core.sweep([BUYER, ACCOMPLICE])
        taken += drained(core, BUYER) + drained(core, ACCOMPLICE)
    assert core.health(BUYER).equity > 0
    assert taken <= 2 * DEPOSIT
    for account in (BUYER, ACCOMPLICE):
        assert core.world.ledger.accounts[account].cash >= 0 or account == ACCOMPLICE


def test_unrealised_profit_borrows_nothing() -> None:
    """Cash may not go below zero by a withdrawal, whatever the account is worth."""
    core = Clearing()
    core.fund(ACCOMPLICE, DEPOSIT)
    core.trade(BUYER, ACCOMPLICE, 5_000, 60_000)
    core.walk(70_000)
    assert core.health(BUYER).equity > 149_000 * WAD
    assert core.pay_out(BUYER, DEPOSIT + 1) == "InsufficientCash"
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 10**8)
    assert core.pay_out(BUYER, DEPOSIT + 1) == "InsufficientCash"


def test_the_other_side_pays_before_the_gain_matures() -> None:
    """Two hours later the gain is cash, but the loser has been below margin, for all to liquidate,
    since the push.
    """
    core = Clearing()
    core.fund(ACCOMPLICE, DEPOSIT)
    core.trade(BUYER, ACCOMPLICE, 5_000, 60_000)
    core.price(61_000)
    assert not core.can_be_liquidated(ACCOMPLICE)
    core.walk(75_000)
    assert core.can_be_liquidated(ACCOMPLICE)
    core.sweep([BUYER, ACCOMPLICE])
    assert core.pay_out(BUYER, DEPOSIT + 1) == "InsufficientCash"
    core.advance(HOUR_S - core.chain.timestamp % HOUR_S)
    assert core.pay_out(BUYER, DEPOSIT + 1) == "InsufficientCash"
    assert core.pay_out(SELLER, 1) is None
