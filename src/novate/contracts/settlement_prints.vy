# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Settlement prints: what options and futures of an expiry settle at (docs/SPEC.md §13; twin of
        novate/model/settlement_prints.py)
@notice Owns the prints, one for good an underlying and expiry. Oracle units of 1e8 wei; nothing is
        rounded. Who may post one is for the importing contract to judge.
"""

from lib import errors

event SettlementPrinted:
    underlying: indexed(uint256)
    expiry: indexed(uint256)
    price: uint256

event SettlementIgnored:
    underlying: indexed(uint256)
    expiry: indexed(uint256)

PRICE_MAX: constant(uint256) = 2**56 - 1

# By underlying and expiry; 0: none yet
_prices: HashMap[uint256, HashMap[uint256, uint256]]


@internal
def is_new(underlying: uint256, expiry: uint256, price: uint256) -> bool:
    """
    @notice Whether `price` may be the print of an expiry, which logs if there is one already.
            Errors: ExpiryNotReached, ZeroPrice, OutOfBounds.
    """
    if self._prices[underlying][expiry] != 0:
        log SettlementIgnored(underlying=underlying, expiry=expiry)
        return False
    errors.require(expiry <= block.timestamp, errors.ExpiryNotReached)
    errors.require(price != 0, errors.ZeroPrice)
    errors.require(price <= PRICE_MAX, errors.OutOfBounds)
    return True


@internal
def keep(underlying: uint256, expiry: uint256, price: uint256):
    """@notice Print `price`, which is new and signed."""
    self._prices[underlying][expiry] = price
    log SettlementPrinted(underlying=underlying, expiry=expiry, price=price)


@internal
@view
def price(underlying: uint256, expiry: uint256) -> uint256:
    """@notice The print of an expiry; 0: none yet."""
    return self._prices[underlying][expiry]
