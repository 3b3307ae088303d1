# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Fills: how far each order was settled, and which are cancelled (docs/SPEC.md §6)
@notice A resting order owns a lane [filled lots 44 | revision 16 | cancelled 1] of 64 bits, four
        nonces a word. An immediate order owns a pair of bits, 128 nonces a word: 1 spent (only by
        receipts do more of its matches settle), 2 partly filled, its lots then counted in a lane of
        its own. Holds I04: what is left never exceeds the signed lots. A cancel takes effect a
        notice later and is never undone.
        Twin: novate/model/fills.py.
"""

from lib import errors
import order

CANCELLED: constant(uint256) = 1 << 60
SPENT: constant(uint256) = 1
PARTLY: constant(uint256) = 2
COUNTED: constant(uint256) = 1 << 63

# account -> immediate << 62 | nonce >> 2 -> four lanes
lanes: HashMap[bytes32, HashMap[uint256, uint256]]
# account -> nonce >> 7 -> 128 pairs of bits
immediates: HashMap[bytes32, HashMap[uint256, uint256]]
# account -> nonce -> second from which the resting order is cancelled
cancelled_from: HashMap[bytes32, HashMap[uint256, uint256]]
# account -> [floor 64 | next floor 64 | second from which the next holds 40]
below: HashMap[bytes32, uint256]


@internal
@view
def left(
    account: bytes32, word: uint256, by_receipt: bool, floor_nonce: uint256
) -> (bytes4, uint256):
    """
    @notice Lots the order may still trade, with COUNTED if a lane counts an immediate order's; or
            the code that bars it. `floor_nonce` is the account's `lowest`.
    """
    nonce: uint256 = (word >> order.NONCE) & order.M64
    if nonce < floor_nonce:
        return errors.OrderCancelled, 0
    lots: uint256 = word & order.M44
    immediate: uint256 = (word >> order.IMMEDIATE) & 1
    if immediate == 1:
        pair: uint256 = self.immediates[account][nonce >> 7] >> ((nonce & 127) << 1)
        if pair & SPENT != 0 and (pair & PARTLY == 0 or not by_receipt):
            return errors.NonceUsed, 0
        if pair & PARTLY == 0:
            return empty(bytes4), lots
    lane: uint256 = self.lanes[account][(immediate << 62) | (nonce >> 2)] >> ((nonce & 3) << 6)
    if lane & CANCELLED != 0 and block.timestamp >= self.cancelled_from[account][nonce]:
        return errors.OrderCancelled, 0
    if (word >> order.REVISION) & order.M16 < (lane >> 44) & order.M16:
        return errors.StaleRevision, 0
    filled: uint256 = lane & order.M44
    if filled >= lots:
        return empty(bytes4), immediate * COUNTED
    return empty(bytes4), unsafe_sub(lots, filled) | (immediate * COUNTED)  # filled < lots


@internal
def record(account: bytes32, word: uint256, state: uint256, by_receipt: bool):
    """
    @notice Book an order that its batch leaves in `state`: what `left` found, less what settled. An
            immediate order is spent by that, unless its matches come by receipt.
    """
    nonce: uint256 = (word >> order.NONCE) & order.M64
    filled: uint256 = unsafe_sub(word & order.M44, state & order.M44)  # left <= signed lots
    if (word >> order.IMMEDIATE) & 1 == 0:
        self._book(account, nonce >> 2, nonce, word, filled)
        return
    if filled == 0:
        return
    mark: uint256 = SPENT
    if by_receipt or state & (COUNTED | order.M44) != 0:
        if not self._book(account, (1 << 62) | (nonce >> 2), nonce, word, filled):
            return
        mark = PARTLY
        if not by_receipt:
            mark = SPENT | PARTLY
    self.immediates[account][nonce >> 7] |= mark << ((nonce & 127) << 1)


@internal
def _book(
    account: bytes32, index: uint256, nonce: uint256, word: uint256, filled: uint256
) -> bool:
    """@notice Raise a lane to `filled` lots; False if nothing of the order settled."""
    offset: uint256 = (nonce & 3) << 6
    four: uint256 = self.lanes[account][index]
    lane: uint256 = (four >> offset) & order.M64
    if filled <= lane & order.M44:
        return False
    booked: uint256 = filled | (((word >> order.REVISION) & order.M16) << 44) | (lane & CANCELLED)
    self.lanes[account][index] = four ^ ((lane ^ booked) << offset)
    return True


@internal
def cancel(account: bytes32, nonce: uint256, effective: uint256):
    """@notice Cancel a resting order from `effective` on; a second cancel would put it off."""
    errors.require(nonce <= order.M64, errors.OutOfBounds)
    offset: uint256 = (nonce & 3) << 6
    four: uint256 = self.lanes[account][nonce >> 2]
    errors.require((four >> offset) & CANCELLED == 0, errors.OrderCancelled)
    self.lanes[account][nonce >> 2] = four | (CANCELLED << offset)
    self.cancelled_from[account][nonce] = effective


@internal
def cancel_below(account: bytes32, nonce: uint256, effective: uint256):
    """@notice Cancel all lower nonces from `effective` on; the floor only rises, once a notice."""
    errors.require(nonce <= order.M64, errors.OutOfBounds)
    errors.require(block.timestamp >= self.below[account] >> 128, errors.NotYet)
    standing: uint256 = self.lowest(account)
    errors.require(nonce > standing, errors.OrderCancelled)
    self.below[account] = standing | (nonce << 64) | (effective << 128)


@internal
@view
def lowest(account: bytes32) -> uint256:
    """@notice Nonces below this are cancelled now."""
    word: uint256 = self.below[account]
    if block.timestamp >= word >> 128:
        return (word >> 64) & order.M64
    return word & order.M64


@internal
@view
def read(account: bytes32, nonce: uint256) -> (uint256, uint256, uint256, uint256):
    """@notice Lane and cancel time of the resting, pair and lane of the immediate order."""
    offset: uint256 = (nonce & 3) << 6
    resting: uint256 = (self.lanes[account][nonce >> 2] >> offset) & order.M64
    pair: uint256 = (self.immediates[account][nonce >> 7] >> ((nonce & 127) << 1)) & 3
    immediate: uint256 = (self.lanes[account][(1 << 62) | (nonce >> 2)] >> offset) & order.M64
    return resting, self.cancelled_from[account][nonce], pair, immediate
