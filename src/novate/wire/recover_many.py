"""Who signed each of many digests, in one call of compiled code that holds no GIL.

Owns: the loop over libsecp256k1's recovery. A call into the library for each signature by itself
gives the GIL away and waits for it again every time, and with a busy event loop beside it that
wait is longer than the work. Here a thread waits once for all of them. The answers are those of
``ecrecover.recover``, which tests compare.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from btclib_secp256k1 import ffi, lib
from btclib_secp256k1.context import ctx
from llvmlite import binding
from numba import njit, types

from novate.wire.ecrecover import HALF_ORDER, address_of_key, recover

Claim = tuple[bytes, bytes]  # digest; r, and s with the parity of R's y above it, 32 bytes each
SIGNATURE_BYTES = int(ffi.sizeof("secp256k1_ecdsa_recoverable_signature"))
KEY_BYTES = int(ffi.sizeof("secp256k1_pubkey"))
NOTHING = bytes(KEY_BYTES)

_PARSE = "secp256k1_ecdsa_recoverable_signature_parse_compact"
_RECOVER = "secp256k1_ecdsa_recover"
for _name in (_PARSE, _RECOVER):
    # the very functions that ``ecrecover`` calls, by their addresses in this process
    binding.add_symbol(_name, int(ffi.cast("uintptr_t", ffi.addressof(lib, _name))))
_parse: Any = types.ExternalFunction(
    _PARSE, types.int32(types.uintp, types.uintp, types.uintp, types.int32)
)
_recover: Any = types.ExternalFunction(
    _RECOVER, types.int32(types.uintp, types.uintp, types.uintp, types.uintp)
)
_CONTEXT = int(ffi.cast("uintptr_t", ctx))
_HALF = np.frombuffer(HALF_ORDER.to_bytes(32, "big"), np.uint8)


@njit("boolean(uint8[::1])", nogil=True, cache=True)
def _is_low(signature):  # type: ignore[no-untyped-def]
    """Whether s (behind r) is in the lower half of the group's order."""
    for i in range(32):
        if signature[32 + i] != _HALF[i]:
            return signature[32 + i] < _HALF[i]
    return True


@njit("void(uintp, uint8[:, ::1], uint8[:, ::1], uint8[:, ::1])", nogil=True, cache=True)
def _recover_all(context, digests, compact, keys):  # type: ignore[no-untyped-def]
    """Write each signer's key, as the library holds it, into its row of ``keys`` (all zeros before,
    and where there is none). The parity is taken out of ``compact``. The library refuses r and s
    that are zero or not in the group's order.
    """
    parsed = np.empty(SIGNATURE_BYTES, np.uint8)
    for i in range(digests.shape[0]):
        parity = np.int32(compact[i, 32] >> 7)
        compact[i, 32] &= 127
        if not _is_low(compact[i]):
            continue
        signature, key = compact[i].ctypes.data, keys[i].ctypes.data
        if _parse(context, parsed.ctypes.data, signature, parity) != 1:
            continue
        if _recover(context, key, parsed.ctypes.data, digests[i].ctypes.data) != 1:
            keys[i] = 0


def recover_many(claims: Sequence[Claim]) -> list[str | None]:
    """Lower-case address of each signer; None for a malleable or invalid signature."""
    count = len(claims)
    digests = bytearray().join([digest for digest, _ in claims])
    compact = bytearray().join([signature for _, signature in claims])
    assert len(digests) == 32 * count and len(compact) == 64 * count, "the library reads so many"
    keys = np.zeros((count, KEY_BYTES), np.uint8)
    _recover_all(
        _CONTEXT,
        np.frombuffer(digests, np.uint8).reshape(count, 32),
        np.frombuffer(compact, np.uint8).reshape(count, 64),
        keys,
    )
    held = keys.tobytes()
    found = [held[i : i + KEY_BYTES] for i in range(0, len(held), KEY_BYTES)]
    return [None if key == NOTHING else address_of_key(key) for key in found]


def recover_one(claim: Claim) -> str | None:
    """The same of one."""
    digest, signature = claim
    words = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    return recover(digest, *words)
