"""The calls into the compiled book: a batch, a single command, its content, its depth.

Owns: which kernel carries out which command, and the disk cache of the compiled code. The cache
knows only the file of a function that is called from Python; so each of them holds a fingerprint of
all kernel sources, and code compiled from other sources is never used.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numba
import numpy as np

from novate.engine import book_content
from novate.engine.book_ahead import look_ahead
from novate.engine.book_commands import amend, cancel, place, quote, replace
from novate.engine.book_layout import (
    AMEND,
    CANCEL,
    CLOCK,
    COMMAND_WORDS,
    COMMANDS,
    EVENT_COUNT,
    EVENTS,
    EVENTS_PER_COMMAND_MAX,
    EVENTS_PER_ORDER_MAX,
    INPUT,
    KERNEL,
    KIND,
    MALFORMED,
    MARKED,
    MASS_CANCEL,
    OPEN,
    PLACE,
    PROTECT,
    QUOTE,
    REPLACE,
    RESET,
    RESULTS_AT,
    SET_POSITION,
    U,
    Word,
    Words,
    compiled,
    inlined,
)
from novate.engine.book_market import clock, mark, mass_cancel, protect, reset, set_position
from novate.engine.book_memory import address


def fingerprint(folder: Path, names: str = "book*.py") -> int:
    """A number of 56 bits made from the sources of all kernels."""
    digest = sha256()
    for path in sorted(folder.glob(names)):
        digest.update(path.read_bytes())
    return int.from_bytes(digest.digest()[:7], "big")


@compiled
def _execute_rare(state: Words, commands: Words, at: np.uint64) -> Word:
    kind = commands[at + KIND]
    if kind == AMEND:
        return amend(state, commands, at)
    if kind == REPLACE:
        return replace(state, commands, at)
    if kind == QUOTE:
        return quote(state, commands, at)
    if kind == MASS_CANCEL:
        return mass_cancel(state, commands, at)
    if kind == PROTECT:
        return protect(state, commands, at)
    if kind == RESET:
        return reset(state, commands, at)
    if kind == MARKED:
        return mark(state, commands, at)
    if kind == CLOCK:
        return clock(state, commands, at)
    if kind == SET_POSITION:
        return set_position(state, commands, at)
    return MALFORMED


@inlined
def _execute(state: Words, commands: Words, at: np.uint64) -> Word:
    """Carry out the command at an offset; the code of its rejection, or 0."""
    state[COMMANDS] += 1
    kind = commands[at + KIND]
    if kind == PLACE:
        return place(state, commands, at)
    if kind == CANCEL:
        return cancel(state, commands, at)
    return _execute_rare(state, commands, at)


@compiled
def _execute_all(state: Words, commands: Words, at: np.uint64, count: int) -> int:
    """Carry out commands while there is room for their events; how many were."""
    state[EVENT_COUNT] = 0
    for number in range(count):
        look_ahead(state, commands, at, count - number)
        needed = EVENTS_PER_ORDER_MAX * state[OPEN] + EVENTS_PER_COMMAND_MAX
        if state[EVENT_COUNT] + needed > EVENTS:
            return number
        state[RESULTS_AT + np.uint64(number)] = _execute(state, commands, at)
        at += U(COMMAND_WORDS)
    return count


def _entries(kernel: int) -> tuple[Callable[..., Any], ...]:
    """The functions that Python calls, each bound to the fingerprint of the sources."""

    def apply(state: Words, commands: Words, count: int) -> int:
        """Carry out commands while there is room for their events; how many were."""
        words = address(state)
        words[KERNEL] = kernel
        return _execute_all(words, address(commands), U(0), count)

    def one(
        state: Words,
        kind: int,
        order: int,
        owner: int,
        account: int,
        lots: int,
        price: int,
        options: int,
        expiry: int,
        trigger: int,
        target: int,
    ) -> int:
        """Carry out one command; the code of its rejection, or 0."""
        words = address(state)
        words[KERNEL] = kernel
        words[INPUT] = kind
        words[INPUT + U(1)] = order
        words[INPUT + U(2)] = owner
        words[INPUT + U(3)] = account
        words[INPUT + U(4)] = lots
        words[INPUT + U(5)] = price
        words[INPUT + U(6)] = options
        words[INPUT + U(7)] = expiry
        words[INPUT + U(8)] = trigger
        words[INPUT + U(9)] = target
        _execute_all(words, words, INPUT, 1)
        return int(words[RESULTS_AT])

    def content(state: Words, out: Words) -> int:
        """Write the content for the state hash; the number of words."""
        words = address(state)
        words[KERNEL] = kernel
        return book_content.write_content(words, address(out))

    def depth(state: Words, is_buy: bool, out: Words) -> int:
        """Write one side's levels, best first; the number of rows."""
        words = address(state)
        words[KERNEL] = kernel
        return book_content.write_depth(words, is_buy, address(out), len(out) // 2)

    def queue(state: Words, is_buy: bool, out: Words) -> int:
        """Write one side's orders in priority order; the number of rows."""
        words = address(state)
        words[KERNEL] = kernel
        return book_content.write_queue(words, is_buy, address(out), len(out) // 3)

    entries = (apply, one, content, depth, queue)
    return tuple(numba.njit(cache=True, error_model="numpy", nogil=True)(e) for e in entries)


apply, one, content, depth, queue = _entries(fingerprint(Path(__file__).parent))
