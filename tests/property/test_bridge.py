"""The bridge: a bar becomes a path that starts at open, ends at close, touches high and low inside,
and never leaves them.
"""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from novate.lab.bars import BAR_SECONDS_MAX, PRICE_MAX, Bar
from novate.lab.bridge import STEPS_MIN, bridge, step_for

STEP = 60
SEEDS = st.integers(0, 2**64)
KNOWN_PATH = (1_000_000, 999_494, 999_436, 999_100, 1_000_132, 1_000_900, 1_000_300)


@st.composite
def shapes(draw: st.DrawFn) -> tuple[Bar, int]:
    """A bar of 3 to 90 steps and its number of steps; prices from one unit to the widest."""
    steps = draw(st.integers(STEPS_MIN, 90))
    low = draw(st.integers(1, PRICE_MAX))
    high = draw(
        st.integers(low, min(PRICE_MAX, low + draw(st.sampled_from([0, 1, 5, 10**12, PRICE_MAX]))))
    )
    opening, close = draw(st.integers(low, high)), draw(st.integers(low, high))
    return Bar(draw(st.integers(1, 2**31)), steps * STEP, opening, high, low, close), steps


@given(shapes(), SEEDS)
def test_path_keeps_the_bar(shape: tuple[Bar, int], seed: int) -> None:
    bar, steps = shape
    path = bridge(bar, STEP, seed, "venue", "BTCUSD")
    assert len(path) == steps + 1
    assert (path[0], path[-1]) == (bar.open, bar.close)
    assert (min(path), max(path)) == (bar.low, bar.high)


@given(shapes(), SEEDS, st.data())
def test_guided_path_keeps_the_bar_and_the_guide_s_extremes(
    shape: tuple[Bar, int], seed: int, data: st.DataObject
) -> None:
    bar, steps = shape
    prices = st.integers(1, PRICE_MAX)
    guide = data.draw(st.lists(prices, min_size=steps + 1, max_size=steps + 1))
    path = bridge(bar, STEP, seed, "venue", "BTCUSD", guide=guide)
    assert (path[0], path[-1]) == (bar.open, bar.close)
    assert (min(path), max(path)) == (bar.low, bar.high)
    inside = guide[1:-1]
    if min(inside) < max(inside):
        if bar.low < min(bar.open, bar.close):
            assert path[1 + inside.index(min(inside))] == bar.low
        if bar.high > max(bar.open, bar.close):
            assert path[1 + inside.index(max(inside))] == bar.high


@given(shapes(), SEEDS)
def test_path_is_a_function_of_seed_venue_symbol_and_bar(shape: tuple[Bar, int], seed: int) -> None:
    bar, _ = shape
    assert bridge(bar, STEP, seed, "venue", "BTCUSD") == bridge(bar, STEP, seed, "venue", "BTCUSD")


def test_another_seed_venue_symbol_or_time_is_another_path() -> None:
    bar = Bar(1_760_130_900, 900, 10**15, 2 * 10**15, 10**14, 10**15)
    later = Bar(1_760_131_800, 900, 10**15, 2 * 10**15, 10**14, 10**15)
    paths = {
        bridge(bar, 10, 1, "venue", "BTCUSD"),
        bridge(bar, 10, 2, "venue", "BTCUSD"),
        bridge(bar, 10, 1, "other", "BTCUSD"),
        bridge(bar, 10, 1, "venue", "ETHUSD"),
        bridge(later, 10, 1, "venue", "BTCUSD"),
    }
    assert len(paths) == 5


def test_a_known_path_on_every_machine() -> None:
    bar = Bar(1_760_131_200, 60, 1_000_000, 1_000_900, 999_100, 1_000_300)
    assert bridge(bar, 10, 7, "venue", "BTCUSD") == KNOWN_PATH


@given(st.integers(1, BAR_SECONDS_MAX), st.integers(1, 3_600))
def test_the_step_divides_the_bar_and_leaves_room_for_both_extremes(
    bar_s: int, step_s: int
) -> None:
    step = step_for(bar_s, step_s)
    assert 1 <= step <= step_s and bar_s % step == 0
    assert bar_s // step >= min(bar_s, 4)
