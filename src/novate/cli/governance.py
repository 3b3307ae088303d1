"""``novate governance``: what margin rests on, within which bounds it may change, what waits."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import typer

from novate.cli import client as shared
from novate.cli.client import DEFAULT_URL, AsJson, Url

app = typer.Typer(
    no_args_is_help=True,
    help="Parameters of a running venue, and changes of them.",
    epilog="Example:  novate governance show",
)
PARAMETERS = (
    ("currency", "currency"),
    ("scan_range", "scan range"),
    ("scan_range_target", "going to"),
    ("liquidity_max", "liquidity"),
    ("haircut_maintenance", "haircut"),
    ("haircut_initial", "initial"),
    ("credit", "credit"),
    ("changed", "set (UTC)"),
)
BOUNDS = (("name", "parameter"), ("least", "least"), ("most", "most"))
PENDING = (
    ("call", "call"),
    ("state", "state"),
    ("runs", "from (UTC)"),
    ("ends", "until (UTC)"),
)


@app.callback()
def governance() -> None:
    """Parameters of a running venue, and changes of them."""


@app.command(epilog="Example:  novate governance show")
def show(venue: Url = DEFAULT_URL, as_json: AsJson = False) -> None:
    """The parameters in force, what the contracts let governance set, and every change that has
    been announced, with the time from which it may run.
    """
    found = shared.run(venue, None, lambda client: client.call("public/get_risk_parameters"))
    if as_json:
        shared.show_one(found, (), True)
        return
    rows = [row | {"changed": _time(row["set_at"])} for row in found["underlyings"]]
    typer.echo(f"initial over maintenance margin: {found['initial_over_maintenance']}\n")
    shared.show(rows, PARAMETERS, False, "no underlying is listed")
    typer.echo("\nmay be set, once a day and announced before:")
    bounds = [
        {"name": name.replace("_", " "), "least": least, "most": most}
        for name, (least, most) in found["bounds"].items()
    ]
    shared.show(bounds, BOUNDS, False, "")
    typer.echo("")
    pending = [_change(row) for row in found["pending_changes"]]
    shared.show(pending, PENDING, False, "no change has been announced")


def _change(row: dict[str, Any]) -> dict[str, str]:
    """An announced call as one reads it."""
    given = ", ".join(
        f"{name}={value if isinstance(value, str) else json.dumps(value)}"
        for name, value in row["arguments"].items()
    )
    called = f"{row['function']}({given})" if row["function"] else row["data"]
    return {
        "call": f"{row['contract']}.{called}",
        "state": row["state"],
        "runs": _time(row["executable_at"]),
        "ends": _time(row["expires_at"]),
    }


def _time(second: int) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%d %H:%M")
