"""Blocks on a real chain: both legs settle in one transaction, ``novate verify`` follows them, and
finds a block that an operator has made up.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec
import pytest
from support.venue_api import Trader, Venue, open_venue, post

from novate.model.order import BLOCK_REVISION, IMMEDIATE, ZERO_ADDRESS, Order
from novate.units import WAD
from novate.wire import block, eip712, records
from novate.wire.block import Consent
from novate.wire.order import SignedOrder
from novate.wire.records import BlockAccepted, Matched, OrderPlaced
from tests.chain.test_verify import changed, entries_of, failed, places, rewrite, run_json

TAKER, MAKER = Trader("block taker"), Trader("block maker")
RFQ = b"\x11" * 32
LEGS = ((1, 200, 100_000), (2, -300, 4_000))


def signed(venue: Venue, trader: Trader, leg: tuple[int, int, int], sign: int) -> OrderPlaced:
    """A leg's order, marked for blocks, through the venue's gateway."""
    instrument, lots, price = leg
    trader.nonce += 1
    order = Order(
        account=trader.account,
        instrument=instrument,
        lots=sign * lots,
        price=price * WAD,
        max_fee=WAD,
        nonce=trader.nonce,
        expiry=2**32,
        revision=BLOCK_REVISION,
        flags=IMMEDIATE,
        executor=venue.executor.address.lower(),
    )
    r, vs = eip712.sign(trader.secret, eip712.order_digest(venue.separator, order))
    return venue.gateway.order(SignedOrder(order, r, vs), venue.now * 1000)


def agreed(venue: Venue) -> BlockAccepted:
    """A block of both traders, with their consents."""
    sides = [[signed(venue, t, leg, s) for leg in LEGS] for t, s in ((TAKER, 1), (MAKER, -1))]
    taken, made = (block.orders_hash(placed.digest for placed in side) for side in sides)
    until = venue.now + 60
    consents = []
    for trader, own, counter in ((TAKER, taken, made), (MAKER, made, block.NOBODY)):
        consent = Consent(trader.account, RFQ, own, counter, until)
        r, vs = eip712.sign(trader.secret, block.consent_digest(venue.separator, consent))
        consents.append(r.to_bytes(32, "big") + vs.to_bytes(32, "big"))
    return BlockAccepted(RFQ, *sides, *consents, until, venue.now * 1000)


@pytest.fixture(scope="module")
def honest(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a block and, after it, an order of the book have traded and settled."""
    folder = tmp_path_factory.mktemp("blocks")
    venue = open_venue(folder, [TAKER, MAKER])
    try:
        venue.journal.append(*records.encode(agreed(venue)))
        assert sum(isinstance(event, Matched) for event in venue.pump()) == 2
        venue.settle(venue.now + 12)
        post(venue, venue.now + 12)
        held = [venue.sequencer.world.ledger.accounts[t.account] for t in (TAKER, MAKER)]
        assert [dict(row.positions) for row in held] == [{1: 200, 2: -300}, {1: -200, 2: 300}]
        (last,) = [r for r in venue.settlements if r.succeeded]
        assert last.succeeded
    finally:
        venue.close()
    return folder


def test_a_block_settles_in_one_transaction_and_is_verified(honest: Path) -> None:
    code, answer = run_json(honest)
    assert (code, failed(answer)) == (0, [])
    details = {step["name"]: step["detail"] for step in answer["steps"]}
    assert details["order signatures"] == "4 orders, 1 blocks"
    assert "2 matches" in details["priority and margin of matches"]


def test_a_block_that_one_side_did_not_sign_for_is_found(honest: Path, tmp_path: Path) -> None:
    shutil.copytree(honest, tmp_path / "run")
    (number,) = places(honest, "BlockAccepted")
    record = records.decode("BlockAccepted", entries_of(honest)[number].payload)
    assert isinstance(record, BlockAccepted)
    forged = {"maker_consent": record.taker_consent}
    rewrite(
        tmp_path / "run",
        lambda e: [*e[:number], changed(e[number], **forged), *e[number + 1 :]],
        with_head=False,
    )
    code, answer = run_json(tmp_path / "run")
    assert code == 1 and answer["first_wrong_record"] == number
    assert {"order signatures", "priority and margin of matches"} <= set(failed(answer))


def test_orders_of_the_book_passed_off_as_a_block_are_found(honest: Path, tmp_path: Path) -> None:
    """An operator lets two orders trade past the queue, and writes that they had agreed to."""
    shutil.copytree(honest, tmp_path / "run")
    (number,) = places(honest, "BlockAccepted")
    entries = entries_of(honest)
    record = records.decode("BlockAccepted", entries[number].payload)
    assert isinstance(record, BlockAccepted)
    plain = msgspec.structs.replace(record.taker[0].order, revision=0, executor=bytes(20))
    assert "0x" + plain.executor.hex() == ZERO_ADDRESS
    taker = [msgspec.structs.replace(record.taker[0], order=plain), *record.taker[1:]]
    rewrite(
        tmp_path / "run",
        lambda e: [*e[:number], changed(e[number], taker=taker), *e[number + 1 :]],
        with_head=False,
    )
    code, answer = run_json(tmp_path / "run")
    assert code == 1 and "priority and margin of matches" in failed(answer)
