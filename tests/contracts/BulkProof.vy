# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""@title BulkProof: the proofs of bulk orders by themselves, several in one transaction"""

import bulk
import order

initializes: bulk
initializes: order

exports: order.domain_separator


@deploy
def __init__():
    order.__init__()


@external
def signers(
    orders: DynArray[uint256[4], 8], account: bytes32, instrument: uint256, executor: address,
    blob: Bytes[1024],
) -> DynArray[address, 8]:
    found: DynArray[address, 8] = []
    for given: uint256[4] in orders:
        words: uint256[4] = given
        words[2] = extract32(blob, given[3], output_type=uint256)
        words[3] = extract32(blob, given[3] + 32, output_type=uint256)
        leaf: bytes32 = bulk.leaf(words[0], words[1], account, instrument, executor)
        found.append(bulk.signer(words, bulk.root(leaf, words[0]), order.domain()))
    return found


@external
@view
def leaf(
    word: uint256, limits: uint256, account: bytes32, instrument: uint256, executor: address
) -> bytes32:
    return bulk.leaf(word, limits, account, instrument, executor)
