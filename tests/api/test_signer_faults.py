"""The local signer when the venue is away, and when a bot does not read."""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import test_utils, web
from support.venue_api import Trader, Venue, served, venue_of

from novate.sdk import signer_outbox
from novate.sdk.client import AsyncClient
from novate.sdk.signer import Signer
from novate.sdk.signer_keys import load
from novate.sdk.signer_outbox import Outbox

BOT = Trader("faulty signer bot")
SECRET = "a-secret-of-the-bot-alone"
LOGIN = {"grant_type": "client_credentials", "client_id": "bot", "client_secret": SECRET}
venue = venue_of(BOT)


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    key = tmp_path / "bot.key"
    key.write_text(bytes(BOT.key.key).hex())
    os.chmod(key, 0o600)
    file = tmp_path / "keys.toml"
    file.write_text(f'[[key]]\nid = "bot"\nsecret = "{SECRET}"\nprivate_key_file = "bot.key"\n')
    return file


@asynccontextmanager
async def signing(url: str, keys: Path) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    """A signer in front of ``url``: where it listens, and a bot's HTTP."""
    signer = Signer(url, load(keys))
    base = f"http://127.0.0.1:{await signer.start()}"
    async with aiohttp.ClientSession() as http:
        try:
            yield base, http
        finally:
            await signer.stop()


def basic(client_id: str, secret: str) -> dict[str, str]:
    text = base64.b64encode(f"{client_id}:{secret}".encode()).decode()
    return {"Authorization": f"Basic {text}"}


def body(method: str, **params: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 7, "method": method, "params": params}


def test_a_venue_that_is_away_is_an_error_by_name(keys: Path) -> None:
    async def run() -> None:
        away = f"http://127.0.0.1:{test_utils.unused_port()}"
        async with signing(away, keys) as (base, http):
            auth = basic("bot", SECRET)
            for method, login in (("public/test", {}), ("private/get_positions", auth)):
                async with http.post(f"{base}/api/v2", json=body(method), headers=login) as reply:
                    said = await reply.json()
                    assert (reply.status, said["id"]) == (502, 7)
                    assert said["error"]["message"] == "unavailable"
            for headers in ({}, basic("bot", "another"), {"Authorization": "Basic %"}):
                asked = body("private/get_positions")
                async with http.post(f"{base}/api/v2", json=asked, headers=headers) as reply:
                    assert (reply.status, (await reply.json())["error"]["code"]) == (401, 13004)
            async with http.get(f"{base}/api/v2/public/test") as reply:
                assert (reply.status, (await reply.json())["error"]["code"]) == (502, -32000)
            async with http.post(f"{base}/api/v2", data=b"{") as reply:
                assert (await reply.json())["error"]["message"] == "Parse error"

    asyncio.run(run())


def test_a_bots_socket_outlives_the_venue(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        port = test_utils.unused_port()
        async with (
            signing(f"http://127.0.0.1:{port}", keys) as (base, http),
            http.ws_connect(f"{base}/ws/api/v2") as bot,
        ):

            async def ask(method: str, **params: Any) -> dict[str, Any]:
                await bot.send_json(body(method, **params))
                return dict(await asyncio.wait_for(bot.receive_json(), 20))

            for method, params in (("public/test", {}), ("public/auth", LOGIN)):
                assert (await ask(method, **params))["error"]["message"] == "unavailable"
            async with served(venue, port=port):
                assert "result" in await ask("public/auth", **LOGIN)
                assert (await ask("private/get_open_orders"))["result"] == []
            assert (await ask("public/auth", **LOGIN))["error"]["message"] in (
                "unavailable",
                "outcome_unknown",
            )

    asyncio.run(run())


def test_a_fault_of_the_signer_is_an_error_by_name(
    venue: Venue, keys: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        async with served(venue) as (_, url), signing(url, keys) as (base, http):
            monkeypatch.setattr(AsyncClient, "call", fails)
            auth, asked = basic("bot", SECRET), body("private/get_positions")
            async with http.post(f"{base}/api/v2", json=asked, headers=auth) as reply:
                said = await reply.json()
                assert (reply.status, said["error"]["message"]) == (500, "internal_fault")
            async with http.ws_connect(f"{base}/ws/api/v2") as bot:
                await bot.send_json(body("public/test"))
                said = await bot.receive_json()
                assert (said["id"], said["error"]["message"]) == (7, "internal_fault")

    asyncio.run(run())


def test_a_bot_that_does_not_read_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signer_outbox, "CLOSE_SECONDS", 0.2)
    most = signer_outbox.MESSAGES_MAX

    async def run() -> None:
        kept: list[Outbox] = []

        async def websocket(request: web.Request) -> web.StreamResponse:
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            outbox = Outbox(socket)
            kept.append(outbox)
            await outbox.serve(request, asyncio.create_task(flood(outbox)))
            return socket

        async def flood(outbox: Outbox) -> None:
            while True:
                for _ in range(most // 2):
                    outbox.push(b"x" * 1_000)
                await asyncio.sleep(0)

        app = web.Application()
        app.router.add_get("/", websocket)
        async with test_utils.TestServer(app) as server, aiohttp.ClientSession() as http:
            async with http.ws_connect(server.make_url("/")):
                async with asyncio.timeout(20):
                    while not (kept and kept[0].cut.is_set()):
                        await asyncio.sleep(0.01)
            assert len(kept[0]._waiting) <= most

    asyncio.run(run())
