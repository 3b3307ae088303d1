"""Orders in bulk: one signature over a tree, one request, each with an outcome of its own."""

from __future__ import annotations

import asyncio
from typing import Any

from support.venue_api import Trader, Venue, connected, served, venue_of

from novate.model.bulk import ORDERS_MAX
from novate.model.order import IMMEDIATE, Order
from novate.units import WAD
from novate.wire.bulk import sign_bulk

ONE, TWO = Trader("bulk one"), Trader("bulk two")
PLACE = "private/place_orders"
Legs = list[tuple[int, int, bool]]
venue = venue_of(ONE, TWO)


def tree(trader: Trader, separator: bytes, legs: Legs) -> dict[str, Any]:
    """Parameters of ``private/place_orders``: (signed lots, dollars, whether immediate)."""
    orders, fields = [], []
    for lots, dollars, immediate in legs:
        trader.nonce += 1
        orders.append(
            Order(
                account=trader.account,
                instrument=1,
                lots=lots,
                price=dollars * WAD,
                max_fee=WAD,
                nonce=trader.nonce,
                expiry=2**32,
                flags=IMMEDIATE * immediate,
            )
        )
        force = {"time_in_force": "immediate_or_cancel"} if immediate else {}
        fields.append(
            {
                "instrument_name": "BTC-PERPETUAL",
                "direction": "sell" if lots < 0 else "buy",
                "amount": f"0.{abs(lots):03d}",
                "price": str(dollars),
                "max_fee": "1",
                "nonce": trader.nonce,
                "expiry": 2**32,
                **force,
            }
        )
    signed = sign_bulk(trader.secret, separator, orders)
    return {"orders": fields, "signature": f"0x{signed.r:064x}{signed.vs:064x}"}


def test_each_order_of_a_tree_has_an_outcome_of_its_own_and_enters_once(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one, connected(url) as two:
            await one.result("public/auth", **ONE.login(api.separator))
            await two.result("public/auth", **TWO.login(api.separator))
            resting = tree(ONE, api.separator, [(-5, 100_000, False), (-4, 100_010, False)])
            found = await one.result(PLACE, **resting)
            assert [o["order_state"] for o in found] == ["open", "open"]
            again = await one.result(PLACE, **resting)
            assert again == found, "sent twice, entered once"
            assert len(await one.result("private/get_open_orders")) == 2
            legs = [(5, 100_000, True), (9 * 10**2, 99_000, False), (1, 99_990, False)]
            found = await two.result(PLACE, **tree(TWO, api.separator, legs))
            assert (found[0]["order_state"], found[0]["filled_amount"]) == ("filled", "0.005")
            assert [o["order_state"] for o in found[1:]] == ["open", "open"]
            bad = tree(TWO, api.separator, [(1, 99_000, False), (1, 99_001, False)])
            bad["orders"][1]["nonce"] = 1 << 40
            reply = await two.call(PLACE, **bad)
            assert reply["error"]["message"] == "BadSignature", "one field of one order is another"
            reply = await two.call(PLACE, orders=[], signature="0x" + "00" * 64)
            assert reply["error"]["message"] == "TooManyItems"

    asyncio.run(run())


def test_as_many_as_a_tree_holds_fit_one_message(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as one:
            await one.result("public/auth", **ONE.login(api.separator))
            legs = [(-1, 101_000 + n, False) for n in range(ORDERS_MAX)]
            found = await one.result(PLACE, **tree(ONE, api.separator, legs))
            assert [o["order_state"] for o in found] == ["open"] * ORDERS_MAX
            assert await one.result("private/cancel_all") >= ORDERS_MAX

    asyncio.run(run())
