"""Portfolios from files and the command line: instrument names, positions, hypothetical trades.

Owns: the names (Deribit's style: ``BTC-PERPETUAL``, ``BTC-27DEC24``, ``BTC-27DEC24-70000-C``, and
``BTC`` for spot) and the two file formats. Quantities are in base units, exact decimals of at most
18 places, and become wad. Nothing rounds: a number that does not fit is rejected, like a row that
repeats an instrument (``PortfolioFileMissing``, ``PortfolioField``, ``PortfolioDuplicate``,
``UnknownInstrument``).
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Context, Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from novate.errors import (
    PortfolioDuplicate,
    PortfolioField,
    PortfolioFileMissing,
    Rejected,
    UnknownInstrument,
    require,
)
from novate.limits import POSITIONS_PER_ACCOUNT_MAX
from novate.model.instrument import PERP, SPOT
from novate.model.portfolio import FUTURE, OPTION
from novate.units import WAD

FILE_BYTES_MAX = 2**22
NESTING_MAX = 32
CASH = "USD"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
EXPIRY_HOUR_UTC = 8
QUANTITY_MAX = 10**9
MONEY_MAX = 10**15
PRICE_MAX = 7_000_000  # what an oracle price holds
PRICE_PLACES = 10
_EXACT = Context(prec=120)
_NAME = re.compile(
    r"([A-Z][A-Z0-9]{0,11})(?:-(PERPETUAL|\d{1,2}[A-Z]{3}\d{2})(?:-(\d+(?:[.D]\d+)?)-([CP]))?)?"
)
_TRADE = re.compile(r"([+-]?[0-9][0-9._]*)\s+([^\s@]+)(?:\s*@\s*(\S+))?")


@dataclass(frozen=True, slots=True)
class Instrument:
    """What a name says; ``expiry`` in seconds since 1970, ``strike`` wad."""

    name: str
    underlying: str
    kind: int
    expiry: int = 0
    strike: int = 0
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Position:
    """A row: quantity in wad, and the price at which it was taken on, if given."""

    instrument: Instrument
    quantity: int
    entry: int | None = None


@dataclass(frozen=True, slots=True)
class Portfolio:
    """Positions, and cash in wad if the file gives it."""

    positions: tuple[Position, ...]
    cash: int | None = None


def decimal(where: str, value: Any, most: int, places: int = 18, least: int | None = None) -> int:
    """A decimal number as wad; |value| ≤ ``most`` (and ≥ ``least``, wad) with at most ``places``
    decimals. Errors: ``PortfolioField``.
    """
    text = str(value).strip()
    try:
        number = (
            Decimal(text) if not isinstance(value, bool) and len(text) <= 60 else Decimal("NaN")
        )
    except InvalidOperation:
        number = Decimal("NaN")
    require(number.is_finite(), PortfolioField, f"{where}: {text[:60]!r} is not a number.")
    # not abs(): it rounds, and what is far too large to round raises
    require(number.copy_abs() <= most, PortfolioField, f"{where}: {text} is beyond {most}.")
    scaled = _EXACT.multiply(number, Decimal(10**places))
    whole = scaled == scaled.to_integral_value(context=_EXACT)
    require(whole, PortfolioField, f"{where}: {text} has more than {places} decimals.")
    wad = int(scaled * 10 ** (18 - places))
    require(least is None or wad >= least, PortfolioField, f"{where}: {text} is too small.")
    return wad


def price(where: str, value: Any) -> int:
    """A positive price in wad, of whole oracle units (1e-10 USD)."""
    return decimal(where, value, PRICE_MAX, PRICE_PLACES, least=1)


def instrument(text: str) -> Instrument:
    """The instrument of a name, in any case. Errors: ``UnknownInstrument``."""
    found = _NAME.fullmatch(str(text).strip().upper())
    hint = "Names are like BTC, BTC-PERPETUAL, BTC-27DEC24, BTC-27DEC24-70000-C."
    unknown = Rejected(UnknownInstrument, f"{str(text)[:60]!r}. {hint}")
    if found is None or found[1] == CASH:
        raise unknown
    underlying, term, strike_text, side = found.groups()
    if term is None:
        return Instrument(underlying, underlying, SPOT)
    if term == "PERPETUAL":
        if strike_text is not None:
            raise unknown
        return Instrument(f"{underlying}-{term}", underlying, PERP)
    expiry, expiry_name = expiry_of(term)
    name = f"{underlying}-{expiry_name}"
    if strike_text is None:
        return Instrument(name, underlying, FUTURE, expiry)
    strike = price(f"strike of {text}", strike_text.replace("D", "."))
    name = f"{name}-{strike_text}-{side}"
    return Instrument(name, underlying, OPTION, expiry, strike, side == "C")


def expiry_of(text: str) -> tuple[int, str]:
    """Seconds since 1970 of 08:00 UTC on a day like 27DEC24, and its usual spelling. Errors:
    ``UnknownInstrument``.
    """
    found = re.fullmatch(r"(\d{1,2})([A-Z]{3})(\d{2})", text.strip().upper())
    try:
        if found is None:
            raise ValueError
        day, month, year = int(found[1]), MONTHS.index(found[2]) + 1, 2000 + int(found[3])
        moment = datetime(year, month, day, EXPIRY_HOUR_UTC, tzinfo=UTC)
    except ValueError:
        raise Rejected(UnknownInstrument, f"{text!r} is no day like 27DEC24.") from None
    return int(moment.timestamp()), f"{day}{MONTHS[month - 1]}{found[3]}"


def read_text(path: Path) -> str:
    """The text of a small file. Errors: ``PortfolioFileMissing``."""
    try:
        size = path.stat().st_size
        require(size <= FILE_BYTES_MAX, PortfolioFileMissing, f"{path} is above 4 MiB.")
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as fault:
        raise Rejected(PortfolioFileMissing, f"{path}: {fault}") from None
    require(bool(text.strip()), PortfolioFileMissing, f"{path} is empty.")
    require(_depth(text) <= NESTING_MAX, PortfolioFileMissing, f"{path} is nested too deeply.")
    return text


def _depth(text: str) -> int:
    """How deep brackets nest: Python's parser of JSON recurses, and may crash before it raises."""
    depth = deepest = 0
    for bracket in re.findall(r"[][{}]", text):
        depth += 1 if bracket in "[{" else -1
        deepest = max(deepest, depth)
    return deepest


def load_portfolio(path: Path) -> Portfolio:
    """Read a portfolio of either format; it names each instrument once and holds something."""
    text = read_text(path)
    if text.lstrip()[0] in "[{":
        return _from_rows(path.name, *_json(path.name, text))
    return _from_rows(path.name, _csv(path.name, text), None)


def _json(name: str, text: str) -> tuple[list[Any], Any]:
    try:
        document = json.loads(text, parse_float=str)
    except ValueError as fault:
        raise Rejected(PortfolioFileMissing, f"{name} is not JSON: {fault}") from None
    if isinstance(document, list):
        return document, None
    unknown = sorted(set(document) - {"cash", "positions"})
    require(not unknown, PortfolioField, f"{name}: unknown field {', '.join(unknown)}.")
    rows = document.get("positions")
    require(isinstance(rows, list), PortfolioField, f"{name}: 'positions' must be a list.")
    return list(rows or []), document.get("cash")


def _csv(name: str, text: str) -> list[Any]:
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    reader = csv.DictReader(io.StringIO("\n".join(lines)), skipinitialspace=True)
    fields = [str(field).strip().lower() for field in reader.fieldnames or []]
    known = {"instrument", "quantity"} <= set(fields) <= {"instrument", "quantity", "entry"}
    seen = ", ".join(fields)[:80]
    require(
        known and len(set(fields)) == len(fields),
        PortfolioField,
        f"{name}: the first line must be instrument,quantity or instrument,quantity,entry, "
        f"not {seen!r}.",
    )
    reader.fieldnames = fields
    try:
        rows = list(reader)
    except csv.Error as fault:
        raise Rejected(PortfolioField, f"{name}: {fault}") from None
    return [{key: value for key, value in row.items() if value not in ("", None)} for row in rows]


def _from_rows(name: str, rows: Sequence[Any], cash: Any) -> Portfolio:
    held: dict[str, Position] = {}
    amount = None if cash is None else decimal(f"{name}: cash", cash, MONEY_MAX)
    for number, row in enumerate(rows, 1):
        where = f"{name}, row {number}"
        _check_fields(where, row)
        if str(row["instrument"]).strip().upper() == CASH:
            require(amount is None, PortfolioDuplicate, f"{where}: {CASH}")
            require("entry" not in row, PortfolioField, f"{where}: cash has no entry.")
            amount = decimal(f"{where}: quantity", row["quantity"], MONEY_MAX)
            continue
        position = _position(where, row)
        known = position.instrument.name
        require(known not in held, PortfolioDuplicate, f"{where}: {known}")
        held[known] = position
    most = POSITIONS_PER_ACCOUNT_MAX
    require(bool(held), PortfolioField, f"{name} holds no position.")
    require(len(held) <= most, PortfolioField, f"{name} holds over {most} positions.")
    return Portfolio(tuple(held.values()), amount)


def _check_fields(where: str, row: Any) -> None:
    require(isinstance(row, dict), PortfolioField, f"{where} is not an object.")
    for field in ("instrument", "quantity"):
        require(field in row, PortfolioField, f"{where}: field {field!r} is missing.")
    unknown = sorted(str(field) for field in set(row) - {"instrument", "quantity", "entry"})
    require(not unknown, PortfolioField, f"{where}: unknown field {', '.join(unknown)}.")


def _position(where: str, row: dict[str, Any]) -> Position:
    found = instrument(row["instrument"])
    quantity = decimal(f"{where}: quantity", row["quantity"], QUANTITY_MAX)
    require(quantity != 0, PortfolioField, f"{where}: the quantity is zero.")
    require(
        found.kind != SPOT or quantity > 0, PortfolioField, f"{where}: spot cannot be sold short."
    )
    given = row.get("entry")
    entry = None if given is None else price(f"{where}: entry", given)
    return Position(found, quantity, entry)


def trade(text: str) -> Position:
    """A hypothetical trade like ``+10 BTC-27DEC24-70000-C@1200``; without a price at the mark."""
    found = _TRADE.fullmatch(text.strip())
    example = 'write it like "+10 BTC-27DEC24-70000-C@1200"'
    if found is None:
        raise Rejected(PortfolioField, f"what-if {text[:60]!r}: {example}.")
    quantity = decimal(f"what-if {text!r}", found[1], QUANTITY_MAX)
    require(quantity != 0, PortfolioField, f"what-if {text!r}: the quantity is zero.")
    entry = None if found[3] is None else price(f"what-if {text!r}", found[3])
    return Position(instrument(found[2]), quantity, entry)


def plain(value: int) -> str:
    """A wad as the shortest decimal."""
    whole, part = divmod(abs(value), WAD)
    digits = f"{whole}.{part:018}".rstrip("0").rstrip(".")
    return f"-{digits}" if value < 0 else digits
