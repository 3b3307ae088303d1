# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Every movement of the ledger that is not a trade (docs/SPEC.md §5, §8; twin of
        novate/model/ledger.py)
@notice Custody credits and debits, anyone sweeps, the auctioneer moves slices.
"""

from interfaces import IClearinghouse
from interfaces import IRiskModel
from lib import errors
from lib import positions
from lib import units
import ledger

uses: ledger

ACCOUNTS_MAX: constant(uint256) = 32
KIND_SPOT: constant(uint256) = 4
NUMBER_INSURANCE: constant(uint256) = 2
M44: constant(uint256) = 2**44 - 1
# of packed positions: the four instruments, and no lots in any
INSTRUMENTS: constant(uint256) = (2**20 - 1) * (2**44 + 2**108 + 2**172 + 2**236)
ZERO_LOTS: constant(uint256) = 2**43 + 2**107 + 2**171 + 2**235

# of the slice at hand: dated instruments and by how many lots their open interest changes
moves: transient(int256[2][128])
moves_count: transient(uint256)


@external
def credit(account: bytes32, instrument: uint256, amount: uint256):
    """@notice Custody only: cash in wad (instrument 0), or whole lots of a spot instrument."""
    errors.require(msg.sender == ledger.custody, errors.NotAuthorized)
    if instrument == 0:
        ledger._add_cash(account, amount)
        return
    row: ledger.Row = ledger._load(account)
    words: DynArray[uint256, 32] = ledger._words(account, row.count)
    count: uint256 = row.count
    words, count = self._move_spot(words, count, instrument, convert(amount, int256))
    ledger._store_words(account, words, row.count)
    ledger._commit(account, row, count)


@internal
def _move_spot(
    words: DynArray[uint256, 32], count: uint256, instrument: uint256, change: int256
) -> (DynArray[uint256, 32], uint256):
    """@notice Change a spot position and the lots outstanding; the cap stops increases only."""
    terms: uint256 = ledger.books[instrument][0]
    errors.require(terms >> 248 == KIND_SPOT, errors.UnknownInstrument)
    w: DynArray[uint256, 32] = []
    n: uint256 = 0
    held: int256 = 0
    code: bytes4 = ledger.NO_ERROR
    w, n, held, code = positions.change(words, count, instrument, change)
    errors.require(code == ledger.NO_ERROR, code)
    errors.require(held + change >= 0, errors.InsufficientCash)
    ledger._move_interest(instrument, change)
    within: bool = change < 0 or ledger.books[instrument][1] & M44 <= (terms >> 144) & M44
    errors.require(within, errors.OpenInterestCap)
    return w, n


@external
def debit(account: bytes32, instrument: uint256, amount: uint256):
    """
    @notice Custody only: free collateral, judged at initial margin and the worst prices; cash stays
            at or above zero.
    """
    errors.require(msg.sender == ledger.custody, errors.NotAuthorized)
    row: ledger.Row = ledger._load(account)
    errors.require(row.flags & ledger.FLAG_IN_AUCTION == 0, errors.InAuction)
    words: DynArray[uint256, 32] = ledger._words(account, row.count)
    count: uint256 = row.count
    if instrument == 0:
        row.cash -= convert(amount, int256)
    else:
        words, count = self._move_spot(words, count, instrument, -convert(amount, int256))
        ledger._store_words(account, words, row.count)
    value: IRiskModel.Valuation = ledger._evaluate(words)
    row = ledger._sweep(row, value.value_linear)
    errors.require(row.cash >= 0, errors.InsufficientCash)
    errors.require(value.flags & ledger.FLAG_STALE == 0, errors.StalePrice)
    errors.require(value.flags & ledger.FLAG_GRACE == 0, errors.RestartGrace)
    worst: int256 = ledger._equity(row, value) - convert(value.penalty, int256)
    errors.require(worst >= convert(value.margin_initial, int256), errors.InsufficientMargin)
    ledger._commit(account, row, count)


@external
def sweep(accounts: DynArray[bytes32, ACCOUNTS_MAX]):
    """@notice Anyone: settle the variation of accounts into cash and gains."""
    for account: bytes32 in accounts:
        row: ledger.Row = ledger._load(account)
        value: IRiskModel.Valuation = ledger._evaluate(ledger._words(account, row.count))
        row = ledger._sweep(row, value.value_linear)
        ledger._commit(account, row, row.count)


@external
def check(account: bytes32) -> IClearinghouse.Check:
    """
    @notice Equity and valuation of an account now; writes nothing but the transient row cache.
    """
    row: ledger.Row = ledger._load(account)
    words: DynArray[uint256, 32] = ledger._words(account, row.count)
    # a bid follows, as like as not
    value: IRiskModel.Valuation = ledger._evaluate(words, True)
    return self._check(row, row.count, value)


@internal
@view
def _check(
    row: ledger.Row, count: uint256, valuation: IRiskModel.Valuation
) -> IClearinghouse.Check:
    return IClearinghouse.Check(
        equity=ledger._equity(row, valuation),
        cash=row.cash,
        positions=count,
        in_auction=row.flags & ledger.FLAG_IN_AUCTION != 0,
        valuation=valuation,
    )


@external
def set_in_auction(account: bytes32, enabled: bool):
    """@notice Auctioneer only: an account in auction may only deposit and be liquidated."""
    errors.require(msg.sender == ledger.auctioneer, errors.NotAuthorized)
    first: uint256 = ledger.rows[account][0]
    flag: uint256 = ledger.FLAG_IN_AUCTION << 248
    ledger.rows[account][0] = (first | flag) if enabled else (first & ~flag)


@external
def transfer_slice(
    account: bytes32, bidder: bytes32, fraction_ppm: uint256, reward: uint256, fee: uint256
) -> IClearinghouse.Check:
    """
    @notice Auctioneer only: move a fraction of every position at mark; the account pays reward to
            the bidder, fee to insurance.
    @dev Lots round away from zero: the bidder takes more, never less. The bidder passes the gate.
    """
    errors.require(msg.sender == ledger.auctioneer, errors.NotAuthorized)
    errors.require(fraction_ppm > 0 and fraction_ppm <= units.PPM, errors.BadFraction)
    same_owner: bool = convert(account, uint256) >> 96 == convert(bidder, uint256) >> 96
    errors.require(not same_owner, errors.OwnAccount)
    row: ledger.Row = ledger._load(account)
    other: ledger.Row = ledger._load(bidder)
    errors.require(other.flags & ledger.FLAG_IN_AUCTION == 0, errors.InAuction)
    words: DynArray[uint256, 32] = ledger._words(account, row.count)
    value: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    left: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    held: IRiskModel.Valuation = empty(IRiskModel.Valuation)
    before: ledger.Row = other
    count: uint256 = row.count
    count_taken: uint256 = row.count
    stays: DynArray[uint256, 32] = []
    taken: DynArray[uint256, 32] = []
    if other.count == 0:
        stays, taken = self._share(words, fraction_ppm)
    known: bool = False
    if len(stays) != 0:
        whole: bytes32 = keccak256(abi_encode(words))
        known, left, held = extcall ledger.risk_model.evaluate_slice(whole, taken)
    else:
        if other.count != 0:
            value = ledger._evaluate(words)
        stays, count, taken, count_taken = self._slice(
            words, row.count, bidder, other.count, fraction_ppm
        )
    if not known:
        left = ledger._evaluate(stays)
        held = ledger._evaluate(taken)
        self._move_dated()
    if other.count == 0:
        # values are linear in lots, and each lot is now with one of the two
        value.value_linear = left.value_linear + held.value_linear
        value.value_spot = left.value_spot + held.value_spot
    row = ledger._sweep(row, value.value_linear)
    linear: int256 = value.value_linear - left.value_linear
    paid: int256 = convert(reward, int256)
    spot: int256 = value.value_spot - left.value_spot
    row.cash += spot - paid - convert(fee, int256)
    row.variation += linear
    other.cash += paid - spot
    other.variation -= linear
    # a stale feed widens its confidence but does not stop a liquidation
    equity: int256 = ledger._equity(other, held)
    passes: bool = ledger._passes(bidder, before, equity, held, ledger.FLAG_GRACE)
    errors.require(passes, errors.InsufficientMargin)
    self._put(account, stays, row.count, known)
    self._put(bidder, taken, other.count, known)
    after: IClearinghouse.Check = self._check(row, count, left)
    if after.equity >= convert(left.margin_maintenance, int256):
        # healthy again: the auction is over
        after.in_auction = False
        row.flags &= ledger.FLAG_SECOND_SLOT
    ledger._commit(account, row, count)
    ledger._commit(bidder, other, count_taken)
    if fee != 0:
        ledger._add_cash(ledger._layer(NUMBER_INSURANCE), fee)
    return after


@internal
def _put(account: bytes32, words: DynArray[uint256, 32], count_stored: uint256, all: bool):
    """@notice Store the words of one side of a slice; where lanes stayed in place all changed."""
    if all:
        ledger._write_words(account, words)
    else:
        ledger._store_words(account, words, count_stored)


@internal
@pure
def _share(
    words: DynArray[uint256, 32], fraction_ppm: uint256
) -> (DynArray[uint256, 32], DynArray[uint256, 32]):
    """
    @notice The positions that stay, and those a bidder without any takes, lane by lane. If some
            close, nothing: `_slice` knows how lanes move.
    """
    # a fraction is at most a million
    kept_ppm: int256 = unsafe_sub(1_000_000, convert(convert(fraction_ppm, bytes32), int256))
    stays: DynArray[uint256, 32] = []
    taken: DynArray[uint256, 32] = []
    for word: uint256 in words:
        rest: uint256 = word
        # signed lots that stay, by lane; what leaves a lane never makes its lots less than nothing
        kept: int256 = 0
        offset: uint256 = 0
        for _: uint256 in range(4):
            if rest == 0:
                break
            # 44 bits; what stays is rounded towards zero, so what leaves away from it
            lots: int256 = unsafe_div(
                unsafe_mul(
                    unsafe_sub(
                        convert(convert(rest & M44, bytes32), int256), positions.LOTS_OFFSET
                    ),
                    kept_ppm,
                ),
                1_000_000,
            )
            if lots == 0:
                return [], []
            kept = unsafe_add(kept, lots << offset)
            rest = rest >> 64
            offset = unsafe_add(offset, 64)
        left: uint256 = convert(convert(kept, bytes32), uint256)
        # none in lanes without a position; an offset is at most 256
        zeros: uint256 = ZERO_LOTS & (max_value(uint256) >> unsafe_sub(256, offset))
        stays.append(unsafe_add((word & INSTRUMENTS) | zeros, left))
        taken.append(unsafe_sub(word, left))
    return stays, taken


@internal
@pure
def _part(lots: int256, fraction_ppm: uint256) -> int256:
    """@notice The fraction of a position, rounded away from zero."""
    # |lots| < 2**43, a fraction of 20 bits
    part: int256 = unsafe_mul(lots, convert(convert(fraction_ppm, bytes32), int256))
    if part < 0:
        return unsafe_div(unsafe_sub(part, 999_999), 1_000_000)
    return unsafe_div(unsafe_add(part, 999_999), 1_000_000)


@internal
def _slice(
    words: DynArray[uint256, 32],
    count: uint256,
    bidder: bytes32,
    count_bidder: uint256,
    fraction_ppm: uint256,
) -> (DynArray[uint256, 32], uint256, DynArray[uint256, 32], uint256):
    """
    @notice Both portfolios after the slice; open interest follows where the bidder held the other
            side: of perps here, of dated instruments by `_move_dated`.
    """
    row: DynArray[uint256, 32] = words
    other: DynArray[uint256, 32] = ledger._words(bidder, count_bidder)
    n: uint256 = count
    m: uint256 = count_bidder
    for lane: uint256 in range(count, bound=128):
        x: uint256 = words[lane >> 2] >> ((lane & 3) << 6)
        # 44 bits
        lots: int256 = unsafe_sub(convert(convert(x & M44, bytes32), int256), positions.LOTS_OFFSET)
        instrument: uint256 = (x >> 44) & 1048575
        moved: int256 = self._part(lots, fraction_ppm)
        held: int256 = 0
        code: bytes4 = ledger.NO_ERROR
        if n == count and moved != lots:
            # no lane of the account has closed yet, so this one is where it was; fewer lots of the
            # same sign fit it
            row[lane >> 2] ^= unsafe_mul(
                (x & M44) ^ convert(
                    unsafe_add(unsafe_sub(lots, moved), positions.LOTS_OFFSET), uint256
                ),
                1 << ((lane & 3) << 6),
            )
        else:
            row, n, held, code = positions.change(row, n, instrument, -moved)
            errors.require(code == ledger.NO_ERROR, code)
        if count_bidder == 0:
            # the bidder takes the account's own, distinct instruments: each is the next free lane,
            # |moved| <= |lots|
            content: uint256 = (instrument << 44) | convert(
                unsafe_add(moved, positions.LOTS_OFFSET), uint256
            )
            if m & 3 == 0:
                other.append(content)
            else:
                other[m >> 2] |= content << ((m & 3) << 6)
            m = unsafe_add(m, 1)  # at most 128
        else:
            other, m, held, code = positions.change(other, m, instrument, moved)
            errors.require(code == ledger.NO_ERROR, code)
            opened: int256 = max(lots - moved, 0) + max(held + moved, 0)
            opened -= max(lots, 0) + max(held, 0)
            if opened != 0 and instrument >> 19 == 1:
                self.moves[self.moves_count] = [convert(instrument, int256), opened]
                self.moves_count += 1
            elif opened != 0:
                # a perp, as spot is held long only: its funding accrues before a change (rule 2)
                market: uint256 = 0
                mark: uint256 = 0
                market, mark = ledger._accrue(instrument)
                ledger._move_interest(instrument, opened)
    return row, n, other, m


@internal
def _move_dated():
    """
    @notice Open interest of the dated instruments of a slice: once all is valued, since what an
            expiry is charged follows.
    """
    for i: uint256 in range(self.moves_count, bound=128):
        ledger._move_interest(convert(self.moves[i][0], uint256), self.moves[i][1])
    if self.moves_count != 0:
        self.moves_count = 0
