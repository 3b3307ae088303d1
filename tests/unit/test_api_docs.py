"""docs/api.md names every method of the API, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from novate.api import door, server
from novate.api.connection import SLOW
from novate.api.rejections import _DERIBIT

TEXT = (Path(__file__).parents[2] / "docs" / "api.md").read_text()


def rows(heading: str) -> set[str]:
    """Names in backticks in the first column of a table."""
    lines = TEXT.split(heading)[1].split("\n\n")[0].splitlines()[1:]
    return {name for line in lines for name in re.findall(r"`(\w+)`", line.split("|")[1])}


def test_every_method_has_its_line() -> None:
    registered = set(server.rpc.METHODS)
    documented = {f"public/{name}" for name in rows("| public | |")}
    documented |= {f"private/{name}" for name in rows("| private | scope | |")}
    assert documented == registered


def test_every_number_of_deribits_is_named() -> None:
    table = TEXT.split("## Errors")[1].split("\n## ")[0]
    for name, code in _DERIBIT.items():
        assert f"`{name}`" in table, name
        assert str(code).replace("-", "−") in table, code


def test_bounds_are_those_of_the_code() -> None:
    assert f"{door.CONNECTIONS_PER_ADDRESS_MAX:,} connections an address" in TEXT
    assert f"{door.CONNECTIONS_MAX:,} in all" in TEXT
    assert SLOW[1].decode().split(":")[0] in TEXT
