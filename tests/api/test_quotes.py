"""Mass quotes and market-maker protection over a real chain."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.venue_api import Trader, Venue, name_of, trading, venue_of

from novate.sdk import AsyncClient

MAKER, TAKER = Trader("quote maker"), Trader("quote taker")
BTC, ETH = "BTC-PERPETUAL", "ETH-PERPETUAL"
venue = venue_of(MAKER, TAKER)


def two_sided(
    symbol: str, mid: float, width: float, amount: str = "0.5", name: str = ""
) -> dict[str, Any]:
    """A quote around a price."""
    sides = {"bid": (mid - width, amount), "ask": (mid + width, amount)}
    return {"symbol": symbol, "quote_set_id": name, **sides}


async def prices(client: AsyncClient) -> dict[str, str]:
    """Open orders of a client: price by instrument and side."""
    return {
        f"{o['instrument_name'][:3]} {o['direction']}": o["price"]
        for o in await client.fetch_open_orders()
    }


def test_many_instruments_are_quoted_with_one_signature(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            quotes = [two_sided(BTC, 100_000, 50), two_sided(ETH, 4_000, 5, "2")]
            done = await maker.mass_quote(quotes, label="mm")
            assert [o["price"] for o in done["orders"]] == ["99950", "100050", "3995", "4005"]
            assert done["errors"] == [] and {o["mmp"] for o in done["orders"]} == {True}
            assert {o["label"] for o in done["orders"]} == {"mm"}
            # a later one takes the place of the former, side by side
            await maker.mass_quote([two_sided(BTC, 100_010, 50)])
            assert await prices(maker) == {
                "BTC buy": "99960",
                "BTC sell": "100060",
                "ETH buy": "3995",
                "ETH sell": "4005",
            }
            ended = await maker.fetch_order(done["orders"][0]["order_id"])
            assert (ended["order_state"], ended["cancel_reason"]) == ("cancelled", "replaced")
            # another set stands beside it
            await maker.mass_quote([two_sided(BTC, 100_000, 80, name="wide")])
            assert len(await maker.fetch_open_orders(BTC)) == 4
            taken = await taker.create_order(
                BTC, "buy", "0.2", 100_060, time_in_force="immediate_or_cancel"
            )
            assert [t["price"] for t in taken["trades"]] == ["100060"]
            assert await maker.cancel_quotes(cancel_type="quote_set_id", quote_set_id="wide") == 2
            assert await maker.cancel_quotes(cancel_type="currency", currency="ETH") == 2
            await maker.create_order(BTC, "buy", "0.1", 99_000)
            found = await maker.cancel_quotes(cancel_type="instrument", instrument_name=BTC)
            assert found == 2
            assert await prices(maker) == {"BTC buy": "99000"}  # no quote: it stays
            assert await maker.cancel_quotes() == 0

    asyncio.run(run())


def test_each_quote_is_taken_or_refused_by_itself(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            await taker.create_order(BTC, "sell", "0.1", 100_020)
            await maker.mass_quote([two_sided(BTC, 100_000, 10)])
            crossing = [two_sided(BTC, 100_040, 10), two_sided(ETH, 4_000, 5)]
            done = await maker.mass_quote(crossing)
            [refused] = done["errors"]
            assert (refused["instrument_name"], refused["side"], refused["index"]) == (
                BTC,
                "bid",
                0,
            )
            assert refused["error"]["message"] == "PostOnly"
            # what it was to replace has gone: nobody trades at a price that is no longer meant
            assert "BTC buy" not in await prices(maker)
            assert len(done["orders"]) == 3
            slides = await maker.mass_quote(crossing[:1], reject_post_only=False)
            assert slides["orders"][0]["price"] == "100019.5" and slides["errors"] == []

    asyncio.run(run())


def test_the_same_mass_quote_again_is_the_same_answer(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            sent: list[dict[str, Any]] = []
            call = maker.call

            async def kept(method: str, **params: Any) -> Any:
                sent.append(params)
                return await call(method, **params)

            monkeypatch.setattr(maker, "call", kept)
            first = await maker.mass_quote([two_sided(BTC, 100_000, 50)])
            monkeypatch.undo()
            again = await maker.call("private/mass_quote", **sent[0])
            assert again == first and len(await maker.fetch_open_orders()) == 2

            good = sent[0]
            [quote] = good["quotes"]
            bid = quote["bid"]
            many = [quote | {"ask": None}] * 257
            bad: list[tuple[str, dict[str, Any]]] = [
                ("BadSignature", {"quotes": [quote | {"bid": bid | {"price": "99951"}}]}),
                ("BadSignature", {"quotes": [quote | {"ask": None}]}),
                ("InvalidField quotes", {"quotes": []}),
                ("InvalidField quotes", {"quotes": many}),
                ("InvalidField signature", {"signature": "0x12"}),
                ("InvalidField executor", {"executor": "0x12"}),
                ("InvalidField quotes[0].bid.price", {"quotes": [price_of(quote, "99950.3")]}),
                ("InvalidField quotes[0].bid.price", {"quotes": [price_of(quote, "1" * 30)]}),
                ("InvalidField quotes[0].bid.nonce", {"quotes": [nonce_of(quote, -1)]}),
                ("InvalidField quotes[0].quote_set_id", {"quotes": [named(quote, "x" * 65)]}),
                ("InvalidField label", {"label": "x" * 65}),
                ("UnknownInstrument instrument_name", {"quotes": [other(quote)]}),
            ]
            for name, more in bad:
                found = await name_of(maker.call("private/mass_quote", **(good | more)))
                assert found == name, (found, name)
            # somebody else's quotes are nobody's to send
            assert await name_of(taker.call("private/mass_quote", **good)) == "BadSignature"
            which = {"cancel_type": "quote_set_id"}
            assert await name_of(maker.cancel_quotes(**which)) == "InvalidField quote_set_id"
            which = {"cancel_type": "currency", "currency": "DOGE"}
            assert await name_of(maker.cancel_quotes(**which)) == "InvalidField currency"

    asyncio.run(run())


def price_of(quote: dict[str, Any], price: str) -> dict[str, Any]:
    return quote | {"bid": quote["bid"] | {"price": price}}


def nonce_of(quote: dict[str, Any], nonce: int) -> dict[str, Any]:
    return quote | {"bid": quote["bid"] | {"nonce": nonce}}


def named(quote: dict[str, Any], name: str) -> dict[str, Any]:
    return quote | {"quote_set_id": name}


def other(quote: dict[str, Any]) -> dict[str, Any]:
    return quote | {"instrument_name": "DOGE-PERPETUAL"}


def test_protection_pulls_all_quotes_at_a_limit(venue: Venue) -> None:
    async def run() -> None:
        async with trading(venue, MAKER, TAKER) as (maker, taker):
            told: list[dict[str, Any]] = []
            await maker.follow("user.mmp_trigger.btc_usdc", lambda _, data: told.append(data))
            off = await maker.fetch_mmp("BTC")
            assert (off["interval"], off["frozen"]) == (0, False)
            made = await maker.set_mmp("BTC", 10, quantity_limit="0.6", frozen_time=3_600)
            limits = [made[f"{name}_limit"] for name in ("quantity", "delta", "vega")]
            assert limits == ["0.6", "0", "0"]
            quotes = [two_sided(BTC, 100_000, 50), two_sided(ETH, 4_000, 5, "2")]
            await maker.mass_quote(quotes)
            await maker.mass_quote([two_sided(BTC, 100_000, 60, name="second")])
            await maker.mass_quote([two_sided(BTC, 100_000, 70, name="third")])
            await maker.create_order(BTC, "sell", "0.1", 100_500)  # not protected
            taken = await taker.create_order(
                BTC, "buy", "1.2", 100_100, time_in_force="immediate_or_cancel"
            )
            # the limit is reached by the second fill of the sweep: the third quote is gone
            assert taken["order"]["filled_amount"] == "1"
            found = await prices(maker)
            assert set(found) == {"BTC sell", "ETH buy", "ETH sell"}
            assert found["BTC sell"] == "100500"
            frozen = await maker.fetch_mmp("BTC")
            assert frozen["frozen"] and frozen["frozen_until"] > 0
            refused = await maker.mass_quote([two_sided(BTC, 100_000, 50)])
            assert {e["error"]["message"] for e in refused["errors"]} == {"QuotesFrozen"}
            single = maker.create_order(BTC, "buy", "0.1", 99_000, mmp=True)
            assert await name_of(single) == "QuotesFrozen"
            [trigger] = told
            assert (trigger["index_name"], trigger["frozen_until"]) == (
                "btc_usdc",
                frozen["frozen_until"],
            )
            assert await maker.reset_mmp("BTC") == "ok"
            assert not (await maker.fetch_mmp("BTC"))["frozen"]
            done = await maker.mass_quote([two_sided(BTC, 100_000, 50)])
            assert done["errors"] == []
            bad: list[tuple[str, dict[str, Any]]] = [
                ("InvalidField index_name", {"index_name": "doge_usdc"}),
                ("InvalidField interval", {"interval": -1}),
                ("InvalidField frozen_time", {"frozen_time": 86_401}),
                ("InvalidField quantity_limit", {"quantity_limit": "-1"}),
                ("InvalidField delta_limit", {"delta_limit": "NaN"}),
                ("InvalidField vega_limit", {"vega_limit": "-0.1"}),
            ]
            good = {"index_name": "btc_usdc", "interval": 1, "frozen_time": 1}
            for name, more in bad:
                assert await name_of(maker.call("private/set_mmp_config", **(good | more))) == name
            gone = await maker.set_mmp("BTC", 0)
            assert gone["interval"] == 0

    asyncio.run(run())
