"""Market-maker protection: how much an account's protected orders may fill within a window.

Owns: limits and counts by account and underlying; when they trip and until when. An account's
quotes, and orders that say so, are pulled once a limit is reached, in the middle of a sweep too,
and refused until the freeze ends. Quantities and deltas in base units (wad), times in seconds. An
option counts as its whole size, a put's delta with the other sign: an upper bound of its delta.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from novate import errors
from novate.errors import require
from novate.model.instrument import OPTION, Terms
from novate.model.option_id import PUT

Key = tuple[int, int]  # account, underlying


@dataclass(frozen=True, slots=True)
class Protection:
    """A limit of 0 is none, a window of 0 none at all; ``until`` 0 is until reset."""

    interval_s: int = 0
    frozen_s: int = 0
    quantity_limit: int = 0
    delta_limit: int = 0
    opened: int = 0
    quantity: int = 0
    delta: int = 0
    frozen: bool = False
    until: int = 0

    def is_frozen(self, now: int) -> bool:
        """Whether the account may not quote."""
        return self.frozen and (self.until == 0 or now < self.until)

    def counted(self, quantity: int, delta: int, now: int) -> Protection:
        """After a fill of that size; ``frozen`` if that reached a limit."""
        if self.interval_s == 0:
            return self
        if self.frozen:  # the freeze has ended: count anew
            fresh = replace(self, frozen=False, until=0, opened=now, quantity=0, delta=0)
            return fresh.counted(quantity, delta, now)
        over = self.quantity == 0 or now - self.opened >= self.interval_s
        after = replace(
            self,
            opened=now if over else self.opened,
            quantity=quantity if over else self.quantity + quantity,
            delta=delta if over else self.delta + delta,
        )
        full = 0 < self.quantity_limit <= after.quantity
        if not full and not 0 < self.delta_limit <= abs(after.delta):
            return after
        until = now + self.frozen_s if self.frozen_s else 0
        return replace(after, frozen=True, until=until)

    def reset(self) -> Protection:
        """Unfrozen, counts anew."""
        return Protection(self.interval_s, self.frozen_s, self.quantity_limit, self.delta_limit)


def size_of(terms: Terms, instrument: int, signed_lots: int) -> tuple[int, int]:
    """What a fill counts: base units, and their delta (both wad)."""
    size = signed_lots * terms.lot_size
    is_put = terms.kind == OPTION and bool(instrument & PUT)
    return abs(size), -size if is_put else size


class Protections:
    """Every account's protection."""

    def __init__(self) -> None:
        self.rows: dict[Key, Protection] = {}

    def __getitem__(self, key: Key) -> Protection:
        return self.rows.get(key, _NONE)

    def require_open(self, key: Key, now: int) -> None:
        """The account may quote. Errors: ``QuotesFrozen``."""
        require(not self[key].is_frozen(now), errors.QuotesFrozen)

    def set(self, key: Key, limits: Protection) -> None:
        """Other limits: counts anew, a freeze stays; without a window, none."""
        old = self[key]
        self.rows[key] = replace(limits, frozen=old.frozen, until=old.until)
        if limits.interval_s == 0:
            del self.rows[key]

    def reset(self, key: Key) -> None:
        """Unfreeze."""
        if key in self.rows:
            self.rows[key] = self.rows[key].reset()


_NONE = Protection()
