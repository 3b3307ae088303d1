"""What follows from some tables and the second alone, kept for as long as neither moves.

Owns no state: whatever is kept can be computed again at any time, to the same value. A value may be
kept because every write to a table, undone ones and undoing too, raises the table's version.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from novate.model.state import World

K = TypeVar("K")
V = TypeVar("V")
KEPT_MAX = 4096  # values of one function: a bound on memory where prices stand still

ORACLE = "oracle."
RISK = "risk."
# what a dated instrument's price and risk are made from
DATED_SOURCES = (ORACLE, RISK, "options.", "surfaces.")
# what any portfolio's value and margin are made from
MARGIN_SOURCES = (*DATED_SOURCES, "ledger.terms", "ledger.markets", "ledger.config")


class Kept:
    """Values of one function over one world, by argument."""

    __slots__ = ("_latest", "_seen", "_tables", "_world", "values")

    def __init__(self, world: World, sources: tuple[str, ...]) -> None:
        self._world = world
        self._tables = [t for name, t in world.store.tables.items() if name.startswith(sources)]
        self._latest = self._seen = (-1, -1)
        self.values: dict[Any, Any] = {}

    def now(self) -> dict[Any, Any]:
        """What is kept of this second and these tables."""
        world = self._world
        latest = world.now, world.store.version
        if latest != self._latest:
            self._latest = latest
            # versions only rise, so their sum tells whether any has
            seen = latest[0], sum(table.version for table in self._tables)
            if seen != self._seen:
                self._seen = seen
                self.values.clear()
        if len(self.values) >= KEPT_MAX:
            self.values.clear()
        return self.values


def kept(
    *sources: str,
) -> Callable[[Callable[[World, K], V]], Callable[[World, K], V]]:
    """Keep what a function of a world and one argument returns. It must read nothing but the
    second and tables whose names begin with ``sources``, and write nothing.
    """

    def decorate(function: Callable[[World, K], V]) -> Callable[[World, K], V]:
        name = f"{function.__module__}.{function.__qualname__}"

        @wraps(function)
        def keeping(world: World, argument: K) -> V:
            here = world.kept.get(name)
            if here is None:
                here = world.kept[name] = Kept(world, sources)
            values = here.now()
            if argument in values:
                found: V = values[argument]
                return found
            made = function(world, argument)
            values[argument] = made
            return made

        return keeping

    return decorate
