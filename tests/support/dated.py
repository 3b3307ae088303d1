"""A RiskModel, its markets and Options set by hand, and the model's world with the same words.

Words of options are random within what Options can give: any lanes, marks that a strike or the
forward bounds, deltas of their side, prices and interest up to the ends of their fields.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from novate.chain.harness import Chain, actor
from novate.model import dated_margin, margin
from novate.model.arrays import DELTA_BITS, PRICE_MAX, Info, quantum_of
from novate.model.instrument import LOT_EXPONENTS, SPOT, Market, Terms
from novate.model.ledger import Config
from novate.model.option_id import OptionId, future_id
from novate.model.option_lanes import EXPIRED, LIVE, LIVE_OLD_SURFACE, NEUTRAL, PRINTED, Head
from novate.model.options import Epoch
from novate.model.oracle import Feed, Status
from novate.model.risk_parameters import RiskParameters
from novate.model.state import World
from support.clearing import pack_positions

TEST_CONTRACTS = Path(__file__).parents[1] / "contracts"
TIMELOCK = actor("timelock")
VALUES = ("value_linear", "value_spot", "margin_maintenance", "margin_initial")
MORE = ("penalty", "bonus", "liquidity", "flags")
DATED_LOTS_MAX = 2**40 - 1
Words = tuple[int, int, int]


class DatedBench:
    """Contract and model over the same words."""

    def __init__(self, seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
        self.random = random.Random(seed)
        self.chain = Chain()
        deploy = self.chain.deploy
        self.markets = deploy("SettableMarkets", root=TEST_CONTRACTS)
        self.oracle = deploy("SettableOracle", root=TEST_CONTRACTS)
        self.options = deploy("SettableOptions", root=TEST_CONTRACTS)
        peers = (self.markets.address, self.oracle.address, self.options.address)
        self.risk = deploy("RiskModel", TIMELOCK, *peers)
        self.world = World(self.chain.timestamp, {"timelock": TIMELOCK})
        self.said: dict[int, Words] = {}
        self.epochs: dict[int, int] = {}
        monkeypatch.setattr(dated_margin, "words_of", self.words_of)
        monkeypatch.setattr(dated_margin, "epoch_now", self.epoch_now)
        self.markets.call("set_config", Config().pack())
        self.world.ledger.configs["config"] = Config()

    def words_of(self, world: World, id: int) -> Words:
        """In place of Options' own."""
        assert world is self.world
        return self.said.get(id, (0, 0, 0))

    def epoch_now(self, world: World, underlying: int) -> int:
        """In place of Options' own."""
        assert world is self.world
        return self.epochs[underlying]

    def set_parameters(self, underlying: int, row: RiskParameters) -> None:
        """Governance, on both."""
        self.risk.call("set_parameters", underlying, row.pack(), sender=TIMELOCK)
        margin.set_parameters(self.world, TIMELOCK, underlying, row)

    def advance(self, seconds: int) -> None:
        """Move both clocks."""
        self.chain.advance(seconds)
        self.world.now = self.chain.timestamp

    def prices(self, feeds: int, price_max: int = PRICE_MAX) -> None:
        """A status and feeds anew, of any age; sometimes silent or in its grace."""
        draw, now = self.random, self.world.now
        status = Status(
            draw.randrange(1, 2**64),
            now - draw.choice([0, 59, 61]),
            now - draw.choice([119, 10**6]),
        )
        self.world.oracle.statuses[0] = status
        self.oracle.call("set_status", status.pack())
        for feed in range(feeds):
            mark = draw.randint(10**6, price_max)
            index, average = (max(mark * draw.randint(90, 110) // 110, 1) for _ in range(2))
            times = now - draw.choice([0, 0, 0, 60, 61, 10**6]), now - draw.choice([0, 10**5])
            row = Feed(index, mark, average, draw.choice([0, 100, 2**24 - 1]), *times)
            self.world.oracle.feeds[feed] = row
            self.oracle.call("set_feed", feed, row.pack())

    def list_linear(self, instrument: int, underlying: int, feed: int, kind: int) -> None:
        """A perpetual or spot instrument."""
        draw, lot = self.random, 10 ** self.random.choice(LOT_EXPONENTS)
        terms = Terms(lot, 10**18, 0, 0, underlying, feed, kind)
        market = Market(draw.randint(-(2**70), 2**70), draw.randint(-(10**7), 10**7))
        market = replace(market, accrued_at=self.world.now, open_interest=draw.getrandbits(44))
        self.world.ledger.terms[instrument] = terms
        self.world.ledger.markets[instrument] = market
        self.markets.call("set_word", instrument, market.pack(terms))

    def list_expiry(
        self, underlying: int, slot: int, feed: int, lot_exponent: int, strikes: int = 32
    ) -> list[int]:
        """An expiry of random words: a future and calls and puts of so many strikes."""
        draw = self.random
        state = draw.choice([LIVE, LIVE, LIVE, LIVE_OLD_SURFACE, EXPIRED, PRINTED])
        forward = self.world.oracle.feeds[feed].mark
        head = Head(forward, feed, lot_exponent, state, draw.choice([0, draw.getrandbits(48)]))
        ids = [future_id(underlying, slot)]
        own = replace(head, state=LIVE if state == LIVE_OLD_SURFACE else state, interest=7)
        self.said[ids[0]] = 0, 0, own.pack()
        for strike in range(strikes):
            for is_put in (False, True):
                ids.append(OptionId(underlying, slot, strike, is_put).pack())
                self.said[ids[-1]] = self.option_words(head, is_put)
        return ids

    def option_words(self, head: Head, is_put: bool) -> Words:
        """One option of an expiry."""
        draw, forward = self.random, head.forward
        if head.state == PRINTED:
            return NEUTRAL, Info(draw.randint(0, forward), forward, 0).pack(), head.pack()
        built_at = min(max(forward * draw.randint(9_975, 10_025) // 10_000, 1), PRICE_MAX)
        mark = draw.choice([0, 1, draw.randint(0, built_at), built_at])
        delta = draw.choice([0, draw.randint(0, 2**DELTA_BITS), 2**DELTA_BITS])
        if is_put:  # a strike within the field bounds its mark
            mark, delta = min(mark, PRICE_MAX - (PRICE_MAX >> 8)), -delta
        clip = draw.choice([0, 0, 0, draw.randint(1, 15)])
        array = draw.choice([draw.getrandbits(256), NEUTRAL, 0, 2**256 - 1])
        return array, Info(mark, built_at, delta, clip=clip).pack(), head.pack()

    def set_epoch(self, underlying: int, psr: int, reference: int) -> None:
        """The epoch of an underlying's arrays."""
        word = Epoch(quantum_of(psr, reference), reference, psr, self.world.now, 1).pack()
        self.epochs[underlying] = word
        self.options.call("set_epoch", underlying, word)

    def tell(self) -> None:
        """Hand the contract what the model has; of some strikes no array shall serve."""
        left = self.random.choice([0, 2**32 - 1, self.random.getrandbits(32)])
        self.options.call("set_left", left)
        ids = list(self.said)
        for start in range(0, len(ids), 500):
            part = ids[start : start + 500]
            self.options.call("set_words", part, [list(self.said[id]) for id in part])

    def holding(self, instruments: list[int], count: int) -> dict[int, int]:
        """Some instruments in any order; spot is never short."""
        draw, held = self.random, {}
        for instrument in draw.sample(instruments, min(count, len(instruments))):
            most = DATED_LOTS_MAX if instrument >= 2**19 else 2**43 - 1
            lots = draw.choice([1, most, draw.randint(1, 10**6), draw.randint(1, most)])
            long = instrument < 2**19 and self.world.ledger.terms[instrument].kind == SPOT
            held[instrument] = lots if long or draw.random() < 0.5 else -lots
        return held

    def evaluate(self, held: dict[int, int]) -> margin.Valuation:
        """The valuation, equal on both."""
        expected = margin.evaluate(self.world, held)
        found = self.risk.call("evaluate", pack_positions(held))
        assert found == tuple(getattr(expected, name) for name in VALUES + MORE)
        return expected
