"""The WebSocket: requests and their answers, notifications, and coming back after a loss.

Owns: one connection. A request that was sent and lost its connection ends in ``OutcomeUnknown``;
one that was not sent in ``ConnectionLost``. ``on_connect`` runs after every (re)connection and
before anything else is sent: it logs in and follows channels anew.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import msgspec

from novate.sdk.faults import ApiError, ConnectionLost, OutcomeUnknown, fault_of

ANSWER_SECONDS = 10.0
RETRY_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
MESSAGE_BYTES_MAX = 2**24
NOT_WRITTEN = "Cannot write to closing transport"  # aiohttp, before the first byte
Push = Callable[[str, Any], None]


class Transport:
    """A JSON-RPC connection that comes back by itself."""

    def __init__(self, url: str, push: Push, on_connect: Callable[[], Awaitable[None]]) -> None:
        self._url = url
        self._push = push
        self._on_connect = on_connect
        self._http: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._last = 0
        self._reader: asyncio.Task[None] | None = None
        self._again: asyncio.Task[None] | None = None
        self._ready = asyncio.Event()
        self._closed = False
        self._listeners: list[Callable[[bytes], Any]] = []
        self.reconnects = 0

    async def open(self) -> None:
        """Connect and log in. Errors: ``ConnectionLost``, those of ``on_connect``."""
        self._http = aiohttp.ClientSession()
        try:
            await self._connect()
        except BaseException:  # a login that is refused leaves no connection behind
            await self.close()
            raise

    async def close(self) -> None:
        """End the connection; what still waits ends in ``OutcomeUnknown``."""
        self._closed = True
        for task in (self._again, self._reader):
            if task is not None:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()
        if self._http is not None:
            await self._http.close()
        self._lose()

    async def call(self, method: str, params: dict[str, Any], order_id: str = "") -> Any:
        """One request. Errors: ``ApiError``, ``OutcomeUnknown``, ``ConnectionLost``."""
        if not self._ready.is_set():
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._ready.wait(), ANSWER_SECONDS)
            if not self._ready.is_set():
                raise ConnectionLost(self._url)
        return await self._send(method, params, order_id)

    def listen_all(self, listener: Callable[[bytes], Any]) -> None:
        """Hand every notification on as it came."""
        self._listeners.append(listener)

    async def _send(self, method: str, params: dict[str, Any], order_id: str = "") -> Any:
        assert self._socket is not None
        self._last += 1
        number = self._last
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._waiting[number] = future
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        if self._socket.closed:
            self._waiting.pop(number, None)
            raise ConnectionLost(self._url)
        try:
            await self._socket.send_str(msgspec.json.encode(body).decode())
        except (ConnectionError, aiohttp.ClientError) as error:
            self._waiting.pop(number, None)
            if NOT_WRITTEN in str(error):
                raise ConnectionLost(self._url) from error
            raise OutcomeUnknown(order_id) from error  # some of it, or all, may have gone out
        try:
            reply = await asyncio.wait_for(future, ANSWER_SECONDS)
        except TimeoutError:
            raise OutcomeUnknown(order_id) from None
        finally:
            self._waiting.pop(number, None)
        if reply is None:
            raise OutcomeUnknown(order_id)
        if "error" in reply:
            raise fault_of(reply["error"], order_id)
        return reply["result"]

    async def direct(self, method: str, params: dict[str, Any]) -> Any:
        """A request of ``on_connect``, before others may be sent."""
        return await self._send(method, params)

    async def _connect(self) -> None:
        assert self._http is not None
        try:
            self._socket = await self._http.ws_connect(
                self._url, max_msg_size=MESSAGE_BYTES_MAX, heartbeat=30.0
            )
        except (aiohttp.ClientError, OSError) as error:
            raise ConnectionLost(f"{self._url}: {error}") from error
        socket = self._socket
        reader = self._reader = asyncio.create_task(self._read(socket))
        try:
            await self._on_connect()
            if reader.done():
                raise ConnectionLost(self._url)
        except BaseException:
            reader.cancel()
            await asyncio.gather(reader, return_exceptions=True)
            await socket.close()
            raise
        self._ready.set()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        """Take in what comes until the connection ends; who connects deals with its end before it
        was ready.
        """
        with contextlib.suppress(ConnectionError, aiohttp.ClientError, msgspec.DecodeError):
            await self._take_in(socket)
        ready = self._ready.is_set()
        self._ready.clear()
        self._lose()
        if ready and not self._closed:
            # a task of its own: this one is what it replaces
            self._again = asyncio.create_task(self._reconnect())
        await socket.close()

    async def _take_in(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for message in socket:
            if message.type is not aiohttp.WSMsgType.TEXT:
                break
            reply = msgspec.json.decode(message.data)
            if reply.get("method") == "subscription":
                for listener in self._listeners:
                    listener(message.data.encode())
                self._push(reply["params"]["channel"], reply["params"]["data"])
            elif reply.get("method") == "heartbeat":
                if reply["params"]["type"] == "test_request":
                    body = {"jsonrpc": "2.0", "id": 0, "method": "public/test", "params": {}}
                    await socket.send_str(msgspec.json.encode(body).decode())
            elif (future := self._waiting.get(reply.get("id"))) and not future.done():
                future.set_result(reply)

    async def _reconnect(self) -> None:
        attempt = 0
        while not self._closed:
            delay = RETRY_SECONDS[min(attempt, len(RETRY_SECONDS) - 1)]
            await asyncio.sleep(delay * (1 + random.random()))
            try:
                await self._connect()
            except (ConnectionLost, OutcomeUnknown, ApiError):
                # a venue that has just begun may still refuse: ask again, each time later
                attempt += 1
                continue
            self.reconnects += 1
            return

    def _lose(self) -> None:
        """Every request under way has lost its answer."""
        for future in self._waiting.values():
            if not future.done():
                future.set_result(None)


def now_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000  # division: to milliseconds
