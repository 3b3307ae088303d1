"""Books as channels send them: a snapshot, then changes; or the best levels, grouped.

Owns: per channel the state that its followers have, sequences (``change_id``, ``prev_change_id``)
and checksums. A client that sees a gap subscribes anew and gets a snapshot.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from zlib import crc32

from novate.api.market import Market
from novate.api.names import Listed
from novate.api.numbers import decimal

CHECKSUM_LEVELS = 10
CHECKSUM_EVERY = 10
GROUPS = ("none", "1", "2", "5", "10", "25", "100", "250")
DEPTHS = ("1", "10", "20")
Side = dict[int, int]


@dataclass(slots=True)
class BookFeed:
    """What the followers of one channel know of one book: lots by ticks."""

    market: Market
    item: Listed
    change_id: int = 0
    bids: Side = field(default_factory=dict)
    asks: Side = field(default_factory=dict)

    def _now(self) -> tuple[Side, Side]:
        book, id = self.market.core.engine.book, self.item.id
        if self.market.by_id[id] is not self.item:
            return {}, {}  # its slot is another's
        return dict(book.depth(id, True)), dict(book.depth(id, False))

    def snapshot(self, followed: bool) -> dict[str, Any]:
        """All levels: those that the other followers have, or the present ones."""
        if not followed:
            self.advance()
        return self._message("snapshot") | {
            "bids": self._differences({}, self.bids),
            "asks": self._differences({}, self.asks),
            "checksum": self.checksum(),
        }

    def advance(self) -> dict[str, Any] | None:
        """What changed since the last message, which from now on is known; None if nothing."""
        bids, asks = self._now()
        changes = self._differences(self.bids, bids), self._differences(self.asks, asks)
        if not changes[0] and not changes[1]:
            return None
        before, self.change_id = self.change_id, self.change_id + 1
        self.bids, self.asks = bids, asks
        data = self._message("change") | {
            "prev_change_id": before,
            "bids": changes[0],
            "asks": changes[1],
        }
        if self.change_id % CHECKSUM_EVERY == 0:
            data["checksum"] = self.checksum()
        return data

    def _message(self, kind: str) -> dict[str, Any]:
        return {
            "type": kind,
            "instrument_name": self.item.name,
            "timestamp": self.market.core.world.now * 1000,
            "change_id": self.change_id,
        }

    def _differences(self, old: Side, new: Side) -> list[list[str]]:
        found = []
        for price in sorted(old.keys() | new.keys()):
            if old.get(price) != new.get(price):
                how = "delete" if price not in new else "change" if price in old else "new"
                found.append([how, *self._level(price, new.get(price, 0))])
        return found

    def _level(self, price: int, lots: int) -> list[str]:
        return [decimal(price * self.item.tick), decimal(lots * self.item.lot_size)]

    def checksum(self) -> int:
        """CRC-32 of the ten best levels a side: ``price:amount`` joined by ``|``, bids best first,
        then asks.
        """
        sides = (sorted(self.bids.items(), reverse=True), sorted(self.asks.items()))
        levels = [level for side in sides for level in side[:CHECKSUM_LEVELS]]
        return crc32("|".join(":".join(self._level(*level)) for level in levels).encode())

    # Grouped

    def grouped(self, group: str, depth: str) -> dict[str, Any] | None:
        """The best levels on multiples of ``group`` ticks, bids rounded down and asks up; None if
        they are as they were in the last message.
        """
        step, count = 1 if group == "none" else int(group), int(depth)
        buys, sells = self._now()
        # asks below zero, so that down is up
        mirrored = self._in_steps({-price: lots for price, lots in sells.items()}, step)
        bids = dict(sorted(self._in_steps(buys, step).items(), reverse=True)[:count])
        asks = dict(sorted((-price, lots) for price, lots in mirrored.items())[:count])
        if self.change_id and (bids, asks) == (self.bids, self.asks):
            return None
        self.bids, self.asks, self.change_id = bids, asks, self.change_id + 1
        return self.levels()

    def levels(self) -> dict[str, Any]:
        """The levels of the last message, best first."""
        message = self._message("")
        del message["type"]
        sides = (("bids", self.bids), ("asks", self.asks))
        return message | {name: [self._level(*row) for row in side.items()] for name, side in sides}

    @staticmethod
    def _in_steps(side: Side, step: int) -> Side:
        found: Side = {}
        for price, lots in side.items():
            at = price // step * step  # division: down, to the group
            found[at] = found.get(at, 0) + lots
        return found
