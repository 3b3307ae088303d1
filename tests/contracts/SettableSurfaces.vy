# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Surface words and generation by hand, without signatures"""

from interfaces import ISurfaces
from lib import errors

implements: ISurfaces

words: uint256[256]
generations: uint256[16]


@external
def set_word(underlying: uint256, slot: uint256, word: uint256):
    self.words[underlying * 16 + slot] = word
    self.generations[underlying] = (self.generations[underlying] + 1) % 256


@external
@view
def surface(underlying: uint256, slot: uint256) -> uint256:
    return self.words[underlying * 16 + slot]


@external
@view
def slot_of(underlying: uint256, expiry: uint256) -> uint256:
    for slot: uint256 in range(16):
        if (self.words[underlying * 16 + slot] >> 156) & (2**40 - 1) == expiry:
            return slot
    errors.require(False, errors.MissingExpiry)
    return 0


@external
@view
def status_of(underlying: uint256) -> uint256:
    return self.generations[underlying] << 104


@external
@view
def generation(underlying: uint256) -> uint256:
    return self.generations[underlying]
