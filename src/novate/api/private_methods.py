"""Private methods: orders, positions, the account (docs/api.md).

An order is signed by the account's owner or a session key before it comes here; the venue cannot
change it. What is signed states lots, limit price, fee, nonce, expiry and flags; what is said
beside it (label, fill-or-kill, self-trade prevention) instructs the engine only. The same signed
order sent again gets the first one's answer, never a second order.
"""

from __future__ import annotations

import asyncio
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from novate import errors
from novate.api import positions
from novate.api.core import Answer, heard
from novate.api.orders import OrderState
from novate.api.outcomes import orders_of
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method, now_us
from novate.api.signed_orders import PlaceOrder, instructed, signed_order
from novate.errors import REGISTRY, OrderNotFound, Rejected, require
from novate.wire.records import AnyRecord, CancelRequested, OrderDone

if TYPE_CHECKING:
    from novate.api.session import Session
    from novate.api.venue import VenueApi


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


async def place(
    call: Call, params: PlaceOrder, sells: bool, amends: bool = False
) -> dict[str, Any]:
    """Verify, enter, and say what became of it; a signed order enters once, however often and from
    how many connections it is sent; ``amends``: in place of the open order of its nonce.

    Errors: those of the gateway and the engine.
    """
    venue = call.session.venue
    signed = signed_order(call, params, sells)
    digest = venue.gateway.digest(signed.order)
    signer = await venue.signatures.signer(digest, signed.r, signed.vs)
    kill = params.time_in_force == "fill_or_kill"
    now_ms = call.us_in // 1_000  # division: to milliseconds
    command = venue.gateway.verified(
        signed, digest, signer, now_ms, kill, params.self_trading, params.label
    )
    item = venue.market.named(params.instrument_name)
    command = instructed(command, params, item.tick)
    if amends:
        command = replace(command, amends=True)
    known = venue.orders.by_digest.get(digest)
    if known is None:
        with orders_of(digest):
            await entered(venue, digest, command)
        known = venue.orders.by_digest[digest]
    if known.state == "rejected":
        raise Rejected(REGISTRY[known.reason])
    trades = taken_by(venue, known, digest) if known.filled else []
    return {"order": venue.market.order(known), "trades": trades}


def taken_by(venue: VenueApi, state: OrderState, digest: bytes) -> list[dict[str, Any]]:
    """The trades that an order took, oldest first; none is older than the order itself."""
    newest_first = reversed(venue.orders.by_instrument[state.terms.instrument])
    since = takewhile(lambda trade: trade.timestamp_ms >= state.created_ms, newest_first)
    found = [venue.market.trade(trade) for trade in since if trade.match.taker == digest]
    return found[::-1]


async def entered(venue: VenueApi, digest: bytes, command: AnyRecord) -> None:
    """One entry of what a digest names, which all who send it meanwhile wait for; it is under way
    until it is durable or refused, whoever still waits.
    """
    under_way = venue.placing.get(digest)
    if under_way is None:
        under_way = venue.placing[digest] = venue.core.begin([command])

        def over(answer: Answer) -> None:
            del venue.placing[digest]
            answer.exception()  # it was heard, though nobody may wait any more

        under_way.add_done_callback(over)
    (found,) = await heard(under_way)
    if isinstance(found, Rejected):
        raise found


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
    with orders_of(*[state.digest for state in states]):
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
    return positions.held(venue.core.engine, venue.orders, call.session.account)
