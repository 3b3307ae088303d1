"""Symbols: ccxt's spelling and the venue's, both ways.

Owns: ``BTC/USDC:USDC`` ↔ ``BTC-PERPETUAL``, ``BTC/USDC:USDC-261227`` ↔ ``BTC-27DEC26``,
``BTC/USDC:USDC-261227-60000-C`` ↔ ``BTC-27DEC26-60000-C``. Pure text; the venue's own names are
taken as they are.
"""

from __future__ import annotations

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
QUOTE = "USDC"


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
    stamp = parts[0]
    if len(stamp) != 6 or not stamp.isdecimal() or not 1 <= int(stamp[2:4]) <= 12:
        raise ValueError(f"{symbol}: the expiry must be yymmdd")
    day = f"{int(stamp[4:])}{MONTHS[int(stamp[2:4]) - 1]}{stamp[:2]}"
    return "-".join([base, day, *parts[1:]])


def to_symbol(name: str) -> str:
    """ccxt's spelling of a venue's name; a name of another form comes back as it is."""
    base, *parts = name.split("-")
    if parts == ["PERPETUAL"]:
        return f"{base}/{QUOTE}:{QUOTE}"
    if len(parts) not in (1, 3) or len(parts[0]) not in (6, 7) or parts[0][-5:-2] not in MONTHS:
        return name
    day, month, year = parts[0][:-5], MONTHS.index(parts[0][-5:-2]) + 1, parts[0][-2:]
    return "-".join([f"{base}/{QUOTE}:{QUOTE}", f"{year}{month:02d}{int(day):02d}", *parts[1:]])
