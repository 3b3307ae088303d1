"""What time and prices do to open orders: they expire, stray from their ladders, are triggered.

Owns: which orders leave or enter without a command of their maker's, and in which order. Times in
seconds, prices in ticks, marks in wad.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from heapq import heappop

from novate import errors
from novate.engine import admission
from novate.engine.entry import Entering, Entry, code_of, is_met, nonce_of, rises
from novate.engine.open_orders import OpenOrder
from novate.errors import Rejected
from novate.model.option_id import DATED
from novate.wire.records import AnyRecord, OrderDone


class Moves:
    """The open orders of one venue as time and prices move."""

    def __init__(self, entry: Entry) -> None:
        self.world = entry.world
        self.matcher = entry.matcher
        self.entry = entry

    def expire(self) -> list[AnyRecord]:
        """Take out what expires before it could settle, earliest first."""
        events: list[AnyRecord] = []
        expiries, last = self.entry.expiries, self.matcher.batching.clock.settles_by
        while expiries and expiries[0][0] <= last:
            expiry, number = heappop(expiries)
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
            marks.append((instrument, quote.mark // quote.terms.tick))  # division: ticks
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
                ladder.rest(order.number, lots, order.price_ticks)
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
            met = [order for order in waiting[instrument].values() if is_met(order, mark)]
            for order in sorted(met, key=_turn):
                if order.number in waiting[instrument]:
                    yield order

    def fire(self, order: OpenOrder) -> list[AnyRecord]:
        """Let an order in whose trigger is met; what would refuse it now ends it."""
        self.matcher.forget(order, "triggered")
        fired = replace(order, number=self.entry.next_number, waits_for=0)
        try:
            until = self.matcher.batching.clock.settles_by
            admission.require_settles(self.world, order.terms, order.signer, until)
            quote = self.matcher.judge.quote(order.terms.instrument)
            entering = Entering(fired, nonce_of(order.placed))
            self.entry.match(entering, quote, kills=False)
        except Exception as fault:
            self.matcher.batching.undo()
            code = code_of(fault, order.placed)
            return [OrderDone(order.digest, "evicted", code, order.lots_left)]
        return self.entry.let_in(entering)


def _turn(order: OpenOrder) -> tuple[bool, int, int]:
    """By which triggered orders enter."""
    rising = rises(order)
    return not rising, order.waits_for if rising else -order.waits_for, order.number
