"""The options part of the report: surfaces through time, who holds which Greeks, what the worst
account would lose, and the lanes against the exact grid.
"""

from __future__ import annotations

from novate.web import charts, report_tables
from novate.web.charts import WIDE, Line
from novate.web.charts_grid import heat_map, thousands
from novate.web.report_charts import STYLES, figure, missing, section
from novate.web.report_data import Column, Greeks, GridRow, LadderRow, ReportData, Result
from novate.web.report_tables import Cell
from novate.web.report_text import count, day, moment, money, plural, strike, whole

PHONE = 400
GRID_SHOWN = 8
OVER_SHOWN_BP = 150.0
BP = 10_000


def sections(result: Result, series: ReportData) -> str:
    """Everything about options; a run without them says so."""
    ts, curves = series.get("ts", []), series.get("surfaces", {})
    if not curves:
        return section("Options", missing("No volatility surface was posted in this run."))
    note = series.get("surface_check", "")
    drawn = "".join(_surface(ts, asset, lines, note) for asset, lines in curves.items())
    body = section("Options: volatility surfaces", drawn)
    if series.get("ladder"):
        body += _ladder(series)
    body += section("Options: what margin must hold", _heat(series) + _grid(series))
    return body + _grid_table(series)


def _surface(ts: list[int], asset: str, curves: dict[str, Column], note: str) -> str:
    """Implied volatilities of one asset."""
    lines = [Line(name, column, STYLES[k % 7]) for k, (name, column) in enumerate(curves.items())]
    title = f"{asset} implied volatility on chain"
    svg = charts.line_chart(ts, lines, label=title, width=WIDE, show=lambda v: f"{v:.1f} %")
    seen = [(v, at) for v, at in zip(lines[0].values, ts, strict=True) if v is not None]
    reading = (
        "Signed by the oracle nodes each minute; the chain refuses one that allows arbitrage or "
        "moves faster than its bound."
    )
    if seen:
        top, at = max(seen)
        reading += f" {lines[0].name} went from {seen[0][0]:.1f} to {top:.1f} % at {moment(at)}."
    if asset == "BTC" and note:
        reading += f" {note}"
    return figure(title, "% a year", reading, svg, lines, wide=True)


def _ladder(series: ReportData) -> str:
    """The table by expiry and strike, with a sum an expiry and one an asset."""
    rows: list[list[Cell]] = []
    groups: dict[tuple[str, int], list[LadderRow]] = {}
    for row in series.get("ladder", []):
        groups.setdefault((row["asset"], row["expiry"]), []).append(row)
    for (asset, expiry), members in groups.items():
        name = f"{asset} {day(expiry)}"
        rows += [[(name, "whole"), strike(row["strike"]), *_ladder_cells(row)] for row in members]
        rows.append(_sum_row(f"{name}, all", members))
        if (asset, expiry) == [key for key in groups if key[0] == asset][-1]:
            every = [row for row in series.get("ladder", []) if row["asset"] == asset]
            rows.append(_sum_row(f"{asset}, all expiries", every))
    heads = [
        "Expiry",
        "Strike#",
        "Calls#",
        "Puts#",
        "Delta#",
        "Gamma#",
        "Vega#",
        "Theta#",
        "Makers: delta#",
        "gamma#",
        "vega#",
    ]
    at = moment(series.get("option_moment", 0))
    intro = (
        f"At {at}. Calls and puts: open interest in units of the asset. Greeks in USD: delta at "
        "the forward, gamma as the change of delta for 1 % of it, vega for a volatility point, "
        "theta a day. They are gross: what all longs hold, calls and puts; the shorts hold the "
        "opposite, so that the clearing house itself is flat. The makers' part is net, before "
        "their hedges in perpetuals."
    )
    return report_tables.table("Options: Greeks ladder", intro, heads, rows)


def _sum_row(name: str, rows: list[LadderRow]) -> list[Cell]:
    return [(name, "whole sum"), ("", "sum"), *_ladder_cells(_summed(rows), "sum")]


def _ladder_cells(row: LadderRow, style: str = "") -> list[Cell]:
    gross, makers = row["gross"], row["makers"]
    texts = [f"{row['calls']:,.1f}", f"{row['puts']:,.1f}"]
    texts += [whole(gross[k]) for k in ("delta", "gamma", "vega", "theta")]
    texts += [whole(makers[k]) for k in ("delta", "gamma", "vega")]
    return [(text, f"num {style}") if style else text for text in texts]


def _summed(rows: list[LadderRow]) -> LadderRow:
    """The sums of several rows; expiry and strike mean nothing."""

    def added(parts: list[Greeks]) -> Greeks:
        return {
            "delta": sum(p["delta"] for p in parts),
            "gamma": sum(p["gamma"] for p in parts),
            "vega": sum(p["vega"] for p in parts),
            "theta": sum(p["theta"] for p in parts),
        }

    return {
        "asset": rows[0]["asset"],
        "expiry": rows[0]["expiry"],
        "strike": 0.0,
        "calls": sum(row["calls"] for row in rows),
        "puts": sum(row["puts"] for row in rows),
        "gross": added([row["gross"] for row in rows]),
        "makers": added([row["makers"] for row in rows]),
    }


def _heat(series: ReportData) -> str:
    """What the worst account would gain or lose."""
    title, unit = "Worst account: spot × volatility", "USD of equity"
    found = series.get("heat_map")
    if found is None:
        return figure(title, unit, "", "", [], wide=True)
    equity = float(found["equity"])
    whole_of, change = max(equity, 0.0), found["change"]
    svg = heat_map(
        found["spots"],
        found["vols"],
        change,
        whole=whole_of,
        label=title,
        heads=("spot", "volatility"),
        width=WIDE,
    )
    # the other way round and in thousands, it fits a telephone; the page shows one of the two
    upright = heat_map(
        found["vols"],
        found["spots"],
        [list(column) for column in zip(*change, strict=True)],
        whole=whole_of,
        label=title,
        heads=("vol.", "spot"),
        width=PHONE,
        left=98,
        show=thousands,
    )
    svg = f'<div class="across">{svg}</div><div class="upright">{upright}</div>'
    at = moment(series.get("option_moment", 0))
    reading = (
        f"{found['account']} at {at} held {found['holds']}, with equity {money(found['equity'])} "
        f"against a maintenance margin of {money(found['maintenance'])}: the least cover among "
        "accounts with options. Each cell is the change of its equity if all prices and all "
        "volatilities moved so at once; an outlined cell loses more than the equity."
    )
    return figure(title, unit, reading, svg, [], wide=True)


def shortfall_bp(row: GridRow) -> float:
    """How much more the exact grid loses than the lanes, in bp of gross option notional."""
    return BP * max(row["exact"] - row["scan"], 0.0) / row["notional"] if row["notional"] else 0.0


def _grid(series: ReportData) -> str:
    """The lanes against every point between and on them."""
    rows = [row for row in series.get("grid", []) if row["notional"] > 0]
    title, unit = "Sixteen lanes against the exact grid", "accounts by bp of option notional"
    over = [min(BP * (r["scan"] - r["exact"]) / r["notional"], OVER_SHOWN_BP) for r in rows]
    svg = charts.histogram(over, label=title, unit="bp", width=WIDE)
    reading = ""
    if rows:
        worst = max(shortfall_bp(row) for row in rows)
        short = sum(shortfall_bp(row) > 0 for row in rows)
        bare = [row for row in rows if row["scan"] + row["charged"] < row["exact"]]
        reading = (
            "Margin counts sixteen moves of price and volatility, the lanes. This is their worst "
            "loss less the worst over 121 prices × 9 volatilities within the scan range (in "
            f"float64, for this picture only), for {plural(len(rows), 'portfolio')} of an account "
            f"and asset. The lanes fall short in {count(short)}, by at most {worst:.1f} bp; with "
            f"the charge for what lies between the lanes {count(len(rows) - len(bare))} of "
            f"{count(len(rows))} are covered in full.{_uncovered(bare)} Drawn up to "
            f"{OVER_SHOWN_BP:.0f} bp."
        )
    return figure(title, unit, reading, svg, [], wide=True)


def missing_bp(row: GridRow) -> float:
    """What scan and grid charge together lack of the exact grid, in bp of gross option notional."""
    return BP * max(row["exact"] - row["scan"] - row["charged"], 0.0) / row["notional"]


def _uncovered(rows: list[GridRow]) -> str:
    """What it means that some are not, and why that is accepted."""
    if not rows:
        return ""
    worst = max(rows, key=missing_bp)
    share = max(1 - (row["scan"] + row["charged"]) / row["exact"] for row in rows)
    return (
        f" The remaining {count(len(rows))} lack up to {missing_bp(worst):.1f} bp, at most "
        f"{100 * share:.0f} % of what that grid would ask: between two lanes a portfolio can lose "
        "more than at either, most of all if its options end soon (the first option of the one "
        f"that lacks most has {worst['hours']:.1f} hours to run). That is measured and accepted "
        "(docs/decisions/0019): initial margin asks a quarter more than is counted here, and in an "
        "expiry's last half hour nobody may add to a position."
    )


def _grid_table(series: ReportData) -> str:
    """The portfolios with the least cover by their lanes."""
    rows = [row for row in series.get("grid", []) if row["notional"] > 0]
    ordered = sorted(rows, key=lambda row: (row["scan"] - row["exact"]) / row["notional"])
    cells: list[list[Cell]] = [
        [
            row["account"],
            row["kind"],
            row["asset"],
            count(row["options"]),
            whole(row["notional"]),
            whole(row["scan"]),
            whole(row["exact"]),
            whole(row["charged"]),
            f"{shortfall_bp(row):.1f}",
            f"{missing_bp(row):.1f}",
            f"{row['hours']:.1f}",
        ]
        for row in ordered[:GRID_SHOWN]
    ]
    heads = [
        "Account",
        "Kind",
        "Asset",
        "Options held#",
        "Option notional#",
        "Scan of lanes#",
        "Exact grid#",
        "Grid charge#",
        "Shortfall, bp#",
        "After the charge, bp#",
        "Hours to run#",
    ]
    intro = (
        "The portfolios that the lanes cover least, USD. The grid charge is the add-on that pays "
        "for prices between the lanes; what is short before and after it is in bp of the notional, "
        "the hours are those of the option that ends first."
    )
    return report_tables.table("Options: least covered by the lanes", intro, heads, cells)
