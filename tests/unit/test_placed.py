"""How long the engine knows an order: until nothing can ask for it again."""

from __future__ import annotations

import pytest

from novate.engine import snapshot
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.engine.placed import HOUR_S
from novate.services.boot import build_sequencer
from novate.wire.records import ChainReorganised
from tests.support.engine import EXECUTOR, Floor, deployed, ends, matches, rejection

SOON_S = 600


@pytest.fixture
def floor() -> Floor:
    made = Floor()
    for role in ("maker", "taker"):
        made.deposit(role, 10_000)
    return made


def an_hour_passes(floor: Floor) -> None:
    floor.prices(100_000, later=HOUR_S)


def test_an_expired_order_is_forgotten_and_stays_refused(floor: Floor) -> None:
    lasting = floor.now + 10 * HOUR_S
    floor.place("maker", 1, 90_000, expiry=lasting)
    kept = floor.last
    order = floor.order("maker", 1, 90_000, expiry=floor.now + SOON_S)
    command = floor.command(order, "maker")
    floor.feed(command)
    assert rejection(floor.feed(command)) == "NonceUsed"
    an_hour_passes(floor)
    assert ends(floor.events) == [("evicted", "OrderExpired")]
    an_hour_passes(floor)
    assert list(floor.sequencer.placed) == [kept]
    assert rejection(floor.feed(command)) == "OrderExpired"
    again = floor.order("maker", 1, 90_000, expiry=lasting, nonce=order.nonce)
    assert rejection(floor.feed(floor.command(again, "maker"))) == "NonceUsed"
    assert floor.replayed() == (floor.events, floor.world.state_hash())


def settled(floor: Floor) -> set[bytes]:
    """Two orders that expire soon trade, and their batch reaches the chain."""
    fields = {"expiry": floor.now + SOON_S}
    floor.place("maker", 1, 100_000, **fields)
    (match,) = matches(floor.take("taker", -1, 100_000, **fields))
    floor.close()
    return {match.maker, match.taker}


def test_a_settled_order_is_known_until_no_block_can_leave_any_more(floor: Floor) -> None:
    digests = settled(floor)
    an_hour_passes(floor)
    an_hour_passes(floor)
    assert set(floor.sequencer.placed) == digests
    for _ in range(REORG_BLOCKS_MAX + 1):
        floor.deposit("maker", 1)
    an_hour_passes(floor)
    assert not floor.sequencer.placed
    assert floor.replayed() == (floor.events, floor.world.state_hash())


def test_a_batch_that_comes_back_finds_its_orders(floor: Floor) -> None:
    digests = settled(floor)
    block = floor.block
    an_hour_passes(floor)
    an_hour_passes(floor)
    floor.tell(ChainReorganised(block))
    assert floor.held("maker") == 1, "it is on its way once more, from the orders as signed"
    an_hour = floor.now // HOUR_S
    floor.chain_follows = False
    an_hour_passes(floor)
    assert floor.now // HOUR_S > an_hour and set(floor.sequencer.placed) == digests


def test_an_engine_that_was_restored_forgets_the_same(floor: Floor) -> None:
    floor.place("maker", 1, 90_000, expiry=floor.now + SOON_S)
    deployment, parameters, now = deployed()
    other = build_sequencer(deployment, parameters, EXECUTOR, now)
    snapshot.restore(other, snapshot.content_of(floor.sequencer))
    told = len(floor.commands)
    an_hour_passes(floor)
    an_hour_passes(floor)
    for kind, payload in floor.commands[told:]:
        other.handle(snapshot.plain.records.decode(kind, payload))
    assert not other.placed
    assert snapshot.content_of(other) == snapshot.content_of(floor.sequencer)
