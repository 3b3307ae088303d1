"""Orders in bulk: up to 256 under one signature over their tree, in one request (docs/API.md).

Each is taken or refused by itself, in the order sent, as ``private/buy`` and ``private/sell`` would
take it; one command behind the other, all durable before the reply.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import msgspec
from msgspec.structs import replace

from novate.api.numbers import Number, decimal
from novate.api.outcomes import orders_of
from novate.api.refusals import refusal
from novate.api.rejections import error_object
from novate.api.rpc import Call, Parameters, method
from novate.api.signed_orders import checked_label, order_sent, signature_words
from novate.errors import Rejected, TooManyItems, require
from novate.model.bulk import ORDERS_MAX
from novate.model.order import ZERO_ADDRESS
from novate.wire.bulk import BulkOrders


class BulkOrder(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """One order of a tree; its fields are those of ``PlaceOrder``."""

    revision: ClassVar[int] = 0
    exclusive_until: ClassVar[int] = 0

    instrument_name: str
    direction: Literal["buy", "sell"]
    amount: Number
    price: Number
    max_fee: Number
    nonce: int
    expiry: int
    time_in_force: Literal["good_til_cancelled", "immediate_or_cancel"] = "good_til_cancelled"
    post_only: bool = False
    reduce_only: bool = False
    executor: str = ZERO_ADDRESS
    client_order_id: str = ""


class PlaceOrders(Parameters):
    """Orders of the session's account, and the signature over the root of their tree."""

    orders: list[BulkOrder]
    signature: str
    label: str = ""


@method("private/place_orders", PlaceOrders, scope="trade", cost=20)
async def place_orders(call: Call, params: PlaceOrders) -> list[dict[str, Any]]:
    """Enter all of them; for each its id with its state, or its error.

    Errors: ``TooManyItems``, ``BadSignature``, those of ``private/buy`` about fields.
    """
    venue = call.session.venue
    require(0 < len(params.orders) <= ORDERS_MAX, TooManyItems)
    market, account = venue.market, call.session.account
    made = [order_sent(market, account, o, o.direction == "sell") for o in params.orders]
    checked_label(params.label)
    named = [checked_label(order.client_order_id, "client_order_id") for order in params.orders]
    tree = BulkOrders(tuple(made), *signature_words("signature", params.signature))
    now_ms = call.us_in // 1_000  # division: to milliseconds
    placed = venue.gateway.tree(tree, now_ms, params.label)
    if any(named):
        placed = [replace(one, client_order_id=n) for one, n in zip(placed, named, strict=True)]
    fresh = [one for one in placed if one.digest not in venue.orders.by_digest]
    with orders_of(*[one.digest for one in placed]):
        answers = await venue.core.submit_all([*fresh]) if fresh else []
    refused = {
        one.digest: answer
        for one, answer in zip(fresh, answers, strict=True)
        if isinstance(answer, Rejected)
    }
    return [_outcome(call, one.digest, refused.get(one.digest)) for one in placed]


def _outcome(call: Call, digest: bytes, refused: Rejected | None) -> dict[str, Any]:
    """What became of one order."""
    order_id = "0x" + digest.hex()
    state = call.session.venue.orders.by_digest.get(digest)
    if refused is None and state is not None and state.state == "rejected":
        refused = refusal(call.session.venue.market, state)
    if refused is not None or state is None:
        assert refused is not None, "what entered has a state"
        return {"order_id": order_id, "error": error_object(refused)}
    item = call.session.venue.market.by_id[state.terms.instrument]
    filled = decimal(state.filled * item.lot_size)
    return {"order_id": order_id, "order_state": state.state, "filled_amount": filled}
