"""Messages of channels that are sent every so often instead of at every change.

Owns: what waits for the end of an interval. Rows (trades, orders) are collected and sent together;
of a state (a ticker, a book) only the newest is sent, made at that moment. Intervals in
milliseconds; raw ones never come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

INTERVALS = {"raw": 0, "agg2": 1_000, "100ms": 100}
# To whom: a channel, and the account if it is a private one (else 0).
Address = tuple[str, int]
Publish = Callable[[str, int, object], None]


@dataclass(slots=True)
class Aggregator:
    """What waits, by interval; ``publish`` sends it."""

    publish: Publish
    rows: dict[int, dict[Address, list[Any]]] = field(default_factory=dict)
    states: dict[int, dict[Address, Callable[[], object]]] = field(default_factory=dict)

    def collect(self, interval: int, address: Address, rows: Sequence[Any]) -> None:
        """Send these rows with the others of the interval."""
        self._armed(interval)
        self.rows[interval].setdefault(address, []).extend(rows)

    def mark(self, interval: int, address: Address, make: Callable[[], object]) -> None:
        """Send what ``make`` gives then; nothing if that is None."""
        self._armed(interval)
        self.states[interval][address] = make

    def _armed(self, interval: int) -> None:
        if interval not in self.rows:
            self.rows[interval], self.states[interval] = {}, {}
            loop = asyncio.get_running_loop()
            loop.call_later(interval / 1_000, self.flush, interval)

    def flush(self, interval: int) -> None:
        """The interval is over."""
        rows, states = self.rows.pop(interval, {}), self.states.pop(interval, {})
        for (channel, account), found in rows.items():
            self.publish(channel, account, found)
        for (channel, account), make in states.items():
            data = make()
            if data is not None:
                self.publish(channel, account, data)
