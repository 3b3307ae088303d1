"""Custody: tokens in and out, a balance sheet a token, and the withdrawal queue (docs/SPEC.md §7).

Units: token units on the sheet, wad or whole lots in the ledger (both exact), the queue's clock in
milliseconds, else seconds. Rounding: a request moves the clock up, a deposit moves it back down,
so the outflow of any hours is never above their limit. The tokens themselves are outside the
model: a transfer here always succeeds. Twin: ``contracts/Custody.vy``, ``lib/outflow.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import require
from novate.model import ledger
from novate.model.account import owner_of
from novate.model.instrument import SPOT
from novate.model.store import Store
from novate.units import div_down, div_up, ppm_down

if TYPE_CHECKING:
    from novate.model.state import World

HOUR_S = 3600
HOUR_MS = 3_600_000
OUTFLOW_SHARE_PPM = 100_000
NOTICE_S_MIN = 60
NOTICE_S_MAX = 86_400
RAISE_DELAY_S = 604_800
EXECUTION_WINDOW_S = 86_400
WHOLE_TOKENS_MAX = 2**48 - 1
LIMIT_UNITS_MAX = 2**96 - 1


@dataclass(frozen=True, slots=True)
class Token:
    """A listed token (``decimals`` is zero before): sheet in units, caps in whole tokens."""

    balance: int = 0
    cap: int = 0
    clock_ms: int = 0
    decimals: int = 0
    instrument: int = 0
    lot_units: int = 0
    cap_step: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """Units of net outflow an hour (besides a tenth of the balance), an account's floor an hour,
    and the notice.
    """

    hourly: int = 0
    account_floor: int = 0
    notice: int = NOTICE_S_MIN


@dataclass(frozen=True, slots=True)
class Announced:
    """Looser limits that hold from ``effective_at`` on; nothing is announced while that is zero."""

    limits: Limits = Limits()
    effective_at: int = 0


@dataclass(frozen=True, slots=True)
class Request:
    """A place in the queue; no request has amount zero. ``slot_end_ms`` and ``step_ms`` are zero
    for a floor.
    """

    amount: int = 0
    eligible_at: int = 0
    slot_end_ms: int = 0
    step_ms: int = 0


class CustodyState:
    """Tables of Custody; requests and floors are keyed by (account, token)."""

    def __init__(self, store: Store) -> None:
        self.tokens = store.table("custody.tokens", Token())
        self.limits_now = store.table("custody.limits_now", Limits())
        self.limits_next = store.table("custody.limits_next", Announced())
        self.requests = store.table("custody.requests", Request())
        self.floor_used_at = store.table("custody.floor_used_at", 0)
        self.floor_window = store.table("custody.floor_window", (0, 0))


def hourly_limit(balance: int, hourly: int) -> int:
    """Units that may leave in an hour: a tenth of the balance (down) or the governed floor; never
    zero.
    """
    return max(ppm_down(balance, OUTFLOW_SHARE_PPM), hourly, 1)


def step_up(amount: int, limit: int) -> int:
    """Milliseconds of the limit that an amount uses up (rounded up)."""
    return div_up(amount * HOUR_MS, limit)


def after_deposit(clock_ms: int, now_ms: int, amount: int, limit: int) -> int:
    """A clock ahead of now moves back by what came in (rounded down), never below now."""
    return max(now_ms, clock_ms - div_down(amount * HOUR_MS, limit))


def comes_up_at(slot_end_ms: int) -> int:
    """When a place comes up (seconds, rounded up): an hour of the limit is free to leave at
    once.
    """
    return div_up(slot_end_ms, 1000) - HOUR_S


def limits_of(world: World, token: str) -> Limits:
    """The limits in force now."""
    announced = world.custody.limits_next[token]
    if announced.effective_at and world.now >= announced.effective_at:
        return announced.limits
    return world.custody.limits_now[token]


def queue(world: World, token: str) -> tuple[int, int, int, int]:
    """The clock (ms), units that may leave in an hour now, an account's floor, and the notice
    (seconds).
    """
    row, limit = world.custody.tokens[token], limits_of(world, token)
    return row.clock_ms, hourly_limit(row.balance, limit.hourly), limit.account_floor, limit.notice


def set_token(
    world: World,
    caller: str,
    token: str,
    instrument: int,
    decimals: int,
    lot_size: int,
    cap_step: int,
) -> None:
    """Governance: list a token once, with a cap of zero; ``cap_step`` is how far the first raise
    may go.
    """
    ledger.only(world, caller, "timelock")
    require(world.custody.tokens[token].decimals == 0, errors.AlreadyListed)
    require(6 <= decimals <= 18 and cap_step <= WHOLE_TOKENS_MAX, errors.OutOfBounds)
    require(instrument <= limits.INSTRUMENT_ID_MAX, errors.BadTerms)
    lot_units = 0
    if instrument == 0:
        require(lot_size == 0, errors.BadTerms)
    else:
        scale = 10 ** (18 - decimals)
        terms = world.ledger.terms[instrument]
        require(terms.kind == SPOT, errors.BadTerms)
        require(terms.lot_size == lot_size and lot_size % scale == 0, errors.BadTerms)
        lot_units = div_down(lot_size, scale)
    world.custody.tokens[token] = Token(
        decimals=decimals, instrument=instrument, lot_units=lot_units, cap_step=cap_step
    )
    world.custody.limits_now[token] = Limits()
    world.emit(
        "TokenListed",
        token=token,
        instrument=instrument,
        decimals=decimals,
        lot_units=lot_units,
        cap_step=cap_step,
    )


def _listed(world: World, token: str) -> Token:
    row = world.custody.tokens[token]
    require(row.decimals != 0, errors.UnknownToken)
    return row


def set_deposit_cap(world: World, caller: str, token: str, cap: int) -> None:
    """Governance: new cap in whole tokens; a raise goes at most to twice the old cap plus the
    listing's step.
    """
    ledger.only(world, caller, "timelock")
    row = _listed(world, token)
    require(cap <= WHOLE_TOKENS_MAX, errors.OutOfBounds)
    require(cap <= 2 * row.cap + row.cap_step, errors.TooFast)
    world.custody.tokens[token] = replace(row, cap=cap)
    world.emit("DepositCapSet", token=token, cap=cap)


def set_limits(
    world: World, caller: str, token: str, hourly: int, account_floor: int, notice: int
) -> None:
    """Governance: each field that tightens holds at once, the whole set after seven days (at once
    on an empty sheet).
    """
    ledger.only(world, caller, "timelock")
    row = _listed(world, token)
    require(hourly <= LIMIT_UNITS_MAX and account_floor <= LIMIT_UNITS_MAX, errors.OutOfBounds)
    require(NOTICE_S_MIN <= notice <= NOTICE_S_MAX, errors.OutOfBounds)
    wanted = tight = Limits(hourly, account_floor, notice)
    if row.balance:
        now = limits_of(world, token)
        tight = Limits(
            min(hourly, now.hourly), min(account_floor, now.account_floor), max(notice, now.notice)
        )
    effective_at = world.now
    world.custody.limits_now[token] = tight
    world.custody.limits_next[token] = Announced()
    if tight != wanted:
        effective_at += RAISE_DELAY_S
        world.custody.limits_next[token] = Announced(wanted, effective_at)
    world.emit(
        "LimitsSet",
        token=token,
        hourly=hourly,
        account_floor=account_floor,
        notice=notice,
        effective_at=effective_at,
    )


def _to_ledger(row: Token, amount: int) -> int:
    """Cash in wad or whole lots, exact either way (``NotWholeLots``)."""
    if row.instrument == 0:
        scale: int = 10 ** (18 - row.decimals)
        return amount * scale
    require(amount % row.lot_units == 0, errors.NotWholeLots)
    return div_down(amount, row.lot_units)


def deposit(world: World, caller: str, token: str, account: int, amount: int) -> None:
    """Anyone, for any account: take ``amount`` token units in and credit the ledger."""
    row = _listed(world, token)
    require(amount != 0, errors.ZeroAmount)
    require(owner_of(account) != 0, errors.UnknownAccount)
    require(row.balance + amount <= row.cap * 10**row.decimals, errors.DepositCap)
    credited = _to_ledger(row, amount)
    clock_ms = row.clock_ms
    if clock_ms > world.now * 1000:
        limit = hourly_limit(row.balance + amount, limits_of(world, token).hourly)
        clock_ms = after_deposit(clock_ms, world.now * 1000, amount, limit)
    world.custody.tokens[token] = replace(row, balance=row.balance + amount, clock_ms=clock_ms)
    ledger.credit(world, world.addresses["custody"], account, row.instrument, credited)
    world.emit("Deposited", account=account, token=token, amount=amount)


def request_withdrawal(world: World, caller: str, account: int, token: str, amount: int) -> None:
    """The owner takes a place in the queue; one open request per account and token."""
    require(amount != 0, errors.ZeroAmount)
    require(owner_of(account) == int(caller, 16), errors.NotOwner)
    row = _listed(world, token)
    open_until = world.custody.requests[account, token].eligible_at + EXECUTION_WINDOW_S
    require(world.now > open_until, errors.RequestOpen)
    require(amount <= row.balance, errors.InsufficientCash)
    asked = _to_ledger(row, amount)
    check = ledger.check(world, account)
    require(not check.in_auction, errors.InAuction)
    held = check.cash
    if row.instrument:
        held = dict(world.ledger.accounts[account].positions).get(row.instrument, 0)
    require(held >= asked, errors.InsufficientCash)
    request = _take_place(world, account, token, row, amount)
    world.custody.requests[account, token] = request
    world.emit(
        "WithdrawalRequested",
        account=account,
        token=token,
        amount=amount,
        eligible_at=request.eligible_at,
    )


def _take_place(world: World, account: int, token: str, row: Token, amount: int) -> Request:
    """Move the token's clock, or use the account's floor where that is sooner."""
    limit = limits_of(world, token)
    hourly = hourly_limit(row.balance, limit.hourly)
    noticed_at = world.now + limit.notice
    step_ms = step_up(amount, hourly)
    slot_end_ms = max(world.now * 1000, row.clock_ms) + step_ms
    in_turn_at = comes_up_at(slot_end_ms)
    if in_turn_at > noticed_at and _use_floor(world, account, token, amount, limit, hourly):
        return Request(amount, noticed_at)
    world.custody.tokens[token] = replace(row, clock_ms=slot_end_ms)
    return Request(amount, max(noticed_at, in_turn_at), slot_end_ms, step_ms)


def _use_floor(
    world: World, account: int, token: str, amount: int, limit: Limits, hourly: int
) -> bool:
    """Whether the account may skip the queue: once an hour, and all floors of a clock hour within
    one limit.
    """
    hour = div_down(world.now, HOUR_S)
    used, window_hour = world.custody.floor_window[token]
    used = amount + (used if window_hour == hour else 0)
    rested = world.now >= world.custody.floor_used_at[account, token] + HOUR_S
    if amount > limit.account_floor or used > hourly or not rested:
        return False
    world.custody.floor_used_at[account, token] = world.now
    world.custody.floor_window[token] = (used, hour)
    return True


def cancel_withdrawal(world: World, caller: str, account: int, token: str) -> None:
    """The owner gives the place up; the part of it still ahead moves the clock back."""
    require(owner_of(account) == int(caller, 16), errors.NotOwner)
    request = world.custody.requests[account, token]
    require(request.amount != 0, errors.NoRequest)
    world.custody.requests[account, token] = Request()
    ahead_ms = request.slot_end_ms - world.now * 1000
    if ahead_ms > 0:
        row = world.custody.tokens[token]
        back_ms = min(request.step_ms, ahead_ms, row.clock_ms)
        world.custody.tokens[token] = replace(row, clock_ms=row.clock_ms - back_ms)
    world.emit("WithdrawalCancelled", account=account, token=token, amount=request.amount)


def withdraw(world: World, caller: str, account: int, token: str) -> None:
    """Anyone executes a request in its window; the ledger gates it, the tokens go to the account's
    owner.
    """
    request = world.custody.requests[account, token]
    require(request.amount != 0, errors.NoRequest)
    require(world.now >= request.eligible_at, errors.NotYet)
    require(world.now <= request.eligible_at + EXECUTION_WINDOW_S, errors.RequestExpired)
    row = world.custody.tokens[token]
    require(request.amount <= row.balance, errors.InsufficientCash)
    world.custody.requests[account, token] = Request()
    world.custody.tokens[token] = replace(row, balance=row.balance - request.amount)
    custody = world.addresses["custody"]
    ledger.debit(world, custody, account, row.instrument, _to_ledger(row, request.amount))
    world.emit("Withdrawn", account=account, token=token, amount=request.amount)
