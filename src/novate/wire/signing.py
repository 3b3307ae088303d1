"""Signing and checking orders in bulk and on every core: libsecp256k1, called without the GIL.

Owns: a signer that makes thousands of signatures a second, and a checker that says whether each of
many orders is signed by whom it names. It answers as the chain will, the parity of a compact
signature included, so it recovers the signer of every one: what passes here settles there, and
nobody needs to look at a signature again. Memory is bounded: addresses of keys, and roots of trees
with who signed them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Self

from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from coincurve import PrivateKey

from novate.model.bulk import HEIGHT_MAX
from novate.model.order import Order
from novate.wire import bulk, eip712
from novate.wire.bulk import BulkOrders, BulkSignature
from novate.wire.ecrecover import KEYS_MAX, Bounded, Recovery
from novate.wire.order import SignedOrder

ROOTS_MAX = 16_384
CHUNK_MIN = 16


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
        self._keys: Bounded[bytes, str] = Bounded(keys_max)
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
        recovery = Recovery(self._keys)
        return self._root(recovery, signed.root, signed.height, signed.r, signed.vs, signer)

    def _check(self, claims: Sequence[tuple[SignedOrder, str]]) -> list[bool]:
        """One thread's share; the library's scratch memory is its own."""
        recovery = Recovery(self._keys)
        separator, signed_by, digest_of = self._separator, recovery.address, eip712.order_digest
        return [
            signed_by(digest_of(separator, signed.order), signed.r, signed.vs) == signer
            if signed.bulk is None
            else self._in_tree(recovery, signed.order, signed.bulk, signer)
            for signed, signer in claims
        ]

    def _in_tree(self, recovery: Recovery, order: Order, share: BulkSignature, signer: str) -> bool:
        height = len(share.siblings)
        if not 1 <= height <= HEIGHT_MAX:
            return False
        return self._root(recovery, share.root(order), height, share.r, share.vs, signer)

    def _root(
        self, recovery: Recovery, root: bytes, height: int, r: int, vs: int, signer: str
    ) -> bool:
        """Whether the signer signed the root: asked once, then remembered if so."""
        claim = root, height, r, vs, signer
        if self._roots.get(claim):
            return True
        digest = bulk.root_digest(self._separator, root, height)
        valid = recovery.address(digest, r, vs) == signer
        if valid:
            self._roots.put(claim, True)
        return valid
