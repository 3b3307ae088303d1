"""What the settler holds on to: an order while it may match or settle, a match until it has."""

from __future__ import annotations

from novate.services.held import Held
from novate.wire.records import (
    Busted,
    Matched,
    Order,
    OrderDone,
    OrderPlaced,
    OrderRejected,
)

MAKER, TAKER = b"\1" * 32, b"\2" * 32


def placed(digest: bytes, label: str = "") -> OrderPlaced:
    terms = Order(bytes(32), 1, 1, "1", "1", 0, 0, 0, 0, 0, bytes(20))
    return OrderPlaced(digest, terms, bytes(64), bytes(20), 0, label=label)


def matched(sequence: int) -> Matched:
    return Matched(
        sequence, MAKER, TAKER, bytes(32), bytes(32), 1, True, 1, "1", "0", "0", 0, bytes(64), 0
    )


def done(digest: bytes) -> OrderDone:
    return OrderDone(digest, "filled", 0, 0)


def held(*told: OrderPlaced | OrderRejected | OrderDone | Matched | Busted) -> Held:
    found = Held()
    for record in told:
        found.follow(record)
    return found


def test_an_order_that_ended_without_a_match_is_dropped_at_once() -> None:
    assert held(placed(MAKER), done(MAKER)).placed == {}
    assert held(placed(MAKER), OrderRejected(MAKER, 1)).placed == {}


def test_an_order_stays_until_the_last_of_its_matches_is_released() -> None:
    found = held(placed(MAKER), placed(TAKER), matched(0), matched(1), done(TAKER), done(MAKER))
    found.release(0)
    assert set(found.placed) == {MAKER, TAKER} and set(found.matches) == {1}
    found.release(1)
    assert found.placed == found.matches == {}
    found.release(1)  # told twice after a reorganisation


def test_an_order_in_the_book_stays_though_all_its_matches_have_settled() -> None:
    found = held(placed(MAKER), placed(TAKER), matched(0), done(TAKER))
    found.release(0)
    assert set(found.placed) == {MAKER}
    found.follow(done(MAKER))
    assert found.placed == {}


def test_the_same_order_again_is_refused_and_the_first_one_stays() -> None:
    first, again = placed(MAKER, "first"), placed(MAKER, "again")
    found = held(first, again, OrderRejected(MAKER, 1))
    assert found.placed == {MAKER: first}
    found.follow(done(MAKER))
    assert found.placed == {}
    found = held(first, placed(TAKER), matched(0), done(MAKER), again, OrderRejected(MAKER, 1))
    assert set(found.placed) == {MAKER, TAKER}, "a match still needs it"
    found.follow(done(TAKER))
    found.release(0)
    assert found.placed == {}


def test_only_a_match_that_is_held_can_be_given_up() -> None:
    found = held(placed(MAKER), placed(TAKER), matched(3), Busted(3, 1), Busted(4, 1))
    assert found.given_up == {3}
    found.release(3)
    assert found.given_up == set()
