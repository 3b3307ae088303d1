"""Session keys in a journal: ``novate verify`` takes an order of a live one, and finds one that
stands as accepted though a stranger signed it, or a key that had ended.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import msgspec
import pytest
from support.venue_api import Trader, Venue, open_venue, post

from novate.engine.orders import terms_of
from novate.model.order import BLOCK_REVISION, IMMEDIATE, Order
from novate.model.session import TRADE
from novate.units import WAD
from novate.wire import block, eip712, records
from novate.wire.block import Consent
from novate.wire.order import SignedOrder
from novate.wire.records import AnyRecord, BlockAccepted, Matched, OrderPlaced
from tests.chain.test_verify import changed, entries_of, failed, places, rewrite, run_json

OWNER, MAKER = Trader("key owner"), Trader("key maker")
LIVE, EXPIRED, REMOVED, STRANGER = (Trader(f"{kind} key") for kind in ("a", "b", "c", "d"))
FORGERS = {"a stranger": STRANGER, "an expired key": EXPIRED, "a removed key": REMOVED}
RFQ = b"\x22" * 32
BUDGET = 10**12


def placed(venue: Venue, trader: Trader, signer: Trader, lots: int, **more: Any) -> OrderPlaced:
    """An order for a trader's account by whoever signs, through the venue's gateway."""
    trader.nonce += 1
    order = Order(
        account=trader.account,
        instrument=1,
        lots=lots,
        price=100_000 * WAD,
        max_fee=WAD,
        nonce=trader.nonce,
        expiry=2**32,
        executor=venue.executor.address.lower(),
        **more,
    )
    r, vs = eip712.sign(signer.secret, eip712.order_digest(venue.separator, order))
    return venue.gateway.order(SignedOrder(order, r, vs), venue.now * 1000)


def consent(venue_separator: bytes, signer: Trader, what: Consent) -> bytes:
    """A compact signature of a consent."""
    r, vs = eip712.sign(signer.secret, block.consent_digest(venue_separator, what))
    return r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def let_keys_sign(venue: Venue) -> None:
    """One key for long, one until just now, one that its owner has removed."""
    exchange, account = venue.attach("exchange"), OWNER.account.to_bytes(32, "big")
    ends = {LIVE: venue.now + 10**6, EXPIRED: venue.now + 30, REMOVED: venue.now + 10**6}
    for key, expiry in ends.items():
        fields = key.address, expiry, TRADE, 0, BUDGET, BUDGET
        exchange.send("set_session_key", account, *fields, key=OWNER.key)
    venue.mine(venue.now + 12)
    exchange.send("remove_session_key", account, REMOVED.address, key=OWNER.key)
    venue.mine(venue.now + 12)
    for _ in range(3):  # past the notice, with prices that never grow stale
        post(venue, venue.now + 30)


def agreed(venue: Venue) -> BlockAccepted:
    """A block of one leg, whose taker's side a session key signed."""
    fields = {"revision": BLOCK_REVISION, "flags": IMMEDIATE}
    taken = placed(venue, OWNER, LIVE, 20, **fields)
    made = placed(venue, MAKER, MAKER, -20, **fields)
    own, counter = (block.orders_hash([order.digest]) for order in (taken, made))
    until = venue.now + 60
    consents = (
        consent(venue.separator, LIVE, Consent(OWNER.account, RFQ, own, counter, until)),
        consent(venue.separator, MAKER, Consent(MAKER.account, RFQ, counter, block.NOBODY, until)),
    )
    return BlockAccepted(RFQ, [taken], [made], *consents, until, venue.now * 1000)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A folder in which a session key's order and its block have traded and settled."""
    folder = tmp_path_factory.mktemp("session")
    venue = open_venue(folder, [OWNER, MAKER])
    try:
        let_keys_sign(venue)
        orders = placed(venue, MAKER, MAKER, -100), placed(venue, OWNER, LIVE, 100)
        events: list[AnyRecord] = []
        for command in (*orders, agreed(venue)):
            venue.journal.append(*records.encode(command))
            events += venue.pump()
        assert sum(isinstance(event, Matched) for event in events) == 2
        venue.settle(venue.now + 12)
        post(venue, venue.now + 12)
        held = venue.sequencer.world.ledger.accounts[OWNER.account]
        assert dict(held.positions) == {1: 120}
    finally:
        venue.close()
    return folder, venue.separator


def resigned(order: OrderPlaced, signer: Trader) -> OrderPlaced:
    """The same order, by another."""
    r, vs = eip712.sign(signer.secret, order.digest)
    return msgspec.structs.replace(
        order,
        signature=r.to_bytes(32, "big") + vs.to_bytes(32, "big"),
        signer=bytes.fromhex(signer.address[2:]),
    )


def found(folder: Path, number: int, **fields: Any) -> tuple[list[str], int, str]:
    """The steps that fail once a record is another; the first wrong one, and what is said of it."""
    rewrite(
        folder,
        lambda e: [*e[:number], changed(e[number], **fields), *e[number + 1 :]],
        with_head=False,
    )
    code, answer = run_json(folder)
    assert code == 1
    step = next(step for step in answer["steps"] if not step["passed"])
    return failed(answer), answer["first_wrong_record"], step["detail"]


def test_orders_and_blocks_of_a_session_key_are_verified(run: tuple[Path, bytes]) -> None:
    code, answer = run_json(run[0])
    assert (code, failed(answer)) == (0, [])
    details = {step["name"]: step["detail"] for step in answer["steps"]}
    assert details["order signatures"] == "4 orders, 1 blocks"
    assert "2 matches" in details["priority and margin of matches"]


@pytest.mark.parametrize("who", FORGERS)
def test_an_accepted_order_of_who_may_not_sign_is_found(
    run: tuple[Path, bytes], tmp_path: Path, who: str
) -> None:
    shutil.copytree(run[0], tmp_path / "run")
    number = places(run[0], "OrderPlaced")[1]
    order = records.decode("OrderPlaced", entries_of(run[0])[number].payload)
    assert isinstance(order, OrderPlaced)
    forged = resigned(order, FORGERS[who])
    fields = {"signature": forged.signature, "signer": forged.signer}
    steps, wrong, said = found(tmp_path / "run", number, **fields)
    assert "order signatures" not in steps
    assert steps[0] == "priority and margin of matches" and wrong == number + 1
    assert said.startswith(f"record {number} caused another OrderRejected")


@pytest.mark.parametrize("who", FORGERS)
def test_an_accepted_block_of_who_may_not_sign_is_found(
    run: tuple[Path, bytes], tmp_path: Path, who: str
) -> None:
    folder, separator = run
    shutil.copytree(folder, tmp_path / "run")
    (number,) = places(folder, "BlockAccepted")
    agreement = records.decode("BlockAccepted", entries_of(folder)[number].payload)
    assert isinstance(agreement, BlockAccepted)
    (taken,), (made,) = agreement.taker, agreement.maker
    own, counter = (block.orders_hash([order.digest]) for order in (taken, made))
    account = terms_of(taken.order).account
    what = Consent(account, RFQ, own, counter, agreement.expiry)
    fields = {
        "taker": [resigned(taken, FORGERS[who])],
        "taker_consent": consent(separator, FORGERS[who], what),
    }
    steps, wrong, said = found(tmp_path / "run", number, **fields)
    assert "order signatures" not in steps
    assert steps[0] == "priority and margin of matches" and wrong == number + 1
    assert said.startswith(f"record {number} caused another OrderRejected")
