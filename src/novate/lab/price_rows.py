"""Raw rows of a price file: CSV text or Parquet, before any judgement of their content.

Owns: finding the file, its kind, its header and its ``#`` lines. Everything hopeless raises
``Rejected`` with a code of the 8xxx partition; no other exception leaves this module. Bounds: 256
MiB and 2,000,000 rows.
"""

from __future__ import annotations

import csv
import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from novate.errors import PriceFileColumns, PriceFileEmpty, PriceFileMissing, Rejected, require

FILE_BYTES_MAX = 256 * 2**20
ROWS_MAX = 2_000_000
COLUMNS = {
    "ts": ("ts", "timestamp", "time", "datetime", "open_time", "opentime", "date", "unix"),
    "open": ("open", "o"),
    "high": ("high", "h"),
    "low": ("low", "l"),
    "close": ("close", "c"),
    "symbol": ("symbol", "pair", "instrument", "ticker"),
    "venue": ("venue", "exchange"),
    "kind": ("kind", "price_kind"),
    "bar_s": ("bar_s",),
}
REQUIRED = ("ts", "open", "high", "low", "close")


@dataclass(frozen=True, slots=True)
class RawFile:
    """``rows`` yields (1-based row number, column name -> cell); ``notes`` are the ``#`` lines with
    their row numbers.
    """

    rows: Iterator[tuple[int, dict[str, object]]]
    columns: frozenset[str]
    notes: tuple[tuple[int, str], ...]


def open_rows(path: Path) -> RawFile:
    """Open CSV or Parquet; raises PriceFileMissing, PriceFileColumns or PriceFileEmpty."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as fault:
        raise Rejected(PriceFileMissing, f"{path}: {fault.strerror}") from fault
    require(size > 0, PriceFileEmpty, f"{path} has no bytes")
    require(
        size <= FILE_BYTES_MAX, PriceFileMissing, f"{path} is larger than {FILE_BYTES_MAX} bytes"
    )
    return _parquet(path) if magic == b"PAR1" else _csv(path)


def _column_places(header: list[str], path: Path) -> dict[str, int]:
    """Column name -> place in the header, case ignored; raises PriceFileColumns naming what is
    missing.
    """
    names = [name.strip().strip('"').lower() for name in header]
    places: dict[str, int] = {}
    for column, aliases in COLUMNS.items():
        for alias in aliases:
            if alias in names:
                places[column] = names.index(alias)
                break
    missing = [column for column in REQUIRED if column not in places]
    seen = ", ".join(names)[:120]
    require(not missing, PriceFileColumns, f"{path.name} lacks {', '.join(missing)} (has: {seen})")
    return places


def _csv(path: Path) -> RawFile:
    """Text cut by comma, semicolon, tab or bar; undecodable bytes become replacement signs."""
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as fault:
        raise Rejected(PriceFileMissing, f"{path}: {fault.strerror}") from fault
    lines = text.splitlines()
    notes: list[tuple[int, str]] = []
    start = 0
    for start, line in enumerate(lines):
        if line.startswith("#"):
            notes.append((start + 1, line[1:].strip()))
        elif line.strip():
            break
    else:
        raise Rejected(PriceFileEmpty, f"{path.name} has no header")
    require(
        len(lines) - start <= ROWS_MAX, PriceFileMissing, f"{path.name} has over {ROWS_MAX} rows"
    )
    header = lines[start]
    delimiter = max(",;\t|", key=header.count)
    places = _column_places(header.split(delimiter), path)
    return RawFile(_csv_rows(lines, start, delimiter, places), frozenset(places), tuple(notes))


def _csv_rows(
    lines: list[str], start: int, delimiter: str, places: dict[str, int]
) -> Iterator[tuple[int, dict[str, object]]]:
    """One row a line (a quoted line break is not a price); short rows give empty cells, blank and
    ``#`` lines none.
    """
    for number in range(start + 1, len(lines)):
        line = lines[number]
        if not line.strip() or line.startswith("#"):
            continue
        try:
            cells = next(csv.reader([line], delimiter=delimiter))
        except csv.Error:
            cells = []
        yield number + 1, {c: cells[p].strip() if p < len(cells) else "" for c, p in places.items()}


def _parquet(path: Path) -> RawFile:
    """Columns of a Parquet file by name; timestamps become whole seconds; needs pyarrow."""
    try:
        parquet: Any = importlib.import_module("pyarrow.parquet")
        file = parquet.ParquetFile(path)
        header = [str(name) for name in file.schema_arrow.names]
        row_count = file.metadata.num_rows
    except ImportError as fault:
        raise Rejected(PriceFileMissing, "reading Parquet needs the package pyarrow") from fault
    except Exception as fault:  # pyarrow's own errors have no common base beside this one
        raise Rejected(PriceFileMissing, f"{path.name} is not readable Parquet") from fault
    places = _column_places(header, path)
    require(row_count <= ROWS_MAX, PriceFileMissing, f"{path.name} has over {ROWS_MAX} rows")
    try:
        table = file.read(columns=[header[place] for place in places.values()])
        columns = {c: _plain(table.column(header[place])) for c, place in places.items()}
    except Exception as fault:  # a torn page shows only when it is read
        raise Rejected(PriceFileMissing, f"{path.name} is not readable Parquet") from fault
    rows = ((i + 1, {c: cells[i] for c, cells in columns.items()}) for i in range(row_count))
    return RawFile(rows, frozenset(places), ())


def _plain(column: Any) -> list[object]:
    """Python values of one Arrow column; dates and timestamps as seconds since 1970, floored."""
    arrow: Any = importlib.import_module("pyarrow")
    if arrow.types.is_temporal(column.type):
        column = column.cast(arrow.timestamp("s"), safe=False).cast(arrow.int64())
    cells: list[object] = column.to_pylist()
    return cells
