# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title TestToken: the ERC-20 stand-in for USD, BTC and ETH tokens on a local chain
@notice snekmate's ERC-20 with a minter (the deployer) who mints freely. Never deploy it where
        money is real.
"""

from snekmate.auth import ownable
from snekmate.tokens import erc20

initializes: ownable
initializes: erc20[ownable := ownable]

exports: (
    erc20.allowance,
    erc20.approve,
    erc20.balanceOf,
    erc20.decimals,
    erc20.is_minter,
    erc20.mint,
    erc20.name,
    erc20.set_minter,
    erc20.symbol,
    erc20.totalSupply,
    erc20.transfer,
    erc20.transferFrom,
)


@deploy
def __init__(name: String[25], symbol: String[5], decimals: uint8):
    ownable.__init__()
    erc20.__init__(name, symbol, decimals, name, "1")
