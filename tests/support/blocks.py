"""Blocks made by roles, for tests of the sequencer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from novate.model.order import BLOCK_REVISION, IMMEDIATE
from novate.wire import block, eip712
from novate.wire.block import Consent
from novate.wire.records import BlockAccepted, OrderPlaced
from tests.support.engine import BTC, ETH, Floor, account_of, address_of, key_of

RFQ = b"\x5a" * 32
# (instrument, the taker's signed lots, dollars)
SPREAD = ((BTC, 200, 100_000), (ETH, -300, 4_000))
Legs = Sequence[tuple[int, int, float]]


def marked(floor: Floor, role: str, lots: int, dollars: float, **fields: Any) -> OrderPlaced:
    """An order signed for blocks alone."""
    signer = fields.pop("signer", role)
    chosen = {"flags": IMMEDIATE, "revision": BLOCK_REVISION} | fields
    return floor.command(floor.order(role, lots, dollars, **chosen), signer)


def consent(
    floor: Floor, signer: str, account: int, rfq: bytes, own: bytes, counter: bytes, expiry: int
) -> bytes:
    """A party's signature over its consent."""
    digest = block.consent_digest(floor.separator, Consent(account, rfq, own, counter, expiry))
    r, vs = eip712.sign(key_of(signer), digest)
    return r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def signed_block(
    floor: Floor,
    taker: Sequence[OrderPlaced],
    maker: Sequence[OrderPlaced],
    roles: tuple[str, str] = ("taker", "maker"),
    rfq: bytes = RFQ,
    expiry: int | None = None,
) -> BlockAccepted:
    """The command for orders that both roles consent to."""
    until = floor.now + 60 if expiry is None else expiry
    made = block.orders_hash(placed.digest for placed in maker)
    taken = block.orders_hash(placed.digest for placed in taker)
    accounts = [int.from_bytes(side[0].order.account, "big") for side in (taker, maker)]
    return BlockAccepted(
        rfq=rfq,
        taker=list(taker),
        maker=list(maker),
        taker_consent=consent(floor, roles[0], accounts[0], rfq, taken, made, until),
        maker_consent=consent(floor, roles[1], accounts[1], rfq, made, block.NOBODY, until),
        expiry=until,
        received_ms=floor.now * 1000,
    )


def blocked(floor: Floor, legs: Legs = SPREAD, **more: Any) -> BlockAccepted:
    """A block of some legs between the roles taker and maker."""
    taker = [marked(floor, "taker", n, price, instrument=i) for i, n, price in legs]
    maker = [marked(floor, "maker", -n, price, instrument=i) for i, n, price in legs]
    return signed_block(floor, taker, maker, **more)


__all__ = ["BTC", "ETH", "RFQ", "SPREAD", "account_of", "address_of", "blocked", "signed_block"]
