"""Requests for quotes: who asks for which legs, who quotes them, what has become of it.

Owns: the open requests and quotes of one venue, in memory. What is signed in them ends with the
process, unless it was accepted: then it is in the journal; that they were there, and how they
ended, a ``Keeper`` notes (``rfq_notes``). Bounded in number and time. A request is known to all,
its asker to nobody until it trades (unless disclosed); a quote is known to its maker and to the
asker. Lots signed as the package is bought; prices in wad; times in milliseconds, a quote's expiry
in seconds, as it is signed.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from novate import errors
from novate.errors import QuoteNotFound, Rejected, RfqLimit, RfqNotFound, require
from novate.wire.eip712 import keccak
from novate.wire.records import BlockAccepted, OrderPlaced

OPEN_MAX = 1_000
OPEN_PER_ACCOUNT_MAX = 5
QUOTES_PER_RFQ_MAX = 64
QUOTES_PER_ACCOUNT_MAX = 50
ENDED_MAX = 1_000
SECONDS_MIN, SECONDS_MAX = 5, 600


class State(StrEnum):
    """What a request, or a quote, is."""

    OPEN = "open"
    ACCEPTING = "accepting"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True)
class Leg:
    """One leg of a package: lots signed as who buys the package trades them."""

    instrument: int
    lots: int


@dataclass(slots=True)
class Quote:
    """A maker's signed orders for all legs; it buys or sells the package. ``id`` is the hash of the
    orders' digests, which who accepts it signs.
    """

    id: bytes
    maker: int
    buys: bool
    orders: list[OrderPlaced]
    prices: tuple[int, ...]
    consent: bytes
    expiry: int
    created_ms: int
    label: str = ""
    state: State = State.OPEN


@dataclass(slots=True)
class Rfq:
    """A request; ``makers`` may quote, or anybody if there are none. ``reason``: why it was
    cancelled, if not by its asker.
    """

    id: bytes
    taker: int
    legs: tuple[Leg, ...]
    created_ms: int
    expires_ms: int
    label: str = ""
    disclosed: bool = False
    makers: frozenset[int] = frozenset()
    state: State = State.OPEN
    quotes: dict[bytes, Quote] = field(default_factory=dict)
    filled_by: bytes = b""
    reason: str = ""

    def best(self, now_s: int) -> list[Quote]:
        """Its open quotes, in the order in which they came."""
        return [q for q in self.quotes.values() if q.state is State.OPEN and now_s <= q.expiry]


class Keeper(Protocol):
    """Notes what happens at a desk. The first two may refuse, by ``JournalFull`` or
    ``JournalReadOnly``; then nothing has happened.
    """

    def asked(self, rfq: Rfq) -> None:
        """A request is to begin."""
        ...

    def quoted(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is to be taken in."""
        ...

    def withdrawn(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is gone, its request open."""
        ...

    def ended(self, rfq: Rfq) -> None:
        """A request is over."""
        ...


class Forgetful:
    """Notes nothing."""

    def asked(self, rfq: Rfq) -> None:
        """A request is to begin."""

    def quoted(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is to be taken in."""

    def withdrawn(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is gone, its request open."""

    def ended(self, rfq: Rfq) -> None:
        """A request is over."""


@dataclass(slots=True)
class Desk:
    """All requests by id, ended ones too until ``ENDED_MAX`` others have ended."""

    rfqs: dict[bytes, Rfq] = field(default_factory=dict)
    ended: OrderedDict[bytes, Rfq] = field(default_factory=OrderedDict)
    pending: dict[bytes, tuple[bytes, bytes]] = field(default_factory=dict)
    salt: bytes = field(default_factory=lambda: secrets.token_bytes(32))
    keeper: Keeper = field(default_factory=Forgetful)

    # Requests

    def name(self, account: int, nonce: int) -> bytes:
        """The id of an account's request of a nonce, which tells nobody whose it is."""
        return keccak(self.salt + account.to_bytes(32, "big") + nonce.to_bytes(32, "big"))

    def open(self, rfq: Rfq, now_ms: int) -> Rfq:
        """Take a request in; the same again is the same.

        Errors: ``NonceUsed``, ``RfqLimit``, those of the keeper.
        """
        known = self.find(rfq.id, now_ms)
        if known is not None:
            require(known.legs == rfq.legs, errors.NonceUsed)
            return known
        mine = [r for r in self.rfqs.values() if r.taker == rfq.taker]
        require(len(self.rfqs) < OPEN_MAX, RfqLimit, "at the whole venue")
        own = f"at most {OPEN_PER_ACCOUNT_MAX} of an account"
        require(len(mine) < OPEN_PER_ACCOUNT_MAX, RfqLimit, own)
        self.keeper.asked(rfq)
        self.rfqs[rfq.id] = rfq
        return rfq

    def find(self, rfq_id: bytes, now_ms: int) -> Rfq | None:
        """A request, open or ended; one whose time is over ends now."""
        found = self.rfqs.get(rfq_id)
        if found is not None and found.state is State.OPEN and now_ms >= found.expires_ms:
            self.end(found, State.EXPIRED)
        return found or self.ended.get(rfq_id)

    def require_open(self, rfq_id: bytes, now_ms: int) -> Rfq:
        """An open request. Errors: ``RfqNotFound``, with the reason if that is over for one."""
        found = self.find(rfq_id, now_ms)
        reason = found.reason if found is not None else ""
        require(found is not None and found.state is State.OPEN, RfqNotFound, reason)
        assert found is not None
        return found

    def end(self, rfq: Rfq, state: State, reason: str = "") -> None:
        """A request is over, and with it every quote that was not taken."""
        rfq.state, rfq.reason = state, reason
        for quote in rfq.quotes.values():
            if quote.state is State.OPEN:
                quote.state = State.EXPIRED if state is State.EXPIRED else State.CANCELLED
        self.rfqs.pop(rfq.id, None)
        self.ended[rfq.id] = rfq
        self.keeper.ended(rfq)
        while len(self.ended) > ENDED_MAX:
            self.ended.popitem(last=False)

    def of(self, now_ms: int) -> list[Rfq]:
        """All requests that are kept, oldest first; those whose time is over end now."""
        for rfq_id in list(self.rfqs):
            self.find(rfq_id, now_ms)
        return [*self.ended.values(), *self.rfqs.values()]

    # Quotes

    def quote(self, rfq: Rfq, quote: Quote, now_ms: int) -> Quote:
        """Take a quote in; it takes the place of its maker's former one of that side.

        The same again is the same. Errors: ``SelfMatch``, ``NotOwner`` (others are asked),
        ``RfqLimit``, those of the keeper.
        """
        known = rfq.quotes.get(quote.id)
        if known is not None:
            return known
        require(quote.maker >> 96 != rfq.taker >> 96, errors.SelfMatch)
        require(not rfq.makers or quote.maker in rfq.makers, errors.NotOwner, "others are asked")
        now_s = now_ms // 1_000  # division: to seconds
        former = [q for q in rfq.best(now_s) if q.maker == quote.maker and q.buys == quote.buys]
        mine = sum(len(self.quotes_of(r, quote.maker, now_s)) for r in self.rfqs.values())
        own = f"at most {QUOTES_PER_ACCOUNT_MAX} quotes of an account"
        require(mine - len(former) < QUOTES_PER_ACCOUNT_MAX, RfqLimit, own)
        self._prune(rfq, now_s)
        most = f"at most {QUOTES_PER_RFQ_MAX} quotes of a request"
        require(len(rfq.quotes) - len(former) < QUOTES_PER_RFQ_MAX, RfqLimit, most)
        self.keeper.quoted(rfq, quote)
        for old in former:
            self.cancel_quote(rfq, old)
        rfq.quotes[quote.id] = quote
        return quote

    def quotes_of(self, rfq: Rfq, maker: int, now_s: int) -> list[Quote]:
        """A maker's open quotes of a request."""
        return [quote for quote in rfq.best(now_s) if quote.maker == maker]

    def require_quote(self, quote_id: bytes, now_ms: int) -> tuple[Rfq, Quote]:
        """An open quote and its request. Errors: ``QuoteNotFound``."""
        now_s = now_ms // 1_000  # division: to seconds
        for rfq in list(self.rfqs.values()):
            quote = rfq.quotes.get(quote_id)
            if quote is not None and self.find(rfq.id, now_ms) is rfq and quote in rfq.best(now_s):
                return rfq, quote
        raise Rejected(QuoteNotFound)

    def cancel_quote(self, rfq: Rfq, quote: Quote) -> None:
        """A quote is no longer to be had."""
        quote.state = State.CANCELLED
        rfq.quotes.pop(quote.id, None)
        self.keeper.withdrawn(rfq, quote)

    def _prune(self, rfq: Rfq, now_s: int) -> None:
        for quote in [q for q in rfq.quotes.values() if q not in rfq.best(now_s)]:
            self.cancel_quote(rfq, quote)

    # What the journal says

    def accepting(self, rfq: Rfq, quote: Quote, command: BlockAccepted) -> None:
        """An acceptance is on its way: nobody else may accept meanwhile."""
        rfq.state = quote.state = State.ACCEPTING
        self.pending[command.taker[0].digest] = rfq.id, quote.id

    def decided(self, digest: bytes, trades: bool) -> tuple[Rfq, Quote] | None:
        """What became of an acceptance, by its first order: a block, or a refusal, after which the
        request is open again, without that quote.
        """
        rfq_id, quote_id = self.pending.pop(digest, (b"", b""))
        rfq = self.rfqs.get(rfq_id)
        if rfq is None:
            return None
        quote = rfq.quotes[quote_id]
        if trades:
            quote.state, rfq.filled_by = State.FILLED, quote_id
            self.end(rfq, State.FILLED)
        else:
            rfq.state = State.OPEN
            self.cancel_quote(rfq, quote)
        return rfq, quote
