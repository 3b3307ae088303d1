"""Open orders: each with how far it has come, by number, digest and account.

Owns: the engine's own account of what rests and what waits for a trigger, and by account the sums
that margin at entry needs. Numbers run over all instruments; an order that loses its place gets a
new one, so at one price the lower number trades first. Lots, prices in ticks, money in wad. Sums
are exact; the bound they serve is that of ``model/open_margin.py``. All but ``by_number`` follows
from it, and is made again after a start.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from novate.engine.admission import Signer
from novate.engine.lanes_rows import Quote
from novate.model import fees
from novate.model.instrument import Terms
from novate.model.open_margin import Reach
from novate.model.order import Order
from novate.model.state import World
from novate.wire.records import OrderPlaced


@dataclass(slots=True, eq=False)
class OpenOrder:
    """An order that may still trade; ``price_ticks`` is what it rests at, which may be better for
    it than signed; ``waits_for`` the mark (wad) it waits for, or 0; ``quote_set`` None for none.
    """

    number: int
    placed: OrderPlaced
    terms: Order
    signer: Signer
    price_ticks: int
    lots_left: int
    waits_for: int = 0
    quote_set: str | None = None

    @property
    def digest(self) -> bytes:
        """By which clients know it."""
        return self.placed.digest

    @property
    def is_buy(self) -> bool:
        """Whether it buys."""
        return self.terms.lots > 0

    @property
    def filled(self) -> int:
        """Lots traded, over all its revisions."""
        return abs(self.terms.lots) - self.lots_left

    @property
    def owner(self) -> int:
        """The address behind the account and all its sister accounts."""
        return self.terms.account >> 96

    @property
    def is_protected(self) -> bool:
        """Whether it counts in its account's protection and goes with it."""
        return self.placed.mmp

    @property
    def quote(self) -> tuple[int, int, bool, str] | None:
        """What a later quote takes its place by."""
        if self.quote_set is None:
            return None
        return self.terms.account, self.terms.instrument, self.is_buy, self.quote_set


@dataclass(slots=True)
class Exposure:
    """One account's orders in an instrument: sums; (price, number) of each side, ascending."""

    reach: Reach = field(default_factory=Reach)
    notional: int = 0
    bids: list[tuple[int, int]] = field(default_factory=list)
    asks: list[tuple[int, int]] = field(default_factory=list)


class OpenOrders:
    """All open orders of a venue."""

    def __init__(self, world: World) -> None:
        self._world = world
        self.by_number: dict[int, OpenOrder] = {}
        self.by_digest: dict[bytes, OpenOrder] = {}
        self.by_quote: dict[tuple[int, int, bool, str], OpenOrder] = {}
        self.waiting: dict[int, dict[int, OpenOrder]] = {}  # by instrument
        self._by_account: dict[int, dict[int, OpenOrder]] = {}
        self._exposures: dict[int, dict[int, Exposure]] = {}

    def restore(self, orders: Iterable[OpenOrder]) -> None:
        """Hold these orders, the oldest first, and no others."""
        self.__init__(self._world)  # type: ignore[misc]
        for order in orders:
            self.add(order)

    def add(self, order: OpenOrder) -> None:
        """Take in an order; in another's place if that has its number."""
        self.by_number[order.number] = order
        self.by_digest[order.digest] = order
        if order.quote is not None:
            self.by_quote[order.quote] = order
        self._by_account.setdefault(order.terms.account, {})[order.number] = order
        if order.waits_for:
            self.waiting.setdefault(order.terms.instrument, {})[order.number] = order
        else:
            self._expose(order)

    def drop(self, order: OpenOrder) -> None:
        """Forget an order that rests or waits no more."""
        self._unname(order)
        del self.by_number[order.number]
        del self._by_account[order.terms.account][order.number]
        if order.waits_for:
            del self.waiting[order.terms.instrument][order.number]
        else:
            self._hide(order)

    def revise(self, old: OpenOrder, new: OpenOrder) -> None:
        """A resting order goes on as another of the same number, in its place."""
        self._unname(old)
        self._hide(old)
        self.add(new)

    def _unname(self, order: OpenOrder) -> None:
        del self.by_digest[order.digest]
        if order.quote is not None and self.by_quote.get(order.quote) is order:
            del self.by_quote[order.quote]

    def _expose(self, order: OpenOrder) -> None:
        exposures = self._exposures.setdefault(order.terms.account, {})
        exposure = exposures.setdefault(order.terms.instrument, Exposure())
        insort(_side(exposure, order), (order.price_ticks, order.number))
        self._count(order, exposure, order.lots_left)

    def _hide(self, order: OpenOrder) -> None:
        exposures = self._exposures[order.terms.account]
        exposure = exposures[order.terms.instrument]
        side, entry = _side(exposure, order), (order.price_ticks, order.number)
        del side[bisect_left(side, entry)]
        self._count(order, exposure, -order.lots_left)
        if not exposure.bids and not exposure.asks:
            del exposures[order.terms.instrument]

    def resize(self, order: OpenOrder, lots_left: int) -> None:
        """A resting order has other lots left."""
        exposure = self._exposures[order.terms.account][order.terms.instrument]
        self._count(order, exposure, lots_left - order.lots_left)
        order.lots_left = lots_left

    def of(self, account: int) -> list[OpenOrder]:
        """An account's open orders, the oldest first."""
        return list(self._by_account.get(account, {}).values())

    # What an account may trade

    def reaches(self, account: int) -> dict[int, Reach]:
        """By instrument, what an account's open orders may trade."""
        found = self._exposures.get(account, {})
        return {instrument: exposure.reach for instrument, exposure in found.items()}

    def reach(self, account: int, instrument: int) -> Reach:
        """The same for one instrument."""
        exposure = self._exposures.get(account, {}).get(instrument)
        return exposure.reach if exposure is not None else Reach()

    def costs(self, account: int, quotes: Mapping[int, Quote]) -> int:
        """What an account's open orders in the instruments of ``quotes`` lose at most against their
        marks, fees included (wad).
        """
        total, settings = 0, self._world.exchange.settings
        for instrument, exposure in self._exposures.get(account, {}).items():
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
        for price, number in side:
            worse = (terms.price_lot(price * terms.tick) - mark) * sign
            if worse <= 0:
                break
            total += worse * self.by_number[number].lots_left
        return total

    def _count(self, order: OpenOrder, exposure: Exposure, change: int) -> None:
        terms = self._world.ledger.terms_of(order.terms.instrument)
        exposure.notional += change * terms.price_lot(order.price_ticks * terms.tick)
        _add(exposure.reach, order.is_buy, order.terms.reduce_only, change)


def _side(exposure: Exposure, order: OpenOrder) -> list[tuple[int, int]]:
    return exposure.bids if order.is_buy else exposure.asks


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
