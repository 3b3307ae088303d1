"""The model alone, with prices set by hand: for properties that need many examples.

The contracts are held equal to the model elsewhere (tests/differential).
"""

from __future__ import annotations

from dataclasses import replace

from novate.chain.harness import actor
from novate.model import ledger, novation
from novate.model.account import gains
from novate.model.instrument import Market
from novate.model.margin import RiskParameters
from novate.model.novation import Trade
from novate.model.oracle import Feed, Status
from novate.model.state import World
from novate.units import WAD
from support.core import BTC, ETH, ORACLE_PER_USD, PARAMETERS, ROLES, TERMS

START = 1_760_000_400  # an epoch begins
ADDRESS = {role: actor(role) for role in ROLES}


class ModelVenue:
    """A world with the instruments and parameters of the settlement core."""

    def __init__(self, parameters: dict[int, RiskParameters] | None = None) -> None:
        self.world = World(START, ADDRESS)
        self.world.ledger.borrow["index"] = ledger.BorrowIndex(0, START)
        self.world.ledger.venues[ADDRESS["venue"]] = True
        for instrument, terms in TERMS.items():
            self.world.ledger.terms[instrument] = terms
            self.world.ledger.markets[instrument] = Market(accrued_at=START)
        for underlying, row in (parameters or PARAMETERS).items():
            settled = replace(row, psr_from=row.psr_target, psr_set_at=START - 10**6)
            self.world.risk.parameters[underlying] = settled
        self.world.ledger.set_pot(ledger.Pot(debt_cap=10**30))
        self.round = 0
        self.price(60_000 * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)

    def price(self, btc: int, eth: int, seconds: int = 0, marks: tuple[int, int] = (0, 0)) -> None:
        """Prices in oracle units after ``seconds``; marks default to the index, averages follow at
        once.
        """
        self.world.now += seconds
        self.round += 1
        now = self.world.now
        for feed, index, mark in ((0, btc, marks[0]), (1, eth, marks[1])):
            self.world.oracle.feeds[feed] = Feed(index, mark or index, mark or index, 0, now)
        self.world.oracle.statuses[0] = Status(self.round, now)

    def feed(self, feed: int, **fields: int) -> None:
        """Change fields of a feed."""
        self.world.oracle.feeds[feed] = replace(self.world.oracle.feeds[feed], **fields)

    def market(self, instrument: int, **fields: int) -> None:
        """Change fields of a market."""
        row = self.world.ledger.markets[instrument]
        self.world.ledger.markets[instrument] = replace(row, **fields)

    def fund(self, account: int, usd: int) -> None:
        """Cash from outside."""
        ledger.credit(self.world, ADDRESS["custody"], account, 0, usd * WAD)

    def trade(
        self, buyer: int, seller: int, lots: int, instrument: int = BTC, fee: int = 0
    ) -> bool:
        """One trade at the mark, rounded to the tick; whether it settled."""
        terms = TERMS[instrument]
        mark = self.world.oracle.feeds[terms.feed].mark * 10**8
        accounts = sorted((buyer, seller))
        price = mark - mark % terms.tick
        taker, maker = accounts.index(buyer), accounts.index(seller)
        made = Trade(taker, maker, 0, True, lots, price, fee, fee)
        return bool(novation.novate(self.world, ADDRESS["venue"], accounts, [instrument], [made]))

    def sweep(self, accounts: list[int]) -> None:
        """Anyone sweeps."""
        ledger.sweep(self.world, ADDRESS["venue"], accounts)

    def claims(self, accounts: list[int]) -> int:
        """Σ cash + gains + variation, and the fees: what moves only with money in or out (I01)."""
        rows = [self.world.ledger.accounts[account] for account in accounts]
        total = sum(row.cash + row.variation + gains(self.world, row) for row in rows)
        return total + self.world.ledger.pot.fees

    def equity(self, account: int) -> int:
        """Equity now."""
        return ledger.check(self.world, account).equity


BOTH = (BTC, ETH)
