"""Bulk orders: one signature over the root of a tree of up to 256 orders (docs/SPEC.md §6).

Owns the tree and its proofs. A leaf is the struct hash of an order (the
hash of 384 bytes), a node the hash of its two children (64 bytes), so neither can pass for the
other; the height is part of what is signed. Sides follow the bits of the index, so a place in the
tree is one place. Twin: ``contracts/bulk.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence

import sha3

HEIGHT_MAX = 8
ORDERS_MAX = 1 << HEIGHT_MAX
_keccak = sha3.keccak_256

Levels = list[list[bytes]]


def height_of(count: int) -> int:
    """Height of the tree of so many orders; the least is 1, an order beside a blank one."""
    return max(1, (count - 1).bit_length())


def grow(leaves: Sequence[bytes], blank: bytes) -> Levels:
    """Every level of the tree, leaves first, filled up with blank leaves to a power of two."""
    level = [*leaves, *[blank] * ((1 << height_of(len(leaves))) - len(leaves))]
    levels = [level]
    while len(level) > 1:
        each = iter(level)
        level = [_keccak(left + right).digest() for left, right in zip(each, each, strict=True)]
        levels.append(level)
    return levels


def siblings(levels: Levels, index: int) -> tuple[bytes, ...]:
    """What proves the leaf of this index: its sibling on every level, from the leaves up."""
    return tuple(level[index >> i ^ 1] for i, level in enumerate(levels[:-1]))


def climb(leaf: bytes, index: int, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf and its siblings make; bit i of the index: right child on level i."""
    node = leaf
    for level, sibling in enumerate(proof):
        pair = sibling + node if index >> level & 1 else node + sibling
        node = _keccak(pair).digest()
    return node
