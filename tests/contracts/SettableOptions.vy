# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Words and epochs of dated instruments by hand"""

words: HashMap[uint256, uint256[3]]
epoch_now: public(HashMap[uint256, uint256])


@external
def set_words(ids: DynArray[uint256, 512], words: DynArray[uint256[3], 512]):
    for i: uint256 in range(len(ids), bound=512):
        self.words[ids[i]] = words[i]


@external
def set_epoch(underlying: uint256, word: uint256):
    self.epoch_now[underlying] = word


@external
@view
def lane_words(positions: uint256[4]) -> uint256[48]:
    found: uint256[48] = empty(uint256[48])
    for i: uint256 in range(16):
        lane: uint256 = (positions[i // 4] >> (64 * (i % 4))) & (2**64 - 1)
        if lane >> 63 == 1:
            words: uint256[3] = self.words[lane >> 44]
            found[3 * i] = words[0]
            found[3 * i + 1] = words[1]
            found[3 * i + 2] = words[2]
    return found
