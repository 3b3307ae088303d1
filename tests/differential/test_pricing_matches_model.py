"""The pricing contracts and their model give the same integers, wild inputs and edges included."""

from __future__ import annotations

import random
from math import isqrt
from pathlib import Path

import pytest

from novate.chain.harness import Chain, Contract
from novate.errors import OutOfBounds, Rejected
from novate.model import pricing
from novate.model.pricing import MONEY_MAX, ONE, SECONDS_MAX, TAIL, VOLATILITY_MAX, Greeks
from novate.units import WAD

CONTRACTS = Path(__file__).parent.parent / "contracts"
OPTIONS = 6_000
POINTS = 400
EDGES = {
    "expn": (0, 1, ONE, 96 * pricing.LN2, pricing.EXPONENT_MAX, pricing.EXPONENT_MAX + 1, 2**254),
    "exp_parts": (0, 1, -1, pricing.EXPONENT_MAX, -pricing.EXPONENT_MAX),
    "ln": (1, 2, ONE - 1, ONE, ONE + 1, pricing.SQRT2_X120 >> 24, 2**255 - 1),
    "sqrt": (0, 1, 2**196 - 1, 2**196, 2**256 - 1),
    "root_time": (0, 1, pricing.YEAR_S, 2**40 - 1),
    "mills": (0, 1, ONE, 64 * ONE),
    "normal_pdf": (0, 1, -1, TAIL, TAIL + 1, -TAIL, -TAIL - 1, 2**255 - 1, -(2**255)),
    "normal_cdf": (0, 1, -1, TAIL, TAIL + 1, -TAIL, -TAIL - 1, 2**255 - 1, -(2**255)),
}
RANGES = {
    "expn": (0, 2**105),
    "exp_parts": (-pricing.EXPONENT_MAX, pricing.EXPONENT_MAX),
    "ln": (1, 2**255 - 1),
    "sqrt": (0, 2**256 - 1),
    "root_time": (0, 2**40 - 1),
    "mills": (0, 64 * ONE),
    "normal_pdf": (-12 * ONE, 12 * ONE),
    "normal_cdf": (-12 * ONE, 12 * ONE),
}


@pytest.fixture(scope="module")
def functions() -> Contract:
    """The libraries behind external functions."""
    return Chain().deploy("SpecialFunctions", root=CONTRACTS)


@pytest.fixture(scope="module")
def pricer() -> Contract:
    return Chain().deploy("Pricer")


def anywhere(draw: random.Random, low: int, high: int) -> int:
    """A number of any order of magnitude, from either end."""
    step = draw.randrange(high - low + 1) >> draw.randrange((high - low).bit_length())
    return low + step if draw.random() < 0.5 else high - step


@pytest.mark.parametrize("name", EDGES)
def test_a_special_function_is_the_models(functions: Contract, name: str) -> None:
    draw = random.Random(name)
    low, high = RANGES[name]
    for x in (*EDGES[name], *(anywhere(draw, low, high) for _ in range(POINTS))):
        assert functions.view(name, x) == getattr(pricing, name)(x), x


def test_the_logarithm_of_a_ratio_is_the_models_and_odd(functions: Contract) -> None:
    draw = random.Random(1)
    edges = [(1, 1), (1, 2**159 - 1), (2**159 - 1, 1), (WAD, WAD), (3, 2)]
    wild = [(anywhere(draw, 1, 2**159 - 1), anywhere(draw, 1, 2**159 - 1)) for _ in range(POINTS)]
    for above, below in edges + wild:
        found = functions.view("log_ratio", above, below)
        assert found == pricing.log_ratio(above, below) == -pricing.log_ratio(below, above)


def test_the_option_ratio_is_the_models_and_a_share(functions: Contract) -> None:
    """Also at both cuts |d| = TAIL, at no variance and with far more than any market has."""
    draw = random.Random(2)
    edges = [
        (k, v) for k in (0, 1, -1, ONE, -128 * ONE, 128 * ONE) for v in (0, 1, ONE, 2**127 - 1)
    ]
    edges += [(0, 2 * TAIL + i) for i in range(-3, 4)]
    edges += [(ONE * TAIL // (2 * ONE) + i, ONE) for i in range(-3, 4)]
    wild = [
        (anywhere(draw, -128 * ONE, 128 * ONE), anywhere(draw, 1, 2**127 - 1))
        for _ in range(POINTS)
    ]
    near = []
    for _ in range(2 * POINTS):
        v = anywhere(draw, 2**60, 4 * ONE)
        near.append((draw.randrange(-9 * v, 9 * v + 1), v))
    for k, v in edges + wild + near:
        found = functions.view("otm_ratio", k, v)
        assert found == pricing.otm_ratio(k, v), (k, v)
        assert 0 <= found <= ONE


def deviation(k: int, d: int) -> int:
    """The v = d + √(d² + 2k) at which v/2 − k/v = d."""
    return d + isqrt(d * d + (2 * k << 96))


def test_the_option_ratio_is_the_models_where_products_are_largest(functions: Contract) -> None:
    """Each |k| up to its bound, at every d between the cuts and a little beyond."""
    draw = random.Random(6)
    for _ in range(2 * POINTS):
        k = 128 * ONE - anywhere(draw, 0, 128 * ONE)
        v = deviation(k, draw.randrange(-TAIL - ONE, TAIL + ONE))
        assert functions.view("otm_ratio", k, v) == pricing.otm_ratio(k, v), (k, v)


def market_like(draw: random.Random) -> tuple[int, int, int, int]:
    forward = int(10 ** draw.uniform(-6, 9) * WAD)
    strike = int(forward * 2.718281828 ** draw.uniform(-2.5, 2.5)) + 1
    sigma = int(10 ** draw.uniform(-2, 0.8) * WAD)
    return forward, strike, sigma, draw.randrange(1, 3 * pricing.YEAR_S)


def extreme(draw: random.Random) -> tuple[int, int, int, int]:
    """Forward and strike at the ends of their range, d anywhere up to and beyond the reach."""
    low, high = anywhere(draw, 1, 2**40), MONEY_MAX - anywhere(draw, 0, 2**111)
    d = draw.randrange(-19 * ONE, 19 * ONE)
    sigma = deviation(pricing.log_ratio(high, low), d) * WAD // ONE
    forward, strike = draw.choice([(low, high), (high, low)])
    return forward, strike, sigma, pricing.YEAR_S


def wild(draw: random.Random) -> tuple[int, int, int, int]:
    forward = anywhere(draw, 0, MONEY_MAX)
    strike = forward if draw.random() < 0.2 else anywhere(draw, 0, MONEY_MAX)
    return forward, strike, anywhere(draw, 0, VOLATILITY_MAX), anywhere(draw, 0, SECONDS_MAX)


def test_an_option_costs_on_chain_what_the_model_says(pricer: Contract) -> None:
    """Nothing within the bounds reverts or is negative; the price is made of ``otm_ratio``."""
    draw = random.Random(3)
    ends = [
        (forward, strike, sigma, seconds)
        for forward in (0, 1, WAD, MONEY_MAX)
        for strike in (0, 1, WAD, MONEY_MAX)
        for sigma in (0, 1, WAD, VOLATILITY_MAX)
        for seconds in (0, 1, SECONDS_MAX)
    ]
    kinds = (market_like, market_like, wild, extreme)
    drawn = [kinds[i % 4](draw) for i in range(OPTIONS)]
    for terms in ends + drawn:
        for is_call in (True, False):
            found = Greeks(*pricer.view("price", *terms, is_call))
            assert found == pricing.black76(*terms, is_call), (terms, is_call)
            check_sanity(*terms, is_call, found)


def check_sanity(
    forward: int, strike: int, sigma: int, seconds: int, is_call: bool, found: Greeks
) -> None:
    intrinsic = max(forward - strike if is_call else strike - forward, 0)
    assert intrinsic <= found.price <= (forward if is_call else strike)
    assert min(found.gamma, found.vega, -found.theta) >= 0
    assert (0 if is_call else -WAD) <= found.delta <= (WAD if is_call else 0)
    if min(forward, strike) > 0:
        v = sigma * pricing.root_time(seconds) // WAD
        ratio = pricing.otm_ratio(pricing.log_ratio(forward, strike), v)
        assert found.price - intrinsic == min(forward, strike) * ratio >> 96


@pytest.mark.parametrize(
    "terms",
    [
        (MONEY_MAX + 1, WAD, WAD, 60),
        (WAD, MONEY_MAX + 1, WAD, 60),
        (WAD, WAD, VOLATILITY_MAX + 1, 60),
        (WAD, WAD, WAD, SECONDS_MAX + 1),
        (2**256 - 1, 2**256 - 1, 2**256 - 1, 2**256 - 1),
    ],
)
def test_beyond_the_bounds_both_reject(pricer: Contract, terms: tuple[int, int, int, int]) -> None:
    for price in (lambda *a: pricer.view("price", *a), pricing.black76):
        with pytest.raises(Rejected) as refused:
            price(*terms, True)
        assert refused.value.error is OutOfBounds
