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
from lib import option_id
from lib import positions
from lib import units
import ledger
import tradable

uses: ledger
uses: tradable

event TradeSkipped:
    index: uint256
    code: bytes4

ACCOUNTS_MAX: constant(uint256) = 32
INSTRUMENTS_MAX: constant(uint256) = 16
TRADES_MAX: constant(uint256) = 100
LOTS_WORDS: constant(uint256) = 128           # lots by account and instrument, packed (_lane)
# a fee has 88 bits (the venue's bound too); these are the others of a pair
FEES_ABOVE: constant(uint256) = (2**40 - 1) * 2**88 + (2**40 - 1) * 2**216
LANE_BIAS: constant(uint256) = 2**63 + 2**127 + 2**191 + 2**255
# each round but the last removes an account or closes an instrument to increases
ROUNDS_MAX: constant(uint256) = 50
ALL_WORDS: constant(uint256) = 2**32 - 1
M20: constant(uint256) = 2**20 - 1
M44: constant(uint256) = 2**44 - 1
M64: constant(uint256) = 2**64 - 1
M128: constant(uint256) = 2**128 - 1

# What the trades of a batch come to for one account
struct Net:
    money: int256                               # variation + cash paid * 2**160 (_variation, _paid)
    lots: int256[4]                             # packed (_lane)

# positions of each touched account once its trades are applied
words_after: transient(uint256[32][ACCOUNTS_MAX])
# [how many positions that is 8 | a bit for each word that is to be written]
count_after: transient(uint256[ACCOUNTS_MAX])
value_after: transient(int256[ACCOUNTS_MAX])          # linear value of those positions
failure: transient(bytes4[ACCOUNTS_MAX])              # why an account failed its gate


@external
def novate(
    accounts: DynArray[bytes32, ACCOUNTS_MAX], instruments: DynArray[uint256, INSTRUMENTS_MAX],
    trades: DynArray[uint256[2], TRADES_MAX],
) -> uint256:
    """@notice Venues only: settle what can be; bitmap of the settled, an event for each other."""
    errors.require(ledger.venues[msg.sender], errors.NotVenue)
    owners: uint256 = self._owners(accounts)
    listing: tradable.Listing = tradable._listing(instruments)
    skipped: uint256 = 0
    closed: uint256 = listing.closed  # and bit k: instrument k is closed to increases by its cap
    for _: uint256 in range(ROUNDS_MAX):
        touched: uint256 = 0
        money: int256[ACCOUNTS_MAX] = empty(int256[ACCOUNTS_MAX])
        interest: int256[INSTRUMENTS_MAX] = empty(int256[INSTRUMENTS_MAX])
        lots: int256[LOTS_WORDS] = empty(int256[LOTS_WORDS])
        index: uint256 = max_value(uint256)
        for pair: uint256[2] in trades:
            index = unsafe_add(index, 1)  # from zero
            if skipped != 0:
                if (skipped >> index) & 1 == 1:
                    continue
            word: uint256 = pair[0]
            taker: uint256 = word & 255
            maker: uint256 = (word >> 8) & 255
            at: uint256 = (word >> 16) & 255
            cell: uint256 = unsafe_add(taker << 2, at >> 2)  # indices are below 256
            cell_maker: uint256 = unsafe_add(maker << 2, at >> 2)
            booking: tradable.Booking = tradable._booking(word, owners, listing.items[at])
            if closed | ((word >> 24) & 6) != 0 and booking.fault == ledger.NO_ERROR:
                booking.fault = self._reduction_fault(
                    word, [accounts[taker], accounts[maker]], [lots[cell], lots[cell_maker]],
                    instruments[at], closed,
                )
            if booking.fault != ledger.NO_ERROR:
                skipped |= 1 << index
                log TradeSkipped(index=index, code=booking.fault)
                continue
            assert pair[1] & FEES_ABOVE == 0
            # at most 100 trades: lots of 44 bits, bookings below 2**139, fees 88, premiums 86 bits
            moved: int256 = booking.lots << ((at & 3) << 6)
            lots[cell] = unsafe_add(lots[cell], moved)
            lots[cell_maker] = unsafe_sub(lots[cell_maker], moved)
            paid: int256 = convert(convert(pair[1] << 160, bytes32), int256)
            money[taker] = unsafe_add(unsafe_sub(money[taker], booking.booked), paid)
            paid = convert(convert((pair[1] >> 128) << 160, bytes32), int256)
            money[maker] = unsafe_add(unsafe_add(money[maker], booking.booked), paid)
            touched |= (1 << taker) | (1 << maker)
        failed: uint256 = 0
        for a: uint256 in range(len(accounts), bound=ACCOUNTS_MAX):
            if (touched >> a) & 1 == 1:
                b: uint256 = a << 2
                net: Net = Net(money=money[a], lots=[lots[b], lots[b|1], lots[b|2], lots[b|3]])
                code: bytes4 = ledger.NO_ERROR
                code, interest = self._gate(a, accounts[a], listing.names, net, interest)
                if code != ledger.NO_ERROR:
                    self.failure[a] = code
                    failed |= 1 << a
        for i: uint256 in range(len(trades) if failed != 0 else 0, bound=TRADES_MAX):
            code: bytes4 = self._failure_of(trades[i][0], failed)
            if (skipped >> i) & 1 == 0 and code != ledger.NO_ERROR:
                skipped |= 1 << i
                log TradeSkipped(index=i, code=code)
        crowded: uint256 = self._crowded(listing, interest)
        if failed == 0 and crowded == 0:
            for k: uint256 in range(listing.width, bound=INSTRUMENTS_MAX):
                ledger._move_interest(listing.names[k] & M20, interest[k])
            self._settle_all(accounts, money, touched)
            break
        closed |= crowded if failed == 0 else 0
    return ~skipped & (max_value(uint256) >> (256 - len(trades)))


@internal
@pure
def _owners(accounts: DynArray[bytes32, ACCOUNTS_MAX]) -> uint256:
    """
    @notice A byte an account: the number of its owner, from 1, so that 0 is no account. Accounts
            ascend, so an owner's stand side by side.
    """
    found: uint256 = 0
    last: uint256 = 0
    number: uint256 = 0
    for i: uint256 in range(len(accounts), bound=ACCOUNTS_MAX):
        account: uint256 = convert(accounts[i], uint256)
        if account <= last:
            errors.require(False, errors.NotAscending)
        if account >> 96 != last >> 96 or i == 0:
            number = unsafe_add(number, 1)  # at most 32
        found |= number << (i << 3)
        last = account
    return found


@internal
@pure
def _variation(money: int256) -> int256:
    """@notice The lower part of variation + fees * 2**160, signed."""
    return (money << 96) >> 96


@internal
@pure
def _paid(money: int256) -> int256:
    """@notice The upper part, signed; fees and premiums of 100 trades are below 2**95 in size."""
    return unsafe_sub(money, (money << 96) >> 96) >> 160  # a multiple of 2**160


@internal
@pure
def _lane(sums: int256, at: uint256) -> int256:
    """
    @notice One of four signed sums packed as sum_k * 2**(64 * k), each below 2**63 in size: with a
            bias each lane is positive and can be cut out.
    """
    # wraps as two's complement does
    biased: uint256 = unsafe_add(convert(convert(sums, bytes32), uint256), LANE_BIAS)
    lane: uint256 = (biased >> ((at & 3) << 6)) & M64
    return unsafe_sub(convert(lane, int256), 2**63)  # a lane of 64 bits


@internal
@view
def _reduction_fault(
    word: uint256, accounts: bytes32[2], lots: int256[2], instrument: uint256, closed: uint256
) -> bytes4:
    """
    @notice Pause, reduce-only (of the instrument, then of an order) and caps: all ask whether a
            side's running position shrinks without turning. Taker first, then maker; `lots` packed
            (_lane).
    """
    signed: int256 = convert((word >> 32) & M44, int256)
    if (word >> 24) & 1 == 0:
        signed = -signed
    at: uint256 = (word >> 16) & 255
    taker_reduces: bool = self._reduces(accounts[0], instrument, self._lane(lots[0], at), signed)
    maker_reduces: bool = self._reduces(accounts[1], instrument, self._lane(lots[1], at), -signed)
    increases: bool = not (taker_reduces or maker_reduces)
    if increases and (closed >> 16) & 1 == 1:
        return errors.Paused
    if increases and (closed >> (at + tradable.REDUCING_SHIFT)) & 1 == 1:
        return errors.ReduceOnly
    flags: uint256 = word >> 24
    if (flags & 2 != 0 and not taker_reduces) or (flags & 4 != 0 and not maker_reduces):
        return errors.ReduceOnly
    if increases and (closed >> at) & 1 == 1:
        return errors.OpenInterestCap
    return ledger.NO_ERROR


@internal
@view
def _reduces(account: bytes32, instrument: uint256, running: int256, change: int256) -> bool:
    count: uint256 = (ledger.rows[account][0] >> 240) & 255
    lane: uint256 = 0
    held: int256 = 0
    lane, held = positions.find(ledger._words(account, count), count, instrument, 0)
    held += running
    if held > 0:
        return change < 0 and -change <= held
    return change > 0 and change <= -held


@internal
def _gate(
    a: uint256,
    account: bytes32,
    names: uint256[INSTRUMENTS_MAX],
    net: Net,
    interest: int256[INSTRUMENTS_MAX],
) -> (bytes4, int256[INSTRUMENTS_MAX]):
    """
    @notice One account with its trades applied in memory: caps, then the margin gate. Returns why
            it fails (or nothing), and the open interest with its part.
    """
    moved: int256[INSTRUMENTS_MAX] = interest
    before: ledger.Row = ledger._load(account)
    if before.flags & ledger.FLAG_IN_AUCTION != 0:
        return errors.InAuction, moved
    count: uint256 = before.count
    words: DynArray[uint256, 32] = ledger._words(account, count)
    changed: uint256 = 0                        # a bit a word
    guess: uint256 = 0
    for k: uint256 in range(INSTRUMENTS_MAX):
        if names[k] == 0:
            break
        change: int256 = self._lane(net.lots[k >> 2], k)
        if change == 0:
            continue
        instrument: uint256 = names[k] & M20
        lane: uint256 = 0
        held: int256 = 0
        lane, held = positions.find(words, count, instrument, guess)
        guess = unsafe_add(lane, 1)  # at most 129
        after: int256 = unsafe_add(held, change)  # below 2**51
        size: int256 = max(after, unsafe_sub(0, after))
        if lane != count and after != 0 and size <= positions.LOTS_MAX:
            # the position stays where it is: only the lots of its lane change, within 44 bits
            bits: int256 = unsafe_add(held, positions.LOTS_OFFSET) ^ unsafe_add(
                after, positions.LOTS_OFFSET
            )
            words[lane >> 2] ^= convert(bits, uint256) << ((lane & 3) << 6)
            changed |= 1 << (lane >> 2)
        else:
            code: bytes4 = ledger.NO_ERROR
            words, count, held, code = positions.change(words, count, instrument, change)
            if code != ledger.NO_ERROR:
                return code, moved
            changed = ALL_WORDS
        cap: int256 = convert((names[k] >> 20) & M44, int256)
        if size > cap and size > max(held, unsafe_sub(0, held)):
            return errors.PositionCap, moved
        # below 2**57
        moved[k] = unsafe_add(moved[k], unsafe_sub(max(after, 0), max(held, 0)))
    value: IRiskModel.Valuation = ledger._evaluate(words)
    row: ledger.Row = before
    row.cash -= self._paid(net.money)
    row.variation += self._variation(net.money)
    fresh: uint256 = ledger.FLAG_STALE | ledger.FLAG_GRACE
    if not ledger._passes(account, before, ledger._equity(row, value), value, fresh):
        return errors.InsufficientMargin, moved
    if changed == ALL_WORDS:  # as many as are in use, before or after: 32 for at most 128 positions
        changed = ALL_WORDS >> unsafe_sub(32, (max(before.count, count) + 3) >> 2)
    self.count_after[a] = count | (changed << 8)
    self.value_after[a] = value.value_linear
    for i: uint256 in range(32):
        if changed >> i == 0:
            break
        if (changed >> i) & 1 == 1:
            self.words_after[a][i] = words[i] if i < len(words) else 0
    return ledger.NO_ERROR, moved


@internal
@view
def _failure_of(word: uint256, failed: uint256) -> bytes4:
    """@notice The taker's reason if it failed, else the maker's, if any."""
    if (failed >> (word & 255)) & 1 == 1:
        return self.failure[word & 255]
    if (failed >> ((word >> 8) & 255)) & 1 == 1:
        return self.failure[(word >> 8) & 255]
    return ledger.NO_ERROR


@internal
@pure
def _crowded(listing: tradable.Listing, interest: int256[INSTRUMENTS_MAX]) -> uint256:
    """
    @notice Bitmap of instruments whose open interest would rise above its cap, or with that of
            others of its expiry above the limits that they share.
    """
    found: uint256 = 0
    place: uint256 = 0
    risen: uint256 = 0                          # bitmap of those of `place` that rise
    used: uint256 = 0                           # by how much of their rooms, each rounded up
    for k: uint256 in range(listing.width, bound=INSTRUMENTS_MAX):
        if interest[k] > 0:
            rise: uint256 = convert(convert(interest[k], bytes32), uint256)  # below 2**57
            if rise > (listing.items[k].terms >> 144) & M44:
                found |= 1 << k
            if listing.width == 1:
                break  # it shares with nobody, and the cap is within its room
            room: uint256 = listing.names[k] >> 64
            # without any the cap is 0 too; without limits it is all bits set, and 0 of perps
            if unsafe_sub(room, 1) < M44 - 1:
                if (listing.names[k] & M20) >> option_id.SLOT_SHIFT != place:  # these ascend
                    place = (listing.names[k] & M20) >> option_id.SLOT_SHIFT
                    risen = 0
                    used = 0
                risen |= 1 << k
                used = unsafe_add(used, units.div_up(rise << 44, room))  # below 2**105
                if used > 2**44:
                    found |= risen
    return found


@internal
def _settle_all(
    accounts: DynArray[bytes32, ACCOUNTS_MAX], money: int256[ACCOUNTS_MAX], touched: uint256
):
    """@notice Write every touched account, swept at its new value, and the pot."""
    collected: int256 = 0                         # premiums cancel
    debt: int256 = 0
    for a: uint256 in range(len(accounts), bound=ACCOUNTS_MAX):
        if (touched >> a) & 1 == 0:
            continue
        row: ledger.Row = ledger._load(accounts[a])
        paid: int256 = self._paid(money[a])
        collected += paid + convert(row.owed, int256)
        row.cash -= paid
        row.variation += self._variation(money[a])
        row = ledger._sweep(row, self.value_after[a])
        count: uint256 = self.count_after[a]
        changed: uint256 = count >> 8
        for i: uint256 in range(32):
            if changed >> i == 0:
                break
            if (changed >> i) & 1 == 1:
                ledger.rows[accounts[a]][unsafe_add(i, 2)] = self.words_after[a][i]
        debt += ledger._store(accounts[a], row, count & 255)
    ledger._book(convert(collected, uint256), debt)
