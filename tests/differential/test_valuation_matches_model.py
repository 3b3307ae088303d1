"""RiskModel and model see the same random markets, feeds and holdings, up to the ends of every
field, and agree on funding and valuation; no listed instrument with a price makes either fail.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
from support.clearing import pack_positions
from support.core import PARAMETERS

from novate.chain.harness import CallReverted, Chain, actor
from novate.model import margin
from novate.model.funding import INDEX_MAX
from novate.model.instrument import LOT_EXPONENTS, PERP, SPOT, Market, Terms
from novate.model.ledger import Config
from novate.model.oracle import MASK_24, MASK_56, Feed, Status
from novate.model.state import World

TEST_CONTRACTS = Path(__file__).parents[1] / "contracts"
TIMELOCK = actor("timelock")
VALUES = ("value_linear", "value_spot", "margin_maintenance", "margin_initial")
MORE = ("penalty", "bonus", "liquidity", "flags")
HELD_MAX = 128
FEEDS = 8
ROUNDS = 40


class Bench:
    """A RiskModel whose markets, feeds and status are set by hand, and the model's world."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.chain = Chain()
        self.markets = self.chain.deploy("SettableMarkets", root=TEST_CONTRACTS)
        self.oracle = self.chain.deploy("SettableOracle", root=TEST_CONTRACTS)
        self.options = self.chain.deploy("SettableOptions", root=TEST_CONTRACTS)
        peers = TIMELOCK, self.markets.address, self.oracle.address, self.options.address
        self.risk = self.chain.deploy("RiskModel", *peers)
        self.world = World(self.chain.timestamp, {"timelock": TIMELOCK})
        self.parameters()

    def pick(self, *ends: int, low: int, high: int) -> int:
        """One of the ends, or anything between."""
        draw = self.random
        return draw.choice(ends) if draw.random() < 0.5 else draw.randint(low, high)

    def parameters(self) -> None:
        """Underlyings with parameters and without."""
        for underlying, row in ((0, PARAMETERS[0]), (1, PARAMETERS[1]), (15, PARAMETERS[0])):
            call = "set_parameters", underlying, row.pack()
            self.risk.call(*call, sender=TIMELOCK)
            margin.set_parameters(self.world, TIMELOCK, underlying, row)

    def accrued(self, instrument: int, market: int) -> tuple[int, int]:
        """What a RiskModel of the same prices tells its Clearinghouse, a plain address."""
        config, asking = self.world.ledger.config.pack(), actor("asking clearinghouse")
        peers = TIMELOCK, asking, self.oracle.address, self.options.address
        model = self.chain.deploy("RiskModel", *peers)
        found: tuple[int, int] = model.call("accrued", instrument, market, config, sender=asking)
        return found

    def advance(self, seconds: int) -> None:
        """Move both clocks."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def past(self, *ages: int) -> int:
        """Some seconds ago."""
        return self.world.now - self.random.choice(ages)

    def prices(self) -> None:
        """A status and all feeds anew."""
        draw = self.random
        self.advance(draw.choice([0, 1, 50, 61, 90_000]))
        status = Status(draw.randrange(1, 2**64), self.past(0, 59, 61), self.past(119, 120, 10**6))
        self.world.oracle.statuses[0] = status
        self.oracle.call("set_status", status.pack())
        ages = draw.choice([(0, 60), (0, 60, 61, 10**6)])
        for feed in range(FEEDS):
            index, mark, average = (
                self.pick(1, MASK_56, low=1, high=draw.choice([2**40, MASK_56])) for _ in range(3)
            )
            if draw.random() < 0.5:
                mark = average = index
            confidence = self.pick(0, MASK_24, low=0, high=10**5)
            times = self.past(*ages), self.past(0, 30, 10**5, self.world.now)
            row = Feed(index, mark, average, confidence, *times)
            self.world.oracle.feeds[feed] = row
            self.oracle.call("set_feed", feed, row.pack())

    def list_all(self) -> None:
        """A configuration, and instruments of every kind and lot size in any state of funding."""
        draw, book = self.random, self.world.ledger
        config = replace(
            Config(),
            funding_interest_ppb=self.pick(0, 10**6, low=0, high=10**6),
            funding_clamp_ppb=self.pick(0, 5 * 10**6, low=0, high=5 * 10**6),
            funding_cap_ppb=self.pick(0, 10**7, low=0, high=10**7),
            funding_slope_ppb_s=self.pick(1, 10**6, low=1, high=10**6),
        )
        book.configs["config"] = config
        self.markets.call("set_config", config.pack())
        for instrument in self.instruments():
            lot = 10 ** draw.choice(LOT_EXPONENTS)
            kind = draw.choice([PERP, PERP, SPOT])
            terms = Terms(lot, 10**18, 0, 0, draw.randrange(16), draw.randrange(FEEDS), kind)
            market = Market(
                self.pick(-INDEX_MAX, 1 - INDEX_MAX, INDEX_MAX - 1, low=-(2**70), high=2**70),
                self.pick(-(10**7), 10**7, 0, low=-(10**7), high=10**7),
                self.past(0, 1, 60, 10**5, self.world.now),
                self.pick(0, 1, 2**44 - 1, low=0, high=2**44 - 1),
            )
            book.terms[instrument], book.markets[instrument] = terms, market
            self.markets.call("set_word", instrument, market.pack(terms))

    def instruments(self) -> list[int]:
        """As many ids as an account can hold, up to the largest."""
        return [*range(1, HELD_MAX), 2**19 - 1]

    def holding(self) -> dict[int, int]:
        """Some of them in any order; spot is never short."""
        held = {}
        count = self.pick(1, 4, 16, 17, HELD_MAX, low=1, high=HELD_MAX)
        for instrument in self.random.sample(self.instruments(), count):
            lots = self.pick(1, 2**43 - 1, low=1, high=10**6)
            short = self.world.ledger.terms[instrument].kind == PERP and self.random.random() < 0.5
            held[instrument] = -lots if short else lots
        return held


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_any_holding_of_any_market_is_worth_the_same_and_never_fails(seed: int) -> None:
    bench = Bench(seed)
    flags = set()
    for _ in range(ROUNDS):
        bench.prices()
        bench.list_all()
        held = bench.holding()
        expected = margin.evaluate(bench.world, held)
        found = bench.risk.call("evaluate", pack_positions(held))
        assert found == tuple(getattr(expected, name) for name in VALUES + MORE)
        flags.add(expected.flags)
    assert flags == {0, 1, 2, 3}


@pytest.mark.parametrize("seed", [4, 5])
def test_any_market_accrues_the_same_and_once(seed: int) -> None:
    bench = Bench(seed)
    at_the_bound = 0
    for _ in range(3):
        bench.prices()
        bench.list_all()
        book = bench.world.ledger
        for instrument in bench.instruments():
            stored = book.markets[instrument].pack(book.terms[instrument])
            terms, market, feed, _ = bench.world.snapshot(instrument)
            found, mark = bench.accrued(instrument, stored)
            assert (found, mark) == (market.pack(terms), feed.mark * 10**8)
            assert bench.accrued(instrument, found) == (found, mark)
            moved = book.markets[instrument].funding_index != market.funding_index
            at_the_bound += moved and abs(market.funding_index) == INDEX_MAX
            assert abs(market.funding_index) <= INDEX_MAX
    assert at_the_bound > 0


@pytest.mark.parametrize("lots", [1, -1, 2**43 - 1])
def test_an_unlisted_instrument_or_one_without_a_price_has_no_value(lots: int) -> None:
    bench = Bench(6)
    bench.prices()
    terms = Terms(10**15, 10**18, 0, 0, 0, FEEDS, PERP)
    bench.markets.call("set_word", 9, Market(accrued_at=bench.world.now).pack(terms))
    for instrument in (8, 9):
        with pytest.raises(CallReverted):
            bench.risk.call("evaluate", pack_positions({instrument: lots}))


@pytest.mark.parametrize("seed", [7, 8])
def test_both_sides_of_a_slice_are_worth_what_each_is_alone(seed: int) -> None:
    bench = Bench(seed)
    both = bench.chain.deploy("TwoPortfolios", root=TEST_CONTRACTS)
    known = 0
    for turn in range(24):
        bench.prices()
        bench.list_all()
        whole = {i: lots for i, lots in bench.holding().items() if abs(lots) > 1}
        terms = bench.world.ledger.terms
        if turn % 3 != 0:  # perps alone, whose sums are kept
            whole = {i: lots for i, lots in whole.items() if terms[i].kind == PERP}
        taken = {i: max(abs(n) // 3, 1) * (1 if n > 0 else -1) for i, n in whole.items()}
        left = {i: lots - taken[i] for i, lots in whole.items()}
        keep = turn % 5 != 0
        words = pack_positions(whole), pack_positions(left), pack_positions(taken)
        both.call("run", bench.risk.address, *words, keep)
        found = both.view("known")
        assert found == (keep and whole != {} and all(terms[i].kind == PERP for i in whole))
        known += found
        for at, held in enumerate((left, taken)):
            expected = margin.evaluate(bench.world, held)
            values = tuple(getattr(expected, name) for name in VALUES + MORE)
            assert both.view("alone", at) == values
            assert both.view("together", at) == (values if found else (0,) * len(values))
    assert known > 0


def test_a_slice_is_not_valued_from_another_portfolio_s_sums() -> None:
    bench = Bench(9)
    both = bench.chain.deploy("TwoPortfolios", root=TEST_CONTRACTS)
    bench.prices()
    bench.list_all()
    terms = bench.world.ledger.terms
    perps = [i for i in bench.instruments() if i in terms and terms[i].kind == PERP][:2]
    whole, left, taken = (pack_positions(dict.fromkeys(perps, n)) for n in (9, 6, 3))
    both.call("run", bench.risk.address, whole, left, taken, True)
    assert both.view("known")
    both.call("set_after", taken)
    both.call("run", bench.risk.address, whole, left, taken, True)
    assert not both.view("known")
