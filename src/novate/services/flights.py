"""Transactions on their way: what the settler knows about each nonce, its bounds and its patience;
and the order of what waits to be sent.

Times in milliseconds, of the caller's clock.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from novate.services.fees import FeePolicy
from novate.wire.eip712 import keccak
from novate.wire.records import (
    AnyRecord,
    BatchClosed,
    BatchDue,
    BatchSubmitted,
    ChainTransaction,
    Matched,
    OracleRound,
)

DELAY_MS_MAX = 50
SETTLED = keccak(b"BatchSettled(address,uint256,uint256,uint256)")


@dataclass(frozen=True, slots=True)
class SettlerOptions:
    """Bounds and patience: transactions in flight, when one is asked about and when replaced.

    ``stale_after_s`` is the oracle's: a round that is older settles nothing.
    """

    in_flight_max: int = 256
    ask_after_ms: int = 2_000
    stuck_after_ms: int = 15_000
    stale_after_s: int = 60
    fees: FeePolicy = field(default_factory=FeePolicy)


@dataclass(slots=True)
class Flight:
    """One nonce: what it carries, each attempt at it, the block that holds one of them, and which
    sequences that has settled.
    """

    nonce: int
    first: BatchSubmitted
    attempts: list[BatchSubmitted]
    asked_ms: int = 0
    sent: bool = False
    block: int | None = None
    settled: frozenset[int] = frozenset()

    @property
    def last(self) -> BatchSubmitted:
        """The newest attempt."""
        return self.attempts[-1]

    def leave(self, first_block: int) -> bool:
        """Blocks from ``first_block`` on have left the chain: whether its own has."""
        if self.block is None or self.block < first_block:
            return False
        self.block, self.sent, self.settled = None, False, frozenset()
        return True


class BatchTimer:
    """Closes a batch by time: the oldest match in the open batch waits ``delay_ms`` at most.

    By size the sequencer closes it (``Settings.fills_per_batch``).
    """

    def __init__(self, delay_ms: int = DELAY_MS_MAX) -> None:
        self.delay_ms = delay_ms
        self._open = 0
        self._since_ms: int | None = None

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        if isinstance(record, Matched):
            self._open = record.sequence + 1
        elif isinstance(record, BatchClosed) and (
            self._open <= record.first_sequence + record.count
        ):
            self._open, self._since_ms = 0, None

    def due(self, now_ms: int) -> list[BatchDue]:
        """The command that closes the open batch, once it has waited."""
        if not self._open:
            return []
        if self._since_ms is None:
            self._since_ms = now_ms
        if now_ms - self._since_ms < self.delay_ms:
            return []
        self._since_ms = now_ms
        return [BatchDue(now_ms)]


def span_of(batch: BatchSubmitted | BatchClosed) -> range:
    """The sequences of a batch."""
    return range(batch.first_sequence, batch.first_sequence + batch.count)


def settled_by(record: ChainTransaction) -> frozenset[int]:
    """The sequences that a transaction to the Exchange has settled, as its own log says."""
    found: set[int] = set()
    for address, topics, data in record.events:
        if address == record.contract and topics[:1] == [SETTLED] and len(data) == 96:
            first, _, bitmap = (int.from_bytes(data[i : i + 32], "big") for i in (0, 32, 64))
            found |= {first + place for place in range(256) if bitmap >> place & 1}
    return frozenset(found)


def load_of(record: BatchSubmitted) -> tuple[int, int, int]:
    """What a transaction is for: a batch, or only a round."""
    return record.first_sequence, record.count, 0 if record.count else record.oracle_round


def carries(record: BatchSubmitted, item: OracleRound | BatchClosed) -> bool:
    """Whether a transaction is for an item of the queue."""
    if isinstance(item, OracleRound):
        return record.carries_round and item.round == record.oracle_round
    return (item.first_sequence, item.count) == (record.first_sequence, record.count)


def queued(
    waiting: Sequence[OracleRound | BatchClosed], item: OracleRound | BatchClosed
) -> list[OracleRound | BatchClosed]:
    """The queue with one more. A batch goes before the rounds that came after those it was judged
    by; a round that comes back goes before all that follows it.
    """
    if isinstance(item, OracleRound):
        later = (place for place, other in enumerate(waiting) if round_of(other) >= item.round)
        place = next(later, len(waiting))
    else:
        place = len(waiting)
        while place:
            before = waiting[place - 1]
            if isinstance(before, BatchClosed) or before.round <= item.oracle_round:
                break
            place -= 1
    return [*waiting[:place], item, *waiting[place:]]


def round_of(item: OracleRound | BatchClosed) -> int:
    """The number of a round, or of that by which a batch was judged."""
    return item.round if isinstance(item, OracleRound) else item.oracle_round


def moved_from(flights: Mapping[int, Flight], record: BatchSubmitted) -> int:
    """The nonce that an attempt under another one takes the place of: the next above it, where a
    nonce was missing, else the lowest, which somebody else has used; -1 if there is none.
    """
    load = load_of(record)
    same = [n for n, f in flights.items() if f.block is None and load_of(f.first) == load]
    return min((n for n in same if n > record.nonce), default=min(same, default=-1))


def is_known(answer: Exception) -> bool:
    """Whether a refusal says that the node has the transaction, or a block had it."""
    text = str(answer).lower()
    return any(part in text for part in ("already known", "already imported", "nonce too low"))
