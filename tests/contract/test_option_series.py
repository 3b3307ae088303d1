"""Options for margin and ledger: lane words in every state, open interest, exposure limits, phases
and settlement, each rejection by name; every operation runs on contract and model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from novate.chain.compile import compile_contract
from novate.errors import Rejected
from novate.limits import CONTRACT_SIZE_BYTES_MAX
from novate.model import arrays, options
from novate.model.arrays import Info
from novate.model.option_id import OptionId, future_id, is_dated, is_future, is_option, terms_key
from novate.model.option_lanes import EXPIRED, LIVE, LIVE_OLD_SURFACE, NEUTRAL, PRINTED, Head
from novate.model.option_listing import Series
from novate.model.option_series import OPEN, OVER, REDUCTIONS_ONLY, ROOM_MAX, Interest
from novate.model.options import Epoch
from novate.model.oracle import Feed
from novate.units import DAY_S
from tests.support.options import BTC, ETH, FORWARD, GRID, RISK, STRANGER, USD, OptionsBench

MINUTE_S = 60
FUTURE = future_id(BTC, 0)


@pytest.fixture
def bench() -> OptionsBench:
    return OptionsBench(1, 30)


@pytest.fixture
def listed(bench: OptionsBench) -> OptionsBench:
    """With four strikes of one day, refreshed."""
    bench.list(54_000, 60_000, 63_000, 66_000)
    bench.both("refresh", BTC, 0)
    return bench


CALL, PUT = (OptionId(BTC, 0, 1, is_put).pack() for is_put in (False, True))


@contextmanager
def refused(name: str) -> Iterator[None]:
    """The block is rejected with exactly this name (contract and model alike)."""
    with pytest.raises(Rejected) as found:
        yield
    assert found.value.error.name == name


def ids(bench: OptionsBench, slot: int = 0) -> list[int]:
    """Every instrument of a slot."""
    count = len(bench.world.options.listed[BTC, slot].strikes)
    made = [OptionId(BTC, slot, i, put).pack() for i in range(count) for put in (False, True)]
    return [*made, future_id(BTC, slot)]


def move(bench: OptionsBench, changes: dict[int, int]) -> None:
    """Open interest changes, one instrument after another."""
    for id, change in changes.items():
        bench.both("move_interest", id, change)


def interest(bench: OptionsBench, id: int) -> Interest:
    return Interest.unpack(bench.both("interest", id))


def series(bench: OptionsBench, slot: int = 0) -> Series:
    """The series word; the contract's is the model's."""
    found: Series = bench.world.options.series[BTC, slot]
    assert bench.options.view("series", BTC, slot) == found.pack()
    return found


def expire(bench: OptionsBench, slot: int = 0) -> None:
    bench.advance(bench.expiries[slot] - bench.world.now)


@pytest.mark.parametrize("name", ["Options", "RiskModel"])
def test_size_leaves_room_for_its_immutables(name: str) -> None:
    made = compile_contract(name)
    assert made.immutables_size_bytes == {"Options": 5, "RiskModel": 4}[name] * 32
    assert made.runtime_size_bytes + made.immutables_size_bytes <= CONTRACT_SIZE_BYTES_MAX


# Ids


def test_an_id_says_what_it_is() -> None:
    assert is_option(CALL) and is_option(PUT) and not is_option(FUTURE)
    assert is_future(FUTURE) and not is_future(CALL)
    assert all(is_dated(id) for id in (CALL, PUT, FUTURE))
    for id in (0, 1, 2, 2**19 - 1, FUTURE | 1, FUTURE | 64, CALL | 4, CALL | 32, CALL | 2**20):
        assert not is_dated(id)


def test_all_options_of_an_underlying_share_one_key_and_all_its_futures_another() -> None:
    made = {
        terms_key(OptionId(3, slot, i, put).pack())
        for slot in range(16)
        for i in (0, 31)
        for put in (False, True)
    }
    assert made == {2**19 | 3 << 15}
    assert {terms_key(future_id(3, slot)) for slot in range(16)} == {2**19 | 3 << 15 | 2}


# Lane words of what lives


def test_a_usable_array_comes_as_it_is_stored(listed: OptionsBench) -> None:
    move(listed, {CALL: 300, PUT: 100})
    call, put = listed.lanes(CALL, PUT)
    assert (call[:2], put[:2]) == (listed.stored(CALL), listed.stored(PUT))
    deltas = [abs(Info.unpack(listed.stored(id)[1]).delta) for id in (CALL, PUT)]
    total = (300 * (deltas[0] >> 10) + 100 * (deltas[1] >> 10)) >> 20
    assert call[2] == put[2] == Head(FORWARD, GRID.feed, 16, LIVE, total).pack()
    assert 100 < total < 300


@pytest.mark.parametrize("seconds", [0, MINUTE_S + 1])
def test_a_stale_array_is_built_as_a_refresh_would(listed: OptionsBench, seconds: int) -> None:
    """The same words to the bit, but stored they are only by a refresh."""
    listed.set_open_interest(CALL, 7)
    listed.advance(seconds)
    listed.set_price(GRID.feed, FORWARD * 103 // 100)
    listed.set_surface(0, 70)
    before = [listed.stored(id) for id in ids(listed)[:-1]]
    built = listed.lanes(*ids(listed))
    assert [listed.stored(id) for id in ids(listed)[:-1]] == before
    listed.both("refresh", BTC, 0)
    stored = listed.lanes(*ids(listed))
    assert [lane[:2] for lane in built] == [lane[:2] for lane in stored]
    assert interest(listed, CALL).open_interest == 7


def test_a_new_epoch_makes_every_array_one_of_it_before_anyone_refreshes(
    listed: OptionsBench,
) -> None:
    """Lanes of two quanta never meet: what is stored is not used once the epoch is over."""
    listed.both("set_forward_feed", BTC, 0, 8)
    listed.set_price(7, FORWARD)
    listed.both("refresh", BTC, 0)
    assert listed.usable(CALL)
    listed.set_price(GRID.feed, FORWARD * 112 // 100)
    assert not listed.usable(CALL)
    epoch = Epoch.unpack(listed.both("epoch_now", BTC))
    assert epoch.count == 2 and epoch.reference == FORWARD * 112 // 100
    assert listed.options.view("epoch", BTC) != epoch.pack()
    word = listed.world.surfaces.words[BTC, 0]
    left = listed.expiries[0] - listed.world.now
    [words] = arrays.build_expiry(FORWARD, left, word, epoch.psr, epoch.quantum, [60_000 * USD])
    assert listed.lanes(CALL)[0][0] == words.array
    listed.both("refresh", BTC, 0)
    assert listed.options.view("epoch", BTC) == epoch.pack()


def test_a_new_scan_range_makes_every_array_one_of_it(listed: OptionsBench) -> None:
    listed.advance(DAY_S // 2)
    listed.set_price(GRID.feed, FORWARD)
    listed.set_surface(0)
    listed.both("refresh", BTC, 0)
    listed.set_risk(replace(RISK, psr_target=160_000), ETH)
    assert listed.usable(CALL)
    first = listed.lanes(CALL)[0][0]
    listed.world.risk.parameters[BTC] = replace(
        listed.world.risk.parameters[BTC], psr_target=160_000
    )
    listed.ledger.call("set_parameters", BTC, listed.world.risk.parameters[BTC].pack())
    assert not listed.usable(CALL)
    assert listed.lanes(CALL)[0][0] != first


def test_an_old_surface_still_prices_and_says_that_it_is_old(listed: OptionsBench) -> None:
    listed.advance(MINUTE_S)
    assert Head.unpack(listed.lanes(CALL)[0][2]).state == LIVE
    listed.advance(1)
    listed.set_price(GRID.feed, FORWARD)
    call, future = listed.lanes(CALL, FUTURE)
    assert Head.unpack(call[2]).state == LIVE_OLD_SURFACE
    assert Info.unpack(call[1]).mark > 0 and Info.unpack(call[1]).timestamp == listed.world.now
    assert Head.unpack(future[2]).state == LIVE, "no surface prices it"


def test_an_old_price_still_prices(listed: OptionsBench) -> None:
    listed.advance(DAY_S // 4)
    call, future = listed.lanes(CALL, FUTURE)
    assert Head.unpack(call[2]).forward == Head.unpack(future[2]).forward == FORWARD
    assert Info.unpack(call[1]).mark > 0


def test_a_strike_never_refreshed_is_built(bench: OptionsBench) -> None:
    call, _ = bench.list(60_000)
    assert bench.stored(call) == (0, 0)
    built = bench.lanes(call)[0]
    bench.both("refresh", BTC, 0)
    assert bench.lanes(call)[0][0] == built[0]


def test_a_future_carries_nothing_but_its_own_interest(listed: OptionsBench) -> None:
    move(listed, {FUTURE: 11, CALL: 500})
    [found] = listed.lanes(FUTURE)
    assert found == (0, 0, Head(FORWARD, GRID.feed, 16, LIVE, 11).pack())


def test_what_is_stale_of_a_page_is_built_together_and_each_as_if_alone(
    bench: OptionsBench,
) -> None:
    """More strikes than one build has, calls beside puts, two expiries in turn, one id twice."""
    near = bench.list(*range(50_000, 55_500, 500))
    far = bench.list(60_000, 61_000, day=1)
    bench.set_open_interest(near[3], 7)
    ids = [*near[:2], far[1], near[2], far[1], far[2], *near[3:13:2], *near[14:21:2], near[3]]
    assert len(ids) == 16 and len({id >> 6 for id in ids if id in near}) > 8
    found = bench.lanes(*ids)
    assert found == [bench.lanes(id)[0] for id in ids]
    assert all(head for _, _, head in found)
    assert interest(bench, near[3]).open_interest == 7
    bench.both("refresh", BTC, 0)
    # interest is summed up anew
    assert [lane[:2] for lane in bench.lanes(*ids)] == [lane[:2] for lane in found]


def test_lanes_of_several_expiries_and_others_keep_their_places(bench: OptionsBench) -> None:
    near, far = bench.list(60_000, 61_000), bench.list(60_000, 62_000, day=1)
    for slot in (0, 1):
        bench.both("refresh", BTC, slot)
    mixed = [near[0], 17, far[1], near[3], 0, far[0], FUTURE, 2**19 - 1, near[2], far[3]]
    found = bench.lanes(*mixed)
    for id, lane in zip(mixed, found, strict=True):
        alone = bench.lanes(id)[0]
        assert lane == alone and any(lane) == is_dated(id)


def test_more_expiries_than_are_remembered_within_a_call() -> None:
    bench = OptionsBench(*range(1, 7))
    every = [bench.list(60_000, day=day)[0] for day in range(6)]
    for slot in range(0, 6, 2):
        bench.both("refresh", BTC, slot)
    found = bench.lanes(*every, *every)
    assert found[:6] == found[6:] == [bench.lanes(id)[0] for id in every]
    assert all(all(lane) or lane[2] for lane in found)


def test_nothing_unlisted_or_without_a_price_has_words(bench: OptionsBench) -> None:
    assert bench.lanes(CALL, FUTURE) == [(0, 0, 0)] * 2, "no expiry"
    bench.list(60_000)
    beyond = [OptionId(BTC, 0, 1, False).pack(), OptionId(ETH, 0, 0, False).pack()]
    wrong = [FUTURE | 1, FUTURE | 64, OptionId(BTC, 0, 0, False).pack() | 4]
    assert bench.lanes(*beyond, *wrong) == [(0, 0, 0)] * 5
    bench.both("set_forward_feed", BTC, 0, 9)
    assert bench.lanes(*ids(bench)) == [(0, 0, 0)] * 3, "a feed without a price"
    assert [interest(bench, id).phase for id in ids(bench)] == [0, 0, 0]


def test_without_a_surface_options_have_no_price_but_futures_do(listed: OptionsBench) -> None:
    listed.set_surface(0, expiry=listed.expiries[0] + DAY_S)
    call, future = listed.lanes(CALL, FUTURE)
    assert call == (0, 0, 0) and Head.unpack(future[2]).forward == FORWARD
    assert interest(listed, CALL).phase == 0 and interest(listed, FUTURE).phase == OPEN


def test_before_any_reference_price_there_is_no_epoch_and_no_option(bench: OptionsBench) -> None:
    bench.list(60_000)
    bench.both("set_forward_feed", BTC, 0, GRID.feed + 1)
    bench.both("set_grid", BTC, replace(GRID, feed=12).pack())
    assert bench.both("epoch_now", BTC) == 0
    call, _, future = bench.lanes(*ids(bench))
    assert call == (0, 0, 0) and Head.unpack(future[2]).forward == FORWARD


@pytest.mark.parametrize("state", [LIVE, EXPIRED])
def test_a_forward_that_its_reference_left_behind_has_no_array(
    listed: OptionsBench, state: int
) -> None:
    """At 64 references the lanes still fit; beyond, building might refuse, so it is not tried."""
    listed.both("set_forward_feed", BTC, 0, 8)
    if state == EXPIRED:
        expire(listed)
    for forward, priced in ((64 * FORWARD, True), (64 * FORWARD + 1, False)):
        row = Feed(forward, forward, forward, 0, listed.world.now)
        listed.oracle.call("set_feed", 7, row.pack())
        listed.world.oracle.feeds[7] = row
        call, future = listed.lanes(CALL, FUTURE)
        assert any(call) == priced and Head.unpack(future[2]).forward == forward


# Lane words of what is over


def test_what_has_expired_is_worth_its_intrinsic_value_at_the_mark_of_now(
    listed: OptionsBench,
) -> None:
    listed.set_open_interest(PUT, 5)
    expire(listed)
    listed.set_price(GRID.feed, 58_000 * USD)
    call, put, future = listed.lanes(CALL, PUT, FUTURE)
    assert [Head.unpack(lane[2]).state for lane in (call, put, future)] == [EXPIRED] * 3
    assert Head.unpack(future[2]).forward == 58_000 * USD
    found, none = Info.unpack(put[1]), Info.unpack(call[1])
    assert (found.mark, found.delta) == (2_000 * USD, -(2**30))
    assert (none.mark, none.delta) == (0, 0)
    assert call[0] == put[0]
    lanes = arrays.unpack(call[0])
    quantum = Epoch.unpack(listed.both("epoch_now", BTC)).quantum
    above = 58_000 * USD * 115 // 100 - 60_000 * USD
    assert lanes[0] == lanes[12] == 0 and abs(lanes[10] * quantum - above) <= quantum
    assert interest(listed, PUT) == Interest(5, 0, OVER)
    listed.set_price(GRID.feed, 61_000 * USD)
    assert Info.unpack(listed.lanes(CALL)[0][1]).mark == 1_000 * USD


def test_what_is_printed_stays_at_the_print(listed: OptionsBench) -> None:
    move(listed, {CALL: 5, FUTURE: 6})
    expire(listed)
    listed.set_settlement(listed.expiries[0], 62_500 * USD)
    for mark in (FORWARD, 70_000 * USD):
        listed.set_price(GRID.feed, mark)
        call, put, future = listed.lanes(CALL, PUT, FUTURE)
        head = Head.unpack(call[2])
        assert (head.forward, head.state) == (62_500 * USD, PRINTED)
        assert call[:2] == (NEUTRAL, Info(2_500 * USD, head.forward, 0).pack())
        assert put[:2] == (NEUTRAL, Info(0, head.forward, 0).pack())
        assert future[:2] == (0, 0)
        assert future[2] == replace(head, interest=6).pack()
    assert arrays.unpack(NEUTRAL) == [0] * 16


def test_a_print_ahead_of_the_expiry_counts_from_then_on(listed: OptionsBench) -> None:
    listed.set_settlement(listed.expiries[0], 62_500 * USD)
    listed.advance(listed.expiries[0] - listed.world.now - 1)
    assert Head.unpack(listed.lanes(CALL)[0][2]).state == LIVE_OLD_SURFACE
    listed.advance(1)
    assert Head.unpack(listed.lanes(CALL)[0][2]).state == PRINTED


def test_a_slot_taken_over_has_the_words_of_the_new_expiry(listed: OptionsBench) -> None:
    expire(listed)
    listed.set_settlement(listed.expiries[0], 62_500 * USD)
    listed.expiries[0] += DAY_S
    listed.advance(1)
    listed.set_price(GRID.feed, FORWARD)
    listed.set_surface(0)
    listed.list(60_000)
    first, second, future = listed.lanes(OptionId(BTC, 0, 0, False).pack(), CALL, FUTURE)
    assert Head.unpack(first[2]).state == Head.unpack(future[2]).state == LIVE
    assert second == (0, 0, 0)


def test_without_parameters_options_are_still_priced(bench: OptionsBench) -> None:
    bench.set_surface(0, underlying=ETH)
    bench.both("set_grid", ETH, GRID.pack())
    bench.both("list_expiry", ETH, bench.expiries[0])
    call = bench.both("list_strike", ETH, 0, FORWARD)
    assert Epoch.unpack(bench.both("epoch_now", ETH)).psr == 900_000
    assert Info.unpack(bench.lanes(call)[0][1]).mark > 0


# Open interest


def test_open_interest_adds_up_by_delta_and_vega(listed: OptionsBench) -> None:
    move(listed, {CALL: 10, PUT: 4, FUTURE: 100})
    call, put = (Info.unpack(listed.stored(id)[1]) for id in (CALL, PUT))
    vega = listed.vega(CALL)
    assert [interest(listed, id).open_interest for id in (CALL, PUT)] == [10, 4]
    found = series(listed)
    assert found.delta == 10 * (call.delta >> 10) + 4 * (-put.delta >> 10)
    assert found.vega == 14 * (vega >> 4) > 0
    assert found.open == 114
    move(listed, {CALL: -10, FUTURE: -99, PUT: 1})
    found = series(listed)
    assert (found.delta, found.vega, found.open) == (
        5 * (-put.delta >> 10),
        5 * (vega >> 4),
        6,
    )


def test_a_refresh_sums_up_anew(listed: OptionsBench) -> None:
    held = {id: 3 + place for place, id in enumerate(ids(listed))}
    move(listed, held)
    listed.set_price(GRID.feed, FORWARD * 104 // 100)
    listed.set_surface(0, 90)
    listed.both("refresh", BTC, 0)
    infos = {id: Info.unpack(listed.stored(id)[1]) for id in list(held)[:-1]}
    assert [interest(listed, id).open_interest for id in held] == list(held.values())
    assert series(listed) == (
        sum(held[id] * (abs(info.delta) >> 10) for id, info in infos.items()),
        sum(held[id] * (listed.vega(id) >> 4) for id in infos),
        sum(held.values()),
    )


def test_interest_of_a_strike_never_refreshed_counts_at_its_most(bench: OptionsBench) -> None:
    call, _ = bench.list(60_000)
    bench.set_open_interest(call, 100)
    most = series(bench)
    assert most.delta == 100 * 2**20
    bench.both("refresh", BTC, 0)
    exact = series(bench)
    assert exact.vega <= most.vega <= exact.vega * 101 // 100 + 100, "it lies at the money"
    assert exact.delta < most.delta
    bench.set_open_interest(call, 0)
    assert series(bench) == (0, 0, 0)


def test_closing_what_was_never_refreshed_leaves_no_delta(bench: OptionsBench) -> None:
    """And of its vega, which it had the most of when it was opened, no less than nothing."""
    call, _ = bench.list(90_000)
    bench.set_open_interest(call, 50)
    opened = series(bench)
    expire(bench)
    bench.set_open_interest(call, 0)
    assert series(bench) == (0, opened.vega - 50, 0)


def test_interest_moves_after_the_expiry_too(listed: OptionsBench) -> None:
    """A slice of an auction may close what has expired."""
    move(listed, {CALL: 10, FUTURE: 10})
    expire(listed)
    move(listed, {CALL: -4, FUTURE: -10})
    assert interest(listed, CALL) == Interest(6, 0, OVER)
    assert interest(listed, FUTURE) == Interest(0, 0, OVER)


def test_only_the_clearinghouse_moves_and_closes_interest(listed: OptionsBench) -> None:
    with refused("NotAuthorized"):
        listed.both("move_interest", CALL, 1, sender=STRANGER)
    with refused("NotAuthorized"):
        listed.both("close_interest", BTC, 0, 0, sender=STRANGER)


@pytest.mark.parametrize(
    "id",
    [
        0,
        17,
        OptionId(BTC, 0, 4, False).pack(),
        OptionId(BTC, 1, 0, False).pack(),
        FUTURE | 1,
        future_id(BTC, 1),
        CALL | 4,
        CALL | 2**20,
    ],
)
def test_only_interest_of_what_is_listed_moves(listed: OptionsBench, id: int) -> None:
    with refused("UnknownInstrument"):
        move(listed, {CALL: 1, id: 1})
    assert interest(listed, id) == Interest()


@pytest.mark.parametrize("change", [-1, 2**44])
def test_open_interest_stays_within_its_field(listed: OptionsBench, change: int) -> None:
    data = listed.options.abi.encode_call("move_interest", CALL, change)
    with pytest.raises(Exception, match="Revert"):
        listed.ledger.call("run", listed.options.address, data)
    listed.set_open_interest(CALL, 2**44 - 1)
    assert interest(listed, CALL).open_interest == 2**44 - 1


def test_what_is_settled_frees_the_slot(listed: OptionsBench) -> None:
    move(listed, {CALL: 10, FUTURE: 5})
    expire(listed)
    listed.advance(1)
    later = listed.expiries[0] + DAY_S
    listed.set_surface(0, expiry=later)
    listed.both("close_interest", BTC, 0, 14)
    with refused("SlotInUse"):
        listed.both("list_expiry", BTC, later)
    data = listed.options.abi.encode_call("close_interest", BTC, 0, 2)
    with pytest.raises(Exception, match="Revert"):
        listed.ledger.call("run", listed.options.address, data)
    listed.both("close_interest", BTC, 0, 1)
    listed.both("list_expiry", BTC, later)
    assert series(listed) == (0, 0, 0)
    listed.set_price(GRID.feed, FORWARD)
    found = interest(listed, FUTURE)
    assert (found.open_interest, found.room, found.phase) == (0, ROOM_MAX, OPEN), "nothing is left"


# Phases


def test_an_instrument_is_open_until_half_an_hour_before_it_expires(listed: OptionsBench) -> None:
    listed.advance(listed.expiries[0] - listed.world.now - 1_801)
    listed.set_price(GRID.feed, FORWARD)
    listed.set_surface(0)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [OPEN, OPEN]
    listed.advance(1)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [REDUCTIONS_ONLY] * 2
    listed.advance(1_799)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [REDUCTIONS_ONLY] * 2
    listed.advance(1)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [OVER] * 2


def test_an_old_forward_stops_increases(listed: OptionsBench) -> None:
    listed.advance(MINUTE_S)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [OPEN] * 2
    listed.advance(1)
    listed.set_surface(0)
    assert [interest(listed, id).phase for id in (CALL, FUTURE)] == [REDUCTIONS_ONLY] * 2


def test_an_old_surface_stops_increases_of_options(listed: OptionsBench) -> None:
    listed.advance(MINUTE_S + 1)
    listed.set_price(GRID.feed, FORWARD)
    assert interest(listed, CALL).phase == REDUCTIONS_ONLY
    assert interest(listed, FUTURE).phase == OPEN


def test_interest_comes_with_mark_and_forward_unless_they_must_be_built(
    listed: OptionsBench,
) -> None:
    moved = FORWARD * 1_001 // 1_000
    for forward in (FORWARD, moved):
        listed.set_price(GRID.feed, forward)
        info = Info.unpack(listed.stored(CALL)[1])
        found = interest(listed, CALL)
        assert (found.mark, found.forward) == (info.value(forward), forward)
        found = interest(listed, FUTURE)
        assert (found.mark, found.forward) == (forward, forward)
    listed.set_price(GRID.feed, FORWARD * 101 // 100)
    found = interest(listed, CALL)
    assert (found.phase, found.mark, found.forward) == (OPEN, 0, 0), "the forward is too far away"
    assert interest(listed, FUTURE).forward == FORWARD * 101 // 100
    expire(listed)
    assert [interest(listed, id).forward for id in (CALL, FUTURE)] == [0, 0]


# Exposure limits


def dollars_of_vega(bench: OptionsBench, lots: int) -> float:
    """Vega of so many lots of the call, USD per 1.00, from its Greeks."""
    vega = float(bench.options.view("greeks", CALL)[3]) / 1e18
    return vega * lots * 10**16 / 1e18


def test_a_limit_of_vega_leaves_that_much_room(listed: OptionsBench) -> None:
    assert interest(listed, CALL).room == ROOM_MAX
    listed.both("set_exposure_limits", BTC, 10, 0)
    last = listed.world.events[-1]
    assert (last.name, last.arguments) == (
        "ExposureLimitsSet",
        {"underlying": BTC, "vega_limit": 10, "gamma_limit": 0},
    )
    assert listed.options.view("limits", BTC) == (10, 0)
    room = interest(listed, CALL).room
    assert 9_980 < dollars_of_vega(listed, room) <= 10_000
    listed.set_open_interest(CALL, room // 2)
    assert interest(listed, CALL).room == room - room // 2
    half = interest(listed, PUT).room
    assert abs(half - (room - room // 2)) <= 1, "put and call have one vega"
    assert interest(listed, FUTURE).room == ROOM_MAX
    listed.set_open_interest(CALL, room + 1)
    assert interest(listed, CALL).room == 0
    far = OptionId(BTC, 1, 0, False).pack()
    listed.list(60_000, day=1)
    assert interest(listed, far).room > 0, "each expiry has the limit of its own"


def test_a_limit_of_gamma_counts_what_a_move_of_one_percent_changes(listed: OptionsBench) -> None:
    listed.both("set_exposure_limits", BTC, 0, 10)
    room = interest(listed, CALL).room
    gamma = float(listed.options.view("greeks", CALL)[2]) / 1e18
    lots = room * 10**16 / 1e18
    changed = gamma * lots * 60_000 * 60_000 / 100
    assert 9_900 < changed < 10_100, "at the money the identity is the option's own"
    listed.both("set_exposure_limits", BTC, 10**6, 10)
    assert interest(listed, CALL).room == room
    listed.both("set_exposure_limits", BTC, 1, 10)
    assert interest(listed, CALL).room < room


def test_an_option_without_vega_has_room(listed: OptionsBench) -> None:
    listed.both("set_exposure_limits", BTC, 1, 1)
    far = listed.both("list_strike", BTC, 0, 300_000 * USD)
    assert interest(listed, far).room < ROOM_MAX, "before a refresh it may have any"
    listed.both("refresh", BTC, 0)
    assert listed.stored(far)[1] != 0 == listed.vega(far)
    assert interest(listed, far).room == ROOM_MAX


def test_a_limit_of_gamma_is_that_of_the_words_by_which_the_option_is_valued(
    listed: OptionsBench,
) -> None:
    listed.both("set_exposure_limits", BTC, 0, 10**6)
    room = interest(listed, CALL).room
    listed.advance(MINUTE_S)
    assert interest(listed, CALL) == replace(interest(listed, CALL), room=room), "they serve"
    listed.advance(1)
    left = interest(listed, CALL)
    assert left.forward == 0 and left.room < room, "now sigma T is that of now"


def test_limits_outlive_epochs_and_grids(listed: OptionsBench) -> None:
    """They stand in one word with those."""
    listed.both("set_exposure_limits", BTC, 2**30 - 1, 7)
    epoch = listed.options.view("epoch", BTC)
    listed.set_price(GRID.feed, FORWARD * 12 // 10)
    listed.set_surface(0)
    listed.both("refresh", BTC, 0)
    assert listed.options.view("epoch", BTC) != epoch
    listed.both("set_grid", BTC, replace(GRID, feed=5).pack())
    assert listed.options.view("limits", BTC) == (2**30 - 1, 7)
    assert listed.options.view("forward_feed", BTC, 0) == 5
    listed.both("set_exposure_limits", BTC, 0, 0)
    assert listed.options.view("forward_feed", BTC, 0) == 5


def test_the_largest_limits_are_none(listed: OptionsBench) -> None:
    listed.both("set_exposure_limits", BTC, 2**30 - 1, 2**30 - 1)
    assert interest(listed, CALL).room > 2**34
    for wrong in ((16, 1, 1), (BTC, 2**30, 0), (BTC, 0, 2**30)):
        with refused("OutOfBounds"):
            listed.both("set_exposure_limits", *wrong)


def test_only_governance_sets_limits(listed: OptionsBench) -> None:
    with refused("NotAuthorized"):
        listed.both("set_exposure_limits", BTC, 1, 1, sender=STRANGER)


# Settlement


def test_a_settlement_needs_an_expiry_that_is_over_and_its_print(listed: OptionsBench) -> None:
    for place in ((BTC, 1), (ETH, 0), (16, 0), (0, 16)):
        with refused("UnknownInstrument"):
            listed.both("settlement", *place)
    listed.set_settlement(listed.expiries[0] - 1, FORWARD)
    listed.advance(listed.expiries[0] - listed.world.now - 1)
    with refused("ExpiryNotReached"):
        listed.both("settlement", BTC, 0)
    listed.advance(1)
    with refused("MissingPrint"):
        listed.both("settlement", BTC, 0)
    listed.set_settlement(listed.expiries[0], 61_234 * USD)
    strikes = tuple(usd * USD for usd in (54_000, 60_000, 63_000, 66_000))
    found = listed.both("settlement", BTC, 0)
    assert found == (61_234 * USD, listed.expiries[0], 16, strikes)


def test_greeks_and_usability_of_a_future_are_none(listed: OptionsBench) -> None:
    assert not listed.usable(FUTURE)
    assert not options.usable(listed.world, FUTURE)
    with refused("UnknownInstrument"):
        listed.both("greeks", FUTURE)
