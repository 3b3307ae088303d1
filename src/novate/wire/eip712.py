"""EIP-712 digests of orders, matches and cancels, packed by one type table; EIP-2098 signatures.

All members are static words, so a struct hash is the Keccak-256 of the type hash and 32-byte words
side by side: one packing a type, made from the table. A cancel and the consent to a block
(``wire/block.py``) are messages to the venue and no contract's. Twins: ``contracts/order.vy``,
``contracts/lib/signature.vy``; the tests compare with ``eth_account``. Who signed:
``wire/ecrecover.py``.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from struct import Struct
from typing import Any

import sha3
from coincurve import PrivateKey, PublicKey

from novate.model.order import Order
from novate.wire.ecrecover import CURVE_ORDER, HALF_ORDER, S_MASK, recover

__all__ = [
    "CANCEL_SCOPES",
    "CURVE_ORDER",
    "DOMAIN_TYPE_HASH",
    "HALF_ORDER",
    "NAME",
    "S_MASK",
    "TYPES",
    "VERSION",
    "Cancel",
    "Domain",
    "Match",
    "address_of",
    "cancel_digest",
    "envelope",
    "fields",
    "keccak",
    "match_digest",
    "order_digest",
    "order_hash",
    "order_members",
    "packing",
    "recover",
    "sign",
    "type_of",
    "typed",
    "typed_data",
]

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
    "Cancel": (
        ("bytes32", "account"),
        ("uint8", "scope"),
        ("uint64", "value"),
        ("uint40", "expiry"),
    ),
    "Block": (
        ("bytes32", "account"),
        ("bytes32", "rfq"),
        ("bytes32", "orders"),
        ("bytes32", "counter"),
        ("uint40", "expiry"),
    ),
}
# how a member goes into its word: 32 bytes, or a big-endian integer behind zeros
_PACKED = {
    "bytes32": "32s",
    "uint256": "32s",
    "int256": "32s",
    "uint64": "24xQ",
    "uint40": "24xQ",
    "uint16": "30xH",
    "uint8": "31xB",
    "address": "12x20s",
}
CANCEL_SCOPES = ("nonce", "below", "instrument", "all")
NAME = "Novate Exchange"
VERSION = "1"


_hash = sha3.keccak_256


def keccak(data: bytes) -> bytes:
    """Keccak-256."""
    return bytes(_hash(data).digest())


def type_of(name: str) -> str:
    """A type's signature, as EIP-712 encodes it."""
    return f"{name}({','.join(f'{kind} {member}' for kind, member in TYPES[name])})"


def packing(name: str) -> Struct:
    """How a type's hash and its members lie side by side."""
    return Struct(">32s" + "".join(_PACKED[kind] for kind, _ in TYPES[name]))


DOMAIN_TYPE_HASH = keccak(type_of("EIP712Domain").encode())
ORDER_TYPE_HASH = keccak(type_of("Order").encode())
MATCH_TYPE_HASH = keccak(type_of("Match").encode())
CANCEL_TYPE_HASH = keccak(type_of("Cancel").encode())
_pack_order = packing("Order").pack
_pack_match = packing("Match").pack
_pack_cancel = packing("Cancel").pack


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
class Cancel:
    """A signed wish to stop orders: the scope (of ``CANCEL_SCOPES``), its value, and the second
    after which it is void."""

    account: int
    scope: str
    value: int
    expiry: int


@dataclass(frozen=True, slots=True)
class Domain:
    """Where signatures count: one chain, one Exchange."""

    chain_id: int
    contract: str

    def separator(self) -> bytes:
        """The EIP-712 domain separator."""
        words = keccak(NAME.encode()) + keccak(VERSION.encode()) + self.chain_id.to_bytes(32, "big")
        return keccak(DOMAIN_TYPE_HASH + words + int(self.contract, 16).to_bytes(32, "big"))


@lru_cache(4_096)
def address_bytes(address: str) -> bytes:
    """The twenty bytes of an address."""
    return bytes.fromhex(address[2:])


def order_hash(order: Order) -> bytes:
    """The struct hash of an order, which no domain is part of."""
    packed = _pack_order(
        ORDER_TYPE_HASH,
        order.account.to_bytes(32, "big"),
        order.instrument.to_bytes(32, "big"),
        order.lots.to_bytes(32, "big", signed=True),
        order.price.to_bytes(32, "big"),
        order.max_fee.to_bytes(32, "big"),
        order.nonce,
        order.revision,
        order.expiry,
        order.exclusive_until,
        order.flags,
        address_bytes(order.executor),
    )
    digest: bytes = _hash(packed).digest()
    return digest


def order_digest(separator: bytes, order: Order) -> bytes:
    """What the order's account signs."""
    return typed(separator, order_hash(order))


def match_digest(separator: bytes, match: Match) -> bytes:
    """What the executor signs for a match."""
    packed = _pack_match(
        MATCH_TYPE_HASH,
        match.maker,
        match.taker,
        match.lots,
        match.price.to_bytes(32, "big"),
        match.sequence,
        match.matched_at,
    )
    return typed(separator, keccak(packed))


def cancel_digest(separator: bytes, cancel: Cancel) -> bytes:
    """What an account, or a session key that may cancel, signs for the venue."""
    packed = _pack_cancel(
        CANCEL_TYPE_HASH,
        cancel.account.to_bytes(32, "big"),
        CANCEL_SCOPES.index(cancel.scope),
        cancel.value,
        cancel.expiry,
    )
    return typed(separator, keccak(packed))


def typed(separator: bytes, struct_hash: bytes) -> bytes:
    """The digest of a typed struct under a domain."""
    digest: bytes = _hash(b"\x19\x01" + separator + struct_hash).digest()
    return digest


def order_members(order: Order) -> dict[str, Any]:
    """An order's members by their names in the type table."""
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
    return _named("Order", members)


def typed_data(domain: Domain, order: Order) -> dict[str, Any]:
    """The order as a wallet is asked to sign it (eth_signTypedData_v4)."""
    return envelope(domain, "Order", order_members(order))


def _named(name: str, members: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip((member for _, member in TYPES[name]), members, strict=True))


def envelope(
    domain: Domain, name: str, message: dict[str, Any], types: dict[str, Any] | None = None
) -> dict[str, Any]:
    """A message of the named type under a domain; ``types`` are its own and those it is made of."""
    return {
        "types": {"EIP712Domain": fields("EIP712Domain"), **(types or {name: fields(name)})},
        "primaryType": name,
        "domain": {
            "name": NAME,
            "version": VERSION,
            "chainId": domain.chain_id,
            "verifyingContract": domain.contract,
        },
        "message": message,
    }


def fields(name: str) -> list[dict[str, str]]:
    """A type's members as a wallet reads them."""
    return [{"type": kind, "name": member} for kind, member in TYPES[name]]


def address_of(key: PublicKey) -> str:
    """Lower-case address of a public key."""
    return "0x" + keccak(key.format(compressed=False)[1:])[-20:].hex()


def sign(key: PrivateKey, digest: bytes) -> tuple[int, int]:
    """Compact signature (r, parity of y above s); s is always in the lower half."""
    signature = key.sign_recoverable(digest, hasher=None)
    r, s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:64], "big")
    return r, s | signature[64] << 255
