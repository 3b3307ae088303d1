"""Volatility surfaces by signed quorum: which words stand in which slot, and how one surface
follows another.

Owns: the status of each underlying's surface and its words by slot. Units: times in seconds, words
as in ``model/surface.py``; nothing is rounded. Signatures are recovered outside (they depend on
chain and contract); this twin judges who signed. Source: docs/SPEC.md §13. Twin:
``contracts/Surfaces.vy``, ``contracts/surface_slots.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import oracle, surface
from novate.model.oracle import NodeSignature
from novate.model.store import Store

if TYPE_CHECKING:
    from novate.model.state import World

GENERATIONS = 256
EXPIRIES_MAX = 16  # of one underlying, and so its slots


@dataclass(frozen=True, slots=True)
class SurfaceStatus:
    """The newest surface of an underlying; ``slots`` of its words, nearest expiry first."""

    round: int = 0
    timestamp: int = 0
    generation: int = 0
    slots: tuple[int, ...] = ()

    def pack(self) -> int:
        """The public status word [round 64 | timestamp 40 | generation 8 | count 8]."""
        return self.round | self.timestamp << 64 | self.generation << 104 | len(self.slots) << 112

    def packed_slots(self) -> int:
        """The slots as the event carries them, four bits each."""
        return sum(slot << 4 * place for place, slot in enumerate(self.slots))


class SurfacesState:
    """Tables of the surfaces: status by underlying, word by (underlying, slot), settlement price
    (oracle units; ``settlement_prints``) by (underlying, expiry).
    """

    def __init__(self, store: Store) -> None:
        self.registered = store.table("surfaces.registered", False)
        self.statuses = store.table("surfaces.status", SurfaceStatus())
        self.words = store.table("surfaces.words", 0)
        self.prints = store.table("surfaces.prints", 0)


def register_underlying(world: World, caller: str, underlying: int) -> None:
    """Accept surfaces of ``underlying`` from now on. Errors: NotAuthorized, OutOfBounds."""
    require(caller == world.addresses.get("timelock"), errors.NotAuthorized)
    require(underlying < limits.UNDERLYINGS_MAX, errors.OutOfBounds)
    world.surfaces.registered[underlying] = True
    world.emit("UnderlyingRegistered", underlying=underlying)


def post_surfaces(
    world: World,
    round: int,
    timestamp: int,
    underlying: int,
    words: Sequence[int],
    nodes: Sequence[NodeSignature],
    already_posted: bool = False,
) -> bool:
    """Accept a signed surface of one underlying; False when this round or a later one is here.

    ``already_posted`` says that the same transaction has accepted one of this underlying before.
    Errors, in order: UnknownUnderlying, FutureRound, StaleRound, RoundAlreadyPosted,
    QuorumNotReached, then by signature DuplicateSigner, BadSignature, then by word
    SurfaceOutOfBounds and what ``surface.gate`` raises, ExpiryPassed, MissingExpiry, SurfaceJump,
    and MissingExpiry again for what is left over.
    """
    assert len(words) <= EXPIRIES_MAX
    assert len(nodes) <= limits.SIGNATURES_PER_ROUND_MAX
    known = underlying < limits.UNDERLYINGS_MAX and world.surfaces.registered[underlying]
    require(known, errors.UnknownUnderlying)
    stored = world.surfaces.statuses[underlying]
    if round <= stored.round:
        world.emit("SurfacesIgnored", underlying=underlying, round=round)
        return False
    require(timestamp <= world.now, errors.FutureRound)
    age = world.now - timestamp
    fresh = timestamp > stored.timestamp and age <= oracle.status(world).stale_after
    require(fresh, errors.StaleRound)
    require(not already_posted, errors.RoundAlreadyPosted)
    oracle.check_quorum(world, nodes)
    slots = _replace(world, underlying, timestamp, words)
    generation = (stored.generation + 1) % GENERATIONS
    accepted = SurfaceStatus(round, timestamp, generation, slots)
    world.surfaces.statuses[underlying] = accepted
    world.emit(
        "SurfacesPosted",
        underlying=underlying,
        round=round,
        timestamp=timestamp,
        generation=generation,
        slots=accepted.packed_slots(),
    )
    return True


def _replace(
    world: World, underlying: int, timestamp: int, words: Sequence[int]
) -> tuple[int, ...]:
    """Put ``words`` in the place of the newest surface; their slots, in order."""
    table = world.surfaces.words
    active = {}
    for slot in world.surfaces.statuses[underlying].slots:
        expiry = surface.unpack(table[underlying, slot]).expiry
        if expiry > world.now:
            active[expiry] = slot
    taken, slots, previous = set(active.values()), [], 0
    for word in words:
        require(surface.unpack(word).timestamp == timestamp, errors.SurfaceOutOfBounds)
        surface.gate(word, previous)
        previous = word
        expiry = surface.unpack(word).expiry
        require(expiry > world.now, errors.ExpiryPassed)
        require(not active or expiry <= min(active), errors.MissingExpiry)
        if expiry in active:
            slot = active.pop(expiry)
            surface.within_rate(table[underlying, slot], word)
        else:
            slot = _free(taken)
            taken.add(slot)
        table[underlying, slot] = word
        slots.append(slot)
    require(not active, errors.MissingExpiry)
    return tuple(slots)


def _free(taken: set[int]) -> int:
    """The lowest slot of sixteen that no active expiry holds.

    If all are taken, an active expiry is missing: a surface has no more than sixteen.
    """
    free = sorted(set(range(EXPIRIES_MAX)) - taken)
    require(bool(free), errors.MissingExpiry)
    return free[0]


def surface_word(world: World, underlying: int, slot: int) -> int:
    """The word in a slot, 0 if it never held one. Errors: OutOfBounds."""
    in_bounds = underlying < limits.UNDERLYINGS_MAX and slot < EXPIRIES_MAX
    require(in_bounds, errors.OutOfBounds)
    return world.surfaces.words[underlying, slot]


def newest(world: World, underlying: int) -> tuple[int, ...]:
    """The words of the newest surface, nearest expiry first. Errors: OutOfBounds."""
    slots = status_of(world, underlying).slots
    return tuple(world.surfaces.words[underlying, slot] for slot in slots)


def slot_of(world: World, underlying: int, expiry: int) -> int:
    """The slot of an expiry of the newest surface. Errors: OutOfBounds, MissingExpiry."""
    for slot in status_of(world, underlying).slots:
        if surface.unpack(world.surfaces.words[underlying, slot]).expiry == expiry:
            return slot
    raise errors.Rejected(errors.MissingExpiry)


def status_of(world: World, underlying: int) -> SurfaceStatus:
    """The status of the newest surface; all zero before it. Errors: OutOfBounds."""
    require(underlying < limits.UNDERLYINGS_MAX, errors.OutOfBounds)
    return world.surfaces.statuses[underlying]
