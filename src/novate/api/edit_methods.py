"""Edits: a later signed revision takes the place of an open order, or changes nothing.

What is signed has the order's nonce and a higher revision; its amount is the order's whole life's,
what is filled included. The order keeps its place in the queue only at the same price with no more
left. Its id is the digest of its last revision; by its last sixteen before it is still found.
"""

from __future__ import annotations

from typing import Any

from novate import errors
from novate.api.orders import OrderState
from novate.api.placing import place
from novate.api.private_methods import own_order
from novate.api.rejections import bad
from novate.api.rpc import Call, method
from novate.api.signed_orders import PlaceOrder, signed_order
from novate.errors import OrderNotFound, Rejected, require
from novate.wire import eip712


class Edit(PlaceOrder, kw_only=True):
    """The next revision of the order of an id."""

    order_id: str


class EditByLabel(PlaceOrder, kw_only=True):
    """The next revision of the one open order of ``label`` in the instrument."""

    label: str


class Replace(PlaceOrder, kw_only=True):
    """The next revision of the open order of ``nonce``, of this side."""

    direction: str


@method("private/edit", Edit, scope="trade", cost=2)
async def edit(call: Call, params: Edit) -> dict[str, Any]:
    """Change price, amount or instructions of an open order.

    Errors: ``OrderNotFound``, ``OrderNotOpen``, ``StaleRevision``, those of ``private/buy``.
    """
    known = await _sent_before(call, params)
    return known or await _revised(call, params, own_order(call, params.order_id))


@method("private/edit_by_label", EditByLabel, scope="trade", cost=2)
async def edit_by_label(call: Call, params: EditByLabel) -> dict[str, Any]:
    """The same by label. Errors: ``OrderNotFound`` unless it is one open order's."""
    known = await _sent_before(call, params)
    if known is not None:
        return known
    venue = call.session.venue
    item = venue.market.named(params.instrument_name)
    found = [
        state
        for state in venue.orders.open_orders(call.session.account, item.id)
        if state.label == params.label
    ]
    if len(found) != 1:
        raise Rejected(OrderNotFound, f"label: {len(found)} open orders have it")
    return await _revised(call, params, found[0])


@method("private/replace", Replace, scope="trade", cost=2)
async def replace(call: Call, params: Replace) -> dict[str, Any]:
    """The same by nonce: the old order goes and the new one comes, or neither."""
    if params.direction not in ("buy", "sell"):
        raise bad("direction", "must be buy or sell")
    if not params.client_order_id:
        params.client_order_id = _named(call, params)
    return await place(call, params, params.direction == "sell", amends=True)


def _named(call: Call, params: Replace) -> str:
    """What its account calls the open order of a nonce, if anything."""
    open_orders = call.session.venue.orders.open_orders(call.session.account)
    same = (
        s.placed for s in open_orders if s.terms.nonce == params.nonce and not s.terms.immediate
    )
    return next((placed.client_order_id for placed in same if placed is not None), "")


async def _sent_before(call: Call, params: PlaceOrder) -> dict[str, Any] | None:
    """The answer to an edit that came before, whichever side it is of."""
    venue = call.session.venue
    for sells in (False, True):
        digest = eip712.order_digest(venue.separator, signed_order(call, params, sells).order)
        if digest in venue.orders.by_digest or digest in venue.placing:
            return await place(call, params, sells, amends=True)
    return None


async def _revised(call: Call, params: PlaceOrder, state: OrderState) -> dict[str, Any]:
    require(state.is_open, errors.OrderNotOpen)
    item = call.session.venue.market.named(params.instrument_name)
    require(item.id == state.terms.instrument, errors.InstrumentMismatch)
    if params.nonce != state.terms.nonce:
        raise bad("nonce", f"must be the order's, {state.terms.nonce}")
    newer = params.revision > state.terms.revision
    require(newer, errors.StaleRevision, f"revision: must be above {state.terms.revision}")
    if not params.client_order_id and state.placed is not None:
        params.client_order_id = state.placed.client_order_id  # an order keeps its id
    return await place(call, params, state.terms.sells, amends=True)
