# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Exchange: signed orders in, novated trades out (docs/SPEC.md §6)
@notice Checks every signature, limit, fee and replay guard itself and hands the trades to the
        Clearinghouse, which judges margin. An executor is trusted with speed only: it cannot forge,
        change or repeat a fill, nor keep a match it gave a receipt for from settling. A fill bad in
        itself is skipped with its code and the rest goes on. Fill state is written after the
        Clearinghouse answers; one lock spans every entry. Twin: novate/model/settlement.py.
@custom:kill Governance withdraws the executors' approval and the Clearinghouse's approval of this
             venue, after the timelock. Users may still cancel; nothing of theirs is kept here.
"""

from interfaces import IClearinghouse
from interfaces import IOracle
from interfaces import IRiskModel
from lib import errors
from lib import signature
from lib import units
import blob_signature
import bulk
import dated_trade
import fills as fill_state
import order
import receipt
import session
import trade
import venue
import wallet

initializes: bulk
initializes: fill_state
initializes: order
initializes: receipt[order := order]
initializes: session[venue := venue]
initializes: venue
initializes: wallet
initializes: blob_signature[bulk := bulk, order := order, session := session, wallet := wallet]

exports: (
    venue.set_fees, venue.set_option_fees, venue.set_windows, venue.set_executor,
    venue.settings, venue.executors,
    session.set_session_key, session.remove_session_key, session.session_key,
    order.domain_separator, order.order_digest, receipt.sequence_settled,
    fill_state.order_state, fill_state.cancelled_below,
)

# word: [sequence 64 | instrument 20 | taker's lots, signed 44 | price 128]
event Fill:
    maker: indexed(bytes32)
    taker: indexed(bytes32)
    word: uint256

event FillSkipped:
    index: uint256
    code: bytes4

event BatchSettled:
    executor: indexed(address)
    first_sequence: uint256
    count: uint256
    settled: uint256

event OrderCancelled:
    account: indexed(bytes32)
    nonce: uint256
    effective: uint256

event OrdersCancelledBelow:
    account: indexed(bytes32)
    nonce: uint256
    effective: uint256

event WalletConfirmed:
    wallet: indexed(address)
    digest: bytes32
    until: uint256

ACCOUNTS_MAX: constant(uint256) = 32
INSTRUMENTS_MAX: constant(uint256) = 16
ORDERS_MAX: constant(uint256) = 120
FILLS_MAX: constant(uint256) = 100
BLOBS_MAX: constant(uint256) = 4
ROUND_CALL_BYTES_MAX: constant(uint256) = 2112
POST_ROUND: constant(Bytes[4]) = method_id(
    "post_round(uint64,uint64,uint256[],uint256,uint256[2][])"
)

# in whose right a batch settles
BY_ANYONE: constant(uint256) = 0
BY_EXECUTOR: constant(uint256) = 1
BY_RECEIPT: constant(uint256) = 2

CLEARINGHOUSE: immutable(IClearinghouse)
ORACLE: immutable(IOracle)


@deploy
def __init__(governor: address, clearinghouse: address, oracle: address):
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    ORACLE = IOracle(oracle)
    order.__init__()
    venue.__init__(governor)


# --- settlement


@external
def settle(
    round_call: Bytes[ROUND_CALL_BYTES_MAX], accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX], orders: DynArray[uint256[4], ORDERS_MAX],
    fills: DynArray[uint256, FILLS_MAX], first_sequence: uint256,
    blobs: DynArray[Bytes[wallet.BLOB_BYTES_MAX], BLOBS_MAX], executor: address = msg.sender,
    receipts: DynArray[uint256[3], receipt.RECEIPTS_MAX] = [],
) -> uint256:
    """@notice Settle the executor's matches (docs/SPEC.md §6); returns a bitmap of the settled."""
    mode: uint256 = self._begin(executor, len(receipts), len(fills), round_call)
    terms: uint256[INSTRUMENTS_MAX] = self._terms(accounts, instruments)
    seal: bytes32 = order.domain()  # every digest's separator
    rates: uint256 = venue.word  # among other settings
    cursor: uint256[4] = fill_state.NOWHERE
    key: uint256 = 0
    states: DynArray[uint256, ORDERS_MAX] = []
    trades: DynArray[uint256[2], FILLS_MAX] = []
    for w: uint256[4] in orders:
        if w[0] >> order.PAIRS != cursor[0]:
            cursor = fill_state.at(w[0], accounts[w[0] >> order.ACCOUNT])
        n: uint256 = (w[0] >> order.INSTRUMENT) & order.M8
        state: uint256 = self._admit(w, key, cursor, instruments[n], terms[n], seal, executor, mode)
        key = unsafe_add(w[0] >> order.KEY, 1)  # a key has 73 bits
        if w[0] & order.BY_BLOB != 0:
            state = blob_signature.ask(
                state, w, cursor[1], instruments[n], terms[n], executor, blobs[w[2]])
        states.append(state)
    used: uint256 = receipt.used(executor, first_sequence, len(fills), receipts)
    has_dated: bool = dated_trade.is_among(instruments)
    if has_dated:
        terms = dated_trade.with_expiries(instruments, terms, CLEARINGHOUSE)
    paid: uint256 = 0 if has_dated else rates  # `dated_trade` says what is
    sent: uint256 = 0
    for i: uint256 in range(len(fills), bound=FILLS_MAX):
        fill: uint256 = fills[i]
        t: uint256 = fill & order.M8
        m: uint256 = (fill >> 8) & order.M8
        taker: uint256 = states[t]
        maker: uint256 = states[m]
        n: uint256 = (taker >> order.INSTRUMENT) & order.M8  # if barred 0, and that counts
        pair: uint256[2] = trade.of(fill, taker, maker, orders[t][1], orders[m][1], terms[n], paid)
        if has_dated:
            pair = dated_trade.of(pair, fill, taker, maker, orders[t], orders[m], terms[n], rates)
        if (unsafe_sub(pair[0], trade.LEAST) | ((taker | maker) << 100) | used) >> 255 != 0:
            pair[0] = self._weigh(
                i, pair[0], fill, used, taker, maker, orders[t], orders[m], accounts, executor,
                instruments[n], terms[n], receipts[i] if mode == BY_RECEIPT else [0, 0, 0])
        if pair[0] != 0:  # so both orders have as many lots left (trade.of)
            sent |= 1 << i
            states[t] = unsafe_sub(taker, (fill << 28) & trade.LEFT_BITS) | trade.TRADED
            states[m] = unsafe_sub(maker, (fill << 28) & trade.LEFT_BITS) | trade.TRADED
            trades.append(pair)
    done: uint256 = extcall CLEARINGHOUSE.novate(accounts, instruments, trades) if sent != 0 else 0
    settled: uint256 = trade.expand(sent, done)
    odd: uint256 = (sent & unsafe_add(sent, 1)) | (sent ^ settled)  # 0: all were sent and settled
    i: uint256 = max_value(uint256)  # one less than zero
    for pair: uint256[2] in trades:
        i = unsafe_add(i, 1)
        if odd != 0:
            i = trade.next(sent, i)
            if (settled >> i) & 1 == 0:
                t: uint256 = fills[i] & order.M8
                m: uint256 = (fills[i] >> 8) & order.M8
                id: uint256 = instruments[(pair[0] >> 16) & order.M8]
                states[t], states[m] = self._refund(
                    fills[i], states[t], states[m], accounts, terms, id)
                continue
        s: uint256 = receipts[i][0] if mode == BY_RECEIPT else unsafe_add(first_sequence, i)
        s = trade.log_word(pair[0], instruments[(pair[0] >> 16) & order.M8], s)
        maker: bytes32 = accounts[(pair[0] >> 8) & order.M8]
        log Fill(maker=maker, taker=accounts[pair[0] & order.M8], word=s)
    cursor = fill_state.NOWHERE
    for state: uint256 in states:
        if state >> order.PAIRS != cursor[0]:
            cursor = fill_state.move(cursor, state, accounts[state >> order.ACCOUNT])
        if state & fill_state.WHOLE != fill_state.WHOLE_SETTLED:
            cursor[3] |= fill_state.record(state, cursor, mode == BY_RECEIPT)
            continue
        cursor[3] |= fill_state.SPENT << ((state >> 182) & 254)  # nonce & 127, doubled
    return self._close(cursor, executor, first_sequence, len(fills), settled, receipts)


@internal
def _begin(
    executor: address, receipt_count: uint256, fill_count: uint256,
    round_call: Bytes[ROUND_CALL_BYTES_MAX],
) -> uint256:
    """
    @notice In what right the batch comes; nobody settles another's matches without receipts. The
            round that it brings is posted: a call of Oracle.post_round and no other; what that
            reverts with, reverts.
    """
    mode: uint256 = BY_ANYONE
    approved: bool = venue.approved(executor)
    if receipt_count != 0:
        errors.require(approved and receipt_count == fill_count, errors.BadReceipt)
        mode = BY_RECEIPT
    else:
        errors.require(executor == msg.sender, errors.NotExecutor)
        if approved:
            mode = BY_EXECUTOR
    if len(round_call) != 0:
        errors.require(len(round_call) > 4, errors.OutOfBounds)
        errors.require(slice(round_call, 0, 4) == POST_ROUND, errors.OutOfBounds)
        raw_call(ORACLE.address, round_call)
    return mode


@internal
@view
def _terms(
    accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX],
) -> uint256[INSTRUMENTS_MAX]:
    """@notice Terms words of the instruments; both lists ascend strictly, so nothing is double."""
    last: uint256 = 0
    for account: bytes32 in accounts:
        errors.require(convert(account, uint256) > last, errors.NotAscending)
        last = convert(account, uint256)
    last = 0
    terms: uint256[INSTRUMENTS_MAX] = empty(uint256[INSTRUMENTS_MAX])
    for i: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        errors.require(instruments[i] > last, errors.NotAscending)
        last = instruments[i]
        terms[i] = (staticcall CLEARINGHOUSE.market(last))[0]
    return terms


@internal
def _admit(
    words: uint256[4], key: uint256, cursor: uint256[4], instrument: uint256, terms: uint256,
    separator: bytes32, executor: address, mode: uint256,
) -> uint256:
    """
    @notice State of an order at the start of its batch (trade.vy); cheapest checks first. Its key
            is not below `key`, one more than the last order's (`NotAscending`).
    """
    word: uint256 = words[0]
    if word >> order.KEY < key:
        errors.require(False, errors.NotAscending)
    if word & order.LOTS_ABOVE != 0:
        return convert(errors.MalformedOrder, uint256)
    if mode == BY_ANYONE:
        if (
            word & order.EXECUTOR_OPEN == 0
            or block.timestamp < (word >> order.EXCLUSIVE_UNTIL) & order.M40
        ):
            return convert(errors.NotExecutor, uint256)
    if block.timestamp > (word >> order.EXPIRY) & order.M40:
        return convert(errors.OrderExpired, uint256)
    # the usual case at once: an immediate order of an untouched nonce has all of its lots left
    state: uint256 = (word & trade.KEPT) | trade.ADMITTED | ((word & order.M44) << trade.LEFT)
    odd: uint256 = (~word & order.IMMEDIATE) | (word & order.BY_BLOB) | (mode & BY_RECEIPT)
    odd |= (cursor[3] >> ((word >> 182) & 254)) & 3  # its pair: nonce & 127, doubled
    odd |= unsafe_sub((word >> order.NONCE) & order.M64, cursor[2]) >> 64  # wraps below the floor
    if odd != 0:
        state = fill_state.left(word, cursor, mode == BY_RECEIPT)
        if state & trade.ADMITTED == 0:
            return state
        state |= word & trade.KEPT
        if word & order.BY_BLOB != 0:
            return state  # `_ask` has the last word
    account: bytes32 = convert(cursor[1], bytes32)
    digest: bytes32 = order.digest(word, words[1], account, instrument, executor, separator)
    signer: address = signature.recover(digest, words[2], words[3])
    if convert(signer, uint256) == cursor[1] >> 96:
        if signer != empty(address):
            return state
    return session.admit(state, word, account, signer, terms)


@internal
def _weigh(
    index: uint256, word: uint256, fill: uint256, used: uint256, state_taker: uint256,
    state_maker: uint256, taker: uint256[4], maker: uint256[4],
    accounts: DynArray[bytes32, ACCOUNTS_MAX], executor: address, instrument: uint256,
    terms: uint256, proof: uint256[3],
) -> uint256:
    """
    @notice The rest about a rare fill: one with a code, a session key or a receipt, or settled
            before. Its sequence, receipt and session keys, whose budgets it spends.
            `word` is what its orders' terms made of it (trade.of) and is returned; or zero, with a
            log, if the fill is barred.
    """
    code: uint256 = 0
    a: bytes32 = accounts[taker[0] >> order.ACCOUNT]
    b: bytes32 = accounts[maker[0] >> order.ACCOUNT]
    if word < trade.LEAST:
        code = word
    if (used >> index) & 1 == 1:
        code = convert(errors.ReceiptUsed, uint256)
    elif used & receipt.GIVEN != 0 and (
        code == 0 or code == convert(errors.FeeAboveMax, uint256)  # which is judged after it
    ):
        bar: bytes4 = receipt.code_of(
            proof, fill, taker, maker, a, b, instrument, executor, venue.exclusive_window()
        )
        if bar != empty(bytes4):
            code = convert(bar, uint256)
    if code == 0 and (state_taker | state_maker) & trade.KEYED != 0:
        mark: uint256 = self._mark(instrument, terms)
        if not session.spend(fill, state_taker, state_maker, a, b, terms, mark):
            code = convert(errors.SessionKeyBudget, uint256)
    if code == 0:
        return word
    log FillSkipped(index=index, code=convert(convert(code, uint32), bytes4))
    return 0


@internal
def _refund(
    fill: uint256, taker: uint256, maker: uint256, accounts: DynArray[bytes32, ACCOUNTS_MAX],
    terms: uint256[INSTRUMENTS_MAX], instrument: uint256,
) -> (uint256, uint256):
    """@notice States of both orders of a fill that was refused: lots and session budgets back."""
    if (taker | maker) & trade.KEYED != 0:
        word: uint256 = terms[(taker >> order.INSTRUMENT) & order.M8]
        a: bytes32 = accounts[taker >> order.ACCOUNT]
        b: bytes32 = accounts[maker >> order.ACCOUNT]
        session.give_back(fill, taker, maker, a, b, word, self._mark(instrument, word))
    lots: uint256 = (fill << 28) & trade.LEFT_BITS
    return taker + lots, maker + lots


@internal
def _mark(instrument: uint256, terms: uint256) -> uint256:
    """@notice The instrument's mark in wad, now: of its feed, or a dated one's as it is valued."""
    if instrument >> 19 == 1:
        risk: IRiskModel = staticcall CLEARINGHOUSE.risk_model()
        return (extcall risk.quoted(instrument))[0]
    feed: uint256 = staticcall ORACLE.feed((terms >> 240) & order.M8)
    return ((feed >> 56) & order.M56) * units.ORACLE_UNIT


@internal
def _close(
    cursor: uint256[4], executor: address, first: uint256, count: uint256, settled: uint256,
    receipts: DynArray[uint256[3], receipt.RECEIPTS_MAX],
) -> uint256:
    fill_state.mark(cursor)
    if settled != 0:
        receipt.mark(executor, first, settled, receipts)
    log BatchSettled(executor=executor, first_sequence=first, count=count, settled=settled)
    return settled


# --- cancels


@external
def cancel(account: bytes32, nonce: uint256):
    """@notice Owner or session key: the resting order settles no more after the notice."""
    session.may_cancel(account, msg.sender)
    effective: uint256 = venue.after_notice()
    fill_state.cancel(account, nonce, effective)
    log OrderCancelled(account=account, nonce=nonce, effective=effective)


@external
def cancel_below(account: bytes32, nonce: uint256):
    """@notice Owner or session key: no order of a lower nonce settles after the notice."""
    session.may_cancel(account, msg.sender)
    effective: uint256 = venue.after_notice()
    fill_state.cancel_below(account, nonce, effective)
    log OrdersCancelledBelow(account=account, nonce=nonce, effective=effective)


@external
def confirm_wallet(owner: address, digest: bytes32, blob: Bytes[wallet.BLOB_BYTES_MAX]):
    """@notice Anyone: ask a contract wallet; its consent to the digest then stands for a notice."""
    errors.require(wallet.consents(owner, digest, blob), errors.BadSignature)
    until: uint256 = venue.after_notice()
    wallet.confirmed[owner][digest] = until
    log WalletConfirmed(wallet=owner, digest=digest, until=until)
