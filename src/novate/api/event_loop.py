"""The event loop that a venue runs on, and what keeps it from standing still.

Owns: the choice of libuv's loop (``uvloop``: a message in and out costs it a third of what
``asyncio``'s own takes) where there is one; how often the collector of cycles looks at what lives
long; how soon a thread that has waited for the disk or the curve gets its turn.
"""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

# A look at all objects takes a tenth of a second with some ten thousand orders alive, and finds
# nothing: garbage is young when it is found. So: seldom.
THRESHOLDS = (50_000, 20, 100)
SWITCH_SECONDS = 0.0005


def run(main: Coroutine[Any, Any, T]) -> T:
    """``asyncio.run`` on the fastest loop there is."""
    sys.setswitchinterval(SWITCH_SECONDS)
    with asyncio.Runner(loop_factory=_factory()) as runner:
        return runner.run(main)


def settle_in() -> None:
    """All that is there now stays as long as the venue does: the collector leaves it alone."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


def _factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    if sys.platform == "win32":
        return None
    import uvloop  # it exists on no other system

    return uvloop.new_event_loop
