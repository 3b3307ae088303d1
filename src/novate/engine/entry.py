"""How an order enters: new, as an edit, as a quote, or when the mark meets its trigger.

Owns: what an order is refused for before it meets anybody, in which order, and whose place it
takes. A refused order changes nothing but what its maker asked for (a quote's forerunner goes).
What a record should never cause, a fault of ours, refuses it by name and not the engine: a journal
is replayed, and would stop at the same record for ever. What leaves again with time and prices:
``leaving.py``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapify, heappush

from novate import errors
from novate.engine import admission
from novate.engine.admission import signer_of
from novate.engine.ladder import Ladder
from novate.engine.lanes_rows import Quote
from novate.engine.matching import Matcher, Plan, SelfTrade
from novate.engine.open_orders import OpenOrder
from novate.engine.orders import terms_of
from novate.engine.reducing import Reducing
from novate.errors import Rejected, require
from novate.limits import ORDERS_WAITING_MAX
from novate.model.order import IMMEDIATE, POST_ONLY, Order
from novate.model.state import World
from novate.wire import records
from novate.wire.records import AnyRecord, OrderDone, OrderPlaced, OrderRejected, OrderShrunk

STOP, TAKE = "stop", "take"
# Of an order: account, whether it is immediate, nonce. One order at a time is known by it.
Nonce = tuple[int, bool, int]
_LOG = logging.getLogger("novate.engine")
_MODES = frozenset(SelfTrade)
_POSTS_NOW = POST_ONLY | IMMEDIATE


@dataclass(slots=True)
class Entering:
    """An order on its way in, and whose place it takes; ``shares`` its fills, too.

    Then what was decided of it: the ladder it comes to (None: none), whether it keeps its former's
    place, whether what is left of it may rest, and whom it meets (None: nobody).
    """

    order: OpenOrder
    nonce: Nonce
    former: OpenOrder | None = None
    shares: bool = False
    ladder: Ladder | None = None
    keeps: bool = False
    rests: bool = False
    plan: Plan | None = None


class Entry:
    """The way into one venue's books."""

    def __init__(self, world: World, executor: str, matcher: Matcher) -> None:
        self.world = world
        self.matcher = matcher
        self.next_number = 1
        self.nonces: dict[Nonce, bytes] = {}
        self.expiries: list[tuple[int, int]] = []  # a heap of (second, number)
        self.reducing = Reducing(matcher)
        self._executor = executor
        self._placed = matcher.batching.placed

    def restore(self, orders: Iterable[OpenOrder]) -> None:
        """Hold these orders, the oldest first, in their books and lists."""
        matcher = self.matcher
        matcher.orders.restore(orders)
        matcher.judge.reset()
        self.expiries = []
        for order in matcher.orders.by_number.values():
            self.expiries.append((order.terms.expiry, order.number))
            if not order.waits_for:
                lots = order.lots_left if order.is_buy else -order.lots_left
                ladder = matcher.ladders[order.terms.instrument]
                ladder.rest(order.number, lots, order.price_ticks)
        heapify(self.expiries)

    # New ones

    def order(
        self, placed: OrderPlaced, nonce: Nonce, quote_set: str | None = None
    ) -> list[AnyRecord]:
        """An order, an edit or (with a set) a quote; ``nonce``: its ``nonce_of``."""
        try:
            entering = self._admissible(placed, nonce, quote_set)
            if entering.order.lots_left:
                self._decide(entering, placed.fill_or_kill)
        except Exception as fault:
            self.matcher.batching.undo()
            return [OrderRejected(placed.digest, code_of(fault, placed))]
        return self.let_in(entering)

    def meets_its_revision(self, nonce: Nonce) -> bool:
        """Whether the open batch holds an earlier revision: two do not meet in a batch."""
        held = self.matcher.batching.open.orders
        return bool(held) and self.nonces.get(nonce) in held

    def quote_refused(self, placed: OrderPlaced, account: bytes) -> OrderRejected | None:
        """The refusal of what is no quote of the account's."""
        terms = placed.order
        sound = (
            terms.account == account
            and terms.flags & IMMEDIATE == 0
            and terms.flags & POST_ONLY != 0
        )
        return None if sound else OrderRejected(placed.digest, errors.MalformedOrder.code)

    def _admissible(self, placed: OrderPlaced, nonce: Nonce, quote_set: str | None) -> Entering:
        """What can be refused before prices and margin, cheapest first."""
        world, terms, amends = self.world, terms_of(placed.order), placed.amends
        if placed.digest in self._placed.orders:
            raise Rejected(errors.NonceUsed)
        waits_for = _instructed(placed, terms)
        listed = admission.require_sound(world, self._executor, terms)
        former, shares, left = None, False, abs(terms.lots)
        if amends or quote_set is not None:
            former, shares = self._former(placed, terms, nonce, quote_set)
            left = max(left - former.filled, 0) if shares and former is not None else left
        signer = signer_of(placed)
        until = self.matcher.batching.clock.settles_by
        if left > 0:
            admission.require_settles(world, terms, signer, until)
        else:
            admission.require_signed(world, terms, signer, until)  # it still ends its former
        if not shares and nonce in self.nonces:
            raise Rejected(errors.NonceUsed)
        if placed.client_order_id:
            named = self.matcher.orders.by_name.get((terms.account, placed.client_order_id))
            require(named is None or named is former, errors.ClientOrderIdUsed)
        if placed.mmp:
            protections = self.matcher.protections
            protections.require_open((terms.account, listed.underlying), world.now)
        if former is not None and amends:
            quote_set = former.quote_set
        ticks = terms.price // listed.tick  # division: exact, on tick
        order = OpenOrder(
            self.next_number, placed, terms, signer, ticks, left, waits_for, quote_set
        )
        return Entering(order, nonce, former, shares)

    def _former(
        self, placed: OrderPlaced, terms: Order, nonce: Nonce, quote_set: str | None
    ) -> tuple[OpenOrder | None, bool]:
        """Whose place an edit or a quote takes, and whether it shares its fills.

        Errors: OrderNotOpen, StaleRevision, InstrumentMismatch, MalformedOrder.
        """
        orders = self.matcher.orders
        if quote_set is not None:
            key = terms.account, terms.instrument, terms.lots > 0, quote_set
            former = orders.by_quote.get(key)
            shares = former is not None and former.terms.nonce == terms.nonce
        else:
            former, shares = orders.by_digest.get(self.nonces.get(nonce, b"")), True
            require(former is not None, errors.OrderNotOpen)
        if former is not None and shares:
            require(terms.revision > former.terms.revision, errors.StaleRevision)
            require(terms.instrument == former.terms.instrument, errors.InstrumentMismatch)
            require(terms.sells == former.terms.sells, errors.MalformedOrder)
        return former, shares

    def _decide(self, entering: Entering, kills: bool) -> None:
        """Everything that rests on prices and margin."""
        order = entering.order
        quote = self.matcher.judge.quote(order.terms.instrument)
        if order.waits_for:
            require(not is_met(order, quote.mark), errors.WouldTrigger)
            waiting = self.matcher.orders.waiting.get(order.terms.instrument, {})
            require(len(waiting) < ORDERS_WAITING_MAX, errors.BookFull)
        else:
            self.match(entering, quote, kills)

    def match(self, entering: Entering, quote: Quote, kills: bool) -> None:
        """Whether an order may rest, its margin, and whom it meets."""
        order, former, matcher = entering.order, entering.former, self.matcher
        instrument = order.terms.instrument
        ladder = matcher.ladders.get(instrument)
        if ladder is None:
            mark = quote.mark // quote.terms.tick  # division: ticks
            ladder = matcher.ladders.move(instrument, mark)
        entering.ladder = ladder
        immediate = entering.nonce[1]
        if not (kills or immediate):
            if not ladder.base <= order.price_ticks <= ladder.top:
                raise Rejected(errors.PriceOutOfLadder)
            if ladder.is_full and (former is None or former.waits_for):
                raise Rejected(errors.BookFull)
            if order.terms.reduce_only:
                self.reducing.limit(order, former)
            entering.rests = True
        self._require_margin(entering, quote)
        if entering.shares:
            entering.keeps = _keeps_place(order, former)
        if not entering.keeps:
            entering.plan = matcher.plan(order, ladder, kills)

    def _require_margin(self, entering: Entering, quote: Quote) -> None:
        """The account can hold its open orders with this one, without the former. Errors: those of
        ``Judge.require_margin``.
        """
        matcher, order = self.matcher, entering.order
        terms, judge, lots = order.terms, matcher.judge, order.lots_left
        row = matcher.batching.rows.row(terms.account)
        if judge.has_spare(row, terms, lots, entering.rests):
            return
        former = entering.former
        if former is None or former.waits_for:
            judge.require_margin(row, terms, lots, quote)
            return
        left = former.lots_left
        matcher.resize(former, 0)
        try:
            judge.require_margin(row, terms, lots, quote, alone=False)
        finally:
            matcher.resize(former, left)

    # What is done once nothing can refuse it

    def let_in(self, entering: Entering) -> list[AnyRecord]:
        """Take its nonce and its former's place; then it trades, rests, waits or ends."""
        order, former, ladder = entering.order, entering.former, entering.ladder
        events: list[AnyRecord] = []
        if order.cut:
            events.append(OrderShrunk(order.digest, order.cut, order.lots_left))
        if entering.keeps and former is not None and ladder is not None:
            events.append(self._revise(order, former, ladder, entering.nonce))
            return events + self.reducing.after(order, None)
        self._keep(order, entering.nonce)
        if former is not None:
            events.append(self.matcher.take_out(former, "replaced"))
        if order.lots_left == 0:  # an edit that leaves nothing
            events.append(OrderDone(order.placed.digest, "filled", 0, 0))
            return events
        assert order.number == self.next_number
        self.next_number += 1
        immediate = entering.nonce[1]
        if not immediate or order.waits_for:
            heappush(self.expiries, (order.terms.expiry, order.number))
        if ladder is None:
            self.matcher.add(order)
        elif entering.plan is None:
            events += self.matcher.stay(order, ladder, entering.rests)
        else:
            events += self.matcher.carry_out(entering.plan, ladder, entering.rests)
        return events + self.reducing.after(order, entering.plan)

    def _revise(
        self, order: OpenOrder, former: OpenOrder, ladder: Ladder, nonce: Nonce
    ) -> OrderDone:
        """An edit that keeps the place."""
        order.number = former.number
        lots = order.lots_left if order.is_buy else -order.lots_left
        ladder.shrink(order.number, former.lots_left, lots, order.price_ticks)
        self.matcher.orders.revise(former, order)
        self.matcher.judge.changed(order.terms.account, order.terms.instrument)
        self._keep(order, nonce)
        heappush(self.expiries, (order.terms.expiry, order.number))
        return OrderDone(former.digest, "replaced", 0, former.lots_left)

    def _keep(self, order: OpenOrder, nonce: Nonce) -> None:
        self._placed.keep(order.placed)
        self.nonces[nonce] = order.placed.digest


def code_of(fault: Exception, placed: OrderPlaced) -> int:
    """What an order is refused with. A fault of ours came before anything was carried out, and
    comes again whenever the journal is replayed.
    """
    if isinstance(fault, Rejected):
        return fault.error.code
    _LOG.error("order 0x%s", placed.digest.hex(), exc_info=fault)
    return errors.InternalFault.code


def nonce_of(placed: OrderPlaced) -> Nonce:
    """By which one order at a time is known."""
    order = placed.order
    return int.from_bytes(order.account, "big"), bool(order.flags & IMMEDIATE), order.nonce


def _instructed(placed: OrderPlaced, terms: Order) -> int:
    """The mark (wad) that an order waits for, or 0. Errors: ``MalformedOrder`` for instructions
    that do not fit each other or what is signed.
    """
    price = 0 if placed.trigger_price == "0" else records.number(placed.trigger_price)
    now = placed.fill_or_kill or terms.immediate
    if not (placed.trigger or placed.fill_or_kill or placed.amends or placed.mmp or price):
        # the usual one
        require(placed.self_trade in _MODES, errors.MalformedOrder)
        require(terms.flags & _POSTS_NOW != _POSTS_NOW, errors.MalformedOrder)
        return 0
    sound = (
        placed.self_trade in _MODES
        and (placed.trigger in (STOP, TAKE) if price > 0 else price == 0 and not placed.trigger)
        and not (terms.post_only and now)
        and not (placed.fill_or_kill and (placed.trigger or placed.amends))
        and not (placed.amends and terms.immediate)
        and not (placed.mmp and (now or placed.trigger))
    )
    require(sound, errors.MalformedOrder)
    return price


def _keeps_place(new: OpenOrder, old: OpenOrder | None) -> bool:
    """Whether an edit only lowers what a resting order has left, at its price."""
    if old is None or old.waits_for:
        return False
    return new.price_ticks == old.price_ticks and new.lots_left <= old.lots_left


def rises(order: OpenOrder) -> bool:
    """Whether the trigger is met from below: a stop that buys, a take that sells."""
    return order.is_buy == (order.placed.trigger == STOP)


def is_met(order: OpenOrder, mark: int) -> bool:
    """Whether the mark meets what an order waits for."""
    return mark >= order.waits_for if rises(order) else mark <= order.waits_for
