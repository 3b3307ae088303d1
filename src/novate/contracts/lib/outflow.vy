# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title The withdrawal queue as a virtual clock (docs/SPEC.md §7; twin: novate/model/custody.py)
@notice Owns the arithmetic only: a token's limit an hour, how far an amount moves its clock, and
        when a place in the queue comes up. Amounts in token units, the clock in milliseconds,
        everything else in seconds. Requests round the clock up and deposits round it down, so the
        outflow of any hours is never above their limit.
"""

PPM: constant(uint256) = 10**6
HOUR: constant(uint256) = 3600
HOUR_MS: constant(uint256) = 3_600_000
SHARE_PPM: constant(uint256) = 100_000  # of the token's balance that may leave in an hour


@internal
@pure
def limit(balance: uint256, hourly: uint256) -> uint256:
    """
    @notice Units that may leave in an hour: a tenth of the balance (down) or the governed floor;
            never zero.
    """
    return max(max(balance * SHARE_PPM // PPM, hourly), 1)


@internal
@pure
def step_up(amount: uint256, hourly_limit: uint256) -> uint256:
    """@notice Milliseconds of the limit that `amount` uses up (rounded up)."""
    return (amount * HOUR_MS + hourly_limit - 1) // hourly_limit


@internal
@pure
def after_deposit(
    clock: uint256, now_ms: uint256, amount: uint256, hourly_limit: uint256
) -> uint256:
    """@notice A clock ahead of now moves back by what came in (rounded down), never below now."""
    back: uint256 = amount * HOUR_MS // hourly_limit
    return max(now_ms, clock - min(back, clock))


@internal
@pure
def comes_up_at(slot_end_ms: uint256) -> uint256:
    """
    @notice When a place in the queue comes up (seconds, rounded up): an hour of the limit is free
            to leave at once.
    """
    return (slot_end_ms + 999) // 1000 - HOUR
