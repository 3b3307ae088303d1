"""The market a portfolio is judged at: from a file, or a built-in one for illustration.

Owns: the fields of a market file (JSON or TOML) and their defaults: scan range, ramps, haircuts and
credit are those of ``config/parameters.toml`` for the underlyings it names and ``ALT`` for others;
confidence, funding and open interest are none; a forward is the index, a perpetual's mark too. The
volatility of an option is its own, else its expiry's surface word, else its expiry's, else its
underlying's. Prices have at most 10 decimals. Errors: ``PortfolioFileMissing``,
``PortfolioField``, ``MarketIncomplete``, ``UnknownInstrument`` (expired), and those of the surface.
"""

from __future__ import annotations

import json
import tomllib
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from math import isqrt
from pathlib import Path
from typing import Any

from novate import config
from novate.errors import (
    MarketIncomplete,
    PortfolioField,
    PortfolioFileMissing,
    Rejected,
    UnknownInstrument,
    require,
)
from novate.model import surface
from novate.model.instrument import PERP, SPOT
from novate.model.portfolio import OPTION, Line, Rates, Shared
from novate.model.pricing import log_ratio
from novate.risk.portfolio_file import (
    MONEY_MAX,
    Instrument,
    decimal,
    expiry_of,
    instrument,
    price,
    read_text,
)
from novate.units import PPM, WAD

ILLUSTRATIVE = """
now = "2024-11-27T08:00:00Z"

[underlyings.BTC]
index = 65000
volatility = 0.60
confidence_ppm = 300
funding_ppb = 100000

[underlyings.ETH]
index = 3000
volatility = 0.70
confidence_ppm = 300
funding_ppb = 100000
"""
THOUSAND = 1000 * WAD
VEGA_SHARE = 10  # vega's depth is a tenth of delta's
ALT = Rates(
    index=0,
    psr_ppm=400_000,
    liquidity_low=500 * THOUSAND,
    liquidity_high=10_000 * THOUSAND,
    liquidity_max_ppm=100_000,
    liquidity_vega_low=50 * THOUSAND,
    liquidity_vega_high=1_000 * THOUSAND,
    liquidity_vega_max_ppm=100_000,
    interest_low=5_000 * THOUSAND,
    interest_high=50_000 * THOUSAND,
    interest_max_e5=5_000,
    haircut_maintenance_ppm=200_000,
    haircut_initial_ppm=300_000,
)
# Rates that a file may state itself, and the most of each.
STATED = {
    "calendar_ppm": PPM,
    "calendar_vega_ppm": PPM,
    "gap_ppm": PPM,
    "short_option_ppm": PPM,
    "credit_permille": 1000,
    "confidence_ppm": PPM,
    "funding_ppb": 10**9,
    "haircut_maintenance_ppm": 900_000,
    "haircut_initial_ppm": 900_000,
    "psr_ppm": 900_000,
}
PRICED = ("index", "perpetual", "volatility", "volatilities", "expiries", "open_interest_usd")
VOLATILITY_MAX = 50
VOLATILITY_LEAST = 10**12


@dataclass(frozen=True, slots=True)
class Expiry:
    """What a file says of one expiry: forward, volatility and surface word, each 0 if not given."""

    forward: int = 0
    volatility: int = 0
    surface: int = 0


@dataclass(frozen=True, slots=True)
class Asset:
    """One underlying: its rates (with the index), a perpetual's mark, and volatilities."""

    rates: Rates
    perpetual: int
    volatility: int
    volatilities: dict[str, int]
    expiries: dict[int, Expiry]


@dataclass(frozen=True, slots=True)
class Market:
    """Everything given: the moment, the underlyings, and what all share."""

    name: str
    now: int
    assets: dict[str, Asset]
    shared: Shared

    def rates(self) -> dict[str, Rates]:
        """Rates by underlying."""
        return {name: asset.rates for name, asset in self.assets.items()}

    def line(self, named: Instrument) -> Line:
        """An instrument as this market shows it."""
        asset = self.assets.get(named.underlying)
        if asset is None:
            raise Rejected(MarketIncomplete, f"{self.name} has no underlying {named.underlying}.")
        if named.kind in (PERP, SPOT):
            mark = asset.perpetual if named.kind == PERP else asset.rates.index
            return Line(named.name, named.underlying, named.kind, mark)
        seconds = named.expiry - self.now
        require(seconds > 0, UnknownInstrument, f"{named.name} has expired in {self.name}.")
        require(seconds <= surface.TENOR_MAX_S, UnknownInstrument, f"{named.name}: over 3 years.")
        given = asset.expiries.get(named.expiry, Expiry())
        forward = given.forward or asset.rates.index
        if named.kind != OPTION:
            return Line(named.name, named.underlying, named.kind, forward, seconds)
        sigma = asset.volatilities.get(named.name) or self._volatility(named, given, forward)
        sigma = sigma or asset.volatility
        require(sigma > 0, MarketIncomplete, f"{self.name} has no volatility for {named.name}.")
        terms = (forward, seconds, named.strike, sigma, named.is_call)
        return Line(named.name, named.underlying, named.kind, *terms)

    def _volatility(self, named: Instrument, given: Expiry, forward: int) -> int:
        """By the expiry's surface, rounded down, or its one volatility; 0 if neither is known."""
        if not given.surface:
            return given.volatility
        k = log_ratio(named.strike, forward)
        variance = surface.total_variance_at(given.surface, k, self.now)
        seconds = named.expiry - self.now
        return isqrt((variance * surface.YEAR_S * WAD**2 // seconds) >> surface.SCALE_BITS)


def illustrative() -> Market:
    """The built-in market: BTC 65,000 at 60 %, ETH 3,000 at 70 %, on 27 November 2024."""
    return _market("the illustrative market", tomllib.loads(ILLUSTRATIVE, parse_float=Decimal), 0)


def load_market(path: Path, now: int) -> Market:
    """Read a market file; ``now`` (seconds since 1970) is the moment of one that names none."""
    text = read_text(path)
    try:
        if text.lstrip().startswith("{"):
            document = json.loads(text, parse_float=Decimal)
        else:
            document = tomllib.loads(text, parse_float=Decimal)
    except ValueError as fault:
        problem = f"{path.name} is neither JSON nor TOML: {fault}"
        raise Rejected(PortfolioFileMissing, problem) from None
    return _market(path.name, document, now)


def _market(name: str, document: dict[str, Any], now: int) -> Market:
    _known(name, document, ("now", "underlyings"))
    moment = _moment(name, document["now"]) if "now" in document else now
    tables = _table(f"{name}: underlyings", document.get("underlyings"))
    assets = {}
    for key, table in tables.items():
        underlying = key.upper()
        where = f"{name}: {underlying}"
        assets[underlying] = _asset(where, underlying, _table(where, table), moment)
    require(bool(assets), PortfolioField, f"{name} has no underlying.")
    return Market(name, moment, assets, _shared())


def _shared() -> Shared:
    margin = config.load().margin
    return Shared(margin.initial_ratio_ppm, margin.credit_cap_wad)


def _asset(where: str, underlying: str, table: dict[str, Any], now: int) -> Asset:
    _known(where, table, (*PRICED, *STATED))
    require("index" in table, MarketIncomplete, f"{where} has no index.")
    rates = replace(_defaults(underlying), index=price(f"{where}: index", table["index"]))
    stated: dict[str, Any] = {
        key: _rate(f"{where}: {key}", table[key], STATED[key]) for key in STATED if key in table
    }
    interest = decimal(f"{where}: open_interest_usd", table.get("open_interest_usd", 0), MONEY_MAX)
    rates = replace(rates, open_interest=abs(interest), **stated)
    require(rates.psr_ppm > 0, PortfolioField, f"{where}: psr_ppm must be positive.")
    expiries = {}
    for day, entry in _table(f"{where}: expiries", table.get("expiries", {})).items():
        moment, _ = expiry_of(day)
        place = f"{where} {day}"
        expiries[moment] = _expiry(place, _table(place, entry), moment, now)
    volatilities = {}
    for name, value in _table(f"{where}: volatilities", table.get("volatilities", {})).items():
        named = instrument(name)
        fits = named.kind == OPTION and named.underlying == underlying
        require(fits, PortfolioField, f"{where}: {name} is no option on {underlying}.")
        volatilities[named.name] = _volatility(f"{where}: {name}", value)
    return Asset(
        rates=rates,
        perpetual=price(f"{where}: perpetual", table.get("perpetual", table["index"])),
        volatility=_volatility(f"{where}: volatility", table.get("volatility", 0)),
        volatilities=volatilities,
        expiries=expiries,
    )


def _defaults(underlying: str) -> Rates:
    """The starting parameters of a venue for what it lists; ``ALT`` for the rest."""
    found = next((u for u in config.load().underlyings if u.name == underlying), None)
    if found is None:
        return ALT
    low, high = found.liquidity_low_thousand_usd, found.liquidity_high_thousand_usd
    return Rates(
        index=0,
        psr_ppm=found.scan_range_ppm,
        credit_permille=found.credit_permille,
        liquidity_low=low * THOUSAND,
        liquidity_high=high * THOUSAND,
        liquidity_max_ppm=found.liquidity_max_ppm,
        liquidity_vega_low=low * THOUSAND // VEGA_SHARE,
        liquidity_vega_high=high * THOUSAND // VEGA_SHARE,
        liquidity_vega_max_ppm=found.liquidity_max_ppm,
        interest_low=found.interest_low_thousand_usd * THOUSAND,
        interest_high=found.interest_high_thousand_usd * THOUSAND,
        interest_max_e5=found.interest_max_e5,
        haircut_maintenance_ppm=found.haircut_maintenance_ppm,
        haircut_initial_ppm=found.haircut_initial_ppm,
    )


def _expiry(where: str, table: dict[str, Any], expiry: int, now: int) -> Expiry:
    _known(where, table, ("forward", "volatility", "surface"))
    forward = price(f"{where}: forward", table["forward"]) if "forward" in table else 0
    word = _word(f"{where}: surface", table.get("surface", 0))
    if "surface" in table:
        surface.gate(word, 0)
        seen = surface.unpack(word)
        fits = seen.expiry == expiry and seen.timestamp <= now
        require(fits, PortfolioField, f"{where}: the surface is of another expiry or later.")
    return Expiry(forward, _volatility(f"{where}: volatility", table.get("volatility", 0)), word)


def _word(where: str, value: Any) -> int:
    try:
        word = value if isinstance(value, int) else int(str(value), 16)
    except ValueError:
        word = -1
    require(0 <= word < 2**256, PortfolioField, f"{where}: {str(value)[:40]!r} is no 256-bit word.")
    return word


def _volatility(where: str, value: Any) -> int:
    found = decimal(where, value, VOLATILITY_MAX, least=0)
    sane = found == 0 or found >= VOLATILITY_LEAST
    require(sane, PortfolioField, f"{where}: {value} is too small.")
    return found


def _rate(where: str, value: Any, most: int) -> int:
    whole = isinstance(value, int) and not isinstance(value, bool) and abs(value) <= most
    signed = where.endswith("funding_ppb")
    allowed = whole and (signed or value >= 0)
    require(allowed, PortfolioField, f"{where}: must be a whole number up to {most}.")
    return int(value)


def _moment(name: str, value: Any) -> int:
    """Seconds since 1970 of an ISO 8601 time (UTC if it names no zone) or a number of seconds."""
    if isinstance(value, int) and not isinstance(value, bool):
        require(0 <= value < 2**40, PortfolioField, f"{name}: now is out of bounds.")
        return value
    try:
        moment = value if isinstance(value, date) else datetime.fromisoformat(str(value))
    except ValueError:
        raise Rejected(PortfolioField, f"{name}: now {str(value)[:40]!r} is no time.") from None
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return int(zoned.timestamp())


def _table(where: str, value: Any) -> dict[str, Any]:
    require(isinstance(value, dict), PortfolioField, f"{where} must be a table.")
    return {str(key): entry for key, entry in value.items()}


def _known(where: str, table: dict[str, Any], fields: tuple[str, ...]) -> None:
    unknown = sorted(set(table) - set(fields))
    require(not unknown, PortfolioField, f"{where}: unknown field {', '.join(unknown)}.")
