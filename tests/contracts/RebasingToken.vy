# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A token whose balances are shares times a scale; `rebase_in_transfer` moves the scale while
        tokens move
"""

import token_base

initializes: token_base
exports: (token_base.decimals, token_base.allowance, token_base.mint, token_base.approve)

PPM: constant(uint256) = 10**6

scale_ppm: public(uint256)
rebase_in_transfer: public(uint256)


@deploy
def __init__():
    self.scale_ppm = PPM


@external
def rebase(scale_ppm: uint256):
    self.scale_ppm = scale_ppm


@external
def set_rebase_in_transfer(scale_ppm: uint256):
    self.rebase_in_transfer = scale_ppm


@external
@view
def balanceOf(owner: address) -> uint256:
    return token_base.balances[owner] * self.scale_ppm // PPM


@internal
def _after():
    if self.rebase_in_transfer != 0:
        self.scale_ppm = self.rebase_in_transfer


@external
def transfer(to: address, amount: uint256) -> bool:
    token_base._move(msg.sender, to, amount * PPM // self.scale_ppm)
    self._after()
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    token_base._spend(owner, msg.sender, amount)
    token_base._move(owner, to, amount * PPM // self.scale_ppm)
    self._after()
    return True
