# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Custody: the only contract that holds tokens (docs/SPEC.md §7)
@notice Owns the internal balance sheet of every token, withdrawal requests, and the limit on net outflow. It never reads
        `balanceOf` for accounting; it compares the balance around each transfer, so a token that takes a fee or rebases is
        refused. Amounts in token units; the ledger is credited in wad (cash) or whole lots (spot), both exact.
        Effects come before transfers and every entry shares one lock.
@custom:kill Governance sets a token's deposit cap to zero: deposits stop, withdrawals go on. Nobody can stop withdrawals:
             a tenth of the balance an hour is compiled in, the notice is at most a day.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from interfaces import IClearinghouse
from lib import errors
from lib import outflow

event TokenListed:
    token: indexed(address)
    instrument: uint256
    decimals: uint256
    lot_units: uint256
    cap_step: uint256

event DepositCapSet:
    token: indexed(address)
    cap: uint256

event LimitsSet:
    token: indexed(address)
    hourly: uint256
    account_floor: uint256
    notice: uint256
    effective_at: uint256

event Deposited:
    account: indexed(bytes32)
    token: address
    amount: uint256

event WithdrawalRequested:
    account: indexed(bytes32)
    token: indexed(address)
    amount: uint256
    eligible_at: uint256

event WithdrawalCancelled:
    account: indexed(bytes32)
    token: indexed(address)
    amount: uint256

event Withdrawn:
    account: indexed(bytes32)
    token: indexed(address)
    amount: uint256

LISTED: constant(uint256) = 1
KIND_SPOT: constant(uint256) = 4
NOTICE_MIN: constant(uint256) = 60  # an order matched before the request still settles in it (rule 6)
NOTICE_MAX: constant(uint256) = 86_400
RAISE_DELAY: constant(uint256) = 604_800  # a looser limit takes effect this much later
EXECUTION_WINDOW: constant(uint256) = 86_400  # so that old places in the queue cannot be hoarded
MASK_20: constant(uint256) = 2**20 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_112: constant(uint256) = 2**112 - 1

GOVERNOR: immutable(address)
CLEARINGHOUSE: immutable(IClearinghouse)

# token -> [balance 112 | cap in whole tokens 48 | clock_ms 48 | decimals 8 | instrument 20 | flags 8]
tokens: HashMap[address, uint256]
# token -> [lot_units 128 | cap_step in whole tokens 48]
listings: HashMap[address, uint256]
# token -> [hourly 96 | account_floor 96 | notice 24], in force
limits_now: HashMap[address, uint256]
# token -> [hourly 96 | account_floor 96 | notice 24 | effective_at 40], announced; 0 when none
limits_next: HashMap[address, uint256]
# account -> token -> [amount 112 | eligible_at 40 | slot_end_ms 48 | step_ms 48]
requests: HashMap[bytes32, HashMap[address, uint256]]
# account -> token -> when its floor was last used
floor_used_at: HashMap[bytes32, HashMap[address, uint256]]
# token -> [amount 128 | clock hour 40]: what left by floors in that hour
floor_window: HashMap[address, uint256]


@deploy
def __init__(governor: address, clearinghouse: address):
    GOVERNOR = governor
    CLEARINGHOUSE = IClearinghouse(clearinghouse)


# ---- governance

@external
def set_token(token: address, instrument: uint256, decimals: uint256, lot_size: uint256, cap_step: uint256):
    """
    @notice List a token once: cash (instrument 0, lot_size 0) or the tokens behind a listed spot instrument (same lot_size,
            wad base units). Its cap starts at zero; `cap_step` (whole tokens) is how far the first raise may go.
    @custom:errors NotAuthorized, AlreadyListed, OutOfBounds, BadTerms
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    errors.require(self.tokens[token] == 0, errors.AlreadyListed)
    errors.require(decimals >= 6 and decimals <= 18 and cap_step <= MASK_48, errors.OutOfBounds)
    errors.require(convert(staticcall IERC20Detailed(token).decimals(), uint256) == decimals, errors.BadTerms)
    errors.require(instrument <= MASK_20, errors.BadTerms)
    lot_units: uint256 = 0
    if instrument == 0:
        errors.require(lot_size == 0, errors.BadTerms)
    else:
        scale: uint256 = 10 ** (18 - decimals)
        terms: uint256 = (staticcall CLEARINGHOUSE.market(instrument))[0]
        errors.require(terms >> 248 == KIND_SPOT, errors.BadTerms)
        errors.require(terms & (2**64 - 1) == lot_size and lot_size % scale == 0, errors.BadTerms)
        lot_units = lot_size // scale  # exact by the check above
    self.tokens[token] = (decimals << 208) | (instrument << 216) | (LISTED << 236)
    self.listings[token] = lot_units | (cap_step << 128)
    self.limits_now[token] = NOTICE_MIN << 192
    log TokenListed(token=token, instrument=instrument, decimals=decimals, lot_units=lot_units, cap_step=cap_step)


@external
def set_deposit_cap(token: address, cap: uint256):
    """
    @notice New cap in whole tokens; a raise goes at most to twice the old cap plus the listing's step.
    @custom:errors NotAuthorized, UnknownToken, OutOfBounds, TooFast
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    errors.require(cap <= MASK_48, errors.OutOfBounds)
    old: uint256 = (word >> 112) & MASK_48
    errors.require(cap <= 2 * old + (self.listings[token] >> 128), errors.TooFast)
    self.tokens[token] = (word & ~(MASK_48 << 112)) | (cap << 112)
    log DepositCapSet(token=token, cap=cap)


@external
def set_limits(token: address, hourly: uint256, account_floor: uint256, notice: uint256):
    """
    @notice Net outflow an hour (besides a tenth of the balance), an account's floor an hour, and the notice. Each field that
            tightens holds at once; the whole set holds after seven days. A token that holds nothing changes at once.
    @custom:errors NotAuthorized, UnknownToken, OutOfBounds
    """
    errors.require(msg.sender == GOVERNOR, errors.NotAuthorized)
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    errors.require(hourly <= MASK_96 and account_floor <= MASK_96, errors.OutOfBounds)
    errors.require(notice >= NOTICE_MIN and notice <= NOTICE_MAX, errors.OutOfBounds)
    wanted: uint256 = hourly | (account_floor << 96) | (notice << 192)
    tight: uint256 = wanted
    if word & MASK_112 != 0:
        now: uint256 = self._limits(token)
        tight = min(hourly, now & MASK_96) | (min(account_floor, (now >> 96) & MASK_96) << 96)
        tight |= max(notice, now >> 192) << 192
    effective_at: uint256 = block.timestamp
    self.limits_now[token] = tight
    self.limits_next[token] = 0
    if tight != wanted:
        effective_at += RAISE_DELAY
        self.limits_next[token] = wanted | (effective_at << 216)
    log LimitsSet(token=token, hourly=hourly, account_floor=account_floor, notice=notice, effective_at=effective_at)


# ---- money in

@external
def deposit(token: address, account: bytes32, amount: uint256):
    """
    @notice Anyone, for any account: pull `amount` token units and credit the ledger.
    @custom:errors UnknownToken, ZeroAmount, UnknownAccount, DepositCap, NotWholeLots, TransferFailed, AmountMismatch
    """
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    errors.require(amount != 0, errors.ZeroAmount)
    errors.require(convert(account, uint256) >> 96 != 0, errors.UnknownAccount)
    held: uint256 = word & MASK_112
    cap: uint256 = ((word >> 112) & MASK_48) * 10 ** ((word >> 208) & 255)
    errors.require(amount <= cap and held + amount <= cap, errors.DepositCap)
    credited: uint256 = self._to_ledger(token, word, amount)
    clock: uint256 = (word >> 160) & MASK_48
    if clock > block.timestamp * 1000:
        hourly: uint256 = outflow.limit(held + amount, self._limits(token) & MASK_96)
        clock = outflow.after_deposit(clock, block.timestamp * 1000, amount, hourly)
        word = (word & ~(MASK_48 << 160)) | (clock << 160)
    # the new balance is at most cap < 2**48 * 10**18 < 2**112, so the sum stays inside its field
    self.tokens[token] = word + amount
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    self._call(token, abi_encode(msg.sender, self, amount, method_id=method_id("transferFrom(address,address,uint256)")))
    errors.require(staticcall IERC20(token).balanceOf(self) == before + amount, errors.AmountMismatch)
    extcall CLEARINGHOUSE.credit(account, (word >> 216) & MASK_20, credited)
    log Deposited(account=account, token=token, amount=amount)


# ---- money out

@external
def request_withdrawal(account: bytes32, token: address, amount: uint256):
    """
    @notice The owner takes a place in the queue; one open request per account and token.
    @custom:errors ZeroAmount, NotOwner, UnknownToken, RequestOpen, InsufficientCash, NotWholeLots, InAuction
    """
    errors.require(amount != 0, errors.ZeroAmount)
    errors.require(convert(convert(account, uint256) >> 96, address) == msg.sender, errors.NotOwner)
    word: uint256 = self.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    open: uint256 = self.requests[account][token]
    # a lapsed request gives way, as no request does (its eligible_at is zero)
    errors.require(block.timestamp > ((open >> 112) & MASK_40) + EXECUTION_WINDOW, errors.RequestOpen)
    errors.require(amount <= word & MASK_112, errors.InsufficientCash)
    asked: uint256 = self._to_ledger(token, word, amount)
    self._require_held(account, (word >> 216) & MASK_20, asked)
    request: uint256 = self._take_place(account, token, word, amount)
    self.requests[account][token] = request
    log WithdrawalRequested(
        account=account, token=token, amount=amount, eligible_at=(request >> 112) & MASK_40
    )


@external
def cancel_withdrawal(account: bytes32, token: address):
    """
    @notice The owner gives the place up; the part of it still ahead moves the clock back.
    @custom:errors NotOwner, NoRequest
    """
    errors.require(convert(convert(account, uint256) >> 96, address) == msg.sender, errors.NotOwner)
    request: uint256 = self.requests[account][token]
    errors.require(request != 0, errors.NoRequest)
    self.requests[account][token] = 0
    slot_end: uint256 = (request >> 152) & MASK_48
    if slot_end > block.timestamp * 1000:
        word: uint256 = self.tokens[token]
        clock: uint256 = (word >> 160) & MASK_48
        back: uint256 = min(request >> 200, slot_end - block.timestamp * 1000)
        self.tokens[token] = (word & ~(MASK_48 << 160)) | ((clock - min(back, clock)) << 160)
    log WithdrawalCancelled(account=account, token=token, amount=request & MASK_112)


@external
def withdraw(account: bytes32, token: address):
    """
    @notice Anyone executes a request in its window; the ledger gates it, the tokens go to the account's owner.
    @custom:errors NoRequest, NotYet, RequestExpired, InsufficientCash, the ledger's, TransferFailed, AmountMismatch
    """
    request: uint256 = self.requests[account][token]
    errors.require(request != 0, errors.NoRequest)
    eligible_at: uint256 = (request >> 112) & MASK_40
    errors.require(block.timestamp >= eligible_at, errors.NotYet)
    errors.require(block.timestamp <= eligible_at + EXECUTION_WINDOW, errors.RequestExpired)
    amount: uint256 = request & MASK_112
    word: uint256 = self.tokens[token]
    errors.require(amount <= word & MASK_112, errors.InsufficientCash)
    self.requests[account][token] = 0
    self.tokens[token] = word - amount
    extcall CLEARINGHOUSE.debit(account, (word >> 216) & MASK_20, self._to_ledger(token, word, amount))
    owner: address = convert(convert(account, uint256) >> 96, address)
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    self._call(token, abi_encode(owner, amount, method_id=method_id("transfer(address,uint256)")))
    errors.require(staticcall IERC20(token).balanceOf(self) + amount == before, errors.AmountMismatch)
    log Withdrawn(account=account, token=token, amount=amount)


# ---- views

@external
@view
@reentrant
def token(token: address) -> (uint256, uint256, uint256, uint256, uint256):
    """@notice Balance sheet (units), deposit cap (whole tokens), decimals, instrument, units a lot (spot) of a token."""
    word: uint256 = self.tokens[token]
    lot_units: uint256 = self.listings[token] & (2**128 - 1)
    return word & MASK_112, (word >> 112) & MASK_48, (word >> 208) & 255, (word >> 216) & MASK_20, lot_units


@external
@view
@reentrant
def request(account: bytes32, token: address) -> (uint256, uint256, uint256):
    """@notice Amount, when it may be executed, and until when; zeros without a request."""
    found: uint256 = self.requests[account][token]
    if found == 0:
        return 0, 0, 0
    eligible_at: uint256 = (found >> 112) & MASK_40
    return found & MASK_112, eligible_at, eligible_at + EXECUTION_WINDOW


@external
@view
@reentrant
def queue(token: address) -> (uint256, uint256, uint256, uint256):
    """@notice The clock (ms), units that may leave in an hour now, an account's floor, and the notice (seconds)."""
    word: uint256 = self.tokens[token]
    limits: uint256 = self._limits(token)
    hourly: uint256 = outflow.limit(word & MASK_112, limits & MASK_96)
    return (word >> 160) & MASK_48, hourly, (limits >> 96) & MASK_96, limits >> 192


# ---- helpers

@internal
@view
def _limits(token: address) -> uint256:
    """@notice [hourly 96 | account_floor 96 | notice 24] in force now."""
    next: uint256 = self.limits_next[token]
    if next != 0 and block.timestamp >= next >> 216:
        return next & (2**216 - 1)
    return self.limits_now[token]


@internal
@view
def _to_ledger(token: address, word: uint256, amount: uint256) -> uint256:
    """@notice Cash in wad or whole lots, exact either way (NotWholeLots)."""
    if (word >> 216) & MASK_20 == 0:
        return amount * 10 ** (18 - ((word >> 208) & 255))
    lot_units: uint256 = self.listings[token] & (2**128 - 1)
    errors.require(amount % lot_units == 0, errors.NotWholeLots)
    return amount // lot_units  # exact


@internal
def _require_held(account: bytes32, instrument: uint256, amount: uint256):
    """@notice The account is not in auction and holds `amount` of cash (wad) or spot lots now."""
    check: IClearinghouse.Check = extcall CLEARINGHOUSE.check(account)
    errors.require(not check.in_auction, errors.InAuction)
    held: int256 = check.cash
    if instrument != 0:
        held = 0
        words: DynArray[uint256, 32] = staticcall CLEARINGHOUSE.positions(account)
        for packed: uint256 in words:
            for lane: uint256 in range(4):
                position: uint256 = (packed >> (64 * lane)) & (2**64 - 1)
                if position >> 44 == instrument:
                    held = convert(position & (2**44 - 1), int256) - 2**43
    errors.require(held >= convert(amount, int256), errors.InsufficientCash)


@internal
def _take_place(account: bytes32, token: address, word: uint256, amount: uint256) -> uint256:
    """@notice The request word; moves the token's clock, or uses the account's floor where that is sooner."""
    limits: uint256 = self._limits(token)
    hourly: uint256 = outflow.limit(word & MASK_112, limits & MASK_96)
    eligible_at: uint256 = block.timestamp + (limits >> 192)
    clock: uint256 = (word >> 160) & MASK_48
    step: uint256 = outflow.step_up(amount, hourly)
    slot_end: uint256 = max(block.timestamp * 1000, clock) + step
    comes_up_at: uint256 = outflow.comes_up_at(slot_end)
    if comes_up_at > eligible_at:
        if self._use_floor(account, token, amount, (limits >> 96) & MASK_96, hourly):
            return amount | (eligible_at << 112)
        eligible_at = comes_up_at
    # a request moves the clock by ten hours at most, so eight thousand years of 2**48 ms are out of reach; checked all the same
    assert slot_end <= MASK_48
    self.tokens[token] = (word & ~(MASK_48 << 160)) | (slot_end << 160)
    return amount | (eligible_at << 112) | (slot_end << 152) | (step << 200)


@internal
def _use_floor(account: bytes32, token: address, amount: uint256, account_floor: uint256, hourly: uint256) -> bool:
    """@notice Whether the account may skip the queue: once an hour, and all floors of a clock hour within one limit."""
    hour: uint256 = block.timestamp // outflow.HOUR  # calendar hour
    window: uint256 = self.floor_window[token]
    used: uint256 = amount
    if window >> 128 == hour:
        used += window & (2**128 - 1)
    rested: bool = block.timestamp >= self.floor_used_at[account][token] + outflow.HOUR
    if amount > account_floor or used > hourly or not rested:
        return False
    self.floor_used_at[account][token] = block.timestamp
    self.floor_window[token] = used | (hour << 128)
    return True


@internal
def _call(token: address, data: Bytes[100]):
    """@notice Call a listed token; it must succeed and return true or nothing (TransferFailed)."""
    success: bool = False
    response: Bytes[32] = b""
    success, response = raw_call(token, data, max_outsize=32, revert_on_failure=False)
    errors.require(success and (len(response) == 0 or convert(response, uint256) == 1), errors.TransferFailed)
