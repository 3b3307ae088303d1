"""The server: WebSocket at ``/ws/api/v1`` and HTTP at ``/api/v1`` (``v2`` too, for Deribit's
clients).

Owns: connections and their bounds: how many in all and from one address, bytes a message, how long
one may take to ask. HTTP is aiohttp's; a WebSocket is handed over (``handover.py``) to whom its
frames go (``connection.py``). No traceback reaches a peer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from weakref import WeakKeyDictionary

from aiohttp import web
from prometheus_client import CONTENT_TYPE_LATEST

from novate.api import (
    account_methods,
    bulk_methods,
    closing_methods,
    edit_methods,
    history_methods,
    metrics,
    owner_methods,
    private_methods,
    public_methods,
    quote_methods,
    rfq_methods,
    risk_methods,
    rpc,
    user_history_methods,
)
from novate.api.connection import STOPS, Connection
from novate.api.door import CONNECTIONS_MAX, CONNECTIONS_PER_ADDRESS_MAX, Door
from novate.api.handover import hand_over, is_upgrade
from novate.api.rpc import MESSAGE_BYTES_MAX, now_us
from novate.api.session import Session
from novate.api.venue import VenueApi
from novate.errors import BY_CODE, MessageTooLarge, Rejected, TooManyConnections

__all__ = [
    "Server",
    "account_methods",
    "bulk_methods",
    "closing_methods",
    "edit_methods",
    "history_methods",
    "owner_methods",
    "private_methods",
    "public_methods",
    "quote_methods",
    "rfq_methods",
    "risk_methods",
    "user_history_methods",
]

FIRST_REQUEST_SECONDS = 10.0
BODY_SECONDS = 10.0
KEEP_ALIVE_SECONDS = 75.0
STOP_SECONDS = 8.0  # how long an orderly end waits for requests under way
LOOK_SECONDS = 0.01  # how often an orderly end looks whether the clients have left
LINGER_SECONDS = 2.0  # how long the rest of a refused body is still read
VERSIONS = ("v1", "v2")
JSON = "application/json"


@dataclass(slots=True)
class Server:
    """The API of one venue on one port, for so many connections in all and from one address."""

    venue: VenueApi
    most: int = CONNECTIONS_MAX
    most_of_one: int = CONNECTIONS_PER_ADDRESS_MAX
    connections: Counter[str] = field(default_factory=Counter)
    clients: set[Connection] = field(default_factory=set)  # WebSockets: aiohttp counts them no more
    runner: web.AppRunner | None = None
    spoken: WeakKeyDictionary[asyncio.BaseTransport, float] = field(
        default_factory=WeakKeyDictionary
    )
    sweeper: asyncio.Task[None] | None = None

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MESSAGE_BYTES_MAX, middlewares=[self._guard])
        for version in VERSIONS:
            app.router.add_get(f"/ws/api/{version}", self.websocket)
            app.router.add_post(f"/api/{version}", self.post)
            app.router.add_post(f"/api/{version}/{{scope}}/{{name}}", self.post)
            app.router.add_get(f"/api/{version}/{{scope}}/{{name}}", self.get)
        app.router.add_get("/live", self.live)
        app.router.add_get("/health", self.health)
        app.router.add_get("/metrics", self.metrics)
        return app

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        self.runner = web.AppRunner(
            self.application(),
            access_log=None,
            keepalive_timeout=KEEP_ALIVE_SECONDS,
            lingering_time=LINGER_SECONDS,
            shutdown_timeout=STOP_SECONDS,
        )
        await self.runner.setup()
        self.sweeper = asyncio.create_task(self._sweep())
        held = self.clients.__len__
        await Door(self.runner, host, port, self.most, held, self._full).start()
        return int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and stop listening. Who cancels on disconnect is left without
        orders; dead man's switches wait for the next start.
        """
        if self.sweeper is not None:
            self.sweeper.cancel()
        for client in tuple(self.clients):
            client.end(STOPS)
        if self.runner is not None:
            await self.runner.cleanup()
        await self._until_left()
        await self.venue.keeper.stop()

    async def _until_left(self) -> None:
        """Until every client is gone."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                while self.clients:
                    await asyncio.sleep(LOOK_SECONDS)

    async def _sweep(self) -> None:
        """Close connections that ask nothing: half a request line is no request."""
        assert self.runner is not None
        clock = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(FIRST_REQUEST_SECONDS / 4)
            server = self.runner.server
            for handler in server.connections if server is not None else ():
                transport = handler.transport
                if transport is None:
                    continue
                since = self.spoken.setdefault(transport, clock())
                if clock() - since > FIRST_REQUEST_SECONDS:
                    transport.abort()

    @web.middleware
    async def _guard(
        self, request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Remember who has asked; too large a body is refused as everything else is."""
        if request.transport is not None:
            self.spoken[request.transport] = float("inf")
        try:
            return await handler(request)
        except web.HTTPRequestEntityTooLarge:
            bound = f"at most {MESSAGE_BYTES_MAX} bytes"
            refused = Rejected(MessageTooLarge, bound)
            return self._reply(rpc.refused(self._session(request), refused, now_us()), 413)

    # HTTP

    async def live(self, request: web.Request) -> web.Response:
        """That the process serves, whatever its parts say; who gets no answer may restart it."""
        return web.json_response({"live": True})

    async def health(self, request: web.Request) -> web.Response:
        """Whether the venue is ready; 503 and the parts that are not if it is not."""
        found = metrics.health(self.venue)
        return web.json_response(found, status=200 if found["ready"] else 503)

    async def metrics(self, request: web.Request) -> web.Response:
        """Figures for Prometheus."""
        body = metrics.exposition(self.venue, self.connections.total())
        return web.Response(body=body, headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def post(self, request: web.Request) -> web.Response:
        """A JSON-RPC request in the body."""
        start, session = now_us(), self._bearer(request)
        try:
            async with asyncio.timeout(BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            raise web.HTTPRequestTimeout from None
        try:
            found = rpc.read(body)
        except Rejected as rejected:
            return self._reply(rpc.refused(session, rejected, start), 400)
        return self._reply(await rpc.answer(session, found, start))

    async def get(self, request: web.Request) -> web.Response:
        """A method in the path, its parameters in the query."""
        start, session = now_us(), self._bearer(request)
        name = f"{request.match_info['scope']}/{request.match_info['name']}"
        reply = await rpc.outcome(session, name, dict(request.query), start)
        error = reply.get("error")
        status = BY_CODE[error["data"]["code"]].http_status if error else 200
        return self._reply(
            rpc.finish(session, {"jsonrpc": "2.0", "id": None} | reply, start), status
        )

    def _session(self, request: web.Request) -> Session:
        return Session(self.venue, address=request.remote or "")

    def _bearer(self, request: web.Request) -> Session:
        session = self._session(request)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            with contextlib.suppress(Rejected):
                grant = self.venue.tokens.grant(token.strip(), now_us() // 1_000)
                session.account, session.signer = grant.account, grant.signer
                session.scopes = grant.scopes
        return session

    def _reply(self, body: bytes, status: int = 200) -> web.Response:
        return web.Response(body=body, status=status, content_type=JSON)

    def _full(self) -> bytes:
        """What those hear for whom there is no room."""
        refused = Rejected(TooManyConnections, f"at most {self.most} in all")
        body = rpc.refused(Session(self.venue), refused, now_us())
        status = TooManyConnections.http_status
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nContent-Type: {JSON}\r\n"
            f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        return head.encode() + body

    # WebSocket

    async def websocket(self, request: web.Request) -> web.Response:
        """Hand the connection over: what is returned only ends aiohttp's part in it."""
        address = request.remote or ""
        if self.connections[address] >= self.most_of_one:
            refused = Rejected(TooManyConnections, f"at most {self.most_of_one} of an address")
            body = rpc.refused(self._session(request), refused, now_us())
            return self._reply(body, TooManyConnections.http_status)
        if not is_upgrade(request):
            raise web.HTTPBadRequest(text="no request for a WebSocket")
        self.connections[address] += 1
        client = Connection(self.venue, address, self._gone)
        self.clients.add(client)
        try:
            hand_over(request, client)
        finally:
            if client.transport is None:
                self._gone(client)
        return web.Response()

    def _gone(self, client: Connection) -> None:
        """Nobody is there any more."""
        if client not in self.clients:
            return
        self.clients.discard(client)
        address = client.session.address
        self.connections[address] -= 1
        if not self.connections[address]:
            del self.connections[address]
