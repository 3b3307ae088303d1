"""Nonces on a real node: one that comes back, one that is missing, one that went to something else.

Whatever the chain makes of them, each match settles exactly once, and nothing stays behind.
"""

from __future__ import annotations

from msgspec.structs import replace

from novate.chain.node import local_key
from novate.demo.venue import Venue
from novate.services.settler import Settler
from novate.wire import records
from novate.wire.records import BatchClosed, BatchDue, BatchSubmitted, Matched
from tests.support.market import Market, market_of

LATER_MS = 10_000  # longer than the settler waits before it asks about a transaction
market = market_of(maker=1_000_000, taker=100_000)


def due(market: Market, lots: int) -> Matched:
    """A match in a closed batch that is not sent yet."""
    venue = market.venue
    market.order("maker", -lots, 100_000, flags=0)
    market.order("taker", lots, 101_000)
    venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
    (match,) = [e for e in venue.pump() if isinstance(e, Matched)]
    return match


def written(venue: Venue, planned: list[BatchSubmitted]) -> list[BatchSubmitted]:
    for submitted in planned:
        venue.journal.append(*records.encode(submitted))
    venue.pump()
    return planned


def checked(venue: Venue) -> list[BatchSubmitted]:
    """What the settler makes of the node's answers, written down."""
    head = venue.watcher.next_block - 1
    return written(venue, venue.settler.check(venue.now * 1000 + LATER_MS, head))


def reopened(venue: Venue) -> Settler:
    """A settler that knows nothing but the journal."""
    made = Settler(venue.client, venue.deployment, venue.executor)
    venue.journal.commit()
    for entry in venue.journal.read(1):
        made.follow(records.decode(entry.kind, entry.payload))
    return made


def require_settled_once(market: Market, lots: int) -> None:
    """Once on the chain, in the engine, and in what followed both; nothing is left to send."""
    venue = market.venue
    assert (market.held("taker"), market.held("maker"), market.busts()) == (lots, -lots, [])
    assert venue.sequencer.ahead.state.steps == []
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    for settler in (venue.settler, reopened(venue)):
        assert settler.waiting == []
        assert all(flight.block is not None for flight in settler.flights.values())


def ahead_by_one(market: Market) -> tuple[BatchSubmitted, BatchSubmitted]:
    """Two batches under nonces that leave one out before them; the node holds them back."""
    venue = market.venue
    for lots in (3, 5):
        due(market, lots)
    planned = venue.settler.plan(venue.now * 1000)
    moved = [venue.settler._made(replace(one, nonce=one.nonce + 1)) for one in planned]
    first, second = written(venue, moved)
    return first, second


def test_a_batch_whose_nonce_goes_to_an_older_attempt_of_another_is_sent_again(
    market: Market,
) -> None:
    """The node mines the first batch under both nonces: the second was in neither."""
    venue = market.venue
    first, second = ahead_by_one(market)
    venue.client.send_raw(venue.settler.raw(first))  # the second does not arrive
    again = checked(venue)
    assert [one.nonce for one in again] == [first.nonce - 1, second.nonce - 1]
    venue.client.send_raw(venue.settler.raw(again[0]))
    venue.mine(venue.now + 5)
    assert market.held("taker") == 3, "the older attempt was under the second's new nonce"
    venue.submit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 8)


def test_what_an_older_attempt_has_settled_is_not_sent_again(market: Market) -> None:
    """The node mines what it held back, too: all nonces are used, and both batches settled."""
    venue = market.venue
    ahead_by_one(market)
    venue.settler.transmit()
    checked(venue)
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 8)
    assert venue.settler.plan(venue.now * 1000) == []


def test_an_older_attempt_that_leaves_the_chain_comes_back_under_its_nonce(market: Market) -> None:
    venue = market.venue
    ahead_by_one(market)
    venue.settler.transmit()
    checked(venue)
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    before = {n: flight.last.transaction for n, flight in venue.settler.flights.items()}
    venue.mine(venue.now + 5)
    venue.client.request("anvil_reorg", 2, [])
    venue.watch()
    assert market.held("taker") == 0
    venue.submit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 8)
    assert {n: flight.last.transaction for n, flight in venue.settler.flights.items()} == before


def test_a_batch_that_was_closed_again_does_not_wait_for_its_first_nonce(market: Market) -> None:
    """The chain skips it, it is closed again, and then the block that had skipped it leaves."""
    venue = market.venue
    due(market, 3)
    venue.clearinghouse.send("pause", 60, key=local_key("guardian"))
    venue.client.mine(venue.now + 1)  # the engine does not know
    venue.submit()
    venue.mine(venue.now + 5)
    (skipped,) = [f for f in venue.settler.flights.values() if f.first.count]
    assert (skipped.block, skipped.settled) == (venue.client.block().number, frozenset())
    for _ in range(2):
        market.post(100_000)
    assert [item.count for item in venue.settler.waiting if isinstance(item, BatchClosed)] == [1]
    venue.client.request("anvil_reorg", 1, [])
    venue.watch()
    planned = written(venue, venue.settler.plan(venue.now * 1000))
    assert [one.first_sequence for one in planned if one.count] == [skipped.first.first_sequence]
    assert planned[0].nonce == skipped.nonce + 1
    venue.settler.transmit()
    again = checked(venue)
    assert [one.nonce for one in again] == [one.nonce - 1 for one in planned], "none is left out"
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 3)


def test_no_nonce_is_given_away_while_the_watcher_has_not_seen_blocks_leave(
    market: Market,
) -> None:
    """What the watcher still holds for mined keeps its nonce, whatever the node counts by now."""
    venue = market.venue
    due(market, 3)
    venue.submit()
    venue.mine(venue.now + 5)
    due(market, 5)
    written(venue, venue.settler.plan(venue.now * 1000))
    venue.client.request("anvil_reorg", 2, [])
    assert checked(venue) == []
    venue.watch()
    venue.submit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 8)
