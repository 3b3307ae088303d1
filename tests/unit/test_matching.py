"""The reference book: each matching rule on a small example."""

from __future__ import annotations

from dataclasses import replace

import pytest

from novate import errors
from novate.errors import Error, Rejected
from novate.limits import LOTS_MAX
from novate.model.matching import (
    PRICE_TICKS_MAX,
    Book,
    Done,
    End,
    Match,
    Order,
    Report,
    SelfTrade,
    TimeInForce,
    Verdict,
)
from novate.model.store import Store

PERP, OTHER = 1, 2
MAKER, SECOND_MAKER, TAKER = 0xA << 96, 0xB << 96, 0xC << 96


def order(identity: int, account: int, lots: int, price: int, **rest: object) -> Order:
    made = Order(identity, account, PERP, lots, price)
    return replace(made, **rest)  # type: ignore[arg-type]


def book_with(*orders: Order, store: Store | None = None) -> Book:
    book = Book(store or Store())
    for resting in orders:
        assert book.place(resting).events == ()
    return book


def fills(report: Report) -> list[tuple[int, int, int]]:
    return [(match.maker, match.lots, match.price_ticks) for match in report.matches]


def ends(report: Report) -> list[tuple[int, End, int]]:
    return [(d.identity, d.end, d.lots_left) for d in report.events if isinstance(d, Done)]


def rejects(error: Error, book: Book, *arguments: object) -> None:
    before = book.state_hash()
    with pytest.raises(Rejected) as caught:
        command = book.place if len(arguments) == 1 else book.amend
        command(*arguments)  # type: ignore[arg-type]
    assert caught.value.error is error
    assert book.state_hash() == before


def test_an_order_that_crosses_nothing_rests() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, MAKER, 5, 99))
    assert book.depth(PERP, False) == [(100, 5)]
    assert book.depth(PERP, True) == [(99, 5)]
    assert book.depth(OTHER, True) == []


@pytest.mark.parametrize("side", [1, -1])
def test_a_match_names_both_orders_and_trades_at_the_makers_price(side: int) -> None:
    book = book_with(order(1, MAKER, -5 * side, 100))
    report = book.place(order(2, TAKER, 3 * side, 100 + 7 * side))
    assert report.events == (
        Match(1, 2, MAKER, TAKER, PERP, side > 0, 3, 100),
        Done(2, End.FILLED, 0),
    )
    resting = book.resting(1)
    assert resting is not None and resting.lots_left == 2 and resting.lots_filled == 3


@pytest.mark.parametrize("side", [1, -1])
def test_the_best_price_trades_first_then_the_oldest(side: int) -> None:
    book = book_with(
        order(1, MAKER, -1 * side, 100 + 2 * side),
        order(2, MAKER, -1 * side, 100 + 1 * side),
        order(3, SECOND_MAKER, -1 * side, 100 + 1 * side),
        order(4, MAKER, -1 * side, 100),
    )
    report = book.place(order(9, TAKER, 4 * side, 100 + 2 * side))
    assert [maker for maker, _, _ in fills(report)] == [4, 2, 3, 1]


def test_what_the_taker_has_left_rests_at_its_price() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    report = book.place(order(2, TAKER, 8, 101))
    assert fills(report) == [(1, 5, 100)]
    assert ends(report) == [(1, End.FILLED, 0)]
    assert book.depth(PERP, True) == [(101, 3)] and book.depth(PERP, False) == []


def test_a_taker_stops_at_its_limit() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, MAKER, -5, 102))
    assert fills(book.place(order(3, TAKER, 10, 101))) == [(1, 5, 100)]
    assert book.depth(PERP, False) == [(102, 5)]


def test_instruments_do_not_meet() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    assert book.place(order(2, TAKER, 5, 100, instrument=OTHER)).events == ()


def test_immediate_or_cancel_never_rests() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    report = book.place(order(2, TAKER, 8, 100, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL))
    assert fills(report) == [(1, 5, 100)]
    assert ends(report)[-1] == (2, End.UNFILLED, 3)
    assert book.resting(2) is None


def test_fill_or_kill_fills_completely_or_changes_nothing() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, MAKER, -5, 101))
    kill = order(3, TAKER, 11, 101, time_in_force=TimeInForce.FILL_OR_KILL)
    rejects(errors.FillOrKill, book, kill)
    assert fills(book.place(replace(kill, lots=10))) == [(1, 5, 100), (2, 5, 101)]


def test_fill_or_kill_counts_only_makers_that_would_pass() -> None:
    store = Store()
    booked = store.table("margin", 0)

    def judge(maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
        if maker.account == MAKER:
            return Verdict(0, maker=errors.InsufficientMargin)
        booked[maker.account] += lots
        return Verdict(lots)

    book = Book(store, judge)
    book.place(order(1, MAKER, -5, 100))
    book.place(order(2, SECOND_MAKER, -5, 101))
    kill = order(3, TAKER, 10, 101, time_in_force=TimeInForce.FILL_OR_KILL)
    rejects(errors.FillOrKill, book, kill)
    assert booked[SECOND_MAKER] == 0 and book.resting(1) is not None
    report = book.place(replace(kill, lots=5))
    assert fills(report) == [(2, 5, 101)]
    assert booked[SECOND_MAKER] == 5
    assert ends(report)[0] == (1, End.EVICTED, 5)


def test_post_only_rests_or_is_rejected() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    rejects(errors.PostOnly, book, order(2, TAKER, 1, 100, post_only=True))
    assert book.place(order(3, TAKER, 1, 99, post_only=True)).events == ()


def test_the_judge_sees_each_match_before_it_is_reported() -> None:
    seen: list[tuple[int, int, int, int]] = []

    def judge(maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
        seen.append((maker.identity, taker.identity, lots, price_ticks))
        return Verdict(lots)

    book = Book(Store(), judge)
    book.place(order(1, MAKER, -5, 100))
    book.place(order(2, TAKER, 3, 101))
    assert seen == [(1, 2, 3, 100)]


def test_a_maker_that_fails_is_evicted_and_matching_goes_on() -> None:
    def judge(maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
        if maker.account == MAKER:
            return Verdict(2, maker=errors.InsufficientMargin)
        return Verdict(lots)

    book = Book(Store(), judge)
    book.place(order(1, MAKER, -5, 100))
    book.place(order(2, SECOND_MAKER, -5, 100))
    report = book.place(order(3, TAKER, 6, 100))
    assert fills(report) == [(1, 2, 100), (2, 4, 100)]
    assert Done(1, End.EVICTED, 3, errors.InsufficientMargin) in report.events
    assert book.depth(PERP, False) == [(100, 1)]


def test_a_taker_that_fails_is_stopped_and_its_rest_cancelled_with_the_reason() -> None:
    def judge(maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
        return Verdict(1, taker=errors.PositionCap)

    book = Book(Store(), judge)
    book.place(order(1, MAKER, -5, 100))
    report = book.place(order(2, TAKER, 3, 100))
    assert report.events[1:] == (Done(2, End.EVICTED, 2, errors.PositionCap),)
    assert fills(report) == [(1, 1, 100)]
    assert book.depth(PERP, False) == [(100, 4)] and book.depth(PERP, True) == []


def test_a_fill_or_kill_taker_that_fails_is_rejected_with_the_reason() -> None:
    book = Book(Store(), lambda *_: Verdict(1, taker=errors.PositionCap))
    book.place(order(1, MAKER, -5, 100))
    kill = order(2, TAKER, 3, 100, time_in_force=TimeInForce.FILL_OR_KILL)
    rejects(errors.PositionCap, book, kill)


def test_a_judge_that_blames_nobody_for_fewer_lots_is_a_bug() -> None:
    book = Book(Store(), lambda *_: Verdict(1))
    book.place(order(1, MAKER, -5, 100))
    with pytest.raises(AssertionError):
        book.place(order(2, TAKER, 3, 100))


SISTER = MAKER | 7


def test_an_owner_does_not_trade_with_itself_over_its_accounts() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 101))
    report = book.place(order(3, SISTER, 5, 101))
    assert Done(1, End.EVICTED, 5, errors.SelfMatch) in report.events
    assert fills(report) == [(2, 5, 101)]


def test_self_trade_may_reject_the_taker() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 101))
    report = book.place(order(3, SISTER, 5, 101, self_trade=SelfTrade.REJECT_TAKER))
    assert report.events == (Done(3, End.EVICTED, 5, errors.SelfMatch),)
    assert book.depth(PERP, False) == [(100, 5), (101, 5)]


def test_self_trade_may_cancel_both() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 101))
    report = book.place(order(3, SISTER, 5, 101, self_trade=SelfTrade.CANCEL_BOTH))
    assert ends(report) == [(1, End.EVICTED, 5), (3, End.EVICTED, 5)]
    assert book.depth(PERP, False) == [(101, 5)]


def test_cancel_takes_an_order_out_and_is_never_refused() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    assert book.cancel(1).events == (Done(1, End.CANCELLED, 5),)
    assert book.cancel(1).events == ()
    assert book.depth(PERP, False) == []


def test_an_order_may_be_evicted_for_a_reason() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    report = book.cancel(1, errors.OrderExpired)
    assert report.events == (Done(1, End.EVICTED, 5, errors.OrderExpired),)


def test_an_amendment_down_keeps_its_place_and_what_was_filled() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 100))
    book.place(order(3, TAKER, 1, 100))
    assert ends(book.amend(1, order(11, MAKER, -3, 100))) == [(1, End.REPLACED, 4)]
    assert [r.order.identity for r in book.queue(PERP, False)] == [11, 2]
    assert book.depth(PERP, False) == [(100, 7)]


def test_an_amendment_of_neither_lots_nor_price_keeps_its_place() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 100))
    book.amend(1, order(11, MAKER, -5, 100, reduce_only=True))
    assert [r.order.identity for r in book.queue(PERP, False)] == [11, 2]


@pytest.mark.parametrize(("lots", "price"), [(-6, 100), (-5, 101), (-5, 99)])
def test_an_amendment_up_or_in_price_loses_its_place(lots: int, price: int) -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, MAKER, -5, 99), order(3, MAKER, -5, 101))
    book.place(order(4, MAKER, -5, 100))
    book.amend(1, order(11, MAKER, lots, price))
    level = [r.order.identity for r in book.queue(PERP, False) if r.order.price_ticks == price]
    assert level[-1] == 11 and len(level) == 2


def test_an_amendment_that_crosses_takes() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, TAKER, 5, 99))
    report = book.amend(2, order(12, TAKER, 5, 100))
    assert fills(report) == [(1, 5, 100)]
    assert ends(report) == [(2, End.REPLACED, 5), (1, End.FILLED, 0), (12, End.FILLED, 0)]


def test_an_amendment_to_what_was_filled_ends_the_order() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    book.place(order(2, TAKER, 3, 100))
    report = book.amend(1, order(11, MAKER, -2, 100))
    assert ends(report) == [(1, End.REPLACED, 2), (11, End.FILLED, 0)]
    assert book.depth(PERP, False) == []


def test_an_amendment_shares_what_was_filled_when_it_enters_anew() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    book.place(order(2, TAKER, 3, 100))
    book.amend(1, order(11, MAKER, -5, 101))
    assert book.depth(PERP, False) == [(101, 2)]


def test_a_rejected_amendment_leaves_the_order_in_its_place() -> None:
    book = book_with(order(1, MAKER, -5, 100), order(2, TAKER, 5, 99))
    rejects(errors.OrderNotOpen, book, 7, order(17, MAKER, -5, 100))
    rejects(errors.NotOwner, book, 1, order(11, SISTER, -5, 100))
    rejects(errors.InstrumentMismatch, book, 1, order(11, MAKER, -5, 100, instrument=OTHER))
    rejects(errors.MalformedOrder, book, 1, order(11, MAKER, 5, 100))
    immediate = order(11, MAKER, -5, 100, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    rejects(errors.MalformedOrder, book, 1, immediate)
    rejects(errors.PostOnly, book, 1, order(11, MAKER, -5, 99, post_only=True))
    rejects(errors.ZeroLots, book, 1, order(11, MAKER, 0, 100))


def test_an_unsound_order_is_rejected() -> None:
    book = book_with()
    rejects(errors.ZeroLots, book, order(1, MAKER, 0, 100))
    rejects(errors.LotsOutOfRange, book, order(1, MAKER, LOTS_MAX + 1, 100))
    rejects(errors.LotsOutOfRange, book, order(1, MAKER, -LOTS_MAX - 1, 100))
    rejects(errors.MalformedOrder, book, order(1, MAKER, 1, 0))
    rejects(errors.MalformedOrder, book, order(1, MAKER, 1, PRICE_TICKS_MAX + 1))
    for force in (TimeInForce.IMMEDIATE_OR_CANCEL, TimeInForce.FILL_OR_KILL):
        rejects(
            errors.MalformedOrder, book, order(1, MAKER, 1, 1, post_only=True, time_in_force=force)
        )


def test_an_order_enters_once() -> None:
    book = book_with(order(1, MAKER, -5, 100))
    with pytest.raises(AssertionError):
        book.place(order(1, MAKER, -5, 100))


def test_the_state_hash_tells_priority_side_price_and_size() -> None:
    first, second = order(1, MAKER, -5, 100), order(2, SECOND_MAKER, -5, 100)
    empty = book_with().state_hash()
    hashes = {
        book_with(first, second).state_hash(),
        book_with(second, first).state_hash(),
        book_with(first, replace(second, lots=-4)).state_hash(),
        book_with(first, replace(second, price_ticks=101)).state_hash(),
        book_with(first, replace(second, lots=5, price_ticks=99)).state_hash(),
        book_with(first, replace(second, lots=5, price_ticks=100, instrument=OTHER)).state_hash(),
    }
    assert len(hashes | {empty}) == 7
    emptied = book_with(first)
    emptied.cancel(1)
    assert emptied.state_hash() == empty
