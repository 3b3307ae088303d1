"""Many WebSockets that follow and ask nothing but answer pings, in a process of their own.

``python crowd.py PORT COUNT`` opens them and says ``{"held": …, "refused": {status: …}}``; for each
line on its input it says how many still live; it ends with its input.
"""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from typing import Any

HANDSHAKE = (
    b"GET /ws/api/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
PING, PONG = b"\x89\x00", b"\x8a\x80\x00\x00\x00\x00"
AT_ONCE = 50


class Idle(asyncio.Protocol):
    """One WebSocket."""

    def __init__(self) -> None:
        self.answered: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.lives = False
        self._head = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: Any) -> None:
        """Ask to be upgraded."""
        self._transport = transport
        transport.write(HANDSHAKE)

    def data_received(self, data: bytes) -> None:
        """The answer to the handshake, then pings."""
        if not self.answered.done():
            self._head += data
            if b"\r\n\r\n" in self._head:
                status = self._head.split(b" ", 2)[1].decode()
                self.lives = status == "101"
                self.answered.set_result(status)
        elif data.startswith(PING):
            self._transport.write(PONG)

    def connection_lost(self, exc: Exception | None) -> None:
        """The venue has let go of it."""
        self.lives = False
        if not self.answered.done():
            self.answered.set_result("closed")


async def _crowd(port: int, count: int) -> None:
    loop = asyncio.get_running_loop()
    held: list[Idle] = []
    statuses: Counter[str] = Counter()
    for start in range(0, count, AT_ONCE):
        part = range(start, min(count, start + AT_ONCE))
        made = [loop.create_connection(Idle, "127.0.0.1", port) for _ in part]
        for found in await asyncio.gather(*made, return_exceptions=True):
            if isinstance(found, BaseException):
                statuses[type(found).__name__] += 1
            else:
                held.append(found[1])
        for one in held[start:]:
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.shield(one.answered), 30)
    statuses.update(one.answered.result() for one in held if one.answered.done())
    print(json.dumps({"held": statuses.pop("101", 0), "refused": statuses}), flush=True)
    while await loop.run_in_executor(None, sys.stdin.readline):
        print(json.dumps({"held": sum(one.lives for one in held)}), flush=True)


class Crowd:
    """The process; a context manager. ``first`` is what it said."""

    def __init__(self, port: int, count: int) -> None:
        command = [sys.executable, __file__, str(port), str(count)]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.first: dict[str, Any] = {}

    def __enter__(self) -> Crowd:
        self.first = self._said()
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait(60)
        self._process.stdout.close()

    def lives(self) -> int:
        """How many are connected now."""
        assert self._process.stdin is not None
        self._process.stdin.write("?\n")
        self._process.stdin.flush()
        return int(self._said()["held"])

    def _said(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return dict(json.loads(self._process.stdout.readline()))


if __name__ == "__main__":
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    asyncio.run(_crowd(int(sys.argv[1]), int(sys.argv[2])))
