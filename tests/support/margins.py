"""Random worlds, portfolios and open orders, for properties of margin."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from novate.model.account import Account, gains
from novate.model.ledger import Pot
from novate.model.margin import RiskGlobals
from novate.model.state import World
from novate.units import WAD
from tests.support.core import BTC, ETH, ORACLE_PER_USD, PARAMETERS, TERMS, WETH
from tests.support.model import ModelVenue

TWINS = {9: BTC, 10: ETH}  # instruments with the terms of another
PERPS = (BTC, ETH, *TWINS)
LOTS = st.integers(-(10**7), 10**7) | st.integers(-50, 50)
PORTFOLIOS = st.fixed_dictionaries(
    {**dict.fromkeys(PERPS, LOTS), WETH: st.integers(0, 10**10)}
).map(lambda held: {instrument: lots for instrument, lots in held.items() if lots})
WEI = st.sampled_from([0, 1, -1, 2, -2, 1_000, -1_000]) | st.integers(-(10**12), 10**12)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Odd prices, doubt, funding, age, grace; parameters in mid-ramp; steep and flat depth."""
    parameters = {}
    for underlying, usual in PARAMETERS.items():
        low = draw(st.sampled_from([0, usual.liquidity_low, 5_000_000]))
        span = draw(st.sampled_from([1, 1_000, 10_000_000]))
        most = draw(st.sampled_from([0, usual.liquidity_max, 500_000]))
        depth: dict[str, Any] = {"liquidity_low": low, "liquidity_high": low + span}
        credit = draw(st.sampled_from([0, 500, 1000]))
        parameters[underlying] = replace(usual, **depth, liquidity_max=most, credit=credit)
    venue = ModelVenue(parameters)
    world = venue.world
    for twin, original in TWINS.items():
        world.ledger.terms[twin] = TERMS[original]
    for feed, usd in ((0, 60_000), (1, 3_000)):
        mark = usd * ORACLE_PER_USD + draw(st.integers(-(10**13), 10**13))
        venue.feed(
            feed,
            index=usd * ORACLE_PER_USD + draw(st.integers(-(10**12), 10**12)),
            mark=mark,
            average=mark + draw(st.integers(-(10**12), 10**12)),
            confidence_ppm=draw(st.integers(0, 50_000)),
        )
    for instrument in PERPS:
        venue.market(
            instrument,
            open_interest=draw(st.integers(0, 10**7)),
            funding_index=draw(st.integers(-(10**18), 10**18)),
            rate=draw(st.integers(-1_666_666, 1_666_666)),
            accrued_at=world.now,
        )
    for underlying in draw(st.sets(st.sampled_from(sorted(PARAMETERS)))):
        old = world.risk.parameters[underlying]
        target = old.psr_target * draw(st.sampled_from([98, 100, 110])) // 100
        low = old.liquidity_low + draw(st.integers(0, 1000))
        new = replace(old, psr_from=old.psr_target, psr_target=target, psr_set_at=world.now)
        world.risk.earlier[underlying] = old
        world.risk.parameters[underlying] = replace(
            new, liquidity_low=low, liquidity_high=low + 7, credit=draw(st.integers(0, 1000))
        )
    world.risk.shared["globals"] = RiskGlobals(
        initial_ratio_ppm=draw(st.integers(1_100_000, 2_000_000)),
        credit_cap=draw(st.sampled_from([0, 10**23, 10**26])),
        credit_cap_from=draw(st.sampled_from([0, 10**23, 10**26])),
        set_at=world.now,
    )
    world.now += draw(st.sampled_from([0, 0, 0, 1, 59, 61, 43_210, 86_400]))
    if draw(st.booleans()):  # fresh prices in the end
        for feed in (0, 1):
            venue.feed(feed, timestamp=world.now)
        world.oracle.statuses[0] = replace(world.oracle.statuses[0], timestamp=world.now)
    debt = draw(st.sampled_from([0, 0, 1]))
    world.ledger.set_pot(Pot(debt=debt))
    return world


def row_of(positions: dict[int, int], cash: int, variation: int = 0) -> Account:
    """A loaded row."""
    return Account(cash=cash, variation=variation, positions=tuple(sorted(positions.items())))


def money(world: World, row: Account) -> float:
    """What a row has besides its positions, as the lanes take it."""
    return float(row.cash + gains(world, row) + row.variation)


MONEY = st.integers(-(10**24), 10**25) | st.integers(-(10**6), 10**6).map(lambda usd: usd * WAD)
