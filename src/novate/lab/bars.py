"""Typed price bars and what a price table is made of.

Owns: ``Bar`` (prices as integers in oracle units of 1e-10 USD, time in whole seconds UTC), the
series of one venue and symbol, the stretches in which a venue printed nothing, and the findings of
the reader. Pure data; ``price_files`` makes it, ``feeds`` reads it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

PRICE_SCALE_DIGITS = 10
PRICE_UNIT = 10**PRICE_SCALE_DIGITS
# what the oracle's 56 bits hold (7.2 million USD), less room for a node's premium and noise
PRICE_MAX = 7_000_000 * PRICE_UNIT
PRICE_MIN = PRICE_UNIT // 10**6  # division: exact; a venue's noise stays above zero
TIME_MAX = 2**32 - 1
BAR_SECONDS_MAX = 86_400

_QUOTE = re.compile(r"[-_/: ]?(USDT|USDC|USD|PERP|SWAP)$")


@dataclass(frozen=True, slots=True)
class Bar:
    """Open, high, low and close over [ts, ts + bar_s); low <= open, close <= high."""

    ts: int
    bar_s: int
    open: int
    high: int
    low: int
    close: int


@dataclass(frozen=True, slots=True)
class Series:
    """The bars of one venue and symbol, strictly ascending, never overlapping; ``kind`` is
    ``trade`` or ``mark``.
    """

    venue: str
    symbol: str
    kind: str
    bars: tuple[Bar, ...]

    @property
    def underlying(self) -> str:
        """The asset the symbol is about: ``BTC`` for ``BTCUSD_PERP``."""
        return underlying_of(self.symbol)


@dataclass(frozen=True, slots=True)
class Silence:
    """No trade on the venue from the last one at ``start`` to the next one at ``end``."""

    venue: str
    symbol: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Guide:
    """The path inside the coarse bars of (venue, symbol) follows the shape of a finer series."""

    venue: str
    symbol: str
    shape_venue: str
    shape_symbol: str


@dataclass(frozen=True, slots=True)
class Modelled:
    """A series no source has: the level of one series, joined inside its bars by the shape of
    another.
    """

    venue: str
    symbol: str
    level_venue: str
    level_symbol: str
    shape_venue: str
    shape_symbol: str

    @property
    def underlying(self) -> str:
        """The asset the symbol is about."""
        return underlying_of(self.symbol)


@dataclass(frozen=True, slots=True)
class Finding:
    """One defect of a price file: registry code and name, 1-based row (0: the whole file), what was
    done.
    """

    code: int
    name: str
    row: int
    text: str


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Everything read from one file; ``finding_counts`` counts every finding, ``findings`` keeps
    the first of each kind.
    """

    name: str
    series: dict[tuple[str, str], Series]
    silences: tuple[Silence, ...] = ()
    guides: tuple[Guide, ...] = ()
    modelled: tuple[Modelled, ...] = ()
    sources: tuple[str, ...] = ()
    findings: tuple[Finding, ...] = ()
    finding_counts: dict[str, int] = field(default_factory=dict)

    @property
    def venues(self) -> tuple[str, ...]:
        """Venues in the order of the file."""
        return tuple(dict.fromkeys(venue for venue, _ in self.series))

    @property
    def underlyings(self) -> tuple[str, ...]:
        """Assets in the order of the file."""
        return tuple(dict.fromkeys(series.underlying for series in self.series.values()))

    @property
    def span(self) -> tuple[int, int]:
        """First bar's start and last bar's end over all series."""
        bars = [(s.bars[0].ts, s.bars[-1].ts + s.bars[-1].bar_s) for s in self.series.values()]
        return min(start for start, _ in bars), max(end for _, end in bars)

    @property
    def rows(self) -> int:
        """Bars in all series."""
        return sum(len(series.bars) for series in self.series.values())


def underlying_of(symbol: str) -> str:
    """Strip quote currency and contract suffixes (at most three): ``BTC-USDT-SWAP`` -> ``BTC``;
    USDT and USDC count as USD.
    """
    name = symbol.strip().upper()
    for _ in range(3):
        shorter = _QUOTE.sub("", name)
        if shorter in ("", name):
            break
        name = shorter
    return name
