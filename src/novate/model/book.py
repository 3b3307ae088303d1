"""The full book of one market: every order kind, readable, the reference of the fast one.

Owns: who trades with whom, at what price, and what becomes of the rest. All state lives in tables
of a ``Store``, so a rejected command changes nothing. Units and words: ``book_terms.py``.

Rules: best price first, then oldest; an amendment that lowers lots at its price keeps its place;
an owner does not trade with itself over all its accounts; a reduce-only order is cut to the
position when it enters, and a resting one is judged when it is met; triggers fire by trigger price,
then identity, expiries by time, then identity. Held after every command: the book is never crossed;
lots are conserved.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from novate import errors
from novate.errors import Error, Rejected, require
from novate.limits import LOTS_MAX
from novate.model.book_checks import (
    check_lots,
    check_order,
    check_parties,
    check_price,
    check_quote,
    within,
)
from novate.model.book_rows import Order, Protection
from novate.model.book_state import BookState
from novate.model.book_terms import (
    PRICE_TRIGGER_MAX,
    Command,
    Event,
    Kind,
    Options,
    PostOnly,
    SelfTrade,
    TimeInForce,
    What,
)


class Outcome(NamedTuple):
    """The code of a command's rejection (0: accepted) and what it did."""

    code: int
    events: tuple[Event, ...]


class Book(BookState):
    """One market; ``apply`` is its only writer."""

    def apply(self, command: Command) -> Outcome:
        """Carry out one command; a rejected one changes nothing and has no events."""
        self.commands += 1
        self._events = []
        try:
            with self._store.transaction():
                handler = _HANDLERS.get(command.kind)
                if handler is None:
                    raise Rejected(errors.MalformedOrder)
                handler(self, command)
        except Rejected as rejection:
            self._events = []
            return Outcome(rejection.error.code, ())
        return Outcome(0, tuple(self._events))

    def one(self, command: Command) -> int:
        """Carry out one command; the code of its rejection, or 0. Its events: ``last_events``."""
        return self.apply(command).code

    # Commands

    def _place(self, command: Command) -> None:
        options = check_order(self, command.order, command)
        stays = options.time_in_force is TimeInForce.GOOD_TIL_CANCELLED or command.trigger > 0
        full = self.open_orders >= self.capacity.orders
        require(not (stays and full), errors.BookFull)
        self._start(self._made(command.order, command, options))

    def _cancel(self, command: Command) -> None:
        self._take_out(self._own(command), What.CANCELLED)

    def _amend(self, command: Command) -> None:
        old = self._own(command)
        check_lots(command.lots)
        require((command.lots > 0) == old.is_buy, errors.MalformedOrder)
        price = command.price
        if old.options.market:
            require(price == 0, errors.MalformedOrder)
            price = old.price
        check_price(self.capacity, price)
        new = replace(old, lots=command.lots, price=price)
        if new.lots_left <= 0:
            self._take_out(old, What.CANCELLED)
            return
        self._say(What.AMENDED, new)
        if old.trigger or (price == old.price and new.lots_left <= old.lots_left):
            self._orders[old.identity] = new
            return
        self._remove(old)
        self._enter(new)

    def _replace(self, command: Command) -> None:
        old = self._own(command)
        options = check_order(self, command.target, command)
        self._take_out(old, What.CANCELLED)
        self._start(self._made(command.target, command, options))

    def _quote(self, command: Command) -> None:
        options = check_quote(self, command)
        bid, ask = (
            Order(identity, command.owner, command.account, lots, price, options, command.expiry)
            for identity, lots, price in (
                (command.order, command.lots, command.price),
                (command.order + 1, -command.trigger, command.target),
            )
        )
        olds = [self._old_leg(bid, True), self._old_leg(ask, False)]
        new = sum(leg.lots != 0 and old is None for leg, old in zip((bid, ask), olds, strict=True))
        require(self.open_orders + new <= self.capacity.orders, errors.BookFull)
        legs = [
            replace(self._posted(leg, ignoring), is_quote=True) if leg.lots else None
            for leg, ignoring in ((bid, ask.identity), (ask, bid.identity))
        ]
        entering = [self._requoted(leg, old) for leg, old in zip(legs, olds, strict=True)]
        for entered in entering:
            if entered is not None:
                self._rest(entered)

    def _mass_cancel(self, command: Command) -> None:
        within(command.owner, 0, self.capacity.owners - 1, errors.UnknownAccount)
        waiting = [self._open(i) for i in self._listed[command.owner]]
        orders = self.queue(True) + self.queue(False) + [o for o in waiting if o.trigger]
        for order in orders:
            if order.owner == command.owner and order.lots * command.lots >= 0:
                self._take_out(order, What.CANCELLED)

    def _protect(self, command: Command) -> None:
        within(command.owner, 0, self.capacity.owners - 1, errors.UnknownAccount)
        within(command.lots, 0, LOTS_MAX, errors.LotsOutOfRange)
        require(command.price >= 0 and command.expiry >= 0, errors.MalformedOrder)
        frozen = self._protections[command.owner].frozen
        limits = Protection(command.lots, command.price, command.expiry, frozen=frozen)
        self._protections[command.owner] = limits

    def _reset(self, command: Command) -> None:
        within(command.owner, 0, self.capacity.owners - 1, errors.UnknownAccount)
        old = self._protections[command.owner]
        fresh = Protection(old.lots_max, old.fills_max, old.window_s)
        self._protections[command.owner] = fresh

    def _mark(self, command: Command) -> None:
        within(command.price, 1, PRICE_TRIGGER_MAX, errors.MalformedOrder)
        self._scalars["mark"] = command.price
        waiting = [self._open(identity) for identity in self._watched["waiting"]]
        met = [order for order in waiting if order.is_met(command.price)]
        met.sort(key=lambda o: (not o.rises, o.trigger if o.rises else -o.trigger, o.identity))
        for order in met:
            self._fire(order)

    def _clock(self, command: Command) -> None:
        require(command.expiry >= self.now, errors.MalformedOrder)
        self._scalars["now"] = command.expiry
        timed = [self._open(identity) for identity in self._watched["timed"]]
        due = [order for order in timed if order.expiry <= command.expiry]
        for order in sorted(due, key=lambda order: (order.expiry, order.identity)):
            self._take_out(order, What.EVICTED, errors.OrderExpired)

    def _set_position(self, command: Command) -> None:
        check_parties(self.capacity, 0, command.account)
        within(command.lots, -LOTS_MAX, LOTS_MAX, errors.LotsOutOfRange)
        self._positions[command.account] = command.lots

    # What an order goes through

    def _own(self, command: Command) -> Order:
        order = self._orders[command.order]
        if order is None:
            raise Rejected(errors.OrderNotOpen)
        require(order.owner == command.owner, errors.NotOwner)
        return order

    def _made(self, identity: int, command: Command, options: Options) -> Order:
        """An order as the command has it; a market order is a limit at the ladder's end."""
        base = self.capacity.price_base
        end = base + self.capacity.levels - 1 if command.lots > 0 else base
        return Order(
            identity,
            command.owner,
            command.account,
            command.lots,
            end if options.market else command.price,
            options,
            command.expiry,
            command.trigger,
        )

    def _start(self, order: Order) -> None:
        """Let a new order wait for its trigger or enter."""
        if not order.trigger:
            self._enter(order)
            return
        require(not order.is_met(self.mark), errors.WouldTrigger)
        self._watch(order)
        self._say(What.WAITING, order, order.trigger)

    def _fire(self, order: Order) -> None:
        """Enter an order whose trigger is met; what it would be rejected for evicts it."""
        self._say(What.TRIGGERED, order, self.mark)
        self._remove(order)
        said = len(self._events)
        try:
            with self._store.transaction():
                self._enter(order.fired())
        except Rejected as rejection:
            del self._events[said:]
            self._say(What.EVICTED, order, rejection.error.code)

    def _enter(self, order: Order) -> None:
        """Match an order and rest what is left of it.

        Errors: ``ReduceOnly``, ``PostOnly``; a fill-or-kill order that is not filled is rejected
        with ``SelfMatch`` if an order of its own stopped it, else with ``FillOrKill``.
        """
        taker = self._reduced(order)
        if taker.options.post_only is not PostOnly.NO:
            taker = self._posted(taker, 0)
        stop: Error | None = None
        while taker.lots_left > 0 and stop is None:
            maker = self._first(not taker.is_buy)
            if maker is None or not taker.crosses(maker.price):
                break
            taker, stop = self._meet(taker, maker)
        if taker.lots_left == 0:
            return
        if taker.options.time_in_force is TimeInForce.FILL_OR_KILL:
            raise Rejected(stop or errors.FillOrKill)
        if stop is not None:
            self._say(What.EVICTED, taker, stop.code)
        elif taker.options.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
            self._say(What.UNFILLED, taker)
        else:
            self._rest(taker)

    def _reduced(self, order: Order) -> Order:
        """A reduce-only order cut to what its account's position leaves to reduce."""
        if not order.options.reduce_only:
            return order
        room = self._room(order)
        kills = order.options.time_in_force is TimeInForce.FILL_OR_KILL
        require(room > 0 and (room >= order.lots_left or not kills), errors.ReduceOnly)
        return order.sized(min(order.lots_left, room))

    def _room(self, order: Order) -> int:
        position = self._positions[order.account]
        return max(-position if order.is_buy else position, 0)

    def _posted(self, order: Order, ignoring: int) -> Order:
        """A post-only order at a price where it does not take, one order set aside."""
        best = self.best_price(not order.is_buy, ignoring)
        if best is None or not order.crosses(best):
            return order
        require(order.options.post_only is PostOnly.SLIDE, errors.PostOnly)
        price = best - 1 if order.is_buy else best + 1
        top = self.capacity.price_base + self.capacity.levels - 1
        within(price, self.capacity.price_base, top, errors.PostOnly)
        return replace(order, price=price)

    def _rest(self, order: Order) -> None:
        best = self.best_price(not order.is_buy)
        assert best is None or not order.crosses(best), "the book is never crossed"
        self._insert(order)
        self._say(What.RESTED, order)

    def _take_out(self, order: Order, what: What, error: Error | None = None) -> None:
        self._remove(order)
        self._say(what, order, error.code if error else 0)

    # Matching

    def _meet(self, taker: Order, maker: Order) -> tuple[Order, Error | None]:
        """Trade with one maker: the taker afterwards, and the error that stops it, if any."""
        if maker.owner == taker.owner:
            mode = taker.options.self_trade
            if mode is not SelfTrade.REJECT_TAKER:
                self._take_out(maker, What.EVICTED, errors.SelfMatch)
            return taker, None if mode is SelfTrade.CANCEL_MAKER else errors.SelfMatch
        lots = min(taker.lots_left, maker.lots_left)
        if maker.options.reduce_only:
            lots = min(lots, self._room(maker))
        if lots == 0:
            self._take_out(maker, What.EVICTED, errors.ReduceOnly)
            return taker, None
        return self._trade(taker, maker, lots), None

    def _trade(self, taker: Order, maker: Order, lots: int) -> Order:
        taker, after = taker.filled(lots), maker.filled(lots)
        signed = lots if taker.is_buy else -lots
        self._positions[taker.account] += signed
        self._positions[maker.account] -= signed
        row = (maker.identity, taker.identity, maker.price, signed)
        self._events.append(Event(What.FILL, self.commands, *row, after.lots_left, taker.lots_left))
        if after.lots_left:
            self._orders[maker.identity] = after
        else:
            self._remove(maker)
        if maker.is_quote:
            self._protect_maker(maker.owner, lots)
        return taker

    def _protect_maker(self, owner: int, lots: int) -> None:
        """Count a fill of a quote; pull all quotes of its owner once a limit is reached."""
        self._protections[owner] = self._protections[owner].counted(lots, self.now)
        if self._protections[owner].frozen:
            for order in [self._open(identity) for identity in self._listed[owner]]:
                if order.is_quote:
                    self._take_out(order, What.EVICTED, errors.QuotesFrozen)

    # Quotes

    def _old_leg(self, leg: Order, is_buy: bool) -> Order | None:
        """The open quote that a leg takes the place of. Errors: ``OrderExists``."""
        old = self._orders[leg.identity]
        if old is None:
            return None
        same = (old.owner, old.account, old.is_buy) == (leg.owner, leg.account, is_buy)
        require(old.is_quote and same, errors.OrderExists)
        return old

    def _requoted(self, leg: Order | None, old: Order | None) -> Order | None:
        """Change or take out the old quote; the leg, if it still has to enter the queue."""
        if old is None:
            return leg
        if leg is None:
            self._take_out(old, What.CANCELLED)
            return None
        keeps = (leg.price, leg.expiry) == (old.price, old.expiry)
        if keeps and leg.lots_left <= old.lots_left:
            self._orders[old.identity] = leg
            self._say(What.AMENDED, leg)
            return None
        self._remove(old)
        return leg


_HANDLERS: dict[int, Callable[[Book, Command], None]] = {
    Kind.PLACE: Book._place,
    Kind.CANCEL: Book._cancel,
    Kind.AMEND: Book._amend,
    Kind.REPLACE: Book._replace,
    Kind.QUOTE: Book._quote,
    Kind.MASS_CANCEL: Book._mass_cancel,
    Kind.PROTECT: Book._protect,
    Kind.RESET: Book._reset,
    Kind.MARK: Book._mark,
    Kind.CLOCK: Book._clock,
    Kind.POSITION: Book._set_position,
}
