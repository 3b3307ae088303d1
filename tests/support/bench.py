"""The contracts around the ledger on a small mock of it (tests/contracts/MockLedger.vy): one bench
for several test files.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from novate.chain.harness import Chain, Contract, actor
from novate.errors import Error, Rejected

ROOT = Path(__file__).parents[2]
TEST_CONTRACTS = ROOT / "tests" / "contracts"
LOCAL_CONTRACTS = ROOT / "src" / "novate" / "chain" / "local"
USD = 10**6
WAD = 10**18
GOVERNOR = actor("governor")
TRADER = actor("trader")
LIQUIDATOR = actor("liquidator")
STRANGER = actor("stranger")


def account(owner: str, number: int = 0) -> bytes:
    """The bytes32 account of an owner address."""
    return bytes.fromhex(owner[2:]) + number.to_bytes(12, "big")


class Bench:
    """Custody, Auctioneer, Waterfall and Lens around one mock ledger, with a USD token and a spot
    token.
    """

    def __init__(self, auctioneer: str | None = None) -> None:
        """``auctioneer``: who the waterfall obeys instead of the real one (contracts cannot send
        transactions).
        """
        self.chain = Chain()
        self.ledger = self.deploy_test("MockLedger")
        self.oracle = self.deploy_test("SettableOracle")
        self.custody = self.chain.deploy("Custody", GOVERNOR, self.ledger.address)
        self.waterfall = self.chain.deploy("Waterfall", GOVERNOR, self.ledger.address)
        self.auctioneer = self.chain.deploy(
            "Auctioneer", GOVERNOR, self.ledger.address, self.waterfall.address, self.oracle.address
        )
        self.lens = self.chain.deploy("Lens", self.ledger.address, self.custody.address)
        obeyed = auctioneer or self.auctioneer.address
        self.waterfall.call("set_auctioneer", obeyed, sender=GOVERNOR)
        self.ledger.call("set_insurance", self.layer(2))
        self.usd = self.deploy_token("US dollar", "USD", 6)
        self.btc = self.deploy_token("Bitcoin", "BTC", 8)

    def deploy_test(self, name: str, *arguments: Any) -> Contract:
        """Deploy a test contract."""
        return self.chain.deploy(name, *arguments, root=TEST_CONTRACTS)

    def deploy_token(self, name: str, symbol: str, decimals: int) -> Contract:
        """Deploy a local stand-in token."""
        return self.chain.deploy("TestToken", name, symbol, decimals, root=LOCAL_CONTRACTS)

    def list_token(
        self,
        token: Contract,
        instrument: int = 0,
        decimals: int = 6,
        lot_size: int = 0,
        cap: int = 10**9,
    ) -> None:
        """List a token and raise its cap once."""
        arguments = (token.address, instrument, decimals, lot_size, cap)
        self.custody.call("set_token", *arguments, sender=GOVERNOR)
        self.custody.call("set_deposit_cap", token.address, cap, sender=GOVERNOR)

    def fund(self, token: Contract, owner: str, amount: int) -> None:
        """Mint to an owner who approves custody for that amount."""
        token.call("mint", owner, amount)
        token.call("approve", self.custody.address, amount, sender=owner)

    def deposit(self, token: Contract, owner: str, amount: int, number: int = 0) -> None:
        """Fund and deposit to the owner's account."""
        self.fund(token, owner, amount)
        self.custody.call("deposit", token.address, account(owner, number), amount, sender=owner)

    def layer(self, number: int) -> bytes:
        """The ledger account of a waterfall layer."""
        return account(self.waterfall.address, number)

    def fill_layers(self, *amounts: int) -> None:
        """Give the layers 1.. cash (wad)."""
        for number, amount in enumerate(amounts, start=1):
            self.ledger.call("set_money", self.layer(number), amount, 0)

    def cash(self, owner_account: bytes) -> int:
        """Cash of an account in the ledger."""
        found: int = self.ledger.view("cash", owner_account)
        return found

    def event(self, name: str) -> dict[str, Any]:
        """Arguments of the only log of that name in the last transaction."""
        found = [event.arguments for event in self.chain.events() if event.name == name]
        assert len(found) == 1, (name, [event.name for event in self.chain.events()])
        return found[0]

    def insolvency(self, equity: int, lots: int = 0, gains: int = 0) -> bytes:
        """The trader's account with ``lots`` of a perp at 1,000 a lot and this equity (wad)."""
        self.ledger.call("set_mark", 1, 1000 * WAD)
        trader = account(TRADER)
        self.ledger.call("set_money", trader, equity - gains, gains)
        self.ledger.call("set_lots", trader, 1, lots)
        return trader

    def bidder(self, cash: int = 10**6 * WAD) -> bytes:
        """The liquidator's account with cash (wad)."""
        found = account(LIQUIDATOR)
        self.ledger.call("set_money", found, cash, 0)
        return found


def refused(error: Error, contract: Contract, function: str, *arguments: Any, sender: str) -> None:
    """Assert that a call is rejected with exactly this error."""
    with pytest.raises(Rejected) as caught:
        contract.call(function, *arguments, sender=sender)
    assert caught.value.error is error
