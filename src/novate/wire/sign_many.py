"""Signatures of one key over many digests, in one call of compiled code that holds no GIL.

Owns: the loop over libsecp256k1's signing, as ``recover_many.py`` has that over its recovery. The
nonce is that of RFC 6979, so a signature follows from key and digest alone; the bytes are those of
``eip712.sign``, which tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from coincurve import PrivateKey
from llvmlite import binding
from numba import njit, types

SIGNATURE_BYTES = int(ffi.sizeof("secp256k1_ecdsa_recoverable_signature"))
PARITY_BIT = 0x80  # of s's first byte, which is free: s is in its lower half

_SIGN = "secp256k1_ecdsa_sign_recoverable"
_SERIALIZE = "secp256k1_ecdsa_recoverable_signature_serialize_compact"
for _name in (_SIGN, _SERIALIZE):
    # the very functions that ``signing.Signer`` calls, by their addresses in this process
    binding.add_symbol(_name, int(ffi.cast("uintptr_t", ffi.addressof(lib, _name))))
_P = types.uintp
_sign: Any = types.ExternalFunction(_SIGN, types.int32(_P, _P, _P, _P, _P, _P))
_serialize: Any = types.ExternalFunction(_SERIALIZE, types.int32(_P, _P, _P, _P))
_CONTEXT = int(ffi.cast("uintptr_t", ctx))


@njit("int64(uintp, uint8[::1], uint8[:, ::1], uint8[:, ::1], int32[::1])", nogil=True, cache=True)
def _sign_all(context, secret, digests, compact, parities):  # type: ignore[no-untyped-def]
    """Write each signature, r and s, into its row of ``compact``, and its parity; how many."""
    signature = np.empty(SIGNATURE_BYTES, np.uint8)
    made, key, null = signature.ctypes.data, secret.ctypes.data, np.uint64(0)
    done = 0
    for i in range(digests.shape[0]):
        if _sign(context, made, digests[i].ctypes.data, key, null, null) != 1:
            break
        done += _serialize(context, compact[i].ctypes.data, parities[i:].ctypes.data, made)
    return done


def sign_many(key: PrivateKey, digests: Sequence[bytes]) -> list[bytes]:
    """For each digest r, then s with the parity in its top bit: 64 bytes."""
    count = len(digests)
    joined = b"".join(digests)
    assert len(joined) == 32 * count, "the library reads 32 bytes"
    compact, parities = np.zeros((count, 64), np.uint8), np.zeros(count, np.int32)
    done = _sign_all(
        _CONTEXT,
        np.frombuffer(bytearray(key.secret), np.uint8),
        np.frombuffer(bytearray(joined), np.uint8).reshape(count, 32),
        compact,
        parities,
    )
    assert done == count, "the key was checked when it was made, and the nonce is RFC 6979's"
    compact[:, 32] |= np.where(parities == 1, PARITY_BIT, 0).astype(np.uint8)
    held = compact.tobytes()
    return [held[i : i + 64] for i in range(0, len(held), 64)]
