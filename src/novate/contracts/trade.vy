# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Trades: what two orders allow, and the words the Clearinghouse takes (docs/SPEC.md §5, §6)
@notice Pure over packed words. A fill is [taker order 8 | maker order 8 | lots 44 | price 128]. The
        state of an order in its batch is its code (32 bits) if the order is barred, else its word 0
        (order.vy) with lots left (44) from bit LEFT up and marks from bit ADMITTED up in place of
        what no one asks again. Fees and budgets are rounded up, against the account. Holds I05.
        Twin: novate/model/settlement.py.
"""

from lib import errors
from lib import units
import order

LOTS: constant(uint256) = 16
PRICE: constant(uint256) = 60

LEFT: constant(uint256) = 44
LEFT_BITS: constant(uint256) = order.M44 << 44
# revision, instrument, reduce_only, post_only and sell; nonce, immediate and account
KEPT: constant(uint256) = order.M44 | ((2**27 - 1) << 124) | ((2**73 - 1) << 183)
ADMITTED: constant(uint256) = 1 << 153
COUNTED: constant(uint256) = 1 << 154  # an immediate order whose lots a lane counts (fills.vy)
KEYED: constant(uint256) = 1 << 155  # a session key signed (session.vy)
TRADED: constant(uint256) = 1 << 156  # a fill of it went to the Clearinghouse

FEE_BITS: constant(uint256) = 88  # the Clearinghouse takes no more
FEE_UNIT: constant(uint256) = 10**24  # wad * ppm
CENT_WAD: constant(uint256) = 10**34  # wad * wei a cent

# First word of a trade: [taker's account 8 | maker's 8 | instrument 8 | taker buys 1 | taker
# reduces 1 | maker reduces 1 | zero 5 | lots 44 | price 128]. With its lots it is at least this; a
# code is less.
LEAST: constant(uint256) = 1 << 32
TAKER_BUYS: constant(uint256) = 1 << 24
TAKER_REDUCES: constant(uint256) = 2 << 24
MAKER_REDUCES: constant(uint256) = 4 << 24


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
    @notice The trade of a fill; or in its first word the code that bars it by the two orders' own
            terms (states, words 1), of which a fee of at most lots * max_fee is the last.
    """
    lots: uint256 = (fill >> LOTS) & order.M44
    price: uint256 = fill >> PRICE
    # `_code_of` in one test: what may not be set is a bit above 128, and a difference that may not
    # be negative wraps there; none of the others is that long.
    wrong: uint256 = ((taker ^ maker) & (order.SELL | order.INSTRUMENT_BITS)) ^ order.SELL
    wrong |= (taker & order.POST_ONLY) | (~(taker & maker) & ADMITTED) | unsafe_sub(lots, 1)
    given: uint256 = (fill << 28) & LEFT_BITS  # the lots where a state has those left
    wrong |= unsafe_sub(taker & LEFT_BITS, given) | unsafe_sub(maker & LEFT_BITS, given)
    bid: uint256 = limits_taker
    if taker & order.SELL == 0:
        wrong |= unsafe_sub(price, limits_maker & order.M128)
    else:
        bid = limits_maker
        wrong |= unsafe_sub(price, limits_taker & order.M128)
    wrong |= unsafe_sub(bid & order.M128, price)
    if wrong > order.M128:
        ask: uint256 = limits_taker ^ limits_maker ^ bid  # the other one
        return [convert(self._code_of(lots, price, taker, maker, bid, ask), uint256), 0]
    # Notional (wad * wad) takes 44 + 128 + 64 bits, with the rate 16 more, and a quotient by
    # FEE_UNIT 80 fewer; a maximum takes 128 + 44: nothing overflows, and a difference wraps above.
    notional: uint256 = unsafe_mul(unsafe_mul(lots, price), terms & order.M64)
    fee_taker: uint256 = unsafe_mul(notional, settings & order.M16)
    fee_maker: uint256 = unsafe_mul(notional, (settings >> 16) & order.M16)
    fee_taker = unsafe_div(unsafe_add(fee_taker, FEE_UNIT - 1), FEE_UNIT)  # up; 80 bits more fit
    fee_maker = unsafe_div(unsafe_add(fee_maker, FEE_UNIT - 1), FEE_UNIT)
    wrong = unsafe_sub(unsafe_mul(limits_taker >> 128, lots), fee_taker)
    wrong |= unsafe_sub(unsafe_mul(limits_maker >> 128, lots), fee_maker)
    if ((fee_taker | fee_maker) >> FEE_BITS) | (wrong >> 255) != 0:
        return [convert(errors.FeeAboveMax, uint256), 0]
    # each field moved to its place; lots and price stand side by side in a fill and in a trade
    word: uint256 = (taker >> order.ACCOUNT) | ((maker >> 240) & (255 << 8))
    word |= ((taker >> 124) & (255 << 16)) | ((~taker >> 126) & TAKER_BUYS)
    word |= ((taker >> 123) & TAKER_REDUCES) | ((maker >> 122) & MAKER_REDUCES)
    return [word | ((fill >> LOTS) << 32), fee_taker | (fee_maker << 128)]


@internal
@pure
def _code_of(
    lots: uint256, price: uint256, taker: uint256, maker: uint256, bid: uint256, ask: uint256
) -> bytes4:
    """@notice Which of its orders' terms bars a fill: the first in the order of the rules."""
    if taker & ADMITTED == 0:
        return convert(convert(taker, uint32), bytes4)
    if maker & ADMITTED == 0:
        return convert(convert(maker, uint32), bytes4)
    if lots == 0:
        return errors.ZeroLots
    if (taker ^ maker) & order.SELL == 0:
        return errors.SameSide
    if (taker ^ maker) & order.INSTRUMENT_BITS != 0:
        return errors.InstrumentMismatch
    if taker & order.POST_ONLY != 0:
        return errors.PostOnly
    if price > bid & order.M128 or price < ask & order.M128:
        return errors.LimitPrice
    return errors.OverFilled


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
def log_word(word: uint256, instrument: uint256, sequence: uint256) -> uint256:
    """@notice Of a trade: [sequence 64 | instrument 20 | taker's lots, signed 44 | price 128]."""
    lots_and_price: uint256 = word >> 32
    if word & TAKER_BUYS == 0:
        # 2**44 - 2 * lots more make the lots' two's complement; 1 <= lots < 2**43, so neither wraps
        lots_and_price = unsafe_add(
            lots_and_price, unsafe_sub(2**44, (lots_and_price & order.M44) << 1)
        )
    return (sequence & order.M64) | (instrument << 64) | (lots_and_price << 84)


@internal
@pure
def next(bitmap: uint256, start: uint256) -> uint256:
    """@notice The least set bit from `start` on; there is one."""
    for i: uint256 in range(start, 256, bound=256):
        if (bitmap >> i) & 1 == 1:
            return i
    return 255


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
