"""What the trading commands share: the venue's address, the key, output as a table or JSON.

Owns: reading a key file (never an argument: other users see those), and turning the SDK's faults
into one line and exit code 2.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from novate.sdk import Client, Rounding, SigningKey
from novate.sdk.faults import ClientFault

DEFAULT_URL = "http://127.0.0.1:8080"

Url = Annotated[str, typer.Option("--venue", envvar="NOVATE_VENUE", help="The venue's address.")]
KeyFile = Annotated[
    Path | None,
    typer.Option(
        "--key", envvar="NOVATE_KEY_FILE", help="File with the private key, in hexadecimal."
    ),
]
AccountId = Annotated[
    str | None,
    typer.Option(
        "--account",
        envvar="NOVATE_ACCOUNT",
        help="Account (0x and 64 digits); the key's own first.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Fields = Sequence[tuple[str, str]]


def read_key(file: Path | None, account: str | None) -> SigningKey:
    """The key in a file. Raises ``typer.BadParameter`` that says what to do."""
    if file is None:
        raise typer.BadParameter("a key is needed: --key FILE, or NOVATE_KEY_FILE")
    try:
        return SigningKey(
            file.read_text(encoding="utf-8").strip(), int(account, 16) if account else None
        )
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"--key {file} or --account: {error}") from None


def run(
    url: str,
    key: SigningKey | None,
    work: Callable[[Client], Any],
    rounding: Rounding = Rounding.EXACT,
    dry_run: bool = False,
) -> Any:
    """Do some work with a connected client; a fault ends the command with exit code 2."""
    try:
        with Client(url, key, rounding=rounding, dry_run=dry_run) as client:
            return work(client)
    except (ClientFault, ValueError) as fault:
        typer.echo(f"error: {type(fault).__name__}: {fault}", err=True)
        raise typer.Exit(2) from None


def show(rows: list[dict[str, Any]], fields: Fields, as_json: bool, nothing: str) -> None:
    """Print rows: as they came, or the named fields under their headings."""
    if as_json:
        typer.echo(json.dumps(rows, default=str))
        return
    if not rows:
        typer.echo(nothing)
        return
    table = Table(box=None, pad_edge=False)
    for _, heading in fields:
        table.add_column(heading)
    for row in rows:
        table.add_row(*(str(row.get(name, "")) for name, _ in fields))
    Console().print(table)


def show_one(row: dict[str, Any], fields: Fields, as_json: bool) -> None:
    """Print one record: as it came, or a line a field."""
    if as_json:
        typer.echo(json.dumps(row, default=str))
        return
    width = max(len(heading) for _, heading in fields)
    for name, heading in fields:
        typer.echo(f"{heading:<{width}}  {row.get(name, '')}")
