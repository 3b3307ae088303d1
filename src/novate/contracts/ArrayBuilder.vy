# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title ArrayBuilder: risk arrays of options for anyone (docs/SPEC.md §12)
@notice Owns nothing and holds no state: no owner, no way to stop it and no need to. Prices and the
        quantum in oracle units of 1e8 wei a base unit, psr in ppm, volatility wad, time in seconds.
"""

from lib import risk_array


@external
@pure
@reentrant
def build(
    forward: uint256,
    strike: uint256,
    sigma: uint256,
    seconds: uint256,
    psr: uint256,
    quantum: uint256,
) -> uint256[3]:
    """
    @notice Array, info word and vega (2**-24 of the forward) of one strike at volatility `sigma`;
            no time is stamped, so that they never pass for fresh. Errors: `OutOfBounds`.
    """
    shared: risk_array.Frame = risk_array.frame(forward, seconds, psr, quantum)
    return risk_array.words(shared, risk_array.call_at(shared, strike, sigma))


@external
@pure
@reentrant
def scenarios(
    forward: uint256,
    strike: uint256,
    sigma: uint256,
    seconds: uint256,
    psr: uint256,
    quantum: uint256,
) -> int256[16]:
    """
    @notice The sixteen lanes of one call before they are packed into sixteen bits, for a quantum
            of any fineness. Errors: `OutOfBounds`.
    """
    shared: risk_array.Frame = risk_array.frame(forward, seconds, psr, quantum)
    return risk_array.quantised(shared, risk_array.call_at(shared, strike, sigma))


@external
@pure
@reentrant
def build_expiry(
    forward: uint256,
    seconds: uint256,
    surface: uint256,
    psr: uint256,
    quantum: uint256,
    strikes: DynArray[uint256, risk_array.STRIKES_MAX],
) -> DynArray[uint256[3], risk_array.STRIKES_MAX]:
    """
    @notice Array, info and vega of every strike of one expiry on its surface, `seconds` before it
            and stamped with that time. Generation is left zero for who keeps the words. Errors:
            `SurfaceOutOfBounds`, `ButterflyArbitrage`, `OutOfBounds`.
    """
    return risk_array.build_expiry(forward, seconds, surface, psr, quantum, strikes)
