"""One client's WebSocket: requests in, replies and notifications out, until either side ends it.

Owns: the inbox (the transport is not read while it is full), the outbox (bounded in messages and
bytes; a client that lets it fill is cut off with a reason), heartbeats, pings, and what happens
when a connection ends. Requests of one connection are answered in their order. What the network
takes at once is written at once; only what it does not take waits in the outbox.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import Any

from aiohttp import WSCloseCode

from novate.api import private_methods, rpc, websocket
from novate.api.rpc import MESSAGE_BYTES_MAX, now_us
from novate.api.session import OUTBOX_BYTES_MAX, OUTBOX_MAX, Session
from novate.api.venue import VenueApi
from novate.api.websocket import Broken, FrameReader
from novate.errors import Rejected

CLOSE_SECONDS = 5.0
INBOX_MAX = 256
DIRECT_BYTES = 1 << 16  # what may wait in the transport itself
CONGESTED_SECONDS = 0.01
_LOG = logging.getLogger("novate.api")
End = tuple[int, bytes]
SLOW: End = (WSCloseCode.POLICY_VIOLATION, b"SlowConsumer: read faster or follow less")
SILENT: End = (WSCloseCode.POLICY_VIOLATION, b"the heartbeat's test_request was not answered")
CUT_OFF = (SLOW, SILENT)


class Connection:
    """A WebSocket with its session, inbox and outbox; ``feed_data`` and ``feed_eof`` are called by
    the HTTP server, whose connection it was.
    """

    def __init__(
        self,
        venue: VenueApi,
        transport: asyncio.Transport,
        address: str = "",
        ping_seconds: float = 30.0,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.session = Session(venue, self.push, address=address)
        self.heard = self._alive = loop.time()
        self._loop, self._clock = loop, loop.time
        self._transport = transport
        self._ping_seconds = ping_seconds
        self._frames = FrameReader(MESSAGE_BYTES_MAX)
        self._inbox: deque[bytes] = deque()
        self._idle: asyncio.Future[None] | None = None  # what waits for a request
        self._paused = False
        self._outbox: deque[bytes] = deque()
        self._bytes = 0
        self._filled = asyncio.Event()
        # how it ended: with what is to be said to the peer, or None if it heard it or is gone
        self._ended: asyncio.Future[End | None] = loop.create_future()
        self._gone = asyncio.Event()

    # What comes

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take in what the client sent."""
        self._alive = self._clock()
        try:
            for opcode, payload in self._frames.feed(data):
                self._take(opcode, payload)
        except Broken as broken:
            self._end((broken.code, broken.reason))
        return False, b""

    def feed_eof(self) -> None:
        """The connection is lost."""
        self._gone.set()
        self._end(None)

    def _take(self, opcode: int, payload: bytes) -> None:
        if opcode == websocket.CLOSE:
            if not self._ended.done():
                code = int.from_bytes(payload, "big") or WSCloseCode.OK
                self._transport.write(websocket.closing(code))
            self._gone.set()
            self._end(None)
        elif self._ended.done():
            return
        elif opcode == websocket.PING:
            self._transport.write(websocket.head(len(payload), websocket.PONG) + payload)
        elif opcode != websocket.PONG:
            self._inbox.append(payload)
            if self._idle is not None and not self._idle.done():
                self._idle.set_result(None)
            if len(self._inbox) == INBOX_MAX and not self._transport.is_closing():
                self._paused = True
                self._transport.pause_reading()

    def _resume(self) -> None:
        if self._paused and not self._transport.is_closing():
            self._paused = False
            self._transport.resume_reading()

    def _end(self, how: End | None) -> None:
        if not self._ended.done():
            self._ended.set_result(how)

    # What goes

    def push(self, message: bytes) -> None:
        """Send a message, or queue it; a client whose outbox is full is cut off."""
        if self._ended.done():
            return
        if not self._outbox and self._transport.get_write_buffer_size() < DIRECT_BYTES:
            self._transport.write(websocket.head(len(message)) + message)
            return
        if len(self._outbox) >= OUTBOX_MAX or self._bytes >= OUTBOX_BYTES_MAX:
            self._end(SLOW)
            return
        self._outbox.append(message)
        self._bytes += len(message)
        self._filled.set()

    # Life

    async def serve(self) -> None:
        """Read, answer, write, beat; then clean up."""
        parts = self._read(), self._write(), self._beat(), self._ping()
        tasks: list[asyncio.Future[None]] = [asyncio.create_task(part) for part in parts]
        how: End | None = None
        try:
            ends: list[asyncio.Future[Any]] = [self._ended, *tasks]
            await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done() and task.exception() is not None:
                    _LOG.error("a connection failed", exc_info=task.exception())
            how = self._ended.result() if self._ended.done() else None
        finally:
            self._end(None)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self.session.venue.feeds.leave(self.session)
            self._outbox.clear()
            await self._leave()
            if how in CUT_OFF:
                self.session.venue.cut_off[how[1].split(b":")[0].decode()] += 1
            await self._close(how)

    async def _close(self, how: End | None) -> None:
        """Say why, then let go, whether or not the client reads it."""
        if how is not None and not self._gone.is_set():
            self._transport.write(websocket.closing(*how))
            self._resume()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._gone.wait(), CLOSE_SECONDS)
            self._transport.abort()

    async def _read(self) -> None:
        while True:
            if not self._inbox:
                self._idle = self._loop.create_future()
                await self._idle
            message = self._inbox.popleft()
            if self._paused and not self._inbox:
                self._resume()
            start, self.heard = now_us(), self._clock()
            try:
                request = rpc.read(message)
            except Rejected as rejected:
                self.push(rpc.refused(self.session, rejected, start))
                continue
            self.push(await rpc.answer(self.session, request, start))

    async def _write(self) -> None:
        while True:
            await self._filled.wait()
            while self._outbox:
                while self._transport.get_write_buffer_size() >= DIRECT_BYTES:
                    await asyncio.sleep(CONGESTED_SECONDS)
                message = self._outbox.popleft()
                self._bytes -= len(message)
                self._transport.write(websocket.head(len(message)) + message)
            self._filled.clear()

    async def _ping(self) -> None:
        """Ask the silent whether they are there; let go of who is not."""
        while True:
            await asyncio.sleep(self._ping_seconds / 2)
            silent = self._clock() - self._alive
            if silent >= 1.4 * self._ping_seconds:
                self._transport.abort()
                return
            if silent >= 0.9 * self._ping_seconds:
                self._transport.write(websocket.head(0, websocket.PING))

    async def _beat(self) -> None:
        """Heartbeats, where the client has asked for them; who answers none is cut off."""
        clock = self._clock
        asked: float | None = None
        while True:
            seconds = self.session.heartbeat_s
            await asyncio.sleep(seconds or 1)
            if not self.session.heartbeat_s:
                asked = None
                continue
            if asked is not None and self.heard < asked:
                self._end(SILENT)
                return
            silent = clock() - self.heard >= seconds
            asked = clock() if silent else None
            self.push(rpc.heartbeat("test_request" if silent else "heartbeat"))

    async def _leave(self) -> None:
        """Cancel what was to be cancelled with the connection."""
        session = self.session
        if not session.cancels_at_end or not session.account:
            return
        try:
            await private_methods.cancel_for(session, "all", 0)
        except Rejected as rejected:
            _LOG.error("cancel on disconnect: %s", rejected)
