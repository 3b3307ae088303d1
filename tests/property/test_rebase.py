"""The engine's world is the chain's state with the engine's own steps on top, whatever happens.

Rounds and batches reach the chain late, out of order, or not at all; strangers act in between;
blocks leave the chain. After each step the state that the engine holds for the chain's is that of
a replica which never ran ahead.
"""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from novate.chain.mirror import mirror_world
from novate.engine import snapshot
from novate.errors import ReorgTooDeep
from novate.model.order import IMMEDIATE
from novate.services.replica import Replica
from novate.services.watch import canonical
from novate.wire import records
from novate.wire.records import Busted, ChainReorganised
from tests.support.engine import Floor, account_of, address_of, deployed, matches
from tests.support.journals import rejection

ROLES = ("ann", "ben", "cat")
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
            if place < len(steps):
                floor.tell(floor.arrival(steps[place].what))
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


@settings(max_examples=30)
@given(st.lists(STEP, min_size=10, max_size=40))
def test_the_engine_holds_the_chains_state_beneath_its_own(steps: list[tuple[Any, ...]]) -> None:
    floor = started()
    for step in steps:
        run(floor, step)
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)
    again, state = floor.replayed()
    assert [records.encode(e) for e in again] == [records.encode(e) for e in floor.events]
    assert state == floor.world.state_hash()
    while floor.sequencer.ahead.state.steps:
        floor.tell(floor.arrival(floor.sequencer.ahead.state.steps[0].what))
    assert floor.sequencer.confirmed_hash() == chains_own_hash(floor)
    tables = floor.world.store.tables
    names = [name for name in tables if not name.startswith("book.")]
    assert floor.world.store.state_hash(names) == floor.sequencer.confirmed_hash()
    marked = floor.world.exchange.sequences
    executor = floor.sequencer.settings.executor
    floor.close()
    while floor.sequencer.ahead.state.steps:
        floor.tell(floor.arrival(floor.sequencer.ahead.state.steps[0].what))
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
        floor.tell(floor.arrival(floor.sequencer.ahead.state.steps[0].what))
    content = snapshot.plain.decode(snapshot.content_of(floor.sequencer))
    assert content["ahead_state"] == floor.sequencer.ahead_state
    assert [past.arrived != () for past in floor.sequencer.ahead_state.past][-2:] == [True, True]


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
