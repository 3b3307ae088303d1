"""What instruments are called: one spelling for the API, the read side and the SDK.

Owns: ``BTC-PERPETUAL``, ``BTC-27DEC26`` (an expiry at 08:00 UTC; any other hour adds ``H14``, or
``H1430``, or ``H143005``, so that no two expiries share a name), ``BTC-27DEC26-60000-C`` (day
without a leading zero, strike in whole or decimal USD with ``d`` for the point, as Deribit has it),
and ccxt's spelling of each: ``BTC/USDC:USDC``, ``BTC/USDC:USDC-261227``,
``BTC/USDC:USDC-261227-60000-C``. Pure text; times in seconds UTC, strikes in wad.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from novate.units import WAD

QUOTE = "USDC"
MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
EIGHT_O_CLOCK = "080000"
_DAY = re.compile(rf"([1-9]|[12][0-9]|3[01])({'|'.join(MONTHS)})([0-9]{{2}})(H[0-9]{{2,6}})?\Z")
_STAMP = re.compile(r"([0-9]{2})(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])(H[0-9]{2,6})?\Z")


def day(expiry: int) -> str:
    """An expiry as names carry it: 27DEC26 (UTC)."""
    at = datetime.fromtimestamp(expiry, UTC)
    return f"{at.day}{MONTHS[at.month - 1]}{at.year % 100:02d}{_hour(at)}"


def _hour(at: datetime) -> str:
    """Nothing at eight o'clock, when expiries are used to be; else the time, as short as it is."""
    text = at.strftime("%H%M%S")
    if text == EIGHT_O_CLOCK:
        return ""
    short = text.removesuffix("00")
    return "H" + (short.removesuffix("00") if len(short) == 4 else short)


def future_name(currency: str, expiry: int) -> str:
    """Name of a dated future."""
    return f"{currency}-{day(expiry)}"


def option_name(currency: str, expiry: int, strike: int, is_put: bool) -> str:
    """Name of an option; ``strike`` in wad."""
    whole, rest = divmod(strike, WAD)
    text = str(whole)
    if rest:
        text += "d" + f"{rest:018d}".rstrip("0")
    return f"{currency}-{day(expiry)}-{text}-{'P' if is_put else 'C'}"


def to_name(symbol: str) -> str:
    """The venue's name of a symbol; what has no slash is one already. Errors: ``ValueError``."""
    if "/" not in symbol:
        return symbol
    base, _, rest = symbol.partition("/")
    quote, _, settled = rest.partition(":")
    currency, *parts = settled.split("-")
    if quote != QUOTE or currency != QUOTE or len(parts) not in (0, 1, 3):
        raise ValueError(f"{symbol} is not a symbol such as BTC/USDC:USDC")
    if not parts:
        return f"{base}-PERPETUAL"
    stamp = _STAMP.match(parts[0])
    if stamp is None:
        raise ValueError(f"{symbol}: the expiry must be yymmdd")
    year, month, date, hour = stamp.groups()
    named = f"{int(date)}{MONTHS[int(month) - 1]}{year}{hour or ''}"
    return "-".join([base, named, *parts[1:]])


def to_symbol(name: str) -> str:
    """ccxt's spelling of a venue's name; a name of another form comes back as it is."""
    base, *parts = name.split("-")
    if parts == ["PERPETUAL"]:
        return f"{base}/{QUOTE}:{QUOTE}"
    found = _DAY.match(parts[0]) if len(parts) in (1, 3) else None
    if found is None:
        return name
    date, month, year, hour = found.groups()
    stamp = f"{year}{MONTHS.index(month) + 1:02d}{int(date):02d}{hour or ''}"
    return "-".join([f"{base}/{QUOTE}:{QUOTE}", stamp, *parts[1:]])
