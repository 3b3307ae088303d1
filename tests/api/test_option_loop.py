"""What keeps options alive: surfaces, listing, arrays, prints and settlement, when due."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from support.venue_api import BTC, ETH, Trader, Venue, open_venue

from novate.api.option_loop import OptionLoop, expiries_from
from novate.chain.connection import RpcFault
from novate.errors import Rejected
from novate.lab.smiles import SmileTable
from novate.model.option_id import future_id
from novate.model.option_listing import ends_at
from novate.model.order import Order
from novate.naming import future_name
from novate.services.indexer import BY_JOURNAL, Indexer
from novate.services.option_keeper import OptionKeeper, expired, holders, printed
from novate.services.oracle_node import NodePrice
from novate.services.replica import Outcome
from novate.store import accounts, trades
from novate.store.database import Database
from novate.store.pages import Page
from novate.units import DAY_S, ORACLE_UNIT, WAD
from novate.wire import eip712, records
from novate.wire.order import SignedOrder
from novate.wire.records import OracleRound

LONG, SHORT = Trader("expiry long"), Trader("expiry short")
HOUR_S = 3_600
START = 1_795_003_200  # Wednesday, 18 November 2026, 12:00 UTC


class Prices:
    """What every node sees: the same prices, at any time."""

    seed = 1

    def __init__(self) -> None:
        self.usd = {BTC: 100_000, ETH: 4_000}

    def seen(self, now: int) -> dict[int, dict[int, NodePrice]]:
        one = {
            f: NodePrice(p * WAD // ORACLE_UNIT, p * WAD // ORACLE_UNIT)
            for f, p in self.usd.items()
        }
        return dict.fromkeys(range(4), one)

    def recorded(self, now: int) -> int:
        return now


class Place:
    """A venue on a chain whose clock is the test's, and the loop over it."""

    def __init__(self, folder: Path) -> None:
        self.venue: Venue = open_venue(folder, [LONG, SHORT], START)
        self.prices = Prices()
        self.loop = self.fresh()

    def fresh(self) -> OptionLoop:
        """The loop as it is after a start."""
        venue = self.venue
        keeper = OptionKeeper(venue.client, venue.deployment, venue.upkeep, venue.node_keys)
        core: Any = SimpleNamespace(world=venue.sequencer.world)
        prices: Any = self.prices
        settings, names = venue.parameters.oracle, {BTC: "BTC", ETH: "ETH"}
        return OptionLoop(core, keeper, prices, SmileTable(), settings, names, lists=True)

    def step(self, seconds: int = 1, fresh: bool = False) -> list[Outcome]:
        """What the loop sends a while later, as it ends on the chain; with a new round if asked."""
        venue = self.venue
        if fresh:
            assert venue.post_prices(self.prices.seen(0), venue.now + seconds)
            venue.settle(venue.now)
            seconds = 0
        asyncio.run(self.loop.step(venue.now + seconds))
        return venue.mine(venue.now + max(seconds, 1))

    def until_complete(self) -> None:
        """Fresh rounds until everything that should be listed is and may be traded, and was renewed
        just now.
        """
        for _ in range(12):
            for one in self.step(20, fresh=True):
                assert one.succeeded, one
            renewed = self.loop.posted_at == self.venue.now - 1
            if self.loop.complete and renewed and not self.venue.sequencer.world.in_restart_grace():
                return
        raise AssertionError("not complete")

    def pass_to(self, time: int) -> None:
        """A round at ``time``, and what the loop sends then."""
        self.counted(time - self.venue.now)

    def counted(self, seconds: int) -> dict[tuple[str, str], int]:
        """How often the loop sends what, at a round a while later; all of it succeeds."""
        found: Counter[tuple[str, str]] = Counter()
        for one in self.step(seconds, fresh=True):
            assert one.succeeded, one
            found[one.contract, one.function] += 1
        return dict(found)

    def day_before_a_new_one(self) -> int:
        """The day's expiry, once the next day's is not listed yet (a Friday long is)."""
        for _ in range(3):
            self.until_complete()
            day = expiries_from(self.venue.now)[0]
            if (BTC, day + DAY_S) not in self.named:
                return day
            self.pass_to(day)
        raise AssertionError("every day is listed")

    @property
    def live(self) -> dict[tuple[int, int], int]:
        """When what has not expired does, by place."""
        world, now = self.venue.sequencer.world, self.venue.now
        return {p: e.expiry for p, e in world.options.listed.items() if e.expiry > now}

    @property
    def named(self) -> list[tuple[int, int]]:
        """What lives, as (underlying, expiry)."""
        return [(underlying, expiry) for (underlying, _), expiry in self.live.items()]

    @property
    def surface_calls(self) -> dict[tuple[str, str], int]:
        """What goes out every half minute: both surfaces, and the arrays of what lives."""
        return {("surfaces", "post_surfaces"): 2, ("options", "refresh"): len(self.live)}

    def slot(self, expiry: int) -> int:
        """Where an expiry of BTC is listed."""
        [found] = [s for (u, s), at in self.live.items() if (u, at) == (BTC, expiry)]
        return found


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("venue"))
    yield made
    made.venue.close()


def test_expiries_are_a_day_a_friday_and_one_four_weeks_later() -> None:
    for hour in range(24 * 15):
        now = 1_795_000_000 + hour * HOUR_S
        day, week, month = expiries_from(now)
        assert 6 * HOUR_S <= day - now <= 30 * HOUR_S
        assert day + DAY_S < week <= day + 8 * DAY_S and month == week + 28 * DAY_S
        at = [datetime.fromtimestamp(e, UTC) for e in (day, week, month)]
        assert {t.hour for t in at} == {8} and [t.weekday() for t in at[1:]] == [4, 4]


def test_everything_is_listed_once_with_arrays(place: Place) -> None:
    place.until_complete()
    world, named = place.venue.sequencer.world, place.named
    for underlying in (BTC, ETH):
        for expiry in expiries_from(place.venue.now):
            assert named.count((underlying, expiry)) == 1
    for slot in place.live:
        assert len(set(world.options.listed[slot].strikes)) >= 8
    assert place.step() == []


def test_surfaces_and_arrays_are_renewed_every_half_minute(place: Place) -> None:
    place.until_complete()
    skipped = place.loop.skipped
    for _ in range(2):
        for seconds in (8, 9, 8):  # and a second each for the block
            assert place.counted(seconds) == {}
        assert place.counted(1) == place.surface_calls
    assert place.loop.complete and place.loop.skipped == skipped


def test_a_move_of_the_price_renews_the_arrays_at_once(place: Place) -> None:
    place.until_complete()
    place.prices.usd[BTC] += place.prices.usd[BTC] * 40 // 10_000  # beyond 25 basis points
    moved = sum(underlying == BTC for underlying, _ in place.live)
    assert place.counted(9) == {("options", "refresh"): moved}
    assert place.loop.complete


def test_the_grid_follows_the_forward(place: Place) -> None:
    place.until_complete()
    world = place.venue.sequencer.world
    for _ in range(5):
        place.prices.usd[BTC] += place.prices.usd[BTC] * 4 // 100
        place.step(10, fresh=True)
    for _ in range(3):
        place.step(4, fresh=True)
    forward = world.oracle.feeds[BTC].mark
    for (underlying, _), listed in world.options.listed.items():
        if underlying == BTC and listed.expiry in expiries_from(place.venue.now):
            above = sum(strike > forward for strike in listed.strikes)
            assert min(above, len(listed.strikes) - above) >= 2
            assert len(listed.strikes) <= 32


def test_what_the_node_refuses_is_asked_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise RpcFault("no room")

    place.until_complete()
    faults = place.loop.faults
    with monkeypatch.context() as patched:
        patched.setattr(OptionKeeper, "post", refuse)
        assert place.counted(40) == {}
    assert place.loop.faults == faults + 1
    assert place.counted(5) == {}
    assert place.counted(36) == place.surface_calls


def test_after_a_restart_nodes_know_the_indices_of_the_journal(place: Place) -> None:
    for _ in range(12):
        place.step(10, fresh=True)
    held = [records.decode(e.kind, e.payload) for e in place.venue.journal.read()]
    rounds = [r for r in held if isinstance(r, OracleRound)]
    loop = place.fresh()
    loop.recall(held, place.venue.now)
    kept = loop.keeper.settlers[3].seen[BTC]
    assert len(kept) == sum(place.venue.now - 1_800 < r.timestamp for r in rounds) > 10
    assert kept[-1] == (rounds[-1].timestamp, place.prices.usd[BTC] * WAD // ORACLE_UNIT)


def test_a_day_is_listed_six_hours_before_the_last_one_ends(place: Place) -> None:
    """Past 02:00, when what should be listed changes, and past 08:00, when a day is over."""
    ending = place.day_before_a_new_one()
    place.pass_to(ending - 6 * HOUR_S - 2)
    assert expiries_from(place.venue.now)[0] == ending and place.loop.complete
    assert (BTC, ending + DAY_S) not in place.named
    place.pass_to(ending - 6 * HOUR_S)
    assert expiries_from(place.venue.now)[0] == ending + DAY_S and not place.loop.complete
    place.until_complete()
    place.pass_to(ending - 60)
    place.pass_to(ending - 2)
    assert place.loop.complete
    assert {(BTC, ending), (BTC, ending + DAY_S)} <= set(place.named)
    assert place.counted(1)[("surfaces", "post_settlement")] == 2
    assert place.loop.complete and (BTC, ending) not in place.named
    place.until_complete()
    assert expiries_from(place.venue.now)[0] == ending + DAY_S


def trade(venue: Venue, instrument: int, price: int) -> None:
    """A long and a short of one lot."""
    ends = ends_at(venue.sequencer.world, instrument)
    assert ends is not None
    for trader, lots in ((SHORT, -1), (LONG, 1)):
        trader.nonce += 1
        order = Order(trader.account, instrument, lots, price * WAD, WAD, trader.nonce, ends)
        signature = eip712.sign(trader.secret, eip712.order_digest(venue.separator, order))
        venue.place(SignedOrder(order, *signature))
    venue.pump()
    venue.settle(venue.now + 1)


def sold_and_taken_over(place: Place, price: int) -> tuple[int, int, int]:
    """A slot, the day whose future was sold there and has been paid, and the day it has now."""
    venue, world = place.venue, place.venue.sequencer.world
    expiry = place.day_before_a_new_one()
    slot = place.slot(expiry)
    # the next day takes the lowest that is free
    while holders(world, BTC, slot) or any((BTC, s) not in place.live for s in range(slot)):
        place.pass_to(expiry)
        expiry = place.day_before_a_new_one()
        slot = place.slot(expiry)
    trade(venue, future_id(BTC, slot), price)
    assert len(holders(world, BTC, slot)) == 2
    # nobody ran in its last half hour: the nodes ask their venues' history
    assert place.counted(expiry - venue.now)[("surfaces", "post_settlement")] == 2
    assert (BTC, slot) in expired(world) and printed(world, BTC, slot)
    assert world.surfaces.prints[BTC, expiry] == place.prices.usd[BTC] * WAD // ORACLE_UNIT
    assert place.counted(10)[("clearinghouse", "settle_expiry")] == 1
    assert holders(world, BTC, slot) == []
    place.until_complete()
    assert world.options.listed[BTC, slot].expiry == expiries_from(venue.now)[0] == expiry + DAY_S
    return slot, expiry, expiry + DAY_S


def test_an_expiry_is_printed_paid_and_its_place_taken_over(place: Place) -> None:
    slot, _, newest = sold_and_taken_over(place, place.prices.usd[BTC])
    assert place.slot(newest) == slot


def test_the_read_side_tells_an_expiry_from_the_next_at_its_place(
    place: Place, database_url: str
) -> None:
    venue, index = place.venue, place.prices.usd[BTC]
    slot, over, newest = sold_and_taken_over(place, index)
    first, second = future_name("BTC", over), future_name("BTC", newest)
    trade(venue, future_id(BTC, slot), index + 1)
    with closing(Database.open(database_url)) as store:
        Indexer(store, venue.deployment, venue.parameters, BY_JOURNAL).take(venue.journal.read())
        with store.begin() as connection:
            for name, prices in ((first, {f"{index}"}), (second, {f"{index + 1}"})):
                for found in (
                    trades.get_last_trades_by_instrument(connection, name, Page()).rows,
                    trades.get_user_trades_by_instrument(
                        connection, f"0x{LONG.account:064x}", name, Page()
                    ).rows,
                ):
                    assert {t.price for t in found} == prices
                    assert {t.instrument_name for t in found} == {name}
                    assert {t.index_price for t in found} == {f"{index}"}
                account = f"0x{LONG.account:064x}"
                orders = accounts.get_order_history_by_instrument(connection, account, name, Page())
                assert {o.price for o in orders.rows} == prices
                span = 0, venue.now * 1000, "60"
                chart = trades.get_tradingview_chart_data(connection, name, *span)
                assert set(chart.close) == prices
            log = accounts.get_transaction_log(connection, account, Page(count=1000)).rows
            told = [(r.type, r.instrument_name) for r in log if r.instrument_name]
            assert ("trade", first) in told and ("delivery", first) in told
            assert ("trade", second) in told and ("delivery", second) not in told
            batch = trades.get_batches(connection, Page()).rows[0]
            whole = trades.get_batch(connection, batch.batch)
            assert (whole.count, whole.state) == (1, "settled")
            assert [(t.instrument_name, t.price) for t in whole.trades] == [
                (second, f"{index + 1}")
            ]
            with pytest.raises(Rejected, match="BadQuery"):
                trades.get_batch(connection, 10**9)
            with pytest.raises(Rejected, match="UnknownInstrument"):
                trades.get_last_trades_by_instrument(connection, "BTC-1JAN20", Page())
