"""Oracle.vy and its model see the same random rounds and agree on outcomes, events and words."""

from __future__ import annotations

import random
from typing import Any

import pytest

from novate.errors import Rejected
from novate.model import oracle as model
from novate.model.oracle import MASK_24, MASK_56, Observation
from novate.wire.round import SignedRound, round_digest
from tests.support.oracle import FEEDS, GOVERNOR, STRANGER, USD, OracleBench

ROUNDS_PER_SEED = 600
OUTCOMES_WANTED = {
    "accepted",
    "ignored",
    "FutureRound",
    "StaleRound",
    "QuorumNotReached",
    "DuplicateSigner",
    "BadSignature",
    "FeedsNotAscending",
    "ZeroPrice",
    "UnknownFeed",
}


class Walk:
    """Random rounds around a wandering price, some of them wrong in one way."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = OracleBench(node_count=self.random.choice([4, 7, 10]))
        self.prices = [self.random.randrange(1, 70_000 * USD) for _ in range(FEEDS)]
        self.round = 0

    def observation(self, feed: int) -> int:
        """A small move, a jump of up to ten times, or the field's very ends."""
        draw = self.random.random()
        last = self.prices[feed]
        if draw < 0.80:
            price = last * self.random.randrange(960_000, 1_040_001) // 10**6
        elif draw < 0.97:
            price = last * self.random.randrange(100_000, 10_000_001) // 10**6
        else:
            price = self.random.choice([1, MASK_56])
        price = max(1, min(price, MASK_56))
        self.prices[feed] = max(1, min(price, 10**16))
        mark = max(1, min(price * self.random.randrange(930_000, 1_070_001) // 10**6, MASK_56))
        confidence = self.random.choice([0, self.random.randrange(5_000), MASK_24])
        return Observation(feed, price, mark, confidence).pack()

    def words(self) -> list[int]:
        """Observations of some feeds; rarely out of order, zero, unknown, or with stray bits."""
        feeds = sorted(self.random.sample(range(FEEDS), self.random.randrange(FEEDS + 1)))
        words = [self.observation(feed) for feed in feeds]
        draw = self.random.random()
        if draw < 0.04 and len(words) > 1:
            words.reverse()
        elif draw < 0.08 and words:
            words[-1] &= ~MASK_56 if self.random.random() < 0.5 else ~(MASK_56 << 56)
        elif draw < 0.11:
            words.append(Observation(self.random.randrange(FEEDS, 256), 1, 1).pack())
        elif draw < 0.13 and words:
            words[-1] |= 1 << self.random.randrange(144, 256)
        return words

    def signers(self) -> list[int]:
        """A quorum or more; rarely too few, repeated or out of order."""
        bench, count = self.bench, len(self.bench.keys)
        chosen = sorted(
            self.random.sample(range(count), self.random.randrange(bench.quorum, count + 1))
        )
        draw = self.random.random()
        if draw < 0.03:
            return chosen[: bench.quorum - 1]
        if draw < 0.06:
            return [chosen[0], *chosen]
        if draw < 0.08:
            return chosen[::-1]
        return chosen[:13]

    def signed(self) -> SignedRound:
        """A round with a plausible, late, early or repeated number and time."""
        self.round += self.random.choice([1, 1, 1, 1, 1, 1, 0, 5, -1])
        now = self.bench.chain.timestamp
        timestamp = now - self.random.choice([0, 0, 0, 0, 1, 3, 60, 61, 500, -1])
        made = self.bench.signed(max(self.round, 0), self.words(), timestamp, self.signers())
        if self.random.random() < 0.05:
            wrong = [(index, (r, s ^ 1)) for index, (r, s) in made.signatures]
            made = SignedRound(made.round, made.timestamp, made.observations, tuple(wrong))
        return made

    def step(self) -> str:
        """One round on both sides; everything visible must agree."""
        bench = self.bench
        bench.advance(self.random.choice([1, 5, 10, 10, 10, 30, 59, 60, 61, 400, 2_000]))
        if self.random.random() < 0.05:
            self.govern()
        made = self.signed()
        got = bench.outcome(made)
        assert got == bench.outcome_in_model(made)
        if got in ("accepted", "ignored"):
            self.compare_events(made)
        self.compare_words()
        return got

    def govern(self) -> None:
        """Change the limits or the node set, within bounds or not."""
        bench = self.bench
        limits = (
            self.random.choice([9, 10, 60, 600, 601]),
            self.random.choice([29, 30, 120, 3_600]),
            self.random.choice([999, 1_000, 50_000, 200_000, 200_001]),
        )
        count = self.random.choice([4, 5, 7, 10])
        nodes = bench.addresses[:count]
        caller = self.random.choice([GOVERNOR, GOVERNOR, STRANGER])
        for function, arguments in (("set_limits", limits), ("set_nodes", (nodes,))):
            self.both(function, caller, arguments)

    def both(self, function: str, caller: str, arguments: tuple[Any, ...]) -> None:
        """One setter on both sides."""
        outcomes = []
        for act in (self.set_contract, self.set_model):
            try:
                act(function, caller, arguments)
                outcomes.append("set")
            except Rejected as rejection:
                outcomes.append(rejection.error.name)
        assert outcomes[0] == outcomes[1]
        self.bench.world.take_events()

    def set_contract(self, function: str, caller: str, arguments: tuple[Any, ...]) -> None:
        self.bench.contract.call(function, *arguments, sender=caller)

    def set_model(self, function: str, caller: str, arguments: tuple[Any, ...]) -> None:
        with self.bench.world.store.transaction():
            getattr(model, function)(self.bench.world, caller, *arguments)

    def compare_events(self, made: SignedRound) -> None:
        """Same names and arguments in the same order; the digest is the contract's alone."""
        bench = self.bench
        got = []
        for event in bench.chain.events():
            arguments = dict(event.arguments)
            digest = arguments.pop("digest", None)
            if digest is not None:
                expected = round_digest(bench.domain, made.round, made.timestamp, made.observations)
                assert digest == expected
            got.append((event.name, arguments))
        assert got == bench.world.take_events()

    def compare_words(self) -> None:
        """Status and every feed, bit for bit."""
        bench = self.bench
        assert bench.contract.view("status") == model.status(bench.world).pack()
        for feed in range(FEEDS):
            assert bench.contract.view("feed", feed) == model.feed(bench.world, feed).pack()


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_rounds_leave_the_same_words(seed: int) -> None:
    walk = Walk(seed)
    seen: dict[str, int] = {}
    for _ in range(ROUNDS_PER_SEED):
        outcome = walk.step()
        seen[outcome] = seen.get(outcome, 0) + 1
    assert seen["accepted"] >= 150
    assert set(seen) == OUTCOMES_WANTED, seen
