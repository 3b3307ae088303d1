"""What options with usable stored arrays come to, and what is left for their words; contract and
model say the same of every account here.
"""

from __future__ import annotations

import random

import pytest

from novate.model import options
from novate.model.arrays import Info, Totals, accumulate
from novate.model.option_id import OptionId, future_id
from novate.model.option_lanes import Head, words_of
from novate.units import DAY_S
from tests.support.options import BTC, ETH, FORWARD, GOVERNOR, GRID, USD, OptionsBench

CALL, PUT, OTHER = (
    OptionId(BTC, 0, strike, put).pack() for strike, put in ((0, 0), (0, 1), (1, 0))
)
FAR = OptionId(BTC, 1, 0, False).pack()
FUTURE = future_id(BTC, 0)


@pytest.fixture
def bench() -> OptionsBench:
    """Two expiries of two strikes, refreshed."""
    made = OptionsBench(1, 30)
    for slot in (0, 1):
        made.list(54_000, 66_000, day=slot)
        made.both("refresh", BTC, slot)
    return made


def account(*positions: tuple[int, int]) -> list[int]:
    """Packed words of instruments and lots."""
    words = [0] * -(-len(positions) // 4)  # division: whole words
    for place, (id, lots) in enumerate(positions):
        words[place // 4] |= (id << 44 | 2**43 + lots) << 64 * (place % 4)  # division: four a word
    return words


def test_stored_arrays_are_summed(bench: OptionsBench) -> None:
    found = bench.sums(account((CALL, 5), (PUT, -3)))
    call, put = (Info.unpack(bench.stored(id)[1]) for id in (CALL, PUT))
    assert (found.totals.net, found.totals.gross, found.left, found.slots) == (2, 8, 0, 1)
    assert found.marks == 5 * call.mark - 3 * put.mark
    assert found.parity == -3 * FORWARD
    assert found.shorts == 3 * FORWARD
    assert found.heads[0] >> 128 == 5 * call.delta - 3 * put.delta
    assert found.heads[0] % 2**128 == words_of(bench.world, CALL)[2] != 0 == found.heads[1]
    assert found.epoch == options.epoch_now(bench.world, BTC)


def test_call_and_put_of_a_strike_are_summed_by_one_array(bench: OptionsBench) -> None:
    """Beside each other or apart, and whatever stands between them."""
    pair = bench.sums(account((CALL, 5), (PUT, -5)))
    assert pair.totals.sums == (0, 0, 0, 0) and pair.parity == -5 * FORWARD
    array, _ = bench.stored(CALL)
    assert array == bench.stored(PUT)[0]
    for held in ([(CALL, 4), (PUT, 3)], [(PUT, 3), (CALL, 4)]):
        found = bench.sums(account(*held))
        assert found.totals == accumulate(Totals(), array, 0, 7)
        apart = bench.sums(account(held[0], (OTHER, 2), (FAR, 1), held[1]))
        assert apart.totals == bench.sums(account(*held, (OTHER, 2), (FAR, 1))).totals


def test_each_expiry_has_its_own_sums_in_any_order(bench: OptionsBench) -> None:
    near = bench.sums(account((CALL, 5), (OTHER, -2)))
    far = bench.sums(account((FAR, 7)))
    both = bench.sums(account((CALL, 5), (FAR, 7), (OTHER, -2)))
    assert both.tenors[:2] == (near.tenors[0], far.tenors[1])
    assert both.heads[:2] == (near.heads[0], far.heads[1])
    assert both.slots == 3
    assert both.gap == near.gap + far.gap and both.marks == near.marks + far.marks


def test_a_small_move_carries_the_marks_on(bench: OptionsBench) -> None:
    bench.set_price(GRID.feed, FORWARD + 100 * USD)
    found = bench.sums(account((CALL, 1), (PUT, -1)))
    infos = [Info.unpack(bench.stored(id)[1]) for id in (CALL, PUT)]
    values = [info.value(FORWARD + 100 * USD) for info in infos]
    assert found.marks == values[0] - values[1] != infos[0].mark - infos[1].mark
    assert Head.unpack(found.heads[0] % 2**128).forward == FORWARD + 100 * USD


def test_what_a_lane_was_cut_by_is_counted_for_call_and_put_on_either_side(
    bench: OptionsBench,
) -> None:
    """A forward of its own, far above the reference of the quantum."""
    bench.both("set_forward_feed", BTC, 0, 8, sender=GOVERNOR)
    bench.set_price(7, 20 * FORWARD)
    bench.set_surface(0)
    bench.both("refresh", BTC, 0)
    clipped = Info.unpack(bench.stored(CALL)[1]).clipped
    assert clipped == Info.unpack(bench.stored(PUT)[1]).clipped > 0
    for held in ([(CALL, 5), (PUT, 3)], [(CALL, -5), (PUT, 3)], [(PUT, -8)]):
        assert bench.sums(account(*held)).totals.cut == 8 * clipped


def test_a_long_option_has_no_more_gap_than_its_mark(bench: OptionsBench) -> None:
    worthless = OptionId(BTC, 0, 1, False).pack()
    mark = Info.unpack(bench.stored(worthless)[1]).mark
    assert mark * 10**6 < FORWARD * 1_500
    assert bench.sums(account((worthless, 4))).gap == 4 * mark * 10**6
    assert bench.sums(account((worthless, -4))).gap == 4 * FORWARD * 1_500


@pytest.mark.parametrize("why", ["age", "price", "surface", "epoch", "listed since", "expired"])
def test_what_has_no_usable_array_is_left(bench: OptionsBench, why: str) -> None:
    held = [(FAR, 3), (CALL, 5), (PUT, -3), (OTHER, 1)]
    if why == "age":
        bench.advance(61)
    elif why == "price":
        bench.set_price(GRID.feed, FORWARD * 1_003 // 1_000)
    elif why == "surface":
        bench.set_surface(0)
    elif why == "epoch":
        bench.set_price(GRID.feed, FORWARD * 111 // 100)
    elif why == "listed since":
        held = [(bench.both("list_strike", BTC, slot, 60_000 * USD), 1) for slot in (0, 1)]
    else:
        bench.advance(40 * DAY_S)
    found = bench.sums(account(*held))
    assert found.left == 2 ** len(held) - 1
    assert found.slots == found.totals.gross == found.marks == 0
    assert found.epoch == options.epoch_now(bench.world, BTC)


def test_fresh_and_stale_expiries_are_told_apart(bench: OptionsBench) -> None:
    bench.advance(61)
    bench.set_price(GRID.feed, FORWARD)
    for slot in (0, 1):
        bench.set_surface(slot)
    bench.both("refresh", BTC, 1)
    found = bench.sums(account((CALL, 5), (FAR, 7), (PUT, 1)))
    assert (found.left, found.slots, found.totals.gross) == (0b101, 2, 7)


def test_futures_and_what_is_not_listed_are_left_and_others_not_looked_at(
    bench: OptionsBench,
) -> None:
    unlisted = OptionId(BTC, 0, 9, False).pack()
    others = (17, 3), (OptionId(ETH, 0, 0, False).pack(), 2), (0, -1)
    found = bench.sums(
        account((FUTURE, 1), others[0], (CALL, 2), others[1], (unlisted, 1), others[2])
    )
    assert found.left == 0b010001
    assert found.totals.gross == 2


def test_a_printed_expiry_needs_no_epoch(bench: OptionsBench) -> None:
    bench.advance(2 * DAY_S)
    bench.set_settlement(bench.expiries[0], FORWARD)
    found = bench.sums(account((CALL, 5)))
    assert (found.left, found.epoch) == (1, 0)


def test_an_underlying_without_a_grid_is_left(bench: OptionsBench) -> None:
    found = bench.sums(account((OptionId(ETH, 3, 1, True).pack(), 1)), ETH)
    assert (found.left, found.epoch) == (1, 0)


def test_any_words_have_sums(bench: OptionsBench) -> None:
    draw = random.Random(3)
    bench.both("set_forward_feed", BTC, 1, 8, sender=GOVERNOR)
    assert bench.sums([]).left == 0
    for _ in range(10):
        full = [draw.choice([draw.getrandbits(256), 2**256 - 1, 0, 1]) for _ in range(32)]
        bench.options.view("fresh_sums", full, draw.randrange(16), draw.getrandbits(36))
