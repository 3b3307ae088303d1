# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Signatures in blobs: orders of trees and of contract wallets (docs/SPEC.md §6; twin of
        novate/model/settlement.py)
@notice Keeps nothing of its own. The state of an order in its batch is trade.vy's.
"""

from lib import errors
import bulk
import order
import session
import trade
import wallet

uses: bulk
uses: order
uses: session
uses: wallet


@internal
def ask(
    state: uint256, words: uint256[4], account: uint256, instrument: uint256, terms: uint256,
    executor: address, blob: Bytes[wallet.BLOB_BYTES_MAX],
) -> uint256:
    """
    @notice The state of an order whose signature is in a blob: in a tree, or a contract wallet's,
            barred unless the wallet consents.
    """
    if words[0] & order.CONTRACT_WALLET == 0:
        words[2] = extract32(blob, words[3], output_type=uint256)
        words[3] = extract32(blob, words[3] + 32, output_type=uint256)
        return self._prove(state, words, convert(account, bytes32), instrument, terms, executor)
    if state & trade.ADMITTED == 0:
        return state
    digest: bytes32 = order.digest(
        words[0], words[1], convert(account, bytes32), instrument, executor, order.domain()
    )
    owner: address = convert(account >> 96, address)
    if block.timestamp < wallet.confirmed[owner][digest] or wallet.consents(owner, digest, blob):
        return state
    return convert(errors.BadSignature, uint256)


@internal
def _prove(
    state: uint256, words: uint256[4], account: bytes32, instrument: uint256, terms: uint256,
    executor: address,
) -> uint256:
    """@notice The state of an order in a tree that words 2 and 3 sign: by its owner, or a key."""
    leaf: bytes32 = bulk.leaf(words[0], words[1], account, instrument, executor)
    signer: address = bulk.signer(words, bulk.root(leaf, words[0]), order.domain())
    if state & trade.ADMITTED == 0:
        return state
    if signer == session.owner(account) and signer != empty(address):
        return state
    return session.admit(state, words[0], account, signer, terms)
