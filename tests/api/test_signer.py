"""The local signer, and a client nobody here wrote: ccxt's Deribit class, its URLs pointed here."""

from __future__ import annotations

import asyncio
import hmac
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.venue_api import Trader, Venue, list_options, open_venue, served

from novate.naming import future_name, option_name, to_symbol
from novate.sdk import AsyncClient, SigningKey
from novate.sdk.signer import Signer
from novate.sdk.signer_keys import KeyFault, load
from novate.units import DAY_S, WAD

BOT, OTHER = Trader("signer bot"), Trader("signer other")
SECRET = "a-secret-of-the-bot-alone"


def expiry_of(venue: Venue) -> int:
    """In four weeks at eight, whatever the second."""
    return (venue.genesis_time // DAY_S + 28) * DAY_S + 8 * 3_600


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder: Path = tmp_path_factory.mktemp("venue")
    made = open_venue(folder, [BOT, OTHER])
    list_options(made, [expiry_of(made)])
    yield made
    made.close()


@pytest.fixture
def keys(tmp_path: Path) -> Path:
    key = tmp_path / "bot.key"
    key.write_text(bytes(BOT.key.key).hex())
    os.chmod(key, 0o600)
    file = tmp_path / "keys.toml"
    file.write_text(f'[[key]]\nid = "bot"\nsecret = "{SECRET}"\nprivate_key_file = "bot.key"\n')
    return file


def deribit(url: str, secret: str = SECRET) -> Any:
    import ccxt.async_support as ccxt

    exchange = ccxt.deribit({"apiKey": "bot", "secret": secret})
    exchange.urls["api"] = {"rest": url}
    return exchange


def test_ccxt_reads_trades_and_cancels(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, other_key()) as other:
            signer = Signer(url, load(keys))
            exchange = deribit(f"http://127.0.0.1:{await signer.start()}")
            try:
                markets = await exchange.load_markets()
                assert markets["BTC/USDC:USDC"]["swap"] and markets["BTC/USDC:USDC"]["linear"]
                placed = await exchange.create_order(
                    "BTC/USDC:USDC", "limit", "buy", 0.25, 99_000.2, {"post_only": True}
                )
                assert (placed["status"], placed["price"], placed["amount"]) == (
                    "open",
                    99_000.0,
                    0.25,
                )
                book = await exchange.fetch_order_book("BTC/USDC:USDC")
                assert book["bids"] == [[99_000.0, 0.25]]
                await other.create_order(
                    "BTC/USDC:USDC", "sell", "0.1", 99_000, time_in_force="immediate_or_cancel"
                )
                trades = await exchange.fetch_trades("BTC/USDC:USDC")
                assert [(t["side"], t["amount"], t["price"]) for t in trades] == [
                    ("sell", 0.1, 99_000.0)
                ]
                ticker = await exchange.fetch_ticker("BTC/USDC:USDC")
                assert ticker["bid"] == 99_000.0 and ticker["markPrice"] == 100_000.0
                opened = await exchange.fetch_open_orders("BTC/USDC:USDC")
                assert [(o["id"], o["filled"]) for o in opened] == [(placed["id"], 0.1)]
                await exchange.cancel_order(placed["id"], "BTC/USDC:USDC")
                assert await exchange.fetch_open_orders("BTC/USDC:USDC") == []
            finally:
                await exchange.close()
                await signer.stop()

    asyncio.run(run())


def test_ccxt_edits_waits_for_a_mark_and_closes(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        symbol = "BTC/USDC:USDC"
        async with served(venue) as (_, url), AsyncClient(url, other_key()) as other:
            signer = Signer(url, load(keys))
            base = f"http://127.0.0.1:{await signer.start()}"
            exchange = deribit(base)
            try:
                await exchange.load_markets()
                placed = await exchange.create_order(symbol, "limit", "buy", 0.25, 99_000)
                edited = await exchange.edit_order(
                    placed["id"], symbol, "limit", "buy", 0.2, 99_100
                )
                assert (edited["price"], edited["amount"]) == (99_100.0, 0.2)
                opened = await exchange.fetch_open_orders(symbol)
                assert [o["id"] for o in opened] == [edited["id"]]
                stop = await exchange.create_order(
                    symbol,
                    "limit",
                    "sell",
                    0.1,
                    94_000,
                    {"stopLossPrice": 95_000, "trigger": "mark_price"},
                )
                assert stop["info"]["order_state"] == "untriggered"
                await exchange.cancel_order(stop["id"], symbol)

                order = {"time_in_force": "immediate_or_cancel"}
                await other.create_order(symbol, "sell", "0.2", 99_100, **order)
                await other.create_order(symbol, "buy", 1, 99_900)
                held = {p["instrument_name"]: p["size"] for p in await other.fetch_positions()}
                closing = {"instrument_name": "BTC-PERPETUAL", "type": "market"}
                closed = await exchange.private_get_close_position(closing)
                assert closed["result"]["order"]["order_state"] == "filled"
                after = {p["instrument_name"]: p["size"] for p in await other.fetch_positions()}
                assert held != after and not [
                    p for p in await exchange.fetch_positions() if p["symbol"] == symbol
                ]
                for bad in (
                    {"type": "stop_limit", "price": 1},
                    {"type": "limit", "price": 1, "trigger_price": 5},
                    {"type": "stop_limit", "price": 1, "trigger_price": 5, "trigger": "last_price"},
                ):
                    wrong = {"instrument_name": "BTC-PERPETUAL", "amount": 0.1, **bad}
                    with pytest.raises(Exception, match=r"stop_limit|trigger_price"):
                        await exchange.private_get_buy(wrong)
            finally:
                await other.cancel_all_orders()
                await exchange.close()
                await signer.stop()

    asyncio.run(run())


def test_ccxt_reads_and_trades_options(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        async with served(venue) as (_, url):
            signer = Signer(url, load(keys))
            exchange = deribit(f"http://127.0.0.1:{await signer.start()}")
            try:
                markets = await exchange.load_markets()
                expiry = expiry_of(venue)
                symbol = to_symbol(option_name("BTC", expiry, 100_000 * WAD, False))
                assert symbol.count("-") == 3
                call = markets[symbol]
                assert (call["option"], call["strike"], call["optionType"]) == (
                    True,
                    100_000,
                    "call",
                )
                assert (call["expiry"], call["contractSize"]) == (expiry * 1000, 0.01)
                assert markets[to_symbol(future_name("BTC", expiry))]["future"]
                assert sum(m["option"] for m in markets.values()) == 12
                greeks = await exchange.fetch_greeks(symbol)
                assert 0.4 < greeks["delta"] < 0.6 and 40 < greeks["markImpliedVolatility"] < 50
                mark = round(greeks["markPrice"])
                placed = await exchange.create_order(symbol, "limit", "buy", 0.5, mark - 100)
                assert (placed["symbol"], placed["status"]) == (symbol, "open")
                book = await exchange.fetch_order_book(symbol)
                assert book["bids"] == [[mark - 100, 0.5]]
                tickers = await exchange.fetch_tickers(None, {"code": "BTC"})
                assert tickers[symbol]["bid"] == mark - 100
                await exchange.cancel_order(placed["id"], symbol)
            finally:
                await exchange.close()
                await signer.stop()

    asyncio.run(run())


def other_key() -> SigningKey:
    return OTHER.signing_key


def test_another_secret_is_refused(venue: Venue, keys: Path) -> None:
    import ccxt.async_support as ccxt

    async def run() -> None:
        async with served(venue) as (_, url):
            signer = Signer(url, load(keys))
            exchange = deribit(f"http://127.0.0.1:{await signer.start()}", "x" * 20)
            try:
                await exchange.load_markets()
                with pytest.raises(ccxt.AuthenticationError):
                    await exchange.fetch_open_orders("BTC/USDC:USDC")
            finally:
                await exchange.close()
                await signer.stop()

    asyncio.run(run())


def test_a_request_is_taken_once(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        async with served(venue) as (_, url):
            signer = Signer(url, load(keys))
            port = await signer.start()
            path = "/api/v2/private/get_positions?currency=any"
            stamp = time.time_ns() // 10**6
            text = f"{stamp}\n7\nGET\n{path}\n\n"
            proof = hmac.new(SECRET.encode(), text.encode(), "sha256").hexdigest()
            header = f"deri-hmac-sha256 id=bot,ts={stamp},sig={proof},nonce=7"
            answers = []
            try:
                async with aiohttp.ClientSession(headers={"Authorization": header}) as http:
                    for _ in range(2):
                        async with http.get(f"http://127.0.0.1:{port}{path}") as reply:
                            answers.append(reply.status)
            finally:
                await signer.stop()
            assert answers == [200, 401]

    asyncio.run(run())


def test_a_bots_socket_logs_in_and_trades(venue: Venue, keys: Path) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), aiohttp.ClientSession() as http:
            signer = Signer(url, load(keys))
            port = await signer.start()
            async with http.ws_connect(f"http://127.0.0.1:{port}/ws/api/v2") as socket:

                async def call(method: str, **params: Any) -> dict[str, Any]:
                    await socket.send_json({"id": method, "method": method, "params": params})
                    while True:
                        reply: dict[str, Any] = await asyncio.wait_for(socket.receive_json(), 10)
                        if reply.get("id") == method:
                            return reply

                login = {"grant_type": "client_credentials", "client_id": "bot"}
                refused = await call("public/auth", **login, client_secret="no")
                assert refused["error"]["code"] == 13004
                assert "result" in await call("public/auth", **login, client_secret=SECRET)
                placed = await call(
                    "private/buy", instrument_name="BTC-PERPETUAL", amount=0.1, price=95_000
                )
                assert placed["result"]["order"]["order_state"] == "open"
                assert (await call("private/cancel_all"))["result"] == 1
            await signer.stop()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no \\[\\[key\\]\\]"),
        ('[[key]]\nid = "a"\nsecret = "short"\nprivate_key_file = "bot.key"\n', "16 characters"),
        (f'[[key]]\nid = "a"\nsecret = "{SECRET}"\nprivate_key_file = "no.key"\n', "private_key"),
        (f'[[key]]\nid = "a"\nsecret = "{SECRET}"\nprivate_key = "00"\n', "unknown field"),
        ("[[key", "Expected"),
    ],
)
def test_a_key_file_that_is_not_right_says_what_must_be(keys: Path, text: str, said: str) -> None:
    keys.write_text(text)
    with pytest.raises(KeyFault, match=said):
        load(keys)
