"""Leaving with a receipt and an RPC: no process of the venue's runs any more."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from novate.chain.backend import abi_of
from novate.chain.node import LocalNode, local_key
from novate.demo.actors import USD
from novate.errors import (
    BadReceipt,
    BadSignature,
    Error,
    MalformedOrder,
    NodeOnWrongChain,
    NotOwner,
    ReceiptUsed,
    Rejected,
)
from novate.model.order import IMMEDIATE, ZERO_ADDRESS
from novate.services.batch_call import exit_data
from novate.services.leaving import Leaver, Step
from novate.services.oracle_node import joint_round
from novate.wire import eip712, records
from novate.wire.exit_data import ExitData
from novate.wire.records import Matched
from tests.support.market import BTC, Market

ROOT = Path(__file__).parents[2]
ROUND_SECONDS = 20  # well within what counts as an outage, on a slow machine, too
NOVATE = ("-m", "novate")
Gone = tuple[Market, ExitData]


def matched(market: Market, lots: int) -> ExitData:
    """A match that the operator never settles, as its document."""
    sign = 1 if lots > 0 else -1
    market.order("maker", -lots, 100_000, flags=0)
    market.order("taker", lots, 100_000 + sign * 1_000)
    (match,) = [e for e in market.venue.pump() if isinstance(e, Matched)]
    taker, maker = (market.venue.placed[d] for d in (match.taker, match.maker))
    return exit_data(market.venue.deployment, match, taker, maker, market.venue.executor.address)


@pytest.fixture
def gone(tmp_path: Path) -> Iterator[Gone]:
    """The taker was long and has just matched the sale of all; then the operator is gone."""
    market = Market(tmp_path, maker=1_000_000, taker=20_000)
    try:
        market.order("maker", -50, 100_000, flags=0)
        market.order("taker", 50, 101_000)
        market.round(100_000)
        data = matched(market, -50)
        market.venue.journal.close()
        yield market, data
    finally:
        market.venue.node.stop()


@contextmanager
def somebody_mines(node: LocalNode) -> Iterator[None]:
    """The chain goes on by itself, ten seconds a block."""
    client, over = node.client(), threading.Event()

    def mine() -> None:
        while not over.wait(0.05):
            client.mine(client.block().timestamp + 10)

    thread = threading.Thread(target=mine)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def leaver(market: Market, data: ExitData, name: str = "taker") -> Leaver:
    client = market.venue.node.client()

    def wait(timestamp: int) -> None:
        """The chain's time passes; the oracle's nodes go on without the operator."""
        while (now := client.block().timestamp) < timestamp:
            now = min(timestamp, now + ROUND_SECONDS)
            client.mine(now)
            nodes, market.venue.round = market.venue.oracle_nodes, market.venue.round + 1
            signed = joint_round(nodes[0], nodes, market.venue.round, now, now)
            oracle = market.venue.deployment.addresses["oracle"]
            data = abi_of("Oracle").encode_call("post_round", *signed.arguments())
            client.confirm(client.send(local_key("anyone"), oracle, data))

    return Leaver(client, data, market.actors[name].key, wait)


def balance(market: Market, name: str) -> int:
    token = market.venue.tokens["USDC"]
    return int(token.call("balanceOf", market.actors[name].address))


def run(*command: str, key: str, folder: Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join([str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
    environment = os.environ | {"NOVATE_KEY": key, "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_command_settles_withdraws_and_leaves(gone: Gone, tmp_path: Path) -> None:
    market, data = gone
    data.save(tmp_path / "match.json")
    key = market.actors["taker"].key.key.to_0x_hex()
    arguments = ("match.json", "--rpc", market.venue.node.http_url, "--json")
    with somebody_mines(market.venue.node):
        done = run(*NOVATE, "exit", *arguments, key=key, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    steps = json.loads(done.stdout)["steps"]
    assert [step["name"] for step in steps] == ["settle", "request_withdrawal", "withdraw"]
    raw = market.actors["taker"].account.to_bytes(32, "big")
    assert market.venue.clearinghouse.call("positions", raw) == ()
    assert 19_900 * USD < balance(market, "taker") < 20_000 * USD  # all but the fees
    slot = market.venue.clearinghouse.call("account", raw)[0] & (2**128 - 1)
    assert slot < 10**12, "less than a millionth of a dollar stays"


def test_the_example_does_the_same(gone: Gone, tmp_path: Path) -> None:
    market, data = gone
    data.save(tmp_path / "match.json")
    key = market.actors["taker"].key.key.to_0x_hex()
    script = str(ROOT / "examples" / "leave_without_operator.py")
    with somebody_mines(market.venue.node):
        done = run(script, "match.json", market.venue.node.http_url, key=key, folder=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].startswith("50 lots at 100000.50")
    assert balance(market, "taker") > 19_900 * USD


def test_leaving_twice_does_nothing_twice(gone: Gone) -> None:
    market, data = gone
    first = list(leaver(market, data).leave())
    assert [step.name for step in first] == ["settle", "request_withdrawal", "withdraw"]
    paid = balance(market, "taker")
    again = list(leaver(market, data).leave())
    assert [(s.name, s.transaction) for s in again] == [("settle", "")]
    assert balance(market, "taker") == paid


def test_one_stopped_after_its_request_goes_on_there(gone: Gone) -> None:
    market, data = gone
    began = leaver(market, data).leave()
    assert [next(began).name, next(began).name] == ["settle", "request_withdrawal"]
    rest = list(leaver(market, data).leave())
    assert [step.name for step in rest] == ["settle", "withdraw"]
    assert balance(market, "taker") > 19_900 * USD


def test_with_an_open_position_its_margin_stays(gone: Gone) -> None:
    market, data = gone
    steps: list[Step] = list(leaver(market, data, "maker").leave())
    assert steps[-1].name == "withdraw"  # the maker is flat, too, after the match
    assert balance(market, "maker") > 999_000 * USD


def test_a_position_that_the_match_opens_keeps_what_it_needs(tmp_path: Path) -> None:
    market = Market(tmp_path, maker=1_000_000, taker=20_000)
    try:
        data = matched(market, 50)
        market.venue.journal.close()
        assert [s.name for s in leaver(market, data).leave()][-1] == "withdraw"
        raw = market.actors["taker"].account.to_bytes(32, "big")
        equity, _, _, _, valuation = market.venue.clearinghouse.call("check", raw)
        assert valuation[3] > 0 and valuation[3] <= equity < 2 * valuation[3]
        assert 0 < balance(market, "taker") < 20_000 * USD
    finally:
        market.venue.node.stop()


def test_two_orders_open_to_anybody_settle_without_a_receipt(gone: Gone) -> None:
    market, data = gone
    orders = []
    for name, lots in (("taker", -50), ("maker", 50)):
        actor = market.actors[name]
        made = actor.order(market.venue.desk({}), BTC, lots, 100_000, IMMEDIATE if lots < 0 else 0)
        order = replace(made.order, executor=ZERO_ADDRESS, price=records.number(data.price))
        assert actor.signer is not None
        r, vs = eip712.sign(actor.signer, eip712.order_digest(market.venue.separator, order))
        part = data.taker if lots < 0 else data.maker
        orders.append(
            msgspec.structs.replace(
                part,
                nonce=order.nonce,
                price=records.big(order.price),
                max_fee=records.big(order.max_fee),
                expiry=order.expiry,
                flags=order.flags,
                executor=ZERO_ADDRESS,
                signature=f"0x{r:064x}{vs:064x}",
            )
        )
    changed: dict[str, Any] = {"taker": orders[0], "maker": orders[1]}
    none = {"executor": "", "sequence": 0, "matched_at": 0, "receipt": ""}
    bare = msgspec.structs.replace(data, **changed, **none)
    steps = list(leaver(market, bare).leave())
    assert [step.name for step in steps] == ["settle", "request_withdrawal", "withdraw"]
    with pytest.raises(Rejected) as twice:
        leaver(market, bare).settle()
    assert twice.value.error is ReceiptUsed


@pytest.mark.parametrize(
    ("change", "who", "error"),
    [
        ({"chain_id": 1}, "taker", NodeOnWrongChain),
        ({"exchange": "0x" + "77" * 20}, "taker", BadSignature),
        ({"clearinghouse": "0x" + "77" * 20}, "taker", BadSignature),
        ({}, "stranger", NotOwner),
        ({"lots": 49}, "taker", BadReceipt),
    ],
)
def test_a_document_that_is_not_genuine_is_refused_by_name(
    gone: Gone, change: dict[str, Any], who: str, error: Error
) -> None:
    market, data = gone
    market.actors["stranger"] = replace(market.actors["taker"], key=market.venue.executor)
    before = balance(market, "taker")
    with pytest.raises(Rejected) as refused:
        list(leaver(market, msgspec.structs.replace(data, **change), who).leave())
    assert refused.value.error is error
    assert balance(market, "taker") == before


def test_a_broken_document_or_key_is_one_line(gone: Gone, tmp_path: Path) -> None:
    market, data = gone
    (tmp_path / "match.json").write_text('{"chain_id": 1')
    rpc = ("--rpc", market.venue.node.http_url)
    command = (*NOVATE, "exit", "match.json", *rpc)
    done = run(*command, key="0x" + "11" * 32, folder=tmp_path)
    assert done.returncode == 2 and MalformedOrder.name in done.stderr
    assert len(done.stderr.splitlines()) == 1
    data.save(tmp_path / "match.json")
    done = run(*command, key="0x5ecret", folder=tmp_path)
    assert done.returncode == 2 and "5ecret" not in done.stderr
    done = run(
        *NOVATE,
        "exit",
        "match.json",
        "--rpc",
        "http://127.0.0.1:1",
        key="0x" + "11" * 32,
        folder=tmp_path,
    )
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1


def test_a_document_reads_back_as_it_was_written(gone: Gone, tmp_path: Path) -> None:
    _, data = gone
    data.save(tmp_path / "match.json")
    assert ExitData.load(tmp_path / "match.json") == data
    with pytest.raises(Rejected):
        msgspec.structs.replace(data.taker, price="1.5").signed()
