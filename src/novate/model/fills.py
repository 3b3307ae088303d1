"""Fills: how far each order was settled, and which are cancelled (docs/SPEC.md §6).

Resting and immediate orders have separate lanes. The batch that settles any of an immediate order
spends it: from then on only receipts settle what is left of it, counted in its lane. Holds I04. A
cancel takes effect a notice later and is never undone. Twin: ``contracts/fills.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors
from novate.errors import require
from novate.model import session, venue
from novate.model.order import Order

if TYPE_CHECKING:
    from novate.model.state import World

SPENT = 1
PARTLY = 2
NONCE_MAX = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Lane:
    """What a nonce's order has filled, its highest settled revision, when its cancel holds."""

    filled: int = 0
    revision: int = 0
    cancelled_from: int | None = None

    def pack(self) -> int:
        """[filled 44 | revision 16 | cancelled 1]."""
        return self.filled | self.revision << 44 | (self.cancelled_from is not None) << 60


@dataclass(frozen=True, slots=True)
class Floor:
    """Nonces below ``now`` are cancelled, from second ``since`` those below ``next``."""

    now: int = 0
    next: int = 0
    since: int = 0


def lowest(world: World, account: int) -> int:
    """Nonces below this are cancelled now."""
    floor = world.exchange.floors[account]
    return floor.next if world.now >= floor.since else floor.now


def left(world: World, order: Order, by_receipt: bool) -> int:
    """Lots the order may still trade; rejects what bars it."""
    account, nonce, immediate = order.account, order.nonce, order.immediate
    exchange, key = world.exchange, (account, immediate, nonce)
    seen = account in exchange.floors.rows or key in exchange.lanes.rows
    if not seen and not (immediate and (account, nonce) in exchange.immediates.rows):
        return order.size  # where nothing was written, nothing was settled or cancelled
    require(nonce >= lowest(world, account), errors.OrderCancelled)
    if immediate:
        flags = exchange.immediates[account, nonce]
        standing = not flags & SPENT or (bool(flags & PARTLY) and by_receipt)
        require(standing, errors.NonceUsed)
    lane = exchange.lanes[key]
    cancelled = lane.cancelled_from is not None and world.now >= lane.cancelled_from
    require(not cancelled, errors.OrderCancelled)
    require(order.revision >= lane.revision, errors.StaleRevision)
    return max(0, order.size - lane.filled)


def record(world: World, order: Order, settled: int, by_receipt: bool) -> None:
    """Book ``settled`` lots of an order that was let in with at least as many left."""
    if settled == 0:
        return
    key = order.account, order.immediate, order.nonce
    lane = world.exchange.lanes[key]
    if order.immediate:
        nonce = order.account, order.nonce
        flags = world.exchange.immediates[nonce]
        if not by_receipt and not flags & PARTLY and settled == order.size:
            world.exchange.immediates[nonce] = flags | SPENT
            return
        world.exchange.immediates[nonce] = flags | PARTLY | (0 if by_receipt else SPENT)
    filled = lane.filled + settled
    world.exchange.lanes[key] = Lane(filled, order.revision, lane.cancelled_from)


def cancel(world: World, caller: str, account: int, nonce: int) -> None:
    """Owner or session key: the resting order settles no more once the notice has passed."""
    session.require_may_cancel(world, account, caller)
    require(0 <= nonce <= NONCE_MAX, errors.OutOfBounds)
    lane = world.exchange.lanes[account, False, nonce]
    require(lane.cancelled_from is None, errors.OrderCancelled)
    effective = venue.after_notice(world)
    world.exchange.lanes[account, False, nonce] = replace(lane, cancelled_from=effective)
    world.emit("OrderCancelled", account=account, nonce=nonce, effective=effective)


def cancel_below(world: World, caller: str, account: int, nonce: int) -> None:
    """Owner or session key: no lower nonce settles after the notice; it rises once a notice."""
    session.require_may_cancel(world, account, caller)
    require(0 <= nonce <= NONCE_MAX, errors.OutOfBounds)
    require(world.now >= world.exchange.floors[account].since, errors.NotYet)
    standing = lowest(world, account)
    require(nonce > standing, errors.OrderCancelled)
    effective = venue.after_notice(world)
    world.exchange.floors[account] = Floor(standing, nonce, effective)
    world.emit("OrdersCancelledBelow", account=account, nonce=nonce, effective=effective)
