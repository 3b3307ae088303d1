"""The tables of the report."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from novate.web.report_data import INVARIANTS, ReportData, Result
from novate.web.report_text import count, moment, money, short

LIQUIDATIONS_SHOWN = 10
FINDINGS_SHOWN = 20
BROAD = 5  # columns from which a small screen scrolls rather than squeezes
Cell = str | tuple[str, str]


def table(title: str, intro: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> str:
    """A headed table; a head that ends in ``#`` is a column of numbers; a cell may carry a style
    class.
    """
    if not rows:
        empty = '<p class="missing">Nothing to list in this run.</p>'
        return f"<section><h2>{title}</h2>{empty}</section>"
    numeric = [head.endswith("#") for head in heads]
    top = "".join(
        f'<th scope="col"{" class=num" if n else ""}>{escape(head.rstrip("#"))}</th>'
        for head, n in zip(heads, numeric, strict=True)
    )
    body = ""
    for row in rows:
        body += "<tr>"
        for cell, n in zip(row, numeric, strict=True):
            text, style = cell if isinstance(cell, tuple) else (cell, "num" if n else "")
            body += f'<td class="{style}">{escape(text)}</td>' if style else _plain(text)
        body += "</tr>"
    size = " class=broad" if len(heads) >= BROAD else ""
    return (
        f"<section><h2>{title}</h2><p>{escape(intro)}</p><div class=scroll><table{size}>"
        f"<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div></section>"
    )


def _plain(text: str) -> str:
    return f"<td>{escape(text)}</td>"


def invariants(result: Result) -> str:
    """I01 to I15 with their outcome; keys match by their first three characters."""
    outcome = {key[:3]: held for key, held in result["invariants"].items()}
    rows: list[list[Cell]] = []
    for key in sorted(INVARIANTS.keys() | outcome.keys()):
        word: Cell = ("not checked", "quiet")
        if key in outcome:
            word = ("✓ held", "good") if outcome[key] else ("✗ broken", "bad")
        rows.append([key, INVARIANTS.get(key, "A check of this run."), word])
    intro = "Rules checked while the replay ran; one broken rule fails the whole run."
    return table("Invariants", intro, ["Rule", "What it means", "Outcome"], rows)


def nodes(series: ReportData) -> str:
    """What each oracle node did."""
    rows: list[list[Cell]] = [
        [
            node["name"],
            node["source"],
            node["provenance"],
            f"{count(node['rounds_signed'])} of {count(node['rounds_total'])}",
            f"{node['silent_minutes']:.1f}",
            f"{node['deviation_median_bp']:.1f}",
            f"{node['deviation_max_bp']:.1f}",
        ]
        for node in series.get("nodes", [])
    ]
    heads = [
        "Node",
        "Reads",
        "Kind",
        "Rounds signed#",
        "Silent minutes#",
        "Median deviation, bp#",
        "Largest deviation, bp#",
    ]
    intro = (
        "Each node signs what its own venue shows; the chain takes the median of a quorum. "
        "Deviation is a node's distance from the price on chain. Measured: real prints. Bridged: "
        "real bars with a made-up path inside. Modelled and synthetic: derived from the others."
    )
    return table("Oracle nodes", intro, heads, rows)


def liquidations(series: ReportData) -> str:
    """The ten slices that kept the least of their value at mark."""
    ordered = sorted(
        series.get("liquidations", []), key=lambda row: (row["recovery_pct"], row["ts"])
    )
    rows: list[list[Cell]] = [
        [
            (moment(row["ts"]), "whole"),
            short(row["account"]),
            (row["position"], "whole"),
            money(row["notional"]),
            money(row["equity_before"]),
            money(row["maintenance_before"]),
            f"{row['recovery_pct']:.2f} %",
            short(row["bidder"]),
        ]
        for row in ordered[:LIQUIDATIONS_SHOWN]
    ]
    heads = [
        "Time",
        "Account",
        "Sold",
        "Notional#",
        "Equity before#",
        "Maintenance margin#",
        "Kept of mark#",
        "Bidder",
    ]
    intro = "The auction slices in which the account kept the least of its value at mark."
    return table("Worst ten liquidations", intro, heads, rows)


def cheats(series: ReportData) -> str:
    """Every kind of cheating and what stopped it."""
    rows: list[list[Cell]] = []
    for cheat in series.get("cheats", []):
        won = cheat["succeeded"]
        outcome = (f"✗ {count(won)} succeeded", "bad") if won else ("✓ all stopped", "good")
        rows.append(
            [cheat["name"], cheat["who"], count(cheat["attempts"]), outcome, cheat["stopped_by"]]
        )
    heads = ["Attempt", "By", "Times#", "Outcome", "Stopped by"]
    intro = "Dishonest moves played against the real contracts while the market fell."
    return table("Cheats", intro, heads, rows)


def parameters(series: ReportData) -> str:
    """Parameters in force."""
    rows: list[list[Cell]] = [[n, v] for n, v in series.get("parameters", {}).items()]
    intro = "Risk parameters and settings this replay ran with."
    return table("Parameters", intro, ["Parameter", "Value"], rows)


def sources(series: ReportData) -> str:
    """Where the prices come from and what was wrong with the file."""
    items = "".join(f"<li>{escape(text)}</li>" for text in series.get("sources", []))
    body = f"<ul>{items}</ul>" if items else '<p class="missing">No source was stated.</p>'
    found = series.get("findings", [])
    rows: list[list[Cell]] = [
        [str(f["code"]), f["name"], count(f["row"]), f["text"]] for f in found[:FINDINGS_SHOWN]
    ]
    listed = ""
    if rows:
        intro = f"What the reader met in the file: the first {len(rows)} of {len(found)}."
        heads = ["Code", "Finding", "Row#", "What was done"]
        listed = table("Findings in the price file", intro, heads, rows)
    return f"<section><h2>Prices: sources</h2>{body}</section>{listed}"
