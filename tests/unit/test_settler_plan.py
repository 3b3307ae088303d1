"""What the settler sends, in which order, and what a turn of its loop does with faults."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import pytest
from eth_utils.crypto import keccak

from novate import errors
from novate.chain.connection import RpcFault
from novate.chain.node import local_key
from novate.chain.rows import Fees
from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.errors import Rejected
from novate.services import batch_call
from novate.services.fees import FeePolicy
from novate.services.flights import BatchTimer, SettlerOptions
from novate.services.settlement_loop import SettlementLoop
from novate.services.settler import Settler
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchSubmitted,
    Busted,
    ChainReorganised,
    ChainTransaction,
    Matched,
    OracleRound,
)
from tests.support.engine import deployed

GWEI = 10**9
WORD = bytes(32)


class Node:
    """A node that answers what it is told to."""

    chain_id = 1

    def __init__(self) -> None:
        self.used = 7
        self.fault: Exception | None = None

    def request(self, method: str, *parameters: Any) -> Any:
        if self.fault:
            raise self.fault
        return hex(self.used)

    def request_each(self, method: str, rows: Sequence[Any]) -> list[Any]:
        raise RpcFault("asleep", errors.NodeSilent)

    def sign_at(self, nonce: int, *rest: Any) -> bytes:
        return repr((nonce, rest)).encode()


@pytest.fixture
def settler(monkeypatch: pytest.MonkeyPatch) -> Settler:
    monkeypatch.setattr(batch_call, "settle_calldata", lambda posted, fills, first: b"batch")
    monkeypatch.setattr(batch_call, "round_calldata", lambda carried: b"round")
    monkeypatch.setattr(Settler, "_fills", lambda self, found: found)
    return Settler(Node(), deployed()[0], local_key("executor"))  # type: ignore[arg-type]


def price_round(number: int, timestamp: int | None = None) -> OracleRound:
    return OracleRound(number, 10 * number if timestamp is None else timestamp, [], "0", [])


def closed(settler: Settler, first: int, count: int, number: int) -> None:
    for sequence in range(first, first + count):
        fields = (WORD, WORD, WORD, WORD, 1, True, 1, "1", "0", "0", 0, bytes(64), number)
        settler.follow(Matched(sequence, *fields))
    settler.follow(BatchClosed(first, count, number, 0))


def loads(planned: list[BatchSubmitted]) -> list[tuple[int, int, bool]]:
    """(first sequence, count, round carried or 0) with the nonces in order."""
    assert [p.nonce for p in planned] == list(range(7, 7 + len(planned)))
    return [(p.first_sequence, p.count, p.oracle_round if p.carries_round else 0) for p in planned]


def test_rounds_ascend_and_a_batch_goes_with_the_round_it_was_judged_by(settler: Settler) -> None:
    settler.follow(price_round(1))
    settler.follow(price_round(2))
    settler.follow(price_round(3))
    closed(settler, 0, 2, number=2)  # the record that closed it, round 3, came first
    closed(settler, 2, 1, number=3)
    closed(settler, 3, 1, number=3)
    assert loads(settler.plan(0)) == [(0, 0, 1), (0, 2, 2), (2, 1, 3), (3, 1, 0)]


def test_nothing_is_planned_twice_once_it_is_in_the_journal(settler: Settler) -> None:
    settler.follow(price_round(1))
    closed(settler, 0, 1, number=1)
    planned = settler.plan(0)
    assert settler.plan(0) == planned, "unless it is in the journal"
    for record in planned:
        settler.follow(record)
    assert settler.plan(0) == []
    closed(settler, 1, 1, number=1)
    assert [p.nonce for p in settler.plan(0)] == [8]


def test_behind_an_outage_stale_rounds_are_left_out_and_their_batches_go_last(
    settler: Settler,
) -> None:
    settler.follow(price_round(1, 100))
    closed(settler, 0, 1, number=1)
    settler.follow(price_round(2, 110))
    settler.follow(price_round(3, 165))
    closed(settler, 1, 1, number=3)
    settler.follow(price_round(4, 171))
    assert loads(settler.plan(0)) == [(1, 1, 3), (0, 0, 4), (0, 1, 0)]


def test_a_round_as_old_as_the_limit_is_not_stale(settler: Settler) -> None:
    settler.follow(price_round(1, 100))
    settler.follow(price_round(2, 160))
    assert loads(settler.plan(0)) == [(0, 0, 1), (0, 0, 2)]


def test_a_number_means_the_round_that_had_it_first(settler: Settler) -> None:
    """The engine refuses another one of that number, which would revert on the chain."""
    settler.follow(price_round(1))
    closed(settler, 0, 1, number=1)
    (sent,) = settler.plan(0)
    settler.follow(sent)
    settler.follow(price_round(2))
    for number in (1, 2):
        settler.follow(price_round(number, 2**40))
    assert [item.round for item in settler.waiting if isinstance(item, OracleRound)] == [2]
    assert {n: one.timestamp for n, one in settler.rounds.by_number.items()} == {1: 10, 2: 20}
    (after,) = settler.plan(0)
    assert (after.nonce, after.oracle_round, after.carries_round) == (8, 2, True)


def posted(settler: Settler, number: int, block: int) -> ChainTransaction:
    """A stranger brings a round."""
    oracle = bytes.fromhex(settler.deployment.addresses["oracle"][2:])
    topics = [keccak(b"RoundPosted(uint256,uint256,bytes32)"), number.to_bytes(32, "big")]
    logs = [(oracle, topics, bytes(64)), (bytes(20), [topics[0], b"\xff" * 32], bytes(64))]
    return ChainTransaction(block, 0, 0, b"\7" * 32, bytes(20), oracle, b"", True, 1, logs)


def test_a_round_whose_block_left_the_chain_is_sent_again(settler: Settler) -> None:
    """Somebody had brought it; of ours, the batch alone was sent again."""
    settler.follow(price_round(1))
    closed(settler, 0, 1, number=1)
    (sent,) = settler.plan(0)
    settler.follow(sent)
    settler.follow(posted(settler, 1, block=10))
    again = settler.rounds.renewed(sent)
    assert not again.carries_round
    settler.follow(msgspec.structs.replace(again, transaction=b"\1" * 32, nonce=8))
    assert settler.waiting == []
    settler.follow(ChainReorganised(11))
    assert settler.waiting == [], "its block stands"
    settler.follow(ChainReorganised(10))
    settler.follow(ChainReorganised(10))
    assert [item.round for item in settler.waiting if isinstance(item, OracleRound)] == [1]


def test_no_more_is_in_flight_than_allowed(settler: Settler) -> None:
    settler.options = SettlerOptions(in_flight_max=2)
    for first in range(5):
        closed(settler, first, 1, number=0)
    planned = settler.plan(0)
    assert len(planned) == 2
    for record in planned:
        settler.follow(record)
    assert settler.plan(0) == []


def test_gas_grows_with_the_fills_up_to_a_bound(settler: Settler) -> None:
    closed(settler, 0, 1, number=0)
    closed(settler, 1, 200, number=0)
    assert [p.gas for p in settler.plan(0)] == [1_450_000, 60_000_000]


# Fees


def test_the_first_offer_stands_while_the_base_fee_doubles() -> None:
    policy = FeePolicy(priority=2 * GWEI, maximum=100 * GWEI)
    assert policy.first(20 * GWEI) == Fees(42 * GWEI, 2 * GWEI)
    assert policy.first(60 * GWEI) == Fees(100 * GWEI, 2 * GWEI)
    assert FeePolicy().first(GWEI) == Fees(0, 0)


def test_a_replacement_adds_an_eighth_to_both_and_never_passes_the_bound() -> None:
    policy = FeePolicy(priority=2 * GWEI, maximum=50 * GWEI)
    assert policy.bumped(Fees(42 * GWEI, 2 * GWEI), 0) == Fees(47_250_000_000, 2_250_000_000)
    assert policy.bumped(Fees(42 * GWEI, 2 * GWEI), 24 * GWEI) == Fees(50 * GWEI, 2_250_000_000)
    assert policy.bumped(Fees(45 * GWEI, 2 * GWEI), 0) is None
    assert FeePolicy().bumped(Fees(0, 0), 0) is None


# The loop


class Watching:
    """A watcher that finds, or fails, as it is told."""

    next_block = 5

    def __init__(self) -> None:
        self.found: list[AnyRecord] | Exception = []

    def poll(self) -> list[AnyRecord]:
        if isinstance(self.found, Exception):
            raise self.found
        taken, self.found = self.found, []
        return taken


def looped(settler: Settler) -> tuple[SettlementLoop, Watching, list[AnyRecord]]:
    written: list[AnyRecord] = []
    watching = Watching()

    def write(made: Sequence[AnyRecord]) -> None:
        for record in made:
            written.append(record)
            loop.follow(record)

    loop = SettlementLoop(settler, watching, BatchTimer(), write)  # type: ignore[arg-type]
    return loop, watching, written


def test_a_fault_ends_only_its_own_part_of_a_turn(settler: Settler) -> None:
    loop, watching, written = looped(settler)
    closed(settler, 0, 1, number=0)
    watching.found = RpcFault("late", errors.NodeSilent)
    loop.turn(0)
    assert [type(record) for record in written] == [BatchSubmitted]
    assert loop.faults == {"NodeSilent": 2}  # watching and sending
    watching.found = [ChainReorganised(3)]
    loop.turn(1)
    assert written[1:] == [ChainReorganised(3)]


def test_it_stays_blind_until_the_watcher_has_come_further(settler: Settler) -> None:
    """A reader on its own thread tells a fault once, and then nothing: that is no sight."""
    loop, watching, _ = looped(settler)
    watching.found = Rejected(errors.NoTwin)
    for _ in range(2):
        loop.turn(0)
        assert loop.blind is not None and loop.blind.error is errors.NoTwin
        watching.found = []
    watching.found = [ChainReorganised(3)]
    loop.turn(2)
    assert loop.blind is None


def test_a_node_that_does_not_say_its_nonce_is_asked_again(settler: Settler) -> None:
    loop, _, written = looped(settler)
    closed(settler, 0, 1, number=0)
    settler.client.fault = Rejected(errors.NodeOnWrongChain)  # type: ignore[attr-defined]
    loop.turn(0)
    assert written == [] and loop.faults == {"NodeOnWrongChain": 1}
    settler.client.fault = None  # type: ignore[attr-defined]
    loop.turn(1)
    assert len(written) == 1


def test_what_asking_again_does_not_cure_is_raised(settler: Settler) -> None:
    loop, watching, _ = looped(settler)
    watching.found = Rejected(errors.ReorgTooDeep)
    with pytest.raises(Rejected):
        loop.turn(0)


def mined(sent: BatchSubmitted, block: int, settled: int) -> ChainTransaction:
    """A batch in a block, with the log that says which of its fills have settled."""
    exchange = bytes([7]) * 20
    topic = keccak(b"BatchSettled(address,uint256,uint256,uint256)")
    data = b"".join(n.to_bytes(32, "big") for n in (sent.first_sequence, sent.count, settled))
    logs = [(exchange, [topic, WORD], data), (bytes(20), [topic, WORD], data[:64] + b"\xff" * 32)]
    return ChainTransaction(block, 0, 0, sent.transaction, bytes(20), exchange, b"", True, 1, logs)


def test_what_was_given_up_is_dropped_once_no_reorganisation_brings_it_back(
    settler: Settler,
) -> None:
    settler.follow(price_round(1))
    closed(settler, 0, 2, number=1)
    [sent] = settler.plan(0)
    settler.follow(sent)
    settler.follow(mined(sent, 10, settled=0b01))
    settler.follow(Busted(1, 7))
    assert set(settler.held.matches) == {0, 1}, "the block may leave the chain"
    other = mined(sent, 10 + REORG_BLOCKS_MAX, settled=0)
    settler.follow(msgspec.structs.replace(other, transaction=bytes(32)))
    assert settler.flights == settler.held.matches == {}
    closed(settler, 2, 1, number=1)
    settler.waiting.clear()
    settler.follow(Busted(2, 7))
    assert settler.held.matches == {}, "nothing carries it"


def test_what_was_given_up_in_a_block_that_left_the_chain_is_held_again(settler: Settler) -> None:
    """The engine has it on its way again, and will say so if it gives it up once more."""
    settler.follow(price_round(1))
    closed(settler, 0, 2, number=1)
    [sent] = settler.plan(0)
    settler.follow(sent)
    settler.follow(mined(sent, 10, settled=0b01))
    settler.follow(Busted(1, 7))
    settler.follow(ChainReorganised(10))
    settler.follow(mined(sent, 10, settled=0b01))
    other = mined(sent, 10 + REORG_BLOCKS_MAX, settled=0)
    settler.follow(msgspec.structs.replace(other, transaction=bytes(32)))
    assert settler.flights == {} and set(settler.held.matches) == {1}


def test_what_a_batch_did_not_settle_can_be_sent_again_however_late(settler: Settler) -> None:
    settler.follow(price_round(1))
    closed(settler, 0, 3, number=1)
    [sent] = settler.plan(0)
    settler.follow(sent)
    settler.follow(mined(sent, 10, settled=0b101))
    other = mined(sent, 10 + REORG_BLOCKS_MAX, settled=0)
    settler.follow(msgspec.structs.replace(other, transaction=bytes(32)))
    assert settler.flights == {} and set(settler.held.matches) == {1}
    settler.follow(BatchClosed(1, 1, 1, 0))
    assert loads(settler.plan(0)) == [(1, 1, 0)]
