"""Fees of a fill: what they never exceed, and that no splitting lowers them."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from novate.model import fees
from novate.model.instrument import FUTURE, OPTION, PERP, Terms
from novate.model.venue import Settings

RATES = st.builds(
    Settings,
    taker_ppm=st.integers(0, 2_000),
    maker_ppm=st.integers(0, 2_000),
    option_ppm=st.integers(0, 2_000),
    option_cap_bps=st.integers(0, 2_500),
)
TICK = 10**9
LOT = 10**15
PRICES = st.integers(1, 10**15).map(lambda ticks: ticks * TICK)
FORWARDS = st.integers(1, 2**56 - 1).map(lambda units: units * 10**8)
FILLS = st.lists(st.tuples(st.integers(1, 10**6), PRICES), min_size=1, max_size=6)


def terms(kind: int) -> Terms:
    return Terms(LOT, TICK, 0, 0, 0, 0, kind)


@given(RATES, st.sampled_from((OPTION, PERP, FUTURE)), FILLS, FORWARDS)
@settings(max_examples=200, deadline=None)
def test_the_bound_of_open_orders_holds_however_they_fill(
    rates: Settings, kind: int, fills: list[tuple[int, int]], forward: int
) -> None:
    listed = terms(kind)
    paid = [fees.of_fill(rates, listed, lots, price, forward) for lots, price in fills]
    lots = sum(lots for lots, _ in fills)
    notional = sum(lots * listed.price_lot(price) for lots, price in fills)
    most = fees.at_most(rates, listed, lots, notional, forward)
    assert sum(taker for taker, _ in paid) <= most
    assert sum(maker for _, maker in paid) <= most


@given(RATES, st.integers(2, 10**6), st.data(), PRICES, FORWARDS)
@settings(max_examples=200, deadline=None)
def test_splitting_an_option_s_fill_never_lowers_its_fee(
    rates: Settings, lots: int, data: st.DataObject, price: int, forward: int
) -> None:
    part = data.draw(st.integers(1, lots - 1))
    listed = terms(OPTION)
    whole = fees.of_fill(rates, listed, lots, price, forward)[0]
    split = [fees.of_fill(rates, listed, n, price, forward)[0] for n in (part, lots - part)]
    assert whole <= sum(split) <= whole + 1


@given(RATES, st.integers(1, 10**6), PRICES, PRICES, FORWARDS)
@settings(max_examples=200, deadline=None)
def test_a_better_price_is_worth_more_than_the_fee_it_adds(
    rates: Settings, lots: int, price: int, more: int, forward: int
) -> None:
    """So an order's fee at its limit, and not at the price it gets, is what it is held at."""
    listed = terms(OPTION)
    low = fees.of_fill(rates, listed, lots, price, forward)[0]
    high = fees.of_fill(rates, listed, lots, price + more, forward)[0]
    assert 0 <= high - low <= lots * listed.price_lot(more)


@given(RATES, st.integers(1, 10**6), PRICES, FORWARDS)
@settings(max_examples=200, deadline=None)
def test_room_covers_a_step_of_the_oracle(
    rates: Settings, lots: int, price: int, forward: int
) -> None:
    listed = terms(OPTION)
    fee = fees.of_fill(rates, listed, lots, price, forward)[0]
    moved = forward + forward // 20
    assert fees.of_fill(rates, listed, lots, price, moved)[0] <= fees.with_room(listed, fee)
    premium = lots * listed.price_lot(price)
    assert fee <= -(-premium * rates.option_cap_bps // 10_000)
    assert fees.with_room(terms(PERP), fee) == fee
