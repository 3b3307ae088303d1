# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Custody: the only contract that holds tokens (docs/SPEC.md §7)
@notice Owns withdrawal requests and every movement of tokens; the balance sheet, caps and limits
        are in custody_sheet.vy. It never reads `balanceOf` for accounting; it compares the balance
        around each transfer, so a token that takes a fee or rebases is refused. Amounts in token
        units; the ledger is credited in wad (cash) or whole lots (spot), both exact. Effects come
        before transfers and every entry shares one lock.
@custom:kill Governance sets a token's deposit cap to zero: deposits stop, withdrawals go on.
             Nobody can stop withdrawals: a tenth of the balance an hour is compiled in, the notice
             is at most a day.
"""

from ethereum.ercs import IERC20
from interfaces import IClearinghouse
from lib import errors
from lib import outflow
import custody_sheet as sheet

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

EXECUTION_WINDOW: constant(uint256) = 86_400  # so that old places in the queue cannot be hoarded
MASK_20: constant(uint256) = 2**20 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_112: constant(uint256) = 2**112 - 1

initializes: sheet

# governance
exports: (sheet.set_token, sheet.set_deposit_cap, sheet.set_limits)
# views
exports: (sheet.token, sheet.queue)

# account -> token -> [amount 112 | eligible_at 40 | slot_end_ms 48 | step_ms 48]
requests: HashMap[bytes32, HashMap[address, uint256]]
# account -> token -> when its floor was last used
floor_used_at: HashMap[bytes32, HashMap[address, uint256]]
# token -> [amount 128 | clock hour 40]: what left by floors in that hour
floor_window: HashMap[address, uint256]


@deploy
def __init__(governor: address, clearinghouse: address):
    sheet.__init__(governor, clearinghouse)


# ---- money in

@external
def deposit(token: address, account: bytes32, amount: uint256):
    """
    @notice Anyone, for any account: pull `amount` token units and credit the ledger.
    @custom:errors UnknownToken, ZeroAmount, UnknownAccount, DepositCap, NotWholeLots,
            TransferFailed, AmountMismatch
    """
    word: uint256 = sheet.tokens[token]
    held: uint256 = word & MASK_112
    # decimals are at most 18, a cap below 2**48 whole tokens: nothing wraps
    cap: uint256 = unsafe_mul((word >> 112) & MASK_48, pow_mod256(10, (word >> 208) & 255))
    # held is at most cap, so the difference does not wrap; an unlisted token has a cap of zero
    left: uint256 = unsafe_sub(cap, min(held, cap))
    if amount == 0 or amount > left or convert(account, uint256) < 2**96:
        self._refuse_deposit(word, account, amount)
    credited: uint256 = sheet._to_ledger(token, word, amount)
    clock: uint256 = (word >> 160) & MASK_48
    now_ms: uint256 = unsafe_mul(block.timestamp, 1000)  # a timestamp is far below 2**240
    if clock > now_ms:
        hourly: uint256 = outflow.limit(held + amount, sheet._limits(token) & MASK_96)
        clock = outflow.after_deposit(clock, now_ms, amount, hourly)
        word = (word & ~(MASK_48 << 160)) | (clock << 160)
    # the new balance is at most cap < 2**48 * 10**18 < 2**112, so the sum stays inside its field
    sheet.tokens[token] = unsafe_add(word, amount)
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    success: bool = False
    response: Bytes[32] = b""
    success, response = raw_call(
        token,
        abi_encode(
            msg.sender,
            self,
            amount,
            method_id=method_id("transferFrom(address,address,uint256)"),
        ),
        max_outsize=32,
        revert_on_failure=False,
    )
    self._require_moved(success, response)
    after: uint256 = staticcall IERC20(token).balanceOf(self)
    # a balance that fell wraps to a difference no amount within the cap can equal
    errors.require(unsafe_sub(after, before) == amount, errors.AmountMismatch)
    extcall sheet.CLEARINGHOUSE.credit(account, (word >> 216) & MASK_20, credited)
    log Deposited(account=account, token=token, amount=amount)


@internal
@pure
def _refuse_deposit(word: uint256, account: bytes32, amount: uint256):
    """@notice Say why a deposit that failed the one check of `deposit` is refused."""
    errors.require(word != 0, errors.UnknownToken)
    errors.require(amount != 0, errors.ZeroAmount)
    errors.require(convert(account, uint256) >> 96 != 0, errors.UnknownAccount)
    errors.require(False, errors.DepositCap)


# ---- money out

@external
def request_withdrawal(account: bytes32, token: address, amount: uint256):
    """
    @notice The owner takes a place in the queue; one open request per account and token.
    @custom:errors ZeroAmount, NotOwner, UnknownToken, RequestOpen, InsufficientCash, NotWholeLots,
            InAuction
    """
    errors.require(amount != 0, errors.ZeroAmount)
    errors.require(self._owner(account) == msg.sender, errors.NotOwner)
    word: uint256 = sheet.tokens[token]
    errors.require(word != 0, errors.UnknownToken)
    # a lapsed request gives way, as no request does (its eligible_at is zero)
    eligible_at: uint256 = (self.requests[account][token] >> 112) & MASK_40
    errors.require(block.timestamp > eligible_at + EXECUTION_WINDOW, errors.RequestOpen)
    errors.require(amount <= word & MASK_112, errors.InsufficientCash)
    asked: uint256 = sheet._to_ledger(token, word, amount)
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
    errors.require(self._owner(account) == msg.sender, errors.NotOwner)
    request: uint256 = self.requests[account][token]
    errors.require(request != 0, errors.NoRequest)
    self.requests[account][token] = 0
    slot_end: uint256 = (request >> 152) & MASK_48
    if slot_end > block.timestamp * 1000:
        word: uint256 = sheet.tokens[token]
        clock: uint256 = (word >> 160) & MASK_48
        back: uint256 = min(request >> 200, slot_end - block.timestamp * 1000)
        sheet.tokens[token] = (word & ~(MASK_48 << 160)) | ((clock - min(back, clock)) << 160)
    log WithdrawalCancelled(account=account, token=token, amount=request & MASK_112)


@external
def withdraw(account: bytes32, token: address):
    """
    @notice Anyone executes a request in its window; the ledger gates it, the tokens go to the
            account's owner.
    @custom:errors NoRequest, NotYet, RequestExpired, InsufficientCash, the ledger's,
            TransferFailed, AmountMismatch
    """
    request: uint256 = self.requests[account][token]
    errors.require(request != 0, errors.NoRequest)
    eligible_at: uint256 = (request >> 112) & MASK_40
    errors.require(block.timestamp >= eligible_at, errors.NotYet)
    errors.require(block.timestamp <= eligible_at + EXECUTION_WINDOW, errors.RequestExpired)
    amount: uint256 = request & MASK_112
    word: uint256 = sheet.tokens[token]
    errors.require(amount <= word & MASK_112, errors.InsufficientCash)
    self.requests[account][token] = 0
    sheet.tokens[token] = word - amount
    debited: uint256 = sheet._to_ledger(token, word, amount)
    extcall sheet.CLEARINGHOUSE.debit(account, (word >> 216) & MASK_20, debited)
    owner: address = self._owner(account)
    before: uint256 = staticcall IERC20(token).balanceOf(self)
    success: bool = False
    response: Bytes[32] = b""
    success, response = raw_call(
        token,
        abi_encode(owner, amount, method_id=method_id("transfer(address,uint256)")),
        max_outsize=32,
        revert_on_failure=False,
    )
    self._require_moved(success, response)
    after: uint256 = staticcall IERC20(token).balanceOf(self)
    errors.require(after + amount == before, errors.AmountMismatch)
    log Withdrawn(account=account, token=token, amount=amount)


# ---- views

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


# ---- helpers

@internal
@pure
def _owner(account: bytes32) -> address:
    return convert(convert(account, uint256) >> 96, address)


@internal
def _require_held(account: bytes32, instrument: uint256, amount: uint256):
    """@notice The account is not in auction and holds `amount` of cash (wad) or spot lots now."""
    check: IClearinghouse.Check = extcall sheet.CLEARINGHOUSE.check(account)
    errors.require(not check.in_auction, errors.InAuction)
    held: int256 = check.cash
    if instrument != 0:
        held = 0
        words: DynArray[uint256, 32] = staticcall sheet.CLEARINGHOUSE.positions(account)
        for packed: uint256 in words:
            for lane: uint256 in range(4):
                position: uint256 = (packed >> (64 * lane)) & (2**64 - 1)
                if position >> 44 == instrument:
                    held = convert(position & (2**44 - 1), int256) - 2**43
    errors.require(held >= convert(amount, int256), errors.InsufficientCash)


@internal
def _take_place(account: bytes32, token: address, word: uint256, amount: uint256) -> uint256:
    """
    @notice The request word; moves the token's clock, or uses the account's floor where that is
            sooner.
    """
    limits: uint256 = sheet._limits(token)
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
    # a request moves the clock by ten hours at most, so eight thousand years of 2**48 ms are out
    # of reach; checked all the same
    assert slot_end <= MASK_48
    sheet.tokens[token] = (word & ~(MASK_48 << 160)) | (slot_end << 160)
    return amount | (eligible_at << 112) | (slot_end << 152) | (step << 200)


@internal
def _use_floor(
    account: bytes32, token: address, amount: uint256, account_floor: uint256, hourly: uint256
) -> bool:
    """
    @notice Whether the account may skip the queue: once an hour, and all floors of a clock hour
            within one limit.
    """
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
@pure
def _require_moved(success: bool, response: Bytes[32]):
    """@notice A transfer succeeded and returned true or, as old tokens do, nothing."""
    agreed: bool = len(response) == 0 or convert(response, uint256) == 1
    errors.require(success and agreed, errors.TransferFailed)
