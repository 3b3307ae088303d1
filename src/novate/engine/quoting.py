"""Mass quotes: which open quotes a message replaces, and what counts while it is judged.

Owns: the order of a message's sides, and that a refused side takes its forerunner out all the same.
Sides enter one after the other. In a message that says ``together`` no quote that it replaces
counts in the margin of any side, whether or not its own side is taken: so the order of the sides
does not matter to what they free, and the margin of the last is that of all of them at their worst.
"""

from __future__ import annotations

from collections.abc import Callable

from novate.engine.entry import Entry
from novate.engine.open_orders import OpenOrder
from novate.wire.records import AnyRecord, OrderPlaced, QuotesPlaced, orders_in

Enter = Callable[[OrderPlaced, str], list[AnyRecord]]


def entered(entry: Entry, command: QuotesPlaced, enter: Enter) -> list[AnyRecord]:
    """Let the sides of a mass quote in by ``enter`` (with its set); what comes of it."""
    sides = list(zip(orders_in(command), command.quotes, strict=True))
    left: dict[int, int] = {}  # of the quotes that do not count, by number
    for placed, quote in sides if command.together else ():
        former = _former(entry, placed, quote.quote_set)
        # one that only reduces needs no margin, and is bounded by what those before it have left
        if former is not None and not former.terms.reduce_only and _goes(entry, command, placed):
            left.setdefault(former.number, former.lots_left)
            entry.matcher.resize(former, 0)
    events: list[AnyRecord] = []
    for placed, quote in sides:
        former = _former(entry, placed, quote.quote_set)
        if former is not None and former.number in left:
            entry.matcher.resize(former, left.pop(former.number))
        events += _quote(entry, command, placed, quote.quote_set, enter)
    assert not left, "only its own turn takes a quote out"
    return events


def _former(entry: Entry, placed: OrderPlaced, name: str) -> OpenOrder | None:
    """The quote whose place another takes."""
    terms = placed.order
    key = int.from_bytes(terms.account, "big"), terms.instrument, terms.lots > 0, name
    return entry.matcher.orders.by_quote.get(key)


def _goes(entry: Entry, command: QuotesPlaced, placed: OrderPlaced) -> bool:
    """Whether a side ends its former, taken or not: it is a quote of the account's, and new."""
    known = placed.digest in entry.matcher.batching.placed.orders
    return not known and entry.quote_refused(placed, command.account) is None


def _quote(
    entry: Entry, command: QuotesPlaced, placed: OrderPlaced, name: str, enter: Enter
) -> list[AnyRecord]:
    """One side; if it is refused, what it was to replace goes all the same."""
    refusal = entry.quote_refused(placed, command.account)
    if refusal is not None:
        return [refusal]
    former, goes = _former(entry, placed, name), _goes(entry, command, placed)
    events = enter(placed, name)
    if goes and former is not None and former is _former(entry, placed, name):
        events.append(entry.matcher.take_out(former, "cancelled"))
    return events
