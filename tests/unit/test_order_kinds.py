"""Edits, triggers, sliding, quotes and protection, as the sequencer carries them out."""

from __future__ import annotations

import pytest

from novate import errors, limits
from novate.engine import entry
from novate.engine.ladder import FAR
from novate.model.book_terms import Capacity
from novate.model.order import IMMEDIATE, POST_ONLY
from novate.units import WAD
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    OrderSlid,
    OrderTriggered,
    ProtectionReset,
    ProtectionTriggered,
)
from tests.support.engine import (
    BTC,
    ETH,
    Floor,
    account_of,
    address_of,
    batches,
    ends,
    floor_of,
    matches,
    rejection,
)

LOT = WAD // 1000
floor = floor_of("maker", "second", "taker")


def queue(floor: Floor, is_buy: bool, instrument: int = BTC) -> list[tuple[int, int]]:
    """(dollars, lots) of one side, in priority order."""
    tick = floor.world.ledger.terms_of(instrument).tick
    return [(p * tick // WAD, n) for _, p, n in floor.sequencer.book.queue(instrument, is_buy)]


def slid(events: list[AnyRecord]) -> list[int]:
    return [records.number(e.price) // WAD for e in events if isinstance(e, OrderSlid)]


# Edits


def test_an_edit_shares_what_was_filled_and_keeps_its_place_if_it_asks_for_no_more(
    floor: Floor,
) -> None:
    floor.place("maker", -10, 100_000)
    first = floor.last
    floor.place("second", -5, 100_000)
    floor.take("taker", 4, 100_000)
    events = floor.edit("maker", first, -8, 100_000)
    closed, done = batches(events), [e for e in events if isinstance(e, OrderDone)]
    assert len(closed) == 1, "two revisions do not meet in a batch"
    assert done == [OrderDone(first, "replaced", 0, 6)]
    assert queue(floor, False) == [(100_000, 4), (100_000, 5)]
    (match,) = matches(floor.take("taker", 4, 100_000))
    assert match.maker == list(floor.sequencer.placed)[3]
    floor.close()
    assert (floor.held("taker"), floor.held("maker")) == (8, -8)


def test_an_edit_that_leaves_nothing_ends_an_order_only_for_who_may_sign(floor: Floor) -> None:
    floor.place("maker", -10, 100_000)
    first = floor.last
    floor.take("taker", 4, 100_000)
    assert queue(floor, False) == [(100_000, 6)]
    refused = floor.edit("maker", first, -4, 100_000, signer="stranger")
    assert rejection(refused[1:]) == "BadSignature" and queue(floor, False) == [(100_000, 6)]
    assert ends(floor.edit("maker", first, -4, 100_000)) == [("replaced", ""), ("filled", "")]
    assert queue(floor, False) == []


def test_an_edit_that_asks_for_more_or_another_price_goes_behind(floor: Floor) -> None:
    floor.place("maker", -10, 100_000)
    floor.place("second", -5, 100_000)
    first = next(iter(floor.sequencer.placed))
    floor.edit("maker", first, -11, 100_000)
    assert queue(floor, False) == [(100_000, 5), (100_000, 11)]
    events = floor.edit("maker", floor.last, -11, 100_010)
    assert ends(events) == [("replaced", "")]
    assert queue(floor, False) == [(100_000, 5), (100_010, 11)]


def test_an_edit_may_trade(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    floor.place("taker", 5, 99_000)
    events = floor.edit("taker", floor.last, 6, 100_000)
    assert [m.lots for m in matches(events)] == [5]
    assert ends(events) == [("replaced", ""), ("filled", "")]
    assert queue(floor, True) == [(100_000, 1)]


def test_an_edit_that_leaves_nothing_ends_the_order(floor: Floor) -> None:
    floor.place("maker", -10, 100_000)
    first = floor.last
    floor.take("taker", 4, 100_000)
    events = floor.edit("maker", first, -4, 100_000)
    assert ends(events) == [("replaced", ""), ("filled", "")]
    assert queue(floor, False) == []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("OrderNotOpen", {"nonce": 10**6}),
        ("StaleRevision", {"revision": 0, "lots": -9}),
        ("InstrumentMismatch", {"instrument": ETH}),
        ("OffTick", {"price": 100_000 * WAD + 1}),
        ("MalformedOrder", {"lots": 10}),
        ("MalformedOrder", {"command": {"fill_or_kill": True}}),
        ("MalformedOrder", {"flags": POST_ONLY | IMMEDIATE}),
        ("MalformedOrder", {"command": {"amends": True, "trigger": "stop"}}),
        ("InsufficientMargin", {"lots": -900_000}),
        ("PostOnly", {"price": 98_000 * WAD, "flags": POST_ONLY}),
        ("PriceOutOfLadder", {"price": 10**6 * WAD}),
    ],
)
def test_a_refused_edit_leaves_the_order_as_it_was(
    floor: Floor, name: str, change: dict[str, object]
) -> None:
    floor.place("second", 5, 99_000)
    floor.place("maker", -10, 100_000)
    before = floor.sequencer.state
    change = dict(change)
    lots = change.pop("lots", -10)
    events = floor.edit("maker", floor.last, lots, 100_000, **change)  # type: ignore[arg-type]
    assert rejection(events) == name
    assert queue(floor, False) == [(100_000, 10)]
    assert {k: str(v) for k, v in floor.sequencer.state.items()} == {
        k: str(v) for k, v in before.items()
    }
    assert ends(floor.edit("maker", floor.last, -5, 100_000)) == [("replaced", "")]


def test_an_edit_needs_margin_only_for_what_it_adds(floor: Floor) -> None:
    floor.deposit("small", 400)  # 20 lots at most
    floor.place("small", 20, 99_000)
    assert rejection(floor.place("small", 20, 98_000)) == "InsufficientMargin"
    assert ends(floor.edit("small", floor.last, 20, 98_000)) == [("replaced", "")]
    assert rejection(floor.edit("small", floor.last, 30, 98_000)) == "InsufficientMargin"


def test_a_digest_is_never_taken_twice_not_even_an_edited_ones(floor: Floor) -> None:
    order = floor.order("maker", -10, 100_000)
    floor.feed(floor.command(order, "maker"))
    floor.edit("maker", floor.last, -9, 100_000)
    assert rejection(floor.feed(floor.command(order, "maker"))) == "NonceUsed"
    assert rejection(floor.feed(floor.command(order, "maker", amends=True))) == "NonceUsed"


# Triggers


@pytest.mark.parametrize(
    ("lots", "trigger", "dollars", "met"),
    [
        (5, "stop", 101_000, 101_000),
        (-5, "stop", 99_000, 99_000),
        (5, "take", 99_000, 98_900),
        (-5, "take", 101_000, 101_100),
    ],
)
def test_an_order_waits_until_the_mark_meets_its_trigger(
    floor: Floor, lots: int, trigger: str, dollars: int, met: int
) -> None:
    waits = {"trigger": trigger, "trigger_price": records.big(dollars * WAD)}
    limit = 103_000 if lots > 0 else 97_000
    assert floor.take("taker", lots, limit, command=waits) == []
    digest = floor.last
    floor.place("maker", -lots, limit)
    assert matches(floor.prices((100_000 + dollars) // 2)) == []
    events = floor.prices(met)
    assert OrderTriggered(digest) in events
    assert [m.taker for m in matches(events)] == [digest]
    assert ends(events)[-1] == ("filled", "")


def test_a_trigger_that_is_met_already_is_refused(floor: Floor) -> None:
    waits = {"trigger": "stop", "trigger_price": records.big(100_000 * WAD)}
    assert rejection(floor.place("taker", 5, 101_000, command=waits)) == "WouldTrigger"


def test_a_waiting_order_needs_no_margin_until_it_enters(floor: Floor) -> None:
    floor.deposit("small", 100)
    waits = {"trigger": "stop", "trigger_price": records.big(101_000 * WAD)}
    assert floor.place("small", 50, 101_000, command=waits) == []
    events = floor.prices(101_000)
    assert ends(events) == [("evicted", "InsufficientMargin")]
    assert isinstance(events[-1], OrderDone) and events[-1].lots_left == 50


def test_waiting_orders_enter_by_trigger_and_are_cancelled_edited_and_expire(floor: Floor) -> None:
    def wait(lots: int, dollars: int, **fields: int) -> bytes:
        waits = {"trigger": "stop", "trigger_price": records.big(dollars * WAD)}
        assert floor.place("taker", lots, 99_000, command=waits, **fields) == []
        return floor.last

    late, early, gone = wait(1, 103_000), wait(1, 102_000), wait(1, 101_000, nonce=700)
    expires = wait(1, 101_000, expiry=floor.now + 15)
    assert ends(floor.cancel("taker", "nonce", 700)) == [("cancelled", "")]
    waits = {"trigger": "stop", "trigger_price": records.big(101_500 * WAD)}
    assert ends(floor.edit("taker", late, 1, 99_000, command=waits)) == [("replaced", "")]
    events = floor.prices(104_000)
    told = [e.digest for e in events if isinstance(e, OrderTriggered)]
    assert told == [floor.last, early] and gone not in told
    assert OrderDone(expires, "evicted", errors.OrderExpired.code, 1) in events


def test_no_more_orders_wait_than_may(floor: Floor, monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits.ORDERS_WAITING_MAX == 10_000
    monkeypatch.setattr(entry, "ORDERS_WAITING_MAX", 1)
    waits = {"trigger": "stop", "trigger_price": records.big(101_000 * WAD)}
    assert floor.place("taker", 5, 99_000, command=waits) == []
    assert rejection(floor.place("taker", 5, 99_000, command=waits)) == "BookFull"


# Post-only


def test_a_post_only_order_slides_to_a_tick_from_the_other_side(floor: Floor) -> None:
    floor.place("maker", -5, 100_000)
    slides = {"slides": True}
    events = floor.place("taker", 5, 100_010, flags=POST_ONLY, command=slides)
    assert matches(events) == [] and slid(events) == [99_999]
    assert floor.sequencer.book.queue(BTC, True)[0][1:] == (199_999, 5)
    (match,) = matches(floor.take("second", -5, 99_000))
    assert records.number(match.price) == 99_999 * WAD + WAD // 2
    floor.close()
    assert floor.held("taker") == 5
    assert rejection(floor.place("taker", 5, 100_010, flags=POST_ONLY)) == "PostOnly"


# Quotes


def test_a_quote_takes_the_place_of_the_former_of_its_set_and_side(floor: Floor) -> None:
    assert floor.quote("maker", [(5, 99_990), (-5, 100_010)]) == []
    assert floor.quote("maker", [(7, 99_000)], name="far") == []
    events = floor.quote("maker", [(6, 99_995)])
    assert ends(events) == [("replaced", "")]
    assert queue(floor, True) == [(99_995, 6), (99_000, 7)]
    assert queue(floor, False) == [(100_010, 5)]
    assert ends(floor.cancel("maker", "all", 0, True, "far")) == [("cancelled", "")]
    floor.place("maker", 1, 90_000)
    assert ends(floor.cancel("maker", "underlying", 1, True)) == [("cancelled", "")] * 2
    assert queue(floor, True) == [(90_000, 1)]


def test_a_quote_of_the_same_nonce_shares_its_fills(floor: Floor) -> None:
    floor.quote("maker", [(-5, 100_000)], nonce=900)
    floor.take("taker", 2, 100_000)
    events = floor.quote("maker", [(-7, 100_000)], nonce=900, revision=1)
    assert ends(events) == [("replaced", "")] and len(batches(events)) == 1
    assert queue(floor, False) == [(100_000, 5)]
    assert ends(floor.quote("maker", [(-3, 100_000)], nonce=900, revision=2)) == [("replaced", "")]
    assert queue(floor, False) == [(100_000, 1)]


def test_a_refused_quote_takes_its_forerunner_out_and_the_others_stand(floor: Floor) -> None:
    floor.place("taker", 1, 99_000)
    floor.quote("maker", [(5, 98_000), (-5, 100_010)])
    events = floor.quote("maker", [(5, 98_500), (-5, 99_000)])
    rejected = [e for e in events if isinstance(e, OrderRejected)]
    assert [e.code for e in rejected] == [errors.PostOnly.code]
    assert ends(events) == [("replaced", ""), ("cancelled", "")]
    assert queue(floor, False) == [] and queue(floor, True)[1:] == [(98_500, 5)]


def test_a_quote_sent_twice_changes_nothing(floor: Floor) -> None:
    order = floor.order("maker", 5, 99_000, flags=POST_ONLY)
    placed = floor.command(order, "maker")
    quote = records.Quote(placed.digest, placed.order, placed.signature)
    mass = records.QuotesPlaced(placed.order.account, placed.signer, 0, [quote])
    assert floor.feed(mass) == []
    assert rejection(floor.feed(mass)) == "NonceUsed"
    assert queue(floor, True) == [(99_000, 5)]


def test_what_is_no_quote_of_the_account_is_refused(floor: Floor) -> None:
    assert rejection(floor.quote("maker", [(5, 99_000)], flags=0)) == "MalformedOrder"
    assert rejection(floor.quote("maker", [(5, 99_000)], flags=6)) == "MalformedOrder"
    other = account_of("second")
    assert rejection(floor.quote("maker", [(5, 99_000)], account=other)) == "MalformedOrder"


# Protection


def test_at_a_limit_in_a_sweep_all_quotes_are_pulled_and_refused_until_reset(floor: Floor) -> None:
    floor.protect("maker", window=60, frozen=0, quantity=3 * LOT)
    floor.quote("maker", [(-2, 100_000)], name="a")
    floor.quote("maker", [(-2, 100_010)], name="b")
    floor.quote("maker", [(-2, 100_020), (2, 99_000)], name="c")
    floor.place("maker", -2, 100_025)
    floor.place("second", -2, 100_030)
    events = floor.take("taker", 8, 100_030)
    assert [m.lots for m in matches(events)] == [2, 2, 2, 2]
    account = account_of("maker").to_bytes(32, "big")
    assert ProtectionTriggered(account, 1, 0) in events
    assert ends(events).count(("evicted", "QuotesFrozen")) == 2
    assert queue(floor, True) == []
    assert rejection(floor.quote("maker", [(2, 99_000)])) == "QuotesFrozen"
    assert floor.place("maker", 2, 99_000) == [], "other orders are no quotes"
    protected = {"mmp": True}
    assert rejection(floor.place("maker", 2, 99_000, command=protected)) == "QuotesFrozen"
    signer = bytes.fromhex(address_of("maker")[2:])
    assert floor.feed(ProtectionReset(account, 1, signer, 0)) == []
    assert floor.quote("maker", [(2, 99_000)]) == []


def test_a_quote_that_trips_half_filled_is_pulled_with_the_rest(floor: Floor) -> None:
    floor.protect("maker", window=60, frozen=30, quantity=3 * LOT)
    floor.quote("maker", [(-8, 100_000)])
    events = floor.take("taker", 5, 100_000)
    assert [m.lots for m in matches(events)] == [5]
    assert ends(events) == [("evicted", "QuotesFrozen"), ("filled", "")]
    assert rejection(floor.quote("maker", [(2, 99_000)])) == "QuotesFrozen"
    floor.prices(100_000, later=30)
    assert floor.quote("maker", [(2, 99_000)]) == [], "the freeze is over"
    assert ends(floor.take("taker", -2, 99_000)) == [("filled", ""), ("filled", "")]


def test_the_window_and_the_delta_are_counted(floor: Floor) -> None:
    floor.protect("maker", window=20, frozen=5, quantity=0, delta=3 * LOT)
    floor.quote("maker", [(-2, 100_000), (2, 99_990)])
    floor.take("taker", 2, 100_000)
    assert ends(floor.take("taker", -2, 99_990)) == [("filled", "")] * 2, "the delta is zero again"
    floor.prices(100_000, later=25)
    floor.quote("maker", [(-2, 100_000)])
    floor.take("taker", 2, 100_000)
    floor.prices(100_000, later=25)
    floor.quote("maker", [(-2, 100_000)])
    assert not any(isinstance(e, ProtectionTriggered) for e in floor.take("taker", 2, 100_000))
    floor.quote("maker", [(-2, 100_000)])
    events = floor.take("taker", 2, 100_000)
    tripped = next(e for e in events if isinstance(e, ProtectionTriggered))
    assert tripped.frozen_until == floor.now + 5


def test_without_a_window_nothing_is_counted(floor: Floor) -> None:
    floor.protect("maker", window=60, frozen=0, quantity=1)
    floor.protect("maker", window=0, frozen=0)
    floor.quote("maker", [(-8, 100_000)])
    assert ends(floor.take("taker", 5, 100_000)) == [("filled", "")]
    before = dict(floor.sequencer.matcher.protections.rows)
    account, signer = account_of("maker").to_bytes(32, "big"), bytes(20)
    assert floor.feed(records.ProtectionSet(account, 1, 5, 5, "x", "1", signer, 0)) == []
    assert floor.feed(records.ProtectionSet(account, 1, 5, 5, "-1", "1", signer, 0)) == []
    assert floor.sequencer.matcher.protections.rows == before


# Ladders


def test_a_ladder_follows_its_mark_and_keeps_the_order_of_what_it_reaches(floor: Floor) -> None:
    tick = floor.world.ledger.terms_of(ETH).tick
    top = Capacity().levels * tick // WAD  # 13,107 dollars
    assert FAR * tick // WAD == top // 8
    floor.deposit("maker", 10**6)
    for dollars in (3_990, 3_980, 3_990):
        floor.place("maker", 1, dollars, instrument=ETH)
    assert rejection(floor.place("maker", 1, top + 1, instrument=ETH)) == "PriceOutOfLadder"
    eth = 4_000
    events: list[AnyRecord] = []
    while floor.sequencer.book.bases[ETH] == 1:
        eth = eth * 104 // 100
        events = floor.prices(100_000, eth)
    assert ends(events) == [("evicted", "PriceOutOfLadder")] * 3
    floor.place("maker", 1, eth - 100, instrument=ETH)
    floor.place("second", 2, eth - 100, instrument=ETH)
    before = queue(floor, True, ETH)
    base = floor.sequencer.book.bases[ETH]
    while floor.sequencer.book.bases[ETH] == base:
        eth = eth * 96 // 100
        floor.prices(100_000, eth)
    assert queue(floor, True, ETH) == before and len(before) == 2


# Faults of ours


def test_a_fault_refuses_the_order_and_leaves_the_engine_as_it_was(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    floor.place("maker", -5, 100_000)
    floor.place("second", -5, 100_010)
    floor.take("taker", 1, 100_000)
    judge, calls = floor.sequencer.judge, []

    def fails_at_the_second(*arguments: object) -> bool:
        calls.append(arguments)
        if len(calls) > 2:
            raise OverflowError
        return True

    with monkeypatch.context() as patched:
        patched.setattr(judge, "passes", fails_at_the_second)
        assert rejection(floor.take("taker", 9, 100_010)) == "InternalFault"
    assert queue(floor, False) == [(100_000, 4), (100_010, 5)]
    assert [m.lots for m in matches(floor.take("taker", 9, 100_010))] == [4, 5]
    floor.close()
    assert floor.held("taker") == 10


def test_a_command_of_a_placed_quote_is_an_order_like_any_other(floor: Floor) -> None:
    floor.quote("maker", [(5, 99_000)])
    placed = floor.sequencer.placed[floor.last]
    assert isinstance(placed, OrderPlaced) and placed.mmp
    assert floor.replayed()[0] == floor.events
