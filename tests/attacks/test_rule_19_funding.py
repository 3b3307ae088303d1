"""Rule 19: funding sums to zero, is none when a side is empty, is capped with its change, and never
back-filled.

Source: RULES.md, rule 19. On the real contracts; over many examples:
tests/property/test_funding.py.
"""

from __future__ import annotations

import pytest
from support.clearing import BUYER, LIQUIDATOR, SELLER, Clearing
from support.core import BTC, ORACLE_PER_USD
from support.model import START

from novate.model.ledger import Config
from novate.model.oracle import Feed

HOLDERS = (BUYER, SELLER, LIQUIDATOR)
MARK = 60_300 * ORACLE_PER_USD


@pytest.fixture
def core() -> Clearing:
    """Two longs, one short, and a mark half a percent above the index for 20 minutes: the rate is
    at its cap.
    """
    made = Clearing()
    assert made.trade(BUYER, SELLER, 500, 60_000) == "settled"
    assert made.trade(LIQUIDATOR, SELLER, 300, 60_000) == "settled"
    for _ in range(24):
        made.price(60_000, seconds=50, btc_mark=MARK)
        made.trade(SELLER, BUYER, 1, 60_300)
        made.trade(BUYER, SELLER, 1, 60_300)
    return made


def index(core: Clearing) -> int:
    terms, market, _, _ = core.world.snapshot(BTC)
    assert core.accrued(BTC)[0] == market.pack(terms)
    return market.funding_index


def test_funding_sums_to_zero_to_the_wei(core: Clearing) -> None:
    assert index(core) > 0
    assert sum(core.health(account).equity for account in HOLDERS) == 300_000 * 10**18


def test_the_rate_and_its_change_are_capped(core: Clearing) -> None:
    cap, slope = Config().funding_cap_ppb, Config().funding_slope_ppb_s
    assert core.world.snapshot(BTC)[1].rate == cap
    core.price(60_000, seconds=10)
    assert core.world.snapshot(BTC)[1].rate == cap - 10 * slope


def test_there_is_none_when_a_side_is_empty(core: Clearing) -> None:
    core.trade(SELLER, BUYER, 500, 60_300)
    core.trade(SELLER, LIQUIDATOR, 300, 60_300)
    before = index(core)
    core.price(60_000, seconds=50, btc_mark=MARK)
    assert index(core) == before
    assert core.world.snapshot(BTC)[1].rate == 0


def test_an_outage_of_all_prices_is_never_charged(core: Clearing) -> None:
    core.advance(60)
    at_the_end = index(core)
    core.advance(86_400)
    assert index(core) == at_the_end
    core.price(60_000, seconds=0, btc_mark=MARK)
    assert index(core) <= at_the_end
    core.price(60_000, seconds=10, btc_mark=MARK)
    ten_seconds = index(core)
    assert 0 <= ten_seconds <= at_the_end + at_the_end


def test_an_outage_of_one_feed_is_never_charged(core: Clearing) -> None:
    """Rounds go on with ether only: the day without bitcoin prices costs no bitcoin holder
    anything.
    """
    before = index(core)
    for _ in range(36):
        core.advance(50)
        core.price_one(1, 3_000)
    during = index(core)
    minute = Config().funding_cap_ppb * 60 * 10**18 * 60 // (28_800 * 10**9)
    assert during - before <= minute
    core.advance(1)
    core.price_one(0, 60_000, 60_300)
    assert index(core) <= during
    core.advance(10)
    core.price_one(0, 60_000, 60_300)
    assert index(core) - before <= minute
    bitcoin, ether = (Feed.unpack(core.oracle.view("feed", id)) for id in (0, 1))
    assert bitcoin.resumed_at == core.chain.timestamp - 10 > START
    assert ether.resumed_at < core.chain.timestamp - 1_000
