"""Marks of the last hours, once a minute, of everything listed.

Kept in memory from when the venue began to run; six hours of them. Marks in wad, times in
milliseconds. An option's is its stored mark carried on by delta, as the ledger values it.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from novate.api.names import Listed
from novate.model.option_id import place_of, strike_of
from novate.model.option_listing import feed_of
from novate.model.options import info_of
from novate.model.state import World
from novate.units import ORACLE_UNIT

MINUTE_S = 60
KEPT = 360


@dataclass(slots=True)
class MarkHistory:
    """Marks by name, over one world."""

    world: World
    sampled_at: int = 0
    marks: dict[str, deque[tuple[int, int]]] = field(
        default_factory=lambda: defaultdict(lambda: deque(maxlen=KEPT))
    )

    def sample(self, items: Iterable[Listed]) -> None:
        """Note the marks of now, if the last ones are a minute old."""
        now = self.world.now
        if now - self.sampled_at < MINUTE_S:
            return
        self.sampled_at = now
        for item in items:
            mark = self._mark(item)
            if mark and not item.over(now):
                self.marks[item.name].append((now * 1_000, mark * ORACLE_UNIT))
        self._forget(now)

    def _mark(self, item: Listed) -> int:
        world = self.world
        if not item.expiry:
            return world.oracle.feeds[world.ledger.terms[item.id].feed].mark
        forward = world.oracle.feeds[feed_of(world, *place_of(item.id))].mark
        if not item.is_option:
            return forward
        if not world.options.infos[strike_of(item.id)]:
            return 0
        return info_of(world, item.id).value(forward)

    def _forget(self, now: int) -> None:
        """Drop what has had no mark for as long as marks are kept."""
        oldest = (now - KEPT * MINUTE_S) * 1_000
        for name in [name for name, held in self.marks.items() if held[-1][0] < oldest]:
            del self.marks[name]

    def of(self, item: Listed) -> list[tuple[int, int]]:
        """(time, mark) of an instrument, oldest first."""
        return list(self.marks.get(item.name, ()))
