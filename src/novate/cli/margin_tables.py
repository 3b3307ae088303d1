"""The tables of ``novate margin``: its JSON documents for people, amounts rounded to cents or
dollars.
"""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import Any

from rich.console import Console
from rich.table import Table

from novate.model.portfolio_margin import CHARGE_NAMES
from novate.risk.peers import rules

CHARGE_TEXT = {
    "scan": "worst scenario",
    "calendar": "calendar, delta between expiries",
    "calendar_vega": "calendar, vega between expiries",
    "liquidity": "liquidity of the delta",
    "liquidity_vega": "liquidity of the vega",
    "gap": "between the scenarios",
    "open_interest": "open interest of the market",
    "confidence": "confidence of the oracle",
    "funding": "funding of eight hours",
    "rounding": "rounding of the lanes",
    "short_option_minimum": "least for short options (not added)",
    "haircut_maintenance": "haircut of spot (initial margin: its own)",
}
WIDTH = 160
SHOWN_BOOKS = ("deribit_portfolio", "derive_portfolio", "paradex_portfolio")


def print_account(document: dict[str, Any]) -> None:
    """Margins, charges, scenarios, Greeks, and what was asked for besides."""
    console = _console()
    after = document.get("what_if")
    console.print(f"Market: {document['market']}, {document['now']}", highlight=False)
    _summary(console, document, after)
    shown = after or document
    if "equity" in shown:
        console.print(verdict(shown), highlight=False)
    if after:
        console.print("\nAfter the trades:", highlight=False)
    _charges(console, shown)
    _scenarios(console, shown)
    _greeks(console, shown)
    if "compare" in shown:
        _compare(console, shown)


def _console() -> Console:
    """As wide as the terminal; wide enough for every table where there is none."""
    return Console(soft_wrap=True, width=None if sys.stdout.isatty() else WIDTH)


def _summary(console: Console, document: dict[str, Any], after: dict[str, Any] | None) -> None:
    table = Table("", "USD", *(["after", "change"] if after else []))
    _right(table, 1)
    for key in ("margin_initial", "margin_maintenance", "equity", "free"):
        if key not in document:
            continue
        cells = [money(document[key])]
        if after:
            cells += [
                money(after[key]),
                money(Decimal(after[key]) - Decimal(document[key])),
            ]
        table.add_row(key.replace("_", " "), *cells)
    if document.get("health"):
        cells = [f"{Decimal(document['health']):.2f}"]
        if after:
            cells += [f"{Decimal(after['health']):.2f}" if after["health"] else "none", ""]
        table.add_row("health (equity over maintenance)", *cells)
    console.print(table)


def verdict(document: dict[str, Any]) -> str:
    """What the venue makes of an account with these margins."""
    equity, maintenance = Decimal(document["equity"]), Decimal(document["margin_maintenance"])
    short = Decimal(document["margin_initial"]) - equity
    if equity < maintenance:
        return f"Equity is {money(maintenance - equity)} below maintenance: it is auctioned."
    if short > 0:
        return f"Equity is {money(short)} short of initial margin: only what reduces risk settles."
    return f"Equity covers the initial margin; {money(-short)} is free."


def _charges(console: Console, document: dict[str, Any]) -> None:
    parts = document["underlyings"]
    table = Table("charge, USD", *parts, title="What maintenance margin is made of")
    _right(table, 1)
    for key, text in CHARGE_TEXT.items():
        values = [part[key] for part in parts.values()]
        table.add_row(text, *(money(value) for value in values))
    console.print(table)
    if Decimal(document["credit"]):
        text = f"Less {money(document['credit'])} for what the underlyings offset in each other."
        console.print(text, highlight=False)
    ratio = Decimal(document["initial_ratio"])
    if Decimal(document["short_option_minimum"]) > Decimal(document["scan"]) + Decimal(
        document["charges"]
    ):
        console.print("The least for short options binds.", highlight=False)
    console.print(f"Initial margin is {ratio:f} times that (without haircuts).", highlight=False)


def _scenarios(console: Console, document: dict[str, Any]) -> None:
    parts = document["underlyings"]
    table = Table("move", "volatility", "weight", *parts, title="Profit and loss by scenario, USD")
    _right(table, 2)
    for lane in range(16):
        rows = [part["scenarios"][lane] for part in parts.values()]
        moves = " / ".join(dict.fromkeys(f"{Decimal(row['move_percent']):+.2f} %" for row in rows))
        weights = " / ".join(dict.fromkeys(f"{Decimal(row['weight']):.4g}" for row in rows))
        cells = [
            f"[bold red]{money(row['profit'])}[/]"
            if part["worst"] == lane
            else money(row["profit"])
            for row, part in zip(rows, parts.values(), strict=True)
        ]
        table.add_row(moves, rows[0]["volatility"], weights, *cells)
    console.print(table)


def _greeks(console: Console, document: dict[str, Any]) -> None:
    names = ("delta", "gamma", "vega_point", "theta_day")
    heads = ("delta", "gamma", "vega a point", "theta a day")
    table = Table("instrument", "quantity", "mark", "value", *heads, title="Greeks")
    _right(table, 1)
    for row in document["positions"]:
        money_cells = (money(row["mark"]), money(row["value"]))
        cells = (small(row[name]) for name in names)
        table.add_row(row["instrument"], small(row["quantity"]), *money_cells, *cells)
    table.add_section()
    for name, row in document["greeks"].items():
        table.add_row(f"all {name}", "", "", "", *(small(row[key]) for key in names))
    console.print(table)


def _compare(console: Console, document: dict[str, Any]) -> None:
    found = document["compare"]
    title = f"Elsewhere, USD; rules as published by {found['as_of']}"
    table = Table("venue", "initial", "maintenance", "", title=title)
    _right(table, 1, 3)
    initial, maintenance = document["margin_initial"], document["margin_maintenance"]
    table.add_row("Novate", whole(initial), whole(maintenance), "")
    for each in found["venues"]:
        figures = (whole(each["initial"]), whole(each["maintenance"]))
        table.add_row(each["title"], *figures, each["note"])
    console.print(table)


def print_books(document: dict[str, Any]) -> None:
    """Initial and maintenance margin of the eleven books."""
    titles = [rules()[venue]["title"] for venue in SHOWN_BOOKS]
    extra = [rules()[venue]["title"] for venue in ("derive_standard", "hyperliquid")]
    title = f"Eleven books, initial / maintenance in USD, {document['as_of']}"
    table = Table("book (BTC 65,000)", "Novate, 15 %", *titles, *extra, title=title)
    _right(table, 1)
    for row in document["books"]:
        cells = [_pair(row["novate"])]
        cells += [
            _pair(row["venues"][venue])
            for venue in (*SHOWN_BOOKS, "derive_standard", "hyperliquid")
        ]
        table.add_row(row["name"], *cells)
    console = _console()
    console.print(table)
    console.print(
        "* as published: no rule is known to compute it by. Novate: grid, calendar 1 %, gap 15 bp, "
        "short-option minimum 0.5 %, the weight of −66 % rounded to 0.227.",
        highlight=False,
    )
    for row in document["books"]:
        exact = row["novate_exact_weights"]
        if abs(exact[0] - row["novate"]["initial"]) > 1:
            text = f"With the exact weight: {row['name']} {exact[0]:,.0f} / {exact[1]:,.0f}."
            console.print(text, highlight=False)
    differences = document["differences"]
    console.print(
        "More than a dollar from the published figure: " + "; ".join(differences)
        if differences
        else "Every computed figure is within a dollar of the published one.",
        highlight=False,
    )


def print_vectors(document: dict[str, Any]) -> None:
    """How far contract and model are from the exact figures of a file."""
    table = Table("", "quantum of the file", "of sixteen bits", title="Largest differences")
    _right(table, 1)
    rows = (
        ("lane, in quanta", "lanes_off_max", "{:.4f}"),
        ("margins below the exact one", "mm_below_exact", "{:d}"),
        ("margin above the exact one, USD", "mm_excess_max", "{:.6f}"),
        ("as a share of what is allowed", "mm_excess_share_max", "{:.3f}"),
    )
    for text, key, shape in rows:
        table.add_row(text, shape.format(document[key]), shape.format(document["words"][key]))
    console = _console()
    console.print(table)
    same = "equal bit for bit" if document["chain_equals_model"] else "not equal"
    verdict = "passed" if document["passed"] else "failed"
    text = f"{document['options']} options, {document['portfolios']} portfolios; contract and model"
    console.print(f"{text} are {same}: {verdict}.", highlight=False)


def _pair(cell: dict[str, Any]) -> str:
    if cell["initial"] is None:
        return "none"
    mark = "" if cell["computed"] else " *"
    return f"{whole(cell['initial'])} / {whole(cell['maintenance'])}{mark}"


def _right(table: Table, first: int, end: int | None = None) -> None:
    for column in table.columns[first:end]:
        column.justify = "right"


def money(value: Any) -> str:
    """Dollars and cents, rounded to the nearest."""
    return f"{Decimal(value):,.2f}"


def whole(value: Any) -> str:
    """Whole dollars, or ``none``."""
    return "none" if value is None else f"{Decimal(value):,.0f}"


def small(value: Any) -> str:
    """Six significant digits."""
    return f"{Decimal(value):.6g}"


assert set(CHARGE_NAMES) < set(CHARGE_TEXT)
