"""What a chain answers, as typed rows: blocks, logs, receipts; and what a transaction offers.

Addresses are lower-case 0x strings, hashes 32 raw bytes, amounts wei, time seconds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

COUNTED_MAX = 2**63 - 1
_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,64}")


@dataclass(frozen=True, slots=True)
class Fees:
    """What a transaction offers for a unit of gas, in wei."""

    maximum: int = 0
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Block:
    """A block's header."""

    number: int
    hash: bytes
    timestamp: int
    gas_used: int
    gas_limit: int
    base_fee: int = 0


@dataclass(frozen=True, slots=True)
class Log:
    """A raw log and its place."""

    block: int
    index: int
    transaction: bytes
    address: str
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a transaction."""

    transaction: bytes
    block: int
    succeeded: bool
    gas_used: int
    contract: str | None
    logs: tuple[Log, ...]


def integer(text: str) -> int:
    """A number in hexadecimal, of 256 bits at most. Raises ``ValueError``, also for what is no text
    (anybody may run the node).
    """
    if not isinstance(text, str) or not _NUMBER.fullmatch(text):
        raise ValueError(f"no number: {repr(text)[:80]}")
    return int(text, 16)


def counted(text: str) -> int:
    """A number that a record can hold: a count, a height, a second. Raises ``ValueError``."""
    found = integer(text)
    if found > COUNTED_MAX:
        raise ValueError(f"{text[:80]} is too many")
    return found


def raw_bytes(text: str) -> bytes:
    """Bytes behind a 0x text. Raises ``ValueError``, also for what is no text."""
    if not isinstance(text, str) or not text.startswith("0x"):
        raise ValueError(f"no bytes: {repr(text)[:80]}")
    return bytes.fromhex(text[2:])


def hexed(data: bytes) -> str:
    """Bytes as a 0x text."""
    return "0x" + data.hex()


def log_of(row: dict[str, Any]) -> Log:
    """A log behind its JSON."""
    return Log(
        block=integer(row["blockNumber"]),
        index=integer(row["logIndex"]),
        transaction=raw_bytes(row["transactionHash"]),
        address=row["address"].lower(),
        topics=tuple(raw_bytes(topic) for topic in row["topics"]),
        data=raw_bytes(row["data"]),
    )


def receipt_of(row: dict[str, Any]) -> Receipt:
    """A receipt behind its JSON."""
    contract = row.get("contractAddress")
    return Receipt(
        transaction=raw_bytes(row["transactionHash"]),
        block=integer(row["blockNumber"]),
        succeeded=integer(row["status"]) == 1,
        gas_used=integer(row["gasUsed"]),
        contract=contract.lower() if contract else None,
        logs=tuple(log_of(log) for log in row["logs"]),
    )
