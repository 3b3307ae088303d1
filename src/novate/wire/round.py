"""Oracle rounds and observations as signed messages: EIP-712 digests, compact signatures, calldata.

Owns: the typed-data shapes ``Round`` and ``Observation`` of the domain ("Novate Oracle", "1"). A
signature is (r, yParityAndS) as in EIP-2098 with s in the lower half of the order. Source:
docs/SPEC.md §3. Twin: ``contracts/Oracle.vy``.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coincurve import PrivateKey

from novate.model.oracle import NodeSignature
from novate.wire.eip712 import DOMAIN_TYPE_HASH, address_of, keccak, recover, sign
from novate.wire.records import OracleRound, big

__all__ = [
    "PostRoundArguments",
    "Signature",
    "SignedRound",
    "address_of",
    "domain_separator",
    "observation_digest",
    "recover",
    "round_digest",
    "sign",
    "signed_round",
]

DOMAIN_NAME = "Novate Oracle"
DOMAIN_VERSION = "1"
FIELDS = "(uint64 round,uint64 timestamp,uint256[] observations)"
ROUND_TYPE_HASH = keccak(f"Round{FIELDS}".encode())
OBSERVATION_TYPE_HASH = keccak(f"Observation{FIELDS}".encode())

Signature = tuple[int, int]
PostRoundArguments = tuple[int, int, list[int], int, list[list[int]]]


def _word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def domain_separator(chain_id: int, oracle: str) -> bytes:
    """EIP-712 domain separator of one oracle contract on one chain."""
    parts = (
        DOMAIN_TYPE_HASH,
        keccak(DOMAIN_NAME.encode()),
        keccak(DOMAIN_VERSION.encode()),
        _word(chain_id),
        _word(int(oracle, 16)),
    )
    return keccak(b"".join(parts))


def _digest(
    type_hash: bytes, domain: bytes, round: int, timestamp: int, observations: Sequence[int]
) -> bytes:
    assert 0 <= round < 2**64 and 0 <= timestamp < 2**64
    words = keccak(b"".join(_word(word) for word in observations))
    struct = keccak(type_hash + _word(round) + _word(timestamp) + words)
    return keccak(b"\x19\x01" + domain + struct)


def round_digest(domain: bytes, round: int, timestamp: int, observations: Sequence[int]) -> bytes:
    """What the quorum signs: one vector a round."""
    return _digest(ROUND_TYPE_HASH, domain, round, timestamp, observations)


def observation_digest(
    domain: bytes, round: int, timestamp: int, observations: Sequence[int]
) -> bytes:
    """What one node signs for itself, so that the round's leader cannot invent it."""
    return _digest(OBSERVATION_TYPE_HASH, domain, round, timestamp, observations)


@dataclass(frozen=True, slots=True)
class SignedRound:
    """One vector with its quorum's signatures: (node index, signature), indices ascending."""

    round: int
    timestamp: int
    observations: tuple[int, ...]
    signatures: tuple[tuple[int, Signature], ...]

    def arguments(self) -> PostRoundArguments:
        """Arguments of ``Oracle.post_round``."""
        nodes = sum(index << 8 * place for place, (index, _) in enumerate(self.signatures))
        compact = [list(signature) for _, signature in self.signatures]
        return self.round, self.timestamp, list(self.observations), nodes, compact

    def record(self) -> OracleRound:
        """The round as the journal has it."""
        number, timestamp, words, nodes, signatures = self.arguments()
        compact = [r.to_bytes(32, "big") + vs.to_bytes(32, "big") for r, vs in signatures]
        return OracleRound(number, timestamp, list(map(big, words)), big(nodes), compact)

    def signers(self, domain: bytes) -> list[NodeSignature]:
        """Who each signature recovers to: what ``model.oracle.post_round`` judges."""
        digest = round_digest(domain, self.round, self.timestamp, self.observations)
        return [NodeSignature(index, recover(digest, *item)) for index, item in self.signatures]


def signed_round(
    domain: bytes,
    round: int,
    timestamp: int,
    observations: Sequence[int],
    keys: Iterable[tuple[int, PrivateKey]],
) -> SignedRound:
    """Sign one vector with the given (node index, key) pairs, in the order given."""
    digest = round_digest(domain, round, timestamp, observations)
    made = tuple((index, sign(key, digest)) for index, key in keys)
    return SignedRound(round, timestamp, tuple(observations), made)
