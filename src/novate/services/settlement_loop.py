"""The settlement service's loop: watch, close, plan, write down, send, ask; then again.

Owns: the order of a turn, and what a fault may do to it: nothing but end the part it happened in.
The next turn asks the same again. Only what cannot be cured by asking again is raised
(``ReorgTooDeep``). Times are the caller's, in milliseconds; ``seconds`` adds up, by the process's
clock, how long the parts of a turn have taken.
"""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from novate.chain.connection import CallReverted, RpcFault
from novate.errors import NoTwin, Rejected, ReorgTooDeep
from novate.services.flights import BatchTimer
from novate.services.reader import Reader
from novate.services.settler import Settler
from novate.services.watch import Watcher
from novate.wire.records import AnyRecord

# Makes records durable; then ``follow`` is called with each record of the journal, in its order.
Write = Callable[[Sequence[AnyRecord]], None]


class SettlementLoop:
    """Settler, watcher (or what reads for it) and timer over one journal.

    ``blind``: the chain holds something of ours that the watcher cannot learn (``NoTwin``), so that
    the engine does not know every account any more and should take no orders, until the watcher has
    come further.
    """

    def __init__(
        self, settler: Settler, watcher: Watcher | Reader, timer: BatchTimer, write: Write
    ) -> None:
        self.settler = settler
        self.watcher = watcher
        self.timer = timer
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self.blind: Rejected | None = None
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
        settler = self.settler
        self._do("watch", self._watch)
        self._do("plan", lambda: self.timer.due(now_ms))
        self._do("plan", lambda: settler.plan(now_ms))
        with self.timed("send"):
            settler.transmit()
        self._do("check", lambda: settler.check(now_ms, self.watcher.next_block - 1))

    def _watch(self) -> Sequence[AnyRecord]:
        before = self.watcher.next_block
        try:
            found = self.watcher.poll()
        except Rejected as refused:
            self.blind = refused if refused.error is NoTwin else self.blind
            raise
        if found or self.watcher.next_block != before:
            self.blind = None
        return found

    def _do(self, name: str, part: Callable[[], Sequence[AnyRecord]]) -> None:
        try:
            with self.timed(name):
                made = part()
        except (RpcFault, CallReverted, Rejected) as fault:
            if isinstance(fault, Rejected) and fault.error is ReorgTooDeep:
                raise
            self.settler.count(fault)
            return
        if made:
            with self.timed("write"):
                self._write(made)

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Add a part's seconds up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] += time.perf_counter() - began
