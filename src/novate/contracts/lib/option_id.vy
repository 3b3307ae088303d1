# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Ids of options and dated futures: what one is stands in its number (docs/SPEC.md §14; twin of
        novate/model/option_id.py)
@notice Pure. 20 bits: `[put 1 | future 1 | zero 4 | strike index 5 | expiry slot 4 | underlying 4 |
        dated 1]`, so that telling dated instruments from others, and apart, reads nothing. Put and
        strike index of a future are zero. Ids of other instruments are below 2**19.
"""

DATED: constant(uint256) = 2**19
PUT: constant(uint256) = 1
FUTURE: constant(uint256) = 2
STRIKE_SHIFT: constant(uint256) = 6
SLOT_SHIFT: constant(uint256) = 11
UNDERLYING_SHIFT: constant(uint256) = 15
UNUSED: constant(uint256) = 15 << 2
# what a future has no use for
OPTION_BITS: constant(uint256) = (31 << STRIKE_SHIFT) | PUT
# the id of all futures, or all options, of an underlying: neither slot, strike nor put
TERMS_BITS: constant(uint256) = DATED | (15 << UNDERLYING_SHIFT) | FUTURE


@internal
@pure
def call_id(underlying: uint256, slot: uint256, index: uint256) -> uint256:
    """
    @notice The id of the call; the put's has `PUT` set too. Underlying and slot below 16, index
            below 32.
    """
    place: uint256 = (underlying << UNDERLYING_SHIFT) | (slot << SLOT_SHIFT)
    return DATED | place | (index << STRIKE_SHIFT)


@internal
@pure
def future_id(underlying: uint256, slot: uint256) -> uint256:
    """@notice The id of the future of an expiry. Underlying and slot below 16."""
    return DATED | (underlying << UNDERLYING_SHIFT) | (slot << SLOT_SHIFT) | FUTURE


@internal
@pure
def is_dated(id: uint256) -> bool:
    """@notice Whether `id` is that of an option or a dated future, listed or not."""
    return self.is_option(id) or self.is_future(id)


@internal
@pure
def is_option(id: uint256) -> bool:
    """@notice Whether `id` is that of an option, listed or not."""
    return id >> 19 == 1 and id & (UNUSED | FUTURE) == 0


@internal
@pure
def is_future(id: uint256) -> bool:
    """@notice Whether `id` is that of a dated future, listed or not."""
    return id >> 19 == 1 and id & (UNUSED | FUTURE | OPTION_BITS) == FUTURE


@internal
@pure
def is_put(id: uint256) -> bool:
    """@notice Whether the option is a put."""
    return id & PUT == 1


@internal
@pure
def strike_index(id: uint256) -> uint256:
    """@notice Place of the strike among those of its expiry."""
    return (id >> STRIKE_SHIFT) & 31


@internal
@pure
def slot(id: uint256) -> uint256:
    """@notice The slot of its expiry."""
    return (id >> SLOT_SHIFT) & 15


@internal
@pure
def underlying(id: uint256) -> uint256:
    """@notice Its underlying."""
    return (id >> UNDERLYING_SHIFT) & 15


@internal
@pure
def place(id: uint256) -> uint256:
    """@notice Underlying times sixteen plus slot: below 256."""
    return (id >> SLOT_SHIFT) & 255


@internal
@pure
def terms_key(id: uint256) -> uint256:
    """@notice Under which id the terms of a dated instrument stand: one key for all options of its
            underlying, another for all futures.
    """
    return id & TERMS_BITS
