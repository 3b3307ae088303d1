"""``novate surface``: fits the volatility surface to a file of option quotes."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from novate.model.surface import ONE, RHO_ONE, unpack
from novate.risk.quotes import QuoteFile, load_quotes
from novate.risk.surface import PASSED, SliceFit, fit
from novate.units import DAY_S


def command(
    file: Annotated[Path, typer.Argument(help="Quotes of one underlying: CSV or Parquet.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fit the volatility surface to option quotes and pass it through the arbitrage gate.

    Columns: ts, expiry, strike, cp (C or P), forward, and bid_vol with ask_vol (fractions a year)
    or bid_price with ask_price (units of the underlying); mark_vol or mark_price if there is one.
    Exit code 1: a slice does not pass the gate.

    Example:  novate surface quotes.parquet --json
    """
    start = time.perf_counter()
    quotes = load_quotes(file)
    slices = fit(quotes.expiries)
    seconds = time.perf_counter() - start
    if as_json:
        typer.echo(json.dumps(document(quotes, slices, seconds)))
    else:
        _print(quotes, slices, seconds)
    if any(each.verdict != PASSED for each in slices):
        raise typer.Exit(1)


def document(quotes: QuoteFile, slices: tuple[SliceFit, ...], seconds: float) -> dict[str, Any]:
    """The fit as one record; words in hex, parameters in float64."""
    return {
        "expiries": [_fields(each) for each in slices],
        "expiries_left_out": len(quotes.expiries) - len(slices),
        "rows_skipped": quotes.skipped,
        "seconds": round(seconds, 3),
    }


def _fields(each: SliceFit) -> dict[str, Any]:
    s = unpack(each.word)
    return {
        "expiry": s.expiry,
        "days": round(s.tenor / DAY_S, 2),
        "quotes_used": each.quotes_used,
        "theta": s.theta / ONE,
        "rho": s.rho / RHO_ONE,
        "psi": s.psi / ONE,
        "rmse_points": round(each.rmse_points, 3),
        "gate": each.verdict,
        "word": f"{each.word:#066x}",
    }


def _print(quotes: QuoteFile, slices: tuple[SliceFit, ...], seconds: float) -> None:
    table = Table("days", "quotes", "theta", "rho", "psi", "RMSE (vol points)", "gate")
    for column in table.columns[:6]:
        column.justify = "right"
    for each in slices:
        fields = _fields(each)
        parameters = (f"{fields['theta']:.6f}", f"{fields['rho']:.4f}", f"{fields['psi']:.4f}")
        rmse = f"{each.rmse_points:.2f}"
        table.add_row(
            f"{fields['days']:.2f}", str(each.quotes_used), *parameters, rmse, each.verdict
        )
    console = Console(soft_wrap=True)
    console.print(table)
    skipped = ", ".join(f"{name} {count}" for name, count in quotes.skipped.items()) or "none"
    left_out = len(quotes.expiries) - len(slices)
    text = f"{seconds:.2f} s; rows skipped: {skipped}; expiries left out: {left_out}"
    console.print(text, highlight=False)
