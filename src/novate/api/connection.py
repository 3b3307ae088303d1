"""One client's WebSocket: requests in, replies and notifications out, until either side ends it.

Owns: the inbox (requests of one connection are carried out one at a time, and answered, in their
order; who sends faster is read no further), the outbox (bounded in messages and bytes; a client
that lets it fill is cut off with a reason), pings, heartbeats, and what happens when a connection
ends. Frames are picows's: here they become messages. There is no task for a connection, nor for a
message: a frame calls, a reply is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from novate.api import rpc
from novate.api.rpc import MESSAGE_BYTES_MAX, now_us
from novate.api.session import (
    OUTBOX_BYTES_LEAST,
    OUTBOX_BYTES_MAX,
    OUTBOX_MAX,
    OUTBOXES_BYTES_MAX,
    Session,
)
from novate.api.venue import VenueApi
from novate.errors import Rejected

CLOSE_SECONDS = 5.0  # how long a client may take to take leave
PING_SECONDS = 30.0  # a connection that does not answer a ping within half of it is closed
INBOX_MAX = 64  # messages, beyond which no more are read
INBOX_BYTES_MAX = MESSAGE_BYTES_MAX
PARTS_MAX = 64  # of a message
FRAMES_PAUSE_SECONDS = 0.05
_LOG = logging.getLogger("novate.api")
End = tuple[WSCloseCode, bytes]
SLOW: End = (WSCloseCode.POLICY_VIOLATION, b"SlowConsumer: read faster or follow less")
STOPS: End = (WSCloseCode.GOING_AWAY, b"VenueStops: connect again soon")
SILENT: End = (WSCloseCode.POLICY_VIOLATION, b"the heartbeat's test_request was not answered")
_TOO_BIG: End = (WSCloseCode.MESSAGE_TOO_BIG, b"")
_NO_TEXT: End = (WSCloseCode.INVALID_TEXT, b"")
_BROKEN: End = (WSCloseCode.PROTOCOL_ERROR, b"")
_FAULT: End = (WSCloseCode.INTERNAL_ERROR, b"")
_TEXT, _BINARY, _MORE = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _PONG = WSMsgType.PING, WSMsgType.PONG


class Connection(WSListener):
    """A WebSocket with its session, inbox and outbox; ``gone`` is called once it is no more."""

    def __init__(self, venue: VenueApi, address: str, gone: Callable[[Connection], None]) -> None:
        self.session = Session(venue, self.push, address=address)
        self.transport: WSTransport | None = None
        self._gone = gone
        self._loop = asyncio.get_running_loop()
        self._heard = self._spoke = self._loop.time()  # the last frame; the last request
        self._pinged = self._tested = -1.0  # when a ping, a test_request that is open went out
        self._pong: bytes | None = None  # the last ping that could not be answered yet
        self._parts: list[bytes] = []  # of a message that is not whole yet
        self._is_text = False
        self._inbox: deque[bytes] = deque()
        self._inbox_bytes = 0
        self._under_way: rpc.Cancellable | None = None
        self._frames, self._framed = float(venue.limits.frames[0]), self._heard
        self._tired = False  # more frames have come than may: the next are read later
        self._busy = self._deaf = self.ended = self._cut = self._full = False
        self._outbox: deque[bytes] = deque()
        self._outbox_bytes = 0
        self._beats_s = 0
        self._look_at: asyncio.TimerHandle | None = None
        self._beat_at: asyncio.TimerHandle | None = None

    # What picows calls

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is over."""
        self.transport = transport
        self._look_at = self._loop.call_later(PING_SECONDS, self._look)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """One frame, whole and unmasked."""
        try:
            self._frame(transport, frame)
        except Exception:
            self.session.venue.faults += 1
            _LOG.exception("a connection failed")
            self._close(_FAULT)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection is lost, or was closed."""
        self._finish()
        if self._look_at is not None:
            self._look_at.cancel()
        self._gone(self)

    def pause_writing(self) -> None:
        """The client reads slower than we write: what follows waits in the outbox."""
        self._full = True

    def resume_writing(self) -> None:
        """It has caught up."""
        self._full = False
        transport, outbox = self.transport, self._outbox
        assert transport is not None
        if self._pong is not None and not self.ended:
            transport.send_pong(self._pong)
            self._pong = None
        while outbox and not self._full:
            message = outbox.popleft()
            self._held(-len(message))
            transport.send(_TEXT, message)

    # In

    def _frame(self, transport: WSTransport, frame: WSFrame) -> None:
        kind = frame.msg_type
        self._heard = now = self._loop.time()
        most, rate = self.session.venue.limits.frames
        self._frames = min(self._frames + (now - self._framed) * rate, most) - 1
        self._framed = now
        if self._frames < 0 and not self._tired:
            self._pause()
        if kind is WSMsgType.CLOSE:
            self._left(transport, frame)
        elif self.ended or self._cut:
            return
        elif frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._close(_BROKEN)
        elif kind is _PING:
            payload = frame.get_payload_as_bytes()
            if self._full:
                self._pong = payload
            else:
                transport.send_pong(payload)
        elif kind is not _PONG:
            self._data(kind, frame.get_payload_as_bytes(), bool(frame.fin))

    def _pause(self) -> None:
        """More frames have come than one client may have us look at: the next ones wait."""
        self._tired = True
        self._read()
        late = -self._frames / self.session.venue.limits.frames[1]
        self._loop.call_later(late + FRAMES_PAUSE_SECONDS, self._rested)

    def _rested(self) -> None:
        self._tired = False
        self._read()

    def _data(self, kind: WSMsgType, payload: bytes, is_last: bool) -> None:
        """A message, or a part of one."""
        if (kind is _MORE) != bool(self._parts):
            self._close(_BROKEN)
        elif is_last and kind is not _MORE:
            self._message(payload, kind is _TEXT)
        else:
            if kind is not _MORE:
                self._is_text = kind is _TEXT
            self._parts.append(payload)
            if len(self._parts) > PARTS_MAX or sum(map(len, self._parts)) > MESSAGE_BYTES_MAX:
                self._close(_TOO_BIG)
            elif is_last:
                whole, self._parts = b"".join(self._parts), []
                self._message(whole, self._is_text)

    def _message(self, raw: bytes, is_text: bool) -> None:
        """A whole message: served at once, or behind those before it."""
        if is_text and not raw.isascii():
            try:
                raw.decode()
            except UnicodeDecodeError:
                self._close(_NO_TEXT)
                return
        self._spoke = self._heard
        if not (self._busy or self._inbox):
            self._serve(raw)
            return
        self._inbox.append(raw)
        self._inbox_bytes += len(raw)
        if not self._deaf and self._is_beyond(INBOX_MAX, INBOX_BYTES_MAX):
            self._listen(False)

    def _is_beyond(self, messages: int, size: int) -> bool:
        """Whether the inbox holds more than this."""
        return len(self._inbox) > messages or self._inbox_bytes > size

    def _listen(self, goes_on: bool) -> None:
        """Read on, or leave what comes to the system, until it takes no more."""
        self._deaf = not goes_on
        self._read()

    def _read(self) -> None:
        assert self.transport is not None
        raw, goes_on = self.transport.underlying_transport, not (self._deaf or self._tired)
        if raw.is_closing() or raw.is_reading() == goes_on:
            return
        if goes_on:
            raw.resume_reading()
        else:
            raw.pause_reading()

    def _serve(self, raw: bytes) -> None:
        """Carry out one request; its reply may come at once or later."""
        start, self._busy = now_us(), True
        try:
            request = rpc.read(raw)
        except Rejected as rejected:
            self._reply(rpc.refused(self.session, rejected, start))
            return
        self._under_way = rpc.begin(self.session, request, start, self._reply)
        if not self._busy:
            self._under_way = None  # it was answered at once

    def _reply(self, reply: bytes) -> None:
        self._busy, self._under_way = False, None
        self.push(reply)
        if self.session.heartbeat_s != self._beats_s:
            self._beat_anew()
        if self._inbox:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        """The request that has waited longest."""
        if self._busy or not self._inbox:
            return
        raw = self._inbox.popleft()
        self._inbox_bytes -= len(raw)
        # halves: constants, rounded down
        if self._deaf and not self._is_beyond(INBOX_MAX // 2, INBOX_BYTES_MAX // 2):
            self._listen(True)
        self._serve(raw)

    # Out

    def push(self, message: bytes) -> None:
        """Send a message, or queue it; a client whose outbox is full is cut off."""
        if self.ended or self._cut:
            return
        if not self._full:
            assert self.transport is not None
            self.transport.send(_TEXT, message)
        elif len(self._outbox) >= OUTBOX_MAX or self._outbox_bytes >= self._most():
            # soon: who pushes goes through the followers, of whom this is one
            self._cut = True
            self._loop.call_soon(self.end, SLOW)
        else:
            self._outbox.append(message)
            self._held(len(message))

    def _held(self, change: int) -> None:
        """So many bytes more wait for this client."""
        self._outbox_bytes += change
        self.session.venue.outbox_bytes += change

    def _most(self) -> int:
        """How many may: a crowd that does not read has less each."""
        many = self.session.venue.outbox_bytes >= OUTBOXES_BYTES_MAX
        return OUTBOX_BYTES_LEAST if many else OUTBOX_BYTES_MAX

    # Life and end

    def _look(self) -> None:
        """Ping who has been silent; let go of who has not answered."""
        assert self.transport is not None
        now, wait = self._loop.time(), PING_SECONDS
        if self._deaf or self._tired:
            self._heard = now  # it is we who do not listen
        if self.transport.is_close_frame_sent or self._pinged > self._heard:
            self.transport.disconnect(graceful=False)
            return
        if now - self._heard >= PING_SECONDS:
            self.transport.send_ping()
            self._pinged, wait = now, PING_SECONDS / 2
        else:
            wait -= now - self._heard
        self._look_at = self._loop.call_later(wait, self._look)

    def _beat_anew(self) -> None:
        """The client has asked for heartbeats, or for no more."""
        self._beats_s, self._tested = self.session.heartbeat_s, -1.0
        if self._beat_at is not None:
            self._beat_at.cancel()
        self._beat_at = self._loop.call_later(self._beats_s, self._beat) if self._beats_s else None

    def _beat(self) -> None:
        """A heartbeat; the end if the one before wanted an answer and had none."""
        if self._tested > self._spoke:
            self.end(SILENT)
            return
        now = self._loop.time()
        is_silent = now - self._spoke >= self._beats_s
        self._tested = now if is_silent else -1.0
        self._beat_at = self._loop.call_later(self._beats_s, self._beat)
        self.push(rpc.heartbeat("test_request" if is_silent else "heartbeat"))

    def end(self, why: End) -> None:
        """Let go of the client, for this reason."""
        if not self.ended:
            self.session.venue.cut_off[why[1].split(b":")[0].decode()] += 1
            self._close(why)

    def _close(self, why: End) -> None:
        """Say why, then let go, whether or not the client reads it."""
        self._finish()
        transport = self.transport
        if transport is not None and not transport.is_close_frame_sent:
            transport.send_close(*why)
            self._listen(True)  # its answer is wanted
            self._loop.call_later(CLOSE_SECONDS, transport.disconnect, False)

    def broke(self) -> None:
        """picows has refused a frame, and said so: nothing more is read."""
        transport = self.transport
        if transport is not None and not self.ended:
            self._finish()
            self._listen(False)
            self._loop.call_later(CLOSE_SECONDS, transport.disconnect, False)

    def _left(self, transport: WSTransport, frame: WSFrame) -> None:
        """The client takes leave, or answers ours."""
        self._finish()
        if not transport.is_close_frame_sent:
            transport.send_close(WSCloseCode.OK)
            self._loop.call_later(CLOSE_SECONDS, transport.disconnect, False)
        transport.disconnect()

    def _finish(self) -> None:
        """Nothing more is done for the client; what was to be cancelled with it is."""
        if self.ended:
            return
        self.ended = True
        if self._beat_at is not None:
            self._beat_at.cancel()
        if self._under_way is not None:
            self._under_way.cancel()  # an order whose signer is not known yet does not enter
        self._held(-self._outbox_bytes)
        for queue in (self._inbox, self._outbox, self._parts):
            queue.clear()
        session = self.session
        session.venue.feeds.leave(session)
        session.venue.keeper.left(session)
