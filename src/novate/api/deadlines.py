"""How long a client waits for an answer: one timer for all of them.

Owns: answers in the order in which they were asked for, each with the moment from which its client
is told to wait no longer (``OutcomeUnknown``: what it asked for may yet take effect).
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from novate.errors import OutcomeUnknown, Rejected


class Deadlines:
    """Ends answers that are late."""

    def __init__(self) -> None:
        self._due: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._watch: asyncio.TimerHandle | None = None

    def add(self, answer: asyncio.Future[Any], seconds: float) -> None:
        """End it so many seconds from now, unless it is done: the same number for all."""
        loop, due = asyncio.get_running_loop(), self._due
        while due and due[0][1].done():
            due.popleft()
        due.append((loop.time() + seconds, answer))
        if self._watch is None:
            self._watch = loop.call_at(due[0][0], self._end_late)

    def _end_late(self) -> None:
        """Tell those who have waited too long; look again when the next is due."""
        loop, due = asyncio.get_running_loop(), self._due
        while due and (due[0][1].done() or due[0][0] <= loop.time()):
            _, answer = due.popleft()
            if not answer.done():
                answer.set_exception(Rejected(OutcomeUnknown))
        self._watch = loop.call_at(due[0][0], self._end_late) if due else None
