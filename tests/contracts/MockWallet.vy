# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title MockWallet: an ERC-1271 wallet whose answer its owner may change at any time
@notice mode 0 refuses, 1 agrees with every blob but an empty one, 2 burns all its gas.
"""

mode: public(uint256)


@external
def set_mode(mode: uint256):
    self.mode = mode


@external
@view
def isValidSignature(digest: bytes32, blob: Bytes[1024]) -> bytes32:
    if self.mode == 1 and len(blob) != 0:
        return 0x1626ba7e00000000000000000000000000000000000000000000000000000000
    if self.mode == 2:
        burnt: uint256 = 0
        for i: uint256 in range(1_000_000):
            burnt += i
    return empty(bytes32)
