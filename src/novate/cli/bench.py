"""``novate bench``: measures gas, speed and recovery on this machine, beside their targets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Column, Table

from novate.bench import api as trading
from novate.bench import margining, matching, recovery, settling, signing
from novate.bench.catalogue import SCENARIOS
from novate.bench.gas import BASELINES, TARGETS, GasReport, measure
from novate.chain.node import NodeFault
from novate.config import DEFAULT, load

app = typer.Typer(
    help="Measure gas, speed and recovery on this machine, beside their targets.",
    invoke_without_command=True,
    epilog="Example:  novate bench gas --json",
)


@app.callback()
def everything(context: typer.Context) -> None:
    """Run every benchmark when none is named."""
    if context.invoked_subcommand is None:
        gas()
        match()
        sign()
        margin()
        recover()
        settle()
        api()


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


@app.command()
def match(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    flow: Annotated[
        Path | None,
        typer.Option(help="Also the flow of this recorded level-2 book (Parquet)."),
    ] = None,
    commands: Annotated[
        int, typer.Option(min=1_000, help="Commands of each made workload.")
    ] = 400_000,
    runs: Annotated[int, typer.Option(min=1, help="Runs that the median is of.")] = 5,
) -> None:
    """Commands a second of the fast book, checked against the reference in the same run."""
    report = matching.measure(commands, runs, flow=flow)
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    console.print(match_table(report))
    verdict = "met" if report.worst >= matching.RATE_TARGET else "missed"
    console.print(
        f"[bold]worst workload[/bold]: {report.worst:,} commands/s on one core, "
        f"target {matching.RATE_TARGET:,}: {verdict}",
        highlight=False,
    )
    verdict = "met" if report.call_ns <= matching.CALL_TARGET_NS else "missed"
    console.print(
        f"[bold]one call from Python[/bold]: {report.call_ns:,} ns in the median, "
        f"target {matching.CALL_TARGET_NS:,}: {verdict}",
        highlight=False,
    )


@app.command()
def sign(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    orders: Annotated[int, typer.Option(min=256, help="Orders of each run.")] = 8_192,
    runs: Annotated[int, typer.Option(min=1, help="Runs that the median is of.")] = 5,
) -> None:
    """Orders a second signed and checked, one by one and in bulk, beside eth_account."""
    report = signing.measure(orders, runs)
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    console.print(sign_table(report))
    for key, text in signing.WHAT.items():
        console.print(f"[bold]{key}[/bold]: {text}", highlight=False)
    alone = ", ".join(f"{key} {rate:,}" for key, rate in report.ceiling.items())
    console.print(f"[bold]libsecp256k1 alone[/bold]: {alone}", highlight=False)


@app.command()
def margin(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    accounts: Annotated[
        int, typer.Option(min=1_000, help="Accounts of twenty positions each.")
    ] = margining.ACCOUNTS,
    runs: Annotated[int, typer.Option(min=1, help="Runs that the median is of.")] = 5,
) -> None:
    """Seconds to judge a million accounts at a round, and an order before it trades."""
    report = margining.measure(accounts, runs)
    if as_json:
        typer.echo(json.dumps(report.document()))
    else:
        _tell_margin(report)
    if report.wrong:
        raise typer.Exit(1)


def _tell_margin(report: margining.MarginReport) -> None:
    console, pace, exact = Console(soft_wrap=True), report.pace, report.exact
    verdict = "met" if pace.million_accounts_s <= margining.ROUND_TARGET_S else "missed"
    console.print(
        f"[bold]a million accounts at a round[/bold]: {pace.million_accounts_s:.3f} s, target "
        f"{margining.ROUND_TARGET_S} s: {verdict}; {margining.BASELINE} "
        f"{exact.million_accounts_s:,.0f} s",
        highlight=False,
    )
    verdict = "met" if pace.pretrade_us <= margining.CHECK_TARGET_US else "missed"
    console.print(
        f"[bold]an order at entry[/bold]: {pace.pretrade_us:.2f} µs, target "
        f"{margining.CHECK_TARGET_US:.0f} µs: {verdict}; {margining.BASELINE} "
        f"{exact.pretrade_us:,.0f} µs; a match at the gate {pace.gate_us:.2f} µs",
        highlight=False,
    )
    console.print(
        f"{report.checked} answers checked, {report.wrong} wrong; too close to tell: "
        f"{report.too_close:.3%}",
        highlight=False,
    )


@app.command()
def recover(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    commands: Annotated[
        int, typer.Option(min=1_000, help="Commands to replay.")
    ] = recovery.COMMANDS,
    runs: Annotated[int, typer.Option(min=1, help="Replays that the median is of.")] = 3,
) -> None:
    """Seconds to replay a million commands from the journal, and to promote a standby."""
    report = recovery.measure(commands, runs)
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    figures = (
        ("a million commands replayed", report.million_commands_s, recovery.REPLAY_TARGET_S),
        ("a standby promoted", report.promote_s, recovery.PROMOTE_TARGET_S),
    )
    for name, seconds, target in figures:
        verdict = "met" if seconds <= target else "missed"
        console.print(
            f"[bold]{name}[/bold]: {seconds:.2f} s, target {target:.0f} s: {verdict}",
            highlight=False,
        )
    console.print(f"replayed: {recovery.REPLAYED}", highlight=False)
    sound = report.same_state and report.fenced and report.lost == 0
    checks = "same state, nothing acknowledged lost, the old writer fenced"
    console.print(checks if sound else f"FAILED: {checks}", highlight=False)
    if not sound:
        raise typer.Exit(1)


@app.command()
def settle(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    fills: Annotated[
        int, typer.Option(min=settling.BATCH, help="Fills settled back to back.")
    ] = settling.FILLS,
    seconds: Annotated[
        int, typer.Option(min=1, help="Seconds of fills at a fixed rate.")
    ] = settling.SECONDS,
    runs: Annotated[
        int, typer.Option(min=1, help="Runs, of which the medians are told.")
    ] = settling.RUNS,
    parameters: Annotated[Path, typer.Option(help="Parameter file of the venue.")] = DEFAULT,
) -> None:
    """Fully checked fills a second on a local chain, and the time from match to settled."""
    try:
        report = settling.measure(load(parameters), fills, seconds, runs)
    except NodeFault as error:
        raise typer.BadParameter(str(error)) from None
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    verdict = "met" if report.fills_per_s >= settling.FILLS_PER_S_TARGET else "missed"
    console.print(
        f"[bold]settled[/bold]: {report.fills_per_s:,} fills/s, target "
        f"{settling.FILLS_PER_S_TARGET:,}: {verdict}; {report.share_of_chain:.0%} of the chain "
        f"alone ({report.chain_fills_per_s:,}/s), {report.times_baseline:.0f} times "
        f"{settling.BASELINE}",
        highlight=False,
    )
    verdict = "met" if report.p99_ms <= settling.P99_MS_TARGET else "missed"
    console.print(
        f"[bold]match to settled[/bold] at {report.rate:,} fills/s: p50 {report.p50_ms:.0f} ms, "
        f"p99 {report.p99_ms:.0f} ms, target {settling.P99_MS_TARGET}: {verdict}",
        highlight=False,
    )
    stages = ", ".join(f"{name} {ms:.1f} ms" for name, ms in report.stages_ms.items())
    console.print(f"[bold]gas a fill[/bold]: {report.gas_per_fill:,}", highlight=False)
    console.print(f"[bold]the service, a batch of 100[/bold]: {stages}", highlight=False)
    console.print(
        f"[bold]processor time, a batch of 100[/bold]: the service {report.service_cpu_ms:.1f} ms",
        highlight=False,
    )
    console.print(settling.TEXT, highlight=False)
    if report.settled != report.fills:
        console.print(f"FAILED: {report.fills - report.settled} fills did not settle")
        raise typer.Exit(1)


@app.command()
def api(
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    seconds: Annotated[
        int, typer.Option(min=1, max=300, help="Seconds of each part, at most.")
    ] = trading.SECONDS,
    orders: Annotated[
        int, typer.Option(min=1_000, help="Orders of each part, at most; all are signed before.")
    ] = trading.ORDERS_PER_RUN_MAX,
    rate: Annotated[
        int, typer.Option(min=1, help="Orders a second at which latency is taken.")
    ] = trading.RATE,
) -> None:
    """Orders a second over the API of a running venue, one by one and in bulk, and latency."""
    report = trading.measure(seconds, orders, rate)
    if as_json:
        typer.echo(json.dumps(report.document()))
        return
    console = Console(soft_wrap=True)
    for name, value, target, more in (
        ("orders signed one by one", report.orders_per_s, trading.TARGETS["orders_per_s"], True),
        ("in bulk", report.bulk_orders_per_s, trading.TARGETS["bulk_orders_per_s"], True),
        (f"µs at {rate:,}/s, median", report.p50_us, trading.TARGETS["p50_us"], False),
        (f"µs at {rate:,}/s, 99 %", report.p99_us, trading.TARGETS["p99_us"], False),
    ):
        verdict = "met" if (value >= target if more else value <= target) else "missed"
        console.print(
            f"[bold]{name}[/bold]: {value:,}, target {target:,}: {verdict}", highlight=False
        )
    console.print(f"{report.sent:,} orders, {report.refused:,} refused; {trading.TEXT}")


def match_table(report: matching.MatchReport) -> Table:
    """Each workload's rate, how many times the reference's, and whether both ended alike."""
    table = Table("workload", "commands/s", "times reference", "hash", "what", title="Matching")
    for column in table.columns[1:3]:
        column.justify = "right"
    for workload in report.workloads:
        table.add_row(
            workload.name,
            f"{workload.commands_per_s:,}",
            f"{workload.commands_per_s / workload.reference_per_s:,.0f}",
            "equal" if workload.hash_equal else "DIFFERS",
            workload.text,
        )
    return table


def sign_table(report: signing.SignReport) -> Table:
    """Each rate, its target and verdict, and how many times eth_account's it is."""
    table = Table(
        "figure", "orders/s", "target", "", f"times {signing.BASELINE}", title="Signatures"
    )
    for column in (*table.columns[1:3], table.columns[4]):
        column.justify = "right"
    for key, rate in report.rates.items():
        target, ratio = signing.TARGETS.get(key), report.ratio(key)
        verdict = "" if target is None else "met" if rate >= target else "missed"
        table.add_row(
            key,
            f"{rate:,}",
            f"{target:,}" if target else "",
            verdict,
            f"{ratio:,}" if ratio else "",
        )
    return table


def figures_table(report: GasReport) -> Table:
    """Figure, target and verdict of each scenario; how many times more the baseline needs."""
    table = Table(
        Column("figure", no_wrap=True),
        Column("gas", justify="right", no_wrap=True),
        Column("target", justify="right", no_wrap=True),
        Column("", no_wrap=True),
        "others need",
        title="Gas, cold storage",
    )
    for key, value in report.figures.items():
        target = TARGETS.get(key)
        verdict = "" if target is None else "met" if value <= target else f"{value - target:,} over"
        name, baseline = BASELINES.get(key, ("", 0))
        table.add_row(
            key,
            f"{value:,}",
            f"{target:,}" if target else "",
            verdict,
            f"{baseline / value:.1f}x: {name}" if baseline else "",
        )
    return table
