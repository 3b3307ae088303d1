"""Open orders by account: what they may still trade, and what they cost at worst.

Owns: a view of the book's resting orders, kept up with every command and made again from the book
after a start. Lots, prices in ticks, money in wad. Sums are exact; the bound they serve is that of
``model/open_margin.py``.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from novate.engine.lanes_rows import Quote
from novate.model import fees
from novate.model.instrument import Terms
from novate.model.matching import Book, Resting
from novate.model.open_margin import Reach
from novate.model.state import World


@dataclass(slots=True)
class Exposure:
    """One account's orders in an instrument: sums; (price, identity) of each side, ascending."""

    reach: Reach = field(default_factory=Reach)
    notional: int = 0
    bids: list[tuple[int, int]] = field(default_factory=list)
    asks: list[tuple[int, int]] = field(default_factory=list)


class OpenOrders:
    """The book's orders, by account."""

    def __init__(self, world: World, book: Book) -> None:
        self._world = world
        self._book = book
        self._resting: dict[int, Resting] = {}
        self._accounts: dict[int, dict[int, Exposure]] = {}
        self._identities: dict[int, dict[int, None]] = {}

    def rebuild(self, identities: Iterable[int]) -> None:
        """Take in the book as it is; ``identities`` are its orders, the oldest first."""
        self._resting, self._accounts, self._identities = {}, {}, {}
        for identity in identities:
            self.refresh(identity)

    def refresh(self, identity: int) -> tuple[int, int] | None:
        """Take in what became of one order; the account and instrument whose sums changed."""
        old, new = self._resting.get(identity), self._book.resting(identity)
        if old is new:
            return None
        resting = new or old
        assert resting is not None
        order = resting.order
        change = (new.lots_left if new else 0) - (old.lots_left if old else 0)
        exposures = self._accounts.setdefault(order.account, {})
        exposure = exposures.setdefault(order.instrument, Exposure())
        terms = self._world.ledger.terms_of(order.instrument)
        exposure.notional += change * terms.price_lot(order.price_ticks * terms.tick)
        _add(exposure.reach, order.is_buy, order.reduce_only, change)
        side = exposure.bids if order.is_buy else exposure.asks
        entry = order.price_ticks, identity
        if old is None:
            insort(side, entry)
            self._identities.setdefault(order.account, {})[identity] = None
        if new is None:
            del side[bisect_left(side, entry)]
            del self._resting[identity], self._identities[order.account][identity]
            if not exposure.bids and not exposure.asks:
                del exposures[order.instrument]
        else:
            self._resting[identity] = new
        return order.account, order.instrument

    def of(self, account: int) -> list[int]:
        """Identities of an account's open orders, the oldest first."""
        return list(self._identities.get(account, ()))

    def reaches(self, account: int) -> dict[int, Reach]:
        """By instrument, what an account's open orders may trade."""
        found = self._accounts.get(account, {})
        return {instrument: exposure.reach for instrument, exposure in found.items()}

    def costs(self, account: int, quotes: Mapping[int, Quote]) -> int:
        """What an account's open orders in the instruments of ``quotes`` lose at most against their
        marks, fees included (wad).
        """
        total, settings = 0, self._world.exchange.settings
        for instrument, exposure in self._accounts.get(account, {}).items():
            if instrument not in quotes:
                continue
            quote = quotes[instrument]
            terms = self._world.ledger.terms_of(instrument)
            mark = terms.price_lot(quote.mark)
            reach = exposure.reach
            lots = reach.buys + reach.sells + reach.reducing_buys + reach.reducing_sells
            total += fees.at_most(settings, terms, lots, exposure.notional, quote.forward)
            total += self._worse(reversed(exposure.bids), terms, mark, 1)
            total += self._worse(exposure.asks, terms, mark, -1)
        return total

    def _worse(self, side: Iterable[tuple[int, int]], terms: Terms, mark: int, sign: int) -> int:
        """What one side's orders pay beyond the mark; the worst price comes first."""
        total = 0
        for price, identity in side:
            worse = (terms.price_lot(price * terms.tick) - mark) * sign
            if worse <= 0:
                break
            total += worse * self._resting[identity].lots_left
        return total


def added(reach: Reach, is_buy: bool, reduce_only: bool, lots: int) -> Reach:
    """The lots of one more order."""
    made = Reach(reach.buys, reach.sells, reach.reducing_buys, reach.reducing_sells)
    _add(made, is_buy, reduce_only, lots)
    return made


def _add(reach: Reach, is_buy: bool, reduce_only: bool, lots: int) -> None:
    if reduce_only:
        reach.reducing_buys += lots if is_buy else 0
        reach.reducing_sells += 0 if is_buy else lots
    else:
        reach.buys += lots if is_buy else 0
        reach.sells += 0 if is_buy else lots
