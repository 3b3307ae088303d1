# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Exchange: signed orders in, novated trades out (docs/SPEC.md §6)
@notice Checks every signature, limit, fee and replay guard itself and hands the trades to the Clearinghouse, which judges margin. An
        executor is trusted with speed only: it cannot forge, change or repeat a fill, nor keep a match it gave a receipt for from
        settling. A fill that is bad in itself is skipped with its code; the rest of the batch goes on.
        Fill state is written after the Clearinghouse answers; one lock spans every entry. Twin: novate/model/settlement.py.
@custom:kill Governance withdraws the executors' approval and the Clearinghouse's approval of this venue, after the timelock; users
             may still cancel, and nothing of theirs is kept here.
"""

from interfaces import IClearinghouse
from interfaces import IOracle
from lib import errors
from lib import signature
from lib import units
import fills as fill_state
import order as order_words
import session
import wallet

initializes: fill_state
initializes: order_words
initializes: session
initializes: wallet

# word: [sequence 64 | instrument 20 | taker's lots, signed 44 | price 128]; nonces: [maker 64 | taker 64]
event Fill:
    maker: indexed(bytes32)
    taker: indexed(bytes32)
    word: uint256
    nonces: uint256

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

event FeesSet:
    taker_ppm: uint256
    maker_ppm: uint256

event WindowsSet:
    exclusive_window: uint256
    notice: uint256

event ExecutorSet:
    executor: indexed(address)
    approved: bool

ACCOUNTS_MAX: constant(uint256) = 32
INSTRUMENTS_MAX: constant(uint256) = 16
ORDERS_MAX: constant(uint256) = 200
FILLS_MAX: constant(uint256) = 100
RECEIPTS_MAX: constant(uint256) = 16
BLOBS_MAX: constant(uint256) = 4
ROUND_CALL_BYTES_MAX: constant(uint256) = 2112
FEE_PPM_MAX: constant(uint256) = 2_000
POST_ROUND: constant(bytes4) = method_id(
    "post_round(uint256,uint256,uint256[],uint256,uint256[2][])", output_type=bytes4
)

SEQUENCE_MAX: constant(uint256) = 2**63

# An order's state in a batch: its code (32 bits) if it is barred, else [lots left 44 | lots settled 44 | session key 160 | 0 | 1].
SETTLED: constant(uint256) = 44
SIGNER: constant(uint256) = 88
SIGNER_BITS: constant(uint256) = (2**160 - 1) << 88
ADMITTED: constant(uint256) = 1 << 255

# A trade's flags (docs/SPEC.md §5) stand at bit 24 of its first word.
TAKER_BUYS: constant(uint256) = 1 << 24
TAKER_REDUCES: constant(uint256) = 2 << 24
MAKER_REDUCES: constant(uint256) = 4 << 24

# One side of a fill: words 0 and 1 of its order, its account, the order's state in the batch.
struct Leg:
    word: uint256
    limits: uint256
    account: bytes32
    state: uint256

GOVERNOR: immutable(address)
CLEARINGHOUSE: immutable(IClearinghouse)
ORACLE: immutable(IOracle)

executors: public(HashMap[address, bool])  # approved engines
settings: public(uint256)                  # [taker_ppm 16 | maker_ppm 16 | exclusive_window 16 | notice 16]


@deploy
def __init__(governor: address, clearinghouse: address, oracle: address):
    GOVERNOR = governor
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    ORACLE = IOracle(oracle)
    self.settings = (30 << 32) | (60 << 48)
    order_words.__init__()


# --- settlement


@external
def settle(
    round_call: Bytes[ROUND_CALL_BYTES_MAX], accounts: DynArray[bytes32, ACCOUNTS_MAX],
    instruments: DynArray[uint256, INSTRUMENTS_MAX], orders: DynArray[uint256[4], ORDERS_MAX],
    fills: DynArray[uint256, FILLS_MAX], first_sequence: uint256,
    blobs: DynArray[Bytes[wallet.BLOB_BYTES_MAX], BLOBS_MAX], executor: address = msg.sender,
    receipts: DynArray[uint256[3], RECEIPTS_MAX] = [],
) -> uint256:
    """
    @notice Settle the executor's matches; others than itself bring its receipt for each. Orders ascend by KEY.
            A fill is [taker order 8 | maker order 8 | lots 44 | price 128]; an index beyond its list reverts.
    @return Bitmap of settled fills.
    """
    approved: bool = self._authority(executor, len(receipts), len(fills))
    self._post_round(round_call)
    terms: uint256[INSTRUMENTS_MAX] = self._terms(instruments)
    states: uint256[ORDERS_MAX] = empty(uint256[ORDERS_MAX])
    lowest: uint256 = 0
    for i: uint256 in range(len(orders), bound=ORDERS_MAX):
        order: uint256[4] = orders[i]
        errors.require(order[0] >> order_words.KEY >= lowest, errors.NotAscending)
        lowest = (order[0] >> order_words.KEY) + 1
        n: uint256 = (order[0] >> order_words.INSTRUMENT) & order_words.M8
        account: bytes32 = accounts[order[0] >> order_words.ACCOUNT]
        blob: Bytes[wallet.BLOB_BYTES_MAX] = b""
        if order[0] & order_words.CONTRACT_WALLET != 0 and order[2] < len(blobs):
            blob = blobs[order[2]]
        states[i] = self._admit(order, account, instruments[n], terms[n], executor, approved, blob)

    used: uint256 = self._used(executor, first_sequence, len(fills), receipts)
    settings: uint256 = self.settings
    sent: uint256 = 0
    trades: DynArray[uint256[2], FILLS_MAX] = []
    for i: uint256 in range(len(fills), bound=FILLS_MAX):
        t: uint256 = fills[i] & order_words.M8
        m: uint256 = (fills[i] >> 8) & order_words.M8
        taker: Leg = self._leg(orders[t], accounts[orders[t][0] >> order_words.ACCOUNT], states[t])
        maker: Leg = self._leg(orders[m], accounts[orders[m][0] >> order_words.ACCOUNT], states[m])
        n: uint256 = (taker.word >> order_words.INSTRUMENT) & order_words.M8
        code: bytes4 = empty(bytes4)
        if (used >> i) & 1 == 1:
            code = errors.ReceiptUsed
        elif len(receipts) != 0:
            code = self._receipt_code(receipts[i], fills[i], taker, maker, instruments[n], executor)
        trade: uint256[2] = self._trade(i, fills[i], taker, maker, terms[n], settings, code)
        if trade[0] != 0:
            sent |= 1 << i
            # neither order has fewer lots left: `_trade` skips the fill otherwise
            states[t] = unsafe_sub(taker.state, (fills[i] >> 16) & order_words.M44)
            states[m] = unsafe_sub(maker.state, (fills[i] >> 16) & order_words.M44)
            trades.append(trade)

    settled: uint256 = 0
    if sent != 0:
        settled = self._expand(sent, extcall CLEARINGHOUSE.novate(accounts, instruments, trades))
    for i: uint256 in range(len(fills), bound=FILLS_MAX):
        if (sent >> i) & 1 == 1:
            t: uint256 = fills[i] & order_words.M8
            m: uint256 = (fills[i] >> 8) & order_words.M8
            taker: Leg = self._leg(orders[t], accounts[orders[t][0] >> order_words.ACCOUNT], states[t])
            maker: Leg = self._leg(orders[m], accounts[orders[m][0] >> order_words.ACCOUNT], states[m])
            n: uint256 = (taker.word >> order_words.INSTRUMENT) & order_words.M8
            if (settled >> i) & 1 == 1:
                states[t] += ((fills[i] >> 16) & order_words.M44) << SETTLED
                states[m] += ((fills[i] >> 16) & order_words.M44) << SETTLED
                sequence: uint256 = first_sequence + i
                if len(receipts) != 0:
                    sequence = receipts[i][0] & order_words.M64
                self._log_fill(fills[i], taker, maker, instruments[n], sequence)
            elif (taker.state | maker.state) & SIGNER_BITS != 0:
                self._refund(fills[i], taker, maker, terms[n])
    for i: uint256 in range(len(orders), bound=ORDERS_MAX):
        lots: uint256 = (states[i] >> SETTLED) & order_words.M44
        if lots != 0:
            account: bytes32 = accounts[orders[i][0] >> order_words.ACCOUNT]
            fill_state.record(account, orders[i][0], lots, len(receipts) != 0)
    self._mark_settled(executor, first_sequence, settled, receipts)
    log BatchSettled(executor=executor, first_sequence=first_sequence, count=len(fills), settled=settled)
    return settled


@internal
@view
def _authority(executor: address, receipt_count: uint256, fill_count: uint256) -> bool:
    """@notice Whether the executor is approved; rejects its matches from anyone else without its receipts."""
    approved: bool = self.executors[executor]
    if receipt_count == 0:
        errors.require(executor == msg.sender, errors.NotExecutor)
    else:
        errors.require(approved and receipt_count == fill_count, errors.BadReceipt)
    return approved


@internal
def _post_round(round_call: Bytes[ROUND_CALL_BYTES_MAX]):
    """@notice Forward a call of Oracle.post_round and no other; what it reverts with ends the batch."""
    if len(round_call) == 0:
        return
    errors.require(len(round_call) > 4, errors.OutOfBounds)
    errors.require(convert(slice(round_call, 0, 4), bytes4) == POST_ROUND, errors.OutOfBounds)
    raw_call(ORACLE.address, round_call)


@internal
@view
def _terms(instruments: DynArray[uint256, INSTRUMENTS_MAX]) -> uint256[INSTRUMENTS_MAX]:
    terms: uint256[INSTRUMENTS_MAX] = empty(uint256[INSTRUMENTS_MAX])
    for i: uint256 in range(len(instruments), bound=INSTRUMENTS_MAX):
        terms[i] = (staticcall CLEARINGHOUSE.market(instruments[i]))[0]
    return terms


@internal
@view
def _admit(
    order: uint256[4], account: bytes32, instrument: uint256, terms: uint256, executor: address, approved: bool,
    blob: Bytes[wallet.BLOB_BYTES_MAX],
) -> uint256:
    """@notice State of an order at the start of its batch; the cheapest checks come first."""
    word: uint256 = order[0]
    if word & order_words.M44 > order_words.LOTS_MAX:
        return convert(errors.MalformedOrder, uint256)
    open: bool = word & order_words.EXECUTOR_OPEN != 0
    if not approved and (not open or block.timestamp < (word >> order_words.EXCLUSIVE_UNTIL) & order_words.M40):
        return convert(errors.NotExecutor, uint256)
    if block.timestamp > (word >> order_words.EXPIRY) & order_words.M40:
        return convert(errors.OrderExpired, uint256)
    code: bytes4 = empty(bytes4)
    left: uint256 = 0
    code, left = fill_state.left(account, word)
    if code != empty(bytes4):
        return convert(code, uint256)
    digest: bytes32 = order_words.digest(word, order[1], account, instrument, executor)
    if word & order_words.CONTRACT_WALLET != 0:
        if not wallet.consents(session.owner(account), digest, blob):
            return convert(errors.BadSignature, uint256)
        return ADMITTED | left
    signer: address = signature.recover(digest, order[2], order[3])
    if signer == empty(address):
        return convert(errors.BadSignature, uint256)
    if signer == session.owner(account):
        return ADMITTED | left
    code = session.bar(account, signer, word & order_words.POST_ONLY != 0, (terms >> 232) & order_words.M8)
    if code != empty(bytes4):
        return convert(code, uint256)
    return ADMITTED | left | (convert(signer, uint256) << SIGNER)


@internal
@view
def _used(
    executor: address, first: uint256, count: uint256, receipts: DynArray[uint256[3], RECEIPTS_MAX]
) -> uint256:
    """@notice Bitmap of fills whose sequence was settled before."""
    if len(receipts) == 0:
        errors.require(first < SEQUENCE_MAX, errors.OutOfBounds)
        return fill_state.settled(executor, first, count)
    used: uint256 = 0
    lowest: uint256 = 0
    for i: uint256 in range(len(receipts), bound=RECEIPTS_MAX):
        sequence: uint256 = receipts[i][0] & order_words.M64
        errors.require(sequence >= lowest, errors.NotAscending)
        lowest = sequence + 1
        used |= (fill_state.settled(executor, sequence, 1) & 1) << i
    return used


@internal
def _mark_settled(
    executor: address, first: uint256, settled: uint256, receipts: DynArray[uint256[3], RECEIPTS_MAX]
):
    if settled == 0:
        return
    if len(receipts) == 0:
        fill_state.mark_settled(executor, first, settled)
    for i: uint256 in range(len(receipts), bound=RECEIPTS_MAX):
        if (settled >> i) & 1 == 1:
            fill_state.mark_settled(executor, receipts[i][0] & order_words.M64, 1)


@internal
@pure
def _leg(order: uint256[4], account: bytes32, state: uint256) -> Leg:
    return Leg(word=order[0], limits=order[1], account=account, state=state)


@internal
@view
def _receipt_code(
    receipt: uint256[3], fill: uint256, taker: Leg, maker: Leg, instrument: uint256, executor: address
) -> bytes4:
    """@notice The code that bars a fill by its receipt: too early, or not the executor's word on this match."""
    if block.timestamp < ((receipt[0] >> 64) & order_words.M40) + ((self.settings >> 32) & order_words.M16):
        return errors.NotExecutor
    digest: bytes32 = order_words.match_digest(
        order_words.digest(maker.word, maker.limits, maker.account, instrument, executor),
        order_words.digest(taker.word, taker.limits, taker.account, instrument, executor),
        (fill >> 16) & order_words.M44,
        (fill >> 60) & order_words.M128,
        receipt[0],
    )
    if signature.recover(digest, receipt[1], receipt[2]) != executor:
        return errors.BadReceipt
    return empty(bytes4)


@internal
def _trade(
    index: uint256, fill: uint256, taker: Leg, maker: Leg, terms: uint256, settings: uint256, barred: bytes4
) -> uint256[2]:
    """@notice The trade words of a fill good in itself, session budgets spent; zeros, and a log, of any other."""
    code: bytes4 = barred
    fees: uint256 = 0
    if code == empty(bytes4):
        code = self._match_code(fill, taker, maker)
    if code == empty(bytes4):
        code, fees = self._fees(fill, taker, maker, terms, settings)
    if code == empty(bytes4) and (taker.state | maker.state) & SIGNER_BITS != 0:
        code = self._spend(fill, taker, maker, terms)
    if code != empty(bytes4):
        log FillSkipped(index=index, code=code)
        return [0, 0]
    word: uint256 = (taker.word >> order_words.ACCOUNT) | ((maker.word >> order_words.ACCOUNT) << 8)
    word |= ((taker.word >> order_words.INSTRUMENT) & order_words.M8) << 16
    if taker.word & order_words.SELL == 0:
        word |= TAKER_BUYS
    if taker.word & order_words.REDUCE_ONLY != 0:
        word |= TAKER_REDUCES
    if maker.word & order_words.REDUCE_ONLY != 0:
        word |= MAKER_REDUCES
    return [word | ((fill >> 16) << 32), fees]  # lots and price stand side by side in both words


@internal
@pure
def _match_code(fill: uint256, taker: Leg, maker: Leg) -> bytes4:
    """@notice The code that bars the fill by the two orders' own terms, or none."""
    if taker.state & maker.state & ADMITTED == 0:
        barred: uint256 = taker.state
        if barred & ADMITTED != 0:
            barred = maker.state
        return convert(convert(barred, uint32), bytes4)
    lots: uint256 = (fill >> 16) & order_words.M44
    price: uint256 = (fill >> 60) & order_words.M128
    if lots == 0:
        return errors.ZeroLots
    crossed: uint256 = taker.word ^ maker.word
    if crossed & order_words.SELL == 0:
        return errors.SameSide
    if crossed & order_words.INSTRUMENT_BITS != 0:
        return errors.InstrumentMismatch
    if taker.word & order_words.POST_ONLY != 0:
        return errors.PostOnly
    bid: uint256 = taker.limits & order_words.M128
    ask: uint256 = maker.limits & order_words.M128
    if taker.word & order_words.SELL != 0:
        bid = maker.limits & order_words.M128
        ask = taker.limits & order_words.M128
    if price > bid or price < ask:
        return errors.LimitPrice
    if lots > taker.state & order_words.M44 or lots > maker.state & order_words.M44:
        return errors.OverFilled
    return empty(bytes4)


@internal
@pure
def _fees(fill: uint256, taker: Leg, maker: Leg, terms: uint256, settings: uint256) -> (bytes4, uint256):
    """@notice [taker's fee 128 | maker's fee 128] in wad, each rounded up; FeeAboveMax if a signed maximum is lower."""
    lots: uint256 = (fill >> 16) & order_words.M44
    # 44 + 128 + 64 bits of notional (wad * wad) and 11 of rate, 128 + 44 of maximum: nothing overflows
    notional: uint256 = unsafe_mul(unsafe_mul(lots, (fill >> 60) & order_words.M128), terms & order_words.M64)
    fee_taker: uint256 = units.div_up(unsafe_mul(notional, settings & order_words.M16), units.WAD * units.PPM)
    fee_maker: uint256 = units.div_up(unsafe_mul(notional, (settings >> 16) & order_words.M16), units.WAD * units.PPM)
    if fee_taker > min(unsafe_mul(taker.limits >> 128, lots), order_words.M128):
        return errors.FeeAboveMax, 0
    if fee_maker > min(unsafe_mul(maker.limits >> 128, lots), order_words.M128):
        return errors.FeeAboveMax, 0
    return empty(bytes4), fee_taker | (fee_maker << 128)


@internal
@pure
def _expand(sent: uint256, passed: uint256) -> uint256:
    """@notice Bitmap over fills from the bitmap over those of them that were sent on as trades."""
    settled: uint256 = 0
    trades: uint256 = passed
    for i: uint256 in range(FILLS_MAX):
        if sent >> i == 0:
            break
        if (sent >> i) & 1 == 1:
            settled |= (trades & 1) << i
            trades >>= 1
    return settled


@internal
def _log_fill(fill: uint256, taker: Leg, maker: Leg, instrument: uint256, sequence: uint256):
    lots: uint256 = (fill >> 16) & order_words.M44
    if taker.word & order_words.SELL != 0:
        lots = unsafe_sub(2**44, lots)  # two's complement of 1 <= lots < 2**43
    log Fill(
        maker=maker.account,
        taker=taker.account,
        word=sequence | (instrument << 64) | (lots << 84) | ((fill >> 60) << 128),
        nonces=((maker.word >> order_words.NONCE) & order_words.M64) | (((taker.word >> order_words.NONCE) & order_words.M64) << 64),
    )


# --- session budgets


@internal
def _spend(fill: uint256, taker: Leg, maker: Leg, terms: uint256) -> bytes4:
    """@notice Charge the session keys behind the fill; both or neither."""
    notional: uint256 = 0
    loss_taker: uint256 = 0
    loss_maker: uint256 = 0
    notional, loss_taker, loss_maker = self._costs(fill, taker.word & order_words.SELL != 0, terms)
    key_taker: address = self._key(taker.state)
    key_maker: address = self._key(maker.state)
    if key_taker != empty(address) and not session.charge(taker.account, key_taker, notional, loss_taker):
        return errors.SessionKeyBudget
    if key_maker != empty(address) and not session.charge(maker.account, key_maker, notional, loss_maker):
        if key_taker != empty(address):
            session.refund(taker.account, key_taker, notional, loss_taker)
        return errors.SessionKeyBudget
    return empty(bytes4)


@internal
def _refund(fill: uint256, taker: Leg, maker: Leg, terms: uint256):
    """@notice Undo `_spend` for a fill the Clearinghouse refused; prices stand still within a transaction."""
    notional: uint256 = 0
    loss_taker: uint256 = 0
    loss_maker: uint256 = 0
    notional, loss_taker, loss_maker = self._costs(fill, taker.word & order_words.SELL != 0, terms)
    if taker.state & SIGNER_BITS != 0:
        session.refund(taker.account, self._key(taker.state), notional, loss_taker)
    if maker.state & SIGNER_BITS != 0:
        session.refund(maker.account, self._key(maker.state), notional, loss_maker)


@internal
@view
def _costs(fill: uint256, taker_sells: bool, terms: uint256) -> (uint256, uint256, uint256):
    """@notice Notional, taker's and maker's loss against the mark, in cents rounded up."""
    price: uint256 = (fill >> 60) & order_words.M128
    size: uint256 = ((fill >> 16) & order_words.M44) * (terms & order_words.M64)
    mark: uint256 = ((staticcall ORACLE.feed((terms >> 240) & order_words.M8)) >> 64) & order_words.M64
    mark *= units.ORACLE_UNIT
    notional: uint256 = session.cents(price * size)
    loss: uint256 = session.cents((max(price, mark) - min(price, mark)) * size)
    if (price > mark) != taker_sells:
        return notional, loss, 0
    return notional, 0, loss


@internal
@pure
def _key(state: uint256) -> address:
    return convert((state & SIGNER_BITS) >> SIGNER, address)


@external
def set_session_key(
    account: bytes32,
    key: address,
    expiry: uint256,
    scope: uint256,
    underlyings: uint256,
    notional: uint256,
    loss: uint256,
):
    """@notice Owner only: let `key` sign for the account; budgets in cents, underlyings 0 = all. A live key is only widened."""
    session.set_key(account, key, expiry, scope, underlyings, notional, loss)


@external
def remove_session_key(account: bytes32, key: address):
    """@notice Owner only: the key signs no more once the notice has passed."""
    session.remove_key(account, key, self._after_notice())


# --- cancels


@external
def cancel(account: bytes32, nonce: uint256):
    """@notice Owner or session key: the resting order settles no more once the notice has passed."""
    session.may_cancel(account, msg.sender)
    effective: uint256 = self._after_notice()
    fill_state.cancel(account, nonce, effective)
    log OrderCancelled(account=account, nonce=nonce, effective=effective)


@external
def cancel_below(account: bytes32, nonce: uint256):
    """@notice Owner or session key: no order of a lower nonce settles once the notice has passed."""
    session.may_cancel(account, msg.sender)
    effective: uint256 = self._after_notice()
    fill_state.cancel_below(account, nonce, effective)
    log OrdersCancelledBelow(account=account, nonce=nonce, effective=effective)


@external
def confirm_wallet(owner: address, digest: bytes32, blob: Bytes[wallet.BLOB_BYTES_MAX]):
    """@notice Anyone: ask a contract wallet now; its consent to the digest then stands for a notice, whatever it says later."""
    errors.require(wallet.asks(owner, digest, blob), errors.BadSignature)
    until: uint256 = self._after_notice()
    wallet.confirmed[owner][digest] = until
    log WalletConfirmed(wallet=owner, digest=digest, until=until)


@internal
@view
def _after_notice() -> uint256:
    return block.timestamp + (self.settings >> 48)


# --- governance


@external
def set_fees(taker_ppm: uint256, maker_ppm: uint256):
    """@notice Governance: fees in ppm of notional; orders bound them by their signed maximum anyway."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(taker_ppm <= FEE_PPM_MAX and maker_ppm <= FEE_PPM_MAX, errors.OutOfBounds)
    self.settings = ((self.settings >> 32) << 32) | taker_ppm | (maker_ppm << 16)
    log FeesSet(taker_ppm=taker_ppm, maker_ppm=maker_ppm)


@external
def set_windows(exclusive_window: uint256, notice: uint256):
    """@notice Governance: seconds. Half of the notice stays for receipts after the executor's window, so they move together."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(5 <= exclusive_window and exclusive_window <= 300, errors.OutOfBounds)
    errors.require(30 <= notice and notice <= 600 and 2 * exclusive_window <= notice, errors.OutOfBounds)
    self.settings = (self.settings & (2**32 - 1)) | (exclusive_window << 32) | (notice << 48)
    log WindowsSet(exclusive_window=exclusive_window, notice=notice)


@external
def set_executor(executor: address, approved: bool):
    """@notice Governance: approve an engine, whose matches and receipts count, or withdraw the approval."""
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(executor != empty(address), errors.OutOfBounds)
    self.executors[executor] = approved
    log ExecutorSet(executor=executor, approved=approved)


# --- views


@external
@view
def domain_separator() -> bytes32:
    """@notice EIP-712 domain separator on this chain."""
    return order_words.domain()


@external
@view
def order_digest(
    word: uint256, limits: uint256, account: bytes32, instrument: uint256, executor: address
) -> bytes32:
    """@notice What the account signs for an order of these two words (docs/SPEC.md §6)."""
    return order_words.digest(word, limits, account, instrument, executor)


@external
@view
def order_state(account: bytes32, nonce: uint256) -> (uint256, uint256, uint256, uint256):
    """@notice Lane of the resting order, second its cancel takes effect (0: none), pair of the immediate order, its lane."""
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
    return fill_state.settled(executor, sequence, 1) & 1 == 1


@external
@view
def session_key(account: bytes32, key: address) -> uint256:
    """@notice Word of a session key (session.vy)."""
    return session.keys[account][key]
