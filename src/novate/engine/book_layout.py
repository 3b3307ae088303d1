"""Where everything of the fast book lies: one flat array of 64-bit integers for each market.

Owns: every offset, size and code that the kernels read. An order, a level, an owner is known by the
offset of its row, so that a field is ``state[row + FIELD]``; offset 0 is the header, so 0 means
"none", and an array of zeros is almost an empty book. Offsets are unsigned, so that no index can
count from the end; values are signed. Nothing here comes from the environment: compiled kernels
freeze these constants.

Prices inside the state are levels: ticks above the book's base. Units: see ``model/book_terms.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt

from novate import errors, limits
from novate.model import book_terms as terms
from novate.model.book_terms import Kind, What

Words = npt.NDArray[np.int64]
# A signed 64-bit integer inside a kernel. Numba types the kernels; for mypy it is any number.
Word: TypeAlias = Any
F = TypeVar("F", bound=Callable[..., Any])
U = np.uint64
NONE = U(0)
ONE = U(1)
ALL_BITS = U(2**64 - 1)


# Kernels are called by kernels alone, but for those of book_entry: wrappers for Python and C would
# only double the time to compile them.
_OPTIONS: dict[str, Any] = {
    "error_model": "numpy",
    "nogil": True,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
}


def inlined(function: F) -> F:
    """A kernel that is copied into its callers: for the steps of every command."""
    return cast(F, numba.njit(forceinline=True, **_OPTIONS)(function))


def compiled(function: F) -> F:
    """A kernel that is called: for rare steps. Not saying so would take its first caller's word."""
    return cast(F, numba.njit(forceinline=False, **_OPTIONS)(function))


# Capacities; a book may be opened with less, not with more.
ORDERS = 2**17
LEVELS = 2**18
OWNERS = 2**12
ACCOUNTS = 2**16
COMMANDS_PER_CALL_MAX = 2**16
# A command has at most EVENTS_PER_ORDER_MAX events for each open order, and EVENTS_PER_COMMAND_MAX:
# an order that waits is triggered, fills partly, rests, is filled or cut, and is evicted.
EVENTS_PER_ORDER_MAX = 5
EVENTS_PER_COMMAND_MAX = 8
EVENTS = (EVENTS_PER_ORDER_MAX + 1) * ORDERS

# Header
(PRICE_BASE, MARK, NOW, COMMANDS, BEST_BID, BEST_ASK, FREE, UNUSED) = map(U, range(8))
(OPEN, OWNERS_SEEN, ACCOUNTS_SEEN, EVENT_COUNT, WALKS, KERNEL) = map(U, range(8, 14))
(ORDERS_MAX, LEVELS_MAX, OWNERS_MAX, ACCOUNTS_MAX) = map(U, range(16, 20))
INPUT = U(32)  # the command of a single call
HEADER_WORDS = 64

# A command, an event
(KIND, ORDER, OWNER, ACCOUNT, LOTS, PRICE, OPTIONS, EXPIRY, TRIGGER, TARGET) = map(U, range(10))
COMMAND_WORDS = 10
ASK_LOTS, ASK_PRICE = TRIGGER, TARGET
EVENT_WORDS = 8

# An order's row: what matching reads, and far behind it (see COLD) what only some orders have.
# TERMS: bits 0-9 the options, 10-13 those below, 16-31 the account, 32-43 the owner.
# SAME_PLACE: the next order whose identity has the same place.
ORDER_WORDS = 8
(LOTS_LEFT, LOTS_TOTAL, IDENTITY, LEVEL, NEXT, PREVIOUS, SAME_PLACE, TERMS) = map(U, range(8))
FORCE_BITS, POST_BITS, SELF_TRADE_BITS, TRIGGER_BITS = map(np.int64, (3, 12, 48, 192))
POST_SHIFT, SELF_TRADE_SHIFT, TRIGGER_SHIFT = map(np.int64, (2, 4, 6))
REDUCE_ONLY, MARKET, SELL, QUOTED, WAITS, TIMED = (np.int64(1 << bit) for bit in range(8, 14))
OPTION_MASK = np.int64(2**terms.OPTION_BITS - 1)
ACCOUNT_SHIFT, OWNER_SHIFT = np.int64(16), np.int64(32)
ACCOUNT_MASK = np.int64(ACCOUNTS - 1)
LISTED = QUOTED | WAITS
WATCHED = LISTED | TIMED
IMMEDIATE, KILLS = map(np.int64, (1, 2))
SLIDES = np.int64(2)
REJECT_TAKER, CANCEL_BOTH = map(np.int64, (1, 2))
STOP = np.int64(1)

# A level's row; the first and the last order of its queue, and the sum of their lots
LEVEL_WORDS = 4
(FIRST, LAST, LEVEL_LOTS) = map(U, range(3))

# An owner's row: limits, counts, its list of quotes and waiting orders, counts of a trial walk
OWNER_WORDS = 16
(LOTS_LIMIT, FILLS_LIMIT, WINDOW, COUNTS) = map(U, range(4))
(OPENED, WINDOW_LOTS, WINDOW_FILLS, FROZEN) = map(U, range(4))  # from COUNTS or TRIAL_COUNTS
(LISTED_FIRST, LISTED_LAST, WALK, TRIAL_COUNTS) = map(U, range(7, 11))

# An account's row: its position, and the same in a trial walk
ACCOUNT_WORDS = 4
(POSITION, ACCOUNT_WALK, TRIAL_POSITION) = map(U, range(3))

# A heap: entry 0 holds the number of entries; the others a key, an identity and an order's row
HEAP_WORDS = 4
(HEAP_KEY, HEAP_IDENTITY, HEAP_ROW) = map(U, range(3))

# Open orders by identity: chains that begin at the identity's low bits. Identities are running
# numbers, so the places of young orders lie side by side, and two orders share one only if a
# multiple of PLACES others came between them.
PLACES = 2 * ORDERS
PLACE_MASK = U(PLACES - 1)

# One order enters while another still has its row, and one takes while the book is full.
_ROWS = ORDERS + 8
_SIZES = {
    "header": HEADER_WORDS,
    "orders": _ROWS * ORDER_WORDS,
    "cold": _ROWS * ORDER_WORDS,
    "levels": LEVELS * LEVEL_WORDS,
    "bits_0": LEVELS // 64,
    "bits_1": LEVELS // 64**2,
    "bits_2": 8,
    "owners": OWNERS * OWNER_WORDS,
    "accounts": ACCOUNTS * ACCOUNT_WORDS,
    "places": PLACES,
    "timed": _ROWS * HEAP_WORDS,
    "rising": _ROWS * HEAP_WORDS,
    "falling": _ROWS * HEAP_WORDS,
    "results": COMMANDS_PER_CALL_MAX,
    "events": EVENTS * EVENT_WORDS,
}


def _offset(name: str) -> np.uint64:
    names = list(_SIZES)
    return U(sum(_SIZES[before] for before in names[: names.index(name)]))


STATE_WORDS = sum(_SIZES.values())
ORDERS_AT, LEVELS_AT = _offset("orders"), _offset("levels")
BITS_0_AT, BITS_1_AT, BITS_2_AT = _offset("bits_0"), _offset("bits_1"), _offset("bits_2")
OWNERS_AT, ACCOUNTS_AT = _offset("owners"), _offset("accounts")
PLACES_AT = _offset("places")
TIMED_AT, RISING_AT, FALLING_AT = _offset("timed"), _offset("rising"), _offset("falling")
RESULTS_AT, EVENTS_AT = _offset("results"), _offset("events")

COLD = _offset("cold") - ORDERS_AT
(EXPIRES, EXPIRY_PLACE, MEETS, TRIGGER_PLACE, LISTED_NEXT, LISTED_PREVIOUS) = (
    COLD + U(number) for number in range(6)
)

# Codes of model/book_terms.py and of the registry as the kernels compare them
(PLACE, CANCEL, AMEND, REPLACE, QUOTE, MASS_CANCEL, PROTECT, RESET, MARKED, CLOCK, SET_POSITION) = (
    np.int64(kind) for kind in Kind
)
(FILL, RESTED, WAITING, AMENDED, TRIGGERED, CANCELLED, EVICTED, UNFILLED) = map(np.int64, What)
ACCEPTED = np.int64(0)
LOTS_MAX = np.int64(limits.LOTS_MAX)
POSITION_LOTS_MAX = np.int64(terms.POSITION_LOTS_MAX)
PRICE_TRIGGER_MAX = np.int64(terms.PRICE_TRIGGER_MAX)
IDENTITY_MAX = np.int64(2**62)


def _code(error: errors.Error) -> np.int64:
    return np.int64(error.code)


BOOK_FULL, FILL_OR_KILL = _code(errors.BookFull), _code(errors.FillOrKill)
LOTS_OUT_OF_RANGE, MALFORMED = _code(errors.LotsOutOfRange), _code(errors.MalformedOrder)
NOT_OWNER, ORDER_EXISTS = _code(errors.NotOwner), _code(errors.OrderExists)
ORDER_EXPIRED, ORDER_NOT_OPEN = _code(errors.OrderExpired), _code(errors.OrderNotOpen)
POST_ONLY, PRICE_OUT_OF_LADDER = _code(errors.PostOnly), _code(errors.PriceOutOfLadder)
QUOTES_FROZEN, REDUCES_ONLY = _code(errors.QuotesFrozen), _code(errors.ReduceOnly)
SELF_MATCH, UNKNOWN_ACCOUNT = _code(errors.SelfMatch), _code(errors.UnknownAccount)
WOULD_TRIGGER, ZERO_LOTS = _code(errors.WouldTrigger), _code(errors.ZeroLots)
