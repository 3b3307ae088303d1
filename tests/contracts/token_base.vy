# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""@title What the misbehaving tokens share: balances, allowances, free minting"""

balances: HashMap[address, uint256]
allowances: HashMap[address, HashMap[address, uint256]]


@external
@view
def decimals() -> uint8:
    return 6


@external
@view
def allowance(owner: address, spender: address) -> uint256:
    return self.allowances[owner][spender]


@external
def mint(owner: address, amount: uint256):
    self.balances[owner] += amount


@external
def approve(spender: address, amount: uint256) -> bool:
    self.allowances[msg.sender][spender] = amount
    return True


@internal
def _move(owner: address, to: address, amount: uint256):
    self.balances[owner] -= amount
    self.balances[to] += amount


@internal
def _spend(owner: address, spender: address, amount: uint256):
    self.allowances[owner][spender] -= amount
