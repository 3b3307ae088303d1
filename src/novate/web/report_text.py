"""Numbers and times as people read them."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal

_CENT = Decimal("0.01")


def money(amount: str | Decimal) -> str:
    """US dollars to the cent (ties to even); an amount below a cent but not zero is written out."""
    value = Decimal(amount)
    sign, size = ("−" if value < 0 else ""), abs(value)
    if 0 < size < _CENT:
        return f"{sign}${size:f}"
    return f"{sign}${size.quantize(_CENT, ROUND_HALF_EVEN):,f}"


def number(value: float) -> str:
    """A price with as many decimals as its size needs."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:,.2f}"


def count(value: int) -> str:
    """A whole number with thousands separators."""
    return f"{value:,}"


def strike(value: float) -> str:
    """A strike with the decimals it has."""
    return f"{value:,.15g}"


def whole(value: float) -> str:
    """An amount without decimals, with thousands separators."""
    return f"{round(value):,}".replace("-", "−")


def short(account: str) -> str:
    """An account's first and last digits: 0xb557…2b08/0; any other name as it is."""
    owner, _, number = account.partition("/")
    if not owner.startswith("0x") or len(owner) <= 12:
        return account
    return f"{owner[:6]}…{owner[-4:]}" + (f"/{number}" if number else "")


def plural(value: int, one: str, many: str | None = None) -> str:
    """``1 fill`` or ``2,000 fills``."""
    return f"{value:,} {one if value == 1 else many or one + 's'}"


def moment(ts: int) -> str:
    """Hours, minutes and seconds UTC."""
    return datetime.fromtimestamp(ts, UTC).strftime("%H:%M:%S UTC")


def day(ts: int) -> str:
    """Day and time UTC: 10 Oct 23:00."""
    return datetime.fromtimestamp(ts, UTC).strftime("%d %b %H:%M")
