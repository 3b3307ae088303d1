"""Options and dated futures behind the API, on a real chain: what is listed, shown, traded,
followed and settled.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from support.venue_api import (
    BTC,
    PRICES,
    Client,
    Trader,
    Venue,
    connected,
    list_options,
    open_venue,
    served,
)

from novate import naming
from novate.api.aggregate import Aggregator
from novate.api.venue import VenueApi
from novate.api.volatility_index import VolatilityIndex
from novate.chain.node import local_key
from novate.model import margin, options
from novate.model.option_id import place_of
from novate.services.option_keeper import OptionKeeper
from novate.services.oracle_node import NodePrice, joint_round
from novate.units import DAY_S, ORACLE_UNIT, WAD
from novate.wire import records
from novate.wire.records import ChainReorganised, OracleRound

MAKER, TAKER = Trader("option maker"), Trader("option taker")
HOUR_S = 3_600


class Place:
    """A venue with options of two expiries: within three hours, and in four weeks at eight."""

    def __init__(self, folder: Path) -> None:
        self.venue = open_venue(folder, [MAKER, TAKER])
        hour = self.venue.now // HOUR_S + 2
        self.near = (hour + (hour % 24 == 8)) * HOUR_S  # a name without an hour means eight
        self.far = (self.venue.now // DAY_S + 28) * DAY_S + 8 * HOUR_S
        self.keeper: OptionKeeper = list_options(self.venue, [self.near, self.far])
        self.call = naming.option_name("BTC", self.far, 100_000 * WAD, False)
        self.put = naming.option_name("BTC", self.far, 90_000 * WAD, True)
        self.future = naming.future_name("BTC", self.far)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    made = Place(tmp_path_factory.mktemp("venue"))
    yield made
    made.venue.close()


async def logged_in(socket: Client, api: VenueApi, trader: Trader) -> None:
    await socket.result("public/auth", **trader.login(api.separator))


async def follow_chain(venue: Venue, api: VenueApi) -> None:
    """Bring what the chain did into the running venue."""
    venue.client.mine(venue.now + 1)
    venue.now += 1
    for record in venue.watcher.poll():
        await api.core.enter(record)


def refused(reply: dict[str, Any]) -> tuple[str, str]:
    return reply["error"]["message"], reply["error"]["data"]["detail"]


def test_what_is_listed_has_deribits_fields(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (_, url), connected(url) as one:
            every = await one.result("public/get_instruments", currency="any")
            assert len(every) == 3 + 2 * 2 * (1 + 3 * 2)
            call = await one.result("public/get_instrument", instrument_name=place.call)
            assert {k: call[k] for k in ("kind", "strike", "option_type", "tick_size")} == {
                "kind": "option",
                "strike": "100000",
                "option_type": "call",
                "tick_size": "1",
            }
            assert call["expiration_timestamp"] == place.far * 1000
            assert (call["state"], call["is_active"]) == ("open", True)
            assert (call["contract_size"], call["price_index"]) == ("0.01", "btc_usdc")
            future = await one.result("public/get_instrument", instrument_name=place.future)
            assert (future["kind"], future["settlement_period"]) == ("future", "expiry")
            assert "strike" not in future and future["tick_size"] == "0.5"
            puts = await one.result("public/get_instruments", currency="ETH", kind="option")
            assert len(puts) == 12 and {i["base_currency"] for i in puts} == {"ETH"}
            dated = await one.result("public/get_instruments", currency="BTC", kind="future")
            assert next(i["instrument_name"] for i in dated) == "BTC-PERPETUAL"
            assert len(dated) == 3
            assert await one.result("public/get_instruments", currency="BTC", expired=True) == []
            reply = await one.call("public/get_instruments", currency="DOGE")
            assert refused(reply) == ("InvalidField", "currency: must be one of BTC, ETH, USDC")
            reply = await one.call("public/get_instrument", instrument_name="BTC-1JAN20-1-C")
            assert refused(reply)[0] == "UnknownInstrument"

    asyncio.run(run())


def test_a_ticker_shows_volatility_and_greeks_of_the_model(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (api, url), connected(url) as one:
            seen = await one.result("public/ticker", instrument_name=place.call)
            item, world = api.market.named(place.call), api.core.world
            exact, quoted = options.greeks(world, item.id), margin.quoted(world, item.id)
            assert Decimal(seen["mark_price"]) == Decimal(quoted[0]) / WAD
            assert Decimal(seen["underlying_price"]) == 100_000
            assert seen["underlying_index"] == place.future
            assert 44 < Decimal(seen["mark_iv"]) < 46
            greeks = {name: Decimal(value) for name, value in seen["greeks"].items()}
            whole = Decimal(WAD)
            assert abs(greeks["delta"] - exact.delta / whole) < Decimal("1e-8")
            assert abs(greeks["gamma"] - exact.gamma / whole) < Decimal("1e-8")
            assert abs(greeks["vega"] - exact.vega / whole / 100) < Decimal("1e-8")
            assert abs(greeks["theta"] - exact.theta / whole / 365) < Decimal("1e-8")
            assert (seen["bid_iv"], seen["open_interest"], seen["state"]) == ("0", "0", "open")
            future = await one.result("public/ticker", instrument_name=place.future)
            assert (future["mark_price"], future["index_price"]) == ("100000", "100000")
            assert "greeks" not in future and "current_funding" not in future
            rows = await one.result(
                "public/get_book_summary_by_currency", currency="BTC", kind="option"
            )
            assert len(rows) == 12 and all(Decimal(r["mark_iv"]) > 0 for r in rows)
            assert (rows[0]["mid_price"], rows[0]["quote_currency"]) == (None, "USDC")

    asyncio.run(run())


async def quoted(maker: Client, api: VenueApi, place: Place, amount: str) -> int:
    """Both sides of the call around its mark, 50 USD away; the mark in whole USD."""
    await logged_in(maker, api, MAKER)
    seen = await maker.result("public/ticker", instrument_name=place.call)
    mark = round(float(seen["mark_price"]))
    for sells, price in ((False, mark - 50), (True, mark + 50)):
        side = "private/sell" if sells else "private/buy"
        order = MAKER.order(api, amount, str(price), sells, instrument_name=place.call)
        await maker.result(side, **order)
    return mark


async def bought(taker: Client, api: VenueApi, place: Place, price: int) -> dict[str, Any]:
    """What a taker gets of the call for at most a price."""
    await logged_in(taker, api, TAKER)
    terms = {"time_in_force": "immediate_or_cancel", "instrument_name": place.call}
    placed = await taker.result("private/buy", **TAKER.order(api, "0.2", str(price), **terms))
    assert isinstance(placed, dict)
    return placed


def test_both_sides_of_an_option_are_quoted_and_traded(place: Place) -> None:
    async def run() -> None:
        async with (
            served(place.venue) as (api, url),
            connected(url) as maker,
            connected(url) as taker,
        ):
            mark = await quoted(maker, api, place, "0.5")
            name = {"instrument_name": place.call}
            seen = await taker.result("public/ticker", **name)
            assert Decimal(seen["bid_iv"]) < Decimal(seen["mark_iv"]) < Decimal(seen["ask_iv"])
            rows = await taker.result("public/get_book_summary_by_currency", currency="BTC")
            [row] = [r for r in rows if r["instrument_name"] == place.call]
            assert (row["bid_price"], row["mid_price"]) == (str(mark - 50), str(mark))
            book = await taker.result("public/get_order_book", depth=5, **name)
            sides = [[str(mark - 50), "0.5"]], [[str(mark + 50), "0.5"]]
            assert (book["bids"], book["asks"]) == sides
            placed = await bought(taker, api, place, mark + 60)
            fills = [(t["price"], t["amount"]) for t in placed["trades"]]
            assert fills == [(str(mark + 50), "0.2")]
            found = await taker.result("public/get_last_trades_by_instrument", **name)
            [trade] = found["trades"]
            assert abs(Decimal(trade["iv"]) - Decimal(seen["ask_iv"])) < Decimal("0.01")
            [held] = await taker.result("private/get_positions")
            what = held["instrument_name"], held["size"], held["kind"]
            assert what == (place.call, "0.2", "option")
            per_unit = Decimal(seen["greeks"]["delta"])
            assert abs(Decimal(held["delta"]) - per_unit / 5) < Decimal("1e-7")
            await maker.result("private/cancel_all")

    asyncio.run(run())


def test_quotes_go_at_the_limit_of_their_vega(place: Place) -> None:
    async def run() -> None:
        async with (
            served(place.venue) as (api, url),
            connected(url) as maker,
            connected(url) as taker,
        ):
            await logged_in(maker, api, MAKER)
            seen = await maker.result("public/ticker", instrument_name=place.call)
            price, vega = round(float(seen["mark_price"])), Decimal(seen["greeks"]["vega"])
            limits = {"interval": 60, "frozen_time": 60, "vega_limit": str(vega / 4)}
            made = await maker.result("private/set_mmp_config", index_name="btc_usdc", **limits)
            assert made["vega_limit"] == str((vega / 4).normalize())
            for more in (10, 20):
                terms = {"instrument_name": place.call, "mmp": True}
                order = MAKER.order(api, "0.2", str(price + more), True, **terms)
                await maker.result("private/sell", **order)
            placed = await bought(taker, api, place, price + 10)
            assert [t["amount"] for t in placed["trades"]] == ["0.2"]
            assert not (await maker.result("private/get_mmp_config", index_name="btc"))["frozen"]
            placed = await bought(taker, api, place, price + 20)
            assert [t["amount"] for t in placed["trades"]] == ["0.2"]
            assert (await maker.result("private/get_mmp_config", index_name="btc"))["frozen"]
            off = {"interval": 0, "frozen_time": 0}
            await maker.result("private/set_mmp_config", index_name="btc_usdc", **off)

    asyncio.run(run())


def test_channels_of_an_option_tell_its_quotes_and_trades(place: Place) -> None:
    async def run() -> None:
        async with (
            served(place.venue) as (api, url),
            connected(url) as maker,
            connected(url) as taker,
            connected(url) as crowd,
        ):
            book = f"book.{place.call}"
            channels = [
                *(f"ticker.{place.call}.raw", f"quote.{place.call}"),
                *(f"{book}.raw", f"{book}.10.10.raw", f"{book}.100ms"),
                *(f"trades.{place.call}.raw", "trades.option.BTC.raw", "trades.any.any.100ms"),
                *("trades.future.BTC.raw", f"chart.trades.{place.call}.1"),
            ]
            await crowd.result("public/subscribe", channels=channels)
            mark = await quoted(maker, api, place, "0.5")
            await bought(taker, api, place, mark + 60)
            await asyncio.sleep(0.2)
            await crowd.result("public/test")
            told: dict[str, list[Any]] = {}
            for message in crowd.pushed:
                told.setdefault(message["params"]["channel"], []).append(message["params"]["data"])
            assert "trades.future.BTC.raw" not in told
            [[row]] = told["trades.option.BTC.raw"]
            assert row["direction"] == "buy" and Decimal(row["iv"]) > 0
            assert told[f"trades.{place.call}.raw"] == told["trades.any.any.100ms"] == [[row]]
            ticker = told[f"ticker.{place.call}.raw"]
            assert ticker[-1]["best_ask_amount"] == "0.3" and ticker[-1]["greeks"]
            assert told[f"quote.{place.call}"][-1]["best_bid_price"] == str(mark - 50)
            first, last = (told[f"{book}.10.10.raw"][at] for at in (0, -1))
            low, high = (mark - 50) // 10 * 10, -(-(mark + 50) // 10) * 10
            assert (first["bids"], first["asks"]) == ([], [])
            sides = [[str(low), "0.5"]], [[str(high), "0.3"]]
            assert (last["bids"], last["asks"]) == sides
            raw, slow = told[f"{book}.raw"], told[f"{book}.100ms"]
            assert [m["type"] for m in raw] == ["snapshot", "change", "change", "change"]
            assert len(slow) <= len(raw) and slow[0]["type"] == "snapshot"
            for messages in (raw, slow):
                for before, after in pairwise(messages):
                    assert after["prev_change_id"] == before["change_id"]
            candle = told[f"chart.trades.{place.call}.1"][-1]
            assert candle["close"] == str(mark + 50)
            await maker.result("private/cancel_all")

    asyncio.run(run())


def test_an_interval_sends_the_newest_state_and_all_rows_once() -> None:
    async def run() -> None:
        sent: list[tuple[str, int, object]] = []
        later = Aggregator(lambda *message: sent.append(message))
        for number in range(3):
            later.collect(100, ("rows", 7), [number])
            later.mark(100, ("state", 0), partial(int, number))
        later.mark(100, ("nothing new", 0), lambda: None)
        assert sent == []
        await asyncio.sleep(0.15)
        assert sent == [("rows", 7, [0, 1, 2]), ("state", 0, 2)]
        await asyncio.sleep(0.15)
        assert len(sent) == 2

    asyncio.run(run())


def test_rounds_move_the_marks_that_are_followed(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (api, url), connected(url) as one:
            channels = ["markprice.options.btc_usdc", "price_index.eth_usdc"]
            await one.result("public/subscribe", channels=channels)
            number = api.core.world.oracle.statuses[0].round
            await api.core.enter(next_round(place.venue))
            assert api.core.world.oracle.statuses[0].round == number + 1
            await one.result("public/test")
            told = {m["params"]["channel"]: m["params"]["data"] for m in one.pushed}
            assert told["price_index.eth_usdc"]["price"] == "4000"
            marks = told["markprice.options.btc_usdc"]
            assert len(marks) == 12 and {m["instrument_name"][:3] for m in marks} == {"BTC"}
            assert all(0 < Decimal(m["iv"]) < 5 for m in marks)
            name = {"instrument_name": place.call}
            span = {"start_timestamp": 0, "end_timestamp": 2**50}
            [[at, mark]] = await one.result("public/get_mark_price_history", **name, **span)
            assert at == api.core.world.now * 1000 and Decimal(mark) > 1_000
            span = {"start_timestamp": 2, "end_timestamp": 1}
            reply = await one.call("public/get_mark_price_history", **name, **span)
            assert refused(reply) == ("InvalidField", "start_timestamp: lies after the end")

    asyncio.run(run())


def next_round(venue: Venue) -> Any:
    """The next round of unmoved prices, as the oracle nodes would enter it."""
    venue.now += 10
    venue.round += 1
    seen = {i: NodePrice(p * WAD // ORACLE_UNIT, p * WAD // ORACLE_UNIT) for i, p in PRICES.items()}
    for node in venue.oracle_nodes:
        node.observe(seen)
    signed = joint_round(
        venue.oracle_nodes[0], venue.oracle_nodes, venue.round, venue.now, venue.now
    )
    number, time, words, nodes, signatures = signed.arguments()
    packed = [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in signatures]
    texts = [records.big(word) for word in words]
    return OracleRound(number, time, texts, records.big(nodes), packed)


@pytest.mark.parametrize(
    "channel",
    [
        "book.BTC-PERPETUAL.3.10.raw",
        "book.BTC-PERPETUAL.10.5.raw",
        "chart.trades.BTC-PERPETUAL.2",
        "trades.swap.BTC.raw",
        "trades.option.DOGE.raw",
        "instrument.state.option.DOGE",
        "markprice.options.usdc_usdc",
        "ticker.BTC-PERPETUAL.10ms",
        "user.trades.option.BTC.raw",
    ],
)
def test_a_channel_that_could_never_send_is_refused(place: Place, channel: str) -> None:
    async def run() -> None:
        async with served(place.venue) as (_, url), connected(url) as one:
            reply = await one.call("public/subscribe", channels=[channel])
            assert refused(reply) == ("UnknownChannel", channel)

    asyncio.run(run())


def test_margin_of_what_is_thought_of_needs_no_account(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (api, url), connected(url) as one:
            positions = {
                place.call: "-1",
                place.put: "2",
                place.future: "0.5",
                "BTC-PERPETUAL": 0.1,
            }
            found = await one.result(
                "public/get_margin", simulated_positions=positions, balance=50_000
            )
            ids = {api.market.named(n).id: float(v) for n, v in positions.items()}
            lots = {i: round(v * WAD / api.market.by_id[i].lot_size) for i, v in ids.items()}
            exact = margin.evaluate(api.core.world, lots)
            assert Decimal(found["initial_margin"]) * WAD == exact.margin_initial
            assert Decimal(found["maintenance_margin"]) * WAD == exact.margin_maintenance
            assert Decimal(found["equity"]) * WAD == 50_000 * WAD + exact.value_spot
            lanes = [Decimal(gain) for gain in found["scenarios"]["BTC"]]
            assert len(lanes) == 16 and -min(lanes) <= Decimal(found["maintenance_margin"])
            scenarios = await one.result("public/get_scenarios", currency="BTC")
            gains = {r["instrument_name"]: r["gains"] for r in scenarios["instruments"]}
            range_ = Decimal(scenarios["scan_range"])
            moves = [Decimal(row["price_move"]) for row in scenarios["scenarios"]]
            assert moves[10] == range_ and scenarios["scenarios"][14]["price_move"] == "2"
            for lane, gain in enumerate(lanes):
                move = min(max(moves[lane], -range_), range_)
                linear = Decimal("0.6") * 100_000 * move
                held = 2 * Decimal(gains[place.put][lane]) - Decimal(gains[place.call][lane])
                assert abs(gain - held - linear) < Decimal("0.001")

    asyncio.run(run())


@pytest.mark.parametrize(
    ("method", "params", "said"),
    [
        ("get_margin", {"simulated_positions": {}}, "simulated_positions: must be 1 to 128"),
        ("get_margin", {"simulated_positions": {"X": 1}}, "instrument_name: X"),
        (
            "get_margin",
            {"simulated_positions": {"BTC-PERPETUAL": "0.0001"}},
            "simulated_positions.BTC-PERPETUAL: must be a multiple of 0.001",
        ),
        (
            "get_margin",
            {"simulated_positions": {"BTC-PERPETUAL": 1}, "balance": "much"},
            "balance: must be a plain decimal number such as 0.25",
        ),
        ("get_scenarios", {"currency": "USDC"}, "currency: must be that of an underlying"),
        ("get_delivery_prices", {"index_name": "doge_usdc"}, "index_name: must be an index"),
        ("get_delivery_prices", {"index_name": "btc_usdc", "count": 0}, "count: must be 1 to"),
        ("get_index_price", {"index_name": "doge"}, "index_name: must be an index such as"),
    ],
)
def test_what_a_read_cannot_answer_is_said(
    place: Place, method: str, params: dict[str, Any], said: str
) -> None:
    async def run() -> None:
        async with served(place.venue) as (_, url), connected(url) as one:
            reply = await one.call(f"public/{method}", **params)
            assert refused(reply)[1].startswith(said), reply

    asyncio.run(run())


def test_the_volatility_index_is_what_the_surfaces_say(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (api, url), connected(url) as client:
            surfaces = place.venue.deployment.addresses["surfaces"]
            api.volatility = VolatilityIndex(bytes.fromhex(surfaces[2:]))
            ask = {"currency": "BTC", "start_timestamp": 0, "end_timestamp": 2**50}
            name = "public/get_volatility_index_data"
            nothing = {"data": [], "continuation": None}
            assert await client.result(name, **ask, resolution="1D") == nothing
            for entry in place.venue.journal.read():
                api.volatility.follow(records.decode(entry.kind, entry.payload))
            found = await client.result(name, **ask, resolution="1")
            [first, *_] = found["data"]
            assert len(first) == 5 and 5 < Decimal(first[1]) < 300 and found["continuation"] is None
            later = ask | {"start_timestamp": found["data"][-1][0] + 1_000}
            assert await client.result(name, **later, resolution="1") == nothing
            for wrong in (
                {"currency": "DOGE", "resolution": "60"},
                {"resolution": "61"},
                {"resolution": "60", "end_timestamp": -1},
            ):
                reply = await client.call(name, **(ask | wrong))
                assert reply["error"]["message"] == "InvalidField"

    asyncio.run(run())


def test_the_layers_that_cover_losses_are_shown(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (_, url), connected(url) as one:
            found = await one.result("public/get_waterfall")
            assert [(row["name"], row["balance"]) for row in found["layers"]][:3] == [
                ("first_loss", "250000"),
                ("insurance", "1000000"),
                ("second_loss", "250000"),
            ]
            assert found["insurance_left"] == found["insurance_hourly"] == "500000"
            assert found["uncovered"] == "0"

    asyncio.run(run())


def test_what_a_stranger_lists_appears_without_a_restart(place: Place) -> None:
    async def run() -> None:
        venue = place.venue
        async with served(venue) as (api, url), connected(url) as one:
            channels = ["instrument.state.option.BTC", "instrument.state.any.any"]
            await one.result("public/subscribe", channels=channels)
            slot = place_of(api.market.named(place.call).id)[1]
            strike = 120_000 * WAD // ORACLE_UNIT
            stranger = local_key("stranger")
            place.keeper.options.send("list_strike", BTC, slot, strike, key=stranger)
            await follow_chain(venue, api)
            name = naming.option_name("BTC", place.far, 120_000 * WAD, True)
            found = await one.result("public/get_instrument", instrument_name=name)
            assert (found["state"], found["option_type"]) == ("open", "put")
            assert found["creation_timestamp"] == venue.now * 1000
            told = [m["params"]["data"] for m in one.pushed]
            assert len(told) == 4 and {t["state"] for t in told} == {"created"}
            assert name in {t["instrument_name"] for t in told}
            # the block leaves the chain: the listing goes with it
            world = api.core.world
            listed = world.options.listed[BTC, slot]
            world.options.listed[BTC, slot] = listed._replace(strikes=listed.strikes[:-1])
            api.market.listings.follow(ChainReorganised(1))
            assert name not in api.market.by_name and place.call in api.market.by_name
            world.options.listed[BTC, slot] = listed
            api.market.listings.follow(ChainReorganised(1))
            assert name in api.market.by_name

    asyncio.run(run())


def test_an_order_does_not_outlive_its_instrument(place: Place) -> None:
    async def run() -> None:
        async with served(place.venue) as (api, url), connected(url) as one:
            await logged_in(one, api, MAKER)
            near = naming.future_name("BTC", place.near)
            order = MAKER.order(api, "0.1", "99000", instrument_name=near)
            reply = await one.call("private/buy", **order | {"expiry": place.near + 1})
            assert refused(reply) == (
                "InvalidField",
                f"expiry: must be at most {place.near}, when {near} expires",
            )
            placed = await one.result("private/buy", **order)
            assert placed["order"]["expiry"] == place.near

    asyncio.run(run())


def test_what_rests_at_an_expiry_is_taken_out_of_the_book(place: Place) -> None:
    async def run() -> None:
        venue = place.venue
        async with served(venue) as (api, url), connected(url) as one:
            await logged_in(one, api, MAKER)
            near, far = naming.future_name("BTC", place.near), place.future
            for name in (near, far):
                order = MAKER.order(api, "0.1", "98000", instrument_name=name)
                await one.result("private/buy", **order)
            await one.result("public/subscribe", channels=["instrument.state.future.BTC"])
            stop = {"type": "stop_limit", "trigger_price": "90000", "trigger": "mark_price"}
            order = MAKER.order(api, "0.1", "89000", sells=True, instrument_name=near)
            waiting = await one.result("private/sell", **order, **stop)
            assert waiting["order"]["order_state"] == "untriggered"
            assert api.core.engine.book.depth(api.market.named(near).id, True) != []
            venue.now = place.near
            await api.core.enter(next_round(venue))
            assert api.core.engine.book.depth(api.market.named(near).id, True) == []
            assert await told(one) == [(near, "closed")]
            states = await one.result("private/get_open_orders", currency="any")
            assert [state["instrument_name"] for state in states] == [far]

    asyncio.run(run())


async def told(one: Client) -> list[tuple[str, str]]:
    """Instruments and states that a follower was told of."""
    await one.result("public/test")
    rows = [message["params"]["data"] for message in one.pushed]
    return [(row["instrument_name"], row["state"]) for row in rows]


def test_an_expiry_settles_and_its_names_stay(place: Place) -> None:
    async def run() -> None:
        venue, keeper = place.venue, place.keeper
        async with served(venue) as (api, url), connected(url) as one:
            near = naming.future_name("BTC", place.near)
            option = naming.option_name("BTC", place.near, 100_000 * WAD, False)
            assert near.count("H") == 1
            item = api.market.named(option)
            await one.result("public/subscribe", channels=["instrument.state.future.BTC"])
            for node in keeper.settlers:
                node.observe(place.near - 5, {BTC: 101_000 * WAD // ORACLE_UNIT})
            await api.core.enter(next_round(venue))
            shown = await one.result("public/get_instrument", instrument_name=option)
            assert (shown["state"], shown["is_active"]) == ("closed", False)
            assert keeper.print_price(BTC, place.near, venue.now)
            await follow_chain(venue, api)
            shown = await one.result("public/ticker", instrument_name=option)
            assert (shown["state"], shown["delivery_price"]) == ("settled", "101000")
            assert (shown["mark_price"], shown["greeks"]) == ("1000", None)
            prices = await one.result("public/get_delivery_prices", index_name="btc_usdc")
            [row] = prices["data"]
            assert (row["delivery_price"], row["expiration_timestamp"]) == (
                "101000",
                place.near * 1000,
            )
            gone = await one.result("public/get_instruments", currency="BTC", expired=True)
            assert {i["instrument_name"] for i in gone} >= {near, option}
            alive = await one.result("public/get_instruments", currency="BTC")
            assert option not in {i["instrument_name"] for i in alive}
            assert await told(one) == [(near, "settled")]
            # what an id was stays known for what was traded then
            assert api.market.listings.at(item.id, place.near - 10) == item
            reply = await one.call("public/get_margin", simulated_positions={option: 1})
            assert refused(reply)[1].endswith("has expired")

    asyncio.run(run())
