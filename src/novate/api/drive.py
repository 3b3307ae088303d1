"""Accounts for a test drive on a local chain: keys anyone can derive, play money, real deposits."""

from __future__ import annotations

from eth_account.signers.local import LocalAccount

from novate.chain.backend import abi_of
from novate.chain.client import Client
from novate.chain.compile import LOCAL_CONTRACTS
from novate.chain.deployment import Deployment
from novate.chain.node import local_key
from novate.model.account import account_of

CASH = "USDC"
CASH_UNITS = 10**6


def fund(
    client: Client, deployment: Deployment, count: int, usdc: int, fresh: bool
) -> list[LocalAccount]:
    """The keys ``trader 0`` … and, on a ``fresh`` chain, what each of them deposits."""
    keys = [local_key(f"trader {i}") for i in range(count)]
    if not fresh:
        return keys
    custody = client.attach(deployment.addresses["custody"], abi_of("Custody"), "Custody")
    token = client.attach(deployment.tokens[CASH], abi_of("TestToken", LOCAL_CONTRACTS), CASH)
    amount = usdc * CASH_UNITS
    for key in keys:
        token.send("mint", key.address, amount, key=local_key("governor"))
        token.send("approve", custody.address, 2**256 - 1, key=key)
    client.mine()
    for key in keys:
        account = account_of(key.address.lower()).to_bytes(32, "big")
        custody.send("deposit", token.address, account, amount, key=key)
    client.mine()
    return keys
