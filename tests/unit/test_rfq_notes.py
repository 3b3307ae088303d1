"""What is noted of requests and quotes, and what a next process makes of it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from novate.api import rfq_notes
from novate.api.rfq import Desk, Leg, Quote, Rfq, State
from novate.api.rfq_notes import Notes
from novate.errors import Error, JournalFull, JournalReadOnly, Rejected, RfqNotFound

TAKER, MAKER, NOW = 7 << 96, (1 << 256) - 1, 1_700_000_000_000
SECRET = b"\x5a" * 64


@contextmanager
def refused(error: Error, text: str) -> Iterator[None]:
    with pytest.raises(Rejected, match=text) as caught:
        yield
    assert caught.value.error is error


def rfq(number: int) -> Rfq:
    legs = (Leg(1, 5), Leg(2, -(1 << 40)))
    name = number.to_bytes(32, "big")
    return Rfq(name, TAKER, legs, NOW, NOW + 60_000, "é\n", False, frozenset({MAKER, 5}))


def quote(number: int, buys: bool = False) -> Quote:
    name = number.to_bytes(32, "big")
    return Quote(name, MAKER, buys, [], (10**30, 1), SECRET, NOW // 1000 + 20, NOW, "mine")


def opened(path: Path, traded: dict[bytes, bytes] | None = None) -> tuple[Desk, list[Rfq]]:
    """A desk over the file that another process may have left."""
    desk = Desk()
    return desk, Notes(path, desk).recall((traded or {}).get, "venue_restarted")


def test_what_was_open_is_over_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    desk, left = opened(path)
    assert left == []
    first, second = desk.open(rfq(1), NOW), desk.open(rfq(2), NOW)
    desk.quote(first, quote(11), NOW)
    desk.quote(first, quote(12, buys=True), NOW)
    desk.end(second, State.CANCELLED)

    again, left = opened(path)
    [told] = left
    assert again.rfqs == {} and (told.state, told.reason) == (State.CANCELLED, "venue_restarted")
    assert (told.legs, told.label, told.makers) == (first.legs, first.label, first.makers)
    assert [(q.id, q.buys, q.prices, q.state) for q in told.quotes.values()] == [
        (q.id, q.buys, q.prices, State.CANCELLED) for q in first.quotes.values()
    ]
    with refused(RfqNotFound, "venue_restarted"):
        again.require_open(first.id, NOW)
    other = again.find(second.id, NOW)
    assert other is not None and (other.state, other.reason) == (State.CANCELLED, "")
    # and so it stays, however often it begins
    third, left = opened(path)
    assert left == [] and list(third.ended) == list(again.ended)
    assert third.ended[first.id].reason == "venue_restarted"


def test_what_the_journal_has_traded_is_filled(tmp_path: Path) -> None:
    """The process died behind the block's record, and before it had noted the end."""
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    held = desk.open(rfq(1), NOW)
    desk.quote(held, quote(11), NOW)
    desk.quote(held, quote(12, buys=True), NOW)
    again, [left] = opened(path, {held.id: quote(11).id})
    assert (left.state, left.filled_by, left.reason) == (State.FILLED, quote(11).id, "")
    assert [q.state for q in left.quotes.values()] == [State.FILLED, State.CANCELLED]
    third, none = opened(path)
    assert none == [] and third.ended == again.ended


def test_a_quote_that_was_taken_back_or_replaced_is_gone(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    held = desk.open(rfq(1), NOW)
    desk.quote(held, quote(11), NOW)
    desk.quote(held, quote(12), NOW)  # of the same side
    kept = desk.quote(held, quote(13, buys=True), NOW)
    desk.cancel_quote(held, kept)
    _, [left] = opened(path)
    assert list(left.quotes) == [quote(12).id]


def test_nothing_signed_is_written(tmp_path: Path) -> None:
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    desk.quote(desk.open(rfq(1), NOW), quote(11), NOW)
    _, [left] = opened(path)
    [found] = left.quotes.values()
    assert (found.orders, found.consent) == ([], b"")
    assert b"WlpaWlpa" not in path.read_bytes()  # the secret in base64


@pytest.mark.parametrize("cut", [1, 30, 200])
def test_a_torn_line_is_the_end(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    desk.open(rfq(1), NOW)
    size = path.stat().st_size
    desk.open(rfq(2), NOW)
    os.truncate(path, size + cut)
    _, left = opened(path)
    assert [r.id for r in left] == [rfq(1).id]


@pytest.mark.parametrize(
    ("number", "error"), [(errno.ENOSPC, JournalFull), (errno.EROFS, JournalReadOnly)]
)
def test_what_cannot_be_noted_does_not_begin_but_may_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, error: Error
) -> None:
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    held = desk.open(rfq(1), NOW)
    mine = desk.quote(held, quote(11), NOW)
    write_at = rfq_notes.write_at

    def half(descriptor: int, data: bytes, offset: int) -> None:
        write_at(descriptor, data[:-5], offset)
        raise OSError(number, "no")

    with monkeypatch.context() as patched:
        patched.setattr(rfq_notes, "write_at", half)
        with refused(error, "requests"):
            desk.open(rfq(2), NOW)
        with refused(error, "requests"):
            desk.quote(held, quote(12), NOW)
        assert list(desk.rfqs) == [held.id] and list(held.quotes) == [mine.id]
        desk.cancel_quote(held, mine)
        assert held.quotes == {}
    # the next line takes the place of the half one
    desk.quote(held, quote(13), NOW)
    _, [left] = opened(path)
    assert list(left.quotes) == [quote(11).id, quote(13).id]


def test_the_file_does_not_grow_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rfq_notes, "SIZE_MIN", 4_096)
    path = tmp_path / "requests.jsonl"
    desk, _ = opened(path)
    held = desk.open(rfq(1), NOW)
    sizes = set()
    for number in range(200):
        desk.quote(held, quote(number), NOW)
        sizes.add(path.stat().st_size)
    assert max(sizes) <= 4_096
    _, [left] = opened(path)
    assert list(left.quotes) == [quote(199).id]


def test_a_disk_without_room_keeps_no_venue_from_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no")

    path, first = tmp_path / "requests.jsonl", tmp_path / "never.jsonl"
    desk, _ = opened(path)
    desk.open(rfq(1), NOW)
    os.truncate(path, path.stat().st_size + 7)  # a torn line
    with monkeypatch.context() as patched:
        patched.setattr(rfq_notes, "write_whole", refuse)
        again, [left] = opened(path)
        assert (left.state, left.reason) == (State.CANCELLED, "venue_restarted")
        fresh, none = opened(first)
        assert none == []
    again.open(rfq(2), NOW)
    fresh.open(rfq(3), NOW)
    assert [r.id for r in opened(path)[1]] == [rfq(1).id, rfq(2).id]
    assert [r.id for r in opened(first)[1]] == [rfq(3).id]
