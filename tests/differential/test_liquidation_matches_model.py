"""Contract ≡ model, bit for bit: custody, auctions and the waterfall over random crashes (ladder
rung 5).
"""

from __future__ import annotations

import random

import pytest
from support.core import BTC, ETH, ORACLE_PER_USD, trader
from support.venue import DOLLAR, ETHER_LOT, STRANGER, Venue, owner_address

from novate.model import custody, ledger, liquidation, waterfall
from novate.model.account import account_of
from novate.units import WAD

OPERATIONS = {
    "trade": 30,
    "round": 14,
    "crash": 3,
    "time": 6,
    "deposit": 6,
    "request": 5,
    "cancel": 2,
    "withdraw": 6,
    "start": 10,
    "bid": 16,
    "end": 3,
    "write_off": 3,
    "haircut": 3,
    "retry": 2,
    "refill": 1,
    "limits": 1,
    "fees": 2,
    "quote": 4,
}


class Driver:
    """Random operations on one venue, drawn from a seed; levered traders and a few with deep
    pockets.
    """

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.venue = Venue()
        self.price = {BTC: 60_000, ETH: 3_000}
        self.levered = [trader(f"levered {i}") for i in range(5)]
        self.deep = [trader(f"deep {i}") for i in range(3)]
        self.accounts = self.levered + self.deep
        for account in self.levered:
            self.venue.deposit(account, self.venue.usd, self.random.randint(2_000, 40_000) * DOLLAR)
        for account in self.deep:
            self.venue.deposit(account, self.venue.usd, 5_000_000 * DOLLAR)
        layers = [account_of(self.venue.address["waterfall"], n) for n in (1, 2, 3, 4)]
        for layer, dollars in zip(layers, (500, 3_000, 500, 1_000), strict=True):
            self.venue.deposit(layer, self.venue.usd, dollars * DOLLAR)

    def run(self, steps: int) -> None:
        """Random steps; everything is compared at the end."""
        names, weights = list(OPERATIONS), list(OPERATIONS.values())
        for _ in range(steps):
            getattr(self, self.random.choices(names, weights)[0])()
        self.venue.compare_all(self.accounts)
        assert self.venue.gap(self.accounts) >= 0

    def someone(self) -> int:
        return self.random.choice(self.accounts)

    def trade(self) -> None:
        """A levered trader takes as much of its side as the gate lets it, now and then less or the
        other side.
        """
        index = self.random.randrange(len(self.levered))
        sides = [self.levered[index], self.random.choice(self.deep)]
        if (index + (self.random.random() < 0.15)) % 2:
            sides.reverse()
        instrument = self.random.choice([BTC, ETH])
        lots = self.random.choice([12_000, 12_000, 50])
        while lots and not self.venue.trade(*sides, instrument, lots, self.price[instrument]):
            lots //= 2

    def move(self, spread: float, drift: float = 0) -> None:
        """A new round; the oracle clamps moves beyond its bound."""
        for instrument, price in self.price.items():
            change = 1 + drift + self.random.gauss(0, spread)
            self.price[instrument] = min(max(int(price * change), 500), 200_000)
        btc, eth = (self.price[i] * ORACLE_PER_USD for i in (BTC, ETH))
        self.venue.post(btc, eth, confidence=self.random.choice([0, 0, 800]))

    def round(self) -> None:
        self.venue.advance(self.random.choice([5, 12, 30, 60]))
        self.move(0.01)

    def crash(self) -> None:
        """Four to seven rounds of five per cent one way, with liquidators about or too late."""
        drift = self.random.choice([-0.045, 0.045])
        for _ in range(self.random.randint(4, 7)):
            self.venue.advance(12)
            self.move(0.01, drift)
        self.start()

    def time(self) -> None:
        """Ten seconds to an hour and more; once in a while the oracle is silent for too long."""
        for _ in range(self.random.choice([1, 2, 8])):
            self.venue.advance(self.random.choice([10, 200, 500, 601]))
            self.move(0.005)

    def deposit(self) -> None:
        token = self.random.choice([self.venue.usd, self.venue.usd, self.venue.ether])
        unit = DOLLAR if token is self.venue.usd else ETHER_LOT
        amount = self.random.randint(0, 3_000) * unit + self.random.choice([0, 0, 0, 1])
        self.venue.deposit(self.random.choice([self.someone(), *self.deep]), token, amount)

    def token(self) -> str:
        tokens = [self.venue.usd, self.venue.usd, self.venue.ether]
        return self.random.choice(tokens).address.lower()

    def request(self) -> None:
        account, token = self.someone(), self.token()
        sender = self.random.choice([owner_address(account)] * 4 + [STRANGER])
        amount = self.random.choice([1, 900, 20_000, 2_000_000]) * DOLLAR
        function = custody.request_withdrawal
        arguments = (account, token, amount)
        self.venue.act(self.venue.custody, sender, "request_withdrawal", function, *arguments)

    def cancel(self) -> None:
        account = self.someone()
        function = custody.cancel_withdrawal
        arguments = (account, self.token())
        sender = owner_address(account)
        self.venue.act(self.venue.custody, sender, "cancel_withdrawal", function, *arguments)

    def withdraw(self) -> None:
        requests = self.venue.world.custody.requests
        pairs = [(account, self.token()) for account in self.accounts]
        arguments = self.random.choice([pair for pair in pairs if requests[pair].amount] or pairs)
        self.venue.advance(self.random.choice([0, 0, 60]))
        self.venue.act(self.venue.custody, STRANGER, "withdraw", custody.withdraw, *arguments)

    def start(self) -> None:
        for account in self.levered:
            self.venue.start(account)

    def bid(self) -> None:
        open_now = [a for a in self.accounts if self.venue.world.liquidation.auctions[a]]
        account = self.random.choice(open_now or self.accounts)
        self.venue.advance(self.random.choice([0, 1, 12, 60, 150, 300]))
        fraction = self.random.choice([0, 5_000, 50_000, 300_000, 10**6])
        limits = self.random.choice([(0, 0), (0, 0), (300_000, 0), (0, 100 * WAD)])
        self.venue.bid(account, self.random.choice(self.deep), fraction, *limits)

    def end(self) -> None:
        arguments = (self.random.choice(self.levered),)
        self.venue.act(self.venue.auctioneer, STRANGER, "end", liquidation.end, *arguments)

    def write_off(self) -> None:
        account = self.random.choice(self.levered)
        self.venue.act(self.venue.auctioneer, STRANGER, "write_off", liquidation.write_off, account)

    def haircut(self) -> None:
        self.venue.advance(self.random.choice([0, 300, 600]))
        for account in self.levered:
            function = waterfall.execute_haircut
            self.venue.act(self.venue.waterfall, STRANGER, "execute_haircut", function, account)

    def retry(self) -> None:
        for account in self.levered:
            self.venue.act(self.venue.waterfall, STRANGER, "retry", waterfall.retry, account)

    def refill(self) -> None:
        governor = self.venue.address["timelock"]
        arguments = (self.random.randint(0, 4), self.random.choice([10, 100]) * WAD)
        self.venue.act(self.venue.waterfall, governor, "refill", waterfall.refill, *arguments)

    def limits(self) -> None:
        governor = self.venue.address["timelock"]
        arguments = (self.random.choice([100, 1_000]) * WAD, self.random.choice([299, 600]))
        self.venue.act(
            self.venue.waterfall, governor, "set_limits", waterfall.set_limits, *arguments
        )
        hourly, floor = self.random.choice([1, 10**6]) * DOLLAR, 1_000 * DOLLAR
        notice = self.random.choice([59, 60, 600])
        token = self.token()
        self.venue.govern("set_limits", custody.set_limits, token, hourly, floor, notice)

    def fees(self) -> None:
        self.venue.both("venue", "distribute_fees", (), ledger.distribute_fees, ())

    def quote(self) -> None:
        self.venue.quote(self.someone())


@pytest.mark.parametrize("seed", range(8))
def test_custody_auctions_and_waterfall_match_the_model(seed: int) -> None:
    Driver(seed).run(150)
