"""Signed orders, and how a batch of fills is packed for ``Exchange.settle`` (docs/SPEC.md §6).

A field that does not fit its bits is rejected (``MalformedOrder``). Twin: ``contracts/order.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novate import errors, limits
from novate.errors import require
from novate.model.bulk import HEIGHT_MAX
from novate.model.order import IMMEDIATE, ZERO_ADDRESS, Order
from novate.wire import eip712
from novate.wire.bulk import COMPACT_BYTES, ROOTS_PER_BLOB, BulkSignature
from novate.wire.eip712 import Match

__all__ = [
    "Match",
    "Order",
    "PackedBatch",
    "SignedFill",
    "SignedOrder",
    "fill_word",
    "order_words",
    "pack",
    "receipt_words",
    "recovered",
]


@dataclass(frozen=True, slots=True)
class SignedOrder:
    """An order with a compact signature (``r``, ``vs``), a contract wallet's signature blob, or its
    share of a bulk signature."""

    order: Order
    r: int = 0
    vs: int = 0
    blob: bytes | None = None
    bulk: BulkSignature | None = None


@dataclass(frozen=True, slots=True)
class SignedFill:
    """A match to settle: two signed orders, lots, price in wad."""

    taker: SignedOrder
    maker: SignedOrder
    lots: int
    price: int


@dataclass(frozen=True, slots=True)
class PackedBatch:
    """Arguments of ``Exchange.settle``: accounts, instruments, orders, fills, and blobs; behind the
    encoded call come the proofs of bulk orders."""

    accounts: list[bytes]
    instruments: list[int]
    orders: list[tuple[int, int, int, int]]
    fills: list[int]
    blobs: list[bytes]
    proofs: bytes = b""


def sort_key(order: Order) -> tuple[int, bool, int]:
    """How a batch sorts its orders; equal keys share fill state and may not meet in one batch."""
    return order.account, order.immediate, order.nonce


@dataclass(frozen=True, slots=True)
class Place:
    """Where an order of a tree stands: the tree's height, its index, and how many words from the
    end of the calldata its proof begins. All zero for an order signed alone."""

    height: int = 0
    index: int = 0
    proof: int = 0


ALONE = Place()


def place_of(word: int) -> Place:
    """The place in an order's word 0."""
    return Place(word >> 153 & 15, word >> 157 & 255, word >> 165 & 1023)


def limit_words(
    order: Order,
    account_index: int,
    instrument_index: int,
    contract_wallet: bool,
    place: Place = ALONE,
) -> tuple[int, int]:
    """Words 0 and 1 of an order; rejects fields out of range (``MalformedOrder``)."""
    fields = (
        (order.size, 44),
        (order.expiry, 40),
        (order.exclusive_until, 40),
        (order.revision, 16),
        (instrument_index, 8),
        (order.flags & ~IMMEDIATE, 2),
        (int(order.sells), 1),
        (int(order.executor == ZERO_ADDRESS), 1),
        (int(contract_wallet), 1),
        (place.height, 4),
        (place.index, 8),
        (place.proof, 10),
        (0, 8),
        (order.nonce, 64),
        (int(order.immediate), 1),
        (account_index, 8),
    )
    word = offset = 0
    for value, bits in fields:
        require(0 <= value < 1 << bits, errors.MalformedOrder)
        word |= value << offset
        offset += bits
    require(0 <= order.price < 1 << 128 and 0 <= order.max_fee < 1 << 128, errors.MalformedOrder)
    return word, order.price | order.max_fee << 128


def order_words(
    signed: SignedOrder,
    account_index: int,
    instrument_index: int,
    blob_index: int = 0,
    offset: int = 0,
    proof: int = 0,
) -> tuple[int, int, int, int]:
    """The four words of an order in calldata; of an order in a tree, the signature begins at byte
    ``offset`` of the blob, and the proof ``proof`` words before the end."""
    contract_wallet, share = signed.blob is not None, signed.bulk
    place = ALONE if share is None else Place(len(share.siblings), share.index, proof)
    indices = account_index, instrument_index
    word, limit = limit_words(signed.order, *indices, contract_wallet, place)
    if contract_wallet or share is not None:
        return word, limit, blob_index, offset
    return word, limit, signed.r, signed.vs


def recovered(
    separator: bytes, order: Order, words: Sequence[int], blobs: Sequence[bytes], calldata: bytes
) -> str:
    """Who signed an order of a batch with a key, alone or in a tree, or "". ``calldata`` is the
    whole call. Raises ``IndexError`` where blob or calldata do not hold what the words say.
    """
    place = place_of(words[0])
    if place.height == 0:
        digest = eip712.order_digest(separator, order)
        return eip712.recover(digest, words[2], words[3]) or ""
    end = words[3] + COMPACT_BYTES
    start = len(calldata) - 32 * place.proof
    stop = start + 32 * min(place.height, HEIGHT_MAX)
    if end > len(blobs[words[2]]) or not 0 <= start <= stop <= len(calldata):
        raise IndexError("a signature beyond its blob, or a proof beyond the calldata")
    signature = blobs[words[2]][words[3] : end]
    r, vs = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    siblings = tuple(calldata[i : i + 32] for i in range(start, stop, 32))
    if place.height > HEIGHT_MAX:
        return ""
    return BulkSignature(r, vs, place.index, siblings).signer(separator, order) or ""


def fill_word(taker_index: int, maker_index: int, lots: int, price: int) -> int:
    """[taker order 8 | maker order 8 | lots 44 | price 128]."""
    fits = (
        0 <= taker_index < 256
        and 0 <= maker_index < 256
        and 0 <= lots < 1 << 44
        and 0 <= price < 1 << 128
    )
    require(fits, errors.MalformedOrder)
    return taker_index | maker_index << 8 | lots << 16 | price << 60


def receipt_words(sequence: int, matched_at: int, r: int, vs: int) -> tuple[int, int, int]:
    """[sequence 64 | matched_at 40], then the executor's signature."""
    require(0 <= sequence < 1 << 64 and 0 <= matched_at < 1 << 40, errors.MalformedOrder)
    return sequence | matched_at << 64, r, vs


def pack(fills: Sequence[SignedFill]) -> PackedBatch:
    """Deduplicate, sort and pack a batch; rejects one beyond its bounds (``TooManyItems``)."""
    orders = {sort_key(s.order): s for fill in fills for s in (fill.taker, fill.maker)}
    for fill in fills:
        for signed in (fill.taker, fill.maker):
            held = orders[sort_key(signed.order)]
            require(held is signed or held == signed, errors.StaleRevision)
    keys = sorted(orders)
    accounts = sorted({key[0] for key in keys})
    instruments = sorted({signed.order.instrument for signed in orders.values()})
    words, blobs, proofs = _orders([orders[key] for key in keys], accounts, instruments)
    require(
        len(fills) <= limits.FILLS_PER_BATCH_MAX
        and len(keys) <= limits.ORDERS_PER_BATCH_MAX
        and len(accounts) <= limits.ACCOUNTS_PER_BATCH_MAX
        and len(instruments) <= limits.INSTRUMENTS_PER_BATCH_MAX
        and len(blobs) <= limits.SIGNATURE_BLOBS_PER_BATCH_MAX,
        errors.TooManyItems,
    )
    index = {key: i for i, key in enumerate(keys)}
    packed = [
        fill_word(index[sort_key(f.taker.order)], index[sort_key(f.maker.order)], f.lots, f.price)
        for f in fills
    ]
    lists = [a.to_bytes(32, "big") for a in accounts], instruments, words, packed, blobs
    return PackedBatch(*lists, proofs)


def _orders(
    orders: Sequence[SignedOrder], accounts: Sequence[int], instruments: Sequence[int]
) -> tuple[list[tuple[int, int, int, int]], list[bytes], bytes]:
    """Words of the orders, blobs (contract wallets' first, then trees' signatures, each once), and
    the proofs of orders in trees."""
    blobs = [signed.blob for signed in orders if signed.blob is not None]
    shares = [signed.bulk for signed in orders if signed.blob is None and signed.bulk]
    roots = list(dict.fromkeys((share.r, share.vs) for share in shares))
    proofs = [sibling for share in shares for sibling in share.siblings]
    words, wallets, left = [], 0, len(proofs)
    for signed in orders:
        where, share = (wallets, 0, 0), signed.bulk
        if signed.blob is not None:
            wallets += 1
        elif share is not None:
            blob, place = divmod(roots.index((share.r, share.vs)), ROOTS_PER_BLOB)
            where = len(blobs) + blob, COMPACT_BYTES * place, left
            left -= len(share.siblings)
        order = signed.order
        indices = accounts.index(order.account), instruments.index(order.instrument)
        words.append(order_words(signed, *indices, *where))
    signatures = [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in roots]
    for first in range(0, len(signatures), ROOTS_PER_BLOB):
        blobs.append(b"".join(signatures[first : first + ROOTS_PER_BLOB]))
    return words, blobs, b"".join(proofs)
