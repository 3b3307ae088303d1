"""Journal records: every command and event of the loop, as MessagePack.

Owns: what a journal payload means. A record's kind is the name of its class; its payload is the
class's fields in the order written here, behind the kind once more (checked when decoding), so a
field is only ever added at the end, with a default. Encoding is canonical: one value, one byte
string; the journal's hashes rest on it.

Numbers that fit 64 bits are integers. Larger ones (wad money and prices, 256-bit words) are
canonical decimal strings (``big`` and ``number``), as in the API. Accounts, digests and addresses
are raw bytes; so are signatures: r, then s with the parity in its top bit (64 bytes), or the blob
of a contract wallet. Lots are signed, buy > 0, where a side is not stated. Time is milliseconds
where the name says so, else the chain's seconds.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from novate.errors import JournalCorrupt, Rejected, require
from novate.limits import BLOCK_LEGS_MAX, OBSERVATIONS_PER_ROUND_MAX, SIGNATURES_PER_ROUND_MAX
from novate.wire.protection_records import ProtectionReset as ProtectionReset
from novate.wire.protection_records import ProtectionSet as ProtectionSet
from novate.wire.protection_records import ProtectionTriggered as ProtectionTriggered
from novate.wire.record_types import BIG_CHARACTERS_MAX as BIG_CHARACTERS_MAX
from novate.wire.record_types import (
    Account,
    Address,
    Base,
    Big,
    CompactSignature,
    Digest,
    Name,
    RoutedCall,
    Signature,
    Unsigned,
)
from novate.wire.record_types import Order as Order
from novate.wire.record_types import Quote as Quote
from novate.wire.record_types import big as big
from novate.wire.record_types import number as number
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

QUOTES_MAX = 256
RULES = 2  # of new journals


class Genesis(Base, frozen=True):
    """The first record: what this journal is about.

    ``version``: the engine's rules, by which the journal is read for ever (docs/journal.md).
    """

    chain_id: Unsigned
    contracts: dict[Name, Address]
    configuration_hash: Digest
    version: Unsigned = 1


class OrderPlaced(Base, frozen=True):
    """Command: an order whose signature (by ``signer``) the gateway has verified.

    What follows ``received_ms`` instructs the engine and is not signed. ``amends``: an edit, which
    takes the place of the open order of its nonce by a higher revision and shares its fills.
    ``slides``: a post-only order that would take rests a tick from the other side instead.
    ``trigger`` (``stop``, ``take`` or none): it waits until the mark meets ``trigger_price`` (wad).
    ``mmp``: it counts in its account's protection and goes with it. ``client_order_id``: the
    account's own id of the order, or "": no two of its open orders have the same.
    """

    digest: Digest
    order: Order
    signature: Signature
    signer: Address
    received_ms: Unsigned
    fill_or_kill: bool = False
    self_trade: Name = "cancel_maker"
    label: Name = ""
    amends: bool = False
    slides: bool = False
    trigger: Name = ""
    trigger_price: Big = "0"
    mmp: bool = False
    client_order_id: Name = ""


class QuotesPlaced(Base, frozen=True):
    """Command: a mass quote, each order's signature (by ``signer``) verified by the gateway.

    Each is taken or refused by itself; a refused one still takes its forerunner out. ``together``:
    no forerunner of any of them counts in the margin of one.
    """

    account: Account
    signer: Address
    received_ms: Unsigned
    quotes: Annotated[list[Quote], msgspec.Meta(min_length=1, max_length=QUOTES_MAX)]
    slides: bool = False
    label: Name = ""
    self_trade: Name = "cancel_maker"
    together: bool = False


class OrderRejected(Base, frozen=True):
    """Event: the order never entered the book; ``code`` is in the error registry."""

    digest: Digest
    code: Unsigned


class BlockAccepted(Base, frozen=True):
    """Command: two accounts trade legs with each other, outside the book, all of them or none.

    ``taker`` and ``maker`` hold each side's orders leg by leg; both signed a consent
    (``wire.block``) to this request ``rfq`` and these orders, void after the second ``expiry``.
    """

    rfq: Digest
    taker: Annotated[list[OrderPlaced], msgspec.Meta(min_length=1, max_length=BLOCK_LEGS_MAX)]
    maker: Annotated[list[OrderPlaced], msgspec.Meta(min_length=1, max_length=BLOCK_LEGS_MAX)]
    taker_consent: CompactSignature
    maker_consent: CompactSignature
    expiry: Unsigned
    received_ms: Unsigned

    @property
    def orders(self) -> list[OrderPlaced]:
        """Both orders of each leg, the taker's first."""
        pairs = zip(self.taker, self.maker, strict=False)
        return [placed for pair in pairs for placed in pair]


class CancelRequested(Base, frozen=True):
    """Command: stop orders of an account.

    ``scope``: ``nonce`` (``value`` is the nonce), ``below`` (all nonces below ``value``),
    ``instrument``, ``underlying`` (``value`` is its id) or ``all`` (``value`` is 0). ``quotes``:
    quotes alone; ``quote_set``: of one set alone, "" for all; ``own``: signed by ``signer`` alone.
    ``cause``: why the venue asks and no client: ``switch`` (void unless due by ``received_ms``),
    ``disconnect``, ``restart``.
    """

    account: Account
    scope: Name
    value: Unsigned
    signer: Address
    received_ms: Unsigned
    quotes: bool = False
    quote_set: Name = ""
    cause: Name = ""
    own: bool = False


class OrderSlid(Base, frozen=True):
    """Event: a post-only order rests at another price (wad) than it has signed, better for it."""

    digest: Digest
    price: Big


class OrderTriggered(Base, frozen=True):
    """Event: the mark met the order's trigger; it now enters as any other."""

    digest: Digest


class OrderShrunk(Base, frozen=True):
    """Event: an order that only reduces has lost ``lots``, which its position does not hold."""

    digest: Digest
    lots: Unsigned
    lots_left: Unsigned


class Matched(Base, frozen=True):
    """Event: a trade at that ``mark`` and ``index`` (wad); the executor's ``receipt`` of it."""

    sequence: Unsigned
    maker: Digest
    taker: Digest
    maker_account: Account
    taker_account: Account
    instrument: Unsigned
    taker_buys: bool
    lots: Unsigned
    price: Big
    fee_maker: Big
    fee_taker: Big
    matched_at: Unsigned
    receipt: CompactSignature
    oracle_round: Unsigned
    mark: Big = "0"
    index: Big = "0"


class OrderDone(Base, frozen=True):
    """Event: the order left the book; ``code`` is the rejection that ended it, or 0.

    ``end``: ``filled``, ``cancelled``, ``unfilled``, ``replaced`` or ``evicted``.
    """

    digest: Digest
    end: Name
    code: Unsigned
    lots_left: Unsigned


class OracleRound(Base, frozen=True):
    """Command: a signed round of prices; ``nodes`` holds one byte a signature (docs/SPEC.md §3)."""

    round: Unsigned
    timestamp: Unsigned
    observations: Annotated[list[Big], msgspec.Meta(max_length=OBSERVATIONS_PER_ROUND_MAX)]
    nodes: Big
    signatures: Annotated[list[CompactSignature], msgspec.Meta(max_length=SIGNATURES_PER_ROUND_MAX)]


class BatchDue(Base, frozen=True):
    """Command of the settler: close the open batch, if it holds matches."""

    due_ms: Unsigned


class BatchClosed(Base, frozen=True):
    """Event: matches ``first_sequence`` to ``first_sequence + count - 1`` settle together.

    They were judged at ``oracle_round`` and at the chain time ``judged_at``.
    """

    first_sequence: Unsigned
    count: Unsigned
    oracle_round: Unsigned
    judged_at: Unsigned


class Busted(Base, frozen=True):
    """Event: the venue gives a match up; ``code`` is the rejection that would meet it on the chain.

    A holder of its receipt may still settle it.
    """

    sequence: Unsigned
    code: Unsigned


class BatchSubmitted(Base, frozen=True):
    """Command of the settler, written before it sends: a transaction with ``count`` matches from
    ``first_sequence``, or none and only a round.

    Everything that its bytes follow from is here or in the records before; ``carries_round`` says
    whether ``oracle_round`` is in its calldata. Fees are wei a unit of gas. A later one with the
    same nonce replaces it.
    """

    transaction: Digest
    first_sequence: Unsigned
    count: Unsigned
    oracle_round: Unsigned
    submitted_ms: Unsigned
    nonce: Unsigned = 0
    gas: Unsigned = 0
    fee_maximum: Big = "0"
    fee_priority: Big = "0"
    carries_round: bool = False


class ChainTransaction(Base, frozen=True):
    """Command of the watcher: one transaction that reached our contracts, in chain order.

    ``events`` are its logs in order, each a list of address, topics and data; ``more``: another one
    of the same block follows. One that was not sent to a contract of ours reached it by ``calls``.
    """

    block: Unsigned
    timestamp: Unsigned
    position: Unsigned
    transaction: Digest
    sender: Address
    contract: Address
    calldata: bytes
    succeeded: bool
    gas_used: Unsigned
    events: list[tuple[Address, list[bytes], bytes]]
    more: bool = False
    calls: list[RoutedCall] = msgspec.field(default_factory=list)


class ChainReorganised(Base, frozen=True):
    """Command of the watcher: the blocks from ``first_block`` on left the chain, with all their
    transactions; what replaced them follows.
    """

    first_block: Unsigned


AnyRecord = (
    Genesis
    | OrderPlaced
    | OrderRejected
    | BlockAccepted
    | CancelRequested
    | Matched
    | OrderDone
    | OracleRound
    | BatchDue
    | BatchClosed
    | Busted
    | BatchSubmitted
    | ChainTransaction
    | ChainReorganised
    | QuotesPlaced
    | ProtectionSet
    | ProtectionReset
    | ProtectionTriggered
    | OrderSlid
    | OrderTriggered
    | DisconnectSet
    | SwitchSet
    | OrderShrunk
)

# What an engine answers commands with; everything else is a command.
EVENTS = (
    OrderRejected,
    Matched,
    OrderDone,
    BatchClosed,
    Busted,
    ProtectionTriggered,
    OrderSlid,
    OrderTriggered,
    OrderShrunk,
)

_ENCODER = msgspec.msgpack.Encoder(order="deterministic")
_DECODER: msgspec.msgpack.Decoder[AnyRecord] = msgspec.msgpack.Decoder(AnyRecord)


def encode(record: AnyRecord) -> tuple[str, bytes]:
    """Kind and payload for ``Journal.append``."""
    return type(record).__name__, _ENCODER.encode(record)


def decode(kind: str, payload: bytes) -> AnyRecord:
    """The record behind a journal entry. Errors: ``JournalCorrupt``."""
    try:
        record = _DECODER.decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Rejected(JournalCorrupt, f"payload of kind {kind}: {error}") from None
    found = type(record).__name__
    require(found == kind, JournalCorrupt, f"payload of kind {kind} holds {found}")
    return record


def orders_in(record: AnyRecord) -> list[OrderPlaced]:
    """The orders that a record places, each as a command of its own."""
    if isinstance(record, OrderPlaced):
        return [record]
    if isinstance(record, BlockAccepted):
        return record.orders
    if not isinstance(record, QuotesPlaced):
        return []
    return [
        OrderPlaced(
            quote.digest,
            quote.order,
            quote.signature,
            record.signer,
            record.received_ms,
            self_trade=record.self_trade,
            label=record.label,
            slides=record.slides,
            mmp=True,
        )
        for quote in record.quotes
    ]
