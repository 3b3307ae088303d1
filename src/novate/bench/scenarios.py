"""The measured transactions, one function each: it prepares real state, sends, asserts the effect,
and returns the gas.

All of one measurement share one venue, in the order of the catalogue; each uses accounts of its
own. Between preparation and
measurement lie separate transactions, so every slot is cold when the measured one begins.
"""

from __future__ import annotations

from collections.abc import Sequence

from novate.bench.venue import DEPOSIT_USD, MAIN, PERPS, SIGNERS, WIDE, Trader, Venue, trader
from novate.model.oracle import Feed, Status
from novate.model.order import IMMEDIATE
from novate.units import ORACLE_UNIT, WAD, div_up
from novate.wire.order import SignedFill

LOTS = 100
SMALL_PPM = 205_000  # of notional: a tenth more than the initial margin
FALLS = 2
FALL_PPM = -49_000  # within the oracle's move bound


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
    venue: Venue,
    takers: Sequence[Trader],
    makers: Sequence[Trader],
    usd: int = DEPOSIT_USD,
    perps: range = MAIN,
    lots: int = LOTS,
) -> None:
    """Fund pairs of accounts and give each pair sixteen positions: takers long, makers short."""
    venue.fund([*takers, *makers], usd)
    pairs = list(zip(takers, makers, strict=True))
    for start in range(0, len(pairs), 3):
        part = pairs[start : start + 3]
        venue.settle(
            [crossing(venue, taker, maker, at, lots) for taker, maker in part for at in perps]
        )
    assert all(len(venue.positions(owner)) == PERPS for owner in (*takers, *makers))


def trade_single_first(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    taker, maker = trader("first taker"), trader("first maker")
    venue.fund([taker, maker])
    venue.post()
    gas = trade(venue, taker, maker)
    assert venue.positions(taker) == {1: LOTS} and venue.positions(maker) == {1: -LOTS}
    return gas


def trade_single(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    taker, maker = _traded_once(venue, "single")
    gas = trade(venue, taker, maker)
    assert venue.positions(taker) == {1: 2 * LOTS} and venue.positions(maker) == {1: -2 * LOTS}
    return gas


def trade_single_with_round(venue: Venue) -> int:
    """What is measured: catalogue.py."""
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
    """What is measured: catalogue.py."""
    return _batch(venue, "batch", MAIN)


def fill_batch_100_wide(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _batch(venue, "wide batch", WIDE)


def _batch(venue: Venue, role: str, perps: range) -> int:
    owners = [trader(f"{role} {i}") for i in range(20)]
    with_positions(venue, owners[:10], owners[10:], perps=perps, lots=10 * LOTS)
    for spent in (1, 2, 3):  # nonces share words of four; the next ones take every place
        makers = [i for i in range(20) if i % 4 >= spent]
        venue.settle([crossing(venue, owners[i - 1], owners[i], perps.start) for i in makers])
    _with_gains(venue, owners)
    instruments = venue.parameters.instruments[perps.start : perps.start + 8]
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
    assert all(len(venue.positions(owner)) == PERPS for owner in owners)
    return per_fill(gas, len(fills))


def _with_gains(venue: Venue, owners: Sequence[Trader]) -> None:
    """Prices move and come back, so that every account has gained or lost before."""
    for move_ppm in (1_000, 0):
        venue.start_again(move_ppm)
        venue.sweep(owners)
    venue.post()


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
    """What is measured: catalogue.py."""
    taker, maker = _traded_once(venue, "quoted")
    _with_gains(venue, [taker, maker])
    return _market_maker(venue, taker, maker)


def fill_market_maker_16(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    taker, maker = trader("quoted taker 16"), trader("quoted maker 16")
    with_positions(venue, [taker], [maker])
    _with_gains(venue, [taker, maker])
    return _market_maker(venue, taker, maker)


def fill_bulk(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    taker, maker = _traded_once(venue, "bulk")
    _with_gains(venue, [taker, maker])
    instrument = venue.parameters.instruments[0]
    price = venue.price_of(instrument)
    asks = [
        venue.unsigned(maker, instrument, -10 * LOTS, price + level * instrument.tick_wad)
        for level in range(10)
    ]
    bids = [
        venue.unsigned(taker, instrument, LOTS, ask.price, IMMEDIATE)
        for ask in asks
        for _ in range(10)
    ]
    resting, taking = venue.in_tree(maker, asks), venue.in_tree(taker, bids)
    fills = [
        SignedFill(taken, resting[i // 10], LOTS, taken.order.price)  # division: ten an ask
        for i, taken in enumerate(taking)
    ]
    before = venue.positions(taker).get(1, 0)
    gas = venue.settle(fills)
    assert venue.positions(taker)[1] == before + 100 * LOTS
    return per_fill(gas, len(fills))


def deposit_first(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return venue.deposit(trader("new depositor"), 1_000)


def deposit_again(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    owner = trader("depositor")
    venue.fund([owner])
    before = venue.view("clearinghouse", "account", owner.word)[0]
    gas = venue.deposit(owner, 1_000)
    assert venue.view("clearinghouse", "account", owner.word)[0] - before == 1_000 * WAD
    return gas


def _requested(venue: Venue, role: str, usd: int, perps: range = MAIN) -> tuple[Trader, int]:
    """An account with sixteen positions whose withdrawal may be executed now, and the gas of its
    request."""
    owner = trader(role)
    with_positions(venue, [owner], [trader(f"{role} counterparty")], perps=perps)
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
    """What is measured: catalogue.py."""
    return _requested(venue, "requester", 1_000)[1]


def withdraw_16(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _withdraw(venue, "withdrawer", 1)


def withdraw_16_first(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _withdraw(venue, "first withdrawer", 0)


def withdraw_16_wide(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _withdraw(venue, "wide withdrawer", 1, WIDE)


def _withdraw(venue: Venue, role: str, wallet_usd: int, perps: range = MAIN) -> int:
    owner, _ = _requested(venue, role, 1_000, perps)
    token = venue.addresses["token"]
    if wallet_usd:
        venue.send(venue.governor, "token", "mint", owner.address, venue.cash.units(wallet_usd))
    gas = venue.send(venue.executor, "custody", "withdraw", owner.word, token)
    paid = venue.cash.units(1_000 + wallet_usd)
    assert venue.view("token", "balanceOf", owner.address) == paid
    return gas


def oracle_16x5(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    gas = venue.post(1_000)
    status = Status.unpack(venue.view("oracle", "status"))
    assert status.round == venue.round and status.quorum == SIGNERS
    assert all(
        Feed.unpack(venue.view("oracle", "feed", i)).index == p // ORACLE_UNIT
        for i, p in enumerate(venue.prices)
    )
    return gas


def _small_usd(venue: Venue, perps: range) -> int:
    """Whole dollars of cash that just open a position of LOTS in each perp."""
    listed = [venue.parameters.instruments[at] for at in perps]
    notional = sum(LOTS * perp.lot_size_wad * venue.prices[perp.feed] for perp in listed)
    return div_up(notional * SMALL_PPM, WAD * WAD * 1_000_000)


def _in_auction(venue: Venue, role: str, perps: range = MAIN) -> tuple[Trader, int]:
    """An account of sixteen long positions whose auction has run for half a minute, and the gas of
    its start."""
    owner, counterparty = trader(role), trader(f"{role} counterparty")
    venue.calm()
    with_positions(venue, [owner], [counterparty], _small_usd(venue, perps), perps)
    for _ in range(FALLS):
        venue.backend.advance(1)
        venue.post(FALL_PPM)
    gas = venue.send(venue.executor, "auctioneer", "start", owner.word)
    venue.backend.advance(30)
    venue.post()
    return owner, gas


def auction_start(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _in_auction(venue, "late debtor")[1]


def liquidation_bid_16(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _bid(venue, "debtor", trader("bidder", 7))


def liquidation_bid_16_wide(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    return _bid(venue, "wide debtor", trader("wide bidder", 7), WIDE)


def _bid(venue: Venue, role: str, bidder: Trader, perps: range = MAIN) -> int:
    owner, _ = _in_auction(venue, role, perps)
    venue.fund([bidder])
    before = venue.positions(owner)
    gas = venue.send(bidder, "auctioneer", "bid", owner.word, bidder.word, 10**6, 0, 0)
    taken, left = venue.positions(bidder), venue.positions(owner)
    assert len(taken) == len(left) == PERPS
    assert all(taken[i] + left[i] == before[i] for i in before)
    return gas


def cancel(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    owner, _ = _traded_once(venue, "cancelling")
    gas = venue.send(owner, "exchange", "cancel", owner.word, 1)
    assert venue.view("exchange", "order_state", owner.word, 1)[1] > venue.backend.now()
    return gas


def sweep_16(venue: Venue) -> int:
    """What is measured: catalogue.py."""
    owner = trader("swept")
    with_positions(venue, [owner], [trader("swept counterparty")])
    venue.post(1_000)
    before = venue.view("clearinghouse", "account", owner.word)
    gas = venue.sweep([owner])
    assert venue.view("clearinghouse", "account", owner.word) != before
    return gas
