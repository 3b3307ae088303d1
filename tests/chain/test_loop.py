"""The loop on a real node: trading settles, and users need no operator for what is theirs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from novate.chain.node import local_key
from novate.demo.actors import USD
from novate.demo.cheats import venue_order
from novate.errors import BY_SELECTOR
from novate.model import ledger
from novate.services.replica import Outcome
from novate.wire import records
from novate.wire.order import SignedFill, pack, receipt_words
from novate.wire.records import Matched, OrderPlaced
from tests.support.market import BTC, Market, happened


@pytest.fixture
def market(tmp_path: Path) -> Iterator[Market]:
    made = Market(tmp_path, maker=1_000_000, taker=20_000)
    try:
        yield made
    finally:
        made.venue.close()


def trade(market: Market, lots: int = 10) -> Matched:
    """One match, not yet settled."""
    market.order("maker", -2 * lots, 100_000, flags=0)
    market.order("taker", lots, 101_000)
    (match,) = [e for e in market.venue.pump() if isinstance(e, Matched)]
    return match


def test_a_minute_of_trading_settles_as_the_engine_judged_it(market: Market) -> None:
    market.post(100_010)
    market.order("maker", -50, 100_050, flags=0)
    market.order("maker", 50, 99_950, flags=0)
    market.order("taker", 30, 101_000)
    market.order("taker", -10, 99_000)
    outcomes = market.venue.settle(market.ts)
    (settled,) = happened(outcomes, "BatchSettled")
    assert settled["count"] == 2 and settled["settled"] == 0b11
    assert happened(outcomes, "FillSkipped") == happened(outcomes, "TradeSkipped") == []
    assert (market.held("taker"), market.held("maker")) == (20, -20)
    engine = market.venue.sequencer.world
    for actor in market.actors.values():
        replica = market.venue.replica.world.ledger.accounts[actor.account]
        slots = market.venue.clearinghouse.call("account", actor.account.to_bytes(32, "big"))
        assert slots == replica.slots() == engine.ledger.accounts[actor.account].slots()
    again = market.venue.rebuilt_sequencer()
    assert again.world.state_hash() == engine.state_hash()


def force(
    market: Market, match: Matched, placed: dict[bytes, OrderPlaced], at: int
) -> list[Outcome]:
    """A stranger sends the two signed orders and the receipt, nothing else."""
    taker, maker = (venue_order(market.venue, placed[d]) for d in (match.taker, match.maker))
    batch = pack([SignedFill(taker, maker, match.lots, records.number(match.price))])
    r, vs = (int.from_bytes(match.receipt[i : i + 32], "big") for i in (0, 32))
    market.exchange().send(
        "settle",
        b"",
        batch.accounts,
        batch.instruments,
        batch.orders,
        batch.fills,
        0,
        batch.blobs,
        market.venue.executor.address,
        [receipt_words(match.sequence, match.matched_at, r, vs)],
        key=local_key("stranger"),
    )
    return market.venue.mine(at)


def skipped(outcomes: list[Outcome]) -> list[str]:
    return [
        BY_SELECTOR[int.from_bytes(a["code"], "big")].name
        for a in happened(outcomes, "FillSkipped")
    ]


def test_a_match_settles_by_its_receipt_when_the_operator_is_gone(market: Market) -> None:
    match = trade(market)
    placed = dict(market.venue.placed)
    window = market.venue.parameters.settlement.exclusive_window_seconds
    opens = match.matched_at + window
    early = force(market, match, placed, opens - 1)
    assert skipped(early) == ["NotExecutor"] and market.held("taker") == 0
    in_time = force(market, match, placed, opens)
    assert [a["settled"] for a in happened(in_time, "BatchSettled")] == [1]
    assert (market.held("taker"), market.held("maker")) == (match.lots, -match.lots)
    again = force(market, match, placed, opens + 1)
    assert skipped(again) == ["ReceiptUsed"] and market.held("taker") == match.lots


def test_a_user_withdraws_without_the_operator(market: Market) -> None:
    user, venue = market.actors["taker"], market.venue
    usdc, raw = venue.tokens["USDC"], user.account.to_bytes(32, "big")
    amount = 5_000 * USD
    venue.custody.send("request_withdrawal", raw, usdc.address, amount, key=user.key)
    assert venue.mine(venue.now + 10)[-1].succeeded
    venue.custody.send("withdraw", raw, usdc.address, key=user.key)
    assert not venue.mine(venue.now + 10)[-1].succeeded  # the notice has not passed
    assert usdc.call("balanceOf", user.address) == 0
    venue.custody.send("withdraw", raw, usdc.address, key=local_key("stranger"))
    assert venue.mine(venue.now + 60)[-1].succeeded
    assert usdc.call("balanceOf", user.address) == amount
    assert market.account("taker").cash == (20_000 - 5_000) * 10**18


def test_a_stranger_liquidates_an_account_under_water(tmp_path: Path) -> None:
    market = Market(tmp_path, maker=1_000_000, taker=20_000, keeper=1_000_000)
    venue = market.venue
    try:
        market.post(100_000)
        market.order("maker", -900, 100_000, flags=0)
        market.order("taker", 900, 101_000)
        venue.settle(market.ts)
        assert market.held("taker") == 900
        target = market.actors["taker"].account.to_bytes(32, "big")
        keeper = market.actors["keeper"]
        venue.auctioneer.send("start", target, key=keeper.key)
        assert not venue.mine(venue.now + 5)[-1].succeeded  # it is healthy
        for btc in (96_000, 92_500, 89_000):
            market.round(btc)
        check = ledger.check(venue.replica.world, market.actors["taker"].account)
        assert check.equity < check.valuation.margin_maintenance
        venue.auctioneer.send("start", target, key=keeper.key)
        assert venue.mine(venue.now + 5)[-1].succeeded
        bidder = keeper.account.to_bytes(32, "big")
        fraction = 1_000_000
        while fraction >= 10_000 and not market.held("keeper"):
            venue.auctioneer.send("bid", target, bidder, fraction, 0, 0, key=keeper.key)
            venue.mine(venue.now + 10)
            fraction //= 2
        assert market.held("keeper") > 0
        assert market.held("keeper") + market.held("taker") == 900
    finally:
        venue.close()


def test_the_engine_never_calls_a_stranger_its_user(market: Market) -> None:
    """What the gateway refuses leaves no record."""
    before = market.venue.journal.head
    order = market.actors["taker"].order(market.venue.desk({}), BTC, 5, 100_000)
    forged = type(order)(order.order, order.r, order.vs ^ 1 << 255)
    with pytest.raises(Exception, match="BadSignature"):
        market.venue.place(forged)
    assert market.venue.journal.head == before
