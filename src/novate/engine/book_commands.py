"""The commands of the fast book on orders: place, cancel, amend, replace, quote.

Owns: what ``model/book.py`` says under "Commands", step by step in the same order; each returns the
code of its rejection, or 0. An order that is to enter gets a row of its own first, so that a
refusal gives the row back and nothing else has changed.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_admit import (
    admit,
    check_account,
    check_lots,
    check_order,
    check_parties,
    check_price,
    is_within,
    posted,
)
from novate.engine.book_index import find, level_row, owner_row
from novate.engine.book_kernel import (
    emit,
    free_row,
    register,
    remove,
    remove_rarely,
    rest,
    run,
    run_rarely,
    say,
    take_out,
    take_row,
)
from novate.engine.book_layout import (
    ACCEPTED,
    ACCOUNT,
    ACCOUNT_MASK,
    ACCOUNT_SHIFT,
    AMENDED,
    ASK_LOTS,
    ASK_PRICE,
    BOOK_FULL,
    CANCELLED,
    COUNTS,
    EXPIRES,
    EXPIRY,
    FORCE_BITS,
    FROZEN,
    IDENTITY,
    IDENTITY_MAX,
    KILLS,
    LEVEL,
    LEVEL_LOTS,
    LEVELS_MAX,
    LOTS,
    LOTS_LEFT,
    LOTS_MAX,
    LOTS_OUT_OF_RANGE,
    LOTS_TOTAL,
    MALFORMED,
    MARK,
    MARKET,
    MEETS,
    NONE,
    NOT_OWNER,
    OPEN,
    OPTION_MASK,
    OPTIONS,
    ORDER,
    ORDER_EXISTS,
    ORDER_NOT_OPEN,
    ORDERS_MAX,
    OWNER,
    OWNER_SHIFT,
    POST_BITS,
    POST_ONLY,
    PRICE,
    PRICE_BASE,
    PRICE_OUT_OF_LADDER,
    QUOTED,
    QUOTES_FROZEN,
    REDUCE_ONLY,
    SELF_TRADE_BITS,
    SELL,
    TARGET,
    TERMS,
    TIMED,
    TRIGGER,
    TRIGGER_BITS,
    WAITING,
    WAITS,
    WOULD_TRIGGER,
    Word,
    Words,
    compiled,
    inlined,
)
from novate.engine.book_watch import rises

# What an order must satisfy against the book before it enters.
_CONDITIONS = POST_BITS | REDUCE_ONLY


@inlined
def is_met(mark: Word, trigger: Word, order_terms: Word) -> bool:
    """Whether the mark (0: none yet) meets a trigger."""
    if mark == 0:
        return False
    return bool(mark >= trigger if rises(order_terms) else mark <= trigger)


@inlined
def _make(state: Words, commands: Words, at: np.uint64, identity: Word) -> np.uint64:
    """A row for the order of a sound command; a market order is a limit at the ladder's end."""
    row = take_row(state)
    lots, options, expiry = commands[at + LOTS], commands[at + OPTIONS], commands[at + EXPIRY]
    parties = (commands[at + OWNER] << OWNER_SHIFT) | (commands[at + ACCOUNT] << ACCOUNT_SHIFT)
    order_terms = options | parties
    level = commands[at + PRICE] - state[PRICE_BASE]
    if options & MARKET:
        level = state[LEVELS_MAX] - 1 if lots > 0 else np.int64(0)
    if lots < 0:
        order_terms |= SELL
    if expiry != 0:
        order_terms |= TIMED
        state[row + EXPIRES] = expiry
    if options & TRIGGER_BITS:
        order_terms |= WAITS
        state[row + MEETS] = commands[at + TRIGGER]
    state[row + LOTS_LEFT] = abs(lots)
    state[row + LOTS_TOTAL] = abs(lots)
    state[row + IDENTITY] = identity
    state[row + LEVEL] = level
    state[row + TERMS] = order_terms
    return row


@inlined
def admitted(state: Words, row: np.uint64, ignored: np.uint64) -> Word:
    """The code a new order is refused with for what it would meet, or 0."""
    order_terms = state[row + TERMS]
    if order_terms & WAITS:
        met = is_met(state[MARK], state[row + MEETS], order_terms)
        return WOULD_TRIGGER if met else ACCEPTED
    if order_terms & _CONDITIONS or order_terms & FORCE_BITS == KILLS:
        return admit(state, row, ignored)
    return ACCEPTED


@compiled
def _wait(state: Words, row: np.uint64) -> None:
    register(state, row)
    say(state, WAITING, row, state[row + MEETS])


@inlined
def place(state: Words, commands: Words, at: np.uint64) -> Word:
    """A new order."""
    code = check_order(state, commands, at, commands[at + ORDER])
    if code != ACCEPTED:
        return code
    options = commands[at + OPTIONS]
    stays = options & FORCE_BITS == 0 or options & TRIGGER_BITS != 0
    if stays and state[OPEN] >= state[ORDERS_MAX]:
        return BOOK_FULL
    row = _make(state, commands, at, commands[at + ORDER])
    code = admitted(state, row, NONE)
    if code != ACCEPTED:
        free_row(state, row)
        return code
    if state[row + TERMS] & WAITS:
        _wait(state, row)
    else:
        run(state, row)
    return ACCEPTED


@inlined
def _check_own(state: Words, commands: Words, at: np.uint64, row: np.uint64) -> Word:
    if row == NONE:
        return ORDER_NOT_OPEN
    owner = state[row + TERMS] >> OWNER_SHIFT
    return ACCEPTED if owner == commands[at + OWNER] else NOT_OWNER


@inlined
def cancel(state: Words, commands: Words, at: np.uint64) -> Word:
    """An owner takes an order out."""
    row = find(state, commands[at + ORDER])
    code = _check_own(state, commands, at, row)
    if code != ACCEPTED:
        return code
    if state[row + TERMS] & WAITS:
        take_out(state, row, CANCELLED, 0)
    else:
        say(state, CANCELLED, row, 0)
        remove(state, row)
    return ACCEPTED


@compiled
def amend(state: Words, commands: Words, at: np.uint64) -> Word:
    """Other lots or another price; the place is kept if lots left fall at the same price."""
    row, lots = find(state, commands[at + ORDER]), commands[at + LOTS]
    code = _check_own(state, commands, at, row)
    if code == ACCEPTED:
        code = check_lots(lots)
    if code != ACCEPTED:
        return code
    order_terms, price = state[row + TERMS], commands[at + PRICE]
    is_market = order_terms & MARKET != 0
    if (lots < 0) != (order_terms & SELL != 0) or (is_market and price != 0):
        return MALFORMED
    if not is_market and check_price(state, price) != ACCEPTED:
        return PRICE_OUT_OF_LADDER
    level = state[row + LEVEL] if is_market else price - state[PRICE_BASE]
    left, total = state[row + LOTS_LEFT], abs(lots)
    left_new = total - (state[row + LOTS_TOTAL] - left)
    if left_new <= 0:
        take_out(state, row, CANCELLED, 0)
        return ACCEPTED
    waits = order_terms & WAITS != 0
    if waits or (level == state[row + LEVEL] and left_new <= left):
        if not waits:
            state[level_row(level) + LEVEL_LOTS] += left_new - left
        state[row + LEVEL] = level
        state[row + LOTS_LEFT] = left_new
        state[row + LOTS_TOTAL] = total
        say(state, AMENDED, row, 0)
        return ACCEPTED
    return _enter_again(state, row, level, total, left_new)


@inlined
def _enter_again(state: Words, row: np.uint64, level: Word, total: Word, left: Word) -> Word:
    """Let an order lose its place for another price or more lots."""
    new = take_row(state)
    state[new + IDENTITY] = state[row + IDENTITY]
    state[new + TERMS] = state[row + TERMS]
    state[new + EXPIRES] = state[row + EXPIRES]
    state[new + LEVEL] = level
    state[new + LOTS_TOTAL] = total
    state[new + LOTS_LEFT] = left
    code = admitted(state, new, row)
    if code != ACCEPTED:
        free_row(state, new)
        return code
    signed = -total if state[new + TERMS] & SELL else total
    emit(state, AMENDED, state[new + IDENTITY], 0, level, signed, left, 0)
    remove_rarely(state, row)
    run_rarely(state, new)
    return ACCEPTED


@compiled
def replace(state: Words, commands: Words, at: np.uint64) -> Word:
    """A new order in the place of an open one, or neither is touched."""
    old = find(state, commands[at + ORDER])
    code = _check_own(state, commands, at, old)
    if code == ACCEPTED:
        code = check_order(state, commands, at, commands[at + TARGET])
    if code != ACCEPTED:
        return code
    row = _make(state, commands, at, commands[at + TARGET])
    code = admitted(state, row, old)
    if code != ACCEPTED:
        free_row(state, row)
        return code
    take_out(state, old, CANCELLED, 0)
    if state[row + TERMS] & WAITS:
        _wait(state, row)
    else:
        run_rarely(state, row)
    return ACCEPTED


# Quotes


@inlined
def _check_leg(state: Words, lots: Word, price: Word) -> Word:
    return check_price(state, price) if lots != 0 else ACCEPTED


@inlined
def _check_quote(state: Words, commands: Words, at: np.uint64) -> Word:
    """The code a quote is refused with for what it says, or 0."""
    if not 0 < commands[at + ORDER] < IDENTITY_MAX:
        return MALFORMED
    code = check_parties(state, commands[at + OWNER], commands[at + ACCOUNT])
    if code != ACCEPTED:
        return code
    bid_lots, ask_lots = commands[at + LOTS], commands[at + ASK_LOTS]
    if not (is_within(bid_lots, LOTS_MAX + 1) and is_within(ask_lots, LOTS_MAX + 1)):
        return LOTS_OUT_OF_RANGE
    options, expiry = commands[at + OPTIONS], commands[at + EXPIRY]
    post = options & POST_BITS
    is_plain = options & ~(POST_BITS | SELF_TRADE_BITS) == 0 and expiry >= 0
    if not is_plain or post == 0 or post == POST_BITS:
        return MALFORMED
    if options & SELF_TRADE_BITS == SELF_TRADE_BITS:
        return MALFORMED
    bid, ask = commands[at + PRICE], commands[at + ASK_PRICE]
    if _check_leg(state, bid_lots, bid) + _check_leg(state, ask_lots, ask) != ACCEPTED:
        return PRICE_OUT_OF_LADDER
    if bid_lots != 0 and ask_lots != 0 and bid >= ask:
        return MALFORMED
    code = check_account(state, commands[at + ACCOUNT], expiry)
    if code == ACCEPTED and state[owner_row(commands[at + OWNER]) + COUNTS + FROZEN]:
        return QUOTES_FROZEN
    return code


@inlined
def _is_old_leg(state: Words, commands: Words, at: np.uint64, row: np.uint64, side: Word) -> bool:
    """Whether an open order is the quote that a leg may take the place of; none is one, too."""
    if row == NONE:
        return True
    account = (state[row + TERMS] >> ACCOUNT_SHIFT) & ACCOUNT_MASK
    same = account == commands[at + ACCOUNT]
    is_leg = state[row + TERMS] & (QUOTED | SELL) == QUOTED | side
    return bool(is_leg and same and _check_own(state, commands, at, row) == ACCEPTED)


@compiled
def _requote(
    state: Words, commands: Words, at: np.uint64, old: np.uint64, lots: Word, level: Word
) -> bool:
    """Change or take out a leg's old quote; whether the leg still has to enter its queue."""
    if old == NONE:
        return bool(lots != 0)
    if lots == 0:
        take_out(state, old, CANCELLED, 0)
        return False
    old_terms = state[old + TERMS]
    expiry = state[old + EXPIRES] if old_terms & TIMED else np.int64(0)
    same = level == state[old + LEVEL] and expiry == commands[at + EXPIRY]
    if not same or lots > state[old + LOTS_LEFT]:
        remove_rarely(state, old)
        return True
    state[level_row(level) + LEVEL_LOTS] += lots - state[old + LOTS_LEFT]
    state[old + LOTS_LEFT] = lots
    state[old + LOTS_TOTAL] = lots
    state[old + TERMS] = (old_terms & ~OPTION_MASK) | commands[at + OPTIONS]
    say(state, AMENDED, old, 0)
    return False


@compiled
def _rest_leg(
    state: Words,
    commands: Words,
    at: np.uint64,
    identity: Word,
    lots: Word,
    level: Word,
) -> None:
    """Rest a leg; ``lots`` are signed."""
    row = _make(state, commands, at, identity)
    side = SELL if lots < 0 else np.int64(0)
    state[row + TERMS] = (state[row + TERMS] & ~SELL) | QUOTED | side
    state[row + LOTS_LEFT] = abs(lots)
    state[row + LOTS_TOTAL] = abs(lots)
    state[row + LEVEL] = level
    rest(state, row)


@compiled
def quote(state: Words, commands: Words, at: np.uint64) -> Word:
    """Both legs of a two-sided quote at once; a leg without lots is taken out."""
    code = _check_quote(state, commands, at)
    if code != ACCEPTED:
        return code
    identity, options = commands[at + ORDER], commands[at + OPTIONS]
    bid_lots, ask_lots = commands[at + LOTS], commands[at + ASK_LOTS]
    old_bid, old_ask = find(state, identity), find(state, identity + 1)
    if not _is_old_leg(state, commands, at, old_bid, np.int64(0)):
        return ORDER_EXISTS
    if not _is_old_leg(state, commands, at, old_ask, SELL):
        return ORDER_EXISTS
    new = np.int64(bid_lots != 0 and old_bid == NONE) + np.int64(ask_lots != 0 and old_ask == NONE)
    if state[OPEN] + new > state[ORDERS_MAX]:
        return BOOK_FULL
    bid, ask = commands[at + PRICE] - state[PRICE_BASE], commands[at + ASK_PRICE]
    ask -= state[PRICE_BASE]
    if bid_lots != 0:
        bid = posted(state, bid, False, options, old_ask)
    if ask_lots != 0:
        ask = posted(state, ask, True, options, old_bid)
    if (bid_lots != 0 and bid < 0) or (ask_lots != 0 and ask < 0):
        return POST_ONLY
    bid_enters = _requote(state, commands, at, old_bid, bid_lots, bid)
    ask_enters = _requote(state, commands, at, old_ask, ask_lots, ask)
    if bid_enters:
        _rest_leg(state, commands, at, identity, bid_lots, bid)
    if ask_enters:
        _rest_leg(state, commands, at, identity + 1, -ask_lots, ask)
    return ACCEPTED
