"""Private methods: orders, positions, the account (docs/api.md).

An order is signed by the account's owner or a session key before it comes here; the venue cannot
change it. What is signed states lots, limit price, fee, nonce, expiry and flags; what is said
beside it (label, fill-or-kill, self-trade prevention) instructs the engine only. The same signed
order sent again gets the first one's answer, never a second order.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from novate import errors
from novate.api import positions
from novate.api.orders import OrderState
from novate.api.outcomes import orders_of
from novate.api.placing import Placing, place
from novate.api.rejections import bad
from novate.api.rpc import Call, Parameters, method, now_us
from novate.api.signed_orders import PlaceOrder
from novate.errors import OrderNotFound, Rejected, require
from novate.wire.records import CancelRequested, OrderDone

if TYPE_CHECKING:
    from novate.api.session import Session


class OrderId(Parameters):
    """One order by its digest, or by the id that its account gave it."""

    order_id: str = ""
    client_order_id: str = ""


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


@method("private/buy", PlaceOrder, scope="trade", cost=2, begin=partial(Placing, sells=False))
async def buy(call: Call, params: PlaceOrder) -> dict[str, Any]:
    """Buy."""
    return await place(call, params, sells=False)


@method("private/sell", PlaceOrder, scope="trade", cost=2, begin=partial(Placing, sells=True))
async def sell(call: Call, params: PlaceOrder) -> dict[str, Any]:
    """Sell."""
    return await place(call, params, sells=True)


async def cancel_for(
    session: Session, scope: str, value: int, quotes: bool = False, quote_set: str = ""
) -> int:
    """Cancel what a scope covers, in one command; how many orders it took out. A session key
    without the cancel scope takes out what it has signed itself.
    """
    venue = session.venue
    command = CancelRequested(
        session.account.to_bytes(32, "big"),
        scope,
        value,
        bytes.fromhex(session.signer[2:]),
        now_us() // 1_000,  # division: to milliseconds
        quotes,
        quote_set,
        own=not venue.gateway.cancels_all_of(session.account, session.signer),
    )
    events = await venue.core.submit(command)
    ends = [event.end for event in events if isinstance(event, OrderDone)]
    return ends.count("cancelled")  # others may have expired


def may_cancel(call: Call, state: OrderState) -> bool:
    """Whether the session's signer may take an order of its account out."""
    session, placed = call.session, state.placed
    own = placed is not None and placed.signer == bytes.fromhex(session.signer[2:])
    return own or session.venue.gateway.cancels_all_of(session.account, session.signer)


async def cancel_states(call: Call, states: list[OrderState]) -> int:
    """Cancel orders by their nonces; how many were open."""
    made = [cancel_for(call.session, "nonce", state.terms.nonce) for state in states]
    with orders_of(*[state.digest for state in states]):
        await asyncio.gather(*made)
    return len(made)


@method("private/cancel", OrderId, scope="trade")
async def cancel(call: Call, params: OrderId) -> dict[str, Any]:
    """Take an order out of the book. Errors: ``OrderNotFound``, ``SessionKeyScope`` (another has
    signed it, and the session key may not cancel that), ``OrderNotOpen``.
    """
    state = meant_order(call, params)
    require(may_cancel(call, state), errors.SessionKeyScope)
    require(state.is_open, errors.OrderNotOpen)
    await cancel_states(call, [state])
    return call.session.venue.market.order(state)


@method("private/cancel_all", Nothing, scope="trade")
async def cancel_all(call: Call, params: Nothing) -> int:
    """Take every order out of the book."""
    return await cancel_for(call.session, "all", 0)


@method("private/cancel_all_by_instrument", InstrumentOnly, scope="trade")
async def cancel_all_by_instrument(call: Call, params: InstrumentOnly) -> int:
    """Take every order of an instrument out of the book."""
    item = call.session.venue.market.named(params.instrument_name)
    return await cancel_for(call.session, "instrument", item.id)


@method("private/cancel_by_label", Label, scope="trade")
async def cancel_by_label(call: Call, params: Label) -> int:
    """Take the orders of a label out of the book."""
    orders = call.session.venue.orders.open_orders(call.session.account)
    meant = [state for state in orders if state.label == params.label and may_cancel(call, state)]
    return await cancel_states(call, meant)


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
    return call.session.venue.market.order(meant_order(call, params))


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
        positions.position(market, call.session.account, instrument, size)
        for instrument, size in sorted(held_by(call).items())
        if size
    ]


@method("private/get_position", InstrumentOnly, scope="read")
async def get_position(call: Call, params: InstrumentOnly) -> dict[str, Any]:
    """One position; size zero if there is none."""
    venue = call.session.venue
    item = venue.market.named(params.instrument_name)
    size = held_by(call).get(item.id, 0)
    return positions.position(venue.market, call.session.account, item.id, size)


@method("private/get_account_summary", AccountOnly, scope="read")
async def get_account_summary(call: Call, params: AccountOnly) -> dict[str, Any]:
    """Equity and margins at the engine's present prices."""
    return positions.summary(call.session.venue.core.world, call.session.account)


def meant_order(call: Call, params: OrderId) -> OrderState:
    """The order that is meant; of several of one ``client_order_id`` the open one, or else the
    newest. Errors: ``InvalidField``, ``OrderNotFound``.
    """
    if bool(params.order_id) == bool(params.client_order_id):
        raise bad("order_id", "or client_order_id is needed, and not both")
    if params.order_id:
        return own_order(call, params.order_id)
    states = call.session.venue.orders.by_account.get(call.session.account, {}).values()
    found = [s for s in states if s.placed and s.placed.client_order_id == params.client_order_id]
    if not found:
        raise Rejected(OrderNotFound)
    return next((state for state in found if state.is_open), found[-1])


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
