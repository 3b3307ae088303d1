"""Journal records become rows; what contradicts itself stops the index with the record's number."""

from __future__ import annotations

from contextlib import closing
from typing import Any, get_args

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.index import (
    DEPLOYMENT,
    MAKER,
    START_MS,
    TAKER,
    Pen,
    contents,
    digest,
    index,
    matched,
    placed,
    rows,
    store_in_memory,
    store_of_each_kind,
)
from support.journals import rejection

from novate import errors
from novate.engine.journal_frame import Record
from novate.errors import Rejected
from novate.services import indexer_journal
from novate.services.indexer import Indexer
from novate.services.indexer_journal import JournalFold, text
from novate.store import schema
from novate.store.database import Database
from novate.units import WAD
from novate.wire import records
from novate.wire.records import (
    BatchClosed,
    BatchDue,
    BatchSubmitted,
    BlockAccepted,
    CancelRequested,
    Genesis,
    OracleRound,
    OrderDone,
    OrderRejected,
)

store, quick = store_of_each_kind, store_in_memory


def day() -> Pen:
    """Two makers, one taker who trades with both over a minute's end; one batch, sent twice."""
    pen = Pen()
    pen.write(placed(1, -5, label="ours"), placed(2, -5, 100_010), placed(3, 8, 100_010))
    pen.write(matched(0, 1, 3, 5), OrderDone(digest(1), "filled", 0, 0))
    pen.time_ms += 60_000
    pen.write(matched(1, 2, 3, 3, 100_010), OrderDone(digest(3), "filled", 0, 0))
    pen.write(CancelRequested(MAKER, "all", 0, MAKER[:20], START_MS))
    pen.write(OrderDone(digest(2), "cancelled", 0, 2))
    word = 1 << 136 | 100 << 112 | 10**15 << 56 | 10**15 + 7
    pen.write(OracleRound(1, START_MS // 1000, [records.big(word)], "0", [bytes(64)] * 3))
    pen.write(BatchDue(START_MS), BatchClosed(0, 2, 1, START_MS // 1000))
    pen.write(*(BatchSubmitted(bytes([n]) * 32, 0, 2, 1, START_MS) for n in (1, 2)))
    return pen


def test_orders_trades_candles_batches_and_rounds_of_a_day(store: Database) -> None:
    pen = day()
    assert index(store).take(pen.entries) == len(pen.entries)
    first, second, third = sorted(rows(store, schema.orders), key=lambda row: row["record"])
    assert (first["state"], first["lots_filled"], first["fees"]) == ("filled", 5, 100)
    assert (second["state"], second["lots_filled"], second["code"]) == ("cancelled", 3, 0)
    assert third["notional"] == (5 * 100_000 + 3 * 100_010) * WAD and third["fees"] == 800
    assert first["label"] == "ours" and first["account"] == text(MAKER)
    events = [(r["event"], r["lots"], r["sequence"]) for r in rows(store, schema.order_events)]
    assert events == [
        ("placed", -5, None),
        ("placed", -5, None),
        ("placed", 8, None),
        ("maker", 5, 0),
        ("taker", 5, 0),
        ("filled", 0, None),
        ("maker", 3, 1),
        ("taker", 3, 1),
        ("filled", 0, None),
        ("cancelled", 2, None),
    ]
    trades = rows(store, schema.trades)
    assert [(t["trade_seq"], t["tick_direction"], t["batch"]) for t in trades] == [
        (1, 1, 0),
        (2, 0, 0),
    ]
    minutes = [c for c in rows(store, schema.candles) if c["resolution_s"] == 60]
    assert [(c["start_ms"] - START_MS, c["lots"], c["trades"]) for c in minutes] == [
        (START_MS // 60_000 * 60_000 - START_MS, 5, 1),
        ((START_MS + 60_000) // 60_000 * 60_000 - START_MS, 3, 1),
    ]
    hour = next(c for c in rows(store, schema.candles) if c["resolution_s"] == 3600)
    prices = [hour[name] // WAD for name in ("open", "high", "low", "close")]
    assert prices == [100_000, 100_010, 100_000, 100_010]
    assert [row["size"] for row in rows(store, schema.batches)] == [2]
    assert [row["transaction"][:4] for row in rows(store, schema.submissions)] == ["0x01", "0x02"]
    (price,) = rows(store, schema.rounds)
    assert (price["index_price"], price["mark_price"]) == (10**15 + 7, 10**15)
    assert (price["confidence_ppm"], price["signatures"]) == (100, 3)


def test_a_blocks_orders_come_with_it_and_are_filled_or_refused_together(store: Database) -> None:
    pen = Pen()
    legs = [placed(n, 5, price) for n, price in ((1, 100_000), (2, 100_010))]
    quoted = [placed(n, -5, price) for n, price in ((3, 100_000), (4, 100_010))]
    block = BlockAccepted(bytes(32), legs, quoted, bytes(64), bytes(64), 2**39, START_MS)
    pen.write(block, matched(0, 3, 1, 5), matched(1, 4, 2, 5, 100_010))
    pen.write(*(OrderDone(digest(n), "filled", 0, 0) for n in (1, 3, 2, 4)))
    # the same again, and one that is refused
    pen.write(block, *(OrderRejected(digest(n), errors.NonceUsed.code) for n in (1, 3, 2, 4)))
    late = [placed(5, 5)], [placed(6, -5)]
    pen.write(BlockAccepted(bytes(32), *late, bytes(64), bytes(64), 1, START_MS))
    pen.write(*(OrderRejected(digest(n), errors.BlockExpired.code) for n in (5, 6)))
    index(store).take(pen.entries)
    found = {row["digest"]: row for row in rows(store, schema.orders)}
    states = [
        (found[text(digest(n))]["state"], found[text(digest(n))]["code"]) for n in range(1, 7)
    ]
    assert states == [("filled", 0)] * 4 + [("rejected", errors.BlockExpired.code)] * 2
    assert len(rows(store, schema.trades)) == 2


@pytest.mark.parametrize("group", [1, 2, 3, 7])
def test_groups_of_any_size_make_the_same_rows(store: Database, group: int) -> None:
    pen = day()
    index(store, group=group).take(pen.entries)
    with closing(Database.open("sqlite://")) as other:
        index(other).take(pen.entries)
        assert contents(store) == contents(other)


def test_records_that_come_again_change_nothing(store: Database) -> None:
    pen = day()
    indexer = index(store)
    indexer.take(pen.entries)
    before = contents(store)
    assert indexer.take(pen.entries) == 0
    assert index(store).take(pen.entries[3:]) == 0
    assert contents(store) == before


def test_a_later_start_goes_on_where_the_index_ended(store: Database) -> None:
    pen = day()
    index(store).take(pen.entries[:6])
    assert index(store).take(pen.entries) == len(pen.entries) - 6
    with closing(Database.open("sqlite://")) as other:
        index(other).take(pen.entries)
        assert contents(store) == contents(other)


def test_an_order_may_be_handed_in_again_and_stays_one_order(quick: Database) -> None:
    used = errors.NonceUsed.code
    pen = Pen()
    pen.write(placed(1, -5), placed(1, -5), OrderRejected(digest(1), used))
    index(quick).take(pen.entries)
    (order,) = rows(quick, schema.orders)
    assert (order["state"], order["waiting"], order["code"]) == ("open", 0, 0)
    pen.write(placed(2, 5), matched(0, 1, 2, 5), OrderDone(digest(1), "filled", 0, 0))
    pen.write(placed(1, -5), OrderRejected(digest(1), used))
    index(quick).take(pen.entries)
    order = next(r for r in rows(quick, schema.orders) if r["digest"] == text(digest(1)))
    assert (order["state"], order["waiting"], order["lots_filled"]) == ("filled", 0, 5)


def test_a_rejected_order_may_be_tried_anew(quick: Database) -> None:
    poor = errors.InsufficientMargin.code
    pen = Pen()
    pen.write(placed(1, -5), OrderRejected(digest(1), poor), placed(1, -5))
    index(quick).take(pen.entries)
    (order,) = rows(quick, schema.orders)
    assert (order["state"], order["code"]) == ("open", 0)
    pen.write(placed(1, -5), OrderRejected(digest(1), poor), OrderRejected(digest(1), poor))
    index(quick).take(pen.entries)
    (order,) = rows(quick, schema.orders)
    assert (order["state"], order["code"], order["waiting"]) == ("rejected", poor, 0)


def contradictions() -> dict[str, list[Any]]:
    """Records that no engine writes after the two orders and the match before them."""
    wrong_side = msgspec.structs.replace(matched(1, 1, 2, 1), taker_buys=False)
    elsewhere = msgspec.structs.replace(matched(1, 1, 2, 1), instrument=2)
    stranger = msgspec.structs.replace(matched(1, 1, 2, 1), maker_account=TAKER)
    return {
        "a match is repeated": [matched(0, 1, 2, 1)],
        "a match is missing": [matched(2, 1, 2, 1)],
        "an order is overfilled": [matched(1, 1, 2, 5)],
        "an order was never placed": [matched(1, 1, 9, 1)],
        "the sides are not the orders'": [wrong_side],
        "the instrument is not the orders'": [elsewhere],
        "the account is not the order's": [stranger],
        "an unknown order ends": [OrderDone(digest(9), "filled", 0, 0)],
        "an order ends twice": [OrderDone(digest(1), "cancelled", 0, 4)] * 2,
        "an unknown order is rejected": [OrderRejected(digest(9), 1002)],
        "an order is rejected after its end": [
            OrderDone(digest(1), "cancelled", 0, 4),
            OrderRejected(digest(1), 2001),
        ],
        "a batch leaves a match out": [BatchClosed(1, 1, 1, 1)],
        "a batch holds what never matched": [BatchClosed(0, 2, 1, 1)],
        "a batch is empty": [BatchClosed(0, 0, 1, 1)],
        "a batch is sent that was never closed": [BatchSubmitted(bytes(32), 0, 1, 1, 1)],
    }


@pytest.mark.parametrize("name", contradictions())
def test_a_contradiction_stops_the_index_before_it(quick: Database, name: str) -> None:
    pen = Pen()
    pen.write(placed(1, -5), placed(2, 5), matched(0, 1, 2, 1))
    index(quick).take(pen.entries)
    before = contents(quick)
    pen.write(*contradictions()[name])
    error, detail = rejection(lambda: index(quick).take(pen.entries))
    assert error is errors.IndexInconsistent and detail.startswith("record ")
    assert contents(quick) == before


def test_a_number_beyond_the_tables_is_refused_by_name(store: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -5), BatchDue(2**64 - 1), OracleRound(2**64 - 1, 0, ["1"], "0", []))
    assert rejection(lambda: index(store).take(pen.entries))[0] is errors.IndexInconsistent


def test_a_nonce_of_64_bits_is_kept(store: Database) -> None:
    pen = Pen()
    order = placed(1, -5)
    terms = msgspec.structs.replace(order.order, nonce=2**64 - 1)
    pen.write(msgspec.structs.replace(order, order=terms))
    index(store).take(pen.entries)
    assert rows(store, schema.orders)[0]["nonce"] == 2**64 - 1


@pytest.mark.parametrize(
    "label",
    ["", "\0", "a\0b", "🦀" * 16, "'; drop table orders; --", "%s %(x)s ? :x", "\u202e\r\n"],
)
def test_a_label_of_anything_is_kept_or_made_harmless(store: Database, label: str) -> None:
    pen = Pen()
    pen.write(placed(1, -5, label=label, self_trade=label))
    index(store).take(pen.entries)
    (order,) = rows(store, schema.orders)
    assert order["label"] == order["self_trade"] == label.replace("\0", "\ufffd")


@pytest.mark.parametrize("price", ["1e5", "01", "+1", "", "NaN", "-0", "१"])
def test_a_price_that_is_no_canonical_number_stops_the_index_by_number(
    quick: Database, price: str
) -> None:
    pen = Pen()
    pen.write(placed(1, -5), placed(2, 5))
    pen.write(msgspec.structs.replace(matched(0, 1, 2, 1), price=price))
    error, detail = rejection(lambda: index(quick).take(pen.entries))
    named = {errors.IndexInconsistent, errors.JournalCorrupt}
    assert error in named and detail.startswith("record 3: ")


@settings(max_examples=60)
@given(data=st.data())
def test_whatever_a_payload_holds_the_index_goes_on_or_stops_by_name(data: st.DataObject) -> None:
    pen, damaged = day(), Pen()
    victim = data.draw(st.integers(1, len(pen.entries) - 1))
    for entry in pen.entries[1:]:
        payload = bytearray(entry.payload)
        if entry.sequence == victim:
            for _ in range(data.draw(st.integers(1, 3))):
                payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(
                    st.integers(0, 255)
                )
        damaged.raw(entry.kind, bytes(payload))
    with closing(Database.open("sqlite://")) as store:
        indexer = index(store)
        try:
            indexer.take(damaged.entries)
        except Rejected:
            assert indexer.place().position == -1 and rows(store, schema.trades) == []
        else:
            assert indexer.place().position == len(damaged.entries) - 1


def test_a_round_that_comes_again_counts_once(quick: Database) -> None:
    pen = Pen()
    for mark in (5, 6):
        word = 1 << 136 | mark << 56 | 9
        pen.write(OracleRound(7, 1, [records.big(word)], "0", []))
    index(quick, group=1).take(pen.entries)
    assert [row["mark_price"] for row in rows(quick, schema.rounds)] == [5]
    with closing(Database.open("sqlite://")) as other:
        index(other).take(pen.entries)
        assert contents(quick) == contents(other)


def test_a_kind_that_this_release_does_not_know_stops_the_index_by_name(quick: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -5))
    pen.raw("FutureKind", b"\x91\xaaFutureKind")
    pen.write(placed(2, -5))
    error, detail = rejection(lambda: index(quick, group=1).take(pen.entries))
    assert error is errors.UnknownRecord and detail == "record 2: FutureKind"
    assert index(quick).place().position == 1, "everything before it stands"


@pytest.mark.parametrize("payload", [b"", b"\xc1", b"\x91\xa9BatchDue", b"\x92\xa8BatchDue\xff"])
def test_a_payload_that_is_no_record_stops_the_index_by_number(
    quick: Database, payload: bytes
) -> None:
    pen = Pen()
    pen.raw("BatchDue", payload)
    error, detail = rejection(lambda: index(quick).take(pen.entries))
    assert error is errors.JournalCorrupt and detail.startswith("record 1: ")


def unordered(pen: Pen) -> dict[str, list[Record]]:
    """The same records as no journal gives them."""
    entries = pen.entries
    forged = msgspec.structs.replace(entries[3], previous_hash=bytes(32))
    return {
        "a gap": entries[:3] + entries[4:],
        "two swapped": [*entries[:3], entries[4], entries[3], *entries[5:]],
        "one twice": entries[:4] + entries[3:],
        "another history": [*entries[:3], forged],
        "no beginning": entries[1:],
    }


@pytest.mark.parametrize(
    "name", ["a gap", "two swapped", "one twice", "another history", "no beginning"]
)
def test_records_out_of_order_are_refused(quick: Database, name: str) -> None:
    error, _ = rejection(lambda: index(quick).take(unordered(day())[name]))
    assert error is errors.IndexOutOfOrder
    assert index(quick).place().position == -1


def test_another_journal_is_refused(quick: Database) -> None:
    index(quick).take(day().entries)
    other = day()
    other.time_ms += 1
    other.entries = other.entries[:3]
    other.write(*(BatchDue(START_MS) for _ in range(30)))
    error, detail = rejection(lambda: index(quick).take(other.entries))
    assert error is errors.IndexForeign and "another in the journal" in detail


@pytest.mark.parametrize("chain_id", [DEPLOYMENT.chain_id + 1, DEPLOYMENT.chain_id])
def test_a_journal_of_another_venue_is_refused(quick: Database, chain_id: int) -> None:
    pen = Pen()
    pen.entries.clear()
    pen.write(Genesis(chain_id, {"exchange": bytes(20)}, bytes(32)))
    assert rejection(lambda: index(quick).take(pen.entries))[0] is errors.IndexForeign


def test_every_kind_of_record_leaves_rows_or_is_known_to_leave_none(quick: Database) -> None:
    with quick.begin() as connection:
        handled = set(JournalFold(connection)._handlers)
    assert not handled & set(indexer_journal.WITHOUT_ROWS)
    assert handled | set(indexer_journal.WITHOUT_ROWS) == set(get_args(records.AnyRecord))


@settings(max_examples=20)
@given(
    prices=st.lists(st.integers(99_990, 100_010), min_size=1, max_size=30), cut=st.integers(1, 29)
)
def test_candles_are_those_of_the_trades(prices: list[int], cut: int) -> None:
    pen = Pen()
    pen.write(placed(1, -100), placed(2, 100, 200_000))
    for sequence, price in enumerate(prices):
        pen.time_ms += 17_000
        pen.write(matched(sequence, 1, 2, sequence % 3 + 1, price))
    with closing(Database.open("sqlite://")) as store:
        index(store).take(pen.entries[:cut])
        index(store).take(pen.entries)
        trades = rows(store, schema.trades)
        for candle in rows(store, schema.candles):
            width = 1000 * candle["resolution_s"]
            inside = [t for t in trades if t["timestamp_ms"] // width * width == candle["start_ms"]]
            found = [t["price"] for t in inside]
            assert (candle["open"], candle["close"]) == (found[0], found[-1])
            assert (candle["high"], candle["low"]) == (max(found), min(found))
            assert candle["lots"] == sum(t["lots"] for t in inside)
            assert candle["notional"] == sum(t["lots"] * t["price"] for t in inside)
        assert [t["trade_seq"] for t in trades] == list(range(1, len(prices) + 1))


def test_the_place_and_the_rows_are_one_transaction(quick: Database) -> None:
    pen = Pen()
    pen.write(placed(1, -5), placed(2, 5), matched(0, 1, 2, 9))
    indexer: Indexer = index(quick)
    assert rejection(lambda: indexer.take(pen.entries))[0] is errors.IndexInconsistent
    assert indexer.place().position == -1 and rows(quick, schema.orders) == []
