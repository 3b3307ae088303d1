"""The seeded bridge: one bar becomes a path inside it.

Owns: the rule stated in docs/concepts/prices.md. A path starts at the open, ends at the close,
touches high and low at grid points strictly inside the bar (unless open or close already is that
extreme) and never leaves [low, high]. It is a pure function of (seed, venue, symbol, bar): draws
are BLAKE2b hashes, arithmetic is integer, so every machine gets the same path. Between the anchors
the path is a straight line plus a residual that vanishes at the anchors: of a seeded random walk,
or of a guide series when one is given. Rounding: divisions floor; a rounding error cannot leave
[low, high] since the result is clamped to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from itertools import pairwise
from math import isqrt

from novate.lab.bars import Bar
from novate.units import clamp

STEPS_MIN = 3
_WALK_STEP = 1_000
_WALK_SHARE = 2_400


def draw(*words: object) -> int:
    """A 64-bit integer that depends on nothing but the words."""
    text = "|".join(str(word) for word in words)
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "big")


def step_for(bar_s: int, step_s: int) -> int:
    """The longest step <= ``step_s`` that divides the bar and leaves at least four intervals (one
    second at the least).
    """
    step = max(1, min(step_s, bar_s // 4))
    while bar_s % step:  # ends at 1 at the latest
        step -= 1
    return step


def bridge(
    bar: Bar,
    step_s: int,
    seed: int,
    venue: str,
    symbol: str,
    guide: Sequence[int] | None = None,
) -> tuple[int, ...]:
    """Prices at ``bar.ts + k * step_s`` for k = 0 .. n, n = bar_s / step_s >= 3; ``guide`` gives a
    shape at the same instants.
    """
    steps = bar.bar_s // step_s
    assert bar.bar_s % step_s == 0 and steps >= STEPS_MIN
    assert guide is None or len(guide) == steps + 1
    key = (seed, venue, symbol, bar.ts)
    anchors = _anchors(bar, steps, key, guide)
    shape = _walk(steps, key) if guide is None else guide
    if guide is None:
        unit = _WALK_SHARE * max(1, isqrt(steps))
    else:
        unit = max(1, max(guide) - min(guide))
    path = [0] * (steps + 1)
    places = sorted(anchors)
    for left, right in pairwise(places):
        width = right - left
        for k in range(left, right + 1):
            line = anchors[left] + (anchors[right] - anchors[left]) * (k - left) // width
            chord = shape[left] + (shape[right] - shape[left]) * (k - left) // width
            value = line + (shape[k] - chord) * (bar.high - bar.low) // unit
            path[k] = clamp(value, bar.low, bar.high)
        path[left], path[right] = anchors[left], anchors[right]
    return tuple(path)


def _anchors(
    bar: Bar, steps: int, key: tuple[object, ...], guide: Sequence[int] | None
) -> dict[int, int]:
    """Grid place -> price: both ends, and the extremes neither end already is."""
    anchors = {0: bar.open, steps: bar.close}
    low_at, high_at = _extreme_places(steps, key, guide)
    if min(bar.open, bar.close) > bar.low:
        anchors[low_at] = bar.low
    if max(bar.open, bar.close) < bar.high:
        anchors[high_at] = bar.high
    return anchors


def _extreme_places(
    steps: int, key: tuple[object, ...], guide: Sequence[int] | None
) -> tuple[int, int]:
    """Two places inside (0, steps): where the guide is lowest and highest, else seeded."""
    if guide is not None:
        inside = range(1, steps)
        low_at = min(inside, key=lambda k: guide[k])
        high_at = max(inside, key=lambda k: guide[k])
        if low_at != high_at:
            return low_at, high_at
    low_at = 1 + draw(*key, "low") % (steps - 1)
    high_at = 1 + draw(*key, "high") % (steps - 2)
    return low_at, high_at + (high_at >= low_at)


def _walk(steps: int, key: tuple[object, ...]) -> list[int]:
    """A random walk of ``steps`` uniform increments in [-1000, 1000]."""
    walk = [0]
    for k in range(1, steps + 1):
        walk.append(walk[-1] + draw(*key, k) % (2 * _WALK_STEP + 1) - _WALK_STEP)
    return walk
