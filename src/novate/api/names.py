"""One instrument as clients see it; how it is spelt is ``novate.naming``.

Units: lot size and strike in wad, tick wad, times in seconds (expiry at its exact stamp).
"""

from __future__ import annotations

from dataclasses import dataclass

FUTURE, OPTION, SPOT = "future", "option", "spot"


@dataclass(frozen=True, slots=True)
class Listed:
    """``kind`` is Deribit's: a perpetual is a future without expiry."""

    id: int
    name: str
    currency: str
    kind: str
    lot_size: int
    tick: int
    underlying: int = 0
    expiry: int = 0
    strike: int = 0
    is_put: bool = False
    listed_at: int = 0

    @property
    def is_perpetual(self) -> bool:
        """A future that never expires."""
        return self.kind == FUTURE and self.expiry == 0

    @property
    def is_option(self) -> bool:
        """A call or a put."""
        return self.kind == OPTION

    def over(self, now: int) -> bool:
        """Whether it has expired."""
        return 0 < self.expiry <= now
