"""What fields of journal records are: bytes, numbers and texts with their bounds.

Owns: the types that ``records.py`` is written in. A number beyond 64 bits is a decimal string.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from novate.errors import MalformedOrder, require
from novate.limits import SIGNATURE_BLOB_BYTES_MAX

# Sign and digits of the least 256-bit number.
BIG_CHARACTERS_MAX = 79

Account = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Digest = Annotated[bytes, msgspec.Meta(min_length=32, max_length=32)]
Address = Annotated[bytes, msgspec.Meta(min_length=20, max_length=20)]
Signature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=SIGNATURE_BLOB_BYTES_MAX)]
CompactSignature = Annotated[bytes, msgspec.Meta(min_length=64, max_length=64)]
Big = Annotated[str, msgspec.Meta(min_length=1, max_length=BIG_CHARACTERS_MAX)]
Unsigned = Annotated[int, msgspec.Meta(ge=0)]
Name = Annotated[str, msgspec.Meta(max_length=64)]


class Base(
    msgspec.Struct, frozen=True, array_like=True, tag=True, gc=False, forbid_unknown_fields=True
):
    """Base of all records; the tag is the class's name."""


class Order(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """The signed order: fields and order of the EIP-712 type (docs/SPEC.md §6)."""

    account: Account
    instrument: Unsigned
    lots: int
    price: Big
    max_fee: Big
    nonce: Unsigned
    revision: Unsigned
    expiry: Unsigned
    exclusive_until: Unsigned
    flags: Unsigned
    executor: Address


class RoutedCall(
    msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True
):
    """A call by which somebody else's contract entered one of ours; ``events`` of its
    transaction's, from ``first_event`` on, are the call's.
    """

    sender: Address
    contract: Address
    calldata: bytes
    gas_used: Unsigned
    first_event: Unsigned
    events: Unsigned


def big(value: int) -> str:
    """A number of any size as its canonical decimal string."""
    return str(value)


def number(text: str) -> int:
    """The number behind ``big``. Errors: ``MalformedOrder`` unless canonical (no sign +, no 01)."""
    require(len(text) <= BIG_CHARACTERS_MAX, MalformedOrder, "too long a number")
    try:
        value = int(text)
    except ValueError:
        value = -1
    require(str(value) == text, MalformedOrder, "not a canonical decimal number")
    return value


class Quote(msgspec.Struct, frozen=True, array_like=True, gc=False, forbid_unknown_fields=True):
    """A signed post-only order of a mass quote; it takes the place of the open quote of its
    account, instrument, side and ``quote_set``.
    """

    digest: Digest
    order: Order
    signature: Signature
    quote_set: Name = ""
