"""Open orders: each with how far it has come, by number, digest and account.

Owns: the engine's own account of what rests and what waits for a trigger, and by account the sums
that margin at entry needs. Numbers run over all instruments; an order that loses its place gets a
new one, so at one price the lower number trades first. Lots, prices in ticks, money in wad. Sums
are exact; the bound they serve is that of ``model/open_margin.py``. All but ``by_number`` follows
from it, and is made again after a start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from novate.engine.admission import Signer
from novate.engine.lanes_rows import Quote
from novate.errors import Error
from novate.model import fees
from novate.model.instrument import Terms
from novate.model.open_margin import Reach
from novate.model.order import Order
from novate.model.state import World
from novate.wire.records import OrderPlaced


@dataclass(slots=True, eq=False)
class OpenOrder:
    """An order that may still trade; ``price_ticks`` is what it rests at, which may be better for
    it than signed; ``waits_for`` the mark (wad) it waits for, or 0; ``quote_set`` None for none;
    ``cut`` the lots that it has lost because it only reduces (``reducing.py``).
    """

    number: int
    placed: OrderPlaced
    terms: Order
    signer: Signer
    price_ticks: int
    lots_left: int
    waits_for: int = 0
    quote_set: str | None = None
    cut: int = 0

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
        return abs(self.terms.lots) - self.cut - self.lots_left

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
    """One account's orders in an instrument: sums, and lots by price of each side.

    ``beyond`` and ``cost`` are at ``quote``; the former is kept up with every order, the latter
    made when it is asked for (None: to be made). None counts without a quote.
    """

    terms: Terms
    reach: Reach = field(default_factory=Reach)
    notional: int = 0
    bids: dict[int, int] = field(default_factory=dict)
    asks: dict[int, int] = field(default_factory=dict)
    quote: Quote | None = None
    mark_lot: int = 0
    beyond: int = 0
    cost: int | None = 0

    @property
    def is_open(self) -> bool:
        """Whether there are any."""
        return bool(self.bids or self.asks)


@dataclass(slots=True)
class Holder:
    """One account's orders; what they cost at the prices of ``stamp``, but for ``uncounted``."""

    orders: dict[int, OpenOrder] = field(default_factory=dict)
    exposures: dict[int, Exposure] = field(default_factory=dict)
    stamp: object = None
    cost: int = 0
    uncounted: list[Exposure] = field(default_factory=list)


class Prices(Protocol):
    """What instruments trade at; ``stamp`` is another object whenever any of it has changed."""

    @property
    def stamp(self) -> object:
        """The moment."""
        ...

    def quote(self, instrument: int) -> Quote | Error:
        """What an instrument trades at, or why it cannot be traded."""
        ...


class OpenOrders:
    """All open orders of a venue."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._hold_none()

    def _hold_none(self) -> None:
        self.by_number: dict[int, OpenOrder] = {}
        self.by_digest: dict[bytes, OpenOrder] = {}
        self.by_quote: dict[tuple[int, int, bool, str], OpenOrder] = {}
        self.by_name: dict[tuple[int, str], OpenOrder] = {}  # account, its own id of the order
        self.waiting: dict[int, dict[int, OpenOrder]] = {}  # by instrument
        # those that rest and only reduce, by account and instrument
        self.reducing: dict[tuple[int, int], dict[int, OpenOrder]] = {}
        self._holders: dict[int, Holder] = {}

    def restore(self, orders: Iterable[OpenOrder]) -> None:
        """Hold these orders, the oldest first, and no others."""
        self._hold_none()
        for order in orders:
            self.add(order)

    def add(self, order: OpenOrder) -> None:
        """Take in an order; in another's place if that has its number."""
        terms = order.terms
        self.by_number[order.number] = order
        self.by_digest[order.placed.digest] = order
        if order.quote_set is not None:
            self.by_quote[terms.account, terms.instrument, order.is_buy, order.quote_set] = order
        if order.placed.client_order_id:
            self.by_name[terms.account, order.placed.client_order_id] = order
        holder = self._holders.get(terms.account)
        if holder is None:
            holder = self._holders[terms.account] = Holder()
        holder.orders[order.number] = order
        if order.waits_for:
            self.waiting.setdefault(terms.instrument, {})[order.number] = order
        else:
            self._count(holder, order, order.lots_left)
            if terms.reduce_only:
                key = terms.account, terms.instrument
                self.reducing.setdefault(key, {})[order.number] = order

    def drop(self, order: OpenOrder) -> None:
        """Forget an order that rests or waits no more."""
        self._unname(order)
        del self.by_number[order.number]
        holder = self._holders[order.terms.account]
        del holder.orders[order.number]
        if order.waits_for:
            del self.waiting[order.terms.instrument][order.number]
        else:
            self._count(holder, order, -order.lots_left)
        if not holder.orders:
            del self._holders[order.terms.account]

    def revise(self, old: OpenOrder, new: OpenOrder) -> None:
        """A resting order goes on as another of the same number, in its place."""
        self._unname(old)
        self._count(self._holders[old.terms.account], old, -old.lots_left)
        self.add(new)

    def _unname(self, order: OpenOrder) -> None:
        del self.by_digest[order.placed.digest]
        if order.terms.reduce_only and not order.waits_for:
            key = order.terms.account, order.terms.instrument
            del self.reducing[key][order.number]
            if not self.reducing[key]:
                del self.reducing[key]
        if order.placed.client_order_id:
            self.by_name.pop((order.terms.account, order.placed.client_order_id), None)
        if order.quote_set is None:
            return
        quote = order.quote
        if quote is not None and self.by_quote.get(quote) is order:
            del self.by_quote[quote]

    def resize(self, order: OpenOrder, lots_left: int) -> None:
        """A resting order has other lots left."""
        holder = self._holders[order.terms.account]
        self._count(holder, order, lots_left - order.lots_left)
        order.lots_left = lots_left

    def _count(self, holder: Holder, order: OpenOrder, change: int) -> None:
        """A resting order has ``change`` lots more: of an account's sums, and what they cost."""
        signed, price = order.terms, order.price_ticks
        exposure = holder.exposures.get(signed.instrument)
        if exposure is None:
            made = Exposure(self._world.ledger.terms_of(signed.instrument))
            exposure = holder.exposures[signed.instrument] = made
            holder.stamp = None
        terms, is_buy = exposure.terms, signed.lots > 0
        side = exposure.bids if is_buy else exposure.asks
        lots = side.get(price, 0) + change
        if lots:
            side[price] = lots
        else:
            side.pop(price, None)
        value = terms.price_lot(price * terms.tick)
        exposure.notional += change * value
        _add(exposure.reach, is_buy, signed.reduce_only, change)
        if exposure.quote is not None:
            worse = value - exposure.mark_lot if is_buy else exposure.mark_lot - value
            if worse > 0:
                exposure.beyond += change * worse
            if exposure.cost is not None:
                holder.cost -= exposure.cost
                exposure.cost = None
                holder.uncounted.append(exposure)

    def of(self, account: int) -> list[OpenOrder]:
        """An account's open orders, the oldest first."""
        holder = self._holders.get(account)
        return [] if holder is None else list(holder.orders.values())

    # What an account may trade

    def reaches(self, account: int) -> dict[int, Reach]:
        """By instrument, what an account's open orders may trade."""
        holder = self._holders.get(account)
        found = {} if holder is None else holder.exposures
        return {instrument: one.reach for instrument, one in found.items() if one.is_open}

    def instruments(self, account: int) -> frozenset[int]:
        """The instruments that an account has open orders in."""
        holder = self._holders.get(account)
        found = {} if holder is None else holder.exposures
        return frozenset(instrument for instrument, one in found.items() if one.is_open)

    def reach(self, account: int, instrument: int) -> Reach:
        """The same for one instrument."""
        holder = self._holders.get(account)
        exposure = None if holder is None else holder.exposures.get(instrument)
        return exposure.reach if exposure is not None else Reach()

    def costs(self, account: int, prices: Prices) -> int:
        """What an account's open orders that can trade now lose at most against their marks, fees
        included (wad).
        """
        holder = self._holders.get(account)
        if holder is None:
            return 0
        if holder.stamp is not prices.stamp:
            holder.stamp, holder.cost = prices.stamp, 0
            holder.exposures = {i: one for i, one in holder.exposures.items() if one.is_open}
            for instrument, exposure in holder.exposures.items():
                _price(exposure, prices.quote(instrument))
            holder.uncounted = list(holder.exposures.values())
        for exposure in holder.uncounted:
            exposure.cost = _cost(exposure)
            holder.cost += exposure.cost
        holder.uncounted.clear()
        return holder.cost


def _price(exposure: Exposure, quote: Quote | Error) -> None:
    """Count an exposure at what its instrument trades at."""
    if isinstance(quote, Error):
        exposure.quote = None
        return
    terms, mark = quote.terms, quote.terms.price_lot(quote.mark)
    if exposure.quote is None or mark != exposure.mark_lot:
        exposure.mark_lot, exposure.beyond = mark, 0
        for side, sign in ((exposure.bids, 1), (exposure.asks, -1)):
            for price, lots in side.items():
                worse = (terms.price_lot(price * terms.tick) - mark) * sign
                if worse > 0:
                    exposure.beyond += worse * lots
    exposure.quote, exposure.terms = quote, terms


def _cost(exposure: Exposure) -> int:
    """What an exposure's orders lose at most against the mark, fees included."""
    reach, quote = exposure.reach, exposure.quote
    if quote is None:
        return 0
    lots = reach.buys + reach.sells + reach.reducing_buys + reach.reducing_sells
    fee = fees.at_most(quote.settings, exposure.terms, lots, exposure.notional, quote.forward)
    return fee + exposure.beyond


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
