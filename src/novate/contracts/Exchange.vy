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
from lib import errors
from lib import signature
from lib import units
import fills as fill_state
import order
import receipt
import session
import trade
import venue
import wallet

initializes: fill_state
initializes: order
initializes: receipt[order := order]
initializes: session[venue := venue]
initializes: venue
initializes: wallet

exports: (
    venue.set_fees, venue.set_windows, venue.set_executor,
    venue.settings, venue.executors,
    session.set_session_key, session.remove_session_key, session.session_key,
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
ORDERS_MAX: constant(uint256) = 200
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
    mode: uint256 = self._mode(executor, len(receipts), len(fills))
    self._post_round(round_call)
    terms: uint256[INSTRUMENTS_MAX] = self._terms(accounts, instruments)
    states: uint256[ORDERS_MAX] = empty(uint256[ORDERS_MAX])
    key: uint256 = 0
    last: bytes32 = empty(bytes32)
    lowest: uint256 = 0
    for i: uint256 in range(len(orders), bound=ORDERS_MAX):
        words: uint256[4] = orders[i]
        errors.require(words[0] >> order.KEY >= key, errors.NotAscending)
        key = unsafe_add(words[0] >> order.KEY, 1)  # a key has 73 bits
        n: uint256 = (words[0] >> order.INSTRUMENT) & order.M8
        a: bytes32 = accounts[words[0] >> order.ACCOUNT]
        if a != last:
            last = a
            lowest = fill_state.lowest(a)
        states[i] = self._admit(words, a, lowest, instruments[n], terms[n], executor, mode)
        if words[0] & order.CONTRACT_WALLET != 0:
            states[i] = self._ask(states[i], words, a, instruments[n], executor, blobs[words[2]])
    used: uint256 = receipt.used(executor, first_sequence, len(fills), receipts)
    settings: uint256 = venue.settings
    sent: uint256 = 0
    trades: DynArray[uint256[2], FILLS_MAX] = []
    for i: uint256 in range(len(fills), bound=FILLS_MAX):
        t: uint256 = fills[i] & order.M8
        m: uint256 = (fills[i] >> 8) & order.M8
        n: uint256 = (orders[t][0] >> order.INSTRUMENT) & order.M8
        proof: uint256[3] = receipts[i] if mode == BY_RECEIPT else [0, 0, 0]
        pair: uint256[2] = self._judge(
            i, fills[i], used, orders[t], orders[m], states[t], states[m], accounts, instruments[n],
            terms[n], settings, executor, mode, proof,
        )
        if pair[0] != 0:
            sent |= 1 << i
            lots: uint256 = (fills[i] >> trade.LOTS) & order.M44
            states[t] = unsafe_sub(states[t], lots)  # trade.code_of: neither has fewer left
            states[m] = unsafe_sub(states[m], lots)
            trades.append(pair)
    settled: uint256 = 0
    if sent != 0:
        settled = trade.expand(sent, extcall CLEARINGHOUSE.novate(accounts, instruments, trades))
    for i: uint256 in range(len(fills), bound=FILLS_MAX):
        taker: uint256 = states[fills[i] & order.M8]
        maker: uint256 = states[(fills[i] >> 8) & order.M8]
        n: uint256 = (taker >> trade.INSTRUMENT) & order.M8
        if (settled >> i) & 1 == 1:
            sequence: uint256 = receipts[i][0] if mode == BY_RECEIPT else first_sequence + i
            log Fill(
                maker=accounts[(maker >> trade.ACCOUNT) & order.M8],
                taker=accounts[(taker >> trade.ACCOUNT) & order.M8],
                word=trade.log_word(fills[i], taker, instruments[n], sequence),
            )
        elif (sent >> i) & 1 == 1:
            self._refund(fills[i], taker, maker, accounts, terms[n])
            states[fills[i] & order.M8] += (fills[i] >> trade.LOTS) & order.M44
            states[(fills[i] >> 8) & order.M8] += (fills[i] >> trade.LOTS) & order.M44
    for i: uint256 in range(len(orders), bound=ORDERS_MAX):
        if states[i] & trade.ADMITTED != 0:
            a: bytes32 = accounts[orders[i][0] >> order.ACCOUNT]
            fill_state.record(a, orders[i][0], states[i], mode == BY_RECEIPT)
    return self._close(executor, first_sequence, len(fills), settled, receipts)


@internal
@view
def _mode(executor: address, receipt_count: uint256, fill_count: uint256) -> uint256:
    """@notice In what right the batch comes; nobody settles another's matches without receipts."""
    approved: bool = venue.executors[executor]
    if receipt_count != 0:
        errors.require(approved and receipt_count == fill_count, errors.BadReceipt)
        return BY_RECEIPT
    errors.require(executor == msg.sender, errors.NotExecutor)
    if approved:
        return BY_EXECUTOR
    return BY_ANYONE


@internal
def _post_round(round_call: Bytes[ROUND_CALL_BYTES_MAX]):
    """@notice Forward a call of Oracle.post_round and no other; what it reverts with, reverts."""
    if len(round_call) != 0:
        errors.require(len(round_call) > 4, errors.OutOfBounds)
        errors.require(slice(round_call, 0, 4) == POST_ROUND, errors.OutOfBounds)
        raw_call(ORACLE.address, round_call)


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
@view
def _admit(
    words: uint256[4], account: bytes32, lowest: uint256, instrument: uint256, terms: uint256,
    executor: address, mode: uint256,
) -> uint256:
    """@notice State of an order at the start of its batch (trade.vy); cheapest checks first."""
    word: uint256 = words[0]
    if word & order.M44 > order.LOTS_MAX:
        return convert(errors.MalformedOrder, uint256)
    exclusive: bool = block.timestamp < (word >> order.EXCLUSIVE_UNTIL) & order.M40
    if mode == BY_ANYONE and (exclusive or word & order.EXECUTOR_OPEN == 0):
        return convert(errors.NotExecutor, uint256)
    if block.timestamp > (word >> order.EXPIRY) & order.M40:
        return convert(errors.OrderExpired, uint256)
    code: bytes4 = empty(bytes4)
    lots: uint256 = 0
    code, lots = fill_state.left(account, word, mode == BY_RECEIPT, lowest)
    if code != empty(bytes4):
        return convert(code, uint256)
    if word & order.CONTRACT_WALLET != 0:
        return trade.admitted(word, lots, empty(address))  # `_ask` has the last word
    digest: bytes32 = order.digest(word, words[1], account, instrument, executor)
    signer: address = signature.recover(digest, words[2], words[3])
    if signer == convert(convert(account, uint256) >> 96, address) and signer != empty(address):
        return trade.admitted(word, lots, empty(address))
    code = session.bar(account, signer, word & order.POST_ONLY != 0, (terms >> 232) & order.M8)
    if code != empty(bytes4):
        return convert(code, uint256)
    return trade.admitted(word, lots, signer)


@internal
@view
def _ask(
    state: uint256, words: uint256[4], account: bytes32, instrument: uint256, executor: address,
    blob: Bytes[wallet.BLOB_BYTES_MAX],
) -> uint256:
    """@notice The state of a contract wallet's order, barred unless the wallet consents."""
    if state & trade.ADMITTED == 0:
        return state
    digest: bytes32 = order.digest(words[0], words[1], account, instrument, executor)
    owner: address = session.owner(account)
    if block.timestamp < wallet.confirmed[owner][digest] or wallet.consents(owner, digest, blob):
        return state
    return convert(errors.BadSignature, uint256)


@internal
def _judge(
    index: uint256, fill: uint256, used: uint256, taker: uint256[4], maker: uint256[4],
    state_taker: uint256, state_maker: uint256, accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instrument: uint256, terms: uint256, settings: uint256, executor: address, mode: uint256,
    proof: uint256[3],
) -> uint256[2]:
    """@notice The trade of a fill good in itself, its budgets spent; zeros and a log of another."""
    words: uint256[2] = [0, 0]
    code: bytes4 = errors.ReceiptUsed
    if (used >> index) & 1 == 0:
        code = trade.code_of(fill, state_taker, state_maker, taker[1], maker[1])
    if code == empty(bytes4) and mode == BY_RECEIPT:
        code = receipt.code_of(
            proof, fill, taker, maker, accounts[taker[0] >> order.ACCOUNT],
            accounts[maker[0] >> order.ACCOUNT], instrument, executor, venue.exclusive_window(),
        )
    if code == empty(bytes4):
        words = trade.words(fill, state_taker, state_maker, taker[1], maker[1], terms, settings)
        if words[0] == 0:
            code = errors.FeeAboveMax
        elif (state_taker | state_maker) & trade.KEY_BITS != 0:
            a: bytes32 = accounts[taker[0] >> order.ACCOUNT]
            b: bytes32 = accounts[maker[0] >> order.ACCOUNT]
            if not session.spend(fill, state_taker, state_maker, a, b, terms, self._mark(terms)):
                code = errors.SessionKeyBudget
    if code == empty(bytes4):
        return words
    log FillSkipped(index=index, code=code)
    return [0, 0]


@internal
def _refund(
    fill: uint256, taker: uint256, maker: uint256,
    accounts: DynArray[bytes32, ACCOUNTS_MAX], terms: uint256,
):
    """@notice Give the session keys back what a fill the Clearinghouse refused had cost them."""
    if (taker | maker) & trade.KEY_BITS != 0:
        a: bytes32 = accounts[(taker >> trade.ACCOUNT) & order.M8]
        b: bytes32 = accounts[(maker >> trade.ACCOUNT) & order.M8]
        session.give_back(fill, taker, maker, a, b, terms, self._mark(terms))


@internal
@view
def _mark(terms: uint256) -> uint256:
    """@notice The instrument's mark in wad, now."""
    feed: uint256 = staticcall ORACLE.feed((terms >> 240) & order.M8)
    return ((feed >> 64) & order.M64) * units.ORACLE_UNIT


@internal
def _close(
    executor: address, first: uint256, count: uint256, settled: uint256,
    receipts: DynArray[uint256[3], receipt.RECEIPTS_MAX],
) -> uint256:
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


# --- views


@external
@view
def domain_separator() -> bytes32:
    """@notice EIP-712 domain separator on this chain."""
    return order.domain()


@external
@view
def order_digest(
    word: uint256, limits: uint256, account: bytes32, instrument: uint256, executor: address
) -> bytes32:
    """@notice What the account signs for an order of these two words (docs/SPEC.md §6)."""
    return order.digest(word, limits, account, instrument, executor)


@external
@view
def order_state(account: bytes32, nonce: uint256) -> (uint256, uint256, uint256, uint256):
    """
    @return Lane of the resting order of this nonce, second from which it is cancelled or 0, pair of
            the immediate order, its lane (fills.vy).
    """
    return fill_state.read(account, nonce)


@external
@view
def cancelled_below(account: bytes32) -> uint256:
    """@notice Orders of a lower nonce than this are cancelled now."""
    return fill_state.lowest(account)


@external
@view
def sequence_settled(executor: address, sequence: uint256) -> bool:
    """@notice Whether the executor's match of this sequence was settled."""
    return receipt.settled(executor, sequence, 1) & 1 == 1
