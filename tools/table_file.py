"""A committed table and the market data it is made from: write it anew, or say that it differs."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path


def write_or_check(about: str | None, target: Path, render: Callable[[Path], str]) -> int:
    """The command line of a table's tool; exit code 1 when ``--check`` finds it out of date."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--data", type=Path, default=os.environ.get("NOVATE_DATA"))
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    if options.data is None:
        parser.error("say where the market data is: --data FOLDER or NOVATE_DATA")
    text = render(Path(options.data))
    if options.check:
        return int(target.read_text() != text)
    target.write_text(text)
    return 0
