"""Orders that something other than a taker can reach: by time, by mark, through their owner.

Owns: three heaps (expiries; triggers met by a rising and by a falling mark) whose top is the least
(key, identity), and each owner's list of quotes and waiting orders, oldest first. A row remembers
its place in a heap, so an order is taken out of the middle in logarithmic time.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_index import owner_of, pointer
from novate.engine.book_layout import (
    EXPIRES,
    EXPIRY_PLACE,
    FALLING_AT,
    HEAP_IDENTITY,
    HEAP_KEY,
    HEAP_ROW,
    IDENTITY,
    LISTED,
    LISTED_FIRST,
    LISTED_LAST,
    LISTED_NEXT,
    LISTED_PREVIOUS,
    MEETS,
    NONE,
    ONE,
    RISING_AT,
    SELL,
    STOP,
    TERMS,
    TIMED,
    TIMED_AT,
    TRIGGER_BITS,
    TRIGGER_PLACE,
    TRIGGER_SHIFT,
    WAITS,
    U,
    Word,
    Words,
    compiled,
    inlined,
)

_ENTRY_SHIFT = U(2)  # entries are HEAP_WORDS = 4 words apart


@inlined
def heap_top(state: Words, heap: np.uint64) -> np.uint64:
    """The row of the first order of a heap; 0 if it is empty."""
    if state[heap] == 0:
        return NONE
    return pointer(state, heap + (ONE << _ENTRY_SHIFT) + HEAP_ROW)


@inlined
def _is_before(state: Words, key: Word, identity: Word, heap: np.uint64, place: np.uint64) -> bool:
    other = heap + (place << _ENTRY_SHIFT)
    if key != state[other + HEAP_KEY]:
        return bool(key < state[other + HEAP_KEY])
    return bool(identity < state[other + HEAP_IDENTITY])


@inlined
def _put(
    state: Words,
    heap: np.uint64,
    column: np.uint64,
    place: np.uint64,
    key: Word,
    row: np.uint64,
) -> None:
    at = heap + (place << _ENTRY_SHIFT)
    state[at + HEAP_KEY] = key
    state[at + HEAP_IDENTITY] = state[row + IDENTITY]
    state[at + HEAP_ROW] = np.int64(row)
    state[row + column] = np.int64(place)


@inlined
def _move(
    state: Words, heap: np.uint64, column: np.uint64, source: np.uint64, place: np.uint64
) -> None:
    at = heap + (source << _ENTRY_SHIFT)
    _put(state, heap, column, place, state[at + HEAP_KEY], pointer(state, at + HEAP_ROW))


@compiled
def _settle(
    state: Words,
    heap: np.uint64,
    column: np.uint64,
    place: np.uint64,
    key: Word,
    row: np.uint64,
) -> None:
    """Put an entry at a free place, or where it belongs above or below it."""
    identity = state[row + IDENTITY]
    count = np.uint64(state[heap])
    while place > ONE and _is_before(state, key, identity, heap, place >> ONE):
        _move(state, heap, column, place >> ONE, place)
        place = place >> ONE
    while (place << ONE) <= count:
        child = place << ONE
        if child < count:
            right = heap + ((child + ONE) << _ENTRY_SHIFT)
            key_right, identity_right = state[right + HEAP_KEY], state[right + HEAP_IDENTITY]
            if _is_before(state, key_right, identity_right, heap, child):
                child = child + ONE
        if _is_before(state, key, identity, heap, child):
            break
        _move(state, heap, column, child, place)
        place = child
    _put(state, heap, column, place, key, row)


@compiled
def _heap_add(state: Words, heap: np.uint64, column: np.uint64, key: Word, row: np.uint64) -> None:
    state[heap] += 1
    place = np.uint64(state[heap])
    # The new last entry must not be compared with itself: it is the greatest until it is placed.
    _put(state, heap, column, place, key, row)
    _settle(state, heap, column, place, key, row)


@compiled
def _heap_drop(state: Words, heap: np.uint64, column: np.uint64, row: np.uint64) -> None:
    place = np.uint64(state[row + column])
    last = np.uint64(state[heap])
    state[heap] -= 1
    if place != last:
        at = heap + (last << _ENTRY_SHIFT)
        key, moved = state[at + HEAP_KEY], pointer(state, at + HEAP_ROW)
        _settle(state, heap, column, place, key, moved)


@inlined
def rises(order_terms: Word) -> bool:
    """Whether a trigger is met from below: a stop that buys, a take that sells."""
    is_stop = (order_terms & TRIGGER_BITS) >> TRIGGER_SHIFT == STOP
    return bool(is_stop == (order_terms & SELL == 0))


@compiled
def watch(state: Words, row: np.uint64) -> None:
    """Put an order into the heaps and the list that its terms call for."""
    order_terms = state[row + TERMS]
    if order_terms & TIMED:
        _heap_add(state, TIMED_AT, EXPIRY_PLACE, state[row + EXPIRES], row)
    if order_terms & WAITS:
        if rises(order_terms):
            _heap_add(state, RISING_AT, TRIGGER_PLACE, state[row + MEETS], row)
        else:
            _heap_add(state, FALLING_AT, TRIGGER_PLACE, -state[row + MEETS], row)
    if order_terms & LISTED:
        owner = owner_of(order_terms)
        last = pointer(state, owner + LISTED_LAST)
        state[row + LISTED_NEXT] = 0
        state[row + LISTED_PREVIOUS] = np.int64(last)
        if last == NONE:
            state[owner + LISTED_FIRST] = np.int64(row)
        else:
            state[last + LISTED_NEXT] = np.int64(row)
        state[owner + LISTED_LAST] = np.int64(row)


@compiled
def unwatch(state: Words, row: np.uint64) -> None:
    """Take an order out of its heaps and its list."""
    order_terms = state[row + TERMS]
    if order_terms & TIMED:
        _heap_drop(state, TIMED_AT, EXPIRY_PLACE, row)
    if order_terms & WAITS:
        _heap_drop(state, RISING_AT if rises(order_terms) else FALLING_AT, TRIGGER_PLACE, row)
    if order_terms & LISTED:
        owner = owner_of(order_terms)
        following = pointer(state, row + LISTED_NEXT)
        previous = pointer(state, row + LISTED_PREVIOUS)
        if previous == NONE:
            state[owner + LISTED_FIRST] = np.int64(following)
        else:
            state[previous + LISTED_NEXT] = np.int64(following)
        if following == NONE:
            state[owner + LISTED_LAST] = np.int64(previous)
        else:
            state[following + LISTED_PREVIOUS] = np.int64(previous)
