"""Surfaces.vy and its model see the same random vectors and agree on outcomes, events and words."""

from __future__ import annotations

import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from novate.errors import Rejected
from novate.model import surfaces as model
from novate.model.surface import RHO_ONE, pack, unpack
from novate.risk.surface import approach
from novate.wire.surfaces import SignedSurfaces
from tests.support.oracle import GOVERNOR, STRANGER
from tests.support.surfaces import BTC, ETH, SurfacesBench, slice_of

STEPS_PER_SEED = 500
HOUR_S = 3_600
OUTCOMES_WANTED = {
    "accepted",
    "ignored",
    "UnknownUnderlying",
    "FutureRound",
    "StaleRound",
    "QuorumNotReached",
    "DuplicateSigner",
    "BadSignature",
    "SurfaceOutOfBounds",
    "ButterflyArbitrage",
    "CalendarArbitrage",
    "NotAscending",
    "ExpiryPassed",
    "MissingExpiry",
    "SurfaceJump",
}


class Walk:
    """Random surfaces over expiries that come and go, some of them wrong in one way."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.bench = SurfacesBench(node_count=self.random.choice([4, 7]))
        self.rounds = {BTC: 0, ETH: 0}
        self.volatility = {BTC: 60, ETH: 80}

    def expiries(self, underlying: int) -> list[int]:
        """The active expiries and some new hours; rarely one too few, or passed."""
        rng, now = self.random, self.bench.chain.timestamp
        stored = [unpack(word).expiry for word in self.bench.stored(underlying)]
        active = [expiry for expiry in stored if expiry > now]
        hour = now // HOUR_S
        new = {(hour + rng.randrange(1, 40)) * HOUR_S for _ in range(rng.choice([0, 0, 1, 3, 12]))}
        room = sorted(new - set(active))[: 16 - len(active)]
        wanted = sorted({*active, *room})
        if active and rng.random() < 0.08:
            wanted.remove(rng.choice(active))
        if len(wanted) < 16 and rng.random() < 0.05:
            wanted.insert(0, now - rng.choice([0, 1, 20]))
        return wanted

    def words(self, underlying: int, seen: int) -> list[int]:
        """A surface at a wandering volatility, or the way to it that the rate limit allows."""
        rng = self.random
        level = self.volatility[underlying] + rng.choice([0, 0, 0, 0, 1, -1, 3, 30])
        level = max(20, min(level, 200))
        expiries = [expiry for expiry in self.expiries(underlying) if expiry > seen]
        words = [pack(slice_of(expiry, seen, level)) for expiry in expiries]
        if words and rng.random() < 0.5:
            with suppress(Rejected):
                words = list(approach(self.bench.stored(underlying), words))
        return self.spoilt(words, seen)

    def spoilt(self, words: list[int], seen: int) -> list[int]:
        """Mostly the same; else one word or its place is wrong, or only further away."""
        rng = self.random
        slices = [unpack(word) for word in words]
        if slices and rng.random() < 0.3:
            place = rng.randrange(len(slices))
            s = slices[place]
            slices[place] = rng.choice(
                [
                    replace(s, psi=s.psi * 11 // 10),
                    replace(s, psi=s.theta * 500 % 2**60),
                    replace(s, theta=s.theta * 9 // 10),
                    replace(s, theta=s.theta * 2),
                    replace(s, rho=s.rho + rng.randrange(-RHO_ONE // 3, RHO_ONE // 3)),
                    replace(s, timestamp=seen - 1),
                    replace(s, expiry=slices[place - 1].expiry),
                ]
            )
        words = [pack(s) for s in slices]
        if words and rng.random() < 0.03:
            words[-1] |= 1 << rng.randrange(236, 256)
        if len(words) > 1 and rng.random() < 0.03:
            words[-1], words[-2] = words[-2], words[-1]
        return words

    def signers(self) -> list[int]:
        """A quorum or more; rarely too few, repeated or out of order."""
        bench, count = self.bench, len(self.bench.keys)
        drawn = self.random.randrange(bench.quorum, count + 1)
        chosen = sorted(self.random.sample(range(count), drawn))
        draw = self.random.random()
        if draw < 0.03:
            return chosen[: bench.quorum - 1]
        if draw < 0.05:
            return [chosen[0], *chosen]
        return chosen[::-1] if draw < 0.07 else chosen

    def signed(self) -> SignedSurfaces:
        """A surface with a plausible, late, early or repeated number and time."""
        rng, bench = self.random, self.bench
        underlying = rng.choice([BTC, BTC, BTC, ETH])
        self.rounds[underlying] += rng.choice([1, 1, 1, 1, 1, 1, 1, 4, 0, -1])
        seen = bench.chain.timestamp - rng.choice([0] * 12 + [1, 30, 30, 60, 61, -1])
        words = self.words(underlying, seen)
        number = max(self.rounds[underlying], 0)
        target = rng.choice([2, 16]) if rng.random() < 0.02 else underlying
        made = bench.signed_surface(number, words, seen, self.signers(), target)
        if rng.random() < 0.03:
            wrong = [(index, (r, s ^ 1)) for index, (r, s) in made.signatures]
            made = replace(made, signatures=tuple(wrong))
        return made

    def step(self) -> str:
        """One surface on both sides; everything visible must agree."""
        bench = self.bench
        bench.advance(self.random.choice([1, 7, 20, 60, 60, 60, 60, 600, 2_000, 9_000]))
        made = self.signed()
        got = bench.surface_outcome(made)
        assert got == bench.surface_outcome_in_model(made)
        if got in ("accepted", "ignored"):
            self.compare_events(made)
        self.compare_words()
        return got

    def compare_events(self, made: SignedSurfaces) -> None:
        """Same names and arguments; the digest is the contract's alone."""
        bench = self.bench
        (event,) = bench.chain.events()
        arguments = dict(event.arguments)
        digest = arguments.pop("digest", None)
        assert digest in (None, made.digest(bench.surfaces_domain))
        assert [(event.name, arguments)] == bench.world.take_events()

    def compare_words(self) -> None:
        """Status, slots, every word and every view, bit for bit."""
        view, world = self.bench.surfaces.view, self.bench.world
        for underlying in (BTC, ETH):
            status = model.status_of(world, underlying)
            assert view("status_of", underlying) == status.pack()
            assert view("generation", underlying) == status.generation
            newest = model.newest(world, underlying)
            assert self.bench.stored(underlying) == list(newest)
            for slot in range(16):
                stored = model.surface_word(world, underlying, slot)
                assert view("surface", underlying, slot) == stored
            for word in newest:
                expiry = unpack(word).expiry
                slot = model.slot_of(world, underlying, expiry)
                assert view("slot_of", underlying, expiry) == slot


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_random_surfaces_leave_the_same_words(seed: int) -> None:
    walk = Walk(seed)
    seen: dict[str, int] = {}
    for _ in range(STEPS_PER_SEED):
        outcome = walk.step()
        seen[outcome] = seen.get(outcome, 0) + 1
    assert seen["accepted"] >= 100, seen
    assert set(seen) == OUTCOMES_WANTED, seen


def outcome(call: Callable[[], object]) -> str:
    """``done`` or the name of the rejection."""
    try:
        call()
    except Rejected as rejection:
        return rejection.error.name
    return "done"


@pytest.mark.parametrize(
    ("caller", "underlying", "expected"),
    [(GOVERNOR, 15, "done"), (GOVERNOR, 16, "OutOfBounds"), (STRANGER, 3, "NotAuthorized")],
)
def test_registering_agrees(caller: str, underlying: int, expected: str) -> None:
    bench = SurfacesBench()
    call = bench.surfaces.call
    assert outcome(lambda: call("register_underlying", underlying, sender=caller)) == expected
    in_model = outcome(lambda: model.register_underlying(bench.world, caller, underlying))
    assert in_model == expected
    for number in range(17):
        registered = bench.surfaces.view("is_registered", number)
        assert registered == bench.world.surfaces.registered[number]
