"""Closing a position: a signed order that can only reduce it, and nothing of it rests.

Deribit's ``close_position`` makes an order of the venue's own; here whoever holds the position
signs it (``sdk.AsyncClient.close_position`` does both), and the venue checks that it closes.
"""

from __future__ import annotations

from typing import Any, Literal

from novate import errors
from novate.api.placing import place
from novate.api.private_methods import held_by
from novate.api.rejections import bad
from novate.api.rpc import Call, method
from novate.api.signed_orders import PlaceOrder, signed_order
from novate.errors import require
from novate.wire import eip712


class ClosePosition(PlaceOrder, kw_only=True):
    """An order as ``private/buy`` takes it, against the position: reduce-only, at once or never."""

    time_in_force: Literal["immediate_or_cancel", "fill_or_kill"] = "immediate_or_cancel"
    reduce_only: bool = True


@method("private/close_position", ClosePosition, scope="trade", cost=2)
async def close_position(call: Call, params: ClosePosition) -> dict[str, Any]:
    """Reduce a position, at most to zero. Errors: ``ReduceOnly`` (no position, or more than it),
    those of ``private/buy``.
    """
    if not params.reduce_only:
        raise bad("reduce_only", "must be true")
    venue = call.session.venue
    for sells in (True, False):
        signed = signed_order(call, params, sells)
        digest = eip712.order_digest(venue.separator, signed.order)
        if digest in venue.orders.by_digest or digest in venue.placing:
            return await place(call, params, sells)  # sent before: the same answer
    item = venue.market.named(params.instrument_name)
    held = held_by(call).get(item.id, 0)
    require(held != 0, errors.ReduceOnly, "instrument_name: there is no position")
    size = signed.order.size
    require(size <= abs(held), errors.ReduceOnly, f"amount: {abs(held)} contracts are held")
    return await place(call, params, sells=held > 0)
