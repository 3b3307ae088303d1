"""What an owner does on the chain: the venue's answer is a transaction that works there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from support.venue_api import PRICES, Client, Trader, Venue, connected, open_venue, post, served

from novate.api.venue import VenueApi
from novate.errors import Rejected
from novate.model.order import IMMEDIATE, Order
from novate.units import WAD
from novate.wire import eip712
from novate.wire.order import SignedOrder

OWNER, HELPER, DEEP, LIQUIDATOR = (Trader(f"owner {n}") for n in ("one", "key", "deep", "liq"))
SCOPE = "read trade withdraw"


@pytest.fixture(scope="module")
def venue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Venue]:
    folder: Path = tmp_path_factory.mktemp("venue")
    made = open_venue(folder, [OWNER, DEEP, LIQUIDATOR])
    for index, (trader, lots) in enumerate(((DEEP, 40_000), (LIQUIDATOR, -40_000))):
        order = Order(
            account=trader.account,
            instrument=1,
            lots=lots,
            price=100_000 * WAD,
            max_fee=WAD,
            nonce=1,
            expiry=2**32,
            flags=IMMEDIATE * (index == 1),
        )
        r, vs = eip712.sign(trader.secret, eip712.order_digest(made.separator, order))
        made.place(SignedOrder(order, r, vs))
    made.settle(made.now + 12)
    post(made, made.now + 12)
    assert dict(made.sequencer.world.ledger.accounts[DEEP.account].positions) == {1: 40_000}
    yield made
    made.close()


@asynccontextmanager
async def logged_in(venue: Venue, trader: Trader) -> AsyncIterator[tuple[VenueApi, Client]]:
    async with served(venue) as (api, url), connected(url) as client:
        api.deployment = venue.deployment
        await client.result("public/auth", **trader.login(api.separator, SCOPE))
        yield api, client


async def refused(client: Client, method: str, **params: Any) -> str:
    reply = await client.call(method, **params)
    assert "error" in reply, reply
    return f"{reply['error']['message']} {reply['error']['data']['detail'].split(':')[0]}".strip()


def sent(venue: Venue, trader: Trader, made: dict[str, Any]) -> None:
    """Send a transaction as it was answered, as its owner; it takes effect on the chain."""
    assert made["from"] == trader.address and made["value"] == "0"
    data = bytes.fromhex(made["data"][2:])
    venue.client.send(trader.key, made["to"], data)
    outcomes = venue.mine(venue.now + 12)
    assert [f"{o.contract}.{o.function}" for o in outcomes] == [made["name"]]


def test_a_withdrawal_is_two_transactions_of_the_owners(venue: Venue) -> None:
    async def ask(**params: Any) -> Any:
        async with logged_in(venue, OWNER) as (_, client):
            return await client.result("private/withdraw", **params)

    made = asyncio.run(ask(currency="USDC", amount="1000.5"))
    request, take = made["transactions"]
    assert (made["state"], made["amount"], made["address"]) == ("unsigned", "1000.5", OWNER.address)
    assert take["not_before"] == made["eligible_at"] > venue.now
    sent(venue, OWNER, request)
    raw, usdc = OWNER.account.to_bytes(32, "big"), venue.deployment.tokens["USDC"]
    amount, eligible, _ = venue.custody.call("request", raw, usdc)
    assert amount == 1_000_500_000 and abs(eligible - made["eligible_at"]) < 120

    async def others() -> None:
        async with logged_in(venue, OWNER) as (_, client):
            bad: list[tuple[str, dict[str, Any]]] = [
                ("RequestOpen", {"currency": "USDC", "amount": "1"}),
                ("InsufficientCash", {"currency": "WETH", "amount": "1"}),
                ("InvalidField currency", {"currency": "DOGE", "amount": "1"}),
                ("InvalidField amount", {"currency": "USDC", "amount": "0"}),
                ("InvalidField amount", {"currency": "USDC", "amount": "1.0000001"}),
                (
                    "InvalidField address",
                    {"currency": "USDC", "amount": "1", "address": DEEP.address},
                ),
            ]
            for name, params in bad:
                assert await refused(client, "private/withdraw", **params) == name
            back = await client.result("private/cancel_withdrawal", currency="USDC")
            assert back["amount"] == "1000.5"
            none = await refused(client, "private/cancel_withdrawal", currency="WETH")
            assert none == "NoRequest"
            cancels.append(back["transactions"][0])

    cancels: list[dict[str, Any]] = []
    asyncio.run(others())
    sent(venue, OWNER, cancels[0])
    assert venue.custody.call("request", raw, usdc)[0] == 0


def test_withdrawing_needs_its_own_scope(venue: Venue) -> None:
    async def run() -> None:
        async with served(venue) as (api, url), connected(url) as client:
            await client.result("public/auth", **OWNER.login(api.separator, "read trade"))
            found = await refused(client, "private/withdraw", currency="USDC", amount="1")
            assert found == "ScopeMissing withdraw"
            await client.result("public/auth", **OWNER.login(api.separator, SCOPE))
            api.deployment = None  # a venue that was not told where its contracts are
            assert await refused(client, "private/withdraw", currency="USDC", amount="1") == (
                "Unavailable"
            )

    asyncio.run(run())


def test_a_session_key_is_made_listed_and_removed(venue: Venue) -> None:
    fields = {
        "key": HELPER.address,
        "scope": "trade cancel",
        "max_notional": "250000.25",
        "max_loss": "1000",
        "currencies": ["BTC"],
    }
    steps: list[dict[str, Any]] = []

    async def create() -> None:
        async with logged_in(venue, OWNER) as (_, client):
            assert await client.result("private/list_session_keys") == []
            good = fields | {"expiry": venue.now + 3_600}
            bad: list[tuple[str, dict[str, Any]]] = [
                ("InvalidField key", {"key": "0x12"}),
                ("InvalidField scope", {"scope": ""}),
                ("InvalidField scope", {"scope": "withdraw"}),
                ("InvalidField currencies", {"currencies": ["DOGE"]}),
                ("InvalidField max_notional", {"max_notional": "0.001"}),
                ("InvalidField max_loss", {"max_loss": "-1"}),
                ("OutOfBounds", {"expiry": 5}),
                ("OutOfBounds", {"key": OWNER.address}),
            ]
            for name, params in bad:
                method = "private/create_session_key"
                assert await refused(client, method, **(good | params)) == name
            assert (
                await refused(client, "private/remove_session_key", key=HELPER.address)
                == "NoRequest"
            )
            made = await client.result("private/create_session_key", **good)
            assert await client.result("private/list_session_keys") == []  # only the owner makes it
            steps.append(made["transactions"][0])

    asyncio.run(create())
    sent(venue, OWNER, steps[0])

    async def listed() -> None:
        async with logged_in(venue, OWNER) as (_, client):
            [found] = await client.result("private/list_session_keys")
            assert found["key"] == HELPER.address and found["live"]
            assert (found["scope"], found["currencies"]) == ("trade cancel", ["BTC"])
            assert (found["notional_left"], found["loss_left"]) == ("250000.25", "1000")
            made = await client.result("private/remove_session_key", key=HELPER.address)
            assert made["session_key"]["removed_at"] > venue.now
            steps.append(made["transactions"][0])

    asyncio.run(listed())
    sent(venue, OWNER, steps[1])

    async def gone() -> None:
        async with logged_in(venue, OWNER) as (_, client):
            [found] = await client.result("private/list_session_keys")
            assert found["removed_at"] is not None

    asyncio.run(gone())


def test_an_owners_accounts_are_listed(venue: Venue) -> None:
    async def run() -> None:
        async with logged_in(venue, DEEP) as (_, client):
            [main] = await client.result("private/get_subaccounts", with_portfolio=True)
            assert (main["id"], main["type"], main["is_session"]) == (0, "main", True)
            assert main["account"] == f"0x{DEEP.account:064x}"
            summary = await client.result("private/get_account_summary")
            assert main["portfolio"]["usdc"]["equity"] == summary["equity"]
            [bare] = await client.result("private/get_subaccounts")
            assert "portfolio" not in bare

    asyncio.run(run())


def test_a_liquidator_is_given_the_auction_then_the_bid(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = f"0x{DEEP.account:064x}"

    async def ask(**more: Any) -> Any:
        async with logged_in(venue, LIQUIDATOR) as (_, client):
            return await client.call("private/liquidate", account=account, **more)

    def name(reply: dict[str, Any]) -> str:
        return str(reply["error"]["message"])

    assert name(asyncio.run(ask())) == "NotLiquidatable"
    for dollars in (95_000, 90_000, 86_000, 82_000, 80_000):
        monkeypatch.setitem(PRICES, 1, dollars)
        for _ in range(2):
            post(venue, venue.now + 30)
    start = asyncio.run(ask())["result"]
    assert start["step"] == "start" and float(start["equity"]) < float(start["maintenance_margin"])
    [step] = start["transactions"]
    # somebody who is not in trouble cannot be put into an auction on chain either
    other = venue.auctioneer.abi.encode_call("start", OWNER.account.to_bytes(32, "big"))
    with pytest.raises(Rejected, match="NotLiquidatable"):
        venue.client.call(step["to"], other, LIQUIDATOR.address)
    sent(venue, LIQUIDATOR, step)
    post(venue, venue.now + 30)

    assert name(asyncio.run(ask(share="0.0000001"))) == "InvalidField"
    assert name(asyncio.run(ask(share="2"))) == "InvalidField"
    assert name(asyncio.run(ask(reward_min="-1"))) == "InvalidField"
    assert name(asyncio.run(ask(share="0.1", health_min="1"))) == "HealthTooLow"
    assert name(asyncio.run(ask(share="0.1", reward_min="1000000000"))) == "RewardTooLow"
    bid = asyncio.run(ask(share="0.1", reward_min="1"))["result"]
    assert bid["step"] == "bid"
    sent(venue, LIQUIDATOR, bid["transactions"][0])
    held = dict(venue.sequencer.world.ledger.accounts[DEEP.account].positions)
    assert held[1] < 40_000


def test_a_bid_counts_only_for_what_the_bidder_has_seen(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with (
            logged_in(venue, LIQUIDATOR) as (api, client),
            connected(str(client.socket._response.url).replace("/ws/api/v1", "")) as owner,
        ):
            await owner.result("public/auth", **OWNER.login(api.separator))
            price = str(PRICES[1])
            await client.result("private/buy", **LIQUIDATOR.order(api, "0.1", price))
            sold = OWNER.order(api, "0.1", price, sells=True, time_in_force="immediate_or_cancel")
            traded = int((await owner.result("private/sell", **sold))["trades"][0]["trade_id"])
            seen = {"account": f"0x{OWNER.account:064x}"}
            early = seen | {"last_seen_trade": traded - 1}
            assert await refused(client, "private/liquidate", **early) == "TradedSince"
            late = seen | {"last_seen_trade": traded}
            assert await refused(client, "private/liquidate", **late) == "NotLiquidatable"
            monkeypatch.setattr("novate.api.owner_methods.TRADES_SEEN_MAX", 0)
            assert await refused(client, "private/liquidate", **early) == (
                "TradedSince last_seen_trade"
            )

    monkeypatch.setitem(PRICES, 1, 80_000)
    asyncio.run(run())
