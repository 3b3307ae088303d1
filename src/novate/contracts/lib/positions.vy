# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Packed positions: four lanes [lots + 2**43 in 44 | instrument 20] a word, dense
        (docs/SPEC.md §5)
@notice Pure. Closing a position moves the last lane into its place.
"""

from lib import errors

WORDS_MAX: constant(uint256) = 32
POSITIONS_MAX: constant(uint256) = 128
LOTS_MAX: constant(int256) = 2**43 - 1
LOTS_OFFSET: constant(int256) = 2**43
M20: constant(uint256) = 2**20 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
NO_ERROR: constant(bytes4) = 0x00000000


@internal
@pure
def find(
    words: DynArray[uint256, WORDS_MAX], count: uint256, instrument: uint256, guess: uint256
) -> (uint256, int256):
    """
    @notice Lane and lots of an instrument; `count` and 0 when it is not held.
    @param guess Lane to look at first, as portfolios are often met in order.
    """
    if guess < count:
        lane: uint256 = words[guess >> 2] >> ((guess & 3) << 6)
        if (lane >> 44) & M20 == instrument:
            # 44 bits: the difference stays within +-2**43
            return guess, unsafe_sub(convert(convert(lane & M44, bytes32), int256), LOTS_OFFSET)
    at: uint256 = 0
    for word: uint256 in words:
        rest: uint256 = word
        for _: uint256 in range(4):
            if (rest >> 44) & M20 == instrument:
                return at, unsafe_sub(convert(convert(rest & M44, bytes32), int256), LOTS_OFFSET)
            rest = rest >> 64
            at = unsafe_add(at, 1)  # at most 128
    return count, 0


@internal
@pure
def change(
    words: DynArray[uint256, WORDS_MAX], count: uint256, instrument: uint256, change: int256
) -> (DynArray[uint256, WORDS_MAX], uint256, int256, bytes4):
    """
    @notice Positions with `change` lots more of an instrument; a position of zero lots makes room
            for the last one.
    @return The words, their count, the lots held before, and why it cannot be (or nothing).
    """
    w: DynArray[uint256, WORDS_MAX] = words
    lane: uint256 = 0
    held: int256 = 0
    lane, held = self.find(words, count, instrument, 0)
    lots: int256 = held + change
    if lots > LOTS_MAX or lots < -LOTS_MAX:
        return w, count, held, errors.LotsOutOfRange
    n: uint256 = count
    if lane == n:
        if lots == 0:
            return w, n, held, NO_ERROR
        if n == POSITIONS_MAX:
            return w, n, held, errors.TooManyPositions
        if n & 3 == 0:
            w.append(0)
        n += 1
    content: uint256 = (instrument << 44) | convert(lots + LOTS_OFFSET, uint256)
    if lots == 0:
        n -= 1
        content = w[n >> 2] >> ((n & 3) << 6)
        w[n >> 2] ^= content << ((n & 3) << 6)
    if lots != 0 or lane != n:
        offset: uint256 = (lane & 3) << 6
        w[lane >> 2] = (w[lane >> 2] & ~(M64 << offset)) | (content << offset)
    if lots == 0 and n & 3 == 0:
        w.pop()
    return w, n, held, NO_ERROR
