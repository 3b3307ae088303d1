"""Settlement prints: what options and futures of an expiry settle at, by signed quorum.

Owns: the rules of printing; the table stands in ``surfaces.SurfacesState``. Units: prices in oracle
units of 1e8 wei a base unit; nothing is rounded. Signatures are recovered outside; this twin judges
who signed. Source: docs/SPEC.md §13. Twin: ``contracts/settlement_prints.vy``,
``contracts/Surfaces.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import oracle
from novate.model.arrays import PRICE_MAX
from novate.model.oracle import NodeSignature

if TYPE_CHECKING:
    from novate.model.state import World


def post_settlement(
    world: World, underlying: int, expiry: int, price: int, nodes: Sequence[NodeSignature]
) -> bool:
    """Print what an expiry settles at, once for good; False if it is printed already.

    Errors, in order: UnknownUnderlying, ExpiryNotReached, ZeroPrice, OutOfBounds, QuorumNotReached,
    then by signature DuplicateSigner, BadSignature.
    """
    known = underlying < limits.UNDERLYINGS_MAX and world.surfaces.registered[underlying]
    require(known, errors.UnknownUnderlying)
    if settlement_price(world, underlying, expiry):
        world.emit("SettlementIgnored", underlying=underlying, expiry=expiry)
        return False
    require(expiry <= world.now, errors.ExpiryNotReached)
    require(price != 0, errors.ZeroPrice)
    require(price <= PRICE_MAX, errors.OutOfBounds)
    oracle.check_quorum(world, nodes)
    world.surfaces.prints[underlying, expiry] = price
    world.emit("SettlementPrinted", underlying=underlying, expiry=expiry, price=price)
    return True


def settlement_price(world: World, underlying: int, expiry: int) -> int:
    """What an expiry settles at, oracle units; 0: not printed yet."""
    price: int = world.surfaces.prints[underlying, expiry]
    return price
