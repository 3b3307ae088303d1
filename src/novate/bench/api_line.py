"""A client's WebSocket that costs next to nothing: it shares the processor with who is measured."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import Callable
from typing import cast

WEBSOCKET = "/ws/api/v1"


def frame(payload: bytes) -> bytes:
    """A client's text frame; a mask of zeros leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, 0x80 | size))
    elif size < 1 << 16:
        head = bytes((0x81, 0x80 | 126)) + size.to_bytes(2, "big")
    else:
        head = bytes((0x81, 0x80 | 127)) + size.to_bytes(8, "big")
    return head + bytes(4) + payload


class Line(asyncio.Protocol):
    """One WebSocket: frames out, whole messages in."""

    def __init__(self, on_message: Callable[[bytes], None]) -> None:
        self.on_message = on_message
        self.open = asyncio.get_running_loop().create_future()
        self.transport: asyncio.Transport
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ask for a WebSocket."""
        self.transport = cast(asyncio.Transport, transport)
        key = b64encode(bytes(16)).decode()
        self.transport.write(
            f"GET {WEBSOCKET} HTTP/1.1\r\nHost: venue\r\nUpgrade: websocket\r\nConnection: Upgrade"
            f"\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        """Cut what came into messages; mostly it is one."""
        data = self._rest + data if self._rest else data
        if not self.open.done():
            answer, found, data = data.partition(b"\r\n\r\n")
            if not found:
                self._rest = answer
                return
            assert b" 101 " in answer.split(b"\r\n")[0], answer
            self.open.set_result(None)
        at, end = 0, len(data)
        while end - at >= 2:
            size, start = data[at + 1] & 127, at + 2
            if size > 125:
                start += 2 if size == 126 else 8
                size = int.from_bytes(data[at + 2 : start], "big")
            stop = start + size
            if stop > end:
                break
            if data[at] & 15 == 1:
                self.on_message(data[start:stop])
            at = stop
        self._rest = data[at:]

    def send(self, data: bytes) -> None:
        """A frame that was made before."""
        self.transport.write(data)
