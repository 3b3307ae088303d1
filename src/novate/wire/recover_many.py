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

from novate.wire.ecrecover import address_of_key, compact_of, valid

Claim = tuple[bytes, int, int]  # digest, r, s with the parity of R's y above it
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


@njit(
    "void(uintp, uint8[:, ::1], uint8[:, ::1], int32[::1], uint8[:, ::1])", nogil=True, cache=True
)
def _recover_all(context, digests, compact, parities, keys):  # type: ignore[no-untyped-def]
    """Write each signer's key, as the library holds it, into its row of ``keys`` (all zeros before,
    and where there is none).
    """
    parsed = np.empty(SIGNATURE_BYTES, np.uint8)
    for i in range(digests.shape[0]):
        signature, key = compact[i].ctypes.data, keys[i].ctypes.data
        if _parse(context, parsed.ctypes.data, signature, parities[i]) != 1:
            continue
        if _recover(context, key, parsed.ctypes.data, digests[i].ctypes.data) != 1:
            keys[i] = 0


def recover_many(claims: Sequence[Claim]) -> list[str | None]:
    """Lower-case address of each signer; None for a malleable or invalid signature."""
    count = len(claims)
    signed = [valid(r, vs) for _, r, vs in claims]
    digests = bytearray().join(digest for digest, _, _ in claims)
    compact = bytearray().join(
        compact_of(r, vs) if fits else NOTHING
        for (_, r, vs), fits in zip(claims, signed, strict=True)
    )
    assert len(digests) == 32 * count, "the library reads 32 bytes"
    keys = np.zeros((count, KEY_BYTES), np.uint8)
    _recover_all(
        _CONTEXT,
        np.frombuffer(digests, np.uint8).reshape(count, 32),
        np.frombuffer(compact, np.uint8).reshape(count, 64),
        np.array(
            [vs >> 255 if fits else 0 for (_, _, vs), fits in zip(claims, signed, strict=True)],
            np.int32,
        ),
        keys,
    )
    held = keys.tobytes()
    found = (held[i : i + KEY_BYTES] for i in range(0, len(held), KEY_BYTES))
    return [None if key == NOTHING else address_of_key(key) for key in found]
