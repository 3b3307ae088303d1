"""How fast a venue is back: a million commands replayed, and a standby promoted.

Owns: what is timed. Replayed are orders and cancels as the gateway writes them: the journal is
opened and its whole hash chain checked, every record is decoded, and the fast book matches it; the
margin engine is not part of it. The standby has followed the same journal; its writer, a process of
its own that appends and acknowledges all the while, is paused in mid-flight and never asked, and
the clock runs until the successor's first own record is durable. Times come from the machine's
clock: nothing that decides a match sees them.
"""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any

import numpy as np

from novate.bench.flows import ACCOUNT, KIND, LOTS, OPTIONS, ORDER, PRICE, Rows, steady
from novate.engine.book import FastBook
from novate.engine.journal import GENESIS_KIND, Journal, remove
from novate.engine.journal_segment import segments
from novate.engine.recovery import Follower
from novate.engine.standby import Standby
from novate.errors import JournalFenced, Rejected
from novate.model.book_terms import Capacity, Kind, Options, TimeInForce
from novate.wire import records
from novate.wire.records import AnyRecord, CancelRequested, Order, OrderPlaced

COMMANDS = 1_000_000
REPLAY_TARGET_S = 5.0
PROMOTE_TARGET_S = 1.0
REPLAYED = "open and check the hash chain, decode every record, match in the fast book"
GROUP = 1_000
BATCH = 4_096
ACKNOWLEDGED = 20
_IMMEDIATE = Options(time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL).packed
_PLACE, _CANCEL = int(Kind.PLACE), int(Kind.CANCEL)
_price = lru_cache(1 << 16)(records.number)


@dataclass(frozen=True, slots=True)
class RecoveryReport:
    """Seconds, and what was checked: the same book after each run, nothing lost, one writer."""

    commands: int
    replay_s: float
    promote_s: float
    journal_bytes: int
    segments: int
    same_state: bool
    lost: int
    fenced: bool

    @property
    def million_commands_s(self) -> float:
        """Seconds for a million commands."""
        return self.replay_s * 1_000_000 / self.commands

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "million_commands_s": round(self.million_commands_s, 3),
            "promote_s": round(self.promote_s, 4),
            "targets": {"million_commands_s": REPLAY_TARGET_S, "promote_s": PROMOTE_TARGET_S},
            "replayed": REPLAYED,
            "commands": self.commands,
            "journal_bytes": self.journal_bytes,
            "segments": self.segments,
            "same_state": self.same_state,
            "acknowledged_lost": self.lost,
            "old_writer_fenced": self.fenced,
        }


class BookEngine:
    """The fast book as an engine: it gathers commands, so that the book takes them in batches."""

    def __init__(self, capacity: Capacity) -> None:
        self.book = FastBook(capacity)
        self._accounts: dict[bytes, int] = {}
        self._rows: list[tuple[int, ...]] = []

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        """Match one command, now or with those that follow."""
        if isinstance(command, OrderPlaced):
            order = command.order
            account = self._account(order.account)
            lots, price, options = order.lots, _price(order.price), order.flags
            row = (_PLACE, order.nonce, account, account, lots, price, options, 0, 0, 0)
        elif isinstance(command, CancelRequested):
            account = self._account(command.account)
            row = (_CANCEL, command.value, account, account, 0, 0, 0, 0, 0, 0)
        else:
            return []
        self._rows.append(row)
        if len(self._rows) == BATCH:
            self.flush()
        return []

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        """It tells none."""
        return list(events)

    def _account(self, account: bytes) -> int:
        found = self._accounts.get(account)
        if found is None:
            found = self._accounts[account] = len(self._accounts) + 1
        return found

    def flush(self) -> None:
        """Match what was gathered."""
        rows = np.array(self._rows, np.int64).reshape(-1, 10)
        done = 0
        while done < len(rows):
            done += self.book.apply(rows[done:]).done
        self._rows.clear()

    def state_hash(self) -> str:
        """SHA-256 of the book after everything it was given."""
        self.flush()
        return self.book.state_hash()


def _records(rows: Rows) -> list[AnyRecord]:
    """The commands of a flow, as the gateway would write them."""
    made: list[AnyRecord] = []
    for row in rows.tolist():
        account, number = (row[ACCOUNT] + 1).to_bytes(32, "big"), row[ORDER]
        signer = account[-20:]
        if row[KIND] == Kind.CANCEL:
            made.append(CancelRequested(account, "nonce", number, signer, number))
            continue
        price, flags = records.big(row[PRICE]), row[OPTIONS]
        order = Order(
            account, 1, row[LOTS], price, "1000000000000000000", number, 0, 0, 0, flags, signer
        )
        digest = number.to_bytes(32, "big")
        made.append(OrderPlaced(digest, order, digest + account, signer, number))
    return made


def write(path: Path, rows: Rows) -> str:
    """A closed journal of a flow, in groups of ``GROUP``; the book's state hash after it."""
    engine = BookEngine(Capacity())
    with Journal.open(path, lambda: 0) as journal:
        journal.append(GENESIS_KIND, b"")
        for start in range(0, len(rows), GROUP):
            for command in _records(rows[start : start + GROUP]):
                journal.append(*records.encode(command))
                engine.fold(command)
            journal.commit()
    return engine.state_hash()


def replay(path: Path) -> tuple[float, str]:
    """Seconds from nothing to the state at the journal's end, and that state's hash."""
    warm = BookEngine(Capacity())
    warm.fold(_order(1))
    warm.flush()
    began = perf_counter()
    with closing(Journal.open(path, lambda: 0)) as journal:
        engine = BookEngine(Capacity())
        Follower(engine).follow(journal.read(1))
        engine.flush()
        seconds = perf_counter() - began
        return seconds, engine.state_hash()


def _order(number: int) -> OrderPlaced:
    order = Order(bytes(32), 1, 1, "1", "1", number, 0, 0, 0, _IMMEDIATE, bytes(20))
    return OrderPlaced(number.to_bytes(32, "big"), order, bytes(64), bytes(20), 0)


def append_for_ever(path: Path) -> None:
    """The writer that is replaced: it says what it has promised, and at the end why it ended."""
    journal, number = Journal.open(path, lambda: 0), 1 << 40
    while True:
        journal.append(*records.encode(_order(number)))
        try:
            head = journal.commit()
        except Rejected as refused:
            print(refused.error.name, flush=True)
            return
        print(head.sequence, head.hash.hex(), flush=True)
        number += 1


def promote(path: Path) -> tuple[float, int, bool]:
    """Seconds until a standby's own record is durable, promises lost, whether the writer is out."""
    script = (
        "import pathlib, sys; from novate.bench.recovery import append_for_ever as run; "
        "run(pathlib.Path(sys.argv[1]))"
    )
    command = [sys.executable, "-c", script, str(path)]
    standby = Standby(path, BookEngine(Capacity()))
    standby.poll()
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(ACKNOWLEDGED)]
        standby.poll()
        writer.send_signal(signal.SIGSTOP)
        began = perf_counter()
        journal = standby.promote(lambda: 0, force=True)
        journal.append(*records.encode(_order(1 << 41)))
        journal.commit()
        seconds = perf_counter() - began
        writer.send_signal(signal.SIGCONT)
        said += writer.stdout.read().splitlines()
    with closing(journal):
        promises = [line.split() for line in said if " " in line]
        hashes = {entry.sequence: entry.hash.hex() for entry in journal.read()}
        lost = sum(hashes.get(int(number)) != digest for number, digest in promises)
    return seconds, lost, said[-1].strip() == JournalFenced.name


def measure(commands: int = COMMANDS, runs: int = 3) -> RecoveryReport:
    """Write a journal in a folder of its own, replay it, take it over."""
    flow = steady(commands)
    with TemporaryDirectory(prefix="novate-recover-") as folder:
        path = Path(folder) / "journal.bin"
        expected = write(path, np.concatenate((flow.seed, flow.timed)))
        total = len(flow.seed) + len(flow.timed)
        size = sum(segment.path.stat().st_size for segment in segments(path))
        count = len(segments(path))
        timed = [replay(path) for _ in range(runs)]
        seconds, lost, fenced = promote(path)
        remove(path)
    return RecoveryReport(
        commands=total,
        replay_s=median(run[0] for run in timed),
        promote_s=seconds,
        journal_bytes=size,
        segments=count,
        same_state=all(state == expected for _, state in timed),
        lost=lost,
        fenced=fenced,
    )
