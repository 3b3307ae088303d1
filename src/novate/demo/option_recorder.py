"""What the demo remembers of its options: surfaces by the minute, fills and premium, what expired,
and once, at the low, who held which risk.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from novate.chain.abi import Event
from novate.demo import option_risk
from novate.demo.actors import Actor
from novate.demo.option_market import OptionMarket
from novate.lab.smiles import SmileTable
from novate.model import fees, ledger, surface, surfaces
from novate.model.option_id import OptionId, is_future, is_option, place_of
from novate.model.options import info_of
from novate.model.packed import to_signed
from novate.model.state import World
from novate.services.replica import Outcome
from novate.units import ORACLE_UNIT, WAD
from novate.web.report_data import Column, GridRow, HeatMap, LadderRow, ReportData
from novate.web.report_options import shortfall_bp
from novate.web.report_text import day, number

WINGS = {"90 % of the forward": math.log(0.9), "110 % of the forward": math.log(1.1)}


@dataclass(slots=True)
class OptionRecorder:
    """Columns and counts over the rounds of one run."""

    smiles: SmileTable
    assets: Mapping[int, str]
    expiries: Sequence[int]
    curves: dict[str, dict[str, Column]] = field(default_factory=dict)
    errors: list[float] = field(default_factory=list)
    fills: int = 0
    premium: int = 0
    fees: int = 0
    surfaces_posted: int = 0
    refreshes: int = 0
    accounts_paid: int = 0
    paid: int = 0
    moment: int = 0
    ladder: list[LadderRow] = field(default_factory=list)
    grid: list[GridRow] = field(default_factory=list)
    heat: HeatMap | None = None

    def round(self, world: World, now: int) -> None:
        """The surfaces on chain in this minute."""
        for underlying, asset in self.assets.items():
            curves = self.curves.setdefault(asset, {})
            words = {
                surface.unpack(word).expiry: word
                for word in surfaces.newest(world, underlying)
                if surface.unpack(word).expiry > now
            }
            for expiry in self.expiries:
                names = {f"{day(expiry)}, at the money": 0.0}
                if expiry == self.expiries[1]:
                    names |= {f"{day(expiry)}, {name}": k for name, k in WINGS.items()}
                for name, k in names.items():
                    word = words.get(expiry)
                    value = option_risk.volatility(word, k, now) if word else None
                    curves.setdefault(name, []).append(value)
        self._compare(world, now)

    def _compare(self, world: World, now: int) -> None:
        """Distance of the BTC surface from the measured strikes, at the times of the table."""
        rows = [row for row in self.smiles.rows if now - 60 < row.ts <= now]
        words = {surface.unpack(word).expiry: word for word in surfaces.newest(world, 1)}
        for row in rows:
            for (expiry, strike), seen in row.volatilities.items():
                if expiry in words:
                    k = math.log(strike / row.forward)
                    shown = option_risk.volatility(words[expiry], k, now)
                    self.errors.append(abs(shown - 100 * seen))

    def fill(self, event: Event, world: World) -> None:
        """Count a fill of an option: its premium, price times lots, and both sides' fees."""
        word = int(event.arguments["word"])
        instrument = word >> 64 & (2**20 - 1)
        if is_option(instrument):
            lots = abs(to_signed(word >> 84 & (2**44 - 1), 44))
            terms, price = world.ledger.terms_of(instrument), word >> 128
            forward = fees.forward_of(world, instrument)
            self.fills += 1
            self.premium += lots * terms.price_lot(price)
            self.fees += sum(fees.of_fill(world.exchange.settings, terms, lots, price, forward))

    def opened(self, outcomes: Sequence[Outcome]) -> None:
        """Count what stood at the head of a minute: surfaces, refreshed expiries, accounts paid at
        expiry and what those with a gain got.
        """
        for event in (event for outcome in outcomes for event in outcome.events):
            self.surfaces_posted += event.name == "SurfacesPosted"
            self.refreshes += event.name == "ArraysRefreshed"
            if event.name == "ExpirySettled":
                self.accounts_paid += 1
                self.paid += max(int(event.arguments["amount"]), 0)

    def look(self, world: World, people: Sequence[Actor], now: int) -> None:
        """Take the picture of who holds which risk."""
        makers = [a.account for a in people if a.kind == "option maker"]
        self.moment = now
        self.ladder = option_risk.ladder(world, self.assets, makers)
        self.grid = []
        worst: tuple[float, Actor] | None = None
        for actor in people:
            held = [i for i, _ in world.ledger.accounts[actor.account].positions]
            if not any(option_risk.is_live(world, i) for i in held):
                continue
            for underlying, asset in self.assets.items():
                row = option_risk.grid_row(world, actor.name, actor.kind, actor.account, underlying)
                if row is not None:
                    row["asset"] = asset
                    self.grid.append(row)
            check = ledger.check(world, actor.account)
            required = check.valuation.margin_maintenance
            cover = check.equity / required if required else math.inf
            if worst is None or cover < worst[0]:
                worst = cover, actor
        self.heat = option_risk.heat_map(world, worst[1].account, worst[1].name) if worst else None

    def shortfall(self) -> float:
        """The most by which the lanes fell short of the exact grid, bp of option notional."""
        return round(max((shortfall_bp(row) for row in self.grid), default=0.0), 2)

    def add_to(self, data: ReportData) -> None:
        """Put everything into the report's data."""
        data["surfaces"] = self.curves
        data["option_moment"] = self.moment
        data["ladder"], data["grid"] = self.ladder, self.grid
        if self.heat is not None:
            data["heat_map"] = self.heat
        if self.errors:
            data["surface_check"] = (
                f"Against the measured marks of four strikes, {len(self.errors):,} comparisons: "
                f"{median(self.errors):.2f} volatility points apart at the median, "
                f"{max(self.errors):.2f} at most."
            )


def open_notional(world: World, market: OptionMarket) -> dict[str, float]:
    """USD at the forward of the open interest in options, by asset."""
    totals = {f"{asset} options": 0.0 for asset in market.assets.values()}
    for id, lots in world.options.interests.items():
        if option_risk.is_live(world, id):
            lot = world.ledger.terms_of(id).lot_size
            usd = lots * info_of(world, id).forward * ORACLE_UNIT * lot / WAD / WAD
            totals[f"{market.assets[place_of(id)[0]]} options"] += usd
    return totals


def name_of(world: World, id: int, assets: Mapping[int, str]) -> str:
    """An option or a dated future for people."""
    place = place_of(id)
    listed = world.options.listed[place]
    asset = assets[place[0]]
    if is_future(id):
        return f"{asset} {day(listed.expiry)} future"
    option = OptionId.unpack(id)
    strike = number(listed.strikes[option.strike_index] * ORACLE_UNIT / WAD)
    return f"{asset} {day(listed.expiry)} {strike} {'put' if option.is_put else 'call'}"
