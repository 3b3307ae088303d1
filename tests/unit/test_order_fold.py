"""Orders as clients follow them, folded from what the engine says."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from novate.api.orders import KEEP_MS, PAST_KEPT, Orders
from novate.engine.orders import terms_of
from novate.model.order import POST_ONLY
from novate.units import WAD
from novate.wire.records import AnyRecord, OrderPlaced, Quote, QuotesPlaced
from tests.support.blocks import RFQ, SPREAD, blocked
from tests.support.engine import Floor, account_of, matches


class Told:
    """A floor whose commands and events go into a fold."""

    def __init__(self) -> None:
        self.floor = Floor()
        for role in ("maker", "taker"):
            self.floor.deposit(role, 1_000_000)
        self.orders = Orders()

    def feed(self, command: AnyRecord) -> list[AnyRecord]:
        events = self.floor.feed(command)
        for record in (command, *events):
            self.orders.follow(record)
        return events

    def place(self, role: str, lots: int, dollars: float, **more: Any) -> OrderPlaced:
        said = {
            n: more.pop(n) for n in ("amends", "trigger", "trigger_price", "label") if n in more
        }
        placed = self.floor.command(self.floor.order(role, lots, dollars, **more), role, **said)
        self.feed(placed)
        return placed

    def revised(self, old: OrderPlaced, role: str, lots: int, dollars: float) -> OrderPlaced:
        more = {"nonce": old.order.nonce, "revision": old.order.revision + 1}
        return self.place(role, lots, dollars, amends=True, **more)


@pytest.fixture
def told() -> Told:
    return Told()


def test_an_edited_order_is_one_order_under_its_last_ids(told: Told) -> None:
    first = told.place("maker", -10, 100_100)
    told.place("taker", 4, 100_100, flags=4)
    second = told.revised(first, "maker", -10, 100_200)
    state = told.orders.by_digest[second.digest]
    assert told.orders.by_digest[first.digest] is state
    assert (state.filled, state.left, state.edits, state.state) == (4, 6, 1, "open")
    assert told.orders.open_orders(account_of("maker")) == [state]
    # one that is refused is an order of its own that never was
    refused = told.revised(first, "maker", -10, 100_300)
    assert told.orders.by_digest[refused.digest].reason == "StaleRevision"
    assert told.orders.by_digest[second.digest] is state and state.is_open
    told.floor.cancel("maker")


def test_a_trade_keeps_the_mark_and_index_at_which_it_was_made(told: Told) -> None:
    first = told.place("maker", -10, 100_100)
    told.place("taker", 4, 100_100, flags=4)
    for event in told.floor.prices(100_050):
        told.orders.follow(event)
    told.place("taker", 2, 100_100, flags=4)
    made = list(told.orders.trades.values())
    marks = [(trade.mark // WAD, trade.index // WAD) for trade in made]
    assert marks == [(100_000, 100_000), (100_050, 100_050)]
    again = Orders()
    again.follow(first)
    for trade in made:
        taker = told.orders.by_digest[trade.match.taker].placed
        assert taker is not None
        again.follow(taker)
        again.follow(trade.match)
    assert [(trade.mark, trade.index) for trade in again.trades.values()] == [
        (trade.mark, trade.index) for trade in made
    ], "a fold needs the records alone"


def test_only_the_last_ids_are_kept(told: Told) -> None:
    chain = [told.place("maker", -10, 100_100)]
    for number in range(PAST_KEPT + 5):
        chain.append(told.revised(chain[-1], "maker", -10, 100_101 + number))
    state = told.orders.by_digest[chain[-1].digest]
    found = [placed.digest in told.orders.by_digest for placed in chain]
    assert found == [False] * 5 + [True] * (PAST_KEPT + 1)
    assert state.edits == PAST_KEPT + 5
    # a day after its end nothing is left of it
    for event in told.floor.cancel("maker"):
        told.orders.follow(event)
    assert state.state == "cancelled"
    told.orders.now_ms += KEEP_MS + 1
    assert told.orders.forget_old() == 1
    assert told.orders.by_digest == {} and told.orders.revisions == {}
    assert told.orders.by_account[account_of("maker")] == {}


def test_a_waiting_order_is_open_and_then_triggered(told: Told) -> None:
    told.place("maker", -10, 104_100)
    price = str(103_000 * WAD)
    stop = told.place("taker", 5, 105_000, trigger="stop", trigger_price=price)
    state = told.orders.by_digest[stop.digest]
    assert (state.state, state.is_open, state.triggered) == ("untriggered", True, False)
    for event in told.floor.prices(104_000):
        told.orders.follow(event)
    assert (state.state, state.filled, state.triggered) == ("filled", 5, True)


def test_a_replaced_quote_is_cancelled_and_its_revision_is_not(told: Told) -> None:
    def quote(lots: int, dollars: float, **more: Any) -> Quote:
        order = told.floor.order("maker", lots, dollars, flags=POST_ONLY, **more)
        placed = told.floor.command(order, "maker")
        return Quote(placed.digest, placed.order, placed.signature)

    def mass(*quotes: Quote) -> None:
        signer = bytes.fromhex(f"{account_of('maker') >> 96:040x}")
        account = account_of("maker").to_bytes(32, "big")
        told.feed(QuotesPlaced(account, signer, told.floor.now * 1000, list(quotes)))

    bid, ask = quote(10, 99_900), quote(-10, 100_100)
    mass(bid, ask)
    assert [o.left for o in told.orders.open_orders(account_of("maker"))] == [10, 10]
    other = quote(10, 99_950)
    more = {"nonce": ask.order.nonce, "revision": 1}
    later = quote(-10, 100_050, **more)
    mass(other, later)
    gone = told.orders.by_digest[bid.digest]
    assert (gone.state, gone.reason) == ("cancelled", "replaced")
    assert told.orders.by_digest[ask.digest] is told.orders.by_digest[later.digest]
    # refused: it crosses nothing, but its revision is not above; its forerunner goes
    stale = quote(-10, 100_070, **more)
    mass(stale)
    assert told.orders.by_digest[stale.digest].state == "rejected"
    assert told.orders.by_digest[later.digest].state == "cancelled"
    last = quote(-10, 100_080)
    mass(last)
    assert told.orders.by_digest[last.digest].state == "open"


def test_blocks_are_known_by_their_request(told: Told) -> None:
    command = blocked(told.floor)
    events = told.feed(command)
    assert [m.sequence for m in matches(events)] == told.orders.executed[RFQ]
    assert {trade.rfq for trade in told.orders.trades.values()} == {RFQ}
    states = [told.orders.by_digest[placed.digest] for placed in command.orders]
    assert [(s.state, s.left) for s in states] == [("filled", 0)] * 4
    told.feed(command)  # refused, and changes nothing
    assert [(s.state, s.left) for s in states] == [("filled", 0)] * 4
    late = replace(blocked(told.floor, SPREAD[:1]), expiry=1)
    told.feed(late)
    assert {told.orders.by_digest[p.digest].reason for p in late.orders} == {"BlockExpired"}
    told.orders.now_ms += KEEP_MS + 1
    told.orders.forget_old()
    assert told.orders.blocks == {} and told.orders.executed == {}
    assert terms_of(command.taker[0].order).block_only
