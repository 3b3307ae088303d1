"""Numbers as clients send and get them: decimal strings (JSON numbers are taken too), exact.

Owns: the way between text and the integers of the ledger. Nothing rounds: what does not fit lots or
ticks exactly is refused, naming the field and the step. Refused as well: NaN, infinities, a
negative zero, exponents beyond bounds, booleans, and text that is no plain decimal number.
"""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

from novate.api.rejections import bad
from novate.units import WAD

DIGITS_MAX = 48
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?\Z")

Number = str | int | float


def wad(field: str, value: object) -> int:
    """A decimal as wad, exact. Errors: ``InvalidField``."""
    return _exact(field, _text_of(field, value))


def _exact(field: str, text: str) -> int:
    """A plain decimal as wad. Errors: ``InvalidField``."""
    if len(text) > DIGITS_MAX or not _DECIMAL.match(text):
        raise bad(field, "must be a plain decimal number such as 0.25")
    if text.startswith("-") and not text.strip("-0."):
        raise bad(field, "must not be a negative zero")
    sign = -1 if text.startswith("-") else 1
    whole, _, rest = text.removeprefix("-").partition(".")
    rest = rest.rstrip("0")
    if len(rest) > 18:
        raise bad(field, "has more than 18 decimals")
    return sign * (int(whole) * WAD + int(rest.ljust(18, "0")))


# what comes again and again is worked out once; what is refused is not kept. The type is a part of
# what is remembered: to a dictionary, 1 and 1.0 and True are one
_remembered = lru_cache(16_384, typed=True)


@_remembered
def positive_wad(field: str, value: object) -> int:
    """A decimal above zero as wad. Errors: ``InvalidField``."""
    found = wad(field, value)
    if found <= 0:
        raise bad(field, "must be above zero")
    return found


@_remembered
def lots(field: str, value: object, lot_size: int) -> int:
    """An amount in base units as whole lots. Errors: ``InvalidField``."""
    amount = positive_wad(field, value)
    if amount % lot_size:
        raise bad(field, f"must be a multiple of {decimal(lot_size)}")
    return amount // lot_size  # division: exact


@_remembered
def price(field: str, value: object, tick: int) -> int:
    """A price on the instrument's tick, in wad. Errors: ``InvalidField``."""
    found = positive_wad(field, value)
    if found % tick:
        raise bad(field, f"must be a multiple of {decimal(tick)}")
    return found


@lru_cache(65_536)
def decimal(amount: int) -> str:
    """A wad amount as the shortest decimal string; exact."""
    whole, rest = divmod(abs(amount), WAD)
    text = str(whole) + (f".{rest:018d}".rstrip("0") if rest else "")
    return "-" + text if amount < 0 else text


def _text_of(field: str, value: object) -> str:
    """The digits of what was sent. Errors: ``InvalidField``."""
    if type(value) is str:
        return value
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise bad(field, "must be a decimal number, as text or as a JSON number")
    if isinstance(value, float):
        # the shortest digits that read back as the same float, without an exponent
        value = format(Decimal(repr(value)), "f")
        value = value.rstrip("0").rstrip(".") if "." in value else value
    return str(value)
