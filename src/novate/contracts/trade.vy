# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Trades: what two orders allow, and the words the Clearinghouse takes (docs/SPEC.md §5, §6)
@notice Pure over packed words. A fill is [taker order 8 | maker order 8 | lots 44 | price 128]. The
        state of an order in its batch is its code (32 bits) if the order is barred, else
        [lots left 44 | account 8 | instrument 8 | reduce_only 1 | post_only 1 | sell 1 |
        counted 1 (fills.vy) | zero 31 | session key 160 | ADMITTED 1]. Fees and budgets are rounded
        up, against the account. Holds I05. Twin: novate/model/settlement.py.
"""

from lib import errors
from lib import units
import order

LOTS: constant(uint256) = 16
PRICE: constant(uint256) = 60

ACCOUNT: constant(uint256) = 44
INSTRUMENT: constant(uint256) = 52
INSTRUMENT_BITS: constant(uint256) = 255 << 52
TERMS_BITS: constant(uint256) = (2**11 - 1) << 52
REDUCE_ONLY: constant(uint256) = 1 << 60
POST_ONLY: constant(uint256) = 1 << 61
SELL: constant(uint256) = 1 << 62
KEY: constant(uint256) = 95
KEY_BITS: constant(uint256) = (2**160 - 1) << 95
ADMITTED: constant(uint256) = 1 << 255

FEE_UNIT: constant(uint256) = 10**24  # wad * ppm
CENT_WAD: constant(uint256) = 10**34  # wad * wei a cent

# flags of a trade's first word
TAKER_BUYS: constant(uint256) = 1 << 24
TAKER_REDUCES: constant(uint256) = 2 << 24
MAKER_REDUCES: constant(uint256) = 4 << 24


@internal
@pure
def admitted(word: uint256, lots: uint256, key: address) -> uint256:
    """@notice State of an order with `lots` left, signed by a session key or (zero) its owner."""
    # an order's word holds instrument, reduce_only, post_only and sell side by side, 88 bits higher
    state: uint256 = lots | ((word >> order.ACCOUNT) << ACCOUNT) | ((word >> 88) & TERMS_BITS)
    return state | (convert(key, uint256) << KEY) | ADMITTED


@internal
@pure
def code_of(
    fill: uint256, taker: uint256, maker: uint256, limits_taker: uint256, limits_maker: uint256
) -> bytes4:
    """@notice What bars the fill by the two orders' own terms (states, words 1), or none."""
    if taker & maker & ADMITTED == 0:
        barred: uint256 = taker
        if taker & ADMITTED != 0:
            barred = maker
        return convert(convert(barred, uint32), bytes4)
    lots: uint256 = (fill >> LOTS) & order.M44
    if lots == 0:
        return errors.ZeroLots
    if (taker ^ maker) & SELL == 0:
        return errors.SameSide
    if (taker ^ maker) & INSTRUMENT_BITS != 0:
        return errors.InstrumentMismatch
    if taker & POST_ONLY != 0:
        return errors.PostOnly
    bid: uint256 = limits_taker
    ask: uint256 = limits_maker
    if taker & SELL != 0:
        bid = limits_maker
        ask = limits_taker
    if fill >> PRICE > bid & order.M128 or fill >> PRICE < ask & order.M128:
        return errors.LimitPrice
    if lots > min(taker & order.M44, maker & order.M44):
        return errors.OverFilled
    return empty(bytes4)


@internal
@pure
def words(
    fill: uint256,
    taker: uint256,
    maker: uint256,
    limits_taker: uint256,
    limits_maker: uint256,
    terms: uint256,
    settings: uint256,
) -> uint256[2]:
    """@notice The trade of a fill that `code_of` passed; zeros if a fee is above lots * max_fee."""
    lots: uint256 = (fill >> LOTS) & order.M44
    # `code_of` held the price to 128 bits. Notional (wad * wad) takes 44 + 128 + 64 bits, with the
    # rate 16 more; a maximum takes 128 + 44: nothing overflows.
    notional: uint256 = unsafe_mul(unsafe_mul(lots, fill >> PRICE), terms & order.M64)
    fee_taker: uint256 = unsafe_mul(notional, settings & order.M16)
    fee_maker: uint256 = unsafe_mul(notional, (settings >> 16) & order.M16)
    fee_taker = unsafe_div(unsafe_add(fee_taker, FEE_UNIT - 1), FEE_UNIT)  # up; 80 bits more fit
    fee_maker = unsafe_div(unsafe_add(fee_maker, FEE_UNIT - 1), FEE_UNIT)
    if (
        fee_taker > min(unsafe_mul(limits_taker >> 128, lots), order.M128)
        or fee_maker > min(unsafe_mul(limits_maker >> 128, lots), order.M128)
    ):
        return [0, 0]
    word: uint256 = (taker >> ACCOUNT) & order.M8
    word |= ((maker >> ACCOUNT) & order.M8) << 8
    word |= ((taker >> INSTRUMENT) & order.M8) << 16
    if taker & SELL == 0:
        word |= TAKER_BUYS
    if taker & REDUCE_ONLY != 0:
        word |= TAKER_REDUCES
    if maker & REDUCE_ONLY != 0:
        word |= MAKER_REDUCES
    # lots and price stand side by side in a fill and in a trade
    return [word | ((fill >> LOTS) << 32), fee_taker | (fee_maker << 128)]


@internal
@pure
def costs(fill: uint256, sells: bool, terms: uint256, mark: uint256) -> (uint256, uint256, uint256):
    """@notice Notional, then taker's and maker's loss against the mark (wad): cents, rounded up."""
    price: uint256 = fill >> PRICE
    size: uint256 = ((fill >> LOTS) & order.M44) * (terms & order.M64)
    notional: uint256 = units.div_up(price * size, CENT_WAD)
    loss: uint256 = units.div_up((max(price, mark) - min(price, mark)) * size, CENT_WAD)
    if (price > mark) != sells:
        return notional, loss, 0
    return notional, 0, loss


@internal
@pure
def key_of(state: uint256) -> address:
    """@notice The session key that signed the order; the zero address if its owner did."""
    return convert((state & KEY_BITS) >> KEY, address)


@internal
@pure
def log_word(fill: uint256, taker: uint256, instrument: uint256, sequence: uint256) -> uint256:
    """@notice [sequence 64 | instrument 20 | taker's lots, signed 44 | price 128]."""
    lots: uint256 = (fill >> LOTS) & order.M44
    if taker & SELL != 0:
        lots = unsafe_sub(2**44, lots)  # two's complement of 1 <= lots < 2**43
    return (sequence & order.M64) | (instrument << 64) | (lots << 84) | ((fill >> PRICE) << 128)


@internal
@pure
def expand(sent: uint256, passed: uint256) -> uint256:
    """@notice Bitmap over fills from the bitmap over those of them that were sent on as trades."""
    if sent & unsafe_add(sent, 1) == 0:  # one less than a power of two, or wraps to zero: all sent
        return passed & sent
    settled: uint256 = 0
    trades: uint256 = passed
    for i: uint256 in range(256):
        if sent >> i == 0:
            break
        if (sent >> i) & 1 == 1:
            settled |= (trades & 1) << i
            trades >>= 1
    return settled
