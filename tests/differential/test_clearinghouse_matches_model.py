"""Contract ≡ model, bit for bit, over random histories of the settlement core (ladder rung 5)."""

from __future__ import annotations

import random

import pytest
from support.core import BTC, ETH, ORACLE_PER_USD, TERMS, USD, WETH, Core, trader

from novate.model import ledger
from novate.model.account import account_of
from novate.model.novation import Trade


class Driver:
    """Random operations on one core, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.core = Core()
        self.price = {BTC: 60_000.0, ETH: 3_000.0}
        self.accounts = [trader(f"trader {i}", i % 3) for i in range(9)] + [trader("trader 0", 7)]
        self.layers = [account_of(self.core.address["waterfall"], n) for n in (1, 2, 3, 4)]
        for account in self.accounts:
            self.core.credit(account, 0, self.random.randint(1, 200_000) * USD)

    def step(self) -> str:
        """One random operation."""
        name = self.random.choices(
            [
                "trade",
                "round",
                "cash",
                "spot",
                "sweep",
                "check",
                "slice",
                "flag",
                "fees",
                "cut",
                "time",
                "layer",
            ],
            [40, 16, 8, 6, 5, 6, 6, 2, 2, 1, 4, 2],
        )[0]
        getattr(self, name)()
        return name

    def round(self) -> None:
        """A new price, sometimes after an outage."""
        r = self.random
        self.core.advance(r.choice([1, 10, 10, 30, 60, 61, 300]))
        for key in self.price:
            self.price[key] *= 1 + r.gauss(0, 0.01)
        btc, eth = (int(self.price[k] * ORACLE_PER_USD) for k in (BTC, ETH))
        spread = [1 + r.gauss(0, 0.001) for _ in range(2)]
        self.core.post(
            btc, eth, int(btc * spread[0]), int(eth * spread[1]), r.choice([0, 0, 500, 20_000])
        )

    def time(self) -> None:
        """Time passes without a price."""
        self.core.advance(self.random.choice([5, 70, 1800, 4000, 9000]))

    def trade(self) -> None:
        """A batch of one to twelve trades, some bad in themselves."""
        r = self.random
        accounts = sorted(r.sample(self.accounts, r.randint(2, 6)))
        instruments = sorted(r.sample([BTC, ETH, WETH, 9], r.randint(1, 3)))
        trades = []
        for _ in range(r.choice([1, 1, 3, 12])):
            taker, maker = r.sample(range(len(accounts)), 2)
            at = r.randrange(len(instruments))
            terms = TERMS.get(instruments[at], TERMS[BTC])
            price = int(
                self.price.get(instruments[at], 100) * r.choice([1, 1, 1, 1.004, 0.99, 1.2]) * USD
            )
            price -= price % terms.tick
            price += r.choice([0] * 30 + [1])
            lots = r.choice([0, 1, r.randint(1, 300), r.randint(1, 3000), r.randint(1, 40_000)])
            reduce_only = r.random() < 0.05, r.random() < 0.05
            fees = r.randint(0, 10**18), r.randint(0, 10**17)
            trades.append(
                Trade(taker, maker, at, r.random() < 0.5, lots, price, *fees, *reduce_only)
            )
        self.core.novate(accounts, instruments, trades)
        self.core.compare(accounts)

    def cash(self) -> None:
        """A deposit or a withdrawal of cash."""
        account = self.random.choice(self.accounts)
        amount = self.random.randint(1, 50_000) * USD
        (self.core.credit if self.random.random() < 0.4 else self.core.debit)(account, 0, amount)
        self.core.compare([account])

    def spot(self) -> None:
        """A deposit or a withdrawal of spot collateral."""
        account = self.random.choice(self.accounts)
        amount = self.random.randint(1, 20 * 10**6)
        (self.core.credit if self.random.random() < 0.6 else self.core.debit)(account, WETH, amount)
        self.core.compare([account])

    def sweep(self) -> None:
        """Anyone sweeps several accounts."""
        chosen = self.random.sample(self.accounts, 3)
        self.core.sweep(chosen)
        self.core.compare(chosen)

    def check(self) -> None:
        """The view agrees too."""
        self.core.check(self.random.choice(self.accounts))

    def slice(self) -> None:
        """The auctioneer moves a slice of anyone to anyone."""
        r = self.random
        account, bidder = r.sample(self.accounts, 2)
        fraction = r.choice([0, 1, r.randint(1, 10**6), 10**6, 10**6 + 1])
        reward, fee = r.randint(0, 2000) * USD, r.choice([0, 10**18])
        from support.core import word

        arguments = (word(account), word(bidder), fraction, reward, fee)
        self.core.both(
            "auctioneer",
            "transfer_slice",
            arguments,
            ledger.transfer_slice,
            (account, bidder, fraction, reward, fee),
        )
        self.core.compare([account, bidder, self.layers[1]])

    def flag(self) -> None:
        """An account enters or leaves auction."""
        from support.core import word

        account, value = self.random.choice(self.accounts), self.random.random() < 0.3
        self.core.both(
            "auctioneer",
            "set_in_auction",
            (word(account), value),
            ledger.set_in_auction,
            (account, value),
        )

    def fees(self) -> None:
        """Fees reach insurance and reserves."""
        self.core.both("venue", "distribute_fees", (), ledger.distribute_fees, ())
        self.core.compare(self.layers)

    def cut(self) -> None:
        """The waterfall cuts immature gains."""
        from support.core import word

        target, amount = self.layers[0], self.random.randint(0, 3000) * USD
        self.core.both(
            "waterfall", "cut_gains", (word(target), amount), ledger.cut_gains, (target, amount)
        )
        self.core.compare(self.layers)

    def layer(self) -> None:
        """The waterfall moves its own cash, or tries to move another's."""
        from support.core import word

        source = self.random.choice([*self.layers, self.accounts[0]])
        target, amount = self.random.choice(self.accounts), self.random.randint(0, 10) * USD
        arguments = (word(source), word(target), amount)
        self.core.both(
            "waterfall", "move_cash", arguments, ledger.move_cash, (source, target, amount)
        )

    def claims(self) -> int:
        """Σ cash + gains + variation over everyone (I01)."""
        from novate.model.account import gains

        world = self.core.world
        rows = [world.ledger.accounts[a] for a in [*self.accounts, *self.layers]]
        return sum(r.cash + r.variation + gains(world, r) for r in rows) + world.ledger.pot.fees


@pytest.mark.parametrize("seed", range(8))
def test_contract_equals_model(seed: int) -> None:
    """Every operation has the same outcome, events and stored words on both sides; positions always
    sum to zero.
    """
    driver = Driver(seed)
    seen: dict[str, int] = {}
    for _ in range(400):
        name = driver.step()
        seen[name] = seen.get(name, 0) + 1
        rows = [driver.core.world.ledger.accounts[a] for a in driver.accounts]
        for instrument in (BTC, ETH):
            assert sum(dict(r.positions).get(instrument, 0) for r in rows) == 0
    driver.core.compare(driver.accounts)
    assert len(seen) == 12
