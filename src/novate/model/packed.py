"""Packed words: named fields, the first in the least significant bits (docs/SPEC.md §1).

Fields that may be negative are stored as two's complement. A value that does not fit its field is a
bug of the caller, so it is asserted.
"""

from __future__ import annotations

from collections.abc import Collection

Fields = tuple[tuple[str, int], ...]


def to_signed(value: int, bits: int) -> int:
    """Two's complement reading of an unsigned field."""
    return value - (1 << bits) if value >> (bits - 1) else value


def to_unsigned(value: int, bits: int) -> int:
    """Two's complement field of a signed value; asserts that it fits."""
    assert -(1 << (bits - 1)) <= value < 1 << (bits - 1), (value, bits)
    return value & ((1 << bits) - 1)


def pack(row: object, fields: Fields, signed: Collection[str] = ()) -> int:
    """The word of a row that has an attribute for each field."""
    word = shift = 0
    for name, bits in fields:
        value: int = getattr(row, name)
        if name in signed:
            value = to_unsigned(value, bits)
        assert 0 <= value < 1 << bits, f"{name} does not fit {bits} bits"
        word |= value << shift
        shift += bits
    return word


def unpack(word: int, fields: Fields, signed: Collection[str] = ()) -> dict[str, int]:
    """Values by name; bits above the last field are ignored."""
    values = {}
    for name, bits in fields:
        value = word & ((1 << bits) - 1)
        values[name] = to_signed(value, bits) if name in signed else value
        word >>= bits
    return values
