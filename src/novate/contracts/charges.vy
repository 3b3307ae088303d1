# pragma version 0.4.3
# pragma nonreentrancy on
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Charges of one underlying while parameters ramp, and the correlation credit (docs/SPEC.md §4;
        twin of novate/model/margin.py)
@notice Keeps nothing. Money wad; scans and charges are rounded up, the credit down.
"""

from lib import units
import risk_parameters

uses: risk_parameters

# Charges of one underlying; `more` is what the initial margin adds to them while a change ramps
struct Charges:
    scan: uint256
    base: uint256
    cross: int256
    liquidity: uint256
    more_scan: uint256
    more_base: int256
    more_cross: int256
    more_liquidity: uint256

M20: constant(uint256) = 2**20 - 1


@internal
@view
def _of(underlying: uint256, word: uint256, size: uint256, delta: int256) -> Charges:
    """
    @notice Scan, credit terms and liquidity of one underlying while a change of its parameters
            ramps into the maintenance margin, or before it has any; the initial margin takes the
            stricter end at once.
    """
    c: Charges = empty(Charges)
    target: uint256 = 0
    old: uint256 = 0
    elapsed: uint256 = 0
    target, old, elapsed = risk_parameters.transition(underlying)
    # sizes below 2**138, rates below 2**21, credits below 2**10: no product reaches 2**171
    credit: uint256 = risk_parameters.between_down(old >> 244, target >> 244, elapsed)
    psr: uint256 = risk_parameters.psr(target)
    c.scan = units.ppm_up(size, psr)
    c.base = unsafe_div(unsafe_mul(credit, c.scan), 1000)
    c.cross = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta)
    liquidity: uint256 = risk_parameters.liquidity(size, target)
    before: uint256 = risk_parameters.liquidity(size, old)
    c.liquidity = risk_parameters.between_up(before, liquidity, elapsed)
    c.more_liquidity = max(c.liquidity, liquidity) - c.liquidity
    credit = min(credit, target >> 244)
    psr = max(psr, (target >> 20) & M20)
    scan: uint256 = units.ppm_up(size, psr)
    c.more_scan = scan - c.scan
    base: uint256 = unsafe_div(unsafe_mul(credit, scan), 1000)
    c.more_base = convert(base, int256) - convert(c.base, int256)
    c.more_cross = unsafe_mul(convert(unsafe_mul(credit, psr), int256), delta) - c.cross
    return c


@internal
@pure
def _saving(base: uint256, cross: int256, cap: uint256) -> uint256:
    """@notice Capped correlation credit; the cross scan rounds up, so the credit rounds down."""
    # below 2**238 (`_credit`, `_total`)
    joint: uint256 = convert(convert(max(cross, unsafe_sub(0, cross)), bytes32), uint256)
    joint = unsafe_div(unsafe_add(joint, 999_999_999), 10**9)
    if joint >= base:
        return 0
    return min(unsafe_sub(base, joint), cap)


@internal
@pure
def _plus(a: Charges, b: Charges) -> Charges:
    """@notice The sum, field by field; of sixteen underlyings each is below 2**175 (`_of`)."""
    # sixteen terms below 2**171
    return Charges(
        scan=unsafe_add(a.scan, b.scan),
        base=unsafe_add(a.base, b.base),
        cross=unsafe_add(a.cross, b.cross),
        liquidity=unsafe_add(a.liquidity, b.liquidity),
        more_scan=unsafe_add(a.more_scan, b.more_scan),
        more_base=unsafe_add(a.more_base, b.more_base),
        more_cross=unsafe_add(a.more_cross, b.more_cross),
        more_liquidity=unsafe_add(a.more_liquidity, b.more_liquidity),
    )
