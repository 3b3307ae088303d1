"""A stranger's transaction between the engine's round and the chain's.

The engine runs ahead of the chain by rounds and batches that are not in a block yet. Whoever sends
a transaction of his own in between must neither stop the engine nor make it believe that a batch of
ours has settled. Found in review of our own sequencer: it applied such a transaction to the world
that ran ahead, which refused what the chain had accepted, and everything stopped.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from novate.chain.node import local_key
from novate.demo.actors import USD
from novate.errors import BY_CODE
from novate.model import ledger
from novate.model.order import IMMEDIATE, ZERO_ADDRESS
from novate.services.batch_call import forced_calldata, settle_calldata, signed
from novate.services.replica import Outcome
from novate.units import WAD
from novate.wire import eip712, records
from novate.wire.exit_data import halves
from novate.wire.order import SignedFill, SignedOrder, receipt_words
from novate.wire.records import BatchDue, Matched
from tests.support.market import BTC, Market, happened


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market(tmp_path, maker=1_000_000, taker=20_000, stranger=100_000, other=100_000)
    try:
        yield made
    finally:
        made.venue.close()


def agree(market: Market) -> None:
    """Engine and chain hold the same, and a replay of the journal comes to it too."""
    venue = market.venue
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    again = venue.rebuilt_sequencer()
    assert again.world.state_hash() == venue.sequencer.world.state_hash()
    assert again.confirmed_hash() == venue.sequencer.confirmed_hash()


def under_water(market: Market) -> None:
    """The taker is long and, at the chain's last prices, below maintenance."""
    market.order("maker", -900, 100_000, flags=0)
    market.order("taker", 900, 101_000)
    market.venue.settle(market.ts)
    for btc in (96_000, 92_500, 89_000):
        market.round(btc)
    check = ledger.check(market.venue.replica.world, market.actors["taker"].account)
    assert check.equity < check.valuation.margin_maintenance


def start_auction(market: Market) -> list[Outcome]:
    raw = market.actors["taker"].account.to_bytes(32, "big")
    market.venue.auctioneer.send("start", raw, key=market.actors["stranger"].key)
    return market.venue.mine(market.ts - 10)


def test_an_auction_started_at_the_chains_prices_does_not_stop_the_engine(market: Market) -> None:
    under_water(market)
    market.post(91_500)
    market.post(94_000)  # at the engine's prices the taker is healthy again
    assert start_auction(market)[-1].succeeded
    account = market.actors["taker"].account
    assert market.venue.sequencer.world.ledger.accounts[account].in_auction
    market.venue.settle(market.ts)
    agree(market)


def test_a_match_that_a_strangers_auction_bars_is_given_up_with_its_reason(market: Market) -> None:
    under_water(market)
    market.post(91_500)
    market.post(94_000)
    market.order("maker", 5, 93_900, flags=0)
    market.order("taker", -5, 93_000)
    market.order("maker", -7, 94_010, flags=0)
    market.order("other", 7, 95_000)
    events = market.venue.pump()
    barred, free = [e for e in events if isinstance(e, Matched)]
    assert start_auction(market)[-1].succeeded
    outcomes = market.venue.settle(market.ts)
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [0b10]
    for _ in range(7):  # the auction may end: the match waits, but not for ever
        assert market.busts() == []
        market.round(94_000)
    assert [(e.sequence, BY_CODE[e.code].name) for e in market.busts()] == [
        (barred.sequence, "InAuction")
    ]
    assert market.held("other") == free.lots and market.held("taker") == 900
    agree(market)


def test_deposits_and_withdrawals_in_between_are_followed(market: Market) -> None:
    venue, stranger = market.venue, market.actors["stranger"]
    usdc, raw = venue.tokens["USDC"], stranger.account.to_bytes(32, "big")
    venue.custody.send("request_withdrawal", raw, usdc.address, 1_000 * USD, key=stranger.key)
    venue.mine(venue.now + 5)
    market.order("maker", -20, 100_000, flags=0)
    market.post(100_500)
    market.order("taker", 10, 101_000)
    market.order("stranger", 5, 101_000)
    venue.pump()
    market.post(100_600)  # two rounds and a batch ahead of the chain
    usdc.send("mint", stranger.address, 500 * USD, key=local_key("governor"))
    usdc.send("approve", venue.deployment.addresses["custody"], 500 * USD, key=stranger.key)
    venue.custody.send("deposit", usdc.address, raw, 500 * USD, key=stranger.key)
    venue.custody.send("withdraw", raw, usdc.address, key=stranger.key)
    assert all(o.succeeded for o in venue.mine(market.ts - 20))
    assert venue.sequencer.world.ledger.accounts[stranger.account].cash > 0
    venue.settle(market.ts)
    assert (market.held("taker"), market.held("stranger")) == (10, 5)
    assert market.busts() == []
    agree(market)


def test_a_strangers_own_settlement_under_our_number_is_not_taken_for_ours(market: Market) -> None:
    """Anybody may settle orders that are open to anyone, and write any first sequence there."""
    venue = market.venue
    market.order("maker", -10, 100_000, flags=0)
    market.order("taker", 10, 101_000)
    (match,) = [e for e in venue.pump() if isinstance(e, Matched)]
    venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
    venue.pump()  # closed, not yet sent
    open_orders = []
    for name, lots, dollars in (("stranger", 1, 101_000), ("other", -1, 100_000)):
        actor = market.actors[name]
        made = actor.order(venue.desk({}), BTC, lots, dollars, IMMEDIATE if lots > 0 else 0)
        order = replace(made.order, executor=ZERO_ADDRESS)
        assert actor.signer is not None
        r, vs = eip712.sign(actor.signer, eip712.order_digest(venue.separator, order))
        open_orders.append(SignedOrder(order, r, vs))
    fills = [SignedFill(open_orders[0], open_orders[1], 1, 100_000 * WAD)]
    data = settle_calldata(b"", fills, match.sequence)
    venue.client.send(market.actors["stranger"].key, market.exchange().address, data)
    outcomes = venue.mine(venue.now + 5)
    (settled,) = happened(outcomes, "BatchSettled")
    assert (settled["first_sequence"], settled["count"], settled["settled"]) == (0, 1, 1)
    assert len(venue.sequencer.ahead.state.steps) == 1, "our own batch is still on its way"
    market.round(100_010)
    assert (market.held("taker"), market.held("stranger"), market.busts()) == (10, 1, [])
    agree(market)


def test_a_match_of_ours_settled_by_its_receipt_is_not_settled_again(market: Market) -> None:
    venue = market.venue
    market.order("maker", -10, 100_000, flags=0)
    market.order("taker", 10, 101_000)
    (match,) = [e for e in venue.pump() if isinstance(e, Matched)]
    venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
    venue.pump()
    taker, maker = (signed(venue.placed[d]) for d in (match.taker, match.maker))
    words = receipt_words(match.sequence, match.matched_at, *halves(match.receipt))
    fill = SignedFill(taker, maker, match.lots, records.number(match.price))
    data = forced_calldata(fill, venue.executor.address, words)
    venue.client.send(market.actors["stranger"].key, market.exchange().address, data)
    window = venue.parameters.settlement.exclusive_window_seconds
    outcomes = venue.mine(match.matched_at + window)
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [1]
    market.round(100_010)  # the settler sends the batch all the same
    assert (market.held("taker"), market.busts()) == (10, [])
    agree(market)
