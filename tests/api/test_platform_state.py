"""What the venue tells of itself as a whole: that it is paused, and until when."""

from __future__ import annotations

import asyncio

from support.venue_api import PRICES, Venue, venue_of
from support.venue_drive import driven

from novate.chain.node import local_key

venue = venue_of()


def test_a_pause_is_announced_and_so_is_its_end(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await one.follow("platform_state")
            [first] = await one.told("platform_state", 1)
            assert (first["locked"], first["paused_until"]) == (False, None)
            venue.clearinghouse.send("pause", 60, key=local_key("guardian"))
            await drive.mine()
            second = (await one.told("platform_state", 2))[1]
            assert second["locked"] and second["paused_until"] == (venue.now + 60) * 1000
            status = await one.client.result("public/status")
            assert (status["locked"], status["paused_until"]) == ("true", second["paused_until"])
            await drive.round(PRICES, later=61)
            third = (await one.told("platform_state", 3))[2]
            assert not third["locked"] and third["timestamp"] >= second["paused_until"]
            assert (await one.client.result("public/status"))["paused_until"] is None
            await drive.round(PRICES)
            assert len(one.now("platform_state")) == 3, "nothing has changed"

    asyncio.run(run())
