"""Rule 2: funding and interest of both sides accrue before any check or change; a change is never
retroactive.

Source: RULES.md, rule 2.
"""

from __future__ import annotations

from dataclasses import replace

from support.clearing import BUYER, HOUR_S, LIQUIDATOR, SELLER, Clearing
from support.core import BTC, ORACLE_PER_USD, WETH

from novate.model import ledger
from novate.model.ledger import Config
from novate.units import WAD

MARK = 60_120 * ORACLE_PER_USD


def running() -> Clearing:
    """Open positions and a funding rate that has run for ten minutes."""
    core = Clearing()
    core.trade(BUYER, SELLER, 500, 60_000)
    for _ in range(12):
        core.price(60_000, seconds=50, btc_mark=MARK)
    return core


def test_changing_a_rate_changes_no_equity() -> None:
    core = running()
    before = [core.health(a).equity for a in (BUYER, SELLER)]
    extreme = replace(Config(), funding_interest_ppb=1_000_000, funding_cap_ppb=10_000_000)
    core.set_config(replace(extreme, funding_slope_ppb_s=1_000_000, borrow_rate_wad_s=2**32 - 1))
    assert [core.health(a).equity for a in (BUYER, SELLER)] == before
    core.compare([BUYER, SELLER])


def test_the_time_before_a_change_is_charged_at_the_old_rate() -> None:
    changed, control = running(), running()
    changed.set_config(replace(Config(), funding_cap_ppb=0, funding_slope_ppb_s=1_000_000))
    control.sweep([BUYER])
    index = [core.world.snapshot(BTC)[1].funding_index for core in (changed, control)]
    assert index[0] == index[1] > 0
    for core in (changed, control):
        core.price(60_000, seconds=50, btc_mark=MARK)
    later = [core.world.snapshot(BTC)[1].funding_index for core in (changed, control)]
    assert later[0] == index[0] and later[1] > index[1]


def test_interest_owed_before_a_change_is_at_the_old_rate() -> None:
    core = Clearing()
    core.run("custody", "credit", ledger.credit, BUYER, WETH, 30 * 10**6)
    core.pay_out(BUYER, 100_000)
    core.trade(BUYER, SELLER, 1, 60_000, fee_taker=1000 * WAD)
    core.advance(HOUR_S)
    owed = core.health(BUYER).cash
    core.set_config(replace(Config(), borrow_rate_wad_s=0))
    assert core.health(BUYER).cash == owed < -1000 * WAD
    core.advance(HOUR_S)
    assert core.health(BUYER).cash == owed


def test_who_comes_late_pays_nothing_for_the_time_before() -> None:
    core = running()
    assert core.trade(LIQUIDATOR, SELLER, 500, 60_120) == "settled"
    assert core.health(LIQUIDATOR).equity == 100_000 * WAD
    assert core.health(BUYER).equity < 100_060 * WAD  # it paid funding out of its 60 USD of gain


def test_every_check_counts_funding_up_to_now() -> None:
    """Nobody need touch the market for the margin to know what it owes."""
    core = running()
    stored = core.clearinghouse.view("market", BTC)[1]
    first = core.health(BUYER).equity
    core.price(60_000, seconds=50, btc_mark=MARK)
    assert core.health(BUYER).equity < first
    assert core.clearinghouse.view("market", BTC)[1] == stored
