"""What keeps options alive: surfaces, listing, arrays, prints and settlement, when due."""

from __future__ import annotations

import asyncio
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
from novate.model.option_id import future_id, place_of
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
SURFACE_CALLS = {("surfaces", "post_surfaces"): 2, ("options", "refresh"): 6}


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
        self.venue: Venue = open_venue(folder, [LONG, SHORT])
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
        """Step until everything that should be listed is."""
        for _ in range(6):
            if self.loop.complete:
                return
            outcomes = self.step()
            assert all(o.succeeded for o in outcomes)
        raise AssertionError("not complete")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("venue"))
    yield made
    made.venue.close()


def counted(outcomes: list[Outcome]) -> dict[tuple[str, str], int]:
    found: dict[tuple[str, str], int] = {}
    for one in outcomes:
        assert one.succeeded, one
        found[one.contract, one.function] = found.get((one.contract, one.function), 0) + 1
    return found


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
    world = place.venue.sequencer.world
    listed = dict(world.options.listed.items())
    assert {(u, e.expiry) for (u, _), e in listed.items()} == {
        (u, e) for u in (BTC, ETH) for e in expiries_from(place.venue.now)
    }
    assert {len(e.strikes) for e in listed.values()} == {8}
    assert place.step() == []


def test_surfaces_and_arrays_are_renewed_every_half_minute(place: Place) -> None:
    assert counted(place.step(29, fresh=True)) == SURFACE_CALLS
    for _ in range(2):
        assert place.step(9, fresh=True) == []
    assert counted(place.step(13, fresh=True)) == SURFACE_CALLS
    assert place.loop.complete and place.loop.skipped == 0


def test_a_move_of_the_price_renews_the_arrays_at_once(place: Place) -> None:
    place.step(9, fresh=True)
    place.prices.usd[BTC] = 100_400  # beyond 25 basis points
    found = counted(place.step(9, fresh=True))
    assert found[("options", "refresh")] >= 3
    assert place.loop.complete


def test_the_grid_follows_the_forward(place: Place) -> None:
    world = place.venue.sequencer.world
    for usd in (104_000, 108_000, 112_000, 116_000, 120_000):
        place.prices.usd[BTC] = usd
        place.step(10, fresh=True)
    for _ in range(3):
        place.step(4, fresh=True)
    forward = world.oracle.feeds[BTC].mark
    for (underlying, _), listed in world.options.listed.items():
        if underlying == BTC:
            above = sum(strike > forward for strike in listed.strikes)
            assert min(above, len(listed.strikes) - above) >= 2
            assert len(listed.strikes) <= 32


def test_what_the_node_refuses_is_asked_again_later(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*given: object) -> None:
        raise RpcFault("no room")

    with monkeypatch.context() as patched:
        patched.setattr(OptionKeeper, "post", refuse)
        assert place.step(40, fresh=True) == []
    assert place.loop.faults == 1
    assert place.step(5, fresh=True) == []
    assert counted(place.step(36, fresh=True)) == SURFACE_CALLS


def test_after_a_restart_nodes_know_the_indices_of_the_journal(place: Place) -> None:
    held = [records.decode(e.kind, e.payload) for e in place.venue.journal.read()]
    rounds = [r for r in held if isinstance(r, OracleRound)]
    loop = place.fresh()
    loop.recall(held, place.venue.now)
    kept = loop.keeper.settlers[3].seen[BTC]
    assert len(kept) == sum(place.venue.now - 1_800 < r.timestamp for r in rounds) > 10
    assert kept[-1] == (rounds[-1].timestamp, place.prices.usd[BTC] * WAD // ORACLE_UNIT)


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


def test_an_expiry_is_printed_paid_and_its_place_taken_over(place: Place) -> None:
    venue, world = place.venue, place.venue.sequencer.world
    expiry = expiries_from(venue.now)[0]
    [slot] = [s for (u, s), e in world.options.listed.items() if (u, e.expiry) == (BTC, expiry)]
    trade(venue, future_id(BTC, slot), 120_000)
    assert len(holders(world, BTC, slot)) == 2
    # nobody ran in its last half hour: the nodes ask their venues' history
    found = counted(place.step(expiry - venue.now, fresh=True))
    assert found[("surfaces", "post_settlement")] == 2
    assert (BTC, slot) in expired(world) and printed(world, BTC, slot)
    assert world.surfaces.prints[BTC, expiry] == 120_000 * WAD // ORACLE_UNIT
    found = counted(place.step(10, fresh=True))
    assert found[("clearinghouse", "settle_expiry")] == 1
    assert holders(world, BTC, slot) == []
    for _ in range(6):
        place.step(20, fresh=True)
    assert place.loop.complete
    newest = expiries_from(venue.now)[0]
    assert newest == expiry + DAY_S and world.options.listed[BTC, slot].expiry == newest


def test_the_read_side_tells_an_expiry_from_the_next_at_its_place(
    place: Place, database_url: str
) -> None:
    venue, world = place.venue, place.venue.sequencer.world
    (old, first), (id, second) = sold_and_taken_over(place)
    assert id == old
    trade(venue, id, 120_001)
    with closing(Database.open(database_url)) as store:
        Indexer(store, venue.deployment, venue.parameters, BY_JOURNAL).take(venue.journal.read())
        with store.begin() as connection:
            for name, prices in ((first, {"120000"}), (second, {"120001"})):
                for found in (
                    trades.get_last_trades_by_instrument(connection, name, Page()).rows,
                    trades.get_user_trades_by_instrument(
                        connection, f"0x{LONG.account:064x}", name, Page()
                    ).rows,
                ):
                    assert {t.price for t in found} == prices
                    assert {t.instrument_name for t in found} == {name}
                    assert {t.index_price for t in found} == {"120000"}
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
            assert [(t.instrument_name, t.price) for t in whole.trades] == [(second, "120001")]
            with pytest.raises(Rejected, match="BadQuery"):
                trades.get_batch(connection, 10**9)
            with pytest.raises(Rejected, match="UnknownInstrument"):
                trades.get_last_trades_by_instrument(connection, "BTC-1JAN20", Page())
    assert world.options.listed[place_of(id)].expiry > venue.now


def sold_and_taken_over(place: Place) -> tuple[tuple[int, str], tuple[int, str]]:
    """The future that the test above settled, and the one that has its id now."""
    world, now = place.venue.sequencer.world, place.venue.now
    newest = expiries_from(now)[0]
    [slot] = [s for (u, s), e in world.options.listed.items() if (u, e.expiry) == (BTC, newest)]
    id = future_id(BTC, slot)
    return (id, future_name("BTC", newest - DAY_S)), (id, future_name("BTC", newest))
