"""What every part of the client stands on: calls, what is known of instruments, and the key.

Owns: the names that parts of ``AsyncClient`` share. Money and sizes are ``Decimal``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from decimal import Decimal
from typing import Any

from novate.sdk.nonces import Nonces
from novate.sdk.rounding import Rounding
from novate.sdk.signing import SigningKey, Terms
from novate.sdk.transport import now_ms

Amount = Decimal | str | int | float


class ClientPart(ABC):
    """What a part of ``AsyncClient`` finds there."""

    executor: str
    _key: SigningKey | None
    _nonces: Nonces
    _rounding: Rounding
    _separator: bytes
    _skew_ms: int

    @abstractmethod
    async def call(self, method: str, **params: Any) -> Any:
        """Any method of the API."""

    @abstractmethod
    def _terms(self, symbol: str) -> Terms:
        """What is known of an instrument."""

    @abstractmethod
    def _fee(self, terms: Terms, price: Decimal) -> Decimal:
        """The highest fee of a lot that an order at a price allows."""

    @abstractmethod
    def _until(self, symbol: str) -> int:
        """When an order of an instrument expires, unless told otherwise (seconds)."""

    def _venue_ms(self) -> int:
        """The venue's clock in milliseconds, as it was compared at the last connection."""
        return now_ms() + self._skew_ms

    def _venue_s(self) -> int:
        """The same in seconds: what is signed must not expire by a clock that is wrong."""
        return self._venue_ms() // 1_000  # division: to seconds

    def _signing_key(self) -> SigningKey:
        if self._key is None:
            raise ValueError("a key is needed to sign: AsyncClient(url, key=SigningKey(...))")
        return self._key
