# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title lib/option_id behind external functions"""

from lib import option_id


@external
@pure
def call_id(underlying: uint256, slot: uint256, index: uint256) -> uint256:
    return option_id.call_id(underlying, slot, index)


@external
@pure
def future_id(underlying: uint256, slot: uint256) -> uint256:
    return option_id.future_id(underlying, slot)


@external
@pure
def kinds(id: uint256) -> (bool, bool, bool):
    """@notice Whether it is dated, an option, a future."""
    return option_id.is_dated(id), option_id.is_option(id), option_id.is_future(id)


@external
@pure
def places(id: uint256) -> (uint256, uint256):
    """@notice Place and terms' key of what is dated."""
    return option_id.place(id), option_id.terms_key(id)


@external
@pure
def fields(id: uint256) -> (bool, uint256, uint256, uint256, bool):
    """@notice Whether it is an option; underlying, slot, strike index; whether a put."""
    place: uint256[3] = [
        option_id.underlying(id), option_id.slot(id), option_id.strike_index(id)
    ]
    return option_id.is_option(id), place[0], place[1], place[2], option_id.is_put(id)
