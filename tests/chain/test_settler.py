"""The settler on a real node: what is matched settles exactly once, whatever happens on the way."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from novate.chain.client import Client, RpcFault
from novate.chain.node import local_key
from novate.chain.rows import hexed
from novate.demo.venue import Venue
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.engine.journal import Journal
from novate.errors import BY_CODE, BY_SELECTOR, Rejected
from novate.services import settler as settler_module
from novate.services.batch_call import settle_calldata
from novate.services.fees import FeePolicy
from novate.services.flights import SettlerOptions
from novate.services.post import Direct
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire import records
from novate.wire.records import BatchDue, BatchSubmitted, ChainReorganised, Matched
from tests.support.liar import Answer, Liar, honest
from tests.support.market import Market, happened, market_of

ROOT = Path(__file__).parents[2]
GWEI = 10**9
market = market_of(maker=1_000_000, taker=20_000)


def due(market: Market, lots: int = 10, count: int = 1) -> list[Matched]:
    """Matches in a closed batch that is not sent yet."""
    venue = market.venue
    for _ in range(count):
        market.order("maker", -lots, 100_000, flags=0)
        market.order("taker", lots, 101_000)
    found = [e for e in venue.pump() if isinstance(e, Matched)]
    venue.journal.append(*records.encode(BatchDue(venue.now * 1000)))
    venue.pump()
    assert len(found) == count
    return found


def reopened(venue: Venue, options: SettlerOptions | None = None) -> Settler:
    """A settler that knows nothing but the journal."""
    made = Settler(venue.client, venue.deployment, venue.executor, options)
    venue.journal.commit()
    for entry in venue.journal.read(1):
        made.follow(records.decode(entry.kind, entry.payload))
    venue.settler = made
    return made


def submissions(market: Market) -> list[BatchSubmitted]:
    return [r for r in market.records() if isinstance(r, BatchSubmitted) and r.count]


def written(venue: Venue, planned: list[BatchSubmitted]) -> None:
    for submitted in planned:
        venue.journal.append(*records.encode(submitted))
    venue.pump()


def require_settled_once(market: Market, lots: int) -> None:
    """Once on the chain, in the engine, and in what followed both."""
    venue = market.venue
    assert (market.held("taker"), market.held("maker"), market.busts()) == (lots, -lots, [])
    assert venue.sequencer.ahead.state.steps == []
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    assert venue.auditor.findings == []


# Kill -9


@pytest.mark.parametrize("point", ["before", "written", "sent", "mined"])
def test_a_settler_killed_anywhere_settles_exactly_once(market: Market, point: str) -> None:
    """Before it wrote, between writing and sending, before the receipt, and after the block."""
    venue = market.venue
    due(market)
    told: list[str] = []
    if point != "before":
        venue.journal.close()
        stop = "written" if point == "written" else "sent"
        command = [sys.executable, "-m", "tests.support.settler_child"]
        child = subprocess.Popen(
            [*command, str(venue.folder), str(venue.node.ipc_path), stop],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        told = child.stdout.readline().split()
        child.kill()
        assert child.wait() == -signal.SIGKILL
        child.stdout.close()
        assert told[0] == stop and len(told) == 2
        path = venue.folder / "journal.bin"
        venue.journal = Journal.open(path, lambda: venue.now * 1000, create=False)
    if point == "mined":
        venue.client.mine(venue.now + 5)
    reopened(venue)
    venue.submit()
    outcomes = venue.mine(venue.now + 10)
    require_settled_once(market, 10)
    sent = submissions(market)
    assert len(sent) == 1, "nothing is planned a second time"
    assert not told or sent[0].transaction.hex() == told[1]
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [1]


def test_the_same_transaction_is_made_again_from_the_journal_alone(market: Market) -> None:
    due(market, count=3)
    written(market.venue, market.venue.settler.plan(0))
    (intent,) = submissions(market)
    assert intent.transaction != bytes(32) and intent.nonce > 0
    assert reopened(market.venue).raw(intent) == market.venue.settler.raw(intent)


# Dropped, stuck, replaced, taken


def test_a_dropped_transaction_is_sent_again_as_it_was(market: Market) -> None:
    venue = market.venue
    due(market)
    venue.submit()
    (sent,) = submissions(market)
    venue.client.request("anvil_dropTransaction", hexed(sent.transaction))
    head = venue.watcher.next_block - 1
    assert venue.settler.check(venue.now * 1000, head) == [], "not asked too soon"
    assert venue.settler.check(venue.now * 1000 + 5_000, head) == []
    venue.settler.transmit()
    venue.mine(venue.now + 10)
    require_settled_once(market, 10)
    assert len(submissions(market)) == 1


def test_a_stuck_transaction_is_replaced_at_a_higher_fee_up_to_the_bound(market: Market) -> None:
    venue = market.venue
    venue.client.set_balance(venue.executor.address, 10**20)
    options = SettlerOptions(fees=FeePolicy(priority=2 * GWEI, maximum=5 * GWEI // 2))
    due(market)
    settler = reopened(venue, options)
    written(venue, settler.plan(0))
    settler.transmit()
    head = venue.watcher.next_block - 1
    for later in (20_000, 40_000, 60_000):
        written(venue, settler.check(later, head))
        settler.transmit()
    offered = [records.number(s.fee_maximum) for s in submissions(market)]
    assert offered == [2 * GWEI, 9 * GWEI // 4], "another step would be above the bound"
    assert len({s.nonce for s in submissions(market)}) == 1
    outcomes = venue.mine(venue.now + 10)
    assert len(happened(outcomes, "BatchSettled")) == 1
    require_settled_once(market, 10)


def test_a_batch_whose_nonce_was_used_elsewhere_gets_another(market: Market) -> None:
    venue = market.venue
    due(market)
    written(venue, venue.settler.plan(0))
    (first,) = submissions(market)
    venue.client.send(venue.executor, venue.executor.address, b"", 21_000)
    venue.mine(venue.now + 5)
    venue.settler.transmit()  # refused: the nonce is too low
    head = venue.watcher.next_block - 1
    written(venue, venue.settler.check(10_000, head))
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    again = submissions(market)[1]
    assert again.nonce == first.nonce + 1
    require_settled_once(market, 10)


def test_a_missing_nonce_does_not_hold_the_others_up(market: Market) -> None:
    """As after a node that named too high a nonce."""
    venue = market.venue
    due(market)
    (intent,) = venue.settler.plan(0)
    ahead = venue.settler._made(replace(intent, nonce=intent.nonce + 7))
    written(venue, [ahead])
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    assert market.held("taker") == 0
    written(venue, venue.settler.check(10_000, venue.watcher.next_block - 1))
    venue.settler.transmit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 10)


# Reverted


def test_the_fills_of_a_reverted_batch_settle_one_by_one(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = market.venue
    due(market, lots=3, count=3)
    with monkeypatch.context() as patched:
        patched.setattr(settler_module, "GAS_BASE", 300_000)
        patched.setattr(settler_module, "GAS_PER_FILL", 0)
        venue.submit()
    outcomes = venue.mine(venue.now + 5)
    assert [o.succeeded for o in outcomes] == [False]
    venue.submit()
    outcomes = venue.mine(venue.now + 5)
    assert [a["count"] for a in happened(outcomes, "BatchSettled")] == [1, 1, 1]
    require_settled_once(market, 9)


def test_a_fill_that_never_settles_is_given_up_after_a_bounded_number_of_tries(
    market: Market, monkeypatch: pytest.MonkeyPatch
) -> None:
    venue = market.venue
    (match,) = due(market)
    monkeypatch.setattr(settler_module, "GAS_BASE", 300_000)
    monkeypatch.setattr(settler_module, "GAS_PER_FILL", 0)
    for _ in range(6):
        venue.submit()
        venue.mine(venue.now + 5)
    assert [(b.sequence, BY_CODE[b.code].name) for b in market.busts()] == [
        (match.sequence, "BatchReverted")
    ]
    assert len(submissions(market)) == 4 and market.held("taker") == 0
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()


# Skipped


def test_a_fill_that_the_chain_skips_settles_alone_once_nothing_bars_it(market: Market) -> None:
    venue = market.venue
    (match,) = due(market, lots=3)
    venue.clearinghouse.send("pause", 60, key=local_key("guardian"))  # the engine did not know
    venue.submit()
    outcomes = venue.mine(venue.now + 5)
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [0]
    assert len(happened(outcomes, "TradeSkipped")) + len(happened(outcomes, "FillSkipped")) == 1
    assert market.held("taker") == 0 and market.busts() == []
    assert match.sequence in venue.settler.held.matches, "it is sent again"
    for _ in range(3):
        market.round(100_000)
    require_settled_once(market, 3)
    assert [(s.first_sequence, s.count) for s in submissions(market)] == [(0, 1), (0, 1)]
    for _ in range(REORG_BLOCKS_MAX + 1):
        venue.mine(venue.now + 1)
    venue.client.send(local_key("stranger"), market.exchange().address, b"")
    venue.mine(venue.now + 1)
    assert venue.settler.held.matches == venue.settler.held.placed == {}


# Reorganisations


def test_what_leaves_the_chain_in_twelve_blocks_settles_again_and_never_twice(
    market: Market,
) -> None:
    venue = market.venue
    due(market)
    venue.submit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 10)
    for _ in range(11):
        venue.mine(venue.now + 2)
    venue.client.request("anvil_reorg", 12, [])
    venue.watch()
    assert [r for r in market.records() if isinstance(r, ChainReorganised)]
    assert market.held("taker") == 0 and len(venue.sequencer.ahead.state.steps) == 1
    assert venue.sequencer.confirmed_hash() == venue.replica.world.state_hash()
    venue.submit()
    outcomes = venue.mine(venue.now + 5)
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [1]
    require_settled_once(market, 10)
    assert len(submissions(market)) == 1, "the same bytes as before"
    again = venue.rebuilt_sequencer()
    assert again.confirmed_hash() == venue.sequencer.confirmed_hash()


def test_a_reorganisation_while_nobody_watched_is_told_at_the_start(market: Market) -> None:
    venue = market.venue
    due(market)
    venue.submit()
    venue.mine(venue.now + 5)
    venue.client.request("anvil_reorg", 3, [])
    venue.watcher = Watcher(venue.client, venue.deployment, venue.deployment.block + 1)
    told = venue.watcher.resume(market.records())
    assert len(told) == 1
    venue.journal.append(*records.encode(told[0]))
    venue._follow_again()
    venue.pump()
    assert market.held("taker") == 0
    venue.submit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 10)


def test_the_contract_settles_no_match_a_second_time(market: Market) -> None:
    """Whatever a settler did: the same batch under another nonce is skipped, fill by fill."""
    venue = market.venue
    found = due(market, lots=3, count=2)
    venue.submit()
    venue.mine(venue.now + 5)
    fills = venue.settler._fills(found)
    data = settle_calldata(b"", fills, found[0].sequence)
    venue.client.send(venue.executor, market.exchange().address, data)
    outcomes = venue.mine(venue.now + 5)
    codes = [int.from_bytes(a["code"], "big") for a in happened(outcomes, "FillSkipped")]
    assert {BY_SELECTOR[code].name for code in codes} <= {"ReceiptUsed", "NonceUsed"}
    assert [a["settled"] for a in happened(outcomes, "BatchSettled")] == [0]
    require_settled_once(market, 6)


# A node that lies, stalls, stops


@pytest.fixture
def liar(market: Market, tmp_path: Path) -> Iterator[Liar]:
    with closing(Liar(tmp_path, market.venue.node.ipc_path)) as made:
        yield made


def wrong_chain(method: str, answer: Answer) -> Answer:
    return {**answer, "result": "0x1"} if method == "eth_chainId" else answer


def false_receipt(method: str, answer: Answer) -> Answer:
    if method == "eth_getBlockReceipts" and answer["result"]:
        rows = [{**row, "blockHash": "0x" + "77" * 32} for row in answer["result"]]
        return {**answer, "result": rows}
    return answer


def false_hash(method: str, answer: Answer) -> Answer:
    if method == "eth_sendRawTransaction":
        return {**answer, "result": "0x" + "77" * 32}
    return answer


def another_answer(method: str, answer: Answer) -> Answer:
    return {**answer, "id": answer["id"] + 1}


def no_answer(method: str, answer: Answer) -> Answer | None:
    return None


@pytest.mark.parametrize(
    ("twist", "named"),
    [
        (wrong_chain, "NodeOnWrongChain"),
        (false_receipt, "NodeLied"),
        (false_hash, "NodeLied"),
        (another_answer, "NodeLied"),
        (no_answer, "NodeSilent"),
    ],
)
def test_a_node_that_lies_or_stalls_is_named_and_settling_goes_on(
    market: Market, liar: Liar, twist: object, named: str
) -> None:
    venue = market.venue
    client = Client.over_ipc(liar.path, mines=True, seconds=1)
    due(market)
    settler = reopened(venue)
    settler.client, settler.post = client, Direct(client)
    written(venue, settler.plan(0))
    liar.twist = twist  # type: ignore[assignment]
    settler.transmit()
    settler.check(10_000, venue.watcher.next_block - 1)
    venue.client.mine(venue.now + 5)
    watcher = Watcher(client, venue.deployment, venue.watcher.next_block)
    named_faults, told = set(settler.faults), []
    try:
        told += watcher.poll()
    except (Rejected, RpcFault) as fault:
        named_faults.add(str(fault).split()[0])
    assert named in named_faults
    liar.twist = honest
    settler.check(20_000, venue.watcher.next_block - 1)
    settler.transmit()
    venue.mine(venue.now + 5)
    require_settled_once(market, 10)
    told += watcher.poll()
    assert len(told) == 1, "nothing was lost meanwhile"
    client.close()


def test_a_node_that_is_stopped_and_resumed_loses_nothing(market: Market) -> None:
    venue = market.venue
    due(market)
    settler = reopened(venue)
    settler.client = Client.over_ipc(venue.node.ipc_path, seconds=1)
    settler.post = Direct(settler.client)
    written(venue, settler.plan(0))
    os.kill(venue.node.pid, signal.SIGSTOP)
    try:
        began = time.monotonic()
        settler.transmit()
        settler.check(10_000, venue.watcher.next_block - 1)
        assert time.monotonic() - began < 10
    finally:
        os.kill(venue.node.pid, signal.SIGCONT)
    assert settler.faults["NodeSilent"] >= 1
    written(venue, settler.check(12_500, venue.watcher.next_block - 1))  # it may have been taken
    settler.transmit()
    venue.mine(venue.now + 5)
    settler.client.close()
    require_settled_once(market, 10)
