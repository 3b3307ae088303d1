"""Records as a person reads them in a terminal: a table if it fits, and nothing cut if not.

Owns: the layout of lists. An id or a name is never cut and never broken into two lines, so that it
can be copied: what is too long for the table stands on a line of its own below its row, and where
even the rest is too wide, each record is a block of lines. What goes into a file or another program
is always a table. Widths in characters.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

Fields = Sequence[tuple[str, str]]
GAP = "  "
LONG = 40  # what is longer, an order's id say, does not belong between columns
UNBOUNDED = 10_000


def width_shown() -> int:
    """How wide a line may be: a terminal's width, or COLUMNS; no bound in a file or a pipe."""
    if sys.stdout.isatty() or "COLUMNS" in os.environ:
        return shutil.get_terminal_size().columns
    return UNBOUNDED


def lines(rows: Sequence[Mapping[str, Any]], fields: Fields, width: int) -> list[str]:
    """The rows' fields under their headings, within a width; what is None is left blank."""
    texts = [{name: _text(row.get(name)) for name, _ in fields} for row in rows]
    made = _table(texts, fields)
    if _widest(made) <= width:
        return made
    long = [field for field in fields if any(len(text[field[0]]) > LONG for text in texts)]
    short = [field for field in fields if field not in long]
    made = _table(texts, short)
    if not long or _widest(made) > width:
        return _blocks(texts, fields)
    found = made[:1]
    for line, text in zip(made[1:], texts, strict=True):
        found += [line, *(f"{GAP}{heading} {text[name]}" for name, heading in long if text[name])]
    return found


def block(row: Mapping[str, Any], fields: Fields) -> list[str]:
    """One record, a line a field."""
    width = max(len(heading) for _, heading in fields)
    return [f"{heading:<{width}}{GAP}{_text(row.get(name))}".rstrip() for name, heading in fields]


def _blocks(texts: list[dict[str, str]], fields: Fields) -> list[str]:
    """Blocks with an empty line between them."""
    found: list[str] = []
    for text in texts:
        found += [*([""] if found else []), *block(text, fields)]
    return found


def _table(texts: list[dict[str, str]], fields: Fields) -> list[str]:
    """Headings and rows, each column as wide as it must be; numbers stand on the right."""
    columns = []
    for name, heading in fields:
        cells = [text[name] for text in texts]
        wide = max(map(len, [heading, *cells]))
        right = any(map(_is_number, cells)) and all(_is_number(cell) or not cell for cell in cells)
        place = str.rjust if right else str.ljust
        columns.append([place(cell, wide) for cell in [heading, *cells]])
    return [GAP.join(cells).rstrip() for cells in zip(*columns, strict=True)]


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _text(value: Any) -> str:
    return "" if value is None else str(value)


def _widest(made: list[str]) -> int:
    return max(map(len, made))
