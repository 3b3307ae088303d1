"""What a running venue says of itself."""

from __future__ import annotations

import asyncio

import aiohttp
from prometheus_client.parser import text_string_to_metric_families
from support.venue_api import Trader, Venue, connected, served, venue_of

from novate.api.metrics import Part

TRADER = Trader("metrics trader")
venue = venue_of(TRADER)


def test_figures_are_those_of_the_venue(venue: Venue) -> None:
    async def run() -> None:
        async with (
            served(venue) as (api, url),
            connected(url) as client,
            aiohttp.ClientSession() as http,
        ):
            await client.result("public/auth", **TRADER.login(api.separator))
            await client.result("private/buy", **TRADER.order(api, "0.1", "90000"))
            await client.result("private/cancel_all")
            await client.call("public/no_such_method")
            api.parts.append(lambda: Part("chain", True, restarts=3))
            async with http.get(f"{url}/metrics") as reply:
                text = await reply.text()
                assert reply.headers["Content-Type"].startswith("text/plain")
        found = {
            (sample.name, *sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }
        assert found["novate_commands_total",] == 2
        assert found["novate_connections",] == 1
        assert found["novate_requests_total", "private/buy"] == 1
        assert found["novate_requests_total", "unknown"] == 1
        assert 0 < found["novate_request_seconds_total", "private/buy"] < 5
        assert found["novate_ready", "engine"] == found["novate_ready", "chain"] == 1
        assert found["novate_restarts_total", "chain"] == 3
        assert found["novate_faults_total",] == found["novate_journal_refuses",] == 0

    asyncio.run(run())


def test_health_names_the_part_that_is_not_ready(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), aiohttp.ClientSession() as http:
            async with http.get(f"{url}/health") as reply:
                assert reply.status == 200 and (await reply.json())["ready"]
            api.parts.append(lambda: Part("index", False, "ended", 7, 2))
            async with http.get(f"{url}/health") as reply:
                found = await reply.json()
                assert reply.status == 503 and found["not_ready"] == ["index"]
                assert found["parts"]["index"] == {
                    "ready": False,
                    "detail": "ended",
                    "pid": 7,
                    "restarts": 2,
                }

    asyncio.run(run())
