"""Who signed the orders that came in together, asked of another thread.

Owns: the gathering of signatures while the loop reads on, and the thread that recovers their
signers (``wire/recover_many.py``) without the GIL. Whatever has come in when the thread is free is
its next share, so that a busy venue waits for it once for many. A single one is recovered at once:
that takes less than handing it over. A digest's answer never depends on what it came with.
"""

from __future__ import annotations

import asyncio
import contextlib
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from novate.wire import eip712
from novate.wire.recover_many import Claim, recover_many

Signer = asyncio.Future[str]
ALONE = 1


def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "signatures")


@dataclass(slots=True)
class Signatures:
    """The signatures that wait for their signer, in the order they came."""

    _waiting: list[tuple[Claim, Signer]] = field(default_factory=list)
    _thread: ThreadPoolExecutor = field(default_factory=_threads)
    _begins: bool = False  # a share begins with the loop's next turn, or when the thread is free

    def signer(self, digest: bytes, r: int, vs: int) -> Signer:
        """The address that signed a digest, lower-case; "" for a malleable or invalid signature."""
        loop = asyncio.get_running_loop()
        found: Signer = loop.create_future()
        self._waiting.append(((digest, r, vs), found))
        if not self._begins:
            self._begins = True
            loop.call_soon(self._begin)
        return found

    def _begin(self) -> None:
        """Begin with all that wait."""
        share, self._waiting = self._waiting, []
        if len(share) <= ALONE:
            self._begins = False
            for (digest, r, vs), found in share:
                _tell(found, eip712.recover(digest, r, vs))
            return
        loop = asyncio.get_running_loop()

        def over(done: Future[list[str | None]]) -> None:
            with contextlib.suppress(RuntimeError):  # the loop has ended: nobody waits
                loop.call_soon_threadsafe(self._end, share, done)

        self._thread.submit(recover_many, [claim for claim, _ in share]).add_done_callback(over)

    def _end(self, share: list[tuple[Claim, Signer]], done: Future[list[str | None]]) -> None:
        """Tell who asked, and go on with what has come meanwhile."""
        fault = done.exception()
        if fault is not None:
            for _, found in share:
                if not found.done():
                    found.set_exception(fault)
        else:
            for (_, found), signer in zip(share, done.result(), strict=True):
                _tell(found, signer)
        self._begin()


def _tell(found: Signer, signer: str | None) -> None:
    if not found.done():  # who asked may have left
        found.set_result(signer or "")
