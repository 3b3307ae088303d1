"""The settlement core twice: Oracle, RiskModel and Clearinghouse on pyrevm, and the model, fed the
same operations.

Custody, auctioneer, waterfall, venue and governor are plain addresses here, so that a test can
speak for each of them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from novate.chain.harness import CHAIN_ID, Chain, actor
from novate.errors import Error, Rejected
from novate.model import ledger, margin, novation, oracle
from novate.model.account import Account, account_of
from novate.model.ledger import Config
from novate.model.margin import RiskGlobals
from novate.model.novation import Trade
from novate.model.oracle import Observation
from novate.model.state import World
from novate.sim.checkers import unpack_positions
from novate.sim.world import (
    BTC,
    ETH,
    NODE_KEYS,
    PARAMETERS,
    TERMS,
    WETH,
    as_plain,
    as_word,
    word,
)
from novate.units import WAD
from novate.wire import round as wire_round

__all__ = [
    "BTC",
    "ETH",
    "NODE_KEYS",
    "ORACLE_PER_USD",
    "PARAMETERS",
    "ROLES",
    "TERMS",
    "USD",
    "WETH",
    "Core",
    "as_plain",
    "as_word",
    "trader",
    "unpack_positions",
    "word",
]
ORACLE_PER_USD = 10**10
ROLES = ("timelock", "custody", "auctioneer", "waterfall", "guardian", "venue")


class Core:
    """One world kept twice; ``both`` runs an operation on contract and model and compares the
    outcome.
    """

    def __init__(self, btc_usd: int = 60_000, eth_usd: int = 3_000) -> None:
        self.chain = Chain()
        self.address = {role: actor(role) for role in ROLES}
        governor = self.address["timelock"]
        self.oracle = self.chain.deploy("Oracle", governor)
        config = Config()
        self.office = self.chain.deploy("BackOffice", governor)
        self.clearinghouse = self.chain.deploy(
            "Clearinghouse", governor, config.pack(), self.office.address
        )
        self._deploy_options()
        self.world = World(self.chain.timestamp, self.address)
        self.world.ledger.borrow["index"] = ledger.BorrowIndex(0, self.chain.timestamp)
        self.domain = wire_round.domain_separator(CHAIN_ID, self.oracle.address)
        self.round = 0
        self.refusal: Error | None = None
        self._govern()
        self.post(btc_usd * ORACLE_PER_USD, eth_usd * ORACLE_PER_USD)
        self.advance(200)
        self.post(btc_usd * ORACLE_PER_USD, eth_usd * ORACLE_PER_USD)

    def _deploy_options(self) -> None:
        governor, deploy = self.address["timelock"], self.chain.deploy
        house, oracle_address = self.clearinghouse.address, self.oracle.address
        self.surfaces = deploy("Surfaces", governor, oracle_address)
        builder = deploy("ArrayBuilder")
        self.options = deploy(
            "Options", governor, oracle_address, self.surfaces.address, house, builder.address
        )
        self.risk = deploy("RiskModel", governor, house, oracle_address, self.options.address)
        self.address["options"] = self.options.address.lower()
        self.address["clearinghouse"] = house.lower()

    def _govern(self) -> None:
        a, world = self.address, self.world
        nodes = [wire_round.address_of(key.public_key) for key in NODE_KEYS]
        self.by("timelock", self.oracle, "set_nodes", nodes)
        oracle.set_nodes(world, a["timelock"], nodes)
        self.by("timelock", self.oracle, "set_limits", 60, 120, 50_000)
        oracle.set_limits(world, a["timelock"], 60, 120, 50_000)
        for feed in (0, 1):
            self.by("timelock", self.oracle, "register_feed", feed)
            oracle.register_feed(world, a["timelock"], feed)
        roles = ("custody", "auctioneer", "waterfall", "guardian", "options")
        peers = (self.risk.address, *(a[role] for role in roles))
        self.by("timelock", self.clearinghouse, "set_peers", *peers)
        self.by("timelock", self.clearinghouse, "set_venue", a["venue"], True)
        world.ledger.venues[a["venue"]] = True
        for underlying, parameters in PARAMETERS.items():
            self.by("timelock", self.risk, "set_parameters", underlying, parameters.pack())
            margin.set_parameters(world, a["timelock"], underlying, parameters)
        world.risk.shared["globals"] = RiskGlobals()
        for instrument, terms in TERMS.items():
            self.by("timelock", self.clearinghouse, "list_instrument", instrument, terms.pack())
            ledger.list_instrument(world, a["timelock"], instrument, terms)
        self.by("timelock", self.clearinghouse, "set_debt_cap", 10**24)
        ledger.set_debt_cap(world, a["timelock"], 10**24)
        world.take_events()

    def by(self, role: str, contract: Any, function: str, *arguments: Any) -> Any:
        """Call a contract as a role."""
        return contract.call(function, *arguments, sender=self.address[role])

    def advance(self, seconds: int) -> None:
        """Move both clocks."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def post(
        self, btc: int, eth: int, btc_mark: int = 0, eth_mark: int = 0, confidence: int = 0
    ) -> None:
        """Post one signed round to both (prices in oracle units; marks default to the index)."""
        self.round += 1
        words = [
            Observation(0, btc, btc_mark or btc, confidence).pack(),
            Observation(1, eth, eth_mark or eth, confidence).pack(),
        ]
        signed = wire_round.signed_round(
            self.domain, self.round, self.chain.timestamp, words, list(enumerate(NODE_KEYS))[:3]
        )
        self.oracle.call("post_round", *signed.arguments())
        oracle.post_round(
            self.world, self.round, self.chain.timestamp, words, signed.signers(self.domain)
        )
        self.world.take_events()

    def both(
        self,
        role: str,
        function: str,
        arguments: tuple[Any, ...],
        model: Callable[..., Any],
        given: tuple[Any, ...],
    ) -> Any:
        """Run one operation on both; the outcome (value or rejection) and the touched state must
        agree.

        What both refused with stays in ``refusal``.
        """
        self.refusal = None
        before = self.world.state_hash()
        try:
            with self.world.store.transaction():
                expected: Any = model(self.world, self.address.get(role, role), *given)
            rejected = None
        except Rejected as rejection:
            rejected = rejection
            assert self.world.state_hash() == before
        sender = self.address.get(role, role)
        try:
            got = self.clearinghouse.call(function, *arguments, sender=sender)
        except Rejected as rejection:
            assert rejected is not None, (function, rejection.error.name, "model accepts")
            assert rejection.error == rejected.error, (function, rejection.error, rejected.error)
            self.refusal = rejection.error
            self.world.take_events()
            return None
        assert rejected is None, (function, rejected, "contract accepts")
        self._same_events()
        if got is not None:
            assert as_plain(expected) == got, (function, expected, got)
        return expected

    def _same_events(self) -> None:
        expected = [
            (e.name, {k: as_word(v) for k, v in e.arguments.items()})
            for e in self.world.take_events()
        ]
        got = [
            (e.name, {k: as_word(v) for k, v in e.arguments.items()}) for e in self.chain.events()
        ]
        assert expected == got, (expected, got)

    def credit(self, account: int, instrument: int, amount: int) -> Any:
        """Custody credits an account."""
        return self.both(
            "custody",
            "credit",
            (word(account), instrument, amount),
            ledger.credit,
            (account, instrument, amount),
        )

    def debit(self, account: int, instrument: int, amount: int) -> Any:
        """Custody debits an account."""
        return self.both(
            "custody",
            "debit",
            (word(account), instrument, amount),
            ledger.debit,
            (account, instrument, amount),
        )

    def novate(
        self, accounts: list[int], instruments: list[int], trades: list[Trade], role: str = "venue"
    ) -> Any:
        """A venue brings trades."""
        packed = [list(t.words()) for t in trades]
        arguments = ([word(a) for a in accounts], instruments, packed)
        return self.both(
            role, "novate", arguments, novation.novate, (accounts, instruments, trades)
        )

    def sweep(self, accounts: list[int]) -> Any:
        """Anyone sweeps."""
        return self.both(
            "venue", "sweep", ([word(a) for a in accounts],), ledger.sweep, (accounts,)
        )

    def check(self, account: int) -> Any:
        """Equity and valuation, equal on both sides."""
        return self.both(
            "venue", "check", (word(account),), lambda w, _, a: ledger.check(w, a), (account,)
        )

    def accrued(self, instrument: int, market: int | None = None) -> tuple[int, int]:
        """What a RiskModel of the same prices tells its Clearinghouse, here a plain address, of a
        market word (the stored one).
        """
        _, stored, config = self.clearinghouse.view("market", instrument)
        word = stored if market is None else market
        asking = actor("asking clearinghouse")
        model = self.chain.deploy(
            "RiskModel",
            self.address["timelock"],
            asking,
            self.oracle.address,
            self.options.address,
        )
        found: tuple[int, int] = model.call("accrued", instrument, word, config, sender=asking)
        return found

    def compare(self, accounts: list[int]) -> None:
        """Every stored word of the given accounts, the instruments, the epochs and the pot."""
        for account in accounts:
            row: Account = self.world.ledger.accounts[account]
            assert tuple(self.clearinghouse.call("account", word(account))) == row.slots(), account
            words = self.clearinghouse.call("positions", word(account))
            assert unpack_positions(words) == dict(row.positions), account
        for instrument in TERMS:
            terms, market, config = self.clearinghouse.call("market", instrument)
            expected = self.world.ledger.terms[instrument]
            assert terms == expected.pack()
            assert market == self.world.ledger.markets[instrument].pack(expected), instrument
            assert config == self.world.ledger.config.pack()
        pot = self.world.ledger.pot
        assert tuple(self.clearinghouse.call("pot")) == (pot.fees, pot.debt)
        epoch_now = self.world.now // self.world.ledger.config.epoch_seconds
        for number in (epoch_now, epoch_now - 1):
            epoch = self.world.ledger.epochs[number]
            assert self.clearinghouse.call("epochs", number) == epoch.shares | epoch.cut << 128


def trader(name: str, number: int = 0) -> int:
    """The account of a named actor."""
    return account_of(actor(name), number)


USD = WAD
