# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title Prices and status by hand, without signatures"""

status: public(uint256)
feed: public(HashMap[uint256, uint256])


@external
def set_status(word: uint256):
    self.status = word


@external
def set_feed(id: uint256, word: uint256):
    self.feed[id] = word
