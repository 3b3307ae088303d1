"""The engine's world is the chain's state with the engine's own steps on top, whatever happens.

Rounds and batches reach the chain late, out of order, or not at all; strangers act in between;
blocks leave the chain. After each step the state that the engine holds for the chain's is that of
a replica which never ran ahead.
"""

from __future__ import annotations

from typing import Any

from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from novate.chain.backend import abi_of
from novate.chain.mirror import mirror_world
from novate.engine import snapshot
from novate.errors import ReorgTooDeep
from novate.model.order import IMMEDIATE
from novate.services.replica import Replica
from novate.services.watch import canonical
from novate.wire import records
from novate.wire.records import Busted, ChainReorganised, OracleRound
from tests.support.engine import Floor, account_of, address_of, deployed, matches
from tests.support.journals import rejection

ROLES = ("ann", "ben", "cat")
STALE_AFTER_S = 60
STEP = st.one_of(
    st.tuples(
        st.just("order"),
        st.sampled_from(ROLES),
        st.integers(-40, 40).filter(bool),
        st.integers(-30, 30),
        st.sampled_from((0, IMMEDIATE)),
    ),
    st.tuples(st.just("prices"), st.integers(96_000, 104_000)),
    st.tuples(st.just("close")),
    st.tuples(st.just("arrive"), st.integers(0, 3)),
    st.tuples(st.just("arrive"), st.just(0)),
    st.tuples(st.just("block"), st.integers(2, 4)),
    st.tuples(st.just("fail"), st.sampled_from(ROLES)),
    st.tuples(st.just("deposit"), st.sampled_from(ROLES)),
    st.tuples(st.just("drain"), st.sampled_from(ROLES)),
    st.tuples(st.just("cancel"), st.sampled_from(ROLES)),
    st.tuples(st.just("leave"), st.integers(1, 12)),
)


def told(floor: Floor) -> list[Any]:
    return [records.decode(kind, payload) for kind, payload in floor.commands]


def chains_own_hash(floor: Floor) -> str:
    """The state of a replica that follows the chain alone."""
    deployment, parameters, now = deployed()
    replica = Replica(mirror_world(deployment, parameters, now), deployment, check_events=False)
    for record in canonical(told(floor)):
        replica.apply(record)
    return replica.world.state_hash()


def arrive(floor: Floor, waiting: list[Any]) -> None:
    """Steps reach the chain in one block; a round that is stale by now reverts there."""
    number = floor.block + 1
    for what in waiting:
        floor.block = number - 1
        record = replace(floor.arrival(what), more=what is not waiting[-1])
        if isinstance(what, OracleRound) and floor.now - what.timestamp > STALE_AFTER_S:
            record = replace(record, succeeded=False)
        floor.tell(record)


def finish(floor: Floor) -> None:
    """Fresh prices reach the chain, and then all that is still on its way."""
    floor.prices(100_000)
    for _ in range(100):
        steps = floor.sequencer.ahead.state.steps
        if not steps:
            return
        rounds = [step.what for step in steps if isinstance(step.what, OracleRound)]
        arrive(floor, rounds[-1:] or [steps[0].what])
    raise AssertionError("something is still on its way")


def run(floor: Floor, step: tuple[Any, ...]) -> None:
    match step:
        case ("order", role, lots, away, flags):
            floor.place(role, lots, 100_000 + 10 * away, flags=flags)
        case ("prices", dollars):
            floor.prices(dollars)
        case ("close",):
            floor.close()
        case ("arrive", place):
            steps = floor.sequencer.ahead.state.steps
            arrive(floor, [step.what for step in steps[place : place + 1]])
        case ("block", count):
            arrive(floor, [step.what for step in floor.sequencer.ahead.state.steps[:count]])
        case ("fail", role):
            raw = account_of(role).to_bytes(32, "big")
            data = abi_of("Auctioneer").encode_call("start", raw)
            record = floor.transaction(address_of(role), "auctioneer", data)
            floor.tell(replace(record, succeeded=False))
        case ("deposit", role):
            floor.deposit(role, 700)
        case ("drain", role):
            row = floor.sequencer.world.ledger.accounts[account_of(role)]
            if row.cash > 0 and not row.positions and not floor.sequencer.ahead.state.steps:
                floor.withdraw_all(role)
        case ("cancel", role):
            raw = account_of(role).to_bytes(32, "big")
            below = floor.nonce + 1
            world = floor.sequencer.world
            if world.now >= world.exchange.floors[account_of(role)].since:
                floor.transact(address_of(role), "exchange", "cancel_below", raw, below)
        case ("leave", depth):
            if floor.block - depth > 40:
                floor.block -= depth
                floor.tell(ChainReorganised(floor.block + 1))


def started() -> Floor:
    """Forty blocks and more in which nothing is left to arrive."""
    floor = Floor()
    for role in ROLES:
        for _ in range(13):
            floor.deposit(role, 300)
    floor.chain_follows = False
    return floor


@settings(max_examples=30, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@given(st.lists(STEP, min_size=10, max_size=40))
def test_the_engine_holds_the_chains_state_beneath_its_own(steps: list[tuple[Any, ...]]) -> None:
    floor = started()
    for step in steps:
        run(floor, step)
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)
    again, state = floor.replayed()
    assert [records.encode(e) for e in again] == [records.encode(e) for e in floor.events]
    assert state == floor.world.state_hash()
    floor.close()
    finish(floor)
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)
    tables = floor.world.store.tables
    names = [name for name in tables if not name.startswith("book.")]
    assert floor.world.store.state_hash(names) == floor.sequencer.confirmed_hash()
    marked = floor.world.exchange.sequences
    executor = floor.sequencer.settings.executor
    given_up = {e.sequence for e in floor.events if isinstance(e, Busted)}
    given_up |= set(floor.sequencer.ahead.state.parked)
    for match in matches(floor.events):
        assert marked[executor, match.sequence] or match.sequence in given_up


def test_a_snapshot_holds_what_the_chain_can_still_take_back() -> None:
    floor = started()
    floor.place("ann", -5, 100_000)
    floor.take("ben", 5, 100_000)
    floor.prices(100_500)
    for _ in range(2):
        arrive(floor, [floor.sequencer.ahead.state.steps[0].what])
    content = snapshot.plain.decode(snapshot.content_of(floor.sequencer))
    state = floor.sequencer.ahead.state
    assert content["engine"]["ahead"] == state
    assert [past.arrived != () for past in state.past][-2:] == [True, True]


def test_more_than_can_be_taken_back_is_refused_by_name() -> None:
    floor = started()
    while floor.block <= 64 + 10:
        floor.deposit("ann", 1)
    before = snapshot.content_of(floor.sequencer)
    refused = rejection(lambda: floor.tell(ChainReorganised(floor.block - 64)))
    assert refused is not None and refused[0] is ReorgTooDeep
    assert snapshot.content_of(floor.sequencer) == before
    floor.commands.pop()
    floor.tell(ChainReorganised(floor.block - 63))
    assert len(canonical(told(floor))) == floor.block - 64
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)


def test_a_block_full_of_ours_costs_each_remaining_step_once(monkeypatch: Any) -> None:
    floor = started()
    for _ in range(8):
        floor.place("ann", -1, 100_000)
        floor.take("ben", 1, 100_000)
        floor.close()
    applied: list[int] = []
    ahead = floor.sequencer.ahead
    settle = ahead._settle
    monkeypatch.setattr(
        ahead, "_settle", lambda batch: (applied.append(batch.first_sequence), settle(batch))[1]
    )
    arrive(floor, [step.what for step in ahead.state.steps[:5]])
    assert applied == [5, 6, 7]
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)


def test_a_watcher_killed_within_a_block_leaves_a_whole_world() -> None:
    floor = started()
    floor.place("ann", -5, 100_000)
    floor.take("ben", 2, 100_000)
    floor.close()
    held = floor.held("ben")
    record = floor.transaction(address_of("cat"), "clearinghouse", b"")
    floor.tell(replace(record, succeeded=False, more=True))
    assert len(matches(floor.take("ben", 3, 100_000))) == 1, "the batch is on the world again"
    assert floor.held("ben") == held == 2
    finish(floor)
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)
