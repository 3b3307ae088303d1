"""How fast the book matches: commands a second in batches, one call from Python, and the reference.

Owns: what is timed, and the check that both books end each workload alike. Figures are medians of
several runs on warm memory; the reference runs the same workload in small, or the first commands of
a recorded one, in the same run. Times come from the machine's clock: nothing that decides a match
sees them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from statistics import median
from time import perf_counter, perf_counter_ns
from typing import Any

import numpy as np

from novate.bench.flows import MADE, Flow, Rows
from novate.bench.peers import peer_rates
from novate.bench.recorded import recorded
from novate.engine.book import FastBook
from novate.model.book import Book
from novate.model.book_terms import Command, What
from novate.model.store import Store

BATCH = 4_096
SINGLE_CALLS = 20_000
REFERENCE_COMMANDS = 20_000
RATE_TARGET = 20_000_000
CALL_TARGET_NS = 1_000


@dataclass(frozen=True, slots=True)
class Measured:
    """One workload: rates in commands a second; ``hash_equal``: state and trades as the reference.

    Open orders, fills and rejections belong to one run of the fast book; ``peers``: the rates of
    public books, if they are installed.
    """

    name: str
    text: str
    commands: int
    commands_per_s: int
    reference_per_s: int
    open_orders_max: int
    fills: int
    rejections: int
    hash_equal: bool
    peers: dict[str, int]

    def document(self) -> dict[str, Any]:
        """The figures as JSON."""
        return {
            "text": self.text,
            "commands": self.commands,
            "commands_per_s": self.commands_per_s,
            "reference_per_s": self.reference_per_s,
            "times_reference": round(self.commands_per_s / self.reference_per_s, 1),
            "open_orders_max": self.open_orders_max,
            "fills": self.fills,
            "rejections": self.rejections,
            "hash_equal": self.hash_equal,
            "peers_per_s": self.peers,
        }


@dataclass(frozen=True, slots=True)
class MatchReport:
    """All workloads, and the time of one call from Python."""

    workloads: tuple[Measured, ...]
    call_ns: int

    @property
    def worst(self) -> int:
        """Commands a second of the slowest workload."""
        return min(workload.commands_per_s for workload in self.workloads)

    def document(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "worst_commands_per_s": self.worst,
            "hash_equal": all(workload.hash_equal for workload in self.workloads),
            "single_call_median_ns": self.call_ns,
            "targets": {"commands_per_s": RATE_TARGET, "single_call_ns": CALL_TARGET_NS},
            "workloads": {workload.name: workload.document() for workload in self.workloads},
        }


class _Tally:
    """Counts what a run did, and hashes its trades."""

    def __init__(self) -> None:
        self.fills = self.rejections = self.open_max = 0
        self._trades = sha256()

    def add(self, results: Rows, events: Rows, open_orders: int) -> None:
        """Take in one batch."""
        trades = events[events[:, 0] == What.FILL]
        self.fills += len(trades)
        self.rejections += int(np.count_nonzero(results))
        self.open_max = max(self.open_max, open_orders)
        self._trades.update(trades.tobytes())

    @property
    def trades(self) -> str:
        """SHA-256 of all fills so far."""
        return self._trades.hexdigest()


def _run(book: FastBook, rows: Rows, tally: _Tally | None = None) -> float:
    """Carry out all rows in batches; the seconds it took, the tally not included."""
    done, seconds = 0, 0.0
    while done < len(rows):
        part = rows[done : done + BATCH]
        began = perf_counter()
        batch = book.apply(part)
        seconds += perf_counter() - began
        done += batch.done
        if tally is not None:
            tally.add(batch.results, batch.events, book.open_orders)
    return seconds


def _same_as_reference(flow: Flow, book: FastBook) -> tuple[bool, float]:
    """Whether both books end a workload alike; the seconds that the reference took."""
    reference, tally, expected = Book(Store(), flow.capacity), _Tally(), _Tally()
    book.clear()
    for rows in (flow.seed, flow.timed):
        _run(book, rows, tally)
        commands = [Command(*row) for row in rows.tolist()]
        began = perf_counter()
        outcomes = [reference.apply(command) for command in commands]
        seconds = perf_counter() - began
        for outcome in outcomes:
            events = np.array(outcome.events, np.int64).reshape(-1, 8)
            expected.add(np.array([outcome.code]), events, reference.open_orders)
    same_trades = tally.trades == expected.trades and tally.rejections == expected.rejections
    return same_trades and book.state_hash() == reference.state_hash(), seconds


def measure_flow(flow: Flow, small: Flow, runs: int) -> Measured:
    """Time one workload on memory that an earlier run has touched; check it in small."""
    book, tally = FastBook(flow.capacity), _Tally()
    _run(book, flow.seed)
    _run(book, flow.timed, tally)
    seconds = []
    for _ in range(runs):
        book.clear()
        _run(book, flow.seed)
        seconds.append(_run(book, flow.timed))
    same, reference_seconds = _same_as_reference(small, book)
    return Measured(
        name=flow.name,
        text=flow.text,
        commands=len(flow.timed),
        commands_per_s=round(len(flow.timed) / median(seconds)),
        reference_per_s=round(len(small.timed) / reference_seconds),
        open_orders_max=tally.open_max,
        fills=tally.fills,
        rejections=tally.rejections,
        hash_equal=same,
        peers={},
    )


def call_ns(flow: Flow) -> int:
    """The median time of one call from Python, each command by itself."""
    book = FastBook(flow.capacity)
    _run(book, flow.seed)
    times = []
    for command in (Command(*row) for row in flow.timed[:SINGLE_CALLS].tolist()):
        began = perf_counter_ns()
        book.one(command)
        times.append(perf_counter_ns() - began)
    return round(median(times))


def measure(commands: int = 400_000, runs: int = 5, flow: Path | None = None) -> MatchReport:
    """All made workloads, and a recorded one if a file is given. Errors: as ``recorded``."""
    whole = recorded(flow) if flow is not None else None
    workloads = []
    for make in MADE:
        small = make(min(commands, REFERENCE_COMMANDS))
        measured = measure_flow(make(commands), small, runs)
        workloads.append(replace(measured, peers=peer_rates(small)))
    if whole is not None:
        small = replace(whole, timed=whole.timed[:REFERENCE_COMMANDS])
        workloads.append(measure_flow(whole, small, runs))
    return MatchReport(tuple(workloads), call_ns(MADE[0](SINGLE_CALLS)))
