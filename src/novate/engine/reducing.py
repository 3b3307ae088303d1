"""Resting orders that only reduce: together never more than the position that they reduce.

Owns: what such an order may rest with, and what of it goes when the position shrinks or turns. The
most aggressive come first (best price, then the older), so what is beyond the position goes from
the least aggressive on; one of which nothing is left ends with ``ReduceOnly``. What an order has
lost so is counted in ``OpenOrder.cut`` and told by ``OrderShrunk``; it does not come back. Orders
that wait for a trigger or never rest are judged when they enter and when they match. Only accounts
with such orders are looked at. Positions are those with the open batch, in lots.
"""

from __future__ import annotations

from collections.abc import Iterable

from novate import errors
from novate.engine.matching import Filled, Matcher, Plan
from novate.engine.open_orders import OpenOrder
from novate.errors import require
from novate.wire.records import AnyRecord, BlockAccepted, OrderShrunk

Key = tuple[int, int]  # account, instrument


class Reducing:
    """The orders of one venue that only reduce; ``bounded`` is off in journals of before there was
    that rule.
    """

    def __init__(self, matcher: Matcher) -> None:
        self.matcher = matcher
        self.bounded = True

    def limit(self, order: OpenOrder, former: OpenOrder | None) -> None:
        """Cut an order that may rest to what those before it leave of the position; ``former``:
        whose place it takes. Errors: ``ReduceOnly`` if that is nothing.
        """
        if not self.bounded:
            return
        terms, turn = order.terms, _turn(order)
        if former is not None and former.price_ticks == order.price_ticks:
            turn = _turn(former)  # it may keep its place
        held = self.matcher.held(order)
        room = abs(held) if held * terms.lots < 0 else 0
        if self._lots(terms.account, terms.instrument, order.is_buy) + order.lots_left > room:
            others = self.matcher.orders.reducing.get((terms.account, terms.instrument), {})
            for other in others.values():
                if other is not former and other.is_buy == order.is_buy and _turn(other) < turn:
                    room -= other.lots_left
        require(room > 0, errors.ReduceOnly)
        if room < order.lots_left:
            order.cut, order.lots_left = order.lots_left - room, room

    def after(self, order: OpenOrder, plan: Plan | None) -> list[AnyRecord]:
        """An order has entered, and met whom ``plan`` says."""
        terms = order.terms
        if plan is None and not terms.reduce_only:
            return []
        steps = plan.steps if plan is not None else []
        makers = [step.maker.terms.account for step in steps if isinstance(step, Filled)]
        return self.fit((account, terms.instrument) for account in (terms.account, *makers))

    def after_block(self, block: BlockAccepted) -> list[AnyRecord]:
        """A block may have moved the positions of two accounts."""
        orders = [placed.order for placed in block.orders]
        keys = [(int.from_bytes(order.account, "big"), order.instrument) for order in orders]
        return self.fit(dict.fromkeys(keys))

    def fit_all(self) -> list[AnyRecord]:
        """The chain has moved positions: any may be another."""
        return self.fit(sorted(self.matcher.orders.reducing))

    def fit(self, keys: Iterable[Key]) -> list[AnyRecord]:
        """Shrink or end what is beyond these positions, the least aggressive first."""
        events: list[AnyRecord] = []
        reducing = self.matcher.orders.reducing
        for key in keys if self.bounded and reducing else ():
            if key in reducing and self._is_beyond(*key):
                events += self._fit(list(reducing[key].values()))
        return events

    def _lots(self, account: int, instrument: int, is_buy: bool) -> int:
        """What such orders of a side have left, without looking at each."""
        reach = self.matcher.orders.reach(account, instrument)
        return reach.reducing_buys if is_buy else reach.reducing_sells

    def _is_beyond(self, account: int, instrument: int) -> bool:
        """Whether some of them are beyond their position."""
        held = self.matcher.position(account, instrument)
        buys, sells = (self._lots(account, instrument, is_buy) for is_buy in (True, False))
        return buys > max(-held, 0) or sells > max(held, 0)

    def _fit(self, orders: list[OpenOrder]) -> list[AnyRecord]:
        held = self.matcher.held(orders[0])
        room, beyond = abs(held), []
        for order in sorted(orders, key=_turn):
            keeps = min(order.lots_left, room) if held * order.terms.lots < 0 else 0
            room -= keeps
            if keeps < order.lots_left:
                beyond.append((order, keeps))
        return [self._shrink(order, keeps) for order, keeps in reversed(beyond)]

    def _shrink(self, order: OpenOrder, keeps: int) -> AnyRecord:
        matcher, cut = self.matcher, order.lots_left - keeps
        if keeps == 0:
            return matcher.take_out(order, "evicted", errors.ReduceOnly)
        ladder = matcher.ladders[order.terms.instrument]
        signed = keeps if order.is_buy else -keeps
        ladder.shrink(order.number, order.lots_left, signed, order.price_ticks)
        matcher.resize(order, keeps)
        order.cut += cut
        return OrderShrunk(order.digest, cut, keeps)


def _turn(order: OpenOrder) -> tuple[int, int]:
    """The more aggressive is lower, among orders of a side."""
    return -order.price_ticks if order.is_buy else order.price_ticks, order.number
