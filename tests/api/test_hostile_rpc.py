"""``novate up`` over an RPC that stalls, lies or mixes its answers up: nobody who trades notices,
and what was matched meanwhile settles once the node is honest again.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.liar import Answer, LiarUrl, honest
from support.venue_api import Trader, open_venue, post

from novate.sdk import Client, SigningKey

BTC = "BTC-PERPETUAL"
MAKER, TAKER = Trader("rpc maker"), Trader("rpc taker")
STALL_S, LONG_STALL_S = 12, 45  # a request is given up after ten
LATE_S = 3.0  # on a busy machine; what waits for the node waits for ten
ROUND_S = 30


@dataclass
class Traded:
    """A venue over a hostile node, two who trade there, and how long they waited at most."""

    liar: LiarUrl
    url: str
    maker: Client
    taker: Client
    slowest: dict[str, float] = field(default_factory=dict)
    trades: int = 0

    def timed(self, what: str, method: str, *arguments: Any, **named: Any) -> Any:
        """A call, with how long it took."""
        client = self.maker if what == "rest" else self.taker
        began = time.monotonic()
        found = getattr(client, method)(*arguments, **named)
        self.slowest[what] = max(self.slowest.get(what, 0), time.monotonic() - began)
        return found

    def trade_for(self, seconds: float) -> None:
        """Rest, take, rest, cancel, look; again and again."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            ticker = self.timed("look", "fetch_ticker", BTC)
            price = round(Decimal(ticker["mark_price"]))
            self.timed("rest", "create_order", BTC, "sell", "0.01", price)
            done = self.timed(
                "take", "create_order", BTC, "buy", "0.01", price, time_in_force="fill_or_kill"
            )
            assert done["order"]["order_state"] == "filled"
            self.trades += 1
            left = self.timed("rest", "create_order", BTC, "sell", "0.01", price + 50)
            self.maker.cancel_order(left["order"]["order_id"])
            time.sleep(0.05)

    def health(self) -> dict[str, Any]:
        """What ``/health`` says, ready or not."""
        try:
            with urllib.request.urlopen(f"{self.url}/health", timeout=5) as reply:
                return dict(json.load(reply))
        except urllib.error.HTTPError as refused:
            return dict(json.load(refused))

    def settle(self, seconds: float = 40) -> None:
        """Everything settles, nothing is busted, all of it is there."""
        deadline = time.monotonic() + seconds
        states: list[str] = []
        while time.monotonic() < deadline:
            states = [t["settlement_state"] for t in self.taker.fetch_trades(BTC, 1_000)]
            assert "busted" not in states
            if len(states) == self.trades and set(states) == {"settled"}:
                return
            time.sleep(0.2)
        raise AssertionError(states)


@pytest.fixture
def traded(tmp_path: Path) -> Iterator[Traded]:
    made = open_venue(tmp_path, [MAKER, TAKER])
    while made.now < time.time() - ROUND_S:  # prices that never paused: no grace behind a restart
        post(made, made.now + ROUND_S)
    folder, stop = tmp_path / "other", threading.Event()
    folder.mkdir()
    made.deployment.save(folder / "deployment.json")

    def mine() -> None:  # a chain that goes on by itself
        while not stop.wait(0.3):
            made.client.mine(max(int(time.time()), made.client.block().timestamp))

    miner = threading.Thread(target=mine)
    miner.start()
    command = [sys.executable, "-m", "novate", "up", "--folder", str(folder), "--json"]
    try:
        with closing(LiarUrl(made.node.http_url)) as liar:
            command += ["--rpc", liar.url, "--port", "0"]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                said = json.loads(process.stdout.readline())
                keys = [SigningKey("0x" + bytes(t.key.key).hex()) for t in (MAKER, TAKER)]
                with Client(said["url"], keys[0]) as maker, Client(said["url"], keys[1]) as taker:
                    yield Traded(liar, said["url"], maker, taker)
                liar.free.set()
                process.terminate()
                assert process.wait(30) == 0
    finally:
        stop.set()
        miner.join()
        made.close()


def stall(traded: Traded, seconds: float) -> int:
    """The node answers nobody for so long; the seconds since it was heard, at the end."""
    traded.liar.free.clear()
    traded.trade_for(seconds)
    said = traded.health()["parts"]["chain"]["detail"]
    traded.liar.free.set()
    return int(said.split()[1])


def another_answer(method: str, answer: Answer) -> Answer:
    return {**answer, "id": answer["id"] + 1}


def wrong_chain(method: str, answer: Answer) -> Answer:
    return {**answer, "result": "0x1"} if method == "eth_chainId" else answer


def false_receipts(method: str, answer: Answer) -> Answer:
    if method == "eth_getBlockReceipts" and answer["result"]:
        rows = [{**row, "blockHash": "0x" + "77" * 32} for row in answer["result"]]
        return {**answer, "result": rows}
    return answer


def false_hashes(method: str, answer: Answer) -> Answer:
    if method == "eth_sendRawTransaction":
        return {**answer, "result": "0x" + "77" * 32}
    return answer


def nothing(method: str, answer: Answer) -> Answer | None:
    return None


def test_a_node_that_stalls_or_lies_holds_no_trader_up(traded: Traded) -> None:
    traded.trade_for(1)
    traded.settle()
    silent = stall(traded, STALL_S)
    assert silent >= STALL_S - 2, "the venue says that it does not hear the chain"
    traded.settle()
    for twist in (another_answer, wrong_chain, false_receipts, false_hashes, nothing):
        traded.liar.twist = twist
        traded.trade_for(1.5)
        traded.liar.twist = honest
    traded.settle()
    assert max(traded.slowest.values()) < LATE_S, traded.slowest
    assert traded.trades > 50


@pytest.mark.nightly
def test_a_long_stall_is_said_and_made_up_for(traded: Traded) -> None:
    traded.trade_for(1)
    traded.liar.free.clear()
    traded.trade_for(LONG_STALL_S)
    health = traded.health()
    assert "chain" in health["not_ready"] and "engine" not in health["not_ready"]
    traded.liar.free.set()
    traded.settle(90)
    assert max(traded.slowest.values()) < LATE_S, traded.slowest
