"""What the report draws of option risk: Greeks by strike, the worst account's heat map, and the
sixteen lanes against the exact grid.

The lanes and the Greeks are the model's own integers (``model/arrays.py``, ``model/options.py``).
The grid of 121 prices and 9 volatilities is priced here in float64 Black-76, for the picture only:
nothing is margined by it. Units: USD; moves as fractions; time in seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from novate.model import arrays, ledger, option_listing, oracle, pricing, surface, surfaces
from novate.model import options as model
from novate.model.arrays import Totals
from novate.model.option_id import PUT, OptionId, is_future, is_option, place_of, strike_of
from novate.model.options import Epoch, info_of
from novate.model.pricing import ONE, YEAR_S
from novate.model.state import World
from novate.risk.quotes import Floats
from novate.units import ORACLE_UNIT, PPM, WAD, ppm_up
from novate.web.report_data import Greeks, GridRow, HeatMap, LadderRow

SPOTS, VOLS = 121, 9
GAP_PPM = 1_500
VOLATILITY_UP_LEAST = 0.4
HEAT_SPOTS = tuple(range(-30, 31, 5))
HEAT_VOLS = (100, 50, 25, 0, -25, -50)


@dataclass(frozen=True, slots=True)
class Leg:
    """One option position: ``units`` of the asset, signed; ``sigma`` a year."""

    units: float
    forward: float
    strike: float
    is_put: bool
    sigma: float
    seconds: int

    def value(self, forward: Floats, sigma: Floats) -> Floats:
        """USD at forwards and volatilities (arrays that broadcast); Black-76 without interest."""
        deviation = np.maximum(sigma * math.sqrt(self.seconds / YEAR_S), 1e-12)
        d1 = np.log(forward / self.strike) / deviation + deviation / 2
        call = forward * _normal(d1) - self.strike * _normal(d1 - deviation)
        value: Floats = self.units * (call - (forward - self.strike if self.is_put else 0.0))
        return value


def _normal(x: Floats) -> Floats:
    """The standard normal distribution function, element by element."""
    flat = [math.erfc(-each * math.sqrt(0.5)) / 2 for each in np.ravel(x).tolist()]
    return np.array(flat).reshape(np.shape(x))


def change(legs: Sequence[Leg], linear: float, spots: Floats, vols: Floats) -> Floats:
    """Gain in USD by (volatility, spot): spots move by fractions, each volatility by a fraction of
    itself; ``linear`` is the dollar delta of everything that is no option.
    """
    total = np.outer(np.ones(len(vols)), linear * spots)
    for leg in legs:
        forward = leg.forward * (1 + spots)[np.newaxis, :]
        sigma = leg.sigma * (1 + vols)[:, np.newaxis]
        now = leg.value(np.array([leg.forward]), np.array([leg.sigma]))
        total = total + leg.value(forward, sigma) - now
    return total


def exact_worst(legs: Sequence[Leg], linear: float, psr: float) -> float:
    """The worst loss over 121 prices within the scan range and 9 volatilities from the scenarios'
    down to their up, ends included; not below zero.
    """
    spots = np.linspace(-psr, psr, SPOTS)
    total = np.outer(np.ones(VOLS), linear * spots)
    share = np.linspace(0.0, 1.0, VOLS)[:, np.newaxis]
    for leg in legs:
        up, down = (m / ONE for m in arrays.multipliers(leg.seconds))
        high = max(leg.sigma * up, VOLATILITY_UP_LEAST)
        sigma = leg.sigma * down + share * (high - leg.sigma * down)
        forward = leg.forward * (1 + spots)[np.newaxis, :]
        now = leg.value(np.array([leg.forward]), np.array([leg.sigma]))
        total = total + leg.value(forward, sigma) - now
    return max(0.0, -float(total.min()))


# Reading the world


def sigma_of(world: World, id: int) -> tuple[int, float]:
    """Seconds to expiry and volatility of an option by the surface on chain."""
    expiry, strike = option_listing.terms(world, id)
    place = OptionId.unpack(id)
    word = surfaces.surface_word(world, place.underlying, place.slot)
    forward = info_of(world, id).forward
    seconds = max(expiry - world.now, 1)
    variance = surface.total_variance_at(word, pricing.log_ratio(strike, forward), world.now)
    return seconds, math.sqrt(variance / 2**surface.SCALE_BITS * YEAR_S / seconds)


def is_live(world: World, id: int) -> bool:
    """Whether an option has an array and time to run."""
    return (
        is_option(id)
        and bool(world.options.infos[strike_of(id)])
        and option_listing.terms(world, id)[0] > world.now
    )


def legs_of(world: World, positions: Mapping[int, int], underlying: int) -> list[Leg]:
    """The option positions of one underlying."""
    legs = []
    for id, lots in positions.items():
        if is_live(world, id) and place_of(id)[0] == underlying:
            seconds, sigma = sigma_of(world, id)
            unit = world.ledger.terms_of(id).lot_size / WAD
            info, strike = info_of(world, id), option_listing.terms(world, id)[1]
            forward = info.forward * ORACLE_UNIT / WAD
            is_put = OptionId.unpack(id).is_put
            strike_usd = strike * ORACLE_UNIT / WAD
            legs.append(Leg(lots * unit, forward, strike_usd, is_put, sigma, seconds))
    return legs


def linear_delta(world: World, positions: Mapping[int, int], underlying: int) -> int:
    """Dollar delta (wad) of perpetuals, dated futures and spot of one underlying."""
    total = 0
    for id, lots in positions.items():
        if is_option(id):
            continue
        terms = world.ledger.terms_of(id)
        if terms.underlying != underlying:
            continue
        feed = world.options.grids[underlying].feed if is_future(id) else terms.feed
        total += lots * terms.mark_lot(oracle.feed(world, feed).mark)
    return total


def grid_row(world: World, account: str, kind: str, id: int, underlying: int) -> GridRow | None:
    """Lanes and exact grid of one account's holdings in one underlying; None without options."""
    positions = dict(world.ledger.accounts[id].positions)
    legs = legs_of(world, positions, underlying)
    if not legs:
        return None
    linear = linear_delta(world, positions, underlying)
    epoch = Epoch.unpack(world.options.epochs[underlying])
    totals, parity, charged, lot_size = Totals(), 0, 0, 1
    for option, lots in positions.items():
        if is_live(world, option) and place_of(option)[0] == underlying:
            info, array = info_of(world, option), world.options.arrays[strike_of(option)]
            lot_size = world.ledger.terms_of(option).lot_size
            totals = arrays.accumulate(totals, array, info.clipped, lots)
            parity += lots * _lot(info.forward, lot_size) if option & PUT else 0
            each = ppm_up(_lot(info.forward, lot_size), GAP_PPM)
            most = _lot(info.mark, lot_size)
            charged += abs(lots) * (min(each, most) if lots > 0 else each)
    quantum = arrays.quantum_lot(epoch.quantum, lot_size)
    scan = arrays.scan(totals, quantum, linear - parity, epoch.psr)
    return {
        "account": account,
        "kind": kind,
        "asset": "",
        "options": len(legs),
        "notional": sum(abs(leg.units) * leg.forward for leg in legs),
        "scan": scan / WAD,
        "exact": exact_worst(legs, linear / WAD, epoch.psr / PPM),
        "charged": (charged + arrays.rounding(totals, quantum)) / WAD,
        "hours": min(leg.seconds for leg in legs) / 3_600,
    }


def _lot(price: int, lot_size: int) -> int:
    """Wad of a lot at an oracle price; exact, as a lot is at least 1e10 wei."""
    return price * ORACLE_UNIT * lot_size // WAD  # division: exact


def heat_map(world: World, account: int, name: str) -> HeatMap:
    """Change of one account's equity by spot and volatility, over all its underlyings."""
    positions = dict(world.ledger.accounts[account].positions)
    spots, vols = np.array(HEAT_SPOTS) / 100, np.array(HEAT_VOLS) / 100
    total = np.zeros((len(vols), len(spots)))
    options = 0
    for underlying in sorted({place_of(i)[0] for i in positions if is_option(i)}):
        legs = legs_of(world, positions, underlying)
        options += len(legs)
    for underlying in sorted(world.options.grids.rows):
        legs = legs_of(world, positions, underlying)
        linear = linear_delta(world, positions, underlying) / WAD
        total = total + change(legs, linear, spots, vols)
    check = ledger.check(world, account)
    others = len(positions) - options
    return {
        "account": name,
        "holds": f"{options} options and {others} other positions",
        "equity": f"{check.equity / WAD:.2f}",
        "maintenance": f"{check.valuation.margin_maintenance / WAD:.2f}",
        "spots": [float(s) for s in HEAT_SPOTS],
        "vols": [float(v) for v in HEAT_VOLS],
        "change": [[float(cell) for cell in line] for line in total],
    }


def ladder(world: World, assets: Mapping[int, str], makers: Sequence[int]) -> list[LadderRow]:
    """Open interest and Greeks by underlying, expiry and strike; strikes without interest are left
    out.
    """
    held: dict[int, list[int]] = {}
    for account, row in world.ledger.accounts.items():
        for id, lots in row.positions:
            if is_live(world, id):
                sums = held.setdefault(id, [0, 0])
                sums[0] += max(lots, 0)
                sums[1] += lots if account in makers else 0
    rows: list[LadderRow] = []
    listed = sorted(world.options.listed.items(), key=lambda item: (item[0][0], item[1].expiry))
    for (underlying, slot), found in listed:
        order = sorted(range(len(found.strikes)), key=lambda index: found.strikes[index])
        for index in order:
            call, put = (OptionId(underlying, slot, index, p).pack() for p in (False, True))
            if call in held or put in held:
                line = _ladder_row(world, (call, put), held)
                line["asset"], line["expiry"] = assets[underlying], found.expiry
                line["strike"] = found.strikes[index] * ORACLE_UNIT / WAD
                rows.append(line)
    return rows


def _ladder_row(world: World, pair: tuple[int, int], held: Mapping[int, list[int]]) -> LadderRow:
    opened, gross, makers = [0.0, 0.0], _none(), _none()
    for place, id in enumerate(pair):
        longs, made = held.get(id, [0, 0])
        if not longs:
            continue
        unit = world.ledger.terms_of(id).lot_size / WAD
        opened[place] = longs * unit
        greeks = model.greeks(world, id)
        forward = info_of(world, id).forward * ORACLE_UNIT / WAD
        for sums, lots in ((gross, longs), (makers, made)):
            units = lots * unit
            sums["delta"] += units * greeks.delta / WAD * forward
            sums["gamma"] += units * greeks.gamma / WAD * forward * forward / 100
            sums["vega"] += units * greeks.vega / WAD / 100
            sums["theta"] += units * greeks.theta / WAD / 365
    return {
        "asset": "",
        "expiry": 0,
        "strike": 0.0,
        "calls": opened[0],
        "puts": opened[1],
        "gross": gross,
        "makers": makers,
    }


def _none() -> Greeks:
    return {"delta": 0.0, "gamma": 0.0, "vega": 0.0, "theta": 0.0}


def volatility(word: int, k: float, now: int) -> float:
    """Implied volatility of a surface word at log-moneyness ``k``, percent a year."""
    found = surface.unpack(word)
    variance = surface.total_variance_at(word, int(k * 2**surface.SCALE_BITS), now)
    return 100 * math.sqrt(variance / 2**surface.SCALE_BITS * YEAR_S / (found.expiry - now))
