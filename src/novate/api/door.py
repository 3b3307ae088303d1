"""The door: how many sockets the venue holds at once, whatever they say or do not say.

Owns: the count before the first byte, so that no crowd of mute connections takes the files that
journal and index need: ``FILES_KEPT`` of what the system allows the process are never given to
clients. Who comes too late is told so by name once he asks, or let go.
"""

from __future__ import annotations

import asyncio
import resource
from collections.abc import Callable
from contextlib import suppress
from typing import cast

from aiohttp import web

CONNECTIONS_MAX = 12_000
CONNECTIONS_PER_ADDRESS_MAX = 11_000
FILES_KEPT = 512
WAITING_MAX = 1_024  # connections that the system has accepted and the venue has not
REFUSING_MAX = 128
REFUSING_SECONDS = 1.0


def room_for(wanted: int) -> int:
    """How many clients the process may hold, at most ``wanted``, after its limit of open files has
    been raised as far as that needs and the system allows.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = wanted + FILES_KEPT
    if soft != resource.RLIM_INFINITY and soft < needed:
        raised = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        with suppress(ValueError, OSError):  # some systems have a limit beside these
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return wanted if soft == resource.RLIM_INFINITY else max(1, min(wanted, soft - FILES_KEPT))


class Refusal(asyncio.Protocol):
    """Answers whatever is asked with one reply and closes; who asks nothing is let go."""

    def __init__(self, refused: set[Refusal], reply: Callable[[], bytes]) -> None:
        self._refused = refused
        self._reply = reply
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for a request, not for long, and with few others."""
        self._transport = cast(asyncio.Transport, transport)
        if len(self._refused) >= REFUSING_MAX:
            self._let_go()
            return
        self._refused.add(self)
        asyncio.get_running_loop().call_later(REFUSING_SECONDS, self._let_go)

    def data_received(self, data: bytes) -> None:
        """Say no."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._reply())
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._refused.discard(self)
        self._transport = None

    def _let_go(self) -> None:
        if self._transport is not None:
            self._transport.abort()


class Door(web.TCPSite):
    """A port where at most ``most`` may be connected at once; ``held`` says how many the server has
    handed over, and counts no more.
    """

    __slots__ = ("_entering", "_held", "_most", "_refused", "_reply")

    def __init__(
        self,
        runner: web.AppRunner,
        host: str,
        port: int,
        most: int,
        held: Callable[[], int],
        reply: Callable[[], bytes],
    ) -> None:
        super().__init__(runner, host, port, backlog=WAITING_MAX)
        self._most = most
        self._held = held
        self._reply = reply
        self._refused: set[Refusal] = set()
        self._entering = 0  # let in, and not yet in the server's count

    async def start(self) -> None:
        """Listen. Raises ``OSError``."""
        await web.BaseSite.start(self)
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            self._handler, self._host, self._port, backlog=self._backlog
        )

    def _handler(self) -> asyncio.Protocol:
        server = self._runner.server
        assert server is not None
        if len(server.connections) + self._held() + self._entering >= self._most:
            return Refusal(self._refused, self._reply)
        self._entering += 1
        # the loop connects who was let in at its next turn, after what is called at that
        loop = asyncio.get_running_loop()
        loop.call_soon(loop.call_soon, self._entered)
        return server()

    def _entered(self) -> None:
        self._entering -= 1
