# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Words and epochs of dated instruments by hand"""

from lib import lanes

struct Page:
    lanes: uint256[3][16]
    epoch: uint256

M44: constant(uint256) = 2**44 - 1
M56: constant(uint256) = 2**56 - 1
M64: constant(uint256) = 2**64 - 1

words: HashMap[uint256, uint256[3]]
epoch_now: public(HashMap[uint256, uint256])
# by strike: whether options have no usable array, so that there are no sums of them
left: uint256


@external
def set_words(ids: DynArray[uint256, 512], words: DynArray[uint256[3], 512]):
    for i: uint256 in range(len(ids), bound=512):
        self.words[ids[i]] = words[i]


@external
def set_epoch(underlying: uint256, word: uint256):
    self.epoch_now[underlying] = word


@external
def set_left(strikes: uint256):
    self.left = strikes


@external
@view
def lane_words(positions: uint256[4], known: uint256 = 0) -> Page:
    page: Page = empty(Page)
    for i: uint256 in range(16):
        lane: uint256 = (positions[i // 4] >> (64 * (i % 4))) & M64
        if lane >> 63 == 1:
            page.lanes[i] = self.words[lane >> 44]
            page.epoch = self.epoch_now[(lane >> 59) & 15]
    return page


@external
@view
def fresh_sums(words: DynArray[uint256, 32], underlying: uint256, known: uint256) -> lanes.Sums:
    s: lanes.Sums = empty(lanes.Sums)
    s.epoch = self.epoch_now[underlying]
    for i: uint256 in range(128):
        if i // 4 >= len(words):
            break
        lane: uint256 = (words[i // 4] >> (64 * (i % 4))) & M64
        if lane >> 59 != 16 | underlying:
            continue
        id: uint256 = lane >> 44
        w: uint256[3] = self.words[id]
        is_live: bool = (w[2] >> 72) & 255 in [1, 2]
        if id & 2 != 0 or not is_live or (self.left >> ((id >> 6) & 31)) & 1 == 1:
            s.left |= 1 << i
            continue
        lots: int256 = convert(lane & M44, int256) - 2**43
        size: uint256 = convert(abs(lots), uint256)
        slot: uint256 = (lane >> 55) & 15
        forward: uint256 = w[2] & M56
        s.totals.sums = lanes.added(s.totals.sums, w[0], lots)
        s.totals.net += lots
        s.totals.gross += size
        s.totals.cut += size * lanes.clipped(w[1])
        mark: uint256 = lanes.value(w[1], forward)
        s.marks += lots * convert(mark, int256)
        if lots < 0:
            s.shorts += size * forward
            s.gap += size * forward * 1_500
        else:
            s.gap += size * min(forward * 1_500, mark * 10**6)
        if id & 1 == 1:
            s.parity += lots * convert(forward, int256)
        delta: int256 = convert(convert(w[1] << 112, bytes32), int256) >> 224
        s.tenors[slot] += lots * delta * convert(forward, int256) * 2**80
        s.tenors[slot] += lots * (convert(w[0] & 65_535, int256) - 2**15)
        s.heads[slot] = ((s.heads[slot] >> 128) << 128) | w[2]
        s.heads[slot] += (size * convert(abs(delta), uint256)) << 128
        s.slots |= 1 << slot
    return s
