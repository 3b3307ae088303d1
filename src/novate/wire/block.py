"""Consent to a block: what each of two parties signs beside the orders of its legs.

An order alone says what its account would trade; the consent says with which orders, of which
request for quotes, and until when. So no order signed for something else makes a block, and no part
of a block is one (docs/decisions/0017). EIP-712 in the Exchange's domain; no contract reads it: the
venue asks for it, writes it in the journal, and whoever verifies the journal checks it again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from novate.wire import eip712
from novate.wire.eip712 import Domain, keccak

TYPE_HASH = keccak(eip712.type_of("Block").encode())
NOBODY = bytes(32)
_pack = eip712.packing("Block").pack


@dataclass(frozen=True, slots=True)
class Consent:
    """One party's word: its account, the request's id, its own orders, those it accepts (``NOBODY``
    for a quote, which is for whoever asked), and the last second at which it counts.
    """

    account: int
    rfq: bytes
    orders: bytes
    counter: bytes
    expiry: int


def orders_hash(digests: Iterable[bytes]) -> bytes:
    """Many orders as one word: their digests, leg by leg."""
    return keccak(b"".join(digests))


def consent_digest(separator: bytes, consent: Consent) -> bytes:
    """What a party signs."""
    packed = _pack(
        TYPE_HASH,
        consent.account.to_bytes(32, "big"),
        consent.rfq,
        consent.orders,
        consent.counter,
        consent.expiry,
    )
    return eip712.typed(separator, keccak(packed))


def typed_consent(domain: Domain, consent: Consent) -> dict[str, Any]:
    """The consent as a wallet is asked to sign it."""
    message = {
        "account": consent.account.to_bytes(32, "big"),
        "rfq": consent.rfq,
        "orders": consent.orders,
        "counter": consent.counter,
        "expiry": consent.expiry,
    }
    return eip712.envelope(domain, "Block", message)
