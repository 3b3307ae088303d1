# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
# pragma nonreentrancy on
"""
@title Tally: counts, refuses zero, and fails in each way a contract can (tests of the chain client)
"""

from lib import errors

event Counted:
    who: indexed(address)
    added: uint256
    total: uint256

total: public(uint256)


@deploy
def __init__(total: uint256):
    errors.require(total > 0, errors.ZeroAmount)
    self.total = total


@external
def add(amount: uint256):
    """@notice Add `amount` to the total."""
    errors.require(amount > 0, errors.ZeroAmount)
    self.total += amount
    log Counted(who=msg.sender, added=amount, total=self.total)


@external
def fail():
    """@notice Revert with a reason that no registry knows."""
    raise "on purpose"


@external
@view
def total_above(least: uint256) -> uint256:
    """@notice The total, refused unless it is above `least`."""
    errors.require(self.total > least, errors.InsufficientCash)
    return self.total
