# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title The pure libraries of custody and liquidation, callable by tests"""

from lib import auction
from lib import outflow


@external
@pure
def health(equity: int256, margin: uint256) -> uint256:
    return auction.health(equity, margin)


@external
@pure
def discount(elapsed: uint256, health: uint256) -> (uint256, uint256):
    return auction.discount(elapsed, health)


@external
@pure
def fraction_max(margin: uint256, health: uint256, charge: uint256) -> uint256:
    return auction.fraction_max(margin, health, charge)


@external
@pure
def share(margin: uint256, rate: uint256, fraction: uint256) -> uint256:
    return auction.share(margin, rate, fraction)


@external
@pure
def insolvent_reward(
    margin: uint256, liquidity: uint256, fraction: uint256, elapsed: uint256
) -> uint256:
    return auction.insolvent_reward(margin, liquidity, fraction, elapsed)


@external
@pure
def limit(balance: uint256, hourly: uint256) -> uint256:
    return outflow.limit(balance, hourly)


@external
@pure
def step_up(amount: uint256, hourly_limit: uint256) -> uint256:
    return outflow.step_up(amount, hourly_limit)


@external
@pure
def after_deposit(
    clock: uint256, now_ms: uint256, amount: uint256, hourly_limit: uint256
) -> uint256:
    return outflow.after_deposit(clock, now_ms, amount, hourly_limit)


@external
@pure
def comes_up_at(slot_end_ms: uint256) -> uint256:
    return outflow.comes_up_at(slot_end_ms)
