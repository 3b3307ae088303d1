"""Ids of options and dated futures: what one is stands in its number, so that telling it reads
nothing.

20 bits, from the least: put 1, future 1, zero 4, strike index 5, expiry slot 4, underlying 4, dated
1; put and strike index of a future are zero; ids of other instruments are below 2**19. Source:
docs/SPEC.md §14. Twin: ``contracts/lib/option_id``.
"""

from __future__ import annotations

from typing import NamedTuple

DATED = 2**19
PUT = 1
FUTURE = 2
UNUSED = 15 << 2
STRIKE_SHIFT = 6
SLOT_SHIFT = 11
UNDERLYING_SHIFT = 15
OPTION_BITS = 31 << STRIKE_SHIFT | PUT  # what a future has no use for
TERMS_BITS = DATED | 15 << UNDERLYING_SHIFT | FUTURE


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
        return DATED | place | self.strike_index << STRIKE_SHIFT | self.is_put

    @staticmethod
    def unpack(id: int) -> OptionId:
        """What an id says; the id is that of an option (``is_option``)."""
        assert is_option(id)
        return OptionId(*place_of(id), id >> STRIKE_SHIFT & 31, bool(id & PUT))


def future_id(underlying: int, slot: int) -> int:
    """The id of the future of an expiry."""
    assert 0 <= underlying < 16 and 0 <= slot < 16
    return DATED | underlying << UNDERLYING_SHIFT | slot << SLOT_SHIFT | FUTURE


def is_dated(id: int) -> bool:
    """Whether ``id`` is that of an option or a dated future, listed or not."""
    return id >= DATED and (is_option(id) or is_future(id))


def is_option(id: int) -> bool:
    """Whether ``id`` is that of an option, listed or not."""
    return id >> 19 == 1 and id & (UNUSED | FUTURE) == 0


def is_future(id: int) -> bool:
    """Whether ``id`` is that of a dated future, listed or not."""
    return id >> 19 == 1 and id & (UNUSED | FUTURE | OPTION_BITS) == FUTURE


def place_of(id: int) -> tuple[int, int]:
    """Underlying and slot of a dated instrument."""
    return id >> UNDERLYING_SHIFT & 15, id >> SLOT_SHIFT & 15


def strike_of(id: int) -> int:
    """The id of a strike's call, under which stands what call and put share."""
    return id & ~PUT


def terms_key(id: int) -> int:
    """Under which id the terms of a dated instrument stand: one key for all options of its
    underlying, another for all futures.
    """
    return id & TERMS_BITS
