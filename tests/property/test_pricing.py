"""What must hold of option values whatever the inputs, and of the way back to the volatility.

Rounding: a price is off by 5e-17 of the larger of forward and strike and a wei, so comparisons of
two prices allow twice that.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from novate.errors import NoImpliedVolatility, OutOfBounds, Rejected
from novate.model.implied import implied_volatility
from novate.model.pricing import (
    MONEY_MAX,
    SECONDS_MAX,
    VOLATILITY_MAX,
    Greeks,
    black76,
    black76_discounted,
)
from novate.units import WAD

YEAR_S = 31_536_000
forwards = st.integers(0, 10**9 * WAD)
moneyness = st.integers(10**16, 100 * WAD)
volatilities = st.integers(0, 10 * WAD)
times = st.integers(0, 3 * YEAR_S)
sides = st.booleans()


def slack(*money: int) -> int:
    return max(money) // 10**16 + 2


def strike_of(forward: int, ratio: int) -> int:
    return forward * ratio // WAD


@given(st.integers(0, MONEY_MAX), st.integers(0, MONEY_MAX), volatilities, times)
def test_parity_is_exact_to_the_wei(forward: int, strike: int, sigma: int, seconds: int) -> None:
    call = black76(forward, strike, sigma, seconds, True)
    put = black76(forward, strike, sigma, seconds, False)
    assert call.price - put.price == forward - strike
    assert call.delta - put.delta == WAD
    assert (call.gamma, call.vega, call.theta) == (put.gamma, put.vega, put.theta)


@given(
    st.integers(0, MONEY_MAX),
    st.integers(0, MONEY_MAX),
    st.integers(0, VOLATILITY_MAX),
    st.integers(0, SECONDS_MAX),
    sides,
)
def test_a_value_lies_between_intrinsic_and_forward_or_strike(
    forward: int, strike: int, sigma: int, seconds: int, is_call: bool
) -> None:
    found = black76(forward, strike, sigma, seconds, is_call)
    intrinsic = max(forward - strike if is_call else strike - forward, 0)
    assert intrinsic <= found.price <= (forward if is_call else strike)


@settings(max_examples=200)
@given(forwards, moneyness, volatilities, volatilities, times, sides)
def test_more_volatility_never_costs_less(
    forward: int, ratio: int, one: int, other: int, seconds: int, is_call: bool
) -> None:
    strike = strike_of(forward, ratio)
    low = black76(forward, strike, min(one, other), seconds, is_call)
    high = black76(forward, strike, max(one, other), seconds, is_call)
    assert high.price >= low.price - slack(forward, strike)


@settings(max_examples=200)
@given(forwards, moneyness, volatilities, times, times, sides)
def test_more_time_never_costs_less(
    forward: int, ratio: int, sigma: int, one: int, other: int, is_call: bool
) -> None:
    strike = strike_of(forward, ratio)
    near = black76(forward, strike, sigma, min(one, other), is_call)
    far = black76(forward, strike, sigma, max(one, other), is_call)
    assert far.price >= near.price - slack(forward, strike)


@settings(max_examples=200)
@given(forwards, moneyness, moneyness, volatilities, times)
def test_a_higher_forward_makes_a_call_dearer_by_no_more_than_itself(
    forward: int, ratio: int, move: int, sigma: int, seconds: int
) -> None:
    """So a put gets cheaper, by parity; and the delta does not fall."""
    strike = strike_of(forward, ratio)
    low, high = sorted((forward, strike_of(forward, move)))
    before = black76(low, strike, sigma, seconds, True)
    after = black76(high, strike, sigma, seconds, True)
    rise = after.price - before.price
    allowed = slack(high, strike)
    assert -allowed <= rise <= high - low + allowed
    assert after.delta >= before.delta - 100


@pytest.mark.parametrize(("sigma", "seconds"), [(0, 60), (WAD, 0)])
@pytest.mark.parametrize(
    ("forward", "strike", "call", "delta"),
    [(3, 2, 1, WAD), (2, 3, 0, 0), (2, 2, 0, WAD // 2), (0, 2, 0, 0), (2, 0, 2, WAD)],
)
def test_without_variance_an_option_is_its_intrinsic_value(
    sigma: int, seconds: int, forward: int, strike: int, call: int, delta: int
) -> None:
    found = black76(forward * WAD, strike * WAD, sigma, seconds, True)
    assert found == Greeks(call * WAD, delta, 0, 0, 0)


@pytest.mark.parametrize(("strike", "delta"), [(1, WAD), (2, WAD // 2), (3, 0)])
def test_the_least_variance_hardly_differs_from_none(strike: int, delta: int) -> None:
    """The delta at the money comes to one half, but for the fitted error of N."""
    found = black76(2 * WAD, strike * WAD, 1, 1, True)
    assert found.price == max(2 - strike, 0) * WAD
    assert abs(found.delta - delta) <= 30


def test_boundless_variance_makes_a_call_its_forward_and_a_put_its_strike() -> None:
    call = black76(2 * WAD, 3 * WAD, 1_000 * WAD, SECONDS_MAX, True)
    put = black76(2 * WAD, 3 * WAD, 1_000 * WAD, SECONDS_MAX, False)
    assert call == Greeks(2 * WAD, WAD, 0, 0, 0)
    assert put == Greeks(3 * WAD, 0, 0, 0, 0)


@given(forwards, moneyness, volatilities, times, sides)
def test_no_interest_is_the_price_on_chain(
    forward: int, ratio: int, sigma: int, seconds: int, is_call: bool
) -> None:
    terms = (forward, strike_of(forward, ratio), sigma, seconds, is_call)
    plain, discounted = black76(*terms), black76_discounted(*terms, 0)
    for name in ("price", "delta", "gamma", "vega", "theta"):
        assert abs(getattr(plain, name) - getattr(discounted, name)) <= 1


@given(forwards, moneyness, volatilities, times, sides, st.integers(-WAD, WAD))
def test_interest_makes_a_later_payment_worth_less(
    forward: int, ratio: int, sigma: int, seconds: int, is_call: bool, rate: int
) -> None:
    terms = (forward, strike_of(forward, ratio), sigma, seconds, is_call)
    plain, discounted = black76(*terms), black76_discounted(*terms, rate)
    if rate >= 0:
        assert 0 <= discounted.price <= plain.price
    else:
        assert discounted.price >= plain.price


def test_a_discount_beyond_all_bounds_is_refused() -> None:
    with pytest.raises(Rejected) as refused:
        black76_discounted(WAD, WAD, WAD, SECONDS_MAX, True, 10 * WAD)
    assert refused.value.error is OutOfBounds


@settings(max_examples=200)
@given(
    st.integers(10**12, 10**9 * WAD),
    moneyness,
    st.integers(10**16, 5 * WAD),
    st.integers(1, 2 * YEAR_S),
    sides,
)
def test_a_price_leads_back_to_its_volatility(
    forward: int, ratio: int, sigma: int, seconds: int, is_call: bool
) -> None:
    """The least volatility that gives at least the price; off by what a wei of price is worth."""
    strike = strike_of(forward, ratio)
    known = black76(forward, strike, sigma, seconds, is_call)
    if known.price == (forward if is_call else strike):
        return
    found = implied_volatility(known.price, forward, strike, seconds, is_call)
    assert found <= sigma + 1
    assert black76(forward, strike, found, seconds, is_call).price >= known.price
    if known.vega >= 10**12:
        assert (sigma - found) * known.vega <= 2 * slack(forward, strike) * WAD


FORWARD, STRIKE = 100 * WAD, 110 * WAD


@pytest.mark.parametrize(
    ("price", "forward", "strike", "seconds", "is_call"),
    [
        (-1, FORWARD, STRIKE, YEAR_S, True),
        (10 * WAD - 1, FORWARD, STRIKE, YEAR_S, False),
        (FORWARD, FORWARD, STRIKE, YEAR_S, True),
        (STRIKE, FORWARD, STRIKE, YEAR_S, False),
        (1, FORWARD, STRIKE, 0, True),
        (FORWARD - 1, FORWARD, STRIKE, 1, True),
    ],
)
def test_a_price_outside_the_bounds_has_no_volatility(
    price: int, forward: int, strike: int, seconds: int, is_call: bool
) -> None:
    with pytest.raises(Rejected) as refused:
        implied_volatility(price, forward, strike, seconds, is_call)
    assert refused.value.error is NoImpliedVolatility


@pytest.mark.parametrize(
    ("forward", "strike", "seconds"),
    [
        (0, WAD, 1),
        (WAD, 0, 1),
        (MONEY_MAX + 1, WAD, 1),
        (WAD, WAD, SECONDS_MAX + 1),
        (WAD, WAD, -1),
    ],
)
def test_inputs_outside_the_bounds_are_refused(forward: int, strike: int, seconds: int) -> None:
    with pytest.raises(Rejected) as refused:
        implied_volatility(WAD // 2, forward, strike, seconds, True)
    assert refused.value.error is OutOfBounds


def test_the_intrinsic_value_has_no_volatility_in_it() -> None:
    assert implied_volatility(10 * WAD, FORWARD, STRIKE, YEAR_S, False) == 0
    assert implied_volatility(0, FORWARD, STRIKE, 0, True) == 0
