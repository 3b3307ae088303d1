"""``novate verify``: a run replayed from its journal and its chain alone, step by step."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from novate import config
from novate.chain.client import Client, RpcFault
from novate.chain.deployment import Deployment
from novate.chain.node import LocalNode, NodeFault, NodeOptions
from novate.demo.recorder import usd
from novate.engine.journal import Head
from novate.errors import InvalidParameter, Rejected, require
from novate.model import invariants
from novate.services import verification
from novate.services.final_state import final_state
from novate.services.replica import Replica
from novate.services.verification import Case, Tick, Wrong
from novate.wire import json_text, records
from novate.wire.records import Matched

Step = tuple[str, Callable[[Case, Tick], str]]


@dataclass(frozen=True, slots=True)
class Verdict:
    """How one step ended; ``record`` is the first wrong record it found, if it found one."""

    name: str
    passed: bool
    detail: str
    record: int | None
    seconds: float


def command(
    folder: Annotated[Path, typer.Argument(help="Folder with journal.bin and deployment.json.")],
    rpc: Annotated[
        str | None, typer.Option(help="A node's URL instead of the folder's chain.json.")
    ] = None,
    parameters: Annotated[
        Path, typer.Option(help="The venue's parameter file.", show_default="the built-in one")
    ] = config.DEFAULT,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Replay a run from its journal and its chain, and say whether every record is as it must be.

    Nothing that the run reported is believed: hashes, signatures, price-time priority, margin,
    settlement, all invariants and the final state on the chain are computed again. Exit code 0 if
    everything passes, 1 with the first wrong record named if not, 2 if there is nothing to verify.

    Example: novate verify out/demo
    """
    began = time.monotonic()
    with _opened(folder, rpc, config.load(parameters)) as case:
        verdicts = run(case, _published(folder), Console(stderr=True))
        count = len(case.records)
        held = dict(sorted(case.invariants.items()))
    seconds = time.monotonic() - began
    first = min((v.record for v in verdicts if not v.passed and v.record is not None), default=None)
    passed = all(v.passed for v in verdicts)
    if as_json:
        found = {
            "passed": passed,
            "first_wrong_record": first,
            "records": count,
            "seconds": round(seconds, 1),
            "invariants": held,
            "steps": [_fields(v) for v in verdicts],
        }
        typer.echo(json.dumps(found))
    else:
        _summary(Console(), verdicts, first, count, seconds)
    if not passed:
        raise typer.Exit(1)


def _fields(verdict: Verdict) -> dict[str, Any]:
    return {name: getattr(verdict, name) for name in Verdict.__slots__}


@contextmanager
def _opened(folder: Path, rpc: str | None, parameters: config.Parameters) -> Iterator[Case]:
    """The case with a chain to ask: a node somebody runs, or the dumped chain on one of our own."""
    journal = folder / "journal.bin"
    if not journal.is_file():
        raise FileNotFoundError(f"no journal.bin in {folder}")
    try:
        deployment = Deployment.load(folder / "deployment.json")
    except (msgspec.DecodeError, RecursionError) as error:
        raise Rejected(InvalidParameter, f"deployment.json: {error}") from None
    try:
        if rpc is not None:
            with closing(Client.over_http(rpc)) as client:
                yield Case(journal, deployment, parameters, client)
            return
        state = folder / "chain.json"
        if not state.is_file():
            raise FileNotFoundError(f"no chain.json in {folder}; name a node with --rpc")
        with LocalNode(NodeOptions(chain_id=deployment.chain_id, load_state=state)) as node:
            yield Case(journal, deployment, parameters, node.client())
    except (NodeFault, RpcFault) as fault:
        raise OSError(str(fault)) from fault


def _published(folder: Path) -> dict[str, Any] | None:
    """The figures that the run reported, if it did. Errors: ``InvalidParameter``."""
    path = folder / "result.json"
    if not path.is_file():
        return None
    try:
        found = json_text.parse(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise Rejected(InvalidParameter, f"result.json: {error}") from None
    require(isinstance(found, dict), InvalidParameter, "result.json holds no object")
    return dict(found)


def head_of(published: dict[str, Any]) -> Head | None:
    """The journal's head that a result names. Errors: ``InvalidParameter``."""
    text = published.get("journal_head")
    if text is None:
        return None
    sequence, _, digest = str(text).partition(":")
    try:
        return Head(int(sequence), bytes.fromhex(digest))
    except ValueError:
        raise Rejected(InvalidParameter, f"journal_head {text!r}") from None


def steps(published: dict[str, Any] | None) -> list[Step]:
    """All steps in their order."""
    made: list[Step] = [
        ("hash chain", verification.hash_chain),
        ("genesis and parameters", verification.genesis),
        ("published head", verification.witness),
        ("transactions on the chain", verification.chain_transactions),
        ("order signatures", verification.order_signatures),
        ("priority and margin of matches", verification.matching),
        ("settlement and invariants", verification.settlement),
        ("final state and custody", final_state),
    ]
    if published is not None:
        made.append(("reported figures", lambda case, tick: figures(case, published)))
    return made


def run(case: Case, published: dict[str, Any] | None, console: Console) -> list[Verdict]:
    """Every step that can be judged; the first two must pass for the others to mean anything."""
    if published is not None:
        case.published = head_of(published)
    verdicts: list[Verdict] = []
    columns = (BarColumn(bar_width=24), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=console, transient=True) as bar:
        for name, step in steps(published):
            task = bar.add_task(name, total=None)

            def tick(done: int, total: int, task: Any = task) -> None:
                bar.update(task, completed=done, total=total)

            verdicts.append(_judged(name, step, case, tick))
            bar.remove_task(task)
            if not console.is_terminal:
                word = "pass" if verdicts[-1].passed else "fail"
                console.print(f"{name}: {word}, {verdicts[-1].seconds:.1f} s", highlight=False)
            if not verdicts[-1].passed and len(verdicts) <= 2:
                break
    return verdicts


def _judged(name: str, step: Callable[[Case, Tick], str], case: Case, tick: Tick) -> Verdict:
    began = time.monotonic()
    record = None
    try:
        detail, passed = step(case, tick), True
    except Wrong as wrong:
        detail, passed, record = str(wrong), False, wrong.record
    except RpcFault:
        raise
    except Exception as error:  # what is verified is anybody's: whatever it causes is a finding
        detail, passed = f"cannot be judged: {error!r}", False
    return Verdict(name, passed, detail, record, round(time.monotonic() - began, 2))


def figures(case: Case, published: dict[str, Any]) -> str:
    """What the run reported about itself, counted again."""
    world = case.world
    if world is None:
        raise Wrong("the settlement step did not come to its end")
    found = recount(case)
    claims, custody = invariants.claims(world), invariants.custody_cash(world)
    found |= {"custody": usd(custody), "claims": usd(claims), "solvency_gap": usd(claims - custody)}
    for name, value in found.items():
        if name in published and published[name] != value:
            raise Wrong(f"{name} is {value}, reported as {published[name]}")
    checked = [name for name in found if name in published]
    return f"{len(checked)} equal: {', '.join(checked)}"


def recount(case: Case) -> dict[str, Any]:
    """Counts over the journal and the chain's own events."""
    assert case.world is not None
    decode = Replica(case.world, case.deployment).decode
    outcomes = [decode(record) for _, record in case.transactions()]
    events = [event for outcome in outcomes for event in outcome.events]
    matched = sum(isinstance(record, Matched) for record in case.records)
    settled = sum(e.arguments["settled"].bit_count() for e in events if e.name == "BatchSettled")
    auctions = {e.arguments["account"] for e in events if e.name == "AuctionStarted"}
    return {
        "orders": sum(len(records.orders_in(record)) for record in case.records),
        "fills_matched": matched,
        "fills_settled": settled,
        "fills_busted": matched - settled,
        "batches": sum((o.contract, o.function) == ("exchange", "settle") for o in outcomes),
        "liquidations": len(auctions),
    }


def _summary(
    console: Console, verdicts: list[Verdict], first: int | None, count: int, seconds: float
) -> None:
    passed = all(v.passed for v in verdicts)
    title = "[green]everything is as it must be[/]" if passed else "[red]something is wrong[/]"
    table = Table(title=title, title_justify="left")
    for heading in ("step", "", "found", "s"):
        table.add_column(heading)
    for verdict in verdicts:
        mark = "[green]pass[/]" if verdict.passed else "[red]fail[/]"
        where = f"record {verdict.record}: " if verdict.record is not None else ""
        table.add_row(verdict.name, mark, where + verdict.detail, f"{verdict.seconds:.1f}")
    console.print(table)
    if first is not None:
        console.print(f"[red]first wrong record: {first}[/]")
    console.print(f"{count} records in {seconds:.1f} s", highlight=False)
