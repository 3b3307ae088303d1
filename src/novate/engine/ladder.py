"""Where orders rest: a book for each instrument, on a ladder of prices around its mark.

Owns: which book an instrument has and where its ladder begins. A book only keeps price-time order
here; whom an order meets, for how much, and who goes is decided before (``matching.py``), and the
book then carries out exactly that, which is checked. So bids and asks are two parties of the book,
which never meets an owner twice. Any book with the words of ``model/book_terms.py`` will do: the
fast one, or the reference. Units: ticks, lots.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from novate.engine.book import SparseBook
from novate.model.book_terms import (
    POSITION_LOTS_MAX,
    Capacity,
    Command,
    Event,
    Kind,
    Options,
    TimeInForce,
    What,
)

IMMEDIATE = Options(time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL).packed
FIRST_LOOK = 4
# plain integers: the compiled book would ask of an enumeration what it is at every call
PLACE, CANCEL, AMEND, POSITION = map(int, (Kind.PLACE, Kind.CANCEL, Kind.AMEND, Kind.POSITION))
FAR = Capacity().levels // 8  # a mark nearer than this to an end moves the ladder (division: ticks)


class MarketBook(Protocol):
    """One market's book; what each command does: ``model/book.py``."""

    def one(self, command: Command) -> int:
        """Carry out one command; the code of its rejection, or 0."""
        ...

    def last_events(self) -> list[Event]:
        """The events of the last command."""
        ...

    def walk(self, is_buy: bool, count: int) -> list[tuple[int, int, int]]:
        """(identity, price, lots left) of the first orders of one side."""
        ...

    def best_price(self, is_buy: bool) -> int | None:
        """The best price of a side."""
        ...

    def depth(self, is_buy: bool, levels: int) -> list[tuple[int, int]]:
        """(price, lots) of the best levels of one side."""
        ...

    @property
    def open_orders(self) -> int:
        """How many orders rest."""
        ...


MakeBook = Callable[[Capacity], MarketBook]


class Ladder:
    """The book of one instrument from one price base on."""

    def __init__(self, make: MakeBook, base: int) -> None:
        self.capacity = Capacity(price_base=base, owners=2, accounts=2)
        self.base, self.top = base, base + self.capacity.levels - 1  # the prices it has
        self.book = make(self.capacity)
        self.best = self.book.best_price  # of a side
        self._drift = 0
        self._entered: dict[int, int] = {}  # lots of each order, as the book counts them

    @property
    def is_full(self) -> bool:
        """Whether no further order can rest."""
        return len(self._entered) >= self.capacity.orders

    def holds(self, price: int) -> bool:
        """Whether an order can rest at a price."""
        return self.base <= price <= self.top

    def walk(self, is_buy: bool) -> Iterator[tuple[int, int, int]]:
        """(number, price, lots left) of one side in priority order; the book stays as it is."""
        seen, count = 0, FIRST_LOOK
        while True:
            rows = self.book.walk(is_buy, count)
            yield from rows[seen:]
            if len(rows) < count:
                return
            seen, count = count, 4 * count

    # Changes

    def rest(self, number: int, lots: int, price: int) -> None:
        """Rest an order that meets nobody."""
        party = 0 if lots > 0 else 1
        code = self.book.one(Command(PLACE, number, party, party, lots, price))
        assert code == 0, _refused(code)
        self._entered[number] = abs(lots)

    def place(self, number: int, lots: int, price: int, fills: list[tuple[int, int]]) -> None:
        """Fill exactly ``fills`` (number of the maker, lots) and rest the remainder."""
        self._trade(Command(PLACE, number, *_party(lots), lots, price), fills)
        self._entered[number] = abs(lots)

    def take(self, number: int, lots: int, price: int, fills: list[tuple[int, int]]) -> None:
        """Fill exactly ``fills`` and rest nothing; a price beyond the ladder is its end."""
        price = min(max(price, self.base), self.top)
        self._trade(Command(PLACE, number, *_party(lots), lots, price, IMMEDIATE), fills)

    def _trade(self, command: Command, fills: list[tuple[int, int]]) -> None:
        self._do(command)
        done = self.book.last_events()[: len(fills)]
        found = [(event.order, abs(event.lots)) for event in done if event.what == What.FILL]
        assert found == fills, "the book trades as was judged"
        for event in done:
            if event.lots_left == 0:
                del self._entered[event.order]
        self._drift += sum(lots for _, lots in fills)
        if self._drift >= POSITION_LOTS_MAX // 2:  # division: half of what a party may hold
            self._drift = 0
            for party in (0, 1):
                self._do(Command(POSITION, account=party))

    def shrink(self, number: int, lots_left: int, lots: int, price: int) -> None:
        """Leave an order of ``lots_left`` lots fewer of them (signed), at its price and place."""
        total = self._entered[number] - lots_left + abs(lots)  # the book counts filled lots, too
        signed = total if lots > 0 else -total
        self._do(Command(AMEND, number, *_party(lots), signed, price))
        self._entered[number] = total

    def cancel(self, number: int, is_buy: bool) -> None:
        """Take an order out."""
        self._do(Command(CANCEL, number, 0 if is_buy else 1))
        del self._entered[number]

    def _do(self, command: Command) -> None:
        code = self.book.one(command)
        assert code == 0, _refused(code)


def _refused(code: int) -> str:
    return f"the book refused what it was asked after every check: {code}"


def _party(lots: int) -> tuple[int, int]:
    """Owner and account in the book: one for all bids, one for all asks."""
    return (0, 0) if lots > 0 else (1, 1)


class Ladders:
    """The books of a venue; ``bases`` is all the state there is beside the open orders."""

    def __init__(self, make: MakeBook = SparseBook) -> None:
        self._make = make
        self.bases: dict[int, int] = {}
        self._ladders: dict[int, Ladder] = {}

    def warm(self) -> None:
        """Do once, on a book of nobody's, what orders need: where it is not compiled yet that takes
        many seconds, for which the first order would wait.
        """
        ladder = Ladder(self._make, 1)
        ladder.rest(1, 5, 100)
        ladder.rest(2, -5, 200)
        ladder.shrink(1, 5, 4, 100)
        ladder.take(3, 5, 200, [(2, 5)])
        ladder.cancel(1, True)
        for is_buy in (True, False):
            assert ladder.best(is_buy) is None and not list(ladder.walk(is_buy))
            assert ladder.book.depth(is_buy, 1) == []

    def restore(self, bases: dict[int, int]) -> None:
        """Empty books on these bases."""
        self.bases = bases
        self._ladders = {number: Ladder(self._make, base) for number, base in bases.items()}

    def __getitem__(self, instrument: int) -> Ladder:
        return self._ladders[instrument]

    def get(self, instrument: int) -> Ladder | None:
        """An instrument's ladder, if one was opened."""
        return self._ladders.get(instrument)

    def move(self, instrument: int, mark_ticks: int) -> Ladder:
        """An empty ladder around a mark: from one tick on if that reaches far above it."""
        levels = Capacity().levels
        low = mark_ticks + FAR < levels
        self.bases[instrument] = base = 1 if low else mark_ticks - levels // 2  # division: ticks
        made = self._ladders[instrument] = Ladder(self._make, base)
        return made

    def drop(self, instrument: int) -> None:
        """Forget an instrument's empty ladder."""
        del self.bases[instrument], self._ladders[instrument]

    def strays(self, marks: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Of (instrument, mark in ticks), those whose mark has come near their ladder's end."""
        found = []
        for instrument, mark in marks:
            ladder = self._ladders[instrument]
            base = ladder.base
            if mark + FAR > ladder.top or (base > 1 and mark < base + FAR):
                found.append((instrument, mark))
        return found

    # Views

    def span(self, instrument: int) -> tuple[int, int] | None:
        """The lowest and the highest price, in ticks, at which an order can rest; None before the
        first order.
        """
        ladder = self._ladders.get(instrument)
        return (ladder.base, ladder.top) if ladder is not None else None

    def depth(self, instrument: int, is_buy: bool, levels: int = 10_000) -> list[tuple[int, int]]:
        """(price in ticks, lots) of one side, best first."""
        ladder = self._ladders.get(instrument)
        return ladder.book.depth(is_buy, levels) if ladder is not None else []

    def queue(self, instrument: int, is_buy: bool) -> list[tuple[int, int, int]]:
        """(number, price in ticks, lots left) of one side in priority order."""
        ladder = self._ladders.get(instrument)
        return list(ladder.walk(is_buy)) if ladder is not None else []
