"""Negative numbers on a command line: values, and not options that nobody knows."""

from __future__ import annotations

import re
from typing import Any

import typer
import typer.core

_NEGATIVE = re.compile(r"-[0-9.]+")


class WithNumbers(typer.core.TyperCommand):
    """A command that takes -1 for a number, so that what is wrong with it can be said of the
    parameter that it was meant for.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """A blank before a negative number makes it a value; whoever reads it strips it."""
        taken = [f" {each}" if _NEGATIVE.fullmatch(each) else each for each in args]
        left: list[str] = super().parse_args(ctx, taken)
        return left


def above_zero(value: str | None) -> str | None:
    """An amount or a price as it was typed. Raises ``typer.BadParameter``."""
    if value is not None and _NEGATIVE.fullmatch(value.strip()):
        raise typer.BadParameter(
            f"{value.strip()} is not above zero. Amounts and prices have no sign: "
            "`novate order buy` and `novate order sell` say the side."
        )
    return value
