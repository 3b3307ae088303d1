# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title The ledger: accounts, loading them, sweeping variation, the margin gate (docs/SPEC.md §5;
        twin of novate/model/account.py)
@notice Storage and rules shared by novation and transfers. Units: cash and variation wad, gains in
        shares of 1e-6 USD. Rounding: interest up, matured gains down, removed shares up with the
        excess returned to cash. Holds I01 (only credit, debit make or end claims), I03 (one gate).
"""

from interfaces import IOptions
from interfaces import IRiskModel
from lib import units

struct Row:
    cash: int256
    variation: int256
    gain_now: uint256
    gain_previous: uint256
    epoch: uint256                 # of the gains; 0: as stored
    flags: uint256
    count: uint256                 # positions held, as stored
    cash_stored: int256
    owed: uint256                  # interest charged by this load

WORDS_MAX: constant(uint256) = 32
FLAG_IN_AUCTION: constant(uint256) = 1
FLAG_SECOND_SLOT: constant(uint256) = 2      # there are gains or debt, so slot 1 is in use
FLAG_STALE: constant(uint256) = 1            # a held feed is stale
FLAG_GRACE: constant(uint256) = 2            # no prices at all, or back for less than the grace
# the top bit of an instrument's number in each of four lanes: options and dated futures
DATED_LANES: constant(uint256) = 2**63 + 2**127 + 2**191 + 2**255
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M96: constant(uint256) = 2**96 - 1
M120: constant(uint256) = 2**120 - 1
M128: constant(uint256) = 2**128 - 1
NO_ERROR: constant(bytes4) = 0x00000000

GOVERNOR: immutable(address)

# slot 0 [cash signed 120 | variation signed 120 | positions 8 | flags 8], slot 1 [checkpoint 64 |
# gain_now 64 | gain_previous 64 | epoch 32], then 32 words of four positions
rows: HashMap[bytes32, uint256[34]]
books: uint256[2][2**20]                     # instrument -> terms word, market word
epochs: public(HashMap[uint256, uint256])    # epoch number -> shares 128 | cut 128
pot: uint256                                 # fees 96 | debt 96
debt_cap: public(uint256)                    # cash below zero in all that stops increases, wad
borrow: uint256                              # interest index 128 | stored at 40
config: uint256                              # trading and funding parameters
risk_model: public(IRiskModel)               # formulas; replaceable by governance
custody: public(address)                     # may credit and debit
auctioneer: public(address)                  # may move slices and flag auctions
waterfall: public(address)                   # owns the layers: moves their cash, cuts gains
guardian: public(address)                    # may pause increases
options: public(IOptions)                    # lists and prices options and dated futures
venues: public(HashMap[address, bool])       # may novate
unpaired: int256[256]                        # underlying, slot: long less short lots settled
perps: DynArray[uint256, 64]              # every listed perp: a new config accrues them all


@deploy
def __init__(governor: address):
    GOVERNOR = governor


@internal
@view
def _epoch() -> uint256:
    return block.timestamp // ((self.config >> 184) & M24)


@internal
@view
def _borrow_index() -> uint256:
    """@notice Interest per unit of negative cash since the start, wad."""
    word: uint256 = self.borrow
    return (word & M128) + ((self.config >> 152) & M32) * (block.timestamp - (word >> 128))


@internal
@view
def _scale(epoch: uint256) -> uint256:
    return units.WAD - (self.epochs[epoch] >> 128)


@internal
@pure
def _value(shares: uint256, scale: uint256) -> uint256:
    """@notice Value of gain shares in wad, rounded down."""
    return shares * scale // units.PPM


@internal
@view
def _load(account: bytes32) -> Row:
    """@notice The account after interest and maturing; nothing is written."""
    first: uint256 = self.rows[account][0]
    row: Row = empty(Row)
    row.cash = convert(convert(first << 136, bytes32), int256) >> 136
    row.variation = convert(convert(first << 16, bytes32), int256) >> 136
    row.count = (first >> 240) & 255
    row.flags = first >> 248
    row.cash_stored = row.cash
    if row.flags & FLAG_SECOND_SLOT == 0:
        return row
    second: uint256 = self.rows[account][1]
    row.gain_now = (second >> 64) & M64
    row.gain_previous = (second >> 128) & M64
    if row.cash < 0:
        debt: uint256 = convert(-row.cash, uint256)
        row.owed = units.div_up(debt * (self._borrow_index() - (second & M64)), units.WAD)
        row.cash -= convert(row.owed, int256)
    stored: uint256 = second >> 192
    row.epoch = stored
    if row.gain_now | row.gain_previous == 0:
        return row
    row.epoch = self._epoch()
    if row.epoch != stored:
        if row.gain_previous != 0:
            row.cash += convert(self._value(row.gain_previous, self._scale(stored - 1)), int256)
        row.gain_previous = row.gain_now
        if row.epoch > stored + 1 and row.gain_now != 0:
            row.cash += convert(self._value(row.gain_now, self._scale(stored)), int256)
            row.gain_previous = 0
        row.gain_now = 0
    return row


@internal
@view
def _gains(row: Row) -> uint256:
    """@notice Value of a loaded account's immature gains, wad, rounded down."""
    total: uint256 = 0
    if row.gain_now != 0:
        total = self._value(row.gain_now, self._scale(row.epoch))
    if row.gain_previous != 0:
        total += self._value(row.gain_previous, self._scale(row.epoch - 1))
    return total


@internal
def _sweep(row: Row, value_linear: int256) -> Row:
    """
    @notice Turn variation into cash: gains enter the epoch's shares, losses take shares first.
    """
    r: Row = row
    delta: int256 = r.variation + value_linear
    r.variation = -value_linear
    if delta > 0:
        epoch: uint256 = self._epoch()
        word: uint256 = self.epochs[epoch]
        scale: uint256 = units.WAD - (word >> 128)
        shares: uint256 = convert(delta, uint256) * units.PPM // scale
        entered: uint256 = self._value(r.gain_now + shares, scale) - self._value(r.gain_now, scale)
        r.gain_now += shares
        r.cash += delta - convert(entered, int256)
        if shares != 0:
            r.epoch = epoch
            self.epochs[epoch] = word + shares
    elif delta < 0:
        loss: int256 = -delta
        if r.gain_now != 0:
            r.gain_now, loss = self._remove_shares(r.epoch, r.gain_now, loss)
        if loss > 0 and r.gain_previous != 0:
            r.gain_previous, loss = self._remove_shares(r.epoch - 1, r.gain_previous, loss)
        r.cash -= loss
    return r


@internal
def _remove_shares(epoch: uint256, shares: uint256, loss: int256) -> (uint256, int256):
    """
    @notice Shares left after paying `loss`, and the loss left (negative: excess that returns to
            cash).
    """
    word: uint256 = self.epochs[epoch]
    scale: uint256 = units.WAD - (word >> 128)
    removed: uint256 = min(shares, units.div_up(convert(loss, uint256) * units.PPM, scale))
    paid: uint256 = self._value(shares, scale) - self._value(shares - removed, scale)
    self.epochs[epoch] = word - removed
    return shares - removed, loss - convert(paid, int256)


@internal
def _store(account: bytes32, row: Row, count: uint256) -> int256:
    """@notice Write both slots where they changed; returns how far the venue's debt moved."""
    assert row.cash < 2**119 and row.cash >= -(2**119)
    assert row.variation < 2**119 and row.variation >= -(2**119)
    assert row.gain_now <= M64 and row.gain_previous <= M64
    first: uint256 = convert(convert(row.cash, bytes32), uint256) & M120
    first |= (convert(convert(row.variation, bytes32), uint256) & M120) << 120
    first |= (count << 240) | ((row.flags & FLAG_IN_AUCTION) << 248)
    second: uint256 = (row.gain_now << 64) | (row.gain_previous << 128)
    if row.cash < 0:
        checkpoint: uint256 = self._borrow_index()
        assert checkpoint <= M64
        second |= checkpoint
    uses: bool = second != 0 or row.cash < 0
    if uses:
        first |= FLAG_SECOND_SLOT << 248
    if self.rows[account][0] != first:
        self.rows[account][0] = first
    # out of use, the slot keeps its epoch: zero to something is the dearest of writes
    if uses or row.flags & FLAG_SECOND_SLOT != 0:
        stored: uint256 = self.rows[account][1]
        epoch: uint256 = row.epoch
        if epoch == 0:
            epoch = stored >> 192
        second |= epoch << 192
        if stored != second:
            self.rows[account][1] = second
    if row.cash >= 0 and row.cash_stored >= 0:
        return 0
    return max(0, -row.cash) - max(0, -row.cash_stored)


@internal
def _book(fees: uint256, debt_change: int256):
    """@notice Add fees and debt to the pot."""
    if fees == 0 and debt_change == 0:
        return
    word: uint256 = self.pot
    collected: uint256 = (word & M96) + fees
    debt: uint256 = convert(convert(word >> 96, int256) + debt_change, uint256)
    assert collected <= M96 and debt <= M96
    self.pot = collected | (debt << 96)


@internal
def _commit(account: bytes32, row: Row, count: uint256):
    """@notice Store one account and book the interest it owed."""
    change: int256 = self._store(account, row, count)
    self._book(row.owed, change)


@internal
def _add_cash(account: bytes32, amount: uint256):
    """@notice Add cash; an account that owes no interest needs no more than its first slot."""
    first: uint256 = self.rows[account][0]
    if first & 2**119 == 0:
        cash: uint256 = (first & M120) + amount
        assert cash < 2**119
        self.rows[account][0] = (first & ~M120) | cash
        return
    row: Row = self._load(account)
    row.cash += convert(amount, int256)
    self._commit(account, row, row.count)


@internal
@view
def _words(account: bytes32, count: uint256) -> DynArray[uint256, WORDS_MAX]:
    """@notice The packed positions of an account with `count` positions."""
    words: DynArray[uint256, WORDS_MAX] = []
    for i: uint256 in range(unsafe_add(count, 3) >> 2, bound=WORDS_MAX):  # a count has 8 bits
        words.append(self.rows[account][unsafe_add(i, 2)])
    return words


@internal
def _store_words(account: bytes32, words: DynArray[uint256, WORDS_MAX], count_stored: uint256):
    """@notice Write changed words, clear those no longer used."""
    used: uint256 = len(words)
    for i: uint256 in range(max(used, (count_stored + 3) // 4), bound=WORDS_MAX):
        word: uint256 = words[i] if i < used else 0
        if self.rows[account][i + 2] != word:
            self.rows[account][i + 2] = word


@internal
def _write_words(account: bytes32, words: DynArray[uint256, WORDS_MAX]):
    """@notice Write words that have all changed, of an account with no more than these."""
    at: uint256 = 2
    for word: uint256 in words:
        self.rows[account][at] = word
        at = unsafe_add(at, 1)  # at most 34


@internal
def _evaluate(
    words: DynArray[uint256, WORDS_MAX], keep: bool = False
) -> IRiskModel.Valuation:
    """
    @notice Value and requirements of packed positions, by the risk model in force; `keep` as there.
    """
    if len(words) != 0:
        if words[0] & DATED_LANES != 0:  # else it finds the dated ones itself
            return extcall self.risk_model.evaluate_dated(words)
    return extcall self.risk_model.evaluate(words, keep)


@internal
@view
def _equity(row: Row, valuation: IRiskModel.Valuation) -> int256:
    """@notice Cash, gains, variation and positions at the current round."""
    total: int256 = row.cash + row.variation + convert(self._gains(row), int256)
    return total + valuation.value_linear + valuation.value_spot


@internal
@view
def _funded(equity: int256, valuation: IRiskModel.Valuation, refused: uint256) -> bool:
    """
    @notice Initial margin at the worst prices, without the flags refused, nor borrowing beyond the
            venue's cap.
    """
    if equity - convert(valuation.penalty, int256) < convert(valuation.margin_initial, int256):
        return False
    if valuation.flags & refused != 0:
        return False
    return equity - valuation.value_spot >= 0 or self.pot >> 96 <= self.debt_cap


@internal
@pure
def _no_worse(
    equity: int256, required: uint256, equity_after: int256, required_after: uint256
) -> bool:
    """@notice MM' <= MM and E' >= E - clamp(E / MM, 0, 1) * (MM - MM'), without division."""
    if required_after > required:
        return False
    released: int256 = convert(required - required_after, int256)
    if equity >= convert(required, int256):
        return equity_after >= equity - released
    if equity <= 0:
        return equity_after >= equity
    return (equity - equity_after) * convert(required, int256) <= equity * released


@internal
def _passes(
    account: bytes32,
    before: Row,
    equity_after: int256,
    after: IRiskModel.Valuation,
    refused: uint256,
) -> bool:
    """
    @notice The gate of MARGIN.md §3 against the stored positions; the earlier state is valued only
            when it matters.
    """
    if self._funded(equity_after, after, refused):
        return True
    value: IRiskModel.Valuation = self._evaluate(self._words(account, before.count))
    equity: int256 = self._equity(before, value)
    required: uint256 = value.margin_maintenance
    return self._no_worse(equity, required, equity_after, after.margin_maintenance)


@internal
def _move_interest(instrument: uint256, change: int256):
    """
    @notice Open interest (spot: lots outstanding) follows a change of positions; of options and
            dated futures in Options.
    """
    if change == 0:
        return
    if instrument >> 19 == 1:
        extcall self.options.move_interest(instrument, change)
        return
    market: uint256 = self.books[instrument][1]
    interest: uint256 = convert(convert(market & M44, int256) + change, uint256)
    assert interest <= M44
    self.books[instrument][1] = ((market >> 44) << 44) | interest


@internal
def _accrue(instrument: uint256) -> (uint256, uint256):
    """
    @notice Bring an instrument's funding to now and store it; returns the market word and the mark
            (wad).
    """
    stored: uint256 = self.books[instrument][1]
    market: uint256 = 0
    mark: uint256 = 0
    market, mark = extcall self.risk_model.accrued(instrument, stored, self.config)
    if stored != market:
        self.books[instrument][1] = market
    return market, mark


@internal
@view
def _layer(number: uint256) -> bytes32:
    """@notice A ledger account owned by the waterfall."""
    return convert((convert(self.waterfall, uint256) << 96) | number, bytes32)
