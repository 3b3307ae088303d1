"""The read side's database: one schema on both engines, exact numbers, one writer, its own rows."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import BigInteger, Connection, inspect, select, text
from support.journals import rejection

from novate import errors
from novate.store import database, schema
from novate.store.database import NOWHERE, Database, Place

NUMBERS = (0, 1, -1, 2**63, 2**256 - 1, -(2**255), 10**18 + 1)


def outcome(place: int, sequence: int, settled: int = 1) -> dict[str, object]:
    empty = {column.name: None for column in schema.outcomes.columns if column.nullable}
    return empty | {
        "block": place,
        "position": 0,
        "part": 0,
        "sequence": sequence,
        "settled": settled,
        "ours": 1,
        "code": 0,
        "executor": "0xe",
        "transaction": "0xt",
    }


def test_the_migrations_make_the_tables_that_the_code_speaks_of(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        found = inspect(connection)
        assert set(schema.METADATA.tables) | {"schema_version"} == set(found.get_table_names())
        for name, table in schema.METADATA.tables.items():
            made = {c["name"]: c for c in found.get_columns(name)}
            assert set(made) == {column.name for column in table.columns}, name
            for column in table.columns:
                assert made[column.name]["nullable"] == column.nullable, (name, column.name)
                whole = isinstance(made[column.name]["type"], BigInteger)
                assert whole == isinstance(column.type, BigInteger), (name, column.name)
            keys = found.get_pk_constraint(name)["constrained_columns"]
            assert keys == [column.name for column in table.primary_key], name


def test_a_database_of_version_1_is_brought_forward_with_its_rows(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f'drop table "{name}"'))
    with closing(_unmigrated(database_url)) as store:
        assert store.migrate(up_to=1) == 1
        with store.begin() as connection:
            database.add(connection, schema.blocks, [{"block": 1, "timestamp": 2, "hash": "0x3"}])
            assert not inspect(connection).get_indexes("outcomes")
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        assert store.version() == len(database.migrations()) == 4
        assert connection.execute(select(schema.blocks)).all() == [(1, 2, "0x3")]
        names = {index["name"] for index in inspect(connection).get_indexes("outcomes")}
        assert "outcomes_settle_once" in names
    with closing(Database.open(database_url)) as store:
        assert store.migrate() == 4, "a second time changes nothing"


def _unmigrated(url: str) -> Database:
    """A connection without the check that opening makes."""
    made = Database.open(url)
    with made.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f'drop table "{name}"'))
    return made


def test_a_schema_of_a_later_release_is_refused(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        connection.execute(text('insert into "schema_version" values (99)'))
    error, detail = rejection(lambda: Database.open(database_url))
    assert error is errors.IndexForeign and "99" in detail


def test_somebody_elses_tables_are_left_alone(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f'drop table "{name}"'))
        connection.execute(text('create table "trades" ("mine" integer)'))
    error, detail = rejection(lambda: Database.open(database_url))
    assert error is errors.IndexForeign and "trades" in detail


@pytest.mark.parametrize("url", ["", "nonsense", "mysql://localhost/x"])
def test_other_urls_are_refused(url: str) -> None:
    assert rejection(lambda: Database.open(url))[0] is errors.InvalidParameter


def test_a_server_that_is_not_there_is_a_named_error(tmp_path: Path) -> None:
    url = "postgresql://novate@127.0.0.1:1/postgres"
    assert rejection(lambda: Database.open(url))[0] is errors.IndexUnavailable
    missing = f"sqlite:///{tmp_path}/no/such/folder/index.db"
    assert rejection(lambda: Database.open(missing))[0] is errors.IndexUnavailable


def test_numbers_of_any_size_come_back_exactly(database_url: str) -> None:
    row = {"block": 1, "position": 0, "instrument": 0, "timestamp": 0, "rate_ppb": 0}
    row |= {"open_interest": 0, "index_price": 0, "mark_price": 0, "longs_received": 0}
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        rows = [row | {"instrument": i, "funding_index": n} for i, n in enumerate(NUMBERS)]
        database.add(connection, schema.funding, rows)
        query = select(schema.funding.c.funding_index).order_by(schema.funding.c.instrument)
        assert tuple(connection.scalars(query)) == NUMBERS


def test_a_number_that_somebody_rewrote_is_refused(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        columns = (
            "block position instrument timestamp rate_ppb open_interest index_price mark_price"
        )
        names = ", ".join(f'"{name}"' for name in columns.split())
        connection.execute(
            text(
                f'insert into "funding" ({names}, "funding_index", "longs_received")'
                " values (1, 0, 0, 0, 0, 0, 0, 0, '1e5', '0')"
            )
        )
        query = select(schema.funding.c.funding_index)
        assert rejection(lambda: connection.execute(query).all())[0] is errors.MalformedOrder


def test_a_sequence_settles_once_and_may_be_refused_often(database_url: str) -> None:
    with closing(Database.open(database_url)) as store:
        with store.begin() as connection:
            database.add(connection, schema.outcomes, [outcome(1, 7), outcome(2, 7, settled=0)])
            database.add(connection, schema.outcomes, [outcome(3, 7, settled=0), outcome(4, 8)])

        def again() -> None:
            with store.begin() as connection:
                database.add(connection, schema.outcomes, [outcome(5, 7)])

        assert rejection(again)[0] is errors.IndexInconsistent


def test_what_does_not_fit_63_bits_is_refused_by_name(database_url: str) -> None:
    with closing(Database.open(database_url)) as store:

        def write() -> None:
            with store.begin() as connection:
                database.add(
                    connection, schema.blocks, [{"block": 2**63, "timestamp": 0, "hash": ""}]
                )

        assert rejection(write)[0] is errors.IndexInconsistent


def test_two_writers_do_not_both_advance(database_url: str) -> None:
    first, second = Place(5, "0xa"), Place(9, "0xb")
    with closing(Database.open(database_url)) as store:

        def advance(before: Place, after: Place) -> None:
            with store.begin() as connection:
                database.advance(connection, "journal", before, after)

        advance(NOWHERE, first)
        assert rejection(lambda: advance(NOWHERE, second))[0] is errors.IndexBusy
        assert rejection(lambda: advance(Place(5, "0xc"), second))[0] is errors.IndexBusy
        advance(first, second)
        assert rejection(lambda: advance(first, second))[0] is errors.IndexBusy
        with store.begin() as connection:
            assert database.place(connection, "journal") == second
            assert database.place(connection, "chain") == NOWHERE


def test_an_identity_is_given_once_and_compared_ever_after(database_url: str) -> None:
    with closing(Database.open(database_url)) as store:

        def identify(connection: Connection, **facts: str) -> None:
            database.identify(connection, facts)

        with store.begin() as connection:
            identify(connection, chain_id="1")
            identify(connection, chain_id="1")
            assert database.fact(connection, "chain_id") == "1"
            assert database.fact(connection, "other") is None
            error, detail = rejection(lambda: identify(connection, chain_id="2"))
        assert error is errors.IndexForeign and "chain_id: 1, not 2" in detail


def test_rows_under_the_same_key_are_replaced(database_url: str) -> None:
    with closing(Database.open(database_url)) as store, store.begin() as connection:
        database.put(connection, schema.blocks, [])
        database.put(connection, schema.blocks, [{"block": 1, "timestamp": 2, "hash": "a"}])
        database.put(connection, schema.blocks, [{"block": 1, "timestamp": 3, "hash": "b"}])
        assert connection.execute(select(schema.blocks)).all() == [(1, 3, "b")]
        database.clear(connection, [schema.blocks])
        assert connection.execute(select(schema.blocks)).all() == []


def test_a_failed_transaction_leaves_nothing(database_url: str) -> None:
    with closing(Database.open(database_url)) as store:
        with pytest.raises(ZeroDivisionError), store.begin() as connection:
            database.add(connection, schema.blocks, [{"block": 1, "timestamp": 2, "hash": "a"}])
            raise ZeroDivisionError
        with store.begin() as connection:
            assert connection.execute(select(schema.blocks)).all() == []
