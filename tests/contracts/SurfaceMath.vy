# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title The volatility surface's pure library, callable by tests"""

from lib import surface


@external
@pure
def total_variance(word: uint256, k: int256) -> uint256:
    return surface.total_variance(word, k)


@external
@pure
def total_variance_at(word: uint256, k: int256, now: uint256) -> uint256:
    return surface.total_variance_at(word, k, now)


@external
@pure
def gate(word: uint256, previous: uint256):
    surface.gate(word, previous)


@external
@pure
def within_rate(old: uint256, new: uint256):
    surface.within_rate(old, new)


@external
@view
def gas_of_total_variance(word: uint256, k: int256) -> uint256:
    """@notice Gas of one evaluation, the call of the internal function included."""
    before: uint256 = msg.gas
    w: uint256 = surface.total_variance(word, k)
    spent: uint256 = before - msg.gas
    assert w != 0
    return spent


@external
@view
def gas_of_gate(word: uint256, previous: uint256) -> uint256:
    """@notice Gas of one gate."""
    before: uint256 = msg.gas
    surface.gate(word, previous)
    return before - msg.gas
