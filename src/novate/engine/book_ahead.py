"""Looking ahead: asking for memory that the next commands, or the next makers, will touch.

Owns: nothing. A random order of a deep book lies in main memory, a hundred nanoseconds away; a
batch says which orders come next, and a sweep which levels, so they are fetched while earlier steps
run. This reads the state, never writes it, and may be wrong: it changes no answer.
"""

from __future__ import annotations

import numpy as np

from novate.engine.book_index import level_row, next_above, next_below, place_of, pointer
from novate.engine.book_layout import (
    COMMAND_WORDS,
    FIRST,
    IDENTITY,
    LAST,
    LEVEL,
    LEVELS,
    NEXT,
    ORDER,
    PREVIOUS,
    PRICE,
    PRICE_BASE,
    U,
    Word,
    Words,
    inlined,
)
from novate.engine.book_memory import fetch

# How many commands ahead: the identity's place and the level; the order; its neighbours.
_FAR, _MIDDLE, _NEAR = 18, 12, 6
_LEVEL_MASK = np.int64(LEVELS - 1)


@inlined
def _row_of(state: Words, commands: Words, at: np.uint64) -> np.uint64:
    """The row that the table of identities names for a command; the header if it names none."""
    return pointer(state, place_of(commands[at + ORDER]))


@inlined
def _level_of(state: Words, level: Word) -> np.uint64:
    """The row of a level; of some level if there is no such one."""
    return level_row(level & _LEVEL_MASK)


@inlined
def look_ahead(state: Words, commands: Words, at: np.uint64, remaining: int) -> None:
    """Fetch what the commands after the one at an offset will touch.

    There is no branch on what a command is, since nothing foretells it: a wrong fetch is cheaper.
    """
    if remaining <= _FAR:
        return
    ahead = at + U(_FAR * COMMAND_WORDS)
    fetch(state, place_of(commands[ahead + ORDER]))
    fetch(state, _level_of(state, commands[ahead + PRICE] - state[PRICE_BASE]))
    ahead = at + U(_MIDDLE * COMMAND_WORDS)
    fetch(state, _row_of(state, commands, ahead))
    level = _level_of(state, commands[ahead + PRICE] - state[PRICE_BASE])
    fetch(state, pointer(state, level + LAST))
    row = _row_of(state, commands, at + U(_NEAR * COMMAND_WORDS))
    fetch(state, _level_of(state, state[row + LEVEL]))
    fetch(state, pointer(state, row + NEXT))
    fetch(state, pointer(state, row + PREVIOUS))


@inlined
def look_past(state: Words, best: Word, is_sell: bool) -> None:
    """Fetch what a sweep meets after a new best level: two levels on, one order on, one identity.

    With no such level the mask gives some other one, which does no harm.
    """
    at = _level_of(state, best)
    level = np.uint64(best & _LEVEL_MASK)
    second = next_above(state, level) if is_sell else next_below(state, level)
    level = np.uint64(second & _LEVEL_MASK)
    third = next_above(state, level) if is_sell else next_below(state, level)
    fetch(state, _level_of(state, third))
    fetch(state, pointer(state, _level_of(state, second) + FIRST))
    fetch(state, place_of(state[pointer(state, at + FIRST) + IDENTITY]))
