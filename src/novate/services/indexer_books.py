"""What the read side remembers of accounts between transactions, and of an instrument now."""

from __future__ import annotations

from dataclasses import dataclass, field

NO_BASIS = (0, 0)


@dataclass(slots=True)
class Books:
    """What is remembered of every account between transactions.

    ``bases``: account -> instrument -> value at which the position is carried, and the funding
    index in it (both for all its lots). ``balances``: after the last write.
    """

    applied: int = 0
    bases: dict[int, dict[int, tuple[int, int]]] = field(default_factory=dict)
    balances: dict[int, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Quote:
    """A lot of a perp or future now: its value at mark, the funding index (0 of a future), and the
    oracle's prices.
    """

    mark_lot: int
    funding_index: int
    index: int
    mark: int

    @property
    def carried(self) -> int:
        """What the ledger carries a lot at."""
        return self.mark_lot - self.funding_index
