"""Group commit beside the event loop: a thread writes and syncs what a journal has taken, while the
loop goes on.

Owns: that thread, what it is at, and what is done when the disk refuses: the same group again and
again, until there is room. Everything but ``Journal.write`` happens on the loop.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from queue import SimpleQueue
from typing import Protocol

from novate.engine.journal import Group, Journal
from novate.errors import Rejected

ROOM_SECONDS = 0.1
Work = Callable[[], None]
Told = Callable[[BaseException | None], None]


class Owner(Protocol):
    """Who appends, and is told what has become of it."""

    def durable(self) -> None:
        """The journal holds more than before."""
        ...

    def refused(self, refused: Rejected) -> None:
        """The disk has refused what it will be asked again. Raises what no waiting cures."""
        ...

    def broke(self, fault: Exception) -> None:
        """Nothing can go on."""
        ...


class GroupCommit:
    """Writes one journal's groups, one after the other; between ``open`` and ``close``."""

    def __init__(self, journal: Journal, owner: Owner) -> None:
        self.stuck = False  # the disk refuses what the journal has taken
        self._journal, self._owner = journal, owner
        self._writing: Group | None = None
        self._thread: DiskThread | None = None

    def open(self) -> None:
        """Begin, on the running loop."""
        self.stuck = False
        self._thread = DiskThread("journal")

    def close(self) -> None:
        """Wait for what is under way, so that nobody is left alone with the files, and end."""
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    @property
    def idle(self) -> bool:
        """Whether nothing is under way."""
        return self._writing is None and not self.stuck

    def begin(self) -> None:
        """Write what was appended; what is under way is ended first. ``durable`` is told, also if
        there was nothing to write.
        """
        if not self.idle:
            return
        self._writing = self._journal.begin_commit()
        if self._writing is not None:
            self._write(self._writing)
        else:
            self._owner.durable()

    def commit(self) -> None:
        """Write what was appended here and now; nothing may be under way."""
        try:
            self._journal.commit()
        except Rejected as refused:
            self._wait(refused)
        self._owner.durable()

    def _write(self, group: Group) -> None:
        assert self._thread is not None, "open"
        self._thread.begin(partial(self._journal.write, group), partial(self._written, group))

    def _written(self, group: Group, fault: BaseException | None) -> None:
        """A group is on the disk, or the disk has refused it."""
        self._writing = None
        try:
            with self._journal.committing(group):
                if fault is not None:
                    raise fault
            self.stuck = False
            if self._thread is not None:
                self.begin()  # the disk goes on while this one is told
        except Rejected as refused:
            self._try(partial(self._wait, refused))
        except Exception as broken:
            self._owner.broke(broken)
        self._owner.durable()

    def _wait(self, refused: Rejected) -> None:
        """What the disk has refused is written when it can be."""
        self.stuck = True
        self._owner.refused(refused)
        asyncio.get_running_loop().call_later(ROOM_SECONDS, self._try, self._again)

    def _again(self) -> None:
        if self._thread is not None:
            self._writing = self._journal.begin_commit()
            assert self._writing is not None, "it was refused"
            self._write(self._writing)

    def _try(self, part: Work) -> None:
        try:
            part()
        except Exception as fault:
            self._owner.broke(fault)


class DiskThread:
    """A thread that does one piece of work after the other; use from one event loop."""

    def __init__(self, name: str) -> None:
        self._loop = asyncio.get_running_loop()
        self._work: SimpleQueue[Work | None] = SimpleQueue()
        self._told: Told | None = None
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def begin(self, work: Work, told: Told) -> None:
        """Have ``work`` done, then ``told`` on the loop with what it raised, or None."""
        assert self._told is None, "one at a time"
        self._told = told
        self._work.put(work)

    def close(self) -> None:
        """Wait for what is under way, tell it here, and end the thread."""
        self._work.put(None)
        self._thread.join()
        self._tell()

    def _run(self) -> None:
        while (work := self._work.get()) is not None:
            self._fault = None
            try:
                work()
            except BaseException as fault:  # the loop raises it
                self._fault = fault
            try:
                self._loop.call_soon_threadsafe(self._tell)
            except RuntimeError:  # the loop has ended: nobody is there to be told
                return

    def _tell(self) -> None:
        """On the loop; once for each piece of work."""
        told, self._told = self._told, None
        if told is not None:
            told(self._fault)
