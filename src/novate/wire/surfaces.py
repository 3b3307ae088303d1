"""Volatility surfaces as signed messages: EIP-712 digests, compact signatures, calldata.

Owns: the typed-data shape ``Surfaces`` of the domain ("Novate Surfaces", "1"). A signature is (r,
yParityAndS) as in EIP-2098 with s in the lower half of the order. Source: docs/SPEC.md §13. Twin:
``contracts/Surfaces.vy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coincurve import PrivateKey

from novate.model.oracle import NodeSignature
from novate.wire.eip712 import DOMAIN_TYPE_HASH, keccak, recover, sign

DOMAIN_NAME = "Novate Surfaces"
DOMAIN_VERSION = "1"
SURFACES_TYPE_HASH = keccak(
    b"Surfaces(uint64 round,uint64 timestamp,uint256 underlying,uint256[] words)"
)

Signature = tuple[int, int]
PostSurfacesArguments = tuple[int, int, int, list[int], int, list[list[int]]]


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def domain_separator(chain_id: int, surfaces: str) -> bytes:
    """EIP-712 domain separator of one Surfaces contract on one chain."""
    parts = (
        DOMAIN_TYPE_HASH,
        keccak(DOMAIN_NAME.encode()),
        keccak(DOMAIN_VERSION.encode()),
        _word(chain_id),
        _word(int(surfaces, 16)),
    )
    return keccak(b"".join(parts))


def surfaces_digest(
    domain: bytes, round: int, timestamp: int, underlying: int, words: Sequence[int]
) -> bytes:
    """What the quorum signs: one surface an underlying and round."""
    assert 0 <= round < 2**64 and 0 <= timestamp < 2**64
    joined = keccak(b"".join(_word(word) for word in words))
    members = _word(round) + _word(timestamp) + _word(underlying) + joined
    return keccak(b"\x19\x01" + domain + keccak(SURFACES_TYPE_HASH + members))


@dataclass(frozen=True, slots=True)
class SignedSurfaces:
    """One surface with its quorum's signatures: (node index, signature), indices ascending."""

    round: int
    timestamp: int
    underlying: int
    words: tuple[int, ...]
    signatures: tuple[tuple[int, Signature], ...]

    def arguments(self) -> PostSurfacesArguments:
        """Arguments of ``Surfaces.post_surfaces``."""
        nodes = sum(index << 8 * place for place, (index, _) in enumerate(self.signatures))
        compact = [list(signature) for _, signature in self.signatures]
        return self.round, self.timestamp, self.underlying, list(self.words), nodes, compact

    def digest(self, domain: bytes) -> bytes:
        """What its nodes signed."""
        return surfaces_digest(domain, self.round, self.timestamp, self.underlying, self.words)

    def signers(self, domain: bytes) -> list[NodeSignature]:
        """Who each signature recovers to: what ``model.surfaces.post_surfaces`` judges."""
        digest = self.digest(domain)
        return [NodeSignature(index, recover(digest, *item)) for index, item in self.signatures]


def signed_surfaces(
    domain: bytes,
    round: int,
    timestamp: int,
    underlying: int,
    words: Sequence[int],
    keys: Iterable[tuple[int, PrivateKey]],
) -> SignedSurfaces:
    """Sign one surface with the given (node index, key) pairs, in the order given."""
    digest = surfaces_digest(domain, round, timestamp, underlying, words)
    made = tuple((index, sign(key, digest)) for index, key in keys)
    return SignedSurfaces(round, timestamp, underlying, tuple(words), made)
