# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title A token that calls back in the middle of a transfer
@notice `arm` names the contract and the call; the outcome of the last callback is kept (0 none, 1
        refused, 2 went through).
"""

import token_base

initializes: token_base
exports: (token_base.decimals, token_base.allowance, token_base.mint, token_base.approve)

target: public(address)
payload: public(Bytes[260])
outcome: public(uint256)


@external
def arm(target: address, payload: Bytes[260]):
    self.target = target
    self.payload = payload
    self.outcome = 0


@external
@view
def balanceOf(owner: address) -> uint256:
    return token_base.balances[owner]


@internal
def _call_back():
    if self.target == empty(address):
        return
    success: bool = raw_call(self.target, self.payload, revert_on_failure=False)
    self.outcome = 2 if success else 1


@external
def transfer(to: address, amount: uint256) -> bool:
    token_base._move(msg.sender, to, amount)
    self._call_back()
    return True


@external
def transferFrom(owner: address, to: address, amount: uint256) -> bool:
    self._call_back()
    token_base._spend(owner, msg.sender, amount)
    token_base._move(owner, to, amount)
    return True
