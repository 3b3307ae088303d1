"""How an order enters: new, as an edit, as a quote, or when the mark meets its trigger.

Owns: what an order is refused for before it meets anybody, in which order; whose place it takes;
and what leaves with time and prices. A refused order changes nothing but what its maker asked for
(a quote's forerunner goes). What a record should never cause, a fault of ours, refuses it by name
and not the engine: a journal is replayed, and would stop at the same record for ever.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from heapq import heapify, heappop, heappush

from novate import errors
from novate.engine import admission
from novate.engine.admission import signer_of
from novate.engine.ladder import Ladder
from novate.engine.matching import Matcher, Plan, SelfTrade
from novate.engine.open_orders import OpenOrder
from novate.engine.orders import terms_of
from novate.errors import Rejected, require
from novate.limits import EXPIRY_ROOM_S, ORDERS_WAITING_MAX
from novate.model.option_id import DATED
from novate.model.order import IMMEDIATE, POST_ONLY, Order
from novate.model.state import World
from novate.wire import records
from novate.wire.records import AnyRecord, OrderDone, OrderPlaced, OrderRejected

STOP, TAKE = "stop", "take"
LetIn = Callable[[], list[AnyRecord]]
_LOG = logging.getLogger("novate.engine")
_MODES = frozenset(SelfTrade)


@dataclass(slots=True)
class Entering:
    """An order on its way in, and whose place it takes; ``shares`` its fills, too."""

    order: OpenOrder
    former: OpenOrder | None
    shares: bool

    @property
    def keeps_place(self) -> bool:
        """Whether it only lowers what a resting order has left, at its price."""
        new, old = self.order, self.former
        if old is None or not self.shares or new.waits_for or old.waits_for:
            return False
        return new.price_ticks == old.price_ticks and new.lots_left <= old.lots_left


class Entry:
    """The way into one venue's books."""

    def __init__(self, world: World, executor: str, matcher: Matcher) -> None:
        self.world = world
        self.matcher = matcher
        self.next_number = 1
        self.nonces: dict[tuple[int, bool, int], bytes] = {}
        self._executor = executor
        self._expiries: list[tuple[int, int]] = []

    def restore(self, orders: Iterable[OpenOrder]) -> None:
        """Hold these orders, the oldest first, in their books and lists."""
        matcher = self.matcher
        matcher.orders.restore(orders)
        matcher.judge.reset()
        self._expiries = []
        for order in matcher.orders.by_number.values():
            self._expiries.append((order.terms.expiry, order.number))
            if not order.waits_for:
                lots = order.lots_left if order.is_buy else -order.lots_left
                ladder = matcher.ladders[order.terms.instrument]
                ladder.place(order.number, lots, order.price_ticks, [])
        heapify(self._expiries)

    # New ones

    def order(self, placed: OrderPlaced, quote_set: str | None) -> list[AnyRecord]:
        """An order, an edit or (with a set) a quote."""
        try:
            entering = self._admissible(placed, quote_set)
            let_in = self._admit(entering, placed.fill_or_kill)
        except Exception as fault:
            self.matcher.batching.undo()
            return [OrderRejected(placed.digest, _code(fault, placed))]
        return let_in()

    def meets_its_revision(self, placed: OrderPlaced) -> bool:
        """Whether the open batch holds an earlier revision: two do not meet in a batch."""
        digest = self.nonces.get(_nonce_of(placed))
        return digest is not None and digest in self.matcher.batching.open.orders

    def quote_refused(self, placed: OrderPlaced, account: bytes) -> OrderRejected | None:
        """The refusal of what is no quote of the account's."""
        terms = placed.order
        sound = (
            terms.account == account
            and terms.flags & IMMEDIATE == 0
            and terms.flags & POST_ONLY != 0
        )
        return None if sound else OrderRejected(placed.digest, errors.MalformedOrder.code)

    def _admissible(self, placed: OrderPlaced, quote_set: str | None) -> Entering:
        """What can be refused before prices and margin, cheapest first."""
        terms = terms_of(placed.order)
        require(placed.digest not in self.matcher.batching.placed, errors.NonceUsed)
        waits_for = _instructed(placed, terms)
        admission.require_sound(self.world, self._executor, terms)
        former, shares = self._former(placed, terms, quote_set)
        left = terms.size - (former.filled if former is not None and shares else 0)
        signer = signer_of(placed)
        if left > 0:
            admission.require_settles(self.world, terms, signer)
        else:
            admission.require_signed(self.world, terms, signer)  # it still ends its former
        if not shares:
            require(_nonce_of(placed) not in self.nonces, errors.NonceUsed)
        listed = self.world.ledger.terms_of(terms.instrument)
        if placed.mmp:
            key = terms.account, listed.underlying
            self.matcher.protections.require_open(key, self.world.now)
        if former is not None and placed.amends:
            quote_set = former.quote_set
        order = OpenOrder(
            number=self.next_number,
            placed=placed,
            terms=terms,
            signer=signer,
            price_ticks=terms.price // listed.tick,  # division: exact, on tick
            lots_left=max(left, 0),
            waits_for=waits_for,
            quote_set=quote_set,
        )
        return Entering(order, former, shares)

    def _former(
        self, placed: OrderPlaced, terms: Order, quote_set: str | None
    ) -> tuple[OpenOrder | None, bool]:
        """Whose place an order takes, and whether it shares its fills.

        Errors: OrderNotOpen, StaleRevision, InstrumentMismatch, MalformedOrder.
        """
        orders = self.matcher.orders
        if quote_set is not None:
            key = terms.account, terms.instrument, terms.lots > 0, quote_set
            former = orders.by_quote.get(key)
            shares = former is not None and former.terms.nonce == terms.nonce
        elif placed.amends:
            former, shares = orders.by_digest.get(self.nonces.get(_nonce_of(placed), b"")), True
            require(former is not None, errors.OrderNotOpen)
        else:
            return None, False
        if former is not None and shares:
            require(terms.revision > former.terms.revision, errors.StaleRevision)
            require(terms.instrument == former.terms.instrument, errors.InstrumentMismatch)
            require(terms.sells == former.terms.sells, errors.MalformedOrder)
        return former, shares

    def _admit(self, entering: Entering, kills: bool) -> LetIn:
        """Everything that rests on prices and margin; what is to be done then."""
        order = entering.order
        if order.lots_left == 0:
            return partial(self._end, entering)
        quote = self.matcher.judge.quote(order.terms.instrument)
        if order.waits_for:
            require(not _is_met(order, quote.mark), errors.WouldTrigger)
            waiting = self.matcher.orders.waiting.get(order.terms.instrument, {})
            require(len(waiting) < ORDERS_WAITING_MAX, errors.BookFull)
            return partial(self._wait, entering)
        return self._match(entering, kills, quote.mark)

    def _match(self, entering: Entering, kills: bool, mark: int) -> LetIn:
        """Margin, matching, resting."""
        order, former, matcher = entering.order, entering.former, self.matcher
        ladder = self._ladder(order, mark)
        rests = not (kills or order.terms.immediate)
        if rests:
            require(ladder.holds(order.price_ticks), errors.PriceOutOfLadder)
            room = not ladder.is_full or (former is not None and not former.waits_for)
            require(room, errors.BookFull)
        self._require_margin(order, former)
        if entering.keeps_place:
            return partial(self._revise, entering, ladder)
        plan = matcher.plan(order, ladder, kills)
        return partial(self._enter, entering, plan, ladder, rests)

    def _ladder(self, order: OpenOrder, mark: int) -> Ladder:
        tick = self.world.ledger.terms_of(order.terms.instrument).tick
        return self.matcher.ladders.opened(order.terms.instrument, mark // tick)  # division: ticks

    def _require_margin(self, order: OpenOrder, former: OpenOrder | None) -> None:
        """The account can hold its open orders with this one, without the former. Errors: those of
        ``Judge.require_margin``.
        """
        matcher, terms = self.matcher, order.terms
        left = former.lots_left if former is not None and not former.waits_for else 0
        if former is not None and left:
            matcher.resize(former, 0)
        try:
            row = matcher.batching.open.pending.row(self.world, terms.account)
            matcher.judge.require_margin(row, terms, order.lots_left)
        finally:
            if former is not None and left:
                matcher.resize(former, left)

    # What is done once nothing can refuse it

    def _end(self, entering: Entering) -> list[AnyRecord]:
        """An edit that leaves nothing."""
        done = self._register(entering)
        return [*done, OrderDone(entering.order.digest, "filled", 0, 0)]

    def _wait(self, entering: Entering) -> list[AnyRecord]:
        """Wait for the mark."""
        done = self._register(entering)
        self._number(entering.order)
        self.matcher.add(entering.order)
        return done

    def _enter(
        self, entering: Entering, plan: Plan, ladder: Ladder, rests: bool
    ) -> list[AnyRecord]:
        """Trade, and rest or end what is left."""
        done = self._register(entering)
        self._number(entering.order)
        return done + self.matcher.carry_out(plan, ladder, rests)

    def _revise(self, entering: Entering, ladder: Ladder) -> list[AnyRecord]:
        """An edit that keeps the place."""
        order, former = entering.order, entering.former
        assert former is not None
        order.number = former.number
        lots = order.lots_left if order.is_buy else -order.lots_left
        ladder.shrink(order.number, former.lots_left, lots, order.price_ticks)
        self.matcher.orders.revise(former, order)
        self.matcher.judge.changed(order.terms.account, order.terms.instrument)
        self._keep(order)
        heappush(self._expiries, (order.terms.expiry, order.number))
        return [OrderDone(former.digest, "replaced", 0, former.lots_left)]

    def _register(self, entering: Entering) -> list[AnyRecord]:
        """It is in: its nonce is taken, and its former's place."""
        self._keep(entering.order)
        if entering.former is None:
            return []
        return [self.matcher.take_out(entering.former, "replaced")]

    def _keep(self, order: OpenOrder) -> None:
        terms = order.terms
        self.matcher.batching.placed[order.digest] = order.placed
        self.nonces[terms.account, terms.immediate, terms.nonce] = order.digest

    def _number(self, order: OpenOrder) -> None:
        """It has a number of its own and, if it may stay, a time to go."""
        assert order.number == self.next_number
        self.next_number += 1
        if not order.terms.immediate or order.waits_for:
            heappush(self._expiries, (order.terms.expiry, order.number))

    # What leaves or enters with time and prices

    def expire(self) -> list[AnyRecord]:
        """Take out what expires before it could settle, earliest first."""
        events: list[AnyRecord] = []
        last = self.world.now + EXPIRY_ROOM_S
        while self._expiries and self._expiries[0][0] <= last:
            expiry, number = heappop(self._expiries)
            order = self.matcher.orders.by_number.get(number)
            if order is not None and order.terms.expiry == expiry:
                events.append(self.matcher.take_out(order, "evicted", errors.OrderExpired))
        return events

    def follow_marks(self) -> list[AnyRecord]:
        """Move ladders after their marks, and empty those of what trades no more."""
        ladders, marks, ended = self.matcher.ladders, [], []
        for instrument in list(ladders.bases):
            try:
                quote = self.matcher.judge.quote(instrument)
            except Rejected as rejected:
                if instrument >= DATED and rejected.error is errors.ExpiryPassed:
                    ended.append(instrument)
                continue
            tick = self.world.ledger.terms_of(instrument).tick
            marks.append((instrument, quote.mark // tick))  # division: ticks
        events: list[AnyRecord] = []
        for instrument in ended:
            for order in self._resting(instrument):
                events.append(self.matcher.take_out(order, "evicted", errors.ExpiryPassed))
            ladders.drop(instrument)
        for instrument, mark in ladders.strays(marks):
            events += self._move(instrument, mark)
        return events

    def _move(self, instrument: int, mark: int) -> list[AnyRecord]:
        """A ladder around another mark; what it does not reach is evicted."""
        events: list[AnyRecord] = []
        ladder = self.matcher.ladders.move(instrument, mark)
        for order in self._resting(instrument):
            if ladder.holds(order.price_ticks):
                lots = order.lots_left if order.is_buy else -order.lots_left
                ladder.place(order.number, lots, order.price_ticks, [])
            else:
                events.append(self.matcher.forget(order, "evicted", errors.PriceOutOfLadder))
        return events

    def _resting(self, instrument: int) -> list[OpenOrder]:
        found = self.matcher.orders.by_number.values()
        return [o for o in found if o.terms.instrument == instrument and not o.waits_for]

    def triggered(self) -> Iterator[OpenOrder]:
        """Waiting orders that the mark meets: those it rose to, lowest first, then those it fell
        to; the older first. What left since is passed over.
        """
        waiting = self.matcher.orders.waiting
        for instrument in sorted(waiting):
            if not waiting[instrument]:
                continue
            try:
                mark = self.matcher.judge.quote(instrument).mark
            except Rejected:
                continue
            met = [order for order in waiting[instrument].values() if _is_met(order, mark)]
            for order in sorted(met, key=_turn):
                if order.number in waiting[instrument]:
                    yield order

    def fire(self, order: OpenOrder) -> list[AnyRecord]:
        """Let an order in whose trigger is met; what would refuse it now ends it."""
        self.matcher.forget(order, "triggered")
        fired = replace(order, number=self.next_number, waits_for=0)
        try:
            admission.require_settles(self.world, order.terms, order.signer)
            quote = self.matcher.judge.quote(order.terms.instrument)
            let_in = self._match(Entering(fired, None, False), False, quote.mark)
        except Exception as fault:
            self.matcher.batching.undo()
            code = _code(fault, order.placed)
            return [OrderDone(order.digest, "evicted", code, order.lots_left)]
        return let_in()


def _code(fault: Exception, placed: OrderPlaced) -> int:
    """What an order is refused with. A fault of ours came before anything was carried out, and
    comes again whenever the journal is replayed.
    """
    if isinstance(fault, Rejected):
        return fault.error.code
    _LOG.error("order 0x%s", placed.digest.hex(), exc_info=fault)
    return errors.InternalFault.code


def _nonce_of(placed: OrderPlaced) -> tuple[int, bool, int]:
    order = placed.order
    return int.from_bytes(order.account, "big"), bool(order.flags & IMMEDIATE), order.nonce


def _instructed(placed: OrderPlaced, terms: Order) -> int:
    """The mark (wad) that an order waits for, or 0. Errors: ``MalformedOrder`` for instructions
    that do not fit each other or what is signed.
    """
    price = 0 if placed.trigger_price == "0" else records.number(placed.trigger_price)
    now = placed.fill_or_kill or terms.immediate
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


def _rises(order: OpenOrder) -> bool:
    """Whether the trigger is met from below: a stop that buys, a take that sells."""
    return order.is_buy == (order.placed.trigger == STOP)


def _is_met(order: OpenOrder, mark: int) -> bool:
    return mark >= order.waits_for if _rises(order) else mark <= order.waits_for


def _turn(order: OpenOrder) -> tuple[bool, int, int]:
    """By which triggered orders enter."""
    rises = _rises(order)
    return not rises, order.waits_for if rises else -order.waits_for, order.number
