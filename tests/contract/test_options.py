"""Options: grids, listing, refreshing and reading arrays, each rejection by name; every operation
runs on contract and model, with the same outcome and events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from novate.errors import Rejected
from novate.model import arrays, option_listing, options
from novate.model.arrays import Info
from novate.model.option_id import OptionId
from novate.model.option_series import Interest
from novate.model.options import Epoch
from novate.units import DAY_S, ORACLE_UNIT
from tests.support.options import (
    BTC,
    CONTRACTS,
    ETH,
    FORWARD,
    GOVERNOR,
    GRID,
    RISK,
    STRANGER,
    USD,
    OptionsBench,
)
from tests.support.surfaces import SurfacesBench

SLOTS_AND_MORE = 16
MINUTE_S = 60


@pytest.fixture
def bench() -> OptionsBench:
    return OptionsBench(1, 30)


@contextmanager
def refused(name: str) -> Iterator[None]:
    """The block is rejected with exactly this name (contract and model alike)."""
    with pytest.raises(Rejected) as found:
        yield
    assert found.value.error.name == name


def event(bench: OptionsBench) -> tuple[str, dict[str, int]]:
    """The last event."""
    last = bench.world.events[-1]
    return last.name, last.arguments


# Grids


def test_governance_commits_to_a_grid(bench: OptionsBench) -> None:
    finer = replace(GRID, step=USD, enabled=False)
    bench.both("set_grid", BTC, finer.pack())
    assert event(bench) == ("GridSet", {"underlying": BTC, "word": finer.pack()})
    assert bench.options.view("grid", BTC) == finer.pack()


def test_nobody_else_sets_a_grid_or_a_forward(bench: OptionsBench) -> None:
    with refused("NotAuthorized"):
        bench.both("set_grid", BTC, GRID.pack(), sender=STRANGER)
    with refused("NotAuthorized"):
        bench.both("set_forward_feed", BTC, 0, 1, sender=STRANGER)


@pytest.mark.parametrize(
    "changed",
    [
        {"step": 0},
        {"tenor_max": DAY_S - 1},
        {"tenor_max": 3 * 365 * DAY_S + 1},
        {"period": 3_599, "offset": 0},
        {"period": 28 * DAY_S + 1},
        {"offset": GRID.period},
        {"lot_exponent": 9},
        {"lot_exponent": 20},
    ],
)
def test_a_grid_stays_within_its_bounds(bench: OptionsBench, changed: dict[str, int]) -> None:
    word = replace(GRID, **changed).pack()  # type: ignore[arg-type]
    with refused("OutOfBounds"):
        bench.both("set_grid", ETH, word)


def test_a_grid_has_no_bits_of_other_meaning_and_an_underlying_below_sixteen(
    bench: OptionsBench,
) -> None:
    with refused("OutOfBounds"):
        bench.both("set_grid", ETH, GRID.pack() | 1 << 153)
    with refused("OutOfBounds"):
        bench.both("set_grid", 16, GRID.pack())


def test_the_ends_of_a_grids_bounds_are_allowed(bench: OptionsBench) -> None:
    widest = replace(GRID, step=2**56 - 1, tenor_max=3 * 365 * DAY_S, period=28 * DAY_S)
    bench.both("set_grid", ETH, replace(widest, offset=28 * DAY_S - 1, lot_exponent=19).pack())
    narrow = replace(GRID, step=1, tenor_max=DAY_S, period=3_600, offset=0, lot_exponent=10)
    bench.both("set_grid", 15, narrow.pack())


def test_the_lot_of_an_underlying_is_for_good(bench: OptionsBench) -> None:
    with refused("BadTerms"):
        bench.both("set_grid", BTC, replace(GRID, lot_exponent=17).pack())


def test_a_slot_takes_its_forward_from_a_feed_of_its_own(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    assert bench.options.view("forward_feed", BTC, 0) == GRID.feed
    bench.both("set_forward_feed", BTC, 0, 8)
    assert event(bench) == ("ForwardFeedSet", {"underlying": BTC, "slot": 0, "entry": 8})
    assert bench.options.view("forward_feed", BTC, 0) == 7
    assert bench.options.view("forward_feed", BTC, 1) == GRID.feed
    bench.set_price(7, FORWARD * 101 // 100)
    bench.both("refresh", BTC, 0)
    assert Info.unpack(bench.stored(call)[1]).forward == FORWARD * 101 // 100
    bench.both("set_forward_feed", BTC, 0, 0)
    assert bench.options.view("forward_feed", BTC, 0) == GRID.feed


@pytest.mark.parametrize("place", [(16, 0, 1), (0, 16, 1), (0, 0, 257)])
def test_a_forward_feed_is_within_bounds(bench: OptionsBench, place: tuple[int, int, int]) -> None:
    with refused("OutOfBounds"):
        bench.both("set_forward_feed", *place)


def test_an_expiry_says_when_it_is_and_whose_mark_is_its_forward(bench: OptionsBench) -> None:
    assert bench.options.view("expiry_of", BTC, 0) == (0, FORWARD)
    bench.list(60_000)
    bench.both("set_forward_feed", BTC, 0, 10)
    bench.set_price(9, FORWARD + 1)
    for _ in range(2):  # also once it is over
        found = bench.options.view("expiry_of", BTC, 0)
        assert found == (bench.expiries[0], FORWARD + 1)
        assert found == option_listing.expiry_of(bench.world, BTC, 0)
        bench.advance(bench.expiries[0] - bench.world.now)
    for place in ((16, 0), (0, 16)):
        with refused("UnknownInstrument"):
            bench.options.view("expiry_of", *place)
        with refused("UnknownInstrument"):
            option_listing.expiry_of(bench.world, *place)


def test_a_forward_feed_goes_with_its_expiry(bench: OptionsBench) -> None:
    """The price of a future that is over must not become the forward of the next expiry."""
    bench.both("set_forward_feed", BTC, 0, 8)
    bench.list()
    assert bench.options.view("forward_feed", BTC, 0) == 7, "set ahead of the first listing"
    bench.advance(bench.expiries[0] - bench.world.now + 1)
    bench.expiries[0] += DAY_S
    bench.set_surface(0)
    bench.list()
    cleared = bench.world.events[-2]
    assert (cleared.name, cleared.arguments["entry"]) == ("ForwardFeedSet", 0)
    assert bench.options.view("forward_feed", BTC, 0) == GRID.feed


# Expiries


def test_anyone_lists_an_expiry_of_the_surface_in_its_slot(bench: OptionsBench) -> None:
    assert bench.both("list_expiry", BTC, bench.expiries[1]) == 1
    listed = {"underlying": BTC, "slot": 1, "expiry": bench.expiries[1]}
    assert event(bench) == ("ExpiryListed", listed)
    assert bench.options.view("listed", BTC, 1) == (bench.expiries[1], ())


@pytest.mark.parametrize("underlying", [ETH, SLOTS_AND_MORE])
def test_nothing_is_listed_without_a_grid(bench: OptionsBench, underlying: int) -> None:
    with refused("ListingClosed"):
        bench.both("list_expiry", underlying, bench.expiries[0])
    with refused("ListingClosed"):
        bench.both("list_strike", underlying, 0, FORWARD)


def test_nothing_is_listed_on_a_closed_grid_and_what_is_listed_goes_on(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.both("set_grid", BTC, replace(GRID, enabled=False).pack())
    with refused("ListingClosed"):
        bench.both("list_expiry", BTC, bench.expiries[1])
    with refused("ListingClosed"):
        bench.both("list_strike", BTC, 0, 61_000 * USD)
    assert bench.both("refresh", BTC, 0) == 3


def test_an_expiry_lies_on_the_grid_ahead_and_within_the_tenor(bench: OptionsBench) -> None:
    first = bench.expiries[0]
    for expiry in (first + 1, first - DAY_S // 2, 0, first + 401 * DAY_S, 2**256 - 1):
        with refused("ExpiryOffGrid"):
            bench.both("list_expiry", BTC, expiry)
    with refused("MissingExpiry"):
        bench.both("list_expiry", BTC, first + DAY_S)
    bench.advance(first - bench.world.now)
    with refused("ExpiryOffGrid"):
        bench.both("list_expiry", BTC, first)


def test_the_longest_tenor_is_allowed(bench: OptionsBench) -> None:
    last = bench.expiries[0]
    bench.advance(last - bench.world.now)
    last += 400 * DAY_S
    bench.set_surface(5, expiry=last)
    assert bench.both("list_expiry", BTC, last) == 5


def test_an_expiry_is_listed_once(bench: OptionsBench) -> None:
    bench.list()
    with refused("AlreadyListed"):
        bench.both("list_expiry", BTC, bench.expiries[0])


def test_a_slot_is_not_taken_from_options_that_live(bench: OptionsBench) -> None:
    """Nor in their very second, until which an order on them may be signed."""
    bench.list(60_000)
    later = bench.expiries[0] + DAY_S
    bench.set_surface(0, expiry=later)
    bench.advance(bench.expiries[0] - bench.world.now - 1)
    for _ in range(2):
        with refused("SlotInUse"):
            bench.both("list_expiry", BTC, later)
        bench.advance(1)
    assert bench.both("list_expiry", BTC, later) == 0


@pytest.mark.parametrize("which", [0, 1, 2, 3])
def test_ids_are_not_reused_while_one_is_open(bench: OptionsBench, which: int) -> None:
    ids = bench.list(60_000, 61_000)
    bench.both("refresh", BTC, 0)
    bench.set_open_interest(ids[which], 1)
    bench.advance(bench.expiries[0] - bench.world.now + 1)
    later = bench.expiries[0] + DAY_S
    bench.set_surface(0, expiry=later)
    with refused("SlotInUse"):
        bench.both("list_expiry", BTC, later)
    bench.set_open_interest(ids[which], 0)
    assert bench.both("list_expiry", BTC, later) == 0


def test_an_expired_slot_is_taken_over_empty(bench: OptionsBench) -> None:
    """Not even an array of the last second serves the next options with the same ids."""
    ids = bench.list(60_000, 61_000, 62_000, 63_000, 64_000)
    bench.advance(bench.expiries[0] - bench.world.now - 1)
    bench.set_price(GRID.feed, FORWARD)
    bench.set_surface(0)
    bench.both("refresh", BTC, 0)
    assert all(bench.usable(id) for id in ids)
    bench.advance(2)
    assert not any(bench.usable(id) for id in ids)
    bench.expiries[0] += DAY_S
    bench.set_surface(0)
    assert bench.list(59_000)[0] == ids[0]
    assert bench.options.view("listed", BTC, 0) == (bench.expiries[0], (59_000 * USD,))
    assert all(bench.stored(id)[1] == 0 for id in ids)
    assert not any(bench.usable(id) for id in ids)
    with refused("UnknownInstrument"):
        bench.both("greeks", ids[2])
    usd = [57_000, 58_000, 58_500, 59_500, 60_000]
    for strike in usd:
        bench.both("list_strike", BTC, 0, strike * USD)
    listed = bench.options.view("listed", BTC, 0)[1]
    assert listed == tuple(strike * USD for strike in (59_000, *usd))


# Strikes


def test_anyone_lists_a_strike_as_call_and_put(bench: OptionsBench) -> None:
    bench.both("list_expiry", BTC, bench.expiries[0])
    call = bench.both("list_strike", BTC, 0, 60_000 * USD)
    assert call == OptionId(BTC, 0, 0, False).pack()
    listed = {"underlying": BTC, "slot": 0, "id": call, "strike": 60_000 * USD}
    assert event(bench) == ("StrikeListed", listed)
    for id in (call, call | 1):
        assert bench.options.view("terms", id) == (bench.expiries[0], 60_000 * USD)


def test_strikes_keep_the_order_of_their_listing(bench: OptionsBench) -> None:
    usd = [60_000, 12_000, 300_000, 59_500, 60_500, 61_000, 40_000, 90_000, 100_000]
    ids = bench.list(*usd)
    assert ids[::2] == [OptionId(BTC, 0, i, False).pack() for i in range(len(usd))]
    strikes = tuple(strike * USD for strike in usd)
    assert bench.options.view("listed", BTC, 0) == (bench.expiries[0], strikes)
    assert tuple(bench.options.view("terms", id)[1] for id in ids[::2]) == strikes


@pytest.mark.parametrize("place", [(BTC, 1), (BTC, SLOTS_AND_MORE)])
def test_a_strike_needs_a_listed_expiry(bench: OptionsBench, place: tuple[int, int]) -> None:
    with refused("UnknownInstrument"):
        bench.both("list_strike", *place, FORWARD)


def test_no_strike_is_listed_on_an_expiry_that_is_over(bench: OptionsBench) -> None:
    bench.list()
    bench.advance(bench.expiries[0] - bench.world.now)
    with refused("UnknownInstrument"):
        bench.both("list_strike", BTC, 0, FORWARD)


def test_a_strike_lies_on_the_step_and_near_the_forward(bench: OptionsBench) -> None:
    bench.list()
    for strike in (60_001 * USD, FORWARD + 1):
        with refused("StrikeOffGrid"):
            bench.both("list_strike", BTC, 0, strike)
    for strike in (0, 11_500 * USD, 300_500 * USD, 2**64 * GRID.step, 2**200 * GRID.step):
        with refused("StrikeOutOfRange"):
            bench.both("list_strike", BTC, 0, strike)
    for strike in (12_000 * USD, 300_000 * USD):
        bench.both("list_strike", BTC, 0, strike)


def test_a_strike_fits_the_price_field(bench: OptionsBench) -> None:
    """A strike that the builder refuses would stop the refreshing of its whole expiry."""
    bench.both("set_grid", BTC, replace(GRID, step=2**55).pack())
    bench.set_price(GRID.feed, 2**55)
    bench.list()
    with refused("StrikeOutOfRange"):
        bench.both("list_strike", BTC, 0, 2**56)
    bench.both("list_strike", BTC, 0, 2**55)
    assert bench.both("refresh", BTC, 0) == 3


def test_a_strike_is_listed_once(bench: OptionsBench) -> None:
    bench.list(60_000, 61_000, 62_000, 63_000, 64_000)
    for usd in (60_000, 64_000):
        with refused("AlreadyListed"):
            bench.both("list_strike", BTC, 0, usd * USD)


def test_an_expiry_has_thirty_two_strikes(bench: OptionsBench) -> None:
    bench.list(*range(45_000, 61_000, 500))
    with refused("TooManyItems"):
        bench.both("list_strike", BTC, 0, 61_000 * USD)
    assert bench.both("refresh", BTC, 0) == 96


def test_no_strike_is_listed_on_an_old_price(bench: OptionsBench) -> None:
    bench.list()
    bench.advance(MINUTE_S)
    bench.both("list_strike", BTC, 0, 60_000 * USD)
    bench.advance(1)
    with refused("StalePrice"):
        bench.both("list_strike", BTC, 0, 61_000 * USD)


# Refreshing


def test_anyone_refreshes_a_whole_expiry(bench: OptionsBench) -> None:
    ids = bench.list(50_000, 60_000, 70_000)
    assert bench.both("refresh", BTC, 0) == 9
    refreshed = {
        "underlying": BTC,
        "slot": 0,
        "generation": 3,
        "forward": FORWARD,
        "words": 9,
    }
    assert event(bench) == ("ArraysRefreshed", refreshed)
    assert all(bench.usable(id) for id in ids)
    assert bench.options.view("generation", BTC) == 3  # two slices set, one epoch
    assert not bench.usable(OptionId(BTC, 1, 0, False).pack())


def test_a_refresh_keeps_open_interest(bench: OptionsBench) -> None:
    call, put = bench.list(60_000)
    bench.both("refresh", BTC, 0)
    bench.set_open_interest(call, 2**44 - 1)
    bench.set_open_interest(put, 7)
    bench.set_price(GRID.feed, FORWARD + USD)
    bench.both("refresh", BTC, 0)
    for id, lots in ((call, 2**44 - 1), (put, 7)):
        found = Interest.unpack(bench.both("interest", id)).open_interest
        assert (found, Info.unpack(bench.stored(id)[1]).forward) == (lots, FORWARD + USD)
        assert bench.usable(id)


def test_the_first_refresh_starts_an_epoch(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.both("refresh", BTC, 0)
    started = bench.world.events[-2]
    epoch = Epoch.unpack(bench.options.view("epoch", BTC))
    assert (started.name, started.arguments) == (
        "EpochStarted",
        {"underlying": BTC, "word": epoch.pack()},
    )
    quantum = arrays.quantum_of(150_000, FORWARD)
    assert epoch == Epoch(quantum, FORWARD, 150_000, bench.world.now, 1)


@pytest.mark.parametrize("percent", [90, 110])
def test_an_epoch_lasts_until_the_forward_leaves_a_tenth(bench: OptionsBench, percent: int) -> None:
    call, _ = bench.list(60_000)
    bench.both("refresh", BTC, 0)
    first = bench.options.view("epoch", BTC)
    at = FORWARD * percent // 100
    bench.set_price(GRID.feed, at)
    bench.both("refresh", BTC, 0)
    assert bench.options.view("epoch", BTC) == first
    assert bench.usable(call)
    bench.set_price(GRID.feed, at + (1 if percent > 100 else -1))
    bench.both("refresh", BTC, 0)
    assert Epoch.unpack(bench.options.view("epoch", BTC)).count == 2


def test_a_new_epoch_makes_every_array_of_the_underlying_stale(bench: OptionsBench) -> None:
    [near, _] = bench.list(60_000)
    [far, _] = bench.list(60_000, day=1)
    bench.both("set_forward_feed", BTC, 1, 5)
    bench.set_price(4, FORWARD)
    for slot in (0, 1):
        bench.both("refresh", BTC, slot)
    assert bench.usable(near) and bench.usable(far)
    bench.set_price(GRID.feed, FORWARD * 112 // 100)
    bench.both("refresh", BTC, 0)
    assert bench.usable(near) and not bench.usable(far)
    bench.both("refresh", BTC, 1)
    assert bench.usable(near) and bench.usable(far)


def test_forwards_apart_share_one_epoch(bench: OptionsBench) -> None:
    """Else refreshing two expiries in turn would end each other's epochs for ever."""
    near, far = bench.list(60_000)[0], bench.list(60_000, day=1)[0]
    bench.both("set_forward_feed", BTC, 1, 5)
    bench.set_price(4, FORWARD * 13 // 10)
    for slot in (0, 1, 0, 1):
        bench.both("refresh", BTC, slot)
    assert Epoch.unpack(bench.options.view("epoch", BTC)).count == 1
    assert bench.usable(near) and bench.usable(far)


@pytest.mark.parametrize("target", [150_001, 165_000, 147_000, 149_999])
def test_a_change_of_the_scan_range_starts_an_epoch_and_the_end_of_its_ramp_if_it_fell(
    bench: OptionsBench, target: int
) -> None:
    """Arrays stand at the larger end of a ramp: never below what either margin needs."""
    bench.list(60_000, day=1)

    def epoch() -> Epoch:
        bench.set_price(GRID.feed, FORWARD)
        bench.set_surface(1)
        bench.both("refresh", BTC, 1)
        return Epoch.unpack(bench.options.view("epoch", BTC))

    assert epoch().psr == 150_000
    bench.advance(DAY_S)
    bench.set_risk(replace(RISK, psr_target=target))
    larger = max(target, 150_000)
    for _ in range(3):
        found = epoch()
        assert found.psr == larger >= bench.world.risk.parameters[BTC].psr_now(bench.world.now)
        assert found.count == (2 if target > 150_000 else 1)
        bench.advance(DAY_S // 3 - 1)
    bench.advance(3)
    assert (epoch().psr, epoch().count) == (target, 2)


def test_without_parameters_arrays_span_the_widest_scan_range(bench: OptionsBench) -> None:
    bench.set_surface(0, underlying=ETH)
    bench.both("set_grid", ETH, GRID.pack())
    bench.both("list_expiry", ETH, bench.expiries[0])
    bench.both("list_strike", ETH, 0, FORWARD)
    assert bench.both("refresh", ETH, 0) == 3
    assert Epoch.unpack(bench.options.view("epoch", ETH)).psr == 900_000


@pytest.mark.parametrize("place", [(BTC, 1), (BTC, SLOTS_AND_MORE), (SLOTS_AND_MORE, 0), (ETH, 0)])
def test_only_a_listed_expiry_is_refreshed(bench: OptionsBench, place: tuple[int, int]) -> None:
    with refused("UnknownInstrument"):
        bench.both("refresh", *place)


def test_an_expired_expiry_is_not_refreshed(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.advance(bench.expiries[0] - bench.world.now)
    bench.set_price(GRID.feed, FORWARD)
    with refused("UnknownInstrument"):
        bench.both("refresh", BTC, 0)


def test_an_old_price_is_refused(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.advance(MINUTE_S)
    bench.both("refresh", BTC, 0)
    bench.advance(1)
    bench.set_surface(0)
    with refused("StalePrice"):
        bench.both("refresh", BTC, 0)


def test_an_old_reference_is_refused(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.both("set_forward_feed", BTC, 0, 8)
    bench.advance(MINUTE_S + 1)
    bench.set_surface(0)
    bench.set_price(7, FORWARD)
    with refused("StalePrice"):
        bench.both("refresh", BTC, 0)


def test_an_old_surface_or_one_of_another_expiry_is_refused(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    bench.advance(MINUTE_S + 1)
    bench.set_price(GRID.feed, FORWARD)
    for function, argument in (("refresh", (BTC, 0)), ("greeks", (call,))):
        with refused("StaleSurface"):
            bench.both(function, *argument)
    bench.set_surface(0, expiry=bench.expiries[0] + DAY_S)
    for function, argument in (("refresh", (BTC, 0)), ("greeks", (call,))):
        with refused("StaleSurface"):
            bench.both(function, *argument)


# Reading


def test_an_array_is_usable_for_a_minute(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    assert not bench.usable(call)
    bench.both("refresh", BTC, 0)
    bench.advance(MINUTE_S)
    assert bench.usable(call)
    bench.advance(1)
    assert not bench.usable(call)


@pytest.mark.parametrize("sign", [1, -1])
def test_an_array_is_usable_within_25_basis_points(bench: OptionsBench, sign: int) -> None:
    [call, _] = bench.list(60_000)
    bench.both("refresh", BTC, 0)
    bench.set_price(GRID.feed, FORWARD + sign * FORWARD // 400)
    assert bench.usable(call)
    bench.set_price(GRID.feed, FORWARD + sign * (FORWARD // 400 + 1))
    assert not bench.usable(call)


def test_an_array_is_usable_while_its_surface_stands(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    bench.both("refresh", BTC, 0)
    bench.set_surface(1)
    assert not bench.usable(call)


def test_what_is_no_options_id_is_not_usable_and_has_no_words(bench: OptionsBench) -> None:
    call, _ = bench.list(60_000)
    bench.both("refresh", BTC, 0)
    beyond = (call & (2**19 - 1), call | 2**20, 2**256 - 1)
    for id in (0, 1, call | 2, call | 3, call | 4, call | 32, *beyond):
        assert not bench.usable(id)
        with refused("UnknownInstrument"):
            bench.both("greeks", id)
        assert bench.refusal("terms", id) == "UnknownInstrument"
        assert bench.refusal("words", [call, id]) == "UnknownInstrument"


def test_words_of_sixteen_options_come_in_one_call(bench: OptionsBench) -> None:
    ids = bench.list(*range(55_000, 59_000, 500))
    bench.both("refresh", BTC, 0)
    found = [tuple(pair) for pair in bench.options.view("words", ids[::-1])]
    assert found == options.words(bench.world, ids[::-1])
    assert len(found) == 16 and all(info for _, info, _ in found)


def test_what_was_never_refreshed_has_empty_words(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    assert bench.stored(call) == (0, 0)


def test_views_of_no_place_are_refused(bench: OptionsBench) -> None:
    for place in ((16, 0), (0, 16)):
        assert bench.refusal("listed", *place) == "UnknownInstrument"
        assert bench.refusal("forward_feed", *place) == "UnknownInstrument"
    assert bench.refusal("terms", OptionId(BTC, 0, 0, False).pack()) == "UnknownInstrument"


def test_greeks_are_those_of_now(bench: OptionsBench) -> None:
    call, put = bench.list(66_000)
    bench.both("refresh", BTC, 0)
    bench.advance(30)
    bench.set_price(GRID.feed, FORWARD * 102 // 100)
    found = {id: bench.options.view("greeks", id) for id in (call, put)}
    for id, greeks in found.items():
        expected = options.greeks(bench.world, id)
        names = ("price", "delta", "gamma", "vega", "theta")
        assert tuple(greeks) == tuple(getattr(expected, name) for name in names)
    parity = (FORWARD * 102 // 100 - 66_000 * USD) * ORACLE_UNIT
    assert found[call][0] - found[put][0] == parity


def test_greeks_need_an_option_that_lives_and_a_price(bench: OptionsBench) -> None:
    [call, _] = bench.list(60_000)
    with refused("UnknownInstrument"):
        bench.both("greeks", call | 1 << 6)
    bench.advance(MINUTE_S + 1)
    with refused("StalePrice"):
        bench.both("greeks", call)
    bench.advance(bench.expiries[0] - bench.world.now)
    with refused("UnknownInstrument"):
        bench.both("greeks", call)


def test_governance_is_the_constructors(bench: OptionsBench) -> None:
    other = bench.chain.deploy("Options", STRANGER, *[GOVERNOR] * 4)
    other.call("set_grid", BTC, GRID.pack(), sender=STRANGER)
    assert other.view("grid", BTC) == GRID.pack()


def test_options_work_on_signed_prices_and_surfaces() -> None:
    """With the Oracle and Surfaces of the venue: the next surface makes the arrays stale."""
    venue = SurfacesBench()
    ledger = venue.chain.deploy("SettableLedger", root=CONTRACTS)
    ledger.call("set_parameters", BTC, RISK.pack())
    builder = venue.chain.deploy("ArrayBuilder")
    peers = (venue.contract, venue.surfaces, ledger, builder)
    found = venue.chain.deploy("Options", GOVERNOR, *(peer.address for peer in peers))
    grid = replace(GRID, period=3_600, offset=venue.start % 3_600)
    found.call("set_grid", BTC, grid.pack(), sender=GOVERNOR)

    def see(number: int) -> None:
        assert venue.price(number, GRID.feed, FORWARD)
        assert venue.post_surface(venue.signed_surface(number, venue.words(1, 7)))

    see(1)
    slot = found.call("list_expiry", BTC, venue.expiries(7)[0], sender=STRANGER)
    assert slot == venue.surfaces.view("slot_of", BTC, venue.expiries(7)[0]) == 1
    call = found.call("list_strike", BTC, slot, FORWARD, sender=STRANGER)
    assert found.call("refresh", BTC, slot, sender=STRANGER) == 3
    assert found.view("usable", call) and found.view("usable", call | 1)
    venue.advance(2)
    see(2)
    assert not found.view("usable", call)
    assert found.call("refresh", BTC, slot, sender=STRANGER) == 3
    assert found.view("usable", call)
    assert Info.unpack(found.view("words", [call])[0][1]).generation == 3
