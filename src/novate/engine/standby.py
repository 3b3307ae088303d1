"""A hot standby: a second process that follows the journal and takes over when told to.

Owns: the order of a takeover. The standby reads what the writer writes and folds it as the writer
does, so at any record both hold the same state. ``promote`` fences the writer, reads what is left,
syncs it, begins a new epoch, and appends the events that the last commands still lack; from then on
it is the writer, and nothing that was acknowledged is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from novate.engine.journal import Journal, Record
from novate.engine.journal_scan import Tail
from novate.engine.journal_writer import SEGMENT_BYTES
from novate.engine.recovery import Engine, Follower, adopt


class Standby:
    """Follows one journal with an engine that was built in the state of its genesis."""

    def __init__(self, path: Path, engine: Engine) -> None:
        self.tail = Tail(path)
        self.follower = Follower(engine)
        self._taken_in = 0

    def poll(self) -> int:
        """Take in what is new; how many records.

        Errors: ``JournalCorrupt``; raises ``Diverged``.
        """
        return self.follower.follow(self._behind_genesis())

    def _behind_genesis(self) -> Iterator[Record]:
        """What is new behind the first record, by whose rules the rest is read."""
        self.tail.poll()
        begin, self._taken_in = self._taken_in, len(self.tail.records)
        # not only what this poll has read: a promotion that was refused has read as well
        for entry in self.tail.records[begin:]:
            if entry.sequence > 0:
                yield entry
            else:
                adopt(self.follower.engine, entry)

    def promote(
        self,
        clock_ms: Callable[[], int],
        force: bool = False,
        segment_bytes: int = SEGMENT_BYTES,
    ) -> Journal:
        """Become the writer. ``force``: also over a writer whose process still lives.

        Errors: those of ``Journal.take_over``; raises ``Diverged``.
        """
        journal = Journal.take_over(self.tail, clock_ms, force, segment_bytes)
        try:
            self.follower.follow(journal.read(self.follower.next_sequence))
            self.follower.complete(journal)
        except BaseException:
            journal.abandon()
            raise
        return journal
