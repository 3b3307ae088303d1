"""Matching: whom an order meets, decided and judged before anything changes, then carried out.

Owns: the order of events of an entry. ``plan`` walks the makers that an order crosses, by price and
time, puts each pair to the open batch's judge, and says who trades, who goes and what is left; it
refuses without having changed anything but that judge's batch (``Batching.undo``). ``carry_out``
then lets the book do exactly that. Rules (API.md, "Matching rules"): a maker that fails is evicted
and matching goes on; owners do not trade with themselves over all their accounts; post-only rejects
or slides; fill-or-kill counts only makers that pass; protection pulls quotes in the middle of a
sweep. Lots, prices in ticks.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from novate import errors
from novate.engine.batching import Batching
from novate.engine.judge import Judge
from novate.engine.ladder import Ladder, Ladders
from novate.engine.open_orders import OpenOrder, OpenOrders
from novate.engine.protection import Key, Protection, Protections, size_of
from novate.errors import Error, Rejected, require
from novate.model.order import POST_ONLY, REDUCE_ONLY
from novate.model.state import World
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    OrderDone,
    OrderSlid,
    ProtectionTriggered,
)


class SelfTrade(StrEnum):
    """What gives way when a taker meets an order of its own owner."""

    CANCEL_MAKER = "cancel_maker"
    REJECT_TAKER = "reject_taker"
    CANCEL_BOTH = "cancel_both"


class Filled(NamedTuple):
    """A maker trades so many lots, for the taker's and the maker's fee (wad)."""

    maker: OpenOrder
    lots: int
    fees: tuple[int, int]


class Gone(NamedTuple):
    """A maker is evicted."""

    maker: OpenOrder
    error: Error


class Tripped(NamedTuple):
    """A protection pulls its orders."""

    key: Key
    until: int
    pulled: list[OpenOrder]


@dataclass(slots=True)
class Plan:
    """What an entry does; the taker keeps ``lots_left``, unless ``stop`` ends it."""

    taker: OpenOrder
    lots_left: int
    stop: Error | None = None
    steps: list[Filled | Gone | Tripped] = field(default_factory=list)
    counts: dict[Key, Protection] = field(default_factory=dict)
    away: set[int] = field(default_factory=set)

    @property
    def fills(self) -> list[tuple[int, int]]:
        """(number of the maker, lots) of each match, in order."""
        return [(s.maker.number, s.lots) for s in self.steps if isinstance(s, Filled)]


class Matcher:
    """Matching of one venue."""

    def __init__(self, world: World, batching: Batching, ladders: Ladders) -> None:
        self.world = world
        self.batching = batching
        self.ladders = ladders
        self.orders = OpenOrders(world)
        self.protections = Protections()
        self.judge = Judge(world, self.orders)

    # What will happen

    def plan(self, taker: OpenOrder, ladder: Ladder, kills: bool) -> Plan | None:
        """Whom an order meets; None: nobody. Errors: ``PostOnly``; for fill-or-kill ``FillOrKill``
        or what stopped it.
        """
        terms = taker.terms
        if terms.flags & POST_ONLY:
            self._post(taker, ladder)
        is_buy, limit = terms.lots > 0, taker.price_ticks
        best = ladder.best(not is_buy)
        if best is None or (best > limit if is_buy else best < limit):
            require(not kills, errors.FillOrKill)
            return None
        plan = Plan(taker, taker.lots_left)
        for number, price, _ in ladder.walk(not is_buy):
            if plan.lots_left == 0 or plan.stop is not None or not _crosses(taker, price):
                break
            if number not in plan.away:
                self._meet(plan, self.orders.by_number[number])
        if kills and plan.lots_left:
            raise Rejected(plan.stop or errors.FillOrKill)
        return plan

    def _post(self, taker: OpenOrder, ladder: Ladder) -> None:
        """A price at which a post-only order does not take; never worse for it than signed."""
        best = ladder.best(not taker.is_buy)
        if best is None or not _crosses(taker, best):
            return
        require(taker.placed.slides, errors.PostOnly)
        price = best - 1 if taker.is_buy else best + 1
        require(ladder.holds(price), errors.PostOnly)
        taker.price_ticks = price

    def _meet(self, plan: Plan, maker: OpenOrder) -> None:
        taker = plan.taker
        own, other = taker.terms, maker.terms
        if own.account >> 96 == other.account >> 96:  # one owner
            mode = taker.placed.self_trade
            if mode != SelfTrade.REJECT_TAKER:
                self._evict(plan, maker, errors.SelfMatch)
            if mode != SelfTrade.CANCEL_MAKER:
                plan.stop = errors.SelfMatch
            return
        lots = most = min(plan.lots_left, maker.lots_left)
        if (own.flags | other.flags) & REDUCE_ONLY:
            lots = self._fitting(maker, taker, most)
        price = maker.price_ticks * self.world.ledger.terms_of(own.instrument).tick
        verdict = self.batching.judge(self.judge, maker, taker, lots, price)
        if verdict.maker is not None or verdict.taker is not None:
            if verdict.maker is not None:
                self._evict(plan, maker, verdict.maker)
            plan.stop = verdict.taker
            return
        plan.steps.append(Filled(maker, lots, verdict.fees))
        plan.lots_left -= lots
        if lots == maker.lots_left:
            plan.away.add(maker.number)
        for order in (maker, taker):
            if order.placed.mmp:
                self._count(plan, order, lots)
        if lots < most:
            self._cut(plan, maker)

    def _fitting(self, maker: OpenOrder, taker: OpenOrder, lots: int) -> int:
        """Lots of a match that reduce the position of whom may only do that; one that has nothing
        to reduce fails as a whole.
        """
        for order in (maker, taker):
            held = self.held(order)
            if order.terms.reduce_only and held * order.terms.lots < 0:
                lots = min(lots, abs(held))
        return lots

    def held(self, order: OpenOrder) -> int:
        """Lots of an order's account in its instrument, with all that the open batch holds."""
        return self.position(order.terms.account, order.terms.instrument)

    def position(self, account: int, instrument: int) -> int:
        """The same, of any account and instrument."""
        return dict(self.batching.rows.row(account).positions).get(instrument, 0)

    def _cut(self, plan: Plan, maker: OpenOrder) -> None:
        """Whose order was cut has nothing left to reduce: its rest goes."""
        if maker.terms.reduce_only and self.held(maker) == 0 and maker.number not in plan.away:
            self._evict(plan, maker, errors.ReduceOnly)
        if plan.taker.terms.reduce_only and self.held(plan.taker) == 0 and plan.stop is None:
            plan.stop = errors.ReduceOnly

    def _evict(self, plan: Plan, maker: OpenOrder, error: Error) -> None:
        plan.steps.append(Gone(maker, error))
        plan.away.add(maker.number)

    def _count(self, plan: Plan, order: OpenOrder, lots: int) -> None:
        """Count a fill of a protected order; at a limit all of its kind go."""
        instrument, now = order.terms.instrument, self.world.now
        key = order.terms.account, self.world.ledger.terms_of(instrument).underlying
        before = plan.counts.get(key, self.protections[key])
        signed = lots if order.is_buy else -lots
        fill = size_of(self.world, instrument, signed, by_vega=before.vega_limit > 0)
        after = before.counted(fill, now)
        plan.counts[key] = after
        if before.is_frozen(now) or not after.is_frozen(now):
            return
        pulled = [other for other in self.protected(key) if other.number not in plan.away]
        plan.steps.append(Tripped(key, after.until, pulled))
        plan.away |= {other.number for other in pulled}
        taker = plan.taker
        underlying = self.world.ledger.terms_of(taker.terms.instrument).underlying
        if taker.is_protected and (taker.terms.account, underlying) == key:
            plan.stop = errors.QuotesFrozen

    def protected(self, key: Key) -> list[OpenOrder]:
        """The open orders that a protection covers, the oldest first."""
        terms_of = self.world.ledger.terms_of
        return [
            order
            for order in self.orders.of(key[0])
            if order.is_protected and terms_of(order.terms.instrument).underlying == key[1]
        ]

    # That it happens

    def stay(self, order: OpenOrder, ladder: Ladder, rests: bool) -> list[AnyRecord]:
        """An order that meets nobody rests, or ends as it came."""
        left = order.lots_left
        if not rests:
            return [OrderDone(order.placed.digest, "unfilled", 0, left)]
        signed = left if order.terms.lots > 0 else -left
        ladder.rest(order.number, signed, order.price_ticks)
        self.add(order)
        return self._slid(order) if order.placed.slides else []

    def _slid(self, order: OpenOrder) -> list[AnyRecord]:
        """It rests, and may have slid: then at another price than signed."""
        price = order.price_ticks * self.world.ledger.terms_of(order.terms.instrument).tick
        slid = price != order.terms.price
        return [OrderSlid(order.placed.digest, records.big(price))] if slid else []

    def carry_out(self, plan: Plan, ladder: Ladder, rests: bool) -> list[AnyRecord]:
        """Do what was planned; ``rests``: what is left of the order stays."""
        taker = plan.taker
        signed = taker.lots_left if taker.is_buy else -taker.lots_left
        rests = rests and plan.lots_left > 0 and plan.stop is None
        self._move(plan, ladder, signed, rests)
        for key, row in plan.counts.items():
            self.protections.rows[key] = row
        events: list[AnyRecord] = []
        for step in plan.steps:
            events += self._tell(plan, step)
        if not rests:
            events.append(self._end(plan))
            return events
        self.add(taker)
        return events + self._slid(taker) if taker.placed.slides else events

    def _move(self, plan: Plan, ladder: Ladder, signed: int, rests: bool) -> None:
        """The book's part: first who goes, then the order itself."""
        taker, fills = plan.taker, plan.fills
        filled = dict(fills)
        for step in plan.steps:
            if isinstance(step, Gone):
                self._pull(step.maker, filled.get(step.maker.number, 0))
            elif isinstance(step, Tripped):
                for order in step.pulled:
                    self._pull(order, filled.get(order.number, 0))
        if rests:
            ladder.place(taker.number, signed, taker.price_ticks, fills)
        elif fills:
            lots = sum(filled.values())
            ladder.take(taker.number, lots if signed > 0 else -lots, taker.price_ticks, fills)

    def _pull(self, order: OpenOrder, filled: int) -> None:
        """Leave a pulled order only what it fills in the same entry."""
        ladder = self.ladders[order.terms.instrument]
        if filled:
            lots = filled if order.is_buy else -filled
            ladder.shrink(order.number, order.lots_left, lots, order.price_ticks)
        else:
            ladder.cancel(order.number, order.is_buy)

    def _tell(self, plan: Plan, step: Filled | Gone | Tripped) -> list[AnyRecord]:
        """The events of one step; the open orders follow."""
        if isinstance(step, Gone):
            return [self.forget(step.maker, "evicted", step.error)]
        if isinstance(step, Tripped):
            account = step.key[0].to_bytes(32, "big")
            told: list[AnyRecord] = [ProtectionTriggered(account, step.key[1], step.until)]
            return told + [self.forget(o, "evicted", errors.QuotesFrozen) for o in step.pulled]
        maker, taker = step.maker, plan.taker
        listed = self.world.ledger.terms_of(taker.terms.instrument)
        price = maker.price_ticks * listed.tick
        match = self.batching.matched(maker, taker, step.lots, price, step.fees)
        taker.lots_left -= step.lots
        if step.lots < maker.lots_left:
            self.resize(maker, maker.lots_left - step.lots)
            return [match]
        self._drop(maker)
        maker.lots_left = 0
        return [match, OrderDone(maker.placed.digest, "filled", 0, 0)]

    def _end(self, plan: Plan) -> OrderDone:
        """How an order ends that does not rest."""
        assert plan.lots_left == plan.taker.lots_left, "lots are conserved"
        if plan.lots_left == 0:
            return OrderDone(plan.taker.digest, "filled", 0, 0)
        if plan.stop is not None:
            return OrderDone(plan.taker.digest, "evicted", plan.stop.code, plan.lots_left)
        return OrderDone(plan.taker.digest, "unfilled", 0, plan.lots_left)

    # Open orders, and the margin that follows them

    def add(self, order: OpenOrder) -> None:
        """An order rests or waits."""
        self.orders.add(order)
        self.judge.changed(order.terms.account, order.terms.instrument)

    def resize(self, order: OpenOrder, lots_left: int) -> None:
        """A resting order has other lots left."""
        self.orders.resize(order, lots_left)
        self.judge.changed(order.terms.account, order.terms.instrument)

    def forget(self, order: OpenOrder, end: str, error: Error | None = None) -> OrderDone:
        """An order that is in no book any more has ended; its record."""
        self._drop(order)
        return OrderDone(order.digest, end, error.code if error else 0, order.lots_left)

    def _drop(self, order: OpenOrder) -> None:
        self.orders.drop(order)
        self.judge.changed(order.terms.account, order.terms.instrument)

    def take_out(self, order: OpenOrder, end: str, error: Error | None = None) -> OrderDone:
        """Take an open order out, resting or waiting; its record."""
        if not order.waits_for:
            self.ladders[order.terms.instrument].cancel(order.number, order.is_buy)
        return self.forget(order, end, error)


def _crosses(taker: OpenOrder, price: int) -> bool:
    return price <= taker.price_ticks if taker.is_buy else price >= taker.price_ticks
