# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Ids of options: what an option is stands in its number (docs/SPEC.md §14; twin of
        novate/model/option_id.py)
@notice Pure. 20 bits: `[put 1 | zero 5 | strike index 5 | expiry slot 4 | underlying 4 | option
        1]`, so that telling options from other instruments, and apart, reads nothing. Ids of other
        instruments are below 2**19.
"""

OPTION: constant(uint256) = 2**19
PUT: constant(uint256) = 1
STRIKE_SHIFT: constant(uint256) = 6
SLOT_SHIFT: constant(uint256) = 11
UNDERLYING_SHIFT: constant(uint256) = 15
UNUSED: constant(uint256) = 31 << 1


@internal
@pure
def call_id(underlying: uint256, slot: uint256, index: uint256) -> uint256:
    """
    @notice The id of the call; the put's has `PUT` set too. Underlying and slot below 16, index
            below 32.
    """
    place: uint256 = (underlying << UNDERLYING_SHIFT) | (slot << SLOT_SHIFT)
    return OPTION | place | (index << STRIKE_SHIFT)


@internal
@pure
def is_option(id: uint256) -> bool:
    """@notice Whether `id` is that of an option, listed or not."""
    return id >> 19 == 1 and id & UNUSED == 0


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
