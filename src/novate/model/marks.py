"""What an instrument is worth and what it is measured against, as a trade in it is told.

Pure over the world as it is; in wad, exact.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from novate.model import margin
from novate.model.option_id import is_dated, place_of
from novate.units import ORACLE_UNIT

if TYPE_CHECKING:
    from novate.model.state import World


def mark_and_index(world: World, instrument: int) -> tuple[int, int]:
    """Mark of a base unit, and index of its underlying; zeros before the first round."""
    if is_dated(instrument):
        grid = world.options.grids[place_of(instrument)[0]]
        index = world.oracle.feeds[grid.feed].index
        return margin.quoted(world, instrument)[0], index * ORACLE_UNIT
    feed = world.oracle.feeds[world.ledger.terms[instrument].feed]
    return feed.mark * ORACLE_UNIT, feed.index * ORACLE_UNIT
