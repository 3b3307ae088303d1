"""The journal's oracle rounds, as a settler needs them: what each says, which of them the chain
has, which are worth sending, and which one a batch should bring along.

Owns: how long a round is held. It is while it may still be sent: until the flights that carry it
are forgotten, or it is left out for being stale. The chain has a round once the Oracle has told so,
whoever brought it, until that block leaves the chain. Times in seconds, by the rounds themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from msgspec.structs import replace

from novate.engine.ahead import REORG_BLOCKS_MAX
from novate.services.flights import Flight, round_of
from novate.wire.eip712 import keccak
from novate.wire.records import (
    BatchClosed,
    BatchSubmitted,
    ChainReorganised,
    ChainTransaction,
    OracleRound,
)

Item = OracleRound | BatchClosed
_POSTED = keccak(b"RoundPosted(uint256,uint256,bytes32)")


class Rounds:
    """Rounds by number; ``oracle`` is the contract's address, ``stale_after_s`` its own bound."""

    def __init__(self, oracle: str, stale_after_s: int) -> None:
        self.by_number: dict[int, OracleRound] = {}
        self.stale_after_s = stale_after_s
        self._oracle = bytes.fromhex(oracle[2:])
        self._posted: list[tuple[int, int]] = []  # block and number, both ascending

    @property
    def known(self) -> int:
        """The number up to which the chain takes no round any more."""
        return self._posted[-1][1] if self._posted else 0

    @property
    def _oldest(self) -> int:
        """The second before which a round is stale, by the newest one's time."""
        newest = max((one.timestamp for one in self.by_number.values()), default=0)
        return newest - self.stale_after_s

    def take(self, record: OracleRound) -> bool:
        """Hold a round of the journal; False for one whose number is taken: the engine refuses it,
        and the one that has the number stays what it is.
        """
        if record.round <= self.known or record.round in self.by_number:
            return False
        self.by_number[record.round] = record
        return True

    def follow(self, record: ChainTransaction | ChainReorganised) -> None:
        """Take note of what the chain says."""
        posted = self._posted
        if isinstance(record, ChainReorganised):
            while posted and posted[-1][0] >= record.first_block:
                posted.pop()
            return
        for address, topics, _ in record.events:
            if address == self._oracle and topics[:1] == [_POSTED] and len(topics) == 2:
                posted.append((record.block, int.from_bytes(topics[1], "big")))
        while len(posted) > 1 and posted[1][0] <= record.block - REORG_BLOCKS_MAX:
            del posted[0]

    def fresh(self, waiting: Sequence[Item]) -> tuple[list[Item], set[int]]:
        """The queue as it is worth sending, and the numbers of rounds that are left out. Behind an
        outage, what is stale by the newest round's time is worth nothing any more: such rounds are
        left out, and their batches go behind the newest.
        """
        if not _rounds_in(waiting):
            return list(waiting), set()
        oldest = self._oldest
        stale: set[int] = set()
        kept: list[Item] = []
        late: list[Item] = []
        for item in waiting:
            judged = self.by_number.get(round_of(item))
            if judged is not None and judged.timestamp >= oldest:
                kept.append(item)
            elif isinstance(item, OracleRound):
                stale.add(item.round)
            else:
                late.append(item)
        return [*kept, *late], stale

    def uncarried(self, flights: Iterable[Flight], waiting: Iterable[Item]) -> list[OracleRound]:
        """The fresh rounds that the chain does not have and that nothing brings there."""
        carried = _rounds_in(waiting)
        carried.update(
            flight.last.oracle_round
            for flight in flights
            if flight.block is None and flight.last.carries_round
        )
        return [
            one
            for number, one in sorted(self.by_number.items())
            if number > self.known and number not in carried and one.timestamp >= self._oldest
        ]

    def release(
        self, numbers: set[int], flights: Iterable[Flight], waiting: Iterable[Item]
    ) -> None:
        """Drop rounds but for those that may still be sent."""
        if numbers:
            kept = _rounds_in(waiting)
            kept.update(number for flight in flights for number in rounds_of(flight.attempts))
            for number in numbers - kept:
                self.by_number.pop(number, None)

    def renewed(self, sent: BatchSubmitted) -> BatchSubmitted:
        """A batch that is sent again with the round that it needs by now: none if the chain has its
        own, the next one that is fresh if its own is stale, which would revert it whole. What
        carries no batch stays as it is.
        """
        own = self.by_number.get(sent.oracle_round)
        if not sent.count or not sent.carries_round or own is None:
            return sent
        if sent.oracle_round <= self.known:
            return replace(sent, carries_round=False)
        oldest = self._oldest
        if own.timestamp >= oldest:
            return sent
        fresh = (n for n, one in self.by_number.items() if one.timestamp >= oldest)
        return replace(sent, oracle_round=min(n for n in fresh if n > self.known))


def rounds_of(attempts: Iterable[BatchSubmitted]) -> set[int]:
    """The numbers of the rounds that transactions carry."""
    return {attempt.oracle_round for attempt in attempts if attempt.carries_round}


def _rounds_in(waiting: Iterable[Item]) -> set[int]:
    return {item.round for item in waiting if isinstance(item, OracleRound)}
