"""Bulk orders as they are signed and sent: one EIP-712 signature over a tree of up to 256 orders.

What is signed is the struct ``BulkOrders(Order[2]...[2] tree)``, an array as deep as the tree is
high: its EIP-712 hash is the tree's root, and a wallet shows every order in it. Each order keeps
its own digest, nonce, expiry and limits, and proves its place with its signature: tag, r, vs,
index, siblings. Twins: ``model/bulk.py`` (the tree), ``contracts/bulk.vy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from coincurve import PrivateKey

from novate import errors
from novate.errors import require
from novate.limits import SIGNATURE_BLOB_BYTES_MAX
from novate.model import bulk
from novate.model.order import Order
from novate.wire import eip712

NAME = "BulkOrders"
BLANK = Order(account=0, instrument=0, lots=0, price=0, max_fee=0, nonce=0, expiry=0)
BLANK_HASH = eip712.order_hash(BLANK)
TAG = eip712.keccak(b"Novate bulk signature")[:4]
COMPACT_BYTES = 64
ROOTS_PER_BLOB = SIGNATURE_BLOB_BYTES_MAX // COMPACT_BYTES  # division: exact
HEAD_BYTES = len(TAG) + 32 + 32 + 1
WORD = 1 << 256
_INDICES = tuple(bytes((index,)) for index in range(bulk.ORDERS_MAX))
_DEPTHS = range(1, bulk.HEIGHT_MAX + 1)
LENGTHS = frozenset(HEAD_BYTES + 32 * height for height in _DEPTHS)


def tree_type(height: int) -> str:
    """The type of a tree's member: an array of two, of two, ... of orders."""
    return "Order" + "[2]" * height


TYPE_HASHES = tuple(
    eip712.keccak(f"{NAME}({tree_type(height)} tree){eip712.type_of('Order')}".encode())
    for height in _DEPTHS
)


def root_digest(separator: bytes, root: bytes, height: int) -> bytes:
    """What is signed for a tree of this root and height (1 to 8)."""
    return eip712.typed(separator, eip712.keccak(TYPE_HASHES[height - 1] + root))


@dataclass(frozen=True, slots=True)
class BulkSignature:
    """An order's share of a bulk signature: the root's compact signature and the order's place."""

    r: int
    vs: int
    index: int
    siblings: tuple[bytes, ...]

    def root(self, order: Order) -> bytes:
        """The root of the tree that the order would have to be in."""
        return bulk.climb(eip712.order_hash(order), self.index, self.siblings)

    def signer(self, separator: bytes, order: Order) -> str | None:
        """Who signed a tree with the order in this place; None if nobody can have."""
        if not (1 <= len(self.siblings) <= bulk.HEIGHT_MAX and self._fits()):
            return None
        digest = root_digest(separator, self.root(order), len(self.siblings))
        return eip712.recover(digest, self.r, self.vs)

    def _fits(self) -> bool:
        """Whether each field has the size that it is sent in."""
        sized = all(len(sibling) == 32 for sibling in self.siblings)
        words = 0 <= self.r < WORD and 0 <= self.vs < WORD
        return sized and words and 0 <= self.index < bulk.ORDERS_MAX

    def encode(self) -> bytes:
        """[tag 4 | r 32 | vs 32 | index 1 | siblings 32 each], as a record carries it."""
        return _head(self.r, self.vs) + _INDICES[self.index] + b"".join(self.siblings)


def _head(r: int, vs: int) -> bytes:
    """What the shares of one signature begin with."""
    return TAG + r.to_bytes(32, "big") + vs.to_bytes(32, "big")


def is_bulk(signature: bytes) -> bool:
    """Whether these bytes are a bulk signature, and not something else (a wallet's own)."""
    return len(signature) in LENGTHS and signature.startswith(TAG)


def decode(signature: bytes) -> BulkSignature | None:
    """The bulk signature in these bytes; None if they are something else."""
    if not is_bulk(signature):
        return None
    r, vs = (int.from_bytes(signature[i : i + 32], "big") for i in (4, 36))
    places = range(HEAD_BYTES, len(signature), 32)
    return BulkSignature(r, vs, signature[68], tuple(signature[i : i + 32] for i in places))


def blobs_needed(signatures: Iterable[bytes]) -> int:
    """How many blobs a batch of these orders' signatures carries: one a contract wallet's, one for
    every sixteen signatures of trees."""
    roots, wallets = roots_and_wallets(signatures)
    return blobs_of(len(roots), wallets)


def roots_and_wallets(signatures: Iterable[bytes]) -> tuple[set[bytes], int]:
    """The different signatures of trees among these, and how many are contract wallets'."""
    others = [signature for signature in signatures if len(signature) != COMPACT_BYTES]
    roots = {s[len(TAG) : len(TAG) + COMPACT_BYTES] for s in others if is_bulk(s)}
    return roots, sum(not is_bulk(signature) for signature in others)


def blobs_of(roots: int, wallets: int) -> int:
    """How many blobs so many signatures take."""
    return wallets + -(-roots // ROOTS_PER_BLOB)  # division: rounded up


@dataclass(frozen=True)
class BulkOrders:
    """Up to 256 orders under one compact signature; none or more are ``TooManyItems``."""

    orders: tuple[Order, ...]
    r: int = 0
    vs: int = 0

    def __post_init__(self) -> None:
        require(0 < len(self.orders) <= bulk.ORDERS_MAX, errors.TooManyItems)

    @cached_property
    def levels(self) -> bulk.Levels:
        """The tree, leaves first."""
        return bulk.grow([eip712.order_hash(order) for order in self.orders], BLANK_HASH)

    @property
    def height(self) -> int:
        """Levels above the leaves."""
        return bulk.height_of(len(self.orders))

    @property
    def root(self) -> bytes:
        """The top of the tree."""
        return self.levels[-1][0]

    def digest(self, separator: bytes) -> bytes:
        """What is signed for all of them."""
        return root_digest(separator, self.root, self.height)

    def order_digests(self, separator: bytes) -> list[bytes]:
        """Each order's own digest, by which it is known."""
        return [eip712.typed(separator, leaf) for leaf in self.levels[0][: len(self.orders)]]

    def signature(self, index: int) -> BulkSignature:
        """The share of the order of this index, with its proof."""
        return BulkSignature(self.r, self.vs, index, bulk.siblings(self.levels, index))

    def encoded(self) -> list[bytes]:
        """The shares of all orders as records carry them (``BulkSignature.encode``)."""
        # a node's proof is its sibling and its parent's proof: from the root down, each once
        proofs = [b""]
        for level in self.levels[-2::-1]:
            proofs = [level[i ^ 1] + proofs[i >> 1] for i in range(len(level))]
        head = _head(self.r, self.vs)
        return [head + _INDICES[i] + proofs[i] for i in range(len(self.orders))]


def sign_bulk(key: PrivateKey, separator: bytes, orders: Sequence[Order]) -> BulkOrders:
    """Sign all of the orders at once."""
    unsigned = BulkOrders(tuple(orders))
    return BulkOrders(unsigned.orders, *eip712.sign(key, unsigned.digest(separator)))
