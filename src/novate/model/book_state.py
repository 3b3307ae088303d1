"""What the full book stores, how it is looked at, and its state hash.

Owns: the tables of open orders, queues, owners' lists, protections and positions; putting an order
into its queue and taking it out. It decides nothing: the rules are in ``book.py``.
"""

from __future__ import annotations

import struct
from bisect import insort
from collections.abc import Iterator
from hashlib import sha256
from itertools import islice

from novate.model.book_rows import Order, Protection
from novate.model.book_terms import Capacity, Event, What
from novate.model.store import Store, Table

_NO_ORDER: Order | None = None
_NOBODY: tuple[int, ...] = ()


class BookState:
    """One market's tables."""

    def __init__(self, store: Store, capacity: Capacity | None = None) -> None:
        self.capacity = capacity or Capacity()
        self.commands = 0
        self._store = store
        self._events: list[Event] = []
        self._orders = store.table("full_book.orders", _NO_ORDER)
        # is_buy -> prices, best first; (is_buy, price) -> identities, oldest first
        self._prices = store.table("full_book.prices", _NOBODY)
        self._levels = store.table("full_book.levels", _NOBODY)
        # owner -> identities of its quotes and waiting orders, oldest first
        self._listed = store.table("full_book.listed", _NOBODY)
        # "waiting", "timed" -> identities of orders with a trigger to meet, with an expiry
        self._watched = store.table("full_book.watched", _NOBODY)
        self._positions = store.table("full_book.positions", 0)
        self._protections = store.table("full_book.protections", Protection())
        # "mark", "now", "open"
        self._scalars = store.table("full_book.scalars", 0)

    # Views

    @property
    def now(self) -> int:
        """The time of the last ``CLOCK``."""
        return self._scalars["now"]

    @property
    def mark(self) -> int:
        """The price of the last ``MARK``; 0 before."""
        return self._scalars["mark"]

    @property
    def open_orders(self) -> int:
        """How many orders rest or wait."""
        return self._scalars["open"]

    def order(self, identity: int) -> Order | None:
        """An open order."""
        return self._orders[identity]

    def position(self, account: int) -> int:
        """An account's lots in this market."""
        return self._positions[account]

    def protection(self, owner: int) -> Protection:
        """A maker's limits and counts."""
        return self._protections[owner]

    def queue(self, is_buy: bool) -> list[Order]:
        """One side in priority order."""
        return list(self._in_order(is_buy))

    def _in_order(self, is_buy: bool) -> Iterator[Order]:
        prices = self._prices[is_buy]
        return (self._open(i) for price in prices for i in self._levels[is_buy, price])

    def walk(self, is_buy: bool, count: int) -> list[tuple[int, int, int]]:
        """(identity, price, lots left) of the first orders of one side, in priority order."""
        first = islice(self._in_order(is_buy), count)
        return [(order.identity, order.price, order.lots_left) for order in first]

    def depth(self, is_buy: bool, levels: int | None = None) -> list[tuple[int, int]]:
        """(price, lots) of the best levels of one side (all of them, if None), best first."""
        prices = self._prices[is_buy][:levels]
        found = [(price, self._levels[is_buy, price]) for price in prices]
        return [(price, sum(self._open(i).lots_left for i in level)) for price, level in found]

    def last_events(self) -> list[Event]:
        """The events of the last command."""
        return list(self._events)

    def best_price(self, is_buy: bool, ignoring: int = 0) -> int | None:
        """The best price of a side, as if one order were not there."""
        levels = ((price, self._levels[is_buy, price]) for price in self._prices[is_buy])
        return next((price for price, level in levels if level != (ignoring,)), None)

    def content(self) -> list[int]:
        """All that decides the book's future, as integers in a fixed order."""
        words = [self.capacity.price_base, self.mark, self.now]
        for is_buy in (True, False):
            queue = self.queue(is_buy)
            words += [len(queue), *(word for order in queue for word in order.content())]
        for owner in sorted({*self._listed.rows, *self._protections.rows}):
            listed, protection = self._listed[owner], self._protections[owner]
            if listed or protection != Protection():
                words += [owner, *protection.content(), len(listed)]
                words += [word for i in listed for word in self._open(i).content()]
        words.append(-1)
        for account, lots in sorted(self._positions.rows.items()):
            words += [account, lots] if lots else []
        return words

    def state_hash(self) -> str:
        """SHA-256 over ``content``, each word as a signed 64-bit big-endian integer."""
        words = self.content()
        return sha256(struct.pack(f">{len(words)}q", *words)).hexdigest()

    # Storage

    def _open(self, identity: int) -> Order:
        order = self._orders[identity]
        assert order is not None
        return order

    def _first(self, is_buy: bool) -> Order | None:
        prices = self._prices[is_buy]
        return self._open(self._levels[is_buy, prices[0]][0]) if prices else None

    def _watch(self, order: Order) -> None:
        """Keep an order that now rests or waits."""
        assert self._orders[order.identity] is None, "an identity is open once"
        self._orders[order.identity] = order
        self._scalars["open"] += 1
        for table, key, is_in in self._lists(order):
            if is_in:
                table[key] = (*table[key], order.identity)

    def _insert(self, order: Order) -> None:
        """Rest an order behind all others of its price."""
        self._watch(order)
        key = (order.is_buy, order.price)
        if not self._levels[key]:
            prices = list(self._prices[order.is_buy])
            insort(prices, order.price, key=lambda price: -price if order.is_buy else price)
            self._prices[order.is_buy] = tuple(prices)
        self._levels[key] = (*self._levels[key], order.identity)

    def _remove(self, order: Order) -> None:
        """Forget an order, resting or waiting."""
        self._orders[order.identity] = None
        self._scalars["open"] -= 1
        for table, key, is_in in self._lists(order):
            if is_in:
                table[key] = _without(table[key], order.identity)
        if order.trigger:
            return
        key = (order.is_buy, order.price)
        self._levels[key] = _without(self._levels[key], order.identity)
        if not self._levels[key]:
            self._prices[order.is_buy] = _without(self._prices[order.is_buy], order.price)

    def _lists(self, order: Order) -> list[tuple[Table[object, tuple[int, ...]], object, bool]]:
        return [
            (self._listed, order.owner, order.is_listed),
            (self._watched, "waiting", order.trigger > 0),
            (self._watched, "timed", order.expiry > 0),
        ]

    def _say(self, what: What, order: Order, detail: int = 0) -> None:
        row = (order.identity, 0, order.price, order.lots, order.lots_left, detail)
        self._events.append(Event(what, self.commands, *row))


def _without(identities: tuple[int, ...], identity: int) -> tuple[int, ...]:
    return tuple(i for i in identities if i != identity)
