# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Receipts: an executor's signed word on a match, and which of its matches were settled
@notice A receipt is [sequence 64 | matched_at 40] and a compact signature over both order digests,
        lots, price, sequence and time. Every match of an executor, receipted or not, owns the bit
        of its sequence number, so none settles twice. Twin: novate/model/settlement.py.
"""

from lib import errors
from lib import signature
import order
import trade

uses: order

RECEIPTS_MAX: constant(uint256) = 16
SEQUENCE_MAX: constant(uint256) = 2**63
# at most 100 fills have bits below
RARE: constant(uint256) = 1 << 255  # there is another bit
GIVEN: constant(uint256) = 1 << 254

sequences: HashMap[address, HashMap[uint256, uint256]]  # executor -> sequence >> 8 -> settled bits


@internal
@view
def used(
    executor: address, first: uint256, count: uint256, receipts: DynArray[uint256[3], RECEIPTS_MAX]
) -> uint256:
    """
    @notice Bitmap of fills settled before, and GIVEN if there are receipts; they ascend by sequence
            (`NotAscending`). RARE with any of it.
    """
    if len(receipts) == 0:
        errors.require(first < SEQUENCE_MAX, errors.OutOfBounds)
        # count is at most 100: what stands beyond is of other batches
        before: uint256 = self.settled(executor, first, count) & ((1 << count) - 1)
        return before | RARE if before != 0 else 0
    found: uint256 = RARE | GIVEN
    lowest: uint256 = 0
    for i: uint256 in range(len(receipts), bound=RECEIPTS_MAX):
        sequence: uint256 = receipts[i][0] & order.M64
        errors.require(sequence >= lowest, errors.NotAscending)
        lowest = sequence + 1
        found |= (self.settled(executor, sequence, 1) & 1) << i
    return found


@internal
def mark(
    executor: address, first: uint256, bitmap: uint256, receipts: DynArray[uint256[3], RECEIPTS_MAX]
):
    """@notice Book the fills of the bitmap as settled."""
    if len(receipts) == 0:
        self._set(executor, first, bitmap)
    for i: uint256 in range(len(receipts), bound=RECEIPTS_MAX):
        if (bitmap >> i) & 1 == 1:
            self._set(executor, receipts[i][0] & order.M64, 1)


@internal
@view
def code_of(
    receipt: uint256[3],
    fill: uint256,
    taker: uint256[4],
    maker: uint256[4],
    account_taker: bytes32,
    account_maker: bytes32,
    instrument: uint256,
    executor: address,
    exclusive_window: uint256,
) -> bytes4:
    """@notice What bars a fill by its receipt: too early, or not the executor's word on it."""
    if block.timestamp < ((receipt[0] >> 64) & order.M40) + exclusive_window:
        return errors.NotExecutor
    domain: bytes32 = order.domain()
    digest: bytes32 = order.match_digest(
        order.digest(maker[0], maker[1], account_maker, instrument, executor, domain),
        order.digest(taker[0], taker[1], account_taker, instrument, executor, domain),
        (fill >> trade.LOTS) & order.M44,
        fill >> trade.PRICE,
        receipt[0],
        domain,
    )
    if signature.recover(digest, receipt[1], receipt[2]) != executor:
        return errors.BadReceipt
    return empty(bytes4)


@internal
@view
def settled(executor: address, first: uint256, count: uint256) -> uint256:
    """@notice Bit i: sequence first + i was settled; count is at most 256."""
    offset: uint256 = first & 255
    found: uint256 = self.sequences[executor][first >> 8] >> offset
    if offset + count > 256:
        found |= self.sequences[executor][(first >> 8) + 1] << (256 - offset)
    return found


@internal
def _set(executor: address, first: uint256, bitmap: uint256):
    offset: uint256 = first & 255
    self.sequences[executor][first >> 8] |= bitmap << offset
    beyond: uint256 = bitmap >> (256 - offset)
    if beyond != 0:
        self.sequences[executor][(first >> 8) + 1] |= beyond


@external
@view
def sequence_settled(executor: address, sequence: uint256) -> bool:
    """@notice Whether the executor's match of this sequence was settled."""
    return self.settled(executor, sequence, 1) & 1 == 1
