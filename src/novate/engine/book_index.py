"""Finding things in the fast book: the next level that has orders, and an order by its identity.

Owns: where rows lie, three tiers of bitmaps over the levels (a bit says that something below it is
set), and the table of identities. A book is never crossed, so one bitmap serves both sides: below
the best bid all is bids, above the best ask all is asks. Every search is bounded by the tiers or a
chain of open orders.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_layout import (
    ACCOUNT_MASK,
    ACCOUNT_SHIFT,
    ACCOUNTS_AT,
    ALL_BITS,
    BITS_0_AT,
    BITS_1_AT,
    BITS_2_AT,
    IDENTITY,
    LEVELS,
    LEVELS_AT,
    NONE,
    ONE,
    OWNER_SHIFT,
    OWNERS_AT,
    PLACE_MASK,
    PLACES_AT,
    SAME_PLACE,
    U,
    Word,
    Words,
    inlined,
)
from novate.engine.book_memory import leading_zeros, trailing_zeros

SIX, TWELVE, LOW_BITS = U(6), U(12), U(63)
# Rows of LEVEL_WORDS = 4, ACCOUNT_WORDS = 4 and OWNER_WORDS = 16 words
_LEVEL_SHIFT, _ACCOUNT_ROW_SHIFT, _OWNER_ROW_SHIFT = U(2), U(2), U(4)


@inlined
def pointer(state: Words, at: np.uint64) -> np.uint64:
    """The row that a word names; 0 for none."""
    return np.uint64(state[at])


@inlined
def level_row(level: Word) -> np.uint64:
    """The row of a level."""
    return LEVELS_AT + (np.uint64(level) << _LEVEL_SHIFT)


@inlined
def account_row(order_terms: Word) -> np.uint64:
    """The row of an order's account."""
    account = np.uint64((order_terms >> ACCOUNT_SHIFT) & ACCOUNT_MASK)
    return ACCOUNTS_AT + (account << _ACCOUNT_ROW_SHIFT)


@inlined
def owner_row(owner: Word) -> np.uint64:
    """The row of an owner."""
    return OWNERS_AT + (np.uint64(owner) << _OWNER_ROW_SHIFT)


@inlined
def owner_of(order_terms: Word) -> np.uint64:
    """The row of an order's owner."""
    return owner_row(order_terms >> OWNER_SHIFT)


@inlined
def set_level(state: Words, level: np.uint64) -> None:
    """Say that a level has orders."""
    state[BITS_0_AT + (level >> SIX)] |= np.int64(ONE << (level & LOW_BITS))
    state[BITS_1_AT + (level >> TWELVE)] |= np.int64(ONE << ((level >> SIX) & LOW_BITS))
    state[BITS_2_AT] |= np.int64(ONE << (level >> TWELVE))


@inlined
def clear_level(state: Words, level: np.uint64) -> None:
    """Say that a level has none."""
    state[BITS_0_AT + (level >> SIX)] &= ~np.int64(ONE << (level & LOW_BITS))
    if state[BITS_0_AT + (level >> SIX)] == 0:
        state[BITS_1_AT + (level >> TWELVE)] &= ~np.int64(ONE << ((level >> SIX) & LOW_BITS))
        if state[BITS_1_AT + (level >> TWELVE)] == 0:
            state[BITS_2_AT] &= ~np.int64(ONE << (level >> TWELVE))


@inlined
def _lowest(state: Words, at: np.uint64) -> np.uint64:
    return np.uint64(trailing_zeros(np.uint64(state[at])))


@inlined
def _highest(state: Words, at: np.uint64) -> np.uint64:
    return LOW_BITS - np.uint64(leading_zeros(np.uint64(state[at])))


@inlined
def _above(state: Words, at: np.uint64, bit: np.uint64) -> np.uint64:
    """The bits of a word higher than one; two shifts, since one by 64 is undefined."""
    return np.uint64(state[at]) & ((ALL_BITS << bit) << ONE)


@inlined
def _below(state: Words, at: np.uint64, bit: np.uint64) -> np.uint64:
    return np.uint64(state[at]) & ((ONE << bit) - ONE)


@inlined
def next_above(state: Words, level: np.uint64) -> Word:
    """The lowest level with orders above one; ``LEVELS`` if there is none."""
    bits = _above(state, BITS_0_AT + (level >> SIX), level & LOW_BITS)
    if bits != NONE:
        return np.int64((level & ~LOW_BITS) | np.uint64(trailing_zeros(bits)))
    tier = level >> SIX
    bits = _above(state, BITS_1_AT + (tier >> SIX), tier & LOW_BITS)
    if bits != NONE:
        word = (tier & ~LOW_BITS) | np.uint64(trailing_zeros(bits))
        return np.int64((word << SIX) | _lowest(state, BITS_0_AT + word))
    bits = _above(state, BITS_2_AT, tier >> SIX)
    if bits != NONE:
        tier = np.uint64(trailing_zeros(bits))
        word = (tier << SIX) | _lowest(state, BITS_1_AT + tier)
        return np.int64((word << SIX) | _lowest(state, BITS_0_AT + word))
    return np.int64(LEVELS)


@inlined
def next_below(state: Words, level: np.uint64) -> Word:
    """The highest level with orders below one; -1 if there is none."""
    bits = _below(state, BITS_0_AT + (level >> SIX), level & LOW_BITS)
    if bits != NONE:
        return np.int64((level & ~LOW_BITS) | (LOW_BITS - np.uint64(leading_zeros(bits))))
    tier = level >> SIX
    bits = _below(state, BITS_1_AT + (tier >> SIX), tier & LOW_BITS)
    if bits != NONE:
        word = (tier & ~LOW_BITS) | (LOW_BITS - np.uint64(leading_zeros(bits)))
        return np.int64((word << SIX) | _highest(state, BITS_0_AT + word))
    bits = _below(state, BITS_2_AT, tier >> SIX)
    if bits != NONE:
        tier = LOW_BITS - np.uint64(leading_zeros(bits))
        word = (tier << SIX) | _highest(state, BITS_1_AT + tier)
        return np.int64((word << SIX) | _highest(state, BITS_0_AT + word))
    return np.int64(-1)


@inlined
def place_of(identity: Word) -> np.uint64:
    """Where the chain of an identity begins."""
    return PLACES_AT + (np.uint64(identity) & PLACE_MASK)


@inlined
def find(state: Words, identity: Word) -> np.uint64:
    """The row of an open order; 0 if there is none."""
    row = pointer(state, place_of(identity))
    while row != NONE and state[row + IDENTITY] != identity:
        row = pointer(state, row + SAME_PLACE)
    return row


@inlined
def index(state: Words, identity: Word, row: np.uint64) -> None:
    """Make an order findable. Its identity is not open."""
    place = place_of(identity)
    state[row + SAME_PLACE] = state[place]
    state[place] = np.int64(row)


@inlined
def unindex(state: Words, identity: Word, row: np.uint64) -> None:
    """Forget an open order's identity."""
    at = place_of(identity)
    while pointer(state, at) != row:
        at = pointer(state, at) + SAME_PLACE
    state[at] = state[row + SAME_PLACE]
