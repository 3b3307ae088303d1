# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Router: somebody's contract that calls others on behalf of whoever calls it
@notice A call that fails fails alone, as in a multicall that allows it; a log follows each.
"""

CALLS_MAX: constant(uint256) = 8
DATA_MAX: constant(uint256) = 8192

event Routed:
    index: uint256
    success: bool


@external
def route(targets: DynArray[address, CALLS_MAX], calls: DynArray[Bytes[DATA_MAX], CALLS_MAX]):
    """@notice Make the calls in their order."""
    for i: uint256 in range(len(targets), bound=CALLS_MAX):
        log Routed(index=i, success=raw_call(targets[i], calls[i], revert_on_failure=False))
