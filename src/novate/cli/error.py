"""``novate error``: explains a rejection from the registry, by name, code or selector."""

from __future__ import annotations

import difflib
import json
from typing import Annotated

import typer

from novate.errors import BY_CODE, BY_SELECTOR, REGISTRY, Error


def find(query: str) -> Error | None:
    """The rejection with this name (any case), code or 0x selector."""
    if query.isdecimal():
        return BY_CODE.get(int(query))
    if query.lower().startswith("0x"):
        try:
            return BY_SELECTOR.get(int(query[:10], 16))
        except ValueError:
            return None
    return next((e for e in REGISTRY.values() if e.name.lower() == query.lower()), None)


def as_fields(error: Error) -> dict[str, str | int | bool]:
    """The rejection as a flat record."""
    return {
        "name": error.name,
        "code": error.code,
        "selector": f"{error.selector:#010x}",
        "http_status": error.http_status,
        "retryable": error.retryable,
        "sentence": error.sentence,
    }


def command(
    query: Annotated[
        str, typer.Argument(metavar="NAME|CODE|SELECTOR", help="StalePrice, 3009 or 0x...")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Explain a rejection: what a contract, the API or this command refused, and why.

    Example:  novate error StalePrice
    """
    error = find(query)
    if error is None:
        near = difflib.get_close_matches(query, REGISTRY, 3)
        hint = f"; did you mean {', '.join(near)}?" if near else ""
        raise typer.BadParameter(f"no rejection {query!r}{hint}")
    fields = as_fields(error)
    if as_json:
        typer.echo(json.dumps(fields))
        return
    retry = "it may pass later" if error.retryable else "the same command is refused again"
    typer.echo(f"{error.name} ({error.code}): {error.sentence}")
    typer.echo(f"  selector {fields['selector']}, HTTP status {error.http_status}; {retry}.")
