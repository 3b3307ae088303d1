"""Who signed a digest: libsecp256k1's recovery, with the answers of the chain's ``ecrecover``.

Owns: what counts as a signature: (r, s with the parity of R's y above it), both in the group's
order, s in its lower half. Only recovery sees the parity: an ECDSA verification with a known key
accepts either, and the chain one. The cost is one multiplication on the curve and a square root;
an address is a hash of the key's bytes, so those of the keys met last are kept (bounded). Called
without the GIL. Twin: ``contracts/lib/signature.vy``.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable
from typing import Generic, TypeVar

import sha3
from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx

CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = CURVE_ORDER // 2  # division: constant, rounded down
S_MASK = (1 << 255) - 1
VS_MAX = (1 << 256) - 1
KEYS_MAX = 65_536
UNCOMPRESSED = 2  # SECP256K1_EC_UNCOMPRESSED

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Bounded(Generic[K, V]):
    """A dictionary that forgets its oldest entry beyond ``entries_max``; shared by threads."""

    def __init__(self, entries_max: int) -> None:
        self._entries_max = entries_max
        self._lock = threading.Lock()
        self._found: dict[K, V] = {}
        self.get = self._found.get  # what was put there, if it is still known

    def __len__(self) -> int:
        return len(self._found)

    def put(self, key: K, value: V) -> None:
        """Remember an entry."""
        with self._lock:
            if key not in self._found and len(self._found) >= self._entries_max:
                del self._found[next(iter(self._found))]
            self._found[key] = value


def valid(r: int, vs: int) -> bool:
    """Whether a compact signature is in its ranges, s in the lower half."""
    return 0 < r < CURVE_ORDER and 0 < vs & S_MASK <= HALF_ORDER and vs <= VS_MAX


def compact_of(r: int, vs: int) -> bytes:
    """r and s side by side, as the library reads them."""
    return r.to_bytes(32, "big") + (vs & S_MASK).to_bytes(32, "big")


class Recovery:
    """The library's scratch memory: not to be shared by threads, as ``known`` may be."""

    def __init__(self, known: Bounded[bytes, str]) -> None:
        self._known = known
        self._signature = ffi.new("secp256k1_ecdsa_recoverable_signature *")
        self._key = ffi.new("secp256k1_pubkey *")
        self._bytes = ffi.buffer(self._key)

    def address(self, digest: bytes, r: int, vs: int) -> str | None:
        """Lower-case address of the signer; None for a malleable or invalid signature."""
        assert len(digest) == 32, "the library reads 32 bytes"
        if not valid(r, vs):
            return None
        signature, key = self._signature, self._key
        if not (
            lib.secp256k1_ecdsa_recoverable_signature_parse_compact(
                ctx, signature, compact_of(r, vs), vs >> 255
            )
            and lib.secp256k1_ecdsa_recover(ctx, key, signature, digest)
        ):
            return None
        return self.address_of(self._bytes[:])

    def address_of(self, key: bytes) -> str:
        """Lower-case address of a key, as the library holds it."""
        found = self._known.get(key)
        if found is None:
            self._bytes[:] = key
            found = self._address()
            self._known.put(key, found)
        return found

    def _address(self) -> str:
        """The address of the key that is in the scratch memory."""
        out, length = ffi.new("unsigned char[65]"), ffi.new("size_t *", 65)
        assert lib.secp256k1_ec_pubkey_serialize(ctx, out, length, self._key, UNCOMPRESSED) == 1
        return "0x" + str(sha3.keccak_256(ffi.buffer(out)[1:]).hexdigest())[-40:]


class _Local(threading.local):
    """Each thread's own recovery, over one memory of keys."""

    known: Bounded[bytes, str] = Bounded(KEYS_MAX)

    def __init__(self) -> None:
        self.recovery = Recovery(self.known)


_local = _Local()


def recover(digest: bytes, r: int, parity_and_s: int) -> str | None:
    """Address that signed the digest; None for a malleable or invalid signature."""
    return _local.recovery.address(digest, r, parity_and_s)


def address_of_key(key: bytes) -> str:
    """Lower-case address of a key, as the library holds it."""
    return _local.recovery.address_of(key)
