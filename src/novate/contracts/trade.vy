# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Trades: what two orders allow, and the words the Clearinghouse takes (docs/SPEC.md §5, §6)
@notice Pure over packed words. A fill is [taker order 8 | maker order 8 | lots 44 | price 128]. The
        state of an order in its batch is a code (32 bits) if the order is barred, else
        [lots left 44 | lots at the start 44 | session key 160 | zero 7 | ADMITTED 1].
        Fees and budgets are rounded up, against the account. Holds I05.
        Twin: novate/model/settlement.py.
"""

from lib import errors
from lib import units
import order

# One side of a fill: words 0 and 1 of its order, the order's state, its account.
struct Leg:
    word: uint256
    limits: uint256
    state: uint256
    account: bytes32

LOTS: constant(uint256) = 16
PRICE: constant(uint256) = 60
START: constant(uint256) = 44
KEY: constant(uint256) = 88
KEY_BITS: constant(uint256) = (2**160 - 1) << 88
ADMITTED: constant(uint256) = 1 << 255
FEE_UNIT: constant(uint256) = 10**24   # wad * ppm
CENT_WAD: constant(uint256) = 10**34   # wad * wei a cent

# flags of a trade's first word
TAKER_BUYS: constant(uint256) = 1 << 24
TAKER_REDUCES: constant(uint256) = 2 << 24
MAKER_REDUCES: constant(uint256) = 4 << 24


@internal
@pure
def leg(words: uint256[4], state: uint256, account: bytes32) -> Leg:
    """@notice One side of a fill."""
    return Leg(word=words[0], limits=words[1], state=state, account=account)


@internal
@pure
def take(state: uint256, fill: uint256) -> uint256:
    """@notice The order's state with the fill's lots taken from those left."""
    return unsafe_sub(state, (fill >> LOTS) & order.M44)  # `code_of`: no more than are left


@internal
@pure
def untake(state: uint256, fill: uint256) -> uint256:
    """@notice Undo `take`."""
    return unsafe_add(state, (fill >> LOTS) & order.M44)  # at most what stood there before


@internal
@pure
def taken(state: uint256) -> uint256:
    """@notice Lots of an admitted order taken since the start of the batch; 0 of a barred one."""
    if state & ADMITTED == 0:
        return 0
    return unsafe_sub((state >> START) & order.M44, state & order.M44)  # left only falls


@internal
@pure
def code_of(fill: uint256, taker: Leg, maker: Leg) -> bytes4:
    """@notice What bars the fill by the two orders' own terms, or none."""
    if taker.state & maker.state & ADMITTED == 0:
        barred: uint256 = taker.state
        if barred & ADMITTED != 0:
            barred = maker.state
        return convert(convert(barred, uint32), bytes4)
    lots: uint256 = (fill >> LOTS) & order.M44
    price: uint256 = fill >> PRICE
    crossed: uint256 = taker.word ^ maker.word
    if lots == 0:
        return errors.ZeroLots
    if crossed & order.SELL == 0:
        return errors.SameSide
    if crossed & order.INSTRUMENT_BITS != 0:
        return errors.InstrumentMismatch
    if taker.word & order.POST_ONLY != 0:
        return errors.PostOnly
    bid: uint256 = taker.limits & order.M128
    ask: uint256 = maker.limits & order.M128
    if taker.word & order.SELL != 0:
        bid = maker.limits & order.M128
        ask = taker.limits & order.M128
    if price > bid or price < ask:
        return errors.LimitPrice
    if lots > min(taker.state & order.M44, maker.state & order.M44):
        return errors.OverFilled
    return empty(bytes4)


@internal
@pure
def words(
    fill: uint256, taker: Leg, maker: Leg, terms: uint256, settings: uint256
) -> (bytes4, uint256[2]):
    """@notice The trade of a fill that `code_of` passed; `FeeAboveMax` over lots * max_fee."""
    lots: uint256 = (fill >> LOTS) & order.M44
    # `code_of` held the price to 128 bits. Notional (wad * wad) takes 44 + 128 + 64 bits, with the
    # rate 16 more; a maximum takes 128 + 44: nothing overflows.
    notional: uint256 = unsafe_mul(unsafe_mul(lots, fill >> PRICE), terms & order.M64)
    fee_taker: uint256 = units.div_up(unsafe_mul(notional, settings & order.M16), FEE_UNIT)
    fee_maker: uint256 = units.div_up(unsafe_mul(notional, (settings >> 16) & order.M16), FEE_UNIT)
    if fee_taker > min(unsafe_mul(taker.limits >> 128, lots), order.M128):
        return errors.FeeAboveMax, [0, 0]
    if fee_maker > min(unsafe_mul(maker.limits >> 128, lots), order.M128):
        return errors.FeeAboveMax, [0, 0]
    word: uint256 = (taker.word >> order.ACCOUNT) | ((maker.word >> order.ACCOUNT) << 8)
    word |= ((taker.word >> order.INSTRUMENT) & order.M8) << 16
    if taker.word & order.SELL == 0:
        word |= TAKER_BUYS
    if taker.word & order.REDUCE_ONLY != 0:
        word |= TAKER_REDUCES
    if maker.word & order.REDUCE_ONLY != 0:
        word |= MAKER_REDUCES
    # lots and price stand side by side in a fill and in a trade
    return empty(bytes4), [word | ((fill >> LOTS) << 32), fee_taker | (fee_maker << 128)]


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
def log_word(fill: uint256, taker_word: uint256, instrument: uint256, sequence: uint256) -> uint256:
    """@notice [sequence 64 | instrument 20 | taker's lots, signed 44 | price 128]."""
    lots: uint256 = (fill >> LOTS) & order.M44
    if taker_word & order.SELL != 0:
        lots = unsafe_sub(2**44, lots)  # two's complement of 1 <= lots < 2**43
    return sequence | (instrument << 64) | (lots << 84) | ((fill >> PRICE) << 128)


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
