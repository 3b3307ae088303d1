"""Whose client, connection or venue is gone: what he asked for happens all the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from decimal import Decimal
from pathlib import Path

import pytest
from support.chaos import Up
from support.venue_api import Client as Wire
from support.venue_api import Trader, Venue, connected, served, venue_of

from novate.api import keeper
from novate.api.core import Core
from novate.api.keeper import Keeper
from novate.api.venue import VenueApi
from novate.engine.safeguards import Safeguards
from novate.errors import JournalFull, OutcomeUnknown, Overloaded, Rejected
from novate.sdk import Client, SigningKey
from novate.wire.records import AnyRecord, CancelRequested
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

ONE, TWO = Trader("gone one"), Trader("gone two")
BTC = "BTC-PERPETUAL"
venue = venue_of(ONE, TWO)


@pytest.fixture
def up(tmp_path: Path) -> Iterator[Up]:
    made = Up(tmp_path / "venue")
    made.start()
    yield made
    if made.process.poll() is None:
        made.end()


def client_of(up: Up, number: int) -> Client:
    return Client(up.said["url"], SigningKey(up.said["accounts"][number]["private_key"]))


def ordered(client: Client) -> str:
    """An order in the book, below the market."""
    price = round(Decimal(client.fetch_ticker(BTC)["mark_price"])) - 2_000
    placed = client.create_order(BTC, "buy", "0.01", price)["order"]
    assert placed["order_state"] == "open"
    return str(placed["order_id"])


def states(up: Up, orders: dict[int, str]) -> dict[int, str]:
    found = {}
    for number, order_id in orders.items():
        with client_of(up, number) as client:
            found[number] = client.fetch_order(order_id)["order_state"]
    return found


def until(done: Callable[[], bool], seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline
        time.sleep(0.05)


# A venue that is killed, and one that is stopped


@pytest.mark.parametrize("kill", [True, False])
def test_what_was_asked_for_outlives_the_venue(up: Up, kill: bool) -> None:
    """0: a switch that falls due while the venue is away; 1: a connection that cancels; 2: nothing;
    3: all connections of the account, and a switch that is due later.
    """
    orders = {}
    with ExitStack() as open_clients:
        clients = [open_clients.enter_context(client_of(up, number)) for number in range(4)]
        for number, client in enumerate(clients):
            orders[number] = ordered(client)
        clients[1].call("private/enable_cancel_on_disconnect")
        clients[3].call("private/enable_cancel_on_disconnect", scope="account")
        clients[3].call("private/schedule_cancel", timeout=60)
        due = clients[0].call("private/schedule_cancel", timeout=5)["cancels_at"] / 1_000
        if kill:
            up.process.kill()
            up.process.wait()
        else:
            up.end()
        assert up.process.stdout is not None
        up.process.stdout.close()
    time.sleep(max(0.0, due - time.time()))
    up.start()
    assert states(up, orders) == {0: "cancelled", 1: "cancelled", 2: "open", 3: "cancelled"}
    with client_of(up, 1) as client:
        assert not client.call("private/get_cancel_on_disconnect")["enabled"]
    with client_of(up, 3) as client:
        found = client.call("private/get_cancel_on_disconnect", scope="account")
        assert found["enabled"], "what holds for all connections holds on"
        again = ordered(client)
    until(lambda: states(up, {3: again}) == {3: "cancelled"})


def test_a_switch_that_falls_due_on_a_full_disk_cancels_once_there_is_room(up: Up) -> None:
    with client_of(up, 0) as client:
        orders = {0: ordered(client)}
        client.call("private/enable_cancel_on_disconnect", scope="account")
        orders[0] = ordered(client)
        client.call("private/schedule_cancel", timeout=5)
        up.fill_disk(7)
        until(lambda: client.fetch_order(orders[0])["order_state"] == "cancelled")


# What has fired is entered until it is durable


class Refusing:
    """A core that refuses the venue's own cancels at first."""

    def __init__(self, core: Core, monkeypatch: pytest.MonkeyPatch) -> None:
        self.refusals = [Overloaded, OutcomeUnknown, JournalFull]
        self.real, self.causes = core.enter, list[str]()
        monkeypatch.setattr(core, "enter", self.enter)
        monkeypatch.setattr(keeper, "AGAIN_SECONDS", 0.01)

    async def enter(self, record: AnyRecord) -> list[AnyRecord]:
        if isinstance(record, CancelRequested):
            self.causes.append(record.cause)
            if self.refusals:
                raise Rejected(self.refusals.pop())
        return await self.real(record)


async def ready(client: Wire, trader: Trader, api: VenueApi) -> None:
    """Logged in, with an order in the book."""
    await client.result("public/auth", **trader.login(api.separator))
    await client.result("private/buy", **trader.order(api, "0.1", "90000"))
    assert api.core.engine.has_orders(trader.account)


async def gone(api: VenueApi, trader: Trader) -> None:
    """Wait until an account has no order."""
    async with asyncio.timeout(10):
        while api.core.engine.has_orders(trader.account) or api.keeper.owed:
            await asyncio.sleep(0.02)


def test_a_disconnected_clients_cancel_is_tried_until_it_is_durable(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with served(venue) as (api, url):
            async with connected(url) as client:
                await ready(client, ONE, api)
                await client.result("private/enable_cancel_on_disconnect")
                core = Refusing(api.core, monkeypatch)
            await gone(api, ONE)
            assert core.causes == ["disconnect"] * 4
            assert api.keeper.held.leavers == {}, "no connection is left that cancels"

    asyncio.run(run())


def test_a_switch_that_fires_is_tried_until_it_is_durable(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await ready(client, ONE, api)
            core = Refusing(api.core, monkeypatch)
            await client.result("private/schedule_cancel", timeout=5)
            await asyncio.sleep(4)
            assert api.core.engine.has_orders(ONE.account) and core.causes == []
            await gone(api, ONE)
            assert core.causes == ["switch"] * 4 and api.keeper.held.switches == {}

    asyncio.run(run())


def test_a_switch_outlives_an_orderly_stop_and_goes_on_where_it_was(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await ready(client, ONE, api)
            await client.result("private/schedule_cancel", timeout=5)
            began = time.monotonic()
        assert api.core.engine.has_orders(ONE.account)
        async with served(venue) as (again, _):
            await again.keeper.begin()
            assert again.core.engine.has_orders(ONE.account)
            await gone(again, ONE)
            assert 4.5 < time.monotonic() - began < 7

    asyncio.run(run())


def test_an_orderly_stop_cancels_for_whoever_cancels_on_disconnect(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            await ready(one, ONE, api)
            await ready(two, TWO, api)
            await one.result("private/enable_cancel_on_disconnect", scope="account")
            await one.result("private/disable_cancel_on_disconnect")
        assert not api.core.engine.has_orders(ONE.account), "none of its connections is left"
        assert api.core.engine.has_orders(TWO.account)
        async with served(venue) as (api, url), connected(url) as one:
            await one.result("public/auth", **ONE.login(api.separator))
            await one.result("private/disable_cancel_on_disconnect", scope="account")
            assert api.keeper.held.leavers == {}

    asyncio.run(run())


def test_of_two_connections_that_cancel_the_last_one_ends_it(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as first:
            await ready(first, ONE, api)
            await first.result("private/enable_cancel_on_disconnect")
            async with connected(url) as second:
                await second.result("public/auth", **ONE.login(api.separator))
                await second.result("private/enable_cancel_on_disconnect")
            await gone(api, ONE)
            assert api.keeper.held.leavers[ONE.account].connected
            await first.result("private/disable_cancel_on_disconnect")
            assert api.keeper.held.leavers == {}
            await first.result("private/buy", **ONE.order(api, "0.1", "90000"))
        assert api.core.engine.has_orders(ONE.account)

    asyncio.run(run())


def test_what_a_connection_says_for_one_account_is_said_for_no_other(venue: Venue) -> None:
    """Who logs in as somebody else on the way neither cancels for him nor spares him."""

    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as watcher:
            for trader in (ONE, TWO):
                await ready(watcher, trader, api)
            async with connected(url) as client:
                await client.result("public/auth", **ONE.login(api.separator))
                await client.result("private/enable_cancel_on_disconnect")
                await client.result("public/auth", **TWO.login(api.separator))
                said = await client.result("private/get_cancel_on_disconnect")
                assert said["enabled"] is False
            await gone(api, ONE)
            assert api.core.engine.has_orders(TWO.account)
            await watcher.result("private/enable_cancel_on_disconnect", scope="account")
            async with connected(url) as client:
                await client.result("public/auth", **ONE.login(api.separator))
                await client.result("private/disable_cancel_on_disconnect")
                await client.result("public/auth", **TWO.login(api.separator))
            await gone(api, TWO)
            await watcher.result("private/disable_cancel_on_disconnect", scope="account")
            await watcher.result("private/buy", **TWO.order(api, "0.1", "90000"))
            await watcher.result("public/auth", **ONE.login(api.separator))
            await watcher.result("private/buy", **ONE.order(api, "0.1", "90000"))

    asyncio.run(run())


def test_at_a_start_what_is_owed_comes_before_any_order(venue: Venue) -> None:
    """As after a kill: the engine holds what was set, and no connection is left."""

    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await ready(client, ONE, api)
            raw, signer = ONE.account.to_bytes(32, "big"), bytes.fromhex(ONE.address[2:])
            long_ago = time.time_ns() // 10**6 - 10_000
            await api.core.enter(SwitchSet(raw, 5, signer, long_ago))
            raw, signer = TWO.account.to_bytes(32, "big"), bytes.fromhex(TWO.address[2:])
            await api.core.enter(DisconnectSet(raw, "connection", True, signer, long_ago))
            await api.keeper.stop()
            assert api.core.engine.has_orders(TWO.account), "left by the test above"
            await Keeper(api.core).begin()
            for trader in (ONE, TWO):
                assert not api.core.engine.has_orders(trader.account)
            assert api.keeper.held == Safeguards()

    asyncio.run(run())
