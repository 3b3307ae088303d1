"""Streams of commands for the matching benchmark.

Owns: what each made workload is. A seeded generator knows the orders it sent, not what became of
them, so that some cancels find their order filled, as at a real venue. ``recorded.py`` makes the
recorded one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from novate.model.book_terms import Capacity, Kind, Options, TimeInForce

Rows = npt.NDArray[np.int64]
Reals = npt.NDArray[np.float64]
KIND, ORDER, OWNER, ACCOUNT, LOTS, PRICE, OPTIONS = range(7)
COLUMNS = 10
OWNERS = 1_000
MIDDLE = 130_000
IMMEDIATE = Options(time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL).packed


@dataclass(frozen=True, slots=True)
class Flow:
    """Commands of one market: ``seed`` fills the book first, ``timed`` is what is measured."""

    name: str
    text: str
    capacity: Capacity
    seed: Rows
    timed: Rows


@dataclass(frozen=True, slots=True)
class Mix:
    """One workload's commands, each an array over the commands.

    ``chances``: of a limit order, and of a limit order or a cancel; the rest takes. ``middles``:
    the price around which orders come. ``depths``: how far from it a limit order is, in ticks.
    ``falls``: the chance that a taker sells.
    """

    chances: tuple[Reals, Reals]
    middles: Rows
    depths: Rows
    takes: Rows
    falls: Reals
    recent: float


def _power_law(random: np.random.Generator, count: int, exponent: float, most: int) -> Rows:
    """Whole numbers of at least 1 with P(x >= n) = n^-exponent, cut at ``most``."""
    drawn = np.floor((1 - random.random(count)) ** (-1 / exponent))
    return np.minimum(drawn, most).astype(np.int64)


def _generate(mix: Mix, random: np.random.Generator, first: int, live: list[int]) -> Rows:
    """The commands of a mix; ``live`` are the identities that cancels may pick, owner = id."""
    count = len(mix.middles)
    rows = np.zeros((count, COLUMNS), np.int64)
    draw = random.random(count)
    limits, cancels = draw < mix.chances[0], (draw >= mix.chances[0]) & (draw < mix.chances[1])
    sides = np.where(random.random(count) < 0.5, 1, -1)
    taker_sides = np.where(random.random(count) < mix.falls, -1, 1)
    sizes = random.integers(1, 101, count)
    rows[:, KIND] = np.where(cancels, Kind.CANCEL, Kind.PLACE)
    rows[:, LOTS] = np.where(limits, sides * sizes, taker_sides * mix.takes)
    rows[:, PRICE] = mix.middles + np.where(limits, -sides * mix.depths, taker_sides * 20)
    rows[:, OPTIONS] = np.where(limits, 0, IMMEDIATE)
    rows[:, ORDER] = np.arange(first, first + count)
    picks, near = random.random(count), random.random(count) < mix.recent
    for number in range(count):
        if limits[number]:
            live.append(first + number)
        elif cancels[number] and live:
            reach = min(len(live), 2_000) if near[number] else len(live)
            chosen = len(live) - 1 - int(picks[number] * reach)
            rows[number, ORDER] = live[chosen]
            live[chosen] = live[-1]
            live.pop()
    rows[cancels, LOTS : OPTIONS + 1] = 0
    rows[:, OWNER] = rows[:, ORDER] % OWNERS
    rows[:, ACCOUNT] = rows[:, OWNER]
    return rows


def _seed(random: np.random.Generator, count: int, reach: int) -> tuple[Rows, list[int]]:
    """Limit orders spread evenly over ``reach`` ticks on both sides of the middle."""
    rows = np.zeros((count, COLUMNS), np.int64)
    sides = np.where(np.arange(count) % 2 == 0, 1, -1)
    rows[:, KIND], rows[:, ORDER] = Kind.PLACE, np.arange(1, count + 1)
    rows[:, OWNER] = rows[:, ACCOUNT] = rows[:, ORDER] % OWNERS
    rows[:, LOTS] = sides * random.integers(1, 101, count)
    rows[:, PRICE] = MIDDLE - sides * random.integers(1, reach + 1, count)
    return rows, rows[:, ORDER].tolist()


def _fixed(count: int, value: float) -> Reals:
    return np.full(count, value)


def steady(count: int) -> Flow:
    """An ordinary day: near orders come and go, the price wanders."""
    random = np.random.default_rng(1)
    steps = np.where(random.random(count) < 0.025, random.choice((-1, 1), count), 0)
    mix = Mix(
        chances=(_fixed(count, 0.50), _fixed(count, 0.95)),
        middles=MIDDLE + np.cumsum(steps),
        depths=_power_law(random, count, 0.8, 2_000),
        takes=_power_law(random, count, 1.5, 125) * 40,
        falls=_fixed(count, 0.5),
        recent=0.8,
    )
    seed, live = _seed(random, 10_000, 1_000)
    text = "50 % limit, 45 % cancel, 5 % immediate; near the middle, which wanders"
    return Flow("steady", text, Capacity(), seed, _generate(mix, random, len(seed) + 1, live))


def deep(count: int) -> Flow:
    """A book of 100,000 orders on 16,000 levels, touched at random: the worst for caches."""
    random = np.random.default_rng(2)
    mix = Mix(
        chances=(_fixed(count, 0.49), _fixed(count, 0.98)),
        middles=np.full(count, MIDDLE),
        depths=random.integers(1, 8_001, count),
        takes=_power_law(random, count, 1.5, 50) * 20,
        falls=_fixed(count, 0.5),
        recent=0.0,
    )
    seed, live = _seed(random, 100_000, 8_000)
    text = "100,000 orders on 16,000 levels; limit and cancel anywhere, 2 % immediate"
    return Flow("deep", text, Capacity(), seed, _generate(mix, random, len(seed) + 1, live))


def swing(count: int) -> Flow:
    """The middle swings by 3,000 ticks every 20,000 commands and sweeps what it meets."""
    random = np.random.default_rng(3)
    waves = np.sin(np.arange(count) * (2 * np.pi / 20_000))
    mix = Mix(
        chances=(_fixed(count, 0.52), _fixed(count, 0.90)),
        middles=MIDDLE + (3_000 * waves).astype(np.int64),
        depths=_power_law(random, count, 0.8, 2_000),
        takes=_power_law(random, count, 1.2, 100) * 100,
        falls=_fixed(count, 0.5),
        recent=0.8,
    )
    seed, live = _seed(random, 20_000, 4_000)
    text = "the middle swings by 3,000 ticks; 10 % immediate, of any size"
    return Flow("swing", text, Capacity(), seed, _generate(mix, random, len(seed) + 1, live))


def flash_crash(count: int) -> Flow:
    """Calm, a fall of 40,000 ticks in a fifth of the commands while bids are pulled, a recovery."""
    random = np.random.default_rng(4)
    at = np.linspace(0, 1, count, endpoint=False)
    falling = (at >= 0.4) & (at < 0.6)
    path = np.interp(at, (0, 0.4, 0.6, 0.9, 1), (0, 0, -40_000, -10_000, -10_000))
    mix = Mix(
        chances=(np.where(falling, 0.30, 0.52), np.where(falling, 0.75, 0.94)),
        middles=MIDDLE + path.astype(np.int64),
        depths=_power_law(random, count, 0.5, 8_000),
        takes=_power_law(random, count, 1.1, 200) * 200,
        falls=np.where(falling, 0.9, 0.5),
        recent=0.8,
    )
    seed, live = _seed(random, 60_000, 45_000)
    text = "a fall of 40,000 ticks: 25 % immediate, nine of ten sell, and 45 % cancel; a recovery"
    return Flow("flash_crash", text, Capacity(), seed, _generate(mix, random, len(seed) + 1, live))


MADE: tuple[Callable[[int], Flow], ...] = (steady, deep, swing, flash_crash)
