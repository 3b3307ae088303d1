"""The only divisions of the settlement layer: each rounds the way its name says."""

from __future__ import annotations

from fractions import Fraction
from math import ceil, floor, trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novate import units

NATURAL = st.integers(0, 2**256)
POSITIVE = st.integers(1, 2**128)
SIGNED = st.integers(-(2**256), 2**256)


@given(NATURAL, POSITIVE)
def test_down_is_the_floor_and_up_the_ceiling(numerator: int, denominator: int) -> None:
    exact = Fraction(numerator, denominator)
    assert units.div_down(numerator, denominator) == floor(exact)
    assert units.div_up(numerator, denominator) == ceil(exact)


@given(SIGNED, POSITIVE)
def test_zero_truncates_like_the_contracts(numerator: int, denominator: int) -> None:
    assert units.div_zero(numerator, denominator) == trunc(Fraction(numerator, denominator))


@given(NATURAL, NATURAL, POSITIVE)
def test_mul_div_rounds_once(value: int, factor: int, divisor: int) -> None:
    exact = Fraction(value * factor, divisor)
    assert units.mul_div_down(value, factor, divisor) == floor(exact)
    assert units.mul_div_up(value, factor, divisor) == ceil(exact)


@given(NATURAL, st.integers(0, 2 * units.PPM))
def test_ppm_shares_differ_by_at_most_one(value: int, rate: int) -> None:
    down, up = units.ppm_down(value, rate), units.ppm_up(value, rate)
    assert down <= Fraction(value * rate, units.PPM) <= up
    assert up - down <= 1


@pytest.mark.parametrize(
    ("numerator", "denominator", "down", "up"),
    [
        (0, 1, 0, 0),
        (1, 3, 0, 1),
        (3, 3, 1, 1),
        (7, 3, 2, 3),
        (units.WAD, 3, 333333333333333333, 333333333333333334),
    ],
)
def test_examples(numerator: int, denominator: int, down: int, up: int) -> None:
    assert (units.div_down(numerator, denominator), units.div_up(numerator, denominator)) == (
        down,
        up,
    )


@pytest.mark.parametrize(("numerator", "expected"), [(-7, -2), (-1, 0), (0, 0), (1, 0), (7, 2)])
def test_signed_quotients_go_toward_zero(numerator: int, expected: int) -> None:
    assert units.div_zero(numerator, 3) == expected


@pytest.mark.parametrize("divide", [units.div_down, units.div_up])
def test_unsigned_divisions_refuse_negative_operands(divide: object) -> None:
    assert callable(divide)
    with pytest.raises(AssertionError):
        divide(-1, 3)
    with pytest.raises(AssertionError):
        divide(1, -3)


@pytest.mark.parametrize("divide", [units.div_down, units.div_up, units.div_zero])
def test_division_by_zero_is_refused(divide: object) -> None:
    assert callable(divide)
    with pytest.raises(AssertionError):
        divide(1, 0)


@given(SIGNED, SIGNED, SIGNED)
def test_clamp_holds_a_value_within_its_bounds(value: int, one: int, other: int) -> None:
    low, high = min(one, other), max(one, other)
    held = units.clamp(value, low, high)
    assert low <= held <= high
    assert held == value or value < low or value > high


def test_scales() -> None:
    assert units.ORACLE_UNIT * 10**10 == units.WAD
    assert units.CENT * 100 == units.WAD
    assert 3 * units.FUNDING_PERIOD_S == units.DAY_S
