"""The measured transactions, one function each: it prepares real state, sends, asserts the effect,
and returns the gas.

All of one measurement share one venue, in the order of ``SCENARIOS``; each uses accounts of its
own. Between preparation and
measurement lie separate transactions, so every slot is cold when the measured one begins.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from novate.bench.venue import DEPOSIT_USD, PERPS, SIGNERS, Trader, Venue, trader
from novate.model.oracle import Status
from novate.model.order import IMMEDIATE
from novate.units import ORACLE_UNIT, WAD, div_up
from novate.wire.order import SignedFill

LOTS = 100
SMALL_USD = 9_000  # a tenth more than the initial margin of sixteen positions of LOTS
FALLS = 2
FALL_PPM = -49_000  # within the oracle's move bound


@dataclass(frozen=True, slots=True)
class Scenario:
    """One figure: its key, what exactly was measured, and how to measure it."""

    key: str
    text: str
    measure: Callable[[Venue], int]


def trade(
    venue: Venue,
    taker: Trader,
    maker: Trader,
    at: int = 0,
    lots: int = LOTS,
    with_round: bool = False,
) -> int:
    """One fill of two new signed orders: a resting maker's ask and a taker's immediate bid."""
    return venue.settle([crossing(venue, taker, maker, at, lots)], with_round)


def crossing(venue: Venue, taker: Trader, maker: Trader, at: int, lots: int = LOTS) -> SignedFill:
    """A taker's immediate bid and a maker's resting ask of the same lots on the ``at``-th perp, at
    mark."""
    instrument = venue.parameters.instruments[at]
    price = venue.price_of(instrument)
    return SignedFill(
        taker=venue.order(taker, instrument, lots, price, IMMEDIATE),
        maker=venue.order(maker, instrument, -lots, price),
        lots=lots,
        price=price,
    )


def with_positions(
    venue: Venue, takers: Sequence[Trader], makers: Sequence[Trader], usd: int = DEPOSIT_USD
) -> None:
    """Fund pairs of accounts and give each pair all sixteen positions: takers long, makers
    short."""
    venue.fund([*takers, *makers], usd)
    pairs = list(zip(takers, makers, strict=True))
    for start in range(0, len(pairs), 5):
        part = pairs[start : start + 5]
        venue.settle(
            [crossing(venue, taker, maker, at) for taker, maker in part for at in range(PERPS)]
        )
    assert all(len(venue.positions(owner)) == PERPS for owner in (*takers, *makers))


def trade_single_first(venue: Venue) -> int:
    """Text: SCENARIOS."""
    taker, maker = trader("first taker"), trader("first maker")
    venue.fund([taker, maker])
    venue.post()
    gas = trade(venue, taker, maker)
    assert venue.positions(taker) == {1: LOTS} and venue.positions(maker) == {1: -LOTS}
    return gas


def trade_single(venue: Venue) -> int:
    """Text: SCENARIOS."""
    taker, maker = _traded_once(venue, "single")
    gas = trade(venue, taker, maker)
    assert venue.positions(taker) == {1: 2 * LOTS} and venue.positions(maker) == {1: -2 * LOTS}
    return gas


def trade_single_with_round(venue: Venue) -> int:
    """Text: SCENARIOS."""
    taker, maker = _traded_once(venue, "round")
    gas = trade(venue, taker, maker, with_round=True)
    assert venue.positions(taker) == {1: 2 * LOTS}
    return gas


def _traded_once(venue: Venue, role: str) -> tuple[Trader, Trader]:
    taker, maker = trader(f"{role} taker"), trader(f"{role} maker")
    venue.fund([taker, maker])
    trade(venue, taker, maker)
    venue.post()
    return taker, maker


def fill_batch_100(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owners = [trader(f"batch {i}") for i in range(20)]
    with_positions(venue, owners[:10], owners[10:])
    instruments = venue.parameters.instruments[:8]
    venue.post()
    resting = []
    for i, owner in enumerate(owners):
        instrument = instruments[i % 8]
        lots = 5 * LOTS * (1 if i % 2 else -1)
        resting.append(venue.order(owner, instrument, lots, venue.price_of(instrument)))
    fills = []
    for i in range(100):
        maker = resting[i % 20]
        instrument = instruments[i % 20 % 8]
        taker = owners[(i % 20 + 1 + i // 20) % 20]  # division: round of the takers
        lots = LOTS if maker.order.sells else -LOTS
        price = venue.price_of(instrument)
        fills.append(
            SignedFill(venue.order(taker, instrument, lots, price, IMMEDIATE), maker, LOTS, price)
        )
    gas = venue.settle(fills)
    return per_fill(gas, len(fills))


def per_fill(gas: int, fills: int) -> int:
    """Gas of a batch by its fills, rounded up."""
    return div_up(gas, fills)


def _market_maker(venue: Venue, taker: Trader, maker: Trader) -> int:
    instrument = venue.parameters.instruments[0]
    price = venue.price_of(instrument)
    levels = [price + level * instrument.tick_wad for level in range(10)]
    resting = [venue.order(maker, instrument, -10 * LOTS, level) for level in levels]
    fills = [
        SignedFill(
            venue.order(taker, instrument, LOTS, order.order.price, IMMEDIATE),
            order,
            LOTS,
            order.order.price,
        )
        for order in resting
        for _ in range(10)
    ]
    before = venue.positions(taker).get(1, 0)
    gas = venue.settle(fills)
    assert venue.positions(taker)[1] == before + 100 * LOTS
    return per_fill(gas, len(fills))


def fill_market_maker(venue: Venue) -> int:
    """Text: SCENARIOS."""
    taker, maker = _traded_once(venue, "quoted")
    return _market_maker(venue, taker, maker)


def fill_market_maker_16(venue: Venue) -> int:
    """Text: SCENARIOS."""
    taker, maker = trader("quoted taker 16"), trader("quoted maker 16")
    with_positions(venue, [taker], [maker])
    venue.post()
    return _market_maker(venue, taker, maker)


def deposit_first(venue: Venue) -> int:
    """Text: SCENARIOS."""
    return venue.deposit(trader("new depositor"), 1_000)


def deposit_again(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owner = trader("depositor")
    venue.fund([owner])
    before = venue.view("clearinghouse", "account", owner.word)[0]
    gas = venue.deposit(owner, 1_000)
    assert venue.view("clearinghouse", "account", owner.word)[0] - before == 1_000 * WAD
    return gas


def _requested(venue: Venue, role: str, usd: int) -> tuple[Trader, int]:
    """An account with sixteen positions whose withdrawal may be executed now, and the gas of its
    request."""
    owner = trader(role)
    with_positions(venue, [owner], [trader(f"{role} counterparty")])
    token = venue.addresses["token"]
    gas = venue.send(
        owner, "custody", "request_withdrawal", owner.word, token, venue.cash.units(usd)
    )
    eligible_at = venue.view("custody", "request", owner.word, token)[1]
    while venue.backend.now() <= eligible_at:
        venue.backend.advance(
            venue.parameters.oracle.stale_after_seconds // 2
        )  # division: half of the limit
        venue.post()
    return owner, gas


def withdraw_request(venue: Venue) -> int:
    """Text: SCENARIOS."""
    return _requested(venue, "requester", 1_000)[1]


def withdraw_16(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owner, _ = _requested(venue, "withdrawer", 1_000)
    gas = venue.send(venue.executor, "custody", "withdraw", owner.word, venue.addresses["token"])
    assert venue.view("token", "balanceOf", owner.address) == venue.cash.units(1_000)
    return gas


def oracle_16x5(venue: Venue) -> int:
    """Text: SCENARIOS."""
    gas = venue.post(1_000)
    status = Status.unpack(venue.view("oracle", "status"))
    assert status.round == venue.round and status.quorum == SIGNERS
    assert all(
        venue.view("oracle", "feed", i) & (2**64 - 1) == p // ORACLE_UNIT
        for i, p in enumerate(venue.prices)
    )
    return gas


def _in_auction(venue: Venue, role: str) -> tuple[Trader, int]:
    """An account of sixteen long positions whose auction has run for half a minute, and the gas of
    its start."""
    owner, counterparty = trader(role), trader(f"{role} counterparty")
    venue.calm()
    with_positions(venue, [owner], [counterparty], SMALL_USD)
    for _ in range(FALLS):
        venue.backend.advance(1)
        venue.post(FALL_PPM)
    gas = venue.send(venue.executor, "auctioneer", "start", owner.word)
    venue.backend.advance(30)
    venue.post()
    return owner, gas


def auction_start(venue: Venue) -> int:
    """Text: SCENARIOS."""
    return _in_auction(venue, "late debtor")[1]


def liquidation_bid_16(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owner, _ = _in_auction(venue, "debtor")
    bidder = trader("bidder", 7)
    venue.fund([bidder])
    before = venue.positions(owner)
    gas = venue.send(bidder, "auctioneer", "bid", owner.word, bidder.word, 10**6, 0, 0)
    taken, left = venue.positions(bidder), venue.positions(owner)
    assert len(taken) == len(left) == PERPS
    assert all(taken[i] + left[i] == before[i] for i in before)
    return gas


def cancel(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owner, _ = _traded_once(venue, "cancelling")
    gas = venue.send(owner, "exchange", "cancel", owner.word, 1)
    assert venue.view("exchange", "order_state", owner.word, 1)[1] > venue.backend.now()
    return gas


def sweep_16(venue: Venue) -> int:
    """Text: SCENARIOS."""
    owner = trader("swept")
    with_positions(venue, [owner], [trader("swept counterparty")])
    venue.post(1_000)
    before = venue.view("clearinghouse", "account", owner.word)
    gas = venue.send(venue.executor, "clearinghouse", "sweep", [owner.word])
    assert venue.view("clearinghouse", "account", owner.word) != before
    return gas


FIRST = "Slots of accounts, orders and positions are zero before"
ONE = (
    "Both accounts hold one position in the traded perp and add to it; both gated at initial margin"
)
SCENARIOS = (
    Scenario(
        "trade_single", f"One fill of a resting and an immediate signed order. {ONE}.", trade_single
    ),
    Scenario(
        "trade_single_first",
        f"The same between two accounts that never traded. {FIRST}.",
        trade_single_first,
    ),
    Scenario(
        "trade_single_with_round",
        "trade_single with an oracle round of 8 feeds and 5 signatures in the same transaction.",
        trade_single_with_round,
    ),
    Scenario(
        "fill_batch_100",
        "A fill, of 100 in one batch: 20 accounts of 16 positions (16 perps on 8 underlyings and "
        "feeds), 20 resting and 100 immediate signed orders, 8 perps traded; the batch's gas / "
        "100, rounded up.",
        fill_batch_100,
    ),
    Scenario(
        "fill_market_maker",
        "A fill, of 100 in one batch: ten resting orders of one account against 100 immediate "
        "ones of another, one perp, one position each; the batch's gas / 100, rounded up.",
        fill_market_maker,
    ),
    Scenario(
        "fill_market_maker_16",
        "The same when both accounts hold 16 positions.",
        fill_market_maker_16,
    ),
    Scenario("deposit_first", "Deposit of cash to an account that has none.", deposit_first),
    Scenario(
        "deposit_again",
        "Deposit of cash to an account that has some, by unlimited allowance.",
        deposit_again,
    ),
    Scenario(
        "withdraw_request", "Request of a withdrawal of cash at 16 positions.", withdraw_request
    ),
    Scenario(
        "withdraw_16",
        "The transaction that pays a requested withdrawal of cash to an owner without tokens; 16 "
        "positions (16 perps on 8 underlyings and feeds), full gate.",
        withdraw_16,
    ),
    Scenario(
        "oracle_16x5",
        "A round of 16 prices (8 feeds, index and mark), 5 signatures of 7 nodes.",
        oracle_16x5,
    ),
    Scenario("auction_start", "Opening the auction of an account of 16 positions.", auction_start),
    Scenario(
        "liquidation_bid_16",
        "A bid for all that is on sale of an account of 16 positions (16 perps on 8 underlyings "
        "and feeds); the bidder's account holds cash and no position.",
        liquidation_bid_16,
    ),
    Scenario("cancel", "Cancel of a resting order in a word of fills in use.", cancel),
    Scenario("sweep_16", "Sweep of an account of 16 positions after prices moved.", sweep_16),
)
