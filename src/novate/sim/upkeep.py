"""The rest of the workload: liquidation, the waterfall, governance, and strangers refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from novate.model import custody, ledger, liquidation, margin, oracle, venue, waterfall
from novate.model.margin import RiskGlobals
from novate.model.state import World
from novate.sim.desk import NOBODY, UNLISTED
from novate.sim.workload import Workload
from novate.sim.world import DOLLAR, PARAMETERS, TERMS, Step, dollars, word
from novate.units import WAD


class Simulation(Workload):
    """Every kind of operation."""

    # Liquidation and the waterfall

    def crash(self) -> None:
        """Several rounds of five per cent one way, then everyone looks for auctions."""
        drift = self.random.choice([-0.045, 0.045])
        for _ in range(self.random.randint(4, 7)):
            self.both.advance(12)
            self.post(0.01, drift, kind="crash")
        self.start()

    def start(self) -> None:
        """Strangers try to open auctions of whoever looks weakest, and of someone at random."""
        weakest = min(self.levered, key=lambda who: ledger.check(self.world, who.account).equity)
        for account in (weakest.account, self.anyone().account):
            self.act("start", self.both.auctioneer, self.stranger, liquidation.start, account)

    def auctioned(self) -> int:
        """Mostly an account in auction."""
        rows = self.world.liquidation.auctions
        opened = [who.account for who in self.people if rows[who.account]]
        return self.random.choice(opened or [who.account for who in self.people])

    def bid(self) -> None:
        """A bid from a deep pocket, early or late, large or small, with limits of its own."""
        r, account, bidder = self.random, self.auctioned(), self.random.choice(self.people)
        if r.random() < 0.8:
            bidder = r.choice(self.deep)
        self.both.advance(r.choice([0, 1, 12, 60, 150, 300]))
        fraction = r.choice([0, 5_000, 50_000, 300_000, 10**6, 10**6, 10**6 + 1])
        limits = r.choice([(0, 0), (0, 0), (0, 0), (300_000, 0), (0, 100 * WAD)])
        sender = bidder.address if r.random() < 0.95 else self.stranger
        before = ledger.check(self.world, account)
        given = account, bidder.account, fraction, *limits
        result = self.act("bid", self.both.auctioneer, sender, liquidation.bid, *given)
        if result.accepted:
            self.checker.slice_kept_health(before, account, result.change)

    def end(self) -> None:
        """Anyone ends an auction."""
        self.act("end", self.both.auctioneer, self.stranger, liquidation.end, self.auctioned())

    def write_off(self) -> None:
        """Anyone hands over a deficit."""
        worst = min(self.levered, key=lambda who: ledger.check(self.world, who.account).equity)
        chosen = self.random.choice([worst, self.anyone()])
        self.act(
            "write_off",
            self.both.auctioneer,
            self.stranger,
            liquidation.write_off,
            chosen.account,
        )

    def _owing(self, amounts: dict[int, int]) -> int:
        """Mostly an account with a recorded deficit."""
        found = [account for account, amount in sorted(amounts.items()) if amount]
        return self.random.choice(found or [self.anyone().account])

    def haircut(self) -> None:
        """Anyone has gains cut for a deficit whose window is over, or tries early."""
        self.both.advance(self.random.choice([0, 300, 600]))
        rows = {account: row[0] for account, row in self.world.waterfall.pendings.rows.items()}
        given = self._owing(rows)
        sender = self.stranger
        self.act("haircut", self.both.waterfall, sender, waterfall.execute_haircut, given)

    def retry(self) -> None:
        """Anyone has layers pay an uncovered deficit; governance has often refilled them."""
        if self.random.random() < 0.5:
            self.run("govern", self._refill(self.both.address["timelock"]))
        given = self._owing(self.world.waterfall.uncovered.rows)
        self.act("retry", self.both.waterfall, self.stranger, waterfall.retry, given)

    def distribute(self) -> None:
        """Anyone sends the fees on."""
        house = self.both.clearinghouse
        self.act("distribute", house, self.stranger, ledger.distribute_fees)

    def sweep(self) -> None:
        """Anyone sweeps several accounts."""
        accounts = [who.account for who in self.random.sample(self.people, 3)]
        self.run(
            "sweep",
            Step(
                self.both.clearinghouse,
                "sweep",
                self.stranger,
                ([word(account) for account in accounts],),
                lambda world: ledger.sweep(world, self.stranger, accounts),
            ),
        )

    def look(self) -> None:
        """The views a keeper decides by."""
        account, house = self.anyone().account, self.both.clearinghouse
        given = (word(account),)

        def check(world: World) -> ledger.Check:
            return ledger.check(world, account)

        def quote(world: World) -> tuple[int, ...]:
            return liquidation.quote(world, account)

        self.run("look", Step(house, "check", self.stranger, given, check))
        self.run("look", Step(self.both.auctioneer, "quote", self.stranger, given, quote))

    # Governance

    def govern(self) -> None:
        """One setter, within its bounds or not."""
        sender = self.both.address["timelock"]
        self.run("govern", self.setter(sender))

    def setter(self, sender: str) -> Step:
        """A random governance call by ``sender``."""
        return self.random.choice(
            [
                self._caps,
                self._config,
                self._debt_cap,
                self._listing,
                self._parameters,
                self._globals,
                self._fees,
                self._windows,
                self._executor,
                self._oracle_limits,
                self._cover_limits,
                self._refill,
                self._custody_limits,
                self._deposit_cap,
                self._feed,
            ]
        )(sender)

    def _caps(self, sender: str) -> Step:
        r = self.random
        instrument = r.choice([*TERMS, UNLISTED])
        interest = TERMS[instrument].open_interest_cap if instrument in TERMS else 1
        low, high = interest // 5, 2**44 - 1  # division: a fifth
        caps = r.choice([interest] * 4 + [20_000, high]), r.choice([low] * 4 + [5_000, high])
        house = self.both.clearinghouse
        return self.both.step(house, sender, ledger.set_caps, instrument, *caps)

    def _config(self, sender: str) -> Step:
        r = self.random
        changed = replace(
            self.world.ledger.config,
            trade_band_ppm=r.choice([50_000, 50_000, 100_000, 1_000]),
            funding_interest_ppb=r.choice([100_000, 0]),
            funding_cap_ppb=r.choice([1_666_666, 10_000_000, 20_000_000]),
            funding_slope_ppb_s=r.choice([1_666, 100_000, 0]),
            borrow_rate_wad_s=r.choice([3_170_979_198, 2**32 - 1]),
        )
        return self.both.step(self.both.clearinghouse, sender, ledger.set_config, changed)

    def _debt_cap(self, sender: str) -> Step:
        cap = self.random.choice([10**24, 10**21, 0, 10**28])
        return self.both.step(self.both.clearinghouse, sender, ledger.set_debt_cap, cap)

    def _listing(self, sender: str) -> Step:
        r = self.random
        instrument = r.choice([*TERMS, 100 + r.randrange(4)])
        lot_size, tick = r.choice([10**15, 10**10, 10**19, 2 * 10**15]), r.choice([10**18, 3])
        terms = replace(TERMS[1], lot_size=lot_size, tick=tick)
        house = self.both.clearinghouse
        return self.both.step(house, sender, ledger.list_instrument, instrument, terms)

    def _parameters(self, sender: str) -> Step:
        r, underlying = self.random, self.random.choice([0, 1, 16])
        base = PARAMETERS.get(underlying, PARAMETERS[0])
        target = base.psr_target * r.choice([90, 100, 110, 1_000]) // 100  # division: down
        row = replace(base, psr_target=min(target, 2**20 - 1), credit=r.choice([500, 400, 1_001]))
        return self.both.step(self.both.risk, sender, margin.set_parameters, underlying, row)

    def _globals(self, sender: str) -> Step:
        r = self.random
        fields = r.choice([1_250_000, 1_300_000, 1]), r.choice([5, 6]) * 10**24, r.choice([100, 50])
        return Step(
            self.both.risk,
            "set_globals",
            sender,
            fields,
            lambda world: margin.set_globals(world, sender, RiskGlobals(*fields)),
        )

    def _fees(self, sender: str) -> Step:
        fees = self.random.choice([400, 450, 2_001]), self.random.choice([100, 0])
        if self.random.random() < 0.5:
            fees = self.random.choice([300, 350, 2_001]), self.random.choice([1_250, 0, 2_501])
            return self.both.step(self.both.exchange, sender, venue.set_option_fees, *fees)
        return self.both.step(self.both.exchange, sender, venue.set_fees, *fees)

    def _windows(self, sender: str) -> Step:
        windows = self.random.choice([(30, 60), (10, 60), (40, 60), (4, 60), (30, 601)])
        return self.both.step(self.both.exchange, sender, venue.set_windows, *windows)

    def _executor(self, sender: str) -> Step:
        named = self.random.choice([(self.desk.engine, True), (NOBODY, True), (NOBODY, False)])
        return self.both.step(self.both.exchange, sender, venue.set_executor, *named)

    def _oracle_limits(self, sender: str) -> Step:
        r = self.random
        limits = r.choice([300, 300, 60, 9]), r.choice([60, 120, 29]), r.choice([50_000, 10])
        return self.both.step(self.both.oracle, sender, oracle.set_limits, *limits)

    def _cover_limits(self, sender: str) -> Step:
        r = self.random
        limits = dollars(r.choice([100, 1_000, 500_000])), r.choice([299, 300, 600])
        return self.both.step(self.both.waterfall, sender, waterfall.set_limits, *limits)

    def _refill(self, sender: str) -> Step:
        layer, amount = self.random.randint(0, 4), dollars(self.random.choice([10, 100]))
        return self.both.step(self.both.waterfall, sender, waterfall.refill, layer, amount)

    def _custody_limits(self, sender: str) -> Step:
        hourly, floor = self.random.choice([1, 10**6]) * DOLLAR, 1_000 * DOLLAR
        given = self.token(), hourly, floor, self.random.choice([59, 60, 600])
        return self.both.step(self.both.custody, sender, custody.set_limits, *given)

    def _deposit_cap(self, sender: str) -> Step:
        given = self.token(), self.random.choice([10**9, 10**9, 10**9, 10**6, 10**13])
        return self.both.step(self.both.custody, sender, custody.set_deposit_cap, *given)

    def _feed(self, sender: str) -> Step:
        feed = self.random.choice([0, 1, 200, 256])
        return self.both.step(self.both.oracle, sender, oracle.register_feed, feed)

    def pause(self) -> None:
        """The guardian pauses increases for a while."""
        sender = self.both.address["guardian"] if self.random.random() < 0.9 else self.stranger
        seconds = self.random.choice([0, 60, 300, 1_200])
        self.act("pause", self.both.clearinghouse, sender, ledger.pause, seconds)

    # Strangers

    def intrude(self) -> None:
        """A stranger calls what only governance or a peer contract may."""
        self.run("intrude", self._intrusion())

    def _intrusion(self) -> Step:
        r, house, sender = self.random, self.both.clearinghouse, self.stranger
        one, other = (who.account for who in r.sample(self.people, 2))
        peers: list[tuple[Any, ...]] = [
            (house, ledger.credit, one, 0, WAD),
            (house, ledger.debit, one, 0, WAD),
            (house, ledger.set_in_auction, one, True),
            (house, ledger.transfer_slice, one, other, 10**6, 0, 0),
            (house, ledger.move_cash, self.layers[0], one, WAD),
            (house, ledger.cut_gains, one, WAD),
            (self.both.waterfall, waterfall.cover, one, WAD),
            (self.both.waterfall, waterfall.pay_reward, one, WAD),
        ]
        if r.random() < 0.4:
            return self.setter(sender)
        contract, twin, *given = r.choice(peers)
        return self.both.step(contract, sender, twin, *given)
