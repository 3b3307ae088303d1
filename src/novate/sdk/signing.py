"""Signing orders and logins, offline.

Owns: a key and the domain it signs for. Nothing here needs a connection: a maker signs ahead of
time and sends when the moment comes. The key is a wallet's or, better, a session key's with a
scope, a budget and an expiry of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from coincurve import PrivateKey

from novate.model.order import IMMEDIATE, POST_ONLY, REDUCE_ONLY, ZERO_ADDRESS, Order
from novate.wire import eip712
from novate.wire.block import Consent, consent_digest
from novate.wire.bulk import sign_bulk
from novate.wire.login import login_digest

KEY_BYTES = 32
IMMEDIATE_FORCES = ("immediate_or_cancel", "fill_or_kill")


@dataclass(frozen=True, slots=True)
class Terms:
    """What the SDK must know of an instrument to sign for it; decimals in base units and USD."""

    id: int
    name: str
    lot: Decimal
    tick: Decimal


class SigningKey:
    """A private key and the account it signs for (its own first one, unless told).

    Errors: ``ValueError`` for what is no key.
    """

    def __init__(self, secret: bytes | str, account: int | None = None) -> None:
        raw = bytes.fromhex(secret.removeprefix("0x")) if isinstance(secret, str) else secret
        if len(raw) != KEY_BYTES:
            raise ValueError(f"a private key has {KEY_BYTES} bytes, this has {len(raw)}")
        self._key = PrivateKey(raw)
        self.address = eip712.address_of(self._key.public_key)
        self.account = int(self.address, 16) << 96 if account is None else account

    def __repr__(self) -> str:
        return f"SigningKey({self.address})"

    def login(self, separator: bytes, timestamp_ms: int, nonce: int, scope: str) -> dict[str, Any]:
        """Parameters of ``public/auth``."""
        digest = login_digest(separator, self.account, timestamp_ms, nonce, scope)
        return {
            "grant_type": "signature",
            "account": f"0x{self.account:064x}",
            "timestamp": timestamp_ms,
            "nonce": nonce,
            "scope": scope,
            "signature": self._signed(digest),
        }

    def order(
        self,
        separator: bytes,
        terms: Terms,
        amount: Decimal,
        price: Decimal,
        sells: bool,
        max_fee: Decimal,
        nonce: int,
        expiry: int,
        **instructions: Any,
    ) -> tuple[str, dict[str, Any]]:
        """An order's digest (its id) and the parameters of ``private/buy`` or ``private/sell``;
        amount and price lie on their steps, ``instructions`` are those of the method.
        """
        force = instructions.get("time_in_force", "good_til_cancelled")
        size = amount / terms.lot
        if size != int(size):
            raise ValueError(f"{amount} is not a multiple of {terms.lot}")
        order = Order(
            account=self.account,
            instrument=terms.id,
            lots=-int(size) if sells else int(size),
            price=wad(price),
            max_fee=wad(max_fee),
            nonce=nonce,
            expiry=expiry,
            revision=instructions.get("revision", 0),
            exclusive_until=instructions.get("exclusive_until", 0),
            flags=REDUCE_ONLY * bool(instructions.get("reduce_only"))
            | POST_ONLY * bool(instructions.get("post_only"))
            | IMMEDIATE * (force in IMMEDIATE_FORCES),
            executor=instructions.get("executor", ZERO_ADDRESS),
        )
        digest = eip712.order_digest(separator, order)
        return "0x" + digest.hex(), {
            "instrument_name": terms.name,
            "amount": format(amount, "f"),
            "price": format(price, "f"),
            "max_fee": format(max_fee, "f"),
            "nonce": nonce,
            "expiry": expiry,
            "account": f"0x{self.account:064x}",
            "signature": self._signed(digest),
            **instructions,
        }

    def bulk(self, separator: bytes, orders: Sequence[Order]) -> str:
        """One signature over all of the orders, in this order."""
        signed = sign_bulk(self._key, separator, orders)
        return f"0x{signed.r:064x}{signed.vs:064x}"

    def consent(self, separator: bytes, consent: Consent) -> str:
        """The signature of a consent to a block."""
        return self._signed(consent_digest(separator, consent))

    def _signed(self, digest: bytes) -> str:
        r, vs = eip712.sign(self._key, digest)
        return f"0x{r:064x}{vs:064x}"


def wad(value: Decimal) -> int:
    """A decimal as wad. Errors: ``ValueError`` beyond 18 decimals."""
    scaled = value.scaleb(18)
    if scaled != int(scaled):
        raise ValueError(f"{value} has more than 18 decimals")
    return int(scaled)
