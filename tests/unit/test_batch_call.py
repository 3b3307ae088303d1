"""Calldata put together by hand is what an ABI encoder makes; a batch's timer."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from novate.chain.backend import abi_of
from novate.model.order import IMMEDIATE, Order
from novate.services.batch_call import settle_calldata
from novate.services.flights import BatchTimer
from novate.wire.order import SignedFill, SignedOrder, pack
from novate.wire.records import BatchClosed, BatchDue, Matched

WORD = st.integers(0, 2**256 - 1)


@st.composite
def signed_orders(draw: st.DrawFn, account: int, lots: int, flags: int) -> SignedOrder:
    order = Order(
        account=account,
        instrument=draw(st.integers(1, 5)),
        lots=lots,
        price=draw(st.integers(1, 2**120)),
        max_fee=draw(st.integers(0, 2**80)),
        nonce=draw(st.integers(0, 2**64 - 1)),
        expiry=draw(st.integers(0, 2**40 - 1)),
        flags=flags,
    )
    blob = draw(st.none() | st.binary(max_size=100))
    return (
        SignedOrder(order, draw(WORD), draw(WORD))
        if blob is None
        else SignedOrder(order, blob=blob)
    )


@st.composite
def fills(draw: st.DrawFn) -> SignedFill:
    maker = draw(signed_orders(draw(st.integers(2**96, 2**97)), -5, 0))
    taker = draw(signed_orders(draw(st.integers(2**98, 2**99)), 5, IMMEDIATE))
    return SignedFill(taker, maker, draw(st.integers(1, 5)), draw(st.integers(1, 2**127)))


@given(
    st.lists(
        fills(),
        min_size=1,
        max_size=2,
        unique_by=(lambda fill: fill.taker.order.account, lambda fill: fill.maker.order.account),
    ),
    st.binary(max_size=100),
    st.integers(0, 2**63),
)
def test_calldata_is_what_the_encoder_makes(
    some: list[SignedFill], posted: bytes, sequence: int
) -> None:
    packed = pack(some)
    expected = abi_of("Exchange").encode_call(
        "settle",
        posted,
        packed.accounts,
        packed.instruments,
        packed.orders,
        packed.fills,
        sequence,
        packed.blobs,
    )
    assert settle_calldata(posted, some, sequence) == expected


def matched(sequence: int) -> Matched:
    word = bytes(32)
    return Matched(sequence, word, word, word, word, 1, True, 1, "1", "0", "0", 0, bytes(64), 1)


def test_a_batch_is_due_once_its_oldest_match_has_waited() -> None:
    timer = BatchTimer(delay_ms=50)
    assert timer.due(0) == []
    timer.follow(matched(0))
    assert timer.due(100) == []
    timer.follow(matched(1))
    assert timer.due(149) == []
    assert timer.due(150) == [BatchDue(150)]
    timer.follow(BatchClosed(0, 2, 1, 0))
    assert timer.due(1_000) == []


def test_a_batch_that_closed_by_size_leaves_the_next_its_own_time() -> None:
    timer = BatchTimer(delay_ms=50)
    for sequence in range(3):
        timer.follow(matched(sequence))
    assert timer.due(0) == []
    timer.follow(BatchClosed(0, 2, 1, 0))  # the third match is in the next batch
    assert timer.due(50) == [BatchDue(50)]
