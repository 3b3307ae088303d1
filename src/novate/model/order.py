"""Orders: the fields an account signs (docs/SPEC.md §6).

Units: lots signed (buy > 0), price in wad a base unit, max_fee in wad a lot, times in seconds.
Packed and hashed by ``wire/order.py``, ``wire/eip712.py`` and ``contracts/order.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

REDUCE_ONLY = 1
POST_ONLY = 2
IMMEDIATE = 4
# Signed into an immediate order, which needs no revisions: for blocks alone (decision 17).
BLOCK_REVISION = 2**16 - 1
ZERO_ADDRESS = "0x" + "00" * 20


@lru_cache(65_536)
def owner_address(account: int) -> str:
    """Address in the account's first 20 bytes."""
    return f"0x{account >> 96:040x}"


@dataclass(frozen=True, slots=True)
class Order:
    """One order; ``executor`` is lower-case, the zero address anyone from ``exclusive_until``."""

    account: int
    instrument: int
    lots: int
    price: int
    max_fee: int
    nonce: int
    expiry: int
    revision: int = 0
    exclusive_until: int = 0
    flags: int = 0
    executor: str = ZERO_ADDRESS

    @property
    def owner(self) -> str:
        """Address in the account's first 20 bytes."""
        return owner_address(self.account)

    @property
    def size(self) -> int:
        """Lots without their sign."""
        return abs(self.lots)

    @property
    def sells(self) -> bool:
        """Whether the account sells."""
        return self.lots < 0

    @property
    def reduce_only(self) -> bool:
        """May only shrink a position."""
        return bool(self.flags & REDUCE_ONLY)

    @property
    def post_only(self) -> bool:
        """May only be the maker."""
        return bool(self.flags & POST_ONLY)

    @property
    def immediate(self) -> bool:
        """Immediate-or-cancel: settles in one batch, then never again."""
        return bool(self.flags & IMMEDIATE)

    @property
    def block_only(self) -> bool:
        """Meets its counterpart in a block, and never the book."""
        return self.revision == BLOCK_REVISION and self.immediate
