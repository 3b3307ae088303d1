"""Everything at once, seeded: trades go on while the settler dies, the node forgets and the chain
turns back. In the end every match has settled exactly once, nothing was given up, and a verifier
who trusts nobody finds nothing.
"""

from __future__ import annotations

import os
import random
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from novate.chain.client import Client
from novate.chain.rows import hexed
from novate.services import verification
from novate.services.final_state import final_state
from novate.services.flights import BatchTimer
from novate.services.post import Direct
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.services.verification import Case
from novate.services.watch import canonical
from novate.wire import records
from novate.wire.records import AnyRecord, BatchDue, BatchSubmitted, ChainReorganised, Matched
from tests.support.market import Market, happened

STEPS = 40


class Storm:
    """A market and what befalls it."""

    def __init__(self, folder: Path, seed: int) -> None:
        self.market = Market(folder, maker=1_000_000, taker=300_000)
        self.chance = random.Random(seed)

    def step(self) -> None:
        """Some trading, then one thing that happens."""
        venue = self.market.venue
        for _ in range(self.chance.randint(0, 2)):
            sign = self.chance.choice((1, -1))
            self.market.order("maker", -5 * sign, 100_000, flags=0)
            self.market.order("taker", 5 * sign, 100_000 + 1_000 * sign)
        venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
        venue.pump()
        getattr(self, self.chance.choice(WHAT))()

    def write_down(self, planned: list[BatchSubmitted]) -> None:
        for submitted in planned:
            self.market.venue.journal.append(*records.encode(submitted))
        self.market.venue.pump()

    def settle(self) -> None:
        """As on a good day; fresh prices with it."""
        self.market.round(100_000 + self.chance.randint(-50, 50))

    def die(self) -> None:
        """The settler dies between writing and sending; another one reads the journal."""
        venue = self.market.venue
        self.write_down(venue.settler.plan(venue.now * 1000))
        venue.settler = Settler(venue.client, venue.deployment, venue.executor)
        venue.journal.commit()
        for entry in venue.journal.read(1):
            venue.settler.follow(records.decode(entry.kind, entry.payload))

    def drop(self) -> None:
        """The node loses what it was given."""
        venue = self.market.venue
        venue.submit()
        for flight in venue.settler.flights.values():
            if flight.block is None:
                name = hexed(flight.last.transaction)
                venue.client.request("anvil_dropTransaction", name)

    def turn_back(self) -> None:
        """Up to twelve blocks leave the chain."""
        venue = self.market.venue
        depth = self.chance.randint(1, 12)
        if venue.client.block().number - depth > self.started:
            venue.client.request("anvil_reorg", depth, [])
            venue.watch()

    def stop(self) -> None:
        """The node stops while it is sent something, and goes on."""
        venue = self.market.venue
        honest, post = venue.settler.client, venue.settler.post
        venue.settler.client = Client.over_ipc(venue.node.ipc_path, seconds=5)
        venue.settler.post = Direct(venue.settler.client)
        self.write_down(venue.settler.plan(venue.now * 1000))
        venue.settler.client._provider._seconds = 0.2  # type: ignore[attr-defined]
        venue.settler.client.close()
        os.kill(venue.node.pid, signal.SIGSTOP)
        try:
            venue.settler.transmit()
        finally:
            os.kill(venue.node.pid, signal.SIGCONT)
            venue.settler.client.close()
            venue.settler.client, venue.settler.post = honest, post

    def calm(self) -> None:
        """Until nothing is on its way any more."""
        venue = self.market.venue
        loop = SettlementLoop(venue.settler, venue.watcher, BatchTimer(), self.write)
        for _ in range(20):
            self.settle()
            loop.turn(venue.now * 1000 + 10_000)
            venue.mine(venue.now + 2)
            if not venue.sequencer.ahead.state.steps and not venue.sequencer.ahead.state.parked:
                return
        raise AssertionError("something is still on its way")

    def write(self, made: Sequence[AnyRecord]) -> None:
        """What the loop made, as the venue's process writes it."""
        assert all(isinstance(record, BatchSubmitted) for record in made), "the venue watches"
        self.write_down([record for record in made if isinstance(record, BatchSubmitted)])

    @property
    def started(self) -> int:
        """The block that nothing turns back behind: actors were funded there."""
        first = canonical(self.market.records())[0].block
        return first + 12


WHAT = ("settle", "settle", "die", "drop", "turn_back", "turn_back", "stop", "calm")


@pytest.fixture(params=[1, 2, 3])
def storm(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Storm]:
    made = Storm(tmp_path, request.param)
    try:
        yield made
    finally:
        made.market.venue.close()


def test_every_match_settles_exactly_once_in_a_storm(storm: Storm) -> None:
    for _ in range(STEPS):
        storm.step()
    storm.calm()
    market, venue = storm.market, storm.market.venue
    told = market.records()
    matches = [record for record in told if isinstance(record, Matched)]
    assert len(matches) > STEPS // 2 and any(isinstance(r, ChainReorganised) for r in told)
    assert market.busts() == []
    marked = venue.replica.world.exchange.sequences
    executor = venue.executor.address.lower()
    assert all(marked[executor, match.sequence] for match in matches)
    outcomes = [venue.replica.decode(record) for record in canonical(told)]
    assert sum(int(a["settled"]).bit_count() for a in happened(outcomes, "BatchSettled")) == len(
        matches
    )
    held = sum(match.lots if match.taker_buys else -match.lots for match in matches)
    assert (market.held("taker"), market.held("maker")) == (held, -held)
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    verify(market)


def verify(market: Market) -> None:
    """Every step of ``novate verify`` that a run without a result file has."""
    venue = market.venue
    venue.journal.commit()
    case = Case(venue.journal.path, venue.deployment, venue.parameters, venue.client)
    for step in (
        verification.hash_chain,
        verification.genesis,
        verification.chain_transactions,
        verification.order_signatures,
        verification.matching,
        verification.settlement,
        final_state,
    ):
        step(case, lambda done, total: None)
    assert all(case.invariants.values())
