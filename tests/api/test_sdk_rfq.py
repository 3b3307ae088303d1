"""Block RFQ through the SDK: what is refused before it is sent, and that answers lost are asked
again.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.venue_api import Trader, Venue, served, venue_of

from novate.sdk import AsyncClient, ConnectionLost, OutcomeUnknown

TAKER, MAKER = Trader("sdk rfq taker"), Trader("sdk rfq maker")
BTC, ETH = "BTC/USDC:USDC", "ETH-PERPETUAL"
venue = venue_of(TAKER, MAKER)


def test_a_package_is_traded_and_a_lost_answer_is_asked_for_again(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, TAKER.signing_key) as taker,
            AsyncClient(url, MAKER.signing_key) as maker,
        ):
            asked = await taker.create_block_rfq([(BTC, "buy", "0.3"), (ETH, "sell", 1)])
            [seen] = await maker.fetch_block_rfqs(role="maker")
            offer = await maker.quote_block_rfq(seen, "sell", [100_020, "3999.5"])
            lost: list[str] = []
            call = taker.call

            async def lossy(method: str, **params: Any) -> Any:
                found = await call(method, **params)
                if not lost:
                    lost.append(method)
                    raise OutcomeUnknown("")
                return found

            monkeypatch.setattr(taker, "call", lossy)
            done = await taker.accept_block_rfq(offer)
            assert lost == ["private/accept_block_rfq"] and done["state"] == "filled"
            assert [t["amount"] for t in done["trades"]] == ["0.3", "1"]
            positions = {p["instrument_name"]: p["size"] for p in await taker.fetch_positions()}
            assert positions == {"BTC-PERPETUAL": "0.3", "ETH-PERPETUAL": "-1"}
            assert asked["block_rfq_id"] == done["block_rfq_id"]

    asyncio.run(run())


def test_requests_and_quotes_are_taken_back(venue: Venue) -> None:
    async def run() -> None:
        async with (
            served(venue) as (_, url),
            AsyncClient(url, TAKER.signing_key) as taker,
            AsyncClient(url, MAKER.signing_key) as maker,
        ):
            asked = await taker.create_block_rfq([(BTC, "sell", "0.1")], label="mine")
            offer = await maker.quote_block_rfq(asked, "buy", [99_990])
            gone = await maker.cancel_block_rfq_quote(offer["block_rfq_quote_id"])
            assert gone["quote_state"] == "cancelled"
            assert (await taker.cancel_block_rfq(asked["block_rfq_id"]))["state"] == "cancelled"
            assert await taker.fetch_block_rfqs() == []

    asyncio.run(run())


def test_what_does_not_fit_is_said_before_it_is_sent(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, MAKER.signing_key) as maker:
            asked = {"legs": [{"direction": "buy"}], "block_rfq_id": "0x" + "00" * 32}
            with pytest.raises(ValueError, match="a price for each of 1 legs"):
                await maker.quote_block_rfq(asked, "sell", [])
            with pytest.raises(ValueError, match="not a multiple"):
                await maker.create_block_rfq([(BTC, "buy", "0.00001")])
            with pytest.raises(ValueError, match="not listed"):
                await maker.create_block_rfq([("DOGE-PERPETUAL", "buy", 1)])
            async with AsyncClient(url) as reader:
                leg = {"instrument_name": "BTC-PERPETUAL", "direction": "buy", "amount": "1"}
                with pytest.raises(ValueError, match="a key is needed"):
                    await reader.quote_block_rfq(asked | {"legs": [leg]}, "sell", [1])
        with pytest.raises(ConnectionLost):
            async with AsyncClient("http://127.0.0.1:9", MAKER.signing_key):
                pass

    asyncio.run(run())
