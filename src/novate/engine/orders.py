"""Signed orders between the journal's records and the model."""

from __future__ import annotations

from functools import lru_cache

from novate.model.order import Order
from novate.wire import records


# the engine and the fold of what clients see ask for the same orders
@lru_cache(8_192)
def terms_of(order: records.Order) -> Order:
    """The signed order behind its record."""
    return Order(
        account=int.from_bytes(order.account, "big"),
        instrument=order.instrument,
        lots=order.lots,
        price=records.number(order.price),
        max_fee=records.number(order.max_fee),
        nonce=order.nonce,
        expiry=order.expiry,
        revision=order.revision,
        exclusive_until=order.exclusive_until,
        flags=order.flags,
        executor="0x" + order.executor.hex(),
    )


def record_of(order: Order) -> records.Order:
    """The record of a signed order."""
    return records.Order(
        account=order.account.to_bytes(32, "big"),
        instrument=order.instrument,
        lots=order.lots,
        price=records.big(order.price),
        max_fee=records.big(order.max_fee),
        nonce=order.nonce,
        revision=order.revision,
        expiry=order.expiry,
        exclusive_until=order.exclusive_until,
        flags=order.flags,
        executor=bytes.fromhex(order.executor[2:]),
    )
