# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Every movement of the ledger that is not a trade (docs/SPEC.md §5, §8; twin of
        novate/model/ledger.py)
@notice Custody credits and debits, anyone sweeps, the auctioneer moves slices, the waterfall moves
        its own cash and cuts gains.
"""

from interfaces import IClearinghouse
from interfaces import IRiskModel
from lib import errors
from lib import units
import ledger

uses: ledger

event SliceTransferred:
    account: indexed(bytes32)
    bidder: indexed(bytes32)
    fraction_ppm: uint256
    reward: uint256
    fee: uint256

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

ACCOUNTS_MAX: constant(uint256) = 32
KIND_SPOT: constant(uint256) = 4
NUMBER_INSURANCE: constant(uint256) = 2
NUMBER_RESERVES: constant(uint256) = 4
INSURANCE_SHARE_PPM: constant(uint256) = 200_000
# cuts leave at least 1 % of an epoch, so that its shares fit 64 bits
SCALE_MIN: constant(uint256) = 10**16
CUT_DUST: constant(uint256) = 10**9
M44: constant(uint256) = 2**44 - 1
M96: constant(uint256) = 2**96 - 1
M128: constant(uint256) = 2**128 - 1


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
    w, n, held = self._change(words, count, instrument, change)
    errors.require(held + change >= 0, errors.InsufficientCash)
    ledger._move_interest(instrument, change)
    within: bool = change < 0 or ledger.books[instrument][1] >> 208 <= (terms >> 144) & M44
    errors.require(within, errors.OpenInterestCap)
    return w, n


@internal
@pure
def _change(
    words: DynArray[uint256, 32], count: uint256, instrument: uint256, change: int256
) -> (DynArray[uint256, 32], uint256, int256):
    """
    @notice Add lots to a position, or reject what does not fit; returns the lots held before as
            well.
    """
    w: DynArray[uint256, 32] = []
    n: uint256 = 0
    held: int256 = 0
    code: bytes4 = ledger.NO_ERROR
    w, n, held, code = ledger._apply(words, count, instrument, change)
    errors.require(code == ledger.NO_ERROR, code)
    return w, n, held


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
    value: IRiskModel.Valuation = ledger._evaluate(ledger._words(account, row.count))
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
    second: uint256 = ledger.rows[account][1]
    flag: uint256 = ledger.FLAG_IN_AUCTION << 232
    ledger.rows[account][1] = (second | flag) if enabled else (second & ~flag)


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
    value: IRiskModel.Valuation = ledger._evaluate(words)
    row = ledger._sweep(row, value.value_linear)
    before: ledger.Row = other
    count: uint256 = 0
    taken: DynArray[uint256, 32] = []
    count_taken: uint256 = 0
    words, count, taken, count_taken = self._slice(
        words, row.count, ledger._words(bidder, other.count), other.count, fraction_ppm
    )
    left: IRiskModel.Valuation = ledger._evaluate(words)
    linear: int256 = value.value_linear - left.value_linear
    paid: int256 = convert(reward, int256)
    spot: int256 = value.value_spot - left.value_spot
    row.cash += spot - paid - convert(fee, int256)
    row.variation += linear
    other.cash += paid - spot
    other.variation -= linear
    held: IRiskModel.Valuation = ledger._evaluate(taken)
    # a stale feed widens its confidence but does not stop a liquidation
    equity: int256 = ledger._equity(other, held)
    passes: bool = ledger._passes(bidder, before, equity, held, ledger.FLAG_GRACE)
    errors.require(passes, errors.InsufficientMargin)
    ledger._store_words(account, words, row.count)
    ledger._store_words(bidder, taken, other.count)
    ledger._commit(account, row, count)
    ledger._commit(bidder, other, count_taken)
    if fee != 0:
        ledger._add_cash(self._layer(NUMBER_INSURANCE), fee)
    log SliceTransferred(
        account=account, bidder=bidder, fraction_ppm=fraction_ppm, reward=reward, fee=fee
    )
    return self._check(row, count, left)


@internal
def _slice(
    words: DynArray[uint256, 32],
    count: uint256,
    words_bidder: DynArray[uint256, 32],
    count_bidder: uint256,
    fraction_ppm: uint256,
) -> (DynArray[uint256, 32], uint256, DynArray[uint256, 32], uint256):
    """
    @notice Both portfolios after the slice; open interest follows where the bidder held the other
            side.
    """
    row: DynArray[uint256, 32] = words
    other: DynArray[uint256, 32] = words_bidder
    n: uint256 = count
    m: uint256 = count_bidder
    for lane: uint256 in range(count, bound=128):
        x: uint256 = words[lane >> 2] >> ((lane & 3) << 6)
        lots: int256 = convert(x & M44, int256) - ledger.LOTS_OFFSET
        instrument: uint256 = (x >> 44) & 1048575
        moved: int256 = convert(units.ppm_up(units.magnitude(lots), fraction_ppm), int256)
        if lots < 0:
            moved = -moved
        held: int256 = 0
        if n == count and moved != lots:
            # no lane of the account has closed yet, so this one is where it was; fewer lots of the
            # same sign fit it
            row[lane >> 2] ^= unsafe_mul(
                (x & M44) ^ convert(
                    unsafe_add(unsafe_sub(lots, moved), ledger.LOTS_OFFSET), uint256
                ),
                1 << ((lane & 3) << 6),
            )
        else:
            row, n, held = self._change(row, n, instrument, -moved)
        if count_bidder == 0:
            # the bidder takes the account's own, distinct instruments: each is the next free lane,
            # |moved| <= |lots|
            content: uint256 = (instrument << 44) | convert(
                unsafe_add(moved, ledger.LOTS_OFFSET), uint256
            )
            if m & 3 == 0:
                other.append(content)
            else:
                other[m >> 2] |= content << ((m & 3) << 6)
            m = unsafe_add(m, 1)  # at most 128
        else:
            other, m, held = self._change(other, m, instrument, moved)
        opened: int256 = max(lots - moved, 0) + max(held + moved, 0) - max(lots, 0) - max(held, 0)
        if opened != 0:
            ledger._move_interest(instrument, opened)
    return row, n, other, m


@internal
@view
def _layer(number: uint256) -> bytes32:
    """@notice A ledger account owned by the waterfall."""
    return convert((convert(ledger.waterfall, uint256) << 96) | number, bytes32)


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
    ledger._add_cash(self._layer(NUMBER_INSURANCE), insurance)
    ledger._add_cash(self._layer(NUMBER_RESERVES), fees - insurance)
    log FeesDistributed(insurance=insurance, reserves=fees - insurance)
    return fees
