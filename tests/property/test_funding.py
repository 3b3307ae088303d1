"""Funding: idempotent, capped, none without holders, never for an outage, and zero in sum (rule
19).
"""

from __future__ import annotations

from dataclasses import replace

from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.core import BTC, ETH, ORACLE_PER_USD, TERMS, WETH, trader
from support.model import ModelVenue

from novate.model.funding import INDEX_MAX, funding_rate, project
from novate.model.instrument import LOT_EXPONENTS, Market
from novate.model.ledger import Config
from novate.model.oracle import MASK_56, Feed
from novate.model.packed import to_unsigned
from novate.units import PPB, WAD

CONFIG = Config()
PRICES = st.integers(1, MASK_56)
RATES = st.integers(-CONFIG.funding_cap_ppb, CONFIG.funding_cap_ppb)
SECONDS = st.integers(0, 10**6)
EXPONENTS = st.sampled_from(LOT_EXPONENTS)
STALE_AFTER = 60
USD = ORACLE_PER_USD


def step(market: Market, index: int, mark: int, seen: int, now: int, resumed_at: int = 0) -> Market:
    """Project the bitcoin perp with a feed last seen at ``seen``."""
    feed = Feed(index, mark, mark, 0, seen, resumed_at)
    return project(market, TERMS[BTC], feed, STALE_AFTER, CONFIG, now)


@given(PRICES, PRICES, RATES, st.integers(1, 10**9), SECONDS)
def test_projecting_twice_at_one_time_changes_nothing_more(
    index: int, mark: int, rate: int, interest: int, seconds: int
) -> None:
    market = Market(0, rate, 1000, interest)
    once = step(market, index, mark, 1000 + seconds, 1000 + seconds)
    assert step(once, index, mark, 1000 + seconds, 1000 + seconds) == once


@given(PRICES, PRICES, RATES, SECONDS)
def test_the_rate_is_capped_and_so_is_its_change(
    index: int, mark: int, rate: int, seconds: int
) -> None:
    found = funding_rate(rate, index, mark, seconds, CONFIG)
    assert abs(found) <= CONFIG.funding_cap_ppb
    assert abs(found - rate) <= CONFIG.funding_slope_ppb_s * seconds
    if mark == index and seconds > 10_000:
        assert found == CONFIG.funding_interest_ppb


@given(PRICES, PRICES, RATES)
def test_longs_pay_when_the_mark_is_far_above_and_get_when_far_below(
    index: int, mark: int, rate: int
) -> None:
    settled = funding_rate(rate, index, mark, 10**6, CONFIG)
    if mark * 1000 > index * 1001:
        assert settled > 0
    if mark * 1000 < index * 999:
        assert settled < 0


@given(PRICES, PRICES, RATES, SECONDS, st.integers(-(10**20), 10**20))
def test_without_holders_there_is_no_funding(
    index: int, mark: int, rate: int, seconds: int, cumulated: int
) -> None:
    market = Market(cumulated, rate, 1000, 0)
    assert step(market, index, mark, 1000, 1000 + seconds) == Market(
        cumulated, 0, 1000 + seconds, 0
    )


def test_spot_never_bears_funding() -> None:
    market = Market(0, 500, 0, 10**6)
    feed = Feed(3000 * USD, 3300 * USD, 3300 * USD, 0, 900)
    found = project(market, TERMS[WETH], feed, STALE_AFTER, CONFIG, 900)
    assert (found.funding_index, found.rate) == (0, 0)


@given(st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_silent_feed_charges_at_most_until_it_is_stale(age: int, more: int) -> None:
    market = Market(0, 10**6, 1000, 5)
    early = step(market, 60_000 * USD, 60_600 * USD, 1000, 1000 + min(age, STALE_AFTER))
    late = step(market, 60_000 * USD, 60_600 * USD, 1000, 1000 + age + more)
    if age + more >= STALE_AFTER and age >= STALE_AFTER:
        assert late.funding_index == early.funding_index


@given(st.integers(61, 10**6), st.integers(0, 60))
def test_an_outage_is_never_charged_afterwards(outage: int, since: int) -> None:
    """Charged is only what passed after the prices came back, whatever was accrued last."""
    market = Market(0, 10**6, 1000, 5)
    back = 1000 + outage
    found = step(market, 60_000 * USD, 60_600 * USD, back, back + since, resumed_at=back)
    as_if_new = step(Market(0, 10**6, back, 5), 60_000 * USD, 60_600 * USD, back, back + since)
    assert found == as_if_new


@given(PRICES, PRICES, RATES, st.integers(-INDEX_MAX, INDEX_MAX), SECONDS, EXPONENTS)
@example(MASK_56, MASK_56, CONFIG.funding_cap_ppb, INDEX_MAX, 60, 19)
@example(MASK_56, 1, -CONFIG.funding_cap_ppb, -INDEX_MAX, 60, 19)
def test_the_index_stops_at_its_bound_and_moves_freely_inside(
    index: int, mark: int, rate: int, cumulated: int, seconds: int, exponent: int
) -> None:
    """So the value of a lot fits its field, whatever prices did for however long."""
    terms = replace(TERMS[BTC], lot_size=10**exponent)
    feed = Feed(index, mark, mark, 0, 1000 + seconds)
    market = Market(cumulated, rate, 1000, 5)
    found = project(market, terms, feed, STALE_AFTER, CONFIG, 1000 + seconds)
    size = index * 10**8 * 10**exponent * abs(found.rate) * seconds
    step = size // (PPB * 28_800 * WAD) * (1 if found.rate > 0 else -1)
    assert found.funding_index == max(-INDEX_MAX, min(INDEX_MAX, cumulated + step))
    assert to_unsigned(terms.mark_lot(mark) - found.funding_index, 96) >= 0
    assert found.pack(terms) >> 160 == to_unsigned(found.funding_index, 96)


@given(
    st.lists(st.tuples(st.integers(1, 3000), st.integers(-600, 600)), min_size=1, max_size=12),
    st.lists(st.integers(1, 400), min_size=2, max_size=2),
)
@settings(max_examples=60)
def test_funding_sums_to_zero_exactly(steps: list[tuple[int, int]], lots: list[int]) -> None:
    """Three holders, any marks: what some pay is what the others get, to the wei."""
    venue = ModelVenue()
    holders = [trader(f"holder {i}") for i in range(3)]
    for holder in holders:
        venue.fund(holder, 10**6)
    assert venue.trade(holders[0], holders[1], lots[0])
    assert venue.trade(holders[2], holders[1], lots[1], ETH)
    before = sum(venue.equity(holder) for holder in holders)
    for seconds, basis_points in steps:
        marks = tuple(p * USD * (10_000 + basis_points) // 10_000 for p in (60_000, 3_000))
        venue.price(60_000 * USD, 3_000 * USD, seconds, (marks[0], marks[1]))
        venue.sweep(holders[:1])
        assert sum(venue.equity(holder) for holder in holders) == before
    index = venue.world.snapshot(BTC)[1].funding_index
    bound = CONFIG.funding_cap_ppb * sum(s for s, _ in steps) * 60 * 10**18 // (PPB * 28_800)
    assert abs(index) <= bound
