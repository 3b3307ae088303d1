"""Private methods: orders, positions, the account (docs/api.md).

An order is signed by the account's owner or a session key before it comes here; the venue cannot
change it. What is signed states lots, limit price, fee, nonce, expiry and flags; what is said
beside it (label, fill-or-kill, self-trade prevention) instructs the engine only. The same signed
order sent again gets the first one's answer, never a second order.
"""

from __future__ import annotations

import asyncio
import re
from functools import lru_cache
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Literal

from msgspec.structs import replace

from novate import errors
from novate.api import positions
from novate.api.core import Answer
from novate.api.numbers import Number, lots, positive_wad, price
from novate.api.orders import OrderState
from novate.api.public_methods import parse_account
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method, now_us
from novate.errors import REGISTRY, OrderNotFound, Rejected, require
from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.services.gateway import is_address
from novate.wire.order import SignedOrder
from novate.wire.records import AnyRecord, CancelRequested, OrderDone, OrderPlaced

if TYPE_CHECKING:
    from novate.api.session import Session
    from novate.api.venue import VenueApi

LABEL_MAX = 64
LOTS_MAX = 2**43 - 1
MONEY_MAX = 2**128 - 1
BITS = {"nonce": 64, "expiry": 40, "revision": 16, "exclusive_until": 40}
_SIGNATURE = re.compile("(?:0x)?([0-9a-fA-F]{64})([0-9a-fA-F]{64})")
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
    self_trading: SelfTrading = "cancel_maker"
    trigger: Literal["", "mark_price"] = ""
    trigger_price: Number | None = None
    mmp: bool = False


class OrderId(Parameters):
    """One order by its digest."""

    order_id: str


class Label(Parameters):
    """Orders of a label, of one currency if given."""

    label: str
    currency: str = ""


class InstrumentOnly(Parameters):
    """One instrument."""

    instrument_name: str


class OpenOrders(Parameters):
    """Open orders, of one instrument or currency if given."""

    instrument_name: str = ""
    currency: str = ""
    kind: str = ""
    type: str = ""


class AccountOnly(Parameters):
    """The session's account; ``currency`` is accepted and means the one cross-margined account."""

    currency: str = ""
    kind: str = ""
    extended: bool = False


class Nothing(Parameters):
    """No parameters."""


def signed_order(call: Call, params: PlaceOrder, sells: bool, own: bool = True) -> SignedOrder:
    """The order that was signed, from what was sent. Errors: ``InvalidField``, those of names."""
    session = call.session
    item = session.venue.market.named(params.instrument_name)
    account = parse_account(params.account) if params.account else session.account
    require(account == session.account or not own, errors.NotOwner)
    if len(params.label) > LABEL_MAX or not params.label.isprintable():
        raise bad("label", f"must be at most {LABEL_MAX} printable characters")
    immediate = params.time_in_force in ("immediate_or_cancel", "fill_or_kill")
    flags = REDUCE_ONLY * params.reduce_only | POST_ONLY * params.post_only | IMMEDIATE * immediate
    size = _within("amount", lots("amount", params.amount, item.lot_size), LOTS_MAX)
    for name, bits in BITS.items():
        # a negative number shifted stays negative
        if getattr(params, name) >> bits:
            raise bad(name, f"must be a whole number from 0 to 2^{bits} - 1")
    if 0 < item.expiry < params.expiry:
        # its number will be another's; an order that lived on would be for that one
        raise bad("expiry", f"must be at most {item.expiry}, when {item.name} expires")
    executor = params.executor.lower()
    if not is_address(executor):
        raise bad("executor", "must be 0x and 40 hexadecimal digits")
    signature = signature_words("signature", params.signature)
    order = Order(
        account=account,
        instrument=item.id,
        lots=-size if sells else size,
        price=_within("price", price("price", params.price, item.tick), MONEY_MAX),
        max_fee=_within("max_fee", positive_wad("max_fee", params.max_fee), MONEY_MAX),
        nonce=params.nonce,
        expiry=params.expiry,
        revision=params.revision,
        exclusive_until=params.exclusive_until,
        flags=flags,
        executor=executor,
    )
    return SignedOrder(order, *signature)


@lru_cache(256)  # all orders of a tree share one
def signature_words(field: str, text: str) -> tuple[int, int]:
    """A compact signature's words. Errors: ``InvalidField``."""
    found = _SIGNATURE.fullmatch(text)
    if found is None:
        raise bad(field, "must be 0x and 128 hexadecimal digits: r, then s with its parity")
    return int(found[1], 16), int(found[2], 16)


def _within(name: str, value: int, most: int) -> int:
    if value > most:
        raise bad(name, "is too large")
    return value


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
    if not (slides or trigger or params.mmp):
        return command
    return replace(
        command, slides=slides, trigger=trigger, trigger_price=str(wanted), mmp=params.mmp
    )


async def place(
    call: Call, params: PlaceOrder, sells: bool, amends: bool = False
) -> dict[str, Any]:
    """Verify, enter, and say what became of it; a signed order enters once, however often and from
    how many connections it is sent; ``amends``: in place of the open order of its nonce.

    Errors: those of the gateway and the engine.
    """
    venue = call.session.venue
    signed = signed_order(call, params, sells)
    kill = params.time_in_force == "fill_or_kill"
    now_ms = call.us_in // 1_000  # division: to milliseconds
    command = venue.gateway.order(signed, now_ms, kill, params.self_trading, params.label)
    item = venue.market.named(params.instrument_name)
    command = instructed(command, params, item.tick)
    if amends:
        command = replace(command, amends=True)
    known = venue.orders.by_digest.get(command.digest)
    if known is None:
        await entered(venue, command.digest, command)
        known = venue.orders.by_digest[command.digest]
    if known.state == "rejected":
        raise Rejected(REGISTRY[known.reason])
    trades = taken_by(venue, known, command.digest) if known.filled else []
    return {"order": venue.market.order(known), "trades": trades}


def taken_by(venue: VenueApi, state: OrderState, digest: bytes) -> list[dict[str, Any]]:
    """The trades that an order took, oldest first; none is older than the order itself."""
    newest_first = reversed(venue.orders.by_instrument[state.terms.instrument])
    since = takewhile(lambda trade: trade.timestamp_ms >= state.created_ms, newest_first)
    found = [venue.market.trade(trade) for trade in since if trade.match.taker == digest]
    return found[::-1]


async def entered(venue: VenueApi, digest: bytes, command: AnyRecord) -> None:
    """One entry of what a digest names, which all who send it meanwhile wait for."""
    under_way = venue.placing.get(digest)
    if under_way is None:
        under_way = _enter(venue, digest, command)
    await asyncio.shield(under_way)


def _enter(venue: VenueApi, digest: bytes, command: AnyRecord) -> asyncio.Future[None]:
    """Enter a command; it is under way until it is durable or refused, whoever still waits."""
    entry: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    answer = venue.core.begin([command])
    venue.placing[digest] = entry

    def told(answer: Answer) -> None:
        del venue.placing[digest]
        found = answer.exception() or answer.result()[0]
        if isinstance(found, BaseException):
            entry.set_exception(found)
        else:
            entry.set_result(None)

    answer.add_done_callback(told)
    return entry


@method("private/buy", PlaceOrder, scope="trade", cost=2)
async def buy(call: Call, params: PlaceOrder) -> dict[str, Any]:
    """Buy."""
    return await place(call, params, sells=False)


@method("private/sell", PlaceOrder, scope="trade", cost=2)
async def sell(call: Call, params: PlaceOrder) -> dict[str, Any]:
    """Sell."""
    return await place(call, params, sells=True)


async def cancel_for(
    session: Session, scope: str, value: int, quotes: bool = False, quote_set: str = ""
) -> int:
    """Cancel what a scope covers, in one command; how many orders it took out."""
    venue = session.venue
    command = CancelRequested(
        session.account.to_bytes(32, "big"),
        scope,
        value,
        bytes.fromhex(session.signer[2:]),
        now_us() // 1_000,  # division: to milliseconds
        quotes,
        quote_set,
    )
    events = await venue.core.submit(command)
    return sum(isinstance(event, OrderDone) for event in events)


def require_cancels(call: Call) -> None:
    """The session's signer may cancel. Errors: ``SessionKeyScope``."""
    session = call.session
    session.venue.gateway.require_cancels_for(session.account, session.signer)


async def cancel_states(call: Call, states: list[OrderState]) -> int:
    """Cancel orders by their nonces; how many were open."""
    made = [cancel_for(call.session, "nonce", state.terms.nonce) for state in states]
    await asyncio.gather(*made)
    return len(made)


@method("private/cancel", OrderId, scope="trade")
async def cancel(call: Call, params: OrderId) -> dict[str, Any]:
    """Take an order out of the book. Errors: ``OrderNotFound``, ``OrderNotOpen``."""
    require_cancels(call)
    state = own_order(call, params.order_id)
    require(state.is_open, errors.OrderNotOpen)
    await cancel_states(call, [state])
    return call.session.venue.market.order(state)


@method("private/cancel_all", Nothing, scope="trade")
async def cancel_all(call: Call, params: Nothing) -> int:
    """Take every order out of the book."""
    require_cancels(call)
    return await cancel_for(call.session, "all", 0)


@method("private/cancel_all_by_instrument", InstrumentOnly, scope="trade")
async def cancel_all_by_instrument(call: Call, params: InstrumentOnly) -> int:
    """Take every order of an instrument out of the book."""
    require_cancels(call)
    item = call.session.venue.market.named(params.instrument_name)
    return await cancel_for(call.session, "instrument", item.id)


@method("private/cancel_by_label", Label, scope="trade")
async def cancel_by_label(call: Call, params: Label) -> int:
    """Take the orders of a label out of the book."""
    require_cancels(call)
    orders = call.session.venue.orders.open_orders(call.session.account)
    return await cancel_states(call, [state for state in orders if state.label == params.label])


@method("private/get_open_orders", OpenOrders, scope="read")
@method("private/get_open_orders_by_instrument", OpenOrders, scope="read")
@method("private/get_open_orders_by_currency", OpenOrders, scope="read")
async def get_open_orders(call: Call, params: OpenOrders) -> list[dict[str, Any]]:
    """Open orders, oldest first."""
    venue = call.session.venue
    item = venue.market.named(params.instrument_name) if params.instrument_name else None
    found = venue.orders.open_orders(call.session.account, item.id if item else None)
    currency = params.currency or "any"
    within = {listed.id for listed in venue.market.of(currency, params.kind or None)}
    return [
        call.session.venue.market.order(state)
        for state in found
        if state.terms.instrument in within
    ]


@method("private/get_order_state", OrderId, scope="read")
async def get_order_state(call: Call, params: OrderId) -> dict[str, Any]:
    """One order, up to a day after its end. Errors: ``OrderNotFound``."""
    return call.session.venue.market.order(own_order(call, params.order_id))


@method("private/get_order_state_by_label", Label, scope="read")
async def get_order_state_by_label(call: Call, params: Label) -> list[dict[str, Any]]:
    """The orders of a label."""
    states = call.session.venue.orders.by_account.get(call.session.account, {}).values()
    return [
        call.session.venue.market.order(state) for state in states if state.label == params.label
    ]


@method("private/get_positions", AccountOnly, scope="read")
async def get_positions(call: Call, params: AccountOnly) -> list[dict[str, Any]]:
    """Every position."""
    market = call.session.venue.market
    return [
        positions.position(market, instrument, size)
        for instrument, size in sorted(held_by(call).items())
        if size
    ]


@method("private/get_position", InstrumentOnly, scope="read")
async def get_position(call: Call, params: InstrumentOnly) -> dict[str, Any]:
    """One position; size zero if there is none."""
    venue = call.session.venue
    item = venue.market.named(params.instrument_name)
    return positions.position(venue.market, item.id, held_by(call).get(item.id, 0))


@method("private/get_account_summary", AccountOnly, scope="read")
async def get_account_summary(call: Call, params: AccountOnly) -> dict[str, Any]:
    """Equity and margins at the engine's present prices."""
    return positions.summary(call.session.venue.core.world, call.session.account)


def own_order(call: Call, order_id: str) -> OrderState:
    """An order of the session's account. Errors: ``OrderNotFound``."""
    try:
        digest = bytes.fromhex(order_id.removeprefix("0x"))
    except ValueError:
        raise bad("order_id", "must be 0x and 64 hexadecimal digits") from None
    state = call.session.venue.orders.by_digest.get(digest)
    if state is None or state.terms.account != call.session.account:
        raise Rejected(OrderNotFound)
    return state


def held_by(call: Call) -> dict[int, int]:
    """What the session's account holds, by instrument."""
    venue = call.session.venue
    return positions.held(venue.core.world, venue.orders, call.session.account)
