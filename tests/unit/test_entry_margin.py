"""Margin of open orders: what may enter, and that the engine's floats never decide anything."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from novate.engine import plain, snapshot
from novate.engine.judge import Judge
from novate.engine.lanes import Lanes
from novate.engine.lanes_layout import TOO_CLOSE
from novate.engine.lanes_rows import Quote
from novate.engine.open_orders import OpenOrders
from novate.model import ledger, open_margin
from novate.model.account import Account
from novate.model.oracle import Feed
from novate.model.order import POST_ONLY, REDUCE_ONLY, Order
from novate.units import WAD
from novate.wire.records import OrderRejected
from tests.support.engine import BTC, ETH, Floor, account_of, ends, matches, rejection


@pytest.fixture
def floor() -> Floor:
    made = Floor()
    made.deposit("maker", 1_000_000)
    made.deposit("small", 400)  # 10 lots are 1,000 USD, initial margin 187.50
    return made


def test_open_orders_of_one_side_add_up(floor: Floor) -> None:
    assert floor.place("small", 10, 99_000) == []
    assert floor.place("small", 10, 98_000) == []
    assert rejection(floor.place("small", 10, 97_000)) == "InsufficientMargin"


def test_both_sides_are_held_at_the_larger(floor: Floor) -> None:
    for _ in range(2):
        assert floor.place("small", 10, 99_000) == []
        assert floor.place("small", -10, 101_000) == []
    for lots in (-10, 10):
        assert rejection(floor.place("small", lots, 100_000 - 100 * lots)) == "InsufficientMargin"


def test_orders_of_another_underlying_count(floor: Floor) -> None:
    assert floor.place("small", 20, 99_000) == []
    assert rejection(floor.place("small", 10, 3_900, instrument=ETH)) == "InsufficientMargin"


def test_a_cancel_and_a_fill_make_room(floor: Floor) -> None:
    floor.place("small", 20, 99_000, nonce=800)
    floor.cancel("small", "nonce", 800)
    assert floor.place("small", -20, 101_000, nonce=801) == []
    assert len(matches(floor.place("maker", 10, 101_000))) == 1
    assert floor.place("small", -1, 101_000, nonce=802) == []
    assert rejection(floor.place("small", -1, 101_000)) == "InsufficientMargin"
    floor.cancel("small", "nonce", 802)
    assert floor.place("small", -1, 101_000) == []


def test_an_order_that_pays_beyond_the_mark_needs_what_it_loses(floor: Floor) -> None:
    """20 lots at the mark need 375; 3 % beyond it they lose 60 more."""
    assert rejection(floor.place("small", 20, 103_000)) == "InsufficientMargin"
    assert floor.place("small", 20, 100_000) == []


def test_what_reduces_enters_where_nothing_else_may(floor: Floor) -> None:
    floor.place("maker", -20, 100_000)
    assert len(matches(floor.take("small", 20, 100_000))) == 1
    floor.close()
    for btc in (96_000, 92_000, 88_000, 84_000, 80_500):  # ten dollars are left
        floor.prices(btc)
    assert rejection(floor.place("small", 1, 80_000)) == "InsufficientMargin"
    assert rejection(floor.place("small", -21, 80_500)) == "InsufficientMargin", "would turn it"
    assert rejection(floor.place("small", -10, 78_000)) == "InsufficientMargin", "at a loss"
    assert floor.place("small", -12, 80_500) == []
    assert rejection(floor.place("small", -9, 80_500)) == "InsufficientMargin", "with the other"
    assert floor.place("small", -8, 80_500, flags=REDUCE_ONLY) == []


def test_orders_that_only_reduce_need_nothing_of_their_own(floor: Floor) -> None:
    floor.place("maker", -20, 100_000)
    floor.take("small", 20, 100_000)
    for dollars in (101_000, 102_000, 103_000, 104_000):
        assert floor.place("small", -5, dollars, flags=REDUCE_ONLY) == []


def test_a_stale_price_or_the_grace_lets_orders_rest(floor: Floor) -> None:
    floor.prices(100_000, later=400)  # an outage: grace begins
    assert floor.world.in_restart_grace()
    assert floor.place("small", 10, 99_000) == []


def test_an_instrument_without_a_price_is_unknown(floor: Floor) -> None:
    feeds = floor.world.oracle.feeds
    feed = floor.world.ledger.terms[ETH].feed
    seen, feeds[feed] = feeds[feed], Feed()
    assert rejection(floor.place("maker", 1, 3_900, instrument=ETH)) == "UnknownInstrument"
    feeds[feed] = seen
    assert floor.place("maker", 1, 3_900, instrument=ETH) == []
    feeds[feed] = Feed()
    assert floor.place("maker", 1, 99_000) == [], "the open order cannot trade now"
    feeds[feed] = seen


def played(seed: int) -> Floor:
    """Six traders near the end of their margin, at prices that move."""
    chance = random.Random(seed)
    floor = Floor()
    floor.deposit("deep", 1_000_000)
    for number in range(6):
        floor.deposit(f"trader {number}", 150 + 90 * number)
    btc = 100_000
    for step in range(160):
        role = "deep" if chance.random() < 0.3 else f"trader {chance.randrange(6)}"
        side = chance.choice((-1, 1))
        lots = side * (40 if role == "deep" else chance.randint(1, 12))
        flags = REDUCE_ONLY if chance.random() < 0.2 else 0
        dollars = btc + 10 * (side * 300 if role == "deep" else chance.randint(-30, 30))
        instrument = BTC if chance.random() < 0.8 else ETH
        dollars = dollars if instrument == BTC else dollars // 25
        kind = floor.take if role == "deep" or chance.random() < 0.1 else floor.place
        fields = {"flags": flags, "instrument": instrument}
        whole = {"fill_or_kill": True} if kind == floor.take and chance.random() < 0.4 else {}
        kind(role, lots, dollars, command=whole, **fields)
        if chance.random() < 0.04:
            floor.cancel(role, "all")
        if step % 12 == 11:
            btc += 50 * chance.choice((-90, -70, 70, 90))
            floor.prices(btc, btc // 25)
        elif chance.random() < 0.1:
            floor.close()
    return floor


@pytest.mark.parametrize("seed", [5, 8])
def test_an_engine_that_always_asks_the_model_does_the_same(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = played(seed)
    assert fast.sequencer.judge.exact < 10
    refused = [e for e in fast.events if isinstance(e, OrderRejected)]
    assert len(refused) > 10 and any(why == "InsufficientMargin" for _, why in ends(fast.events))
    monkeypatch.setattr(Lanes, "passes_from", lambda *_: TOO_CLOSE)
    monkeypatch.setattr(Lanes, "spare", lambda *_: 0.0)
    slow = played(seed)
    assert slow.sequencer.judge.exact > 100
    assert slow.events == fast.events
    assert snapshot.content_of(slow.sequencer) == snapshot.content_of(fast.sequencer)
    assert fast.replayed() == (fast.events, fast.world.state_hash())


def asked(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Every answer given from what was to spare, and every match, is held to the exact model."""
    has_spare, passes, covers = Judge.has_spare, Judge.passes, Judge._covers
    counts: Counter[str] = Counter()

    def exact_spare(self: Judge, row: Account, order: Order, lots: int, stays: bool) -> bool:
        found = has_spare(self, row, order, lots, stays)
        counts[f"spare {found}"] += 1
        if found:
            quote = self.quote(order.instrument)
            limit = order.price
            limit = min(limit, quote.highest) if order.lots > 0 else max(limit, quote.lowest)
            signed = lots if order.lots > 0 else -lots
            costs = open_margin.cost(
                quote.settings, quote.terms, quote.mark, quote.forward, signed, limit
            )
            assert self._holds(row, order, lots, self.costs(order.account) + costs)
        return found

    def exact_covers(self: Judge, account: int, now: Account) -> bool:
        found = covers(self, account, now)
        counts[f"covers {found}"] += 1
        return found

    def exact_passes(self: Judge, account: int, start: Account, now: Account, *rest: Any) -> bool:
        found = passes(self, account, start, now, *rest)
        assert found == ledger.passes_gate(
            self.world, start, ledger.check_row(self.world, rest[-1])
        )
        return found

    monkeypatch.setattr(Judge, "has_spare", exact_spare)
    monkeypatch.setattr(Judge, "passes", exact_passes)
    monkeypatch.setattr(Judge, "_covers", exact_covers)
    return counts


@pytest.mark.parametrize("seed", [1, 5, 9])
def test_what_is_let_in_from_spare_the_exact_model_lets_in(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = asked(monkeypatch)
    played(seed)
    asked_for = [f"{what} {found}" for what in ("spare", "covers") for found in (True, False)]
    assert min(counts[kind] for kind in asked_for) > 9, counts


def test_spare_is_asked_for_anew_when_anything_was_written_or_an_instrument_is_new(
    floor: Floor, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = asked(monkeypatch)

    def place(lots: int, dollars: int, instrument: int = BTC) -> bool:
        before = counts["spare True"]
        assert floor.place("maker", lots, dollars, instrument=instrument) == []
        return counts["spare True"] > before

    assert [place(1, 99_000) for _ in range(3)] == [False, True, True]
    assert [place(1, 3_900, ETH) for _ in range(2)] == [False, True]
    assert place(-1, 101_000)
    floor.prices(100_010)
    assert [place(1, 99_000) for _ in range(2)] == [False, True]
    assert place(1, 3_900, ETH), "it is among the open orders"
    floor.deposit("small", 1)
    assert [place(1, 99_000) for _ in range(2)] == [False, True]


def test_spare_is_used_up_by_orders_that_rest_and_made_anew_from_those_that_are_left(
    floor: Floor,
) -> None:
    for _ in range(3):
        for nonce in range(700, 720):
            assert floor.place("small", 1, 99_000, nonce=nonce + 100 * floor.nonce) == []
        assert rejection(floor.place("small", 4, 99_000)) == "InsufficientMargin"
        floor.cancel("small", "all")


def test_an_immediate_order_that_trades_takes_of_what_is_to_spare(floor: Floor) -> None:
    """16 lots need 300 of 400, another seven 131.25 more."""
    floor.place("maker", -15, 100_000)
    assert floor.place("small", 1, 99_000) == []
    for _ in range(3):
        assert len(matches(floor.take("small", 5, 100_000))) == 1
    assert rejection(floor.place("small", 7, 99_000)) == "InsufficientMargin"


def test_it_takes_of_it_also_while_the_venues_debt_stands_at_its_cap(floor: Floor) -> None:
    """Then each match is judged by itself, and none by what is to spare."""
    floor.chain_follows = False
    floor.place("maker", -15, 100_000)
    state = floor.world.ledger
    state.set_pot(replace(state.pot, debt=1, debt_cap=0))
    assert floor.place("small", 1, 99_000) == []
    for _ in range(3):
        assert len(matches(floor.take("small", 5, 100_000))) == 1
    assert rejection(floor.place("small", 7, 99_000)) == "InsufficientMargin"


def test_a_refused_edit_leaves_its_forerunner_counted(floor: Floor) -> None:
    floor.place("maker", -1, 100_500)
    assert floor.place("small", 16, 99_000, nonce=5) == []
    floor.prices(100_010)
    edit = {"amends": True}
    refused = floor.place("small", 1, 101_000, nonce=5, revision=1, flags=POST_ONLY, command=edit)
    assert rejection(refused) == "PostOnly"
    assert rejection(floor.place("small", 6, 99_000)) == "InsufficientMargin"


def test_a_row_that_changed_by_more_than_its_fills_is_asked_about_anew(floor: Floor) -> None:
    """As a block changes it, which meets no book."""
    floor.chain_follows = False
    assert len(matches(floor.place("small", 1, 100_000) + floor.take("maker", -1, 100_000))) == 1
    assert floor.place("small", 2, 99_000) == []
    batching = floor.sequencer.batching
    index = batching.rows.place(account_of("small"))
    assert index is not None
    row = batching.open.pending.row(index)
    batching.open.pending.rows[index] = replace(row, cash=row.cash - 260 * WAD)
    assert len(matches(floor.take("maker", -2, 99_000))) == 1
    assert rejection(floor.place("small", 5, 99_000)) == "InsufficientMargin"


def test_an_edit_that_no_longer_only_reduces_is_held_for(floor: Floor) -> None:
    floor.place("maker", -20, 100_000)
    floor.take("small", 20, 100_000)
    assert floor.place("small", -19, 101_000, flags=REDUCE_ONLY, nonce=5) == []
    assert floor.place("small", -1, 101_000, flags=REDUCE_ONLY) == []
    edit = {"amends": True}
    assert ends(floor.place("small", -20, 101_000, nonce=5, revision=1, command=edit))
    assert rejection(floor.place("small", -25, 101_000)) == "InsufficientMargin"


class Fixed:
    """Marks in dollars that stay."""

    def __init__(self, floor: Floor, dollars: dict[int, int]) -> None:
        self.stamp = object()
        self._terms = floor.world.ledger.terms
        self._settings = floor.world.exchange.settings
        self._dollars = dollars

    def quote(self, instrument: int) -> Quote:
        mark = self._dollars[instrument] * WAD
        return Quote(mark, 1, 2**90, self._terms[instrument], self._settings)


def test_what_open_orders_cost_is_kept_up_as_they_come_and_go() -> None:
    """At marks that cut through the book, against sums made anew from the orders alone."""
    floor, dear = Floor(), 0
    for role in ("one", "other"):
        floor.deposit(role, 200_000)
    prices = [Fixed(floor, {BTC: btc, ETH: 4_000}) for btc in (100_000, 99_000, 101_500)]
    chance = random.Random(3)
    for step in range(300):
        role, side = chance.choice((("one", 1), ("other", -1)))
        if chance.random() < 0.25:
            found = floor.sequencer.judge.open_orders.of(account_of(role))
            floor.cancel(role, "nonce", chance.choice(found).terms.nonce if found else 0)
        else:
            kind = floor.take if chance.random() < 0.2 else floor.place
            kind(role, side * chance.randint(1, 9), 100_000 + 10 * chance.randint(-150, 150))
        known, account = floor.sequencer.judge.open_orders, account_of(role)
        at = prices[step // 60 % 3]  # division: a mark for sixty steps
        anew = OpenOrders(floor.world)
        anew.restore(known.of(account))
        assert known.costs(account, at) == anew.costs(account, at)
        dear += known.costs(account, at) > 0
    assert dear > 100


def test_the_orders_by_account_are_those_of_the_book_after_a_start() -> None:
    floor = played(4)
    known = floor.sequencer.judge.open_orders
    held = plain.decode(plain.encode(floor.sequencer.state))
    again = Floor().sequencer
    again.restore(**held)
    made = again.judge.open_orders
    prices = Fixed(floor, {BTC: 100_000, ETH: 4_000})
    assert len(made.by_number) > 3
    for role in (f"trader {number}" for number in range(6)):
        account = account_of(role)
        found = [(o.number, o.digest, o.lots_left) for o in made.of(account)]
        assert found == [(o.number, o.digest, o.lots_left) for o in known.of(account)]
        assert made.reaches(account) == known.reaches(account)
        assert made.costs(account, prices) == known.costs(account, prices)
    for instrument, is_buy in ((BTC, True), (BTC, False), (ETH, True), (ETH, False)):
        queue = floor.sequencer.book.queue(instrument, is_buy)
        assert again.book.queue(instrument, is_buy) == queue
