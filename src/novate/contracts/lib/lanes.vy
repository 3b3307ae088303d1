# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Words and sums of risk arrays (docs/SPEC.md §12; twin of novate/model/arrays.py)
@notice Pure. An array is sixteen 16-bit lanes, lane j at bit 16 j, plus 32768: the gain of a long
        base unit of a call in quanta; the put of its strike gains that less what the forward does
        (parity), which `profit` takes as linear. Info word of both `[mark 56 | forward 56 | delta
        signed 32 | mark of the put 56 | zero 12 | timestamp 32 | generation 8 | clip 4]`: prices in
        oracle units, delta of the call in 2**-30. Sums are exact; `rounding` says what lanes may
        hide.
"""

from lib import errors
from lib import units

LANE_MAX: constant(int256) = 2**16 - 1
BIAS: constant(int256) = 2**15
EVERY_64: constant(uint256) = 1 + 2**64 + 2**128 + 2**192
SPREAD_MASK: constant(uint256) = 65_535 * EVERY_64
SPREAD_BIAS: constant(uint256) = 2**63 * EVERY_64
LANE: constant(int256) = 2**64 - 1
LOTS_SUM_MAX: constant(uint256) = 2**47 - 1
PERCENT_PPM: constant(int256) = 100 * 10**6
FLOOR_OFFSET: constant(int256) = 2**200

PRICE_MASK: constant(uint256) = 2**56 - 1
DELTA_MASK: constant(uint256) = 2**32 - 1
DELTA_SHIFT: constant(uint256) = 112
PUT_MARK_SHIFT: constant(uint256) = 144
DELTA_BITS: constant(uint256) = 30
AGE_MAX: constant(uint256) = 60
DRIFT_MAX_INVERSE: constant(uint256) = 400  # 25 bp
CLIPPED_BITS: constant(uint256) = 6
CLIPPED_MAX: constant(uint256) = 2**21
CHARGE_ONE: constant(uint256) = 2**20
LOT_CHARGE: constant(uint256) = 2**19 + 1  # half a quantum and a millionth for pricing's own error


struct Totals:
    sums: uint256[4]         # lanes k, k + 4, k + 8, k + 12 of sums[k], 64 bits each, wrapping
    net: int256
    gross: uint256
    cut: uint256             # lots times what their lanes were cut by


# What options of one underlying come to; the last three by slot of their expiry. Prices in oracle
# units a base unit. Bounds over 128 positions of |lots| < 2**43: marks, parity and shorts 2**106,
# gap 2**126, cut 2**71, charged 2**81, tenors 2**217 (a forward 2**56, a delta 2**31, the span
# 2**80)
struct Sums:
    totals: Totals
    marks: int256            # lots times mark
    parity: int256           # lots of puts times the forward, which their lanes do not have in them
    gap: uint256             # ppm of lots times the forward, of a long option at most its mark
    shorts: uint256          # lots of short options times the forward
    left: uint256            # a bit a lane: an instrument of that underlying not among them
    slots: uint256           # bitmap of those in use
    epoch: uint256           # of now
    tenors: int256[16]       # [lots * delta * forward, 2**-30, the rest | vega, quanta, signed 80]
    heads: uint256[16]       # [the head word 128 | lots times |delta|, 2**-30, 128]


@internal
@pure
def added(sums: uint256[4], array: uint256, lots: int256) -> uint256[4]:
    """
    @notice The sums of `Totals` with a position of `lots` (within 2**63; at most 2**32 positions).
    """
    # Sums wrap on purpose: modulo 2**256 they are the signed sums of four lanes side by side, which
    # `profit` reads back once it knows that all |lots| add up to less than 2**47
    q: uint256 = convert(convert(lots, bytes32), uint256)
    return [
        unsafe_add(sums[0], unsafe_mul(q, array & SPREAD_MASK)),
        unsafe_add(sums[1], unsafe_mul(q, (array >> 16) & SPREAD_MASK)),
        unsafe_add(sums[2], unsafe_mul(q, (array >> 32) & SPREAD_MASK)),
        unsafe_add(sums[3], unsafe_mul(q, (array >> 48) & SPREAD_MASK)),
    ]


@internal
@pure
def profit(totals: Totals, quantum_lot: uint256, linear: int256, psr: uint256) -> int256[16]:
    """
    @notice Gains by lane, wad, of options (a quantum of a lot is `quantum_lot` wei, below 2**128)
            and of a linear dollar delta (within 2**160, psr below 2**20), rounded down.
    """
    errors.require(totals.gross <= LOTS_SUM_MAX, errors.LotsOutOfRange)
    # |sum of a lane| <= gross * 65535 < 2**63: with the bias each of the four is within [0, 2**64),
    # so that none borrows from its neighbour; |net| <= gross keeps the offset within 2**64. Gains
    # in quanta are within 2**64, so their products within 2**192; the scan range within 2**180
    offset: int256 = unsafe_add(2**63, unsafe_mul(BIAS, totals.net))
    unit: int256 = convert(convert(quantum_lot, bytes32), int256)
    found: int256[16] = empty(int256[16])
    word: int256 = convert(convert(unsafe_add(totals.sums[0], SPREAD_BIAS), bytes32), int256)
    found[0] = unsafe_mul(unsafe_sub(word & LANE, offset), unit)
    found[4] = unsafe_mul(unsafe_sub((word >> 64) & LANE, offset), unit)
    found[8] = unsafe_mul(unsafe_sub((word >> 128) & LANE, offset), unit)
    found[12] = unsafe_mul(unsafe_sub((word >> 192) & LANE, offset), unit)
    word = convert(convert(unsafe_add(totals.sums[1], SPREAD_BIAS), bytes32), int256)
    found[1] = unsafe_mul(unsafe_sub(word & LANE, offset), unit)
    found[5] = unsafe_mul(unsafe_sub((word >> 64) & LANE, offset), unit)
    found[9] = unsafe_mul(unsafe_sub((word >> 128) & LANE, offset), unit)
    found[13] = unsafe_mul(unsafe_sub((word >> 192) & LANE, offset), unit)
    word = convert(convert(unsafe_add(totals.sums[2], SPREAD_BIAS), bytes32), int256)
    found[2] = unsafe_mul(unsafe_sub(word & LANE, offset), unit)
    found[6] = unsafe_mul(unsafe_sub((word >> 64) & LANE, offset), unit)
    found[10] = unsafe_mul(unsafe_sub((word >> 128) & LANE, offset), unit)
    found[14] = unsafe_mul(unsafe_sub((word >> 192) & LANE, offset), unit)
    word = convert(convert(unsafe_add(totals.sums[3], SPREAD_BIAS), bytes32), int256)
    found[3] = unsafe_mul(unsafe_sub(word & LANE, offset), unit)
    found[7] = unsafe_mul(unsafe_sub((word >> 64) & LANE, offset), unit)
    found[11] = unsafe_mul(unsafe_sub((word >> 128) & LANE, offset), unit)
    found[15] = unsafe_mul(unsafe_sub((word >> 192) & LANE, offset), unit)
    if linear == 0:
        return found
    span: int256 = unsafe_mul(linear, convert(convert(psr, bytes32), int256))
    move: int256 = self._floor(unsafe_mul(15, span))
    found[2] = unsafe_add(found[2], move)
    found[3] = unsafe_add(found[3], move)
    move = self._floor(unsafe_mul(-15, span))
    found[4] = unsafe_add(found[4], move)
    found[5] = unsafe_add(found[5], move)
    move = self._floor(unsafe_mul(50, span))
    found[6] = unsafe_add(found[6], move)
    found[7] = unsafe_add(found[7], move)
    move = self._floor(unsafe_mul(-50, span))
    found[8] = unsafe_add(found[8], move)
    found[9] = unsafe_add(found[9], move)
    move = self._floor(unsafe_mul(100, span))
    found[10] = unsafe_add(found[10], move)
    found[11] = unsafe_add(found[11], move)
    found[14] = unsafe_add(found[14], move)
    move = self._floor(unsafe_mul(-100, span))
    found[12] = unsafe_add(found[12], move)
    found[13] = unsafe_add(found[13], move)
    found[15] = unsafe_add(found[15], move)
    return found


@internal
@pure
def worst(gains: int256[16]) -> int256:
    """@notice The least of sixteen gains."""
    return min(
        min(
            min(min(gains[0], gains[1]), min(gains[2], gains[3])),
            min(min(gains[4], gains[5]), min(gains[6], gains[7])),
        ),
        min(
            min(min(gains[8], gains[9]), min(gains[10], gains[11])),
            min(min(gains[12], gains[13]), min(gains[14], gains[15])),
        ),
    )


@internal
@pure
def loss(gains: int256[16]) -> uint256:
    """@notice The worst scenario's loss (within 2**255), not below zero; of `profit`, in wad, it is
            the scan, on top of which `rounding` comes.
    """
    least: int256 = self.worst(gains)
    return convert(max(unsafe_sub(0, least), 0), uint256)  # gains within 2**255


@internal
@pure
def rounding(totals: Totals, quantum_lot: uint256) -> uint256:
    """@notice What lanes may hide, wad, rounded up: half a quantum a lot, and what was cut off."""
    quanta: uint256 = totals.gross * LOT_CHARGE + totals.cut * CHARGE_ONE
    return units.div_up(quanta * quantum_lot, CHARGE_ONE)


@internal
@pure
def pack(raw: int256[16]) -> (uint256, uint256):
    """
    @notice Array word and clip. A lane beyond sixteen bits is cut, and clip tells the margin by how
            much, so that both sides are charged for it; by more than 2**21: `OutOfBounds`.
    """
    word: uint256 = 0
    beyond: int256 = 0
    for i: uint256 in range(16):
        # i <= 15; raw lanes are within 2**64 by the builder's bounds
        lane: int256 = unsafe_add(raw[unsafe_sub(15, i)], BIAS)
        if lane < 0:
            beyond = max(beyond, unsafe_sub(0, lane))
            lane = 0
        elif lane > LANE_MAX:
            beyond = max(beyond, unsafe_sub(lane, LANE_MAX))
            lane = LANE_MAX
        word = (word << 16) | convert(lane, uint256)
    if beyond == 0:
        return word, 0
    cut: uint256 = convert(beyond, uint256)
    errors.require(cut <= CLIPPED_MAX, errors.OutOfBounds)
    clip: uint256 = 1
    for _: uint256 in range(14):
        if cut <= 1 << (clip + CLIPPED_BITS):
            break
        clip += 1
    return word, clip


@internal
@pure
def clipped(info: uint256) -> uint256:
    """@notice The most that any lane was cut by, in quanta; 0: none was."""
    clip: uint256 = info >> 252
    if clip == 0:
        return 0
    # a clip is at most 15
    return 1 << unsafe_add(clip, CLIPPED_BITS)


@internal
@pure
def of_put(info: uint256) -> uint256:
    """@notice The info word as the put has it: its own mark, and delta less one."""
    # delta in 2**-30 is a field of 32 bits, its sign in the highest
    delta: uint256 = unsafe_sub((info >> DELTA_SHIFT) & DELTA_MASK, 2**30) & DELTA_MASK
    kept: uint256 = info & ~(PRICE_MASK | (DELTA_MASK << DELTA_SHIFT))
    return kept | ((info >> PUT_MARK_SHIFT) & PRICE_MASK) | (delta << DELTA_SHIFT)


@internal
@pure
def value(info: uint256, forward: uint256) -> uint256:
    """
    @notice Value of a base unit at `forward` (below 2**56), oracle units, rounded down: the mark
            carried on by delta, never below nothing. Of a put by the word of `of_put`.
    """
    # all fields are below 2**57, delta within 2**31
    mark: uint256 = info & PRICE_MASK
    built_at: uint256 = (info >> 56) & PRICE_MASK
    if forward == built_at:
        return mark
    moved: int256 = convert(convert(unsafe_sub(forward, built_at), bytes32), int256)
    delta: int256 = convert(convert(info << 112, bytes32), int256) >> 224
    value: int256 = unsafe_add(
        convert(convert(mark, bytes32), int256), unsafe_mul(delta, moved) >> DELTA_BITS
    )
    if value < 0:
        return 0
    return convert(value, uint256)


@internal
@pure
def usable(info: uint256, forward: uint256, now: uint256, generation: uint256) -> bool:
    """
    @notice Whether an array may be used: at most a minute old, the forward (below 2**56) within 25
            bp of its own, surface and quantum (their common counter) the same. The counter moves at
            most four times a round, so that its eight bits cannot come round in a minute.
    """
    timestamp: uint256 = (info >> 212) & (2**32 - 1)
    # unsafe: a timestamp has 32 bits, prices have 56
    if now < timestamp or now > unsafe_add(timestamp, AGE_MAX):
        return False
    built_at: uint256 = (info >> 56) & PRICE_MASK
    drift: uint256 = unsafe_sub(forward, built_at)
    if forward < built_at:
        drift = unsafe_sub(built_at, forward)
    if unsafe_mul(drift, DRIFT_MAX_INVERSE) > built_at:
        return False
    return (generation ^ (info >> 244)) & 255 == 0


@internal
@pure
def _floor(x: int256) -> int256:
    """@notice x / 1e8 rounded down: truncated after a shift to the positive side, |x| < 2**200."""
    # the shift is a multiple of the divisor and below 2**227
    return unsafe_sub(
        unsafe_div(unsafe_add(x, FLOOR_OFFSET * PERCENT_PPM), PERCENT_PPM), FLOOR_OFFSET
    )
