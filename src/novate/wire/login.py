"""Login: what an account's owner or session key signs to open a session with a venue's API.

EIP-712 in the Exchange's own domain, so that a login counts at one venue only; a timestamp (unix
milliseconds) and a nonce of the client's make each one a single use within the venue's window.
"""

from __future__ import annotations

from novate.wire.eip712 import keccak

LOGIN_TYPE = "Login(bytes32 account,uint64 timestamp,uint256 nonce,string scope)"
_TYPE_HASH = keccak(LOGIN_TYPE.encode())


def login_digest(separator: bytes, account: int, timestamp: int, nonce: int, scope: str) -> bytes:
    """What is signed; ``scope`` as it is sent, e.g. "read trade"."""
    words = account.to_bytes(32, "big") + timestamp.to_bytes(32, "big") + nonce.to_bytes(32, "big")
    return keccak(b"\x19\x01" + separator + keccak(_TYPE_HASH + words + keccak(scope.encode())))
