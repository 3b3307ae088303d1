"""Numbers of the tables as the API writes them: exact decimal text, nothing rounded."""

from __future__ import annotations

from novate.units import ORACLE_UNIT, WAD

WAD_DIGITS = len(str(WAD)) - 1


def exact(value: int, digits: int = WAD_DIGITS) -> str:
    """``value`` with ``digits`` decimal places, without trailing zeros."""
    sign, figures = ("-" if value < 0 else ""), str(abs(value)).rjust(digits + 1, "0")
    whole, part = figures[: len(figures) - digits], figures[len(figures) - digits :].rstrip("0")
    return f"{sign}{whole}.{part}" if part else f"{sign}{whole}"


def oracle_price(value: int) -> str:
    """A price in oracle units."""
    return exact(value * ORACLE_UNIT)


def amount(lots: int, lot_size: int) -> str:
    """Lots in base units."""
    return exact(lots * lot_size)


def notional(price_lots: int, lot_size: int) -> str:
    """A sum of price times lots in quote units."""
    return exact(price_lots * lot_size, 2 * WAD_DIGITS)
