"""What a book costs elsewhere: the published margin rules of four venues in float64.

Owns: Deribit's portfolio and standard margin, Derive's standard manager, Paradex's portfolio margin
and Hyperliquid's tiers, as far as they are published; figures and dates come from
``peer_rules.toml``. Analytics for comparison, no money is decided here: float64 USD, Black-76 with
r = 0 and a year of 365 days. A venue that takes a book's kind of position under no known rule has
no figure and says why. Published worked examples are recomputed in exact fractions
(``inverse_price_vector``, ``delta_minimum``).
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from novate.model.instrument import PERP, SPOT
from novate.model.portfolio import OPTION, Line
from novate.model.surface import YEAR_S
from novate.risk.quotes import call_value
from novate.units import DAY_S, WAD

Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", float, Fraction)
RULES = Path(__file__).parent / "peer_rules.toml"


@dataclass(frozen=True, slots=True)
class Figure:
    """What one venue asks, USD; None where no rule is known, and then ``note`` says why."""

    venue: str
    title: str
    initial: float | None
    maintenance: float | None
    note: str = ""


@cache
def rules() -> dict[str, Any]:
    """The published rules, by venue."""
    return tomllib.loads(RULES.read_text(encoding="utf-8"))


class Book:
    """The positions in one underlying, as arrays of one length (one entry an instrument)."""

    def __init__(self, underlying: str, index: float, held: Sequence[tuple[Line, int]]) -> None:
        lines = [line for line, _ in held]
        self.underlying = underlying
        self.index = index
        self.kind = np.array([line.kind for line in lines])
        self.quantity = np.array([quantity / WAD for _, quantity in held])
        self.forward = np.array([line.forward / WAD for line in lines])
        self.strike = np.array([line.strike / WAD for line in lines])
        self.sigma = np.array([line.sigma / WAD for line in lines])
        self.seconds = np.array([line.seconds for line in lines])
        self.is_call = np.array([line.is_call for line in lines])
        self.option = self.kind == OPTION
        self.mark = self.prices(0.0, np.ones(len(lines)))

    def only(self, *kinds: int) -> bool:
        """Whether all positions are of these kinds."""
        return bool(np.isin(self.kind, kinds).all())

    def without_spot(self) -> Floats:
        """Quantities with the spot ones at nothing."""
        return np.where(self.kind == SPOT, 0.0, self.quantity)

    def prices(self, move: float, multipliers: Floats) -> Floats:
        """Price of one unit each, with forwards moved by a share and volatilities multiplied."""
        forward = self.forward * (1 + move)
        price = forward.copy()
        held = self.option
        k = np.log(self.strike[held] / forward[held])
        deviation = (self.sigma * multipliers)[held] * np.sqrt(self.seconds[held] / YEAR_S)
        call = forward[held] * call_value(k, np.maximum(deviation, 1e-12))
        put = call - forward[held] + self.strike[held]
        price[held] = np.maximum(np.where(self.is_call[held], call, put), 0.0)
        return price

    def profit(self, move: float, multipliers: Floats) -> float:
        """P&L of all positions but spot."""
        change = self.prices(move, multipliers) - self.mark
        return float(self.without_spot() @ change)

    def deltas(self) -> Floats:
        """Delta of each position, in units."""
        unit = np.ones(len(self.kind))
        held = self.option
        deviation = self.sigma[held] * np.sqrt(self.seconds[held] / YEAR_S)
        d1 = np.log(self.forward[held] / self.strike[held]) / deviation + deviation / 2
        call = np.array([math.erfc(-each * math.sqrt(0.5)) / 2 for each in d1.tolist()])
        unit[held] = np.where(self.is_call[held], call, call - 1.0)
        result: Floats = unit * self.without_spot()
        return result


def multipliers(book: Book, rule: Mapping[str, Any]) -> tuple[Floats, Floats]:
    """Volatility up and down by a share of (30 / days)^p."""
    days = np.maximum(book.seconds / DAY_S, rule["volatility_days_min"])
    power = np.where(days <= 30, rule["volatility_power_short"], rule["volatility_power_long"])
    m = (30 / days) ** power
    up: Floats = 1 + rule["volatility_up"] * m
    down: Floats = np.maximum(1 - rule["volatility_down"] * m, 0.0)
    floor = rule.get("volatility_up_floor", 0.0)
    held = book.option
    up[held] = np.maximum(up[held], floor / np.maximum(book.sigma[held], 1e-12))
    return up, down


def deribit_portfolio(book: Book) -> Figure:
    """The worst of 27 scenarios and the damped extended table, plus the roll shock."""
    rule = rules()["deribit_portfolio"]
    price_range = rule["price_range"].get(book.underlying)
    if price_range is None:
        return _none("deribit_portfolio", f"no price range for {book.underlying}")
    up, down = multipliers(book, rule)
    steps = rule["steps_each_side"]
    outcomes = [
        book.profit(price_range * step / steps, volatility)
        for step in range(-steps, steps + 1)
        for volatility in (up, np.ones_like(up), down)
    ]
    for move in rule["extended"]:
        weighted = book.profit(move, up) * price_range / abs(move)
        damper = (abs(move) / price_range - 1) * rule["damper_usd"]
        outcomes.append(weighted - math.copysign(min(damper, abs(weighted)), weighted))
    by_expiry: dict[int, float] = {}
    for seconds, delta in zip(book.seconds.tolist(), book.deltas().tolist(), strict=True):
        by_expiry[seconds] = by_expiry.get(seconds, 0.0) + delta
    roll = book.index * sum(
        abs(delta) * max(rule["roll_min"], rule["roll_annual"] * seconds / YEAR_S)
        for seconds, delta in by_expiry.items()
    )
    initial = max(0.0, -min(outcomes)) + roll
    size = abs(sum(by_expiry.values())) * book.index
    note = "at least: its delta shock is left out" if size > rule["delta_shock_from_usd"] else ""
    return _figure("deribit_portfolio", book, initial, rule["maintenance"] * initial, note)


def deribit_standard(book: Book) -> Figure:
    """Short calls, each by itself; for anything else no rule is published here."""
    rule = rules()["deribit_standard"]
    short_calls = book.option & book.is_call & (book.quantity < 0)
    if not short_calls.all():
        return _none("deribit_standard", "a rule is known for short calls only")
    otm = np.maximum(book.strike - book.index, 0.0)
    call = rule["short_call"]
    each = np.maximum(call["range"] * book.index - otm, call["least"] * book.index) + book.mark
    initial = float(-book.quantity @ each)
    return Figure("deribit_standard", rule["title"], initial, None, "no maintenance rule known")


def derive_standard(book: Book) -> Figure:
    """Perpetuals by size; options by expiry, isolated or by the worst payoff, whichever is less."""
    rule = rules()["derive_standard"]
    if not book.only(PERP, OPTION, SPOT):
        return _none("derive_standard", "no dated futures there")
    value = float(np.where(book.kind == SPOT, book.quantity, 0.0) @ book.forward)
    if value and book.underlying not in rule["collateral"]:
        return _none("derive_standard", f"no rule for {book.underlying} as collateral")
    factor = rule["collateral"].get(book.underlying, 0.0)
    perps = float(np.where(book.kind == PERP, np.abs(book.quantity), 0.0).sum()) * book.index
    initial = perps * rule["perp_initial"]
    initial += value * (1 - factor * rule["collateral_initial_scale"])
    maintenance = perps * rule["perp_maintenance"] + value * (1 - factor)
    for seconds in np.unique(book.seconds[book.option]).tolist():
        chosen = book.option & (book.seconds == seconds)
        initial += min(_isolated(book, chosen, rule, True), _payoff(book, chosen, rule, True))
        maintenance += min(_isolated(book, chosen, rule, False), _payoff(book, chosen, rule, False))
    return Figure("derive_standard", rule["title"], initial, maintenance)


def _isolated(book: Book, chosen: npt.NDArray[np.bool_], rule: Any, initial: bool) -> float:
    """Σ of the short options of one expiry, each alone; long ones cost nothing."""
    short = rule["short"]
    s, mark = book.index, book.mark
    otm = np.maximum(np.where(book.is_call, book.strike - s, s - book.strike), 0.0)
    scanned = s * np.maximum(short["range"] - otm / s, short["least"]) + mark
    call_maintenance = short["maintenance"] * s + mark
    put_maintenance = np.minimum(short["maintenance"] * s, short["maintenance"] * mark) + mark
    put_initial = np.minimum(scanned, short["put_over_maintenance"] * put_maintenance)
    call, put = (scanned, put_initial) if initial else (call_maintenance, put_maintenance)
    each = np.where(book.is_call, call, put)
    return float(np.where(chosen, np.maximum(-book.quantity, 0.0), 0.0) @ each)


def _payoff(book: Book, chosen: npt.NDArray[np.bool_], rule: Any, initial: bool) -> float:
    """The worst payoff of one expiry over its strikes and zero, and for net short calls, whose
    payoff has no floor, a multiple of the index more.
    """
    quantity, strike, is_call = (a[chosen] for a in (book.quantity, book.strike, book.is_call))
    worst = 0.0
    for settled in (0.0, *strike.tolist()):
        intrinsic = np.maximum(np.where(is_call, settled - strike, strike - settled), 0.0)
        worst = max(worst, -float(quantity @ intrinsic))
    unpaired = max(0.0, -float(np.where(is_call, quantity, 0.0).sum()))
    multiple: float = rule["unpaired_call"]["initial" if initial else "maintenance"]
    return worst + unpaired * book.index * multiple


def paradex_portfolio(book: Book) -> Figure:
    """The worst of sixteen scenarios and eight weighted tails, at least the delta minimum."""
    rule = rules()["paradex_portfolio"]
    up, down = multipliers(book, rule)
    outcomes = [book.profit(move, v) for move in rule["moves_both"] for v in (up, down)]
    outcomes += [book.profit(move, up) for move in rule["moves_up"]]
    outcomes += [weight * book.profit(move, up) for move, weight in rule["tails"]]
    shares = (rule["delta_net"], rule["delta_hedged"])
    least = delta_minimum(book.deltas().tolist(), book.index, *shares)
    initial = max(-min(outcomes), least)
    return _figure("paradex_portfolio", book, initial, rule["maintenance"] * initial)


def delta_minimum(
    deltas: Sequence[Number], spot: Number, share_net: Number, share_hedged: Number
) -> Number:
    """Paradex's minimum: a share of the net and of the hedged delta, in dollars; exact when given
    fractions.
    """
    net = abs(sum(deltas, start=spot * 0))
    hedged = (sum((abs(delta) for delta in deltas), start=spot * 0) - net) / 2
    return spot * (share_net * net + share_hedged * hedged)


def hyperliquid(book: Book) -> Figure:
    """Perpetuals at the greatest leverage of their tier; each tier charges only its own part."""
    rule = rules()["hyperliquid"]
    tiers = rule["tiers"].get(book.underlying)
    if not book.only(PERP):
        return _none("hyperliquid", "perpetuals only")
    if tiers is None:
        return _none("hyperliquid", f"no tiers for {book.underlying} here")
    size = float(np.abs(book.quantity) @ book.forward)
    ends = [start for start, _ in tiers[1:]] + [math.inf]
    initial = sum(
        max(0.0, min(size, end) - start) / leverage
        for (start, leverage), end in zip(tiers, ends, strict=True)
    )
    return Figure("hyperliquid", rule["title"], initial, rule["maintenance"] * initial)


def derive_portfolio(book: Book) -> Figure:
    """Its scenarios are not published here in figures: only those of the eleven books are known."""
    return _none("derive_portfolio", f"no rule known for this {book.underlying} book")


VENUES: dict[str, Callable[[Book], Figure]] = {
    "deribit_portfolio": deribit_portfolio,
    "deribit_standard": deribit_standard,
    "derive_standard": derive_standard,
    "derive_portfolio": derive_portfolio,
    "paradex_portfolio": paradex_portfolio,
    "hyperliquid": hyperliquid,
}


def compare(held: Sequence[tuple[Line, int]], indexes: Mapping[str, float]) -> list[Figure]:
    """What each venue asks for netted positions; several underlyings are added up."""
    books = [
        Book(name, indexes[name], [each for each in held if each[0].underlying == name])
        for name in sorted({line.underlying for line, _ in held})
    ]
    return [_sum([venue(book) for book in books]) for venue in VENUES.values()]


def _sum(figures: Sequence[Figure]) -> Figure:
    first = figures[0]
    notes = "; ".join(dict.fromkeys(each.note for each in figures if each.note))
    initial = [each.initial for each in figures if each.initial is not None]
    maintenance = [each.maintenance for each in figures if each.maintenance is not None]
    return Figure(
        first.venue,
        first.title,
        sum(initial) if len(initial) == len(figures) else None,
        sum(maintenance) if len(maintenance) == len(figures) else None,
        notes,
    )


def _none(venue: str, why: str) -> Figure:
    return Figure(venue, rules()[venue]["title"], None, None, why)


def _figure(venue: str, book: Book, initial: float, maintenance: float, note: str = "") -> Figure:
    spot = bool((book.kind == SPOT).any())
    notes = [note] if note else []
    notes += ["spot collateral is left out"] if spot else []
    return Figure(venue, rules()[venue]["title"], initial, maintenance, "; ".join(notes))
