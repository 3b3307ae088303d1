"""A whole small venue behind the API, on a real local chain, for tests."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from coincurve import PrivateKey
from eth_account.signers.local import LocalAccount

from novate import config
from novate.api.core import Core
from novate.api.server import Server
from novate.api.venue import VenueApi
from novate.chain.node import local_key
from novate.demo.venue import Venue
from novate.lab.smiles import SmileTable, around
from novate.model import surfaces
from novate.model.account import account_of
from novate.model.order import IMMEDIATE, Order
from novate.sdk import ApiError, AsyncClient, SigningKey
from novate.services.boot import coincurve_key
from novate.services.gateway import Gateway
from novate.services.option_keeper import OptionKeeper, strikes_for
from novate.services.oracle_node import NodePrice
from novate.store.database import Database
from novate.units import ORACLE_UNIT, WAD
from novate.wire import eip712, records
from novate.wire.login import login_digest

BTC, ETH = 1, 2
PRICES = {BTC: 100_000, ETH: 4_000}


class Trader:
    """A key, its first account, and how it signs."""

    def __init__(self, name: str) -> None:
        self.key: LocalAccount = local_key(name)
        self.secret: PrivateKey = coincurve_key(self.key)
        self.address = self.key.address.lower()
        self.account = account_of(self.address)
        self.nonce = 0

    @property
    def signing_key(self) -> SigningKey:
        """The key as the SDK takes it."""
        return SigningKey(bytes(self.key.key))

    def login(self, separator: bytes, scope: str = "read trade") -> dict[str, Any]:
        """Parameters of ``public/auth``."""
        stamp, self.nonce = time.time_ns() // 10**6, self.nonce + 1
        digest = login_digest(separator, self.account, stamp, self.nonce, scope)
        return {
            "grant_type": "signature",
            "account": f"0x{self.account:064x}",
            "timestamp": stamp,
            "nonce": self.nonce,
            "scope": scope,
            "signature": self.signed(digest),
        }

    def signed(self, digest: bytes) -> str:
        """A compact signature as text."""
        r, vs = eip712.sign(self.secret, digest)
        return f"0x{r:064x}{vs:064x}"

    def order(
        self, api: VenueApi, amount: str, price: str, sells: bool = False, **more: Any
    ) -> dict[str, Any]:
        """Parameters of ``private/buy`` or ``private/sell`` on the BTC perpetual, signed."""
        item = api.market.named(more.pop("instrument_name", "BTC-PERPETUAL"))
        self.nonce += 1
        size = round(float(amount) * WAD / item.lot_size)
        force = more.get("time_in_force", "good_til_cancelled")
        immediate = force in ("immediate_or_cancel", "fill_or_kill")
        order = Order(
            account=self.account,
            instrument=item.id,
            lots=-size if sells else size,
            price=round(float(price) * 1000) * WAD // 1000,
            max_fee=WAD,
            nonce=self.nonce,
            expiry=item.expiry or 2**32,
            flags=IMMEDIATE * immediate,
        )
        return {
            "instrument_name": item.name,
            "amount": amount,
            "price": price,
            "max_fee": "1",
            "nonce": self.nonce,
            "expiry": item.expiry or 2**32,
            "signature": self.signed(eip712.order_digest(api.separator, order)),
            **more,
        }


class Client:
    """A WebSocket client without any of our own client code."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self.socket = socket
        self.last = 0
        self.pushed: list[dict[str, Any]] = []

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """One request and its whole reply; notifications on the way are kept."""
        self.last += 1
        body = {"jsonrpc": "2.0", "id": self.last, "method": method, "params": params}
        await self.socket.send_str(json.dumps(body))
        while True:
            reply = await asyncio.wait_for(self.socket.receive_json(), 20)
            if reply.get("id") == self.last:
                return reply
            self.pushed.append(reply)

    async def result(self, method: str, **params: Any) -> Any:
        """The result of a request that must succeed."""
        reply = await self.call(method, **params)
        assert "result" in reply, reply
        return reply["result"]


def open_venue(folder: Path, traders: list[Trader], start: int | None = None) -> Venue:
    """Deploy on a local chain whose clock starts at ``start`` (ten minutes ago), with money for
    everybody and a first round of prices.
    """
    venue = Venue(folder, config.load(), int(time.time()) - 600 if start is None else start)
    usdc, custody = venue.tokens["USDC"], venue.deployment.addresses["custody"]
    for trader in traders:
        usdc.send("mint", trader.address, 10**12, key=local_key("governor"))
        usdc.send("approve", custody, 2**256 - 1, key=trader.key)
    venue.mine(venue.now + 12)
    for trader in traders:
        account = trader.account.to_bytes(32, "big")
        venue.custody.send("deposit", usdc.address, account, 10**12, key=trader.key)
    venue.mine(venue.now + 12)
    for step in range(3):  # past the restart grace
        post(venue, venue.now + (60 if step else 12))
    return venue


def venue_of(*traders: Trader, ahead: int = -600) -> Any:
    """A fixture: one venue with these traders for the tests of a module.

    Its chain's clock starts ``ahead`` seconds from now. Tests that move it by hand past the present
    begin beyond it: else the moments at which orders come would move the engine's second.
    """

    @pytest.fixture(scope="module")
    def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
        folder, start = tmp_path_factory.mktemp("venue"), int(time.time()) + ahead
        made = open_venue(folder, list(traders), start)
        yield made
        made.close()

    return venue


def list_options(
    venue: Venue, expiries: Sequence[int], percents: Sequence[int] = (-10, 0, 10)
) -> OptionKeeper:
    """Surfaces of unmoved volatilities, and options and futures of these expiries, with arrays."""
    keeper = OptionKeeper(venue.client, venue.deployment, venue.upkeep, venue.node_keys)
    post_surfaces(venue, keeper, expiries)
    places = [(u, expiry) for u in PRICES for expiry in expiries]
    for underlying, expiry in places:
        keeper.list_expiry(underlying, expiry)
    venue.mine(venue.now + 1)
    world = venue.sequencer.world
    for underlying, expiry in places:
        slot, grid = surfaces.slot_of(world, underlying, expiry), world.options.grids[underlying]
        forward = world.oracle.feeds[grid.feed].mark
        for strike in strikes_for(forward, grid.step, percents):
            keeper.list_strike(underlying, slot, strike)
    venue.mine(venue.now + 1)
    for place, _ in world.options.listed.items():
        keeper.refresh(*place)
    venue.mine(venue.now + 1)
    return keeper


def post_surfaces(venue: Venue, keeper: OptionKeeper, expiries: Sequence[int]) -> None:
    """All nodes see the same volatilities now, and say so."""
    smile, world = SmileTable().smile("BTC", 0, 0), venue.sequencer.world
    for underlying, price in PRICES.items():
        quotes = [around(smile, expiry, venue.now, float(price), 0.0) for expiry in expiries]
        for node in keeper.nodes:
            node.observe({underlying: quotes})
        stored = surfaces.newest(world, underlying)
        signed = keeper.agree(underlying, stored, venue.now)
        assert signed is not None
        keeper.post(signed)
    venue.mine(venue.now + 1)


def post(venue: Venue, timestamp: int) -> None:
    """A round of unmoved prices in a block of its own."""
    seen = {i: NodePrice(p * WAD // ORACLE_UNIT, p * WAD // ORACLE_UNIT) for i, p in PRICES.items()}
    assert venue.post_prices(dict.fromkeys(range(4), seen), timestamp)
    venue.settle(timestamp)


@asynccontextmanager
async def served(
    venue: Venue, store: Database | None = None, port: int = 0, **bounds: int
) -> AsyncIterator[tuple[VenueApi, str]]:
    """The API of a venue on a port; ``bounds`` (``most``, ``most_of_one``) of connections;
    ``store``: its read side, and the journal's past is recalled as at a start.
    """
    core = Core(venue.journal, venue.sequencer)
    api = VenueApi(
        core=core,
        parameters=venue.parameters,
        gateway=Gateway(venue.separator),
        separator=venue.separator,
        chain_id=venue.deployment.chain_id,
        exchange=venue.deployment.addresses["exchange"],
        executor=venue.executor.address.lower(),
        deployment=venue.deployment,
        store=store,
    )
    for entry in venue.journal.read() if store is not None else ():
        api.recall(records.decode(entry.kind, entry.payload))
    server = Server(api, **bounds)
    running = asyncio.create_task(core.run())
    port = await server.start(port=port)
    try:
        yield api, f"http://127.0.0.1:{port}"
    finally:
        await server.stop()
        running.cancel()
        await asyncio.wait([running])


@contextmanager
def served_in_background(venue: Venue, store: Database | None = None) -> Iterator[str]:
    """The API of a venue on a thread of its own, for clients that block."""
    started: Future[str] = Future()
    loop = asyncio.new_event_loop()
    stop = asyncio.Event()

    async def serve() -> None:
        async with served(venue, store) as (_, url):
            started.set_result(url)
            await stop.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    try:
        yield started.result(30)
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(30)
        loop.close()


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Client]:
    """A WebSocket to a served venue."""
    async with aiohttp.ClientSession() as http, http.ws_connect(f"{url}/ws/api/v1") as socket:
        yield Client(socket)


@asynccontextmanager
async def trading(venue: Venue, *traders: Trader) -> AsyncIterator[tuple[AsyncClient, ...]]:
    """The SDK's clients of traders of a served venue; nothing is in the book afterwards."""
    async with served(venue) as (_, url), AsyncExitStack() as stack:
        clients = [
            await stack.enter_async_context(AsyncClient(url, trader.signing_key))
            for trader in traders
        ]
        yield tuple(clients)
        for client in clients:
            await client.cancel_all_orders()


async def name_of(work: Any) -> str:
    """The name of the rejection that some work of a client ends in."""
    with pytest.raises(ApiError) as refused:
        await work
    field, colon, _ = refused.value.detail.partition(":")
    return f"{refused.value.name} {field}" if colon else refused.value.name
