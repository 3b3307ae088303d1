# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Expiry: positions of an expiry that has its settlement print are paid and closed
        (docs/SPEC.md §5; twin of novate/model/expiry.py)
@notice Anyone, any accounts, any number of times; also accounts in auction. Prices in oracle units
        of 1e8 wei a base unit, money in wad. Exact: a lot is at least 1e10 wei. A payout enters the
        variation and is swept: a gain matures like any other, a loss leaves cash at once.
"""

from interfaces import IRiskModel
from lib import option_id
import ledger

uses: ledger

event ExpirySettled:
    underlying: indexed(uint256)
    slot: indexed(uint256)
    account: indexed(bytes32)
    amount: int256

ACCOUNTS_MAX: constant(uint256) = 32
STRIKES_MAX: constant(uint256) = 32
# of a lane [lots 44 | instrument 20]: dated bit, underlying and slot of its instrument
SERIES_SHIFT: constant(uint256) = 44 + option_id.SLOT_SHIFT
M9: constant(uint256) = 2**9 - 1
M20: constant(uint256) = 2**20 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
LOTS_OFFSET: constant(int256) = 2**43

# What a lot of each instrument of an expiry pays
struct Settlement:
    series: uint256                               # dated 1 | underlying 4 | slot 4
    price: uint256                                # oracle units
    scale: uint256                                # wad a lot of an oracle unit
    strikes: DynArray[uint256, STRIKES_MAX]

# What became of one account's positions
struct Closed:
    words: DynArray[uint256, 32]                  # those that stay
    count: uint256
    amount: int256                                # what the closed ones pay, wad
    long: int256                                  # Σ positive lots of the closed ones
    short: int256                                 # Σ lots of the others, as a positive number


@external
def settle_expiry(
    accounts: DynArray[bytes32, ACCOUNTS_MAX], underlying: uint256, slot: uint256
):
    """
    @notice Anyone: pay and close all positions of an expiry that these accounts hold.
    @custom:errors UnknownInstrument, ExpiryNotReached, MissingPrint
    """
    settlement: Settlement = empty(Settlement)
    expiry: uint256 = 0
    exponent: uint256 = 0
    settlement.price, expiry, exponent, settlement.strikes = staticcall ledger.options.settlement(
        underlying, slot
    )
    # Options knows underlying and slot, so both are below 16; a lot of 1e10 to 1e19 wei
    settlement.series = option_id.call_id(underlying, slot, 0) >> option_id.SLOT_SHIFT
    settlement.scale = 10 ** (exponent - 10)
    long: int256 = 0
    short: int256 = 0
    for account: bytes32 in accounts:
        closed: int256[2] = self._settle(account, settlement, underlying, slot)
        long += closed[0]
        short += closed[1]
    # of an expiry is open what one side or the other still holds, so that its slot is not taken
    # over before both are settled
    before: int256 = ledger.unpaired[settlement.series & 255]
    paired: int256 = min(long + max(before, 0), short + max(-before, 0))
    if long != short:
        ledger.unpaired[settlement.series & 255] = before + long - short
    if paired != 0:
        extcall ledger.options.close_interest(underlying, slot, convert(paired, uint256))


@internal
def _settle(
    account: bytes32, settlement: Settlement, underlying: uint256, slot: uint256
) -> int256[2]:
    """@notice Close one account's positions of the expiry; returns its long and its short lots."""
    count: uint256 = (ledger.rows[account][0] >> 240) & 255
    words: DynArray[uint256, 32] = ledger._words(account, count)
    closed: Closed = self._close(words, count, settlement)
    if closed.count == count:
        return [0, 0]
    row: ledger.Row = ledger._load(account)
    value: IRiskModel.Valuation = ledger._evaluate(closed.words)
    row.variation += closed.amount
    row = ledger._sweep(row, value.value_linear)
    ledger._store_words(account, closed.words, count)
    ledger._commit(account, row, closed.count)
    log ExpirySettled(underlying=underlying, slot=slot, account=account, amount=closed.amount)
    return [closed.long, closed.short]


@internal
@pure
def _close(words: DynArray[uint256, 32], count: uint256, settlement: Settlement) -> Closed:
    """@notice Take the positions of the expiry out; what stays keeps its order."""
    closed: Closed = empty(Closed)
    kept: uint256 = 0                             # the word being filled
    left: uint256 = count
    for word: uint256 in words:
        rest: uint256 = word
        for _: uint256 in range(4):
            if left == 0:
                break
            left = unsafe_sub(left, 1)            # above zero
            if (rest >> SERIES_SHIFT) & M9 == settlement.series:
                # 44 bits: the difference stays within +-2**43
                lots: int256 = unsafe_sub(
                    convert(convert(rest & M44, bytes32), int256), LOTS_OFFSET
                )
                paid: uint256 = settlement.price
                instrument: uint256 = (rest >> 44) & M20
                if not option_id.is_future(instrument):
                    strike: uint256 = settlement.strikes[option_id.strike_index(instrument)]
                    paid = self._payoff(paid, strike, option_id.is_put(instrument))
                paid *= settlement.scale
                # lots below 2**43 times a price of 56 bits and a scale below 2**30
                amount: int256 = unsafe_mul(lots, convert(convert(paid, bytes32), int256))
                closed.amount += amount
                if lots > 0:
                    closed.long = unsafe_add(closed.long, lots)  # 128 times 43 bits, as below
                else:
                    closed.short = unsafe_sub(closed.short, lots)
            else:
                kept |= (rest & M64) << ((closed.count & 3) << 6)
                closed.count = unsafe_add(closed.count, 1)  # at most 128
                if closed.count & 3 == 0:
                    closed.words.append(kept)
                    kept = 0
            rest = rest >> 64
    if closed.count & 3 != 0:
        closed.words.append(kept)
    return closed


@internal
@pure
def _payoff(price: uint256, strike: uint256, is_put: bool) -> uint256:
    """@notice What an option is in the money by, oracle units a base unit."""
    if is_put:
        return unsafe_sub(max(strike, price), price)  # at least zero, as below
    return unsafe_sub(max(price, strike), strike)
