"""Who signed the orders that came in together, asked of another thread.

Owns: the gathering of signatures while the loop reads on, and the thread that recovers their
signers (``wire/recover_many.py``) without the GIL. Whatever has come in when the thread is free is
its next share, so that a busy venue waits for it once for many. A single one is recovered at once:
that takes less than handing it over. A digest's answer never depends on what it came with.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from novate.wire.recover_many import Claim, recover_many, recover_one

# Is told the address that signed, lower-case ("" for a malleable or invalid signature), or a fault.
Heard = Callable[[str | BaseException], None]
ALONE = 1


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "signatures")


@dataclass(slots=True)
class Signatures:
    """The signatures that wait for their signer, in the order they came."""

    _waiting: list[tuple[Claim, Heard]] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=_threads)
    _begins: bool = False  # a share begins with the loop's next turn, or when the thread is free

    def ask(self, claim: Claim, heard: Heard) -> None:
        """Who signed a digest; ``heard`` is told later, in the order asked, and raises nothing."""
        self._waiting.append((claim, heard))
        if not self._begins:
            self._begins = True
            asyncio.get_running_loop().call_soon(self._begin)

    def _begin(self) -> None:
        """Begin with all that wait."""
        share, self._waiting = self._waiting, []
        if len(share) <= ALONE:
            self._begins = False
            for claim, heard in share:
                heard(recover_one(claim) or "")
            return
        loop = asyncio.get_running_loop()

        def over(done: Future[list[str | None]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(self._end, share, done)

        self._thread.submit(recover_many, [claim for claim, _ in share]).add_done_callback(over)

    def _end(self, share: list[tuple[Claim, Heard]], done: Future[list[str | None]]) -> None:
        """Tell who asked, while the thread goes on with what has come meanwhile."""
        goes_on = len(self._waiting) > ALONE
        if goes_on:
            self._begin()
        fault = done.exception()
        if fault is not None:
            for _, heard in share:
                heard(fault)
        else:
            for (_, heard), signer in zip(share, done.result(), strict=True):
                heard(signer or "")
        if not goes_on:
            self._begin()
