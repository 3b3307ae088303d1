"""The volatilities that the oracle nodes of the demo see: real series of the event, and what is
modelled from them.

Owns: the table ``volatilities.csv`` of a shipped event, and the way from its four series to one
smile an underlying and expiry at any second. Measured are two strikes of each of two BTC expiries.
Modelled, and said so in ``NOTES``: the curve between and beyond two strikes (an SSVI slice of which
one parameter is stated, solved through both), the expiry of the same evening, and ETH. Float64;
what counts are the words that the nodes fit to these quotes and sign. Units: volatility as a
fraction a year of 365 days, k = ln(K/F), time in seconds.
"""

from __future__ import annotations

import csv
import math
from bisect import bisect_right
from dataclasses import dataclass, replace
from importlib.resources import files

import numpy as np

from novate.errors import PriceFileMissing, require
from novate.lab.bridge import draw
from novate.lab.price_files import parse_time
from novate.model.surface import YEAR_S
from novate.risk.quotes import Floats, Quotes

EVENTS = ("oct10_2025",)
OCTOBER, NOVEMBER = 1_761_897_600, 1_764_316_800  # 31 October and 28 November 2025, 08:00 UTC
SKEW = 0.8  # stated: two strikes do not tell three parameters
NEAR_RATIO = 1.2
ETH_RATIO = 1.6
QUOTE_DEVIATIONS = (-2.5, -1.75, -1.0, -0.5, 0.0, 0.5, 1.0, 1.75, 2.5)
NOISE = 0.002
SOLVE_STEPS, STEP, TOLERANCE = 60, 1e-6, 1e-10
STANDING = (0.45, 0.8, -0.25)  # sigma, skew, rho where no event is given
NOTES = (
    "BTC volatilities of 31 October and 28 November: two strikes each are okx marks (measured); "
    f"the curve through them is an SSVI slice with psi = {SKEW} sqrt(theta) (modelled)",
    f"volatility of the same evening's expiry: {NEAR_RATIO} times that of 31 October at the same "
    "number of standard deviations (modelled)",
    f"volatility of ETH: {ETH_RATIO} times that of BTC at the same number of standard deviations "
    "(modelled)",
    f"each oracle node sees these volatilities with seeded noise of at most {100 * NOISE:.1f} "
    "points (synthetic)",
)


@dataclass(frozen=True, slots=True)
class Smile:
    """One expiry's curve: volatility at the money, skew = psi / sqrt(theta), correlation rho."""

    sigma: float
    skew: float
    rho: float

    def volatility(self, k: float, years: float) -> float:
        """Volatility at log-moneyness ``k``."""
        deviation = self.sigma * math.sqrt(years)
        x = self.skew * k / deviation
        ratio = (1 + self.rho * x + math.sqrt(x * x + 2 * self.rho * x + 1)) / 2
        return self.sigma * math.sqrt(ratio)


@dataclass(frozen=True, slots=True)
class Row:
    """The venue at one time: its forward and the volatility of each (expiry, strike)."""

    ts: int
    forward: float
    volatilities: dict[tuple[int, int], float]


@dataclass(frozen=True)
class SmileTable:
    """Rows of an event, ascending; without rows every smile stands still."""

    rows: tuple[Row, ...] = ()
    sources: tuple[str, ...] = ()

    def smile(self, asset: str, expiry: int, ts: int) -> Smile:
        """The curve of an expiry at ``ts``, by the last row not after it (else the first)."""
        btc = self._btc(expiry, ts)
        return btc if asset == "BTC" else replace(btc, sigma=btc.sigma * ETH_RATIO)

    def _btc(self, expiry: int, ts: int) -> Smile:
        if not self.rows:
            return Smile(*STANDING)
        place = bisect_right([row.ts for row in self.rows], ts) - 1
        row = self.rows[max(place, 0)]
        if expiry in (OCTOBER, NOVEMBER):
            return solve(row, expiry)
        far = solve(row, OCTOBER)
        return replace(far, sigma=far.sigma * NEAR_RATIO)

    def quotes(
        self, asset: str, expiry: int, ts: int, forward: float, node: int, seed: int
    ) -> Quotes:
        """What one node's venue shows of an expiry: nine strikes around its own forward."""
        noise = seeded_noise(seed, asset, node, ts)
        return around(self.smile(asset, expiry, ts), expiry, ts, forward, noise)


def seeded_noise(seed: int, asset: str, node: int, ts: int) -> float:
    """What a node sees beside the curve, at most ``NOISE`` of volatility."""
    shift = 2 * (draw(seed, "volatility", asset, node, ts) % 10_001) / 10_000 - 1
    return NOISE * shift


def around(smile: Smile, expiry: int, ts: int, forward: float, noise: float) -> Quotes:
    """Nine strikes around a forward as a curve has them."""
    years = (expiry - ts) / YEAR_S
    k: Floats = np.array(QUOTE_DEVIATIONS) * smile.sigma * math.sqrt(years)
    seen = np.array([smile.volatility(each, years) for each in k.tolist()])
    return Quotes(expiry, ts, forward, k, seen + noise)


def load_smiles(name: str = "oct10_2025") -> SmileTable:
    """The volatilities of a shipped event. Errors: PriceFileMissing for another name."""
    require(name in EVENTS, PriceFileMissing, f"no volatilities of an event {name!r}")
    text = (files("novate.lab") / name / "volatilities.csv").read_text(encoding="utf-8")
    notes = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    table = csv.DictReader(line for line in text.splitlines() if not line.startswith("#"))
    rows = tuple(_row(cells) for cells in table)
    sources = tuple(n.removeprefix("source: ") for n in notes if n.startswith("source: "))
    return SmileTable(rows, (*sources, *NOTES))


def _row(cells: dict[str, str]) -> Row:
    ts = parse_time(cells["ts"])
    assert ts is not None
    found = {}
    for column, cell in cells.items():
        day, dash, strike = column.partition("-")
        if dash:
            found[OCTOBER if day == "251031" else NOVEMBER, int(strike)] = float(cell)
    return Row(ts, float(cells["forward"]), found)


def solve(row: Row, expiry: int) -> Smile:
    """The slice of the stated skew through both strikes of an expiry: damped Newton in the
    logarithm of sigma and the inverse hyperbolic tangent of rho.
    """
    years = (expiry - row.ts) / YEAR_S
    points = [
        (math.log(strike / row.forward), seen)
        for (of, strike), seen in row.volatilities.items()
        if of == expiry
    ]
    at = np.array([math.log(min(seen for _, seen in points)), 0.0])

    def curve(z: Floats) -> Smile:
        return Smile(math.exp(z[0]), SKEW, math.tanh(z[1]))

    def errors(z: Floats) -> Floats:
        return np.array([curve(z).volatility(k, years) - seen for k, seen in points])

    for _ in range(SOLVE_STEPS):
        now = errors(at)
        slopes = np.array([(errors(at + step) - now) / STEP for step in np.eye(2) * STEP]).T
        move = np.linalg.solve(slopes, -now)
        largest = float(np.abs(move).max())
        at = at + move * min(1.0, 0.5 / max(largest, STEP))
        if largest < TOLERANCE:
            break
    return curve(at)
