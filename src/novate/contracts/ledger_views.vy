# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Raw views of the ledger (docs/SPEC.md §2, §5): words as stored, nothing computed
"""

from lib import option_id
import ledger

uses: ledger

M20: constant(uint256) = 2**20 - 1
M96: constant(uint256) = 2**96 - 1


@external
@view
@reentrant
def market(instrument: uint256) -> (uint256, uint256, uint256):
    """
    @notice Terms, market and config words. The terms of a dated instrument stand under the key of
            its kind and underlying, also while it is not listed itself; it has no market word.
    """
    if instrument >> 19 == 1:
        return ledger.books[option_id.terms_key(instrument)][0], 0, ledger.config
    return ledger.books[instrument][0], ledger.books[instrument][1], ledger.config


@external
@view
@reentrant
def market_words(positions: uint256[4]) -> uint256[17]:
    """@notice Market words of up to sixteen packed positions, lane by lane, then the config."""
    found: uint256[17] = empty(uint256[17])
    lane: uint256 = 0
    for word: uint256 in positions:
        # lanes are in use from the lowest on; below 16
        if word != 0:
            found[lane] = ledger.books[(word >> 44) & M20][1]
            if word >> 64 != 0:
                found[unsafe_add(lane, 1)] = ledger.books[(word >> 108) & M20][1]
                if word >> 128 != 0:
                    found[unsafe_add(lane, 2)] = ledger.books[(word >> 172) & M20][1]
                    if word >> 192 != 0:
                        found[unsafe_add(lane, 3)] = ledger.books[word >> 236][1]
        lane = unsafe_add(lane, 4)
    found[16] = ledger.config
    return found


@external
@view
def account(account: bytes32) -> (uint256, uint256):
    """@notice Slot 0 and slot 1 as stored."""
    return ledger.rows[account][0], ledger.rows[account][1]


@external
@view
def positions(account: bytes32) -> DynArray[uint256, 32]:
    """@notice Packed positions as stored."""
    return ledger._words(account, (ledger.rows[account][0] >> 240) & 255)


@external
@view
def pot() -> (uint256, uint256):
    """@notice Fees not yet distributed, and total cash below zero (wad)."""
    return ledger.pot & M96, ledger.pot >> 96


@external
@view
def borrow_index() -> uint256:
    """@notice Interest per unit of negative cash since the start (wad)."""
    return ledger._borrow_index()
