"""Block RFQ: ask for prices of one or more legs, quote them privately, trade the whole at once.

Whoever asks names legs and sizes; makers answer with their signed orders for all of them and a
consent to the request; who asked accepts one answer with orders of his own and a consent to that
one. Both are signed for blocks alone (``revision`` 65,535, the venue as executor), so that neither
can serve for anything else (docs/decisions/0017). The same signed quote or acceptance sent again
gets the first one's answer.
"""

from __future__ import annotations

import asyncio
import secrets
from typing import Any

from novate import errors
from novate.api.numbers import decimal, lots
from novate.api.outcomes import orders_of
from novate.api.public_methods import Nothing, parse_account
from novate.api.rejections import bad
from novate.api.rfq import SECONDS_MAX, SECONDS_MIN, Leg, Quote, Rfq, State
from novate.api.rfq_requests import (
    Accept,
    AddQuote,
    AskedLeg,
    BlockTrades,
    CreateRfq,
    Listing,
    QuoteId,
    QuoteListing,
    RfqId,
    consent_of,
    hash_of,
    room_of,
    signed_legs,
)
from novate.api.rfq_room import clock_ms
from novate.api.rpc import Call, method
from novate.api.signed_orders import LOTS_MAX, checked_label
from novate.api.venue import VenueApi
from novate.errors import (
    REGISTRY,
    OutcomeUnknown,
    QuoteMismatch,
    Rejected,
    RfqNotFound,
    require,
)
from novate.limits import BLOCK_LEGS_MAX
from novate.wire import block
from novate.wire.records import BlockAccepted, OrderPlaced

MAKERS_MAX = 32


# Who asks


@method("private/create_block_rfq", CreateRfq, scope="trade", cost=5)
async def create_block_rfq(call: Call, params: CreateRfq) -> dict[str, Any]:
    """Ask for quotes. Errors: ``RfqLimit``, ``NonceUsed``, those of names and numbers."""
    room, account, now = room_of(call), call.session.account, clock_ms()
    if not SECONDS_MIN <= params.valid_for <= SECONDS_MAX:
        raise bad("valid_for", f"must be {SECONDS_MIN} to {SECONDS_MAX} seconds")
    if len(params.makers) > MAKERS_MAX:
        raise bad("makers", f"must be at most {MAKERS_MAX}")
    if params.nonce is not None and not 0 <= params.nonce < 1 << 64:
        raise bad("nonce", "must be a whole number from 0 to 2^64 - 1")
    name = secrets.token_bytes(32)
    if params.nonce is not None:
        name = room.desk.name(account, params.nonce)
    rfq = Rfq(
        id=name,
        taker=account,
        legs=_asked(call, params.legs),
        created_ms=now,
        expires_ms=now + 1_000 * params.valid_for,
        label=checked_label(params.label),
        disclosed=params.disclosed,
        makers=frozenset(parse_account(maker) for maker in params.makers),
    )
    found = room.desk.open(rfq, now)
    if found is rfq:
        room.watch(rfq)
        room.tell_request(rfq)
    return room.request(found, account)


def _asked(call: Call, legs: list[AskedLeg]) -> tuple[Leg, ...]:
    market = call.session.venue.market
    if not 1 <= len(legs) <= BLOCK_LEGS_MAX:
        raise bad("legs", f"must be 1 to {BLOCK_LEGS_MAX}")
    made = []
    for index, leg in enumerate(legs):
        item = market.named(leg.instrument_name)
        if item.kind == "spot":
            raise bad(f"legs[{index}].instrument_name", "must not be spot")
        size = lots(f"legs[{index}].amount", leg.amount, item.lot_size)
        if size > LOTS_MAX:
            raise bad(f"legs[{index}].amount", "is too large")
        made.append(Leg(item.id, size if leg.direction == "buy" else -size))
    if len({leg.instrument for leg in made}) != len(made):
        raise bad("legs", "must each be another instrument")
    return tuple(made)


@method("private/cancel_block_rfq", RfqId, scope="trade")
async def cancel_block_rfq(call: Call, params: RfqId) -> dict[str, Any]:
    """Ask no more. Errors: ``RfqNotFound``."""
    room = room_of(call)
    rfq = room.desk.require_open(hash_of("block_rfq_id", params.block_rfq_id), clock_ms())
    require(rfq.taker == call.session.account, RfqNotFound)
    room.desk.end(rfq, State.CANCELLED)
    room.tell_request(rfq)
    return room.request(rfq, rfq.taker)


@method("private/get_block_rfqs", Listing, scope="read")
async def get_block_rfqs(call: Call, params: Listing) -> list[dict[str, Any]]:
    """Requests, newest first: own ones with their quotes, others' without who asks."""
    room, account = room_of(call), call.session.account
    if not 1 <= params.count <= 100:
        raise bad("count", "must be from 1 to 100")
    wanted = hash_of("block_rfq_id", params.block_rfq_id) if params.block_rfq_id else b""
    found = []
    for rfq in reversed(room.desk.of(clock_ms())):
        own = rfq.taker == account
        # of what is over, others see only where they had a part
        mine = own or any(quote.maker == account for quote in rfq.quotes.values())
        asked = not rfq.makers or account in rfq.makers
        is_open = rfq.state in (State.OPEN, State.ACCEPTING)
        shown = own if params.role == "taker" else not own or params.role == "any"
        state = State.OPEN if is_open else rfq.state
        if (
            shown
            and (mine or (is_open and asked))
            and wanted in (b"", rfq.id)
            and (wanted or params.state in ("any", state.value))
        ):
            found.append(room.request(rfq, account))
    return found[: params.count]


# Who quotes


@method("private/add_block_rfq_quote", AddQuote, scope="trade", cost=2)
async def add_block_rfq_quote(call: Call, params: AddQuote) -> dict[str, Any]:
    """Quote one side of a request; a later quote of that side takes the place of the former.

    Errors: ``RfqNotFound``, ``QuoteMismatch``, ``BadSignature``, ``NoConsent``, ``SelfMatch``,
    ``NotOwner`` (others are asked), ``RfqLimit``.
    """
    room, now = room_of(call), clock_ms()
    rfq = room.desk.require_open(hash_of("block_rfq_id", params.block_rfq_id), now)
    buys = params.direction == "buy"
    require(call.session.account >> 96 != rfq.taker >> 96, errors.SelfMatch)
    if not now < 1_000 * params.expiry <= rfq.expires_ms + 999:
        raise bad("expiry", "must lie between now and the end of the request, in seconds")
    if any(leg.expiry < params.expiry for leg in params.legs):
        raise bad("legs", "must each expire no earlier than the quote")
    orders = signed_legs(call, rfq, params.legs, buys)
    consent = consent_of(call, rfq, orders, block.NOBODY, params.expiry, params.consent)
    made = Quote(
        id=block.orders_hash(placed.digest for placed in orders),
        maker=call.session.account,
        buys=buys,
        orders=orders,
        prices=tuple(int(placed.order.price) for placed in orders),
        consent=consent,
        expiry=params.expiry,
        created_ms=now,
        label=checked_label(params.label),
    )
    kept = room.desk.quote(rfq, made, now)
    if kept is made:
        room.tell_quote(rfq, made)
    return room.quote(rfq, kept)


@method("private/cancel_block_rfq_quote", QuoteId, scope="trade")
async def cancel_block_rfq_quote(call: Call, params: QuoteId) -> dict[str, Any]:
    """Take a quote back. Errors: ``QuoteNotFound`` (also while it is being accepted)."""
    room = room_of(call)
    name = hash_of("block_rfq_quote_id", params.block_rfq_quote_id)
    rfq, quote = room.desk.require_quote(name, clock_ms())
    require(quote.maker == call.session.account, errors.QuoteNotFound)
    room.desk.cancel_quote(rfq, quote)
    room.tell_quote(rfq, quote)
    return room.quote(rfq, quote)


@method("private/cancel_all_block_rfq_quotes", Nothing, scope="trade")
async def cancel_all_block_rfq_quotes(call: Call, params: Nothing) -> int:
    """Take all quotes back; how many."""
    room = room_of(call)
    mine = _own_quotes(call)
    for rfq, quote in mine:
        room.desk.cancel_quote(rfq, quote)
        room.tell_quote(rfq, quote)
    return len(mine)


@method("private/get_block_rfq_quotes", QuoteListing, scope="read")
async def get_block_rfq_quotes(call: Call, params: QuoteListing) -> list[dict[str, Any]]:
    """Own open quotes."""
    only = hash_of("block_rfq_id", params.block_rfq_id) if params.block_rfq_id else b""
    return [
        room_of(call).quote(rfq, quote) for rfq, quote in _own_quotes(call) if only in (b"", rfq.id)
    ]


def _own_quotes(call: Call) -> list[tuple[Rfq, Quote]]:
    desk, now, account = room_of(call).desk, clock_ms(), call.session.account
    return [
        (rfq, quote)
        for rfq in desk.of(now)
        if rfq.state is State.OPEN
        for quote in desk.quotes_of(rfq, account, now // 1_000)  # division: to seconds
    ]


# Who accepts


@method("private/accept_block_rfq", Accept, scope="trade", cost=5)
async def accept_block_rfq(call: Call, params: Accept) -> dict[str, Any]:
    """Trade a quote as a whole, outside the book.

    Errors: ``RfqNotFound``, ``QuoteNotFound``, ``QuoteMismatch``, ``BadSignature``, ``NoConsent``,
    and those of the engine, after which the request is open again, without that quote.
    """
    room, venue, now = room_of(call), call.session.venue, clock_ms()
    name = hash_of("block_rfq_id", params.block_rfq_id)
    quote_id = hash_of("block_rfq_quote_id", params.block_rfq_quote_id)
    rfq = room.desk.find(name, now)
    require(rfq is not None and rfq.taker == call.session.account, RfqNotFound)
    assert rfq is not None
    orders = signed_legs(call, rfq, params.legs, params.direction == "buy")
    first = orders[0].digest
    known = venue.orders.by_digest.get(first)
    again = known is not None and known.state != "rejected"
    if not again and first not in venue.placing:
        rfq, quote = _quoted(call, rfq, quote_id, orders, params.direction == "buy")
        command = BlockAccepted(
            rfq=rfq.id,
            taker=orders,
            maker=quote.orders,
            taker_consent=consent_of(call, rfq, orders, quote.id, quote.expiry, params.consent),
            maker_consent=quote.consent,
            expiry=quote.expiry,
            received_ms=now,
        )
        room.desk.accepting(rfq, quote, command)
        venue.placing[first] = asyncio.ensure_future(_enter(venue, command))
    if not again:
        with orders_of(*[placed.digest for placed in orders]):
            await asyncio.shield(venue.placing[first])
    return _outcome(call, rfq, orders)


def _quoted(
    call: Call, rfq: Rfq, quote_id: bytes, orders: list[OrderPlaced], buys: bool
) -> tuple[Rfq, Quote]:
    """The open quote that orders take. Errors: ``RfqNotFound``, ``QuoteNotFound``,
    ``QuoteMismatch``.
    """
    desk, now = room_of(call).desk, clock_ms()
    desk.require_open(rfq.id, now)
    found, quote = desk.require_quote(quote_id, now)
    require(found is rfq, errors.QuoteNotFound)
    other = "sell" if quote.buys else "buy"
    require(quote.buys != buys, QuoteMismatch, f"direction: must be {other}")
    for index, (placed, price) in enumerate(zip(orders, quote.prices, strict=True)):
        fits = placed.order.price == str(price)
        require(fits, QuoteMismatch, f"legs[{index}].price: must be {decimal(price)}")
    return rfq, quote


async def _enter(venue: VenueApi, command: BlockAccepted) -> None:
    """One entry of a block, which all who send it meanwhile wait for."""
    first = command.taker[0].digest
    try:
        await venue.core.submit(command)
    except Rejected as rejected:
        if rejected.error is not OutcomeUnknown:
            venue.rfqs.desk.decided(first, trades=False)
        raise
    finally:
        del venue.placing[first]


def _outcome(call: Call, rfq: Rfq, orders: list[OrderPlaced]) -> dict[str, Any]:
    """What became of an acceptance. Errors: the engine's."""
    venue = call.session.venue
    states = [venue.orders.by_digest[placed.digest] for placed in orders]
    for state in states:
        if state.state == "rejected":
            raise Rejected(REGISTRY[state.reason])
    return venue.rfqs.block(rfq.id) | {
        "state": rfq.state.value,
        "orders": [venue.market.order(state) for state in states],
    }


@method("public/get_block_rfq_trades", BlockTrades)
async def get_block_rfq_trades(call: Call, params: BlockTrades) -> list[dict[str, Any]]:
    """The last day's blocks, newest first."""
    venue = call.session.venue
    if not 1 <= params.count <= 100:
        raise bad("count", "must be from 1 to 100")
    within = {item.id for item in venue.market.of(params.currency, None)}
    found = [
        rfq_id
        for rfq_id, sequences in reversed(venue.orders.executed.items())
        if any(venue.orders.trades[n].match.instrument in within for n in sequences)
    ]
    return [venue.rfqs.block(rfq_id) for rfq_id in found[: params.count]]
