"""Eleven books as a yardstick: what each costs here and elsewhere, computed and as published.

Owns: the books of ``peer_rules.toml`` as positions, our figure under the parameters of the page
that published them, and where a computed figure differs from the published one. That page charged
the grid, the calendar, the gap and the short-option minimum and nothing else, and rounded the
weight of the −66 % scenario to 0.227. Float64 USD for comparison; the integers under it are those
of ``model/portfolio_margin``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from novate.model.arrays import EXTREMES
from novate.model.instrument import PERP
from novate.model.portfolio import FUTURE, OPTION, Holding, Line, Rates, Shared
from novate.model.portfolio_margin import EXACT, net, portfolio_margin
from novate.risk.peers import VENUES, Figure, compare, rules
from novate.units import DAY_S, WAD

TOLERANCE_USD = 1.0
UNDERLYING = "BTC"


@dataclass(frozen=True, slots=True)
class Cell:
    """One venue's figures of one book, USD: computed by the rules and published; None: unknown."""

    computed: tuple[float | None, float | None]
    published: tuple[float | None, float | None]

    @property
    def differs(self) -> bool:
        """Whether a figure is known from both and they are more than a dollar apart."""
        return any(
            a is not None and b is not None and abs(a - b) > TOLERANCE_USD
            for a, b in zip(self.computed, self.published, strict=True)
        )

    @property
    def shown(self) -> tuple[float | None, float | None]:
        """The computed figures, or the published ones where no rule is known."""
        return self.computed if self.computed[0] is not None else self.published


@dataclass(frozen=True, slots=True)
class BookRow:
    """One book: ours under the page's parameters, ours with the exact weight (initial and
    maintenance margin, USD), and every venue's.
    """

    name: str
    holdings: tuple[Holding, ...]
    novate: Cell
    novate_exact: tuple[float, float]
    venues: dict[str, Cell]


def page_rates() -> Rates:
    """The parameters under which the page computed its own column."""
    page = rules()["books"]
    return Rates(
        index=page["index"] * WAD,
        psr_ppm=page["scan_range_ppm"],
        calendar_vega_ppm=0,
        charge_rounding=False,
    )


def books() -> list[BookRow]:
    """All books, computed."""
    return [_row(book) for book in rules()["book"]]


def _row(book: dict[str, Any]) -> BookRow:
    holdings = tuple(_holding(each) for each in book["positions"])
    rates = page_rates()
    figures = compare(net(holdings), {UNDERLYING: rates.index / WAD})
    exact, rounded = _ours(holdings, rates)
    return BookRow(
        name=book["name"],
        holdings=holdings,
        novate=Cell(rounded, tuple(book["novate"])),
        novate_exact=exact,
        venues={figure.venue: _cell(figure, book) for figure in figures},
    )


def _cell(figure: Figure, book: dict[str, Any]) -> Cell:
    assert figure.venue in VENUES
    published = tuple(book.get(figure.venue, (None, None)))
    return Cell((figure.initial, figure.maintenance), (published[0], published[1]))


def _holding(position: Sequence[Any]) -> Holding:
    quantity, kind, price, days, volatility = position
    forward = price if kind in ("perp", "future") else rules()["books"]["index"]
    option = kind in ("call", "put")
    line = Line(
        name=f"{UNDERLYING} {kind} {price} {days}d",
        underlying=UNDERLYING,
        kind=OPTION if option else PERP if kind == "perp" else FUTURE,
        forward=forward * WAD,
        seconds=round(days * DAY_S),
        strike=price * WAD if option else 0,
        sigma=round(volatility * 100) * WAD // 100,
        is_call=kind == "call",
    )
    return Holding(line, quantity * WAD)


def _ours(
    holdings: Sequence[Holding], rates: Rates
) -> tuple[tuple[float, float], tuple[float, float]]:
    """(Initial, maintenance) with the exact weights of the extremes, and with the page's."""
    found = portfolio_margin(holdings, {UNDERLYING: rates}, Shared())
    part = found.underlyings[UNDERLYING]
    lanes = [value / EXACT / WAD for value in part.exact]
    weights = rules()["books"]["extreme_weights"]
    for place, (percent, weight) in enumerate(zip(EXTREMES, weights, strict=True)):
        exact_weight = rates.psr_ppm / (abs(percent) * 10_000)
        lanes[len(lanes) - len(weights) + place] *= weight / exact_weight
    scan = max(0.0, -min(lanes))
    maintenance = max(scan + found.charges / WAD, found.short_option_minimum / WAD)
    exact = (found.margin_initial / WAD, found.margin_maintenance / WAD)
    return exact, (maintenance * Shared().initial_ratio_ppm / 1e6, maintenance)
