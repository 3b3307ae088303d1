"""The fast book of one market: ``model/book.py`` compiled, on one flat array of 64-bit integers.

Owns: the array, and the calls into the kernels that change it. Same words, same answers as the
reference: equal codes, events and state hash after every command. The modules behind it, in reading
order: ``book_layout`` (where things lie), ``book_index``, ``book_watch`` (how they are found),
``book_kernel`` (queues and matching), ``book_admit``, ``book_commands``, ``book_market`` (rules),
``book_content``, ``book_entry``.
"""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import numpy as np

from novate.engine import book_content, book_entry
from novate.engine import book_layout as layout
from novate.engine.book_layout import Words
from novate.model.book_terms import Capacity, Command, Event

FEW = 8  # orders that a look at a queue needs no new array for
_OPEN, _BEST_BID, _BEST_ASK, _EVENT_COUNT = map(
    int, (layout.OPEN, layout.BEST_BID, layout.BEST_ASK, layout.EVENT_COUNT)
)


@dataclass(frozen=True, slots=True)
class Batch:
    """What the first ``done`` of some commands did; the arrays are valid until the next call.

    ``results``: a code for each command, 0 if accepted. ``events``: rows of ``Event``.
    """

    done: int
    results: Words
    events: Words


class FastBook:
    """One market; ``apply`` and ``one`` are its only writers."""

    def __init__(self, capacity: Capacity | None = None, sparse: bool = False) -> None:
        """``sparse``: in small pages, a few hundred kilobytes for a quiet book instead of some tens
        of megabytes; for venues of many markets.
        """
        self.capacity = held = capacity or Capacity()
        assert 0 < held.levels <= layout.LEVELS and 0 < held.orders <= layout.ORDERS
        assert 0 < held.owners <= layout.OWNERS and 0 < held.accounts <= layout.ACCOUNTS
        assert 0 <= held.price_base < 2**62
        self.state: Words = _sparse() if sparse else np.zeros(layout.STATE_WORDS, np.int64)
        self._open_for_trading()
        self._words = self.state.data  # for single words
        self._looks = [np.empty(3 * count, np.int64) for count in range(FEW + 1)]
        self._events = self.state[int(layout.EVENTS_AT) :].reshape(-1, layout.EVENT_WORDS)
        self._results = self.state[int(layout.RESULTS_AT) : int(layout.EVENTS_AT)]

    def _open_for_trading(self) -> None:
        """Write the header of an empty book over zeros."""
        held = self.capacity
        self.state[layout.PRICE_BASE] = held.price_base
        self.state[layout.LEVELS_MAX] = held.levels
        self.state[layout.ORDERS_MAX] = held.orders
        self.state[layout.OWNERS_MAX] = held.owners
        self.state[layout.ACCOUNTS_MAX] = held.accounts
        self.state[layout.BEST_BID] = -1
        self.state[layout.BEST_ASK] = layout.LEVELS
        self.state[layout.UNUSED] = layout.ORDERS_AT

    def clear(self) -> None:
        """Start over with an empty book."""
        self.state.fill(0)
        self._open_for_trading()

    def apply(self, commands: Words) -> Batch:
        """Carry out rows of ``Command``, in order, as long as there is room for the events.

        ``done`` may be less than the rows given: read the events and hand in the rest. The first
        row is always done.
        """
        assert commands.dtype == np.int64 and commands.flags.c_contiguous
        assert commands.ndim == 2 and commands.shape[1] == layout.COMMAND_WORDS
        count = min(len(commands), layout.COMMANDS_PER_CALL_MAX)
        done = book_entry.apply(self.state, commands.reshape(-1), count)
        return Batch(done, self._results[:done], self._events[: self.state[layout.EVENT_COUNT]])

    def one(self, command: Command) -> int:
        """Carry out one command; the code of its rejection, or 0. Its events: ``last_events``."""
        return int(book_entry.one(self.state, *command))

    # Views

    def last_events(self) -> list[Event]:
        """The events of the last call."""
        rows = self._events[: self._words[_EVENT_COUNT]]
        return [Event(*row) for row in rows.tolist()]

    @property
    def open_orders(self) -> int:
        """How many orders rest or wait."""
        return int(self._words[_OPEN])

    def best_price(self, is_buy: bool) -> int | None:
        """The best price of a side."""
        level = int(self._words[_BEST_BID if is_buy else _BEST_ASK])
        return level + self.capacity.price_base if 0 <= level < layout.LEVELS else None

    def depth(self, is_buy: bool, levels: int = 50) -> list[tuple[int, int]]:
        """(price, lots) of the best levels of one side, best first."""
        out = np.empty((levels, 2), np.int64)
        rows = book_entry.depth(self.state, is_buy, out.reshape(-1))
        return [(price, lots) for price, lots in out[:rows].tolist()]

    def walk(self, is_buy: bool, count: int) -> list[tuple[int, int, int]]:
        """(identity, price, lots left) of the first orders of one side, in priority order."""
        if count > FEW:
            out = np.empty(3 * count, np.int64)
        else:
            out = self._looks[count]
        rows = book_entry.queue(self.state, is_buy, out)
        words = out.tolist()
        return [(words[at], words[at + 1], words[at + 2]) for at in range(0, 3 * rows, 3)]

    def content(self) -> Words:
        """All that decides the book's future, as ``BookState.content`` has it."""
        out = np.empty(book_content.words_max(self.state), np.int64)
        return out[: book_entry.content(self.state, out)]

    def state_hash(self) -> str:
        """SHA-256 over ``content``, each word as a signed 64-bit big-endian integer."""
        return sha256(self.content().astype(">i8").tobytes()).hexdigest()

    def snapshot(self) -> bytes:
        """All of the state but the results and events of the last call."""
        return self.state[: int(layout.RESULTS_AT)].tobytes()


def _sparse() -> Words:
    """The array in pages of the smallest size, where the system knows others."""
    memory = mmap.mmap(-1, 8 * layout.STATE_WORDS)
    if hasattr(mmap, "MADV_NOHUGEPAGE"):
        memory.madvise(mmap.MADV_NOHUGEPAGE)
    return np.frombuffer(memory, np.int64)


SparseBook = partial(FastBook, sparse=True)
