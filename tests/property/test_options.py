"""Stored words of options, whatever was listed and however prices moved: they are those of the risk
array of each option, at one quantum and one scan range for the whole underlying."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from novate.errors import Rejected
from novate.model import arrays, option_listing, options, pricing, surface
from novate.model.arrays import Info
from novate.model.margin import RiskParameters
from novate.model.option_listing import Grid, ids_of
from novate.model.options import Epoch
from novate.model.oracle import Feed
from novate.model.state import World
from novate.model.surface import ONE, RHO_ONE, YEAR_S, Slice, pack
from novate.model.surfaces import SurfaceStatus
from novate.units import DAY_S, WAD

NOW = 1_760_000_000
GOVERNOR = "0x" + "01" * 20
FEED, UNDERLYING, SLOT = 3, 2, 4


def world_of(forward: int, days: int, percent: int, psr: int) -> World:
    """A world with an open grid, a surface of one expiry, and that expiry listed."""
    world = World(NOW, {"timelock": GOVERNOR})
    step = max(forward // 100, 1)
    grid = Grid(step, 3 * 365 * DAY_S, 3_600, 0, 16, FEED, True)
    option_listing.set_grid(world, GOVERNOR, UNDERLYING, grid.pack())
    world.risk.parameters[UNDERLYING] = RiskParameters(psr_from=psr, psr_target=psr)
    expiry = (NOW // 3_600 + 24 * days) * 3_600
    see(world, forward, expiry, percent)
    assert option_listing.list_expiry(world, UNDERLYING, expiry) == SLOT
    return world


def see(world: World, forward: int, expiry: int, percent: int) -> None:
    """A price and a slice of now."""
    world.oracle.feeds[FEED] = Feed(forward, forward, forward, 0, world.now)
    theta = percent**2 * (expiry - world.now) * ONE // (10_000 * YEAR_S)
    psi = min(theta // 3, ONE * 3 // 2)
    word = pack(Slice(theta, psi, -RHO_ONE // 5, expiry, world.now))
    world.surfaces.words[UNDERLYING, SLOT] = word
    old = world.surfaces.statuses[UNDERLYING]
    world.surfaces.statuses[UNDERLYING] = SurfaceStatus(
        old.round + 1, world.now, (old.generation + 1) % 256, (SLOT,)
    )


def list_strikes(world: World, forward: int, percents: list[int]) -> tuple[int, ...]:
    """List strikes at these percents of the forward, where the grid allows it."""
    step = world.options.grids[UNDERLYING].step
    for percent in percents:
        try:
            at = forward * percent // 100 // step * step
            option_listing.list_strike(world, UNDERLYING, SLOT, at)
        except Rejected as rejection:
            assert rejection.error.name in ("AlreadyListed", "StrikeOutOfRange")
    return world.options.listed[UNDERLYING, SLOT].strikes


forwards = st.integers(10**6, 2**53)
terms = (forwards, st.integers(1, 1_000), st.integers(6, 400), st.integers(10_000, 900_000))
percents = st.lists(st.integers(20, 500), min_size=1, max_size=5)


@given(*terms, percents, st.integers(80, 125))
@settings(max_examples=60)
def test_stored_words_are_the_arrays_of_what_is_listed(
    forward: int, days: int, volatility: int, psr: int, strikes: list[int], moved: int
) -> None:
    """Twice, with a price that moved between: so within an epoch, or in the next one."""
    world = world_of(forward, days, volatility, psr)
    listed = list_strikes(world, forward, strikes)
    expiry = world.options.listed[UNDERLYING, SLOT].expiry
    for at in (forward, forward * moved // 100):
        world.now += 5
        see(world, at, expiry, volatility)
        assert options.refresh(world, UNDERLYING, SLOT) == 3 * len(listed)
        epoch = Epoch.unpack(world.options.epochs[UNDERLYING])
        assert epoch.psr == psr and arrays.same_epoch(at, epoch.reference)
        assert epoch.quantum == arrays.quantum_of(psr, epoch.reference)
        for id in ids_of(UNDERLYING, SLOT, len(listed)):
            check(world, id, at, epoch)


def check(world: World, id: int, forward: int, epoch: Epoch) -> None:
    """Both words are `arrays.build` of the option at the volatility of its strike: to one unit of
    wad volatility, so lanes and mark to that.
    """
    expiry, strike = option_listing.terms(world, id)
    seconds = expiry - world.now
    [(array, stored, beside)] = options.words(world, [id])
    word = world.surfaces.words[UNDERLYING, SLOT]
    [expected] = arrays.build_expiry(forward, seconds, word, epoch.psr, epoch.quantum, [strike])
    info = Info.unpack(stored)
    spread = options.spread(word, world.now)
    assert (array, beside) == (expected.array, expected.vega << 88 | spread << 112)
    assert replace(info, generation=0) == Info.unpack(expected.info)
    assert info.timestamp == world.now and info.forward == forward
    assert options.usable(world, id)
    variance = surface.total_variance(word, pricing.log_ratio(strike, forward))
    sigma = pricing.sqrt(variance * YEAR_S * WAD // seconds >> 96)
    alone = arrays.build(forward, strike, sigma, seconds, epoch.psr, epoch.quantum)
    lanes = zip(arrays.unpack(array), arrays.unpack(alone.array), strict=True)
    assert all(abs(a - b) <= 1 for a, b in lanes)
    assert abs(info.mark - Info.unpack(alone.info).mark) <= 1 + forward // 10**8


@given(*terms, percents, st.integers(0, 200), st.integers(-60, 60), st.booleans())
@settings(max_examples=80)
def test_an_array_is_usable_exactly_while_it_is_fresh(
    forward: int,
    days: int,
    volatility: int,
    psr: int,
    strikes: list[int],
    seconds: int,
    drift_bp: int,
    new_surface: bool,
) -> None:
    world = world_of(forward, days, volatility, psr)
    listed = list_strikes(world, forward, strikes)
    if not listed:
        return
    expiry = world.options.listed[UNDERLYING, SLOT].expiry
    options.refresh(world, UNDERLYING, SLOT)
    world.now += seconds
    at = forward * (10_000 + drift_bp) // 10_000
    world.oracle.feeds[FEED] = Feed(at, at, at, 0, world.now)
    if new_surface:
        see(world, at, expiry, volatility)
    fresh = seconds <= 60 and abs(at - forward) * 400 <= forward and not new_surface
    for id in ids_of(UNDERLYING, SLOT, len(listed)):
        assert options.usable(world, id) == (fresh and world.now < expiry)
