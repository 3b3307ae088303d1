"""The sequencer: one order of all commands, matching, and the judgement of every match before it is
reported.

A deterministic fold of the journal: commands (orders, edits, quotes, cancels, oracle rounds, chain
transactions, batch ticks) in, events (rejections, matches, ends of orders, closed batches) out. The
matches' receipts are no part of the fold (``receipts.py``). Orders enter in ``entry.py``. The world
here runs ahead of the chain by the rounds and batches that are not there yet, and is rebased on
whatever the chain did (``engine/ahead.py``). Time is the chain's, carried by the commands.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable

from novate import errors
from novate.engine import block_trade
from novate.engine.ahead import (
    Ahead,
    AheadState,
    ApplyRound,
    ApplyTransaction,
    Pending,
    ReadSent,
)
from novate.engine.batching import Batching, Settings
from novate.engine.book import SparseBook
from novate.engine.entry import Entry, Nonce, nonce_of
from novate.engine.judge import Judge
from novate.engine.ladder import Ladders, MakeBook
from novate.engine.matching import Matcher
from novate.engine.moves import Moves
from novate.engine.open_orders import OpenOrder
from novate.engine.pending import OpenBatch
from novate.engine.placed import HOUR_S
from novate.engine.protection import Key, Protection
from novate.engine.receipts import Receipts
from novate.errors import Rejected
from novate.model.state import World
from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    BlockAccepted,
    CancelRequested,
    ChainReorganised,
    ChainTransaction,
    OracleRound,
    OrderPlaced,
    OrderTriggered,
    ProtectionReset,
    ProtectionSet,
    QuotesPlaced,
)

__all__ = ["Sequencer", "Settings"]

_LOG = logging.getLogger("novate.engine")


class Sequencer:
    """Matching and judgement over one world; ``make_book``: what keeps its queues."""

    def __init__(
        self,
        world: World,
        settings: Settings,
        apply_round: ApplyRound,
        apply_transaction: ApplyTransaction,
        read_sent: ReadSent,
        make_book: MakeBook = SparseBook,
    ) -> None:
        self.world = world
        self.settings = settings
        self.book = Ladders(make_book)
        self.batching = Batching(world, settings)
        self.matcher = Matcher(world, self.batching, self.book)
        self.entry = Entry(world, settings.executor, self.matcher)
        self.moves = Moves(self.entry)
        settle = self.batching.settle
        self.ahead = Ahead(world, settings.executor, apply_round, apply_transaction, settle)
        self.receipts = Receipts(settings.key, settings.separator)
        self._apply_round, self._read_sent = apply_round, read_sent

    @property
    def judge(self) -> Judge:
        """Margin, as the engine asks for it."""
        return self.matcher.judge

    @property
    def placed(self) -> dict[bytes, OrderPlaced]:
        """Every order that was taken and may still be asked for, by its digest."""
        return self.batching.placed.orders

    def protection(self, account: int, underlying: int) -> Protection:
        """An account's market-maker protection in an underlying."""
        return self.matcher.protections[account, underlying]

    @property
    def next_sequence(self) -> int:
        """The number of the next match."""
        return self.batching.next_sequence

    @property
    def first_open(self) -> int:
        """The first match that the world does not hold: that of the open batch."""
        return self.batching.open.first_sequence

    def confirmed_hash(self) -> str:
        """The hash of the chain's own state, as followed so far."""
        return self.ahead.confirmed_hash()

    def handle(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command of the journal; returns the events it causes, in order."""
        return self.sealed(self.fold(command))

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        """Events of ``fold`` as the journal holds them: the matches with their receipts. It reads
        nothing that commands change, and may be asked in another thread.
        """
        return self.receipts.sealed(events)

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command of the journal; the events it causes, in order, matches without
        receipts.
        """
        if type(command) is OrderPlaced and self.ahead.state.lifted is None:
            return self._enter(command)  # the usual one
        hour = self.world.now // HOUR_S  # division: whole hours
        events = self._carry_out(command)
        if self.world.now // HOUR_S != hour:  # division: whole hours
            self._forget_expired()
        return events

    def _carry_out(self, command: AnyRecord) -> list[AnyRecord]:
        match command:
            case ChainTransaction():
                made = self._follow(*self.ahead.follow(command, self._read_sent(command)))
                return made + self._watch()
            case ChainReorganised():
                made = self._follow(*self.ahead.leave(command.first_block))
                return made + self._watch()
            case _:
                # in the middle of a block only if its watcher was killed there
                rested = self._follow(*self.ahead.rest())
                return rested + self._command(command)

    def _follow(self, moved: bool, events: list[AnyRecord]) -> list[AnyRecord]:
        """Close the open batch if the world has moved beneath it."""
        return [*events, *self._close(judged=False)] if moved else events

    def _command(self, command: AnyRecord) -> list[AnyRecord]:
        match command:
            case OrderPlaced():
                return self._enter(command)
            case QuotesPlaced():
                return self._quotes(command)
            case BlockAccepted():
                crowded = not block_trade.has_room(self.batching, len(command.taker))
                closed = self._close() if crowded else []
                return closed + block_trade.enter(self.matcher, self.entry.nonces, command)
            case CancelRequested():
                return self._cancel(command)
            case OracleRound():
                closed = self._close()
                self._take_round(command)
                return closed + self.ahead.retry() + self._watch()
            case BatchDue():
                closed = self._close()
                self.world.now = max(self.world.now, command.due_ms // 1000)  # division: seconds
                return closed + self._watch()
            case ProtectionSet():
                self._protect(command)
            case ProtectionReset():
                account = int.from_bytes(command.account, "big")
                self.matcher.protections.reset((account, command.underlying))
            case _:
                pass
        return []

    # Orders

    def _enter(self, placed: OrderPlaced, quote_set: str | None = None) -> list[AnyRecord]:
        nonce = nonce_of(placed)
        if self.batching.is_crowded or self.entry.meets_its_revision(nonce):
            return self._close() + self.entry.order(placed, nonce, quote_set)
        return self.entry.order(placed, nonce, quote_set)

    def _quotes(self, command: QuotesPlaced) -> list[AnyRecord]:
        """Quotes, one after the other. ``together``: what they replace, taken or not, counts for
        none of them; so the margin of the last is that of all of them at their worst.
        """
        sides = list(zip(records.orders_in(command), command.quotes, strict=True))
        left: dict[int, int] = {}  # lots of the formers that do not count, by number
        for placed, quote in sides if command.together else ():
            former = self._former(placed, quote.quote_set)
            goes = self.entry.quote_refused(placed, command.account) is None
            if former is not None and goes and placed.digest not in self.placed:
                left.setdefault(former.number, former.lots_left)
                self.matcher.resize(former, 0)
        events: list[AnyRecord] = []
        for placed, quote in sides:
            former = self._former(placed, quote.quote_set)
            if former is not None and former.number in left:
                self.matcher.resize(former, left.pop(former.number))
            events += self._quote(command, placed, quote.quote_set)
        assert not left, "every former had its turn"
        return events

    def _former(self, placed: OrderPlaced, name: str) -> OpenOrder | None:
        """The quote whose place another takes, whether or not that is taken itself."""
        terms = placed.order
        key = int.from_bytes(terms.account, "big"), terms.instrument, terms.lots > 0, name
        return self.matcher.orders.by_quote.get(key)

    def _quote(self, mass: QuotesPlaced, placed: OrderPlaced, name: str) -> list[AnyRecord]:
        """One quote; if it is refused, what it was to replace goes all the same."""
        refusal = self.entry.quote_refused(placed, mass.account)
        if refusal is not None:
            return [refusal]
        former, known = self._former(placed, name), placed.digest in self.placed
        events = self._enter(placed, name)
        if not known and former is not None and former is self._former(placed, name):
            events.append(self.matcher.take_out(former, "cancelled"))
        return events

    def _cancel(self, command: CancelRequested) -> list[AnyRecord]:
        inside = _scope(command, self.world)
        found = self._meant(command, int.from_bytes(command.account, "big"))
        return [self.matcher.take_out(order, "cancelled") for order in found if inside(order)]

    def _meant(self, command: CancelRequested, account: int) -> list[OpenOrder]:
        """An account's open orders, the oldest first; of a nonce only those that it knows."""
        orders = self.matcher.orders
        if command.scope != "nonce":
            return orders.of(account)
        digests = (self.entry.nonces.get((account, now, command.value)) for now in (False, True))
        found = [orders.by_digest[d] for d in digests if d is not None and d in orders.by_digest]
        return sorted(found, key=lambda order: order.number)

    def _protect(self, command: ProtectionSet) -> None:
        """Set a protection; one that means nothing has no effect."""
        try:
            limits = (
                records.number(command.quantity_limit),
                records.number(command.delta_limit),
                records.number(command.vega_limit),
            )
        except Rejected:
            return
        if min(limits) >= 0:
            row = Protection(command.interval_s, command.frozen_s, *limits)
            key = int.from_bytes(command.account, "big"), command.underlying
            self.matcher.protections.set(key, row)

    # What time and prices do

    def refusal(self, command: OracleRound) -> Exception | None:
        """Why a round would have no effect now, so a journal need not hold it; changes nothing.
        Between the transactions of a block nothing is known of it, and it may be entered.
        """
        if command.round <= self.world.oracle.statuses[0].round:
            return Rejected(errors.StaleRound, "the number is taken")
        if self.ahead.state.lifted is not None:
            return None
        before, self.world.now = self.world.now, command.timestamp
        try:
            with self.world.store.transaction():
                self._apply_round(self.world, command)
                raise _TakenBack
        except _TakenBack:
            return None
        except Exception as fault:
            return fault
        finally:
            self.world.now = before
            self.world.take_events()

    def _take_round(self, command: OracleRound) -> None:
        """Prices, and the second they are of; a round that no chain would take, or has, changes
        nothing: a journal is replayed, and would stop at it for ever.
        """
        if command.round <= self.world.oracle.statuses[0].round:
            return
        before, self.world.now = self.world.now, command.timestamp
        try:
            self.ahead.add_round(command)
        except Exception as fault:
            self.world.now = before
            ours = None if isinstance(fault, Rejected) else fault
            _LOG.error("round %d has no effect: %s", command.round, fault, exc_info=ours)

    def _watch(self) -> list[AnyRecord]:
        """The time or prices have moved: what expires, strays from its ladder, or triggers."""
        if self.ahead.state.lifted is not None:
            return []
        events = self.moves.expire()
        events += self.moves.follow_marks()
        for order in self.moves.triggered():
            if self.batching.is_crowded:
                events += self._close()
            events.append(OrderTriggered(order.digest))
            events += self.moves.fire(order)
        return events

    def _forget_expired(self) -> None:
        """Orders that have expired and that nothing holds any more."""
        needed = self.ahead.orders_held() | self.batching.open.orders
        needed.update(self.matcher.orders.by_digest)
        self.batching.placed.forget(self.world.now, needed)

    # Batches

    def _close(self, judged: bool = True) -> list[AnyRecord]:
        """Close the open batch and apply it to the world as the contract will; not ``judged`` if
        the world has moved beneath it since.
        """
        held = self.batching.taken()
        if held.count == 0:
            return []
        settled = self.ahead.add_batch(Pending(held.first_sequence, tuple(held.fills)))
        assert not judged or settled == (1 << held.count) - 1, "a judged match settles"
        number = self.world.oracle.statuses[0].round
        return [BatchClosed(held.first_sequence, held.count, number, self.world.now)]

    # State, as snapshots hold it

    @property
    def state(self) -> dict[str, object]:
        """All that decides what comes next, beside the world."""
        return {
            "ahead": self.ahead.state,
            "bases": self.book.bases,
            "next_number": self.entry.next_number,
            "next_sequence": self.batching.next_sequence,
            "nonces": self.entry.nonces,
            "open_batch": self.batching.open,
            "open_orders": list(self.matcher.orders.by_number.values()),
            "placed": self.batching.placed.orders,
            "protections": self.matcher.protections.rows,
        }

    def restore(
        self,
        ahead: AheadState,
        bases: dict[int, int],
        next_number: int,
        next_sequence: int,
        nonces: dict[Nonce, bytes],
        open_batch: OpenBatch,
        open_orders: list[OpenOrder],
        placed: dict[bytes, OrderPlaced],
        protections: dict[Key, Protection],
    ) -> None:
        """Go on from ``state``; what follows from it is made again."""
        self.ahead.state = ahead
        self.batching.next_sequence = next_sequence
        self.batching.placed.restore(placed)
        self.batching.resume(open_batch)
        self.matcher.protections.rows = protections
        self.book.restore(bases)
        self.entry.next_number, self.entry.nonces = next_number, nonces
        self.entry.restore(open_orders)


class _TakenBack(Exception):
    """Undoes a trial."""


def _scope(command: CancelRequested, world: World) -> Callable[[OpenOrder], bool]:
    """Which orders a cancel covers."""
    scope, value = command.scope, command.value
    quotes = command.quotes or command.quote_set != ""

    def covers(order: OpenOrder) -> bool:
        terms = order.terms
        if quotes and order.quote_set is None:
            return False
        if command.quote_set and order.quote_set != command.quote_set:
            return False
        if command.own and order.placed.signer != command.signer:
            return False
        match scope:
            case "nonce":
                return terms.nonce == value
            case "below":
                return terms.nonce < value
            case "instrument":
                return terms.instrument == value
            case "underlying":
                return world.ledger.terms_of(terms.instrument).underlying == value
            case _:
                return scope == "all"

    return covers
