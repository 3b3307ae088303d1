"""Numbers of options are used again: an order must not wake up in the next option of its number.

0x v1 and every venue of reusable instrument ids: a resting order is a promise about a thing, not
about its number. A bid of 24 h on an option of the next hour would rest on the strike that takes
its place tomorrow, at a price that was meant for another. So an order on what expires ends with it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from novate.units import WAD
from novate.wire.order import SignedFill
from tests.support.exchange import BTC, BTC_CALL, Desk, open_to_anyone

PREMIUM = 500 * WAD


@pytest.fixture
def desk() -> Desk:
    return Desk()


def match(desk: Desk, taker_s: int, maker_s: int, **fields: object) -> SignedFill:
    """A match of orders that live so many seconds."""
    both = {"price": PREMIUM, "instrument": BTC_CALL, **fields}
    taker = desk.signed("taker", 10, expiry=desk.now + taker_s, **both)
    maker = desk.signed("maker", -10, expiry=desk.now + maker_s, **both)
    return SignedFill(taker, maker, 1, PREMIUM)


def test_an_order_that_outlives_its_option_never_settles(desk: Desk) -> None:
    desk.set_expiry(BTC_CALL, 0, 1_000)
    for taker_s, maker_s in ((1_001, 1_000), (1_000, 1_001), (10**6, 10**6)):
        assert desk.settle(match(desk, taker_s, maker_s)) == 0
        assert desk.codes() == {0: "OutlivesInstrument"}
    assert desk.settle(match(desk, 1_000, 1_000)) == 1


def test_nor_after_its_number_has_become_another_option(desk: Desk) -> None:
    """Signed for the option of now: over when it is, whatever takes the slot."""
    desk.set_expiry(BTC_CALL, 0, 1_000)
    old = match(desk, 1_000, 1_000)
    lasting = match(desk, 90_000, 90_000)
    desk.chain.advance(1_001)
    desk.set_expiry(BTC_CALL, 0, 80_000)
    assert desk.settle(old) == 0 and desk.codes() == {0: "OrderExpired"}
    assert desk.settle(lasting) == 0 and desk.codes() == {0: "OutlivesInstrument"}


def test_nobody_settles_it_by_receipt_or_as_open_either(desk: Desk) -> None:
    desk.set_expiry(BTC_CALL, 0, 1_000)
    assert desk.settle_by_receipt(match(desk, 2_000, 500), matched_at=desk.now - 40) == 0
    assert desk.codes() == {0: "OutlivesInstrument"}
    public = match(desk, 2_000, 2_000, **open_to_anyone())
    assert desk.settle(public, caller="stranger") == 0
    assert desk.codes() == {0: "OutlivesInstrument"}


def test_without_an_expiry_in_its_slot_nothing_settles(desk: Desk) -> None:
    desk.ledger.call("set_expiry", 0, 3, 0, 0)
    assert desk.settle(match(desk, 1, 1)) == 0
    assert desk.codes() == {0: "OutlivesInstrument"}


def test_perps_beside_it_live_as_long_as_they_were_signed_for(desk: Desk) -> None:
    desk.set_expiry(BTC_CALL, 0, 1_000)
    perp = desk.pair(instrument=BTC, expiry=2**40 - 1)
    option = match(desk, 1_000, 1_000, nonce=2)
    assert desk.settle(perp, option) == 3


def test_what_bars_it_sooner_is_told_sooner_and_its_fee_later(desk: Desk) -> None:
    desk.set_expiry(BTC_CALL, 0, 1_000)
    free = match(desk, 2_000, 2_000, max_fee=0)
    assert desk.settle(free) == 0 and desk.codes() == {0: "OutlivesInstrument"}
    assert desk.settle(replace(free, lots=11)) == 0 and desk.codes() == {0: "OverFilled"}
