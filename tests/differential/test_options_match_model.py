"""Options by contract and model: the same ids, outcomes, events and words, bit for bit, over random
listing, refreshing, trading, moving prices, surfaces, prints and scan ranges, and the turn of
expiries. What margin reads is never refused."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novate.chain.harness import Chain
from novate.errors import Rejected
from novate.model import options
from novate.model.option_id import (
    OptionId,
    future_id,
    is_dated,
    is_future,
    is_option,
    place_of,
    terms_key,
)
from novate.model.option_lanes import Head
from novate.model.option_listing import ids_of
from novate.model.option_series import Interest
from novate.units import DAY_S
from tests.support.options import BTC, GOVERNOR, GRID, RISK, USD, OptionsBench

CONTRACTS = Path(__file__).parents[1] / "contracts"
SLOTS = 3
STEPS = 200
IDS_SAMPLED = 8


def test_ids_say_the_same_on_chain() -> None:
    library = Chain().deploy("OptionIds", root=CONTRACTS)
    draw = random.Random(1)
    for _ in range(300):
        made = OptionId(draw.randrange(16), draw.randrange(16), draw.randrange(32), False)
        assert library.view("call_id", *made[:3]) == made.pack()
    listed = 0
    for _ in range(600):
        id = draw.choice(
            (draw.randrange(2**20), made.pack() | draw.choice((0, 1, 2, 32, 33)), 1 << 20)
        )
        assert library.view("kinds", id) == (is_dated(id), is_option(id), is_future(id))
        if is_dated(id):
            underlying, slot = place_of(id)
            assert library.view("places", id) == (underlying * 16 + slot, terms_key(id))
            assert library.view("future_id", underlying, slot) == future_id(underlying, slot)
        found = library.view("fields", id)
        assert found[0] == is_option(id)
        if found[0]:
            listed += 1
            assert tuple(found[1:]) == OptionId.unpack(id)
            assert OptionId.unpack(id).pack() == id < 2**20
    assert 20 < listed < 600


class Run:
    """One random history; ``both`` of the bench holds contract and model equal at each step."""

    def __init__(self, seed: int) -> None:
        self.draw, self.sums_draw = random.Random(seed), random.Random(seed)
        self.bench = OptionsBench(1, 2, 3)
        self.forward = 60_000 * USD
        self.done: dict[str, int] = {}

    def attempt(self, function: str, *arguments: Any) -> None:
        """Run on both; count what came of it."""
        try:
            self.bench.both(function, *arguments)
            outcome = function
        except Rejected as rejection:
            outcome = f"{function}: {rejection.error.name}"
        self.done[outcome] = self.done.get(outcome, 0) + 1

    def move(self) -> None:
        """Time, prices and perhaps surfaces and parameters move on."""
        draw, bench = self.draw, self.bench
        bench.advance(draw.choice((0, 3, 3, 40, 40, 70, DAY_S // 2)))
        self.forward = int(self.forward * draw.choice((1, 1.001, 0.97, 1.05, 0.93)))
        if draw.random() < 0.8:
            bench.set_price(GRID.feed, self.forward)
            bench.set_price(7, int(self.forward * 1.004))
        for slot, expiry in enumerate(bench.expiries):
            if expiry <= bench.world.now:
                self.end(slot, expiry)
            elif draw.random() < 0.6:
                bench.set_surface(slot, draw.randint(20, 150))
        set_at = bench.world.risk.parameters[BTC].psr_set_at
        if bench.world.now - set_at >= DAY_S:
            last = bench.world.risk.parameters[BTC].psr_target
            bench.set_risk(replace(RISK, psr_target=last * draw.choice((99, 100, 105)) // 100))

    def end(self, slot: int, expiry: int) -> None:
        """An expiry is over: it waits, is printed, or is settled and gives way to another."""
        draw, bench = self.draw, self.bench
        if draw.random() < 0.2:
            return
        if draw.random() < 0.5:
            bench.set_settlement(expiry, int(self.forward * draw.choice((0.9, 1, 1.2))))
            return
        held = bench.world.options.series[BTC, slot].open
        self.attempt("close_interest", BTC, slot, held)
        bench.expiries[slot] += SLOTS * DAY_S
        bench.set_surface(slot, draw.randint(20, 150))

    def trade(self) -> None:
        """Open interest of some instruments rises or falls, listed or not."""
        draw, world = self.draw, self.bench.world
        for id in sorted({self.instrument() for _ in range(draw.randint(1, 4))}):
            held = world.options.interests[id]
            # what is settled stays there until the slot is taken over
            left = world.options.series[place_of(id)].open
            self.attempt("move_interest", id, draw.randint(-min(held, left), 10**6))

    def instrument(self) -> int:
        """An id that may be listed, seldom one that says nothing."""
        draw = self.draw
        slot = draw.randrange(SLOTS + 1)
        count = len(self.bench.world.options.listed[BTC, slot].strikes)
        if count and draw.random() < 0.8:
            return OptionId(BTC, slot, draw.randrange(count), draw.random() < 0.5).pack()
        if draw.random() < 0.4:
            return future_id(BTC, slot) | draw.choice((0, 0, 0, 1, 64))
        return OptionId(BTC, slot, draw.randrange(4), draw.random() < 0.5).pack()

    def act(self) -> None:
        """One operation by anyone, good or bad; or a forward by governance."""
        draw, bench = self.draw, self.bench
        slot = draw.randrange(SLOTS + 1)
        kind = draw.random()
        if kind < 0.2:
            off = draw.choice((0, 0, 0, 1, DAY_S))
            self.attempt("list_expiry", BTC, bench.expiries[slot % SLOTS] + off)
        elif kind < 0.5:
            near = int(self.forward * 2.718 ** draw.gauss(0, 0.7)) // GRID.step * GRID.step
            self.attempt("list_strike", BTC, slot, near + draw.choice((0, 0, 0, 1)))
        elif kind < 0.75:
            self.attempt("refresh", BTC, slot)
        elif kind < 0.9:
            self.trade()
        elif kind < 0.95:
            limits = (draw.choice((0, 1, 10**4)) for _ in range(2))
            self.attempt("set_exposure_limits", BTC, *limits)
        else:
            entry = draw.choice((0, 8, 9))
            bench.both("set_forward_feed", BTC, slot, entry, sender=GOVERNOR)

    def sum_up(self) -> None:
        """Sums of a random account are the model's: options of all states, in any order, among
        them what is of no or of another underlying.
        """
        draw = self.sums_draw
        every = [id for slot in range(SLOTS + 1) for id in ids_of(BTC, slot, 8)]
        every += [future_id(BTC, slot) for slot in range(SLOTS + 1)]
        others = [0, 1, 17, 2047, future_id(BTC, 0) | 1, future_id(1, 0), every[0] | 4]
        ids = sorted(draw.sample(every, draw.randint(0, 40))) + draw.sample(others, 3)
        if draw.random() < 0.5:
            draw.shuffle(ids)
        words = [0] * -(-len(ids) // 4)  # division: whole words
        for place, id in enumerate(ids):
            lots = draw.choice((-1, 1)) * draw.choice((0, 1, draw.getrandbits(43)))
            words[place // 4] |= (id << 44 | 2**43 + lots) << 64 * (place % 4)  # division: four
        found = self.bench.sums(words)
        self.done["summed"] = self.done.get("summed", 0) + (found.totals.gross != 0)
        self.done["left"] = self.done.get("left", 0) + (found.left != 0)

    def compare(self) -> None:
        """Words, epochs, usability and Greeks of a sample are the model's."""
        bench, draw = self.bench, self.draw
        world = bench.world
        assert bench.options.view("epoch", BTC) == world.options.epochs[BTC]
        assert bench.options.view("generation", BTC) == options.generation(world, BTC)
        bench.both("epoch_now", BTC)
        for slot in range(SLOTS + 1):
            assert bench.options.view("series", BTC, slot) == world.options.series[BTC, slot].pack()
            self.attempt("settlement", BTC, slot)
        asked = [self.instrument() for _ in range(draw.randint(1, 16))]
        for array, info, head in bench.lanes(*asked):
            state = Head.unpack(head).state
            assert (head == 0) <= (array == info == 0)
            self.done[f"state {state}"] = self.done.get(f"state {state}", 0) + 1
        self.sum_up()
        for id in asked[:4]:
            found = Interest.unpack(bench.both("interest", id))
            self.done[f"phase {found.phase}"] = self.done.get(f"phase {found.phase}", 0) + 1
            self.done["quoted"] = self.done.get("quoted", 0) + (found.forward != 0)
            self.done["limited"] = self.done.get("limited", 0) + (0 < found.room < 2**44 - 1)
        every = [id for slot in range(SLOTS) for id in ids_of(BTC, slot, 8)]
        for id in draw.sample(every, IDS_SAMPLED):
            bench.stored(id)
            self.done["usable"] = self.done.get("usable", 0) + bench.usable(id)
            try:
                expected = options.greeks(world, id)
            except Rejected as rejection:
                assert bench.refusal("greeks", id) == rejection.error.name
            else:
                names = ("price", "delta", "gamma", "vega", "theta")
                found = tuple(bench.options.view("greeks", id))
                assert found == tuple(getattr(expected, name) for name in names)
                self.done["greeks"] = self.done.get("greeks", 0) + 1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_random_history_is_the_same_on_chain(seed: int) -> None:
    run = Run(seed)
    for _ in range(STEPS):
        run.move()
        for _ in range(run.draw.randrange(5)):
            run.act()
        run.compare()
    for outcome in ("list_expiry", "list_strike", "refresh", "usable", "greeks", "summed", "left"):
        assert run.done.get(outcome, 0) >= 5, run.done
    for outcome in (
        *("refresh: StalePrice", "refresh: StaleSurface", "refresh: UnknownInstrument"),
        *("move_interest", "move_interest: UnknownInstrument", "close_interest", "settlement"),
        *("settlement: MissingPrint", "settlement: ExpiryNotReached"),
        *(f"state {state}" for state in range(5)),
        *("phase 0", "phase 2", "phase 3", "limited", "quoted"),
    ):
        assert run.done.get(outcome, 0) >= 1, run.done
