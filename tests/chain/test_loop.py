"""The loop on a real node: trading settles, users need no operator for what is theirs, and nobody
stops it.
"""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from novate.chain.backend import abi_of
from novate.chain.compile import compile_contract
from novate.chain.deployment import CONTRACT_OF
from novate.chain.node import local_key
from novate.demo.actors import USD
from novate.demo.cheats import venue_order
from novate.errors import BY_SELECTOR
from novate.model import ledger
from novate.model.account import account_of
from novate.model.order import IMMEDIATE, ZERO_ADDRESS
from novate.services.final_state import final_state
from novate.services.replica import PEERS, Outcome
from novate.services.settler import GAS_MAX
from novate.services.verification import Case, hash_chain, order_signatures
from novate.units import WAD
from novate.wire import bulk, eip712, records
from novate.wire.order import SignedFill, SignedOrder, pack, receipt_words
from novate.wire.records import Matched, OrderPlaced
from tests.support.market import BTC, Market, happened, market_of

market = market_of(maker=1_000_000, taker=20_000)


def trade(market: Market, lots: int = 10) -> Matched:
    """One match, not yet settled."""
    market.order("maker", -2 * lots, 100_000, flags=0)
    market.order("taker", lots, 101_000)
    (match,) = [e for e in market.venue.pump() if isinstance(e, Matched)]
    return match


def test_a_minute_of_trading_settles_as_the_engine_judged_it(market: Market) -> None:
    market.post(100_010)
    market.order("maker", -50, 100_050, flags=0)
    market.order("maker", 50, 99_950, flags=0)
    market.order("taker", 30, 101_000)
    market.order("taker", -10, 99_000)
    outcomes = market.venue.settle(market.ts)
    (settled,) = happened(outcomes, "BatchSettled")
    assert settled["count"] == 2 and settled["settled"] == 0b11
    assert happened(outcomes, "FillSkipped") == happened(outcomes, "TradeSkipped") == []
    assert (market.held("taker"), market.held("maker")) == (20, -20)
    engine = market.venue.sequencer.world
    for actor in market.actors.values():
        replica = market.venue.replica.world.ledger.accounts[actor.account]
        slots = market.venue.clearinghouse.call("account", actor.account.to_bytes(32, "big"))
        assert slots == replica.slots() == engine.ledger.accounts[actor.account].slots()
    again = market.venue.rebuilt_sequencer()
    assert again.world.state_hash() == engine.state_hash()


def in_tree(market: Market, name: str, *terms: tuple[int, float, int]) -> None:
    """Sign orders (lots, dollars, flags) at once and hand them in one by one."""
    actor, desk = market.actors[name], market.venue.desk({})
    orders = [actor.order(desk, BTC, *each).order for each in terms]
    assert actor.signer is not None
    tree = bulk.sign_bulk(actor.signer, desk.separator, orders)
    for index, order in enumerate(orders):
        market.venue.place(SignedOrder(order, bulk=tree.signature(index)))


def test_orders_of_trees_settle_in_a_batch_and_by_receipt(market: Market) -> None:
    market.post(100_010)
    in_tree(market, "maker", (-10, 100_000, 0), (-10, 100_100, 0), (-10, 100_200, 0))
    in_tree(market, "taker", (15, 101_000, IMMEDIATE))
    outcomes = market.venue.settle(market.ts)
    (settled,) = happened(outcomes, "BatchSettled")
    assert settled["count"] == 2 and settled["settled"] == 0b11
    assert (market.held("taker"), market.held("maker")) == (15, -15)
    market.order("taker", 5, 101_000)
    (match,) = [e for e in market.venue.pump() if isinstance(e, Matched)]
    window = market.venue.parameters.settlement.exclusive_window_seconds
    forced = force(market, match, dict(market.venue.placed), match.matched_at + window)
    assert [a["settled"] for a in happened(forced, "BatchSettled")] == [1]
    assert market.held("maker") == -20
    assert "answers of the contracts equal" in verified(market)
    assert signatures_verified(market) == "5 orders"


def force(
    market: Market, match: Matched, placed: dict[bytes, OrderPlaced], at: int
) -> list[Outcome]:
    """A stranger sends the two signed orders and the receipt, nothing else."""
    taker, maker = (venue_order(market.venue, placed[d]) for d in (match.taker, match.maker))
    batch = pack([SignedFill(taker, maker, match.lots, records.number(match.price))])
    r, vs = (int.from_bytes(match.receipt[i : i + 32], "big") for i in (0, 32))
    lists = batch.accounts, batch.instruments, batch.orders, batch.fills
    proof = receipt_words(match.sequence, match.matched_at, r, vs)
    arguments = b"", *lists, 0, batch.blobs, market.venue.executor.address, [proof]
    data = abi_of("Exchange").encode_call("settle", *arguments) + batch.proofs
    exchange = market.venue.deployment.addresses["exchange"]
    market.venue.client.send(local_key("stranger"), exchange, data, GAS_MAX)
    return market.venue.mine(at)


def skipped(outcomes: list[Outcome]) -> list[str]:
    return [
        BY_SELECTOR[int.from_bytes(a["code"], "big")].name
        for a in happened(outcomes, "FillSkipped")
    ]


def test_a_match_settles_by_its_receipt_when_the_operator_is_gone(market: Market) -> None:
    match = trade(market)
    placed = dict(market.venue.placed)
    window = market.venue.parameters.settlement.exclusive_window_seconds
    opens = match.matched_at + window
    early = force(market, match, placed, opens - 1)
    assert skipped(early) == ["NotExecutor"] and market.held("taker") == 0
    in_time = force(market, match, placed, opens)
    assert [a["settled"] for a in happened(in_time, "BatchSettled")] == [1]
    assert (market.held("taker"), market.held("maker")) == (match.lots, -match.lots)
    again = force(market, match, placed, opens + 1)
    assert skipped(again) == ["ReceiptUsed"] and market.held("taker") == match.lots


def test_a_user_withdraws_without_the_operator(market: Market) -> None:
    user, venue = market.actors["taker"], market.venue
    usdc, raw = venue.tokens["USDC"], user.account.to_bytes(32, "big")
    amount = 5_000 * USD
    venue.custody.send("request_withdrawal", raw, usdc.address, amount, key=user.key)
    assert venue.mine(venue.now + 10)[-1].succeeded
    venue.custody.send("withdraw", raw, usdc.address, key=user.key)
    assert not venue.mine(venue.now + 10)[-1].succeeded  # the notice has not passed
    assert usdc.call("balanceOf", user.address) == 0
    venue.custody.send("withdraw", raw, usdc.address, key=local_key("stranger"))
    assert venue.mine(venue.now + 60)[-1].succeeded
    assert usdc.call("balanceOf", user.address) == amount
    assert market.account("taker").cash == (20_000 - 5_000) * 10**18


def test_a_stranger_liquidates_an_account_under_water(tmp_path: Path) -> None:
    market = Market(tmp_path, maker=1_000_000, taker=20_000, keeper=1_000_000)
    venue = market.venue
    try:
        market.post(100_000)
        market.order("maker", -900, 100_000, flags=0)
        market.order("taker", 900, 101_000)
        venue.settle(market.ts)
        assert market.held("taker") == 900
        target = market.actors["taker"].account.to_bytes(32, "big")
        keeper = market.actors["keeper"]
        venue.auctioneer.send("start", target, key=keeper.key)
        assert not venue.mine(venue.now + 5)[-1].succeeded  # it is healthy
        for btc in (96_000, 92_500, 89_000):
            market.round(btc)
        check = ledger.check(venue.replica.world, market.actors["taker"].account)
        assert check.equity < check.valuation.margin_maintenance
        venue.auctioneer.send("start", target, key=keeper.key)
        assert venue.mine(venue.now + 5)[-1].succeeded
        bidder = keeper.account.to_bytes(32, "big")
        fraction = 1_000_000
        while fraction >= 10_000 and not market.held("keeper"):
            venue.auctioneer.send("bid", target, bidder, fraction, 0, 0, key=keeper.key)
            venue.mine(venue.now + 10)
            fraction //= 2
        assert market.held("keeper") > 0
        assert market.held("keeper") + market.held("taker") == 900
    finally:
        venue.close()


def test_the_engine_never_calls_a_stranger_its_user(market: Market) -> None:
    """What the gateway refuses leaves no record."""
    before = market.venue.journal.head
    order = market.actors["taker"].order(market.venue.desk({}), BTC, 5, 100_000)
    forged = type(order)(order.order, order.r, order.vs ^ 1 << 255)
    with pytest.raises(Exception, match="BadSignature"):
        market.venue.place(forged)
    assert market.venue.journal.head == before


# Anybody may send anything


def strangers_argument(rng: random.Random, asked: dict[str, Any], known: list[int]) -> Any:
    """A value for an argument of an ABI: often one that means something to the venue."""
    kind: str = asked["type"]
    if kind.endswith("]"):
        inner, _, count = kind[:-1].rpartition("[")
        length = int(count) if count else rng.choice((0, 0, 1, 2))
        return [strangers_argument(rng, asked | {"type": inner}, known) for _ in range(length)]
    if kind == "tuple":
        return tuple(strangers_argument(rng, part, known) for part in asked["components"])
    if kind == "bytes":
        return rng.randbytes(rng.choice((0, 4, 36)))
    word = rng.choice((0, 1, 2, 10**6, rng.getrandbits(60), rng.getrandbits(256), *known))
    if kind == "bytes32":
        return word.to_bytes(32, "big")
    if kind == "bool":
        return bool(word & 1)
    if kind == "address":
        return f"0x{(word >> 96 if word >> 160 else word):040x}"
    bits = int(kind.removeprefix("u").removeprefix("int"))
    return word % 2**bits - (0 if kind.startswith("u") else 2 ** (bits - 1))


def strangers_calldata(rng: random.Random, contract: str, known: list[int]) -> bytes:
    """A call: whole, cut, padded, with another word, of another contract, or of nothing at all."""
    functions = [f for found in abi_of(CONTRACT_OF[contract]).functions.values() for f in found]
    function = rng.choice(functions)
    arguments = [strangers_argument(rng, asked, known) for asked in function["inputs"]]
    data = abi_of(CONTRACT_OF[contract]).encode_call(function["name"], *arguments)
    match rng.randrange(8):
        case 0:
            return data[: rng.randrange(len(data) + 1)]
        case 1:
            return rng.randbytes(4) + data[4:]
        case 2:
            return data + rng.randbytes(rng.randrange(1, 40))
        case 3 if len(data) > 4:
            place = 4 + 32 * rng.randrange((len(data) - 4) // 32)
            word = rng.choice((0, 32, 64, 2**256 - 32, rng.getrandbits(256)))
            return data[:place] + word.to_bytes(32, "big") + data[place + 32 :]
    return data


def signatures_verified(market: Market) -> str:
    """What verification says of the orders' signatures in the journal."""
    venue = market.venue
    case = Case(venue.journal.path, venue.deployment, venue.parameters, venue.client)
    hash_chain(case, lambda done, total: None)
    return order_signatures(case, lambda done, total: None)


def verified(market: Market) -> str:
    """What the last step of a verification says of the replica's world."""
    venue = market.venue
    case = Case(venue.journal.path, venue.deployment, venue.parameters, venue.client)
    case.world = venue.replica.world
    return final_state(case, lambda done, total: None)


def test_no_strangers_calldata_stops_the_replica_the_auditor_or_the_engine(market: Market) -> None:
    rng, venue = random.Random(7), market.venue
    trade(market)
    market.round(100_010)
    known = [market.actors["taker"].account, int(venue.tokens["USDC"].address, 16)]
    senders = [local_key("stranger"), market.actors["taker"].key, local_key("governor")]
    for sender in senders:
        venue.client.set_balance(sender.address, 10**20)
    accepted = refused = 0
    for _ in range(20):
        for _ in range(60):
            contract = rng.choice(sorted(venue.deployment.acting()))
            data = strangers_calldata(rng, contract, known)
            value, gas = rng.choice((0, 0, 0, 0, 1)), rng.choice((10**6, 10**6, 60_000))
            to = venue.deployment.addresses[contract]
            venue.client.send(rng.choice(senders), to, data, gas, value)
        outcomes = venue.mine(venue.now + 5)
        accepted += sum(outcome.succeeded for outcome in outcomes)
        refused += sum(not outcome.succeeded for outcome in outcomes)
        assert len(outcomes) == 60
    assert accepted > 200 and refused > 200
    assert venue.auditor.findings == []
    assert "answers of the contracts equal" in verified(market)
    market.round(100_020)
    again = venue.rebuilt_sequencer()
    assert again.world.state_hash() == venue.sequencer.world.state_hash()


def test_governance_after_genesis_is_followed(market: Market) -> None:
    """A new guardian, by the timelock: too early first, then in time, and what it does then."""
    venue, governor = market.venue, local_key("governor")
    addresses, now = venue.replica.world.addresses, local_key("new guardian")
    peers = [now.address if role == "guardian" else addresses[role] for role in PEERS]
    office, house = abi_of("BackOffice"), venue.deployment.addresses["clearinghouse"]
    timelock = venue.client.attach(
        venue.deployment.addresses["timelock"], abi_of("Timelock"), "Timelock"
    )
    venue.client.set_balance(now.address, 10**20)
    for data in (
        office.encode_call("set_peers", *peers),
        office.encode_call("set_venue", now.address, True),
        office.encode_call("set_debt_cap", 5),
    ):
        timelock.send("schedule", house, data, bytes(32), key=governor)
        timelock.send("execute", house, data, bytes(32), key=local_key("stranger"))
        assert [o.succeeded for o in venue.mine(venue.now + 5)] == [True, False]
        delay = timelock.call("delay_of", house)
        timelock.send("execute", house, data, bytes(32), key=local_key("stranger"))
        assert [o.succeeded for o in venue.mine(venue.now + delay)] == [True]
    assert addresses["guardian"] == now.address.lower()
    venue.client.send(now, house, office.encode_call("pause", 60))
    assert [o.succeeded for o in venue.mine(venue.now + 5)] == [True]
    assert "answers of the contracts equal" in verified(market)
    assert venue.auditor.unexplained == []
    again = venue.rebuilt_sequencer()
    assert again.world.state_hash() == venue.sequencer.world.state_hash()


TEST_CONTRACTS = Path(__file__).parent.parent / "contracts"


def against_a_wallet(market: Market, wallet: str, blob: bytes) -> list[Outcome]:
    """Anyone settles: the taker's open order and a contract wallet's, ten lots."""
    venue, taker = market.venue, market.actors["taker"]
    signed = taker.order(venue.desk({}), BTC, 10, 101_000)
    buys = replace(signed.order, executor=ZERO_ADDRESS)
    assert taker.signer is not None
    r, vs = eip712.sign(taker.signer, eip712.order_digest(venue.separator, buys))
    sells = replace(buys, account=account_of(wallet), lots=-10, price=99_000 * WAD, flags=0)
    maker = SignedOrder(sells, blob=blob)
    batch = pack([SignedFill(SignedOrder(buys, r, vs), maker, 10, 100_000 * WAD)])
    market.exchange().send(
        "settle",
        b"",
        batch.accounts,
        batch.instruments,
        batch.orders,
        batch.fills,
        buys.nonce,
        batch.blobs,
        key=local_key("stranger"),
    )
    return venue.mine(venue.now + 1)


def test_a_contract_wallets_answer_is_taken_from_the_chain(market: Market) -> None:
    venue, maker = market.venue, market.actors["maker"]
    usdc, custody = venue.tokens["USDC"], venue.deployment.addresses["custody"]
    made = compile_contract("MockWallet", TEST_CONTRACTS)
    wallet = venue.client.deploy(made, key=maker.key)
    account = account_of(wallet.address.lower())
    wallet.transact("set_mode", 1, key=maker.key)
    usdc.transact("mint", maker.address, 10**12, key=local_key("governor"))
    usdc.transact("approve", custody, 10**12, key=maker.key)
    raw = account.to_bytes(32, "big")
    venue.custody.transact("deposit", usdc.address, raw, 10**12, key=maker.key)
    venue.now = venue.client.block().timestamp
    market.round(100_000)
    refused = against_a_wallet(market, wallet.address.lower(), b"")
    assert skipped(refused) == ["BadSignature"] and market.held("taker") == 0
    agreed = against_a_wallet(market, wallet.address.lower(), b"yes")
    assert [a["settled"] for a in happened(agreed, "BatchSettled")] == [1]
    assert market.held("taker") == 10
    assert "answers of the contracts equal" in verified(market)
