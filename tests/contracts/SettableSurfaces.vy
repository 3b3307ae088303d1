# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Surface words, generation and settlement prints by hand, without signatures"""

from interfaces import ISurfaces
from lib import errors

implements: ISurfaces

words: uint256[256]
# [zero 64 | timestamp 40 | generation 8]
statuses: uint256[16]
prices: HashMap[uint256, HashMap[uint256, uint256]]


@external
def set_word(underlying: uint256, slot: uint256, word: uint256):
    """@notice A slice of now, which makes the whole surface one of now."""
    self.words[underlying * 16 + slot] = word
    generation: uint256 = ((self.statuses[underlying] >> 104) + 1) % 256
    self.statuses[underlying] = (block.timestamp << 64) | (generation << 104)


@external
def set_price(underlying: uint256, expiry: uint256, price: uint256):
    self.prices[underlying][expiry] = price


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
    return self.statuses[underlying]


@external
@view
def settlement_price(underlying: uint256, expiry: uint256) -> uint256:
    return self.prices[underlying][expiry]


@external
@view
def generation(underlying: uint256) -> uint256:
    return self.statuses[underlying] >> 104
