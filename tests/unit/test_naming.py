"""What instruments are called: every expiry and strike has a name of its own, and a symbol."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novate.naming import day, future_name, option_name, to_name, to_symbol
from novate.units import WAD

EIGHT = 1_798_358_400  # 27 December 2026, 08:00 UTC
expiries = st.integers(1_700_000_000, 4_000_000_000)


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (EIGHT, "27DEC26"),
        (EIGHT + 3_600, "27DEC26H09"),
        (EIGHT + 1_800, "27DEC26H0830"),
        (EIGHT + 1, "27DEC26H080001"),
        (EIGHT - 8 * 3_600, "27DEC26H00"),
        (EIGHT - 26 * 86_400, "1DEC26"),
    ],
)
def test_an_expiry_at_eight_is_its_day_and_any_other_says_when(second: int, said: str) -> None:
    assert day(second) == said
    assert future_name("BTC", second) == f"BTC-{said}"


def test_a_strike_that_is_no_whole_number_has_a_d_for_its_point() -> None:
    assert option_name("BTC", EIGHT, 60_000 * WAD, False) == "BTC-27DEC26-60000-C"
    assert option_name("XRP", EIGHT, WAD // 8, True) == "XRP-27DEC26-0d125-P"


@given(expiries, expiries)
def test_no_two_expiries_of_a_century_share_a_name(one: int, other: int) -> None:
    assert (day(one) == day(other)) == (one == other)


@given(expiries, st.integers(1, 10**12), st.booleans())
def test_names_and_symbols_lead_to_each_other(expiry: int, strike: int, is_put: bool) -> None:
    for name in (
        future_name("ETH", expiry),
        option_name("ETH", expiry, strike * WAD // 1_000, is_put),
    ):
        symbol = to_symbol(name)
        assert symbol.startswith("ETH/USDC:USDC-") and to_name(symbol) == name


@pytest.mark.parametrize("name", ["WETH", "BTC-PERP", "BTC-0DEC26", "BTC-27DEZ26", "BTC-27DEC26H"])
def test_what_is_no_dated_name_is_its_own_symbol(name: str) -> None:
    assert to_symbol(name) == name


@pytest.mark.parametrize(
    "symbol",
    ["BTC/USDT:USDT", "BTC/USDC:USDC-261327", "BTC/USDC:USDC-2612", "BTC/USDC:USDC-261227-1"],
)
def test_a_symbol_of_another_form_is_refused(symbol: str) -> None:
    with pytest.raises(ValueError, match=symbol.split("-")[0]):
        to_name(symbol)
