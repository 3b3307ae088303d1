"""Ids of options: what an option is stands in its number, so that telling it reads nothing.

20 bits, from the least: put 1, zero 5, strike index 5, expiry slot 4, underlying 4, option 1; ids
of other instruments are below 2**19. Source: docs/SPEC.md §14. Twin: ``contracts/lib/option_id``.
"""

from __future__ import annotations

from typing import NamedTuple

OPTION = 2**19
UNUSED = 31 << 1
STRIKE_SHIFT = 6
SLOT_SHIFT = 11
UNDERLYING_SHIFT = 15


class OptionId(NamedTuple):
    """An option's place on the grid of its underlying."""

    underlying: int
    slot: int
    strike_index: int
    is_put: bool

    def pack(self) -> int:
        """The 20-bit id."""
        assert 0 <= self.underlying < 16 and 0 <= self.slot < 16 and 0 <= self.strike_index < 32
        place = self.underlying << UNDERLYING_SHIFT | self.slot << SLOT_SHIFT
        return OPTION | place | self.strike_index << STRIKE_SHIFT | self.is_put

    @staticmethod
    def unpack(id: int) -> OptionId:
        """What an id says; the id is that of an option (``is_option``)."""
        assert is_option(id)
        underlying, slot = id >> UNDERLYING_SHIFT & 15, id >> SLOT_SHIFT & 15
        return OptionId(underlying, slot, id >> STRIKE_SHIFT & 31, bool(id & 1))


def is_option(id: int) -> bool:
    """Whether ``id`` is that of an option, listed or not."""
    return id >> 19 == 1 and id & UNUSED == 0
