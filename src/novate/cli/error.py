"""``novate error``: explains a rejection from the registry, by name, code or selector.

A rejection has two numbers where Deribit has one for it: ours, and the one that the API answers
with so that bots written for Deribit understand it. Several rejections may share Deribit's.
"""

from __future__ import annotations

import difflib
import json
from typing import Annotated

import typer

from novate.api.rejections import deribit_code
from novate.cli.numbers import WithNumbers
from novate.errors import BY_SELECTOR, REGISTRY, Error

CLASS = WithNumbers  # JSON-RPC's own numbers are negative


def find(query: str) -> list[Error]:
    """The rejections with this name (any case), number (ours or the API's) or 0x selector."""
    if query.removeprefix("-").isdecimal():
        number = int(query)
        return [e for e in REGISTRY.values() if number in (e.code, deribit_code(e))]
    if query.lower().startswith("0x"):
        try:
            found = BY_SELECTOR.get(int(query[:10], 16))
        except ValueError:
            return []
        return [found] if found else []
    return [e for e in REGISTRY.values() if e.name.lower() == query.lower()]


def as_fields(error: Error) -> dict[str, str | int | bool]:
    """The rejection as a flat record; ``api_code`` is what the API answers with."""
    return {
        "name": error.name,
        "code": error.code,
        "api_code": deribit_code(error),
        "selector": f"{error.selector:#010x}",
        "http_status": error.http_status,
        "retryable": error.retryable,
        "sentence": error.sentence,
    }


def command(
    query: Annotated[
        str,
        typer.Argument(
            metavar="NAME|CODE|SELECTOR", help="StalePrice, 3009, 0x..., or the API's number."
        ),
    ],
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a rejection.")
    ] = False,
) -> None:
    """Explain a rejection: what a contract, the API or this command refused, and why.

    Example:  novate error StalePrice
    """
    query = query.strip()
    found = find(query)
    if not found:
        near = difflib.get_close_matches(query, REGISTRY, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise typer.BadParameter(f"no rejection {query!r}{hint}")
    for error in found:
        typer.echo(json.dumps(as_fields(error)) if as_json else _words(error))


def _words(error: Error) -> str:
    """Two lines for people."""
    retry = "it may pass later" if error.retryable else "the same command is refused again"
    there = deribit_code(error)
    answered = "" if there == error.code else f"the API answers {there}, Deribit's number; "
    return (
        f"{error.name} ({error.code}): {error.sentence}\n"
        f"  {answered}selector {error.selector:#010x}, HTTP status {error.http_status}; {retry}."
    )
