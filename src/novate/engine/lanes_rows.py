"""Instruments, parameters and the venue at one round, as the kernels of margin read them.

Owns: the way from the model's exact rows to the columns of ``lanes_layout.py``. Each number is the
model's own, rounded once; a ramp's state (rates, credits, haircuts) is computed exactly first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from novate import errors, limits
from novate.engine import lanes_layout as layout
from novate.engine.lanes_kernel import Tables
from novate.engine.lanes_layout import Reals, Words
from novate.errors import Error
from novate.model import dated_margin, fees, margin, tradable
from novate.model.dated_margin import DatedRow
from novate.model.instrument import SPOT, Terms
from novate.model.margin import RiskParameters, Transition, between_down, between_up
from novate.model.option_id import DATED
from novate.model.settlement import mark_of
from novate.model.state import World
from novate.model.venue import Settings
from novate.units import DAY_S, PPM, WAD

# Tables that a row of an instrument or an underlying is made from, or a fee, by how their names
# begin
SOURCES = (
    "oracle.",
    "ledger.terms",
    "ledger.markets",
    "ledger.config",
    "risk.",
    "options.",
    "surfaces.",
    "exchange.settings",
)

# what a slope's own roundings are below: of a share, and of the model's shares in wei
ROUNDING, ROUNDED_WEI = 1e-9, 8192.0


@dataclass(frozen=True, slots=True)
class Quote:
    """What an instrument trades at now (wad): mark, ends of the band, an option's forward; what
    it is, and the fees in force.
    """

    mark: int
    lowest: int
    highest: int
    terms: Terms
    settings: Settings
    forward: int = 0


class Slope(NamedTuple):
    """By how much at most a lot more of an instrument's open orders raises what must be held, apart
    from what it costs (wei); and what the latter is made from: a lot's value per price and at the
    mark (wei), the higher fee's rate, the lowest price that counts.
    """

    required: float
    lot: float
    mark: float
    rate: float
    lowest: int

    def at_most(self, lots: int, is_buy: bool, price: int) -> float:
        """What ``lots`` of an order at ``price`` (wad) take of what an account has to spare."""
        value = self.lot * (price if is_buy or price > self.lowest else self.lowest)
        worse = value - self.mark if is_buy else self.mark - value
        cost = value * (self.rate + ROUNDING) + (worse if worse > 0.0 else 0.0)
        return lots * (self.required + cost) * (1 + ROUNDING) + lots + ROUNDED_WEI


class Round:
    """The prices and parameters in force, kept up with the world."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.stamp = object()  # another whenever any price or parameter has changed
        self.moment = object()  # another whenever anything was written, or the second has changed
        self.places: dict[int, int] = {}
        self.instruments: Reals = np.zeros((64, layout.INSTRUMENT_COLUMNS))
        self.words: Words = np.zeros(64, np.int64)
        self.underlyings: Reals = np.zeros((limits.UNDERLYINGS_MAX, layout.UNDERLYING_COLUMNS))
        self.venue: Reals = np.zeros(layout.VENUE_COLUMNS)
        self.quotes: dict[int, Quote | Error] = {}
        self._dated: dict[int, DatedRow] = {}
        self.slopes: dict[int, Slope] = {}
        self.is_fresh = False  # no price is stale, and there is no grace
        self._tables = [t for name, t in world.store.tables.items() if name.startswith(SOURCES)]
        self._seen: tuple[int, ...] = ()
        self._latest = self._latest_second = -1
        self._made: dict[int, tuple[Any, ...]] = {}

    def place(self, instrument: int) -> int:
        """Where an instrument's row is; made on first sight."""
        found = self.places.get(instrument)
        if found is None:
            found = self.places[instrument] = len(self.places)
            assert found <= layout.PLACE_MASK, "instruments fit their bits"
            if found == len(self.words):
                self.instruments = np.concatenate((self.instruments, 0 * self.instruments))
                self.words = np.concatenate((self.words, 0 * self.words))
            self._write(instrument)
            self.is_fresh = self.is_fresh and not self.words[found] & layout.STALE_BIT
        return found

    def tables(self) -> Tables:
        """What the kernels read."""
        return self.instruments, self.words, self.underlyings, self.venue

    def refresh(self) -> bool:
        """Bring all rows up to the world; whether it had moved."""
        world = self.world
        if world.store.version == self._latest and world.now == self._latest_second:
            return False
        self._latest, self._latest_second = world.store.version, world.now
        self.moment = object()
        versions = (world.now, *[table.version for table in self._tables])
        if versions == self._seen:
            return False
        self._seen, self.stamp = versions, object()
        self.quotes.clear()
        self._dated.clear()
        self.slopes.clear()
        shared = world.risk.globals
        cap = shared.credit_cap_now(world.now)
        late = world.in_restart_grace() or world.oracle_is_silent()
        self.venue[layout.RATIO] = shared.initial_ratio_ppm / PPM
        self.venue[layout.CAP_M], self.venue[layout.CAP_I] = cap, min(cap, shared.credit_cap)
        self.venue[layout.GRACE] = margin.GRACE if late else 0
        for underlying in range(limits.UNDERLYINGS_MAX):
            ramped = margin.transition(world, underlying)
            self.underlyings[underlying, : layout.WEIGHT + 1] = _underlying(ramped, world.now)
        for instrument in self.places:
            self._write(instrument)
        self.is_fresh = not late and not np.any(self.words & layout.STALE_BIT)
        return True

    def quote(self, instrument: int) -> Quote | Error:
        """What an instrument trades at, or why it cannot be traded; at the last ``refresh``."""
        found = self.quotes.get(instrument)
        if found is None:
            found = self.quotes[instrument] = self._quote(instrument)
        return found

    def _quote(self, instrument: int) -> Quote | Error:
        listed = tradable.listing(self.world, instrument)
        if listed.terms.kind == 0:
            return errors.UnknownInstrument
        if listed.expired:
            return errors.ExpiryPassed
        forward = fees.forward_of(self.world, instrument)
        mark = mark_of(self.world, instrument)
        settings = self.world.exchange.settings
        return Quote(mark, listed.lowest, listed.highest, listed.terms, settings, forward)

    def slope(self, instrument: int) -> Slope:
        """How steeply margin rises with an instrument's open orders, at the last ``refresh``; no
        number for what the lanes cannot judge. The bound and its proof: ``lanes_layout.py``.
        """
        found = self.slopes.get(instrument)
        if found is None:
            found = self.slopes[instrument] = self._slope(instrument)
        return found

    def _slope(self, instrument: int) -> Slope:
        quote, place = self.quote(instrument), self.place(instrument)
        assert isinstance(quote, Quote), "an order enters what has a price"
        row, underlying = self.instruments[place], self.words[place] & layout.UNDERLYING_MASK
        beside = self.words[: len(self.places)] & layout.UNDERLYING_MASK == underlying
        rows = self.instruments[: len(self.places)][beside]
        doubt, fall, rise = np.nanmax(
            rows[:, [layout.CONFIDENCE, layout.FALL, layout.RISE]], axis=0, initial=0.0
        )
        rates = self.underlyings[underlying]
        scan = rates[layout.PSR_I] * (1 + rates[layout.CREDIT_I])
        margin_share = scan + rates[layout.WEIGHT] - 1 + doubt + row[layout.CHARGE]
        share = self.venue[layout.RATIO] * margin_share + max(doubt, fall, rise)
        settings, lot = quote.settings, quote.terms.lot_size / WAD  # division: a float's
        return Slope(
            float(row[layout.NOTIONAL] * share),
            lot,
            lot * quote.mark,
            max(settings.taker_ppm, settings.maker_ppm) / PPM,  # division: a float's
            quote.lowest,
        )

    def dated(self, instrument: int) -> DatedRow:
        """The exact row of an option or a dated future, at the last ``refresh``."""
        found = self._dated.get(instrument)
        if found is None:
            found = self._dated[instrument] = dated_margin.row(self.world, instrument)
        return found

    def _write(self, instrument: int) -> None:
        """An instrument's row, unless nothing it is made from is another. Of an instrument without
        a price, and of options and dated futures, it is no number: every answer is too close.
        """
        world = self.world
        if instrument >= DATED:
            self.instruments[self.places[instrument]] = np.nan
            return
        terms = world.ledger.terms[instrument]
        made = (
            world.now,
            terms,
            world.ledger.markets[instrument],
            world.oracle.feeds[terms.feed],
            world.oracle.statuses[0],
            world.ledger.config,
            world.risk.globals,
            world.risk.parameters[terms.underlying],
            world.risk.earlier[terms.underlying],
        )
        if self._made.get(instrument) == made:
            return
        self._made[instrument] = made
        place = self.places[instrument]
        if world.oracle.feeds[terms.feed].mark == 0:
            self.instruments[place] = np.nan
            return
        row = margin.row(world, instrument)
        bits = (layout.SPOT_BIT if row.kind == SPOT else 0) | layout.STALE_BIT * row.stale
        self.words[place] = row.underlying | bits
        self.instruments[place, : layout.RISE + 1] = (
            row.value_lot,
            row.notional_lot,
            row.charge / 100_000,
            row.confidence / PPM,
            max(-row.deviation, 0) / PPM,
            max(row.deviation, 0) / PPM,
        )


def _underlying(ramped: Transition, now: int) -> tuple[float, ...]:
    target, old, elapsed = ramped
    psr_now = target.psr_now(now)
    credit = between_down(old.credit, target.credit, elapsed)
    haircut = between_up(old.haircut_initial, target.haircut_initial, elapsed)
    steepest = max(_slope(target), _slope(old))
    return (
        psr_now / PPM,
        max(psr_now, target.psr_target) / PPM,
        credit / 1000,
        min(credit, target.credit) / 1000,
        between_up(old.haircut_maintenance, target.haircut_maintenance, elapsed) / PPM,
        max(haircut, target.haircut_initial) / PPM,
        *_depth(target),
        *_depth(old),
        elapsed / DAY_S,
        1 + steepest,
    )


def _depth(parameters: RiskParameters) -> tuple[float, float, float]:
    """The ramp of a liquidity charge; parameters never set have none."""
    span = parameters.liquidity_high - parameters.liquidity_low
    if parameters.liquidity_max == 0 or span <= 0:
        return 0.0, 1.0, 0.0
    return parameters.liquidity_low, span, parameters.liquidity_max / PPM


def _slope(parameters: RiskParameters) -> float:
    low, span, most = _depth(parameters)
    return most * (low + 2 * span) / span
