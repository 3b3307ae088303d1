"""One client's WebSocket: requests in, replies and notifications out, until either side ends it.

Owns: the outbox (bounded in messages and bytes; a client that lets it fill is cut off with a
reason), heartbeats, and what happens when a connection ends. Requests of one connection are
answered in their order.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque

from aiohttp import WSCloseCode, WSMsgType, web

from novate.api import rpc
from novate.api.rpc import now_us
from novate.api.session import OUTBOX_BYTES_MAX, OUTBOX_MAX, Session
from novate.api.venue import VenueApi
from novate.errors import Rejected

CLOSE_SECONDS = 5.0
_LOG = logging.getLogger("novate.api")
End = tuple[WSCloseCode, bytes]
SLOW: End = (WSCloseCode.POLICY_VIOLATION, b"SlowConsumer: read faster or follow less")
STOPS: End = (WSCloseCode.GOING_AWAY, b"VenueStops: connect again soon")
SILENT: End = (WSCloseCode.POLICY_VIOLATION, b"the heartbeat's test_request was not answered")


class Connection:
    """A WebSocket with its session and outbox."""

    def __init__(self, venue: VenueApi, socket: web.WebSocketResponse, address: str = "") -> None:
        self.socket = socket
        self.session = Session(venue, self.push, address=address)
        self.heard = asyncio.get_running_loop().time()
        self._outbox: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        self._cut = asyncio.Event()
        self._why = SLOW

    def end(self, why: End) -> None:
        """Let go of the client, for this reason."""
        self._why = why
        self._cut.set()

    def push(self, message: bytes) -> None:
        """Queue a message; a client whose outbox is full is cut off."""
        if self._cut.is_set():
            return
        full = len(self._outbox) >= OUTBOX_MAX or self._bytes >= OUTBOX_BYTES_MAX
        if full:
            self._cut.set()
            return
        self._outbox.append(message)
        self._bytes += len(message)
        self._filled.set()

    async def serve(self, request: web.Request) -> None:
        """Read, answer, write, beat; then clean up."""
        parts = (self._read(), self._write(), self._beat(), self._until_cut())
        tasks: list[asyncio.Task[End | None]] = [asyncio.create_task(part) for part in parts]
        reason: End | None = None
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            reason = next((r for task in done if (r := _ended(task)) is not None), None)
        finally:
            self._cut.set()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.session.venue.feeds.leave(self.session)
            self._outbox.clear()
            self.session.venue.keeper.left(self.session)
            if reason is not None:
                self.session.venue.cut_off[reason[1].split(b":")[0].decode()] += 1
                await self._close(request, reason)

    async def _close(self, request: web.Request, reason: End) -> None:
        """Say why, then let go, whether or not the client reads it."""
        with contextlib.suppress(TimeoutError, ConnectionError):
            closing = self.socket.close(code=reason[0], message=reason[1])
            await asyncio.wait_for(closing, CLOSE_SECONDS)
        if request.transport is not None:
            request.transport.abort()

    async def _read(self) -> None:
        while not self.socket.closed:
            message = await self.socket.receive()
            if message.type not in (WSMsgType.TEXT, WSMsgType.BINARY):
                return
            start = now_us()
            self.heard = asyncio.get_running_loop().time()
            try:
                request = rpc.read(message.data)
            except Rejected as rejected:
                self.push(rpc.refused(self.session, rejected, start))
                continue
            self.push(await rpc.answer(self.session, request, start))

    async def _write(self) -> None:
        while True:
            while self._outbox:
                message = self._outbox.popleft()
                self._bytes -= len(message)
                await self.socket.send_str(message.decode())
            self._filled.clear()
            await self._filled.wait()

    async def _until_cut(self) -> End:
        await self._cut.wait()
        return self._why

    async def _beat(self) -> End:
        """Heartbeats, where the client has asked for them; ends if it answers none."""
        clock = asyncio.get_running_loop().time
        asked: float | None = None
        while True:
            seconds = self.session.heartbeat_s
            await asyncio.sleep(seconds or 1)
            if not self.session.heartbeat_s:
                asked = None
                continue
            if asked is not None and self.heard < asked:
                return SILENT
            silent = clock() - self.heard >= seconds
            asked = clock() if silent else None
            self.push(rpc.heartbeat("test_request" if silent else "heartbeat"))


def _ended(task: asyncio.Task[End | None]) -> End | None:
    """Why a part of the connection ended; a fault of the network is no more than an end."""
    fault = task.exception()
    if fault is None:
        return task.result()
    if not isinstance(fault, ConnectionError):
        _LOG.error("a connection failed", exc_info=fault)
    return None
