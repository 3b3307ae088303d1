"""The server: WebSocket at ``/ws/api/v1`` and HTTP at ``/api/v1`` (``v2`` too, for Deribit's
clients).

Owns: connections and their bounds (how many in all and from one address, bytes a message, how long
one may be idle), the outbox of each WebSocket (a full one ends the connection with a reason), and
what happens when a connection ends. No traceback reaches a peer.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from novate.api import account_methods, history_methods, private_methods, public_methods, rpc
from novate.api.rejections import error_object
from novate.api.rpc import MESSAGE_BYTES_MAX, Request, now_us
from novate.api.session import OUTBOX_MAX, Session
from novate.api.venue import VenueApi
from novate.errors import Rejected, TooManyConnections

__all__ = ["Server", "account_methods", "history_methods", "private_methods", "public_methods"]

CONNECTIONS_MAX = 12_000
CONNECTIONS_PER_ADDRESS_MAX = 11_000
IDLE_SECONDS = 120.0
VERSIONS = ("v1", "v2")
JSON = "application/json"


@dataclass(slots=True)
class Server:
    """The API of one venue on one port."""

    venue: VenueApi
    connections: Counter[str] = field(default_factory=Counter)
    runner: web.AppRunner | None = None

    def application(self) -> web.Application:
        """The routes."""
        app = web.Application(client_max_size=MESSAGE_BYTES_MAX)
        for version in VERSIONS:
            app.router.add_get(f"/ws/api/{version}", self.websocket)
            app.router.add_post(f"/api/{version}", self.post)
            app.router.add_post(f"/api/{version}/{{scope}}/{{name}}", self.post)
            app.router.add_get(f"/api/{version}/{{scope}}/{{name}}", self.get)
        app.router.add_get("/health", self.health)
        return app

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> int:
        """Listen; returns the port."""
        self.runner = web.AppRunner(self.application(), access_log=None)
        await self.runner.setup()
        site = web.TCPSite(self.runner, host, port)
        await site.start()
        return int(self.runner.addresses[0][1])

    async def stop(self) -> None:
        """Close every connection and stop listening; timers end without having cancelled."""
        for switch in self.venue.switches.values():
            switch.cancel()
        if self.runner is not None:
            await self.runner.cleanup()

    # HTTP

    async def health(self, request: web.Request) -> web.Response:
        """Whether the venue takes commands."""
        waiting = self.venue.core.waiting
        return web.json_response({"ready": waiting < 10_000, "waiting": waiting})

    async def post(self, request: web.Request) -> web.Response:
        """A JSON-RPC request in the body."""
        start, session = now_us(), self._bearer(request)
        try:
            body = await request.read()
            found = rpc.read(body)
        except web.HTTPRequestEntityTooLarge:
            raise
        except Rejected as rejected:
            return self._reply(rpc.refused(session, rejected, start), 400)
        return self._reply(await rpc.answer(session, found, start))

    async def get(self, request: web.Request) -> web.Response:
        """A method in the path, its parameters in the query."""
        start, session = now_us(), self._bearer(request)
        name = f"{request.match_info['scope']}/{request.match_info['name']}"
        reply: dict[str, Any] = {"jsonrpc": "2.0", "id": None}
        status = 200
        try:
            reply["result"] = await rpc.dispatch(session, name, dict(request.query), start)
        except Rejected as rejected:
            reply["error"], status = error_object(rejected), rejected.error.http_status
        return self._reply(rpc.finish(session, reply, start), status)

    def _bearer(self, request: web.Request) -> Session:
        session = Session(self.venue)
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() == "bearer":
            with contextlib.suppress(Rejected):
                grant = self.venue.tokens.grant(token.strip(), now_us() // 1_000)
                session.account, session.signer = grant.account, grant.signer
                session.scopes = grant.scopes
        return session

    def _reply(self, body: bytes, status: int = 200) -> web.Response:
        return web.Response(body=body, status=status, content_type=JSON)

    # WebSocket

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """One client's connection, until either side ends it."""
        address = request.remote or ""
        total = self.connections.total()
        if total >= CONNECTIONS_MAX or self.connections[address] >= CONNECTIONS_PER_ADDRESS_MAX:
            body = rpc.refused(Session(self.venue), Rejected(TooManyConnections), now_us())
            return self._reply(body, TooManyConnections.http_status)
        self.connections[address] += 1
        socket = web.WebSocketResponse(max_msg_size=MESSAGE_BYTES_MAX, autoping=True)
        try:
            await socket.prepare(request)
            await Connection(self.venue, socket).serve()
        finally:
            self.connections[address] -= 1
            if not self.connections[address]:
                del self.connections[address]
        return socket


class Connection:
    """A WebSocket with its session and outbox."""

    def __init__(self, venue: VenueApi, socket: web.WebSocketResponse) -> None:
        self.socket = socket
        self.outbox: asyncio.Queue[bytes] = asyncio.Queue(OUTBOX_MAX)
        self.session = Session(venue, self.push)
        self.slow = False

    def push(self, message: bytes) -> None:
        """Queue a message; a client whose queue is full is cut off."""
        try:
            self.outbox.put_nowait(message)
        except asyncio.QueueFull:
            self.slow = True

    async def serve(self) -> None:
        """Read, answer, write; then clean up."""
        writer = asyncio.create_task(self._write())
        try:
            await self._read()
        finally:
            writer.cancel()
            with contextlib.suppress(asyncio.CancelledError, ConnectionError):
                await writer
            self.session.venue.feeds.leave(self.session)
            await self._leave()

    async def _read(self) -> None:
        while not self.socket.closed:
            message = await self.socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            start = now_us()
            try:
                request: Request = rpc.read(message.data)
            except Rejected as rejected:
                self.push(rpc.refused(self.session, rejected, start))
                continue
            self.push(await rpc.answer(self.session, request, start))

    async def _write(self) -> None:
        while True:
            message = await self.outbox.get()
            await self.socket.send_str(message.decode())
            if self.slow:
                reason = b"slow consumer: read faster or follow less"
                await self.socket.close(code=WSCloseCode.POLICY_VIOLATION, message=reason)
                return

    async def _leave(self) -> None:
        """Cancel what was to be cancelled with the connection."""
        if not self.session.cancel_on_disconnect or not self.session.account:
            return
        call = rpc.Call(self.session, now_us())
        orders = self.session.venue.orders.open_orders(self.session.account)
        await private_methods.cancel_states(call, orders)
