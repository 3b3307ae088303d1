# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A token that refuses listed holders: it reverts, or with `quiet` returns false and moves
        nothing
"""

import token_base

initializes: token_base
exports: (token_base.decimals, token_base.allowance, token_base.mint, token_base.approve)

blocked: public(HashMap[address, bool])
quiet: public(bool)


@external
def set_blocked(owner: address, enabled: bool):
    self.blocked[owner] = enabled


@external
def set_quiet(enabled: bool):
    self.quiet = enabled


@external
@view
def balanceOf(owner: address) -> uint256:
    return token_base.balances[owner]


@internal
@view
def _refused(owner: address, to: address) -> bool:
    refused: bool = self.blocked[owner] or self.blocked[to]
    if refused and not self.quiet:
        raise "blocked"
    return refused


@external
def transfer(to: address, amount: uint256) -> bool:
    if self._refused(msg.sender, to):
        return False
    token_base._move(msg.sender, to, amount)
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    if self._refused(owner, to):
        return False
    token_base._spend(owner, msg.sender, amount)
    token_base._move(owner, to, amount)
    return True
