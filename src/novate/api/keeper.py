"""What cancels for clients that are gone: cancel on disconnect, and dead man's switches.

Owns: the timers of switches, and the tasks that enter what has fired, each again and again until it
is durable. What is set stands in the journal (``engine/safeguards.py``) before a client is told so,
and outlives the process: at a start no connection is left, so whoever cancels on disconnect is
without orders, and switches that fell due meanwhile fire, before any order is taken. Nothing here
is shed for load: a cancel that the venue owes waits for room.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from novate.api.core import Core
from novate.engine.safeguards import ACCOUNT, CONNECTION, SWITCH, Safeguards, Switch
from novate.errors import Rejected
from novate.wire.records import AnyRecord, CancelRequested
from novate.wire.safeguard_records import DisconnectSet, SwitchSet

if TYPE_CHECKING:
    from novate.api.session import Session

AGAIN_SECONDS = 0.2
# How long a start and an orderly end wait for what is owed; the journal still has it then.
BEGIN_SECONDS_MAX = 10.0
STOP_SECONDS_MAX = 5.0
_LOG = logging.getLogger("novate.keeper")


class Keeper:
    """The safeguards of one venue at work."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._timers: dict[int, asyncio.TimerHandle] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._guarding: Counter[int] = Counter()  # connections that cancel at their end

    @property
    def held(self) -> Safeguards:
        """What is set, as the engine has it."""
        return self.core.engine.safeguards

    @property
    def owed(self) -> int:
        """How many accounts' cancels have fired and are not durable."""
        return len(self._tasks)

    # Cancel on disconnect

    def cancels_always(self, account: int) -> bool:
        """Whether an account's orders go with any of its connections."""
        row = self.held.leavers.get(account)
        return row is not None and row.always

    async def cancel_always(self, session: Session, on: bool) -> None:
        """Set that for the session's account. Errors: those of ``Core.submit``."""
        await self._say(session, ACCOUNT, on)

    async def guard(self, session: Session) -> None:
        """The account's orders go with this connection, durably once this returns.

        Errors: those of ``Core.submit``; it then cancels all the same, while this process lives.
        """
        session.spared.discard(session.account)
        if session.account not in session.guarded:
            session.guarded.add(session.account)
            self._guarding[session.account] += 1
        await self._say(session, CONNECTION, True)

    async def unguard(self, session: Session) -> None:
        """They stay when it ends. Errors: those of ``Core.submit``; nothing has changed then."""
        if session.account in session.guarded:
            if self._guarding[session.account] == 1:
                await self._say(session, CONNECTION, False)
            session.guarded.discard(session.account)
            self._guarding[session.account] -= 1
        session.spared.add(session.account)

    def left(self, session: Session) -> None:
        """A connection has ended: cancel what goes with it."""
        accounts = set(session.guarded)
        if session.account and session.cancels_at_end:
            accounts.add(session.account)
        for account in accounts:
            row = self.held.leavers.get(account)
            signer = bytes.fromhex(session.signer[2:]) if row is None else row.signer
            cancel = _cancel(account, signer, "disconnect", _clock_ms())
            self._begin(self._cancel_left(account, cancel, account in session.guarded))

    async def _cancel_left(self, account: int, cancel: CancelRequested, guarded: bool) -> None:
        await self._enter(cancel)
        if guarded:
            self._guarding[account] -= 1
            if not self._guarding[account]:
                del self._guarding[account]
                await self._enter(_said(account, CONNECTION, False, cancel.signer))

    async def _say(self, session: Session, scope: str, on: bool) -> None:
        signer = bytes.fromhex(session.signer[2:])
        await self.core.submit(_said(session.account, scope, on, signer))

    # The dead man's switch

    async def set_switch(self, session: Session, seconds: int) -> int:
        """Set, renew or (0) take back the switch of the session's account; when it is due.

        Errors: those of ``Core.submit``: then the switch from before is still set.
        """
        account, now_ms = session.account.to_bytes(32, "big"), _clock_ms()
        signer = bytes.fromhex(session.signer[2:])
        await self.core.submit(SwitchSet(account, seconds, signer, now_ms))
        return now_ms + seconds * 1_000

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record: a switch that was set is waited for."""
        if isinstance(record, SwitchSet):
            self._arm(int.from_bytes(record.account, "big"))

    def _arm(self, account: int) -> None:
        """Wait for an account's switch, never longer than it was set for: clocks may go back."""
        running = self._timers.pop(account, None)
        if running is not None:
            running.cancel()
        switch = self.held.switches.get(account)
        if switch is not None:
            left_ms = min(max(switch.due_ms - _clock_ms(), 0), switch.seconds * 1_000)
            loop = asyncio.get_running_loop()
            self._timers[account] = loop.call_later(left_ms / 1_000, self._fire, account, switch)

    def _fire(self, account: int, switch: Switch) -> None:
        """A switch is due. One that is renewed meanwhile is not: the engine ignores this then."""
        self._timers.pop(account, None)
        if self.held.switches.get(account) == switch:
            cancel = _cancel(account, switch.signer, SWITCH, max(_clock_ms(), switch.due_ms))
            self._begin(self._enter(cancel))

    # Start and end

    async def begin(self) -> None:
        """Cancel what is owed from before, and wait for switches that are not due yet."""
        now_ms, engine = _clock_ms(), self.core.engine
        for account, switch in list(self.held.switches.items()):
            if switch.due_ms <= now_ms:
                self._fire(account, switch)
            else:
                self._arm(account)
        for account, row in list(self.held.leavers.items()):
            made: list[AnyRecord] = []
            if engine.has_orders(account):
                made.append(_cancel(account, row.signer, "restart", now_ms))
            if row.connected:
                made.append(_said(account, CONNECTION, False, row.signer))
            self._begin(self._enter(*made))
        await self._settle(BEGIN_SECONDS_MAX)

    async def stop(self) -> None:
        """Wait for no switch any longer; who cancels on disconnect is left without orders."""
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        await self._settle(STOP_SECONDS_MAX)
        for account, row in list(self.held.leavers.items()):
            if row.always and self.core.engine.has_orders(account):
                self._begin(self._enter(_cancel(account, row.signer, "disconnect", _clock_ms())))
        await self._settle(STOP_SECONDS_MAX)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _settle(self, seconds: float) -> None:
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=seconds)
        if self._tasks:
            _LOG.error("%d cancels that are owed are not durable yet", len(self._tasks))

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _enter(self, *made: AnyRecord) -> None:
        """Enter commands until each is durable, or until the core is dead: a start goes on then."""
        for command in made:
            while not self.core.failed:
                try:
                    await self.core.enter(command)
                    break
                except Rejected as rejected:
                    _LOG.error("%s of the venue's own: %s", type(command).__name__, rejected)
                await asyncio.sleep(AGAIN_SECONDS)


def _clock_ms() -> int:
    """Unix time in milliseconds."""
    return time.time_ns() // 1_000_000  # division: to milliseconds


def _cancel(account: int, signer: bytes, cause: str, now_ms: int) -> CancelRequested:
    raw = account.to_bytes(32, "big")
    return CancelRequested(raw, "all", 0, signer, now_ms, cause=cause)


def _said(account: int, scope: str, on: bool, signer: bytes) -> DisconnectSet:
    return DisconnectSet(account.to_bytes(32, "big"), scope, on, signer, _clock_ms())
