# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Novation: the clearing house steps between both sides of a batch of trades (docs/SPEC.md §5;
        twin of novate/model/novation.py)
@notice One pass: check each trade, net by account, gate every touched account once, store. An
        account that fails loses all its trades of the batch and the rest is judged again. Nothing
        is stored before every remaining account has passed.
"""

from interfaces import IRiskModel
from lib import errors
from lib import units
import ledger

uses: ledger

event TradeSkipped:
    index: uint256
    code: bytes4

ACCOUNTS_MAX: constant(uint256) = 32
INSTRUMENTS_MAX: constant(uint256) = 16
TRADES_MAX: constant(uint256) = 256
CELLS: constant(uint256) = 512
# each round but the last removes an account or closes an instrument to increases
ROUNDS_MAX: constant(uint256) = 50
KIND_PERP: constant(uint256) = 1
M24: constant(uint256) = 2**24 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M80: constant(uint256) = 2**80 - 1
M128: constant(uint256) = 2**128 - 1

# positions of each touched account once its trades are applied
words_after: transient(uint256[32][ACCOUNTS_MAX])
count_after: transient(uint256[ACCOUNTS_MAX])         # how many positions that is
value_after: transient(int256[ACCOUNTS_MAX])          # linear value of those positions
failure: transient(bytes4[ACCOUNTS_MAX])              # why an account failed its gate
interest_change: transient(int256[INSTRUMENTS_MAX])   # open interest added by the standing trades


@external
def novate(
    accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    trades: DynArray[uint256[2], TRADES_MAX],
) -> uint256:
    """@notice Venues only: settle what can be; bitmap of the settled, an event for each other."""
    errors.require(ledger.venues[msg.sender], errors.NotVenue)
    self._require_ascending(accounts, instruments)
    width: uint256 = len(instruments)
    terms: uint256[INSTRUMENTS_MAX] = empty(uint256[INSTRUMENTS_MAX])
    bands: uint256[INSTRUMENTS_MAX] = empty(uint256[INSTRUMENTS_MAX])
    indices: int256[INSTRUMENTS_MAX] = empty(int256[INSTRUMENTS_MAX])
    for k: uint256 in range(width, bound=INSTRUMENTS_MAX):
        terms[k], bands[k], indices[k] = self._listing(instruments[k])
    skipped: uint256 = 0
    # bit 16: all increases are paused; bit k: instrument k is closed to increases by its cap
    closed: uint256 = 65536 if block.timestamp < ledger.config >> 208 else 0
    for _: uint256 in range(ROUNDS_MAX):
        variation: int256[ACCOUNTS_MAX] = empty(int256[ACCOUNTS_MAX])
        fees: uint256[ACCOUNTS_MAX] = empty(uint256[ACCOUNTS_MAX])
        touched: uint256 = 0
        # lots by account and instrument, row-major, last in the frame: small batches touch little
        lots: int256[CELLS] = empty(int256[CELLS])
        for i: uint256 in range(len(trades), bound=TRADES_MAX):
            if (skipped >> i) & 1 == 1:
                continue
            word: uint256 = trades[i][0]
            taker: uint256 = word & 255
            maker: uint256 = (word >> 8) & 255
            at: uint256 = (word >> 16) & 255
            # indices are below 256 and width at most 16
            cell: uint256 = unsafe_add(unsafe_mul(taker, width), at)
            cell_maker: uint256 = unsafe_add(unsafe_mul(maker, width), at)
            fault: bytes4 = self._fault(
                word, accounts[taker], accounts[maker], terms[at], bands[at]
            )
            if fault == ledger.NO_ERROR and (closed != 0 or (word >> 24) & 6 != 0):
                run: int256[2] = [lots[cell], lots[cell_maker]]
                fault = self._reduction_fault(
                    word, accounts[taker], accounts[maker], instruments[at], run, closed
                )
            if fault != ledger.NO_ERROR:
                skipped |= 1 << i
                log TradeSkipped(index=i, code=fault)
                continue
            signed: int256 = self._signed_lots(word)
            booked: int256 = signed * (self._price_lot(word, terms[at]) - indices[at])
            lots[cell] += signed
            lots[cell_maker] -= signed
            variation[taker] -= booked
            variation[maker] += booked
            fees[taker] += trades[i][1] & M128
            fees[maker] += trades[i][1] >> 128
            touched |= (1 << taker) | (1 << maker)
        failed: uint256 = self._gate_all(accounts, instruments, lots, variation, fees, touched)
        if failed != 0:
            for i: uint256 in range(len(trades), bound=TRADES_MAX):
                parties: uint256 = (1 << (trades[i][0] & 255)) | (1 << ((trades[i][0] >> 8) & 255))
                if (skipped >> i) & 1 == 0 and failed & parties != 0:
                    skipped |= 1 << i
                    log TradeSkipped(index=i, code=self._failure_of(trades[i][0], failed))
            continue
        crowded: uint256 = self._crowded(instruments, terms)
        if crowded != 0:
            closed |= crowded
            continue
        self._store_all(accounts, instruments, variation, fees, touched)
        break
    return ~skipped & (max_value(uint256) >> (256 - len(trades)))


@internal
@pure
def _require_ascending(
    accounts: DynArray[bytes32, ACCOUNTS_MAX], instruments: DynArray[uint256, INSTRUMENTS_MAX]
):
    last: uint256 = 0
    for account: bytes32 in accounts:
        errors.require(convert(account, uint256) > last, errors.NotAscending)
        last = convert(account, uint256)
    last = 0
    for instrument: uint256 in instruments:
        errors.require(instrument > last, errors.NotAscending)
        last = instrument


@internal
def _listing(instrument: uint256) -> (uint256, uint256, int256):
    """
    @notice Terms, price band (lowest 128 | highest 128) and funding index of a traded perp; zeros
            for anything else.
    """
    terms: uint256 = ledger.books[instrument][0]
    if terms >> 248 != KIND_PERP:
        return 0, 0, 0
    market: uint256 = 0
    mark: uint256 = 0
    market, mark = ledger._accrue(instrument)
    band: uint256 = ledger.config & M24
    lowest: uint256 = units.ppm_up(mark, units.PPM - band)
    highest: uint256 = units.ppm_down(mark, units.PPM + band)
    return terms, lowest | (highest << 128), units.signed(market, 128, 128)


@internal
@pure
def _signed_lots(word: uint256) -> int256:
    """@notice Lots the taker gains."""
    lots: int256 = convert((word >> 32) & M44, int256)
    if (word >> 24) & 1 == 0:
        return -lots
    return lots


@internal
@pure
def _price_lot(word: uint256, terms: uint256) -> int256:
    """
    @notice Value of a lot at the trade's price; exact, as lot_size * tick is a multiple of 1e18 and
            the price on the tick.
    """
    return convert((word >> 76) & M128, int256) * convert(terms & M64, int256) // 10**18


@internal
@pure
def _fault(word: uint256, taker: bytes32, maker: bytes32, terms: uint256, band: uint256) -> bytes4:
    """@notice The first reason why a trade cannot settle whatever the accounts hold."""
    if (word >> 32) & M44 == 0:
        return errors.ZeroLots
    if convert(taker, uint256) >> 96 == convert(maker, uint256) >> 96:
        return errors.SelfMatch
    if terms == 0:
        return errors.UnknownInstrument
    price: uint256 = (word >> 76) & M128
    if price % ((terms >> 64) & M80) != 0:
        return errors.OffTick
    if price < band & M128 or price > band >> 128:
        return errors.PriceOutOfBand
    return ledger.NO_ERROR


@internal
@view
def _reduction_fault(
    word: uint256,
    taker: bytes32,
    maker: bytes32,
    instrument: uint256,
    run: int256[2],
    closed: uint256,
) -> bytes4:
    """
    @notice Pause, reduce-only and caps: all ask whether a side's running position shrinks without
            turning.
    """
    signed: int256 = self._signed_lots(word)
    taker_reduces: bool = self._reduces(taker, instrument, run[0], signed)
    maker_reduces: bool = self._reduces(maker, instrument, run[1], -signed)
    increases: bool = not (taker_reduces or maker_reduces)
    if increases and closed >> 16 == 1:
        return errors.Paused
    flags: uint256 = word >> 24
    if (flags & 2 != 0 and not taker_reduces) or (flags & 4 != 0 and not maker_reduces):
        return errors.ReduceOnly
    if increases and (closed >> ((word >> 16) & 255)) & 1 == 1:
        return errors.OpenInterestCap
    return ledger.NO_ERROR


@internal
@view
def _reduces(account: bytes32, instrument: uint256, running: int256, change: int256) -> bool:
    count: uint256 = (ledger.rows[account][1] >> 224) & 255
    lane: uint256 = 0
    held: int256 = 0
    lane, held = ledger._position(ledger._words(account, count), instrument)
    held += running
    if held > 0:
        return change < 0 and -change <= held
    return change > 0 and change <= -held


@internal
def _gate_all(
    accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    lots: int256[CELLS],
    variation: int256[ACCOUNTS_MAX],
    fees: uint256[ACCOUNTS_MAX],
    touched: uint256,
) -> uint256:
    """
    @notice Apply and judge every touched account; bitmap of those that fail (reasons in transient
            storage).
    """
    failed: uint256 = 0
    width: uint256 = len(instruments)
    for k: uint256 in range(width, bound=INSTRUMENTS_MAX):
        self.interest_change[k] = 0
    for a: uint256 in range(len(accounts), bound=ACCOUNTS_MAX):
        if (touched >> a) & 1 == 0:
            continue
        changes: int256[INSTRUMENTS_MAX] = empty(int256[INSTRUMENTS_MAX])
        for k: uint256 in range(width, bound=INSTRUMENTS_MAX):
            changes[k] = lots[unsafe_add(unsafe_mul(a, width), k)]  # a < 32, width <= 16
        code: bytes4 = self._gate(a, accounts[a], instruments, changes, variation[a], fees[a])
        if code != ledger.NO_ERROR:
            self.failure[a] = code
            failed |= 1 << a
    return failed


@internal
def _gate(
    a: uint256,
    account: bytes32,
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    changes: int256[INSTRUMENTS_MAX],
    variation: int256,
    fees: uint256,
) -> bytes4:
    """@notice One account with its trades applied in memory: caps, then the margin gate."""
    before: ledger.Row = ledger._load(account)
    if before.flags & ledger.FLAG_IN_AUCTION != 0:
        return errors.InAuction
    count: uint256 = before.count
    words: DynArray[uint256, 32] = ledger._words(account, count)
    for k: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        if changes[k] == 0:
            continue
        held: int256 = 0
        code: bytes4 = ledger.NO_ERROR
        words, count, held, code = ledger._apply(words, count, instruments[k], changes[k])
        if code != ledger.NO_ERROR:
            return code
        after: int256 = held + changes[k]
        size: uint256 = units.magnitude(after)
        if size > units.magnitude(held) and size > (ledger.books[instruments[k]][0] >> 188) & M44:
            return errors.PositionCap
        self.interest_change[k] += max(after, 0) - max(held, 0)
    value: IRiskModel.Valuation = ledger._evaluate(words)
    row: ledger.Row = before
    row.cash -= convert(fees, int256)
    row.variation += variation
    fresh: uint256 = ledger.FLAG_STALE | ledger.FLAG_GRACE
    if not ledger._passes(account, before, ledger._equity(row, value), value, fresh):
        return errors.InsufficientMargin
    self.count_after[a] = count
    self.value_after[a] = value.value_linear
    for i: uint256 in range(len(words), bound=32):
        self.words_after[a][i] = words[i]
    return ledger.NO_ERROR


@internal
@view
def _failure_of(word: uint256, failed: uint256) -> bytes4:
    """@notice The taker's reason if it failed, else the maker's."""
    if (failed >> (word & 255)) & 1 == 1:
        return self.failure[word & 255]
    return self.failure[(word >> 8) & 255]


@internal
@view
def _crowded(
    instruments: DynArray[uint256, INSTRUMENTS_MAX], terms: uint256[INSTRUMENTS_MAX]
) -> uint256:
    """@notice Bitmap of instruments whose open interest would rise above its cap."""
    found: uint256 = 0
    for k: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        change: int256 = self.interest_change[k]
        if change > 0:
            interest: uint256 = (ledger.books[instruments[k]][1] >> 208) + convert(change, uint256)
            if interest > (terms[k] >> 144) & M44:
                found |= 1 << k
    return found


@internal
def _store_all(
    accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
    variation: int256[ACCOUNTS_MAX],
    fees: uint256[ACCOUNTS_MAX],
    touched: uint256,
):
    """@notice Write every touched account swept at its new value, open interest, and the pot."""
    collected: uint256 = 0
    debt_change: int256 = 0
    for a: uint256 in range(len(accounts), bound=ACCOUNTS_MAX):
        if (touched >> a) & 1 == 0:
            continue
        row: ledger.Row = ledger._load(accounts[a])
        collected += fees[a] + row.owed
        row.cash -= convert(fees[a], int256)
        row.variation += variation[a]
        row = ledger._sweep(row, self.value_after[a])
        count: uint256 = self.count_after[a]
        words: DynArray[uint256, 32] = []
        for i: uint256 in range((count + 3) // 4, bound=32):
            words.append(self.words_after[a][i])
        ledger._store_words(accounts[a], words, row.count)
        debt_change += ledger._store(accounts[a], row, count)
    for k: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        change: int256 = self.interest_change[k]
        if change != 0:
            ledger._move_interest(instruments[k], change)
    ledger._book(collected, debt_change)
