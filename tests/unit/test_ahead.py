"""What counts against a match on its way: what the chain that stands has done, and nothing else."""

from __future__ import annotations

from msgspec.structs import replace

from novate.engine.ahead import PATIENCE_S, REVERTS_MAX, SKIPS_MAX, Pending
from novate.services.batch_call import forced_calldata, signed
from novate.wire import records
from novate.wire.exit_data import halves
from novate.wire.order import SignedFill, receipt_words
from novate.wire.records import AnyRecord, Busted, ChainReorganised
from tests.support.engine import EXECUTOR, Floor, address_of, batches, floor_of, matches

HOUR_S = 3_600

floor = floor_of("maker", "taker")


def closed(floor: Floor, lots: int = 5) -> Pending:
    """A match in a closed batch that is on its way."""
    floor.chain_follows = False
    floor.place("maker", -lots, 100_000)
    floor.take("taker", lots, 100_000)
    floor.close()
    return on_its_way(floor)


def on_its_way(floor: Floor) -> Pending:
    """The batch that is sent last."""
    found = floor.sequencer.ahead.state.steps[-1].what
    assert isinstance(found, Pending)
    return found


def revert(floor: Floor, batch: Pending) -> list[AnyRecord]:
    """The batch's transaction in a block, without effect."""
    return floor.tell(replace(floor.arrival(batch), succeeded=False))


def leave(floor: Floor, blocks: int = 1) -> list[AnyRecord]:
    """The newest blocks leave the chain."""
    floor.block -= blocks
    return floor.tell(ChainReorganised(floor.block + 1))


def pause(floor: Floor, seconds: int) -> None:
    """The guardian stops what opens positions; the engine learns it with the block."""
    guardian = floor.sequencer.world.addresses["guardian"]
    floor.transact(guardian, "clearinghouse", "pause", seconds)


def busts(floor: Floor) -> list[int]:
    return [event.sequence for event in floor.events if isinstance(event, Busted)]


def test_a_match_is_given_up_after_a_bounded_number_of_reverts(floor: Floor) -> None:
    closed(floor)
    for _ in range(REVERTS_MAX):
        assert batches(revert(floor, on_its_way(floor)))
    assert busts(floor) == []
    revert(floor, on_its_way(floor))
    assert busts(floor) == [0]


def test_reverts_in_blocks_that_left_the_chain_do_not_count(floor: Floor) -> None:
    batch = closed(floor)
    for _ in range(2 * REVERTS_MAX):
        revert(floor, batch)
        leave(floor)
    assert busts(floor) == []
    for _ in range(REVERTS_MAX):
        revert(floor, on_its_way(floor))
    assert busts(floor) == []
    revert(floor, on_its_way(floor))
    assert busts(floor) == [0], "those that stand do"
    assert floor.replayed() == (floor.events, floor.world.state_hash())


def test_reverts_that_stand_count_though_later_ones_left(floor: Floor) -> None:
    closed(floor)
    for _ in range(REVERTS_MAX):
        revert(floor, on_its_way(floor))
    leave(floor, REVERTS_MAX - 1)
    for _ in range(REVERTS_MAX - 1):
        revert(floor, on_its_way(floor))
    assert busts(floor) == []
    revert(floor, on_its_way(floor))
    assert busts(floor) == [0]


def test_skips_in_blocks_that_left_the_chain_do_not_count(floor: Floor) -> None:
    batch = closed(floor)
    for _ in range(SKIPS_MAX + 2):
        pause(floor, 1)
        floor.tell(floor.arrival(batch))
        assert batches(floor.prices(100_000, later=2)), "it would settle by now"
        leave(floor, 2)
    assert busts(floor) == []


def test_patience_begins_with_a_block_that_stands(floor: Floor) -> None:
    batch = closed(floor)
    pause(floor, HOUR_S)
    floor.tell(floor.arrival(batch))
    assert list(floor.sequencer.ahead.state.parked) == [0]
    leave(floor)
    assert floor.sequencer.ahead.state.parked == {}, "it is on its way, as before"
    floor.prices(100_000, later=PATIENCE_S)
    floor.prices(100_000)
    assert busts(floor) == []
    floor.tell(floor.arrival(batch))
    assert list(floor.sequencer.ahead.state.parked) == [0]
    floor.prices(100_000, later=PATIENCE_S)
    assert busts(floor) == []
    floor.prices(100_000)
    assert busts(floor) == [0]


def test_what_a_receipt_settled_in_a_block_that_left_is_sent_again(floor: Floor) -> None:
    """Nothing of ours carries it: the block in which our batch left it out stands."""
    batch = closed(floor)
    pause(floor, 60)
    floor.tell(floor.arrival(batch))
    (match,) = matches(floor.events)
    taker, maker = (signed(floor.sequencer.placed[d]) for d in (match.taker, match.maker))
    words = receipt_words(match.sequence, match.matched_at, *halves(match.receipt))
    fill = SignedFill(taker, maker, match.lots, records.number(match.price))
    data = forced_calldata(fill, EXECUTOR.address.lower(), words)
    theirs = floor.transaction(address_of("stranger"), "exchange", data)
    floor.tell(replace(theirs, timestamp=floor.now + 60))
    assert floor.held("taker") == 5 and floor.sequencer.ahead.state.parked == {}
    (again,) = batches(leave(floor))
    assert (again.first_sequence, again.count) == (0, 1)
    floor.tell(floor.arrival(on_its_way(floor)))
    assert floor.held("taker") == 5 and floor.sequencer.ahead.state.steps == []
    assert floor.replayed() == (floor.events, floor.world.state_hash())
