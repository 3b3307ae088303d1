"""``margin.watch`` and ``auctions``: what a liquidator follows instead of asking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.venue_api import PRICES, Trader, Venue, open_venue
from support.venue_drive import Drive, Follower, driven

from novate.api import margin_feeds
from novate.model import ledger
from novate.units import PPM

DEEP, LIQUIDATOR, CROWD = (Trader(f"watch {name}") for name in ("deep", "liquidator", "crowd"))
NAME = f"0x{DEEP.account:064x}"


@pytest.fixture
def venue(tmp_path: Path) -> Iterator[Venue]:
    made = open_venue(tmp_path, [DEEP, LIQUIDATOR, CROWD])
    yield made
    made.close()


async def begin(drive: Drive) -> None:
    """The deep one buys 40 BTC with a million of equity."""
    async with drive.follower(LIQUIDATOR) as seller, drive.follower(DEEP) as buyer:
        sold = LIQUIDATOR.order(drive.api, "40", "100000", sells=True)
        await seller.client.result("private/sell", **sold)
        bought = DEEP.order(drive.api, "40", "100000", time_in_force="immediate_or_cancel")
        await buyer.client.result("private/buy", **bought)
    await drive.settle()


async def fall(drive: Drive, *dollars: int) -> None:
    """Bitcoin falls, as far a round as the oracle lets it."""
    for price in dollars:
        for _ in range(2):
            await drive.round(PRICES | {1: price}, 30)


def accounts(message: dict[str, Any]) -> list[str]:
    return [row["account"] for row in message["accounts"]]


async def last(one: Follower, channel: str) -> dict[str, Any]:
    """The newest message once no other has come for a while."""
    await asyncio.sleep(0.3)
    return (await one.told(channel, 1))[-1]


def test_an_account_is_watched_before_it_may_be_liquidated_and_no_more_after(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await begin(drive)
            await one.follow("margin.watch")
            [first] = await one.told("margin.watch", 1)
            assert (first["accounts"], first["threshold"]) == ([], "0.9")
            world = venue.sequencer.world
            for price in range(99_000, 70_000, -1_000):
                await fall(drive, price)
                told = await last(one, "margin.watch")
                check = ledger.check(world, DEEP.account)
                margin = check.valuation.margin_maintenance
                is_close = margin * PPM >= check.equity * 900_000
                assert (told["type"] == "change") is is_close
                if is_close:
                    break
            assert accounts(told) == [NAME] and check.equity > margin, "not to be liquidated yet"
            assert await one.client.result("public/get_liquidatable") == []
            await fall(drive, *range(price - 1_000, price - 5_000, -1_000))
            told = await last(one, "margin.watch")
            [row], [seen] = told["accounts"], await one.client.result("public/get_liquidatable")
            assert row.keys() == seen.keys() and row["account"] == seen["account"] == NAME
            assert float(row["equity"]) == pytest.approx(float(seen["equity"]), rel=1e-5)
            assert told["round"] == world.oracle.statuses[0].round
            async with drive.follower() as late:
                await late.follow("margin.watch")
                [seen] = await late.told("margin.watch", 1)
                assert seen["type"] == "snapshot" and seen["sequence"] == told["sequence"]
                assert seen["accounts"] == told["accounts"]
            for rise in range(price - 3_000, 100_001, 4_000):
                await fall(drive, rise)
            told = await last(one, "margin.watch")
            assert told["gone"] == [NAME] and told["accounts"] == []
            numbers = [m["sequence"] for m in one.now("margin.watch")]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))

    asyncio.run(run())


def test_accounts_are_looked_at_for_a_moment_at_a_time(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[float] = []
    check = ledger.check

    def slow(world: Any, account: int) -> Any:
        looks.append(time.perf_counter())
        time.sleep(margin_feeds.TURN_S / 3)
        return check(world, account)

    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await begin(drive)
            rows = venue.sequencer.world.ledger.accounts.rows
            for number in range(1, 41):  # that many more with the same positions
                rows[CROWD.account + number] = rows[DEEP.account]
            monkeypatch.setattr(ledger, "check", slow)
            await one.follow("margin.watch")
            await one.told("margin.watch", 1)
            for number in range(1, 41):
                del rows[CROWD.account + number]

    asyncio.run(run())
    pauses = sum(after - before > margin_feeds.PAUSE_S / 2 for before, after in pairwise(looks))
    assert len(looks) == 42 and pauses >= 42 / 3 - 1


def test_nobody_is_judged_in_the_middle_of_a_block(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await begin(drive)
            drive.api.margin_feeds.midway = True  # transactions of one block are told one by one
            await one.follow("margin.watch")
            await asyncio.sleep(0.2)
            await one.client.result("public/test")
            assert one.now("margin.watch") == []
            await drive.round(PRICES)  # whose block has an end
            assert (await one.told("margin.watch", 1))[0]["accounts"] == []
            assert not drive.api.margin_feeds.midway

    asyncio.run(run())


def test_an_account_that_cannot_be_valued_hides_no_other(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await begin(drive)
            await fall(drive, *range(98_000, 78_000, -2_000))
            check = ledger.check

            def faulty(world: Any, account: int) -> Any:
                assert account != LIQUIDATOR.account
                return check(world, account)

            monkeypatch.setattr(ledger, "check", faulty)
            await one.follow("margin.watch")
            [first] = await one.told("margin.watch", 1)
            assert accounts(first) == [NAME]

    asyncio.run(run())


def test_an_auction_is_told_from_its_start_to_its_end_and_back(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await begin(drive)
            await one.follow("auctions", "insurance")
            assert (await one.told("auctions", 1))[0]["auctions"] == []
            await fall(drive, *range(98_000, 79_000, -2_000))
            raw = DEEP.account.to_bytes(32, "big")
            venue.auctioneer.send("start", raw, key=LIQUIDATOR.key)
            await drive.mine()
            [started] = (await one.told("auctions", 2))[1]["auctions"]
            assert (started["event"], started["account"]) == ("started", NAME)
            assert float(started["equity"]) < float(started["maintenance_margin"])
            await drive.reorganise(1)
            told = (await one.told("auctions", 3))[2]
            assert (told["type"], told["auctions"]) == ("snapshot", [])
            assert told["reorganised_from"] == int(started["id"].split(".")[0])
            venue.auctioneer.send("start", raw, key=LIQUIDATOR.key)
            await drive.mine()
            async with drive.follower() as late:
                await late.follow("auctions")
                [row] = (await late.told("auctions", 1))[0]["auctions"]
                assert (row["event"], row["account"]) == ("open", NAME)
                assert 0 < row["fraction_ppm"] <= PPM and float(row["reward"]) > 0
            await drive.round(PRICES | {1: 80_000})
            mine = LIQUIDATOR.account.to_bytes(32, "big")
            venue.auctioneer.send("bid", raw, mine, 250_000, 0, 0, key=LIQUIDATOR.key)
            await drive.mine()
            sold = (await one.told("auctions", 5))[4]["auctions"]
            assert [row["event"] for row in sold][:1] == ["slice_sold"]
            assert sold[0]["fraction_ppm"] <= 250_000
            assert int(sold[0]["bidder"], 16) == LIQUIDATOR.account
            told = one.now("auctions")
            assert [m["sequence"] for m in told] == list(range(len(told)))
            paid = (await one.told("insurance", 2))[-1]  # the auction's fee
            assert float(paid["insurance"]) == 1_000_000 + float(sold[0]["fee"])

    asyncio.run(run())
