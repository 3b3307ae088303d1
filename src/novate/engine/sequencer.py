"""The sequencer: one order of all commands, matching, and the judgement of every match before it is
reported.

A deterministic fold of the journal: commands (orders, edits, quotes, cancels, oracle rounds, chain
transactions, batch ticks) in, events (rejections, matches, ends of orders, closed batches) out. The
matches' receipts are no part of the fold (``receipts.py``). Orders enter in ``entry.py``. The world
here runs ahead of the chain by the rounds and batches that are not there yet, and is rebased on
whatever the chain did (``engine/ahead.py``). Time is carried by the commands (``clock.py``).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from novate import errors
from novate.engine import block_trade, quoting
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
from novate.engine.cancels import cancelled
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
from novate.engine.safeguards import Leaver, Safeguards, Switch
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
    Genesis,
    OracleRound,
    OrderPlaced,
    OrderTriggered,
    ProtectionReset,
    ProtectionSet,
    QuotesPlaced,
)
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

__all__ = ["Sequencer", "Settings"]

_STAMPED = (
    OrderPlaced,
    QuotesPlaced,
    BlockAccepted,
    CancelRequested,
    ProtectionSet,
    ProtectionReset,
    DisconnectSet,
    SwitchSet,
)
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
        self._apply_round = apply_round
        self.book = Ladders(make_book)
        self.batching = Batching(world, settings)
        self.matcher = Matcher(world, self.batching, self.book)
        self.entry = Entry(world, settings.executor, self.matcher)
        self.moves = Moves(self.entry)
        self.safeguards = Safeguards()
        settle = self.batching.settle
        self.ahead = Ahead(world, settings.executor, apply_round, apply_transaction, settle)
        self.receipts = Receipts(settings.key, settings.separator)
        self._read_sent = read_sent

    def adopt(self, rules: int) -> None:
        """Read a journal by the rules that its first record names, as it was written."""
        self.batching.clock.by_commands = self.entry.reducing.bounded = rules > 1

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

    def has_orders(self, account: int) -> bool:
        """Whether an account has open orders."""
        return bool(self.matcher.orders.of(account))

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
        if type(command) is OrderPlaced and self.ahead.state.lifted is None:  # the usual one
            if command.received_ms // 1_000 <= self.world.now:  # division: whole seconds
                return self._enter(command)
            return self._pass(command.received_ms) + self._enter(command)
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
        """Close the open batch if the world has moved beneath it; then positions may be others."""
        if not moved:
            return events
        return [*events, *self._close(judged=False), *self.entry.reducing.fit_all()]

    def _command(self, command: AnyRecord) -> list[AnyRecord]:
        if isinstance(command, _STAMPED):
            return self._pass(command.received_ms) + self._carry_out_now(command)
        return self._carry_out_now(command)

    def _carry_out_now(self, command: AnyRecord) -> list[AnyRecord]:
        match command:
            case OrderPlaced():
                return self._enter(command)
            case QuotesPlaced():
                return quoting.entered(self.entry, command, self._enter)
            case BlockAccepted():
                crowded = not block_trade.has_room(self.batching, len(command.taker))
                closed = self._close() if crowded else []
                traded = block_trade.enter(self.matcher, self.entry.nonces, command)
                return closed + traded + self.entry.reducing.after_block(command)
            case CancelRequested():
                if not self.safeguards.fires(command):
                    return []
                return cancelled(self.matcher, self.entry.nonces, command)
            case OracleRound():
                closed = self._close()
                self._take_round(command)
                retried = self.ahead.retry()
                shrunk = self.entry.reducing.fit_all() if retried else []
                return closed + retried + shrunk + self._watch()
            case BatchDue():
                closed = self._close()
                chain_now = self.ahead.state.now
                self.world.now = self.batching.clock.at_tick(command.due_ms, chain_now)
                return closed + self._watch()
            case ProtectionSet():
                self._protect(command)
            case ProtectionReset():
                account = int.from_bytes(command.account, "big")
                self.matcher.protections.reset((account, command.underlying))
            case DisconnectSet():
                self.safeguards.set_disconnect(command)
            case SwitchSet():
                self.safeguards.set_switch(command)
            case Genesis():
                self.adopt(command.version)
            case _:
                pass
        return []

    # Orders

    def _enter(self, placed: OrderPlaced, quote_set: str | None = None) -> list[AnyRecord]:
        nonce = nonce_of(placed)
        if self.batching.is_crowded or self.entry.meets_its_revision(nonce):
            return self._close() + self.entry.order(placed, nonce, quote_set)
        return self.entry.order(placed, nonce, quote_set)

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
        self.batching.clock.after_round(before)

    def _pass(self, stamp_ms: int) -> list[AnyRecord]:
        """Let time pass before a client's command enters: what is about to expire goes."""
        now, held = self.world.now, self.batching.open.count > 0
        second = self.batching.clock.at_command(stamp_ms, self.ahead.state.now, held)
        if second == now:
            return []
        closed = self._close()
        self.world.now = second
        if second // HOUR_S != now // HOUR_S:  # division: whole hours
            self._forget_expired()
        return closed + self.moves.expire()

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
            "leavers": self.safeguards.leavers,
            "next_number": self.entry.next_number,
            "next_sequence": self.batching.next_sequence,
            "nonces": self.entry.nonces,
            "open_batch": self.batching.open,
            "open_orders": list(self.matcher.orders.by_number.values()),
            "placed": self.batching.placed.orders,
            "protections": self.matcher.protections.rows,
            "switches": self.safeguards.switches,
        }

    def restore(
        self,
        ahead: AheadState,
        bases: dict[int, int],
        leavers: dict[int, Leaver],
        next_number: int,
        next_sequence: int,
        nonces: dict[Nonce, bytes],
        open_batch: OpenBatch,
        open_orders: list[OpenOrder],
        placed: dict[bytes, OrderPlaced],
        protections: dict[Key, Protection],
        switches: dict[int, Switch],
    ) -> None:
        """Go on from ``state``; what follows from it is made again."""
        self.ahead.state = ahead
        self.batching.next_sequence = next_sequence
        self.batching.placed.restore(placed)
        self.batching.resume(open_batch)
        self.matcher.protections.rows = protections
        self.safeguards = Safeguards(switches, leavers)
        self.book.restore(bases)
        self.entry.next_number, self.entry.nonces = next_number, nonces
        self.entry.restore(open_orders)


class _TakenBack(Exception):
    """Undoes a trial."""
