"""What a client is told after its connection was lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from support.venue_api import Trader, Venue, served, venue_of

from novate.sdk import ApiError, AsyncClient, transport
from novate.sdk.resync import Account, Missed, notifications

MAKER, TAKER = Trader("resync maker"), Trader("resync taker")
BTC, NAME = "BTC/USDC:USDC", "BTC-PERPETUAL"
venue = venue_of(MAKER, TAKER)
Row = dict[str, Any]


async def until(done: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not done():
            await asyncio.sleep(0.02)


async def cut(client: AsyncClient) -> None:
    """The network between a client and the venue is gone for a second or two."""
    socket = client._transport._socket
    assert socket is not None and socket._response.connection is not None
    stream = socket._response.connection.transport
    assert stream is not None
    stream.abort()
    await until(lambda: not client._transport._ready.is_set())


async def listening(maker: AsyncClient, hear: Callable[[str, Any], None]) -> dict[str, str]:
    """Orders by name, two of which are there before anybody listens."""
    ids: dict[str, str] = {}
    for number, name in enumerate(["left", "cancelled", "filled", "partly", "edited"]):
        if number == 2:
            for scope in ("orders.any.raw", f"changes.{NAME}.100ms", "trades.future.BTC.raw"):
                await maker.follow(f"user.{scope}", hear)
            await maker.follow("user.orders.ETH-PERPETUAL.raw", hear)
        sells = name in ("filled", "partly")
        price = 100_010 + number if sells else 99_900 - number
        placed = await maker.create_order(BTC, "sell" if sells else "buy", "0.2", price)
        ids[name] = placed["order"]["order_id"]
    return ids


def test_listeners_are_told_what_ended_and_traded_while_the_connection_was_away(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "RETRY_SECONDS", (1.0,))
    told: dict[str, list[Any]] = {}
    hooks: list[Missed] = []

    def hear(channel: str, data: Any) -> None:
        told.setdefault(channel, []).append(data)

    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, MAKER.signing_key, on_reconnect=hooks.append) as maker,
            AsyncClient(url, MAKER.signing_key) as sister,
            AsyncClient(url, TAKER.signing_key) as taker,
        ):
            ids = await listening(maker, hear)
            await asyncio.sleep(0.3)
            told.clear()
            await cut(maker)
            await sister.cancel_order(ids["cancelled"])
            edited = await sister.edit_order(ids["edited"], price=99_800)
            new = await sister.create_order(BTC, "buy", "0.1", 99_000)
            await taker.create_order(
                BTC, "buy", "0.3", 100_020, time_in_force="immediate_or_cancel"
            )
            assert told == {} and hooks == []
            await until(lambda: bool(hooks))
            expected = {
                ids["cancelled"]: "cancelled",
                ids["filled"]: "filled",
                ids["partly"]: "open",
                edited["order"]["order_id"]: "open",
                new["order"]["order_id"]: "open",
            }
            orders = {row["order_id"]: row for row in told["user.orders.any.raw"]}
            assert {name: row["order_state"] for name, row in orders.items()} == expected
            assert len(told["user.orders.any.raw"]) == len(expected), "each once"
            assert orders[ids["partly"]]["filled_amount"] == "0.1"
            [trades] = told["user.trades.future.BTC.raw"]
            assert [(t["order_id"], t["amount"]) for t in trades] == [
                (ids["filled"], "0.2"),
                (ids["partly"], "0.1"),
            ]
            [changes] = told[f"user.changes.{NAME}.100ms"]
            assert len(changes["orders"]) == len(expected) and changes["trades"] == trades
            [position] = changes["positions"]
            assert Decimal(position["size"]) == Decimal("-0.3")
            assert set(told) == {
                "user.orders.any.raw",
                "user.trades.future.BTC.raw",
                f"user.changes.{NAME}.100ms",
            }
            [missed] = hooks
            assert {row["order_id"] for row in missed.orders} == set(expected)

            told.clear()
            await cut(maker)
            await until(lambda: len(hooks) == 2)
            assert told == {} and hooks[1] == Missed(), "nothing is told twice"
            await maker.cancel_all_orders()
            await until(lambda: len(told.get("user.orders.any.raw", [])) == 4)

    asyncio.run(run())


def test_a_listener_or_a_hook_that_fails_stops_nothing(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    hooks: list[Missed] = []

    async def reconnected(missed: Missed) -> None:
        await maker_of[0].fetch_balance()  # the client can be used from the hook
        hooks.append(missed)

    def fails(*_: object) -> None:
        raise ZeroDivisionError

    maker_of: list[AsyncClient] = []

    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, MAKER.signing_key, on_reconnect=reconnected) as maker,
        ):
            maker_of.append(maker)
            await maker.follow("user.orders.any.raw", fails)
            await maker.create_order(BTC, "buy", "0.1", 99_000)
            await cut(maker)
            await until(lambda: len(hooks) == 1)
            maker.on_reconnect = fails
            await cut(maker)
            await until(lambda: maker._transport.reconnects == 2)
            assert await maker.cancel_all_orders() == 1

    asyncio.run(run())


def test_a_session_without_the_right_to_read_comes_back_all_the_same(venue: Venue) -> None:
    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, MAKER.signing_key, scope="trade") as maker,
        ):
            await maker.follow("user.orders.any.raw", lambda *_: None)
            await cut(maker)
            await until(lambda: maker._transport.reconnects == 1)
            placed = await maker.create_order(BTC, "buy", "0.1", 99_000)
            await maker.cancel_order(placed["order"]["order_id"])

    asyncio.run(run())


def test_a_connection_that_fails_while_it_begins_is_tried_again_once_at_a_time(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transport, "RETRY_SECONDS", (0.05,))

    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, MAKER.signing_key) as maker:
            real, failures = maker._transport._on_connect, [1, 2, 3]

            async def fails() -> None:
                await real()
                if failures:
                    failures.pop()
                    raise ApiError(10047, "Overloaded", "", True)

            monkeypatch.setattr(maker._transport, "_on_connect", fails)
            await cut(maker)
            await until(lambda: maker._transport.reconnects == 1)
            await asyncio.sleep(0.5)
            assert failures == [] and maker._transport.reconnects == 1
            assert (await maker.fetch_open_orders()) == []

    asyncio.run(run())


# What is asked for, by itself


class Book:
    """A venue that answers what an account asks for."""

    def __init__(self) -> None:
        self.open: list[Row] = []
        self.states: dict[str, Row] = {}
        self.trades: list[Row] = []
        self.indexed: list[Row] | None = []
        self.busy = 0

    async def ask(self, method: str, params: Row) -> Any:
        if self.busy:
            self.busy -= 1
            raise ApiError(10028, "TooManyRequests", "", True)
        match method.removeprefix("private/"):
            case "get_open_orders":
                return self.open
            case "get_order_state":
                if params["order_id"] not in self.states:
                    raise ApiError(10004, "OrderNotFound", "", False)
                return self.states[params["order_id"]]
            case "get_user_trades_by_order":
                return [t for t in self.trades if t["order_id"] == params["order_id"]]
            case "get_user_trades_by_currency":
                if self.indexed is None:
                    raise ApiError(9012, "IndexUnavailable", "", True)
                return {"trades": self.indexed}
            case _:
                return []


def order(name: str, state: str = "open", filled: str = "0") -> Row:
    return {"order_id": name, "order_state": state, "filled_amount": filled}


def trade(number: int, name: str, at: int) -> Row:
    return {"trade_id": str(number), "order_id": name, "timestamp": at}


def test_orders_on_their_way_and_trades_of_others_are_found() -> None:
    async def run() -> None:
        book, account = Book(), Account()
        await account.begin(book.ask, 1_000)
        book.states["sent"] = order("sent", "filled", "2")
        book.trades = [trade(9, "sent", 900), trade(10, "sent", 2_000)]
        book.indexed = [trade(10, "sent", 2_000), trade(2, "other", 1_500)]
        book.busy = 2
        with account.sending("sent"), account.sending("never came"):
            missed = await account.missed(book.ask)
        assert missed.orders == [book.states["sent"]]
        assert [t["trade_id"] for t in missed.trades] == ["2", "10"], "none of before it began"
        book.indexed = None
        assert await account.missed(book.ask) == Missed()

    asyncio.run(run())


def test_what_is_told_live_meanwhile_is_not_told_again() -> None:
    async def run() -> None:
        book, account = Book(), Account()
        book.open = [order("a")]
        await account.begin(book.ask, 1_000)

        async def ask(method: str, params: Row) -> Any:
            found = await book.ask(method, params)
            if method == "private/get_open_orders":
                account.heard("user.orders.any.raw", order("a", filled="2"))
                account.heard("user.trades.any.raw", [trade(3, "a", 2_000)])
            return found

        book.open = [order("a", filled="1")]
        book.trades = [trade(3, "a", 2_000)]
        assert await account.missed(ask) == Missed()

    asyncio.run(run())


def test_an_order_that_the_venue_has_forgotten_is_forgotten() -> None:
    async def run() -> None:
        book, account = Book(), Account()
        book.open = [order("a")]
        await account.begin(book.ask, 1_000)
        book.open = []
        assert await account.missed(book.ask) == Missed()
        assert await account.missed(book.ask) == Missed()

    asyncio.run(run())


@pytest.mark.parametrize(
    ("channel", "data"),
    [
        ("user.orders.any.100ms", [[{"order_id": "a", "instrument_name": NAME}]]),
        ("user.orders.any.raw", [{"order_id": "a", "instrument_name": NAME}]),
        ("user.orders.option.any.raw", []),
        ("user.trades.any.raw", []),
    ],
)
def test_what_was_missed_has_the_shape_of_its_channel(channel: str, data: list[Any]) -> None:
    missed = Missed(orders=[{"order_id": "a", "instrument_name": NAME}])
    found = notifications(channel, missed, lambda name: [name, "any", "future.any"])
    assert found == [(channel, row) for row in data]
