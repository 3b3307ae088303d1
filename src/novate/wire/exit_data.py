"""What a trader keeps of a match, so that the operator is not needed any more.

Owns: one JSON document with the two signed orders, what was agreed, and the executor's receipt over
it; without a receipt, of two orders that anybody may execute. It is no secret, and nobody has to
trust who gave it: the contracts check every part of it.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from novate.errors import MalformedOrder, Rejected
from novate.model.order import Order
from novate.wire import bulk, records
from novate.wire.bulk import COMPACT_BYTES
from novate.wire.order import SignedOrder


class ExitOrder(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A signed order: the EIP-712 fields, large numbers as decimal text, bytes as 0x text."""

    account: str
    instrument: int
    lots: int
    price: str
    max_fee: str
    nonce: int
    revision: int
    expiry: int
    exclusive_until: int
    flags: int
    executor: str
    signature: str

    def signed(self) -> SignedOrder:
        """The order and its signature. Errors: ``MalformedOrder``."""
        try:
            order = Order(
                account=int(self.account, 16),
                instrument=self.instrument,
                lots=self.lots,
                price=records.number(self.price),
                max_fee=records.number(self.max_fee),
                nonce=self.nonce,
                revision=self.revision,
                expiry=self.expiry,
                exclusive_until=self.exclusive_until,
                flags=self.flags,
                executor=self.executor,
            )
            signature = bytes.fromhex(self.signature.removeprefix("0x"))
        except ValueError as error:
            raise Rejected(MalformedOrder, str(error)) from None
        share = bulk.decode(signature)
        if share is not None:
            return SignedOrder(order, bulk=share)
        if len(signature) != COMPACT_BYTES:
            return SignedOrder(order, blob=signature)
        return SignedOrder(order, *halves(signature))


class ExitData(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One match. ``executor`` and ``receipt`` are empty if anybody may execute both orders."""

    chain_id: int
    exchange: str
    clearinghouse: str
    tokens: list[str]
    taker: ExitOrder
    maker: ExitOrder
    lots: int
    price: str
    executor: str = ""
    sequence: int = 0
    matched_at: int = 0
    receipt: str = ""

    def save(self, path: Path) -> None:
        """Write the document."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n")

    @staticmethod
    def load(path: Path) -> ExitData:
        """Read one. Errors: ``MalformedOrder``; raises ``OSError``."""
        try:
            return msgspec.json.decode(path.read_bytes(), type=ExitData)
        except msgspec.DecodeError as error:
            raise Rejected(MalformedOrder, f"{path.name}: {error}") from None


def halves(signature: bytes) -> tuple[int, int]:
    """The two words of a compact signature."""
    return int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")


def exit_order(placed: records.OrderPlaced) -> ExitOrder:
    """The document's part of an order."""
    order = placed.order
    return ExitOrder(
        account="0x" + order.account.hex(),
        instrument=order.instrument,
        lots=order.lots,
        price=order.price,
        max_fee=order.max_fee,
        nonce=order.nonce,
        revision=order.revision,
        expiry=order.expiry,
        exclusive_until=order.exclusive_until,
        flags=order.flags,
        executor="0x" + order.executor.hex(),
        signature="0x" + placed.signature.hex(),
    )
