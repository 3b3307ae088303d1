# pragma version 0.4.3
# pragma nonreentrancy on
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
import trade

# A cursor is [group: a word 0 >> order.PAIRS, account, its `lowest`, pairs of the group's 128
# immediate orders]; of a group of resting orders, bit IMMEDIATES is not set and no pairs are.
NOWHERE: constant(uint256[4]) = [max_value(uint256), 0, 0, 0]
IMMEDIATES: constant(uint256) = 1 << 57
# of a state: whether all lots of an immediate order settled, not by receipt, counted in no lane
WHOLE: constant(uint256) = order.IMMEDIATE | trade.TRADED | trade.COUNTED | trade.LEFT_BITS
WHOLE_SETTLED: constant(uint256) = order.IMMEDIATE | trade.TRADED
CANCELLED: constant(uint256) = 1 << 60
SPENT: constant(uint256) = 1
PARTLY: constant(uint256) = 2

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
def at(word: uint256, account: bytes32) -> uint256[4]:
    """@notice The cursor of an order of this word 0: what its neighbours share with it."""
    group: uint256 = word >> order.PAIRS
    pairs: uint256 = 0
    if group & IMMEDIATES != 0:
        pairs = self.immediates[account][group & (IMMEDIATES - 1)]
    return [group, convert(account, uint256), self.lowest(account), pairs]


@internal
@view
def left(word: uint256, cursor: uint256[4], by_receipt: bool) -> uint256:
    """
    @notice What an order has left, as far as its state (trade.vy) has it: lots, ADMITTED, COUNTED
            if a lane counts an immediate order's, as it does by receipt; or the code that bars it.
    """
    nonce: uint256 = (word >> order.NONCE) & order.M64
    if nonce < cursor[2]:
        return convert(errors.OrderCancelled, uint256)
    index: uint256 = nonce >> 2
    state: uint256 = trade.ADMITTED
    if word & order.IMMEDIATE != 0:
        pair: uint256 = (cursor[3] >> ((nonce & 127) << 1)) & 3
        if pair == 0:
            state = trade.ADMITTED | trade.COUNTED if by_receipt else trade.ADMITTED
            return state | ((word & order.M44) << trade.LEFT)
        if pair == SPENT or (pair & SPENT != 0 and not by_receipt):
            return convert(errors.NonceUsed, uint256)
        index |= 1 << 62
        state = trade.ADMITTED | trade.COUNTED
    account: bytes32 = convert(cursor[1], bytes32)
    lane: uint256 = self.lanes[account][index] >> ((nonce & 3) << 6)
    if lane & CANCELLED != 0 and block.timestamp >= self.cancelled_from[account][nonce]:
        return convert(errors.OrderCancelled, uint256)
    if (word >> order.REVISION) & order.M16 < (lane >> 44) & order.M16:
        return convert(errors.StaleRevision, uint256)
    filled: uint256 = lane & order.M44
    lots: uint256 = word & order.M44
    if filled >= lots:
        return state
    return state | (unsafe_sub(lots, filled) << trade.LEFT)  # filled < lots


@internal
def record(state: uint256, cursor: uint256[4], by_receipt: bool) -> uint256:
    """
    @notice Book an order that its batch leaves in `state` (trade.vy): what `left` found, less what
            settled. An immediate order is spent by that, unless its matches come by receipt: the
            bits to set in the word of its pair are returned, for `mark`. One that settled whole,
            and not by receipt, needs no more than SPENT there.
    """
    if state & trade.TRADED == 0:
        return 0
    nonce: uint256 = (state >> order.NONCE) & order.M64
    # left <= signed lots
    filled: uint256 = unsafe_sub(state & order.M44, (state >> trade.LEFT) & order.M44)
    index: uint256 = nonce >> 2
    if state & order.IMMEDIATE != 0:
        index |= 1 << 62
    booked: bool = self._book(convert(cursor[1], bytes32), index, nonce, state, filled)
    if not booked or state & order.IMMEDIATE == 0:
        return 0
    bits: uint256 = PARTLY
    if not by_receipt:
        bits = SPENT | PARTLY
    return bits << ((nonce & 127) << 1)


@internal
def move(cursor: uint256[4], state: uint256, account: bytes32) -> uint256[4]:
    """@notice Leave a cursor marked for the one of the order of this state, with no bits yet."""
    self.mark(cursor)
    return [state >> order.PAIRS, convert(account, uint256), 0, 0]


@internal
def mark(cursor: uint256[4]):
    """@notice Set the bits gathered in the cursor in its group's word of pairs."""
    if cursor[3] != 0:
        self.immediates[convert(cursor[1], bytes32)][cursor[0] & (IMMEDIATES - 1)] |= cursor[3]


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


@external
@view
def cancelled_below(account: bytes32) -> uint256:
    """@notice Orders of a lower nonce than this are cancelled now."""
    return self.lowest(account)


@external
@view
def order_state(account: bytes32, nonce: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @return Lane of the resting order of this nonce, second from which it is cancelled or 0, pair of
            the immediate order, its lane.
    """
    offset: uint256 = (nonce & 3) << 6
    resting: uint256 = (self.lanes[account][nonce >> 2] >> offset) & order.M64
    pair: uint256 = (self.immediates[account][nonce >> 7] >> ((nonce & 127) << 1)) & 3
    immediate: uint256 = (self.lanes[account][(1 << 62) | (nonce >> 2)] >> offset) & order.M64
    return resting, self.cancelled_from[account][nonce], pair, immediate
