"""What outlives the process of requests and quotes: that they were there, and how they ended.

Owns: ``requests.jsonl`` beside the journal: a line for each request, quote and end, written before
anybody is answered. It holds no signature: what a maker has signed dies with the process, so after
a restart nothing can be accepted that he could not have taken back meanwhile; what was accepted is
in the journal. Not synced: it survives the process, and the machine as the system lets it. Read
once, at the start, and written anew, without what is kept no more; a torn line is the end of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import msgspec

from novate.api.rfq import Desk, Leg, Quote, Rfq, State
from novate.engine.journal_disk import refusals, write_at, write_whole
from novate.errors import Rejected

SIZE_MIN = 1 << 20  # a smaller file is not written anew
# The quote of a request that traded, by the request; None if the journal has no such block.
Traded = Callable[[bytes], bytes | None]


class Asked(msgspec.Struct, frozen=True, tag="asked"):
    """A request began."""

    id: bytes
    taker: bytes
    legs: list[tuple[int, int]]
    created_ms: int
    expires_ms: int
    label: str
    disclosed: bool
    makers: list[bytes]


class Quoted(msgspec.Struct, frozen=True, tag="quoted"):
    """A quote was taken in; prices in wad."""

    rfq: bytes
    id: bytes
    maker: bytes
    buys: bool
    prices: list[str]
    expiry: int
    created_ms: int
    label: str


class Withdrawn(msgspec.Struct, frozen=True, tag="withdrawn"):
    """A quote was taken back, replaced or refused by the engine."""

    rfq: bytes
    id: bytes


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """A request is over, ``filled_by`` a quote if it traded."""

    id: bytes
    state: State
    reason: str = ""
    filled_by: bytes = b""


Note = Asked | Quoted | Withdrawn | Ended
_DECODER: msgspec.json.Decoder[Note] = msgspec.json.Decoder(Note)


class Notes:
    """The file of one venue, over its desk."""

    def __init__(self, path: Path, desk: Desk) -> None:
        self._path = path
        self._desk = desk
        self._size = self._fresh = 0

    def recall(self, traded: Traded, reason: str) -> list[Rfq]:
        """Take in what an earlier process left, and note what happens from now on; the requests
        that were open when it died: filled if the journal has their block, else cancelled for
        ``reason``. A disk that takes nothing now leaves the file as it was: what is noted next goes
        behind its last whole line, and the ends found here are found again.

        Raises ``OSError``.
        """
        lines = self._path.read_bytes().split(b"\n")[:-1] if self._path.exists() else []
        for line in lines:
            try:
                self._replay(_DECODER.decode(line))
            except (msgspec.DecodeError, UnicodeDecodeError, KeyError):
                break
            self._size += len(line) + 1
        left = list(self._desk.rfqs.values())
        for rfq in left:
            quote_id = traded(rfq.id)
            if quote_id is None:
                self._desk.end(rfq, State.CANCELLED, reason)
            else:
                self._fill(rfq, quote_id)
        with suppress(Rejected):
            self._rewrite()
        self._desk.keeper = self
        return left

    # Reading

    def _replay(self, note: Note) -> None:
        rfqs = self._desk.rfqs
        match note:
            case Asked():
                rfqs[note.id] = _rfq(note)
            case Quoted():
                rfqs[note.rfq].quotes[note.id] = _quote(note)
            case Withdrawn():
                rfqs[note.rfq].quotes.pop(note.id, None)
            case Ended(state=State.FILLED):
                self._fill(rfqs[note.id], note.filled_by)
            case Ended():
                self._desk.end(rfqs[note.id], note.state, note.reason)

    def _fill(self, rfq: Rfq, quote_id: bytes) -> None:
        rfq.filled_by = quote_id
        if quote_id in rfq.quotes:
            rfq.quotes[quote_id].state = State.FILLED
        self._desk.end(rfq, State.FILLED)

    # Writing

    def asked(self, rfq: Rfq) -> None:
        """A request is to begin. Errors: ``JournalFull``, ``JournalReadOnly``."""
        self._append(_asked(rfq))

    def quoted(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is to be taken in. Errors: ``JournalFull``, ``JournalReadOnly``."""
        self._append(_quoted(rfq, quote))

    def withdrawn(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is gone, noted or not."""
        with suppress(Rejected):
            self._append(Withdrawn(rfq.id, quote.id))

    def ended(self, rfq: Rfq) -> None:
        """A request is over, noted or not."""
        with suppress(Rejected):
            self._append(_ended(rfq))

    def _append(self, note: Note) -> None:
        """Errors: ``JournalFull``, ``JournalReadOnly``; then what was whole is as it was."""
        line = _line(note)
        if self._size + len(line) > max(2 * self._fresh, SIZE_MIN):
            self._rewrite()
        with refusals("requests"):
            descriptor = os.open(self._path, os.O_WRONLY | os.O_CREAT, 0o600)
            try:
                # behind the last whole line: over the part of one that had no room
                write_at(descriptor, line, self._size)
            finally:
                os.close(descriptor)
        self._size += len(line)

    def _rewrite(self) -> None:
        """Errors: as ``_append``."""
        data = b"".join(
            _line(note)
            for rfq in (*self._desk.ended.values(), *self._desk.rfqs.values())
            for note in _story(rfq)
        )
        with refusals("requests"):
            write_whole(self._path, data)
        self._size = self._fresh = len(data)


def _story(rfq: Rfq) -> list[Note]:
    quotes = [_quoted(rfq, quote) for quote in rfq.quotes.values()]
    over = rfq.state not in (State.OPEN, State.ACCEPTING)
    return [_asked(rfq), *quotes, *([_ended(rfq)] if over else [])]


def _rfq(note: Asked) -> Rfq:
    return Rfq(
        id=note.id,
        taker=_number(note.taker),
        legs=tuple(Leg(*leg) for leg in note.legs),
        created_ms=note.created_ms,
        expires_ms=note.expires_ms,
        label=note.label,
        disclosed=note.disclosed,
        makers=frozenset(map(_number, note.makers)),
    )


def _quote(note: Quoted) -> Quote:
    """As it was, without its orders."""
    return Quote(
        id=note.id,
        maker=_number(note.maker),
        buys=note.buys,
        orders=[],
        prices=tuple(map(int, note.prices)),
        consent=b"",
        expiry=note.expiry,
        created_ms=note.created_ms,
        label=note.label,
    )


def _asked(rfq: Rfq) -> Asked:
    return Asked(
        id=rfq.id,
        taker=_bytes(rfq.taker),
        legs=[(leg.instrument, leg.lots) for leg in rfq.legs],
        created_ms=rfq.created_ms,
        expires_ms=rfq.expires_ms,
        label=rfq.label,
        disclosed=rfq.disclosed,
        makers=[_bytes(maker) for maker in sorted(rfq.makers)],
    )


def _quoted(rfq: Rfq, quote: Quote) -> Quoted:
    return Quoted(
        rfq=rfq.id,
        id=quote.id,
        maker=_bytes(quote.maker),
        buys=quote.buys,
        prices=[str(price) for price in quote.prices],
        expiry=quote.expiry,
        created_ms=quote.created_ms,
        label=quote.label,
    )


def _ended(rfq: Rfq) -> Ended:
    return Ended(rfq.id, rfq.state, rfq.reason, rfq.filled_by)


def _line(note: Note) -> bytes:
    return msgspec.json.encode(note) + b"\n"


def _bytes(account: int) -> bytes:
    return account.to_bytes(32, "big")


def _number(account: bytes) -> int:
    return int.from_bytes(account, "big")
