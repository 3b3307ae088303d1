"""Names of instruments: what clients write, and the ids and terms behind them.

Owns: the spelling ``BTC-PERPETUAL``, ``BTC-27DEC26``, ``BTC-27DEC26-60000-C`` (day without a
leading zero, strike in whole or decimal USD with ``d`` for the point, as Deribit has it) and
``WETH`` for spot collateral. Pure; times in seconds (expiry at its exact stamp), prices in wad.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from novate.units import WAD

PERP = "future"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")


@dataclass(frozen=True, slots=True)
class Listed:
    """One instrument as clients see it: ``kind`` is Deribit's (future, option, spot)."""

    id: int
    name: str
    currency: str
    kind: str
    lot_size: int
    tick: int
    expiry: int = 0
    strike: int = 0
    is_call: bool = False

    @property
    def is_perpetual(self) -> bool:
        """A future that never expires."""
        return self.kind == PERP and self.expiry == 0


def day(expiry: int) -> str:
    """A date as instruments carry it: 27DEC26 (UTC)."""
    at = datetime.fromtimestamp(expiry, UTC)
    return f"{at.day}{MONTHS[at.month - 1]}{at.year % 100:02d}"


def future_name(currency: str, expiry: int) -> str:
    """Name of a dated future."""
    return f"{currency}-{day(expiry)}"


def option_name(currency: str, expiry: int, strike: int, is_call: bool) -> str:
    """Name of an option; ``strike`` in wad."""
    whole, rest = divmod(strike, WAD)
    text = str(whole)
    if rest:
        text += "d" + f"{rest:018d}".rstrip("0")
    return f"{currency}-{day(expiry)}-{text}-{'C' if is_call else 'P'}"
