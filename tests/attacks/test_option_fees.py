"""Fees of options: a share of the underlying, at most one of the premium, at most the signed one.

A fee of the premium alone is nothing for what is far out of the money, so that a book is filled
with dust; a fee of the underlying alone is more than a cheap option is worth. Deribit's rule is
the smaller of both (https://www.deribit.com/kb/fees).
"""

from __future__ import annotations

import pytest

from novate.units import WAD
from novate.wire.order import SignedFill, SignedOrder
from tests.support.exchange import (
    BTC,
    BTC_CALL,
    ETH_PUT,
    MARKS_USD,
    OPTION_TERMS,
    Desk,
)

CENT = WAD // 100


@pytest.fixture
def desk() -> Desk:
    return Desk()


def fee_of(instrument: int, lots: int, price: int, ppm: int = 300, bps: int = 1_250) -> int:
    """Written out once more, in whole numbers of 1e-40 USD."""
    terms = OPTION_TERMS[instrument]
    forward = MARKS_USD[terms.underlying] * WAD
    share = -(-lots * terms.lot_size * forward * ppm // (10**6 * WAD))
    return min(share, -(-lots * terms.lot_size * price * bps // (10**4 * WAD)))


def matched(
    desk: Desk, instrument: int, price: int, lots: int = 5, max_fee: int = WAD, nonce: int = 1
) -> SignedFill:
    fields = {"price": price, "max_fee": max_fee, "nonce": nonce, "instrument": instrument}
    taker, maker = desk.signed("taker", 10, **fields), desk.signed("maker", -10, **fields)
    return SignedFill(taker, maker, lots, price)


@pytest.mark.parametrize("instrument", [BTC_CALL, ETH_PUT])
@pytest.mark.parametrize("cents", [1, 3, 14_400, 14_401, 90_000, 10**7 + 1])
def test_both_sides_pay_the_smaller_share_rounded_up(
    desk: Desk, instrument: int, cents: int
) -> None:
    fill = matched(desk, instrument, cents * CENT, lots=7)
    assert desk.settle(fill) == 1, desk.codes()
    fee = fee_of(instrument, 7, cents * CENT)
    assert desk.trades()[0][1] == fee | fee << 128


def test_the_smaller_of_two_fees_is_either_in_its_place(desk: Desk) -> None:
    """3 bp of 60,000 are 18 USD, which is 12.5 % of 144 USD."""
    for usd, ppm in ((143, 0), (144, 18), (145, 18), (9_000, 18)):
        fee = fee_of(BTC_CALL, 1_000, usd * WAD)
        assert fee == (ppm * WAD if ppm else usd * WAD // 8)


def test_a_maximum_holds_to_the_wei_on_each_side(desk: Desk) -> None:
    price = 500 * WAD
    fee = fee_of(BTC_CALL, 1, price)
    fields = {"price": price, "instrument": BTC_CALL}
    for nonce, (taker_max, maker_max, settled) in enumerate(
        ((fee, fee, 1), (fee - 1, fee, 0), (fee, fee - 1, 0)), start=1
    ):
        taker = desk.signed("taker", 1, max_fee=taker_max, nonce=nonce, **fields)
        maker = desk.signed("maker", -1, max_fee=maker_max, nonce=nonce, **fields)
        assert desk.settle(SignedFill(taker, maker, 1, price)) == settled
        assert desk.codes() == ({} if settled else {0: "FeeAboveMax"})


def test_the_forward_is_that_of_the_option_s_own_expiry(desk: Desk) -> None:
    """Not of feed 0, which the terms of all options name: a slot may have a feed of its own."""
    price = 50_000 * WAD
    for feed, usd in ((0, 60_000), (1, 3_000)):
        desk.set_expiry(BTC_CALL, feed)
        assert desk.settle(matched(desk, BTC_CALL, price, lots=1, nonce=feed + 1)) == 1
        assert desk.trades()[0][1] & (2**88 - 1) == usd * WAD * 3 // 10**4 // 1_000


def test_a_perp_beside_an_option_pays_as_ever(desk: Desk) -> None:
    perp, option = desk.pair(lots=2), matched(desk, BTC_CALL, 500 * WAD, lots=2, nonce=2)
    assert desk.settle(perp, option, matched(desk, ETH_PUT, 7 * WAD, lots=3, nonce=3)) == 7
    found = {word >> 16 & 255: fees for word, fees in desk.trades()}
    assert found[0] == 2 * 60 * WAD * 400 // 10**6 | (2 * 60 * WAD * 100 // 10**6) << 128
    for place, each in ((1, fee_of(BTC_CALL, 2, 500 * WAD)), (2, fee_of(ETH_PUT, 3, 7 * WAD))):
        assert found[place] == each | each << 128


def test_an_option_traded_by_receipt_pays_the_same(desk: Desk) -> None:
    fill = matched(desk, BTC_CALL, 500 * WAD, max_fee=fee_of(BTC_CALL, 1, 500 * WAD))
    early, late = desk.now, desk.now - 31
    assert desk.settle_by_receipt(fill, matched_at=early) == 0
    assert desk.codes() == {0: "NotExecutor"}
    assert desk.settle_by_receipt(fill, matched_at=late) == 1
    assert desk.trades()[0][1] & (2**88 - 1) == fee_of(BTC_CALL, 5, 500 * WAD)
    tight = matched(desk, BTC_CALL, 500 * WAD, max_fee=1, nonce=2)
    assert desk.settle_by_receipt(tight, matched_at=early) == 0
    assert desk.codes() == {0: "NotExecutor"}  # which comes before the fee
    assert desk.settle_by_receipt(tight, matched_at=late) == 0
    assert desk.codes() == {0: "FeeAboveMax"}


def test_a_fee_too_wide_for_its_field_never_reaches_the_ledger(desk: Desk) -> None:
    """With the whole premium as bound and the largest forward, lots of 2**42 cost above 2**88."""
    desk.govern("set_option_fees", 2_000, 2_500)
    desk.oracle.call("set_feed", 0, (2**56 - 1) << 56)
    fields = {"price": 2**127, "max_fee": 2**128 - 1, "instrument": BTC_CALL}
    taker, maker = desk.signed("taker", 2**42, **fields), desk.signed("maker", -(2**42), **fields)
    assert desk.settle(SignedFill(taker, maker, 2**42, 2**127)) == 0
    assert desk.codes() == {0: "FeeAboveMax"} and desk.ledger.view("calls") == 0


def test_without_a_rate_or_a_cap_options_are_free(desk: Desk) -> None:
    for nonce, rates in enumerate(((0, 1_250), (300, 0)), start=1):
        desk.govern("set_option_fees", *rates)
        assert desk.settle(matched(desk, BTC_CALL, 500 * WAD, max_fee=0, nonce=nonce)) == 1
        assert desk.trades()[0][1] == 0


def test_what_bars_an_option_s_fill_is_told_before_its_fee(desk: Desk) -> None:
    fields = {"price": 500 * WAD, "max_fee": 0}
    taker = desk.signed("taker", 10, instrument=BTC_CALL, **fields)
    other = desk.signed("maker", -10, instrument=ETH_PUT, **fields)
    perp = desk.signed("maker", -10, instrument=BTC, nonce=2, **fields)
    for maker in (other, perp):
        assert desk.settle(SignedFill(taker, maker, 1, 500 * WAD)) == 0
        assert desk.codes() == {0: "InstrumentMismatch"}
    above = SignedFill(*two_sides(desk), 1, 501 * WAD)
    assert desk.settle(above) == 0 and desk.codes() == {0: "LimitPrice"}


def two_sides(desk: Desk) -> tuple[SignedOrder, SignedOrder]:
    fields = {"price": 500 * WAD, "max_fee": 0, "instrument": BTC_CALL, "nonce": 3}
    return desk.signed("taker", 10, **fields), desk.signed("maker", -10, **fields)
