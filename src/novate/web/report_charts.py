"""The charts of the report: each with a title, a unit and one sentence that says what to read from
it.
"""

from __future__ import annotations

from html import escape
from statistics import median

from novate.web import charts
from novate.web.charts import WIDE, Line
from novate.web.report_data import AssetPrices, Column, ReportData, Result
from novate.web.report_text import count, moment, money, number, plural

HEADROOM_SHOWN_MAX_PCT = 300.0
AROUND_S = 900  # shown before the first and after the last liquidation
STYLES = ("s0", "s1", "s2", "s3", "s4", "s5", "s6")


def sections(result: Result, series: ReportData) -> str:
    """All chart sections in the order of the story."""
    ts = series.get("ts", [])
    prices = "".join(_asset(ts, asset, p) for asset, p in series.get("prices", {}).items())
    risk = _open_interest(ts, series) + _headroom(ts, series)
    defaults = _liquidation_rate(ts, series) + _recovery(ts, series)
    defaults += _waterfall(ts, series, result) + _gap(ts, series)
    trading = _fills(ts, series) + _gas(series, result)
    return (
        section("Prices", prices or missing("No prices were recorded."))
        + section("Exposure and margin", risk)
        + section("Liquidations and who paid", defaults)
        + section("Settlement", trading)
    )


def section(title: str, body: str) -> str:
    """A headed grid of figures."""
    return f'<section><h2>{title}</h2><div class="grid">{body}</div></section>'


def missing(text: str) -> str:
    """Says that there is nothing to draw."""
    return f'<p class="missing">{escape(text)}</p>'


def figure(
    title: str,
    unit: str,
    reading: str,
    svg: str,
    lines: list[Line],
    *,
    wide: bool = False,
    filled: bool = False,
) -> str:
    """A chart with its words; without data the words say so."""
    head = f'<h3>{escape(title)} <span class="unit">{escape(unit)}</span></h3>'
    if not svg:
        return f'<figure>{head}<p class="missing">Nothing to show in this run.</p></figure>'
    shape, d = ("fill", "M1 0H25V8H1Z") if filled else ("line", "M1 4H25")
    keys = "".join(
        f'<li><svg viewBox="0 0 26 8" aria-hidden="true"><path class="{shape} {line.style}" '
        f'd="{d}"/></svg>{escape(line.name)}</li>'
        for line in lines
    )
    legend = f'<ul class="legend">{keys}</ul>' if len(lines) > 1 else ""
    style = ' class="wide"' if wide else ""
    return (
        f"<figure{style}>{head}<figcaption>{escape(reading)}</figcaption>{legend}"
        f'<div class="plot">{svg}</div></figure>'
    )


def _asset(ts: list[int], asset: str, prices: AssetPrices) -> str:
    """Index over the full width, mark below it."""
    return _price(ts, asset, "index", prices["index"], prices["chain_index"]) + _price(
        ts, asset, "mark", prices["mark"], prices["chain_mark"]
    )


def _price(ts: list[int], asset: str, kind: str, nodes: dict[str, Column], chain: Column) -> str:
    """Every node's price over the chain's broad band; strips below show where a node was silent."""
    styles = (*STYLES[:4], *STYLES[5:])
    lines = [Line(name, nodes[name], styles[k % len(styles)]) for k, name in enumerate(nodes)]
    chain_line = [Line("on chain", chain, charts.BAND)] if chain else []
    title = f"{asset} {kind} by oracle node"
    svg = charts.line_chart(
        ts, [*chain_line, *lines], label=title, width=WIDE, show=number, lanes=True
    )
    reading = _price_reading(ts, chain, nodes)
    unit = f"USD per {asset}"
    return figure(title, unit, reading, svg, [*chain_line, *lines], wide=True)


def _price_reading(ts: list[int], chain: Column, nodes: dict[str, Column]) -> str:
    """Where the low was, and who was silent then."""
    column = chain or next(iter(nodes.values()), [])
    known = [(v, at) for v, at in zip(column, ts, strict=False) if v is not None]
    if not known:
        return "No node had a price."
    low, at = min(known)
    quiet = [name for name, values in nodes.items() if values[ts.index(at)] is None]
    tail = f"{' and '.join(quiet)} silent" if quiet else "no node silent"
    return (
        f"Low {number(low)} at {moment(at)}, with {tail} at that moment; "
        "open boxes in the strips mark where a node had no price."
    )


def _open_interest(ts: list[int], series: ReportData) -> str:
    """Open interest by instrument."""
    columns = series.get("open_interest", {})
    lines = [Line(n, c, STYLES[k % 7]) for k, (n, c) in enumerate(columns.items())]
    title = "Open interest"
    svg = charts.line_chart(ts, lines, label=title, zero=True)
    reading = "Positions outstanding, valued at mark; it shrinks as accounts are reduced."
    return figure(title, "USD", reading, svg, lines)


def _headroom(ts: list[int], series: ReportData) -> str:
    """Margin headroom of the median and the worst account."""
    lines = [
        Line("median account", series.get("headroom_median_pct", []), "s0"),
        Line("worst account", series.get("headroom_worst_pct", []), "s1"),
    ]
    title = "Margin headroom"
    svg = charts.line_chart(ts, lines, label=title, zero=True, most=HEADROOM_SHOWN_MAX_PCT)
    worst = [v for v in lines[1].values if v is not None]
    below = sum(v < 0 for v in worst)
    reading = (
        "Equity above maintenance margin: below zero an account is liquidated, at −100 it is "
        f"insolvent; the worst one stood below zero in {count(below)} of "
        f"{plural(len(worst), 'round')}"
    )
    shown = f" (drawn up to {HEADROOM_SHOWN_MAX_PCT:.0f} %)."
    return figure(title, "% of maintenance margin", reading + shown, svg, lines)


def _liquidation_span(ts: list[int], series: ReportData) -> tuple[int, int] | None:
    """The minutes around the liquidations inside the replay; None without any."""
    inside = [row["ts"] for row in series.get("liquidations", []) if row["ts"] >= ts[0]]
    if not inside:
        return None
    low, high = min(inside) - AROUND_S, max(inside) + AROUND_S
    return max(ts[0], low), max(min(ts[-1], high), max(inside))


def _liquidation_rate(ts: list[int], series: ReportData) -> str:
    """Notional liquidated each minute."""
    rows = series.get("liquidations", [])
    svg, reading = "", ""
    span = _liquidation_span(ts, series) if ts else None
    if span is not None:
        inside = [row for row in rows if row["ts"] >= span[0]]
        times = [*span, *(row["ts"] for row in inside)]
        sizes: Column = [0.0, 0.0, *(float(row["notional"]) for row in inside)]
        minutes, (sums,) = charts.per_minute(times, [sizes])
        svg = charts.bar_chart(minutes, [Line("liquidated", sums, "s1")], label="Liquidations")
        peak = max(sums)
        busiest = moment(minutes[sums.index(peak)])
        total = charts.compact(sum(sums))
        reading = (
            f"{plural(len(rows), 'slice')} (parts of an account's whole portfolio, each sold to "
            f"one bidder) of {total} USD in all; "
            f"the busiest minute, {busiest}, took {charts.compact(peak)} USD."
        )
    return figure("Liquidations", "USD at mark, per minute", reading, svg, [])


def _recovery(ts: list[int], series: ReportData) -> str:
    """What liquidated accounts kept of the value at mark."""
    rows = series.get("liquidations", [])
    points = [
        (
            row["ts"],
            row["recovery_pct"],
            f"{moment(row['ts'])} {row['account']}: {row['recovery_pct']:.2f} % of mark, "
            f"{money(row['notional'])}",
        )
        for row in rows
    ]
    title = "Recovery against mark"
    span = _liquidation_span(ts, series) if ts else None
    svg = charts.scatter(points, label=title, span=span) if span else ""
    reading = ""
    if rows:
        shares = [row["recovery_pct"] for row in rows]
        reading = (
            f"Each dot is one slice: what the account kept of its value at mark after the "
            f"auction's discount (darker: several alike); median {median(shares):.2f} %, worst "
            f"{min(shares):.2f} %."
        )
    return figure(title, "% of value at mark", reading, svg, [])


def _waterfall(ts: list[int], series: ReportData, result: Result) -> str:
    """Layers that pay for losses."""
    columns, end = series.get("waterfall", {}), series.get("waterfall_end")
    if end is not None:
        ts = [*ts, end["ts"]]
        columns = {name: [*column, end["left"][name]] for name, column in columns.items()}
    lines = [Line(n, c, STYLES[k % 7]) for k, (n, c) in enumerate(columns.items())]
    title = "Waterfall layers"
    svg = charts.line_chart(ts, lines, label=title, stacked=True)
    reading = (
        f"Money standing between a default and other users, stacked in the order it pays (lowest "
        f"first); insurance went from {money(result['insurance_start'])} to "
        f"{money(result['insurance_end'])}. Trading fees flow in from time to time, the last of "
        "them after the last minute."
    )
    return figure(title, "USD left", reading, svg, lines, filled=True)


def _gap(ts: list[int], series: ReportData) -> str:
    """Claims above custody."""
    column = series.get("solvency_gap", [])
    title = "Solvency gap"
    svg = charts.line_chart(ts, [Line("gap", column, "s0")], label=title, zero=True)
    above = sum(v is not None and v > 0 for v in column)
    reading = "What users could claim minus what custody holds: never above zero."
    if above:
        reading = f"Users could claim more than custody holds in {plural(above, 'round')}!"
    elif column and not any(column):
        reading += f" It was zero in each of {plural(len(column), 'round')}."
    return figure(title, "USD", reading, svg, [])


def _fills(ts: list[int], series: ReportData) -> str:
    """Fills and busts by the minute."""
    fills, busts = series.get("fills", []), series.get("busts", [])
    svg, reading = "", ""
    lines: list[Line] = []
    if fills and ts:
        minutes, sums = charts.per_minute(ts, [fills, busts or [0.0] * len(ts)])
        lines = [Line("settled", sums[0], "s0"), Line("busted", sums[1], "s1")]
        svg = charts.bar_chart(minutes, lines, label="Fills and busts")
        reading = (
            f"{charts.compact(sum(sums[0]))} settled and {charts.compact(sum(sums[1]))} busted; "
            f"the busiest minute settled {charts.compact(max(sums[0]))}."
        )
    return figure("Fills and busts", "per minute", reading, svg, lines, filled=True)


def _gas(series: ReportData, result: Result) -> str:
    """How gas per fill is spread over batches."""
    values = series.get("gas_per_fill", [])
    title = "Gas per fill"
    svg = charts.histogram(values, label=title, unit="gas a fill")
    reading = (
        f"Each batch's gas divided by its fills, over {plural(len(values), 'batch', 'batches')}: "
        f"the median fill cost {count(result['gas_per_fill_median'])}."
    )
    tried = series.get("cheat_settlements", 0)
    if tried:
        reading += (
            f" {count(tried)} more of the {count(result['batches'])} settlement transactions were "
            "the cheating operator's: they settled nothing."
        )
    return figure(title, "number of batches by gas a fill", reading, svg, [])
