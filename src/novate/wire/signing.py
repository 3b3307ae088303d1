"""Signing and checking orders in bulk and on every core: libsecp256k1, called without the GIL.

Owns: a signer that makes thousands of signatures a second, and a checker that says whether each of
many orders is signed by whom it names. The checker knows the keys that it has seen sign and then
only verifies, which is faster than recovering the key but does not see the parity of a compact
signature: either parity passes here, and ``eip712.canonical`` restores the right one before the
order is settled. Memory is bounded; nothing is remembered of a signature that is wrong.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from types import TracebackType
from typing import Any, Generic, Self, TypeVar

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from coincurve import PrivateKey

from novate.model.bulk import HEIGHT_MAX
from novate.model.order import Order
from novate.wire import bulk, eip712
from novate.wire.bulk import BulkOrders, BulkSignature
from novate.wire.order import SignedOrder

KEYS_MAX = 65_536
ROOTS_MAX = 16_384
CHUNK_MIN = 16
# An x coordinate of the curve's may exceed the order of its group, by less than this. Such a point
# cannot be told by (r, vs), so an r that could have come from one is left to recovery, as on chain.
SMALL_R = 1 << 129
VS_MAX = (1 << 256) - 1

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A dictionary that forgets its oldest entry beyond ``entries_max``; shared by threads."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._lock = Lock()
        self._found: dict[K, V] = {}

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: K) -> V | None:
        """What was put there, if it is still known."""
        return self._found.get(key)

    def put(self, key: K, value: V) -> None:
        """Remember an entry."""
        with self._lock:
            if key not in self._found and len(self._found) >= self._entries_max:
                del self._found[next(iter(self._found))]
            self._found[key] = value


class Signer:
    """One key, ready to sign orders of one venue."""

    def __init__(self, key: PrivateKey, separator: bytes) -> None:
        self._secret = key.secret
        self._separator = separator

    def sign(self, order: Order) -> SignedOrder:
        """The order with its signature."""
        return SignedOrder(order, *self._sign(eip712.order_digest(self._separator, order)))

    def sign_bulk(self, orders: Iterable[Order]) -> BulkOrders:
        """Up to 256 orders under one signature."""
        unsigned = BulkOrders(tuple(orders))
        signed = BulkOrders(unsigned.orders, *self._sign(unsigned.digest(self._separator)))
        signed.__dict__["levels"] = unsigned.levels  # the same tree
        return signed

    def _sign(self, digest: bytes) -> tuple[int, int]:
        signature = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        compact, parity = ffi.new("unsigned char[64]"), ffi.new("int *")
        null = ffi.NULL
        done = lib.secp256k1_ecdsa_sign_recoverable(
            ctx, signature, digest, self._secret, null, null
        )
        assert done == 1, "the key was checked when it was made, and the nonce is RFC 6979's"
        lib.secp256k1_ecdsa_recoverable_signature_serialize_compact(ctx, compact, parity, signature)
        packed = bytes(ffi.buffer(compact))
        r, s = int.from_bytes(packed[:32], "big"), int.from_bytes(packed[32:], "big")
        return r, s | parity[0] << 255


class Checker:
    """Checks orders of one venue, in ``threads`` threads when there are enough of them at once."""

    def __init__(
        self,
        separator: bytes,
        threads: int = 1,
        keys_max: int = KEYS_MAX,
        roots_max: int = ROOTS_MAX,
    ) -> None:
        self._separator = separator
        self._threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None
        self._keys: Bounded[str, Any] = Bounded(keys_max)
        self._roots: Bounded[tuple[bytes, int, int, int, str], bool] = Bounded(roots_max)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown()

    def check(self, orders: Sequence[SignedOrder], signers: Sequence[str]) -> list[bool]:
        """For each order, whether the signer beside it (an address, lower-case) signed it."""
        claims = list(zip(orders, signers, strict=True))
        if self._pool is None or len(claims) < 2 * CHUNK_MIN:
            return self._check(claims)
        size = max(CHUNK_MIN, -(-len(claims) // self._threads))  # division: rounded up
        chunks = [claims[i : i + size] for i in range(0, len(claims), size)]
        return [answer for part in self._pool.map(self._check, chunks) for answer in part]

    def check_bulk(self, signed: BulkOrders, signer: str) -> bool:
        """Whether the signer signed all of these orders."""
        signature = ffi.new("secp256k1_ecdsa_signature *")
        return self._root(signature, signed.root, signed.height, signed.r, signed.vs, signer)

    def _check(self, claims: Sequence[tuple[SignedOrder, str]]) -> list[bool]:
        """One thread's share; the signature object is its own."""
        signature = ffi.new("secp256k1_ecdsa_signature *")
        separator, signed_by, digest_of = self._separator, self._signed_by, eip712.order_digest
        return [
            signed_by(signature, digest_of(separator, signed.order), signed.r, signed.vs, signer)
            if signed.bulk is None
            else self._in_tree(signature, signed.order, signed.bulk, signer)
            for signed, signer in claims
        ]

    def _in_tree(self, signature: Any, order: Order, share: BulkSignature, signer: str) -> bool:
        height = len(share.siblings)
        if not 1 <= height <= HEIGHT_MAX:
            return False
        return self._root(signature, share.root(order), height, share.r, share.vs, signer)

    def _root(self, signature: Any, root: bytes, height: int, r: int, vs: int, signer: str) -> bool:
        """Whether the signer signed the root: asked once, then remembered if so."""
        claim = root, height, r, vs, signer
        if self._roots.get(claim):
            return True
        digest = bulk.root_digest(self._separator, root, height)
        valid = self._signed_by(signature, digest, r, vs, signer)
        if valid:
            self._roots.put(claim, True)
        return valid

    def _signed_by(self, signature: Any, digest: bytes, r: int, vs: int, signer: str) -> bool:
        """Whether (r, s) with either parity is the signer's signature of the digest."""
        if not (0 < r < eip712.CURVE_ORDER and 0 < vs <= VS_MAX):
            return False
        key = self._keys.get(signer)
        if key is None or r < SMALL_R:
            return self._recovers_to(digest, r, vs, signer)
        packed = r.to_bytes(32, "big") + (vs & eip712.S_MASK).to_bytes(32, "big")
        # s of the group's order or more does not parse, and above its half does not verify
        return bool(
            lib.secp256k1_ecdsa_signature_parse_compact(ctx, signature, packed)
            and lib.secp256k1_ecdsa_verify(ctx, signature, digest, key)
        )

    def _recovers_to(self, digest: bytes, r: int, vs: int, signer: str) -> bool:
        """The same by recovery, which also finds the signer's key."""
        vs_right = eip712.canonical(digest, r, vs, signer)
        if vs_right is None:
            return False
        self._keys.put(signer, _public_key(digest, r, vs_right))
        return True


def _public_key(digest: bytes, r: int, vs: int) -> Any:
    """The key behind a signature that is known to recover."""
    packed = r.to_bytes(32, "big") + (vs & eip712.S_MASK).to_bytes(32, "big")
    signature = ffi.new("secp256k1_ecdsa_recoverable_signature *")
    key = ffi.new("secp256k1_pubkey *")
    found = lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
        ctx, signature, packed, vs >> 255
    ) and lib.secp256k1_ecdsa_recover(ctx, key, signature, digest)
    assert found == 1, "coincurve has just recovered it"
    return key
