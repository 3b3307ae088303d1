"""Rounding to ticks and steps, by an explicit mode and never silently.

Owns: the way from a client's number to one the venue takes. Exact decimal arithmetic. Modes:
``EXACT`` refuses what does not fit, ``DOWN`` and ``UP`` go to the next step, ``PASSIVE`` moves a
price away from the market (a buy down, a sell up) and an amount down.
"""

from __future__ import annotations

from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from enum import StrEnum

from novate.sdk.faults import Unfit


class Rounding(StrEnum):
    """How a number is brought to a step."""

    EXACT = "exact"
    DOWN = "down"
    UP = "up"
    PASSIVE = "passive"


def to_step(
    value: Decimal | str | int | float,
    step: Decimal,
    mode: Rounding,
    up: bool,
    field: str = "",
) -> Decimal:
    """``value`` on a multiple of ``step``; ``up`` is where ``PASSIVE`` goes.

    Errors: ``Unfit``, naming the field, for what is no number or not above zero, in mode ``EXACT``
    if it is not one, or if nothing is left.
    """
    try:
        number = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
    except InvalidOperation:
        number = Decimal("nan")
    if not number.is_finite():
        raise Unfit(field, f"{value!r} is not a number")
    if number <= 0:
        raise Unfit(field, f"{number} is not above zero")
    steps = number / step
    whole = steps.to_integral_value(ROUND_FLOOR)
    if whole != steps:
        if mode is Rounding.EXACT:
            raise Unfit(field, f"{number} is not a multiple of {step}", rounds=True)
        if mode is Rounding.UP or (mode is Rounding.PASSIVE and up):
            whole = steps.to_integral_value(ROUND_CEILING)
    found = whole * step
    if found <= 0:
        raise Unfit(field, f"{number} rounds to nothing; the step is {step}")
    return found


def text(value: Decimal) -> str:
    """A plain decimal without an exponent or trailing zeros."""
    found = format(value, "f")
    return found.rstrip("0").rstrip(".") if "." in found else found
