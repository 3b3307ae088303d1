"""Small truths of the API: what a trade, an order, a scope and a channel say of themselves."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from support.venue_api import BTC as PERPETUAL
from support.venue_api import Client, Trader, Venue, connected, served, venue_of

from novate.api import rpc
from novate.api.index_process import IndexProcess
from novate.api.metrics import Part
from novate.api.orders import Orders
from novate.api.session import Limits
from novate.api.up_config import DEFAULTS, load
from novate.api.venue import VenueApi
from novate.errors import Rejected
from novate.model.session import CANCEL, TRADE, SessionKey
from novate.services.gateway import Gateway
from novate.wire import records

MAKER, TAKER, KEY = Trader("surface maker"), Trader("surface taker"), Trader("surface key")
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
venue = venue_of(MAKER, TAKER)


@asynccontextmanager
async def both(venue: Venue) -> AsyncIterator[tuple[VenueApi, Client, Client]]:
    """Two clients that are logged in; nothing rests afterwards."""
    async with served(venue) as (api, url), connected(url) as maker, connected(url) as taker:
        await maker.result("public/auth", **MAKER.login(api.separator))
        await taker.result("public/auth", **TAKER.login(api.separator))
        yield api, maker, taker
        await maker.result("private/cancel_all")
        await taker.result("private/cancel_all")


async def name_of(client: Client, method: str, **params: Any) -> str:
    """The name of the rejection, with the field that it blames."""
    error = (await client.call(method, **params))["error"]
    field, colon, _ = str(error["data"].get("detail") or "").partition(":")
    return f"{error['message']} {field}" if colon else str(error["message"])


async def traded(api: VenueApi, maker: Client, taker: Client, price: str, name: str = BTC) -> Any:
    """A trade of the taker's, who buys."""
    there = {"instrument_name": name}
    await maker.result("private/sell", **MAKER.order(api, "0.01", price, sells=True, **there))
    order = TAKER.order(api, "0.01", price, time_in_force="immediate_or_cancel", **there)
    [trade] = (await taker.result("private/buy", **order))["trades"]
    return trade


# Trades


def test_a_trade_is_counted_in_its_instrument_and_has_a_direction(venue: Venue) -> None:
    async def run() -> None:
        async with both(venue) as (api, maker, taker):
            begun = {}
            for name in (BTC, ETH):
                held = api.market.trades(api.market.named(name))
                begun[name] = held[-1].number if held else 0
            steps = [("100000", 0), ("100000", 0), ("100100", 1), ("100050", 2), ("100050", 3)]
            seen = []
            for price, _ in steps:
                await traded(api, maker, taker, "4000", ETH)
                seen.append(await traded(api, maker, taker, price))
            numbers = [t["trade_seq"] - begun[BTC] for t in seen]
            assert numbers == [1, 2, 3, 4, 5]
            assert [t["tick_direction"] for t in seen[1:]] == [1, 0, 2, 3]
            ids = [int(t["trade_id"]) for t in seen]
            assert [b - a for a, b in pairwise(ids)] == [2] * 4
            page = {"instrument_name": BTC, "start_seq": begun[BTC] + 2, "end_seq": begun[BTC] + 4}
            found = await taker.result("public/get_last_trades_by_instrument", **page)
            assert [t["trade_id"] for t in found["trades"]] == [str(i) for i in ids[3:0:-1]]
            fold = Orders()  # what a start does with the journal
            for entry in venue.journal.read():
                fold.follow(records.decode(entry.kind, entry.payload))
            held = {t.match.sequence: t for t in fold.by_instrument[PERPETUAL]}
            assert [held[i].number - held[ids[0]].number + 1 for i in ids] == numbers
            assert [held[i].tick_direction for i in ids[1:]] == [1, 0, 2, 3]

    asyncio.run(run())


def test_each_side_of_a_trade_sees_its_own(venue: Venue) -> None:
    async def run() -> None:
        async with both(venue) as (api, maker, taker):
            for client in (maker, taker):
                await client.result("public/subscribe", channels=[f"user.trades.{BTC}.raw"])
            trade = await traded(api, maker, taker, "100000")
            rows = {}
            for who, client in (("maker", maker), ("taker", taker)):
                await client.result("public/test")
                told = [m["params"] for m in client.pushed if m.get("method") == "subscription"]
                [rows[who]] = told[-1]["data"]
            assert {row["trade_id"] for row in rows.values()} == {trade["trade_id"]}
            seen = {w: (r["direction"], r["liquidity"], r["fee_currency"]) for w, r in rows.items()}
            assert seen == {"maker": ("sell", "M", "USDC"), "taker": ("buy", "T", "USDC")}
            assert rows["maker"]["order_id"] != rows["taker"]["order_id"]

    asyncio.run(run())


def test_an_exit_document_is_asked_for_by_the_trades_id(venue: Venue) -> None:
    async def run() -> None:
        async with both(venue) as (api, maker, taker):
            trade = await traded(api, maker, taker, "100000")
            found = await maker.result("private/get_forced_exit_data", trade_id=trade["trade_id"])
            assert found["sequence"] == int(trade["trade_id"])
            for wrong in ("", "-1", "1e3", "9" * 20):
                refused = await name_of(maker, "private/get_forced_exit_data", trade_id=wrong)
                assert refused == "InvalidField trade_id"
            gone = await name_of(maker, "private/get_forced_exit_data", trade_id="999999")
            assert gone == "OrderNotFound"

    asyncio.run(run())


# Orders


def test_an_order_is_known_by_the_id_its_account_gave_it(venue: Venue) -> None:
    async def run() -> None:
        async with both(venue) as (api, maker, taker):
            await maker.result("public/subscribe", channels=["user.orders.any.raw"])
            order = MAKER.order(api, "0.01", "90000", client_order_id="mine 1")
            first = (await maker.result("private/buy", **order))["order"]
            assert (first["client_order_id"], first["signer"]) == ("mine 1", MAKER.address)
            assert (await maker.result("private/buy", **order))["order"] == first, "sent again"
            told = [m["params"]["data"] for m in maker.pushed if m.get("method") == "subscription"]
            assert [row["client_order_id"] for row in told] == ["mine 1"]
            again = MAKER.order(api, "0.01", "90001", client_order_id="mine 1")
            assert await name_of(maker, "private/buy", **again) == "ClientOrderIdUsed"
            other = TAKER.order(api, "0.01", "90001", client_order_id="mine 1")
            assert (await taker.result("private/buy", **other))["order"]["order_state"] == "open"
            found = await maker.result("private/get_order_state", client_order_id="mine 1")
            assert found["order_id"] == first["order_id"]
            gone = await maker.result("private/cancel", client_order_id="mine 1")
            assert (gone["order_id"], gone["order_state"]) == (first["order_id"], "cancelled")
            # it is free again, and then the open order's
            again = MAKER.order(api, "0.01", "90001", client_order_id="mine 1")
            later = (await maker.result("private/buy", **again))["order"]
            found = await maker.result("private/get_order_state", client_order_id="mine 1")
            assert found["order_id"] == later["order_id"]
            for params in ({}, {"order_id": later["order_id"], "client_order_id": "mine 1"}):
                assert await name_of(maker, "private/cancel", **params) == "InvalidField order_id"
            nobody = await name_of(maker, "private/cancel", client_order_id="mine 2")
            assert nobody == "OrderNotFound"
            for wrong in ("x" * 65, "a\nb"):
                order = MAKER.order(api, "0.01", "90000", client_order_id=wrong)
                assert await name_of(maker, "private/buy", **order) == (
                    "InvalidField client_order_id"
                )

    asyncio.run(run())


def test_the_signer_that_is_named_is_the_one_that_signed(venue: Venue) -> None:
    async def run() -> None:
        async with both(venue) as (api, maker, _):
            order = MAKER.order(api, "0.01", "90000", signer=MAKER.key.address)
            assert (await maker.result("private/buy", **order))["order"]["signer"] == MAKER.address
            order = MAKER.order(api, "0.01", "90000", signer=TAKER.address)
            assert await name_of(maker, "private/buy", **order) == "BadSignature"
            order = MAKER.order(api, "0.01", "90000", signer="0x12")
            assert await name_of(maker, "private/buy", **order) == "InvalidField signer"

    asyncio.run(run())


# Scopes


def test_a_login_for_quotes_opens_quotes_alone(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await client.result("public/auth", **MAKER.login(api.separator, scope="quote"))
            wrong = {"quotes": [], "signature": "0x" + "00" * 64, "expiry": 2**32}
            assert await name_of(client, "private/mass_quote", **wrong) == "InvalidField quotes"
            assert await client.result("private/cancel_quotes") == 0
            order = MAKER.order(api, "0.01", "90000")
            for method, params in (("buy", order), ("cancel_all", {}), ("get_positions", {})):
                assert (await name_of(client, f"private/{method}", **params))[:12] == "ScopeMissing"
            await client.result("public/auth", **MAKER.login(api.separator, scope="read"))
            for method, params in (("mass_quote", wrong), ("cancel_quotes", {})):
                assert (await name_of(client, f"private/{method}", **params))[:12] == "ScopeMissing"

    asyncio.run(run())


@pytest.mark.parametrize(("scope", "all_of_them"), [(TRADE, False), (TRADE | CANCEL, True)])
def test_a_session_key_cancels_what_it_signed_or_with_the_scope_all(
    venue: Venue, scope: int, all_of_them: bool
) -> None:
    keys = venue.sequencer.world.exchange.keys
    named = MAKER.account, KEY.address
    before = keys[named]
    KEY.account, KEY.nonce = MAKER.account, 10_000 * scope  # the account's nonces are shared

    async def run() -> None:
        async with both(venue) as (api, maker, _), connected_as_key(api, maker) as key:
            own = KEY.order(api, "0.01", "90000", label="l")
            assert (await key.result("private/buy", **own))["order"]["signer"] == KEY.address
            theirs = MAKER.order(api, "0.01", "90001", label="l")
            other = (await maker.result("private/buy", **theirs))["order"]["order_id"]
            cancelled = 2 if all_of_them else 1
            assert await key.result("private/cancel_by_label", label="l") == cancelled
            if not all_of_them:
                refused = await name_of(key, "private/cancel", order_id=other)
                assert refused == "SessionKeyScope"
            for method, params in (
                ("cancel_all", {}),
                ("cancel_all_by_instrument", {"instrument_name": BTC}),
            ):
                await maker.result("private/cancel_all")
                mine = await key.result("private/buy", **KEY.order(api, "0.01", "90000"))
                await maker.result("private/buy", **MAKER.order(api, "0.01", "90001"))
                assert await key.result(f"private/{method}", **params) == cancelled
                gone = await key.result(
                    "private/get_order_state", order_id=mine["order"]["order_id"]
                )
                assert gone["order_state"] == "cancelled"

    @asynccontextmanager
    async def connected_as_key(api: VenueApi, maker: Client) -> AsyncIterator[Client]:
        row = SessionKey(2**40 - 1, scope, 0, 2**60, 2**60)
        keys[named] = row
        api.gateway = Gateway(
            api.separator,
            may_sign=lambda order, signer: signer == KEY.address,
            is_key=lambda account, signer: signer == KEY.address,
            may_cancel=lambda account, signer: bool(keys[account, signer].scope & CANCEL),
        )
        url = str(maker.socket._response.url).replace("/ws/api/v1", "")
        async with connected(url) as client:
            await client.result("public/auth", **KEY.login(api.separator))
            yield client

    try:
        asyncio.run(run())
    finally:
        keys[named] = before


# Channels


def test_every_message_of_a_channel_has_its_number_on_the_connection(venue: Venue) -> None:
    channels = [f"book.{BTC}.raw", f"ticker.{BTC}.raw", f"quote.{BTC}", "user.orders.any.raw"]
    channels += [f"trades.{BTC}.raw", "user.trades.any.raw", "user.changes.any.raw"]
    channels += ["user.portfolio.any", "settlement.batches", "platform_state"]

    async def run() -> None:
        async with both(venue) as (api, maker, taker):
            await maker.result("public/subscribe", channels=channels)
            await traded(api, maker, taker, "100000")
            await traded(api, maker, taker, "100000")
            await taker.result("public/subscribe", channels=channels[:1])
            await maker.result("private/buy", **MAKER.order(api, "0.01", "90000"))
            for client, meant in ((maker, channels), (taker, channels[:1])):
                await client.result("public/test")
                told: dict[str, list[int]] = {}
                for message in client.pushed:
                    if message.get("method") == "subscription":
                        params = message["params"]
                        told.setdefault(params["channel"], []).append(params["sequence"])
                assert set(told) == set(meant)
                for channel, numbers in told.items():
                    assert numbers == list(range(1, len(numbers) + 1)), channel
            assert await maker.result("public/unsubscribe", channels=channels[:1]) == channels[:1]
            maker.pushed.clear()
            await maker.result("public/subscribe", channels=channels[:1])
            assert maker.pushed[0]["params"]["sequence"] == 1, "it begins anew"
            assert await maker.result("public/unsubscribe_all") == "ok"
            maker.pushed.clear()
            await maker.result("private/buy", **MAKER.order(api, "0.01", "90000"))
            await maker.result("public/test")
            assert maker.pushed == []

    asyncio.run(run())


# What the venue says of itself, and is told


def test_a_process_that_serves_lives_though_a_part_is_not_ready(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), aiohttp.ClientSession() as http:
            api.parts.append(lambda: Part("chain", False, "heard 99 s ago"))
            async with http.get(f"{url}/health") as reply:
                assert reply.status == 503
            async with http.get(f"{url}/live") as reply:
                assert (reply.status, await reply.json()) == (200, {"live": True})

    asyncio.run(run())


def test_the_index_is_ready_as_long_as_it_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    index = IndexProcess(Path(), "sqlite://", None, Path(), position=90, moved_at=1_000.0)
    monkeypatch.setattr("novate.api.index_process.time.monotonic", lambda: 1_031.0)
    assert index.lag(100) == (10, 31.0)
    assert index.lag(90) == (0, 0.0) and index.lag(80) == (0, 0.0)
    assert index.lag(95) == (5, 0.0), "it has only now something to read"


def test_credits_are_what_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "venue.toml"
    names = "request_credits", "cancel_credits", "anonymous_credits"
    rates = "requests_per_second", "cancels_per_second", "anonymous_per_second"
    lines = [f"{name} = {i}" for i, name in enumerate((*names, *rates), 40)]
    file.write_text("[venue]\n" + "\n".join(lines))
    limits = load(file).limits
    assert (limits.requests, limits.cancels, limits.anonymous) == ((40, 43), (41, 44), (42, 45))
    default, usual = DEFAULTS.limits, Limits()
    assert (default.requests, default.cancels, default.anonymous) == (
        usual.requests,
        usual.cancels,
        usual.anonymous,
    )
    dearest = max(method.cost for method in rpc.METHODS.values())
    for name, wrong in ((names[0], dearest - 1), (rates[1], 0), (names[2], 1_000_001)):
        file.write_text(f"[venue]\n{name} = {wrong}")
        with pytest.raises(Rejected, match=f"venue.{name}"):
            load(file)
