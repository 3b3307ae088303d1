"""A portfolio and the market it is judged at: what ``portfolio_margin`` reads, all of it given.

Owns: the instruments as a market shows them and the rates of every charge. Units: prices, money and
quantities (base units, signed, long positive) in wad; time in seconds; rates in ppm unless the name
says otherwise (ppb, 1e-5, 1e-3). Nothing is computed here.
"""

from __future__ import annotations

from dataclasses import dataclass

from novate.model.instrument import FUTURE, OPTION, PERP, SPOT
from novate.units import WAD

__all__ = ["FUTURE", "OPTION", "PERP", "SPOT", "Holding", "Line", "Rates", "Shared"]
KIND_NAMES = {PERP: "perp", FUTURE: "future", OPTION: "option", SPOT: "spot"}


@dataclass(frozen=True, slots=True)
class Line:
    """One instrument as the market shows it: ``forward`` is the price of what is linear and the
    forward of an option; perpetuals and spot have no ``seconds`` to expiry.
    """

    name: str
    underlying: str
    kind: int
    forward: int
    seconds: int = 0
    strike: int = 0
    sigma: int = 0
    is_call: bool = False


@dataclass(frozen=True, slots=True)
class Rates:
    """What one underlying's market is and charges; the defaults are those of docs/concepts/margin.

    ``index`` is the spot price, which the quantum of lanes refers to. Ramps rise from zero at
    ``low`` to their most at ``high``, in wad of USD. ``funding_ppb`` is the expected rate of eight
    hours, ``open_interest`` the whole market's in USD. Files of exact cases charge at the index
    instead of each forward, and nothing for the rounding of lanes.
    """

    index: int
    psr_ppm: int
    credit_permille: int = 0
    calendar_ppm: int = 10_000
    calendar_vega_ppm: int = 250_000
    gap_ppm: int = 1_500
    short_option_ppm: int = 5_000
    liquidity_low: int = 0
    liquidity_high: int = 1
    liquidity_max_ppm: int = 0
    liquidity_vega_low: int = 0
    liquidity_vega_high: int = 1
    liquidity_vega_max_ppm: int = 0
    confidence_ppm: int = 0
    funding_ppb: int = 0
    open_interest: int = 0
    interest_low: int = 0
    interest_high: int = 1
    interest_max_e5: int = 0
    haircut_maintenance_ppm: int = 0
    haircut_initial_ppm: int = 0
    charge_rounding: bool = True
    charge_at_index: bool = False


@dataclass(frozen=True, slots=True)
class Shared:
    """What all underlyings share: initial over maintenance margin, and the most that correlation
    saves one account (wad).
    """

    initial_ratio_ppm: int = 1_250_000
    credit_cap: int = 5_000_000 * WAD


@dataclass(frozen=True, slots=True)
class Holding:
    """A quantity of one instrument and, if known, the price at which it was taken on (wad)."""

    line: Line
    quantity: int
    entry: int | None = None
