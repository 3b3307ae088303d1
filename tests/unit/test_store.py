"""Transactional tables: a rejected command changes nothing (I13), the hash sees every row (I12)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from novate.model.store import Store

WRITES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 3)))


class Refused(Exception):
    """Raised inside a transaction."""


def test_a_missing_row_is_the_default() -> None:
    table = Store().table("cash", 0)
    assert table["alice"] == 0
    assert "alice" not in table


def test_a_table_name_is_used_once() -> None:
    store = Store()
    store.table("cash", 0)
    with pytest.raises(AssertionError, match="cash"):
        store.table("cash", 0)


def test_writes_stay_when_the_transaction_succeeds() -> None:
    store = Store()
    table = store.table("cash", 0)
    with store.transaction():
        table["alice"] = 1
    assert table["alice"] == 1


@given(WRITES, WRITES)
def test_a_rejected_transaction_changes_nothing(
    before: list[tuple[str, int]], after: list[tuple[str, int]]
) -> None:
    store = Store()
    table = store.table("cash", 0)
    for key, value in before:
        table[key] = value
    rows, digest = dict(table.rows), store.state_hash()
    with pytest.raises(Refused), store.transaction():
        for key, value in after:
            table[key] = value
        raise Refused
    assert table.rows == rows
    assert store.state_hash() == digest


def test_an_inner_rejection_leaves_the_outer_writes() -> None:
    store = Store()
    table = store.table("cash", 0)
    with store.transaction():
        table["alice"] = 1
        with pytest.raises(Refused), store.transaction():
            table["alice"] = 2
            table["bob"] = 2
            raise Refused
        assert (table["alice"], "bob" in table) == (1, False)
    assert table["alice"] == 1


def test_an_outer_rejection_undoes_a_finished_inner_transaction() -> None:
    store = Store()
    table = store.table("cash", 0)
    table["alice"] = 1
    with pytest.raises(Refused), store.transaction():
        with store.transaction():
            table["alice"] = 2
            table["bob"] = 2
        raise Refused
    assert (table["alice"], "bob" in table) == (1, False)
    assert store.undo is None


@given(st.permutations(list("abcdef")))
def test_the_hash_does_not_depend_on_the_order_of_writes(keys: list[str]) -> None:
    store, sorted_store = Store(), Store()
    table, sorted_table = store.table("cash", 0), sorted_store.table("cash", 0)
    for key in keys:
        table[key] = ord(key)
    for key in sorted(keys):
        sorted_table[key] = ord(key)
    assert store.state_hash() == sorted_store.state_hash()
    assert list(table.items()) == list(sorted_table.items())


def test_a_row_equal_to_the_default_is_as_good_as_none() -> None:
    store = Store()
    empty = store.state_hash()
    table = store.table("cash", 0)
    table["alice"] = 0
    assert store.state_hash() == empty


def test_the_hash_sees_table_key_and_row() -> None:
    def digest(name: str, key: str, row: int) -> str:
        store = Store()
        store.table(name, 0)[key] = row
        return store.state_hash()

    assert (
        len({digest("a", "x", 1), digest("b", "x", 1), digest("a", "y", 1), digest("a", "x", 2)})
        == 4
    )
