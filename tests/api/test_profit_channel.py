"""``user.settlement``: profit and loss as it becomes cash, with an index that follows the chain."""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.venue_api import PRICES, Trader, Venue, venue_of
from support.venue_drive import Drive, Follower, consecutive, driven, trade

from novate.services.indexer import BY_NODE, Indexer
from novate.services.indexer_blocks import NodeChain
from novate.store.database import Database

MAKER, TAKER = Trader("profit maker"), Trader("profit taker")
BTC = "BTC-PERPETUAL"
venue = venue_of(MAKER, TAKER)


def test_profit_becomes_cash_and_is_told_from_the_read_side(
    venue: Venue, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("novate.api.profit_feed.POLL_S", 0.05)

    async def run(store: Database) -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            index = Indexer(store, venue.deployment, venue.parameters, BY_NODE)
            drive.api.store = store
            await one.follow("user.settlement")
            await trade(drive, MAKER, TAKER)
            await drive.settle()  # which sweeps, at the price of before
            before = len(await rows(one, drive, index))
            await drive.round(PRICES | {1: 100_500})
            await trade(drive, MAKER, TAKER, price="100500")
            await drive.settle()
            found = (await rows(one, drive, index))[before:]
            profits = [row for row in found if float(row["profit_loss"])]
            assert profits and {row["instrument_name"] for row in profits} == {BTC}
            held = await one.client.result(
                "private/get_settlement_history_by_instrument", instrument_name=BTC, count=1
            )
            assert held["settlements"] == profits[-1:]
            left = await drive.reorganise(1)
            await one.told("user.settlement", len(one.now("user.settlement")))
            await asyncio.sleep(0.2)  # the index has not let go of it yet
            void = [m for m in one.now("user.settlement") if m.get("settlements") == []]
            assert [m["reorganised_from"] for m in void] == [left]
            await drive.send()
            await drive.mine()
            await asyncio.sleep(0.2)
            again = await rows(one, drive, index)
            gains = [float(row["profit_loss"]) for row in (again[-1], profits[-1])]
            assert gains[0] == pytest.approx(gains[1], rel=1e-3)  # funding goes on
            assert len(again) == before + len(found) + 1
            consecutive(one.now("user.settlement"))
            await drive.round(PRICES)

    async def rows(one: Follower, drive: Drive, index: Indexer) -> list[dict[str, Any]]:
        """Everything told of settlements, once the index has all and was asked."""
        drive.api.core.journal.commit()
        index.take(drive.api.core.journal.read())
        index.follow(NodeChain(venue.client, venue.deployment))
        await asyncio.sleep(0.3)
        await one.client.result("public/test")
        told = one.now("user.settlement")
        return [row for message in told for row in message.get("settlements", ())]

    with closing(Database.open(f"sqlite:///{tmp_path / 'index.db'}")) as store:
        asyncio.run(run(store))
