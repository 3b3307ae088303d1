"""Option lanes: the words by which margin values options and futures, stored or built at once.

Owns nothing; reads what is listed, its arrays, prices, surfaces and prints. What can be priced at
all always has words. Units: prices in oracle units of 1e8 wei a base unit, interest in lots,
rounded down. Source: docs/SPEC.md §14. Twin: ``contracts/option_lanes.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate.model import arrays, oracle, packed, surface, surfaces
from novate.model.arrays import BIAS, LANES, Info
from novate.model.kept import DATED_SOURCES, kept
from novate.model.option_id import OptionId, is_future, is_option, place_of, strike_of
from novate.model.option_listing import feed_of, is_listed
from novate.model.options import GENERATIONS, SUM_BITS, Epoch, epoch_now, info_of, usable
from novate.model.settlement_prints import settlement_price

if TYPE_CHECKING:
    from novate.model.state import World

LIVE, LIVE_OLD_SURFACE, EXPIRED, PRINTED = 1, 2, 3, 4
POSITIONS_MAX = 16
FORWARD_REACH = 64  # references: beyond, arrays do not fit the quantum
NEUTRAL = sum(BIAS << 16 * lane for lane in range(LANES))
INTEREST_MAX = 2**48 - 1
HEAD_FIELDS = (
    ("forward", 56),
    ("feed", 8),
    ("lot_exponent", 8),
    ("state", 8),
    ("interest", 48),
)


@dataclass(frozen=True, slots=True)
class Head:
    """What stands beside array and info of a dated instrument: its forward or print (oracle units),
    its state, and the open interest (lots) of which it is charged: the future's own, or that of all
    options of the expiry by |delta|.
    """

    forward: int = 0
    feed: int = 0
    lot_exponent: int = 0
    state: int = 0
    interest: int = 0

    def pack(self) -> int:
        """The head word."""
        return packed.pack(self, HEAD_FIELDS)

    @staticmethod
    def unpack(word: int) -> Head:
        """Read the head word."""
        return Head(**packed.unpack(word, HEAD_FIELDS))


def lane_words(world: World, positions: Sequence[int]) -> tuple[list[tuple[int, int, int]], int]:
    """Array, info and head word of up to sixteen packed positions, lane by lane; zeros where
    nothing dated is listed and priced; and the epoch word of now of the underlying of the last
    dated one, if any of the last ones of that underlying is of an expiry listed and not printed.
    """
    assert 4 * len(positions) == POSITIONS_MAX
    ids = [word >> 64 * i + 44 & 2**20 - 1 for word in positions for i in range(4)]
    epoch, before = 0, None
    for underlying, slot in (place_of(id) for id in ids if id >> 19):
        epoch, before = epoch if underlying == before else 0, underlying
        listed = world.options.listed[underlying, slot].expiry != 0
        if listed and head_of(world, underlying, slot).state != PRINTED:
            epoch = epoch_now(world, underlying)
    return [words_of(world, id) for id in ids], epoch


@kept(*DATED_SOURCES)
def words_of(world: World, id: int) -> tuple[int, int, int]:
    """Array, info (``Info.of`` its side) and head word of one instrument; zeros if it is not
    listed or not priced.
    """
    if not is_listed(world, id):
        return 0, 0, 0
    head = head_of(world, *place_of(id))
    if head.forward == 0:
        return 0, 0, 0
    if is_future(id):
        # no surface prices it
        state = LIVE if head.state == LIVE_OLD_SURFACE else head.state
        return 0, 0, replace(head, state=state, interest=world.options.interests[id]).pack()
    if usable(world, id):
        return world.options.arrays[strike_of(id)], info_of(world, id).pack(), head.pack()
    return _built(world, id, head)


def head_of(world: World, underlying: int, slot: int) -> Head:
    """The head of the options of a listed expiry; its forward is 0 if there is no price at all."""
    expiry = world.options.listed[underlying, slot].expiry
    feed = feed_of(world, underlying, slot)
    forward, state = oracle.feed(world, feed).mark, LIVE
    if world.now >= expiry:
        state = EXPIRED
        price = settlement_price(world, underlying, expiry)
        if price:
            forward, state = price, PRINTED
    else:
        # every surface has all expiries that live, so that the newest one's time is this one's
        seen_at = surfaces.status_of(world, underlying).timestamp
        if world.now > seen_at + oracle.status(world).stale_after:
            state = LIVE_OLD_SURFACE
    interest = min(world.options.series[underlying, slot].delta >> SUM_BITS, INTEREST_MAX)
    lot_exponent = world.options.grids[underlying].lot_exponent
    return Head(forward, feed, lot_exponent, state, interest)


def is_priced(world: World, underlying: int, slot: int, head: Head) -> bool:
    """Whether options of a listed expiry can be built: there is an epoch, whose lanes reach its
    forward, and as long as it lives a surface.
    """
    reference = Epoch.unpack(epoch_now(world, underlying)).reference
    if head.forward == 0 or head.forward > reference * FORWARD_REACH:
        return False
    word = surfaces.surface_word(world, underlying, slot)
    expiry: int = world.options.listed[underlying, slot].expiry
    return head.state > LIVE_OLD_SURFACE or surface.unpack(word).expiry == expiry


def _built(world: World, id: int, head: Head) -> tuple[int, int, int]:
    """Words of an option as of now: at the last surface, however old; intrinsic once expired, at
    the print for good.
    """
    assert is_option(id)
    option = OptionId.unpack(id)
    place = option.underlying, option.slot
    expiry, strikes = world.options.listed[place]
    strike = strikes[option.strike_index]
    if head.state == PRINTED:
        gain = strike - head.forward if option.is_put else head.forward - strike
        return NEUTRAL, Info(max(gain, 0), head.forward, 0).pack(), head.pack()
    if not is_priced(world, *place, head):
        return 0, 0, 0
    epoch = Epoch.unpack(epoch_now(world, option.underlying))
    if head.state == EXPIRED:
        made, stamp = arrays.build(head.forward, strike, 0, 1, epoch.psr, epoch.quantum), 0
    else:
        word = surfaces.surface_word(world, *place)
        terms = head.forward, expiry - world.now, word, epoch.psr, epoch.quantum
        made = arrays.build_expiry(*terms, [strike])[0]
        generation = surfaces.status_of(world, option.underlying).generation
        stamp = (generation + epoch.count) % GENERATIONS
    info = replace(Info.unpack(made.info).of(option.is_put), generation=stamp)
    return made.array, info.pack(), head.pack()
