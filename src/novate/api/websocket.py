"""WebSocket (RFC 6455) on a connection that began as HTTP: the handshake, and frames both ways.

Owns: what of the protocol a server without extensions needs, as plain functions of bytes. Whole
messages come out of ``FrameReader``, however they were cut; whatever the standard forbids ends the
connection with its code. Bounded: a message by its bytes, fragments together.
"""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from hashlib import sha1

from aiohttp import WSCloseCode, web

_ACCEPT = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455, 1.3
CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
CONTROL_BYTES_MAX = 125
_FINAL, _RESERVED, _MASKED = 0x80, 0x70, 0x80
# what a peer may name as the reason of its end
_CODES = frozenset((*range(1000, 1004), *range(1007, 1012), *range(3000, 5000)))

Message = tuple[int, bytes]  # TEXT, BINARY, CLOSE, PING or PONG, and its bytes


class Broken(Exception):
    """The peer broke the protocol: the connection ends with this code and reason."""

    def __init__(self, code: WSCloseCode, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason.encode()


def handshake(request: web.Request) -> web.StreamResponse:
    """The answer that turns a request into a WebSocket. Errors: ``HTTPBadRequest``."""
    headers = request.headers
    named = headers.get("Upgrade", "").strip().lower() == "websocket"
    words = {word.strip().lower() for word in headers.get("Connection", "").split(",")}
    key = headers.get("Sec-WebSocket-Key", "")
    if not named or "upgrade" not in words or headers.get("Sec-WebSocket-Version") != "13":
        raise web.HTTPBadRequest(text="this is a WebSocket of version 13: Upgrade: websocket")
    try:
        sound = len(b64decode(key, validate=True)) == 16
    except (binascii.Error, ValueError):
        sound = False
    if not sound:
        raise web.HTTPBadRequest(text="Sec-WebSocket-Key: must be 16 bytes in base64")
    accept = b64encode(sha1(key.encode() + _ACCEPT, usedforsecurity=False).digest()).decode()
    answer = web.StreamResponse(
        status=101,
        headers={"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": accept},
    )
    answer.force_close()  # what ends as a WebSocket does not go on as HTTP
    return answer


def head(size: int, opcode: int = TEXT) -> bytes:
    """What stands before the bytes of an unfragmented message to a client."""
    first = _FINAL | opcode
    if size < 126:
        return bytes((first, size))
    if size < 1 << 16:
        return bytes((first, 126)) + size.to_bytes(2, "big")
    return bytes((first, 127)) + size.to_bytes(8, "big")


def closing(code: int, reason: bytes = b"") -> bytes:
    """The frame that ends a connection."""
    said = code.to_bytes(2, "big") + reason[: CONTROL_BYTES_MAX - 2]
    return head(len(said), CLOSE) + said


def unmasked(mask: bytes, data: bytes) -> bytes:
    """A client's bytes behind their mask."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]  # division: whole masks, and one more
    both = int.from_bytes(data, "big") ^ int.from_bytes(key, "big")
    return both.to_bytes(size, "big")


class FrameReader:
    """Makes messages of what a client sends; ``bytes_max`` bounds each."""

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._rest = b""  # of a frame that has not wholly come
        self._begun = bytearray()  # fragments of a message
        self._opcode = CONTINUATION

    def feed(self, data: bytes) -> list[Message]:
        """The messages that end in these bytes. Errors: ``Broken``."""
        data, at, found = self._rest + data if self._rest else data, 0, []
        while len(data) - at >= 2:
            first, second, start = data[at], data[at + 1], at + 2
            size = second & 127
            if first & _RESERVED or not second & _MASKED:
                raise Broken(WSCloseCode.PROTOCOL_ERROR, "reserved bits, or no mask")
            if size > CONTROL_BYTES_MAX:
                start += 2 if size == 126 else 8
                if len(data) < start:
                    break
                size = int.from_bytes(data[at + 2 : start], "big")
            self._require_sound(first, size)
            stop = start + 4 + size
            if len(data) < stop:
                break
            payload = unmasked(data[start : start + 4], data[start + 4 : stop])
            message = self._message(first, payload)
            if message is not None:
                found.append(message)
            at = stop
        self._rest = data[at:]
        return found

    def _require_sound(self, first: int, size: int) -> None:
        """What can be told from a frame's head, before its bytes have come."""
        opcode = first & 15
        if opcode >= CLOSE:
            if opcode > PONG or size > CONTROL_BYTES_MAX or not first & _FINAL:
                raise Broken(WSCloseCode.PROTOCOL_ERROR, "a control frame that is none")
            return
        if opcode > BINARY or (opcode == CONTINUATION) != (self._opcode != CONTINUATION):
            raise Broken(WSCloseCode.PROTOCOL_ERROR, "a frame out of its turn")
        if size + len(self._begun) > self._bytes_max:
            raise Broken(WSCloseCode.MESSAGE_TOO_BIG, f"at most {self._bytes_max} bytes")

    def _message(self, first: int, payload: bytes) -> Message | None:
        """The message that ends with this frame, if one does."""
        opcode = first & 15
        if opcode == CLOSE:
            return CLOSE, _sound_close(payload)
        if opcode > CLOSE:
            return opcode, payload
        if not first & _FINAL:
            self._opcode = opcode or self._opcode
            self._begun += payload
            return None
        if opcode == CONTINUATION:
            opcode, payload = self._opcode, bytes(self._begun + payload)
            self._opcode, self._begun = CONTINUATION, bytearray()
        if opcode == TEXT and not payload.isascii():
            _require_text(payload)
        return opcode, payload


def _require_text(payload: bytes) -> None:
    try:
        payload.decode()
    except UnicodeDecodeError:
        raise Broken(WSCloseCode.INVALID_TEXT, "text that is no UTF-8") from None


def _sound_close(payload: bytes) -> bytes:
    """A peer's code, or none."""
    if not payload:
        return b""
    if len(payload) < 2 or int.from_bytes(payload[:2], "big") not in _CODES:
        raise Broken(WSCloseCode.PROTOCOL_ERROR, "no reason to close")
    _require_text(payload[2:])
    return payload[:2]
