"""When the outcome of an order is not known: what the API says to ask about, and what the SDK does.

Also: what is signed rests on the venue's clock, whatever the client's own says.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from typing import Any

import pytest
from support.venue_api import Trader, Venue, connected, served, trading, venue_of

from novate.api import core
from novate.api.venue import VenueApi
from novate.errors import OutcomeUnknown as Unknown
from novate.errors import Rejected
from novate.sdk import ApiError, AsyncClient, ConnectionLost, OutcomeUnknown
from novate.wire.records import AnyRecord, QuotesPlaced

MAKER, TAKER = Trader("outcome maker"), Trader("outcome taker")
BTC, ETH = "BTC/USDC:USDC", "ETH-PERPETUAL"
venue = venue_of(MAKER, TAKER)


def loses(api: VenueApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """No command's outcome is known from now on."""

    def begin(commands: list[AnyRecord]) -> core.Answer:
        answer: core.Answer = asyncio.get_running_loop().create_future()
        answer.set_exception(Rejected(Unknown))
        return answer

    monkeypatch.setattr(api.core, "begin", begin)


def test_an_unknown_outcome_says_which_orders_to_ask_about(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as wire:
            await wire.result("public/auth", **MAKER.login(api.separator))
            asked = MAKER.order(api, "0.1", "90000")
            direction = {k: v for k, v in asked.items() if k != "signature"}
            shown = await wire.result(
                "public/get_order_digest", account=f"0x{MAKER.account:064x}", **direction
            )
            opened = await wire.result("private/buy", **MAKER.order(api, "0.1", "90000"))
            with monkeypatch.context() as patch:
                loses(api, patch)
                bought = (await wire.call("private/buy", **asked))["error"]
                cancelled = await wire.call("private/cancel", order_id=opened["order"]["order_id"])
                every = (await wire.call("private/cancel_all"))["error"]
            assert (bought["code"], bought["message"]) == (13999, "OutcomeUnknown")
            assert bought["data"]["order_ids"] == [shown["digest"]]
            ids = cancelled["error"]["data"]["order_ids"]
            assert ids == [opened["order"]["order_id"]]
            assert every["code"] == 13999 and "order_ids" not in every["data"]
            await wire.result("private/cancel_all")

    asyncio.run(run())


def test_an_unknown_outcome_of_quotes_names_every_side(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), AsyncClient(url, MAKER.signing_key) as maker:
            quotes = [
                {"symbol": BTC, "bid": ("99000", "0.1"), "ask": ("101000", "0.1")},
                {"symbol": ETH, "bid": ("3900", "1")},
            ]
            sent: list[list[AnyRecord]] = []
            real = api.core.begin

            def begin(commands: list[AnyRecord]) -> core.Answer:
                sent.append(commands)
                real(commands)
                answer: core.Answer = asyncio.get_running_loop().create_future()
                answer.set_exception(Rejected(Unknown))
                return answer

            with monkeypatch.context() as patch:
                patch.setattr(api.core, "begin", begin)
                with pytest.raises(OutcomeUnknown) as caught:
                    await maker.mass_quote(quotes)
            [[command]] = sent
            assert isinstance(command, QuotesPlaced)
            ids = tuple("0x" + quote.digest.hex() for quote in command.quotes)
            assert caught.value.order_ids == ids and caught.value.order_id == ids[0]
            async with asyncio.timeout(5):
                while not all(bytes.fromhex(i[2:]) in api.orders.by_digest for i in ids):
                    await asyncio.sleep(0.01)
            states = [(await maker.fetch_order(order_id))["order_state"] for order_id in ids]
            assert states == ["open"] * 3
            await maker.cancel_all_orders()

    asyncio.run(run())


class Scripted:
    """A transport whose answers to ``private`` methods are written down beforehand."""

    def __init__(self, taken: AsyncClient, monkeypatch: pytest.MonkeyPatch, *script: Any) -> None:
        self.script, self.asked = list(script), list[str]()
        monkeypatch.setattr(taken._transport, "call", self.call)

    async def call(self, method: str, params: dict[str, Any], order_id: str = "") -> Any:
        self.asked.append(method.removeprefix("private/"))
        found = self.script.pop(0)
        if isinstance(found, OutcomeUnknown):
            raise OutcomeUnknown(order_id)
        if isinstance(found, Exception):
            raise found
        return found


def refused(name: str, retryable: bool = False) -> ApiError:
    return ApiError(10004, name, "", retryable)


LOST, AWAY = OutcomeUnknown(), ConnectionLost("away")
NOT_FOUND, BUSY = refused("OrderNotFound"), refused("Overloaded", retryable=True)
STATE = {"order_state": "open"}


@pytest.mark.parametrize(
    ("script", "asked", "outcome"),
    [
        ([LOST, AWAY], ["buy", "get_order_state"], OutcomeUnknown),
        ([LOST, LOST], ["buy", "get_order_state"], OutcomeUnknown),
        ([LOST, BUSY], ["buy", "get_order_state"], OutcomeUnknown),
        ([LOST, NOT_FOUND, AWAY], ["buy", "get_order_state", "buy"], OutcomeUnknown),
        ([LOST, NOT_FOUND, LOST], ["buy", "get_order_state", "buy"], OutcomeUnknown),
        ([LOST, NOT_FOUND, BUSY], ["buy", "get_order_state", "buy"], ApiError),
        ([AWAY, AWAY], ["buy", "get_order_state"], ConnectionLost),
        ([AWAY, NOT_FOUND, AWAY], ["buy", "get_order_state", "buy"], ConnectionLost),
        ([AWAY, NOT_FOUND, LOST], ["buy", "get_order_state", "buy"], OutcomeUnknown),
    ],
)
def test_what_may_have_been_sent_is_never_said_not_to_have_been(
    venue: Venue,
    monkeypatch: pytest.MonkeyPatch,
    script: list[Any],
    asked: list[str],
    outcome: type[Exception],
) -> None:
    async def run() -> None:
        async with trading(venue, MAKER) as (maker,):
            order_id, request = maker.sign_order(BTC, "buy", "0.1", 90_000)
            with monkeypatch.context() as patch:
                scripted = Scripted(maker, patch, *script)
                with pytest.raises(outcome) as caught:
                    await maker.send_order("buy", order_id, request)
                assert scripted.asked == asked and scripted.script == []
            if isinstance(caught.value, OutcomeUnknown):
                assert caught.value.order_ids == (order_id,)

    asyncio.run(run())


def test_an_order_whose_answer_was_lost_is_found_or_sent_again(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with trading(venue, MAKER) as (maker,):
            order_id, request = maker.sign_order(BTC, "buy", "0.1", 90_000)
            for script, found in (([LOST, STATE], STATE), ([LOST, NOT_FOUND, {"order": 1}], 1)):
                with monkeypatch.context() as patch:
                    Scripted(maker, patch, *script)
                    sent = await maker.send_order("buy", order_id, request)
                    assert sent["order"] == found

    asyncio.run(run())


def test_a_nonce_that_another_machine_has_used_is_left_and_the_order_signed_anew(
    venue: Venue,
) -> None:
    async def run() -> None:
        async with trading(venue, MAKER) as (maker,):
            nonce = maker._nonces.take()
            order_id, request = maker.sign_order(BTC, "buy", "0.1", 90_000, nonce=nonce + 1)
            await maker.send_order("buy", order_id, request)
            placed = await maker.create_order(BTC, "buy", "0.1", 90_001)
            assert placed["order"]["order_state"] == "open"
            assert placed["order"]["nonce"] // 256 != nonce // 256
            assert len(await maker.fetch_open_orders()) == 2

    asyncio.run(run())


WRONG_CLOCK = """
import sys, time
wrong = float(sys.argv[1]) * 3_600
now, now_ns = time.time, time.time_ns
time.time = lambda: now() + wrong
time.time_ns = lambda: now_ns() + int(wrong) * 10**9
import asyncio, json
from novate.sdk import AsyncClient, SigningKey

async def run(url, key):
    async with AsyncClient(url, SigningKey(key)) as maker:
        placed = await maker.create_order("BTC/USDC:USDC", "buy", "0.1", 90_000)
        [seen] = await maker.fetch_block_rfqs(role="maker")
        offer = await maker.quote_block_rfq(seen, "sell", [100_020], lasts=20)
        print(json.dumps({"order": placed["order"], "offer": offer}))
asyncio.run(run(*sys.argv[2:]))
"""


@pytest.mark.parametrize("hours", [-1, 1])
def test_a_clients_clock_that_is_an_hour_off_changes_nothing(venue: Venue, hours: int) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), AsyncClient(url, TAKER.signing_key) as taker:
            await taker.create_block_rfq([(BTC, "buy", "0.3")])
            arguments = ["-c", WRONG_CLOCK, str(hours), url, MAKER.key.key.hex()]
            child = await asyncio.create_subprocess_exec(
                sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
            )
            out, _ = await child.communicate()
            made = json.loads(out)
            assert made["order"]["expiry"] == pytest.approx(time.time() + 86_400, abs=30)
            assert made["offer"]["expiry"] == pytest.approx(time.time() + 20, abs=15)
            done = await taker.accept_block_rfq(made["offer"])
            assert done["state"] == "filled"

    asyncio.run(run())
