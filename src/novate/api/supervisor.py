"""Tasks that are to run for ever: begun again when they fail, with a pause that grows.

Owns: the restarts, and what is said of them. A task that fails more often than ``FAILURES_MAX``
times within ``WINDOW_SECONDS`` is not begun again: the venue stops, cleanly, instead of looking
alive. So it does at once if the core failed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from novate.api.core import CoreFailed

PAUSE_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
FAILURES_MAX = 20
WINDOW_SECONDS = 120.0
_LOG = logging.getLogger("novate.supervisor")


@dataclass(slots=True)
class Supervisor:
    """The tasks of one venue."""

    restarts: Counter[str] = field(default_factory=Counter)
    given_up: asyncio.Event = field(default_factory=asyncio.Event)
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def start(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        """Run ``work`` again and again."""
        self.tasks.append(asyncio.create_task(self._keep(name, work), name=name))

    async def stop(self) -> None:
        """Cancel every task and wait for it."""
        while self.tasks:
            # the last begun first: each may still need those before it
            task = self.tasks.pop()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _keep(self, name: str, work: Callable[[], Awaitable[None]]) -> None:
        failures: deque[float] = deque()
        while True:
            try:
                await work()
            except asyncio.CancelledError:
                raise
            except CoreFailed:
                _LOG.critical("%s failed for good; the venue stops", name, exc_info=True)
                self.given_up.set()
                return
            except Exception:
                _LOG.exception("%s failed", name)
            now = time.monotonic()
            failures.append(now)
            while failures and failures[0] < now - WINDOW_SECONDS:
                failures.popleft()
            if len(failures) > FAILURES_MAX:
                _LOG.critical("%s failed %d times; the venue stops", name, len(failures))
                self.given_up.set()
                return
            self.restarts[name] += 1
            await asyncio.sleep(PAUSE_SECONDS[min(len(failures), len(PAUSE_SECONDS)) - 1])
