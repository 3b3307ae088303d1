"""The gas scenarios: the key of each figure, what exactly was measured, and how; in the order in
which one venue measures them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from novate.bench import option_scenarios as d
from novate.bench import options as o
from novate.bench import scenarios as s
from novate.bench.venue import Venue

Measure = Callable[[Venue], int]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One figure: its key, what exactly was measured, and how to measure it."""

    key: str
    text: str
    measure: Measure


TWO = "16 perps on 2 underlyings and feeds"
EIGHT = "16 perps on 8 underlyings and feeds"
FIRST = "Slots of accounts, orders and positions are zero before"
ONE = (
    "Both accounts hold one position in the traded perp and add to it; both gated at initial margin"
)
STALE = "The same with every array stale, so that the transaction builds each of them."
WIDE = "The same of options on 2 underlyings, 2 expiries each."
STORED = "half of them short; arrays stored and usable"
OPTIONS = f"options on 1 underlying, 2 expiries, {STORED}"


def _in_three_states(
    key: str, text: str, measured: Callable[[bool, bool], Measure]
) -> tuple[Scenario, Scenario, Scenario]:
    """With arrays stored, with all of them stale, and over more underlyings and expiries;
    ``measured`` takes (stale, wide).
    """
    return (
        Scenario(key, text, measured(False, False)),
        Scenario(f"{key}_stale", STALE, measured(True, False)),
        Scenario(f"{key}_wide", WIDE, measured(False, True)),
    )


SCENARIOS = (
    Scenario(
        "trade_single",
        f"One fill of a resting and an immediate signed order. {ONE}.",
        s.trade_single,
    ),
    Scenario(
        "trade_single_first",
        f"The same between two accounts that never traded. {FIRST}.",
        s.trade_single_first,
    ),
    Scenario(
        "trade_single_with_round",
        "trade_single with an oracle round of 8 feeds and 5 signatures in the same transaction.",
        s.trade_single_with_round,
    ),
    Scenario(
        "fill_batch_100",
        f"A fill, of 100 in one batch: 20 accounts of 16 positions ({TWO}), 20 resting and 100 "
        "immediate signed orders, 8 perps traded, nonces in every place of their words; the "
        "batch's gas / 100, rounded up.",
        s.fill_batch_100,
    ),
    Scenario("fill_batch_100_wide", f"The same with {EIGHT}.", s.fill_batch_100_wide),
    Scenario(
        "fill_market_maker",
        "A fill, of 100 in one batch: ten resting orders of one account against 100 immediate "
        "ones of another, one perp, one position each; the batch's gas / 100, rounded up.",
        s.fill_market_maker,
    ),
    Scenario(
        "fill_market_maker_16",
        "The same when both accounts hold 16 positions.",
        s.fill_market_maker_16,
    ),
    Scenario(
        "fill_bulk",
        "fill_market_maker with every order in one of two trees of 256: eight siblings each.",
        s.fill_bulk,
    ),
    Scenario("deposit_first", "Deposit of cash to an account that has none.", s.deposit_first),
    Scenario(
        "deposit_again",
        "Deposit of cash to an account that has some, by unlimited allowance.",
        s.deposit_again,
    ),
    Scenario(
        "withdraw_request", "Request of a withdrawal of cash at 16 positions.", s.withdraw_request
    ),
    Scenario(
        "withdraw_16",
        "The transaction that pays a requested withdrawal of cash to an owner who holds some of "
        f"the token; 16 positions ({TWO}), full gate.",
        s.withdraw_16,
    ),
    Scenario("withdraw_16_first", "The same to an owner without tokens.", s.withdraw_16_first),
    Scenario("withdraw_16_wide", f"withdraw_16 with {EIGHT}.", s.withdraw_16_wide),
    Scenario(
        "oracle_16x5",
        "A round of 16 prices (8 feeds, index and mark), 5 signatures of 7 nodes.",
        s.oracle_16x5,
    ),
    Scenario(
        "auction_start", "Opening the auction of an account of 16 positions.", s.auction_start
    ),
    Scenario(
        "liquidation_bid_16",
        f"A bid for all that is on sale of an account of 16 positions ({TWO}); the bidder's new "
        "account holds cash and no position.",
        s.liquidation_bid_16,
    ),
    Scenario("liquidation_bid_16_wide", f"The same with {EIGHT}.", s.liquidation_bid_16_wide),
    Scenario("cancel", "Cancel of a resting order in a word of fills in use.", s.cancel),
    Scenario("sweep_16", "Sweep of an account of 16 positions after prices moved.", s.sweep_16),
    Scenario(
        "array_refresh",
        "An option's share of what is stored of its strike (risk array, info and interest word), "
        "one of the 64 options of expiry_refresh_32: its gas / 64, rounded up.",
        o.array_refresh,
    ),
    Scenario(
        "expiry_refresh_32",
        "The transaction that refreshes the words in use of an expiry of 30 days with 32 strikes, "
        "calls and puts, after price and surface moved.",
        o.expiry_refresh_32,
    ),
    *_in_three_states(
        "margin_view_16",
        f"Equity and both margins of an account of 16 {OPTIONS}: the gas of a transaction that "
        "asks for them, without its 21,000 and its call data, which a contract that asks does not "
        "pay.",
        partial(d.margin_view, 16),
    ),
    *_in_three_states(
        "margin_view_64", "margin_view_16 with 64 options.", partial(d.margin_view, 64)
    ),
    *_in_three_states("check_128", "margin_view_16 with 128 options.", partial(d.margin_view, 128)),
    *_in_three_states(
        "trade_16",
        "One fill of a resting and an immediate signed order in an option that both accounts "
        f"hold, with 16 {OPTIONS}; both gated at initial margin; the mean of four trades, whose "
        "nonces take every place of their words.",
        partial(d.trade, 16),
    ),
    *_in_three_states("trade_64", "trade_16 with 64 options each.", partial(d.trade, 64)),
    Scenario(
        "expiry_position",
        "A position, of eight accounts of 32 options each of one printed expiry, paid and closed "
        "in one transaction; its gas / 256, rounded up.",
        d.expiry_position,
    ),
    Scenario(
        "liquidation_step_128",
        "A bid for all that is on sale of an account of 128 options on 2 underlyings, 2 expiries "
        f"each, {STORED}; the bidder's new account holds cash and no position.",
        d.liquidation_step_128(False),
    ),
    Scenario("liquidation_step_128_stale", STALE, d.liquidation_step_128(True)),
)
