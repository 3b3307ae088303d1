# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title The ledger: accounts, loading them, sweeping variation, the margin gate (docs/SPEC.md §5;
        twin of novate/model/account.py)
@notice Storage and rules shared by novation and transfers. Units: cash and variation wad, gains in
        shares of 1e-6 USD. Rounding: interest up, matured gains down, removed shares up with the
        excess returned to cash. Holds I01 (only credit, debit make or end claims), I03 (one gate).
"""

from interfaces import IRiskModel
from lib import errors
from lib import units

struct Row:
    cash: int256
    variation: int256
    checkpoint: uint256
    gain_now: uint256
    gain_previous: uint256
    epoch: uint256
    flags: uint256
    count: uint256                 # positions held, as stored
    cash_stored: int256
    owed: uint256                  # interest charged by this load

WORDS_MAX: constant(uint256) = 32
POSITIONS_MAX: constant(uint256) = 128
FLAG_IN_AUCTION: constant(uint256) = 1
FLAG_STALE: constant(uint256) = 1            # a held feed is stale
FLAG_GRACE: constant(uint256) = 2            # no prices at all, or back for less than the grace
LOTS_MAX: constant(int256) = 2**43 - 1
LOTS_OFFSET: constant(int256) = 2**43
M24: constant(uint256) = 2**24 - 1
M32: constant(uint256) = 2**32 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M96: constant(uint256) = 2**96 - 1
M128: constant(uint256) = 2**128 - 1
NO_ERROR: constant(bytes4) = 0x00000000

GOVERNOR: immutable(address)

rows: HashMap[bytes32, uint256[34]]          # slot 0, slot 1, then 32 words of four positions
books: HashMap[uint256, uint256[2]]          # instrument -> terms word, market word
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
venues: public(HashMap[address, bool])       # may novate
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
    second: uint256 = self.rows[account][1]
    row: Row = Row(
        cash=units.signed(first, 128, 128),
        variation=convert(convert(first, bytes32), int256) >> 128,
        checkpoint=second & M64,
        gain_now=(second >> 64) & M64,
        gain_previous=(second >> 128) & M64,
        epoch=(second >> 192) & M32,
        flags=second >> 232,
        count=(second >> 224) & 255,
        cash_stored=0,
        owed=0,
    )
    row.cash_stored = row.cash
    if row.cash < 0:
        debt: uint256 = convert(-row.cash, uint256)
        row.owed = units.div_up(debt * (self._borrow_index() - row.checkpoint), units.WAD)
        row.cash -= convert(row.owed, int256)
    epoch: uint256 = self._epoch()
    if epoch != row.epoch:
        if row.gain_previous != 0:
            row.cash += convert(self._value(row.gain_previous, self._scale(row.epoch - 1)), int256)
        row.gain_previous = row.gain_now
        if epoch > row.epoch + 1 and row.gain_now != 0:
            row.cash += convert(self._value(row.gain_now, self._scale(row.epoch)), int256)
            row.gain_previous = 0
        row.gain_now = 0
        row.epoch = epoch
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
        word: uint256 = self.epochs[r.epoch]
        scale: uint256 = units.WAD - (word >> 128)
        shares: uint256 = convert(delta, uint256) * units.PPM // scale
        entered: uint256 = self._value(r.gain_now + shares, scale) - self._value(r.gain_now, scale)
        r.gain_now += shares
        r.cash += delta - convert(entered, int256)
        if shares != 0:
            self.epochs[r.epoch] = word + shares
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
    assert row.cash < 2**127 and row.cash >= -(2**127)
    assert row.variation < 2**127 and row.variation >= -(2**127)
    assert row.gain_now <= M64 and row.gain_previous <= M64
    first: uint256 = units.unsigned(row.cash, M128) | (units.unsigned(row.variation, M128) << 128)
    checkpoint: uint256 = row.checkpoint
    if row.cash < 0:
        checkpoint = self._borrow_index()
        assert checkpoint <= M64
    second: uint256 = (
        checkpoint | (row.gain_now << 64) | (row.gain_previous << 128) | (row.epoch << 192)
    )
    second |= (count << 224) | (row.flags << 232)
    if self.rows[account][0] != first:
        self.rows[account][0] = first
    if self.rows[account][1] != second:
        self.rows[account][1] = second
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
    if first & 2**127 == 0:
        cash: uint256 = (first & M128) + amount
        assert cash < 2**127
        self.rows[account][0] = (first & ~M128) | cash
        return
    row: Row = self._load(account)
    row.cash += convert(amount, int256)
    self._commit(account, row, row.count)


@internal
@view
def _words(account: bytes32, count: uint256) -> DynArray[uint256, WORDS_MAX]:
    """@notice The packed positions of an account with `count` positions."""
    words: DynArray[uint256, WORDS_MAX] = []
    for i: uint256 in range((count + 3) // 4, bound=WORDS_MAX):
        words.append(self.rows[account][i + 2])
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
@pure
def _position(words: DynArray[uint256, WORDS_MAX], instrument: uint256) -> (uint256, int256):
    """
    @notice Lane and lots of an instrument; lots are 0 and the lane is the first free one when it is
            not held.
    """
    at: uint256 = 0
    for w: uint256 in words:
        rest: uint256 = w
        for _: uint256 in range(4):
            if rest == 0:
                return at, 0
            if (rest >> 44) & 1048575 == instrument:
                # 44 bits: the difference stays within +-2**43
                return at, unsafe_sub(convert(rest & M44, int256), LOTS_OFFSET)
            rest = rest >> 64
            at = unsafe_add(at, 1)  # at most 128
    return at, 0


@internal
@pure
def _apply(
    words: DynArray[uint256, WORDS_MAX], count: uint256, instrument: uint256, change: int256
) -> (DynArray[uint256, WORDS_MAX], uint256, int256, bytes4):
    """
    @notice Positions with `change` lots more of an instrument; a position of zero lots makes room
            for the last one.
    @return The words, their count, the lots held before, and why it cannot be (or nothing).
    """
    w: DynArray[uint256, WORDS_MAX] = words
    lane: uint256 = 0
    held: int256 = 0
    lane, held = self._position(words, instrument)
    lots: int256 = held + change
    if lots > LOTS_MAX or lots < -LOTS_MAX:
        return w, count, held, errors.LotsOutOfRange
    n: uint256 = count
    if lane == n:
        if lots == 0:
            return w, n, held, NO_ERROR
        if n == POSITIONS_MAX:
            return w, n, held, errors.TooManyPositions
        if n & 3 == 0:
            w.append(0)
        n += 1
    content: uint256 = (instrument << 44) | convert(lots + LOTS_OFFSET, uint256)
    if lots == 0:
        n -= 1
        content = w[n >> 2] >> ((n & 3) << 6)
        w[n >> 2] ^= content << ((n & 3) << 6)
    if lots != 0 or lane != n:
        offset: uint256 = (lane & 3) << 6
        w[lane >> 2] = (w[lane >> 2] & ~(M64 << offset)) | (content << offset)
    if lots == 0 and n & 3 == 0:
        w.pop()
    return w, n, held, NO_ERROR


@internal
def _evaluate(words: DynArray[uint256, WORDS_MAX]) -> IRiskModel.Valuation:
    """@notice Value and requirements of packed positions, by the risk model in force."""
    return extcall self.risk_model.evaluate(words)


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
    """@notice Open interest (spot: lots outstanding) follows a change of positions."""
    market: uint256 = self.books[instrument][1]
    interest: uint256 = convert(convert(market >> 208, int256) + change, uint256)
    assert interest <= M44
    self.books[instrument][1] = (interest << 208) | (market & (2**208 - 1))


@internal
def _accrue(instrument: uint256) -> (uint256, uint256):
    """
    @notice Bring an instrument's funding to now and store it; returns the market word and the mark
            (wad).
    """
    market: uint256 = 0
    mark: uint256 = 0
    market, mark = staticcall self.risk_model.accrued(instrument)
    if self.books[instrument][1] != market:
        self.books[instrument][1] = market
    return market, mark
