# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Fees of options: a share of the underlying, at most one of the premium (docs/SPEC.md §6)
@notice Keeps nothing. Money wad; both shares are rounded up, against the account. The forward is
        that of the valuation: the mark of the expiry's feed at the round in force. Perps and dated
        futures pay by trade.of. Twin: novate/model/fees.py.
"""

from interfaces import IClearinghouse
from interfaces import IOptions
from interfaces import IOracle
from lib import errors
from lib import option_id
from lib import units
import order
import trade

INSTRUMENTS_MAX: constant(uint256) = 16
KIND_OPTION: constant(uint256) = 3
DATED: constant(uint256) = 19  # the bit of a number that tells dated instruments
# of an instrument: its underlying and expiry slot
PLACE: constant(uint256) = 255 << option_id.SLOT_SHIFT
# of terms: lot size; underlying, feed and kind
KEPT_TERMS: constant(uint256) = order.M64 | ((2**24 - 1) << 232)
CAP_UNIT: constant(uint256) = 10**22  # wad * bp


@internal
@view
def with_forwards(
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    terms: uint256[INSTRUMENTS_MAX],
    clearinghouse: IClearinghouse,
    oracle: IOracle,
) -> uint256[INSTRUMENTS_MAX]:
    """
    @notice The terms, those of options with their forward (wad, 128) in place of tick and caps,
            which nobody asks for beside them.
    """
    found: uint256[INSTRUMENTS_MAX] = terms
    options: IOptions = IOptions(staticcall clearinghouse.options())
    last: uint256 = max_value(uint256)
    forward: uint256 = 0
    for i: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        if terms[i] >> 248 == KIND_OPTION:
            if instruments[i] & PLACE != last:  # options of one expiry stand side by side
                last = instruments[i] & PLACE
                feed: uint256 = staticcall options.forward_feed(
                    option_id.underlying(last), option_id.slot(last)
                )
                forward = (((staticcall oracle.feed(feed)) >> 56) & order.M56) * units.ORACLE_UNIT
            found[i] = (terms[i] & KEPT_TERMS) | (forward << 64)
    return found


@internal
@pure
def of(
    fill: uint256,
    taker: uint256,
    maker: uint256,
    limits_taker: uint256,
    limits_maker: uint256,
    terms: uint256,
    settings: uint256,
) -> uint256[2]:
    """
    @notice The trade of an option's fill, or the code that bars it (trade.of); `terms` with its
            forward (`with_forwards`). Both sides pay the same.
    """
    pair: uint256[2] = trade.of(fill, taker, maker, limits_taker, limits_maker, terms, 0)
    if pair[0] < trade.LEAST:
        return pair
    lots: uint256 = (fill >> trade.LOTS) & order.M44
    size: uint256 = unsafe_mul(lots, terms & order.M64)  # 44 + 64 bits
    # a forward has 83 bits, a price 128, a rate 16: below 2**252
    share: uint256 = unsafe_mul((terms >> 64) & order.M128, (settings >> 64) & order.M16)
    fee: uint256 = units.div_up(unsafe_mul(size, share), trade.FEE_UNIT)
    share = unsafe_mul(fill >> trade.PRICE, (settings >> 80) & order.M16)
    fee = min(fee, units.div_up(unsafe_mul(size, share), CAP_UNIT))
    # a maximum takes 128 + 44 bits
    most: uint256 = unsafe_mul(min(limits_taker >> 128, limits_maker >> 128), lots)
    if fee >> trade.FEE_BITS != 0 or fee > most:
        return [convert(errors.FeeAboveMax, uint256), 0]
    return [pair[0], fee | (fee << 128)]
