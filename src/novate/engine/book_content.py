"""What a fast book holds, written out: its content for the state hash, and one side's levels.

Owns: the same words in the same order as ``BookState.content``, whatever the memory looks like.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_index import level_row, next_above, next_below, owner_row, pointer
from novate.engine.book_layout import (
    ACCOUNT_MASK,
    ACCOUNT_SHIFT,
    ACCOUNT_WORDS,
    ACCOUNTS_AT,
    ACCOUNTS_SEEN,
    BEST_ASK,
    BEST_BID,
    COUNTS,
    EXPIRES,
    FILLS_LIMIT,
    FIRST,
    FROZEN,
    IDENTITY,
    LEVEL,
    LEVEL_LOTS,
    LEVELS,
    LISTED_FIRST,
    LISTED_NEXT,
    LOTS_LEFT,
    LOTS_LIMIT,
    LOTS_TOTAL,
    MARK,
    MEETS,
    NEXT,
    NONE,
    NOW,
    OPEN,
    OPENED,
    OPTION_MASK,
    OWNER_SHIFT,
    OWNERS_SEEN,
    POSITION,
    PRICE_BASE,
    QUOTED,
    SELL,
    TERMS,
    TIMED,
    WAITS,
    WINDOW,
    WINDOW_FILLS,
    WINDOW_LOTS,
    U,
    Words,
    compiled,
)

_WORDS_OF_ORDER = 10
_WORDS_OF_OWNER = 9


def words_max(state: Words) -> int:
    """How many words the content of a book may have: an order is written in at most two places."""
    orders = 2 * _WORDS_OF_ORDER * int(state[OPEN])
    parties = _WORDS_OF_OWNER * int(state[OWNERS_SEEN]) + 2 * int(state[ACCOUNTS_SEEN])
    return orders + parties + 8


@compiled
def _write_order(state: Words, row: np.uint64, out: Words, at: int) -> int:
    order_terms, lots = state[row + TERMS], state[row + LOTS_TOTAL]
    out[at] = state[row + IDENTITY]
    out[at + 1] = order_terms >> OWNER_SHIFT
    out[at + 2] = (order_terms >> ACCOUNT_SHIFT) & ACCOUNT_MASK
    out[at + 3] = state[row + LEVEL] + state[PRICE_BASE]
    out[at + 4] = -lots if order_terms & SELL else lots
    out[at + 5] = state[row + LOTS_LEFT]
    out[at + 6] = order_terms & OPTION_MASK
    out[at + 7] = state[row + EXPIRES] if order_terms & TIMED else 0
    out[at + 8] = state[row + MEETS] if order_terms & WAITS else 0
    out[at + 9] = 1 if order_terms & QUOTED else 0
    return at + _WORDS_OF_ORDER


@compiled
def _write_side(state: Words, is_buy: bool, out: Words, at: int) -> int:
    count_at = at
    out[count_at] = 0
    at += 1
    level = state[BEST_BID] if is_buy else state[BEST_ASK]
    while 0 <= level < LEVELS:
        row = pointer(state, level_row(level) + FIRST)
        while row != NONE:
            at = _write_order(state, row, out, at)
            out[count_at] += 1
            row = pointer(state, row + NEXT)
        here = np.uint64(level)
        level = next_below(state, here) if is_buy else next_above(state, here)
    return at


@compiled
def _write_owner(state: Words, number: int, out: Words, at: int) -> int:
    owner = owner_row(number)
    counts = owner + COUNTS
    out[at] = number
    out[at + 1] = state[owner + LOTS_LIMIT]
    out[at + 2] = state[owner + FILLS_LIMIT]
    out[at + 3] = state[owner + WINDOW]
    out[at + 4] = state[counts + OPENED]
    out[at + 5] = state[counts + WINDOW_LOTS]
    out[at + 6] = state[counts + WINDOW_FILLS]
    out[at + 7] = state[counts + FROZEN]
    out[at + 8] = 0
    row = pointer(state, owner + LISTED_FIRST)
    is_idle = row == NONE
    for column in range(at + 1, at + 8):
        is_idle = is_idle and out[column] == 0
    if is_idle:
        return at
    count_at = at + 8
    at += _WORDS_OF_OWNER
    while row != NONE:
        at = _write_order(state, row, out, at)
        out[count_at] += 1
        row = pointer(state, row + LISTED_NEXT)
    return at


@compiled
def write_content(state: Words, out: Words) -> int:
    """Write all that decides the book's future; the number of words."""
    out[0] = state[PRICE_BASE]
    out[1] = state[MARK]
    out[2] = state[NOW]
    at = _write_side(state, True, out, 3)
    at = _write_side(state, False, out, at)
    for number in range(state[OWNERS_SEEN]):
        at = _write_owner(state, number, out, at)
    out[at] = -1
    at += 1
    for number in range(state[ACCOUNTS_SEEN]):
        lots = state[ACCOUNTS_AT + np.uint64(number) * U(ACCOUNT_WORDS) + POSITION]
        if lots != 0:
            out[at] = number
            out[at + 1] = lots
            at += 2
    return at


@compiled
def write_depth(state: Words, is_buy: bool, out: Words, rows_max: int) -> int:
    """Write (price, lots) of one side, best first, as far as there is room; the rows written."""
    level = state[BEST_BID] if is_buy else state[BEST_ASK]
    rows = 0
    while 0 <= level < LEVELS and rows < rows_max:
        out[2 * rows] = level + state[PRICE_BASE]
        out[2 * rows + 1] = state[level_row(level) + LEVEL_LOTS]
        rows += 1
        here = np.uint64(level)
        level = next_below(state, here) if is_buy else next_above(state, here)
    return rows


@compiled
def write_queue(state: Words, is_buy: bool, out: Words, rows_max: int) -> int:
    """Write (identity, price, lots left) of one side's orders in priority order, as far as there is
    room; the rows written.
    """
    level = state[BEST_BID] if is_buy else state[BEST_ASK]
    rows = 0
    while 0 <= level < LEVELS and rows < rows_max:
        row = pointer(state, level_row(level) + FIRST)
        while row != NONE and rows < rows_max:
            out[3 * rows] = state[row + IDENTITY]
            out[3 * rows + 1] = level + state[PRICE_BASE]
            out[3 * rows + 2] = state[row + LOTS_LEFT]
            rows += 1
            row = pointer(state, row + NEXT)
        here = np.uint64(level)
        level = next_below(state, here) if is_buy else next_above(state, here)
    return rows
