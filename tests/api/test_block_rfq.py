"""Block RFQ over a real chain: who sees what, what trades, and each thing that is refused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.rfq import BTC, ETH, LEGS, PRICES, acceptance, quote
from support.venue_api import Client, Trader, Venue, connected, served, venue_of

from novate.api import rfq as desk_module
from novate.api.venue import VenueApi
from novate.model.order import IMMEDIATE, ZERO_ADDRESS
from novate.wire import records

TAKER, MAKER, RIVAL, POOR = (Trader(f"rfq {n}") for n in ("taker", "maker", "rival", "poor"))
CHANNELS = ["block_rfq.maker.any", "block_rfq.taker.BTC", "block_rfq.maker.quotes.any"]
venue = venue_of(TAKER, MAKER, RIVAL)


@asynccontextmanager
async def room(venue: Venue) -> AsyncIterator[tuple[VenueApi, Client, Client, Client]]:
    """The venue with taker, maker and rival logged in."""
    async with (
        served(venue) as (api, url),
        connected(url) as taker,
        connected(url) as maker,
        connected(url) as rival,
    ):
        for client, trader in ((taker, TAKER), (maker, MAKER), (rival, RIVAL)):
            await client.result("public/auth", **trader.login(api.separator))
        yield api, taker, maker, rival


async def refused(client: Client, method: str, **params: Any) -> str:
    """The name of the rejection, and the field it is about."""
    reply = await client.call(method, **params)
    assert "error" in reply, reply
    return f"{reply['error']['message']} {reply['error']['data']['detail'].split(':')[0]}".strip()


async def sizes(client: Client) -> dict[str, Decimal]:
    """What an account holds."""
    return {
        row["instrument_name"]: Decimal(row["size"])
        for row in await client.result("private/get_positions")
    }


def told(client: Client, channel: str) -> list[Any]:
    """What a channel told a client so far."""
    found = [m["params"] for m in client.pushed if m.get("method") == "subscription"]
    return [p["data"] for p in found if p["channel"] == channel]


def test_a_package_is_asked_for_quoted_and_traded_as_a_whole(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            for client in (taker, maker, rival):
                await client.result("public/subscribe", channels=CHANNELS)
            await rival.result("public/subscribe", channels=["block_rfq.trades.any"])
            asked = await taker.result("private/create_block_rfq", legs=LEGS, label="mine")
            assert (asked["state"], asked["role"], asked["label"]) == ("open", "taker", "mine")

            # the maker sees the legs, and not who asks
            [seen] = await maker.result("private/get_block_rfqs")
            assert seen["legs"] == LEGS and seen["taker"] is None and "label" not in seen
            [pushed] = told(maker, "block_rfq.maker.any")
            assert pushed == seen

            sent = quote(api, MAKER, seen)
            quoted = await maker.result("private/add_block_rfq_quote", **sent)
            assert [leg["direction"] for leg in quoted["legs"]] == ["sell", "buy"]
            assert quoted["total"] == str(Decimal("0.1") * 100_010 - 2 * 3_999).rstrip("0").rstrip(
                "."
            )
            # nobody else sees the quote
            [other] = await rival.result("private/get_block_rfqs")
            assert other["quotes"] == [] and told(rival, "block_rfq.maker.quotes.any") == []
            assert await rival.result("private/get_block_rfq_quotes") == []
            cheaper = quote(api, RIVAL, seen, prices=("100009", "3999"))
            await rival.result("private/add_block_rfq_quote", **cheaper)
            [mine] = await taker.result("private/get_block_rfqs", role="taker")
            assert [leg["legs"][0]["price"] for leg in mine["asks"]] == ["100009", "100010"]
            assert told(taker, "block_rfq.taker.BTC")[-1]["asks"] == mine["asks"]

            before = [await sizes(client) for client in (taker, maker)]
            chosen = next(q for q in mine["asks"] if q["legs"][0]["price"] == "100010")
            accepted = acceptance(api, TAKER, mine, chosen)
            done = await taker.result("private/accept_block_rfq", **accepted)
            assert done["state"] == "filled"
            assert [(t["instrument_name"], t["price"], t["direction"]) for t in done["trades"]] == [
                (BTC, "100010", "buy"),
                (ETH, "3999", "sell"),
            ]
            assert {t["block_rfq_id"] for t in done["trades"]} == {asked["block_rfq_id"]}
            assert [o["order_state"] for o in done["orders"]] == ["filled", "filled"]
            after = [await sizes(client) for client in (taker, maker)]
            for sign, old, new in zip((1, -1), before, after, strict=True):
                assert new.get(BTC, 0) - old.get(BTC, 0) == sign * Decimal("0.1")
                assert new.get(ETH, 0) - old.get(ETH, 0) == sign * -2
            # the same again is the same answer, and trades nothing
            assert await taker.result("private/accept_block_rfq", **accepted) == done
            assert [await sizes(client) for client in (taker, maker)] == after

            # everybody learns that it traded, the maker that it was its quote
            [published] = await rival.result("public/get_block_rfq_trades", count=1)
            await maker.result("public/test")
            [block] = told(rival, "block_rfq.trades.any")
            assert block == published and block["trades"] == done["trades"]
            assert told(maker, "block_rfq.maker.quotes.any")[-1]["quote_state"] == "filled"
            assert told(rival, "block_rfq.maker.any")[-1]["state"] == "filled"
            book = await taker.result("public/get_order_book", instrument_name=BTC)
            assert book["bids"] == book["asks"] == []

    asyncio.run(run())


def test_the_taker_may_sell_to_a_bid(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, _):
            asked = await taker.result("private/create_block_rfq", legs=LEGS[:1], disclosed=True)
            [seen] = await maker.result("private/get_block_rfqs")
            assert seen["taker"] == f"0x{TAKER.account:064x}"
            sent = quote(api, MAKER, seen, "buy", PRICES[:1])
            bid = await maker.result("private/add_block_rfq_quote", **sent)
            wrong = acceptance(api, TAKER, asked, bid, "buy")
            name = await refused(taker, "private/accept_block_rfq", **wrong)
            assert name == "QuoteMismatch direction"
            good = acceptance(api, TAKER, asked, bid, "sell")
            done = await taker.result("private/accept_block_rfq", **good)
            assert done["trades"][0]["direction"] == "sell"

    asyncio.run(run())


def test_a_request_is_bounded_and_may_be_sent_again(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with room(venue) as (_, taker, maker, rival):
            create = "private/create_block_rfq"
            bad: list[tuple[str, dict[str, Any]]] = [
                ("InvalidField legs", {"legs": []}),
                ("InvalidField legs", {"legs": [LEGS[0], LEGS[0]]}),
                ("InvalidField legs[0].amount", {"legs": [LEGS[0] | {"amount": "0.00005"}]}),
                ("InvalidField legs[0].instrument_name", {"legs": [LEGS[0] | WETH]}),
                ("UnknownInstrument instrument_name", {"legs": [LEGS[0] | NONE]}),
                ("InvalidField valid_for", {"legs": LEGS, "valid_for": 1}),
                ("InvalidField nonce", {"legs": LEGS, "nonce": -1}),
                ("InvalidField label", {"legs": LEGS, "label": "x" * 65}),
                ("InvalidField makers", {"legs": LEGS, "makers": ["0x1"] * 33}),
            ]
            for name, params in bad:
                assert await refused(taker, create, **params) == name
            first = await taker.result(create, legs=LEGS, nonce=7)
            assert await taker.result(create, legs=LEGS, nonce=7) == first
            assert await refused(taker, create, legs=LEGS[:1], nonce=7) == "NonceUsed"
            # the nonce of another is another request
            other = await rival.result(create, legs=LEGS, nonce=7)
            assert other["block_rfq_id"] != first["block_rfq_id"]
            for _ in range(desk_module.OPEN_PER_ACCOUNT_MAX - 1):
                await taker.result(create, legs=LEGS)
            assert (await refused(taker, create, legs=LEGS)).startswith("RfqLimit")
            names = [r["block_rfq_id"] for r in await taker.result(LIST, role="taker")]
            assert await refused(maker, CANCEL, block_rfq_id=names[0]) == "RfqNotFound"
            for name in names:
                ended = await taker.result(CANCEL, block_rfq_id=name)
                assert ended["state"] == "cancelled"
            assert await refused(taker, CANCEL, block_rfq_id=names[0]) == "RfqNotFound"
            assert await refused(taker, CANCEL, block_rfq_id="0x12") == "InvalidField block_rfq_id"
            await rival.result(CANCEL, block_rfq_id=other["block_rfq_id"])
            monkeypatch.setattr(desk_module, "OPEN_MAX", 0)
            assert (await refused(taker, create, legs=LEGS)).startswith("RfqLimit")

    asyncio.run(run())


LIST, CANCEL = "private/get_block_rfqs", "private/cancel_block_rfq"
QUOTE, ACCEPT = "private/add_block_rfq_quote", "private/accept_block_rfq"
WETH, NONE = {"instrument_name": "WETH"}, {"instrument_name": "BTC-1JAN30"}


def test_a_request_ends_by_itself_and_says_so(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("novate.api.rfq_methods.SECONDS_MIN", 1)

    async def run() -> None:
        async with room(venue) as (api, taker, maker, _):
            await maker.result("public/subscribe", channels=["block_rfq.maker.BTC"])
            asked = await taker.result("private/create_block_rfq", legs=LEGS, valid_for=1)
            quoted = await maker.result(QUOTE, **quote(api, MAKER, asked, lasts_s=1))
            await asyncio.sleep(1.3)
            assert await taker.result(LIST) == []
            await maker.result("public/test")
            assert [r["state"] for r in told(maker, "block_rfq.maker.BTC")] == ["open", "expired"]
            late = quote(api, MAKER, asked)
            assert await refused(maker, QUOTE, **late) == "RfqNotFound"
            taken = acceptance(api, TAKER, asked, quoted)
            assert await refused(taker, ACCEPT, **taken) == "RfqNotFound"
            [mine] = await taker.result(LIST, block_rfq_id=asked["block_rfq_id"])
            assert mine["state"] == "expired" and mine["asks"] == []

    asyncio.run(run())


def test_only_who_is_asked_may_quote_and_nobody_himself(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            makers = [f"0x{MAKER.account:064x}"]
            asked = await taker.result("private/create_block_rfq", legs=LEGS, makers=makers)
            assert await rival.result(LIST) == [] and len(await maker.result(LIST)) == 1
            unasked = await refused(rival, QUOTE, **quote(api, RIVAL, asked))
            assert unasked == "NotOwner others are asked"
            assert await refused(taker, QUOTE, **quote(api, TAKER, asked)) == "SelfMatch"
            await maker.result(QUOTE, **quote(api, MAKER, asked))
            await taker.result(CANCEL, block_rfq_id=asked["block_rfq_id"])

    asyncio.run(run())


def test_a_quote_is_whole_signed_and_its_makers(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            asked = await taker.result("private/create_block_rfq", legs=LEGS)
            good = quote(api, MAKER, asked)
            short = good | {"legs": good["legs"][:1]}
            swapped = good | {"legs": good["legs"][::-1]}
            other_price = [good["legs"][0] | {"price": "100009"}, good["legs"][1]]
            soon = [good["legs"][0] | {"expiry": 5}, good["legs"][1]]
            bad = [
                ("QuoteMismatch legs", short),
                ("QuoteMismatch legs[0].instrument_name", swapped),
                ("BadSignature", good | {"legs": other_price}),
                ("InvalidField legs", good | {"legs": soon}),
                ("BadSignature", good | {"direction": "buy"}),
                ("InvalidField expiry", good | {"expiry": 5}),
                ("InvalidField expiry", good | {"expiry": good["expiry"] + 3_600}),
                ("NoConsent", good | {"expiry": good["expiry"] - 1}),
                ("NoConsent", good | {"consent": RIVAL.signed(bytes(32))}),
                ("InvalidField consent", good | {"consent": "0x12"}),
                ("RfqNotFound", good | {"block_rfq_id": "0x" + "00" * 32}),
                # signed for the book, for anybody, or to rest
                ("BadSignature", quote(api, MAKER, asked, revision=0)),
                ("BadSignature", quote(api, MAKER, asked, executor=ZERO_ADDRESS)),
                ("BadSignature", quote(api, MAKER, asked, flags=0)),
            ]
            for name, params in bad:
                assert await refused(maker, QUOTE, **params) == name, params
            # somebody else's signed quote is nobody's to send
            assert await refused(rival, QUOTE, **good) == "BadSignature"
            kept = await maker.result(QUOTE, **good)
            assert await maker.result(QUOTE, **good) == kept
            # a later one of that side takes its place; the other side stands beside it
            later = await maker.result(QUOTE, **quote(api, MAKER, asked, prices=("100011", "3998")))
            bid = await maker.result(QUOTE, **quote(api, MAKER, asked, "buy"))
            [mine] = await taker.result(LIST)
            names = [q["block_rfq_quote_id"] for q in (*mine["asks"], *mine["bids"])]
            assert names == [later["block_rfq_quote_id"], bid["block_rfq_quote_id"]]
            only = {"block_rfq_id": asked["block_rfq_id"]}
            assert len(await maker.result("private/get_block_rfq_quotes", **only)) == 2

            cancel = "private/cancel_block_rfq_quote"
            gone = {"block_rfq_quote_id": kept["block_rfq_quote_id"]}
            assert await refused(maker, cancel, **gone) == "QuoteNotFound"
            own = {"block_rfq_quote_id": later["block_rfq_quote_id"]}
            assert await refused(rival, cancel, **own) == "QuoteNotFound"
            assert (await maker.result(cancel, **own))["quote_state"] == "cancelled"
            taken = acceptance(api, TAKER, asked, later)
            assert await refused(taker, ACCEPT, **taken) == "QuoteNotFound"
            assert await maker.result("private/cancel_all_block_rfq_quotes") == 1
            await taker.result(CANCEL, block_rfq_id=asked["block_rfq_id"])

    asyncio.run(run())


def test_quotes_are_bounded(venue: Venue, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            asked = await taker.result("private/create_block_rfq", legs=LEGS)
            monkeypatch.setattr(desk_module, "QUOTES_PER_ACCOUNT_MAX", 1)
            await maker.result(QUOTE, **quote(api, MAKER, asked))
            await maker.result(QUOTE, **quote(api, MAKER, asked))  # in the former's place
            more = await refused(maker, QUOTE, **quote(api, MAKER, asked, "buy"))
            assert more.startswith("RfqLimit")
            monkeypatch.setattr(desk_module, "QUOTES_PER_RFQ_MAX", 1)
            full = await refused(rival, QUOTE, **quote(api, RIVAL, asked))
            assert full.startswith("RfqLimit")
            await taker.result(CANCEL, block_rfq_id=asked["block_rfq_id"])

    asyncio.run(run())


def test_what_is_accepted_is_what_was_quoted(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            asked = await taker.result("private/create_block_rfq", legs=LEGS)
            quoted = await maker.result(QUOTE, **quote(api, MAKER, asked))
            good = acceptance(api, TAKER, asked, quoted)
            worse = quoted | {"legs": [leg | {"price": "100020"} for leg in quoted["legs"]]}
            later = quoted | {"expiry": quoted["expiry"] + 1}
            other = quoted | {"block_rfq_quote_id": "0x" + "11" * 32}
            bad = [
                ("QuoteMismatch legs[0].price", acceptance(api, TAKER, asked, worse)),
                ("NoConsent", acceptance(api, TAKER, asked, later)),
                ("QuoteNotFound", acceptance(api, TAKER, asked, other)),
                ("NoConsent", good | {"consent": MAKER.signed(bytes(32))}),
                ("BadSignature", acceptance(api, TAKER, asked, quoted, flags=IMMEDIATE | 1)),
            ]
            for name, params in bad:
                assert await refused(taker, ACCEPT, **params) == name
            # only who asked accepts
            stolen = acceptance(api, RIVAL, asked, quoted)
            assert await refused(rival, ACCEPT, **stolen) == "RfqNotFound"
            # two at once from two connections are one block
            answers = await asyncio.gather(
                taker.call(ACCEPT, **good), taker_again(api, taker, good)
            )
            assert [a["result"]["state"] for a in answers] == ["filled", "filled"]
            assert answers[0]["result"]["trades"] == answers[1]["result"]["trades"]

    async def taker_again(api: VenueApi, client: Client, params: dict[str, Any]) -> Any:
        url = str(client.socket._response.url).replace("/ws/api/v1", "")
        async with connected(url) as sister:
            await sister.result("public/auth", **TAKER.login(api.separator))
            return await sister.call(ACCEPT, **params)

    asyncio.run(run())


def test_what_the_engine_refuses_leaves_the_request_open(venue: Venue) -> None:
    """Too large for the taker: the error is the engine's; other quotes may still be taken."""

    async def run() -> None:
        async with room(venue) as (api, taker, maker, rival):
            legs = [LEGS[0] | {"amount": "90"}]
            asked = await taker.result("private/create_block_rfq", legs=legs)
            wide = quote(api, MAKER, asked, prices=("190000",))
            dear = await maker.result(QUOTE, **wide)
            fair = await rival.result(QUOTE, **quote(api, RIVAL, asked, prices=("100000",)))
            before = await sizes(taker)
            taken = acceptance(api, TAKER, asked, dear)
            assert await refused(taker, ACCEPT, **taken) == "PriceOutOfBand"
            [mine] = await taker.result(LIST)
            assert [q["block_rfq_quote_id"] for q in mine["asks"]] == [fair["block_rfq_quote_id"]]
            taken = acceptance(api, TAKER, asked, fair)
            assert await refused(taker, ACCEPT, **taken) == "InsufficientMargin"
            assert await sizes(taker) == before
            [mine] = await taker.result(LIST)
            assert mine["state"] == "open" and mine["asks"] == []
            await taker.result(CANCEL, block_rfq_id=asked["block_rfq_id"])

    asyncio.run(run())


def test_a_client_learns_what_a_restart_has_ended(venue: Venue, tmp_path: Path) -> None:
    """Two requests are open as the process dies, one traded and nobody was answered."""
    path = tmp_path / "requests.jsonl"

    async def die() -> list[dict[str, Any]]:
        async with room(venue) as (api, taker, maker, _):
            api.rfqs.keep(path)
            asked = await taker.result("private/create_block_rfq", legs=LEGS, nonce=1)
            quoted = await maker.result(QUOTE, **quote(api, MAKER, asked))
            traded = await taker.result("private/create_block_rfq", legs=LEGS[:1])
            bought = await maker.result(QUOTE, **quote(api, MAKER, traded, prices=PRICES[:1]))
            taken = acceptance(api, TAKER, traded, bought)
            noted = path.read_bytes()
            done = await taker.result(ACCEPT, **taken)
            path.write_bytes(noted)  # it died behind the journal's record
            dead = acceptance(api, TAKER, asked, quoted)
            return [asked, quoted, taken, done, dead, quote(api, MAKER, asked)]

    async def live(held: list[dict[str, Any]]) -> None:
        asked, quoted, taken, done, dead, late = held
        async with room(venue) as (api, taker, maker, rival):
            for entry in venue.journal.read():
                api.orders.follow(records.decode(entry.kind, entry.payload))
            api.rfqs.keep(path)
            for client in (taker, maker, rival):
                await client.result("public/subscribe", channels=CHANNELS)
                await client.result("public/test")
            [cut, filled] = told(taker, "block_rfq.taker.BTC")
            assert cut["block_rfq_id"] == asked["block_rfq_id"]
            assert (cut["state"], cut["reason"]) == ("cancelled", "venue_restarted")
            assert (filled["state"], filled["reason"]) == ("filled", None)
            for client, quotes in ((maker, 1), (rival, 0)):
                seen = told(client, "block_rfq.maker.any")
                assert [(r["state"], len(r["quotes"])) for r in seen] == [
                    ("cancelled", quotes),
                    ("filled", quotes),
                ]
                assert seen[0]["taker"] is None and told(client, "block_rfq.taker.BTC") == []
            mine = told(maker, "block_rfq.maker.quotes.any")
            assert [(q["quote_state"], q["reason"]) for q in mine] == [
                ("cancelled", "venue_restarted"),
                ("filled", None),
            ]
            assert told(rival, "block_rfq.maker.quotes.any") == []
            # the same is there to be asked for
            assert await taker.result(LIST) == [] == await maker.result(LIST)
            listed = await taker.result(LIST, state="cancelled")
            assert [r["reason"] for r in listed] == ["venue_restarted"]

            before = await sizes(taker)
            # consents to what is over are worth nothing, the one that traded has its first answer
            assert await refused(taker, ACCEPT, **dead) == "RfqNotFound venue_restarted"
            assert await refused(maker, QUOTE, **late) == "RfqNotFound venue_restarted"
            gone = {"block_rfq_quote_id": quoted["block_rfq_quote_id"]}
            assert await refused(maker, "private/cancel_block_rfq_quote", **gone) == "QuoteNotFound"
            again = await taker.result(ACCEPT, **taken)
            names = ("trade_id", "instrument_name", "price", "amount", "direction")
            assert [[t[n] for n in names] for t in again["trades"]] == [
                [t[n] for n in names] for t in done["trades"]
            ]
            assert again["state"] == "filled"
            assert await sizes(taker) == before
            # a nonce of then is no request of now
            new = await taker.result("private/create_block_rfq", legs=LEGS, nonce=1)
            assert new["state"] == "open" and new["block_rfq_id"] != asked["block_rfq_id"]
            await taker.result(CANCEL, block_rfq_id=new["block_rfq_id"])

    asyncio.run(live(asyncio.run(die())))


def test_an_order_signed_for_a_block_is_not_taken_to_the_book(venue: Venue) -> None:
    async def run() -> None:
        async with room(venue) as (api, taker, maker, _):
            asked = await taker.result("private/create_block_rfq", legs=LEGS)
            [first, _] = quote(api, MAKER, asked)["legs"]
            more = {"revision": 65_535, "executor": api.executor, "amount": "0.1"}
            name = await refused(
                maker, "private/sell", **first, **more, time_in_force="immediate_or_cancel"
            )
            assert name == "BlockOnly"
            await taker.result(CANCEL, block_rfq_id=asked["block_rfq_id"])

    asyncio.run(run())


def test_channels_are_private_to_who_is_logged_in(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (_, url), connected(url) as stranger:
            for channel in (*CHANNELS, "block_rfq.trades.DOGE", "block_rfq", "block_rfq.any"):
                name = await refused(stranger, "public/subscribe", channels=[channel])
                assert name.startswith("UnknownChannel"), channel
            await stranger.result("public/subscribe", channels=["block_rfq.trades.BTC"])
            assert await refused(stranger, "private/get_block_rfqs") == "NotAuthenticated"

    asyncio.run(run())
