"""Blocks: two parties' legs traded with each other outside the book, all of them or none.

Owns: what makes a block (both parties' signed orders and consents, leg against leg), and its way
into the open batch, where it is judged as the Clearinghouse will judge it: each leg by itself, both
accounts once, behind the last leg. A block never meets the book, and what is signed for one never
enters it (``Order.block_only``); price-time priority does not apply to it, consent does
(docs/decisions/0017). Lots whole, prices in wad.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

from novate import errors, limits
from novate.engine import admission
from novate.engine.admission import signer_of
from novate.engine.batching import Batching
from novate.engine.judge import Judge
from novate.engine.matching import Matcher
from novate.engine.open_orders import OpenOrder
from novate.engine.orders import terms_of
from novate.errors import Rejected, require
from novate.model import fees, ledger, novation, open_margin
from novate.model.account import Account
from novate.model.novation import Net, Trade
from novate.model.order import Order
from novate.wire import block, eip712
from novate.wire.block import Consent
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.records import (
    AnyRecord,
    BlockAccepted,
    OrderDone,
    OrderPlaced,
    OrderRejected,
)

_LOG = logging.getLogger("novate.engine")
Nonces = dict[tuple[int, bool, int], bytes]


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg: both orders as they were placed, and their terms."""

    taker: OrderPlaced
    maker: OrderPlaced
    bid: Order
    ask: Order
    taker_buys: bool

    @property
    def sides(self) -> tuple[tuple[OrderPlaced, Order], tuple[OrderPlaced, Order]]:
        """The taker's order, then the maker's."""
        pair = (self.bid, self.ask) if self.taker_buys else (self.ask, self.bid)
        return (self.taker, pair[0]), (self.maker, pair[1])


def enter(matcher: Matcher, nonces: Nonces, command: BlockAccepted) -> list[AnyRecord]:
    """Trade a block, or refuse each of its orders for the one reason that bars it; a fault of ours
    is such a reason, too: it came before anything was carried out.
    """
    batching = matcher.batching
    try:
        legs = _sound_legs(batching, nonces, command)
        _admit(matcher, legs)
    except Exception as fault:
        batching.undo()
        error = fault.error if isinstance(fault, Rejected) else errors.InternalFault
        if error is errors.InternalFault:
            _LOG.error("block 0x%s", command.rfq.hex(), exc_info=fault)
        return [OrderRejected(placed.digest, error.code) for placed in command.orders]
    events: list[AnyRecord] = []
    for leg in legs:
        taker, maker = (_open(placed, terms) for placed, terms in leg.sides)
        size, price = leg.bid.size, leg.bid.price
        paid = batching.fees(leg.bid.instrument, size, price)
        events.append(batching.matched(maker, taker, size, price, paid))
    for leg in legs:
        for placed, terms in leg.sides:
            batching.placed.keep(placed)
            nonces[terms.account, terms.immediate, terms.nonce] = placed.digest
            events.append(OrderDone(placed.digest, "filled", 0, 0))
    return events


def has_room(batching: Batching, legs: int) -> bool:
    """Whether the open batch takes a block of so many legs; an empty one takes any."""
    held = batching.open.pending.batch
    fits = (
        len(held.accounts) <= limits.ACCOUNTS_PER_BATCH_MAX - 2
        and len(held.instruments) + legs <= limits.INSTRUMENTS_PER_BATCH_MAX
        and len(held.trades) + legs <= batching.settings.fills_per_batch
        and len(batching.open.orders) + 2 * legs <= limits.ORDERS_PER_BATCH_MAX
    )
    return fits or not held.accounts


def _open(placed: OrderPlaced, terms: Order) -> OpenOrder:
    """An order of a block, as a match has it; it has no place in a book."""
    return OpenOrder(0, placed, terms, signer_of(placed), 0, terms.size)


# What a block must be


def _sound_legs(batching: Batching, nonces: Nonces, command: BlockAccepted) -> list[Leg]:
    """The legs of a block that both parties signed for, cheapest checks first.

    Errors: NonceUsed, QuoteMismatch, BlockExpired, those of ``_require_order`` and ``_leg``,
    NoConsent, those of ``admission.require_settles``.
    """
    digests, known = [placed.digest for placed in command.orders], batching.placed.orders
    fresh = len(set(digests)) == len(digests) and not any(d in known for d in digests)
    require(fresh, errors.NonceUsed)
    require(len(command.taker) == len(command.maker), errors.QuoteMismatch)
    require(batching.world.now <= command.expiry, errors.BlockExpired)
    legs = [_leg(batching, *pair) for pair in zip(command.taker, command.maker, strict=True)]
    instruments = {leg.bid.instrument for leg in legs}
    require(len(instruments) == len(legs), errors.QuoteMismatch)
    _require_consents(batching.settings.separator, command)
    keys = set()
    for leg in legs:
        for placed, terms in leg.sides:
            until = batching.clock.settles_by
            admission.require_settles(batching.world, terms, signer_of(placed), until)
            key = terms.account, terms.immediate, terms.nonce
            require(key not in keys and key not in nonces, errors.NonceUsed)
            keys.add(key)
    return legs


def _leg(batching: Batching, taker: OrderPlaced, maker: OrderPlaced) -> Leg:
    """Two orders that are each other's mirror.

    Errors: those of ``_require_order``, InstrumentMismatch, SameSide, QuoteMismatch.
    """
    one, other = terms_of(taker.order), terms_of(maker.order)
    for placed, terms in ((taker, one), (maker, other)):
        _require_order(batching, placed, terms)
    require(one.instrument == other.instrument, errors.InstrumentMismatch)
    require(one.sells != other.sells, errors.SameSide)
    require(one.size == other.size and one.price == other.price, errors.QuoteMismatch)
    bid, ask = (other, one) if one.sells else (one, other)
    return Leg(taker, maker, bid, ask, not one.sells)


def _require_order(batching: Batching, placed: OrderPlaced, terms: Order) -> None:
    """An order signed for blocks of this venue alone, by a key.

    Errors: BlockOnly, MalformedOrder, NotExecutor, those of ``admission.require_sound``.
    """
    by_key = len(placed.signature) == COMPACT_BYTES
    require(by_key and not terms.post_only, errors.MalformedOrder)
    admission.require_sound(batching.world, batching.settings.executor, terms, block=True)
    # if anyone could settle it, a stranger might take one leg of an open quote
    require(terms.executor == batching.settings.executor, errors.NotExecutor)


def _require_consents(separator: bytes, command: BlockAccepted) -> None:
    """Each side's orders are of one account and one signer, who consented to this very block.

    Errors: QuoteMismatch, NoConsent.
    """
    quoted = block.orders_hash(placed.digest for placed in command.maker)
    taken = block.orders_hash(placed.digest for placed in command.taker)
    for orders, own, counter, signature in (
        (command.maker, quoted, block.NOBODY, command.maker_consent),
        (command.taker, taken, quoted, command.taker_consent),
    ):
        signers = {(placed.order.account, placed.signer) for placed in orders}
        require(len(signers) == 1, errors.QuoteMismatch)
        account, signer = next(iter(signers))
        number = int.from_bytes(account, "big")
        consent = Consent(number, command.rfq, own, counter, command.expiry)
        digest = block.consent_digest(separator, consent)
        r, vs = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
        require(eip712.recover(digest, r, vs) == "0x" + signer.hex(), errors.NoConsent)


# Into the open batch


def _admit(matcher: Matcher, legs: Sequence[Leg]) -> None:
    """Take every leg into the open batch, then judge both accounts.

    Errors: those of ``novation``, FeeAboveMax, SessionKeyBudget, InsufficientMargin; the open batch
    is then to be put back.
    """
    world, pending = matcher.world, matcher.batching.open.pending
    net = Net(dict(pending.net.lots), dict(pending.net.variation), dict(pending.net.paid))
    for leg in legs:
        _add(matcher.batching, net, leg)
    for _, terms in legs[0].sides:
        index = pending.batch.accounts.index(terms.account)
        start = pending.batch.loaded[index][0]
        after = novation.applied(pending.batch, net, index)
        judged = ledger.check_row(world, after)
        require(ledger.passes_gate(world, start, judged), errors.InsufficientMargin)
        now = pending.rows.get(index, start)
        _require_open_orders(matcher.judge, terms.account, now, after)
        pending.rows[index] = after
    pending.net = net
    pending.recount()


def _add(batching: Batching, net: Net, leg: Leg) -> None:
    """One leg: what it costs either side, and whether it stands by itself."""
    held, world = batching.open, batching.world
    batch = held.pending.batch
    (_, taker), (_, maker) = leg.sides
    terms, forward = (
        world.ledger.terms_of(taker.instrument),
        fees.forward_of(world, taker.instrument),
    )
    fee_taker, fee_maker = fees.of_fill(
        world.exchange.settings, terms, taker.size, taker.price, forward
    )
    trade = Trade(
        taker=batch.add_account(world, taker.account),
        maker=batch.add_account(world, maker.account),
        instrument=batch.add_instrument(world, taker.instrument),
        taker_buys=leg.taker_buys,
        lots=taker.size,
        price=taker.price,
        fee_taker=fee_taker,
        fee_maker=fee_maker,
        taker_reduce_only=taker.reduce_only,
        maker_reduce_only=maker.reduce_only,
    )
    found = novation.fault(batch, net, trade, world.now < world.ledger.config.paused_until)
    if found is not None:
        raise Rejected(found)
    reduces = any(novation.reductions(batch, net, trade))
    novation.add_trade(batch, net, trade)
    crowded = not reduces and trade.instrument in novation.over_cap(batch, net)
    require(not crowded, errors.OpenInterestCap)
    batch.trades.append(trade)
    for (placed, order), fee in zip(leg.sides, (trade.fee_taker, trade.fee_maker), strict=True):
        enough = fees.with_room(terms, fee) <= order.max_fee * order.size
        require(enough, errors.FeeAboveMax)
        signer = signer_of(placed)
        spent = held.budgets.after(world, order, signer, order.size, order.price)
        held.add(placed.digest, placed.signature)
        if spent is not None:
            held.budgets.spent[order.account, signer.address] = spent


def _require_open_orders(judge: Judge, account: int, before: Account, after: Account) -> None:
    """The account can still hold its open orders at their worst, or the block left it no worse.

    Errors: InsufficientMargin.
    """
    judge.lanes.round.refresh()
    reaches = judge.fillable(account)
    if not reaches:
        return
    costs = judge.costs(account)
    funded = open_margin.funded(judge.world, after, reaches, costs, judge.lanes.round.dated)
    holds = funded or open_margin.reduces(judge.world, before, after)
    require(holds, errors.InsufficientMargin)
