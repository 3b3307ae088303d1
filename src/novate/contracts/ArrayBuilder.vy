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
    is_call: bool,
    psr: uint256,
    quantum: uint256,
) -> uint256[2]:
    """
    @notice Array and info word of one option at volatility `sigma`; no time is stamped, so that
            they never pass for fresh. Errors: `OutOfBounds`.
    """
    array: uint256 = 0
    info: uint256 = 0
    shared: risk_array.Frame = risk_array.frame(forward, seconds, psr, quantum)
    array, info = risk_array.words(shared, risk_array.call_at(shared, strike, sigma), is_call)
    return [array, info]


@external
@pure
@reentrant
def scenarios(
    forward: uint256,
    strike: uint256,
    sigma: uint256,
    seconds: uint256,
    is_call: bool,
    psr: uint256,
    quantum: uint256,
) -> int256[16]:
    """
    @notice The sixteen lanes of one option before they are packed into sixteen bits, for a quantum
            of any fineness. Errors: `OutOfBounds`.
    """
    shared: risk_array.Frame = risk_array.frame(forward, seconds, psr, quantum)
    return risk_array.quantised(shared, risk_array.call_at(shared, strike, sigma), is_call)


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
) -> DynArray[uint256[4], risk_array.STRIKES_MAX]:
    """
    @notice Array and info of the call, then of the put, of every strike of one expiry on its
            surface, `seconds` before it and stamped with that time. Generation and open interest
            are left zero for who keeps the words. Errors: `SurfaceOutOfBounds`,
            `ButterflyArbitrage`, `OutOfBounds`.
    """
    return risk_array.build_expiry(forward, seconds, surface, psr, quantum, strikes)
