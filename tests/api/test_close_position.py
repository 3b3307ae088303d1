"""Closing a position, and what a post-only order says about sliding."""

from __future__ import annotations

import asyncio
from typing import Any

from support.venue_api import Client, Trader, Venue, connected, served, venue_of

from novate.api.venue import VenueApi
from novate.model.order import IMMEDIATE, REDUCE_ONLY, Order
from novate.units import WAD
from novate.wire import eip712

ONE, TWO = Trader("closing one"), Trader("closing two")
BTC, CLOSE = "BTC-PERPETUAL", "private/close_position"
venue = venue_of(ONE, TWO)


def closing(api: VenueApi, trader: Trader, lots: int, price: int, **more: Any) -> dict[str, Any]:
    """Parameters of ``private/close_position``: signed lots, the taker's."""
    trader.nonce += 1
    order = Order(
        account=trader.account,
        instrument=api.market.named(BTC).id,
        lots=lots,
        price=price * WAD,
        max_fee=WAD,
        nonce=trader.nonce,
        expiry=2**32,
        flags=IMMEDIATE | REDUCE_ONLY,
    )
    digest = eip712.order_digest(api.separator, order)
    size = abs(lots)
    return {
        "instrument_name": BTC,
        "amount": f"{size // 1000}.{size % 1000:03}",
        "price": str(price),
        "max_fee": "1",
        "nonce": trader.nonce,
        "expiry": 2**32,
        "signature": trader.signed(digest),
        **more,
    }


async def refused(client: Client, method: str, **params: Any) -> str:
    reply = await client.call(method, **params)
    assert "error" in reply, reply
    return f"{reply['error']['message']} {reply['error']['data']['detail'].split(':')[0]}".strip()


def test_a_position_is_closed_and_no_more_than_that(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            for client, trader in ((one, ONE), (two, TWO)):
                await client.result("public/auth", **trader.login(api.separator))
            none = closing(api, TWO, -300, 99_900)
            assert await refused(two, CLOSE, **none) == "ReduceOnly instrument_name"
            await one.result("private/sell", **ONE.order(api, "0.3", "100000", sells=True))
            bought = TWO.order(api, "0.3", "100000", time_in_force="immediate_or_cancel")
            await two.result("private/buy", **bought)
            await one.result("private/buy", **ONE.order(api, "0.5", "99950"))

            more = closing(api, TWO, -301, 99_900)
            assert await refused(two, CLOSE, **more) == "ReduceOnly amount"
            wrong_way = closing(api, TWO, 300, 100_100)
            assert await refused(two, CLOSE, **wrong_way) == "BadSignature"
            rests = closing(api, TWO, -300, 99_900, time_in_force="good_til_cancelled")
            assert await refused(two, CLOSE, **rests) == "InvalidField time_in_force"
            opens = closing(api, TWO, -300, 99_900, reduce_only=False)
            assert await refused(two, CLOSE, **opens) == "InvalidField reduce_only"

            part = await two.result(CLOSE, **closing(api, TWO, -100, 99_900))
            assert part["order"]["filled_amount"] == "0.1" and part["order"]["reduce_only"]
            rest = closing(api, TWO, -200, 99_900)
            done = await two.result(CLOSE, **rest)
            assert [t["price"] for t in done["trades"]] == ["99950"]
            assert await two.result("private/get_positions") == []
            # the same again is the same answer, though there is nothing to close any more
            assert await two.result(CLOSE, **rest) == done
            await one.result("private/cancel_all")

    asyncio.run(run())
