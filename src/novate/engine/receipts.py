"""Receipts: the executor's signature over each match, made beside the fold.

Owns: what a receipt signs. It follows from the match's record and the executor's key alone (the
nonce is RFC 6979's), so the fold of a journal needs none: the engine tells its matches without, and
whoever writes them into a journal has many signed at once, in one call that holds no GIL. A replay
or a standby makes one only for what a killed writer still owed, and it is the same byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterable

from coincurve import PrivateKey
from msgspec.structs import replace

from novate.wire import eip712
from novate.wire.eip712 import Match
from novate.wire.records import AnyRecord, Matched
from novate.wire.sign_many import sign_many

UNSEALED = b""  # no journal holds such a receipt: reading refuses it


def digest_of(separator: bytes, matched: Matched) -> bytes:
    """What the receipt of a match signs."""
    match = Match(
        matched.maker,
        matched.taker,
        matched.lots,
        int(matched.price),
        matched.sequence,
        matched.matched_at,
    )
    return eip712.match_digest(separator, match)


class Receipts:
    """Those of one executor of one venue; may be asked by any thread."""

    def __init__(self, key: PrivateKey, separator: bytes) -> None:
        self._key = key
        self._separator = separator

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        """The same events, each match with its receipt."""
        made = list(events)
        found = [(n, e) for n, e in enumerate(made) if type(e) is Matched and not e.receipt]
        if not found:
            return made
        digests = [digest_of(self._separator, matched) for _, matched in found]
        for (number, matched), receipt in zip(found, sign_many(self._key, digests), strict=True):
            made[number] = replace(matched, receipt=receipt)
        return made
