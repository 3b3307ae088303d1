"""Option sums: what positions in options of one underlying come to, where stored arrays serve.

Owns nothing. Units: prices in oracle units of 1e8 wei a base unit, delta in 2**-30, vega in quanta;
all sums are exact. Source: docs/SPEC.md §14. Twin: ``contracts/option_sums.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from novate.model.arrays import BIAS, LANE_BITS, Totals, accumulate
from novate.model.option_id import PUT, place_of, strike_of
from novate.model.option_lanes import PRINTED, head_of
from novate.model.options import epoch_now, info_of, usable
from novate.units import PPM

if TYPE_CHECKING:
    from novate.model.state import World

GAP_PPM = 1_500
VEGA_SPAN = 2**80
SLOTS = 16
LOTS_OFFSET = 2**43


class Sums(NamedTuple):
    """Sums over options of one underlying, three of them by slot of the expiry: lots times delta
    times forward and, below 2**80, vega; the head word; lots times \\|delta\\|. ``parity``: lots
    of puts times the forward, which their lanes do not have in them.
    """

    totals: Totals
    marks: int
    parity: int
    gap: int
    shorts: int
    left: int
    slots: int
    epoch: int
    tenors: tuple[int, ...]
    heads: tuple[int, ...]


def fresh_sums(world: World, words: Sequence[int], underlying: int, known: int = 0) -> Sums:
    """Sums over those of packed positions that are options of ``underlying`` with a usable stored
    array; ``left`` has a bit for each other dated one of it. ``known`` spares the contract reads.
    """
    del known
    totals, marks, parity, gap, shorts, left, epoch = Totals(), 0, 0, 0, 0, 0, 0
    tenors, heads, charged = [0] * SLOTS, [0] * SLOTS, [0] * SLOTS
    for lane in range(4 * len(words)):
        position = words[lane // 4] >> 64 * (lane % 4) & 2**64 - 1  # division: four a word
        id, lots = position >> 44, position % 2**44 - LOTS_OFFSET
        if id >> 15 != 16 | underlying:
            continue
        slot = place_of(id)[1]
        listed = world.options.listed[underlying, slot].expiry != 0
        if listed and head_of(world, underlying, slot).state != PRINTED:
            epoch = epoch_now(world, underlying)
        if not usable(world, id):
            left |= 1 << lane
            continue
        array, info = world.options.arrays[strike_of(id)], info_of(world, id)
        head = head_of(world, underlying, slot)
        mark, size = info.value(head.forward), abs(lots)
        totals = accumulate(totals, array, info.clipped, lots)
        marks += lots * mark
        parity += lots * head.forward if id & PUT else 0
        least = head.forward * GAP_PPM
        gap += size * (least if lots < 0 else min(least, mark * PPM))
        shorts += max(-lots, 0) * head.forward
        vega = array % 2**LANE_BITS - BIAS
        tenors[slot] += lots * info.delta * head.forward * VEGA_SPAN + lots * vega
        heads[slot] = head.pack()
        charged[slot] += size * abs(info.delta)
    slots = sum(1 << slot for slot in range(SLOTS) if heads[slot])
    both = (head | size << 128 for head, size in zip(heads, charged, strict=True))
    by_slot = tuple(tenors), tuple(both)
    return Sums(totals, marks, parity, gap, shorts, left, slots, epoch, *by_slot)
