"""The settlement core with its real custody, auctioneer and waterfall, on pyrevm and in the model
side by side.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from novate.chain.harness import Contract, actor
from novate.errors import Rejected
from novate.model import custody, liquidation, oracle, waterfall
from novate.model.account import account_of, owner_of
from novate.model.novation import Trade
from novate.units import WAD
from support.core import WETH, Core, as_word, word

LOCAL = Path(__file__).parents[2] / "src" / "novate" / "chain" / "local"
DOLLAR = 10**6
ETHER_LOT = 10**12
STRANGER = actor("stranger")
STALE_AFTER_S = 600
RESTART_GRACE_S = 60


def owner_address(account: int) -> str:
    """The owner of an account as an address."""
    return f"0x{owner_of(account):040x}"


class Venue(Core):
    """``act`` runs one operation of a contract and its twin and compares outcome and events."""

    def __init__(self) -> None:
        super().__init__()
        governor = self.address["timelock"]
        ledger = self.clearinghouse.address
        self.custody = self.chain.deploy("Custody", governor, ledger)
        self.waterfall = self.chain.deploy("Waterfall", governor, ledger)
        self.auctioneer = self.chain.deploy(
            "Auctioneer", governor, ledger, self.waterfall.address, self.oracle.address
        )
        self.lens = self.chain.deploy("Lens", ledger, self.custody.address)
        self.usd = self.chain.deploy("TestToken", "US dollar", "USD", 6, root=LOCAL)
        self.ether = self.chain.deploy("TestToken", "Wrapped ether", "WETH", 18, root=LOCAL)
        for role in ("custody", "waterfall", "auctioneer"):
            self.address[role] = getattr(self, role).address.lower()
        self.world.addresses.update(self.address)
        roles = ("custody", "auctioneer", "waterfall", "guardian", "options")
        peers = [self.address[role] for role in roles]
        self.by("timelock", self.clearinghouse, "set_peers", self.risk.address, *peers)
        self.by("timelock", self.waterfall, "set_auctioneer", self.address["auctioneer"])
        limits = (STALE_AFTER_S, RESTART_GRACE_S, 50_000)
        self.by("timelock", self.oracle, "set_limits", *limits)
        oracle.set_limits(self.world, governor, *limits)
        self.world.take_events()
        for token, listing in ((self.usd, (0, 6, 0)), (self.ether, (WETH, 18, ETHER_LOT))):
            address = token.address.lower()
            self.govern("set_token", custody.set_token, address, *listing, 10**9)
            self.govern("set_deposit_cap", custody.set_deposit_cap, address, 10**9)

    def govern(self, function: str, model: Callable[..., Any], *arguments: Any) -> Any:
        """Governance of custody."""
        return self.act(self.custody, self.address["timelock"], function, model, *arguments)

    def act(
        self,
        contract: Contract,
        sender: str,
        function: str,
        model: Callable[..., Any],
        *arguments: Any,
    ) -> Any:
        """Call both with the same arguments (accounts as integers); returns the outcome or None if
        refused.
        """
        expected, refusal = None, None
        before = self.world.state_hash()
        try:
            with self.world.store.transaction():
                expected = model(self.world, sender, *arguments)
        except Rejected as rejected:
            refusal = rejected.error
            self.world.take_events()
            assert self.world.state_hash() == before
        given = [word(a) if isinstance(a, int) and a >> 160 else a for a in arguments]
        try:
            got = contract.call(function, *given, sender=sender)
        except Rejected as rejected:
            assert refusal is rejected.error, (function, arguments, rejected.error, refusal)
            return None
        assert refusal is None, (function, arguments, refusal, "contract accepts")
        assert got == expected, (function, arguments, got, expected)
        self._same_events_but_the_tokens()
        return True if got is None else got

    def _same_events_but_the_tokens(self) -> None:
        tokens = {self.usd.address.lower(), self.ether.address.lower()}
        logs = [e for e in self.chain.events() if e.address.lower() not in tokens]
        got = [(e.name, {k: as_word(v) for k, v in e.arguments.items()}) for e in logs]
        assert got == [(e.name, e.arguments) for e in self.world.take_events()]

    def deposit(self, account: int, token: Contract, amount: int) -> Any:
        """Anyone mints, approves and deposits for an account."""
        token.call("mint", STRANGER, amount)
        token.call("approve", self.custody.address, amount, sender=STRANGER)
        arguments = (token.address.lower(), account, amount)
        return self.act(self.custody, STRANGER, "deposit", custody.deposit, *arguments)

    def trade(self, buyer: int, seller: int, instrument: int, lots: int, price_usd: int) -> Any:
        """One trade of two accounts at a price."""
        accounts = sorted((buyer, seller))
        taker, maker = accounts.index(buyer), accounts.index(seller)
        made = Trade(taker, maker, 0, True, lots, price_usd * WAD)
        return self.novate(accounts, [instrument], [made])

    def start(self, account: int) -> Any:
        """A stranger opens an auction."""
        return self.act(self.auctioneer, STRANGER, "start", liquidation.start, account)

    def bid(
        self, account: int, bidder: int, fraction: int, health_min: int = 0, least: int = 0
    ) -> Any:
        """The bidder's owner bids."""
        arguments = (account, bidder, fraction, health_min, least)
        sender = owner_address(bidder)
        return self.act(self.auctioneer, sender, "bid", liquidation.bid, *arguments)

    def quote(self, account: int) -> None:
        """Both quote the same."""
        assert self.auctioneer.view("quote", word(account)) == liquidation.quote(
            self.world, account
        )

    def compare_all(self, accounts: list[int]) -> None:
        """Every stored figure of ledger, custody, auctions and waterfall."""
        layers = [account_of(self.address["waterfall"], number) for number in (1, 2, 3, 4)]
        self.compare(accounts + layers)
        assert tuple(self.waterfall.view("layers")) == waterfall.layers(self.world)
        assert self.waterfall.view("insurance_left") == waterfall.insurance_left(self.world)
        for token in (self.usd, self.ether):
            address = token.address.lower()
            row = self.world.custody.tokens[address]
            sheet = (row.balance, row.cap, row.decimals, row.instrument, row.lot_units)
            assert self.custody.view("token", address) == sheet
            assert self.custody.view("queue", address) == custody.queue(self.world, address)
            for account in accounts:
                request = self.world.custody.requests[account, address]
                found = self.custody.view("request", word(account), address)
                assert found[:2] == (request.amount, request.eligible_at)
        for account in accounts:
            opened_at = self.auctioneer.view("opened_at", word(account))[0]
            assert opened_at == self.world.liquidation.auctions[account]
            pending = self.waterfall.view("pending", word(account))
            assert pending == self.world.waterfall.pendings[account]
            uncovered = self.waterfall.view("uncovered", word(account))
            assert uncovered == self.world.waterfall.uncovered[account]

    def gap(self, accounts: list[int]) -> int:
        """Assets less claims over these accounts, the layers and the fee pot (wei)."""
        layers = [account_of(self.address["waterfall"], number) for number in (1, 2, 3, 4)]
        page = [word(account) for account in sorted(accounts + layers)]
        tokens = [self.usd.address, self.ether.address]
        difference: int = self.lens.view("solvency", page, tokens)[2]
        fees: int = self.clearinghouse.view("pot")[0]
        return difference - fees
