"""The round that a batch brings along, when its transaction is sent again later or elsewhere.

A round that the chain has costs gas and does nothing; one that is stale reverts the whole batch.
"""

from __future__ import annotations

from novate.chain.node import local_key
from novate.chain.rows import hexed
from novate.demo.venue import NODES, Venue
from novate.services.batch_call import round_calldata
from novate.services.oracle_node import NodePrice
from novate.services.settler import Settler
from novate.wire import records
from novate.wire.records import BatchDue, BatchSubmitted, OracleRound
from tests.support.market import BTC, ORACLE_PER_USD, Market, happened, market_of

LATER_MS = 10_000  # longer than the settler waits before it asks about a transaction
market = market_of(maker=1_000_000, taker=100_000)


def post(market: Market, *later: int) -> None:
    """Rounds of so many seconds after the last one reach the engine, not yet the chain."""
    price = NodePrice(100_000 * ORACLE_PER_USD, 100_000 * ORACLE_PER_USD)
    for seconds in later:
        market.ts += seconds
        seen = {node: {BTC: price} for node in range(NODES)}
        assert market.venue.post_prices(seen, market.ts)


def planned_with_round(market: Market) -> BatchSubmitted:
    """A batch with the round that it was judged by, written down and not sent."""
    venue = market.venue
    market.ts = venue.now
    post(market, 5)
    market.order("maker", -3, 100_000, flags=0)
    market.order("taker", 3, 101_000)
    venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
    venue.pump()
    (sent,) = written(venue, venue.settler.plan(venue.now * 1000))
    assert sent.count == 1 and sent.carries_round
    return sent


def written(venue: Venue, planned: list[BatchSubmitted]) -> list[BatchSubmitted]:
    for submitted in planned:
        venue.journal.append(*records.encode(submitted))
    venue.pump()
    return planned


def checked(venue: Venue) -> list[BatchSubmitted]:
    """What the settler makes of the node's answers, written down and sent."""
    head = venue.watcher.next_block - 1
    made = written(venue, venue.settler.check(venue.now * 1000 + LATER_MS, head))
    venue.settler.transmit()
    return made


def use_nonce_up(market: Market) -> None:
    """The executor's next nonce goes to something that is none of the venue's."""
    venue = market.venue
    venue.client.send(venue.executor, venue.executor.address, b"", 21_000)


def last_round(market: Market) -> OracleRound:
    return [r for r in market.records() if isinstance(r, OracleRound)][-1]


def require_settled_at_once(market: Market, lots: int) -> None:
    """By the one block that followed; nothing reverted, and nothing is left to send."""
    venue = market.venue
    venue.submit()
    outcomes = venue.mine(market.ts + 1)
    assert all(outcome.succeeded for outcome in outcomes)
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [1]
    assert happened(outcomes, "RoundIgnored") == []
    assert (market.held("taker"), market.busts()) == (lots, [])
    assert venue.sequencer.ahead.state.steps == []
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    again = Settler(venue.client, venue.deployment, venue.executor)
    for record in market.records():
        again.follow(record)
    for settler in (venue.settler, again):
        assert settler.waiting == []
        assert all(flight.block is not None for flight in settler.flights.values())


def test_a_batch_leaves_a_round_behind_that_the_chain_has_by_now(market: Market) -> None:
    venue = market.venue
    sent = planned_with_round(market)
    use_nonce_up(market)
    oracle = venue.deployment.addresses["oracle"]
    venue.client.send(local_key("stranger"), oracle, round_calldata(last_round(market)))
    venue.mine(market.ts)
    (moved,) = checked(venue)
    assert moved.nonce == sent.nonce + 1 and not moved.carries_round
    require_settled_at_once(market, 3)


def test_a_batch_brings_a_fresh_round_where_its_own_is_stale(market: Market) -> None:
    venue = market.venue
    sent = planned_with_round(market)
    use_nonce_up(market)
    venue.mine(market.ts)
    post(market, 45, 16)
    (moved,) = checked(venue)
    assert moved.nonce == sent.nonce + 1
    assert moved.carries_round and moved.oracle_round == sent.oracle_round + 1
    require_settled_at_once(market, 3)


def test_so_does_one_that_the_node_has_dropped(market: Market) -> None:
    venue = market.venue
    sent = planned_with_round(market)
    venue.settler.transmit()
    venue.client.request("anvil_dropTransaction", hexed(sent.transaction))
    post(market, 45, 16)
    (again,) = checked(venue)
    assert again.nonce == sent.nonce and again.oracle_round == sent.oracle_round + 1
    require_settled_at_once(market, 3)


def test_a_round_that_nothing_brought_after_all_is_sent_by_itself(market: Market) -> None:
    """The node kept the batch as it was first sent, and that is what is mined."""
    venue = market.venue
    sent = planned_with_round(market)
    post(market, 45, 16)
    (again,) = checked(venue)
    assert again.oracle_round == sent.oracle_round + 1
    venue.client.request("anvil_dropTransaction", hexed(again.transaction))
    venue.client.send_raw(venue.settler.raw(sent))
    venue.mine(market.ts - 30)
    assert market.held("taker") == 3
    waiting = [item.round for item in venue.settler.waiting if isinstance(item, OracleRound)]
    assert waiting == [sent.oracle_round + 1, sent.oracle_round + 2]
    venue.submit()
    outcomes = venue.mine(market.ts + 1)
    assert [a["round"] for a in happened(outcomes, "RoundPosted")] == waiting
    assert venue.settler.waiting == [] and venue.sequencer.ahead.state.steps == []
