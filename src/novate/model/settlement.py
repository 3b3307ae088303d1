"""Settlement: signed orders in, novated trades out (docs/SPEC.md §6).

A fill that is bad in itself is skipped with its code and the rest goes on; the ledger judges
margin. Signatures arrive as recovered signers, contract wallets' answers as booleans; the round a
batch carries is applied before it. Fees and budgets round up, against the account. Holds I04, I05.
Twins: ``contracts/Exchange.vy``, ``contracts/trade.vy``, ``contracts/receipt.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from novate import errors, limits
from novate.errors import Error, Rejected, require
from novate.model import fees, margin, novation, option_listing, oracle, session, venue
from novate.model import fills as fill_state
from novate.model.fills import Floor, Lane
from novate.model.instrument import Terms
from novate.model.novation import Trade
from novate.model.option_id import is_dated
from novate.model.order import ZERO_ADDRESS, Order
from novate.model.packed import to_unsigned
from novate.model.session import SessionKey
from novate.model.store import Store
from novate.model.venue import Settings
from novate.units import CENT, ORACLE_UNIT, WAD, div_up

if TYPE_CHECKING:
    from novate.model.state import World

FEE_MAX = 2**88 - 1  # what a trade word of the Clearinghouse carries
SEQUENCE_MAX = 2**63


class ExchangeState:
    """Tables of the Exchange."""

    def __init__(self, store: Store) -> None:
        self.rows = store.table("exchange.settings", Settings())
        self.executors = store.table("exchange.executors", False)
        self.lanes = store.table("exchange.lanes", Lane())
        self.immediates = store.table("exchange.immediates", 0)
        self.floors = store.table("exchange.floors", Floor())
        self.keys = store.table("exchange.keys", SessionKey())
        self.sequences = store.table("exchange.sequences", False)
        self.confirmed = store.table("exchange.confirmed", 0)

    @property
    def settings(self) -> Settings:
        """Fees and windows in force."""
        return self.rows[0]

    def set_settings(self, settings: Settings) -> None:
        """Replace fees and windows."""
        self.rows[0] = settings


@dataclass(frozen=True, slots=True)
class Presented:
    """An order in a batch: who its signature recovers to, or what its contract wallet answers.

    ``digest`` is read only for a contract wallet's earlier consent.
    """

    order: Order
    signer: str = ""
    contract_wallet: bool = False
    consents: bool = False
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Fill:
    """A match between two orders of the batch (indices); price in wad a base unit."""

    taker: int
    maker: int
    lots: int
    price: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """An executor's receipt for the fill at the same index, and who its signature recovers to."""

    sequence: int
    matched_at: int
    signer: str


@dataclass(slots=True)
class _Leg:
    """An order's state in its batch: barred by an error, or lots left and the key that signed."""

    order: Order
    error: Error | None = None
    left: int = 0
    key: str = ""
    settled: int = 0


@dataclass(frozen=True, slots=True)
class _Batch:
    """A batch under way; ``places``: where its accounts stand."""

    executor: str
    accounts: Sequence[int]
    instruments: Sequence[int]
    places: dict[int, int]
    legs: list[_Leg]
    fills: Sequence[Fill]
    sequences: list[int]
    receipts: Sequence[Receipt]


def settle(
    world: World,
    caller: str,
    accounts: Sequence[int],
    instruments: Sequence[int],
    orders: Sequence[Presented],
    fills: Sequence[Fill],
    first_sequence: int,
    executor: str | None = None,
    receipts: Sequence[Receipt] = (),
) -> int:
    """Settle the executor's matches (default: the caller's); returns a bitmap of the settled."""
    executor = caller if executor is None else executor
    approved = world.exchange.executors[executor]
    if receipts:
        require(approved and len(receipts) == len(fills), errors.BadReceipt)
    else:
        require(executor == caller, errors.NotExecutor)
    require(len(orders) <= limits.ORDERS_PER_BATCH_MAX, errors.TooManyItems)
    require(len(fills) <= limits.FILLS_PER_BATCH_MAX, errors.TooManyItems)
    require(len(receipts) <= limits.RECEIPTS_PER_BATCH_MAX, errors.TooManyItems)
    _require_ascending(accounts)
    _require_ascending(instruments)
    _require_distinct(accounts, orders)
    legs = [_admit(world, item, executor, approved, bool(receipts)) for item in orders]
    if receipts:
        sequences = [receipt.sequence for receipt in receipts]
        _require_ascending(sequences, lowest=-1)
    else:
        require(0 <= first_sequence < SEQUENCE_MAX, errors.OutOfBounds)
        sequences = [first_sequence + index for index in range(len(fills))]
    places = {account: at for at, account in enumerate(accounts)}
    batch = _Batch(executor, accounts, instruments, places, legs, fills, sequences, receipts)
    settled = _novate(world, batch)
    for leg in legs:
        fill_state.record(world, leg.order, leg.settled, bool(receipts))
    world.emit(
        "BatchSettled",
        executor=executor,
        first_sequence=first_sequence,
        count=len(fills),
        settled=settled,
    )
    return settled


def _require_ascending(items: Sequence[int], lowest: int = 0) -> None:
    previous = lowest
    for item in items:
        require(item > previous, errors.NotAscending)
        previous = item


def _require_distinct(accounts: Sequence[int], orders: Sequence[Presented]) -> None:
    previous = (-1, False, 0)
    for item in orders:
        order = item.order
        key = accounts.index(order.account), order.immediate, order.nonce
        require(key > previous, errors.NotAscending)
        previous = key


def _admit(world: World, item: Presented, executor: str, approved: bool, by_receipt: bool) -> _Leg:
    """State of an order at the start of its batch; cheapest checks first."""
    order, owner, leg = item.order, item.order.owner, _Leg(item.order)
    open_now = order.executor == ZERO_ADDRESS and world.now >= order.exclusive_until
    try:
        if order.size > limits.LOTS_MAX:
            raise Rejected(errors.MalformedOrder)
        if not (approved or open_now):
            raise Rejected(errors.NotExecutor)
        if world.now > order.expiry:
            raise Rejected(errors.OrderExpired)
        leg.left = fill_state.left(world, order, by_receipt)
        if order.executor not in (ZERO_ADDRESS, executor):
            raise Rejected(errors.BadSignature)
        if item.contract_wallet:
            standing = world.now < world.exchange.confirmed[owner, item.digest]
            require(standing or item.consents, errors.BadSignature)
        elif item.signer != owner or owner == ZERO_ADDRESS:
            underlying = world.ledger.terms_of(order.instrument).underlying
            session.require_may_sign(world, order, item.signer, underlying)
            leg.key = item.signer
    except Rejected as rejected:
        leg.error = rejected.error
    return leg


def _novate(world: World, batch: _Batch) -> int:
    """Judge each fill, hand the good ones to the ledger, book what it settles."""
    sent: list[int] = []
    trades: list[Trade] = []
    for index, fill in enumerate(batch.fills):
        taker, maker = batch.legs[fill.taker], batch.legs[fill.maker]
        try:
            trades.append(_trade(world, batch, index, fill, taker, maker))
        except Rejected as rejected:
            code = rejected.error.selector.to_bytes(4, "big")
            world.emit("FillSkipped", index=index, code=code)
            continue
        sent.append(index)
        taker.left -= fill.lots
        maker.left -= fill.lots
    passed = 0
    if sent:
        exchange = world.addresses["exchange"]
        passed = novation.novate(world, exchange, batch.accounts, batch.instruments, trades)
    settled = 0
    for position, index in enumerate(sent):
        if passed >> position & 1:
            settled |= 1 << index
            _book(world, batch, index)
        else:
            _refuse(world, batch.legs, batch.fills[index])
    return settled


def _trade(world: World, batch: _Batch, index: int, fill: Fill, taker: _Leg, maker: _Leg) -> Trade:
    """The trade of a fill good in itself, its budgets spent; rejects any other."""
    sequence = batch.executor, batch.sequences[index]
    require(not world.exchange.sequences[sequence], errors.ReceiptUsed)
    _check_terms(world, fill, taker, maker)
    if batch.receipts:
        _check_receipt(world, batch.receipts[index], batch.executor)
    terms = world.ledger.terms_of(taker.order.instrument)
    fee_taker, fee_maker = _fees(world, fill, taker.order, maker.order, terms)
    _spend(world, fill, taker, maker, terms)
    return Trade(
        taker=batch.places[taker.order.account],
        maker=batch.places[maker.order.account],
        instrument=batch.instruments.index(taker.order.instrument),
        taker_buys=not taker.order.sells,
        lots=fill.lots,
        price=fill.price,
        fee_taker=fee_taker,
        fee_maker=fee_maker,
        taker_reduce_only=taker.order.reduce_only,
        maker_reduce_only=maker.order.reduce_only,
    )


def _check_terms(world: World, fill: Fill, taker: _Leg, maker: _Leg) -> None:
    """Reject a fill that the two orders' own terms bar."""
    error = taker.error or maker.error
    if error is not None:
        raise Rejected(error)
    one, other, lots = taker.order, maker.order, fill.lots
    if lots <= 0:
        raise Rejected(errors.ZeroLots)
    if one.sells == other.sells:
        raise Rejected(errors.SameSide)
    if one.instrument != other.instrument:
        raise Rejected(errors.InstrumentMismatch)
    if one.post_only:
        raise Rejected(errors.PostOnly)
    bid, ask = (other.price, one.price) if one.sells else (one.price, other.price)
    if not ask <= fill.price <= bid:
        raise Rejected(errors.LimitPrice)
    if lots > taker.left or lots > maker.left:
        raise Rejected(errors.OverFilled)
    ends = option_listing.ends_at(world, one.instrument)
    if ends is not None:
        require(max(one.expiry, other.expiry) <= ends, errors.OutlivesInstrument)


def _check_receipt(world: World, receipt: Receipt, executor: str) -> None:
    """Reject a receipt used in the executor's own window, or not signed by it."""
    opens = receipt.matched_at + world.exchange.settings.exclusive_window
    require(world.now >= opens, errors.NotExecutor)
    require(receipt.signer == executor, errors.BadReceipt)


def _fees(world: World, fill: Fill, taker: Order, maker: Order, terms: Terms) -> tuple[int, int]:
    """Fees in wad, each rounded up; ``FeeAboveMax`` over lots times the signed maximum a lot."""
    settings, forward = world.exchange.settings, fees.forward_of(world, taker.instrument)
    fee_taker, fee_maker = fees.of_fill(settings, terms, fill.lots, fill.price, forward)
    require(fee_taker <= min(taker.max_fee * fill.lots, FEE_MAX), errors.FeeAboveMax)
    require(fee_maker <= min(maker.max_fee * fill.lots, FEE_MAX), errors.FeeAboveMax)
    return fee_taker, fee_maker


def mark_of(world: World, instrument: int) -> int:
    """The mark in wad, now: of the instrument's feed, or a dated one's as it is valued."""
    if is_dated(instrument):
        return margin.quoted(world, instrument)[0]
    return oracle.feed(world, world.ledger.terms[instrument].feed).mark * ORACLE_UNIT


def _costs(world: World, fill: Fill, taker: Order, terms: Terms) -> tuple[int, int, int]:
    """Notional, then taker's and maker's loss against the mark: cents, rounded up."""
    mark = mark_of(world, taker.instrument)
    size = fill.lots * terms.lot_size
    notional = div_up(fill.price * size, WAD * CENT)
    loss = div_up(abs(fill.price - mark) * size, WAD * CENT)
    taker_loses = (fill.price > mark) != taker.sells
    return notional, loss if taker_loses else 0, 0 if taker_loses else loss


def _spend(world: World, fill: Fill, taker: _Leg, maker: _Leg, terms: Terms) -> None:
    """Charge the session keys behind the fill, both or neither."""
    if not (taker.key or maker.key):
        return
    notional, loss_taker, loss_maker = _costs(world, fill, taker.order, terms)
    with world.store.transaction():
        if taker.key:
            session.charge(world, taker.order.account, taker.key, notional, loss_taker)
        if maker.key:
            session.charge(world, maker.order.account, maker.key, notional, loss_maker)


def _book(world: World, batch: _Batch, index: int) -> None:
    """Mark a settled fill's sequence and log it: [sequence | instrument | lots | price]."""
    fill = batch.fills[index]
    taker, maker = batch.legs[fill.taker], batch.legs[fill.maker]
    taker.settled += fill.lots
    maker.settled += fill.lots
    sequence = batch.sequences[index]
    world.exchange.sequences[batch.executor, sequence] = True
    signed = to_unsigned(-fill.lots if taker.order.sells else fill.lots, 44)
    word = sequence | taker.order.instrument << 64 | signed << 84 | fill.price << 128
    world.emit("Fill", maker=maker.order.account, taker=taker.order.account, word=word)


def _refuse(world: World, legs: Sequence[_Leg], fill: Fill) -> None:
    """Give back what a fill the ledger refused had cost its session keys."""
    taker, maker = legs[fill.taker], legs[fill.maker]
    if not (taker.key or maker.key):
        return
    terms = world.ledger.terms_of(taker.order.instrument)
    notional, loss_taker, loss_maker = _costs(world, fill, taker.order, terms)
    if taker.key:
        session.refund(world, taker.order.account, taker.key, notional, loss_taker)
    if maker.key:
        session.refund(world, maker.order.account, maker.key, notional, loss_maker)


def confirm_wallet(world: World, wallet: str, digest: bytes, consents: bool) -> None:
    """Anyone: a contract wallet's consent to a digest now stands for a notice."""
    require(consents, errors.BadSignature)
    until = venue.after_notice(world)
    world.exchange.confirmed[wallet, digest] = until
    world.emit("WalletConfirmed", wallet=wallet, digest=digest, until=until)
