"""dYdX v3 YFI, 2023-11-17, about 9 m USD of insurance: open interest 0.8 → 67 m over 100 wallets,
profits re-levered.

Source: RULES.md, incidents. What must hold: margin grows with open interest, whoever holds it, so
that splitting an account gains nothing; concentration costs; insurance pays at most a cap
(test_rule_16_bad_debt_in_order.py).
"""

from __future__ import annotations

import itertools

from support.clearing import Clearing
from support.core import BTC, ORACLE_PER_USD, trader

from novate.model import ledger
from novate.units import WAD

WALLETS = [trader(f"wallet {i}") for i in range(10)]
MAKER = trader("market maker")


def market(lots_each: int, wallets: list[int]) -> Clearing:
    """Every wallet buys from one maker."""
    core = Clearing()
    core.run("timelock", "set_caps", ledger.set_caps, BTC, 10**8, 10**8)
    core.fund(MAKER, 10**9)
    for wallet in wallets:
        core.fund(wallet, 10**8)
        assert core.trade(wallet, MAKER, lots_each, 60_000) == "settled"
    return core


def margin_of(core: Clearing, lots: int) -> int:
    return core.evaluate({BTC: lots}).margin_maintenance


def test_margin_a_lot_grows_with_the_open_interest_of_all() -> None:
    """Nothing below 100 m USD; 2.5 % at 300 m; 5 % from 500 m: a third more than the scan range
    asks.
    """
    core = market(1, [])
    found = []
    core.fund(WALLETS[0], 10**9)
    for lots in (1_600_000, 3_400_000, 3_400_000):
        assert core.trade(WALLETS[0], MAKER, lots, 60_000) == "settled"
        found.append(margin_of(core, 1000) * 100 / (60_000 * WAD))
    assert found == [15.0, 17.5, 20.0]


def test_splitting_an_account_gains_nothing_on_open_interest() -> None:
    """Ten wallets or one: each lot carries the same charge, and all together as much as one
    account.
    """
    many, one = market(80_000, WALLETS), market(800_000, WALLETS[:1])
    core_interest = [c.clearinghouse.view("market", BTC)[1] & (2**44 - 1) for c in (many, one)]
    assert core_interest == [800_000, 800_000]
    for core in (many, one):
        assert core.trade(MAKER, WALLETS[0], 1, 60_000) == "settled"
    crowded = []
    for core in (many, one):
        core.fund(WALLETS[9], 10**9)
        core.fund(trader("more"), 10**9)
        assert core.trade(trader("more"), MAKER, 4_000_000, 60_000) == "settled"
        crowded.append(margin_of(core, 1000))
    assert crowded[0] == crowded[1]
    scan = 1000 * 60 * WAD * 150_000 // 10**6
    assert crowded[0] > scan * 11 // 10
    assert 10 * margin_of(many, 80_000) >= 10 * 80 * scan


def test_a_profit_is_re_levered_against_ever_dearer_margin() -> None:
    """Profit counts as margin at once, so the attack must meet the charge: the leverage it can
    reach falls.
    """
    core = Clearing()
    core.run("timelock", "set_caps", ledger.set_caps, BTC, 10**8, 10**8)
    core.fund(MAKER, 10**9)
    core.fund(WALLETS[0], 10**6)
    leverage, lots = [], 0
    for usd in (60_000, 66_000, 72_600, 79_860, 87_846):
        core.walk(usd)
        step = 2**20
        while step:
            if core.trade(WALLETS[0], MAKER, step, usd) == "settled":
                lots += step
            else:
                step //= 2
        leverage.append(lots * usd / 1000 / (core.health(WALLETS[0]).equity / WAD))
    assert leverage[0] > 5
    assert all(b < a for a, b in itertools.pairwise(leverage))
    assert core.lots(WALLETS[0]) == lots


def test_the_average_holds_back_what_a_push_of_the_mark_would_buy() -> None:
    """Right after a jump the gain is not margin yet for more risk: the average is still where it
    was.
    """
    core = market(100, WALLETS[:1])
    free = core.pay_out(WALLETS[0], 10**8 - 10**6)
    assert free is None
    core.price(60_000, btc_mark=63_000 * ORACLE_PER_USD)
    found = core.health(WALLETS[0])
    gain = found.equity - 10**6 * WAD
    assert gain > 290 * WAD
    assert found.valuation.penalty >= gain * 9 // 10
