"""One database of the read side: opened by URL, brought to this version's schema, its own identity.

Owns: connections (SQLite and PostgreSQL), migrations by number, where the index stands, and the
two ways to write a row. Every write happens inside ``Database.begin``, which is one transaction of
the database; ``advance`` moves a source's place in the same transaction as the rows that belong to
it, so a process that is killed leaves either both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from typing import Any

from sqlalchemy import Connection, Engine, Table, create_engine, event, insert, inspect, select
from sqlalchemy import delete as delete_rows
from sqlalchemy import update as update_rows
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, IntegrityError

from novate.errors import (
    IndexBusy,
    IndexForeign,
    IndexInconsistent,
    IndexUnavailable,
    InvalidParameter,
    Rejected,
    require,
)
from novate.store import schema

DRIVERS = {"sqlite": "sqlite+pysqlite", "postgresql": "postgresql+psycopg"}
BUSY_MS = 10_000
VERSION_TABLE = "schema_version"
ROWS_PER_STATEMENT = 500

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """How far a source has been read: record or block number, and its hash."""

    position: int
    hash: str


NOWHERE = Place(-1, "")


def migrations() -> list[tuple[int, str]]:
    """Versions in order with their SQL: the files ``NNNN_name.sql`` beside this module."""
    folder = resources.files("novate.store") / "migrations"
    found = [f for f in folder.iterdir() if f.name.endswith(".sql")]
    made = [(int(f.name[:4]), f.read_text(encoding="utf-8")) for f in found]
    made.sort()
    assert [version for version, _ in made] == list(range(1, len(made) + 1))
    return made


def statements(text: str) -> list[str]:
    """The statements of a migration without its comments."""
    lines = [line for line in text.splitlines() if not line.startswith("--")]
    return [part.strip() for part in "\n".join(lines).split(";") if part.strip()]


class Database:
    """Connections to one database; use it from one process at a time for writing."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, migrate: bool = True) -> Database:
        """Connect. Errors: ``InvalidParameter`` (URL), ``IndexUnavailable``, ``IndexForeign``."""
        try:
            parsed = make_url(url)
        except ArgumentError:
            raise Rejected(InvalidParameter, "the database is no URL") from None
        driver = DRIVERS.get(parsed.get_backend_name())
        require(driver is not None, InvalidParameter, "use sqlite:///FILE or postgresql://…")
        local = parsed.get_backend_name() == "sqlite"
        # a transaction sees one state throughout: a page and what it is joined with agree
        options = {} if local else {"isolation_level": "REPEATABLE READ"}
        engine = create_engine(parsed.set(drivername=str(driver)), **options)
        if local:
            _begin_explicitly(engine)
        made = cls(engine)
        try:
            with made._faults():
                found = made.migrate() if migrate else made.version()
            newest = migrations()[-1][0]
            what = f"schema version {found}, this release knows {newest}"
            require(found == newest, IndexForeign, what)
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        """Give all connections back."""
        self.engine.dispose()

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction; after an error nothing of it was written.

        Errors: ``IndexUnavailable``; ``IndexInconsistent`` for a row that a key or type refuses.
        """
        with self._faults(), self.engine.begin() as connection:
            yield connection

    @contextmanager
    def _faults(self) -> Iterator[None]:
        try:
            yield
        except (IntegrityError, DataError) as error:
            raise Rejected(IndexInconsistent, " ".join(str(error.orig).split())) from error
        except OverflowError as error:
            raise Rejected(IndexInconsistent, f"a number beyond 63 bits: {error}") from error
        except DBAPIError as error:
            raise Rejected(IndexUnavailable, " ".join(str(error.orig).split())) from error

    def version(self) -> int:
        """The schema's version; 0 for an empty database. Errors: ``IndexForeign``."""
        with self.engine.begin() as connection:
            names = inspect(connection).get_table_names()
            if VERSION_TABLE in names:
                text = f'select max("version") from "{VERSION_TABLE}"'
                return int(connection.exec_driver_sql(text).scalar_one())
        others = sorted(set(names) & set(schema.METADATA.tables))
        require(not others, IndexForeign, f"it holds {', '.join(others[:3])} of somebody else")
        return 0

    def migrate(self, up_to: int | None = None) -> int:
        """Bring the schema forward, a version a transaction; the version reached."""
        current = self.version()
        for version, text in migrations():
            if version <= current or (up_to is not None and version > up_to):
                continue
            with self.engine.begin() as connection:
                if version == 1:
                    connection.exec_driver_sql(
                        f'create table "{VERSION_TABLE}" ("version" integer primary key)'
                    )
                for statement in statements(text):
                    connection.exec_driver_sql(statement)
                connection.exec_driver_sql(f'insert into "{VERSION_TABLE}" values ({version})')
            current = version
        return current


def _begin_explicitly(engine: Engine) -> None:
    """SQLite: transactions begin where we say, schema changes included; readers do not block."""

    @event.listens_for(engine, "connect")
    def connected(connection: Any, _: Any) -> None:
        connection.isolation_level = None
        for setting in ("journal_mode=wal", "synchronous=normal", f"busy_timeout={BUSY_MS}"):
            connection.execute(f"pragma {setting}")

    @event.listens_for(engine, "begin")
    def began(connection: Connection) -> None:
        connection.exec_driver_sql("begin")


# Where the index stands


def place(connection: Connection, source: str) -> Place:
    """How far a source has been read."""
    table = schema.progress
    row = connection.execute(select(table).where(table.c.source == source)).one_or_none()
    return NOWHERE if row is None else Place(row.position, row.hash)


def advance(connection: Connection, source: str, before: Place, after: Place) -> None:
    """Move a source's place. Errors: ``IndexBusy`` if another process has moved it meanwhile."""
    table, moved = schema.progress, 1
    if before == NOWHERE:
        row = {"source": source, "position": after.position, "hash": after.hash}
        try:
            add(connection, table, [row])
        except IntegrityError:
            moved = 0
    else:
        moved = connection.execute(
            update_rows(table)
            .where(table.c.source == source)
            .where(table.c.position == before.position, table.c.hash == before.hash)
            .values(position=after.position, hash=after.hash)
        ).rowcount
    require(moved == 1, IndexBusy, f"at {source} {before.position}")


def identify(connection: Connection, facts: Mapping[str, str]) -> None:
    """Give a new database its identity, or compare. Errors: ``IndexForeign``."""
    rows = connection.execute(select(schema.identity)).all()
    known = {row.name: row.value for row in rows}
    if not known:
        add(connection, schema.identity, [{"name": n, "value": v} for n, v in facts.items()])
        return
    for name, value in facts.items():
        found = known.get(name)
        require(found == value, IndexForeign, f"{name}: {found}, not {value}")


def fact(connection: Connection, name: str) -> str | None:
    """One fact of the identity."""
    table = schema.identity
    query = select(table.c.value).where(table.c.name == name)
    return connection.execute(query).scalar_one_or_none()


# Rows


def add(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows."""
    if rows:
        connection.execute(insert(table), list(rows))


def put(connection: Connection, table: Table, rows: Sequence[Row]) -> None:
    """Insert rows, or replace what stands under the same key."""
    if not rows:
        return
    keys = [column.name for column in table.primary_key]
    statement = _insert(connection, table)
    changed = {c.name: statement.excluded[c.name] for c in table.columns if c.name not in keys}
    connection.execute(
        statement.on_conflict_do_update(index_elements=keys, set_=changed), list(rows)
    )


def clear(connection: Connection, tables: Iterable[Table]) -> None:
    """Delete all rows."""
    for table in tables:
        connection.execute(delete_rows(table))


def replace(source: Connection, target: Connection) -> None:
    """Put the rows of one database in the place of another's, in the target's transaction: until it
    ends, others read what was there before.
    """
    clear(target, reversed(schema.METADATA.sorted_tables))
    for table in schema.METADATA.sorted_tables:
        held = source.execution_options(yield_per=ROWS_PER_STATEMENT).execute(select(table))
        for part in held.mappings().partitions(ROWS_PER_STATEMENT):
            add(target, table, [dict(row) for row in part])


def _insert(connection: Connection, table: Table) -> Any:
    if connection.dialect.name == "sqlite":
        return sqlite.insert(table)
    return postgresql.insert(table)


def chunks(values: Iterable[Any]) -> Iterator[list[Any]]:
    """Values in lists short enough for one statement."""
    ordered = list(values)
    for start in range(0, len(ordered), ROWS_PER_STATEMENT):
        yield ordered[start : start + ROWS_PER_STATEMENT]
