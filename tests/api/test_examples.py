"""Every example of ``examples/`` does what it says, against a running venue.

(Leaving without the operator: tests/chain/test_exit.py.)
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from novate.sdk import ApiError, Client, SigningKey
from tests.api.test_up import BTC, key_of, running

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "examples"
ELSEWHERE = {"leave_without_operator.py"}
ETH = "ETH-PERPETUAL"
SECRET = "a-secret-of-the-bot-alone"


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    with running(tmp_path_factory.mktemp("up") / "venue") as (_, found):
        yield found


def environment(said: dict[str, Any], number: int) -> dict[str, str]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    more = {"NOVATE_KEY": said["accounts"][number]["private_key"], "BOT_SECRET": SECRET}
    return os.environ | more | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}


def run(said: dict[str, Any], number: int, name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / name), *arguments]
    ended = subprocess.run(
        command, env=environment(said, number), capture_output=True, text=True, timeout=120
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_both_sides_are_quoted_while_it_runs(said: dict[str, Any]) -> None:
    printed: list[str] = []
    example = threading.Thread(
        target=lambda: printed.append(run(said, 0, "quote_both_sides.py", said["url"], BTC, "4"))
    )
    example.start()
    with Client(said["url"], key_of(said, 1)) as other:
        deadline = time.monotonic() + 20
        book = other.fetch_order_book(BTC)
        while not (book["bids"] and book["asks"]) and time.monotonic() < deadline:
            time.sleep(0.1)
            book = other.fetch_order_book(BTC)
        mark = Decimal(other.fetch_ticker(BTC)["mark_price"])
        (bid, _), (ask, _) = book["bids"][0], book["asks"][0]
        assert mark * Decimal("0.997") < bid < mark < ask < mark * Decimal("1.003")
        example.join(60)
        assert "open orders taken out: 2" in printed[0]
        assert not other.fetch_order_book(BTC)["bids"]


def test_both_sides_of_an_option_are_quoted_and_a_fill_settles(said: dict[str, Any]) -> None:
    printed: list[str] = []
    example = threading.Thread(
        target=lambda: printed.append(run(said, 0, "quote_an_option.py", said["url"], "BTC", "8"))
    )
    example.start()
    with Client(said["url"], key_of(said, 3)) as other:
        deadline, name = time.monotonic() + 20, ""
        while not name and time.monotonic() < deadline:
            rows = other.call("public/get_book_summary_by_currency", currency="BTC", kind="option")
            quoted = [r for r in rows if r["bid_price"] and r["ask_price"]]
            name = quoted[0]["instrument_name"] if quoted else ""
            time.sleep(0.1)
        seen = other.fetch_greeks(name)
        bid, mark, ask = (Decimal(seen[k]) for k in ("bid_iv", "mark_iv", "ask_iv"))
        assert mark - 2 < bid < mark < ask < mark + 2
        limit = round(Decimal(quoted[0]["ask_price"]) + 100)
        taken = other.create_order(name, "buy", "0.1", limit, time_in_force="immediate_or_cancel")
        assert taken["order"]["filled_amount"] == "0.1"
        while time.monotonic() < deadline:
            [trade] = other.call("private/get_user_trades_by_instrument", instrument_name=name)[
                "trades"
            ] or [{}]
            if trade.get("settlement_state") == "settled":
                break
            time.sleep(0.2)
        assert (trade["settlement_state"], trade["instrument_name"]) == ("settled", name)
        batch = other.call("public/get_batch", batch=trade["batch"])
        assert (batch["state"], batch["trades"][0]["instrument_name"]) == ("settled", name)
        with pytest.raises(ApiError, match="BadQuery"):
            other.call("public/get_batch", batch=10**9)
        [held] = other.fetch_positions()
        assert (held["instrument_name"], held["size"]) == (name, "0.1")
        assert Decimal(other.fetch_balance()["initial_margin"]) > 0
        log = other.call("private/get_transaction_log")["logs"]
        assert [row["instrument_name"] for row in log if row["type"] == "trade"] == [name]
    example.join(60)
    assert f"held: -0.1 {name} delta: -0." in printed[0]


def command(said: dict[str, Any], *words: str) -> str:
    line = [sys.executable, "-m", "novate", "venue", *words, "--venue", said["url"]]
    ended = subprocess.run(
        line, env=environment(said, 0), capture_output=True, text=True, timeout=60
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def test_the_command_line_shows_options(said: dict[str, Any]) -> None:
    listed = json.loads(command(said, "instruments", "--kind", "option", "--json"))
    assert len({i["expiration_timestamp"] for i in listed}) >= 2
    assert {i["base_currency"] for i in listed} == {"BTC", "ETH"}
    one = listed[0]["instrument_name"]
    day = one.split("-")[1]
    shown = command(said, "instruments", "--currency", one[:3], "--kind", "future")
    assert f"{one[:3]}-{day}" in shown and "08:00" in shown
    chain = json.loads(command(said, "chain", one[:3], "--expiry", day, "--json"))
    assert len(chain) == 16 and all(row["greeks"] for row in chain)
    assert one in command(said, "chain", one[:3], "--expiry", day)
    ticker = command(said, "ticker", one)
    assert "mark vol %" in ticker and "theta" in ticker


def test_a_book_is_hedged(said: dict[str, Any]) -> None:
    with (
        Client(said["url"], key_of(said, 2)) as maker,
        Client(said["url"], key_of(said, 1)) as trader,
    ):
        price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
        maker.create_order(BTC, "sell", "0.7", price + 10)
        trader.create_order(BTC, "buy", "0.7", price + 20, time_in_force="immediate_or_cancel")
        maker.create_order(BTC, "buy", "0.4", price - 10)
        maker.create_order(BTC, "buy", "0.5", price - 30)
        printed = run(said, 1, "hedge_a_book.py", said["url"], "BTC")
        assert printed.startswith("delta 0.7") and printed.rstrip().endswith("delta 0")
        assert trader.fetch_positions() == []
        maker.cancel_all_orders()


def sizes(client: Client) -> dict[str, Decimal]:
    return {p["instrument_name"]: Decimal(p["size"]) for p in client.fetch_positions()}


def test_a_request_for_quotes_is_answered_and_taken(said: dict[str, Any]) -> None:
    printed: list[str] = []
    example = threading.Thread(
        target=lambda: printed.append(run(said, 0, "take_an_rfq.py", said["url"], "12"))
    )
    example.start()
    with Client(said["url"], key_of(said, 2)) as trader:
        before = sizes(trader)
        legs = [(BTC, "buy", "0.2"), (ETH, "sell", "3")]
        asked = trader.create_block_rfq(legs, valid_for=30)
        trader.create_block_rfq([(BTC, "buy", "50")], valid_for=30)  # too much for this maker
        deadline, mine = time.monotonic() + 20, asked
        while not (mine["asks"] and mine["bids"]) and time.monotonic() < deadline:
            time.sleep(0.1)
            [mine] = trader.fetch_block_rfqs(block_rfq_id=asked["block_rfq_id"])
        done = trader.accept_block_rfq(mine["asks"][0])
        assert done["state"] == "filled"
        for name, size in (before | {BTC: before.get(BTC, 0) + Decimal("0.2"), ETH: -3}).items():
            assert sizes(trader)[name] == size
        # and back, by the other side of the same maker
        again = trader.create_block_rfq(legs, valid_for=30)
        while not again["bids"] and time.monotonic() < deadline:
            time.sleep(0.1)
            [again] = trader.fetch_block_rfqs(block_rfq_id=again["block_rfq_id"])
        trader.accept_block_rfq(again["bids"][0])
        assert sizes(trader) == before
        example.join(60)
    assert printed[0].count("offered to") == 4 and printed[0].count("traded:") == 2
    assert "is too large" in printed[0]


def test_a_bot_trades_through_the_signer(said: dict[str, Any], tmp_path: Path) -> None:
    key = tmp_path / "bot.key"
    key.write_text(said["accounts"][1]["private_key"])
    key.chmod(0o600)
    keys = tmp_path / "keys.toml"
    keys.write_text(f'[[key]]\nid = "bot"\nsecret = "{SECRET}"\nprivate_key_file = "bot.key"\n')
    command = [sys.executable, "-m", "novate", "signer", "--keys", str(keys), "--port", "0"]
    with subprocess.Popen(
        [*command, "--venue", said["url"]], stdout=subprocess.PIPE, text=True
    ) as signer:
        try:
            assert signer.stdout is not None
            url = signer.stdout.readline().split(" on ")[1].split()[0].replace("http", "ws")
            printed = run(said, 1, "bot_through_signer.py", f"{url}/ws/api/v2", "bot")
        finally:
            signer.terminate()
    assert [line.split()[0] for line in printed.splitlines()] == ["placed", "state", "then"]
    assert printed.rstrip().endswith("cancelled")


def test_whoever_leaves_gets_the_document_of_his_match(said: dict[str, Any]) -> None:
    with (
        Client(said["url"], key_of(said, 0)) as maker,
        Client(said["url"], key_of(said, 1)) as taker,
    ):
        price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
        maker.create_order(BTC, "sell", "0.1", price + 10)
        done = taker.create_order(
            BTC, "buy", "0.1", price + 20, time_in_force="immediate_or_cancel"
        )
        number = done["trades"][0]["trade_id"]
        for client, side in ((maker, "maker"), (taker, "taker")):
            found = client.call("private/get_forced_exit_data", trade_id=number)
            account = said["accounts"][0 if side == "maker" else 1]["account"]
            assert found["sequence"] == int(number) and found[side]["account"] == account
            assert len(found["receipt"]) == 130


def crash(path: Path) -> Path:
    """Ten quiet minutes, which the venue begins with, then a fall of a fifth in each of four."""
    rows = ["timestamp,symbol,open,high,low,close"]
    levels = [100_000] * 10 + [80_000, 64_000, 51_000] + [40_000] * 60
    for symbol, scale in (("BTC", 1), ("ETH", 25)):
        for minute, level in enumerate(levels):
            before = levels[minute - 1] if minute else level
            high, low = max(before, level), min(before, level)
            prices = ",".join(str(p // scale) for p in (before, high, low, level))
            rows.append(f"{1_760_000_000 + 60 * minute},{symbol},{prices}")
    path.write_text("\n".join(rows) + "\n")
    return path


def test_a_liquidator_takes_over_what_cannot_be_kept(tmp_path: Path) -> None:
    prices = crash(tmp_path / "crash.csv")
    with running(tmp_path / "venue", "--prices", str(prices)) as (_, said):
        with (
            Client(said["url"], key_of(said, 0)) as maker,
            Client(said["url"], SigningKey(said["accounts"][1]["private_key"])) as taker,
        ):
            price = round(Decimal(maker.fetch_ticker(BTC)["mark_price"]))
            maker.create_order(BTC, "sell", 40, price + 10)
            done = taker.create_order(
                BTC, "buy", 40, price + 20, time_in_force="immediate_or_cancel"
            )
            assert done["order"]["filled_amount"] == "40"
        printed = run(said, 2, "run_a_liquidator.py", said["url"], said["rpc"], "1")
        assert "started the auction of " + said["accounts"][1]["account"] in printed
        assert "bought" in printed
        with Client(said["url"], key_of(said, 2)) as liquidator:
            deadline = time.monotonic() + 20
            while not liquidator.fetch_positions() and time.monotonic() < deadline:
                time.sleep(0.2)
            [position] = liquidator.fetch_positions()
            assert position["direction"] == "buy" and Decimal(position["size"]) > 1


def test_every_example_is_run_and_fits_a_page() -> None:
    tests = Path(__file__).read_text() + (ROOT / "tests/chain/test_exit.py").read_text()
    for example in EXAMPLES.glob("*.py"):
        assert f'"{example.name}"' in tests, example.name
        assert len(example.read_text().splitlines()) <= 80, example.name
