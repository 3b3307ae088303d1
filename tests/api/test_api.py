"""The API over a real chain: what a client without our code sees."""

from __future__ import annotations

import asyncio

import aiohttp
from support.venue_api import Trader, Venue, connected, served, venue_of

MAKER, TAKER = Trader("api maker"), Trader("api taker")
venue = venue_of(MAKER, TAKER)


def test_two_clients_trade_and_both_see_it(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as maker, connected(url) as taker:
            await maker.result("public/auth", **MAKER.login(api.separator))
            await taker.result("public/auth", **TAKER.login(api.separator))
            channels = ["book.BTC-PERPETUAL.raw", "trades.BTC-PERPETUAL.raw"]
            assert await maker.result("public/subscribe", channels=channels) == channels
            placed = await maker.result(
                "private/sell", **MAKER.order(api, "0.5", "100100", sells=True)
            )
            assert placed["order"]["order_state"] == "open" and placed["trades"] == []
            book = await taker.result("public/get_order_book", instrument_name="BTC-PERPETUAL")
            assert book["asks"] == [["100100", "0.5"]] and book["bids"] == []
            taken = await taker.result(
                "private/buy",
                **TAKER.order(api, "0.2", "100200", time_in_force="immediate_or_cancel"),
            )
            assert taken["order"]["order_state"] == "filled"
            assert [(t["price"], t["amount"]) for t in taken["trades"]] == [("100100", "0.2")]
            states = await maker.result("private/get_open_orders")
            assert [s["filled_amount"] for s in states] == ["0.2"]
            await maker.result("private/cancel_all")
            assert await maker.result("private/get_open_orders") == []
            seen = [m["params"]["channel"] for m in maker.pushed if "params" in m]
            assert seen.count("trades.BTC-PERPETUAL.raw") == 1
            assert seen.count("book.BTC-PERPETUAL.raw") == 4  # snapshot, new, traded, cancelled

    asyncio.run(run())


def test_a_rejection_names_deribits_number_and_ours(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            reply = await client.call("private/get_positions")
            assert reply["error"]["code"] == 13009
            await client.result("public/auth", **TAKER.login(api.separator))
            reply = await client.call("private/buy", **TAKER.order(api, "0.0005", "100000"))
            assert reply["error"]["code"] == -32602 and "amount" in reply["error"]["data"]["detail"]
            reply = await client.call("private/buy", **TAKER.order(api, "1000", "100000"))
            assert reply["error"]["code"] == 10009
            assert "InsufficientMargin" in str(reply["error"])
            reply = await client.call("public/no_such_method")
            assert reply["error"]["code"] == -32601

    asyncio.run(run())


def test_http_answers_as_the_socket_does(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), aiohttp.ClientSession() as http:
            async with http.get(f"{url}/api/v2/public/get_instruments?currency=BTC") as reply:
                names = [i["instrument_name"] for i in (await reply.json())["result"]]
            assert names == ["BTC-PERPETUAL"]
            body = {"jsonrpc": "2.0", "id": 7, "method": "public/test", "params": {}}
            async with http.post(f"{url}/api/v1", json=body) as reply:
                found = await reply.json()
            assert found["id"] == 7 and "version" in found["result"]
            async with http.post(f"{url}/api/v1", data=b"[" * 5000) as reply:
                assert reply.status == 400
                assert (await reply.json())["error"]["code"] == -32700

    asyncio.run(run())
