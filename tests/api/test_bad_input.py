"""What is wrong is refused by its name, over real sockets too; nobody else notices."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import io
import json
import logging
import os
import struct
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest
from support.venue_api import Client, Trader, Venue, connected, served, venue_of

from novate.api import connection, door, public_methods, server
from novate.api.venue import VenueApi
from novate.services.gateway import Gateway

MALLORY, ALICE, KEY = Trader("bad mallory"), Trader("bad alice"), Trader("bad key")
BTC = "BTC-PERPETUAL"
MEGABYTES = 10 << 20
venue = venue_of(MALLORY, ALICE)


@asynccontextmanager
async def raw(url: str) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection without any manners."""
    parts = urlsplit(url)
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def upgraded(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Shake hands as a WebSocket."""
    writer.write(
        b"GET /ws/api/v1 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    assert b"101" in await reader.readuntil(b"\r\n\r\n")


def frame(payload: bytes, opcode: int = 1, final: bool = True, said: int | None = None) -> bytes:
    """A masked frame; ``said`` is the length it claims."""
    size = len(payload) if said is None else said
    head = bytes([opcode | 0x80 * final])
    if size < 126:
        head += bytes([0x80 | size])
    elif size < 1 << 16:
        head += b"\xfe" + struct.pack(">H", size)
    else:
        head += b"\xff" + struct.pack(">Q", size)
    return head + bytes(4) + payload


async def ends(reader: asyncio.StreamReader, seconds: float = 5) -> bytes:
    """All that the other side still says, until it closes."""
    return await asyncio.wait_for(reader.read(), seconds)


def field_of(reply: dict[str, Any]) -> str:
    assert reply["error"]["code"] == -32602, reply
    return str(reply["error"]["data"]["detail"]).split(":")[0]


ORDERS = {
    "amount": ("1e400", "NaN", "-0", "0", "-1", "0.00000001", "1" * 60, "٣", True, [], {}, None),
    "price": ("Infinity", "100000.123", 0, -5, "9" * 40, "1e5", "100_000", "½"),
    "max_fee": ("0", "-1", "9" * 45, "x"),
    "nonce": (-1, 2**64, 2**200, "5", 1.5),
    "expiry": (-1, 2**40, "soon"),
    "revision": (2**16,),
    "executor": ("", "0x", "0x" + "z" * 40, 5),
    "signature": ("", "0x" + "0" * 127, "0x" + "g" * 128, 7),
    "label": ("x" * 65, "a\nb", "a\u0000b", 5, "\u202e"),
    "account": ("0x", "0x" + "٣" * 64, 1),
    "time_in_force": ("for ever", 1),
    "self_trading": ("always",),
    "post_only": ("yes", 1),
}


def test_every_wrong_field_of_an_order_is_named(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await client.result("public/auth", **MALLORY.login(api.separator))
            for name, values in ORDERS.items():
                for value in values:
                    order = MALLORY.order(api, "0.1", "90000") | {name: value}
                    reply = await client.call("private/buy", **order)
                    assert field_of(reply) == name, (name, value, reply)
            assert await client.result("private/get_open_orders") == []

    asyncio.run(run())


def test_a_label_of_emoji_and_a_price_as_a_number_are_taken(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await client.result("public/auth", **MALLORY.login(api.separator))
            order = MALLORY.order(api, "0.1", "90000") | {"label": "😀" * 64, "price": 90000.0}
            placed = await client.result("private/buy", **order)
            assert placed["order"]["label"] == "😀" * 64
            assert await client.result("private/cancel_all") == 1

    asyncio.run(run())


def test_a_clock_an_hour_off_is_told_the_venues(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            for hours in (-1, 1):
                login = MALLORY.login(api.separator)
                login["timestamp"] += hours * 3_600_000
                reply = await client.call("public/auth", **login)
                assert reply["error"]["message"] in ("BadSignature", "ClockSkew")
            reply = await client.call("public/auth", **late_login(api))
            assert reply["error"]["message"] == "ClockSkew"
            assert reply["error"]["data"]["detail"].startswith("timestamp: the venue's clock")

    asyncio.run(run())


def late_login(api: VenueApi) -> dict[str, Any]:
    """Signed as it should be, by a clock that is an hour slow."""
    whole = time.time_ns
    try:
        time.time_ns = lambda: whole() - 3_600 * 10**9
        return MALLORY.login(api.separator)
    finally:
        time.time_ns = whole


def test_a_login_counts_once_and_an_order_however_often_it_is_sent(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            login = MALLORY.login(api.separator)
            await one.result("public/auth", **login)
            again = await two.call("public/auth", **login)
            assert again["error"]["code"] == 13009
            await two.result("public/auth", **MALLORY.login(api.separator))
            order = MALLORY.order(api, "0.1", "90000")
            sent = [client.result("private/buy", **order) for client in (one, two)]
            answers = await asyncio.gather(*sent)
            later = await one.result("private/buy", **order)
            ids = {answer["order"]["order_id"] for answer in (*answers, later)}
            assert len(ids) == 1 and {a["order"]["order_state"] for a in answers} == {"open"}
            assert len(await one.result("private/get_open_orders")) == 1
            assert await one.result("private/cancel_all") == 1

    asyncio.run(run())


CANCELS_LATER: list[tuple[str, dict[str, Any]]] = [
    ("private/schedule_cancel", {"timeout": 5}),
    ("private/schedule_cancel", {"timeout": 0}),
    ("private/enable_cancel_on_disconnect", {}),
    ("private/enable_cancel_on_disconnect", {"scope": "account"}),
    ("private/disable_cancel_on_disconnect", {}),
    ("private/disable_cancel_on_disconnect", {"scope": "account"}),
]


def test_a_session_key_counts_within_its_scope_and_time(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            live = {"key": True, "cancel": False}
            api.gateway = Gateway(
                api.separator,
                may_sign=lambda order, signer: live["key"],
                is_key=lambda account, signer: live["key"] and signer == KEY.address,
                may_cancel=lambda account, signer: live["cancel"],
            )
            KEY.account = MALLORY.account
            await client.result("public/auth", **KEY.login(api.separator))
            assert await client.result("private/get_open_orders") == []
            reply = await client.call("private/buy", **KEY.order(api, "0.1", "90000"))
            assert reply["error"]["message"] == "BadSignature"  # the engine knows no such key
            for method, params in CANCELS_LATER:
                reply = await client.call(method, **params)
                assert reply["error"]["message"] == "SessionKeyScope", method
            for live["cancel"] in (False, True):  # its own orders, then all: it has none
                assert await client.result("private/cancel_all") == 0
            live["key"] = False  # expired: the session ends with it
            for method in ("private/get_positions", "private/cancel_all"):
                assert (await client.call(method))["error"]["message"] == "BadSignature"
            reply = await client.call("public/auth", **KEY.login(api.separator))
            assert reply["error"]["message"] == "BadSignature"

    asyncio.run(run())


def test_a_connection_follows_no_more_than_its_bound(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as client:
            monkeypatch.setattr("novate.api.feeds.CHANNELS_MAX", 3)
            wanted = [f"{kind}.{BTC}.raw" for kind in ("book", "ticker", "trades", "perpetual")]
            reply = await client.call("public/subscribe", channels=wanted)
            assert field_of(reply) == "channels"
            for channel in ("price_index.nobody", "user.orders.any.raw", "book", ".", "x" * 9_000):
                reply = await client.call("public/subscribe", channels=[channel])
                assert reply["error"]["message"] == "UnknownChannel"

    asyncio.run(run())


def test_messages_too_large_are_refused_on_both_ways(venue: Venue) -> None:
    async def run() -> None:
        body = b'{"jsonrpc":"2.0","method":"public/test","params":{"x":"' + b"a" * MEGABYTES
        async with served(venue) as (_, url), aiohttp.ClientSession() as http:
            async with http.ws_connect(f"{url}/ws/api/v1") as socket:
                with contextlib.suppress(ConnectionError):  # it may close while we still write
                    await socket.send_bytes(body)
                closed = await socket.receive(timeout=5)
                assert closed.type is not aiohttp.WSMsgType.TEXT
            async with http.ws_connect(f"{url}/ws/api/v1") as socket:
                await socket.send_bytes(body[:70_000])
                closed = await socket.receive(timeout=5)
                assert closed.data == aiohttp.WSCloseCode.MESSAGE_TOO_BIG
            async with http.post(f"{url}/api/v1", data=io.BytesIO(body)) as reply:
                found = await reply.json()
                assert reply.status == 413 and found["error"]["message"] == "MessageTooLarge"
            bomb = gzip.compress(bytes(MEGABYTES))
            packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
            async with http.post(f"{url}/api/v1", data=bomb, headers=packed) as reply:
                assert reply.status == 413
            async with http.get(f"{url}/api/v1/public/test?" + "x=" + "a" * 9_000) as reply:
                assert reply.status == 400
            await works(url)

    asyncio.run(run())


async def works(url: str) -> None:
    """Somebody else is answered at once."""
    async with connected(url) as client:
        assert "version" in await asyncio.wait_for(client.result("public/test"), 2)


BROKEN_FRAMES = {
    "text that is no UTF-8": frame(b'{"method":"\xff"}'),
    "a frame without a mask": b"\x81\x05hello",
    "reserved bits": bytes([0x71]) + frame(b"{}")[1:],
    "an unknown opcode": frame(b"{}", opcode=5),
    "a length of 2^63": frame(b"{}", said=1 << 63),
    "a fragment that continues nothing": frame(b"{}", opcode=0),
    "a ping of 200 bytes": frame(b"x" * 200, opcode=9),
    "no frame at all": os.urandom(200),
}


def test_broken_frames_end_their_own_connection(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url):
            for name, data in BROKEN_FRAMES.items():
                for cut in range(6):
                    async with raw(url) as (reader, writer):
                        await upgraded(reader, writer)
                        writer.write(data[: len(data) - cut] if cut else data)
                        writer.write_eof()
                        said = await ends(reader)
                        assert b"Traceback" not in said and b"novate" not in said, name
            await works(url)
            assert api.faults == 0

    asyncio.run(run())


def test_hundreds_of_broken_http_requests(venue: Venue) -> None:
    async def run() -> None:
        lines = (
            b"GET / HTTP/1.1\r\n\r\n",
            b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n",
            b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
            b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]",
            b"GET /api/v1/public/%00 HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /api/v1/public/ticker?instrument_name=%ff HTTP/1.1\r\nHost: x\r\n\r\n",
            b"GET /api/v1/private/get_positions HTTP/1.1\r\nHost: x\r\n"
            b"Authorization: Bearer \xf0\x9f\x98\x80\r\n\r\n",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
            b"GET " + b"/" * 9_000 + b" HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 300 + b"\r\n",
        )
        async with served(venue) as (api, url):
            for number in range(300):
                line = lines[number % len(lines)]
                async with raw(url) as (reader, writer):
                    writer.write(line[: len(line) - number % 7])
                    writer.write_eof()
                    said = await ends(reader)
                    assert b"Traceback" not in said and b".py" not in said
            await works(url)
            assert api.faults == 0

    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)
    asyncio.run(run())


def test_whoever_asks_nothing_is_let_go(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "FIRST_REQUEST_SECONDS", 1.0)
    monkeypatch.setattr(server, "BODY_SECONDS", 1.0)
    monkeypatch.setattr(connection, "PING_SECONDS", 1.0)
    halves = (
        b"",
        b"GET /ws/api/v1 HTT",
        b"POST /api/v1 HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nConnection: close\r\n\r\n{",
    )

    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as quiet:
            listening = asyncio.create_task(quiet.socket.receive())
            for half in halves:
                async with raw(url) as (reader, writer):
                    writer.write(half)
                    await ends(reader)
            async with raw(url) as (reader, writer):  # half a frame, and no answer to a ping
                await upgraded(reader, writer)
                writer.write(frame(b'{"method":"public/test"}', said=500))
                await ends(reader)
            assert not listening.done()  # it answers pings, and nothing else is asked of it
            listening.cancel()

    asyncio.run(run())


def test_an_orderly_end_waits_for_no_client_and_says_so(venue: Venue) -> None:
    async def run() -> None:
        async with aiohttp.ClientSession() as http:
            async with served(venue) as (_, url):
                socket = await http.ws_connect(f"{url}/ws/api/v1")
                began = time.monotonic()
                told = asyncio.create_task(socket.receive())
            assert time.monotonic() - began < 3
            message = await told
            assert (message.data, message.extra) == (1001, "VenueStops: connect again soon")

    asyncio.run(run())


def test_thousands_of_idle_connections_hold_nobody_up(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url):
            idle = [raw(url) for _ in range(2_000)]
            held = [await context.__aenter__() for context in idle]
            for reader, writer in held[:1_000]:
                await upgraded(reader, writer)
            began = time.monotonic()
            await works(url)
            assert time.monotonic() - began < 1
            for context in idle:
                await context.__aexit__(None, None, None)

    asyncio.run(run())


@pytest.mark.parametrize(
    ("bound", "detail"), [("most", "at most 1 in all"), ("most_of_one", "at most 1 of an address")]
)
def test_connections_beyond_a_bound_are_refused_by_name(
    venue: Venue, bound: str, detail: str
) -> None:
    async def run() -> None:
        async with served(venue, **{bound: 1}) as (_, url), aiohttp.ClientSession() as http:
            async with connected(url), http.get(f"{url}/ws/api/v1") as reply:
                assert reply.status == 429
                error = (await reply.json())["error"]
                assert (error["message"], error["data"]["detail"]) == ("TooManyConnections", detail)
            await until_works(url)  # once there is room again

    asyncio.run(run())


def test_the_mute_count_too_and_a_crowd_of_them_is_let_go(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sockets that never say a word take no more files than the bound, beside the refused ones."""
    monkeypatch.setattr(door, "REFUSING_MAX", 3)

    async def run() -> None:
        async with AsyncExitStack() as stack:
            _, url = await stack.enter_async_context(served(venue, most=5))
            held = [await stack.enter_async_context(raw(url)) for _ in range(12)]
            # 5 are held, 3 may ask and are told no, 4 are let go at once
            for reader, _ in held[8:]:
                await ends(reader, 0.5)
            _, writer = held[5]
            writer.write(b"GET / HTTP/1.1\r\n\r\n")
            assert b"TooManyConnections" in await ends(held[5][0], 0.5)
            for reader, _ in held[6:8]:
                await ends(reader, 2)
            assert not any(reader.at_eof() for reader, _ in held[:5])

    asyncio.run(run())


async def until_works(url: str) -> None:
    """Somebody who comes later is served."""
    deadline = time.monotonic() + 5
    while True:
        try:
            return await works(url)
        except aiohttp.ClientError:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.05)


def test_a_slow_reader_is_cut_off_with_the_reason(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "OUTBOX_BYTES_MAX", 200_000)

    async def run() -> None:
        async with served(venue) as (api, url), raw(url) as (reader, writer):
            await upgraded(reader, writer)
            transport = writer.transport
            assert isinstance(transport, asyncio.ReadTransport)
            transport.pause_reading()
            follow = {"method": "public/subscribe", "params": {"channels": [f"ticker.{BTC}.raw"]}}
            writer.write(frame(json.dumps({"jsonrpc": "2.0"} | follow).encode()))
            deadline = time.monotonic() + 20
            while not api.cut_off and time.monotonic() < deadline:
                push_to_all(api)
                await asyncio.sleep(0.01)
            assert api.cut_off == {"SlowConsumer": 1}
            transport.resume_reading()
            assert b"SlowConsumer: read faster" in await ends(reader, 10)
            await works(url)

    asyncio.run(run())


def push_to_all(api: VenueApi) -> None:
    """Market data for whoever follows the ticker."""
    item = api.market.named(BTC)
    for _ in range(200):
        api.feeds._send(f"ticker.{BTC}.raw", 0, api.market.ticker(item))


def test_heartbeats_are_sent_and_must_be_answered(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(public_methods, "HEARTBEAT_SECONDS_MIN", 1)

    async def until(client: Client, kind: str) -> None:
        while True:
            message = await client.socket.receive_json(timeout=5)
            if message.get("method") == "heartbeat" and message["params"]["type"] == kind:
                return

    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            assert field_of(await client.call("public/set_heartbeat", interval="x")) == "interval"
            assert await client.result("public/set_heartbeat", interval=1) == "ok"
            for _ in range(2):  # who answers stays
                await until(client, "test_request")
                assert "version" in await client.result("public/test")
            await until(client, "test_request")
            closed = await client.socket.receive(timeout=5)
            while closed.type is aiohttp.WSMsgType.TEXT:
                closed = await client.socket.receive(timeout=5)
            assert closed.data == aiohttp.WSCloseCode.POLICY_VIOLATION
            assert "test_request was not answered" in str(closed.extra)
            assert api.faults == 0

    asyncio.run(run())


def test_json_that_is_no_request_is_answered(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as client:
            for text in ("null", "[]", '{"method":1}', "{" * 3_000, '{"method":"a","id":1.5}'):
                await client.socket.send_str(text)
                reply = json.loads((await client.socket.receive(timeout=5)).data)
                assert reply["error"]["code"] == -32700 and reply["id"] is None

    asyncio.run(run())
