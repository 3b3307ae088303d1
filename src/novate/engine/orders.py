"""Signed orders between the journal's records and the model."""

from __future__ import annotations

from novate.model.order import Order
from novate.wire import records

KNOWN = 8_192


class _Known:
    """The last orders, from ``KNOWN`` to twice as many, by the very record: the gateway makes a
    record of an order, and the engine and the fold of what clients see ask for the order again.
    """

    def __init__(self) -> None:
        # by the record's identity, which is nobody else's for as long as the record is held
        self._young: dict[int, tuple[records.Order, Order]] = {}
        self._old: dict[int, tuple[records.Order, Order]] = {}

    def find(self, record: records.Order) -> Order | None:
        """The order behind a record, if it is known."""
        found = self._young.get(id(record)) or self._old.get(id(record))
        return None if found is None else found[1]

    def keep(self, record: records.Order, order: Order) -> None:
        """Know an order; the oldest are forgotten."""
        if len(self._young) >= KNOWN:
            self._old, self._young = self._young, {}
        self._young[id(record)] = record, order


_known = _Known()


def terms_of(record: records.Order) -> Order:
    """The signed order behind its record. Errors: ``MalformedOrder``."""
    found = _known.find(record)
    if found is not None:
        return found
    made = Order(
        account=int.from_bytes(record.account, "big"),
        instrument=record.instrument,
        lots=record.lots,
        price=records.number(record.price),
        max_fee=records.number(record.max_fee),
        nonce=record.nonce,
        expiry=record.expiry,
        revision=record.revision,
        exclusive_until=record.exclusive_until,
        flags=record.flags,
        executor="0x" + record.executor.hex(),
    )
    _known.keep(record, made)
    return made


def record_of(order: Order) -> records.Order:
    """The record of a signed order."""
    record = records.Order(
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
    if order.executor.islower():  # as a record says it, so that a replay makes the same
        _known.keep(record, order)
    return record
