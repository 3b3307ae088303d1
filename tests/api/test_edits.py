"""Edits, triggers and sliding over a real chain: the same order under a new id, or nothing."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.venue_api import Trader, Venue, name_of, trading, venue_of

from novate.sdk import AsyncClient

MAKER, TAKER = Trader("edit maker"), Trader("edit taker")
BTC = "BTC-PERPETUAL"
venue = venue_of(MAKER, TAKER)


def test_an_edit_is_the_same_order_under_a_new_id(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            placed = (await maker.create_order(BTC, "sell", "0.5", 100_100, label="mine"))["order"]
            done = await taker.create_order(
                BTC, "buy", "0.2", 100_100, time_in_force="immediate_or_cancel"
            )
            assert done["order"]["filled_amount"] == "0.2"
            edited = (await maker.edit_order(placed["order_id"], price=100_080))["order"]
            assert edited["order_id"] != placed["order_id"] and edited["replaced"]
            assert (edited["price"], edited["amount"]) == ("100080", "0.5")
            assert (edited["filled_amount"], edited["revision"]) == ("0.2", 1)
            assert (edited["label"], edited["order_state"]) == ("mine", "open")
            assert edited["creation_timestamp"] == placed["creation_timestamp"]
            # one order, found by either id
            assert [o["order_id"] for o in await maker.fetch_open_orders()] == [edited["order_id"]]
            assert await maker.fetch_order(placed["order_id"]) == edited
            book = await taker.fetch_order_book(BTC)
            assert [(str(p), str(a)) for p, a in book["asks"]] == [("100080", "0.3")]
            [trade] = await maker.call(
                "private/get_user_trades_by_order", order_id=placed["order_id"]
            )
            assert (trade["amount"], trade["liquidity"], trade["direction"]) == ("0.2", "M", "sell")
            assert trade["order_id"] == edited["order_id"] and trade["label"] == "mine"
            none = maker.call("private/get_user_trades_by_order", order_id="0x" + "00" * 32)
            assert await name_of(none) == "OrderNotFound"
            # its whole life's amount: what is filled counts
            smaller = (await maker.edit_order(edited["order_id"], amount="0.2"))["order"]
            assert (smaller["order_state"], smaller["filled_amount"]) == ("filled", "0.2")
            assert await maker.fetch_open_orders() == []

    asyncio.run(run())


def test_an_edit_that_is_refused_changes_nothing(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, _taker):
            order = (await maker.create_order(BTC, "sell", "0.5", 100_100))["order"]
            before = await maker.fetch_order(order["order_id"])
            sign = {"nonce": order["nonce"], "revision": 1}
            _, params = maker.sign_order(BTC, "sell", "0.5", 100_090, **sign)
            _, other = maker.sign_order(BTC, "sell", "0.5", 100_090, revision=1)
            _, stale = maker.sign_order(BTC, "sell", "0.5", 100_090, **(sign | {"revision": 0}))
            _, eth = maker.sign_order("ETH-PERPETUAL", "sell", "0.5", 4_000, **sign)
            _, huge = maker.sign_order(BTC, "sell", "1000", 100_090, **sign)
            _, turned = maker.sign_order(BTC, "buy", "0.5", 99_000, **sign)
            edit, own = "private/edit", order["order_id"]
            assert await name_of(maker.call(edit, **other, order_id=own)) == "InvalidField nonce"
            assert await name_of(maker.call(edit, **stale, order_id=own)) == (
                "StaleRevision revision"
            )
            assert await name_of(maker.call(edit, **eth, order_id=own)) == "InstrumentMismatch"
            assert await name_of(maker.call(edit, **huge, order_id=own)) == "InsufficientMargin"
            assert await name_of(maker.call(edit, **turned, order_id=own)) == "BadSignature"
            assert await name_of(maker.call(edit, **params, order_id="0x" + "00" * 32)) == (
                "OrderNotFound"
            )
            # without the word edit it is another order on a used nonce
            assert await name_of(maker.call("private/sell", **params)) == "NonceUsed"
            assert await maker.fetch_order(own) == before
            assert [o["order_id"] for o in await maker.fetch_open_orders()] == [own]
            await maker.cancel_order(own)
            fresh = {"nonce": order["nonce"], "revision": 2}
            _, late = maker.sign_order(BTC, "sell", "0.5", 100_070, **fresh)
            assert await name_of(maker.call(edit, **late, order_id=own)) == "OrderNotOpen"
            found = await name_of(maker.call("private/replace", **late, direction="sell"))
            assert found == "OrderNotOpen"

    asyncio.run(run())


def test_the_same_edit_again_is_the_same_answer(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, _taker):
            order = (await maker.create_order(BTC, "sell", "0.5", 100_100, label="twice"))["order"]
            sign = {"nonce": order["nonce"], "revision": 1, "label": "twice"}
            _, params = maker.sign_order(BTC, "sell", "0.5", 100_090, **sign)
            first = await maker.call("private/edit", **params, order_id=order["order_id"])
            again = [
                await maker.call("private/edit", **params, order_id=order["order_id"]),
                await maker.call("private/edit_by_label", **params),
                await maker.call("private/replace", **params, direction="sell"),
            ]
            assert again == [first] * 3
            sign["revision"] = 2
            _, params = maker.sign_order(BTC, "sell", "0.4", 100_080, **sign)
            by_label = await maker.call("private/edit_by_label", **params)
            assert by_label["order"]["price"] == "100080"
            sign["revision"] = 3
            _, params = maker.sign_order(BTC, "sell", "0.4", 100_070, **sign)
            replaced = await maker.call("private/replace", **params, direction="sell")
            assert replaced["order"]["revision"] == 3
            await maker.create_order(BTC, "sell", "0.1", 100_200, label="twice")
            sign["revision"] = 4
            _, params = maker.sign_order(BTC, "sell", "0.4", 100_060, **sign)
            name = await name_of(maker.call("private/edit_by_label", **params))
            assert name == "OrderNotFound label"
            bad = maker.call("private/replace", **params, direction="up")
            assert await name_of(bad) == "InvalidField direction"

    asyncio.run(run())


def test_an_edit_may_trade(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            await maker.create_order(BTC, "sell", "0.5", 100_100)
            bid = (await taker.create_order(BTC, "buy", "0.3", 99_000))["order"]
            crossed = await taker.edit_order(bid["order_id"], price=100_100)
            assert crossed["order"]["order_state"] == "filled"
            assert [t["amount"] for t in crossed["trades"]] == ["0.3"]
            assert (
                crossed["order"]["order_id"]
                == (await taker.fetch_order(bid["order_id"]))["order_id"]
            )

    asyncio.run(run())


def test_changes_come_together_for_their_account_alone(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            seen: dict[str, list[Any]] = {"raw": [], "100ms": [], "portfolio": [], "other": []}
            for kind in ("raw", "100ms"):
                await maker.follow(
                    f"user.changes.{BTC}.{kind}", lambda _, data, k=kind: seen[k].append(data)
                )
            await maker.follow("user.portfolio.any", lambda _, d: seen["portfolio"].append(d))
            await taker.follow("user.changes.any.raw", lambda _, d: seen["other"].append(d))
            order = (await maker.create_order(BTC, "sell", "0.5", 100_100))["order"]
            await maker.edit_order(order["order_id"], price=100_090)
            await taker.create_order(
                BTC, "buy", "0.2", 100_100, time_in_force="immediate_or_cancel"
            )
            await maker.cancel_all_orders()
            await asyncio.sleep(0.3)
            await maker.call("public/test")
            states = [o["order_state"] for c in seen["raw"] for o in c["orders"]]
            assert states == ["open", "open", "open", "cancelled"]
            trades = [t for c in seen["raw"] for t in c["trades"]]
            assert [(t["amount"], t["price"]) for t in trades] == [("0.2", "100090")]
            [held] = [p for c in seen["raw"] for p in c["positions"]]
            assert held["instrument_name"] == BTC and held["direction"] == "sell"
            last = [o for c in seen["100ms"] for o in c["orders"]][-1]
            assert last["order_state"] == "cancelled" and len(seen["100ms"]) < len(seen["raw"])
            assert len(seen["portfolio"]) == 1
            assert seen["portfolio"][0]["account"] == f"0x{MAKER.account:064x}"
            assert {o["direction"] for c in seen["other"] for o in c["orders"]} == {"buy"}
            for channel in ("user.changes.DOGE.raw", "user.portfolio.DOGE", "user.mmp_trigger.x"):
                bad = maker.call("public/subscribe", channels=[channel])
                assert (await name_of(bad)).split()[0] in ("UnknownChannel", "UnknownInstrument")

    asyncio.run(run())


def test_a_trigger_waits_and_can_be_edited_and_cancelled(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            stop = {"type": "stop_limit", "trigger_price": "105000"}
            order = (await taker.create_order(BTC, "buy", "0.3", 106_000, **stop))["order"]
            assert (order["order_state"], order["order_type"]) == ("untriggered", "stop_limit")
            assert (order["trigger"], order["triggered"]) == ("mark_price", False)
            assert (await maker.fetch_order_book(BTC))["bids"] == []
            edited = (
                await taker.edit_order(order["order_id"], price=106_500, trigger_price="105500")
            )["order"]
            assert (edited["trigger_price"], edited["order_state"]) == ("105500", "untriggered")
            gone = await taker.cancel_order(edited["order_id"])
            assert gone["order_state"] == "cancelled"

            met = {"type": "stop_limit", "trigger_price": "90000"}
            name = await name_of(taker.create_order(BTC, "buy", "0.3", 106_000, **met))
            assert name == "WouldTrigger"
            bad: list[tuple[str, dict[str, Any]]] = [
                ("InvalidField trigger_price", {"type": "stop_limit"}),
                ("InvalidField trigger", {"trigger_price": "90000"}),
                ("InvalidField trigger_price", {"type": "take_limit", "trigger_price": "0.3"}),
                ("InvalidField time_in_force", {"type": "stop_market", "trigger_price": "105000"}),
                ("InvalidField type", {"type": "trailing_stop", "trigger_price": "105000"}),
            ]
            for name, more in bad:
                assert await name_of(taker.create_order(BTC, "buy", "0.3", 106_000, **more)) == name
            market = {"type": "stop_market", "time_in_force": "immediate_or_cancel"}
            kept = (
                await taker.create_order(
                    BTC, "sell", "0.1", 90_000, trigger_price="95000", **market
                )
            )["order"]
            assert (kept["order_type"], kept["order_state"]) == ("stop_market", "untriggered")

    asyncio.run(run())


def test_a_post_only_order_slides_if_it_is_asked_to(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            await maker.create_order(BTC, "sell", "0.5", 100_000)
            strict = taker.create_order(BTC, "buy", "0.1", 100_100, post_only=True)
            assert await name_of(strict) == "PostOnly"
            slid = await taker.create_order(
                BTC, "buy", "0.1", 100_100, post_only=True, reject_post_only=False
            )
            order = slid["order"]
            assert (order["price"], order["signed_price"]) == ("99999.5", "100100")
            assert order["order_state"] == "open" and slid["trades"] == []

    asyncio.run(run())


def test_orders_go_with_any_connection_of_the_account_if_it_says_so(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, _taker):
            url = "http" + maker._transport._url.split("/ws/")[0][2:]
            scope = {"scope": "account"}
            assert await maker.call("private/enable_cancel_on_disconnect", **scope) == "ok"
            found = await maker.call("private/get_cancel_on_disconnect", **scope)
            assert found == {"scope": "account", "enabled": True}
            await maker.create_order(BTC, "sell", "0.5", 100_100)
            async with AsyncClient(url, MAKER.signing_key) as sister:
                here = await sister.call("private/get_cancel_on_disconnect")
                assert here == {"scope": "connection", "enabled": True}
                await sister.call("private/disable_cancel_on_disconnect")
            await asyncio.sleep(0.2)
            assert len(await maker.fetch_open_orders()) == 1  # that one had said otherwise
            async with AsyncClient(url, MAKER.signing_key):
                pass
            for _ in range(40):
                await asyncio.sleep(0.05)
                if not await maker.fetch_open_orders():
                    break
            assert await maker.fetch_open_orders() == []
            await maker.call("private/disable_cancel_on_disconnect", **scope)

    asyncio.run(run())


def test_a_position_is_closed_by_the_sdk(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            held = {p["instrument_name"]: p["size"] for p in await taker.fetch_positions()}
            if not held:
                await maker.create_order(BTC, "sell", "0.2", 100_000)
                await taker.create_order(
                    BTC, "buy", "0.2", 100_000, time_in_force="immediate_or_cancel"
                )
            await maker.create_order(BTC, "buy", "2", 99_900)
            part = await taker.close_position(BTC, amount="0.1")
            assert part["order"]["filled_amount"] == "0.1" and part["order"]["reduce_only"]
            done = await taker.close_position(BTC, price=99_900)
            assert done["order"]["order_state"] == "filled"
            with pytest.raises(ValueError, match="no position"):
                await taker.close_position(BTC)

    asyncio.run(run())
