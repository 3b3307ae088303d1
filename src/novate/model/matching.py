"""The book: price-time priority, readable, the reference that the fast book is compared with.

Owns: resting orders and who trades with whom, at what price. It knows nothing of balances: each
match is put to a ``Judge`` (the sequencer's margin check) before it is reported. Units: whole lots,
prices in whole ticks; an order trades at the maker's price. All state lives in tables of a
``Store``: a rejected command changes nothing, of the judge's tables neither if they are in the same
store, which is how fill-or-kill counts only makers that would pass.

Rules (API.md, "Matching rules"): best price first, then oldest; an amendment that lowers lots keeps
its place, any other loses it; post-only rejects; owners do not trade with themselves over all their
accounts. Held after every command: the book is never crossed; lots are conserved.
"""

from __future__ import annotations

import struct
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from novate import errors
from novate.errors import Error, Rejected, require
from novate.limits import LOTS_MAX
from novate.model.store import Store

PRICE_TICKS_MAX = 2**63 - 1
_ROW = struct.Struct(">IBqq32s")


class TimeInForce(StrEnum):
    """How long the unfilled part of an order lives."""

    GOOD_TIL_CANCELLED = "good_til_cancelled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"


class SelfTrade(StrEnum):
    """What gives way when a taker meets an order of its own owner."""

    CANCEL_MAKER = "cancel_maker"
    REJECT_TAKER = "reject_taker"
    CANCEL_BOTH = "cancel_both"


class End(StrEnum):
    """How an order left the book."""

    FILLED = "filled"
    CANCELLED = "cancelled"
    UNFILLED = "unfilled"
    REPLACED = "replaced"
    EVICTED = "evicted"


@dataclass(frozen=True, slots=True)
class Order:
    """One order; ``identity`` is its digest, ``lots`` signed (buy > 0), ``account`` 256 bits."""

    identity: int
    account: int
    instrument: int
    lots: int
    price_ticks: int
    time_in_force: TimeInForce = TimeInForce.GOOD_TIL_CANCELLED
    post_only: bool = False
    reduce_only: bool = False
    self_trade: SelfTrade = SelfTrade.CANCEL_MAKER

    @property
    def is_buy(self) -> bool:
        """Whether the order buys."""
        return self.lots > 0

    @property
    def owner(self) -> int:
        """The address behind the account and all its sister accounts."""
        return self.account >> 96


@dataclass(frozen=True, slots=True)
class Resting:
    """An order in the book and how much of it was filled, over all its revisions."""

    order: Order
    lots_filled: int

    @property
    def lots_left(self) -> int:
        """What can still trade."""
        return abs(self.order.lots) - self.lots_filled


@dataclass(frozen=True, slots=True)
class Match:
    """Two orders traded at the maker's price."""

    maker: int
    taker: int
    maker_account: int
    taker_account: int
    instrument: int
    taker_buys: bool
    lots: int
    price_ticks: int


@dataclass(frozen=True, slots=True)
class Done:
    """An order left the book, or never entered it; ``error`` says why it was evicted."""

    identity: int
    end: End
    lots_left: int
    error: Error | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """What one command did, in order."""

    events: tuple[Match | Done, ...]

    @property
    def matches(self) -> list[Match]:
        """The trades alone."""
        return [event for event in self.events if isinstance(event, Match)]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judge's answer: how many of the lots trade, and which side has failed, if any.

    A failed maker is evicted and matching goes on; a failed taker stops and its rest is cancelled.
    Fewer lots than asked for mean that a side failed.
    """

    lots: int
    maker: Error | None = None
    taker: Error | None = None


# Judge(maker, taker, lots, price_ticks). The lots it allows trade at once, so it books them itself.
Judge = Callable[[Order, Order, int, int], Verdict]


def admit_all(maker: Order, taker: Order, lots: int, price_ticks: int) -> Verdict:
    """The judge that lets every match pass."""
    return Verdict(lots)


class Book:
    """The resting orders of all instruments."""

    def __init__(self, store: Store, judge: Judge = admit_all) -> None:
        self._store = store
        self._judge = judge
        self._orders = store.table("book.orders", _ABSENT)
        # (instrument, is_buy) -> identities, best price first, oldest first within a price
        self._queues = store.table("book.queues", _EMPTY)

    # Commands

    def place(self, order: Order) -> Report:
        """Match an order and rest what is left of it.

        Errors: ``ZeroLots``, ``LotsOutOfRange``, ``MalformedOrder``, ``PostOnly``, ``FillOrKill``;
        a fill-or-kill order stopped by the judge is rejected with the judge's error.
        """
        with self._store.transaction():
            assert self._orders[order.identity] is None, "an order enters once"
            _require_sound(order)
            return Report(tuple(self._enter(order, 0)))

    def cancel(self, identity: int, error: Error | None = None) -> Report:
        """Take an order out (``error``: evict it for that); never refused, no event if not open."""
        with self._store.transaction():
            resting = self._orders[identity]
            if resting is None:
                return Report(())
            self._remove(resting)
            end = End.EVICTED if error else End.CANCELLED
            return Report((Done(identity, end, resting.lots_left, error),))

    def amend(self, identity: int, order: Order) -> Report:
        """Put a later revision in an order's place; both share what was filled.

        The same price and no more lots left keep the place in the queue; else it enters anew.
        Errors: ``OrderNotOpen``, ``NotOwner``, ``InstrumentMismatch``, and those of ``place``
        (``MalformedOrder`` for another side or an order that would not rest).
        """
        with self._store.transaction():
            old = self._orders[identity]
            if old is None:
                raise Rejected(errors.OrderNotOpen)
            assert self._orders[order.identity] is None, "a revision has a digest of its own"
            _require_sound(order)
            require(order.account == old.order.account, errors.NotOwner)
            require(order.instrument == old.order.instrument, errors.InstrumentMismatch)
            rests = order.time_in_force is TimeInForce.GOOD_TIL_CANCELLED
            require(rests and order.is_buy == old.order.is_buy, errors.MalformedOrder)
            return Report((Done(identity, End.REPLACED, old.lots_left), *self._replace(old, order)))

    # Views

    def resting(self, identity: int) -> Resting | None:
        """An open order."""
        return self._orders[identity]

    def queue(self, instrument: int, is_buy: bool) -> list[Resting]:
        """One side of an instrument in priority order."""
        return [self._open(identity) for identity in self._queues[instrument, is_buy]]

    def best(self, instrument: int, is_buy: bool) -> Resting | None:
        """The order that trades first."""
        queue = self._queues[instrument, is_buy]
        return self._open(queue[0]) if queue else None

    def depth(self, instrument: int, is_buy: bool) -> list[tuple[int, int]]:
        """(price in ticks, lots) of one side, best first."""
        levels: dict[int, int] = {}
        for resting in self.queue(instrument, is_buy):
            price = resting.order.price_ticks
            levels[price] = levels.get(price, 0) + resting.lots_left
        return list(levels.items())

    def state_hash(self) -> str:
        """SHA-256 over all resting orders: by instrument, buys then sells, in priority order.

        A row is (instrument u32, side u8: 0 buy 1 sell, price in ticks i64, lots left i64, digest).
        """
        digest = sha256()
        for instrument, is_buy in sorted(self._queues.rows, key=lambda key: (key[0], not key[1])):
            for resting in self.queue(instrument, is_buy):
                order = resting.order
                name = order.identity.to_bytes(32, "big")
                side = int(not is_buy)
                digest.update(
                    _ROW.pack(instrument, side, order.price_ticks, resting.lots_left, name)
                )
        return digest.hexdigest()

    # Matching

    def _enter(self, order: Order, lots_filled: int) -> list[Match | Done]:
        lots_left = lots_entered = abs(order.lots) - lots_filled
        best = self.best(order.instrument, not order.is_buy)
        if order.post_only and best is not None:
            require(not _crosses(order, best.order), errors.PostOnly)
        events: list[Match | Done] = []
        stop: Error | None = None
        while lots_left > 0 and stop is None and best is not None and _crosses(order, best.order):
            lots, stop = self._meet(order, lots_left, best, events)
            lots_left -= lots
            best = self.best(order.instrument, not order.is_buy)
        traded = sum(event.lots for event in events if isinstance(event, Match))
        assert lots_left == lots_entered - traded >= 0, "lots are conserved"
        self._settle_rest(Resting(order, abs(order.lots) - lots_left), stop, events)
        self._assert_not_crossed(order.instrument)
        return events

    def _meet(
        self, taker: Order, lots_left: int, resting: Resting, events: list[Match | Done]
    ) -> tuple[int, Error | None]:
        """Trade with one maker: lots traded, and the error that stops the taker, if any."""
        maker = resting.order
        if maker.owner == taker.owner:
            verdict = _SELF_TRADE_VERDICTS[taker.self_trade]
        else:
            asked = min(lots_left, resting.lots_left)
            verdict = self._judge(maker, taker, asked, maker.price_ticks)
            failed = verdict.maker is not None or verdict.taker is not None
            assert 0 <= verdict.lots <= asked and (failed or verdict.lots == asked), verdict
        if verdict.lots:
            events.append(_match(maker, taker, verdict.lots))
        after = replace(resting, lots_filled=resting.lots_filled + verdict.lots)
        if after.lots_left == 0:
            self._remove(resting)
            events.append(Done(maker.identity, End.FILLED, 0))
        elif verdict.maker is not None:
            self._remove(resting)
            events.append(Done(maker.identity, End.EVICTED, after.lots_left, verdict.maker))
        else:
            self._orders[maker.identity] = after
        return verdict.lots, verdict.taker

    def _settle_rest(self, taker: Resting, stop: Error | None, events: list[Match | Done]) -> None:
        """Rest or end what the taker has left."""
        order, left = taker.order, taker.lots_left
        if left == 0:
            events.append(Done(order.identity, End.FILLED, 0))
        elif order.time_in_force is TimeInForce.FILL_OR_KILL:
            raise Rejected(stop or errors.FillOrKill)
        elif stop is not None:
            events.append(Done(order.identity, End.EVICTED, left, stop))
        elif order.time_in_force is TimeInForce.IMMEDIATE_OR_CANCEL:
            events.append(Done(order.identity, End.UNFILLED, left))
        else:
            self._insert(taker)

    def _replace(self, old: Resting, order: Order) -> list[Match | Done]:
        new = Resting(order, old.lots_filled)
        if new.lots_left <= 0:
            self._remove(old)
            return [Done(order.identity, End.FILLED, 0)]
        if order.price_ticks == old.order.price_ticks and new.lots_left <= old.lots_left:
            key = (order.instrument, order.is_buy)
            was = old.order.identity
            self._queues[key] = tuple(order.identity if i == was else i for i in self._queues[key])
            self._orders[was] = None
            self._orders[order.identity] = new
            return []
        self._remove(old)
        return self._enter(order, old.lots_filled)

    # Storage

    def _open(self, identity: int) -> Resting:
        resting = self._orders[identity]
        assert resting is not None
        return resting

    def _insert(self, resting: Resting) -> None:
        order = resting.order
        key = (order.instrument, order.is_buy)
        queue = self._queues[key]
        place = bisect_right(queue, _rank(order), key=lambda i: _rank(self._open(i).order))
        self._queues[key] = (*queue[:place], order.identity, *queue[place:])
        self._orders[order.identity] = resting

    def _remove(self, resting: Resting) -> None:
        order = resting.order
        key = (order.instrument, order.is_buy)
        self._queues[key] = tuple(i for i in self._queues[key] if i != order.identity)
        self._orders[order.identity] = None

    def _assert_not_crossed(self, instrument: int) -> None:
        bid, ask = self.best(instrument, True), self.best(instrument, False)
        if bid is not None and ask is not None:
            assert bid.order.price_ticks < ask.order.price_ticks, "the book is never crossed"


_ABSENT: Resting | None = None
_EMPTY: tuple[int, ...] = ()
_SELF_TRADE_VERDICTS = {
    SelfTrade.CANCEL_MAKER: Verdict(0, maker=errors.SelfMatch),
    SelfTrade.REJECT_TAKER: Verdict(0, taker=errors.SelfMatch),
    SelfTrade.CANCEL_BOTH: Verdict(0, maker=errors.SelfMatch, taker=errors.SelfMatch),
}


def _require_sound(order: Order) -> None:
    require(order.lots != 0, errors.ZeroLots)
    require(abs(order.lots) <= LOTS_MAX, errors.LotsOutOfRange)
    require(0 < order.price_ticks <= PRICE_TICKS_MAX, errors.MalformedOrder)
    rests = order.time_in_force is TimeInForce.GOOD_TIL_CANCELLED
    require(rests or not order.post_only, errors.MalformedOrder)


def _crosses(taker: Order, maker: Order) -> bool:
    if taker.is_buy:
        return maker.price_ticks <= taker.price_ticks
    return maker.price_ticks >= taker.price_ticks


def _rank(order: Order) -> int:
    """Sorts a side best price first."""
    return -order.price_ticks if order.is_buy else order.price_ticks


def _match(maker: Order, taker: Order, lots: int) -> Match:
    return Match(
        maker=maker.identity,
        taker=taker.identity,
        maker_account=maker.account,
        taker_account=taker.account,
        instrument=taker.instrument,
        taker_buys=taker.is_buy,
        lots=lots,
        price_ticks=maker.price_ticks,
    )
