"""``novate margin``: what a portfolio must hold here, why, and what it would cost elsewhere.

Figures of ours are integers in wad and printed as exact decimals; those of other venues are
float64, computed by the rules of ``risk/peer_rules.toml`` and shown with the date of those rules.
"""

from __future__ import annotations

import json
import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.markup import escape

from novate.chain.margin_vectors import check_vectors
from novate.cli import margin_tables
from novate.errors import MarketIncomplete, PortfolioField, require
from novate.model.arrays import EXTREMES, LINEAR
from novate.model.instrument import SPOT
from novate.model.portfolio import KIND_NAMES, OPTION, Holding
from novate.model.portfolio_margin import (
    PortfolioMargin,
    PositionGreeks,
    UnderlyingMargin,
    equity,
    net,
    portfolio_margin,
    position_greeks,
)
from novate.risk import peers
from novate.risk.market_file import Market, illustrative, load_market
from novate.risk.peer_books import Cell, books
from novate.risk.portfolio_file import Portfolio, Position, load_portfolio, plain, trade
from novate.units import PPM, WAD, div_up

DAYS_A_YEAR = 365
CSV_EXAMPLE = """\
instrument,quantity,entry
BTC-PERPETUAL,1,64000
BTC-27DEC24-70000-C,-2,
USD,25000,
"""
JSON_EXAMPLE = """\
{"cash": 25000, "positions": [
  {"instrument": "BTC-PERPETUAL", "quantity": 1, "entry": 64000},
  {"instrument": "BTC-27DEC24-70000-C", "quantity": -2}]}
"""
MARKET_EXAMPLE = """\
now = "2024-11-27T08:00:00Z"    # default: the present moment
[underlyings.BTC]
index = 65000
volatility = 0.60               # of options without one of their own
perpetual = 65010               # default: the index
confidence_ppm = 300            # default 0, as funding_ppb (8 h), open_interest_usd
psr_ppm = 150000                # scan range, like other rates the venue's by default
[underlyings.BTC.expiries.27DEC24]
forward = 65300                 # default: the index
volatility = 0.58               # or surface = "0x...", a word of `novate surface`
[underlyings.BTC.volatilities]
BTC-27DEC24-70000-C = 0.62
"""
HELP = f"""\
Show what a portfolio must hold: margins, scenarios, every charge and the Greeks.

PORTFOLIO is a CSV or JSON file. Instruments are BTC (spot), BTC-PERPETUAL, BTC-27DEC24 (a future)
and BTC-27DEC24-70000-C (an option); they expire at 08:00 UTC. Quantities are in base units. The
price of entry is optional; cash is the row USD or the field cash. Each charge is explained in
docs/concepts/margin.md.

\b
{CSV_EXAMPLE}
\b
{JSON_EXAMPLE}
MARKET is a TOML or JSON file. Without one: BTC 65,000 at 60 %, ETH 3,000 at 70 %, on 27 November
2024, for illustration.

\b
{MARKET_EXAMPLE}

Example:  novate margin book.csv --what-if "+1 BTC-PERPETUAL" --compare
"""


def command(
    portfolio: Annotated[
        Path | None, typer.Argument(help="Positions: CSV or JSON.", show_default=False)
    ] = None,
    market: Annotated[
        Path | None, typer.Option(help="Prices and volatilities: TOML or JSON.")
    ] = None,
    what_if: Annotated[
        list[str] | None,
        typer.Option(help='A trade to add, like "+10 BTC-27DEC24-70000-C@1200"; repeatable.'),
    ] = None,
    compare: Annotated[bool, typer.Option("--compare", help="Show other venues too.")] = False,
    vectors: Annotated[
        Path | None, typer.Option(help="Judge the method by a JSON file of exact cases instead.")
    ] = None,
    show_books: Annotated[
        bool, typer.Option("--books", help="Show eleven reference books instead.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show what a portfolio must hold: margins, scenarios, every charge and the Greeks.

    Exit code 1: a case of ``--vectors`` is off, or contract and model differ.
    """
    if vectors is not None:
        found = msgspec.to_builtins(check_vectors(vectors))
        _show(found, as_json, margin_tables.print_vectors)
        raise typer.Exit(0 if found["passed"] else 1)
    if show_books:
        _show(books_document(), as_json, margin_tables.print_books)
        return
    if portfolio is None:
        raise typer.BadParameter("missing PORTFOLIO (or --books, or --vectors)")
    prices = illustrative() if market is None else load_market(market, int(time.time()))
    account = Account.of(load_portfolio(portfolio), prices)
    document = account_document(account)
    if compare:
        document["compare"] = compare_document(account)
    if what_if:
        trades = [trade(text) for text in what_if]
        after = account.after(trades)
        document["what_if"] = account_document(after)
        document["what_if"]["trades"] = what_if
        if compare:
            document["what_if"]["compare"] = compare_document(after)
    _show(document, as_json, margin_tables.print_account)


def _show(document: dict[str, Any], as_json: bool, printer: Any) -> None:
    if as_json:
        typer.echo(json.dumps(document))
    else:
        printer(document)


@dataclass(frozen=True, slots=True)
class Account:
    """A portfolio at a market; ``cash`` in wad, or None if it is not known."""

    market: Market
    holdings: tuple[Holding, ...]
    cash: int | None

    @staticmethod
    def of(portfolio: Portfolio, market: Market) -> Account:
        """Price the positions of a file."""
        holdings = tuple(
            Holding(market.line(each.instrument), each.quantity, each.entry)
            for each in portfolio.positions
        )
        return Account(market, holdings, portfolio.cash)

    def after(self, trades: list[Position]) -> Account:
        """The account with trades added, at their price or the mark; what options and spot cost
        leaves cash, rounded up.
        """
        holdings, cash = list(self.holdings), self.cash
        for each in trades:
            line = self.market.line(each.instrument)
            price = position_greeks(line, WAD).mark if each.entry is None else each.entry
            holdings.append(Holding(line, each.quantity, price))
            if cash is not None and line.kind in (OPTION, SPOT):
                cost = each.quantity * price
                cash -= div_up(cost, WAD) if cost >= 0 else cost // WAD
        for line, quantity in net(holdings):
            enough = line.kind != SPOT or quantity > 0
            require(enough, PortfolioField, f"{line.name}: spot cannot be sold short.")
        return Account(self.market, tuple(holdings), cash)

    def margin(self) -> PortfolioMargin:
        """Both requirements and how they come about."""
        return portfolio_margin(self.holdings, self.market.rates(), self.market.shared)


def account_document(account: Account) -> dict[str, Any]:
    """Everything that is known of an account, amounts as exact decimals in USD."""
    found = account.margin()
    document: dict[str, Any] = {
        "market": account.market.name,
        "now": datetime.fromtimestamp(account.market.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "margin_initial": plain(found.margin_initial),
        "margin_maintenance": plain(found.margin_maintenance),
        **_equity(account, found),
        "scan": plain(found.scan),
        "credit": plain(found.credit),
        "charges": plain(found.charges),
        "short_option_minimum": plain(found.short_option_minimum),
        "haircut_maintenance": plain(found.haircut_maintenance),
        "haircut_initial": plain(found.haircut_initial),
        "initial_ratio": plain(account.market.shared.initial_ratio_ppm * WAD // PPM),
        "underlyings": {
            name: _underlying(part, account.market, name)
            for name, part in found.underlyings.items()
        },
    }
    rows = [(line, position_greeks(line, quantity)) for line, quantity in net(account.holdings)]
    document["positions"] = [
        {"instrument": line.name, "kind": KIND_NAMES[line.kind]}
        | ({"volatility": plain(line.sigma)} if line.kind == OPTION else {})
        | {"forward": plain(line.forward), **_greeks(greeks)}
        for line, greeks in rows
    ]
    document["greeks"] = {
        name: _total([greeks for line, greeks in rows if line.underlying == name])
        for name in found.underlyings
    }
    return document


def _equity(account: Account, found: PortfolioMargin) -> dict[str, Any]:
    """Cash, equity, what is free of initial margin, and health; nothing without cash."""
    if account.cash is None:
        return {}
    value = equity(account.holdings, account.cash)
    mm = found.margin_maintenance
    return {
        "cash": plain(account.cash),
        "equity": plain(value),
        "free": plain(value - found.margin_initial),
        # division: a reported ratio, floored
        "health": plain(value * WAD // mm) if mm else None,
    }


def _underlying(part: UnderlyingMargin, market: Market, name: str) -> dict[str, Any]:
    rates = market.assets[name].rates
    return {
        "index": plain(rates.index),
        "scan_range_ppm": rates.psr_ppm,
        "scenarios": [
            {**_scenario(lane, rates.psr_ppm), "profit": plain(value)}
            for lane, value in enumerate(part.scenarios)
        ],
        "worst": part.worst,
        "scan": plain(part.scan),
        **{key: plain(value) for key, value in asdict(part.charges).items()},
        "short_option_minimum": plain(part.short_option_minimum),
        "haircut_maintenance": plain(part.haircut_maintenance),
        "haircut_initial": plain(part.haircut_initial),
    }


def _scenario(lane: int, psr_ppm: int) -> dict[str, Any]:
    """The move of the forward in percent, the volatility's, and the weight of the P&L."""
    first = len(LINEAR) - len(EXTREMES)
    if lane >= first:
        percent = EXTREMES[lane - first]
        weight = psr_ppm * 100 * WAD // (abs(percent) * PPM)
        return {"move_percent": str(percent), "volatility": "up", "weight": plain(weight)}
    move = plain(LINEAR[lane] * psr_ppm * WAD // PPM)
    return {"move_percent": move, "volatility": "down" if lane & 1 else "up", "weight": "1"}


def _greeks(greeks: PositionGreeks) -> dict[str, str]:
    """Delta and gamma in units, vega a volatility point, theta a day; rounded to −inf."""
    return {
        "quantity": plain(greeks.quantity),
        "mark": plain(greeks.mark),
        "value": plain(greeks.value),
        **_sensitivities(greeks.delta, greeks.gamma, greeks.vega, greeks.theta),
    }


def _sensitivities(delta: int, gamma: int, vega: int, theta: int) -> dict[str, str]:
    return {
        "delta": plain(delta),
        "gamma": plain(gamma),
        "vega_point": plain(vega // 100),
        "theta_day": plain(theta // DAYS_A_YEAR),
    }


def _total(rows: list[PositionGreeks]) -> dict[str, str]:
    delta, gamma, vega, theta = (
        sum(getattr(row, name) for row in rows) for name in ("delta", "gamma", "vega", "theta")
    )
    return _sensitivities(delta, gamma, vega, theta)


def compare_document(account: Account) -> dict[str, Any]:
    """What other venues ask for the same positions, USD in float64, and the date of their rules."""
    held = net(account.holdings)
    require(bool(held), MarketIncomplete, "Nothing is left to compare.")
    indexes = {name: rates.index / WAD for name, rates in account.market.rates().items()}
    figures = [asdict(figure) for figure in peers.compare(held, indexes)]
    return {"as_of": peers.rules()["as_of"], "float64": True, "venues": figures}


def books_document() -> dict[str, Any]:
    """The eleven books: ours and each venue's, computed and as published."""
    rows = books()
    return {
        "as_of": peers.rules()["as_of"],
        "books": [
            {
                "name": row.name,
                "novate": _cell(row.novate),
                "novate_exact_weights": list(row.novate_exact),
                "venues": {venue: _cell(cell) for venue, cell in row.venues.items()},
            }
            for row in rows
        ],
        "differences": [
            f"{row.name}: {venue}"
            for row in rows
            for venue, cell in {"novate": row.novate, **row.venues}.items()
            if cell.differs
        ],
    }


def _cell(cell: Cell) -> dict[str, Any]:
    return {
        "initial": cell.shown[0],
        "maintenance": cell.shown[1],
        "computed": cell.computed[0] is not None,
        "published_initial": cell.published[0],
        "published_maintenance": cell.published[1],
        "differs": cell.differs,
    }


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode="rich")
app.command("margin", help=escape(HELP))(command)
