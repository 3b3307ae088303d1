"""Each order kind and each rejection of the full book, in the reference and the fast book."""

from __future__ import annotations

import numpy as np
import pytest
from support.books import (
    IMMEDIATE,
    KILL,
    MAKER,
    POST,
    REDUCE,
    SECOND_MAKER,
    SLIDE,
    SMALL,
    STOP,
    TAKE,
    TAKER,
    Books,
    fills,
    own,
    placed,
    quoted,
    told,
)

from novate import errors
from novate.engine import book_layout as layout
from novate.engine.book import FastBook
from novate.limits import LOTS_MAX
from novate.model.book_terms import (
    POSITION_LOTS_MAX,
    Capacity,
    Command,
    Kind,
    Options,
    PostOnly,
    SelfTrade,
    TimeInForce,
    Trigger,
)

TOP = SMALL.price_base + SMALL.levels - 1
MARKET = Options(market=True, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)


def cancel(identity: int, owner: int) -> Command:
    return Command(Kind.CANCEL, identity, owner)


def amend(identity: int, owner: int, lots: int, price: int) -> Command:
    return Command(Kind.AMEND, identity, owner, lots=lots, price=price)


def replaced(old: int, command: Command) -> Command:
    return command._replace(kind=Kind.REPLACE, order=old, target=command.order)


def mark(price: int) -> Command:
    return Command(Kind.MARK, price=price)


def clock(now: int) -> Command:
    return Command(Kind.CLOCK, expiry=now)


def position(account: int, lots: int) -> Command:
    return Command(Kind.POSITION, account=account, lots=lots)


def protect(owner: int, lots: int, fills_max: int, window_s: int) -> Command:
    return Command(Kind.PROTECT, owner=owner, lots=lots, price=fills_max, expiry=window_s)


@pytest.fixture
def books() -> Books:
    return Books()


def two_makers(side: int = 1) -> Books:
    made = Books()
    made.place(1, MAKER, -5 * side, 100)
    made.place(2, SECOND_MAKER, -5 * side, 100 + side)
    return made


# Priority, and how long an order lives


@pytest.mark.parametrize("side", [1, -1])
def test_the_best_price_trades_first_then_the_oldest(books: Books, side: int) -> None:
    for identity, price in ((1, 102), (2, 101), (3, 101), (4, 100)):
        books.place(identity, MAKER, -side, 100 + side * (price - 100))
    events = books.place(9, TAKER, 4 * side, 100 + 2 * side)
    assert [maker for maker, _, _ in fills(events)] == [4, 2, 3, 1]
    assert fills(events)[0] == (4, side, 100)


def test_what_a_limit_order_has_left_rests_at_its_price(books: Books) -> None:
    books.place(1, MAKER, -5, 100)
    events = books.place(2, TAKER, 8, 101)
    assert told(events) == [("FILL", 1, 0), ("RESTED", 2, 3)]
    assert books.queue(True) == [(2, 3, 101)] and books.queue(False) == []


def test_a_market_order_takes_at_any_price_and_never_rests() -> None:
    books = two_makers()
    events = books.place(3, TAKER, 12, 0, options=MARKET)
    assert fills(events) == [(1, 5, 100), (2, 5, 101)]
    assert told(events)[-1] == ("UNFILLED", 3, 2)
    assert books.queue(True) == []


def test_immediate_or_cancel_never_rests() -> None:
    books = two_makers()
    events = books.place(3, TAKER, 8, 100, options=IMMEDIATE)
    assert told(events) == [("FILL", 1, 0), ("UNFILLED", 3, 3)]


def test_fill_or_kill_fills_completely_or_changes_nothing() -> None:
    books = two_makers()
    books.rejects(errors.FillOrKill, placed(3, TAKER, 11, 101, options=KILL))
    books.rejects(errors.FillOrKill, placed(3, TAKER, 6, 100, options=KILL))
    assert fills(books.place(3, TAKER, 10, 101, options=KILL)) == [(1, 5, 100), (2, 5, 101)]


def test_fill_or_kill_counts_only_makers_that_would_trade(books: Books) -> None:
    books.accepted(position(MAKER, 4))
    books.place(1, MAKER, -3, 100, options=REDUCE)
    books.place(2, MAKER, -3, 100, options=REDUCE)
    books.place(3, TAKER, -3, 100)
    books.rejects(errors.FillOrKill, placed(9, TAKER, 5, 100, options=KILL))
    events = books.place(9, TAKER, 4, 100, options=KILL)
    assert told(events) == [("FILL", 1, 0), ("FILL", 2, 2)]


def test_fill_or_kill_counts_no_quote_that_protection_would_pull(books: Books) -> None:
    books.accepted(protect(MAKER, 0, 1, 0))
    books.accepted(quoted(10, MAKER, ((0, 0), (5, 100))))
    books.accepted(quoted(20, MAKER, ((0, 0), (5, 101))))
    books.rejects(errors.FillOrKill, placed(9, TAKER, 6, 101, options=KILL))
    books.place(1, SECOND_MAKER, -1, 101)
    events = books.place(9, TAKER, 6, 101, options=KILL)
    assert told(events) == [("FILL", 11, 0), ("EVICTED", 21, 5), ("FILL", 1, 0)]


def test_post_only_rests_or_is_rejected_or_slides() -> None:
    books = two_makers()
    books.rejects(errors.PostOnly, placed(3, TAKER, 1, 100, options=POST))
    assert told(books.place(3, TAKER, 1, 99, options=POST)) == [("RESTED", 3, 1)]
    books.place(4, TAKER, 1, 150, options=SLIDE)
    books.place(5, TAKER, -1, 60, options=SLIDE)
    assert books.queue(True) == [(3, 1, 99), (4, 1, 99)]
    assert books.queue(False) == [(1, 5, 100), (5, 1, 100), (2, 5, 101)]


def test_a_slide_off_the_ladder_is_rejected(books: Books) -> None:
    books.place(1, MAKER, -5, SMALL.price_base)
    books.rejects(errors.PostOnly, placed(2, TAKER, 5, 100, options=SLIDE))


# Self-trade


def test_self_trade_cancels_the_maker_by_default(books: Books) -> None:
    books.place(1, MAKER, -5, 100)
    books.place(2, SECOND_MAKER, -5, 101)
    events = books.place(3, MAKER, 5, 101, account=MAKER + 8)
    assert told(events) == [("EVICTED", 1, 5), ("FILL", 2, 0)]
    assert events[0].detail == errors.SelfMatch.code


def test_self_trade_may_reject_the_taker() -> None:
    books = two_makers(-1)
    events = books.place(3, MAKER, -9, 90, options=own(SelfTrade.REJECT_TAKER))
    assert told(events) == [("EVICTED", 3, 9)] and events[0].detail == errors.SelfMatch.code
    assert len(books.queue(True)) == 2


def test_self_trade_may_cancel_both() -> None:
    books = two_makers()
    events = books.place(3, SECOND_MAKER, 9, 101, options=own(SelfTrade.CANCEL_BOTH))
    assert told(events) == [("FILL", 1, 0), ("EVICTED", 2, 5), ("EVICTED", 3, 4)]
    assert books.queue(False) == []


def test_a_fill_or_kill_order_stopped_by_its_owner_is_rejected_with_self_match() -> None:
    books = two_makers()
    kill = own(SelfTrade.CANCEL_BOTH, TimeInForce.FILL_OR_KILL)
    books.rejects(errors.SelfMatch, placed(3, SECOND_MAKER, 9, 101, options=kill))
    skips = own(SelfTrade.CANCEL_MAKER, TimeInForce.FILL_OR_KILL)
    books.rejects(errors.FillOrKill, placed(3, SECOND_MAKER, 9, 101, options=skips))


# Reduce-only


def test_a_reduce_only_order_is_cut_to_the_position_or_rejected(books: Books) -> None:
    books.rejects(errors.ReduceOnly, placed(1, MAKER, -5, 100, options=REDUCE))
    books.accepted(position(MAKER, 3))
    books.rejects(errors.ReduceOnly, placed(1, MAKER, 5, 100, options=REDUCE))
    assert told(books.place(1, MAKER, -5, 100, options=REDUCE)) == [("RESTED", 1, 3)]
    kill = Options(reduce_only=True, time_in_force=TimeInForce.FILL_OR_KILL)
    books.rejects(errors.ReduceOnly, placed(2, MAKER, -5, 100, options=kill))


def test_a_resting_reduce_only_order_is_judged_when_it_is_met(books: Books) -> None:
    books.accepted(position(MAKER, 3))
    books.place(1, MAKER, -3, 100, options=REDUCE)
    books.accepted(position(MAKER, 1))
    books.place(2, SECOND_MAKER, -3, 100)
    events = books.place(3, TAKER, 3, 100)
    assert told(events) == [("FILL", 1, 2), ("EVICTED", 1, 2), ("FILL", 2, 1)]
    assert events[1].detail == errors.ReduceOnly.code
    assert books.reference.position(MAKER) == 0 and books.reference.position(TAKER) == 3


# Triggers and time


@pytest.mark.parametrize(
    ("options", "lots", "meets"),
    [(STOP, 1, 120), (STOP, -1, 80), (TAKE, 1, 80), (TAKE, -1, 120)],
)
def test_a_trigger_fires_when_the_mark_meets_it(
    books: Books, options: Options, lots: int, meets: int
) -> None:
    books.accepted(mark(100))
    events = books.place(1, MAKER, lots, 100, options=options, trigger=meets)
    assert told(events) == [("WAITING", 1, 1)] and events[0].detail == meets
    assert books.accepted(mark(meets + (1 if meets < 100 else -1))) == []
    assert told(books.accepted(mark(meets))) == [("TRIGGERED", 1, 1), ("RESTED", 1, 1)]


def test_triggers_fire_by_price_then_identity(books: Books) -> None:
    for identity, meets in ((3, 110), (2, 110), (1, 120), (4, 105)):
        books.place(identity, MAKER, 1, 100, options=STOP, trigger=meets)
    fired = [order for what, order, _ in told(books.accepted(mark(115))) if what == "TRIGGERED"]
    assert fired == [4, 2, 3]
    assert [order for _, order, _ in told(books.accepted(mark(120)))] == [1, 1]


def test_a_trigger_that_the_mark_already_meets_is_rejected(books: Books) -> None:
    books.accepted(mark(100))
    books.rejects(errors.WouldTrigger, placed(1, MAKER, 1, 100, options=STOP, trigger=100))
    books.rejects(errors.WouldTrigger, placed(1, MAKER, 1, 100, options=TAKE, trigger=101))


def test_what_a_fired_order_would_be_rejected_for_evicts_it(books: Books) -> None:
    books.place(1, MAKER, -1, 100)
    stops = {"trigger": Trigger.STOP}
    for identity, options, error in (
        (2, Options(post_only=PostOnly.REJECT, **stops), errors.PostOnly),
        (3, Options(reduce_only=True, **stops), errors.ReduceOnly),
        (4, Options(time_in_force=TimeInForce.FILL_OR_KILL, **stops), errors.FillOrKill),
    ):
        books.place(identity, TAKER, 2, 100, options=options, trigger=100 + identity)
        fired, evicted = books.accepted(mark(100 + identity))
        assert (fired.order, evicted.order, evicted.detail) == (identity, identity, error.code)


def test_a_fired_order_that_is_evicted_says_what_it_asked_for(books: Books) -> None:
    books.accepted(position(TAKER, -3))
    books.place(1, MAKER, -1, 100)
    options = Options(post_only=PostOnly.REJECT, reduce_only=True, trigger=Trigger.STOP)
    books.place(2, TAKER, 5, 100, options=options, trigger=110)
    events = books.accepted(mark(110))
    assert told(events) == [("TRIGGERED", 2, 5), ("EVICTED", 2, 5)]
    assert events[1].lots == 5 and events[1].detail == errors.PostOnly.code


def test_an_order_expires_when_the_clock_reaches_its_time(books: Books) -> None:
    books.accepted(clock(1_000))
    books.rejects(errors.OrderExpired, placed(1, MAKER, 1, 100, expiry=1_000))
    books.place(3, MAKER, 1, 100, expiry=1_002)
    books.place(2, MAKER, 1, 90, expiry=1_002, options=STOP, trigger=200)
    books.place(1, MAKER, 1, 110, expiry=1_001)
    books.place(4, MAKER, 1, 110, expiry=1_003)
    assert told(books.accepted(clock(1_002))) == [("EVICTED", i, 1) for i in (1, 2, 3)]
    books.rejects(errors.MalformedOrder, clock(1_001))


# Cancel, amend, replace


def test_cancel_takes_an_order_out(books: Books) -> None:
    books.place(1, MAKER, 5, 100)
    books.place(2, MAKER, 5, 100, options=STOP, trigger=120)
    books.rejects(errors.OrderNotOpen, cancel(9, MAKER))
    books.rejects(errors.NotOwner, cancel(1, TAKER))
    assert told(books.accepted(cancel(1, MAKER))) == [("CANCELLED", 1, 5)]
    assert told(books.accepted(cancel(2, MAKER))) == [("CANCELLED", 2, 5)]
    books.rejects(errors.OrderNotOpen, cancel(1, MAKER))


def test_an_amendment_down_keeps_its_place_and_any_other_loses_it(books: Books) -> None:
    for identity in (1, 2, 3):
        books.place(identity, MAKER, 5, 100)
    assert told(books.accepted(amend(1, MAKER, 4, 100))) == [("AMENDED", 1, 4)]
    assert books.queue(True)[0] == (1, 4, 100)
    assert told(books.accepted(amend(1, MAKER, 6, 100))) == [("AMENDED", 1, 6), ("RESTED", 1, 6)]
    assert [order for order, _, _ in books.queue(True)] == [2, 3, 1]
    books.accepted(amend(2, MAKER, 5, 101))
    assert [order for order, _, _ in books.queue(True)] == [2, 3, 1]


def test_an_amendment_counts_what_was_filled_and_may_trade(books: Books) -> None:
    books.place(1, MAKER, 5, 100)
    books.place(2, TAKER, -3, 100)
    assert told(books.accepted(amend(1, MAKER, 4, 100))) == [("AMENDED", 1, 1)]
    books.place(3, TAKER, -9, 102)
    events = books.accepted(amend(1, MAKER, 6, 102))
    assert told(events) == [("AMENDED", 1, 3), ("FILL", 3, 6)]
    books.place(4, MAKER, 5, 90)
    books.place(5, TAKER, -3, 90)
    assert told(books.accepted(amend(4, MAKER, 3, 90))) == [("CANCELLED", 4, 2)]


def test_a_rejected_amendment_leaves_the_order_in_its_place() -> None:
    books = two_makers()
    books.place(3, TAKER, 5, 99, options=POST)
    books.rejects(errors.OrderNotOpen, amend(9, TAKER, 5, 99))
    books.rejects(errors.NotOwner, amend(3, MAKER, 5, 99))
    books.rejects(errors.ZeroLots, amend(3, TAKER, 0, 99))
    books.rejects(errors.LotsOutOfRange, amend(3, TAKER, LOTS_MAX + 1, 99))
    books.rejects(errors.MalformedOrder, amend(3, TAKER, -5, 99))
    books.rejects(errors.PriceOutOfLadder, amend(3, TAKER, 5, TOP + 1))
    books.rejects(errors.PostOnly, amend(3, TAKER, 5, 100))
    assert books.queue(True) == [(3, 5, 99)]


def test_a_waiting_order_can_be_amended(books: Books) -> None:
    books.place(1, MAKER, 5, 100, options=STOP, trigger=120)
    assert told(books.accepted(amend(1, MAKER, 7, 130))) == [("AMENDED", 1, 7)]
    waits = Options(
        market=True, trigger=Trigger.STOP, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL
    )
    books.place(2, MAKER, 5, 0, options=waits, trigger=125)
    books.rejects(errors.MalformedOrder, amend(2, MAKER, 7, 130))
    assert told(books.accepted(amend(2, MAKER, 7, 0))) == [("AMENDED", 2, 7)]
    assert books.accepted(mark(121))[-1].price == 130


def test_a_replacement_is_all_or_nothing() -> None:
    books = two_makers()
    post = placed(3, MAKER, 5, 100, options=POST)
    events = books.accepted(replaced(1, post))
    assert told(events) == [("CANCELLED", 1, 5), ("RESTED", 3, 5)]
    books.rejects(errors.PostOnly, replaced(3, placed(4, MAKER, 5, 101, options=POST)))
    books.rejects(errors.OrderNotOpen, replaced(1, placed(4, MAKER, 5, 99)))
    books.rejects(errors.NotOwner, replaced(2, placed(4, MAKER, 5, 99)))
    books.rejects(errors.OrderExists, replaced(3, placed(3, MAKER, 5, 99)))
    books.rejects(errors.ZeroLots, replaced(3, placed(4, MAKER, 0, 99)))
    waits = placed(4, MAKER, 5, 99, options=STOP, trigger=120)
    assert told(books.accepted(replaced(3, waits))) == [("CANCELLED", 3, 5), ("WAITING", 4, 5)]


# Quotes and protection


def test_a_quote_has_two_legs_that_change_together(books: Books) -> None:
    events = books.accepted(quoted(10, MAKER, ((5, 99), (6, 101))))
    assert told(events) == [("RESTED", 10, 5), ("RESTED", 11, 6)]
    events = books.accepted(quoted(10, MAKER, ((4, 99), (6, 102))))
    assert told(events) == [("AMENDED", 10, 4), ("RESTED", 11, 6)]
    events = books.accepted(quoted(10, MAKER, ((4, 103), (6, 104))))
    assert books.queue(True) == [(10, 4, 103)] and books.queue(False) == [(11, 6, 104)]
    events = books.accepted(quoted(10, MAKER, ((0, 0), (7, 104))))
    assert told(events) == [("CANCELLED", 10, 4), ("RESTED", 11, 7)]


def test_a_quote_that_shrinks_keeps_its_place(books: Books) -> None:
    books.accepted(quoted(10, MAKER, ((5, 99), (0, 0))))
    books.place(1, TAKER, 5, 99)
    books.accepted(quoted(10, MAKER, ((4, 99), (0, 0))))
    assert [order for order, _, _ in books.queue(True)] == [10, 1]
    books.accepted(quoted(10, MAKER, ((5, 99), (0, 0))))
    assert [order for order, _, _ in books.queue(True)] == [1, 10]


def test_a_quote_never_takes_and_changes_nothing_if_a_leg_would() -> None:
    books = two_makers()
    books.accepted(quoted(10, TAKER, ((5, 98), (5, 103))))
    books.rejects(errors.PostOnly, quoted(10, TAKER, ((5, 100), (5, 103))))
    books.accepted(quoted(10, TAKER, ((5, 100), (5, 103)), SLIDE))
    assert books.queue(True) == [(10, 5, 99)]
    books.rejects(errors.PostOnly, quoted(20, SECOND_MAKER, ((0, 0), (5, 99))))


def test_an_unsound_quote_is_rejected(books: Books) -> None:
    books.place(12, MAKER, 1, 60)
    legs = ((5, 99), (5, 101))
    books.rejects(errors.MalformedOrder, quoted(0, MAKER, legs))
    books.rejects(errors.UnknownAccount, quoted(10, 8, legs))
    books.rejects(errors.LotsOutOfRange, quoted(10, MAKER, ((-1, 99), (5, 101))))
    books.rejects(errors.LotsOutOfRange, quoted(10, MAKER, ((1, 99), (LOTS_MAX + 1, 101))))
    for options in (Options(), IMMEDIATE, Options(post_only=PostOnly.SLIDE, reduce_only=True)):
        books.rejects(errors.MalformedOrder, quoted(10, MAKER, legs, options))
    books.rejects(errors.MalformedOrder, quoted(10, MAKER, legs)._replace(options=12))
    books.rejects(errors.PriceOutOfLadder, quoted(10, MAKER, ((5, 99), (5, TOP + 1))))
    books.rejects(errors.MalformedOrder, quoted(10, MAKER, ((5, 101), (5, 101))))
    books.rejects(errors.OrderExists, quoted(12, MAKER, legs))
    books.rejects(errors.OrderExists, quoted(11, MAKER, legs))
    books.accepted(quoted(20, MAKER, legs))
    books.rejects(errors.OrderExists, quoted(20, SECOND_MAKER, legs))
    books.rejects(errors.OrderExists, quoted(20, MAKER, legs)._replace(account=9))
    books.accepted(clock(100))
    books.rejects(errors.OrderExpired, quoted(30, MAKER, legs)._replace(expiry=100))


@pytest.mark.parametrize(("lots", "fills_max"), [(6, 0), (0, 2)])
def test_protection_pulls_all_quotes_at_its_limit_until_it_is_reset(
    lots: int, fills_max: int
) -> None:
    books = Books()
    books.accepted(protect(MAKER, lots, fills_max, 10))
    books.accepted(quoted(10, MAKER, ((5, 99), (4, 101))))
    books.place(1, MAKER, 5, 90)
    books.place(2, TAKER, -3, 99)
    events = books.place(3, TAKER, 9, 101)
    assert told(events) == [("FILL", 11, 0), ("EVICTED", 10, 2), ("RESTED", 3, 5)]
    assert events[1].detail == errors.QuotesFrozen.code
    assert books.queue(True)[-1] == (1, 5, 90)
    books.rejects(errors.QuotesFrozen, quoted(10, MAKER, ((5, 99), (0, 0))))
    books.accepted(Command(Kind.RESET, owner=MAKER))
    books.accepted(quoted(10, MAKER, ((5, 99), (0, 0))))


def test_protection_counts_anew_when_its_window_is_over(books: Books) -> None:
    books.accepted(protect(MAKER, 6, 0, 10))
    books.accepted(quoted(10, MAKER, ((9, 99), (0, 0))))
    books.place(1, TAKER, -5, 99)
    books.accepted(clock(10))
    assert told(books.place(2, TAKER, -2, 99)) == [("FILL", 10, 2)]
    assert books.reference.protection(MAKER).lots == 2


def test_bad_limits_of_a_protection_are_rejected(books: Books) -> None:
    books.rejects(errors.UnknownAccount, protect(8, 1, 1, 1))
    books.rejects(errors.LotsOutOfRange, protect(MAKER, -1, 1, 1))
    books.rejects(errors.MalformedOrder, protect(MAKER, 1, -1, 1))
    books.rejects(errors.MalformedOrder, protect(MAKER, 1, 1, -1))
    books.rejects(errors.UnknownAccount, Command(Kind.RESET, owner=-1))


def test_a_mass_cancel_takes_out_all_of_an_owner_or_one_side(books: Books) -> None:
    books.place(1, MAKER, 1, 90)
    books.place(2, MAKER, 1, 95)
    books.place(3, TAKER, 1, 95)
    books.place(4, MAKER, -1, 105)
    books.place(5, MAKER, -1, 99, options=STOP, trigger=80)
    sells = Command(Kind.MASS_CANCEL, owner=MAKER, lots=-1)
    assert told(books.accepted(sells)) == [("CANCELLED", 4, 1), ("CANCELLED", 5, 1)]
    everything = Command(Kind.MASS_CANCEL, owner=MAKER)
    assert told(books.accepted(everything)) == [("CANCELLED", 2, 1), ("CANCELLED", 1, 1)]
    assert books.queue(True) == [(3, 1, 95)]
    books.rejects(errors.UnknownAccount, Command(Kind.MASS_CANCEL, owner=8))


# Rejections of what a command says


def test_an_unsound_order_is_rejected(books: Books) -> None:
    sound = placed(1, MAKER, 5, 100)
    for error, change in (
        (errors.MalformedOrder, {"order": 0}),
        (errors.MalformedOrder, {"order": -(2**63)}),
        (errors.UnknownAccount, {"owner": 8}),
        (errors.UnknownAccount, {"owner": -1}),
        (errors.UnknownAccount, {"account": 16}),
        (errors.ZeroLots, {"lots": 0}),
        (errors.LotsOutOfRange, {"lots": LOTS_MAX + 1}),
        (errors.LotsOutOfRange, {"lots": -(2**63)}),
        (errors.PriceOutOfLadder, {"price": SMALL.price_base - 1}),
        (errors.PriceOutOfLadder, {"price": TOP + 1}),
        (errors.PriceOutOfLadder, {"price": -(2**63)}),
        (errors.MalformedOrder, {"expiry": -1}),
        (errors.MalformedOrder, {"trigger": 100}),
        (errors.MalformedOrder, {"options": STOP.packed}),
        (errors.MalformedOrder, {"options": STOP.packed, "trigger": 2**62 + 1}),
        (errors.MalformedOrder, {"options": MARKET.packed}),
        (errors.MalformedOrder, {"options": Options(market=True).packed, "price": 0}),
        (errors.MalformedOrder, {"options": POST.packed | IMMEDIATE.packed}),
        *((errors.MalformedOrder, {"options": bits}) for bits in (3, 12, 48, 192, 1024, -1)),
    ):
        books.rejects(error, sound._replace(**change))
    books.accepted(sound)
    books.rejects(errors.OrderExists, sound)


def test_an_unsound_command_is_rejected(books: Books) -> None:
    for kind in (0, 12, -1, 2**62):
        books.rejects(errors.MalformedOrder, Command(kind))
    books.rejects(errors.MalformedOrder, mark(0))
    books.rejects(errors.MalformedOrder, mark(2**62 + 1))
    books.rejects(errors.UnknownAccount, position(16, 1))
    books.rejects(errors.LotsOutOfRange, position(1, LOTS_MAX + 1))


def test_a_full_book_takes_no_order_that_would_stay_and_still_trades() -> None:
    books = Books(Capacity(price_base=50, levels=200, orders=3, owners=8, accounts=16))
    for identity in (1, 2):
        books.place(identity, MAKER, -1, 100)
    books.rejects(errors.BookFull, quoted(10, SECOND_MAKER, ((1, 90), (1, 110))))
    books.place(3, MAKER, -1, 100)
    books.rejects(errors.BookFull, placed(4, TAKER, 1, 100))
    books.rejects(errors.BookFull, placed(4, TAKER, 1, 100, options=STOP, trigger=120))
    books.accepted(replaced(3, placed(5, MAKER, -1, 101)))
    books.accepted(amend(5, MAKER, -2, 102))
    assert fills(books.place(4, TAKER, 1, 100, options=IMMEDIATE)) == [(1, 1, 100)]
    books.place(6, TAKER, 1, 90)


def test_a_position_near_the_limit_of_its_word_takes_no_order(books: Books) -> None:
    # No command reaches such a position in the time of a test, so it is put there.
    books.accepted(position(MAKER, 1))
    row = int(layout.ACCOUNTS_AT) + MAKER * layout.ACCOUNT_WORDS
    assert books.fast.state[row + int(layout.POSITION)] == 1
    books.fast.state[row + int(layout.POSITION)] = -POSITION_LOTS_MAX
    books.reference._positions[MAKER] = -POSITION_LOTS_MAX
    books.rejects(errors.LotsOutOfRange, placed(1, MAKER, 1, 100))
    books.rejects(errors.LotsOutOfRange, quoted(1, MAKER, ((1, 100), (0, 0))))


# The fast book's own face


def test_identities_that_fall_on_one_place_are_told_apart(books: Books) -> None:
    step = 2**18
    identities = [1 + step * number for number in range(12)]
    for identity in identities:
        books.place(identity, MAKER, 1, 100)
    books.rejects(errors.OrderExists, placed(identities[7], MAKER, 1, 100))
    for identity in (*identities[3:9], *identities[:3]):
        books.accepted(cancel(identity, MAKER))
    books.rejects(errors.OrderNotOpen, cancel(identities[0], MAKER))
    assert [order for order, _, _ in books.queue(True)] == identities[9:]


def test_the_next_level_is_found_across_every_tier_of_the_bitmaps() -> None:
    books = Books(Capacity(owners=8, accounts=16))
    prices = [1, 2, 64, 65, 4_096, 4_097, 200_000, 262_143, 262_144]
    for identity, price in enumerate(prices, 1):
        books.place(identity, MAKER, -1, price)
    market = placed(20, TAKER, 9, 0, options=MARKET)
    assert [price for _, _, price in fills(books.accepted(market))] == prices
    for identity, price in enumerate(prices, 1):
        books.place(identity, MAKER, 1, price)
    events = books.accepted(market._replace(order=21, lots=-9))
    assert [price for _, _, price in fills(events)] == prices[::-1]


def test_a_batch_stops_before_its_events_would_not_fit() -> None:
    book, half = FastBook(), layout.ORDERS // 2
    rows = np.zeros((half, layout.COMMAND_WORDS), np.int64)
    rows[:, 0], rows[:, 1], rows[:, 4] = Kind.PLACE, np.arange(1, half + 1), 1
    rows[:, 5] = np.arange(half) % 1_000 + 1
    for _ in range(2):
        batch = book.apply(rows)
        assert batch.done == len(batch.events) == half and not batch.results.any()
        rows[:, 1] += half
    assert book.open_orders == layout.ORDERS
    rows[:, 0], rows[:, 1] = Kind.AMEND, np.arange(1, half + 1)
    rows[:, 4], rows[:, 5] = 2, 1_500
    batch = book.apply(rows)
    assert half - 10 < batch.done < half and not batch.results.any()
    assert len(batch.events) == 2 * batch.done
    rest = rows[batch.done :]
    assert book.apply(rest).done == len(rest)


def test_the_views_of_the_fast_book() -> None:
    books = two_makers()
    books.place(3, TAKER, -2, 100)
    assert books.fast.best_price(False) == 100 and books.fast.best_price(True) is None
    assert books.fast.depth(False) == books.reference.depth(False) == [(100, 7), (101, 5)]
    assert books.fast.depth(False, 1) == [(100, 7)]
    assert books.fast.open_orders == books.reference.open_orders == 3


def test_the_same_commands_give_the_same_memory() -> None:
    snapshots = []
    for _ in range(2):
        books = two_makers()
        books.place(3, TAKER, 7, 101)
        snapshots.append(books.fast.snapshot())
    assert snapshots[0] == snapshots[1]
