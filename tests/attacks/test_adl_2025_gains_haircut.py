"""Auto-deleveraging of 2025-10-10: 34,983 events, 19,337 accounts, 2.10 bn USD closed by a queue
that broke hedges.

Source: RULES.md, incidents. What must hold: only the deficit is allocated, pro rata to recent
gains; nobody's position is touched, so hedges stay whole; who gained nothing pays nothing. Played
through the real auction, waterfall and ledger.
"""

from __future__ import annotations

import pytest
from support.core import BTC, ETH, ORACLE_PER_USD, trader
from support.venue import DOLLAR, STRANGER, Venue

from novate.model import liquidation, waterfall
from novate.units import WAD

LOSER = trader("insolvent trader")
HEDGER = trader("hedger")
WINNER = trader("winner")
SAVER = trader("saver")
LIQUIDATOR = trader("liquidator")
OTHER = trader("other side of the hedge")
EVERYONE = [LOSER, HEDGER, WINNER, SAVER, LIQUIDATOR, OTHER]
DEFICIT_USD = 2_000


def rounds(venue: Venue, usd: int, count: int = 1) -> None:
    for _ in range(count):
        venue.advance(20)
        venue.post(usd * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)


@pytest.fixture
def venue() -> Venue:
    """One bitcoin long with 12,000 USD against two shorts, one of them hedged; then 60,000 →
    46,000.
    """
    made = Venue()
    rounds(made, 60_000, 30)
    assert made.world.now % 3600 < 1_500
    for account in EVERYONE:
        made.deposit(account, made.usd, (12_000 if account == LOSER else 50_000) * DOLLAR)
    assert made.trade(LOSER, HEDGER, BTC, 400, 60_000) == 1
    assert made.trade(LOSER, WINNER, BTC, 600, 60_000) == 1
    assert made.trade(HEDGER, OTHER, ETH, 800, 3_000) == 1
    for usd in (57_500, 55_000, 52_500, 50_000, 48_000, 46_000):
        rounds(made, usd)
    return made


def equity(venue: Venue, account: int) -> int:
    found: int = venue.check(account).equity
    return found


def liquidate(venue: Venue) -> None:
    """The insolvent account is taken over at the mark; its deficit is recorded."""
    assert venue.act(venue.auctioneer, STRANGER, "start", liquidation.start, LOSER) is True
    rounds(venue, 46_000)
    assert venue.bid(LOSER, LIQUIDATOR, 10**6) is True


def haircut(venue: Venue) -> int:
    venue.sweep(EVERYONE)
    arguments = ("execute_haircut", waterfall.execute_haircut, LOSER)
    found: int = venue.act(venue.waterfall, STRANGER, *arguments)
    return found


def test_only_the_deficit_is_cut_pro_rata_and_no_position_moves(venue: Venue) -> None:
    assert -equity(venue, LOSER) // WAD == DEFICIT_USD
    liquidate(venue)
    venue.sweep(EVERYONE)
    positions = {a: venue.world.ledger.accounts[a].positions for a in (HEDGER, WINNER, OTHER)}
    rounds(venue, 46_000, 30)
    before = {account: equity(venue, account) for account in EVERYONE}
    haircut(venue)
    lost = {account: before[account] - equity(venue, account) for account in EVERYONE}
    assert sum(lost[a] for a in (HEDGER, WINNER)) <= (DEFICIT_USD + 1) * WAD
    assert sum(lost[a] for a in (HEDGER, WINNER)) >= (DEFICIT_USD - 1) * WAD
    # as they gained, 4 to 6, but for their own funding
    assert abs(lost[HEDGER] * 600 - lost[WINNER] * 400) * 10_000 < lost[HEDGER] * 600
    assert lost[SAVER] == 0
    assert abs(lost[OTHER]) < WAD  # its gain was a few cents of funding
    for account, held in positions.items():
        assert venue.world.ledger.accounts[account].positions == held
    assert equity(venue, LOSER) <= 0
    venue.compare_all(EVERYONE)


def test_the_window_comes_first_and_anyone_may_sweep_in_it(venue: Venue) -> None:
    liquidate(venue)
    assert haircut(venue) is None  # NotYet, on both sides
    rounds(venue, 46_000, 30)
    assert haircut(venue) is not None
    assert haircut(venue) is None  # nothing is pending any more


def test_a_solvent_liquidation_cuts_nobody(venue: Venue) -> None:
    venue.deposit(LOSER, venue.usd, 5_000 * DOLLAR)
    before = [equity(venue, account) for account in (HEDGER, WINNER, SAVER)]
    liquidate(venue)
    assert haircut(venue) is None  # NoDeficit
    after = [equity(venue, account) for account in (HEDGER, WINNER, SAVER)]
    assert all(abs(a - b) < WAD // 100 for a, b in zip(after, before, strict=True))  # funding
