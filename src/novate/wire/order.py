"""Signed orders, and how a batch of fills is packed for ``Exchange.settle`` (docs/SPEC.md §6).

A field that does not fit its bits is rejected (``MalformedOrder``). Twin: ``contracts/order.vy``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from novate import errors, limits
from novate.errors import require
from novate.model.order import IMMEDIATE, ZERO_ADDRESS, Order
from novate.wire.bulk import BulkSignature
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
    proof: int = 0,
    root_known: bool = False,
) -> tuple[int, int, int, int]:
    """The four words of an order in calldata; a bulk order's signature is left out if its root is
    known from an order before."""
    contract_wallet, share = signed.blob is not None, signed.bulk
    place = ALONE if share is None else Place(len(share.siblings), share.index, proof)
    indices = account_index, instrument_index
    word, limit = limit_words(signed.order, *indices, contract_wallet, place)
    if contract_wallet:
        return word, limit, blob_index, 0
    if share is None:
        return word, limit, signed.r, signed.vs
    return (word, limit, 0, 0) if root_known else (word, limit, share.r, share.vs)


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
            require(orders[sort_key(signed.order)] == signed, errors.StaleRevision)
    keys = sorted(orders)
    accounts = sorted({key[0] for key in keys})
    instruments = sorted({signed.order.instrument for signed in orders.values()})
    blobs = [b for key in keys if (b := orders[key].blob) is not None]
    require(
        len(fills) <= limits.FILLS_PER_BATCH_MAX
        and len(keys) <= limits.ORDERS_PER_BATCH_MAX
        and len(accounts) <= limits.ACCOUNTS_PER_BATCH_MAX
        and len(instruments) <= limits.INSTRUMENTS_PER_BATCH_MAX
        and len(blobs) <= limits.SIGNATURE_BLOBS_PER_BATCH_MAX,
        errors.TooManyItems,
    )
    words, proofs = _orders([orders[key] for key in keys], accounts, instruments)
    index = {key: i for i, key in enumerate(keys)}
    packed = [
        fill_word(index[sort_key(f.taker.order)], index[sort_key(f.maker.order)], f.lots, f.price)
        for f in fills
    ]
    lists = [a.to_bytes(32, "big") for a in accounts], instruments, words, packed, blobs
    return PackedBatch(*lists, b"".join(proofs))


def _orders(
    orders: Sequence[SignedOrder], accounts: Sequence[int], instruments: Sequence[int]
) -> tuple[list[tuple[int, int, int, int]], list[bytes]]:
    """Words of the orders, and the proofs of those in trees; a root's signature comes once."""
    words, blobs, roots = [], 0, set[tuple[bytes, int, int]]()
    proofs = [sibling for signed in orders if signed.bulk for sibling in signed.bulk.siblings]
    left = len(proofs)
    for signed in orders:
        order, share, root_known = signed.order, signed.bulk, False
        if share is not None:
            root = share.root(order), share.r, share.vs
            root_known = root in roots
            roots.add(root)
        indices = accounts.index(order.account), instruments.index(order.instrument)
        words.append(order_words(signed, *indices, blobs, left, root_known))
        blobs += signed.blob is not None
        left -= 0 if share is None else len(share.siblings)
    return words, proofs
