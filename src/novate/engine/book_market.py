"""The commands of the fast book on a market and its parties.

Owns: mass cancel, makers' protection, mark, clock, position, as ``model/book.py`` has them; each
returns the code of its rejection, or 0. Rare beside orders: all are called, none is inlined.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_admit import check_parties, is_within
from novate.engine.book_commands import admitted
from novate.engine.book_index import level_row, next_above, next_below, owner_row, pointer
from novate.engine.book_kernel import forget, free_row, run_rarely, say, take_out
from novate.engine.book_layout import (
    ACCEPTED,
    ACCOUNT,
    ACCOUNT_WORDS,
    ACCOUNTS_AT,
    BEST_ASK,
    BEST_BID,
    CANCELLED,
    COUNTS,
    EVICTED,
    EXPIRES,
    EXPIRY,
    FALLING_AT,
    FILLS_LIMIT,
    FIRST,
    FROZEN,
    LEVEL,
    LEVELS,
    LISTED_FIRST,
    LISTED_NEXT,
    LOTS,
    LOTS_LEFT,
    LOTS_LIMIT,
    LOTS_MAX,
    LOTS_OUT_OF_RANGE,
    LOTS_TOTAL,
    MALFORMED,
    MARK,
    MEETS,
    NEXT,
    NONE,
    NOW,
    OPENED,
    ORDER_EXPIRED,
    OWNER,
    OWNER_SHIFT,
    OWNERS_MAX,
    OWNERS_SEEN,
    POSITION,
    PRICE,
    PRICE_TRIGGER_MAX,
    RISING_AT,
    SELL,
    TERMS,
    TIMED_AT,
    TRIGGER_BITS,
    TRIGGERED,
    UNKNOWN_ACCOUNT,
    WAITS,
    WINDOW,
    WINDOW_FILLS,
    WINDOW_LOTS,
    Word,
    Words,
    compiled,
    inlined,
)
from novate.engine.book_watch import heap_top


@inlined
def _cancel_queue(state: Words, level: Word, owner: Word) -> None:
    """Cancel all of an owner's orders at a level, oldest first."""
    row = pointer(state, level_row(level) + FIRST)
    while row != NONE:
        following = pointer(state, row + NEXT)
        if state[row + TERMS] >> OWNER_SHIFT == owner:
            take_out(state, row, CANCELLED, 0)
        row = following


@compiled
def mass_cancel(state: Words, commands: Words, at: np.uint64) -> Word:
    """All of an owner's orders, or those of one side: bids, asks, then the waiting ones."""
    if not is_within(commands[at + OWNER], state[OWNERS_MAX]):
        return UNKNOWN_ACCOUNT
    owner, side = commands[at + OWNER], commands[at + LOTS]
    level = state[BEST_BID]
    while level >= 0 and side >= 0:
        _cancel_queue(state, level, owner)
        level = next_below(state, np.uint64(level))
    level = state[BEST_ASK]
    while level < LEVELS and side <= 0:
        _cancel_queue(state, level, owner)
        level = next_above(state, np.uint64(level))
    row = pointer(state, owner_row(owner) + LISTED_FIRST)
    while row != NONE:
        following = pointer(state, row + LISTED_NEXT)
        order_terms = state[row + TERMS]
        chosen = side <= 0 if order_terms & SELL else side >= 0
        if order_terms & WAITS and chosen:
            take_out(state, row, CANCELLED, 0)
        row = following
    return ACCEPTED


@inlined
def _clear_counts(state: Words, owner: np.uint64) -> None:
    state[owner + COUNTS + OPENED] = 0
    state[owner + COUNTS + WINDOW_LOTS] = 0
    state[owner + COUNTS + WINDOW_FILLS] = 0


@compiled
def protect(state: Words, commands: Words, at: np.uint64) -> Word:
    """An owner's limits on what its quotes may fill; counting starts anew."""
    if not is_within(commands[at + OWNER], state[OWNERS_MAX]):
        return UNKNOWN_ACCOUNT
    if not is_within(commands[at + LOTS], LOTS_MAX + 1):
        return LOTS_OUT_OF_RANGE
    if commands[at + PRICE] < 0 or commands[at + EXPIRY] < 0:
        return MALFORMED
    if commands[at + OWNER] >= state[OWNERS_SEEN]:
        state[OWNERS_SEEN] = commands[at + OWNER] + 1
    owner = owner_row(commands[at + OWNER])
    state[owner + LOTS_LIMIT] = commands[at + LOTS]
    state[owner + FILLS_LIMIT] = commands[at + PRICE]
    state[owner + WINDOW] = commands[at + EXPIRY]
    _clear_counts(state, owner)
    return ACCEPTED


@compiled
def reset(state: Words, commands: Words, at: np.uint64) -> Word:
    """Let an owner quote again."""
    if not is_within(commands[at + OWNER], state[OWNERS_MAX]):
        return UNKNOWN_ACCOUNT
    owner = owner_row(commands[at + OWNER])
    _clear_counts(state, owner)
    state[owner + COUNTS + FROZEN] = 0
    return ACCEPTED


@compiled
def _fire(state: Words, row: np.uint64) -> None:
    """Enter an order whose trigger is met; what it would be rejected for evicts it."""
    say(state, TRIGGERED, row, state[MARK])
    forget(state, row)
    state[row + TERMS] &= ~(WAITS | TRIGGER_BITS)
    left, total, level = state[row + LOTS_LEFT], state[row + LOTS_TOTAL], state[row + LEVEL]
    code = admitted(state, row, NONE)
    if code == ACCEPTED:
        run_rarely(state, row)
        return
    state[row + LOTS_LEFT] = left
    state[row + LOTS_TOTAL] = total
    state[row + LEVEL] = level
    say(state, EVICTED, row, code)
    free_row(state, row)


@compiled
def mark(state: Words, commands: Words, at: np.uint64) -> Word:
    """The market's mark: fires what rose to it, lowest first, then what fell to it."""
    price = commands[at + PRICE]
    if not 0 < price <= PRICE_TRIGGER_MAX:
        return MALFORMED
    state[MARK] = price
    row = heap_top(state, RISING_AT)
    while row != NONE and state[row + MEETS] <= price:
        _fire(state, row)
        row = heap_top(state, RISING_AT)
    row = heap_top(state, FALLING_AT)
    while row != NONE and state[row + MEETS] >= price:
        _fire(state, row)
        row = heap_top(state, FALLING_AT)
    return ACCEPTED


@compiled
def clock(state: Words, commands: Words, at: np.uint64) -> Word:
    """The time: evicts what has expired by it, earliest first."""
    now = commands[at + EXPIRY]
    if now < state[NOW]:
        return MALFORMED
    state[NOW] = now
    row = heap_top(state, TIMED_AT)
    while row != NONE and state[row + EXPIRES] <= now:
        take_out(state, row, EVICTED, ORDER_EXPIRED)
        row = heap_top(state, TIMED_AT)
    return ACCEPTED


@compiled
def set_position(state: Words, commands: Words, at: np.uint64) -> Word:
    """An account's lots, when something other than this book moved them."""
    account, lots = commands[at + ACCOUNT], commands[at + LOTS]
    code = check_parties(state, 0, account)
    if code != ACCEPTED:
        return code
    if not -LOTS_MAX <= lots <= LOTS_MAX:
        return LOTS_OUT_OF_RANGE
    state[ACCOUNTS_AT + np.uint64(account) * np.uint64(ACCOUNT_WORDS) + POSITION] = lots
    return ACCEPTED
