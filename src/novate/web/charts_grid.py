"""A heat map as inline SVG: one cell a pair of shocks, coloured by gain or loss, its figure in it.

Owns: the cells, their shades by size against a stated whole, and the mark on cells that lose more
than that whole. Floats are for drawing only. Names are escaped; the empty string means no data.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from novate.web.charts import Label, compact

CELL_HEIGHT, LEFT, TOP, BOTTOM, RIGHT = 30, 118, 26, 8, 6
SHADE_MAX = 0.85


def percent(value: float) -> str:
    """A signed move: +5 %, −12.5 %."""
    text = f"{abs(value):g} %"
    return f"+{text}" if value > 0 else f"−{text}" if value < 0 else "0"


def thousands(value: float) -> str:
    """A short amount for small screens: −33k, 1.2m, 450."""
    size = abs(value)
    if size < 10_000 or size >= 1_000_000:
        return compact(value)
    return f"{'−' if value < 0 else ''}{size / 1_000:,.0f}k"


def heat_map(
    columns: Sequence[float],
    rows: Sequence[float],
    values: Sequence[Sequence[float]],
    *,
    whole: float,
    label: str,
    heads: tuple[str, str],
    width: int,
    left: int = LEFT,
    show: Label = compact,
) -> str:
    """Cells of ``values[row][column]``; a loss of more than ``whole`` is outlined.

    ``heads`` name what columns and rows shock; shades grow with the size against ``whole``.
    """
    if not columns or not rows:
        return ""
    step = (width - left - RIGHT) / len(columns)
    body = _text(left - 6, TOP - 9, f"{heads[1]} ↓ {heads[0]} →", "end")
    for place, move in enumerate(columns):
        body += _text(left + (place + 0.5) * step, TOP - 9, percent(move), "middle")
    for line, (move, cells) in enumerate(zip(rows, values, strict=True)):
        top = TOP + line * CELL_HEIGHT
        body += _text(left - 6, top + 19, percent(move), "end")
        for place, value in enumerate(cells):
            title = (
                f"{heads[0]} {percent(columns[place])}, {heads[1]} {percent(move)}: {value:,.0f}"
            )
            body += _cell(left + place * step, top, step, value, whole, title, show)
    height = TOP + len(rows) * CELL_HEIGHT + BOTTOM
    box = f"0 0 {width} {height}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(label, quote=True)}">{body}</svg>'


def _cell(
    left: float, top: float, width: float, value: float, whole: float, title: str, show: Label
) -> str:
    share = min(abs(value) / whole, 1.0) if whole > 0 else 1.0
    lost = value < 0 and -value > whole
    style = "cell lost" if lost else "cell"
    colour = "s0" if value >= 0 else "s1"
    figure = _text(left + width / 2, top + 19, show(round(value) or 0), "middle")
    return (
        f'<g class="{style}"><title>{escape(title)}</title>'
        f'<rect class="fill {colour}" x="{left + 1:.1f}" y="{top + 1}" width="{width - 2:.1f}" '
        f'height="{CELL_HEIGHT - 2}" fill-opacity="{0.05 + SHADE_MAX * share:.2f}"/>{figure}</g>'
    )


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
