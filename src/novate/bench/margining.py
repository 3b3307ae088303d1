"""How fast margin is judged: all accounts at a new oracle round, and one order before it trades.

Owns: the made venue (every perpetual of every underlying that the limits allow), what is timed, and
the check of a sample against the exact model in the same run. The baseline is that model, in
Python. The pre-trade check is the dearer of the two, at entry, with open orders at their worst; the
gate at the match is told beside it. Memory is that of the accounts: about 1 GB a million. Times
come from the machine's clock: nothing that decides a match sees them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from novate import limits
from novate.engine.lanes import Lanes
from novate.engine.lanes_layout import (
    ASKED_ACCOUNT,
    ASKED_COLUMN,
    ASKED_LOTS,
    ASKED_PLACE,
    BUYS,
    MONEY,
    PLACE_BITS,
    PLACE_MASK,
    QUESTION_COLUMNS,
    SELLS,
    TOO_CLOSE,
    Reals,
    Words,
)
from novate.model import ledger, open_margin
from novate.model.account import Account
from novate.model.instrument import PERP, Market, Terms
from novate.model.margin import RiskParameters
from novate.model.open_margin import Reach
from novate.model.oracle import Feed, Status
from novate.model.state import World
from novate.units import WAD

ACCOUNTS = 1_000_000
POSITIONS = 20
QUESTIONS = 100_000
SAMPLE = 200
CHUNK = 100_000
ROUND_TARGET_S = 0.5
CHECK_TARGET_US = 2.0
BASELINE = "the exact model in Python"
NOW = 1_760_000_000
PRICE = 10**14  # 10,000 USD in oracle units


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds for a million accounts at a round; microseconds for an order at entry and for a match
    at the gate.
    """

    million_accounts_s: float
    pretrade_us: float
    gate_us: float


@dataclass(frozen=True, slots=True)
class MarginReport:
    """Medians, the baseline's pace, and what a sample's answers were beside the exact model's."""

    accounts: int
    pace: Pace
    exact: Pace
    checked: int
    wrong: int
    too_close: float

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        pace, exact = self.pace, self.exact
        return {
            "million_accounts_s": round(pace.million_accounts_s, 4),
            "pretrade_us": round(pace.pretrade_us, 3),
            "gate_us": round(pace.gate_us, 3),
            "targets": {"million_accounts_s": ROUND_TARGET_S, "pretrade_us": CHECK_TARGET_US},
            "baseline": {
                "name": BASELINE,
                "million_accounts_s": round(exact.million_accounts_s, 1),
                "pretrade_us": round(exact.pretrade_us, 1),
                "gate_us": round(exact.gate_us, 1),
            },
            "times_baseline": {
                "million_accounts_s": round(exact.million_accounts_s / pace.million_accounts_s),
                "pretrade_us": round(exact.pretrade_us / pace.pretrade_us),
                "gate_us": round(exact.gate_us / pace.gate_us),
            },
            "accounts": self.accounts,
            "positions_each": POSITIONS,
            "answers_checked": self.checked,
            "answers_wrong": self.wrong,
            "too_close_share": self.too_close,
        }


def _venue() -> World:
    """As many perpetuals as may be listed, evenly on all underlyings."""
    world = World(NOW)
    for underlying in range(limits.UNDERLYINGS_MAX):
        row = RiskParameters(
            150_000, 150_000, 0, 2_000, 50_000, 100_000, 80_000, 120_000, 100_000, 500_000, 5_000
        )
        world.risk.parameters[underlying] = replace(row, credit=500)
    for number in range(limits.PERPS_MAX):
        feed = number % limits.UNDERLYINGS_MAX
        terms = Terms(10**15, 10**17, limits.LOTS_MAX, limits.LOTS_MAX, feed, feed, PERP)
        world.ledger.terms[number + 1] = terms
        market = Market(number * WAD, 100_000, NOW, 10**6)
        world.ledger.markets[number + 1] = market
    _next_round(world, 0)
    return world


def _next_round(world: World, number: int) -> None:
    """New prices for all underlyings."""
    world.now = NOW + number
    for feed in range(limits.UNDERLYINGS_MAX):
        price = PRICE + feed * 10**11 + number * 10**10
        made = Feed(price, price + 10**9, price - 10**9, 300, world.now)
        world.oracle.feeds[feed] = made
    world.oracle.statuses[0] = Status(number + 1, world.now)


def _fill(lanes: Lanes, accounts: int, random: np.random.Generator) -> Reals:
    """Accounts with twenty positions in different instruments; their money (wei)."""
    perps = limits.PERPS_MAX
    for number in range(perps):
        lanes.round.place(number + 1)
    for begin in range(0, accounts, CHUNK):
        count = min(CHUNK, accounts - begin)
        first = random.integers(0, perps, (count, 1))
        step = 2 * random.integers(0, perps, (count, 1)) + 1  # odd: no place twice
        places = (first + step * np.arange(POSITIONS)) % perps
        lots = random.integers(1, 1_000, places.shape) * random.choice((-1, 1), places.shape)
        lanes.add_many(places, lots)
    return random.uniform(1e21, 1e24, accounts)


def _ask(lanes: Lanes, questions: int, random: np.random.Generator) -> Words:
    """Orders of accounts at random in what they have; each has two others open there."""
    rows = np.zeros((questions, QUESTION_COLUMNS), np.int64)
    rows[:, ASKED_ACCOUNT] = random.integers(0, lanes.count, questions)
    at = rows[:, ASKED_ACCOUNT] * POSITIONS + random.integers(0, POSITIONS, questions)
    rows[:, ASKED_PLACE] = lanes.positions[at] & PLACE_MASK
    rows[:, ASKED_LOTS] = random.integers(1, 100, questions)
    rows[:, ASKED_COLUMN] = random.choice((BUYS, SELLS), questions)
    lanes.orders[at, : SELLS + 1] = random.integers(0, 500, (questions, 2))
    return rows


def _seconds(run: Callable[[], Any], runs: int) -> float:
    """The median of some runs after one that warms up."""
    run()
    taken = []
    for _ in range(runs):
        began = perf_counter()
        run()
        taken.append(perf_counter() - began)
    return median(taken)


class _Exact:
    """The same questions to the exact model, about a sample: rows before and after, open orders.
    Each time as if it had never been asked: it keeps nothing between.
    """

    def __init__(self, lanes: Lanes, world: World, questions: Words) -> None:
        self.world = world
        self.before: list[Account] = []
        self.after: list[Account] = []
        self.reaches: list[dict[int, Reach]] = []
        for account, place, lots, column in questions.tolist():
            held, orders = {}, {}
            for at in range(account * POSITIONS, (account + 1) * POSITIONS):
                word = int(lanes.positions[at])
                held[1 + (word & PLACE_MASK)] = word >> PLACE_BITS
                orders[1 + (word & PLACE_MASK)] = lanes.orders[at].tolist()
            orders[1 + place][column] += lots
            self.reaches.append({number: Reach(*columns) for number, columns in orders.items()})
            cash = int(lanes.standings[account, MONEY])
            row = Account(cash=cash, positions=tuple(sorted(held.items())))
            self.before.append(row)
            self.after.append(ledger.change_lots(row, 1 + place, lots))

    def round(self) -> list[int]:
        """Equity of each account asked about."""
        self.world.kept.clear()
        return [ledger.check_row(self.world, row).equity for row in self.before]

    def holds(self) -> list[bool]:
        """Whether each account can hold its open orders and one more."""
        self.world.kept.clear()
        asked = zip(self.before, self.reaches, strict=True)
        return [open_margin.funded(self.world, row, reaches, 0) for row, reaches in asked]

    def passes(self) -> list[bool]:
        """Whether each account passes the gate with lots more."""
        self.world.kept.clear()
        world, asked = self.world, zip(self.before, self.after, strict=True)
        return [ledger.passes_gate(world, row, ledger.check_row(world, end)) for row, end in asked]


def measure(accounts: int = ACCOUNTS, runs: int = 5) -> MarginReport:
    """Make a venue, time both questions, and check a sample of the answers."""
    random, world = np.random.default_rng(1), _venue()
    lanes = Lanes(world, accounts, accounts * POSITIONS)
    lanes.revalue(_fill(lanes, accounts, random))
    rounds = iter(range(1, runs + 2))

    def next_round() -> None:
        _next_round(world, next(rounds))
        lanes.revalue()

    round_s = _seconds(next_round, runs)
    questions = _ask(lanes, min(QUESTIONS, accounts), random)
    money = lanes.standings[questions[:, ASKED_ACCOUNT], MONEY].copy()
    entry_s = _seconds(lambda: lanes.all_hold(questions, money), runs)
    gate_s = _seconds(lambda: lanes.passes(questions, money, True), runs)
    holds, passes = lanes.all_hold(questions, money), lanes.passes(questions, money, True)
    exact = _Exact(lanes, world, questions[:SAMPLE])
    asked = len(exact.before)
    exact_pace = Pace(*(_seconds(run, 1) for run in (exact.round, exact.holds, exact.passes)))
    wrong = sum(
        int(found) not in (TOO_CLOSE, right)
        for answers, expected in ((holds, exact.holds()), (passes, exact.passes()))
        for found, right in zip(answers, expected, strict=False)
    )
    each = 1e6 / len(questions)
    return MarginReport(
        accounts=accounts,
        pace=Pace(round_s * 1e6 / accounts, entry_s * each, gate_s * each),
        exact=Pace(
            exact_pace.million_accounts_s * 1e6 / asked,
            exact_pace.pretrade_us * 1e6 / asked,
            exact_pace.gate_us * 1e6 / asked,
        ),
        checked=2 * asked,
        wrong=wrong,
        too_close=float(np.mean(np.concatenate((holds, passes)) == TOO_CLOSE)),
    )
