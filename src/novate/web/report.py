"""The report page of a replay: ``render(result, series)`` gives one self-contained HTML text.

Owns: the order of the page and its words. The inputs are ``Result`` and ``ReportData`` (module
``report_data`` states their schema). The page runs no script and loads nothing; charts are inline
SVG with hover text; every name from outside is escaped.
"""

from __future__ import annotations

from decimal import Decimal
from html import escape

from novate.web import report_charts, report_options, report_tables, report_words
from novate.web.charts_grid import percent
from novate.web.report_data import INVARIANTS, ReportData, Result
from novate.web.report_style import STYLE
from novate.web.report_text import count, moment, money, number, plural


def render(result: Result, series: ReportData) -> str:
    """The whole page."""
    body = [
        _headline(result),
        _tiles(result),
        _story(result, series),
        report_words.section(),
        report_charts.sections(result, series),
        report_options.sections(result, series),
        report_tables.invariants(result),
        report_tables.nodes(series),
        report_tables.liquidations(series),
        report_tables.cheats(series),
        report_tables.parameters(series),
        report_tables.sources(series),
        _foot(result),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark">'
        f"<title>Novate replay: {escape(result['event'])}</title><style>{STYLE}</style></head>"
        f"<body><main>{''.join(body)}</main></body></html>\n"
    )


def failures(result: Result) -> list[str]:
    """What went wrong, in plain words; empty when the clearing house kept every promise."""
    bad: list[str] = []
    gap, loss = Decimal(result["solvency_gap"]), Decimal(result["users_without_positions_loss"])
    if gap > 0:
        bad.append(f"claims exceed custody by {money(gap)}")
    if loss > 0:
        bad.append(f"users without positions lost {money(loss)}")
    if result["cheats_succeeded"]:
        bad.append(plural(result["cheats_succeeded"], "cheat") + " succeeded")
    if result["fills_busted"]:
        bad.append(plural(result["fills_busted"], "matched fill") + " did not settle")
    lost = result["fills_matched"] - result["fills_settled"] - result["fills_busted"]
    if lost:
        bad.append(plural(lost, "matched fill") + " neither settled nor busted")
    broken = [key for key, held in sorted(result["invariants"].items()) if not held]
    if broken:
        bad.append("broken invariants: " + ", ".join(broken))
    if not result["invariants"]:
        bad.append("no invariant was checked")
    return bad


def _headline(result: Result) -> str:
    """Verdict first."""
    bad = failures(result)
    if bad:
        verdict, style = "The clearing house did not keep every promise", "bad"
        text = "; ".join(bad) + "."
        text = text[0].upper() + text[1:]
    else:
        verdict, style = "The clearing house stayed solvent", "good"
        text = (
            "Every claim is covered to the last unit, no user without positions lost anything, "
            "every matched trade settled and every attempt to cheat was stopped."
        )
    mark = "✗" if bad else "✓"
    return (
        f'<header><p class="kicker">Novate · crash replay · {escape(result["event"])}</p>'
        f'<h1 class="{style}"><span aria-hidden="true">{mark}</span> {verdict}</h1>'
        f'<p class="lead">{escape(text)}</p></header>'
    )


def _tiles(result: Result) -> str:
    """The figures a risk manager asks for first, each with its own verdict."""
    gap, loss = Decimal(result["solvency_gap"]), Decimal(result["users_without_positions_loss"])
    unsettled = result["fills_matched"] - result["fills_settled"]
    held = sum(result["invariants"].values())
    checked = len(result["invariants"])
    unchecked = len(INVARIANTS) - checked
    tiles = [
        ("Solvency gap", money(gap), "claims above custody", gap <= 0),
        ("Lost without positions", money(loss), "by users who held no position", loss <= 0),
        (
            "Cheats succeeded",
            f"{count(result['cheats_succeeded'])} of {count(result['cheats_attempted'])}",
            "attempts made while the market fell",
            result["cheats_succeeded"] == 0,
        ),
        (
            "Fills not settled",
            f"{count(unsettled)} of {count(result['fills_matched'])}",
            f"{count(result['fills_busted'])} refused on chain",
            unsettled == 0 and result["fills_busted"] == 0,
        ),
        (
            "Invariants held",
            f"{held} of {checked}",
            f"{unchecked} not checked in this run" if unchecked > 0 else "every rule was checked",
            0 < checked == held,
        ),
    ]
    cards = ""
    for title, value, note, good in tiles:
        style, word = ("good", "✓ as promised") if good else ("bad", "✗ broken")
        cards += (
            f'<div class="tile {style}"><h2>{title}</h2><p class="value">{escape(value)}</p>'
            f'<p class="note">{note}</p><p class="mark">{word}</p></div>'
        )
    return f'<section class="tiles" aria-label="Verdict">{cards}</section>'


def _story(result: Result, series: ReportData) -> str:
    """What happened, a sentence or two on each part."""
    batches = result["batches"] - series.get("cheat_settlements", 0)
    trading = (
        f"{plural(result['accounts'], 'account')} sent {plural(result['orders'], 'signed order')}; "
        f"{count(result['fills_settled'])} of {plural(result['fills_matched'], 'matched fill')} "
        f"settled on chain in {plural(batches, 'batch', 'batches')}, at a median of "
        f"{count(result['gas_per_fill_median'])} gas a fill."
    )
    cheating = (
        f"{plural(result['cheats_attempted'], 'attempt')} to cheat ran during the crash; "
        f"{count(result['cheats_succeeded'])} succeeded."
    )
    money_left = (
        f"At the end custody held {money(result['custody'])} against claims of "
        f"{money(result['claims'])}."
    )
    parts = {
        "Market": _fall(series),
        "Oracle": _silent(series),
        "Trading": trading,
        "Options": _options(result),
        "Defaults": _defaults(result),
        "Cheating": cheating,
        "Money": money_left,
    }
    items = "".join(
        f"<li><b>{name}.</b> {escape(text)}</li>" for name, text in parts.items() if text
    )
    return f'<section><h2>What happened</h2><ul class="story">{items}</ul></section>'


def _fall(series: ReportData) -> str:
    """How far each asset fell, by what the chain stored (else by the first node)."""
    ts, parts = series.get("ts", []), []
    for asset, prices in series.get("prices", {}).items():
        column = prices["chain_index"] or next(iter(prices["index"].values()), [])
        known = [(value, at) for value, at in zip(column, ts, strict=False) if value is not None]
        if not known:
            continue
        low, at = min(known)
        fall = (low / known[0][0] - 1) * 100
        start = number(known[0][0])
        parts.append(
            f"{asset} went from {start} to a low of {number(low)} USD "
            f"at {moment(at)} ({percent(round(fall, 1))})"
        )
    return "; ".join(parts) + "." if parts else ""


def _defaults(result: Result) -> str:
    """Liquidations, and who paid."""
    text = (
        f"{plural(result['liquidations'], 'account')} below maintenance margin sold slices at "
        f"auction; {plural(result['auctions_insolvent'], 'auction')} ended insolvent"
    )
    debt = Decimal(result["bad_debt"])
    if debt <= 0:
        return f"{text} and no debt was left unpaid by its debtor."
    paid = Decimal(result["insurance_start"]) - Decimal(result["insurance_end"])
    verb = f"fell by {money(paid)}" if paid >= 0 else f"rose by {money(-paid)} (fees above losses)"
    return f"{text}, leaving {money(debt)} of bad debt for the waterfall; insurance {verb}."


def _options(result: Result) -> str:
    """What was traded in options, and what came of those that expired."""
    if not result["options_listed"]:
        return ""
    text = (
        f"{plural(result['options_listed'], 'option')} stood listed; "
        f"{plural(result['option_fills'], 'fill')} of them moved {money(result['option_premium'])} "
        f"of premium and paid {money(result['option_fees'])} of fees, on "
        f"{plural(result['surfaces_posted'], 'signed surface')}"
    )
    if not result["expiries_settled"]:
        return f"{text}; none expired in this run."
    over = plural(result["expiries_settled"], "expiry", "expiries")
    return (
        f"{text}. {over} (each asset has its own) settled at the mean of the nodes' last half "
        f"hour, for {plural(result['accounts_paid'], 'account')}; those in the money received "
        f"{money(result['paid_at_expiry'])}."
    )


def _silent(series: ReportData) -> str:
    """Which oracle nodes were silent."""
    quiet = [n for n in series.get("nodes", []) if n["silent_minutes"] > 0]
    if not quiet:
        return ""
    names = ", ".join(f"{n['name']} for {n['silent_minutes']:.0f} minutes" for n in quiet)
    return f"{plural(len(quiet), 'node')} had no price at times, as the venue had none: {names}."


def _foot(result: Result) -> str:
    """How to repeat and check the run."""
    return (
        "<footer><p>Journal head <code>"
        + escape(result["journal_head"])
        + f"</code>: the same inputs give the same head on every machine. The run took "
        f"{result['wall_s']:,.1f} s. This page is one file: it runs no script and loads nothing."
        "</p></footer>"
    )
