"""The sequencer: one order of all commands, matching, and the judgement of every match before it is
reported.

A deterministic fold of the journal: commands (orders, cancels, oracle rounds, chain transactions,
batch ticks) in, events (rejections, matches with signed receipts, ends of orders, closed batches)
out. The world here runs ahead of the chain by the rounds and batches that are not there yet, and is
rebased on whatever the chain did (``engine/ahead.py``). Time is the chain's, carried by the
commands.
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey

from novate import errors, limits
from novate.engine import admission, block_trade
from novate.engine.admission import signer_of
from novate.engine.ahead import (
    Ahead,
    AheadState,
    ApplyRound,
    ApplyTransaction,
    Pending,
    ReadSent,
)
from novate.engine.judge import Judge
from novate.engine.open_orders import OpenOrders
from novate.engine.orders import terms_of
from novate.engine.pending import OpenBatch, Proposal
from novate.errors import Error, Rejected, require
from novate.model import matching, settlement
from novate.model.matching import Book, Done, SelfTrade, TimeInForce, Verdict
from novate.model.order import Order as SignedTerms
from novate.model.settlement import Fill, Presented
from novate.model.state import World
from novate.units import ppm_up
from novate.wire import bulk, eip712, records
from novate.wire.eip712 import Match
from novate.wire.order import sort_key
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    BlockAccepted,
    CancelRequested,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
    OrderDone,
    OrderPlaced,
    OrderRejected,
)

FILLS_PER_BATCH = 100
ACCOUNT_ROOM = 12
SKIPS = ("FillSkipped", "TradeSkipped")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a sequencer is configured with."""

    executor: str
    key: PrivateKey
    separator: bytes
    fills_per_batch: int = FILLS_PER_BATCH


class Sequencer:
    """Matching and judgement over one world."""

    def __init__(
        self,
        world: World,
        settings: Settings,
        apply_round: ApplyRound,
        apply_transaction: ApplyTransaction,
        read_sent: ReadSent,
    ) -> None:
        self.world = world
        self.settings = settings
        self.book = Book(world.store, self._judge)
        self.judge = Judge(world, OpenOrders(world, self.book))
        self.placed: dict[bytes, OrderPlaced] = {}
        self.terms: dict[bytes, SignedTerms] = {}
        self.nonces: dict[tuple[int, bool, int], bytes] = {}
        self.next_sequence = 0
        self.ahead = Ahead(world, settings.executor, apply_round, apply_transaction, self._settle)
        self._read_sent = read_sent
        self.open_batch = OpenBatch()

    @property
    def ahead_state(self) -> AheadState:
        """What the world holds beyond the chain."""
        return self.ahead.state

    @ahead_state.setter
    def ahead_state(self, state: AheadState) -> None:
        self.ahead.state = state

    def confirmed_hash(self) -> str:
        """The hash of the chain's own state, as followed so far."""
        return self.ahead.confirmed_hash()

    def handle(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command of the journal; returns the events it causes, in order."""
        match command:
            case ChainTransaction():
                return self._follow(*self.ahead.follow(command, self._read_sent(command)))
            case ChainReorganised():
                return self._follow(*self.ahead.leave(command.first_block))
            case _:
                # in the middle of a block only if its watcher was killed there
                return [*self._follow(*self.ahead.rest()), *self._command(command)]

    def _follow(self, moved: bool, events: list[AnyRecord]) -> list[AnyRecord]:
        """Close the open batch if the world has moved beneath it."""
        return [*events, *self.close_batch(judged=False)] if moved else events

    def _command(self, command: AnyRecord) -> list[AnyRecord]:
        match command:
            case OrderPlaced():
                return self._place(command)
            case BlockAccepted():
                return block_trade.enter(self, command)
            case CancelRequested():
                return self._cancel(command)
            case OracleRound():
                closed = self.close_batch()
                self.world.now = command.timestamp
                self.ahead.add_round(command)
                return closed + self.ahead.retry()
            case BatchDue():
                closed = self.close_batch()
                self.world.now = max(self.world.now, command.due_ms // 1000)
                return closed
            case _:
                return []

    # Orders

    def _place(self, command: OrderPlaced) -> list[AnyRecord]:
        closed = self.close_batch() if self._crowded() else []
        try:
            terms = self._admissible(command)
            self.judge.require_margin(self.open_batch.pending.row(self.world, terms.account), terms)
            report = self._enter(command, terms)
        except Rejected as rejected:
            return [*closed, OrderRejected(command.digest, rejected.error.code)]
        self.placed[command.digest] = command
        self.terms[command.digest] = terms
        self.nonces[terms.account, terms.immediate, terms.nonce] = command.digest
        events = self._report(report)
        self.judge.changed(int.from_bytes(command.digest, "big"))
        return [*closed, *events]

    def _enter(self, command: OrderPlaced, terms: SignedTerms) -> matching.Report:
        self.placed[command.digest] = command
        self.terms[command.digest] = terms
        listed = self.world.ledger.terms_of(terms.instrument)
        order = matching.Order(
            identity=int.from_bytes(command.digest, "big"),
            account=terms.account,
            instrument=terms.instrument,
            lots=terms.lots,
            price_ticks=terms.price // listed.tick,
            time_in_force=_time_in_force(terms, command.fill_or_kill),
            post_only=terms.post_only,
            reduce_only=terms.reduce_only,
            self_trade=SelfTrade(command.self_trade),
        )
        kept = self.open_batch.copy() if command.fill_or_kill else None
        try:
            return self.book.place(order)
        except Rejected:
            del self.placed[command.digest], self.terms[command.digest]
            if kept is not None:
                self.open_batch = kept
            raise

    def _admissible(self, command: OrderPlaced) -> SignedTerms:
        """What can be refused before matching, cheapest first."""
        terms = terms_of(command.order)
        require(command.digest not in self.placed, errors.NonceUsed)
        require(command.self_trade in tuple(SelfTrade), errors.MalformedOrder)
        admission.require_sound(self.world, self.settings.executor, terms)
        admission.require_settles(self.world, terms, signer_of(command))
        taken = (terms.account, terms.immediate, terms.nonce) in self.nonces
        require(not taken, errors.NonceUsed)
        return terms

    def _cancel(self, command: CancelRequested) -> list[AnyRecord]:
        account = int.from_bytes(command.account, "big")
        events: list[AnyRecord] = []
        for identity in self.judge.open_orders.of(account):
            terms = self.terms[identity.to_bytes(32, "big")]
            inside = (
                (command.scope == "nonce" and terms.nonce == command.value)
                or (command.scope == "below" and terms.nonce < command.value)
                or (command.scope == "instrument" and terms.instrument == command.value)
                or command.scope == "all"
            )
            if inside:
                events += self._report(self.book.cancel(identity))
        return events

    def _report(self, report: matching.Report) -> list[AnyRecord]:
        events: list[AnyRecord] = []
        for event in report.events:
            if isinstance(event, Done):
                digest = event.identity.to_bytes(32, "big")
                code = event.error.code if event.error else 0
                events.append(OrderDone(digest, event.end.value, code, event.lots_left))
                self.terms.pop(digest, None)
                self.judge.changed(event.identity)
            else:
                events.append(self.matched(event))
                self.judge.changed(event.maker)
        return events

    def restored(self) -> None:
        """The state came from a snapshot: make again what follows from it."""
        identities = (int.from_bytes(digest, "big") for digest in self.terms)
        self.judge = Judge(self.world, OpenOrders(self.world, self.book))
        self.judge.open_orders.rebuild(identities)

    # Matches

    def _judge(
        self, maker: matching.Order, taker: matching.Order, lots: int, price_ticks: int
    ) -> Verdict:
        listed = self.world.ledger.terms_of(taker.instrument)
        price = price_ticks * listed.tick
        notional = lots * listed.price_lot(price)
        fees = self.world.exchange.settings
        proposal = Proposal(
            taker_account=taker.account,
            maker_account=maker.account,
            instrument=taker.instrument,
            taker_buys=taker.is_buy,
            lots=lots,
            price=price,
            fee_taker=ppm_up(notional, fees.taker_ppm),
            fee_maker=ppm_up(notional, fees.maker_ppm),
            taker_reduce_only=taker.reduce_only,
            maker_reduce_only=maker.reduce_only,
        )
        taker_error, taker_spent = self._leg(taker, lots, price, proposal.fee_taker)
        maker_error, maker_spent = self._leg(maker, lots, price, proposal.fee_maker)
        if maker_error or taker_error:
            return Verdict(0, maker=maker_error, taker=taker_error)
        if self._full({order.identity.to_bytes(32, "big") for order in (taker, maker)}):
            return Verdict(0, taker=errors.TooManyItems)
        judgement = self.open_batch.pending.admit(self.judge, proposal)
        if not judgement.admits:
            return Verdict(0, maker=judgement.maker, taker=judgement.taker)
        for order, spent in ((taker, taker_spent), (maker, maker_spent)):
            digest = order.identity.to_bytes(32, "big")
            self.open_batch.orders.add(digest)
            if spent is not None:
                key = order.account, signer_of(self.placed[digest]).address
                self.open_batch.budgets.spent[key] = spent
        return Verdict(lots)

    def _leg(
        self, order: matching.Order, lots: int, price: int, fee: int
    ) -> tuple[Error | None, tuple[int, int] | None]:
        """Why the Exchange would bar one side of a match, and what its session key spends."""
        digest = order.identity.to_bytes(32, "big")
        terms, signer = self.terms[digest], signer_of(self.placed[digest])
        try:
            admission.require_settles(self.world, terms, signer)
            require(fee <= terms.max_fee * lots, errors.FeeAboveMax)
            spent = self.open_batch.budgets.after(self.world, terms, signer, lots, price)
        except Rejected as rejected:
            return rejected.error, None
        return None, spent

    def matched(self, event: matching.Match) -> Matched:
        """The record of a match, which the open batch then holds."""
        listed = self.world.ledger.terms_of(event.instrument)
        price = event.price_ticks * listed.tick
        notional = event.lots * listed.price_lot(price)
        sequence = self.next_sequence
        self.next_sequence += 1
        self.open_batch.count += 1
        maker, taker = (identity.to_bytes(32, "big") for identity in (event.maker, event.taker))
        self.open_batch.fills.append((taker, maker, event.lots, price))
        receipt = Match(maker, taker, event.lots, price, sequence, self.world.now)
        digest = eip712.match_digest(self.settings.separator, receipt)
        r, vs = eip712.sign(self.settings.key, digest)
        return Matched(
            sequence=sequence,
            maker=maker,
            taker=taker,
            maker_account=event.maker_account.to_bytes(32, "big"),
            taker_account=event.taker_account.to_bytes(32, "big"),
            instrument=event.instrument,
            taker_buys=event.taker_buys,
            lots=event.lots,
            price=records.big(price),
            fee_maker=records.big(ppm_up(notional, self.world.exchange.settings.maker_ppm)),
            fee_taker=records.big(ppm_up(notional, self.world.exchange.settings.taker_ppm)),
            matched_at=self.world.now,
            receipt=r.to_bytes(32, "big") + vs.to_bytes(32, "big"),
            oracle_round=self.world.oracle.statuses[0].round,
        )

    # Batches

    def _crowded(self) -> bool:
        """Whether the open batch should close before another order enters."""
        held = self.open_batch
        return (
            held.count >= self.settings.fills_per_batch
            or len(held.pending.batch.instruments) >= limits.INSTRUMENTS_PER_BATCH_MAX
            or len(held.pending.batch.accounts) > limits.ACCOUNTS_PER_BATCH_MAX - ACCOUNT_ROOM
            or len(held.orders) > limits.ORDERS_PER_BATCH_MAX - 2 * ACCOUNT_ROOM
            or self._blobs(held.orders) > limits.SIGNATURE_BLOBS_PER_BATCH_MAX - 2
        )

    def _blobs(self, digests: set[bytes]) -> int:
        """How many blobs the orders' signatures take."""
        return bulk.blobs_needed(self.placed[digest].signature for digest in digests)

    def _full(self, pair: set[bytes]) -> bool:
        """Whether the open batch has no room for one more match."""
        held = self.open_batch.pending.batch
        return (
            len(held.accounts) > limits.ACCOUNTS_PER_BATCH_MAX - 2
            or len(held.instruments) >= limits.INSTRUMENTS_PER_BATCH_MAX
            or len(held.trades) >= limits.FILLS_PER_BATCH_MAX
            or len(self.open_batch.orders | pair) > limits.ORDERS_PER_BATCH_MAX
            or self._blobs(self.open_batch.orders | pair) > limits.SIGNATURE_BLOBS_PER_BATCH_MAX
        )

    def close_batch(self, judged: bool = True) -> list[AnyRecord]:
        """Close the open batch and apply it to the world as the contract will; not ``judged`` if
        the world has moved beneath it since.
        """
        held, self.open_batch = self.open_batch, OpenBatch(first_sequence=self.next_sequence)
        if held.count == 0:
            return []
        settled = self.ahead.add_batch(Pending(held.first_sequence, tuple(held.fills)))
        assert not judged or settled == (1 << held.count) - 1, "a judged match settles"
        number = self.world.oracle.statuses[0].round
        return [BatchClosed(held.first_sequence, held.count, number, self.world.now)]

    def _settle(self, batch: Pending) -> tuple[int, int]:
        """Settle a batch on the world as the Exchange will: what settles, and the code of the first
        fill that does not.
        """
        orders = {d: terms_of(self.placed[d].order) for fill in batch.fills for d in fill[:2]}
        ranked = sorted(orders, key=lambda d: sort_key(orders[d]))
        accounts = sorted({terms.account for terms in orders.values()})
        instruments = sorted({terms.instrument for terms in orders.values()})
        presented = [self._presented(digest, orders[digest]) for digest in ranked]
        place = {digest: index for index, digest in enumerate(ranked)}
        fills = [Fill(place[taker], place[maker], n, p) for taker, maker, n, p in batch.fills]
        try:
            with self.world.store.transaction():
                bitmap = settlement.settle(
                    self.world,
                    self.settings.executor,
                    accounts,
                    instruments,
                    presented,
                    fills,
                    batch.first_sequence,
                )
        except Rejected as rejected:  # the Exchange would refuse the whole batch
            self.world.take_events()
            return 0, rejected.error.code
        skipped = [e for e in self.world.take_events() if e.name in SKIPS]
        if not skipped:
            return bitmap, 0
        selector = int.from_bytes(skipped[0].arguments["code"], "big")
        return bitmap, errors.BY_SELECTOR[selector].code

    def _presented(self, digest: bytes, terms: SignedTerms) -> Presented:
        signer = signer_of(self.placed[digest])
        return Presented(terms, signer.address, signer.wallet, signer.wallet, digest)


def _time_in_force(terms: SignedTerms, fill_or_kill: bool) -> TimeInForce:
    if fill_or_kill:
        return TimeInForce.FILL_OR_KILL
    return TimeInForce.IMMEDIATE_OR_CANCEL if terms.immediate else TimeInForce.GOOD_TIL_CANCELLED
