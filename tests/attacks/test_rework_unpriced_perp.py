"""A perp that is listed before its feed has a price harms nobody: neither the batch that a trade of
it comes with (I13), nor governance, whose new configuration accrues every perp.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from support.clearing import BUYER, SELLER, Clearing, pack_positions
from support.core import BTC, ORACLE_PER_USD

from novate.chain.harness import CallReverted
from novate.model import oracle
from novate.model.instrument import PERP, Terms
from novate.model.novation import Trade
from novate.units import WAD

NEW_PERP, NEW_FEED = 7, 9
PAIR = sorted([BUYER, SELLER])


@pytest.fixture
def core() -> Clearing:
    made = Clearing()
    terms = Terms(10**15, 5 * 10**17, 10_000_000, 2_000_000, 0, NEW_FEED, PERP)
    made.list_instrument(NEW_PERP, terms)
    return made


def trades(price_usd: int) -> list[Trade]:
    """One of bitcoin, one of the new perp."""
    return [
        Trade(0, 1, 0, True, 10, 60_000 * WAD),
        Trade(0, 1, 1, True, 10, price_usd * WAD),
    ]


@pytest.mark.parametrize("price_usd", [0, 1, 60_000])
def test_a_trade_without_a_price_to_judge_it_by_is_skipped_alone(
    core: Clearing, price_usd: int
) -> None:
    found = core.batch(PAIR, [BTC, NEW_PERP], trades(price_usd))
    assert found == ["settled", "UnknownInstrument"]
    assert core.lots(BUYER) - core.lots(SELLER) == (20 if PAIR[0] == BUYER else -20)


def test_the_configuration_can_change_before_the_price_is_there(core: Clearing) -> None:
    wider = replace(core.world.ledger.config, trade_band_ppm=60_000)
    assert core.set_config(wider) is None
    assert core.world.ledger.config.trade_band_ppm == 60_000
    core.compare(PAIR)


def test_nobody_values_a_position_without_a_price(core: Clearing) -> None:
    """No row is kept: the same question of a listed and priced perp is answered."""
    with pytest.raises(CallReverted):
        core.risk.call("evaluate", pack_positions({BTC: 1, NEW_PERP: 1}))
    core.evaluate({BTC: 1})


def test_the_first_price_opens_the_perp(core: Clearing) -> None:
    assert core.batch(PAIR, [BTC, NEW_PERP], trades(60_000))[1] == "UnknownInstrument"
    core.by("timelock", core.oracle, "register_feed", NEW_FEED)
    oracle.register_feed(core.world, core.address["timelock"], NEW_FEED)
    core.world.take_events()
    core.advance(10)
    core.price_one(NEW_FEED, 60_000)
    assert core.world.oracle.feeds[NEW_FEED].mark == 60_000 * ORACLE_PER_USD
    assert core.batch(PAIR, [BTC, NEW_PERP], trades(60_000)) == ["settled", "settled"]
    core.settle_in(100)
    core.advance(10)
    core.price_one(NEW_FEED, 60_100)
    assert core.health(BUYER).equity != core.health(SELLER).equity
