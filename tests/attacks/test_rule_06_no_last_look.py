"""Rule 6: nobody has a last look; a unilateral act after a match does not void it in the notice.

Source: the FX Global Code, principle 17 (last look), after the New York Department of Financial
Services' Barclays order of 2015-11-18; on chain, makers cancelling by transaction once the price
moved against their resting orders.
"""

from __future__ import annotations

import pytest

from novate import errors
from novate.errors import Rejected
from novate.model.order import IMMEDIATE
from novate.wire import eip712
from novate.wire.order import SignedFill, SignedOrder
from tests.support.exchange import MOCKS, PRICE, Desk, account_of, address_of, as_bytes

NOTICE = 60
WINDOW = 30


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_a_cancel_after_the_match_does_not_void_it(desk: Desk) -> None:
    fill, matched_at = desk.pair(lots=2), desk.now
    maker = as_bytes(account_of("maker")), 1
    desk.exchange.call("cancel", *maker, sender=address_of("maker"))
    desk.chain.advance(NOTICE - 1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 1
    assert desk.settle(fill) == 1
    desk.chain.advance(1)
    assert desk.settle(fill) == 0
    assert desk.codes() == {0: "OrderCancelled"}


def test_cancel_below_after_the_match_does_not_void_it(desk: Desk) -> None:
    taker = desk.signed("taker", 10, flags=IMMEDIATE, nonce=3)
    fill, matched_at = SignedFill(taker, desk.signed("maker", -10), 2, PRICE), desk.now
    account = as_bytes(account_of("taker"))
    desk.exchange.call("cancel_below", account, 2**64 - 1, sender=address_of("taker"))
    desk.chain.advance(NOTICE - 1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 1
    desk.chain.advance(1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 0
    assert desk.codes() == {0: "OrderCancelled"}


def test_a_cancel_takes_hold_though_the_maker_or_a_key_repeats_it(desk: Desk) -> None:
    account, owner = as_bytes(account_of("maker")), address_of("maker")
    desk.exchange.call("cancel", account, 1, sender=owner)
    desk.exchange.call("cancel_below", account, 1, sender=owner)
    for _ in range(3):
        desk.chain.advance(NOTICE // 3)
        with pytest.raises(Rejected):
            desk.exchange.call("cancel", account, 1, sender=owner)
        with pytest.raises(Rejected):
            desk.exchange.call("cancel_below", account, 1, sender=owner)
    assert desk.settle(desk.pair()) == 0
    assert desk.codes() == {0: "OrderCancelled"}


def test_removing_a_session_key_after_the_match_does_not_void_it(desk: Desk) -> None:
    account, owner, key = as_bytes(account_of("maker")), address_of("maker"), address_of("helper")
    budget = 10**9
    limits = desk.now + 3_600, 1, 0, budget, budget
    desk.exchange.call("set_session_key", account, key, *limits, sender=owner)
    maker = desk.signed("maker", -10, signer="helper")
    fill, matched_at = SignedFill(desk.signed("taker", 10), maker, 2, PRICE), desk.now
    desk.exchange.call("remove_session_key", account, key, sender=owner)
    desk.chain.advance(NOTICE - 1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 1
    desk.chain.advance(1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 0
    assert desk.codes() == {0: "BadSignature"}


@pytest.mark.parametrize(
    "narrower",
    [
        (-1, 7, 2, 100, 100),
        (0, 6, 2, 100, 100),
        (0, 7, 1, 100, 100),
        (0, 7, 2, 99, 100),
        (0, 7, 2, 100, 99),
    ],
    ids=["expiry", "scope", "underlyings", "notional", "loss"],
)
def test_a_live_session_key_is_not_narrowed_at_once(desk: Desk, narrower: tuple[int, ...]) -> None:
    account, owner, key = as_bytes(account_of("maker")), address_of("maker"), address_of("helper")
    expiry = desk.now + 3_600
    desk.exchange.call("set_session_key", account, key, expiry, 7, 2, 100, 100, sender=owner)
    with pytest.raises(Rejected, match=errors.NotYet.name):
        limits = expiry + narrower[0], *narrower[1:]
        desk.exchange.call("set_session_key", account, key, *limits, sender=owner)
    for wider in ((expiry + 1, 7, 3, 101, 101), (expiry + 1, 7, 0, 101, 101)):
        desk.exchange.call("set_session_key", account, key, *wider, sender=owner)


def test_a_wallet_that_changes_its_mind_does_not_void_a_confirmed_match(desk: Desk) -> None:
    wallet = desk.chain.deploy("MockWallet", root=MOCKS)
    wallet.call("set_mode", 1)
    order = desk.order("taker", 10, account=int(wallet.address, 16) << 96)
    fill = SignedFill(SignedOrder(order, blob=b"blob"), desk.signed("maker", -10), 2, PRICE)
    digest = eip712.order_digest(desk.separator, order)
    desk.exchange.call("confirm_wallet", wallet.address, digest, b"blob")
    matched_at = desk.now
    wallet.call("set_mode", 0)
    desk.chain.advance(NOTICE - 1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 1
    desk.chain.advance(1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 0
    assert desk.codes() == {0: "BadSignature"}


def test_the_engine_cannot_keep_a_receipted_match_from_settling(desk: Desk) -> None:
    fill, matched_at = desk.pair(lots=2), desk.now
    desk.chain.advance(WINDOW - 1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 0
    assert desk.codes() == {0: "NotExecutor"}
    desk.chain.advance(1)
    assert desk.settle_by_receipt(fill, matched_at=matched_at) == 1


def test_one_match_of_an_immediate_order_does_not_void_the_next(desk: Desk) -> None:
    """Who dislikes the second match settles the first one alone; the second still settles."""
    taker, matched_at = desk.signed("taker", 10, flags=IMMEDIATE), desk.now
    first, second = (
        SignedFill(taker, desk.signed("maker", -5, nonce=nonce), 5, PRICE) for nonce in (1, 2)
    )
    desk.chain.advance(WINDOW)
    assert desk.settle_by_receipt(first, matched_at=matched_at) == 1
    assert desk.settle_by_receipt(second, matched_at=matched_at) == 1
    assert desk.settle_by_receipt(second, matched_at=matched_at) == 0


def test_the_engine_does_not_void_a_receipt_by_settling_another_match(desk: Desk) -> None:
    taker, matched_at = desk.signed("taker", 10, flags=IMMEDIATE), desk.now
    first, second = (
        SignedFill(taker, desk.signed("maker", -5, nonce=nonce), 5, PRICE) for nonce in (1, 2)
    )
    assert desk.settle(first) == 1
    desk.chain.advance(WINDOW)
    assert desk.settle_by_receipt(second, matched_at=matched_at) == 1


def test_the_windows_always_leave_time_to_settle_by_receipt(desk: Desk) -> None:
    for window, notice in ((20, 30), (300, 599)):
        with pytest.raises(Rejected, match=errors.OutOfBounds.name):
            desk.govern("set_windows", window, notice)
