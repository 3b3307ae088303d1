"""Pages neither repeat nor skip a row, and decimals are exact."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal, localcontext
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, select
from support.journals import rejection

from novate.errors import BadQuery
from novate.store import database, schema
from novate.store.database import Database
from novate.store.decimals import amount, exact, notional, oracle_price
from novate.store.pages import COUNT_MAX, Answer, Page, fetch
from novate.units import WAD

PLACES = [(block, position, part) for block in (1, 2, 5) for position in (0, 3) for part in (0, 1)]
TABLE = schema.custody_events


@pytest.fixture
def connection() -> Iterator[Connection]:
    with closing(Database.open("sqlite://")) as store, store.begin() as opened:
        common = {"event": "deposited", "account": "0x", "token": "0x", "transaction": "0x"}
        rows = [
            common | dict(zip(("block", "position", "part"), place, strict=True))
            for place in PLACES
        ]
        database.add(
            opened,
            TABLE,
            [r | {"timestamp": 10 * r["block"], "eligible_at": None, "amount": 1} for r in rows],
        )
        yield opened


def ask(connection: Connection, page: Page, unit_ms: int = 1000) -> tuple[list[Any], str | None]:
    keys = TABLE.c.block, TABLE.c.position, TABLE.c.part
    rows, more = fetch(connection, select(TABLE), keys, TABLE.c.timestamp, page, unit_ms)
    return [tuple(row)[:3] for row in rows], more


@pytest.mark.parametrize("count", [1, 2, 3, 5, 11, 12, 13])
@pytest.mark.parametrize("sorting", ["asc", "desc", "default"])
def test_all_pages_together_are_all_rows_in_order(
    connection: Connection, count: int, sorting: str
) -> None:
    found: list[Any] = []
    more = None
    while True:
        rows, more = ask(connection, Page(count, sorting=sorting, continuation=more))
        assert len(rows) <= count
        found += rows
        if more is None:
            break
        assert len(rows) == count
    assert found == (PLACES if sorting == "asc" else PLACES[::-1])


def test_a_row_that_is_added_meanwhile_moves_no_page(connection: Connection) -> None:
    first, more = ask(connection, Page(4))
    row = dict(connection.execute(select(TABLE)).first()._mapping)  # type: ignore[union-attr]
    database.add(connection, TABLE, [row | {"block": 99}])
    second, _ = ask(connection, Page(8, continuation=more))
    assert first + second == PLACES[::-1]


@pytest.mark.parametrize(
    ("start", "end", "blocks"),
    [
        (None, None, {1, 2, 5}),
        (20_000, None, {2, 5}),
        (20_001, None, {5}),
        (None, 20_000, {1, 2}),
        (None, 19_999, {1}),
        (20_000, 20_000, {2}),
        (20_001, 20_999, set()),
    ],
)
def test_both_ends_of_a_time_are_inside(
    connection: Connection, start: int | None, end: int | None, blocks: set[int]
) -> None:
    rows, more = ask(connection, Page(100, start, end))
    assert {block for block, _, _ in rows} == blocks and more is None


BAD: list[Page] = [
    Page(0),
    Page(-1),
    Page(COUNT_MAX + 1),
    Page(True),
    Page("10"),  # type: ignore[arg-type]
    Page(1.5),  # type: ignore[arg-type]
    Page(start_timestamp=-1),
    Page(end_timestamp=2**63),
    Page(start_timestamp=1.0),  # type: ignore[arg-type]
    Page(sorting="up"),
    Page(sorting="asc; drop table trades"),
    *(Page(continuation=text) for text in ("", "x", "1", "1.2", "1.2.3.4", "1.2.-3", "1..2")),
    Page(continuation="9" * 20 + ".0.0"),
    Page(continuation=f"{2**63}.0.0"),
    Page(continuation="١.٢.٣"),
    Page(continuation=7),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("page", BAD, ids=repr)
def test_a_page_that_makes_no_sense_is_refused(connection: Connection, page: Page) -> None:
    assert rejection(lambda: ask(connection, page))[0] is BadQuery


def test_an_answer_says_whether_there_is_more() -> None:
    assert Answer([1], "1").has_more and not Answer([1]).has_more


@given(value=st.integers(-(2**256), 2**256), digits=st.integers(0, 36))
def test_decimal_text_is_the_number(value: int, digits: int) -> None:
    text = exact(value, digits)
    with localcontext() as context:
        context.prec = 200
        assert Decimal(text).scaleb(digits) == value
    assert not ("." in text and text.endswith("0")) and not text.endswith(".")
    assert "e" not in text.lower() and text != "-0"


def test_units_of_prices_and_amounts() -> None:
    assert oracle_price(10**15) == "100000"
    assert amount(-3, WAD // 1000) == "-0.003"
    assert notional(2 * 100_000 * WAD, WAD // 1000) == "200"
