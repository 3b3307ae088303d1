# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Dated trades: what fills of options and dated futures have of their own (docs/SPEC.md §6)
@notice An order on them ends with them: their numbers are used again. Of an option both sides pay
        a share of the underlying, at most one of the premium, each rounded up, against the account;
        futures pay as perps (trade.of). Keeps nothing. Money wad; the forward is that of the
        valuation, the mark of the expiry's feed. Twins: novate/model/fees.py, model/settlement.py.
"""

from interfaces import IClearinghouse
from interfaces import IOptions
from lib import errors
from lib import option_id
from lib import units
import order
import trade

INSTRUMENTS_MAX: constant(uint256) = 16
DATED: constant(uint256) = 19  # the bit of a number that tells dated instruments
# where the kind stands in terms, and the bit of it that futures (2) and options alone have
KIND: constant(uint256) = 248
KIND_DATED: constant(uint256) = 2
KIND_OPTION: constant(uint256) = 3
# of an instrument: its underlying and expiry slot
PLACE: constant(uint256) = 255 << option_id.SLOT_SHIFT
# of terms: lot size; underlying, feed and kind
KEPT_TERMS: constant(uint256) = order.M64 | ((2**24 - 1) << 232)
M88: constant(uint256) = 2**88 - 1
EXPIRY: constant(uint256) = 152  # where terms have theirs


@internal
@pure
def is_among(instruments: DynArray[uint256, INSTRUMENTS_MAX]) -> bool:
    """@notice Whether there is a dated instrument among these, which ascend: it is last then."""
    if len(instruments) == 0:
        return False
    return instruments[unsafe_sub(len(instruments), 1)] >> DATED != 0  # not empty


@internal
@view
def with_expiries(
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    terms: uint256[INSTRUMENTS_MAX],
    clearinghouse: IClearinghouse,
) -> uint256[INSTRUMENTS_MAX]:
    """
    @notice The terms, those of dated instruments with [forward, wad 88 | expiry 40] from bit 64 up
            in place of tick and caps, which nobody asks for beside them.
    """
    found: uint256[INSTRUMENTS_MAX] = terms
    options: IOptions = IOptions(staticcall clearinghouse.options())
    last: uint256 = max_value(uint256)
    shared: uint256 = 0
    for i: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        if (terms[i] >> KIND) & KIND_DATED != 0:
            if instruments[i] & PLACE != last:  # what has one expiry mostly stands side by side
                last = instruments[i] & PLACE
                expiry: uint256 = 0
                mark: uint256 = 0
                expiry, mark = staticcall options.expiry_of(
                    option_id.underlying(last), option_id.slot(last)
                )
                # 83 bits
                shared = (unsafe_mul(mark, units.ORACLE_UNIT) << 64) | (expiry << EXPIRY)
            found[i] = (terms[i] & KEPT_TERMS) | shared
    return found


@internal
@pure
def of(
    free: uint256[2],
    fill: uint256,
    taker: uint256,
    maker: uint256,
    order_taker: uint256[4],
    order_maker: uint256[4],
    terms: uint256,
    settings: uint256,
) -> uint256[2]:
    """
    @notice The trade of a fill in a batch with dated instruments, or the code that bars it, given
            what `trade.of` says where nothing is paid; `terms` as `with_expiries` has them.
    """
    if free[0] < trade.LEAST:
        return free
    pair: uint256[2] = free
    if terms >> KIND != KIND_OPTION:  # perps and futures pay alike
        pair = trade.of(fill, taker, maker, order_taker[1], order_maker[1], terms, settings)
        if (terms >> KIND) & KIND_DATED == 0:
            return pair
    until: uint256 = (order_taker[0] >> order.EXPIRY) & order.M40
    until = max(until, (order_maker[0] >> order.EXPIRY) & order.M40)
    if until > (terms >> EXPIRY) & order.M40:
        pair[0] = convert(errors.OutlivesInstrument, uint256)
    elif terms >> KIND == KIND_OPTION:
        lots: uint256 = (fill >> trade.LOTS) & order.M44
        size: uint256 = unsafe_mul(lots, terms & order.M64)  # 44 + 64 bits
        # a share of the underlying, at most one of the premium: a forward has 83 bits, a rate 16; a
        # price 128, a cap below 2**12; with 100 and a size below 2**255
        share: uint256 = unsafe_mul((terms >> 64) & M88, (settings >> 64) & order.M16)
        cap: uint256 = unsafe_mul(fill >> trade.PRICE, (settings >> 80) & order.M16)
        share = min(share, unsafe_mul(cap, 100))  # bp as ppm
        fee: uint256 = units.div_up(unsafe_mul(size, share), trade.FEE_UNIT)
        # a maximum takes 128 + 44 bits
        most: uint256 = unsafe_mul(min(order_taker[1] >> 128, order_maker[1] >> 128), lots)
        pair[1] = fee | (fee << 128)
        # below 2**207 and 2**172: what is negative wraps
        if (fee >> trade.FEE_BITS) | (unsafe_sub(most, fee) >> 255) != 0:
            pair[0] = convert(errors.FeeAboveMax, uint256)
    return pair
