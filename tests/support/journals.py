"""Journals for tests: made of plain records, of orders that a toy engine answers, or by a child."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterable
from hashlib import sha256
from pathlib import Path

import pytest

from novate.engine.journal import GENESIS_KIND, Journal, Record
from novate.engine.protection import Protection
from novate.engine.safeguards import Safeguards
from novate.errors import Error, Rejected
from novate.model.state import World
from novate.wire import records
from novate.wire.records import AnyRecord, CancelRequested, Order, OrderPlaced, OrderRejected

SEGMENT = 1 << 14
ROOT = Path(__file__).parent.parent.parent


def clock() -> int:
    return 1_760_000_000_000


def opened(path: Path, segment_bytes: int = SEGMENT) -> Journal:
    return Journal.open(path, clock, segment_bytes=segment_bytes)


def rejection(command: Callable[[], object]) -> tuple[Error, str]:
    """The error of a command that must be refused, and its detail."""
    with pytest.raises(Rejected) as caught:
        command()
    return caught.value.error, caught.value.detail


def put(path: Path, data: bytes) -> None:
    """Other bytes in a file; in place, since some file systems flush one that begins anew."""
    with path.open("r+b") as stream:
        stream.write(data)
        stream.truncate()


def fill(path: Path, count: int, segment_bytes: int = SEGMENT) -> list[Record]:
    """A closed journal of ``count`` records of some 300 bytes, committed by fives."""
    made = []
    with opened(path, segment_bytes) as journal:
        for number in range(count):
            kind = "Order" if number else GENESIS_KIND
            made.append(journal.append(kind, bytes([number % 251 + 1]) * 200))
            if number % 5 == 0:
                journal.commit()
    return made


def order(number: int) -> OrderPlaced:
    """The command of some order; each number is another one."""
    terms = Order(bytes(32), 1, 1, "1", "1", number, 0, 0, 0, 0, bytes(20))
    digest = sha256(b"%d" % number).digest()
    return OrderPlaced(digest, terms, bytes(64), bytes(20), clock())


def cancel(number: int) -> CancelRequested:
    """The command of some cancel."""
    return CancelRequested(bytes(32), "nonce", number, bytes(20), clock())


class Books:
    """Where nothing rests."""

    def depth(self, instrument: int, is_buy: bool, levels: int = 1) -> list[tuple[int, int]]:
        return []

    def span(self, instrument: int) -> tuple[int, int] | None:
        return None

    def warm(self) -> None:
        """There is nothing to make ready."""


class Refusing:
    """An engine that refuses every order; its state is all the digests it has seen. It has a world
    and a book as any other; nothing is in them.
    """

    def __init__(self) -> None:
        self.seen: list[bytes] = []
        self.first_open = 0
        self.placed: dict[bytes, OrderPlaced] = {}
        self.world = World(clock() // 1000, {})
        self.book = Books()
        self.safeguards = Safeguards()

    def protection(self, account: int, underlying: int) -> Protection:
        return Protection()

    def has_orders(self, account: int) -> bool:
        return False

    def sealed(self, events: Iterable[AnyRecord]) -> list[AnyRecord]:
        return list(events)

    def fold(self, command: AnyRecord) -> list[AnyRecord]:
        if not isinstance(command, OrderPlaced):
            return []
        self.seen.append(command.digest)
        return [OrderRejected(command.digest, 1000 + command.order.nonce % 10)]

    def state_hash(self) -> str:
        return sha256(b"".join(self.seen)).hexdigest()


class Venue:
    """A writer with its engine: every order is answered in the journal, as at a venue."""

    def __init__(self, journal: Journal, engine: Refusing | None = None) -> None:
        self.journal = journal
        self.engine = engine or Refusing()
        if journal.head.sequence < 0:
            journal.append(GENESIS_KIND, b"")
            journal.commit()

    def take(self, number: int) -> None:
        """One order and its answer, each durable."""
        command = order(number)
        self.journal.append(*records.encode(command))
        self.journal.commit()
        for event in self.engine.fold(command):
            self.journal.append(*records.encode(event))
        self.journal.commit()


def child(script: str, *arguments: object, prefix: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    """A process of its own that runs a script with this repository's packages."""
    return subprocess.Popen(
        [*prefix, sys.executable, "-c", script, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
