"""Option quotes from a file: read, judged row by row, and turned into volatilities per expiry.

Owns: the columns a quote file may have and which rows count. Float64 analytics, no money is decided
here. Used are two-sided out-of-the-money quotes; every other row is skipped and counted under a
code. The volatility of a quote is the venue's mark held within bid and ask (a wide spread says
little by its middle), or the middle where the venue states no mark. Units: time in seconds,
volatility as a fraction a year of 365 days, log-moneyness k = ln(K/F), prices in units of the
underlying (a bid of 0.05 BTC is 0.05 F dollars).
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from novate.errors import (
    Error,
    QuoteColumns,
    QuoteCrossed,
    QuoteFileMissing,
    QuoteNoVolatility,
    QuoteOneSided,
    QuoteRowBad,
    QuotesTooFew,
    Rejected,
    require,
)
from novate.model.surface import TENOR_MAX_S, YEAR_S

Floats = npt.NDArray[np.float64]

FILE_BYTES_MAX = 256 * 2**20
ROWS_MAX = 200_000
EXPIRIES_MAX = 64
QUOTES_PER_EXPIRY_MIN = 4  # one more than the parameters of a slice
VOLATILITY_MAX = 8.0
MONEYNESS_MAX = 8.0  # strikes further from the forward, as a logarithm, are not believed
DEVIATION_MIN, DEVIATION_MAX = 1e-6, 16.0  # sigma sqrt(T) between which a volatility is sought
BISECTIONS = 48
_COLUMNS = {
    "ts": ("ts", "timestamp", "time"),
    "expiry": ("expiry", "expiration"),
    "strike": ("strike", "strike_price"),
    "side": ("cp", "type", "option_type"),
    "forward": ("forward", "fwdpx", "underlying_price"),
}
_VOLATILITIES = {
    "bid": ("bid_vol", "bidvol", "bid_iv"),
    "ask": ("ask_vol", "askvol", "ask_iv"),
    "mark": ("mark_vol", "markvol", "mark_iv"),
}
_PRICES = {"bid": ("bid_price",), "ask": ("ask_price",), "mark": ("mark_price",)}
_OPTIONAL = "mark"
_EPOCH_UNITS = ((1e17, "ns"), (1e14, "us"), (1e11, "ms"), (0.0, "s"))


@dataclass(frozen=True, slots=True)
class Quotes:
    """Usable quotes of one expiry, ascending by ``k``; arrays of one length."""

    expiry: int
    timestamp: int
    forward: float
    k: Floats
    volatility: Floats

    @property
    def years(self) -> float:
        """Time to expiry in years of 365 days."""
        return (self.expiry - self.timestamp) / YEAR_S

    def within(self, deviations: float) -> Quotes:
        """The quotes at most so many standard deviations at the money from the forward."""
        at_the_money = float(np.interp(0.0, self.k, self.volatility))
        near = np.abs(self.k) <= deviations * at_the_money * math.sqrt(self.years)
        return replace(self, k=self.k[near], volatility=self.volatility[near])


@dataclass(frozen=True, slots=True)
class QuoteFile:
    """Expiries ascending, and how many rows were skipped for which error's name."""

    expiries: tuple[Quotes, ...]
    skipped: dict[str, int]


def load_quotes(path: str | Path) -> QuoteFile:
    """Read a CSV or Parquet file of quotes of one underlying, taken at one time.

    Columns (any case, the first name that is there): ts, expiry, strike, cp (C or P), forward, and
    bid_vol with ask_vol or bid_price with ask_price, mark_vol or mark_price if there is one. Times
    are dates or epochs in s, ms, us or ns; the snapshot's time is its latest row. Raises
    QuoteFileMissing, QuoteColumns, QuotesTooFew.
    """
    path = Path(path)
    table, priced = _columns(_read(path), path)
    rows = _Rows(table)
    rows.skip(~_readable(rows.table), QuoteRowBad)
    require(len(rows.table) > 0, QuotesTooFew, f"{path.name} has no readable row")
    now = int(rows.table["ts"].max())
    rows.skip(~rows.table["expiry"].between(now + 1, now + TENOR_MAX_S), QuoteRowBad)
    rows.keep_out_of_the_money()
    rows.skip(~((rows.table["bid"] > 0) & np.isfinite(rows.table["ask"])), QuoteOneSided)
    rows.skip(rows.table["bid"] > rows.table["ask"], QuoteCrossed)
    if priced:
        for column in _PRICES:
            rows.table[column] = _implied(rows.table, column, now)
    found = rows.table["bid"].notna() & (rows.table["ask"] <= VOLATILITY_MAX)
    rows.skip(~found, QuoteNoVolatility)
    expiries = rows.expiries(now)
    require(len(expiries) <= EXPIRIES_MAX, QuoteFileMissing, f"over {EXPIRIES_MAX} expiries")
    require(bool(expiries), QuotesTooFew, f"{path.name}; {rows.summary()}")
    return QuoteFile(expiries, dict(rows.skipped))


class _Rows:
    """The rows still in use, and the count of those skipped by error."""

    def __init__(self, table: Any) -> None:
        self.table = table
        self.skipped: Counter[str] = Counter()

    def skip(self, which: Any, error: Error) -> None:
        """Leave out the rows where ``which`` is true."""
        count = int(which.sum())
        if count:
            self.skipped[error.name] += count
            self.table = self.table[~which].copy()

    def keep_out_of_the_money(self) -> None:
        """Calls from the forward up, puts below it; the rest is no defect and not counted."""
        call = self.table["side"] == "C"
        self.table = self.table[call == (self.table["strike"] >= self.table["forward"])].copy()

    def expiries(self, now: int) -> tuple[Quotes, ...]:
        """Quotes by expiry; an expiry with too few of them is skipped."""
        found = []
        for expiry, group in self.table.groupby("expiry", sort=True):
            if len(group) < QUOTES_PER_EXPIRY_MIN:
                self.skipped[QuotesTooFew.name] += len(group)
                continue
            k = np.log(group["strike"].to_numpy() / group["forward"].to_numpy())
            order = np.argsort(k, kind="stable")
            mark = group["mark"].where(group["mark"] > 0, (group["bid"] + group["ask"]) / 2)
            volatility = mark.clip(group["bid"], group["ask"]).to_numpy()[order]
            forward = float(group["forward"].median())
            found.append(Quotes(int(expiry), now, forward, k[order], volatility))
        return tuple(found)

    def summary(self) -> str:
        """Counts by name for a sentence."""
        return ", ".join(f"{name} {count}" for name, count in self.skipped.items()) or "no rows"


def _read(path: Path) -> Any:
    """The file as a table of cells; raises QuoteFileMissing."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            magic = file.read(4)
    except OSError as fault:
        raise Rejected(QuoteFileMissing, f"{path}: {fault.strerror}") from fault
    require(size <= FILE_BYTES_MAX, QuoteFileMissing, f"{path} is over {FILE_BYTES_MAX} bytes")
    try:
        table = pd.read_parquet(path) if magic == b"PAR1" else pd.read_csv(path, comment="#")
    except Exception as fault:  # pandas and pyarrow have no common base of their own errors
        raise Rejected(QuoteFileMissing, f"{path.name} is neither CSV nor Parquet") from fault
    require(len(table) <= ROWS_MAX, QuoteFileMissing, f"{path.name} has over {ROWS_MAX} rows")
    return table


def _columns(table: Any, path: Path) -> tuple[Any, bool]:
    """Our columns as numbers (``side`` as a letter), and whether bid and ask are prices."""
    names = {str(name).strip().lower(): name for name in reversed(table.columns)}
    priced = not _found(_VOLATILITIES["bid"], names)
    wanted = _COLUMNS | (_PRICES if priced else _VOLATILITIES)
    found = {column: _found(aliases, names) for column, aliases in wanted.items()}
    missing = [column for column, name in found.items() if not name and column != _OPTIONAL]
    seen = ", ".join(names)[:120]
    require(not missing, QuoteColumns, f"{path.name} lacks {', '.join(missing)} (has: {seen})")
    made = {}
    for column, name in found.items():
        if not name:
            made[column] = pd.Series(np.nan, index=table.index)
            continue
        cells = table[names[name]]
        if column in ("ts", "expiry"):
            made[column] = _seconds(cells)
        elif column == "side":
            made[column] = cells.astype(str).str.strip().str.upper().str[:1]
        else:
            made[column] = pd.to_numeric(cells, errors="coerce").astype("float64")
    return pd.DataFrame(made), priced


def _found(aliases: tuple[str, ...], names: dict[str, Any]) -> str:
    """The first of the aliases that is a column, or an empty string."""
    return next((alias for alias in aliases if alias in names), "")


def _seconds(cells: Any) -> Any:
    """Whole seconds since 1970 as float64, NaN where unreadable."""
    numbers = pd.to_numeric(cells, errors="coerce") if cells.dtype.kind not in "Mm" else None
    if numbers is None or not numbers.notna().any():
        moments = pd.to_datetime(cells, utc=True, errors="coerce", format="ISO8601")
    else:
        largest = float(numbers[np.isfinite(numbers)].abs().max())
        unit = next(unit for least, unit in _EPOCH_UNITS if largest >= least)
        moments = pd.to_datetime(numbers, utc=True, errors="coerce", unit=unit)
    return np.floor((moments - pd.Timestamp(0, tz="UTC")) / pd.Timedelta(seconds=1))


def _readable(table: Any) -> Any:
    """Rows with two times, a side, and a strike and forward that are positive and near."""
    good = table["ts"].notna() & table["expiry"].notna() & table["side"].isin(["C", "P"])
    for column in ("strike", "forward"):
        good &= np.isfinite(table[column]) & (table[column] > 0)
    ratio = table["strike"] / table["forward"].where(good, 1.0)
    return good & ratio.between(math.exp(-MONEYNESS_MAX), math.exp(MONEYNESS_MAX))


def _implied(table: Any, column: str, now: int) -> Floats:
    """Volatilities of out-of-the-money prices in units of the underlying."""
    k = np.abs(np.log((table["strike"] / table["forward"]).to_numpy()))
    years = (table["expiry"].to_numpy() - now) / YEAR_S
    # a put at k is worth e^k calls at -k in these units
    per_call = np.minimum(1.0, (table["strike"] / table["forward"]).to_numpy())
    deviation: Floats = implied_deviation(table[column].to_numpy() / per_call, k)
    volatility: Floats = deviation / np.sqrt(years)
    return volatility


def implied_deviation(value: Floats, k: Floats) -> Floats:
    """sigma sqrt(T) at which a call at ``k`` >= 0 is worth ``value`` (over F); NaN where none is.

    By bisection of the undiscounted Black-76 value, which rises from 0 to 1.
    """
    low, high = np.full_like(k, DEVIATION_MIN), np.full_like(k, DEVIATION_MAX)
    solvable = (call_value(k, low) < value) & (value < call_value(k, high))
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        below = call_value(k, middle) < value
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(solvable, (low + high) / 2, np.nan)


def call_value(k: Floats, deviation: Floats) -> Floats:
    """Undiscounted Black-76 value of a call over its forward, float64."""
    d1 = deviation / 2 - k / deviation
    return _normal(d1) - np.exp(k) * _normal(d1 - deviation)


def _normal(x: Floats) -> Floats:
    """The standard normal distribution function."""
    return np.array([math.erfc(-each * math.sqrt(0.5)) / 2 for each in x.tolist()])
