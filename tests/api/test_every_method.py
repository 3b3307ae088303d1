"""Every method has a test that calls it by its name; here those that no other file calls.

Live and looking back they say the same of one trade.
"""

from __future__ import annotations

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

from support.venue_api import PRICES, Client, Trader, Venue, connected, served, venue_of
from support.venue_drive import Drive, driven

from novate.api import server
from novate.services.indexer import BY_JOURNAL, Indexer
from novate.store.database import Database

MAKER, TAKER = Trader("every maker"), Trader("every taker")
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
SAME = ("trade_id", "trade_seq", "tick_direction", "price", "amount", "contracts", "batch")
SAME += ("instrument_name", "settlement_state", "transaction", "block")
venue = venue_of(MAKER, TAKER)


def test_every_method_is_called_by_name_in_a_test() -> None:
    folder = Path(__file__).parents[1]
    text = "".join(file.read_text() for file in folder.rglob("*.py"))
    assert [name for name in server.rpc.METHODS if f'{name}"' not in text] == []


async def refusal(client: Client, method: str, **params: Any) -> str:
    """The name of the rejection."""
    return str((await client.call(method, **params))["error"]["message"])


async def traded(drive: Drive, maker: Client, taker: Client) -> None:
    """Two trades in each instrument, one order cancelled, and all of it on the chain."""
    for name, price in ((BTC, "100000"), (ETH, "4000")) * 2:
        there = {"instrument_name": name, "label": "l"}
        order = MAKER.order(drive.api, "0.01", price, sells=True, **there)
        await maker.result("private/sell", **order)
        now = {"time_in_force": "immediate_or_cancel"} | there
        await taker.result("private/buy", **TAKER.order(drive.api, "0.01", price, **now))
    idle = MAKER.order(drive.api, "0.01", "90000", client_order_id="idle")
    await maker.result("private/buy", **idle)
    await maker.result("private/cancel_all")
    await drive.settle()


def test_live_and_looking_back_a_trade_is_the_same(venue: Venue, tmp_path: Path) -> None:
    async def run() -> None:
        with closing(Database.open(f"sqlite:///{tmp_path}/index.db")) as store:
            async with (
                driven(venue) as drive,
                connected(drive.url) as maker,
                connected(drive.url) as taker,
            ):
                await maker.result("public/auth", **MAKER.login(drive.api.separator))
                await taker.result("public/auth", **TAKER.login(drive.api.separator))
                await traded(drive, maker, taker)
                index = Indexer(store, venue.deployment, venue.parameters, BY_JOURNAL)
                index.take(venue.journal.read())
                drive.api.store = store
                await compared(taker)
                await looked_back(maker)

    asyncio.run(run())


async def compared(taker: Client) -> None:
    """Both sides of the venue on the taker's trades."""
    for name in (BTC, ETH):
        by_name = {"instrument_name": name}
        live = await taker.result("public/get_last_trades_by_instrument", **by_name)
        own = await taker.result("private/get_user_trades_by_instrument", **by_name)
        rows = [[{k: t[k] for k in SAME} for t in side["trades"]] for side in (live, own)]
        assert rows[0] == rows[1] and len(rows[0]) == 2
        assert [t["trade_seq"] for t in rows[0]] == [2, 1]
        assert {t["settlement_state"] for t in rows[0]} == {"settled"}
    for method in ("get_user_trades_by_currency", "get_user_trades_by_currency_and_time"):
        found = await taker.result(f"private/{method}", currency="BTC")
        assert [t["trade_seq"] for t in found["trades"]] == [2, 1]
        assert {(t["direction"], t["liquidity"]) for t in found["trades"]} == {("buy", "T")}
        assert await refusal(taker, f"private/{method}", currency="NONE") == "InvalidField"
    assert (await taker.result("private/get_user_trades_by_currency", currency="any"))["trades"]
    none = await taker.result(
        "private/get_user_trades_by_currency_and_time",
        currency="BTC",
        start_timestamp=1,
        end_timestamp=2,
    )
    assert none["trades"] == []


async def looked_back(maker: Client) -> None:
    """What else the read side answers."""
    by_name = {"instrument_name": BTC}
    ended = await maker.result("private/get_order_history_by_instrument", **by_name)
    assert {o["order_state"] for o in ended} == {"filled"}
    more = {"include_unfilled": True}
    ended = await maker.result("private/get_order_history_by_instrument", **by_name, **more)
    assert [o["client_order_id"] for o in ended if o["order_state"] == "cancelled"] == ["idle"]
    found = await maker.result("private/get_order_history_by_currency", currency="BTC", **more)
    assert found == ended
    assert await refusal(maker, "private/get_order_history_by_currency", currency="X") == (
        "InvalidField"
    )
    batches = (await maker.result("public/get_batches"))["batches"]
    assert {b["state"] for b in batches} == {"settled"} and sum(b["count"] for b in batches) == 4
    assert (await maker.result("public/get_trade_busts"))["busts"] == []
    assert (await maker.result("public/get_auctions"))["auctions"] == []
    assert (await maker.result("private/get_withdrawals"))["data"] == []
    span = {"start_timestamp": 1, "end_timestamp": 2}
    assert await maker.result("public/get_funding_rate_history", **by_name, **span) == []
    settled = await maker.result("public/get_last_settlements_by_instrument", **by_name)
    assert all(row["instrument_name"] == BTC for row in settled["settlements"])
    for method in ("get_funding_rate_history", "get_last_settlements_by_instrument"):
        unknown = {"instrument_name": "SOL-PERPETUAL"} | (span if "rate" in method else {})
        assert await refusal(maker, f"public/{method}", **unknown) == "UnknownInstrument"
    for method in (
        "public/get_batches",
        "public/get_trade_busts",
        "public/get_auctions",
        "private/get_withdrawals",
    ):
        assert await refusal(maker, method, count=0) == "BadQuery"


def test_what_the_read_side_answers_is_refused_without_one(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as client:
            for name in ("get_batches", "get_trade_busts", "get_auctions"):
                assert await refusal(client, f"public/{name}") == "IndexUnavailable"

    asyncio.run(run())


def test_what_a_client_asks_first(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            found = await client.result("public/get_currencies")
            assert {"BTC", "ETH", "USDC"} == {row["currency"] for row in found}
            domain = await client.result("public/get_domain")
            assert (domain["chain_id"], domain["exchange"]) == (api.chain_id, api.exchange)
            index = await client.result("public/get_index_price", index_name="btc_usdc")
            assert index["index_price"] == str(PRICES[1])
            assert await refusal(client, "public/get_index_price", index_name="x") == "InvalidField"
            assert await client.result("public/disable_heartbeat") == "ok"

    asyncio.run(run())


def test_open_orders_are_found_by_what_they_are_of(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            assert await refusal(client, "private/get_order_state_by_label", label="x") == (
                "NotAuthenticated"
            )
            await client.result("public/auth", **MAKER.login(api.separator))
            ids = {}
            for name, price in ((BTC, "90000"), (ETH, "3900")):
                order = MAKER.order(api, "0.01", price, instrument_name=name, label="mine")
                ids[name] = (await client.result("private/buy", **order))["order"]["order_id"]
            for params, names in (({"currency": "BTC"}, [BTC]), ({"currency": "any"}, [BTC, ETH])):
                found = await client.result("private/get_open_orders_by_currency", **params)
                assert [o["order_id"] for o in found] == [ids[name] for name in names]
            by_name = {"instrument_name": ETH}
            found = await client.result("private/get_open_orders_by_instrument", **by_name)
            assert [o["order_id"] for o in found] == [ids[ETH]]
            wrong = {"instrument_name": "NONE"}
            assert await refusal(client, "private/get_open_orders_by_instrument", **wrong) == (
                "UnknownInstrument"
            )
            assert await refusal(client, "private/get_open_orders_by_currency", currency="X") == (
                "InvalidField"
            )
            found = await client.result("private/get_order_state_by_label", label="mine")
            assert {o["order_id"] for o in found} == set(ids.values())
            assert await client.result("private/get_order_state_by_label", label="other") == []
            assert await client.result("private/cancel_all_by_instrument", **by_name) == 1
            assert await refusal(client, "private/cancel_all_by_instrument", **wrong) == (
                "UnknownInstrument"
            )
            assert await client.result("private/cancel_all") == 1
            index = {"index_name": "btc_usdc"}
            assert await client.result("private/reset_mmp", **index) == "ok"
            assert await refusal(client, "private/reset_mmp", index_name="x") == "InvalidField"

    asyncio.run(run())
