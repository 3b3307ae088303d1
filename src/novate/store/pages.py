"""Pages of a long answer: how many rows, of which time, in which order, and where to go on.

A page ends with a continuation that names its last row by the table's key, so that the next page
neither repeats nor skips a row, whatever was added meanwhile. Times are milliseconds, both ends
included. Newest first unless asked otherwise.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, literal, tuple_
from sqlalchemy import Row as DatabaseRow

from novate.errors import BadQuery, require
from novate.units import div_down, div_up

T = TypeVar("T")

COUNT_DEFAULT = 10
COUNT_MAX = 1_000
TIME_MS_MAX = 2**53
ASCENDING, DESCENDING, DEFAULT = "asc", "desc", "default"
_CONTINUATION = re.compile(r"[0-9]{1,19}(\.[0-9]{1,19}){0,2}")


@dataclass(frozen=True, slots=True)
class Page:
    """What a caller asks for."""

    count: int = COUNT_DEFAULT
    start_timestamp: int | None = None
    end_timestamp: int | None = None
    sorting: str = DEFAULT
    continuation: str | None = None

    def check(self) -> None:
        """Errors: ``BadQuery``."""
        whole = type(self.count) is int and 1 <= self.count <= COUNT_MAX
        require(whole, BadQuery, f"count: is not 1 to {COUNT_MAX}")
        require(
            self.sorting in (ASCENDING, DESCENDING, DEFAULT),
            BadQuery,
            "sorting: is asc, desc or default",
        )
        for name, time in (("start", self.start_timestamp), ("end", self.end_timestamp)):
            fits = time is None or (type(time) is int and 0 <= time <= TIME_MS_MAX)
            require(fits, BadQuery, f"{name}_timestamp: is 0 to {TIME_MS_MAX}")

    @property
    def ascends(self) -> bool:
        """Oldest first."""
        return self.sorting == ASCENDING


@dataclass(frozen=True, slots=True)
class Answer(Generic[T]):
    """One page; ``continuation`` is None at the end."""

    rows: list[T]
    continuation: str | None = None

    @property
    def has_more(self) -> bool:
        """Whether there is a further page."""
        return self.continuation is not None


def fetch(
    connection: Connection,
    query: Select[Any],
    keys: Sequence[ColumnElement[int]],
    time: ColumnElement[int],
    page: Page,
    unit_ms: int = 1,
) -> tuple[list[DatabaseRow[Any]], str | None]:
    """A page of a query whose rows are numbered by ``keys`` and stamped ``time`` (of ``unit_ms``).

    Errors: ``BadQuery``.
    """
    page.check()
    if page.start_timestamp is not None:
        query = query.where(time >= div_up(page.start_timestamp, unit_ms))
    if page.end_timestamp is not None:
        query = query.where(time <= div_down(page.end_timestamp, unit_ms))
    place = tuple_(*keys)
    if page.continuation is not None:
        last = tuple_(*(literal(number) for number in _read(page.continuation, len(keys))))
        query = query.where(place > last if page.ascends else place < last)
    order = [key.asc() if page.ascends else key.desc() for key in keys]
    rows = list(connection.execute(query.order_by(*order).limit(page.count + 1)))
    if len(rows) <= page.count:
        return rows, None
    rows = rows[: page.count]
    names = [str(key.key) for key in keys]
    return rows, ".".join(str(rows[-1]._mapping[name]) for name in names)


def _read(continuation: str, count: int) -> list[int]:
    sound = isinstance(continuation, str) and _CONTINUATION.fullmatch(continuation)
    require(bool(sound), BadQuery, "continuation: is none of ours")
    numbers = [int(number) for number in continuation.split(".")]
    fits = len(numbers) == count and all(number < 2**63 for number in numbers)
    require(fits, BadQuery, "continuation: is of another query")
    return numbers
