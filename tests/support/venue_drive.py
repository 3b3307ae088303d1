"""Moves a served venue as its services would: rounds, batches and blocks, all through its core."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from novate.api.venue import VenueApi
from novate.services.oracle_node import joint_round
from novate.units import ORACLE_UNIT, WAD
from novate.wire.records import AnyRecord, BatchDue, ChainReorganised
from support.venue_api import NodePrice, Trader, Venue, connected, served

BLOCK_S = 12


class Follower:
    """A client without our client code that keeps what its channels tell."""

    def __init__(self, client: Any) -> None:
        self.client = client

    async def follow(self, *channels: str) -> None:
        """Follow channels."""
        await self.client.result("public/subscribe", channels=list(channels))

    async def told(self, channel: str, count: int, seconds: float = 3) -> list[dict[str, Any]]:
        """What a channel has told, once it is so many messages."""
        for _ in range(round(seconds / 0.02)):
            await self.client.result("public/test")
            found = self.now(channel)
            if len(found) >= count:
                return found
            await asyncio.sleep(0.02)
        raise AssertionError(f"{channel} told {self.now(channel)}")

    def now(self, channel: str) -> list[dict[str, Any]]:
        """What a channel has told so far."""
        pushed = (m["params"] for m in self.client.pushed if m.get("method") == "subscription")
        return [p["data"] for p in pushed if p["channel"] == channel]


class Drive:
    """One served venue."""

    def __init__(self, venue: Venue, api: VenueApi, url: str) -> None:
        self.venue, self.api, self.url = venue, api, url

    @asynccontextmanager
    async def follower(self, trader: Trader | None = None) -> AsyncIterator[Follower]:
        """A connection, logged in if somebody's."""
        async with connected(self.url) as client:
            if trader is not None:
                await client.result("public/auth", **trader.login(self.api.separator))
            yield Follower(client)

    async def round(self, prices: Mapping[int, int], later: int = BLOCK_S) -> None:
        """A round of prices that all nodes see, on the chain."""
        venue = self.venue
        venue.now += later
        seen = {f: NodePrice(*[p * WAD // ORACLE_UNIT] * 2) for f, p in prices.items()}
        for node in venue.oracle_nodes:
            node.observe(seen)
        venue.round += 1
        signed = joint_round(
            venue.oracle_nodes[0], venue.oracle_nodes, venue.round, venue.now, venue.now
        )
        await self.enter(signed.record())
        await self.settle()

    async def enter(self, record: AnyRecord) -> None:
        """One record of the venue's own."""
        await self.api.core.enter(record)

    async def close(self) -> None:
        """Close the open batch."""
        await self.enter(BatchDue(self.venue.now * 1000))

    async def send(self) -> None:
        """Send what waits for the chain."""
        for submitted in self.venue.settler.plan(self.venue.now * 1000):
            await self.enter(submitted)
        self.venue.settler.transmit()

    async def mine(self) -> list[AnyRecord]:
        """A block with what was sent; what the watcher made of it."""
        self.venue.now += BLOCK_S
        self.venue.client.mine(self.venue.now)
        return await self.watch()

    async def watch(self) -> list[AnyRecord]:
        """Bring what the chain did into the journal."""
        found = list(self.venue.watcher.poll())
        for record in found:
            await self.enter(record)
        return found

    async def settle(self) -> None:
        """Close the batch, send it, mine it."""
        await self.close()
        await self.send()
        await self.mine()

    async def reorganise(self, blocks: int) -> int:
        """Take blocks off the chain, empty ones in their place; the first of them."""
        self.venue.client.request("anvil_reorg", blocks, [])
        self.venue.client.forget_nonces()
        [left] = [r for r in await self.watch() if isinstance(r, ChainReorganised)]
        return left.first_block


@asynccontextmanager
async def driven(venue: Venue) -> AsyncIterator[Drive]:
    """A venue that is served, and moved by hand; afterwards it may be moved as before."""
    async with served(venue) as (api, url):
        api.core.listeners.append(venue.settler.follow)
        yield Drive(venue, api, url)
    venue.journal.commit()
    venue.cursor = venue.journal.head.sequence + 1


async def trade(
    drive: Drive, maker: Trader, taker: Trader, amount: str = "0.1", price: str = "100000"
) -> None:
    """The taker buys of the maker."""
    async with drive.follower(maker) as sells, drive.follower(taker) as buys:
        order = maker.order(drive.api, amount, price, sells=True)
        await sells.client.result("private/sell", **order)
        order = taker.order(drive.api, amount, price, time_in_force="immediate_or_cancel")
        placed = await buys.client.result("private/buy", **order)
        assert placed["order"]["order_state"] == "filled", placed


def consecutive(told: list[dict[str, Any]]) -> None:
    """A snapshot, then one message after the other."""
    assert told[0]["type"] == "snapshot"
    first = told[0]["sequence"]
    assert [m["sequence"] for m in told] == list(range(first, first + len(told)))
