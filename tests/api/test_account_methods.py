"""Safety and insight methods, and private channels, over a real chain."""

from __future__ import annotations

import asyncio
from decimal import Decimal

from support.venue_api import Client, Trader, Venue, connected, served, venue_of

from novate.api.venue import VenueApi
from novate.wire import eip712

ONE, TWO = Trader("account one"), Trader("account two")
BTC = "BTC-PERPETUAL"
venue = venue_of(ONE, TWO)


async def login(client: Client, trader: Trader, api: VenueApi, scope: str = "read trade") -> None:
    await client.result("public/auth", **trader.login(api.separator, scope))


def test_a_lost_connection_cancels_only_if_it_was_asked_to(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url):
            async with connected(url) as client:
                await login(client, ONE, api)
                await client.result("private/buy", **ONE.order(api, "0.1", "90000"))
            await asyncio.sleep(0.1)
            assert len(api.orders.open_orders(ONE.account)) == 1
            async with connected(url) as client:
                await login(client, ONE, api)
                assert await client.result("private/enable_cancel_on_disconnect") == "ok"
            for _ in range(50):
                await asyncio.sleep(0.05)
                if not api.orders.open_orders(ONE.account):
                    break
            assert api.orders.open_orders(ONE.account) == []

    asyncio.run(run())


def test_the_dead_mans_switch_cancels_unless_renewed(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await login(client, ONE, api)
            refused = await client.call("private/schedule_cancel", timeout=4)
            assert refused["error"]["code"] == -32602
            await client.result("private/buy", **ONE.order(api, "0.1", "90000"))
            await client.result("private/schedule_cancel", timeout=5)
            await asyncio.sleep(3)
            await client.result("private/schedule_cancel", timeout=5)
            await asyncio.sleep(3)
            assert len(api.orders.open_orders(ONE.account)) == 1
            await asyncio.sleep(3)
            assert api.orders.open_orders(ONE.account) == [] and api.keeper.held.switches == {}

    asyncio.run(run())


def test_private_channels_reach_their_account_alone(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            refused = await one.call("public/subscribe", channels=["user.orders.any.raw"])
            assert refused["error"]["message"] == "UnknownChannel"
            for client, trader in ((one, ONE), (two, TWO)):
                await login(client, trader, api)
                channels = ["user.orders.any.raw", f"user.trades.{BTC}.raw"]
                await client.result("public/subscribe", channels=channels)
            await one.result("private/sell", **ONE.order(api, "0.4", "100050", sells=True))
            await two.result(
                "private/buy",
                **TWO.order(api, "0.1", "100050", time_in_force="immediate_or_cancel"),
            )
            await one.result("private/cancel_all")

            def seen(client: Client, kind: str) -> list[str]:
                told = [m["params"] for m in client.pushed if f"user.{kind}" in str(m)]
                return [
                    t["data"]["order_state"] if kind == "orders" else t["data"][0]["amount"]
                    for t in told
                ]

            assert seen(one, "orders") == ["open", "open", "cancelled"]
            assert seen(two, "orders") == ["open", "open", "filled"]
            assert seen(one, "trades") == seen(two, "trades") == ["0.1"]

    asyncio.run(run())


def test_margins_are_those_of_the_gate(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await login(client, TWO, api)
            found = await client.result(
                "private/get_margins", instrument_name=BTC, amount="1", price="100000"
            )
            simulated = await client.result(
                "private/simulate_portfolio", simulated_positions={BTC: "1"}
            )
            assert found["buy"] == simulated["initial_margin"]
            # 15 % of 1 BTC, a confidence of 100 ppm, and a quarter on top
            alone = await client.result(
                "private/simulate_portfolio",
                simulated_positions={BTC: "-1"},
                add_positions=False,
            )
            assert Decimal(18_750) <= Decimal(alone["initial_margin"]) < Decimal(18_800)

    asyncio.run(run())


def test_the_digest_of_an_order_is_what_is_signed(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            order = ONE.order(api, "0.1", "90000")
            told = await client.result(
                "public/get_order_digest", **order, account=f"0x{ONE.account:064x}"
            )
            r, vs = (int(order["signature"][i : i + 64], 16) for i in (2, 66))
            digest = bytes.fromhex(told["digest"][2:])
            assert eip712.recover(digest, r, vs) == ONE.address
            assert told["typed_data"]["message"]["price"] == str(90_000 * 10**18)

    asyncio.run(run())


def test_what_the_venue_rests_on_can_be_read(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as client:
            risk = await client.result("public/get_risk_parameters")
            assert [u["scan_range"] for u in risk["underlyings"]] == ["0.15", "0.18"]
            assert (await client.result("public/get_insurance"))["insurance"] == "1000000"
            feeds = await client.result("public/get_signed_feeds")
            assert [f["mark_price"] for f in feeds["feeds"]] == ["100000", "4000"]
            limits = await client.result("public/get_rate_limits")
            assert limits["cancels"]["maximum"] > limits["requests"]["maximum"]

    asyncio.run(run())


def test_requests_beyond_the_limit_are_refused_and_cancels_are_not(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url):
            api.limits.requests = (20, 1)
            async with connected(url) as client, connected(url) as sister:
                for each in (client, sister):
                    await login(each, ONE, api)
                codes = []
                for _ in range(15):
                    for each in (client, sister):
                        reply = await each.call("public/get_time")
                        codes.append(reply.get("error", {}).get("code"))
                # one pair of buckets for both connections of the account
                assert 18 <= codes.count(None) <= 25 and codes[-1] == 10028
                assert await client.result("private/cancel_all") == 0

    asyncio.run(run())


def test_what_takes_the_venue_longer_takes_more_credits(venue: Venue) -> None:
    """Nobody holds others up with a credit each."""

    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            channels = [f"{kind}.{BTC}.raw" for kind in ("book", "ticker", "trades", "perpetual")]
            costly = (
                ("public/get_book_summary_by_currency", {"currency": "BTC"}, 20),
                ("public/subscribe", {"channels": 10 * channels}, 20),
                ("public/subscribe", {"channels": channels}, 2),
            )
            for method, params, cost in costly:
                api.limits.anonymous = (cost, 0)
                api.limits.held.clear()
                assert "result" in await client.call(method, **params)
                api.limits.anonymous = (cost - 1, 0)
                api.limits.held.clear()
                reply = await client.call(method, **params)
                assert reply["error"]["message"] == "TooManyRequests", method

    asyncio.run(run())


def test_a_position_counts_from_its_match_on(venue: Venue) -> None:
    """Before the batch closes: a hedger who reads it does not hedge a fill twice."""

    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            for client, trader in ((one, ONE), (two, TWO)):
                await login(client, trader, api)
            before = [
                await c.result("private/get_position", instrument_name=BTC) for c in (one, two)
            ]
            await one.result("private/sell", **ONE.order(api, "0.2", "100000", sells=True))
            await two.result(
                "private/buy",
                **TWO.order(api, "0.2", "100000", time_in_force="immediate_or_cancel"),
            )
            after = [
                await c.result("private/get_position", instrument_name=BTC) for c in (one, two)
            ]
            moved = [
                Decimal(a["size"]) - Decimal(b["size"]) for a, b in zip(after, before, strict=True)
            ]
            assert moved == [Decimal("-0.2"), Decimal("0.2")]
            assert len(await two.result("private/get_positions")) == 1

    asyncio.run(run())
