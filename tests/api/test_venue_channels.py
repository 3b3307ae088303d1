"""The venue's own channels over a real chain: what they begin with, what they tell, what a
reorganisation does to them, and that nobody's following costs nothing.
"""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from support.venue_api import PRICES, Trader, Venue, venue_of
from support.venue_drive import Drive, consecutive, driven, trade

from novate.api.channels import ACCOUNT_CHANNELS, VENUE_CHANNELS
from novate.chain.backend import abi_of
from novate.chain.node import local_key
from novate.errors import BatchReverted
from novate.model import ledger
from novate.wire.records import Busted

MAKER, TAKER = Trader("channel maker"), Trader("channel taker")
BTC = "BTC-PERPETUAL"
venue = venue_of(MAKER, TAKER, ahead=3_600)


@pytest.mark.parametrize("channel", [*VENUE_CHANNELS, *ACCOUNT_CHANNELS])
def test_every_channel_begins_with_what_there_is(venue: Venue, channel: str) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            await one.follow(channel)
            [first] = await one.told(channel, 1)
            assert first["type"] == "snapshot" and first["timestamp"] > 0

    asyncio.run(run())


@pytest.mark.parametrize(
    "channel",
    ["auction", "auctions.raw", "margin", "margin.watch.1", "oracle", "settlement", "user.margins"],
)
def test_a_name_like_a_channels_is_refused(venue: Venue, channel: str) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            reply = await one.client.call("public/subscribe", channels=[channel])
            assert reply["error"]["message"] == "UnknownChannel"

    asyncio.run(run())


@pytest.mark.parametrize("channel", ACCOUNT_CHANNELS)
def test_a_private_channel_needs_a_login(venue: Venue, channel: str) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as nobody:
            reply = await nobody.client.call("public/subscribe", channels=[channel])
            assert reply["error"]["message"] == "UnknownChannel"

    asyncio.run(run())


def test_a_batch_is_told_from_its_close_to_the_chain_and_back(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            channels = "settlement.batches", "user.settlement"
            await one.follow(*channels)
            assert (await one.told(channels[0], 1))[0]["batches"] == []
            await trade(drive, MAKER, TAKER)
            await drive.settle()
            told = await one.told(channels[0], 4)
            rows = [message["batches"][0] for message in told[1:]]
            assert [row["state"] for row in rows] == ["closed", "submitted", "settled"]
            assert rows[0]["transaction"] is None and rows[0]["settled"] == 0
            assert rows[2]["transaction"] == rows[1]["transaction"] and rows[2]["block"] > 0
            assert {row["batch"] for row in rows} == {rows[0]["batch"]}
            mine = (await one.told(channels[1], 3))[1:]
            assert [m["trades"][0]["settlement_state"] for m in mine] == ["batched", "settled"]
            assert mine[1]["trades"][0]["block"] == rows[2]["block"]

            left = await drive.reorganise(1)
            back = (await one.told(channels[0], 5))[4]
            assert back["reorganised_from"] == left == rows[2]["block"]
            [row] = back["batches"]
            assert (row["state"], row["settled"], row["block"]) == ("submitted", 0, None)
            own = (await one.told(channels[1], 4))[3]
            assert own["reorganised_from"] == left
            assert own["trades"][0]["settlement_state"] == "batched"
            async with drive.follower(MAKER) as late:  # who comes now sees it under way
                await late.follow(*channels)
                [first] = await late.told(channels[0], 1)
                assert first["sequence"] == back["sequence"] and first["batches"] == [row]
                [first] = await late.told(channels[1], 1)
                assert [t["settlement_state"] for t in first["trades"]] == ["batched"]
            await drive.send()
            await drive.mine()
            last = (await one.told(channels[0], 6))[-1]["batches"][0]
            assert last["state"] == "settled"
            for channel in channels:
                consecutive(one.now(channel))

    asyncio.run(run())


def test_settlement_is_told_to_its_sides_alone(venue: Venue) -> None:
    async def run() -> None:
        stranger = Trader("channel stranger")
        async with driven(venue) as drive, drive.follower(stranger) as one:
            await one.follow("user.settlement", "user.margin", "settlement.batches")
            await trade(drive, MAKER, TAKER)
            await drive.settle()
            await one.told("settlement.batches", 4)
            assert len(one.now("user.settlement")) == 1
            assert len(one.now("user.margin")) == 1

    asyncio.run(run())


def test_a_round_is_told_with_who_signed_it(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await one.follow("oracle.feeds")
            [first] = await one.told("oracle.feeds", 1)
            assert first["signers"] is None  # it came before this start
            await drive.round(PRICES)
            told = await one.told("oracle.feeds", 2)
            consecutive(told)
            method = await one.client.result("public/get_signed_feeds")
            assert told[1] == {"type": "change", "sequence": 1} | method
            assert method["quorum"] == 3 <= len(method["signers"])
            nodes = {node.lower() for node in venue.deployment.roles.nodes}
            assert set(method["signers"]) <= nodes and method["round"] == first["round"] + 1
            assert [row["index_name"] for row in method["feeds"]] == ["btc_usdc", "eth_usdc"]

    asyncio.run(run())


def test_margin_is_told_when_a_trade_or_a_price_moves_it(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            await one.follow("user.margin")
            [first] = await one.told("user.margin", 1)
            await trade(drive, MAKER, TAKER)
            await drive.close()
            told = await one.told("user.margin", 2)
            margins = [float(m["initial_margin"]) for m in told]
            assert margins[1] > margins[0] == float(first["initial_margin"])
            await drive.round(PRICES | {1: 101_000})
            told = await one.told("user.margin", 3)
            assert float(told[2]["equity"]) > float(told[1]["equity"])
            summary = await one.client.result("private/get_account_summary")
            shared = summary.keys() & told[-1].keys() - {"available_funds"}
            assert {n: told[-1][n] for n in shared} == {n: summary[n] for n in shared}
            assert {"equity", "initial_margin", "maintenance_margin", "balance"} <= shared
            consecutive(told)
            await drive.round(PRICES)

    asyncio.run(run())


def test_insurance_is_told_when_fees_reach_it(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await one.follow("insurance")
            await one.told("insurance", 1)
            await drive.round(PRICES)
            await asyncio.sleep(0.2)
            assert len(one.now("insurance")) == 1  # nothing came of that
            await trade(drive, MAKER, TAKER, "1")
            await drive.settle()
            venue.clearinghouse.send("distribute_fees", key=TAKER.key)
            await drive.mine()
            told = await one.told("insurance", 2)
            method = await one.client.result("public/get_insurance")
            assert {name: told[-1][name] for name in method} == method
            assert float(told[1]["insurance"]) > float(told[0]["insurance"])
            await drive.reorganise(1)
            told = await one.told("insurance", 3)
            assert told[2]["insurance"] == told[0]["insurance"]
            consecutive(told)

    asyncio.run(run())


def test_a_refused_trade_is_told_and_taken_back_once_it_settles(venue: Venue) -> None:
    async def pause(drive: Drive) -> None:
        """Pause the venue without the engine's knowledge, and send what waits."""
        drive.venue.clearinghouse.send("pause", 60, key=local_key("guardian"))
        await drive.send()
        await drive.mine()

    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            await one.follow("trade_busts", "user.settlement")
            await trade(drive, MAKER, TAKER)
            await drive.close()
            await pause(drive)
            [row] = (await one.told("trade_busts", 2))[1]["busts"]
            assert (row["state"], row["reason"], row["instrument_name"]) == (
                "refused",
                "Paused",
                BTC,
            )
            assert row["block"] > 0 and len(row["transaction"]) == 66
            async with drive.follower() as late:
                await late.follow("trade_busts")
                assert (await late.told("trade_busts", 1))[0]["busts"] == [row]
            await drive.reorganise(1)
            left = (await one.told("trade_busts", 3))[2]
            assert left["reorganised_from"] == row["block"]
            assert left["busts"] == [row | {"state": "taken_back"}]
            assert one.now("user.settlement")[-1]["reorganised_from"] == row["block"]
            await pause(drive)
            [again] = (await one.told("trade_busts", 4))[3]["busts"]
            assert (again["state"], again["trade_id"]) == ("refused", row["trade_id"])
            for _ in range(8):
                await drive.round(PRICES)
            [back] = (await one.told("trade_busts", 5))[4]["busts"]
            assert back == again | {"state": "taken_back"}
            last = one.now("user.settlement")[-1]["trades"][-1]
            assert last["trade_id"] == row["trade_id"]
            assert last["settlement_state"] == "settled"
            consecutive(one.now("trade_busts"))

    asyncio.run(run())


def test_a_trade_that_is_given_up_says_so_for_good(venue: Venue) -> None:
    async def run() -> None:
        async with driven(venue) as drive, drive.follower(TAKER) as one:
            await one.follow("trade_busts")
            await trade(drive, MAKER, TAKER)
            await drive.settle()
            sequence = max(drive.api.orders.trades)
            drive.api.follow(Busted(sequence, BatchReverted.code))
            [row] = (await one.told("trade_busts", 2))[1]["busts"]
            assert (row["state"], row["reason"]) == ("given_up", "BatchReverted")
            assert (row["trade_id"], row["transaction"]) == (str(sequence), None)

    asyncio.run(run())


def test_a_change_of_parameters_is_told_from_its_announcement_on(venue: Venue) -> None:
    target = venue_parameters(venue)
    address = venue.deployment.addresses["timelock"]
    governor = local_key("governor")
    timelock = venue.client.attach(address, abi_of("Timelock"), "Timelock")

    async def run() -> None:
        async with driven(venue) as drive, drive.follower() as one:
            await one.follow("risk_parameters")
            [first] = await one.told("risk_parameters", 1)
            assert first["pending_changes"] == []
            low, high = map(float, first["bounds"]["scan_range"])
            assert low < float(first["underlyings"][0]["scan_range"]) < high
            timelock.send("schedule", *target, key=governor)
            await drive.mine()
            [change] = (await one.told("risk_parameters", 2))[1]["pending_changes"]
            assert (change["contract"], change["function"]) == ("risk_model", "set_globals")
            assert change["arguments"]["initial_ratio_ppm"] == "1300000"
            assert change["state"] == "waiting" and change["executable_at"] > venue.now
            await drive.reorganise(1)
            assert (await one.told("risk_parameters", 3))[2]["pending_changes"] == []
            await drive.round(PRICES, 86_400)  # changes are a day apart
            await asyncio.sleep(0.2)
            told = len(one.now("risk_parameters"))
            timelock.send("schedule", *target, key=governor)
            await drive.mine()
            [again] = (await one.told("risk_parameters", told + 1))[-1]["pending_changes"]
            venue.now = again["executable_at"]
            await drive.round(PRICES)
            due = (await one.told("risk_parameters", told + 2))[-1]["pending_changes"]
            assert due == [again | {"state": "executable"}]
            timelock.send("execute", *target, key=governor)
            await drive.mine()
            last = (await one.told("risk_parameters", told + 3))[-1]
            assert last["pending_changes"] == [] and last["initial_over_maintenance"] == "1.3"
            consecutive(one.now("risk_parameters"))
            method = await one.client.result("public/get_risk_parameters")
            assert {name: last[name] for name in method} == method

    asyncio.run(run())


def venue_parameters(venue: Venue) -> tuple[str, bytes, bytes]:
    """Target, calldata and salt of a change of the ratio of initial to maintenance margin."""
    shared = venue.sequencer.world.risk.globals
    values = 1_300_000, shared.credit_cap, shared.stale_drift_ppm_s
    data = abi_of("RiskModel").encode_call("set_globals", *values)
    return venue.deployment.addresses["risk_model"], data, bytes(32)


def test_what_nobody_follows_is_not_worked_out(
    venue: Venue, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        async with driven(venue) as drive:
            async with drive.follower(TAKER) as one:
                await one.follow(*VENUE_CHANNELS, *ACCOUNT_CHANNELS)
                await one.told("margin.watch", 1)
                await one.client.result("public/unsubscribe_all")
            asked: list[str] = []
            feeds, margins = drive.api.venue_feeds, drive.api.margin_feeds
            for owner, names in (
                (feeds, ("_now", "_feeds", "_auctions", "_own", "_bust")),
                (margins, ("_margins", "_traded")),
                (feeds.market, ("trade",)),
            ):
                for name in names:
                    found = getattr(type(owner), name)
                    spy = counted(asked, name, found)
                    monkeypatch.setattr(type(owner), name, spy)
            sent: list[bytes] = []
            monkeypatch.setattr("novate.api.outlet.notification", lambda *a: sent.append(a))
            checked: list[int] = []
            check = ledger.check
            monkeypatch.setattr(ledger, "check", lambda w, a: (checked.append(a), check(w, a))[1])
            await drive.round(PRICES)
            await drive.reorganise(1)
            await drive.send()
            await drive.mine()
            await asyncio.sleep(0.3)
            assert (asked, sent, checked) == ([], [], [])
            assert not margins.scan.running and not margins.own.running

    asyncio.run(run())


def counted(asked: list[str], name: str, function: Any) -> Any:
    """A function that says when it is called."""

    def call(*arguments: Any) -> Any:
        asked.append(name)
        return function(*arguments)

    return call
