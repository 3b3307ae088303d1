"""From HTTP to a WebSocket: aiohttp reads the request, picows has the connection from then on.

Owns: the hand-over of a connection on the one port that both share. What aiohttp has accepted
(path, headers, key) is told to picows as the plainest of upgrade requests, which it answers; bytes
that came too early follow. aiohttp believes that it lost the connection, and keeps nothing of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import Any, cast

from aiohttp import HttpVersion11, hdrs, web
from aiohttp.http_websocket import WebSocketReader
from picows import WSAutoPingStrategy
from picows.picows import WSProtocol  # type: ignore[attr-defined] # its stub leaves it out

from novate.api.connection import Connection
from novate.api.rpc import MESSAGE_BYTES_MAX

READ_BYTES = 2_048  # of a connection's buffer at first: it grows with the messages
READ_BYTES_MAX = 16_384  # at once
_KEY = re.compile("[0-9A-Za-z+/]{22}==")  # of 16 bytes: decoders let more pass
# What a hostile client does is no event of ours; our own faults are caught before picows sees them.
logging.getLogger("picows").setLevel(logging.CRITICAL)
# an adapter: of a logger, picows would make one more for every connection
_QUIET = logging.LoggerAdapter(logging.getLogger("picows"))


class _Early:
    """Takes what a client sent before it had the answer to its request."""

    def __init__(self) -> None:
        self.data = b""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Keep it."""
        self.data += data
        return False, b""

    def feed_eof(self) -> None:
        """There is no more of it."""


class _Protocol(WSProtocol):  # type: ignore[misc] # of no type, to mypy
    """picows's, within bounds: by itself it reads as much as its buffer holds, and doubles one that
    was full, up to all that the system has of a client who sends without end.
    """

    def get_buffer(self, size_hint: int) -> memoryview:
        """Where the next bytes go. At most a message and one reading are in the buffer."""
        if self.transport.is_close_frame_sent and not self.listener.ended:
            asyncio.get_running_loop().call_soon(self.listener.broke)
        room: memoryview = WSProtocol.get_buffer(self, size_hint)
        return room if len(room) <= READ_BYTES_MAX else room[:READ_BYTES_MAX]


def is_upgrade(request: web.Request) -> bool:
    """Whether a request asks for a WebSocket, and as it should: a body, or an older HTTP, is what
    somebody between may understand otherwise.
    """
    if request.version < HttpVersion11 or request.can_read_body:
        return False
    if _KEY.fullmatch(request.headers.get(hdrs.SEC_WEBSOCKET_KEY, "")) is None:
        return False
    return web.WebSocketResponse(compress=False).can_prepare(request).ok


def hand_over(request: web.Request, listener: Connection) -> None:
    """From here on the connection of a sound upgrade request (``is_upgrade``) is the listener's;
    nothing happens if the client has left.
    """
    transport, handler, early = request.transport, request.protocol, _Early()
    if transport is None or transport.is_closing():
        return
    handler.set_parser(cast(WebSocketReader, early))
    if transport.is_reading():
        transport.pause_reading()  # begun again, it reads into the new protocol's buffer
    handler.transport = None  # which it would close
    handler.connection_lost(None)
    protocol = _Protocol(
        None,
        None,
        False,  # the server's side
        lambda _: listener,
        _QUIET,
        True,  # a fault that gets past the listener ends the connection
        None,
        False,  # pings are the listener's, and so are their answers: within its bounds
        0,
        0,
        WSAutoPingStrategy.PING_WHEN_IDLE,
        False,
        MESSAGE_BYTES_MAX,
        None,
        READ_BYTES,
    )
    transport.set_protocol(protocol)
    protocol.connection_made(transport)
    _feed(protocol, _asked(request.headers[hdrs.SEC_WEBSOCKET_KEY]) + early.data)
    if not transport.is_closing():
        transport.resume_reading()


def _asked(key: str) -> bytes:
    """The request that aiohttp has understood, as picows understands it."""
    return (
        "GET / HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode("ascii", "replace")


def _feed(protocol: Any, data: bytes) -> None:
    """Give bytes to a buffered protocol, as a transport does."""
    while data:
        room = protocol.get_buffer(-1)
        count = min(len(room), len(data))
        room[:count] = data[:count]
        protocol.buffer_updated(count)
        data = data[count:]
