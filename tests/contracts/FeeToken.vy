# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A token that keeps a fee: `fee_in` of what the receiver gets, `fee_out` on top of what the
        sender pays
"""

import token_base

initializes: token_base
exports: (token_base.decimals, token_base.allowance, token_base.mint, token_base.approve)

fee_in: public(uint256)
fee_out: public(uint256)


@external
def set_fees(fee_in: uint256, fee_out: uint256):
    self.fee_in = fee_in
    self.fee_out = fee_out


@external
@view
def balanceOf(owner: address) -> uint256:
    return token_base.balances[owner]


@external
def transfer(to: address, amount: uint256) -> bool:
    token_base._move(msg.sender, to, amount)
    token_base.balances[to] -= self.fee_in
    token_base.balances[msg.sender] -= self.fee_out
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    token_base._spend(owner, msg.sender, amount)
    token_base._move(owner, to, amount)
    token_base.balances[to] -= self.fee_in
    return True
