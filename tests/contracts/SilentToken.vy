# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title A token whose transfers return nothing, as the oldest large stablecoin does"""

import token_base

initializes: token_base
exports: (token_base.decimals, token_base.allowance, token_base.mint, token_base.approve)


@external
@view
def balanceOf(owner: address) -> uint256:
    return token_base.balances[owner]


@external
def transfer(to: address, amount: uint256):
    token_base._move(msg.sender, to, amount)


@external
def transferFrom(owner: address, to: address, amount: uint256):
    token_base._spend(owner, msg.sender, amount)
    token_base._move(owner, to, amount)
