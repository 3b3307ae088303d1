"""At what price a position was entered: its trades' average, or nothing where none is known."""

from __future__ import annotations

from typing import Any

import pytest

from novate.api.entries import EXPIRY_SETTLED, NONE, SLICE_SOLD, Entries, Entry
from novate.chain.backend import abi_of
from novate.model.option_id import OptionId, future_id
from novate.units import WAD
from novate.wire.records import ChainTransaction, Matched

TRADER, OTHER, BIDDER = 1 << 96, 2 << 96, 3 << 96
BTC = 1
AUCTIONEER, CLEARINGHOUSE, STRANGER = b"\1" * 20, b"\2" * 20, b"\3" * 20
LOT = WAD // 1_000


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def match(lots: int, instrument: int = BTC) -> Matched:
    """The trader buys so many lots of the other one, or sells them."""
    accounts = word(OTHER), word(TRADER)
    return Matched(
        0, b"", b"", *accounts, instrument, lots > 0, abs(lots), "1", "0", "0", 0, b"", 0
    )


def traded(*fills: tuple[int, int], instrument: int = BTC) -> Entries:
    entries = Entries(AUCTIONEER, CLEARINGHOUSE)
    for lots, dollars in fills:
        entries.matched(match(lots, instrument), dollars * WAD)
    return entries


def logged(*events: tuple[bytes, list[bytes], bytes], block: int = 9) -> ChainTransaction:
    return ChainTransaction(
        block, 0, 0, b"\0" * 32, b"\0" * 20, AUCTIONEER, b"", True, 0, list(events)
    )


def slice_of(fraction_ppm: int, address: bytes = AUCTIONEER, block: int = 9) -> ChainTransaction:
    topics = [SLICE_SOLD, word(TRADER), word(BIDDER)]
    return logged((address, topics, word(fraction_ppm) + bytes(96)), block=block)


def average(entries: Entries, account: int = TRADER, instrument: int = BTC) -> int | None:
    held = entries.of(account, instrument)
    found = held.average(held.lots)
    return None if found is None else found // WAD


@pytest.mark.parametrize(
    ("fills", "lots", "dollars"),
    [
        ([(10, 100)], 10, 100),
        ([(10, 100), (10, 110)], 20, 105),
        ([(10, 100), (10, 110), (-5, 200)], 15, 105),
        ([(10, 100), (-4, 90), (4, 130)], 10, 112),
        ([(10, 100), (-15, 90)], -5, 90),
        ([(-10, 100), (-10, 90), (15, 50)], -5, 95),
        ([(10, 100), (-10, 90), (1, 300)], 1, 300),
    ],
)
def test_the_average_is_of_what_opened_the_position(
    fills: list[tuple[int, int]], lots: int, dollars: int
) -> None:
    entries = traded(*fills)
    assert (entries.of(TRADER, BTC).lots, average(entries)) == (lots, dollars)
    other = entries.of(OTHER, BTC)
    assert (other.lots, average(entries, OTHER)) == (-lots, dollars)


def test_what_a_position_has_gained_is_exact_and_rounds_down() -> None:
    held = Entry(3, 3 * 100 * WAD + 1)
    assert held.gain(3, 110 * WAD, LOT) == 30 * LOT - 1
    assert Entry(-3, -300 * WAD).gain(-3, 110 * WAD, LOT) == -30 * LOT


def test_a_closed_position_leaves_nothing_behind() -> None:
    entries = traded((10, 100), (-10, 90))
    assert entries.of(TRADER, BTC) is NONE and not entries.held


def test_nothing_is_said_of_a_position_that_is_not_the_one_that_traded() -> None:
    """A deposit of tokens, or another venue's trade: the ledger holds other lots than traded."""
    held = traded((10, 100)).of(TRADER, BTC)
    assert held.average(11) is held.average(0) is held.gain(11, WAD, LOT) is None


def test_a_slice_leaves_the_average_and_comes_to_its_bidder_at_none() -> None:
    entries = traded((10, 100))
    entries.follow(slice_of(250_000))
    assert (entries.of(TRADER, BTC).lots, average(entries)) == (7, 100), "the bidder takes more"
    assert entries.of(BIDDER, BTC) == Entry(3, None)
    entries.follow(slice_of(1_000_000))
    assert entries.of(TRADER, BTC) is NONE and entries.of(BIDDER, BTC) == Entry(10, None)


def test_a_position_of_unknown_cost_is_known_again_once_it_was_closed() -> None:
    bought = Entry(3, None).changed(2, 100 * WAD)
    assert bought == Entry(5, None) and bought.average(5) is None
    assert bought.changed(-2, WAD) == Entry(3, None)
    assert bought.changed(-7, 100 * WAD) == Entry(-2, -200 * WAD)
    assert bought.changed(-5, WAD).changed(1, WAD) == Entry(1, WAD)


def test_a_slice_whose_block_left_the_chain_is_taken_back() -> None:
    entries = traded((10, 100))
    entries.follow(slice_of(250_000, block=8))
    entries.follow(slice_of(500_000, block=9))
    entries.leave(9)
    assert entries.of(TRADER, BTC) == Entry(7, None) and entries.of(BIDDER, BTC).lots == 3
    entries.leave(8)
    assert entries.of(TRADER, BTC).lots == 10 and entries.of(BIDDER, BTC) is NONE


def test_a_trade_that_was_taken_back_leaves_lots_without_a_cost() -> None:
    entries = traded((10, 100), (5, 130))
    entries.busted(match(5))
    assert entries.of(TRADER, BTC) == Entry(10, None) and average(entries) is None
    entries.busted(match(10))
    assert not entries.held


def test_an_expiry_takes_its_positions_and_no_others() -> None:
    call, future = OptionId(1, 2, 3, False).pack(), future_id(1, 2)
    later = future_id(1, 3)
    entries = traded((10, 100))
    for instrument in (call, future, later):
        entries.matched(match(4, instrument), WAD)
    topics = [EXPIRY_SETTLED, word(1), word(2), word(TRADER)]
    entries.follow(logged((CLEARINGHOUSE, topics, bytes(32))))
    assert {key for key in entries.held if key[0] == TRADER} == {(TRADER, BTC), (TRADER, later)}
    assert entries.of(OTHER, call).lots == -4, "each account is paid by itself"


def test_others_logs_move_nothing() -> None:
    entries = traded((10, 100))
    before = dict(entries.held)
    entries.follow(slice_of(250_000, STRANGER))
    entries.follow(logged((STRANGER, [], b""), (AUCTIONEER, [word(7)], b"")))
    assert entries.held == before


@pytest.mark.parametrize(
    ("contract", "name", "topic"),
    [
        ("Auctioneer", "SliceSold", SLICE_SOLD),
        ("BackOffice", "ExpirySettled", EXPIRY_SETTLED),
    ],
)
def test_the_topics_are_the_contracts(contract: str, name: str, topic: bytes) -> None:
    indexed: dict[str, list[Any]] = {
        "SliceSold": [topic, word(TRADER), word(BIDDER)],
        "ExpirySettled": [topic, word(1), word(2), word(TRADER)],
    }
    data = bytes(128) if name == "SliceSold" else bytes(32)
    event = abi_of(contract).decode_event("0x" + "11" * 20, indexed[name], data)
    assert event is not None and event.name == name
