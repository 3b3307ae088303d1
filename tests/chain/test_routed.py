"""What reaches the venue through somebody else's contract is followed, on the node itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from novate.chain.client import RemoteContract
from novate.chain.compile import compile_contract
from novate.chain.connection import RpcFault
from novate.chain.node import local_key
from novate.errors import NoTwin, Rejected
from novate.services.batch_call import forced_calldata, round_calldata, signed
from novate.services.flights import BatchTimer
from novate.services.settlement_loop import SettlementLoop
from novate.services.watch import Watcher
from novate.wire.exit_data import halves
from novate.wire.order import SignedFill, receipt_words
from novate.wire.records import ChainTransaction, Matched, number
from tests.support.market import Market, market_of

CONTRACTS = Path(__file__).parents[1] / "contracts"
CASH = 10**9  # 1,000 USDC
STRANGER = local_key("stranger")
market = market_of(maker=1_000_000, taker=20_000)


def router(market: Market) -> RemoteContract:
    """Somebody's contract, with cash of its own that custody may take."""
    client, usdc = market.venue.client, market.venue.tokens["USDC"]
    made = client.deploy(compile_contract("Router", root=CONTRACTS), key=STRANGER)
    usdc.transact("mint", made.address, 10 * CASH, key=local_key("governor"))
    approve = usdc.abi.encode_call("approve", market.venue.custody.address, 10 * CASH)
    made.transact("route", [usdc.address], [approve], key=STRANGER)
    return made


def deposit(market: Market, name: str, amount: int) -> bytes:
    """Calldata of a deposit for an actor, paid by who calls."""
    venue = market.venue
    account = market.actors[name].account.to_bytes(32, "big")
    token = venue.tokens["USDC"].address
    return venue.custody.abi.encode_call("deposit", token, account, amount)


def routed(market: Market) -> list[ChainTransaction]:
    return [r for r in market.records() if isinstance(r, ChainTransaction) and r.calls]


def test_deposits_through_a_contract_reach_the_engine_but_what_failed_inside_does_not(
    market: Market,
) -> None:
    venue, through = market.venue, router(market)
    before = market.account("maker").cash, market.account("taker").cash
    steps = [deposit(market, "maker", CASH), deposit(market, "maker", 100 * CASH)]
    steps.append(deposit(market, "taker", 2 * CASH))
    through.send("route", [venue.custody.address] * 3, steps, key=STRANGER)
    venue.mine(venue.now + 5)
    (record,) = routed(market)
    assert [call.sender for call in record.calls] == [bytes.fromhex(through.address[2:])] * 2
    assert [call.calldata for call in record.calls] == [steps[0], steps[2]]
    assert len(record.events) > sum(call.events for call in record.calls), "the router logs, too"
    gained = market.account("maker").cash - before[0], market.account("taker").cash - before[1]
    assert gained == (CASH * 10**12, 2 * CASH * 10**12)
    for world in (venue.sequencer.world, venue.rebuilt_sequencer().world):
        assert world.ledger.accounts[market.actors["taker"].account] == market.account("taker")
    assert not venue.auditor.findings


def test_a_match_that_somebodys_contract_settles_is_not_settled_again(market: Market) -> None:
    venue, through = market.venue, router(market)
    market.order("maker", -20, 100_000, flags=0)
    market.order("taker", 10, 101_000)
    (match,) = [e for e in venue.pump() if isinstance(e, Matched)]
    orders = [signed(venue.placed[d]) for d in (match.taker, match.maker)]
    fill = SignedFill(*orders, match.lots, number(match.price))
    words = receipt_words(match.sequence, match.matched_at, *halves(match.receipt))
    call = forced_calldata(fill, venue.executor.address.lower(), words)
    through.send("route", [market.exchange().address], [call], key=STRANGER)
    venue.mine(match.matched_at + 31)
    assert market.held("taker") == 10 and len(routed(market)) == 1
    venue.settle(venue.now + 5)
    market.round(100_000)
    assert market.held("taker") == 10 and market.busts() == []
    assert not venue.auditor.findings


def test_a_round_and_an_accrual_in_one_transaction_are_followed_in_their_order(
    market: Market,
) -> None:
    venue, through = market.venue, router(market)
    market.post(103_000)
    (carried,) = [item for item in venue.settler.waiting if hasattr(item, "observations")]
    sweep = venue.clearinghouse.abi.encode_call(
        "sweep", [market.actors[name].account.to_bytes(32, "big") for name in ("maker", "taker")]
    )
    targets = [venue.deployment.addresses["oracle"], venue.clearinghouse.address]
    calls = [round_calldata(carried), sweep]
    through.send("route", targets, calls, key=STRANGER)
    venue.mine(market.ts)
    (record,) = routed(market)
    assert [call.contract.hex() for call in record.calls] == [t[2:] for t in targets]
    assert venue.replica.world.oracle.statuses[0].round == carried.round
    market.round(103_500)
    assert not venue.auditor.findings and venue.replica.stopped is None


class Blind:
    """A node without traces."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def request(self, method: str, *parameters: Any) -> Any:
        if method == "debug_traceTransaction":
            raise RpcFault("the method does not exist")
        return self._client.request(method, *parameters)


def test_without_a_trace_the_watcher_stands_before_the_block_and_says_so(market: Market) -> None:
    venue, through = market.venue, router(market)
    known = venue.watcher.next_block
    through.send("route", [venue.custody.address], [deposit(market, "maker", CASH)], key=STRANGER)
    venue.client.mine(venue.now + 5)
    blind = Watcher(Blind(venue.client), venue.deployment, known)  # type: ignore[arg-type]
    stood = venue.client.block().number
    for _ in range(2):
        with pytest.raises(Rejected) as refused:
            while blind.next_block < stood:
                blind.poll()
            blind.poll()
        assert refused.value.error is NoTwin and blind.next_block == stood
    loop = SettlementLoop(venue.settler, blind, BatchTimer(), lambda made: None)
    loop.turn(0)
    assert loop.blind is not None and loop.blind.error is NoTwin and loop.faults["NoTwin"] == 1
    loop.watcher = venue.watcher
    loop.turn(1)
    assert loop.blind is None
