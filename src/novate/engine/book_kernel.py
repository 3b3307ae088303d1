"""The fast book's moves: rows, queues, events, and a taker that meets makers.

Owns: what ``model/book.py`` says in its "Matching" section, on the flat array of
``book_layout.py``. The steps of every command are inlined, the rare ones called. Loops end because
each turn takes an order, or the taker, out of the book.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_ahead import look_past
from novate.engine.book_index import (
    account_row,
    clear_level,
    index,
    level_row,
    next_above,
    next_below,
    owner_of,
    pointer,
    set_level,
    unindex,
)
from novate.engine.book_layout import (
    ACCEPTED,
    BEST_ASK,
    BEST_BID,
    CANCEL_BOTH,
    COMMANDS,
    COUNTS,
    EVENT_COUNT,
    EVENTS_AT,
    EVICTED,
    FILL,
    FILLS_LIMIT,
    FIRST,
    FORCE_BITS,
    FREE,
    FROZEN,
    IDENTITY,
    LAST,
    LEVEL,
    LEVEL_LOTS,
    LISTED_FIRST,
    LISTED_NEXT,
    LOTS_LEFT,
    LOTS_LIMIT,
    LOTS_TOTAL,
    NEXT,
    NONE,
    NOW,
    OPEN,
    OPENED,
    ORDER_WORDS,
    OWNER_SHIFT,
    POSITION,
    PREVIOUS,
    PRICE_BASE,
    QUOTED,
    QUOTES_FROZEN,
    REDUCE_ONLY,
    REDUCES_ONLY,
    REJECT_TAKER,
    RESTED,
    SELF_MATCH,
    SELF_TRADE_BITS,
    SELF_TRADE_SHIFT,
    SELL,
    TERMS,
    UNFILLED,
    UNUSED,
    WAITS,
    WATCHED,
    WINDOW,
    WINDOW_FILLS,
    WINDOW_LOTS,
    U,
    Word,
    Words,
    compiled,
    inlined,
)
from novate.engine.book_watch import unwatch, watch

_EVENT_SHIFT = U(3)  # an event has EVENT_WORDS = 8 words


@inlined
def emit(
    state: Words,
    what: Word,
    order: Word,
    taker: Word,
    level: Word,
    lots: Word,
    lots_left: Word,
    detail: Word,
) -> None:
    """Write one event; the caller of a command made sure that there is room."""
    at = EVENTS_AT + (np.uint64(state[EVENT_COUNT]) << _EVENT_SHIFT)
    state[at] = what
    state[at + U(1)] = state[COMMANDS]
    state[at + U(2)] = order
    state[at + U(3)] = taker
    state[at + U(4)] = level + state[PRICE_BASE]
    state[at + U(5)] = lots
    state[at + U(6)] = lots_left
    state[at + U(7)] = detail
    state[EVENT_COUNT] += 1


@inlined
def say(state: Words, what: Word, row: np.uint64, detail: Word) -> None:
    """Write an event about one order as it stands."""
    lots = state[row + LOTS_TOTAL]
    signed = -lots if state[row + TERMS] & SELL else lots
    left = state[row + LOTS_LEFT]
    emit(state, what, state[row + IDENTITY], 0, state[row + LEVEL], signed, left, detail)


# Rows


@inlined
def take_row(state: Words) -> np.uint64:
    """A row for an order: the last one given back, else the next one never used."""
    row = pointer(state, FREE)
    if row != NONE:
        state[FREE] = state[row + NEXT]
        return row
    row = pointer(state, UNUSED)
    state[UNUSED] += ORDER_WORDS
    return row


@inlined
def free_row(state: Words, row: np.uint64) -> None:
    """Give back the row of an order that is not in the book."""
    state[row + NEXT] = state[FREE]
    state[FREE] = np.int64(row)


@inlined
def register(state: Words, row: np.uint64) -> None:
    """Count an order among the open ones."""
    index(state, state[row + IDENTITY], row)
    state[OPEN] += 1
    if state[row + TERMS] & WATCHED:
        watch(state, row)


@inlined
def forget(state: Words, row: np.uint64) -> None:
    """Count an order among the open ones no more; its row keeps what it says."""
    unindex(state, state[row + IDENTITY], row)
    state[OPEN] -= 1
    if state[row + TERMS] & WATCHED:
        unwatch(state, row)


# Queues


@inlined
def link(state: Words, row: np.uint64) -> None:
    """Put an order behind all others of its level."""
    level = state[row + LEVEL]
    at = level_row(level)
    last = pointer(state, at + LAST)
    state[row + PREVIOUS] = np.int64(last)
    state[row + NEXT] = 0
    state[at + LAST] = np.int64(row)
    state[at + LEVEL_LOTS] += state[row + LOTS_LEFT]
    # Where to write is chosen without a branch: nothing foretells which one it is.
    state[at + FIRST if last == NONE else last + NEXT] = np.int64(row)
    if last != NONE:
        return
    set_level(state, np.uint64(level))
    if state[row + TERMS] & SELL:
        state[BEST_ASK] = min(state[BEST_ASK], level)
    else:
        state[BEST_BID] = max(state[BEST_BID], level)


@inlined
def unlink(state: Words, row: np.uint64) -> None:
    """Take an order out of its level's queue."""
    level = state[row + LEVEL]
    at = level_row(level)
    following, previous = pointer(state, row + NEXT), pointer(state, row + PREVIOUS)
    state[at + LEVEL_LOTS] -= state[row + LOTS_LEFT]
    state[at + FIRST if previous == NONE else previous + NEXT] = np.int64(following)
    state[at + LAST if following == NONE else following + PREVIOUS] = np.int64(previous)
    if previous == following:
        clear_level(state, np.uint64(level))
        if level == state[BEST_BID]:
            best = next_below(state, np.uint64(level))
            state[BEST_BID] = best
            look_past(state, best, False)
        elif level == state[BEST_ASK]:
            best = next_above(state, np.uint64(level))
            state[BEST_ASK] = best
            look_past(state, best, True)


@inlined
def remove(state: Words, row: np.uint64) -> None:
    """Take a resting order out of the book and give back its row."""
    unlink(state, row)
    forget(state, row)
    free_row(state, row)


@compiled
def take_out(state: Words, row: np.uint64, what: Word, detail: Word) -> None:
    """Take an open order out of the book, resting or waiting, and say why."""
    say(state, what, row, detail)
    if not state[row + TERMS] & WAITS:
        unlink(state, row)
    forget(state, row)
    free_row(state, row)


@inlined
def rest(state: Words, row: np.uint64) -> None:
    """Rest an order that crosses nothing."""
    link(state, row)
    register(state, row)
    say(state, RESTED, row, 0)


# Makers' protection


@inlined
def count_fill(state: Words, owner: np.uint64, counts: np.uint64, lots: Word, now: Word) -> bool:
    """Count a fill of a quote in the owner's counts at an offset; whether a limit is reached."""
    lots_limit, fills_limit = state[owner + LOTS_LIMIT], state[owner + FILLS_LIMIT]
    if lots_limit == 0 and fills_limit == 0:
        return False
    window = state[owner + WINDOW]
    is_over = window > 0 and now - state[counts + OPENED] >= window
    if state[counts + WINDOW_FILLS] == 0 or is_over:
        state[counts + OPENED] = now
        state[counts + WINDOW_LOTS] = 0
        state[counts + WINDOW_FILLS] = 0
    state[counts + WINDOW_LOTS] += lots
    state[counts + WINDOW_FILLS] += 1
    over_lots = 0 < lots_limit <= state[counts + WINDOW_LOTS]
    return bool(over_lots or 0 < fills_limit <= state[counts + WINDOW_FILLS])


@compiled
def protect_maker(state: Words, owner: np.uint64, lots: Word) -> None:
    """Count a fill of a quote; pull all quotes of its owner once a limit is reached."""
    if not count_fill(state, owner, owner + COUNTS, lots, state[NOW]):
        return
    state[owner + COUNTS + FROZEN] = 1
    row = pointer(state, owner + LISTED_FIRST)
    while row != NONE:
        following = pointer(state, row + LISTED_NEXT)
        if state[row + TERMS] & QUOTED:
            take_out(state, row, EVICTED, QUOTES_FROZEN)
        row = following


# Matching


@inlined
def room(position: Word, order_terms: Word) -> Word:
    """How many lots an order of these terms may trade and still only reduce a position."""
    return max(position if order_terms & SELL else -position, np.int64(0))


@inlined
def meet_own(state: Words, maker: np.uint64, mode: Word) -> Word:
    """A taker meets an order of its owner: the code that stops it; 0 to go on."""
    if mode != REJECT_TAKER:
        take_out(state, maker, EVICTED, SELF_MATCH)
    return SELF_MATCH if mode in (REJECT_TAKER, CANCEL_BOTH) else ACCEPTED


@inlined
def trade(state: Words, taker: np.uint64, maker: np.uint64, lots: Word, left: Word) -> None:
    """Fill both orders; ``left`` is what the taker keeps."""
    signed = -lots if state[taker + TERMS] & SELL else lots
    maker_terms = state[maker + TERMS]
    state[account_row(state[taker + TERMS]) + POSITION] += signed
    state[account_row(maker_terms) + POSITION] -= signed
    maker_left, level = state[maker + LOTS_LEFT] - lots, state[maker + LEVEL]
    maker_name, taker_name = state[maker + IDENTITY], state[taker + IDENTITY]
    emit(state, FILL, maker_name, taker_name, level, signed, maker_left, left)
    state[maker + LOTS_LEFT] = maker_left
    state[level_row(level) + LEVEL_LOTS] -= lots
    if maker_left == 0:
        remove(state, maker)
    if maker_terms & QUOTED:
        protect_maker(state, owner_of(maker_terms), lots)


@inlined
def match(state: Words, taker: np.uint64) -> Word:
    """Let a taker meet the makers it crosses; the code that stops it, or 0."""
    taker_terms = state[taker + TERMS]
    limit, left = state[taker + LEVEL], state[taker + LOTS_LEFT]
    is_sell = taker_terms & SELL != 0
    best_at = BEST_BID if is_sell else BEST_ASK
    stop = ACCEPTED
    while left > 0 and stop == ACCEPTED:
        best = state[best_at]
        if (best < limit) if is_sell else (best > limit):
            break
        maker = pointer(state, level_row(best) + FIRST)
        maker_terms = state[maker + TERMS]
        if maker_terms >> OWNER_SHIFT == taker_terms >> OWNER_SHIFT:
            stop = meet_own(state, maker, (taker_terms & SELF_TRADE_BITS) >> SELF_TRADE_SHIFT)
            continue
        lots = min(left, state[maker + LOTS_LEFT])
        if maker_terms & REDUCE_ONLY:
            lots = min(lots, room(state[account_row(maker_terms) + POSITION], maker_terms))
            if lots == 0:
                take_out(state, maker, EVICTED, REDUCES_ONLY)
                continue
        left -= lots
        trade(state, taker, maker, lots, left)
    state[taker + LOTS_LEFT] = left
    return stop


@inlined
def run(state: Words, row: np.uint64) -> None:
    """Match an admitted order that is not in the book, and rest or end what is left of it."""
    stop = match(state, row)
    if state[row + LOTS_LEFT] == 0:
        free_row(state, row)
    elif stop == ACCEPTED and state[row + TERMS] & FORCE_BITS == 0:
        rest(state, row)
    else:
        say(state, UNFILLED if stop == ACCEPTED else EVICTED, row, stop)
        free_row(state, row)


@compiled
def run_rarely(state: Words, row: np.uint64) -> None:
    """The same as ``run``, called instead of copied."""
    run(state, row)


@compiled
def remove_rarely(state: Words, row: np.uint64) -> None:
    """The same as ``remove``, called instead of copied."""
    remove(state, row)
