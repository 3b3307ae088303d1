"""A followed book: a snapshot, then changes, checked for gaps and by checksum.

Owns: one market's levels as the venue publishes them. ``stale`` means that it cannot be trusted: no
snapshot yet, a gap in the change ids, or a checksum that differs.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any
from zlib import crc32

LEVELS = 10


class Book:
    """Levels of one market: price -> amount, as the venue's own text too (for the checksum)."""

    def __init__(self, symbol: str) -> None:
        self.symbol = symbol
        self.stale = True
        self.change_id = 0
        self._sides: dict[str, dict[Decimal, str]] = {"bids": {}, "asks": {}}

    @property
    def bids(self) -> list[tuple[Decimal, Decimal]]:
        """Best first."""
        return [(p, Decimal(a)) for p, a in sorted(self._sides["bids"].items(), reverse=True)]

    @property
    def asks(self) -> list[tuple[Decimal, Decimal]]:
        """Best first."""
        return [(p, Decimal(a)) for p, a in sorted(self._sides["asks"].items())]

    def apply(self, data: dict[str, Any]) -> None:
        """Take in a snapshot or a change; a change that does not follow makes the book stale."""
        if data["type"] == "snapshot":
            self._sides = {"bids": {}, "asks": {}}
            self.stale = False
        elif self.stale or data["prev_change_id"] != self.change_id:
            self.stale = True
            return
        self.change_id = data["change_id"]
        for side in ("bids", "asks"):
            for action, price, amount in data[side]:
                if action == "delete":
                    self._sides[side].pop(Decimal(price), None)
                else:
                    self._sides[side][Decimal(price)] = amount
        if "checksum" in data and data["checksum"] != self.checksum():
            self.stale = True

    def checksum(self) -> int:
        """CRC-32 of the ten best levels a side, as docs/api.md has it."""
        bids = sorted(self._sides["bids"].items(), reverse=True)[:LEVELS]
        asks = sorted(self._sides["asks"].items())[:LEVELS]
        return crc32("|".join(f"{price}:{amount}" for price, amount in [*bids, *asks]).encode())
