"""EIP-712 digests of orders and matches, packed by hand from one type table; EIP-2098 signatures.

All members are static words, so a struct hash is the Keccak-256 of the type hash and 32-byte
integers side by side. Twins: ``contracts/order.vy``, ``contracts/lib/signature.vy``; the tests
compare with ``eth_account``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import sha3
from coincurve import PrivateKey, PublicKey

from novate.model.order import Order

TYPES: dict[str, tuple[tuple[str, str], ...]] = {
    "EIP712Domain": (
        ("string", "name"),
        ("string", "version"),
        ("uint256", "chainId"),
        ("address", "verifyingContract"),
    ),
    "Order": (
        ("bytes32", "account"),
        ("uint256", "instrument"),
        ("int256", "lots"),
        ("uint256", "price"),
        ("uint256", "maxFee"),
        ("uint64", "nonce"),
        ("uint16", "revision"),
        ("uint40", "expiry"),
        ("uint40", "exclusiveUntil"),
        ("uint8", "flags"),
        ("address", "executor"),
    ),
    "Match": (
        ("bytes32", "maker"),
        ("bytes32", "taker"),
        ("uint64", "lots"),
        ("uint256", "price"),
        ("uint64", "sequence"),
        ("uint40", "matchedAt"),
    ),
}
NAME = "Novate Exchange"
VERSION = "1"
CURVE_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
HALF_ORDER = CURVE_ORDER // 2  # division: constant, rounded down
WORD = 1 << 256
S_MASK = (1 << 255) - 1


def keccak(data: bytes) -> bytes:
    """Keccak-256."""
    return bytes(sha3.keccak_256(data).digest())


def type_hash(name: str) -> bytes:
    """Hash of a type's signature."""
    members = ",".join(f"{kind} {member}" for kind, member in TYPES[name])
    return keccak(f"{name}({members})".encode())


DOMAIN_TYPE_HASH = type_hash("EIP712Domain")
ORDER_TYPE_HASH = type_hash("Order")
MATCH_TYPE_HASH = type_hash("Match")


@dataclass(frozen=True, slots=True)
class Match:
    """An executor's receipt: two order digests, lots, price in wad, sequence, match second."""

    maker: bytes
    taker: bytes
    lots: int
    price: int
    sequence: int
    matched_at: int


@dataclass(frozen=True, slots=True)
class Domain:
    """Where signatures count: one chain, one Exchange."""

    chain_id: int
    contract: str

    def separator(self) -> bytes:
        """The EIP-712 domain separator."""
        words = keccak(NAME.encode()) + keccak(VERSION.encode()) + self.chain_id.to_bytes(32, "big")
        return keccak(DOMAIN_TYPE_HASH + words + int(self.contract, 16).to_bytes(32, "big"))


def order_digest(separator: bytes, order: Order) -> bytes:
    """What the order's account signs."""
    words = (
        order.account,
        order.instrument,
        order.lots % WORD,
        order.price,
        order.max_fee,
        order.nonce,
        order.revision,
        order.expiry,
        order.exclusive_until,
        order.flags,
        int(order.executor, 16),
    )
    return _typed(separator, ORDER_TYPE_HASH + b"".join([w.to_bytes(32, "big") for w in words]))


def match_digest(separator: bytes, match: Match) -> bytes:
    """What the executor signs for a match."""
    words = (match.lots, match.price, match.sequence, match.matched_at)
    packed = b"".join([w.to_bytes(32, "big") for w in words])
    return _typed(separator, MATCH_TYPE_HASH + match.maker + match.taker + packed)


def _typed(separator: bytes, struct: bytes) -> bytes:
    return keccak(b"\x19\x01" + separator + keccak(struct))


def typed_data(domain: Domain, order: Order) -> dict[str, Any]:
    """The order as a wallet is asked to sign it (eth_signTypedData_v4)."""
    members = (
        order.account.to_bytes(32, "big"),
        order.instrument,
        order.lots,
        order.price,
        order.max_fee,
        order.nonce,
        order.revision,
        order.expiry,
        order.exclusive_until,
        order.flags,
        order.executor,
    )
    return _envelope(domain, "Order", members)


def typed_match(domain: Domain, match: Match) -> dict[str, Any]:
    """The match as an executor's wallet is asked to sign it."""
    members = (match.maker, match.taker, match.lots, match.price, match.sequence, match.matched_at)
    return _envelope(domain, "Match", members)


def _envelope(domain: Domain, name: str, members: tuple[Any, ...]) -> dict[str, Any]:
    return {
        "types": {n: [{"type": t, "name": m} for t, m in TYPES[n]] for n in ("EIP712Domain", name)},
        "primaryType": name,
        "domain": {
            "name": NAME,
            "version": VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": dict(zip((member for _, member in TYPES[name]), members, strict=True)),
    }


def address_of(key: PublicKey) -> str:
    """Lower-case address of a public key."""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def sign(key: PrivateKey, digest: bytes) -> tuple[int, int]:
    """Compact signature (r, parity of y above s); s is always in the lower half."""
    signature = key.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return r, s | signature[64] << 255


def recover(digest: bytes, r: int, parity_and_s: int) -> str | None:
    """Address that signed the digest; None for a malleable or invalid signature."""
    s = parity_and_s & S_MASK
    if s > HALF_ORDER:
        return None
    packed = r.to_bytes(32, "big") + s.to_bytes(32, "big") + bytes([parity_and_s >> 255])
    try:
        return address_of(PublicKey.from_signature_and_message(packed, digest, hasher=None))
    except ValueError:
        return None
    except Exception as error:  # coincurve raises a bare Exception when no point recovers
        if type(error) is not Exception:
            raise
        return None
