"""Rule 1: round against the account, in favour of the pool; nobody earns by rounding.

Source: RULES.md, rule 1, with its vector: balances [10, 10, 10] and positions [7, −3, −4] against
an index move of 1.4 settle to [0, 14, 15], surplus 1.
"""

from __future__ import annotations

import random

from support.clearing import ACCOMPLICE, BUYER, HOUR_S, SELLER, Clearing
from support.core import BTC, TERMS, WETH, trader

from novate.model import ledger
from novate.model.instrument import PERP, Terms
from novate.model.ledger import Config
from novate.model.novation import Trade
from novate.units import WAD

DIME = 9  # a perp of 0.0001 BTC a lot: 14,000 USD of bitcoin are 1.4 USD a lot
TRIO = [trader(f"trader {i}") for i in range(3)]


def trio() -> Clearing:
    core = Clearing()
    core.set_config(Config(funding_interest_ppb=0))
    core.list_instrument(DIME, Terms(10**14, 10**18, 1_000, 1_000, 0, 0, PERP))
    for account in TRIO:
        core.fund(account, 10)
    assert core.trade(TRIO[0], TRIO[1], 3, 60_000, instrument=DIME) == "settled"
    assert core.trade(TRIO[0], TRIO[2], 4, 60_000, instrument=DIME) == "settled"
    assert [core.lots(account, DIME) for account in TRIO] == [7, -3, -4]
    return core


def most_paid_out(core: Clearing, account: int) -> int:
    """Whole dollars that leave, one after the other."""
    for count in range(100):
        if core.pay_out(account, 1) is not None:
            return count
    raise AssertionError("more than it can be")


def test_the_vector_settles_to_0_14_15_with_a_surplus_of_1() -> None:
    core = trio()
    core.walk(46_000)
    tenths = [core.health(account).equity * 10 // WAD for account in TRIO]
    assert tenths == [2, 142, 156]
    assert core.trade(TRIO[1], TRIO[0], 3, 46_000, instrument=DIME) == "settled"
    assert core.trade(TRIO[2], TRIO[0], 4, 46_000, instrument=DIME) == "settled"
    core.advance(2 * HOUR_S)
    paid = [most_paid_out(core, account) for account in TRIO]
    assert paid == [0, 14, 15]
    assert sum(core.health(account).cash for account in TRIO) == WAD == (30 - sum(paid)) * WAD


def test_a_loop_of_dust_trades_earns_nothing() -> None:
    """Two accounts of one attacker trade single lots at any prices, with rounds and sweeps in
    between.
    """
    draw = random.Random(1)
    core = Clearing()
    core.fund(ACCOMPLICE, 100_000)
    pair = sorted([BUYER, ACCOMPLICE])
    start = sum(core.health(account).equity for account in pair)
    usd = 60_000.0
    for _ in range(60):
        trades = []
        for _ in range(draw.randint(1, 20)):
            price = int(usd * draw.uniform(0.96, 1.04) * WAD)
            taker = draw.randrange(2)
            price -= price % TERMS[BTC].tick
            trades.append(Trade(taker, 1 - taker, 0, draw.random() < 0.5, 1, price))
        core.batch(pair, [BTC], trades)
        if draw.random() < 0.5:
            usd *= draw.uniform(0.98, 1.02)
            core.price(usd, seconds=draw.randint(1, 50))
        if draw.random() < 0.3:
            core.sweep([draw.choice(pair)])
        assert sum(core.health(account).equity for account in pair) <= start
    assert core.claims(*pair) == start  # not a wei more, not a wei less


def test_interest_on_a_wei_is_a_wei() -> None:
    """The smallest debt pays the smallest interest, never none."""
    core = Clearing()
    assert core.trade(BUYER, SELLER, 1, 60_000, fee_taker=100_000 * WAD) == "InsufficientMargin"
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 10**6)
    assert core.trade(BUYER, SELLER, 1, 60_000, fee_taker=100_000 * WAD + 1) == "settled"
    assert core.health(BUYER).cash == -1
    core.advance(1)
    assert core.health(BUYER).cash == -2
