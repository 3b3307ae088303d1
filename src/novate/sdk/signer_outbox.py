"""What the local signer has to say to one bot: one writer, a bounded queue.

Owns: the order of replies and notifications, and the end of a bot that does not read: it is cut off
with a reason instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import deque
from typing import Any

from aiohttp import WSCloseCode, web

MESSAGES_MAX = 4_096
BYTES_MAX = 4 << 20
CLOSE_SECONDS = 2.0
SLOW = b"SlowConsumer: read faster or follow less"


class Outbox:
    """The messages on their way to one socket."""

    def __init__(self, socket: web.WebSocketResponse) -> None:
        self._socket = socket
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._filled, self.cut = asyncio.Event(), asyncio.Event()

    def push(self, message: bytes) -> None:
        """Queue a message; a full queue ends the connection."""
        if len(self._waiting) >= MESSAGES_MAX or self._bytes >= BYTES_MAX:
            self.cut.set()
        if self.cut.is_set():
            return
        self._waiting.append(message)
        self._bytes += len(message)
        self._filled.set()

    def reply(self, message: dict[str, Any]) -> None:
        """Queue an answer."""
        self.push(json.dumps(message).encode())

    async def run(self) -> None:
        """Write until the connection is lost."""
        while True:
            while self._waiting:
                message = self._waiting.popleft()
                self._bytes -= len(message)
                await self._socket.send_str(message.decode())
            self._filled.clear()
            await self._filled.wait()

    async def serve(self, request: web.Request, work: asyncio.Task[None]) -> None:
        """Write while ``work`` reads; ends with either of them, or when the bot is cut off."""
        tasks = [work, asyncio.create_task(self.run()), asyncio.create_task(self._until_cut())]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        if self.cut.is_set():
            with contextlib.suppress(TimeoutError, ConnectionError):
                closing = self._socket.close(code=WSCloseCode.POLICY_VIOLATION, message=SLOW)
                await asyncio.wait_for(closing, CLOSE_SECONDS)
            if request.transport is not None:
                request.transport.abort()

    async def _until_cut(self) -> None:
        await self.cut.wait()
