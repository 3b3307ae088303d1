"""What margin reads of options, in any state of prices, surfaces, prints and listing: there is
always an answer, an array built at once is the one that a refresh stores, and sums of open
interest are those of the single instruments."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from novate.model import arrays, option_series, options
from novate.model.arrays import Info
from novate.model.option_id import future_id, strike_of
from novate.model.option_lanes import (
    EXPIRED,
    LIVE,
    LIVE_OLD_SURFACE,
    NEUTRAL,
    PRINTED,
    Head,
    lane_words,
    words_of,
)
from novate.model.option_listing import ids_of
from novate.model.option_series import ROOM_MAX, Interest
from novate.model.oracle import Feed
from novate.model.state import World
from tests.property.test_options import (
    FEED,
    GOVERNOR,
    SLOT,
    UNDERLYING,
    list_strikes,
    percents,
    see,
    terms,
    world_of,
)

HOUSE = "0x" + "02" * 20
FUTURE = future_id(UNDERLYING, SLOT)
lots = st.lists(st.integers(0, 2**40), min_size=11, max_size=11)


def instruments(world: World) -> list[int]:
    """All of the slot: options first, the future last."""
    count = len(world.options.listed[UNDERLYING, SLOT].strikes)
    return [*ids_of(UNDERLYING, SLOT, count), FUTURE]


def lanes(world: World, ids: list[int]) -> list[tuple[int, ...]]:
    """The lanes of up to sixteen ids."""
    words = [0] * 4
    for place, id in enumerate(ids):
        words[place // 4] |= (id << 44 | 1) << 64 * (place % 4)
    return [*lane_words(world, words)[0][: len(ids)]]


@given(
    *terms,
    percents,
    st.sampled_from(["fresh", "drifted", "old surface", "no surface", "no price"]),
    st.sampled_from(["before", "at", "after"]),
    st.booleans(),
    st.integers(50, 200),
    st.booleans(),
)
@settings(max_examples=120, deadline=None)
def test_there_is_an_answer_in_every_state(
    forward: int,
    days: int,
    volatility: int,
    psr: int,
    strikes: list[int],
    state: str,
    time: str,
    printed: bool,
    moved: int,
    refreshed: bool,
) -> None:
    world = world_of(forward, days, volatility, psr)
    list_strikes(world, forward, strikes)
    expiry = world.options.listed[UNDERLYING, SLOT].expiry
    if refreshed:
        options.refresh(world, UNDERLYING, SLOT)
    at = forward * moved // 100 if state == "drifted" else forward
    if state == "old surface":
        world.now += 61
    world.oracle.feeds[FEED] = Feed(at, at, at, 0, world.now)
    if state == "no surface":
        # another surface, in which the expiry's slot has none
        see(world, at, expiry, volatility)
        world.surfaces.words[UNDERLYING, SLOT] = 0
    if state == "no price":
        world.oracle.feeds[FEED] = Feed()
    if printed:
        world.surfaces.prints[UNDERLYING, expiry] = at
    if time != "before":
        world.now = expiry + (time == "after")
    unknown = [0, 17, FUTURE | 1, ids_of(UNDERLYING, SLOT, 32)[-1], future_id(0, 0)]
    found = lanes(world, unknown)
    assert found == [(0, 0, 0)] * 5
    expected = LIVE_OLD_SURFACE if state == "old surface" else LIVE
    if time != "before":
        expected = PRINTED if printed else EXPIRED
    gone = state == "no price" and expected != PRINTED
    for id in instruments(world):
        [(array, info, head)] = lanes(world, [id])
        none = gone or (id != FUTURE and state == "no surface" and expected <= LIVE_OLD_SURFACE)
        assert (head == 0) == none
        phase = Interest.unpack(option_series.interest(world, id)).phase
        assert phase == (3 if time != "before" else 0 if none else phase)
        if none:
            assert array == info == 0
            continue
        wanted = LIVE if id == FUTURE and expected == LIVE_OLD_SURFACE else expected
        assert Head.unpack(head).state == wanted
        assert Head.unpack(head).forward == at
        if id != FUTURE:
            check(world, id, array, Info.unpack(info), expected)


def check(world: World, id: int, array: int, info: Info, state: int) -> None:
    """The words of an option: intrinsic once expired, those of a refresh while it lives."""
    strike = world.options.listed[UNDERLYING, SLOT].strikes[id >> 6 & 31]
    gain = strike - info.forward if id & 1 else info.forward - strike
    assert info.mark >= gain - 1
    if state in (EXPIRED, PRINTED):
        assert info.mark == max(gain, 0)
    if state == PRINTED:
        assert array == NEUTRAL and info.delta == 0
    if state == LIVE:
        options.refresh(world, UNDERLYING, SLOT)
        assert words_of(world, id)[0] == world.options.arrays[strike_of(id)]
        if options.usable(world, id) and info.timestamp == world.now:
            assert array == world.options.arrays[strike_of(id)]
            assert info == options.info_of(world, id)


@given(*terms, percents, lots, lots, st.integers(80, 125))
@settings(max_examples=60, deadline=None)
def test_a_refresh_leaves_exact_sums(
    forward: int,
    days: int,
    volatility: int,
    psr: int,
    strikes: list[int],
    opened: list[int],
    left: list[int],
    moved: int,
) -> None:
    """Opened before the first refresh and closed in part after it, in any order."""
    world = world_of(forward, days, volatility, psr)
    world.addresses["clearinghouse"] = HOUSE
    list_strikes(world, forward, strikes)
    ids = instruments(world)
    for id, held in zip(ids, opened, strict=False):
        option_series.move_interest(world, HOUSE, id, held)
    options.refresh(world, UNDERLYING, SLOT)
    changes = [end - held for held, end in zip(opened, left, strict=True)]
    for id, change in zip(ids, changes, strict=False):
        option_series.move_interest(world, HOUSE, id, change)
    exact(world, ids, left)
    see(world, forward * moved // 100, world.options.listed[UNDERLYING, SLOT].expiry, volatility)
    options.refresh(world, UNDERLYING, SLOT)
    exact(world, ids, left)
    for id in ids[:-1]:
        head = Head.unpack(words_of(world, id)[2])
        assert head.interest == world.options.series[UNDERLYING, SLOT].delta >> 20


def exact(world: World, ids: list[int], held: list[int]) -> None:
    """The series is the sum over its instruments."""
    rows = world.options
    assert [rows.interests[id] for id in ids] == held[: len(ids)]
    amounts = [options.amounts_of(world, id) for id in ids[:-1]]
    sums = [sum(lots * each[i] for lots, each in zip(held, amounts, strict=False)) for i in (0, 1)]
    found = world.options.series[UNDERLYING, SLOT]
    assert found.open == sum(held[: len(ids)]) < 2**52
    assert [found.delta, found.vega] == sums and max(sums) < 2**70


@given(*terms, percents, st.integers(0, 10**5), st.integers(0, 10**5), st.integers(0, 2**30))
@settings(max_examples=60, deadline=None)
def test_room_keeps_the_limits_to_the_lot(
    forward: int,
    days: int,
    volatility: int,
    psr: int,
    strikes: list[int],
    vega_limit: int,
    gamma_limit: int,
    held: int,
) -> None:
    """Filling the room leaves less than one lot of it, whatever is open already."""
    world = world_of(forward, days, volatility, psr)
    world.addresses["clearinghouse"] = HOUSE
    if not list_strikes(world, forward, strikes):
        return
    options.refresh(world, UNDERLYING, SLOT)
    option_series.set_exposure_limits(world, GOVERNOR, UNDERLYING, vega_limit, gamma_limit)
    first, other = instruments(world)[0], instruments(world)[1]
    option_series.move_interest(world, HOUSE, other, held)
    room = Interest.unpack(option_series.interest(world, first)).room
    vega = option_series.amounts(world, first)[1]
    if not (vega_limit or gamma_limit) or not vega:
        assert room == ROOM_MAX
        return
    if 0 < room < ROOM_MAX - held:
        option_series.move_interest(world, HOUSE, first, room)
        assert Interest.unpack(option_series.interest(world, first)).room == 0
    total = world.options.series[UNDERLYING, SLOT].vega
    if vega_limit and room:
        wei = total * forward * 10**8 * 10**16 // (10**18 * 2**20)
        assert wei <= vega_limit * 10**21
    assert Interest.unpack(option_series.interest(world, FUTURE)).room == ROOM_MAX


def test_neutral_is_sixteen_times_nothing() -> None:
    assert arrays.unpack(NEUTRAL) == [0] * 16
