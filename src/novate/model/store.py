"""Transactional tables: the only mutable state of the model.

A table maps keys to immutable rows (ints, tuples, frozen dataclasses). Inside ``Store.transaction``
every write is logged, so a rejection undoes everything (invariant I13: a rejected command changes
nothing).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Generic, TypeVar

K = TypeVar("K")
V = TypeVar("V")
# One write as it can be taken back: the table's name, the key, the row before, whether it existed.
Write = tuple[str, Any, Any, bool]


class Table(Generic[K, V]):
    """A dictionary with a default row, whose writes can be undone.

    ``version`` rises with every write, undone ones and undoing too: what was read at one version is
    still so at the same.
    """

    def __init__(self, store: Store, name: str, default: V) -> None:
        self.name = name
        self.rows: dict[K, V] = {}
        self.default = default
        self.version = 0
        self._store = store

    def __getitem__(self, key: K) -> V:
        return self.rows.get(key, self.default)

    def __setitem__(self, key: K, row: V) -> None:
        undo = self._store.undo
        if undo is not None:
            undo.append((self, key, self.rows.get(key), key in self.rows))
        self.rows[key] = row
        self.version += 1
        self._store.version += 1

    def put_back(self, key: K, row: V, existed: bool) -> None:
        """Undo a write: the row before it, or none."""
        self.version += 1
        self._store.version += 1
        if existed:
            self.rows[key] = row
        else:
            self.rows.pop(key, None)

    def replace_all(self, rows: Mapping[K, V]) -> None:
        """Hold these rows and no others; not undone by a transaction."""
        self.version += 1
        self._store.version += 1
        self.rows.clear()
        self.rows.update(rows)

    def __contains__(self, key: K) -> bool:
        return key in self.rows

    def items(self) -> Iterator[tuple[K, V]]:
        """Rows in key order, so that iteration is deterministic."""
        return iter(sorted(self.rows.items(), key=lambda item: repr(item[0])))


class Store:
    """All tables of one world, with nested undo and a canonical hash; ``version`` rises with every
    write to any of them.
    """

    def __init__(self) -> None:
        self.tables: dict[str, Table[Any, Any]] = {}
        self.undo: list[tuple[Table[Any, Any], Any, Any, bool]] | None = None
        self.version = 0

    def table(self, name: str, default: V) -> Table[Any, V]:
        """Create the table ``name``; each name exists once."""
        assert name not in self.tables, name
        made: Table[Any, V] = Table(self, name, default)
        self.tables[name] = made
        return made

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Undo every write of the block if it raises; nests."""
        outer = self.undo
        log: list[tuple[Table[Any, Any], Any, Any, bool]] = []
        self.undo = log
        try:
            yield
        except BaseException:
            for table, key, row, existed in reversed(log):
                table.put_back(key, row, existed)
            raise
        else:
            if outer is not None:
                outer.extend(log)
        finally:
            self.undo = outer

    @contextmanager
    def recorded(self) -> Iterator[list[Write]]:
        """A transaction that tells its writes, so that ``revert`` can take them back later."""
        writes: list[Write] = []
        with self.transaction():
            yield writes
            assert self.undo is not None
            writes += [(table.name, key, row, existed) for table, key, row, existed in self.undo]

    def revert(self, writes: Sequence[Write]) -> None:
        """Take writes back, the last first; rows that others wrote since are not looked at."""
        for name, key, row, existed in reversed(writes):
            table = self.tables[name]
            if self.undo is not None:
                self.undo.append((table, key, table.rows.get(key), key in table.rows))
            table.put_back(key, row, existed)

    def state_hash(self, names: Iterable[str] | None = None) -> str:
        """SHA-256 over all rows that differ from their table's default, in key order, of the
        tables named (all by default).
        """
        digest = hashlib.sha256()
        for name in sorted(self.tables if names is None else names):
            table = self.tables[name]
            for key, row in table.items():
                if row != table.default:
                    digest.update(repr((name, key, row)).encode())
        return digest.hexdigest()
