"""Instruments: immutable terms, and the market word that trading and funding move.

Units: ``lot_size`` wad base units a lot, ``tick`` wad, caps and open interest in lots,
``funding_index`` wad a lot, ``rate`` ppb per eight hours. Packing follows docs/SPEC.md §2; Vyper
twin: ``contracts/markets.vy``.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from novate import errors, limits
from novate.errors import require
from novate.model import packed
from novate.model.option_id import DATED, is_dated, is_future, place_of, terms_key
from novate.model.packed import to_unsigned
from novate.units import ORACLE_UNIT, WAD

PERP = 1
FUTURE = 2
OPTION = 3
SPOT = 4
# so that 128 positions of an account stay below 2**47 lots, which the sums of arrays hold (§12)
DATED_LOTS_MAX = 2**40 - 1
# at least 1e10 wei: a lot's value is exact and never zero; at most 1e19: it fits 88 bits
LOT_EXPONENTS = range(10, 20)
TERMS_BITS = (
    ("lot_size", 64),
    ("tick", 80),
    ("open_interest_cap", 44),
    ("position_cap", 44),
    ("underlying", 8),
    ("feed", 8),
    ("kind", 8),
)


@dataclass(frozen=True, slots=True)
class Terms:
    """What an instrument is; never changes but for its caps."""

    lot_size: int
    tick: int
    open_interest_cap: int
    position_cap: int
    underlying: int
    feed: int
    kind: int

    def pack(self) -> int:
        """The ``terms`` word."""
        return packed.pack(self, TERMS_BITS)

    @staticmethod
    def unpack(word: int) -> Terms:
        """Read the ``terms`` word."""
        return Terms(**packed.unpack(word, TERMS_BITS))

    def lot_exponent(self) -> int:
        """The e of a lot of 10**e wei, within ``LOT_EXPONENTS``; 0: no such power."""
        return next((e for e in LOT_EXPONENTS if 10**e == self.lot_size), 0)

    def price_lot(self, price: int) -> int:
        """Value of one lot at an on-tick price, in wad; exact by the listing rule."""
        return (
            price * self.lot_size // WAD
        )  # division: exact, lot_size * tick is a multiple of 1e18

    def mark_lot(self, oracle_price: int) -> int:
        """Value of one lot at an oracle price (1e8 wei units); exact, as a lot is at least 1e10
        wei."""
        return oracle_price * ORACLE_UNIT * self.lot_size // WAD  # division: exact


@dataclass(frozen=True, slots=True)
class Market:
    """What trading and funding move."""

    funding_index: int = 0
    rate: int = 0
    accrued_at: int = 0
    open_interest: int = 0

    def pack(self, terms: Terms) -> int:
        """The ``market`` word: what moves, and the terms that a valuation needs."""
        return (
            self.open_interest
            | terms.lot_exponent() << 44
            | terms.feed << 52
            | terms.underlying << 60
            | terms.kind << 68
            | self.accrued_at << 96
            | to_unsigned(self.rate, 32) << 128
            | to_unsigned(self.funding_index, 96) << 160
        )


def check_terms(instrument: int, terms: Terms, grid_exponent: int = 0) -> None:
    """Reject inconsistent terms (``BadTerms``), or such as do not fit the key of all options, or
    futures, of an underlying, whose grid has lots of ``grid_exponent``.
    """
    dated = is_dated(instrument)
    most = DATED_LOTS_MAX if dated else limits.LOTS_MAX
    fits = (
        (_fits_key(instrument, terms, grid_exponent) if dated else _fits_id(instrument, terms))
        and terms.lot_exponent() != 0
        and 0 < terms.tick < 1 << 80
        and terms.lot_size * terms.tick % WAD == 0
        and terms.underlying < limits.UNDERLYINGS_MAX
        and terms.feed < limits.FEEDS_MAX
        and terms.open_interest_cap <= most
        and terms.position_cap <= most
    )
    require(fits, errors.BadTerms)


def _fits_id(instrument: int, terms: Terms) -> bool:
    return 0 < instrument < DATED and terms.kind in (PERP, SPOT)


def _fits_key(key: int, terms: Terms, grid_exponent: int) -> bool:
    """No feed: the slot's own prices it. One lot for all, so that risk arrays may be added."""
    return (
        terms_key(key) == key
        and terms.kind == (FUTURE if is_future(key) else OPTION)
        and (terms.underlying, terms.feed) == (place_of(key)[0], 0)
        and terms.lot_exponent() == grid_exponent
    )


def with_caps(terms: Terms, open_interest_cap: int, position_cap: int) -> Terms:
    """The same terms under other caps."""
    return replace(terms, open_interest_cap=open_interest_cap, position_cap=position_cap)
