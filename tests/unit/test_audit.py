"""The auditor finds a transaction that breaks an invariant, whichever it is, and only then.

A scripted replica plays the transaction: what it was, and what it did to the world.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from support.good_world import (
    ADDRESSES,
    BTC,
    HEDGER,
    LONG,
    NOW,
    SAVER,
    SHORT,
    USDC_TOKEN,
    good_world,
    trade,
)

from novate.chain.abi import Event
from novate.model import custody
from novate.model.account import account_of
from novate.model.state import World
from novate.services.audit import PAUSED, Auditor
from novate.services.priority import OutOfOrder, Priority
from novate.services.replica import Outcome, Replica
from novate.units import WAD
from novate.wire import records
from novate.wire.records import ChainTransaction, Matched, OrderDone, OrderPlaced, OrderRejected

Action = Callable[[World], None]


def nothing(world: World) -> None:
    """A transaction that writes nothing."""


class Scripted(Replica):
    """Plays one outcome and one action on the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.outcome = Outcome("custody", "deposit", (), True)
        self.action: Action = nothing
        self.accepts: Callable[[World], bool] = lambda world: False

    def decode(self, record: ChainTransaction) -> Outcome:
        return self.outcome

    def apply(self, record: ChainTransaction) -> Outcome:
        self.world.now = record.timestamp
        self.action(self.world)
        self.outcome.unexplained = not self.outcome.succeeded and self.would_accept(record)
        return self.outcome

    def would_accept(self, record: ChainTransaction) -> bool:
        return self.accepts(self.world)


def transaction(world: World, succeeded: bool = True, gas: int = 100_000) -> ChainTransaction:
    at = world.now
    return ChainTransaction(9, at, 0, bytes(32), bytes(20), bytes(20), b"", succeeded, gas, [])


@pytest.fixture
def auditor() -> Auditor:
    return Auditor(Scripted(good_world()))


def play(
    auditor: Auditor,
    outcome: Outcome,
    action: Action = nothing,
    gas: int = 100_000,
) -> list[str]:
    """The invariants that one transaction broke."""
    replica = auditor.replica
    assert isinstance(replica, Scripted)
    replica.outcome, replica.action = outcome, action
    auditor.findings.clear()
    auditor.apply(transaction(replica.world, outcome.succeeded, gas))
    broken = [finding.invariant for finding in auditor.findings]
    assert [name for name, held in auditor.verdicts().items() if not held] == sorted(set(broken))
    return broken


def word(account: int) -> bytes:
    return account.to_bytes(32, "big")


def take(account: int, wei: int) -> Action:
    def action(world: World) -> None:
        row = world.ledger.accounts[account]
        world.ledger.accounts[account] = replace(row, cash=row.cash - wei)

    return action


def event(name: str, **arguments: Any) -> Event:
    return Event(ADDRESSES["exchange"], name, arguments)


# Settlements: LONG buys 200 lots from HEDGER at 60,700

ACCOUNTS = sorted((LONG, HEDGER))
LOTS, PRICE = 200, 60_700 * WAD


def order_words(account: int, lots: int, price: int, max_fee: int) -> list[int]:
    """Words 0 and 1 of a resting order, as the Exchange packs them."""
    first = abs(lots) | (NOW * 2) << 44 | (lots < 0) << 150 | 1 << 183
    return [first | ACCOUNTS.index(account) << 248, price | max_fee << 128, 0, 0]


def settlement(
    buys: int = LOTS, price: int = PRICE, max_fee: int = WAD, settled: int = 1, *logs: Event
) -> Outcome:
    orders = [
        order_words(account, lots, price, max_fee)
        for account, lots in sorted(((LONG, buys), (HEDGER, -LOTS)))
    ]
    fill = ACCOUNTS.index(LONG) | ACCOUNTS.index(HEDGER) << 8 | LOTS << 16 | PRICE << 60
    arguments = (b"", [word(a) for a in ACCOUNTS], [BTC], orders, [fill], 0, [])
    return Outcome(
        "exchange", "settle", arguments, True, [*logs, event("BatchSettled", settled=settled)]
    )


def settle(world: World) -> None:
    trade(world, LONG, HEDGER, BTC, LOTS, 60_700)
    pot = world.ledger.pot
    world.ledger.set_pot(replace(pot, fees=pot.fees - 2 * WAD))
    for account in (LONG, HEDGER):
        take(account, -WAD)(world)


def test_an_honest_settlement_breaks_nothing(auditor: Auditor) -> None:
    assert play(auditor, settlement(), settle) == []


def test_a_fill_beyond_the_signed_lots_breaks_I04(auditor: Auditor) -> None:
    assert play(auditor, settlement(buys=LOTS - 1), settle) == ["I04"]


def test_fills_of_one_order_add_up_over_batches(auditor: Auditor) -> None:
    assert play(auditor, settlement(buys=2 * LOTS), settle) == []
    found = play(auditor, settlement(buys=2 * LOTS), settle)
    assert found == ["I04"], "the buyer has signed for both batches, the seller for one"


def test_a_price_beyond_the_limit_breaks_I05(auditor: Auditor) -> None:
    assert play(auditor, settlement(price=PRICE - WAD), settle) == ["I05"]
    auditor = Auditor(Scripted(good_world()))
    assert play(auditor, settlement(price=PRICE + WAD), settle) == ["I05"]


def test_a_fee_nobody_agreed_to_breaks_I05(auditor: Auditor) -> None:
    def dear(world: World) -> None:
        settle(world)
        world.ledger.set_pot(replace(world.ledger.pot, fees=world.ledger.pot.fees + 1))

    assert play(auditor, settlement(), dear) == ["I05"]


def test_an_account_left_below_initial_margin_breaks_I03(auditor: Auditor) -> None:
    def ruin(world: World) -> None:
        settle(world)
        take(LONG, 95_000 * WAD)(world)

    assert play(auditor, settlement(), ruin) == ["I03"]


def test_the_same_by_another_venue_or_a_withdrawal(auditor: Auditor) -> None:
    ruin = take(LONG, 95_000 * WAD)
    assert play(auditor, Outcome("clearinghouse", "novate", (), True), ruin) == ["I03"]
    outcome = Outcome("custody", "withdraw", (word(LONG), USDC_TOKEN), True)
    auditor = Auditor(Scripted(good_world()))
    assert "I03" in play(auditor, outcome, ruin)


# Auctions and the waterfall


def bid(account: int = LONG, bidder: int = HEDGER, succeeded: bool = True) -> Outcome:
    return Outcome("auctioneer", "bid", (word(account), word(bidder), 10**6, 0, 0), succeeded)


def test_a_slice_that_worsens_health_breaks_I09(auditor: Auditor) -> None:
    assert play(auditor, bid(), nothing) == []
    assert play(auditor, bid(), take(LONG, 1)) == ["I09"]


def test_a_bidder_left_below_initial_margin_breaks_I03(auditor: Auditor) -> None:
    assert play(auditor, bid(), take(HEDGER, 125_000 * WAD)) == ["I03"]


def test_a_bid_beyond_a_transactions_gas_breaks_I15(auditor: Auditor) -> None:
    assert play(auditor, bid(), gas=1 << 24) == []
    assert play(auditor, bid(), gas=(1 << 24) + 1) == ["I15"]
    assert play(auditor, bid(succeeded=False), gas=(1 << 24) + 1) == ["I15"]


def paid(*layers: int) -> Outcome:
    logs = [event("LayerPaid", layer=n, account=word(LONG), amount=1) for n in layers]
    return Outcome("waterfall", "retry", (), True, logs)


def test_layers_out_of_order_or_below_zero_break_I11(auditor: Auditor) -> None:
    assert play(auditor, paid(2)) == [], "the first layer is empty in this world"
    assert play(auditor, paid(3)) == ["I11"], "insurance still holds money"
    assert play(auditor, paid(2, 1)) == ["I11"]
    first = account_of(ADDRESSES["waterfall"], 1)
    assert play(auditor, Outcome("waterfall", "retry", (), True), take(first, 1)) == ["I11"]


# Users without positions


def test_a_saver_who_loses_a_wei_breaks_I10(auditor: Auditor) -> None:
    world = auditor.replica.world
    log = event("Deposited", account=word(SAVER), token=USDC_TOKEN, amount=7)
    deposit = Outcome("custody", "deposit", (), True, [log])
    fresh = account_of(0xB000)
    log.arguments["account"] = word(fresh)

    def put(w: World) -> None:
        custody.deposit(w, ADDRESSES["custody"], USDC_TOKEN, fresh, 7)

    assert play(auditor, deposit, put) == []
    log = event("Withdrawn", account=word(fresh), token=USDC_TOKEN, amount=2)
    withdrawn = Outcome("custody", "cancel_withdrawal", (), True, [log])
    assert play(auditor, withdrawn, take(fresh, 2 * 10**12)) == []
    assert play(auditor, Outcome("custody", "deposit", (), True), take(fresh, 1)) == ["I10"]
    assert world.ledger.accounts[fresh].cash == 5 * 10**12 - 1


def test_traders_and_layers_may_lose(auditor: Auditor) -> None:
    assert play(auditor, Outcome("clearinghouse", "sweep", (), True), take(SHORT, 1)) == []
    insurance = account_of(ADDRESSES["waterfall"], 2)
    assert play(auditor, Outcome("waterfall", "retry", (), True), take(insurance, 1)) == []


# Rejections and pauses


def test_a_failed_transaction_that_writes_breaks_I13(auditor: Auditor) -> None:
    failed = Outcome("custody", "withdraw", (), False)
    assert play(auditor, failed) == []
    assert play(auditor, failed, take(SAVER, 1)) == ["I13"]


def paused(auditor: Auditor) -> World:
    world = auditor.replica.world
    config = world.ledger.config
    world.ledger.configs["config"] = replace(config, paused_until=world.now + 60)
    return world


def test_a_call_that_only_the_pause_stopped_breaks_I14(auditor: Auditor) -> None:
    world = paused(auditor)
    assert isinstance(auditor.replica, Scripted)
    failed = Outcome("custody", "request_withdrawal", (), False)
    assert play(auditor, failed) == [], "refused for another reason"
    auditor.replica.accepts = lambda w: w.now >= w.ledger.config.paused_until
    assert play(auditor, failed) == ["I14"]
    assert world.now < world.ledger.config.paused_until, "the trial was taken back"


def test_a_revert_that_the_model_cannot_explain_is_told_and_no_finding(auditor: Auditor) -> None:
    """Too little gas, value sent along, a token that refuses: anybody can do that."""
    paused(auditor)
    assert isinstance(auditor.replica, Scripted)
    auditor.replica.accepts = lambda world: True
    assert play(auditor, Outcome("custody", "request_withdrawal", (), False)) == []
    assert auditor.unexplained == [bytes(32)]
    assert play(auditor, Outcome("custody", "deposit", (), True)) == []
    assert len(auditor.unexplained) == 1


def test_a_reduction_that_the_pause_stopped_breaks_I14(auditor: Auditor) -> None:
    paused(auditor)
    log = event("TradeSkipped", index=0, code=PAUSED)
    assert play(auditor, settlement(LOTS, PRICE, WAD, 0, log)) == [], "both sides increase"
    world = auditor.replica.world
    row = world.ledger.accounts[LONG]
    world.ledger.accounts[LONG] = replace(row, positions=((BTC, -LOTS),))
    assert play(auditor, settlement(LOTS, PRICE, WAD, 0, log)) == ["I14"]


# The second look at price-time priority


def placed(number: int, lots: int, price: int, flags: int = 0) -> OrderPlaced:
    digest = number.to_bytes(32, "big")
    order = records.Order(word(LONG), BTC, lots, str(price), "0", number, 0, 0, 0, flags, bytes(20))
    return OrderPlaced(digest, order, bytes(64), bytes(20), 0)


def matched(maker: int, taker: int, lots: int, price: int, taker_buys: bool = True) -> Matched:
    names = [n.to_bytes(32, "big") for n in (maker, taker)]
    accounts = [word(SHORT), word(LONG)]
    return Matched(
        0, *names, *accounts, BTC, taker_buys, lots, str(price), "0", "0", 0, bytes(64), 0
    )


def done(number: int, end: str, left: int = 0) -> OrderDone:
    return OrderDone(number.to_bytes(32, "big"), end, 0, left)


REDUCE_ONLY, IMMEDIATE = 1, 4
RESTING = [placed(1, -5, 101), placed(2, -5, 100), placed(3, -5, 100)]
TAKER = placed(4, 7, 101, IMMEDIATE)


def follow(*found: Any) -> Priority:
    priority = Priority()
    for record in found:
        priority.follow(record)
    return priority


def test_only_an_order_that_reduces_is_cut_and_then_leaves() -> None:
    reducing = placed(4, 7, 101, IMMEDIATE | REDUCE_ONLY)
    assert follow(*RESTING, reducing, matched(2, 4, 3, 100), done(4, "evicted", 4)).matches == 1
    with pytest.raises(OutOfOrder, match="5 could trade"):
        follow(*RESTING, reducing, matched(2, 4, 6, 100))
    with pytest.raises(OutOfOrder, match="0 lots, 5 could trade"):
        follow(*RESTING, reducing, matched(2, 4, 0, 100))
    with pytest.raises(OutOfOrder, match="5 could trade"):
        follow(*RESTING, TAKER, matched(2, 4, 3, 100))


def test_best_price_then_earliest_then_the_next() -> None:
    fills = [matched(2, 4, 5, 100), done(2, "filled"), matched(3, 4, 2, 100), done(4, "filled")]
    assert follow(*RESTING, TAKER, *fills).matches == 2


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ([matched(1, 4, 5, 101)], "better price"),
        ([matched(3, 4, 5, 100)], "came earlier"),
        ([matched(2, 4, 4, 100)], "5 could trade"),
        ([matched(2, 4, 5, 101)], "the maker asked 100"),
        ([matched(2, 4, 5, 100), matched(2, 4, 2, 100)], "better price"),
        ([matched(9, 4, 5, 100)], "not open"),
        ([matched(2, 4, 5, 100, False)], "side or instrument"),
        ([matched(4, 2, 5, 100)], "not resting"),
        ([matched(3, 2, 5, 100)], "not resting"),
        ([done(4, "unfilled", 7)], "would have traded"),
        ([done(4, "filled", 7)], "with lots left"),
        ([done(4, "unfilled", 6)], "lots left"),
    ],
)
def test_a_jump_of_the_queue_is_noticed(found: list[Any], says: str) -> None:
    with pytest.raises(OutOfOrder, match=says):
        follow(*RESTING, TAKER, *found)


def test_orders_that_came_later_do_not_count() -> None:
    later = placed(5, -5, 99)
    assert follow(*RESTING, TAKER, later, matched(2, 4, 5, 100)).matches == 1


def test_refused_and_cancelled_orders_make_way() -> None:
    refused = OrderRejected((2).to_bytes(32, "big"), 2001)
    out = [refused, done(3, "cancelled", 5)]
    assert follow(*RESTING, TAKER, *out, matched(1, 4, 5, 101)).matches == 1


def test_the_same_order_handed_in_twice_keeps_the_first_ones_place() -> None:
    again = [RESTING[1], OrderRejected((2).to_bytes(32, "big"), 2001)]
    assert follow(*RESTING, *again, TAKER, matched(2, 4, 5, 100)).matches == 1
    gone = OrderRejected((2).to_bytes(32, "big"), 2001)
    with pytest.raises(OutOfOrder, match="not open"):
        follow(*RESTING, *again, gone, TAKER, matched(2, 4, 5, 100))
