"""What block RFQ methods take: their parameters, and the signed legs and consents in them.

Owns: the way from what a client sends to verified orders of a block. Nothing here changes anything.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from novate.api.numbers import Number, decimal
from novate.api.rejections import bad
from novate.api.rfq import Rfq
from novate.api.rfq_room import Room, clock_ms
from novate.api.rpc import Call, Parameters
from novate.api.signed_orders import (
    PlaceOrder,
    signature_words,
    signed_order,
)
from novate.errors import NoConsent, QuoteMismatch, require
from novate.model.order import BLOCK_REVISION
from novate.wire import block, eip712
from novate.wire.block import Consent
from novate.wire.records import OrderPlaced

Direction = Literal["buy", "sell"]


class AskedLeg(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One leg: what who buys the package does."""

    instrument_name: str
    amount: Number
    direction: Direction


class SignedLeg(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One leg's signed order; size and side follow from the request."""

    instrument_name: str
    price: Number
    max_fee: Number
    nonce: int
    expiry: int
    signature: str
    reduce_only: bool = False


class CreateRfq(Parameters):
    """Legs; how many seconds it stands; a nonce, so that it may be sent again; who may quote."""

    legs: list[AskedLeg]
    valid_for: int = 60
    nonce: int | None = None
    label: str = ""
    disclosed: bool = False
    makers: list[str] = msgspec.field(default_factory=list)


class RfqId(Parameters):
    """One request."""

    block_rfq_id: str


class AddQuote(Parameters):
    """A maker's side of all legs, in the request's order; ``direction``: it buys or sells the
    package; ``expiry`` (seconds) and ``consent`` as they are signed.
    """

    block_rfq_id: str
    direction: Direction
    legs: list[SignedLeg]
    expiry: int
    consent: str
    label: str = ""


class QuoteId(Parameters):
    """One quote."""

    block_rfq_quote_id: str


class Accept(Parameters):
    """The taker's side of a quote; ``consent`` names the quote's orders and bears its expiry."""

    block_rfq_id: str
    block_rfq_quote_id: str
    direction: Direction
    legs: list[SignedLeg]
    consent: str
    label: str = ""


class Listing(Parameters):
    """Requests of a role or state, or one of them."""

    block_rfq_id: str = ""
    role: Literal["taker", "maker", "any"] = "any"
    state: Literal["open", "filled", "cancelled", "expired", "any"] = "open"
    count: int = 20


class QuoteListing(Parameters):
    """Own open quotes, of one request if given."""

    block_rfq_id: str = ""


class BlockTrades(Parameters):
    """The last blocks."""

    currency: str = "any"
    count: int = 20


# Signed legs


def hash_of(field: str, text: str) -> bytes:
    """A 32-byte name. Errors: ``InvalidField``."""
    digits = text.removeprefix("0x")
    if len(digits) != 64 or set(digits.lower()) - set("0123456789abcdef"):
        raise bad(field, "must be 0x and 64 hexadecimal digits")
    return bytes.fromhex(digits)


def signed_legs(call: Call, rfq: Rfq, given: list[SignedLeg], buys: bool) -> list[OrderPlaced]:
    """The account's orders for all legs of a request, verified.

    Errors: ``QuoteMismatch``, ``BadSignature``, those of ``signed_order``.
    """
    venue = call.session.venue
    require(len(given) == len(rfq.legs), QuoteMismatch, f"legs: must be {len(rfq.legs)}")
    made = []
    for index, (leg, sent) in enumerate(zip(rfq.legs, given, strict=True)):
        item = venue.market.by_id[leg.instrument]
        same = sent.instrument_name == item.name
        require(same, QuoteMismatch, f"legs[{index}].instrument_name: must be {item.name}")
        placed = PlaceOrder(
            instrument_name=item.name,
            amount=decimal(abs(leg.lots) * item.lot_size),
            price=sent.price,
            max_fee=sent.max_fee,
            nonce=sent.nonce,
            expiry=sent.expiry,
            signature=sent.signature,
            revision=BLOCK_REVISION,
            executor=venue.executor,
            time_in_force="immediate_or_cancel",
            reduce_only=sent.reduce_only,
        )
        signed = signed_order(call, placed, sells=(leg.lots > 0) != buys)
        made.append(venue.gateway.order(signed, clock_ms()))
    return made


def consent_of(
    call: Call, rfq: Rfq, orders: list[OrderPlaced], counter: bytes, expiry: int, text: str
) -> bytes:
    """The consent to a block, signed by who signed its orders. Errors: ``NoConsent``."""
    separator, account = call.session.venue.separator, call.session.account
    r, vs = signature_words("consent", text)
    own = block.orders_hash(placed.digest for placed in orders)
    digest = block.consent_digest(separator, Consent(account, rfq.id, own, counter, expiry))
    signer = bytes.fromhex((eip712.recover(digest, r, vs) or "0x")[2:])
    require({placed.signer for placed in orders} == {signer}, NoConsent)
    return r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def room_of(call: Call) -> Room:
    """The venue's requests for quotes."""
    return call.session.venue.rfqs
