# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Pricer: Black-76 prices and Greeks for anyone (docs/SPEC.md §10)
@notice Owns nothing and holds no state: no owner, no way to stop it and no need to. Figures in
        wad, time in seconds over a year of 365 days, no interest; values rounded down.
"""

from lib import black76


@external
@pure
@reentrant
def price(
    forward: uint256, strike: uint256, sigma: uint256, seconds: uint256, is_call: bool
) -> black76.Greeks:
    """
    @notice Price, delta, gamma, vega (per 1.00 of volatility) and theta (per year) of one option on
            a forward. Errors: `OutOfBounds`.
    """
    return black76.black76(forward, strike, sigma, seconds, is_call)
