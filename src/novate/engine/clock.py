"""The engine's clock: what moves it, how far, and by when what matches now has surely settled.

Owns: the second at which the engine judges. A command carries the moment at which the gateway took
it; that moves the second before the command enters, so the engine's time is its commands' time, the
same in every replay. It never goes back, and it is not moved by a stamp further than ``LEAD_S``
ahead of what others than the gateway have said: the last round's timestamp (a quorum of nodes') and
the chain's own second. So a gateway whose clock is wrong cannot end the orders of a whole book. The
bound is as long as the engine waits for prices to come back (``ahead.PATIENCE_S``): any round,
and any block with a transaction to the venue, moves it on. Times in seconds, stamps in ms.
"""

from __future__ import annotations

from novate.limits import EARLIER_EXPIRY_ROOM_S, EXPIRY_ROOM_S
from novate.model.state import World

LEAD_S = 300
# A batch that holds matches may stay open for so long after the second it is judged at.
BATCH_S = 2


class Clock:
    """The time of one engine; ``by_commands`` is off in journals of before there was that rule."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.by_commands = True

    @property
    def settles_by(self) -> int:
        """What matches now is on the chain by then: orders and keys must live until after it."""
        return self.world.now + (EXPIRY_ROOM_S if self.by_commands else EARLIER_EXPIRY_ROOM_S)

    def at_command(self, stamp_ms: int, chain_now: int, batch_open: bool) -> int:
        """The second at which a client's command of that stamp enters; ``chain_now``: the chain's
        own. It stands while a batch is open, which is judged at it, but for ``BATCH_S`` at most.
        """
        now, second = self.world.now, self.at_tick(stamp_ms, chain_now)
        waits = batch_open and second < now + BATCH_S
        return now if waits or not self.by_commands else second

    def at_tick(self, stamp_ms: int, chain_now: int) -> int:
        """The same where the open batch has been closed."""
        second, now = stamp_ms // 1_000, self.world.now  # division: whole seconds
        if not self.by_commands:
            return max(now, second)
        known = max(self.world.oracle.statuses[0].timestamp, chain_now)
        return second if now < second <= known + LEAD_S else now

    def after_round(self, before: int) -> None:
        """A round was applied at its own second, which commands may have been ahead of."""
        if self.by_commands:
            self.world.now = max(before, self.world.now)
