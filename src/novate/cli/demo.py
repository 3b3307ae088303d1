"""``novate demo``: a real crash, cleared on a local chain, ending in a report."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich import progress
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from novate import config
from novate.chain.compile import missing
from novate.chain.node import NodeFault
from novate.cli.main import called_as
from novate.demo.run import Crash, Progress
from novate.lab.prices import PriceTable, load_event, load_prices
from novate.lab.smiles import load_smiles
from novate.web.report_data import Result
from novate.web.report_text import money

FINDINGS_TOLD = 10
LINES = 20  # of progress, where there is no terminal


def command(
    out: Annotated[Path, typer.Option(help="Folder for journal, chain, result and report.")] = Path(
        "out/demo"
    ),
    prices: Annotated[
        Path | None, typer.Option(help="Any OHLC CSV or Parquet instead of the built-in table.")
    ] = None,
    symbol: Annotated[
        str, typer.Option(help="Asset of a price file without a symbol column.")
    ] = "BTC",
    seed: Annotated[
        int, typer.Option(help="Seed of the traders and of the paths inside bars.")
    ] = 1,
    minutes: Annotated[
        int | None, typer.Option(min=2, help="Stop after so many minutes of the event.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
) -> None:
    """Clear the crash of 2025-10-10 through real contracts and prove that nothing was lost.

    Example: novate demo --out out/demo --minutes 60
    """
    table = load_prices(prices, symbol=symbol) if prices else load_event()
    console = Console(stderr=True, soft_wrap=True)
    _tell_findings(console, table, prices is None)
    if absent := missing():
        console.print(f"compiling {len(absent)} contracts, once; `make setup` does it beforehand")
    try:
        event = prices.stem if prices else "crash of 2025-10-10"
        smiles = None if prices else load_smiles()
        crash = Crash(out, config.load(), table, seed, minutes, event, smiles)
    except NodeFault as fault:
        raise OSError(str(fault)) from fault
    try:
        with _progress(console) as show:
            result = crash.run(show)
    finally:
        crash.venue.close()
    if as_json:
        typer.echo(json.dumps(result))
    else:
        summary(Console(), result, out)
    if not sound(result):
        raise typer.Exit(1)


def _tell_findings(console: Console, table: PriceTable, built_in: bool) -> None:
    """What is wrong with the prices: a file's first defects and their sum, or one line for what
    the built-in table is known to lack.
    """
    counts = ", ".join(f"{count:,} {name}" for name, count in table.finding_counts.items())
    if not counts:
        return
    if built_in:
        console.print(f"built-in prices: {counts} (a venue fell silent); the report lists them")
        return
    for finding in table.findings[:FINDINGS_TOLD]:
        console.print(
            f"[yellow]{finding.name} ({finding.code})[/] row {finding.row}: {finding.text}"
        )
    console.print(f"in all: {counts}; the report lists the first of them")


@contextmanager
def _progress(console: Console) -> Iterator[Progress]:
    """A bar on a terminal; elsewhere a line at every twentieth of the way."""
    if not console.is_terminal:
        told = -1

        def line(done: int, total: int, text: str) -> None:
            nonlocal told
            step = done * LINES // total
            if step > told or done == total:
                told = step
                console.print(f"{100 * done / total:3.0f} % {text}", highlight=False)

        yield line
        return
    columns = (
        TextColumn("[bold]{task.percentage:>3.0f} %"),
        BarColumn(bar_width=24),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
    )
    with progress.Progress(*columns, console=console, transient=False) as bar:
        task = bar.add_task("starting", total=None)

        def show(done: int, total: int, text: str) -> None:
            bar.update(task, completed=done, total=total, description=text)

        yield show


def sound(result: Result) -> bool:
    """Whether the venue kept its promises."""
    return (
        result["solvency_gap"] == "0"
        and result["users_without_positions_loss"] == "0"
        and result["cheats_succeeded"] == 0
        and result["fills_busted"] == 0
        and all(result["invariants"].values())
    )


def summary(console: Console, result: Result, out: Path) -> None:
    """The result on one screen, in words and dollars; ``result.json`` has every digit."""
    verdict = "[green]nothing was lost[/]" if sound(result) else "[red]a promise was broken[/]"
    table = Table(title=f"{result['event']}: {verdict}", show_header=False, title_justify="left")
    table.add_column()
    table.add_column(justify="right")
    for key, value in result.items():
        if key not in ("event", "journal_head"):
            table.add_row(key.replace("_", " "), _shown(key, value))
    console.print(table)
    console.print(
        f"journal head: {result['journal_head']}\nreport: {out / 'report.html'}\n"
        f"verify: {called_as()} verify {out}",
        highlight=False,
        soft_wrap=True,
    )


def _shown(key: str, value: object) -> str:
    if isinstance(value, dict):
        failed = ", ".join(name for name, held in value.items() if not held)
        held = f"{sum(value.values())} of {len(value)} hold"
        return f"{held}; broken: {failed}" if failed else held
    if isinstance(value, str):
        return money(value)
    return f"{value:,}"
