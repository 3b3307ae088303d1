"""Snapshots: the state of a sequencer at one record, so that a start replays only what follows.

Owns: files ``<journal>.snapshot.<record>``:

    magic 8 | sha256 of the rest 32 | a map: record, its hash, version, world's state hash, content

A snapshot is a convenience and never believed: it is used only if its own hash, the journal's
record, the release and, once it is loaded, the world's state hash all agree. Whatever does not is
told and left alone, and the journal is replayed. A service has a child of its own write one: the
child holds the state as it was when it was forked, and the service goes on.
"""

from __future__ import annotations

import gc
import os
import re
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from novate import __version__
from novate.engine import journal_disk as disk
from novate.engine import plain
from novate.engine.journal_frame import Head, Record
from novate.engine.sequencer import Sequencer
from novate.errors import Error, Rejected, SnapshotUnusable, require

MAGIC = b"NOVATES1"
KEPT = 2
NICE = 10
_STANDARD = 3  # input, output, errors
_NAME = re.compile(r"\.snapshot\.\d{12,20}")


@dataclass(frozen=True, slots=True)
class Unused:
    """Finding: a snapshot that was passed over, and why."""

    file: Path
    why: str
    error: Error = SnapshotUnusable

    def __str__(self) -> str:
        return f"{self.file.name}: {self.why}"


class _Document(msgspec.Struct, array_like=True, frozen=True, forbid_unknown_fields=True):
    sequence: int
    record_hash: bytes
    version: str
    world_hash: str
    content: bytes


def content_of(sequencer: Sequencer) -> bytes:
    """All that decides what a sequencer does next, canonically: equal states, equal bytes."""
    tables = sequencer.world.store.tables
    return plain.encode(
        {
            "now": sequencer.world.now,
            "tables": {name: tables[name].rows for name in sorted(tables)},
            "engine": sequencer.state,
        }
    )


def save(journal: Path, head: Head, sequencer: Sequencer) -> Path:
    """Write the state after record ``head`` and its events; the newest ``KEPT`` files stay.

    Errors: ``JournalFull``, ``JournalReadOnly``; then nothing has changed.
    """
    document = _Document(
        head.sequence,
        head.hash,
        __version__,
        sequencer.world.state_hash(),
        content_of(sequencer),
    )
    body = msgspec.msgpack.encode(document)
    path = journal.with_name(f"{journal.name}.snapshot.{head.sequence:012}")
    with disk.refusals(path.name):
        disk.write_whole(path, MAGIC + sha256(body).digest() + body)
        for old in files(journal)[KEPT:]:
            old.unlink(missing_ok=True)
    return path


@dataclass(frozen=True, slots=True)
class Child:
    """The process that writes a snapshot."""

    process: int

    def wait(self) -> bool:
        """Wait until it has ended; whether the snapshot is there."""
        _, status = os.waitpid(self.process, 0)
        return status == 0


def save_aside(journal: Path, head: Head, sequencer: Sequencer) -> Child:
    """``save``, by a child of this process: here it takes no longer than a fork. What becomes of
    the sequencer from now on is none of it. Raises ``OSError`` if there is no room for a process.
    """
    process = os.fork()
    if process == 0:
        _save_and_exit(journal, head, sequencer)
    return Child(process)


def _save_and_exit(journal: Path, head: Head, sequencer: Sequencer) -> NoReturn:
    """In the child. Other threads are not there, so nothing is done that waits for one; and nothing
    is kept of the parent's files: neither its connections nor the right to write the journal.
    """
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's is meant for the service
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.closerange(_STANDARD, os.sysconf("SC_OPEN_MAX"))
        os.nice(NICE)
        gc.disable()
        save(journal, head, sequencer)
        code = 0
    finally:
        os._exit(code)


def files(journal: Path) -> list[Path]:
    """A journal's snapshots, the newest first."""
    found = [
        path
        for path in journal.parent.glob(journal.name + ".snapshot.*")
        if _NAME.fullmatch(path.name[len(journal.name) :])
    ]
    return sorted(found, reverse=True)


def load(path: Path, entries: Iterator[Record], sequencer: Sequencer) -> int:
    """Put a sequencer fresh from the genesis into the state of a snapshot; its record's number.

    ``entries`` are the journal's records from the first on. Errors: ``SnapshotUnusable``, and the
    sequencer is then to be thrown away.
    """
    document = _read(path)
    entry = next(islice(entries, document.sequence, None), None) if document.sequence > 0 else None
    same = entry is not None and entry.hash == document.record_hash
    require(same, SnapshotUnusable, f"record {document.sequence} is another in the journal")
    require(document.version == __version__, SnapshotUnusable, f"of version {document.version}")
    restore(sequencer, document.content)
    found = sequencer.world.state_hash()
    require(found == document.world_hash, SnapshotUnusable, "another state hash")
    return document.sequence


def _read(path: Path) -> _Document:
    try:
        data = path.read_bytes()
    except FileNotFoundError:  # a child of the writer before may still put newer ones in its place
        raise Rejected(SnapshotUnusable, "it is gone") from None
    body = data[len(MAGIC) + 32 :]
    sound = data == MAGIC + sha256(body).digest() + body
    require(sound, SnapshotUnusable, "its content is not what its hash says")
    try:
        return msgspec.msgpack.decode(body, type=_Document)
    except msgspec.DecodeError as error:
        raise Rejected(SnapshotUnusable, str(error)) from None


def restore(sequencer: Sequencer, content: bytes) -> None:
    """Put a sequencer into the state of ``content_of``. Errors: ``SnapshotUnusable``."""
    state: Any = plain.decode(content)
    tables = sequencer.world.store.tables
    names = {"now", "tables", "engine"}
    sound = isinstance(state, dict) and set(state) == names
    require(sound and set(state["tables"]) == set(tables), SnapshotUnusable, "other tables")
    for name, rows in state["tables"].items():
        tables[name].replace_all(rows)
    sequencer.world.now = state["now"]
    require(set(state["engine"]) == set(sequencer.state), SnapshotUnusable, "other engine state")
    sequencer.restore(**state["engine"])
