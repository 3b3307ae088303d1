"""The settlement service's loop: watch, close, plan, write down, send, ask; then again.

Owns: the order of a turn, and what a fault may do to it: nothing but end the part it happened in.
The next turn asks the same again. Only what cannot be cured by asking again is raised
(``ReorgTooDeep``). Times are the caller's, in milliseconds.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from novate.chain.connection import CallReverted, RpcFault
from novate.errors import Rejected, ReorgTooDeep
from novate.services.flights import BatchTimer
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire.records import AnyRecord

# Makes records durable; then ``follow`` is called with each record of the journal, in its order.
Write = Callable[[Sequence[AnyRecord]], None]


class SettlementLoop:
    """Settler, watcher and timer over one journal."""

    def __init__(self, settler: Settler, watcher: Watcher, timer: BatchTimer, write: Write) -> None:
        self.settler = settler
        self.watcher = watcher
        self.timer = timer
        self._write = write

    @property
    def faults(self) -> Counter[str]:
        """How often each kind of fault has happened."""
        return self.settler.faults

    def follow(self, record: AnyRecord) -> None:
        """Take note of one journal record."""
        self.settler.follow(record)
        self.timer.follow(record)

    def turn(self, now_ms: int) -> None:
        """One turn. Errors: ``ReorgTooDeep``, and those of writing."""
        self._do(self.watcher.poll)
        self._do(lambda: self.timer.due(now_ms))
        self._do(lambda: self.settler.plan(now_ms))
        self.settler.transmit()
        self._do(lambda: self.settler.check(now_ms, self.watcher.next_block - 1))

    def _do(self, part: Callable[[], Sequence[AnyRecord]]) -> None:
        try:
            made = part()
        except (RpcFault, CallReverted, Rejected) as fault:
            if isinstance(fault, Rejected) and fault.error is ReorgTooDeep:
                raise
            self.settler.count(fault)
            return
        if made:
            self._write(made)
