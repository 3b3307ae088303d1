"""Orders and matches that a settlement may still need, and no others.

Owns: when they are dropped. An order is needed while it may match (no record has ended it) and
while a match of it is held; a match until it has settled, or was given up, and nothing carries it
any more that a reorganisation could bring back: ``release``. What somebody has settled by its
receipt meanwhile is held on: nothing in the journal names it, and it cost him more than us.
"""

from __future__ import annotations

from collections import Counter

from novate.wire import records
from novate.wire.records import (
    AnyRecord,
    BlockAccepted,
    Busted,
    Matched,
    OrderDone,
    OrderPlaced,
    OrderRejected,
    QuotesPlaced,
)


class Held:
    """Orders by digest, matches by sequence, both as the journal has them."""

    def __init__(self) -> None:
        self.placed: dict[bytes, OrderPlaced] = {}
        self.matches: dict[int, Matched] = {}
        self.given_up: set[int] = set()
        self._uses: Counter[bytes] = Counter()
        self._ended: set[bytes] = set()
        self._again: Counter[bytes] = Counter()

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        match record:
            case OrderPlaced() | QuotesPlaced() | BlockAccepted():
                for placed in records.orders_in(record):
                    self._place(placed)
            case OrderRejected():
                self._reject(record.digest)
            case OrderDone():
                self._end(record.digest)
            case Matched():
                self.matches[record.sequence] = record
                self._uses.update((record.maker, record.taker))
            case Busted():
                if record.sequence in self.matches:
                    self.given_up.add(record.sequence)
            case _:
                pass

    def release(self, sequence: int) -> None:
        """Drop a match, and its orders where nothing else needs them."""
        found = self.matches.pop(sequence, None)
        self.given_up.discard(sequence)
        if found is None:
            return
        for digest in (found.maker, found.taker):
            self._uses[digest] -= 1
            if not self._uses[digest]:
                del self._uses[digest]
                if digest in self._ended:
                    self._ended.discard(digest)
                    self.placed.pop(digest, None)

    def _place(self, record: OrderPlaced) -> None:
        if record.digest in self.placed and record.digest not in self._ended:
            self._again[record.digest] += 1  # it will be refused: the first one stays
            return
        self.placed[record.digest] = record
        self._ended.discard(record.digest)

    def _reject(self, digest: bytes) -> None:
        if self._again[digest]:
            self._again[digest] -= 1
        else:
            self._end(digest)
        if not self._again[digest]:
            del self._again[digest]

    def _end(self, digest: bytes) -> None:
        """It will match no more."""
        if self._uses[digest]:
            self._ended.add(digest)
        else:
            del self._uses[digest]
            self.placed.pop(digest, None)
