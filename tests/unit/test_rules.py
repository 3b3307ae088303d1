"""A journal is read by the rules that its first record names."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from novate.engine.journal import Journal
from novate.engine.recovery import recover
from novate.engine.sequencer import Sequencer
from novate.engine.standby import Standby
from novate.errors import JournalCorrupt
from novate.model.order import IMMEDIATE, REDUCE_ONLY
from novate.services.boot import genesis_of
from novate.wire import records
from tests.support.engine import EXECUTOR, Floor, build_sequencer, deployed, ends, matches
from tests.support.journals import clock, rejection


def fresh() -> Sequencer:
    deployment, parameters, now = deployed()
    return build_sequencer(deployment, parameters, EXECUTOR, now)


def written(path: Path, rules: int) -> tuple[Journal, Floor]:
    """A journal in which an order without a position rests, and one meets it after its end."""
    floor = Floor()
    deployment, parameters, _ = deployed()
    floor.sequencer = fresh()
    floor.sequencer.adopt(rules)
    floor.commands, floor.events, floor.round = [], [], 0
    journal = Journal.open(path, clock, segment_bytes=1 << 16)
    genesis = replace(genesis_of(deployment, parameters), version=rules)
    journal.append(*records.encode(genesis))
    tell = floor.tell

    def kept(command: records.AnyRecord) -> list[records.AnyRecord]:
        events = tell(command)
        for record in (command, *events):
            journal.append(*records.encode(record))
        return events

    floor.tell = kept  # type: ignore[method-assign]
    for later in (1, 50, 50, 50):
        floor.prices(100_000, later=later)
    for role in ("maker", "taker"):
        floor.deposit(role, 100_000)
    floor.place("maker", -5, 100_500, flags=REDUCE_ONLY)
    floor.place("maker", -5, 100_000, expiry=floor.now + 12)
    command = floor.command(floor.order("taker", 5, 100_000, flags=IMMEDIATE), "taker")
    floor.feed(replace(command, received_ms=command.received_ms + 7_000))
    floor.close()
    journal.commit()
    return journal, floor


def test_a_new_journal_names_the_newest_rules() -> None:
    deployment, parameters, _ = deployed()
    assert genesis_of(deployment, parameters).version == records.RULES == 2


@pytest.mark.parametrize("rules", [1, 2])
def test_a_journal_reads_as_it_was_written(tmp_path: Path, rules: int) -> None:
    journal, floor = written(tmp_path / "journal.bin", rules)
    with journal:
        assert len(matches(floor.events)) == (1 if rules == 1 else 0)
        assert (("evicted", "OrderExpired") in ends(floor.events)) == (rules == 2)
        state = floor.sequencer.world.state_hash()
        found = recover(journal, fresh)
        assert (found.completed, found.sequencer.world.state_hash()) == (0, state)
        standby, engine = Standby(tmp_path / "journal.bin", follower := fresh()), follower
        assert standby.poll() > 0
        assert engine.world.state_hash() == state
        # as verification does, which hands the first record on
        again = fresh()
        for entry in journal.read():
            record = records.decode(entry.kind, entry.payload)
            if not isinstance(record, records.EVENTS):
                again.handle(record)
        assert again.world.state_hash() == state


@pytest.mark.parametrize("rules", [0, 3])
def test_rules_that_are_not_known_are_refused(tmp_path: Path, rules: int) -> None:
    deployment, parameters, _ = deployed()
    path = tmp_path / "journal.bin"
    with Journal.open(path, clock, segment_bytes=1 << 16) as journal:
        genesis = replace(genesis_of(deployment, parameters), version=rules)
        journal.append(*records.encode(genesis))
        journal.commit()
        assert rejection(lambda: recover(journal, fresh))[0] is JournalCorrupt
        assert rejection(Standby(path, fresh()).poll)[0] is JournalCorrupt
