# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Scales and the named divisions (twin of novate/units.py)
@notice wad = 1e18, ppm = 1e-6, ppb = 1e-9, oracle unit = 1e8 wei. The direction of every rounding
        is in the name.
"""

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
PPB: constant(int256) = 10**9
ORACLE_UNIT: constant(uint256) = 10**8


@internal
@pure
def div_up(numerator: uint256, denominator: uint256) -> uint256:
    """@notice Quotient rounded up; the denominator is not zero."""
    if numerator == 0:
        return 0
    # numerator >= 1; the quotient is at most numerator - 1, so one more still fits
    return unsafe_add(unsafe_sub(numerator, 1) // denominator, 1)


@internal
@pure
def ppm_up(amount: uint256, rate: uint256) -> uint256:
    """@notice Share `rate` of `amount`, rounded up."""
    product: uint256 = amount * rate
    if product == 0:
        return 0
    # product >= 1; a quotient by a million has room for one more
    return unsafe_add(unsafe_div(unsafe_sub(product, 1), PPM), 1)


@internal
@pure
def ppm_down(amount: uint256, rate: uint256) -> uint256:
    """@notice Share `rate` of `amount`, rounded down."""
    return amount * rate // PPM


@internal
@pure
def magnitude(x: int256) -> uint256:
    """@notice Absolute value; the callers' fields are at most 200 bits wide."""
    if x < 0:
        return convert(-x, uint256)
    return convert(x, uint256)


@internal
@pure
def signed(word: uint256, left: uint256, right: uint256) -> int256:
    """@notice Signed field of a word: shift left to its top bit, then arithmetic shift right."""
    return convert(convert(word << left, bytes32), int256) >> right


@internal
@pure
def unsigned(x: int256, mask: uint256) -> uint256:
    """@notice Two's complement bits of `x` under `mask`."""
    return convert(convert(x, bytes32), uint256) & mask
