"""Price files become typed bars: every defect is named, the row skipped or mended, and the rest
goes on.

Owns: the judgement of rows. A timestamp is ISO 8601 (no zone: UTC) or an epoch in s, ms, us or ns,
told apart by its size, floored to the second. A price is exact decimal, rounded to the nearest
1e-10 USD (ties to even). Findings carry codes 8003 to 8007 and 8009; a file of which nothing is
left raises ``Rejected``. Own ``#`` notes: ``source``, ``silence``, ``guide``, ``model``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Context, Decimal, InvalidOperation
from itertools import pairwise
from pathlib import Path

from novate.errors import (
    Error,
    PriceFileEmpty,
    PriceGap,
    PriceNotPositive,
    PriceRange,
    PriceRowDuplicate,
    PriceRowTime,
    PriceRowUnsorted,
    require,
)
from novate.lab import bars, price_rows
from novate.lab.bars import Bar, Finding, Guide, Modelled, PriceTable, Series, Silence

FINDINGS_KEPT = 100
BAR_SECONDS_DEFAULT = 60
_EPOCH_UNITS = ((10**17, 10**9), (10**14, 10**6), (10**11, 10**3), (0, 1))
_NOTE_FIELDS = {"silence": 4, "guide": 4, "model": 6}
_PRICES = ("open", "high", "low", "close")

Key = tuple[str, str]


class Findings:
    """Collects defects: all are counted, the first hundred of each kind are kept."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []
        self.counts: Counter[str] = Counter()

    def add(self, error: Error, row: int, text: str) -> None:
        """Record one defect of ``row`` (0: the whole file)."""
        self.counts[error.name] += 1
        if self.counts[error.name] <= FINDINGS_KEPT:
            self.kept.append(Finding(error.code, error.name, row, text))


def load_prices(path: str | Path, *, symbol: str = "BTC", venue: str | None = None) -> PriceTable:
    """Read a price file; ``symbol`` and ``venue`` (default: the file's name) stand in for absent
    columns.

    Raises PriceFileMissing, PriceFileColumns, PriceFileEmpty; every other defect becomes a finding.
    """
    path = Path(path)
    raw = price_rows.open_rows(path)
    findings = Findings()
    rows: dict[Key, list[tuple[int, Bar]]] = {}
    kinds: dict[Key, str] = {}
    for number, cells in raw.rows:
        bar = _bar(number, cells, findings)
        if bar is None:
            continue
        key = (_word(cells, "venue", venue or path.stem), _word(cells, "symbol", symbol))
        rows.setdefault(key, []).append((number, bar))
        kinds.setdefault(key, "mark" if cells.get("kind") == "mark" else "trade")
    require(bool(rows), PriceFileEmpty, f"{path.name}; {_summary(findings)}")
    series = {k: Series(*k, kinds[k], _ordered(k, rows[k], findings)) for k in rows}
    table = PriceTable(path.stem, series)
    return replace(
        _with_notes(table, raw.notes, findings),
        findings=tuple(findings.kept),
        finding_counts=dict(findings.counts),
    )


def _word(cells: dict[str, object], column: str, default: str) -> str:
    """A name cell, or the default when the column or the cell is empty."""
    cell = cells.get(column)
    return str(cell).strip() if cell is not None and str(cell).strip() else default


def _summary(findings: Findings) -> str:
    """Counts by name, in the order met."""
    return ", ".join(f"{name} {count}" for name, count in findings.counts.items()) or "no rows"


def _bar(number: int, cells: dict[str, object], findings: Findings) -> Bar | None:
    """One row as a bar (``bar_s`` 0: to be inferred), or None with its finding."""
    ts = parse_time(cells["ts"])
    if ts is None:
        findings.add(PriceRowTime, number, f"timestamp {_show(cells['ts'])}; row skipped")
        return None
    prices: dict[str, int] = {}
    for column in _PRICES:
        price = parse_price(cells[column])
        if price is None:
            text = f"{column} {_show(cells[column])} is not a positive price; row skipped"
            findings.add(PriceNotPositive, number, text)
            return None
        prices[column] = price
    bar = Bar(ts, _bar_seconds(cells.get("bar_s")), **prices)
    if bar.high > bars.PRICE_MAX:
        most = bars.PRICE_MAX // bars.PRICE_UNIT  # division: exact
        text = f"a price is above {most:,} USD, more than the oracle holds; row skipped"
        findings.add(PriceRange, number, text)
        return None
    if min(prices.values()) < bars.PRICE_MIN:
        findings.add(PriceRange, number, "a price is below 0.000001 USD; row skipped")
        return None
    if bar.low > min(bar.open, bar.close) or bar.high < max(bar.open, bar.close):
        findings.add(PriceRange, number, "open or close outside low to high; row skipped")
        return None
    return bar


def _show(cell: object) -> str:
    """A cell for a finding's text, short."""
    return repr(str(cell)[:40])


def parse_time(cell: object) -> int | None:
    """Seconds since 1970 of an ISO time or an epoch in s, ms, us or ns; None if unreadable or
    outside 1970 to 2106.
    """
    text = "" if cell is None else str(cell).strip()
    try:
        number = Decimal(text)
        if not number.is_finite() or number.adjusted() > 20:
            return None
        whole = int(number)
        seconds = next(whole // unit for least, unit in _EPOCH_UNITS if whole >= least)
    except (InvalidOperation, StopIteration):
        try:
            moment = datetime.fromisoformat(text.removesuffix("UTC").strip())
        except ValueError:
            return None
        moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment
        seconds = int((moment - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() // 1)
    return seconds if 0 < seconds <= bars.TIME_MAX - bars.BAR_SECONDS_MAX else None


_EXACT = Context(prec=80, rounding=ROUND_HALF_EVEN)


def parse_price(cell: object) -> int | None:
    """A positive price in oracle units, rounded to nearest (ties to even); None if it is none."""
    try:
        price = Decimal("" if cell is None else str(cell).strip())
    except InvalidOperation:
        return None
    if not price.is_finite() or price <= 0 or not -30 < price.adjusted() < 20:
        return None
    # a context of its own: a library may have changed the process's
    units = int(_EXACT.to_integral_value(_EXACT.scaleb(price, bars.PRICE_SCALE_DIGITS)))
    return units if units > 0 else None


def _bar_seconds(cell: object) -> int:
    """A stated bar length of 1 s to a day, else 0 (inferred later)."""
    text = "" if cell is None else str(cell).strip()
    length = int(text) if text.isdecimal() and len(text) <= 6 else 0
    return length if 0 < length <= bars.BAR_SECONDS_MAX else 0


def _ordered(key: Key, rows: list[tuple[int, Bar]], findings: Findings) -> tuple[Bar, ...]:
    """Sort by time, keep the first of two bars at one time or overlapping, infer bar lengths,
    report gaps.
    """
    latest = -1
    for number, bar in rows:
        if bar.ts < latest:
            findings.add(PriceRowUnsorted, number, f"{_at(bar.ts)} comes late; row sorted in")
        latest = max(latest, bar.ts)
    rows = sorted(rows, key=lambda row: row[1].ts)  # stable: the first row at a time stays first
    inferred = _inferred_seconds([bar.ts for _, bar in rows])
    kept: list[Bar] = []
    for number, bar in rows:
        bar = bar if bar.bar_s else replace(bar, bar_s=inferred)
        end = kept[-1].ts + kept[-1].bar_s if kept else bar.ts
        if bar.ts < end:
            text = f"{'/'.join(key)} already has a bar at {_at(bar.ts)}; row skipped"
            findings.add(PriceRowDuplicate, number, text)
            continue
        if bar.ts > end:
            text = f"{'/'.join(key)} has no bar for {bar.ts - end} s from {_at(end)}"
            findings.add(PriceGap, number, text)
        kept.append(bar)
    return tuple(kept)


def _inferred_seconds(times: list[int]) -> int:
    """The commonest distance between neighbouring times (the shorter of two as common), at most a
    day.
    """
    steps = Counter(b - a for a, b in pairwise(times) if b > a)
    if not steps:
        return BAR_SECONDS_DEFAULT
    commonest = min(steps, key=lambda step: (-steps[step], step))
    return min(commonest, bars.BAR_SECONDS_MAX)


def _at(ts: int) -> str:
    """A time for people."""
    return datetime.fromtimestamp(ts, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _with_notes(
    table: PriceTable, notes: tuple[tuple[int, str], ...], findings: Findings
) -> PriceTable:
    """The table with the facts its ``#`` lines state; an unreadable one is a finding."""
    silences: list[Silence] = []
    guides: list[Guide] = []
    modelled: list[Modelled] = []
    sources: list[str] = []
    for number, word, fields in _note_fields(notes):
        if word == "source":
            sources.append(",".join(fields))
            continue
        start = parse_time(fields[2]) if word == "silence" and len(fields) == 4 else None
        end = parse_time(fields[3]) if start is not None else None
        if len(fields) != _NOTE_FIELDS[word] or not _note_known(table, word, fields):
            findings.add(PriceRowTime, number, f"note {word!r} cannot be used; line skipped")
        elif word == "guide":
            guides.append(Guide(*fields))
        elif word == "model":
            modelled.append(Modelled(*fields))
        elif start is None or end is None or end <= start:
            findings.add(PriceRowTime, number, "a silence needs two times in order; line skipped")
        else:
            silences.append(Silence(fields[0], fields[1], start, end))
    silences.sort(key=lambda silence: silence.start)
    return replace(
        table,
        silences=tuple(silences),
        guides=tuple(guides),
        modelled=tuple(modelled),
        sources=tuple(sources),
    )


def _note_fields(notes: tuple[tuple[int, str], ...]) -> Iterator[tuple[int, str, list[str]]]:
    """(row, word, comma-separated fields) of every note that begins with a known word."""
    for number, text in notes:
        word, colon, rest = text.partition(":")
        if colon and (word == "source" or word in _NOTE_FIELDS):
            yield number, word, [part.strip() for part in rest.split(",")]


def _note_known(table: PriceTable, word: str, fields: list[str]) -> bool:
    """Every series a note builds on is in the file; a modelled one must not be."""
    pairs = [(fields[i], fields[i + 1]) for i in range(0, len(fields) - 1, 2)]
    if word == "silence":
        return pairs[0] in table.series
    if word == "guide":
        return all(pair in table.series for pair in pairs)
    return pairs[0] not in table.series and all(pair in table.series for pair in pairs[1:])
