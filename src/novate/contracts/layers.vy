# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Cash of the waterfall's layers, cuts of immature gains, fees (docs/SPEC.md §5, §8; twin of
        novate/model/ledger.py)
@notice The waterfall moves its own accounts' cash and cuts gains; anyone distributes fees.
        Rounding: insurance's share and what a cut frees down, what a cut leaves up.
"""

from lib import errors
from lib import units
import ledger

uses: ledger

event CashMoved:
    source: indexed(bytes32)
    target: indexed(bytes32)
    amount: uint256

event GainsCut:
    target: indexed(bytes32)
    amount: uint256
    paid: uint256

event FeesDistributed:
    insurance: uint256
    reserves: uint256

NUMBER_INSURANCE: constant(uint256) = 2
NUMBER_RESERVES: constant(uint256) = 4
INSURANCE_SHARE_PPM: constant(uint256) = 200_000
# cuts leave at least 1 % of an epoch, so that its shares fit 64 bits
SCALE_MIN: constant(uint256) = 10**16
CUT_DUST: constant(uint256) = 10**9
M96: constant(uint256) = 2**96 - 1
M128: constant(uint256) = 2**128 - 1


@external
def move_cash(source: bytes32, target: bytes32, amount: uint256):
    """@notice Waterfall only, from its own accounts; the money is there before it leaves."""
    errors.require(msg.sender == ledger.waterfall, errors.NotAuthorized)
    errors.require(convert(source, uint256) >> 96 == convert(msg.sender, uint256), errors.NotOwner)
    row: ledger.Row = ledger._load(source)
    errors.require(row.cash >= convert(amount, int256), errors.InsufficientCash)
    row.cash -= convert(amount, int256)
    ledger._commit(source, row, row.count)
    ledger._add_cash(target, amount)
    log CashMoved(source=source, target=target, amount=amount)


@external
def cut_gains(target: bytes32, amount: uint256) -> uint256:
    """
    @notice Waterfall only: cut the gains of this epoch and the one before pro rata; returns what
            reached `target` (down).
    """
    errors.require(msg.sender == ledger.waterfall, errors.NotAuthorized)
    epoch: uint256 = ledger._epoch()
    total: uint256 = self._epoch_value(epoch) + self._epoch_value(epoch - 1)
    paid: uint256 = 0
    if total > 0:
        cut: uint256 = units.div_up(min(amount, total) * units.WAD, total)
        paid = self._cut_epoch(epoch, cut) + self._cut_epoch(epoch - 1, cut)
        paid = min(paid, amount)
        ledger._add_cash(target, paid)
    log GainsCut(target=target, amount=amount, paid=paid)
    return paid


@internal
@view
def _epoch_value(epoch: uint256) -> uint256:
    word: uint256 = ledger.epochs[epoch]
    return ledger._value(word & M128, units.WAD - (word >> 128))


@internal
def _cut_epoch(epoch: uint256, cut: uint256) -> uint256:
    """
    @notice Scale an epoch down by `cut` (wad); returns the value surely freed (holders' remaining
            value rounded up).
    """
    word: uint256 = ledger.epochs[epoch]
    scale: uint256 = units.WAD - (word >> 128)
    lower: uint256 = max(units.div_up(scale * (units.WAD - cut), units.WAD), SCALE_MIN)
    ledger.epochs[epoch] = (word & M128) | ((units.WAD - lower) << 128)
    before: uint256 = ledger._value(word & M128, scale)
    # each holder's value is floored by itself: the dust covers a wei for each of up to 1e9 holders
    after: uint256 = units.div_up((word & M128) * lower, units.PPM) + CUT_DUST
    if after >= before:
        return 0
    return before - after


@external
def distribute_fees() -> uint256:
    """
    @notice Anyone: pay collected fees to insurance (20 %, rounded down) and reserves (the rest).
    """
    word: uint256 = ledger.pot
    fees: uint256 = word & M96
    insurance: uint256 = units.ppm_down(fees, INSURANCE_SHARE_PPM)
    ledger.pot = word - fees
    ledger._add_cash(ledger._layer(NUMBER_INSURANCE), insurance)
    ledger._add_cash(ledger._layer(NUMBER_RESERVES), fees - insurance)
    log FeesDistributed(insurance=insurance, reserves=fees - insurance)
    return fees
