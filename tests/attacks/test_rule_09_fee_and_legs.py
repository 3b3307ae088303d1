"""Rule 9: both sides name the same instrument, a fee stays within the signed maximum, no zero fill.

Source: RULES.md, rule 9, and its incident on Vertex's published code, in which a check is commented
out: every check of a fill is exercised here against the deployed contract.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from novate.units import PPM, WAD
from novate.wire.order import SignedFill
from tests.support.exchange import BTC, ETH, PRICE, TERMS, Desk


@pytest.fixture
def desk() -> Desk:
    return Desk()


def outcome(desk: Desk, fill: SignedFill) -> str:
    return "settled" if desk.settle(fill) else desk.codes()[0]


def fee_of(lots: int, price: int, rate_ppm: int) -> int:
    """Fee in wad, rounded up."""
    return -(-lots * price * TERMS[BTC].lot_size * rate_ppm // (WAD * PPM))


def test_two_legs_on_two_instruments_do_not_match(desk: Desk) -> None:
    maker = desk.signed("maker", -10, instrument=ETH)
    fill = SignedFill(desk.signed("taker", 10, instrument=BTC), maker, 1, PRICE)
    assert outcome(desk, fill) == "InstrumentMismatch"


def test_two_legs_on_one_side_do_not_match(desk: Desk) -> None:
    fill = SignedFill(desk.signed("taker", -10), desk.signed("maker", -10), 1, PRICE)
    assert outcome(desk, fill) == "SameSide"
    same = desk.signed("taker", 10)
    assert outcome(desk, SignedFill(same, same, 1, PRICE)) == "SameSide"


def test_a_zero_fill_is_refused(desk: Desk) -> None:
    assert outcome(desk, desk.pair(lots=0)) == "ZeroLots"


@pytest.mark.parametrize("lots", [1, 3, 7])
@pytest.mark.parametrize("side", ["taker", "maker"])
def test_one_wei_less_a_lot_than_the_fee_is_refused(desk: Desk, side: str, lots: int) -> None:
    price = PRICE + 1  # an odd price, so that the fee does not divide evenly
    rate = 400 if side == "taker" else 100
    fee = fee_of(lots, price, rate)
    enough = -(-fee // lots)
    fees = {"taker": WAD, "maker": WAD}
    for max_fee, expected in ((enough - 1, "FeeAboveMax"), (enough, "settled")):
        fees[side] = max_fee
        taker = desk.signed("taker", 10, nonce=max_fee, price=price, max_fee=fees["taker"])
        maker = desk.signed("maker", -10, nonce=max_fee, price=price, max_fee=fees["maker"])
        assert outcome(desk, SignedFill(taker, maker, lots, price)) == expected


def test_the_dust_of_a_fee_goes_to_the_pool(desk: Desk) -> None:
    assert outcome(desk, replace(desk.pair(price=1), maker=desk.signed("maker", -10, price=1))) == (
        "settled"
    )
    assert desk.trades()[0][1] == 1 | 1 << 128


def test_a_fee_too_wide_for_its_field_never_reaches_the_ledger(desk: Desk) -> None:
    """A price of 2**127 makes a fee of more than 128 bits; it must not spill into the maker's."""
    huge = 2**127
    fields = {"price": huge, "max_fee": 2**128 - 1}
    lots = 2**42
    taker = desk.signed("taker", lots, **fields)
    maker = desk.signed("maker", -lots, **fields)
    assert outcome(desk, SignedFill(taker, maker, lots, huge)) == "FeeAboveMax"
    assert desk.ledger.view("calls") == 0


def test_raising_the_fee_does_not_bind_orders_signed_before(desk: Desk) -> None:
    fill = desk.pair(lots=1, max_fee=fee_of(1, PRICE, 400))
    assert outcome(desk, fill) == "settled"
    desk.govern("set_fees", 401, 100)
    assert outcome(desk, fill) == "FeeAboveMax"
