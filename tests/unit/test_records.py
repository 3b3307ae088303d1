"""Journal records: every kind round-trips, is canonical, and refuses what it does not mean."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from novate.engine.journal import GENESIS_KIND
from novate.errors import InsufficientMargin, JournalCorrupt, MalformedOrder, Rejected
from novate.wire import records
from novate.wire.records import big, decode, encode, number
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

ACCOUNT = bytes(range(32))
DIGEST = b"\xaa" * 32
ADDRESS = b"\xbb" * 20
SIGNATURE = b"\xcc" * 64
LEAST = -(2**255)
GREATEST = 2**256 - 1

ORDER = records.Order(
    account=ACCOUNT,
    instrument=2**20 - 1,
    lots=-(2**43) + 1,
    price=big(68_000 * 10**18),
    max_fee=big(10**16),
    nonce=2**64 - 1,
    revision=3,
    expiry=2**40 - 1,
    exclusive_until=0,
    flags=7,
    executor=ADDRESS,
)
PLACED = records.OrderPlaced(DIGEST, ORDER, SIGNATURE, ADDRESS, 5)
EXAMPLES: list[records.AnyRecord] = [
    records.Genesis(31_337, {"exchange": ADDRESS, "custody": b"\x01" * 20}, DIGEST),
    records.OrderPlaced(
        DIGEST, ORDER, b"\xdd" * 1024, ADDRESS, 1_760_000_000_123, True, "cancel_both", "näme"
    ),
    records.OrderRejected(DIGEST, InsufficientMargin.code),
    records.BlockAccepted(DIGEST, [PLACED], [PLACED] * 8, SIGNATURE, SIGNATURE, 9, 5),
    records.CancelRequested(ACCOUNT, "below", 2**64 - 1, ADDRESS, 5),
    records.Matched(
        sequence=2**64 - 1,
        maker=DIGEST,
        taker=b"\xab" * 32,
        maker_account=ACCOUNT,
        taker_account=b"\x00" * 32,
        instrument=1,
        taker_buys=False,
        lots=2**43 - 1,
        price=big(10**23),
        fee_maker=big(0),
        fee_taker=big(10**19),
        matched_at=1_760_000_000,
        receipt=SIGNATURE,
        oracle_round=77,
        mark=big(10**23 + 1),
        index=big(10**23 - 1),
    ),
    records.OrderDone(DIGEST, "evicted", InsufficientMargin.code, 12),
    records.OracleRound(9, 1_760_000_000, [big(2**200), big(1)], big(0x030201), [SIGNATURE] * 3),
    records.BatchDue(1_760_000_000_400),
    records.BatchClosed(4, 100, 9, 1_760_000_000),
    records.Busted(7, 2009),
    records.ChainReorganised(12),
    records.ChainTransaction(
        block=12,
        timestamp=1_760_000_000,
        position=3,
        transaction=DIGEST,
        sender=ADDRESS,
        contract=b"\x01" * 20,
        calldata=b"\x01\x02\x03\x04",
        succeeded=True,
        gas_used=3_000_000,
        events=[(ADDRESS, [DIGEST, ACCOUNT], b"\x05" * 64)],
    ),
    records.BatchSubmitted(DIGEST, 4, 100, 9, 1_760_000_000_500),
    records.QuotesPlaced(
        ACCOUNT, ADDRESS, 5, [records.Quote(DIGEST, ORDER, SIGNATURE, "near")] * 256, True, "näme"
    ),
    records.ProtectionSet(ACCOUNT, 2, 10, 0, big(2**127), big(0), ADDRESS, 5),
    records.ProtectionReset(ACCOUNT, 2, ADDRESS, 5),
    records.ProtectionTriggered(ACCOUNT, 2, 1_760_000_000),
    records.OrderSlid(DIGEST, big(10**23)),
    records.OrderTriggered(DIGEST),
    DisconnectSet(ACCOUNT, "account", True, ADDRESS, 5),
    SwitchSet(ACCOUNT, 20, ADDRESS, 1_760_000_000_000),
    records.OrderShrunk(DIGEST, 5, 2**43 - 1),
]


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_a_record_round_trips_and_encodes_canonically(record: records.AnyRecord) -> None:
    kind, payload = encode(record)
    again = decode(kind, payload)
    assert again == record
    assert encode(again) == (kind, payload)


def test_every_kind_has_an_example() -> None:
    assert {type(record) for record in EXAMPLES} == set(get_args(records.AnyRecord))


def test_the_genesis_is_what_the_journal_starts_with() -> None:
    assert encode(EXAMPLES[0])[0] == GENESIS_KIND


def test_a_dictionary_encodes_the_same_in_any_order_of_insertion() -> None:
    first = records.Genesis(1, {"a": ADDRESS, "b": ADDRESS}, DIGEST)
    second = records.Genesis(1, {"b": ADDRESS, "a": ADDRESS}, DIGEST)
    assert encode(first) == encode(second)


@pytest.mark.parametrize("value", [0, 1, -1, 2**63, 2**64, LEAST, GREATEST])
def test_a_big_number_round_trips(value: int) -> None:
    assert number(big(value)) == value


@pytest.mark.parametrize(
    "text", ["", "-", "+1", "01", "-0", "1_0", " 1", "1 ", "1.0", "0x1", "١", "1" * 80, "--1", "²"]
)
def test_a_number_that_is_not_canonical_is_refused(text: str) -> None:
    with pytest.raises(Rejected) as caught:
        number(text)
    assert caught.value.error is MalformedOrder


def _refused(kind: str, payload: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        decode(kind, payload)
    assert caught.value.error is JournalCorrupt


def test_a_match_of_a_release_that_did_not_say_its_mark_is_read() -> None:
    match = next(record for record in EXAMPLES if isinstance(record, records.Matched))
    kind, payload = encode(match)
    before = msgspec.msgpack.encode(msgspec.msgpack.decode(payload)[:-2])
    assert decode(kind, before) == msgspec.structs.replace(match, mark="0", index="0")


def test_a_payload_of_another_kind_is_refused() -> None:
    _refused("OrderDone", encode(EXAMPLES[2])[1])


@pytest.mark.parametrize("record", EXAMPLES, ids=lambda record: type(record).__name__)
def test_a_payload_cut_short_or_with_a_rest_is_refused(record: records.AnyRecord) -> None:
    kind, payload = encode(record)
    _refused(kind, payload[:-1])
    _refused(kind, payload + b"\x00")


def test_a_field_out_of_range_is_refused() -> None:
    fields = [
        ["OrderRejected", b"\xaa" * 31, 1],
        ["OrderRejected", DIGEST, -1],
        ["OrderRejected", DIGEST, 1, 1],
        ["OrderRejected", DIGEST, "1"],
        ["OrderRejectedTwice", DIGEST, 1],
    ]
    for row in fields:
        _refused("OrderRejected", msgspec.msgpack.encode(row))


def test_more_observations_than_a_round_holds_are_refused() -> None:
    crowded = records.OracleRound(1, 1, [big(1)] * 33, big(0), [])
    _refused(*encode(crowded))


def test_a_mass_quote_places_its_orders_as_commands_of_their_own() -> None:
    quotes = [records.Quote(DIGEST, ORDER, SIGNATURE), records.Quote(ACCOUNT, ORDER, b"\x01" * 65)]
    mass = records.QuotesPlaced(ACCOUNT, ADDRESS, 5, quotes, slides=True, label="x")
    first, second = records.orders_in(mass)
    assert (first.digest, first.order, first.signature) == (DIGEST, ORDER, SIGNATURE)
    assert (second.digest, second.signature) == (ACCOUNT, b"\x01" * 65)
    assert first.signer == ADDRESS and first.received_ms == 5 and first.label == "x"
    assert first.slides and first.mmp and not first.amends and not first.fill_or_kill
    assert records.orders_in(first) == [first]
    assert records.orders_in(records.BatchDue(1)) == []
