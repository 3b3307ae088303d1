"""What the Exchange groups to spare storage reads changes no answer: neighbouring immediate orders,
the executor beside the settings, sequences of other batches in one word.
"""

from __future__ import annotations

import pytest
from support.exchange import Desk, account_of, address_of, as_bytes

from novate import errors
from novate.errors import Rejected
from novate.model.order import IMMEDIATE
from novate.wire.order import SignedFill

PRICE_ABOVE_LIMIT = 60_001 * 10**18


@pytest.fixture
def desk() -> Desk:
    """An Exchange with a mock ledger."""
    return Desk()


def spent(desk: Desk, nonce: int) -> int:
    """Pair of bits of the taker's immediate order."""
    pair: int = desk.exchange.view("order_state", as_bytes(account_of("taker")), nonce)[2]
    return pair


def test_immediate_orders_on_both_sides_of_a_word_are_spent_one_by_one(desk: Desk) -> None:
    """Nonces 126 to 129: one is refused by the ledger, one is beyond its limit."""
    maker = desk.signed("maker", -40)
    takers = [desk.signed("taker", 5, nonce=nonce, flags=IMMEDIATE) for nonce in range(126, 130)]
    prices = [takers[0].order.price] * 2 + [PRICE_ABOVE_LIMIT, takers[0].order.price]
    fills = [SignedFill(t, maker, 5, p) for t, p in zip(takers, prices, strict=True)]
    desk.ledger.call("set_refused", 0b010)  # of the three that are sent, the second
    assert desk.settle(*fills) == 0b1001
    assert desk.codes() == {2: errors.LimitPrice.name}
    assert [spent(desk, nonce) for nonce in range(125, 131)] == [0, 1, 0, 0, 1, 0]
    assert desk.filled("maker") == 10
    desk.ledger.call("set_refused", 0)
    assert desk.settle(*(SignedFill(t, maker, 5, prices[0]) for t in takers)) == 0b0110
    assert desk.codes() == {0: errors.NonceUsed.name, 3: errors.NonceUsed.name}
    assert [spent(desk, nonce) for nonce in range(125, 131)] == [0, 1, 1, 1, 1, 0]
    assert desk.filled("maker") == 20


def test_an_immediate_order_of_two_fills_one_refused_keeps_its_lots_counted(desk: Desk) -> None:
    maker = desk.signed("maker", -10)
    taker = desk.signed("taker", 10, flags=IMMEDIATE)
    desk.ledger.call("set_refused", 0b10)
    price = taker.order.price
    assert desk.settle(SignedFill(taker, maker, 4, price), SignedFill(taker, maker, 6, price)) == 1
    account = as_bytes(account_of("taker"))
    assert desk.exchange.view("order_state", account, 1)[2:] == (3, 4)
    assert desk.filled("maker") == 4


def test_a_sequence_settled_far_above_does_not_touch_a_batch_below(desk: Desk) -> None:
    desk.sequence = 255
    assert desk.settle(desk.pair(lots=5)) == 1
    desk.sequence = 0
    assert desk.settle(desk.pair(lots=3)) == 1
    assert desk.codes() == {}
    desk.sequence = 254
    assert desk.settle(desk.pair(lots=1), desk.pair(lots=1)) == 0b01
    assert desk.codes() == {1: errors.ReceiptUsed.name}


def test_each_approved_executor_settles_until_its_own_approval_is_withdrawn(desk: Desk) -> None:
    second = address_of("second")

    def settles(role: str, nonce: int) -> bool:
        executor = address_of(role)
        try:
            pair = desk.pair(nonce=nonce, executor=executor)
            return bool(desk.settle(pair, caller=role))
        except Rejected:
            return False

    settings = desk.exchange.view("settings")
    desk.govern("set_executor", second, True)
    assert settles("engine", 1) and settles("second", 2)
    desk.govern("set_executor", second, False)
    assert settles("engine", 3) and not settles("second", 4)
    desk.govern("set_executor", second, True)
    desk.govern("set_executor", desk.engine, False)
    assert not settles("engine", 5) and settles("second", 6)
    desk.govern("set_fees", 0, 0)
    desk.govern("set_windows", 30, 60)
    assert settles("second", 7)
    desk.govern("set_fees", 400, 100)
    assert desk.exchange.view("settings") == settings
    with pytest.raises(Rejected) as caught:
        desk.settle_by_receipt(
            desk.pair(nonce=8), matched_at=desk.now - 31, executor="0x" + "00" * 20
        )
    assert caught.value.error is errors.BadReceipt
