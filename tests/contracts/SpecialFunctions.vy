# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title The pricing libraries, callable by tests"""

from lib import black76
from lib import fixed_point


@external
@pure
def exp_parts(x: int256) -> (int256, int256):
    power: int256 = fixed_point.exp_power(x)
    return fixed_point.exp_mantissa(x, power), power


@external
@pure
def expn(y: int256) -> int256:
    return fixed_point.expn(y)


@external
@pure
def ln(x: int256) -> int256:
    return fixed_point.ln(x)


@external
@pure
def log_ratio(numerator: uint256, denominator: uint256) -> int256:
    return fixed_point.log_ratio(numerator, denominator)


@external
@pure
def sqrt(x: uint256) -> uint256:
    return fixed_point.sqrt(x)


@external
@pure
def root_time(seconds: uint256) -> int256:
    return fixed_point.root_time(seconds)


@external
@pure
def mills(x: int256) -> int256:
    return black76.mills(x)


@external
@pure
def normal_pdf(x: int256) -> int256:
    return black76.normal_pdf(x)


@external
@pure
def normal_cdf(x: int256) -> int256:
    return black76.normal_cdf(x)


@external
@pure
def otm_ratio(k: int256, v: int256) -> int256:
    return black76.otm_ratio(k, v)


@external
@pure
def nothing(x: int256) -> int256:
    return x


@external
@pure
def nothing_of_two(x: int256, y: int256) -> int256:
    return x
