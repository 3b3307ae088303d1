"""What one transaction keeps between its calls (rows and quotes by round) is of no use to anybody.

A contract holds every role at once: venue, custody, auctioneer and the timelock whose operations
anyone may execute. Whatever it does in one transaction ends as if each call had its own.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyrevm
import pytest
from support.clearing import BUYER, DAY_S, LIQUIDATOR, SELLER, Clearing, pack_positions
from support.core import BTC, ETH, NODE_KEYS, ORACLE_PER_USD, PARAMETERS, WETH, word

from novate.chain.harness import Contract, actor
from novate.model.instrument import PERP, Terms
from novate.model.novation import Trade
from novate.model.oracle import Observation, Status
from novate.units import WAD
from novate.wire.round import signed_round

CONTRACTS = Path(__file__).parents[1] / "contracts"
NEW_PERP, UNKNOWN = 7, 4_000
NEW_TERMS = Terms(10**15, 5 * 10**17, 10_000_000, 2_000_000, 5, 0, PERP)
USD_OF = {BTC: 60_000, ETH: 3_000, NEW_PERP: 60_000}
ACCOUNTS = [BUYER, SELLER, LIQUIDATOR]
LAST_ROUND = 2**64 - 1
Call = tuple[str, Contract, tuple[Any, ...]]


class Plot:
    """A settlement core whose governor is the attacker's contract; open interest is charged from
    the first thousand dollars on.
    """

    def __init__(self) -> None:
        core = self.core = Clearing()
        core.credit(BUYER, WETH, 100)
        charged = replace(PARAMETERS[0], interest_low=1, interest_high=10_000, interest_max=5_000)
        for parameters in (charged, None):
            core.advance(DAY_S)
            core.post(60_000 * ORACLE_PER_USD, 3_000 * ORACLE_PER_USD)
            if parameters is not None:
                assert core.set_parameters(0, parameters) is None
        core.settle_in(200)
        governor = core.address["timelock"]
        peers = (core.risk.address, *[governor] * 4, core.options.address)
        core.by("timelock", core.clearinghouse, "set_peers", *peers)
        core.by("timelock", core.clearinghouse, "set_venue", governor, True)
        self.bundle = core.chain.deploy("Bundle", root=CONTRACTS)
        code = core.chain.evm.get_code(self.bundle.address)
        account = pyrevm.AccountInfo(nonce=1, balance=10**24, code=code)
        core.chain.evm.insert_account_info(governor, account)
        self.bundle.address = governor

    def run(self, *calls: Call) -> tuple[int, list[Any]]:
        """One transaction: which calls went through, and all logs."""
        targets = [contract.address for _, contract, _ in calls]
        data = [contract.abi.encode_call(name, *given) for name, contract, given in calls]
        self.bundle.call("run", targets, data, sender=actor("attacker"))
        logs = [(event.name, str(event.arguments)) for event in self.core.chain.events()]
        return self.bundle.view("passed"), logs

    def apart(self, *calls: Call) -> tuple[int, list[Any]]:
        """The same, a transaction each."""
        passed, logs = 0, []
        for i, call in enumerate(calls):
            went, more = self.run(call)
            passed |= went << i
            logs += more
        return passed, logs

    def state(self) -> list[Any]:
        """All that the calls can move."""
        core, ledger = self.core, self.core.clearinghouse
        found: list[Any] = [ledger.view("account", word(a)) for a in ACCOUNTS]
        found += [ledger.view("positions", word(a)) for a in ACCOUNTS]
        found += [ledger.view("market", i) for i in (BTC, ETH, WETH, NEW_PERP)]
        epoch = core.world.now // core.world.ledger.config.epoch_seconds
        found += [ledger.view("epochs", epoch), ledger.view("pot"), ledger.view("borrow_index")]
        found += [core.risk.view("parameters", u) for u in (0, 1, 5)]
        return [*found, core.oracle.view("status"), core.oracle.view("feed", 0)]

    def both_ways(self, *calls: Call) -> int:
        """Run the calls in one transaction and, from the same state, apart; the latter stays."""
        evm = self.core.chain.evm
        start = evm.snapshot()
        together = (*self.run(*calls), self.state())
        evm.revert(start)
        separate = (*self.apart(*calls), self.state())
        assert together == separate, [name for name, _, _ in calls]
        return separate[0]

    def round(self, number: int, usd: int, mark_usd: int) -> Call:
        """A signed round of both prices."""
        prices = [
            Observation(0, usd * ORACLE_PER_USD, mark_usd * ORACLE_PER_USD, 100).pack(),
            Observation(1, 3_000 * ORACLE_PER_USD, 3_010 * ORACLE_PER_USD).pack(),
        ]
        core, signers = self.core, list(enumerate(NODE_KEYS))[:3]
        made = signed_round(core.domain, number, core.chain.timestamp, prices, signers)
        return "post_round", core.oracle, made.arguments()

    def trade(self, buyer: int, seller: int, lots: int, instrument: int = BTC) -> Call:
        """A trade at the mark of the beginning."""
        pair = sorted([buyer, seller])
        price = USD_OF[instrument] * WAD
        made = Trade(pair.index(buyer), pair.index(seller), 0, True, lots, price, 3, 5)
        given = ([word(a) for a in pair], [instrument], [list(made.words())])
        return "novate", self.core.clearinghouse, given

    def debit(self, account: int, usd: int) -> Call:
        """A withdrawal."""
        return "debit", self.core.clearinghouse, (word(account), 0, usd * WAD)

    def evaluate(self, positions: dict[int, int]) -> Call:
        """A stranger's question about any portfolio."""
        return "evaluate", self.core.risk, (pack_positions(positions),)


@pytest.fixture(scope="module")
def made() -> Plot:
    return Plot()


@pytest.fixture
def plot(made: Plot) -> Iterator[Plot]:
    evm, start = made.core.chain.evm, made.core.chain.timestamp
    checkpoint = evm.snapshot()
    yield made
    evm.revert(checkpoint)
    made.core.advance(start - made.core.chain.timestamp)


def any_call(plot: Plot, rng: random.Random) -> Call:
    """Anything that moves or reads what a row is made of."""
    core, ledger, risk = plot.core, plot.core.clearinghouse, plot.core.risk
    kind = rng.randrange(14)
    if kind < 2:
        chosen = rng.sample((BTC, ETH, NEW_PERP, UNKNOWN), rng.randrange(1, 4))
        return plot.evaluate({i: rng.choice((1, -5, 10**6)) for i in chosen})
    if kind < 6:
        buyer, seller = rng.sample(ACCOUNTS, 2)
        instrument = rng.choice((BTC, BTC, ETH, NEW_PERP))
        return plot.trade(buyer, seller, rng.choice((1, 50, 2_000)), instrument)
    if kind == 6:
        number = core.round + rng.randrange(3)
        return plot.round(number, rng.randrange(58_000, 62_000), rng.randrange(58_000, 62_000))
    if kind == 7:
        psr = PARAMETERS[0].psr_target * 105 // 100
        harder = replace(PARAMETERS[0], psr_target=psr, interest_low=1, interest_high=2)
        return "set_parameters", risk, (rng.choice((0, 1)), harder.pack())
    if kind == 8:
        cap, slope = rng.choice((10**5, 10**7)), rng.choice((1, 10**6))
        config = replace(
            core.world.ledger.config,
            funding_cap_ppb=cap,
            funding_slope_ppb_s=slope,
            funding_interest_ppb=rng.choice((0, 10**6)),
        )
        return "set_config", ledger, (config.pack(),)
    if kind == 9:
        return "list_instrument", ledger, (NEW_PERP, NEW_TERMS.pack())
    if kind == 10:
        return "set_caps", ledger, (BTC, rng.choice((10, 10**7)), 2_000_000)
    if kind == 11:
        return plot.debit(rng.choice(ACCOUNTS), rng.choice((1, 50_000, 90_000)))
    if kind == 12:
        account, bidder = rng.sample(ACCOUNTS, 2)
        part = rng.choice((1, 10**5, 10**6))
        return "transfer_slice", ledger, (word(account), word(bidder), part, WAD, WAD)
    return "sweep", ledger, ([word(a) for a in ACCOUNTS],)


def test_any_calls_in_one_transaction_end_as_if_each_had_its_own(plot: Plot) -> None:
    rng, passed, evm = random.Random(6), Counter[tuple[str, bool]](), plot.core.chain.evm
    for _ in range(200):
        checkpoint = evm.snapshot()
        plot.core.advance(rng.choice((0, 20, 55, 70)))
        calls = [any_call(plot, rng) for _ in range(rng.randrange(3, 11))]
        went = plot.both_ways(*calls)
        passed.update((name, went >> i & 1 == 1) for i, (name, _, _) in enumerate(calls))
        evm.revert(checkpoint)
    accepted = {name for name, through in passed if through}
    assert len(accepted) == 10, accepted
    assert {"evaluate", "debit"} <= {name for name, through in passed if not through}


def test_a_stranger_leaves_no_row_of_what_is_not_listed_yet(plot: Plot) -> None:
    asked = plot.evaluate({NEW_PERP: 10**6})
    listed = ("list_instrument", plot.core.clearinghouse, (NEW_PERP, NEW_TERMS.pack()))
    assert plot.both_ways(asked, listed, asked, plot.trade(BUYER, SELLER, 10, NEW_PERP)) == 0b1110


def test_the_last_round_there_can_be_is_a_round_as_any_other(plot: Plot) -> None:
    """Rows are kept by round plus one, which needs 65 bits here."""
    bought, ask = plot.trade(BUYER, SELLER, 100), plot.evaluate({BTC: 1_000, ETH: 5})
    later = plot.round(LAST_ROUND, 61_000, 60_500)
    plot.core.advance(10)
    assert plot.both_ways(ask, bought, plot.round(LAST_ROUND, 61_000, 60_500), ask, bought) == 31
    assert Status.unpack(plot.core.oracle.view("status")).round == LAST_ROUND
    plot.core.advance(10)
    assert plot.both_ways(ask, later, ask, bought, plot.debit(BUYER, 1_000)) == 31


def test_a_slice_that_closes_a_market_leaves_its_funding_to_those_who_were_in_it(
    plot: Plot,
) -> None:
    """Without open interest an index stays as stored: had the slice not accrued it, the next
    trade of its transaction would be booked at that one and valued at the round's row.
    """
    plot.run(plot.trade(BUYER, SELLER, 1_000))
    for _ in range(20):
        plot.core.advance(50)
        plot.core.round += 1
        plot.run(plot.round(plot.core.round, 60_000, 60_300))
    index = plot.core.clearinghouse.view("market", BTC)[1] >> 160
    taken = (word(BUYER), word(SELLER), 10**6, 0, 0)
    slice_all = ("transfer_slice", plot.core.clearinghouse, taken)
    passed = plot.both_ways(slice_all, plot.trade(LIQUIDATOR, BUYER, 500))
    market = plot.core.clearinghouse.view("market", BTC)[1]
    assert (passed, market & (2**44 - 1)) == (0b11, 500)
    assert market >> 160 > index


def most_that_leaves(plot: Plot, *, trade_first: bool, together: bool) -> int:
    """USD that the buyer can withdraw beside a purchase that fills the market."""
    evm, low, high = plot.core.chain.evm, 0, 10**7
    for account in (BUYER, SELLER):
        plot.run(("credit", plot.core.clearinghouse, (word(account), 0, 10**7 * WAD)))
    while low < high:
        middle = (low + high + 1) // 2
        calls = [plot.trade(BUYER, SELLER, 100_000), plot.debit(BUYER, middle)]
        ordered = calls if trade_first else calls[::-1]
        checkpoint = evm.snapshot()
        passed, logs = plot.run(*ordered) if together else plot.apart(*ordered)
        evm.revert(checkpoint)
        done = passed == 0b11 and "TradeSkipped" not in dict(logs)
        low, high = (middle, high) if done else (low, middle - 1)
    return low


def test_a_row_from_before_a_trade_frees_no_more_than_withdrawing_before_it(plot: Plot) -> None:
    """The charge for open interest is that of the round's first look: a trade's own is not in it,
    neither for its gate nor for a withdrawal in its transaction.
    """
    evm = plot.core.chain.evm
    found = []
    for trade_first, together in ((True, True), (False, False), (True, False)):
        checkpoint = evm.snapshot()
        found.append(most_that_leaves(plot, trade_first=trade_first, together=together))
        evm.revert(checkpoint)
    at_once, withdrawn_first, traded_first = found
    assert at_once == withdrawn_first > traded_first
