"""From a journal back to an engine: what was there before, and nothing twice.

Owns: ``Follower``, the fold of a journal. Commands go into the engine; the events it answers must
come next in the journal, byte for byte (but for the receipts, which only the executor can make and
no fold needs). Events that are still missing at the end, because the engine was killed between a
command and its answer, are what ``complete`` appends: so a restart also ends in the same journal.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from msgspec.structs import replace

from novate.engine import snapshot
from novate.engine.journal import Journal, Record
from novate.engine.sequencer import Sequencer
from novate.errors import JournalCorrupt, Rejected, require
from novate.wire import records
from novate.wire.records import EVENTS, RULES, AnyRecord, Genesis, Matched

_ANSWERS = frozenset(EVENTS)


class Diverged(Exception):
    """The journal and the engine tell different stories: a bug; nothing may go on from here."""


class Engine(Protocol):
    """What folds commands into events."""

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        """Apply one command; the events it causes, in order, matches without receipts."""

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        """The same events with receipts, as a journal holds them."""


class Follower:
    """One engine at one place of one journal."""

    def __init__(self, engine: Engine, next_sequence: int = 1) -> None:
        self.engine = engine
        self.next_sequence = next_sequence
        self.pending: deque[AnyRecord] = deque()

    def follow(self, entries: Iterable[Record]) -> int:
        """Take in the entries not seen before; how many. Raises ``Diverged``."""
        before = self.next_sequence
        fold, decode, pending = self.engine.fold, records.decode, self.pending
        for entry in entries:
            sequence = entry.sequence
            if sequence < self.next_sequence:
                continue
            if sequence > self.next_sequence:
                raise Diverged(f"record {sequence}: {self.next_sequence} is next")
            record = decode(entry.kind, entry.payload)
            if type(record) in _ANSWERS:
                self._require_expected(sequence, record)
            else:
                try:
                    pending.extend(fold(record))
                except Exception as fault:
                    text = f"record {sequence}: {entry.kind} cannot be carried out: {fault!r}"
                    raise Diverged(text) from fault
            self.next_sequence = sequence + 1
        return self.next_sequence - before

    def _require_expected(self, sequence: int, record: AnyRecord) -> None:
        if not self.pending:
            raise Diverged(f"record {sequence}: {type(record).__name__} that nothing caused")
        expected = self.pending.popleft()
        if isinstance(record, Matched) and isinstance(expected, Matched):
            expected = as_told(expected, record)
        if records.encode(expected) != records.encode(record):
            name = type(expected).__name__
            raise Diverged(f"record {sequence}: the engine comes to another {name}")

    def complete(self, journal: Journal) -> int:
        """Append the events that are missing at the journal's end; how many."""
        missing = len(self.pending)
        for event in self.engine.sealed(self.pending):
            journal.append(*records.encode(event))
        journal.commit()
        self.follow(journal.read(self.next_sequence))
        return missing


def as_told(made: Matched, told: Matched) -> Matched:
    """A match as it is made again, to be compared with the one that a journal holds: a receipt is
    another with another key, and releases that did not say mark and index said zeros.
    """
    if told.mark == told.index == "0":
        made = replace(made, mark="0", index="0")
    return replace(made, receipt=told.receipt)


@dataclass(slots=True)
class Recovered:
    """A sequencer as it was, and how that came about.

    ``from_snapshot`` is the record whose state was read, or None; ``replayed`` counts the records
    taken in after it, ``completed`` the events that were missing.
    """

    sequencer: Sequencer
    follower: Follower
    from_snapshot: int | None
    replayed: int
    completed: int
    unused: tuple[snapshot.Unused, ...]


def adopt(engine: Engine, first: Record) -> None:
    """Have a sequencer read a journal by the rules that its first record names.

    Errors: ``JournalCorrupt``, also for rules that this release does not know.
    """
    if isinstance(engine, Sequencer):
        genesis = records.decode(first.kind, first.payload)
        assert isinstance(genesis, Genesis), "the journal's own rule"
        known = 1 <= genesis.version <= RULES
        require(known, JournalCorrupt, f"its rules {genesis.version} are not known here")
        engine.adopt(genesis.version)


def recover(journal: Journal, build: Callable[[], Sequencer]) -> Recovered:
    """The engine of a journal: the newest snapshot that holds, and the records after it.

    ``build`` makes a sequencer in the state of the genesis. A snapshot that does not hold is told
    in ``unused``; without any, everything is replayed. Raises ``Diverged``.
    """
    unused: list[snapshot.Unused] = []
    rules = next(iter(journal.read()), None)

    def begin() -> Sequencer:
        made = build()
        if rules is not None:
            adopt(made, rules)
        return made

    sequencer, start = begin(), None
    for path in snapshot.files(journal.path):
        try:
            start = snapshot.load(path, journal.read(), sequencer)
            break
        except Rejected as rejected:
            unused.append(snapshot.Unused(path, str(rejected)))
            sequencer = begin()
    follower = Follower(sequencer, 1 if start is None else start + 1)
    replayed = follower.follow(journal.read(follower.next_sequence))
    completed = follower.complete(journal) if journal.head.sequence >= 0 else 0
    return Recovered(sequencer, follower, start, replayed, completed, tuple(unused))
