"""The open batch: what a match must satisfy to be in it, and how it settles.

Owns: the judgement of every match as the Exchange and the Clearinghouse will make it (admission,
session budgets, batch limits, margin), when a batch is full, and its settlement on the world as the
contract will do it.
"""

from __future__ import annotations

from dataclasses import dataclass

from coincurve import PrivateKey

from novate import errors, limits
from novate.engine import admission
from novate.engine.ahead import Pending
from novate.engine.clock import Clock
from novate.engine.judge import Judge
from novate.engine.open_orders import OpenOrder
from novate.engine.orders import terms_of
from novate.engine.pending import OpenBatch, Rows
from novate.engine.placed import Placed
from novate.engine.receipts import UNSEALED
from novate.errors import Error, Rejected
from novate.model import fees, settlement
from novate.model.instrument import OPTION, Terms
from novate.model.marks import mark_and_index
from novate.model.order import Order as SignedTerms
from novate.model.settlement import Fill, Presented
from novate.model.state import World
from novate.wire import records
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.order import sort_key
from novate.wire.records import Matched

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


@dataclass(frozen=True, slots=True)
class Verdict:
    """Why a side of a match fails, or nothing, and the taker's and the maker's fee (wad).

    A failed maker is evicted and matching goes on; a failed taker stops and its rest is cancelled.
    """

    maker: Error | None = None
    taker: Error | None = None
    fees: tuple[int, int] = (0, 0)

    @property
    def stands(self) -> bool:
        """Whether the match stands."""
        return self.maker is None and self.taker is None


FULL = Verdict(taker=errors.TooManyItems)


class Batching:
    """The open batch of one world."""

    def __init__(self, world: World, settings: Settings) -> None:
        self.world = world
        self.settings = settings
        self.clock = Clock(world)
        self.placed = Placed()
        self.next_sequence = 0
        self.open = OpenBatch()
        self.rows = Rows(world)
        self.rows.begin(self.open.pending)
        self._crowded: bool | None = None  # None: the open batch has changed since it was asked

    # Matches

    def judge(
        self, judge: Judge, maker: OpenOrder, taker: OpenOrder, lots: int, price: int
    ) -> Verdict:
        """Whether two orders may trade at a price (wad); if so, the open batch holds the match. The
        taker has been asked at its entry whether it would settle.
        """
        self._crowded = None
        terms, held, world = taker.terms, self.open, self.world
        listed = world.ledger.terms_of(terms.instrument)
        forward = fees.forward_of(world, terms.instrument) if listed.kind == OPTION else 0
        paid = fees.of_fill(world.exchange.settings, listed, lots, price, forward)
        taker_error, taker_spent = self._leg(taker, listed, lots, price, paid[0])
        maker_error, maker_spent = self._barred(maker), None
        if maker_error is None:
            maker_error, maker_spent = self._leg(maker, listed, lots, price, paid[1])
        if maker_error or taker_error:
            return Verdict(maker_error, taker_error)
        if self._full(maker, taker):
            return FULL
        trade = held.pending.trade(self.rows, terms, maker.terms, lots, price, paid)
        judgement = held.pending.admit(judge, trade)
        if not judgement.admits:
            return Verdict(judgement.maker, judgement.taker)
        for order, spent in ((taker, taker_spent), (maker, maker_spent)):
            held.add(order.placed.digest, order.placed.signature)
            if spent is not None:
                held.budgets.spent[order.terms.account, order.signer.address] = spent
        return Verdict(fees=paid)

    def undo(self) -> None:
        """Leave only the matches that were recorded: what was judged since does not happen."""
        self._crowded, held = None, self.open
        if len(held.pending.batch.trades) == len(held.fills):
            return
        made = OpenBatch(first_sequence=held.first_sequence)
        self.resume(made)
        for taker_digest, maker_digest, lots, price in held.fills:
            taker, maker = (self.placed.orders[digest] for digest in (taker_digest, maker_digest))
            terms = terms_of(taker.order), terms_of(maker.order)
            paid = self.fees(terms[0].instrument, lots, price)
            made.pending.keep(made.pending.trade(self.rows, *terms, lots, price, paid))
            for placed, order in zip((taker, maker), terms, strict=True):
                made.add(placed.digest, placed.signature)
                signer = admission.signer_of(placed)
                spent = made.budgets.after(self.world, order, signer, lots, price)
                if spent is not None:
                    made.budgets.spent[order.account, signer.address] = spent
        made.fills, made.count = held.fills, held.count

    def fees(self, instrument: int, lots: int, price: int) -> tuple[int, int]:
        """What taker and maker pay (wad)."""
        world = self.world
        terms, forward = world.ledger.terms_of(instrument), fees.forward_of(world, instrument)
        return fees.of_fill(world.exchange.settings, terms, lots, price, forward)

    def _barred(self, order: OpenOrder) -> Error | None:
        """Why the Exchange would not let an order into a batch now."""
        try:
            until = self.clock.settles_by
            admission.require_settles(self.world, order.terms, order.signer, until)
        except Rejected as rejected:
            return rejected.error
        return None

    def _leg(
        self, order: OpenOrder, listed: Terms, lots: int, price: int, fee: int
    ) -> tuple[Error | None, tuple[int, int] | None]:
        """Why the Exchange would bar one side of a match, and what its session key spends."""
        terms = order.terms
        if fees.with_room(listed, fee) > terms.max_fee * lots:
            return errors.FeeAboveMax, None
        if order.signer.address == terms.owner:
            return None, None
        try:
            return None, self.open.budgets.after(self.world, terms, order.signer, lots, price)
        except Rejected as rejected:
            return rejected.error, None

    def matched(
        self, maker: OpenOrder, taker: OpenOrder, lots: int, price: int, paid: tuple[int, int]
    ) -> Matched:
        """The record of a match that stands, its receipt still to be made; ``paid``: the taker's
        and the maker's fee.
        """
        self._crowded = None
        held, sequence, now = self.open, self.next_sequence, self.world.now
        one, other = taker.placed, maker.placed
        self.next_sequence += 1
        held.count += 1
        held.fills.append((one.digest, other.digest, lots, price))
        fee_taker, fee_maker = paid
        mark, index = mark_and_index(self.world, taker.terms.instrument)
        return Matched(
            sequence=sequence,
            maker=other.digest,
            taker=one.digest,
            maker_account=other.order.account,
            taker_account=one.order.account,
            instrument=taker.terms.instrument,
            taker_buys=taker.is_buy,
            lots=lots,
            price=records.big(price),
            fee_maker=records.big(fee_maker),
            fee_taker=records.big(fee_taker),
            matched_at=now,
            receipt=UNSEALED,
            oracle_round=self.world.oracle.statuses[0].round,
            mark=records.big(mark),
            index=records.big(index),
        )

    # Batches

    @property
    def is_crowded(self) -> bool:
        """Whether the open batch should close before another order enters."""
        if self._crowded is None:
            self._crowded = self._is_crowded()
        return self._crowded

    def _is_crowded(self) -> bool:
        held = self.open
        return (
            held.count >= self.settings.fills_per_batch
            or len(held.pending.batch.instruments) >= limits.INSTRUMENTS_PER_BATCH_MAX
            or len(held.pending.batch.accounts) > limits.ACCOUNTS_PER_BATCH_MAX - ACCOUNT_ROOM
            or len(held.orders) > limits.ORDERS_PER_BATCH_MAX - 2 * ACCOUNT_ROOM
            or held.blobs() > limits.SIGNATURE_BLOBS_PER_BATCH_MAX - 2
        )

    def _full(self, maker: OpenOrder, taker: OpenOrder) -> bool:
        """Whether the open batch has no room for one more match."""
        held, batch = self.open, self.open.pending.batch
        if (
            len(batch.accounts) > limits.ACCOUNTS_PER_BATCH_MAX - 2
            or len(batch.instruments) >= limits.INSTRUMENTS_PER_BATCH_MAX
            or len(batch.trades) >= limits.FILLS_PER_BATCH_MAX
        ):
            return True
        new = [o.placed for o in (maker, taker) if o.placed.digest not in held.orders]
        if len(held.orders) + len(new) > limits.ORDERS_PER_BATCH_MAX:
            return True
        signatures = [p.signature for p in new if len(p.signature) != COMPACT_BYTES]
        return bool(signatures) and held.blobs(signatures) > limits.SIGNATURE_BLOBS_PER_BATCH_MAX

    def taken(self) -> OpenBatch:
        """The open batch, a new one in its place."""
        held = self.open
        self.resume(OpenBatch(first_sequence=self.next_sequence))
        return held

    def resume(self, batch: OpenBatch) -> None:
        """Go on with this batch."""
        self._crowded, self.open = None, batch
        self.rows.begin(batch.pending)

    def settle(self, batch: Pending) -> tuple[int, int]:
        """Settle a batch on the world as the Exchange will: what settles, and the code of the first
        fill that does not.
        """
        orders = {
            d: terms_of(self.placed.orders[d].order) for fill in batch.fills for d in fill[:2]
        }
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
        signer = admission.signer_of(self.placed.orders[digest])
        return Presented(terms, signer.address, signer.wallet, signer.wallet, digest)
