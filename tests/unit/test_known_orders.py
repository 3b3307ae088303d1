"""Orders between records and the model: what is known is what the record says."""

from __future__ import annotations

from novate.engine.orders import KNOWN, record_of, terms_of
from novate.model.order import Order
from novate.wire import records
from novate.wire.records import OrderPlaced

EXECUTOR = "0x" + "ab" * 20


def order(nonce: int, executor: str = EXECUTOR) -> Order:
    return Order(7 << 96, 1, -3, 10**23, 10**18, nonce, 2_000_000_000, executor=executor)


def read_again(record: records.Order) -> records.Order:
    """The record as a journal gives it back."""
    placed = OrderPlaced(bytes(32), record, bytes(64), bytes(20), 0)
    found = records.decode(*records.encode(placed))
    assert isinstance(found, OrderPlaced)
    return found.order


def test_an_order_is_the_same_before_and_behind_the_journal() -> None:
    made = order(1)
    record = record_of(made)
    assert terms_of(record) is made
    assert terms_of(read_again(record)) == made


def test_a_way_of_writing_that_the_record_has_not_is_not_known() -> None:
    record = record_of(order(2, EXECUTOR.upper().replace("0X", "0x")))
    assert terms_of(record) == order(2) == terms_of(read_again(record))


def test_what_was_forgotten_is_made_again() -> None:
    kept = [record_of(order(nonce)) for nonce in range(3 * KNOWN)]
    assert all(terms_of(record) == order(record.nonce) for record in kept)
