"""Signed orders as they are sent: their parameters, read into what was signed, exactly.

Owns: the one way from ``private/buy``'s fields (those of every method that sends orders) to the
order whose digest the account has signed, and what is said beside it. Lots, prices and fees become
integers without rounding; what does not fit is refused by its field.
"""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache
from typing import Any, Literal, Protocol

from msgspec.structs import replace

from novate import errors
from novate.api.market import Market
from novate.api.numbers import Number, lots, positive_wad, price
from novate.api.public_methods import parse_account
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters
from novate.errors import Rejected, require
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.services.gateway import is_address
from novate.wire.order import SignedOrder
from novate.wire.records import OrderPlaced

LABEL_MAX = 64
LOTS_MAX = 2**43 - 1
MONEY_MAX = 2**128 - 1
TOO_LARGE = "is too large"
BITS = {"nonce": 64, "expiry": 40, "revision": 16, "exclusive_until": 40}
SIGNATURE_BYTES = 64
OrderType = Literal["limit", "stop_limit", "take_limit", "stop_market", "take_market"]
SelfTrading = Literal["cancel_maker", "reject_taker", "cancel_both"]


class PlaceOrder(Parameters):
    """A signed order; ``max_fee`` in USD a contract (lot), ``expiry`` and times in unix seconds."""

    instrument_name: str
    amount: Number
    price: Number
    max_fee: Number
    nonce: int
    expiry: int
    signature: str
    account: str = ""
    revision: int = 0
    exclusive_until: int = 0
    executor: str = ZERO_ADDRESS
    type: OrderType = "limit"
    time_in_force: Literal[
        "good_til_cancelled", "good_til_date", "immediate_or_cancel", "fill_or_kill"
    ] = "good_til_cancelled"
    post_only: bool = False
    reject_post_only: bool = True
    reduce_only: bool = False
    label: str = ""
    client_order_id: str = ""
    signer: str = ""
    self_trading: SelfTrading = "cancel_maker"
    trigger: Literal["", "mark_price"] = ""
    trigger_price: Number | None = None
    mmp: bool = False


class SentOrder(Protocol):
    """What of an order is signed, as it is sent: alone, or as one of a tree."""

    instrument_name: str
    amount: Number
    price: Number
    max_fee: Number
    nonce: int
    expiry: int
    executor: str
    time_in_force: Any
    post_only: bool
    reduce_only: bool

    @property
    def revision(self) -> int:
        """Of an order of a tree: 0."""
        ...

    @property
    def exclusive_until(self) -> int:
        """Of an order of a tree: 0."""
        ...


def signed_order(call: Call, params: PlaceOrder, sells: bool, own: bool = True) -> SignedOrder:
    """The order that was signed, from what was sent. Errors: ``InvalidField``, those of names."""
    order = order_of(call, params, sells, own)
    return SignedOrder(order, *signature_words("signature", params.signature))


def order_of(call: Call, params: PlaceOrder, sells: bool, own: bool = True) -> Order:
    """The order that is said to be signed. Errors: ``InvalidField``, those of names."""
    session = call.session
    account = parse_account(params.account) if params.account else session.account
    require(account == session.account or not own, errors.NotOwner)
    checked_label(params.label)
    checked_label(params.client_order_id, "client_order_id")
    if params.signer and not is_address(params.signer.lower()):
        raise bad("signer", "must be 0x and 40 hexadecimal digits")
    return order_sent(session.venue.market, account, params, sells)


def checked_label(text: str, field: str = "label") -> str:
    """A client's own words. Errors: ``InvalidField``."""
    if len(text) > LABEL_MAX or not text.isprintable():
        raise bad(field, f"must be at most {LABEL_MAX} printable characters")
    return text


def order_sent(market: Market, account: int, params: SentOrder, sells: bool) -> Order:
    """The order of an account, from what was sent. Errors: ``InvalidField``, those of names."""
    item = market.named(params.instrument_name)
    immediate = params.time_in_force in ("immediate_or_cancel", "fill_or_kill")
    flags = REDUCE_ONLY * params.reduce_only | POST_ONLY * params.post_only | IMMEDIATE * immediate
    size = lots("amount", params.amount, item.lot_size)
    if size > LOTS_MAX:
        raise bad("amount", TOO_LARGE)
    nonce, expiry = params.nonce, params.expiry
    revision, exclusive_until = params.revision, params.exclusive_until
    # a negative number shifted stays negative
    if nonce >> 64 | expiry >> 40 | revision >> 16 | exclusive_until >> 40:
        raise _too_wide(params)
    if 0 < item.expiry < expiry:
        # its number will be another's; an order that lived on would be for that one
        raise bad("expiry", f"must be at most {item.expiry}, when {item.name} expires")
    executor = params.executor
    if executor != ZERO_ADDRESS:
        executor = executor.lower()
        if not is_address(executor):
            raise bad("executor", "must be 0x and 40 hexadecimal digits")
    limit = price("price", params.price, item.tick)
    if limit > MONEY_MAX:
        raise bad("price", TOO_LARGE)
    fee = positive_wad("max_fee", params.max_fee)
    if fee > MONEY_MAX:
        raise bad("max_fee", TOO_LARGE)
    if sells:
        size = -size
    of_all = account, item.id, size, limit, fee, nonce, expiry, revision, exclusive_until
    return Order(*of_all, flags, executor)


def _too_wide(params: SentOrder) -> Rejected:
    """What is signed as an unsigned integer, and does not fit it, by its name."""
    for name, bits in BITS.items():
        if getattr(params, name) >> bits:
            return bad(name, f"must be a whole number from 0 to 2^{bits} - 1")
    raise AssertionError("all fit")


@lru_cache(256)  # all orders of a tree share one
def signature_words(field: str, text: str) -> tuple[int, int]:
    """A compact signature's words. Errors: ``InvalidField``."""
    raw = signature_bytes(field, text)
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")


def signature_bytes(field: str, text: str) -> bytes:
    """A compact signature: r, then s with its parity. Errors: ``InvalidField``."""
    digits = text.removeprefix("0x")
    raw = b""
    if len(digits) == 2 * SIGNATURE_BYTES:
        with suppress(ValueError):
            raw = bytes.fromhex(digits)
    # hexadecimal text may have spaces: then there are fewer bytes
    if len(raw) != SIGNATURE_BYTES:
        raise bad(field, "must be 0x and 128 hexadecimal digits: r, then s with its parity")
    return raw


def instructed(command: OrderPlaced, params: PlaceOrder, tick: int) -> OrderPlaced:
    """The command with what was said beside the signed order: slides, trigger, protection.

    Errors: ``InvalidField``, those of ``price``.
    """
    kind, _, way = params.type.partition("_")
    trigger, wanted = "", 0
    if way:
        if params.trigger_price is None:
            raise bad("trigger_price", f"is needed for type {params.type}")
        if way == "market" and params.time_in_force != "immediate_or_cancel":
            raise bad("time_in_force", f"must be immediate_or_cancel for type {params.type}")
        trigger, wanted = kind, price("trigger_price", params.trigger_price, tick)
    elif params.trigger or params.trigger_price is not None:
        raise bad("trigger", "needs a type such as stop_limit")
    slides = params.post_only and not params.reject_post_only
    if not (slides or trigger or params.mmp or params.client_order_id):
        return command
    said = {"slides": slides, "trigger": trigger, "trigger_price": str(wanted), "mmp": params.mmp}
    return replace(command, **said, client_order_id=params.client_order_id)
