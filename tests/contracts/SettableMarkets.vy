# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Market words and configuration by hand, without trades"""

words: HashMap[uint256, uint256]
config: uint256


@external
def set_word(instrument: uint256, word: uint256):
    self.words[instrument] = word


@external
def set_config(word: uint256):
    self.config = word


@external
@view
def market_words(positions: uint256[4]) -> uint256[17]:
    found: uint256[17] = empty(uint256[17])
    for i: uint256 in range(16):
        lane: uint256 = (positions[i // 4] >> (64 * (i % 4))) & (2**64 - 1)
        found[i] = self.words[lane >> 44]
    found[16] = self.config
    return found
