"""``novate bench``: measures the figures of the README on this machine."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from novate.bench.gas import BASELINES, TARGETS, GasReport, measure
from novate.bench.scenarios import SCENARIOS
from novate.chain.node import NodeFault
from novate.config import DEFAULT, load

app = typer.Typer(help="Measure the figures of the README.", invoke_without_command=True)


@app.callback()
def everything(context: typer.Context) -> None:
    """Run every benchmark when none is named."""
    if context.invoked_subcommand is None:
        gas()


@app.command()
def gas(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    save: Annotated[
        Path | None, typer.Option(help="Also write the figures to this file (the snapshot).")
    ] = None,
    parameters: Annotated[Path, typer.Option(help="Parameter file of the venue.")] = DEFAULT,
) -> None:
    """Gas of real transactions on a local chain of its own, beside targets and baselines."""
    try:
        report = measure(load(parameters))
    except NodeFault as error:
        raise typer.BadParameter(str(error)) from None
    if save is not None:
        report.save(save)
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    console.print(figures_table(report))
    for scenario in SCENARIOS:
        console.print(f"[bold]{scenario.key}[/bold]: {scenario.text}", highlight=False)
    sizes = ", ".join(f"{size.name} {size.bytes:,}" for size in report.contracts)
    console.print(f"[bold]runtime bytes[/bold]: {sizes}", highlight=False)


def figures_table(report: GasReport) -> Table:
    """Figure, target and verdict of each scenario; how many times more the baseline needs."""
    table = Table(
        "figure", "gas", "target", "", "baseline", "times ours", title="Gas, cold storage"
    )
    for column in table.columns[1:3]:
        column.justify = "right"
    for key, value in report.figures.items():
        target = TARGETS.get(key)
        verdict = (
            "" if target is None else "met" if value <= target else f"missed by {value - target:,}"
        )
        name, baseline = BASELINES.get(key, ("", 0))
        table.add_row(
            key,
            f"{value:,}",
            f"{target:,}" if target else "",
            verdict,
            f"{name} {baseline:,}" if baseline else "",
            f"{baseline / value:.1f}" if baseline else "",
        )
    return table
