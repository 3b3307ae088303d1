"""Charts as inline SVG: lines with gaps, stacked areas, bars, histograms and points; no script,
hover text by ``<title>``.

Owns: scales, ticks, colours by class (``s0`` .. ``s6``, coloured in the page's style sheet) and the
escaping of every name. Floats are for drawing only. Each function returns one ``<svg>`` with a
fixed view box that the page scales; the empty string means no data.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from itertools import pairwise
from math import ceil, floor, isfinite, log10

Column = Sequence[float | None]
Label = Callable[[float], str]

WIDE, NARROW = 1160, 560
PLOT_HEIGHT = 240
LEFT, RIGHT, TOP, BOTTOM, LANE = 66, 12, 10, 24, 13
POINTS_MAX = 420
SLOTS_MAX = 140
BINS_MAX = 24
BAND = "band"
_TIME_STEPS = (60, 300, 600, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400)


@dataclass(frozen=True)
class Line:
    """One series of a chart; ``style`` is a CSS class that also sets the dash."""

    name: str
    values: Column
    style: str


@dataclass(frozen=True)
class Frame:
    """The plotting area and its two scales."""

    width: int
    x_range: tuple[float, float]
    y_range: tuple[float, float]
    height: int = PLOT_HEIGHT

    def x(self, value: float) -> float:
        """Pixels from the left."""
        low, high = self.x_range
        return LEFT + (value - low) / ((high - low) or 1) * (self.width - LEFT - RIGHT)

    def y(self, value: float) -> float:
        """Pixels from the top; values outside are held at the edge."""
        low, high = self.y_range
        share = (min(max(value, low), high) - low) / ((high - low) or 1)
        return TOP + (1 - share) * self.height


def compact(value: float) -> str:
    """A short number: 1.2m, 118,200, −0.25."""
    sign, size = ("−" if value < 0 else ""), abs(value)
    for unit, suffix in ((1e9, "bn"), (1e6, "m")):
        if size >= unit:
            return f"{sign}{size / unit:,.4g}{suffix}"
    if size >= 1_000 or size == int(size):
        return f"{sign}{size:,.0f}"
    return f"{sign}{size:,.3g}"


def clock(ts: float) -> str:
    """Hours and minutes UTC."""
    return datetime.fromtimestamp(ts, UTC).strftime("%H:%M")


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round values (1, 2, 2.5 or 5 times a power of ten) that span [low, high]; at most ``count`` +
    2.
    """
    width = (high - low) or max(abs(high), 1.0)
    power = 10.0 ** floor(log10(width / count))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= width / count)
    first, last = floor(low / step + 1e-9), ceil(high / step - 1e-9)
    return [k * step for k in range(first, max(last, first + 1) + 1)]


def line_chart(
    ts: Sequence[int],
    lines: Sequence[Line],
    *,
    label: str,
    width: int = NARROW,
    show: Label = compact,
    zero: bool = False,
    most: float | None = None,
    lanes: bool = False,
    stacked: bool = False,
) -> str:
    """Lines over time, drawn in their order; a None breaks the line.

    ``lanes`` adds a strip a series that shows its silences (not for the style ``BAND``);
    ``stacked`` fills upward from zero; ``most`` holds higher values at the top edge.
    """
    lines = [Line(line.name, _finite(line.values), line.style) for line in lines]
    lines = [line for line in lines if any(v is not None for v in line.values)]
    if len(ts) < 2 or not lines:
        return ""
    tops = _stack(lines) if stacked else [line.values for line in lines]
    seen = [min(v, most) if most is not None else v for c in tops for v in c if v is not None]
    low, high = min([*seen, 0] if zero or stacked else seen), max([*seen, 0] if zero else seen)
    bounds = ticks(low, high) if low or high else [-1.0, 0.0, 1.0]
    frame = Frame(width, (ts[0], ts[-1]), (bounds[0], bounds[-1]))
    body = _grid(frame, bounds, compact)
    if stacked:
        floors: list[Column] = [[0.0] * len(ts), *tops[:-1]]
        for line, bottom, top in zip(lines, floors, tops, strict=True):
            body += _area(frame, ts, bottom, top, line.style)
    else:
        body += "".join(_path(frame, ts, line) for line in lines)
    watched = [line for line in lines if line.style != BAND] if lanes else []
    extra, depth = _lanes(frame, ts, watched), LANE * len(watched)
    body += extra + _time_axis(frame, depth) + _slots(frame, ts, lines, show)
    return _svg(width, frame.height + depth, label, body)


def bar_chart(ts: Sequence[int], lines: Sequence[Line], *, label: str, width: int = NARROW) -> str:
    """Stacked bars over time, one a time stamp, all counts from zero."""
    lines = [line for line in lines if any(line.values)]
    if len(ts) < 2 or not lines:
        return ""
    tops = _stack(lines)
    bounds = ticks(0, max(v for v in tops[-1] if v is not None))
    step = ts[1] - ts[0]
    frame = Frame(width, (ts[0], ts[-1] + step), (0, bounds[-1]))
    body = _grid(frame, bounds, compact)
    for place in reversed(range(len(lines))):
        path = ""
        for at, value in zip(ts, tops[place], strict=True):
            if value:
                left, right = frame.x(at), frame.x(at + step * 0.85)
                base, top = frame.y(0), frame.y(value)
                path += f"M{left:.1f} {base:.1f}V{top:.1f}H{right:.1f}V{base:.1f}Z"
        body += f'<path class="fill {lines[place].style}" d="{path}"/>'
    body += _time_axis(frame, 0) + _slots(frame, ts, lines, compact)
    return _svg(width, frame.height, label, body)


def histogram(values: Sequence[float], *, label: str, unit: str, width: int = NARROW) -> str:
    """Counts of values in at most 24 equal bins between round bounds."""
    if not values:
        return ""
    edges = ticks(min(values), max(values), BINS_MAX - 2)
    step = edges[1] - edges[0]
    counts = [0] * len(edges)
    for value in values:
        counts[min(max(floor((value - edges[0]) / step), 0), len(edges) - 1)] += 1
    bounds = ticks(0, max(counts))
    frame = Frame(width, (edges[0], edges[-1] + step), (0, bounds[-1]))
    body = _grid(frame, bounds, compact)
    for edge, count in zip(edges, counts, strict=True):
        left, right = frame.x(edge) + 0.5, frame.x(edge + step) - 0.5
        top = frame.y(count)
        title = f"{compact(edge)} to {compact(edge + step)} {unit}: {count:,}"
        body += (
            f'<rect class="fill s0" x="{left:.1f}" y="{top:.1f}" width="{right - left:.1f}" '
            f'height="{frame.y(0) - top:.1f}"><title>{escape(title)}</title></rect>'
        )
    for edge in ticks(edges[0], edges[-1] + step, 6):
        if frame.x_range[0] <= edge <= frame.x_range[1]:
            anchor = _anchor(frame, edge)
            body += _text(frame.x(edge), TOP + frame.height + 16, compact(edge), anchor)
    return _svg(width, frame.height, label, body)


def scatter(
    points: Sequence[tuple[int, float, str]],
    *,
    label: str,
    span: tuple[int, int],
    width: int = NARROW,
    show: Label = compact,
) -> str:
    """Points (time, value, hover text) over the time span."""
    if not points:
        return ""
    values = [value for _, value, _ in points]
    bounds = ticks(min(values), max(values))
    frame = Frame(width, span, (bounds[0], bounds[-1]))
    body = _grid(frame, bounds, show)
    for at, value, title in points:
        body += (
            f'<circle class="dot s1" cx="{frame.x(at):.1f}" cy="{frame.y(value):.1f}" r="3.5">'
            f"<title>{escape(title)}</title></circle>"
        )
    return _svg(width, frame.height, label, body + _time_axis(frame, 0))


def silences(ts: Sequence[int], values: Column) -> list[tuple[int, int]]:
    """[start, end) of every stretch of None; the last one ends at the last time stamp."""
    stretches: list[tuple[int, int]] = []
    start: int | None = None
    for at, value in zip(ts, values, strict=True):
        if value is None and start is None:
            start = at
        elif value is not None and start is not None:
            stretches.append((start, at))
            start = None
    return [*stretches, (start, ts[-1])] if start is not None else stretches


def per_minute(ts: Sequence[int], columns: Sequence[Column]) -> tuple[list[int], list[list[float]]]:
    """Counts summed by the minute (None is 0); minutes without a time stamp are zero, beyond a week
    nothing is filled in.
    """
    minutes = sorted({at // 60 * 60 for at in ts})
    if minutes and minutes[-1] - minutes[0] <= 7 * 86_400:
        minutes = list(range(minutes[0], minutes[-1] + 60, 60))
    place = {minute: k for k, minute in enumerate(minutes)}
    sums = [[0.0] * len(minutes) for _ in columns]
    for row, column in zip(sums, columns, strict=True):
        for at, value in zip(ts, column, strict=True):
            row[place[at // 60 * 60]] += value or 0
    return minutes, sums


def _finite(values: Column) -> list[float | None]:
    """The column with None for what cannot be drawn."""
    return [v if v is not None and isfinite(v) else None for v in values]


def _stack(lines: Sequence[Line]) -> list[list[float | None]]:
    """Running sums over the series, None counted as 0."""
    tops: list[list[float | None]] = []
    below = [0.0] * len(lines[0].values)
    for line in lines:
        below = [b + (v or 0) for b, v in zip(below, line.values, strict=True)]
        tops.append(list(below))
    return tops


def _thin(ts: Sequence[int], values: Column) -> list[tuple[int, float | None]]:
    """At most about 840 points: of each bucket its lowest and highest in order, and its breaks."""
    if len(ts) <= 2 * POINTS_MAX:
        return list(zip(ts, values, strict=True))
    size = ceil(len(ts) / POINTS_MAX)
    kept: set[int] = {0, len(ts) - 1}
    for start in range(0, len(ts), size):
        places = range(start, min(start + size, len(ts)))
        known = [(v, k) for k in places if (v := values[k]) is not None]
        if known:
            kept |= {min(known)[1], max(known)[1]}
        kept |= {k for k in places if values[k] is None and (k == 0 or values[k - 1] is not None)}
    return [(ts[k], values[k]) for k in sorted(kept)]


def _path(frame: Frame, ts: Sequence[int], line: Line) -> str:
    """One polyline with breaks."""
    d, drawing = "", False
    for at, value in _thin(ts, line.values):
        if value is None:
            drawing = False
            continue
        d += f"{'L' if drawing else 'M'}{frame.x(at):.1f} {frame.y(value):.1f}"
        drawing = True
    return f'<path class="line {line.style}" d="{d}"/>'


def _area(frame: Frame, ts: Sequence[int], bottom: Column, top: Column, style: str) -> str:
    """The band between two stacked columns."""
    upper = [f"{frame.x(at):.1f} {frame.y(value or 0):.1f}" for at, value in _thin(ts, top)]
    lower = [f"{frame.x(at):.1f} {frame.y(value or 0):.1f}" for at, value in _thin(ts, bottom)]
    return f'<path class="area {style}" d="M{"L".join([*upper, *reversed(lower)])}Z"/>'


def _lanes(frame: Frame, ts: Sequence[int], lines: Sequence[Line]) -> str:
    """A thin strip a series under the plot: present (its colour) or silent (an open box)."""
    body = ""
    for place, line in enumerate(lines):
        top = TOP + frame.height + 4 + LANE * place
        left, right = frame.x(ts[0]), frame.x(ts[-1])
        body += (
            f'<rect class="lane {line.style}" x="{left:.1f}" y="{top}" width="{right - left:.1f}" '
            f'height="{LANE - 6}"/>'
        )
        for start, end in silences(ts, line.values):
            width = max(frame.x(end) - frame.x(start), 2)
            title = f"{line.name} silent {clock(start)} to {clock(end)} UTC"
            body += (
                f'<rect class="silent" x="{frame.x(start):.1f}" y="{top - 1}" width="{width:.1f}" '
                f'height="{LANE - 4}"><title>{escape(title)}</title></rect>'
            )
    return body


def _grid(frame: Frame, bounds: Sequence[float], show: Label) -> str:
    """Horizontal rules with their values."""
    body = ""
    for value in bounds:
        y = frame.y(value)
        style = "zero" if value == 0 else "rule"
        body += f'<path class="{style}" d="M{LEFT} {y:.1f}H{frame.width - RIGHT}"/>'
        body += _text(LEFT - 6, y + 4, show(value), "end")
    return body


def _time_axis(frame: Frame, depth: int) -> str:
    """Round times under the plot, UTC; dates when the span exceeds two days. What a small screen
    has no room for, every second one, is of the class ``odd``.
    """
    low, high = frame.x_range
    wanted = (high - low) / (frame.width / 65)
    step = next((s for s in _TIME_STEPS if s >= wanted), _TIME_STEPS[-1] * ceil(wanted / 86_400))
    style = "%H:%M" if high - low <= 2 * 86_400 else "%d %b"
    y = TOP + frame.height + depth + 16
    body = _text(0, y, "UTC", "start", odd=True)
    for k in range(ceil(low / step), floor(high / step) + 1):
        text = datetime.fromtimestamp(k * step, UTC).strftime(style)
        body += f'<path class="tick" d="M{frame.x(k * step):.1f} {TOP}v{frame.height}"/>'
        body += _text(frame.x(k * step), y, text, _anchor(frame, k * step), odd=k % 2 == 1)
    return body


def _anchor(frame: Frame, value: float) -> str:
    """The middle of a label under its tick, or its end where it would leave the chart."""
    return "end" if frame.x(value) > frame.width - RIGHT - 16 else "middle"


def _slots(frame: Frame, ts: Sequence[int], lines: Sequence[Line], show: Label) -> str:
    """Invisible columns whose hover text lists every series at that time."""
    size = ceil(len(ts) / SLOTS_MAX)
    places = list(range(0, len(ts), size))
    edges = [frame.x(ts[k]) for k in places] + [frame.width - RIGHT]
    body = ""
    for place, (left, right) in zip(places, pairwise(edges), strict=True):
        rows = [f"{clock(ts[place])} UTC"]
        for line in lines:
            value = line.values[place]
            rows.append(f"{line.name}: {'silent' if value is None else show(value)}")
        body += (
            f'<rect class="slot" x="{left:.1f}" y="{TOP}" width="{max(right - left, 0):.1f}" '
            f'height="{frame.height}"><title>{escape(chr(10).join(rows))}</title></rect>'
        )
    return body


def _text(x: float, y: float, text: str, anchor: str, odd: bool = False) -> str:
    """One label."""
    style = ' class="odd"' if odd else ""
    place = f'x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"'
    return f"<text{style} {place}>{escape(text)}</text>"


def _svg(width: int, height: int, label: str, body: str) -> str:
    """The element around a chart's body."""
    box = f"0 0 {width} {height + TOP + BOTTOM}"
    return f'<svg viewBox="{box}" role="img" aria-label="{escape(label, quote=True)}">{body}</svg>'
