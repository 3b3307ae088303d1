"""The WebSocket's own rules over raw sockets: frames, parts, order, leave; on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
from picows.picows import WSProtocol  # type: ignore[attr-defined]
from support.venue_api import Trader, Venue, served, venue_of

from novate.api import connection, event_loop
from novate.api.handover import READ_BYTES_MAX
from novate.api.server import Server
from novate.wire.recover_many import Claim

ALICE = Trader("socket alice")
venue = venue_of(ALICE)
UPGRADE = (
    "GET /ws/api/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: WebSocket\r\n"
    "Connection: keep-alive, Upgrade\r\n"
    "Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
KEY, ACCEPTED = "dGhlIHNhbXBsZSBub25jZQ==", b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455, 1.3
TEXT, PING, PONG, CLOSE, MORE = 1, 9, 10, 8, 0
Run = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """The standard library's event loop, and the one that a venue runs on."""
    return asyncio.run if request.param == "asyncio" else event_loop.run


@pytest.fixture
def servers(monkeypatch: pytest.MonkeyPatch) -> list[Server]:
    """The servers that a test starts."""
    made: list[Server] = []
    start = Server.start

    async def kept(self: Server, **where: Any) -> int:
        made.append(self)
        return await start(self, **where)

    monkeypatch.setattr(Server, "start", kept)
    return made


class Raw:
    """A WebSocket made of bytes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    def send(self, payload: bytes, opcode: int = TEXT, final: bool = True) -> None:
        """One frame, masked."""
        mask, size = b"\x01\x02\x03\x04", len(payload)
        head = bytes([opcode | 0x80 * final])
        head += bytes([0x80 | size]) if size < 126 else b"\xfe" + struct.pack(">H", size)
        masked = bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
        self.writer.write(head + mask + masked)

    def ask(self, number: int, method: str, **params: Any) -> None:
        """A request, without waiting for its answer."""
        body = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
        self.send(json.dumps(body).encode())

    async def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload."""
        head = await asyncio.wait_for(self.reader.readexactly(2), 10)
        assert head[0] & 0x80 and not head[1] & 0x80
        size = head[1]
        if size == 126:
            size = struct.unpack(">H", await self.reader.readexactly(2))[0]
        elif size == 127:
            size = struct.unpack(">Q", await self.reader.readexactly(8))[0]
        return head[0] & 15, await self.reader.readexactly(size)

    async def answer(self) -> dict[str, Any]:
        """The next message."""
        opcode, payload = await self.frame()
        assert opcode == TEXT, payload
        found: dict[str, Any] = json.loads(payload)
        return found

    async def closed(self) -> int:
        """The code of the close frame that comes next, and the end behind it."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE, payload
        self.send(payload[:2], CLOSE)
        assert await asyncio.wait_for(self.reader.read(), 10) == b""
        return int.from_bytes(payload[:2], "big")


@asynccontextmanager
async def plain(url: str) -> AsyncIterator[Raw]:
    """A connection that has asked for nothing yet."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield Raw(reader, writer)
    finally:
        writer.close()


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Raw]:
    """One that has become a WebSocket."""
    async with plain(url) as socket:
        socket.writer.write(UPGRADE.format(key=KEY).encode())
        head = await socket.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101 ") and ACCEPTED in head
        yield socket


async def until(holds: Callable[[], bool]) -> None:
    """Wait for what must come soon."""
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0.01)


def test_a_connection_that_has_asked_over_http_may_become_a_websocket(
    venue: Venue, run: Run
) -> None:
    async def main() -> None:
        async with served(venue) as (_, url), plain(url) as socket:
            for _ in range(2):
                socket.writer.write(b"GET /api/v1/public/test HTTP/1.1\r\nHost: x\r\n\r\n")
                head = await socket.reader.readuntil(b"\r\n\r\n")
                assert b" 200 " in head
                size = int(head.lower().partition(b"content-length: ")[2].split(b"\r")[0])
                await socket.reader.readexactly(size)
            socket.writer.write(UPGRADE.format(key=KEY).encode())
            socket.ask(7, "public/test")  # too early, and yet not lost
            socket.ask(8, "public/test")
            assert ACCEPTED in await socket.reader.readuntil(b"\r\n\r\n")
            assert [(await socket.answer())["id"] for _ in range(2)] == [7, 8]

    run(main())


@pytest.mark.parametrize(
    "request_",
    [
        UPGRADE.format(key="x"),
        UPGRADE.format(key=KEY[:9] + ":" + KEY[9:]),  # a lenient decoder reads over it
        UPGRADE.format(key=KEY[:9] + "\udcff" + KEY[9:]),
        UPGRADE.format(key=KEY).replace("Upgrade: W", "A: "),
        UPGRADE.format(key=KEY).replace("HTTP/1.1", "HTTP/1.0"),
        UPGRADE.format(key=KEY).replace("Host: x", "Host: x\r\nContent-Length: 5") + "hello",
        UPGRADE.format(key=KEY).replace("Host: x", "Host: x\r\nTransfer-Encoding: chunked"),
    ],
)
def test_what_is_no_sound_upgrade_is_refused_and_counts_nowhere(
    venue: Venue, run: Run, servers: list[Server], request_: str
) -> None:
    async def main() -> None:
        async with served(venue) as (_, url), plain(url) as socket:
            socket.writer.write(request_.encode("utf-8", "surrogateescape"))
            assert b" 400 " in await socket.reader.readuntil(b"\r\n")
            assert not servers[0].clients and not servers[0].connections
            async with opened(url) as sound:
                assert len(servers[0].clients) == servers[0].connections.total() == 1
                sound.send(b"\x03\xe8", CLOSE)
                assert await sound.frame() == (CLOSE, b"\x03\xe8")
                assert await sound.reader.read() == b""
            await until(lambda: not servers[0].clients and not servers[0].connections)

    run(main())


def test_messages_come_whole_or_in_parts_with_pings_between(venue: Venue, run: Run) -> None:
    async def main() -> None:
        async with served(venue) as (_, url), opened(url) as socket:
            body = json.dumps({"jsonrpc": "2.0", "id": "😀", "method": "public/test"}).encode()
            for cuts in ((5, 9), (1, 2), (0, len(body))):
                socket.send(body[: cuts[0]], final=False)
                socket.send(b"still there?", PING)
                socket.send(body[cuts[0] : cuts[1]], MORE, final=False)
                socket.send(body[cuts[1] :], MORE)
                assert await socket.frame() == (PONG, b"still there?")
                assert (await socket.answer())["id"] == "😀"

    run(main())


BROKEN = {
    "a part that continues nothing": ([(b"{}", MORE, True)], 1002),
    "a message within a message": ([(b"{", TEXT, False), (b"{}", TEXT, True)], 1002),
    "text that is no UTF-8": ([(b'{"id":"\xff"}', TEXT, True)], 1007),
    "a character cut short": ([('{"id":"€'.encode()[:-1], TEXT, False), (b'"}', MORE, True)], 1007),
    "parts too long together": ([(b"a" * 40_000, TEXT, False), (b"a" * 40_000, MORE, False)], 1009),
    "too many parts": ([(b"a", TEXT, False), *[(b"", MORE, False)] * 100], 1009),
    "a reserved bit": ([(b"{}", TEXT | 0x40, True)], 1002),
    "an unknown opcode": ([(b"{}", 3, True)], 1002),
}


@pytest.mark.parametrize("name", BROKEN)
def test_what_breaks_the_protocol_is_closed_with_its_code(
    venue: Venue, run: Run, name: str
) -> None:
    frames, code = BROKEN[name]

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            for payload, opcode, final in frames:
                socket.send(payload, opcode, final)
            assert await socket.closed() == code
            assert api.faults == 0

    run(main())


def test_requests_of_a_connection_are_carried_out_in_their_order(venue: Venue, run: Run) -> None:
    """However many are sent at once: each finds what those before it did."""

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            socket.ask(0, "public/auth", **ALICE.login(api.separator))
            assert "result" in await socket.answer()
            for round_ in range(40):
                socket.ask(1, "private/buy", **ALICE.order(api, "0.1", "90000"))
                socket.ask(2, "private/get_open_orders")
                socket.send(b"no request")
                socket.ask(3, "private/cancel_all")
                socket.ask(4, "private/get_open_orders")
                socket.ask(5, "public/test")
                if round_ % 10 == 9:
                    for _ in range(10):
                        placed, there, wrong, gone, none, test = [
                            await socket.answer() for _ in range(6)
                        ]
                        ids = [reply["id"] for reply in (placed, there, wrong, gone, none, test)]
                        assert ids == [1, 2, None, 3, 4, 5]
                        assert len(there["result"]) == 1 and none["result"] == []
                        assert gone["result"] == 1 and wrong["error"]["code"] == -32700

    run(main())


def read_buffer(client: connection.Connection) -> int:
    """Bytes that picows holds for what a client sends."""
    assert client.transport is not None
    return len(WSProtocol.get_buffer(client.transport.underlying_transport.get_protocol(), -1))


def test_who_sends_and_never_reads_takes_little_memory(
    venue: Venue, run: Run, servers: list[Server]
) -> None:
    """Pings want pongs, requests replies: neither may pile up beyond the bounds."""

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            api.limits.frames = (1_000_000, 1_000_000)
            raw: Any = socket.writer.transport
            raw.pause_reading()
            (client,) = servers[0].clients
            assert client.transport is not None
            async with asyncio.timeout(30):
                for _ in range(200):  # 26 MB
                    socket.writer.write(1_000 * (b"\x89\xfd" + bytes(4) + b"x" * 125))
                    await socket.writer.drain()
            underlying = client.transport.underlying_transport
            assert underlying.get_write_buffer_size() < 1 << 20
            assert read_buffer(client) < 1 << 16
            raw.resume_reading()
            assert (await socket.frame())[0] == PONG

    run(main())


@pytest.mark.parametrize("frame", [b"\x89\x80" + bytes(4), b"\x81\x81" + bytes(4) + b"{"])
def test_who_sends_faster_than_he_may_is_read_later_and_holds_nobody_up(
    venue: Venue, run: Run, servers: list[Server], frame: bytes
) -> None:
    """Pings and what is no request cost no credits: they are counted all the same."""

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as fast, opened(url) as other:
            api.limits.frames = (100, 100)
            fast.writer.write(frame * 100_000)
            fast.ask(1, "public/test")
            for number in range(20):
                other.ask(number, "public/test")
                async with asyncio.timeout(1):
                    assert (await other.answer())["id"] == number
            sockets = [c.transport for c in servers[0].clients]
            reading = [s is not None and s.underlying_transport.is_reading() for s in sockets]
            assert sorted(reading) == [False, True]

    run(main())


def test_who_has_been_fast_is_read_on(venue: Venue, run: Run) -> None:
    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            api.limits.frames = (100, 1_000)
            for number in range(400):
                socket.ask(number, "public/test")
            for number in range(400):
                assert (await socket.answer())["id"] == number

    run(main())


def test_a_crowd_that_does_not_read_is_held_to_one_bound(
    venue: Venue, run: Run, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OUTBOXES_BYTES_MAX", 300_000)
    message = b"x" * 20_000

    async def main() -> None:
        async with served(venue) as (api, url), contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                await stack.enter_async_context(opened(url))
            clients = tuple(servers[0].clients)
            for client in clients:
                client.pause_writing()
            for _ in range(20):  # 400 kB each
                for client in clients:
                    client.push(message)
            assert api.outbox_bytes <= 300_000 + 10 * (65_536 + len(message))
            await until(lambda: api.cut_off["SlowConsumer"] == len(clients))
            assert api.outbox_bytes == 0, "nothing waits for who is gone"

    run(main())


class Slow:
    """A desk that answers when it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[Claim, Callable[[str], None]]] = []

    def ask(self, claim: Claim, heard: Callable[[str], None]) -> None:
        self.asked.append((claim, heard))


def test_an_order_whose_sender_has_left_before_its_signer_is_known_does_not_enter(
    venue: Venue, run: Run
) -> None:
    async def main() -> None:
        async with served(venue) as (api, url):
            slow: Any = Slow()
            api.signatures = slow
            async with opened(url) as socket:
                socket.ask(0, "public/auth", **ALICE.login(api.separator))
                assert "result" in await socket.answer()
                socket.ask(1, "private/enable_cancel_on_disconnect")
                assert (await socket.answer())["result"] == "ok"
                for number in range(3):  # one is under way, the others wait behind it
                    socket.ask(number, "private/buy", **ALICE.order(api, "0.1", "90000"))
                await until(lambda: bool(slow.asked))
            before = api.core.carried_out
            await until(lambda: api.core.carried_out > before)  # the cancel
            for _, heard in slow.asked:
                heard(ALICE.address)
            await asyncio.sleep(0.1)
            assert len(slow.asked) == 1 and not api.orders.open_orders(ALICE.account)
            assert not api.placing

    run(main())


def test_who_sends_on_while_a_request_takes_long_is_read_no_further_and_not_taken_for_silent(
    venue: Venue, run: Run, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "PING_SECONDS", 0.2)

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            slow: Any = Slow()
            api.signatures = slow
            socket.ask(0, "public/auth", **ALICE.login(api.separator))
            assert "result" in await socket.answer()
            socket.ask(1, "private/buy", **ALICE.order(api, "0.1", "90000"))
            await until(lambda: bool(slow.asked))
            (client,) = servers[0].clients
            for _ in range(3_000):
                socket.send(b"no request " * 50)
            await asyncio.sleep(1)
            # what was read together with the last that was to be read is there too
            assert len(client._inbox) < connection.INBOX_MAX + READ_BYTES_MAX / 500
            assert client._inbox_bytes < connection.INBOX_BYTES_MAX + READ_BYTES_MAX
            ((_, heard),) = slow.asked
            heard(ALICE.address)
            found = [await socket.frame() for _ in range(200)]
            assert {opcode for opcode, _ in found} <= {TEXT, PING}
            replies = [json.loads(payload) for opcode, payload in found if opcode == TEXT]
            assert replies[0]["result"]["order"]["order_state"] == "open"
            assert {reply["error"]["code"] for reply in replies[1:]} == {-32700}

    run(main())


def test_who_goes_on_after_a_frame_that_is_refused_is_let_go_and_takes_little_memory(
    venue: Venue, run: Run, servers: list[Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "CLOSE_SECONDS", 0.5)

    async def main() -> None:
        async with served(venue) as (api, url), opened(url) as socket:
            (client,) = servers[0].clients
            socket.writer.write(b"\x81\xff" + struct.pack(">Q", 1 << 30) + bytes(4))
            with contextlib.suppress(ConnectionError, TimeoutError):
                async with asyncio.timeout(3):
                    while servers[0].clients:
                        assert read_buffer(client) < 1 << 20
                        socket.writer.write(bytes(100_000))
                        await socket.writer.drain()
            await until(lambda: not servers[0].clients)
            assert api.faults == 0

    run(main())
