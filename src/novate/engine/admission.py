"""What an order must satisfy to settle, asked before it matches: the Exchange's conditions, early.

Whatever passes here and the margin gate settles, so no order can make a batch come out otherwise
than the sequencer said. Times in seconds; session budgets in cents, spent rounded up.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

from novate import errors, limits
from novate.errors import Rejected, require
from novate.model import fills, option_listing, session
from novate.model.instrument import FUTURE, OPTION, PERP, Terms
from novate.model.option_id import DATED
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.model.settlement import mark_of
from novate.model.state import World
from novate.units import CENT, WAD, div_up
from novate.wire import bulk
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.records import OrderPlaced

TRADED = (PERP, FUTURE, OPTION)
UNKNOWN_FLAGS = ~(REDUCE_ONLY | POST_ONLY | IMMEDIATE)


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed an order: an address, or the contract wallet itself that the gateway asked."""

    address: str
    wallet: bool = False


def signer_of(placed: OrderPlaced) -> Signer:
    """Who signed an order, as the gateway found."""
    signature = placed.signature
    by_key = len(signature) == COMPACT_BYTES or bulk.is_bulk(signature)
    return _signer(placed.signer, not by_key)


@lru_cache(65_536)
def _signer(address: bytes, wallet: bool) -> Signer:
    return Signer("0x" + address.hex(), wallet)


def require_sound(world: World, executor: str, order: Order, block: bool = False) -> Terms:
    """The order's own fields, cheapest first; the terms of its instrument.

    Errors: ZeroLots, MalformedOrder, UnknownInstrument, OffTick, LotsOutOfRange, NotExecutor,
    BlockOnly (unless ``block``, and then for any other order).
    """
    lots, flags, price = order.lots, order.flags, order.price
    if order.block_only != block:
        raise Rejected(errors.BlockOnly)
    if lots == 0:
        raise Rejected(errors.ZeroLots)
    if flags & UNKNOWN_FLAGS:
        raise Rejected(errors.MalformedOrder)
    listed = world.ledger.terms_of(order.instrument)
    if listed.kind not in TRADED:
        raise Rejected(errors.UnknownInstrument)
    if price <= 0 or price % listed.tick:
        raise Rejected(errors.OffTick)
    if abs(lots) > limits.LOTS_MAX:
        raise Rejected(errors.LotsOutOfRange)
    if order.executor != executor and order.executor != ZERO_ADDRESS:
        raise Rejected(errors.NotExecutor)
    return listed


def require_settles(world: World, order: Order, signer: Signer, until: int) -> None:
    """The Exchange would let the order into a batch now, and until the second ``until``, by which
    the match has settled.

    Errors: OrderExpired, OutlivesInstrument, those of ``fills.left`` (cancelled on chain, stale,
    used), those of ``require_signed``.
    """
    if order.expiry <= until:
        raise Rejected(errors.OrderExpired)
    if order.instrument >= DATED:
        ends = option_listing.ends_at(world, order.instrument)
        require(ends is None or order.expiry <= ends, errors.OutlivesInstrument)
    if fills.left(world, order, by_receipt=False) <= 0:
        raise Rejected(errors.OverFilled)
    require_signed(world, order, signer, until)


def require_signed(world: World, order: Order, signer: Signer, until: int) -> None:
    """The order's signer is the account's owner, or a session key of its that lives ``until`` then.

    Errors: BadSignature, SessionKeyScope.
    """
    if signer.wallet:
        require(signer.address == order.owner, errors.BadSignature)
    elif signer.address != order.owner:
        underlying = world.ledger.terms_of(order.instrument).underlying
        session.require_may_sign(world, order, signer.address, underlying)
        key = world.exchange.keys[order.account, signer.address]
        require(key.live(until), errors.BadSignature)


@dataclass(slots=True)
class Budgets:
    """What session keys spend in the open batch: (account, key) -> notional and loss (cents)."""

    spent: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    def after(
        self, world: World, order: Order, signer: Signer, lots: int, price: int
    ) -> tuple[int, int] | None:
        """A key's spending with one more fill, or None where no key signed.

        Errors: SessionKeyBudget.
        """
        if signer.wallet or signer.address == order.owner:
            return None
        listed = world.ledger.terms_of(order.instrument)
        notional, loss = costs(world, listed, order, lots, price)
        spent = self.spent.get((order.account, signer.address), (0, 0))
        after = spent[0] + notional, spent[1] + loss
        key = world.exchange.keys[order.account, signer.address]
        enough = after[0] <= key.notional_left and after[1] <= key.loss_left
        require(enough, errors.SessionKeyBudget)
        return after


def costs(world: World, listed: Terms, order: Order, lots: int, price: int) -> tuple[int, int]:
    """A fill's notional, and its loss against the mark where the order's side loses: cents, up."""
    mark = mark_of(world, order.instrument)
    size = lots * listed.lot_size
    loses = (price < mark) if order.sells else (price > mark)
    loss = div_up(abs(price - mark) * size, WAD * CENT) if loses else 0
    return div_up(price * size, WAD * CENT), loss
