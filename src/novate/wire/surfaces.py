"""Volatility surfaces and settlement prints as signed messages: digests, signatures, calldata.

Owns: the typed data ``Surfaces`` and ``Settlement`` of the domain ("Novate Surfaces", "1"). A
signature is (r, yParityAndS) as in EIP-2098 with s in the lower half of the order. Source:
docs/SPEC.md §13. Twin: ``contracts/Surfaces.vy``.
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
SETTLEMENT_TYPE_HASH = keccak(b"Settlement(uint256 underlying,uint256 expiry,uint256 price)")

Signature = tuple[int, int]
PostSurfacesArguments = tuple[int, int, int, list[int], int, list[list[int]]]
PostSettlementArguments = tuple[int, int, int, int, list[list[int]]]


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


def settlement_digest(domain: bytes, underlying: int, expiry: int, price: int) -> bytes:
    """What the quorum signs once an underlying and expiry; the price in oracle units."""
    members = _word(underlying) + _word(expiry) + _word(price)
    return keccak(b"\x19\x01" + domain + keccak(SETTLEMENT_TYPE_HASH + members))


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
        place = self.round, self.timestamp, self.underlying
        return *place, list(self.words), *_calldata(self.signatures)

    def digest(self, domain: bytes) -> bytes:
        """What its nodes signed."""
        return surfaces_digest(domain, self.round, self.timestamp, self.underlying, self.words)

    def signers(self, domain: bytes) -> list[NodeSignature]:
        """Who each signature recovers to: what ``model.surfaces.post_surfaces`` judges."""
        return _signers(self.digest(domain), self.signatures)


@dataclass(frozen=True, slots=True)
class SignedSettlement:
    """What an expiry settles at (oracle units) with its quorum's signatures, indices ascending."""

    underlying: int
    expiry: int
    price: int
    signatures: tuple[tuple[int, Signature], ...]

    def arguments(self) -> PostSettlementArguments:
        """Arguments of ``Surfaces.post_settlement``."""
        return self.underlying, self.expiry, self.price, *_calldata(self.signatures)

    def signers(self, domain: bytes) -> list[NodeSignature]:
        """Who each signature recovers to: what ``settlement_prints.post_settlement`` judges."""
        digest = settlement_digest(domain, self.underlying, self.expiry, self.price)
        return _signers(digest, self.signatures)


def _calldata(signatures: Sequence[tuple[int, Signature]]) -> tuple[int, list[list[int]]]:
    """Node indices, one byte each, and signatures as the contract takes them."""
    nodes = sum(index << 8 * place for place, (index, _) in enumerate(signatures))
    return nodes, [list(signature) for _, signature in signatures]


def _signers(digest: bytes, signatures: Sequence[tuple[int, Signature]]) -> list[NodeSignature]:
    return [NodeSignature(index, recover(digest, *item)) for index, item in signatures]


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


def signed_settlement(
    domain: bytes,
    underlying: int,
    expiry: int,
    price: int,
    keys: Iterable[tuple[int, PrivateKey]],
) -> SignedSettlement:
    """Sign one print with the given (node index, key) pairs, in the order given."""
    digest = settlement_digest(domain, underlying, expiry, price)
    made = tuple((index, sign(key, digest)) for index, key in keys)
    return SignedSettlement(underlying, expiry, price, made)
