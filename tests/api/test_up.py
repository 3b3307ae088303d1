"""``novate up`` as a process: a venue that trades, stops cleanly, and goes on where it ended."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.venue_api import list_options, open_venue

from novate.chain.node import LocalNode, NodeOptions
from novate.sdk import ApiError, AsyncClient, Client, SigningKey
from novate.units import DAY_S

BTC = "BTC-PERPETUAL"


@contextmanager
def running(folder: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    """A venue on a free port; the process and what it said."""
    command = [sys.executable, "-m", "novate", "up", "--folder", str(folder), "--port", "0"]
    with subprocess.Popen(
        [*command, "--json", *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None and process.stderr is not None
            line = process.stdout.readline()
            assert line, process.stderr.read()
            yield process, json.loads(line)
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
            process.wait(30)


def key_of(said: dict[str, Any], number: int) -> SigningKey:
    return SigningKey(said["accounts"][number]["private_key"])


def settled(client: Client) -> bool:
    trades = client.fetch_trades(BTC)
    return bool(trades) and all(t["settlement_state"] == "settled" for t in trades)


def fresh(said: dict[str, Any], option: str, currency: str = "BTC") -> bool:
    """Whether an option's stored array may be used now."""
    with Client(said["url"]) as client:
        found = client.call("public/get_scenarios", currency=currency)["instruments"]
    return next(row["stored"] for row in found if row["instrument_name"] == option)


def volatilities(client: Client) -> list[Any]:
    """The volatility index of BTC, each surface by itself."""
    span = {"start_timestamp": 0, "end_timestamp": 2**50}
    method = "public/get_volatility_index_data"
    return list(client.call(method, currency="BTC", **span, resolution="1")["data"])


def test_a_venue_trades_settles_and_goes_on_after_a_restart(tmp_path: Path) -> None:
    folder = tmp_path / "venue"
    with running(folder) as (process, said):
        with (
            Client(said["url"], key_of(said, 0)) as maker,
            Client(said["url"], key_of(said, 1)) as taker,
        ):
            price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
            placed = maker.create_order(BTC, "sell", "0.5", price + 20, label="left")
            taker.create_order(BTC, "buy", "0.2", price + 40, time_in_force="immediate_or_cancel")
            deadline = time.monotonic() + 20
            while not settled(taker) and time.monotonic() < deadline:
                time.sleep(0.1)
            assert settled(taker)
            before = taker.fetch_positions()
            chain = taker.fetch_option_chain("BTC")
            option = next(iter(chain.values()))["instrument_name"]
            first = volatilities(taker)[0]
        chain_url = said["rpc"]
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    with running(folder) as (_, said), Client(said["url"], key_of(said, 0)) as maker:
        assert said["rpc"] == chain_url, "a wallet finds the chain where it was"
        keys = [Path(row["key_file"]) for row in said["accounts"]]
        assert [file.name for file in keys[:2]] == ["trader-1.key", "trader-2.key"]
        assert keys[0].read_text().strip() == said["accounts"][0]["private_key"]
        assert all(file.stat().st_mode & 0o077 == 0 for file in keys)
        [order] = maker.fetch_open_orders()
        assert order["order_id"] == placed["order"]["order_id"]
        assert (order["filled_amount"], order["label"]) == ("0.2", "left")
        with Client(said["url"], key_of(said, 1)) as taker:
            after = taker.fetch_positions()
            assert [(p["instrument_name"], p["size"]) for p in after] == [(BTC, "0.2")]
            assert [p["size"] for p in before] == ["0.2"]
            assert after[0]["average_price"] == before[0]["average_price"] == str(price + 20)
            assert taker.fetch_option_chain("BTC").keys() >= chain.keys() != set()
            item = taker.call("public/get_instrument", instrument_name=option)
            assert item["state"] == "open" and item["creation_timestamp"] > 0
            assert Decimal(taker.fetch_greeks(option)["mark_iv"]) > 0
            assert volatilities(taker)[0] == first, "the index is made from the journal again"
            deadline = time.monotonic() + 20
            while not fresh(said, option) and time.monotonic() < deadline:
                time.sleep(0.2)
            assert fresh(said, option), "surfaces and arrays go on after a restart"


def test_it_stops_in_order_on_a_full_disk_and_goes_on_with_room(tmp_path: Path) -> None:
    folder = tmp_path / "venue"
    with running(folder) as (process, said):
        with Client(said["url"], key_of(said, 0)) as maker:
            price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
            placed = maker.create_order(BTC, "sell", "0.5", price + 20)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (4_096, resource.RLIM_INFINITY))
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=30)
        assert process.returncode == 0, told
        assert [line.split(":")[0] for line in told.splitlines()] == ["starting …", "stopping"]
    assert not (folder / "node.json").exists(), "the node has ended"
    with running(folder) as (_, said), Client(said["url"], key_of(said, 0)) as maker:
        assert [o["order_id"] for o in maker.fetch_open_orders()] == [placed["order"]["order_id"]]


def test_two_processes_do_not_share_a_folder(tmp_path: Path) -> None:
    folder = tmp_path / "venue"
    with running(folder):
        command = [sys.executable, "-m", "novate", "up", "--folder", str(folder), "--port", "0"]
        second = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert second.returncode == 2
        assert "JournalLocked" in second.stderr and "Traceback" not in second.stderr


def test_a_taken_port_is_refused_at_once_and_nothing_is_left(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        command = [sys.executable, "-m", "novate", "up", "--folder", str(tmp_path / "v")]
        ended = subprocess.run(
            [*command, "--port", str(port)], capture_output=True, text=True, timeout=60
        )
    assert ended.returncode == 2 and ended.stdout == ""
    assert ended.stderr.startswith(f"error: port {port} of 127.0.0.1 is taken. Name another")
    assert not (tmp_path / "v").exists()


def test_without_a_local_chain_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOVATE_ANVIL", str(tmp_path / "none"))
    command = [sys.executable, "-m", "novate", "up", "--folder", str(tmp_path / "v")]
    ended = subprocess.run([*command, "--port", "0"], capture_output=True, text=True, timeout=60)
    assert ended.returncode == 2 and "NOVATE_ANVIL" in ended.stderr
    assert not (tmp_path / "v").exists()


def test_a_chain_whose_port_is_taken_meanwhile_has_another() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        wanted = other.getsockname()[1]
        with LocalNode(NodeOptions(port=wanted)) as node:
            assert node.port != wanted
    with LocalNode(NodeOptions(port=wanted)) as node:
        assert node.port == wanted and node.client().block().number == 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[venue]\nport = 70000\n", "venue.port is 70000"),
        ("[venue]\nprot = 80\n", "did you mean port?"),
        ("venue", "is not TOML"),
    ],
)
def test_a_wrong_setting_is_one_line(tmp_path: Path, text: str, said: str) -> None:
    settings = tmp_path / "venue.toml"
    settings.write_text(text)
    command = [sys.executable, "-m", "novate", "up", "--folder", str(tmp_path / "v")]
    ended = subprocess.run(
        [*command, "--config", str(settings)], capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr


def test_the_past_is_answered_by_the_read_side(tmp_path: Path) -> None:
    with (
        running(tmp_path / "venue") as (_, said),
        Client(said["url"], key_of(said, 0)) as maker,
        Client(said["url"], key_of(said, 1)) as taker,
    ):
        price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
        maker.create_order(BTC, "buy", "0.5", price - 20)
        taker.create_order(BTC, "sell", "0.3", price - 40, time_in_force="immediate_or_cancel")
        deadline = time.monotonic() + 30
        rows: list[dict[str, Any]] = []
        while time.monotonic() < deadline:
            answer = taker.call("private/get_user_trades_by_instrument", instrument_name=BTC)
            rows = answer["trades"]
            if rows and rows[0]["settlement_state"] == "settled":
                break
            time.sleep(0.2)
        assert [(r["direction"], r["amount"], r["liquidity"]) for r in rows] == [
            ("sell", "0.3", "T")
        ]
        assert rows[0]["settlement_state"] == "settled"
        deposits = taker.call("private/get_deposits")
        assert [d["amount"] for d in deposits["data"]] == ["1000000"]
        now = time.time_ns() // 10**6
        span = {"start_timestamp": now - 600_000, "end_timestamp": now}
        chart = maker.call(
            "public/get_tradingview_chart_data", instrument_name=BTC, resolution="1", **span
        )
        assert sum(Decimal(str(v)) for v in chart["volume"]) == Decimal("0.3")


def test_over_an_rpc_it_shows_what_is_listed_there(tmp_path: Path) -> None:
    made = open_venue(tmp_path, [])
    expiry = (made.now // DAY_S + 28) * DAY_S + 8 * 3_600
    list_options(made, [expiry])
    folder, stop = tmp_path / "other", threading.Event()
    folder.mkdir()
    made.deployment.save(folder / "deployment.json")

    def mine() -> None:  # a chain that goes on by itself
        while not stop.wait(0.3):
            made.client.mine(max(int(time.time()), made.client.block().timestamp))

    miner = threading.Thread(target=mine)
    miner.start()
    try:
        with (
            running(folder, "--rpc", made.node.http_url) as (_, said),
            Client(said["url"]) as client,
        ):
            chain = client.fetch_option_chain("ETH")
            assert {item["expiration_timestamp"] for item in chain.values()} == {expiry * 1000}
            assert len(chain) == 6 and said["accounts"] == []
            name = next(iter(chain.values()))["instrument_name"]
            deadline = time.monotonic() + 30
            while not fresh(said, name, "ETH") and time.monotonic() < deadline:
                time.sleep(0.2)
            assert fresh(said, name, "ETH"), "its nodes' surfaces and arrays are on that chain"
            with urllib.request.urlopen(said["url"] + "/health") as answer:
                part = json.load(answer)["parts"]["surfaces"]
            assert part["ready"] and "s old" in part["detail"]
            with urllib.request.urlopen(said["url"] + "/metrics") as answer:
                assert b"novate_surface_skipped" in answer.read()
            assert client.load_markets().keys() >= chain.keys()
            assert len(client.fetch_option_chain("ETH")) == 6, "it lists nothing itself"
    finally:
        stop.set()
        miner.join()
        made.close()


def test_a_request_ends_with_a_venue_that_is_killed_and_its_asker_learns_it(
    tmp_path: Path,
) -> None:
    """Both come back by themselves, and are told before they ask."""
    folder = tmp_path / "venue"

    async def newest(heard: asyncio.Queue[dict[str, Any]], **wanted: str) -> dict[str, Any]:
        async with asyncio.timeout(60):
            while True:
                found = await heard.get()
                if all(found[name] == value for name, value in wanted.items()):
                    return found

    @asynccontextmanager
    async def again(*options: Any) -> AsyncIterator[None]:
        with ThreadPoolExecutor(1) as thread:  # clients go on meanwhile
            loop, venue = asyncio.get_running_loop(), running(*options)
            await loop.run_in_executor(thread, venue.__enter__)
            try:
                yield
            finally:
                await loop.run_in_executor(thread, venue.__exit__, None, None, None)

    async def ask(said: dict[str, Any], process: subprocess.Popen[str]) -> None:
        async with (
            AsyncClient(said["url"], key_of(said, 0)) as taker,
            AsyncClient(said["url"], key_of(said, 1)) as maker,
        ):
            told: list[asyncio.Queue[dict[str, Any]]] = [asyncio.Queue(), asyncio.Queue()]
            await taker.follow("block_rfq.taker.any", lambda _, data: told[0].put_nowait(data))
            await maker.follow(
                "block_rfq.maker.quotes.any", lambda _, data: told[1].put_nowait(data)
            )
            asked = await taker.create_block_rfq([(BTC, "buy", "0.1")])
            price = round(Decimal((await maker.fetch_ticker(BTC))["mark_price"]))
            quoted = await maker.quote_block_rfq(asked, "sell", [price + 5])
            process.kill()
            process.wait()
            port = said["url"].rsplit(":", 1)[1]
            async with again(folder, "--port", port):
                cut = await newest(told[0], state="cancelled")
                lost = await newest(told[1], quote_state="cancelled")
                assert cut["reason"] == lost["reason"] == "venue_restarted"
                assert cut["block_rfq_id"] == asked["block_rfq_id"]
                assert lost["block_rfq_quote_id"] == quoted["block_rfq_quote_id"]
                with pytest.raises(ApiError, match=r"RfqNotFound .*venue_restarted"):
                    await taker.accept_block_rfq(quoted)
                assert await taker.fetch_positions() == []

    with running(folder) as (process, said):
        asyncio.run(ask(said, process))
