"""The SDK against a running venue, and its parts by themselves."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from typing import Any

import pytest
from support.venue_api import Trader, Venue, served, venue_of

from novate.sdk import ApiError, AsyncClient, Client, Rounding, Unfit
from novate.sdk.rounding import to_step
from novate.sdk.signing import SigningKey
from novate.sdk.symbols import to_name, to_symbol

MAKER, TAKER = Trader("sdk maker"), Trader("sdk taker")
BTC = "BTC/USDC:USDC"
venue = venue_of(MAKER, TAKER)


def test_a_maker_and_a_taker_trade_and_follow_the_book(venue: Venue) -> None:
    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, MAKER.signing_key) as maker,
            AsyncClient(url, TAKER.signing_key) as taker,
        ):
            book = await taker.follow_order_book(BTC)
            placed = await maker.create_order(BTC, "sell", "0.4", 100_050, post_only=True)
            assert placed["order"]["order_state"] == "open"
            await maker.create_order(BTC, "buy", Decimal("0.3"), "99950", label="bid")
            bought = await taker.create_order(
                BTC, "buy", 0.1, 100_100, time_in_force="immediate_or_cancel"
            )
            assert bought["order"]["filled_amount"] == "0.1"
            await asyncio.sleep(0.05)
            assert not book.stale
            assert book.bids == [(Decimal(99_950), Decimal("0.3"))]
            assert book.asks == [(Decimal(100_050), Decimal("0.3"))]
            positions = await maker.fetch_positions()
            assert [(p["instrument_name"], p["size"]) for p in positions] in (
                [],  # settles with the batch
                [("BTC-PERPETUAL", "-0.1")],
            )
            assert await maker.cancel_all_orders() == 2
            assert await maker.fetch_open_orders() == []

    asyncio.run(run())


def test_a_refused_login_leaves_nothing_behind(venue: Venue) -> None:
    strange = SigningKey(bytes(MAKER.key.key), TAKER.account)  # a key of somebody else's

    async def run() -> None:
        async with served(venue) as (_, url):
            before = asyncio.all_tasks()
            client = AsyncClient(url, strange)
            with pytest.raises(ApiError, match="BadSignature"):
                await client.__aenter__()
            names = {task.get_coro().__qualname__ for task in asyncio.all_tasks() - before}
            assert not {name for name in names if name.startswith("Transport")}
            threads = threading.active_count()
            for _ in range(2):
                with pytest.raises(ApiError, match="BadSignature"):
                    await asyncio.to_thread(Client(url, strange).__enter__)
            assert threading.active_count() <= threads + 1  # that of to_thread

    asyncio.run(run())


def test_the_venues_channels_reach_the_sdk(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, TAKER.signing_key) as taker:
            told: dict[str, dict[str, Any]] = {}
            channels = "oracle.feeds", "insurance", "user.margin", "user.settlement"
            for channel in channels:
                await taker.follow(channel, told.__setitem__)
            await asyncio.sleep(0.1)
            assert {name: data["type"] for name, data in told.items()} == dict.fromkeys(
                channels, "snapshot"
            )
            await taker.login("read trade withdraw")
            made = await taker.call("private/withdraw", currency="USDC", amount="1")
            assert made["state"] == "unsigned"

    asyncio.run(run())


def test_the_same_signed_order_sent_again_is_the_same_order(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, MAKER.signing_key) as maker:
            order_id, request = maker.sign_order(BTC, "buy", "0.1", 90_000)
            first = await maker.send_order("buy", order_id, request)
            again = await maker.send_order("buy", order_id, request)
            assert first["order"]["order_id"] == again["order"]["order_id"] == order_id
            assert len(await maker.fetch_open_orders(BTC)) == 1
            await maker.cancel_order(order_id)
            with pytest.raises(ApiError, match="OrderNotOpen"):
                await maker.cancel_order(order_id)

    asyncio.run(run())


def test_a_dry_run_signs_and_sends_nothing(venue: Venue) -> None:
    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, MAKER.signing_key, dry_run=True) as maker,
        ):
            shown = await maker.create_order(BTC, "buy", "0.1", 90_000)
            assert shown["order"]["order_state"] == "dry_run"
            assert len(shown["request"]["signature"]) == 130
            assert await maker.fetch_open_orders() == []

    asyncio.run(run())


def test_a_lost_connection_comes_back_logged_in_and_following(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, MAKER.signing_key) as maker:
            book = await maker.follow_order_book(BTC)
            socket = maker._transport._socket
            assert socket is not None
            await socket.close()
            for _ in range(100):
                await asyncio.sleep(0.05)
                if maker._transport.reconnects:
                    break
            placed = await maker.create_order(BTC, "buy", "0.2", 95_000)
            await asyncio.sleep(0.05)
            assert maker._transport.reconnects == 1 and not book.stale
            assert book.bids == [(Decimal(95_000), Decimal("0.2"))]
            await maker.cancel_order(placed["order"]["order_id"])

    asyncio.run(run())


@pytest.mark.parametrize(
    ("symbol", "name"),
    [
        ("BTC/USDC:USDC", "BTC-PERPETUAL"),
        ("BTC/USDC:USDC-261227", "BTC-27DEC26"),
        ("ETH/USDC:USDC-260105-4000-P", "ETH-5JAN26-4000-P"),
    ],
)
def test_symbols_go_both_ways(symbol: str, name: str) -> None:
    assert to_name(symbol) == name
    assert to_symbol(name) == symbol


def test_rounding_is_explicit() -> None:
    tick = Decimal("0.5")
    with pytest.raises(ValueError, match="not a multiple"):
        to_step("100.3", tick, Rounding.EXACT, up=False)
    assert to_step("100.3", tick, Rounding.DOWN, up=True) == Decimal("100.0")
    assert to_step("100.3", tick, Rounding.PASSIVE, up=True) == Decimal("100.5")
    assert to_step(0.1 + 0.2, Decimal("0.1"), Rounding.DOWN, up=False) == Decimal("0.3")
    with pytest.raises(Unfit, match=r"price: 100.3 .* rounding=Rounding") as unfit:
        to_step("100.3", tick, Rounding.EXACT, up=False, field="price")
    assert (unfit.value.field, unfit.value.rounds) == ("price", True)
    for value in (0, "-0.5"):
        with pytest.raises(Unfit, match=r"amount: .* is not above zero"):
            to_step(value, tick, Rounding.DOWN, up=False, field="amount")
    with pytest.raises(ValueError, match="nothing"):
        to_step("0.2", tick, Rounding.DOWN, up=False)


@pytest.mark.parametrize("value", ["abc", "", "nan", "-inf", float("inf")])
def test_what_is_no_number_is_named(value: str | float) -> None:
    with pytest.raises(ValueError, match=f"{value!r} is not a number"):
        to_step(value, Decimal("0.5"), Rounding.DOWN, up=False)


@pytest.mark.parametrize("secret", ["deadbeef", "0x" + "11" * 33, "hello"])
def test_what_is_no_key_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match=r"32 bytes|hexadecimal"):
        SigningKey(secret)
