"""What the ledger stores: configuration, the fee pot, tables; and how an account stands now.

Units: wad, ppm, ppb and seconds as named. Packing: docs/SPEC.md §2.
"""

from __future__ import annotations

from dataclasses import dataclass

from novate.model.account import Account, BorrowIndex, Epoch
from novate.model.instrument import Market, Terms
from novate.model.margin import Valuation
from novate.model.option_id import DATED, is_dated, terms_key
from novate.model.store import Store

NO_TERMS = Terms(0, 0, 0, 0, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Config:
    """Trading and funding parameters (one word on chain)."""

    trade_band_ppm: int = 50_000
    funding_interest_ppb: int = 100_000
    funding_clamp_ppb: int = 500_000
    funding_cap_ppb: int = 1_666_666
    funding_slope_ppb_s: int = 1_666
    borrow_rate_wad_s: int = 3_170_979_198
    epoch_seconds: int = 3600
    paused_until: int = 0

    def pack(self) -> int:
        """The ``config`` word."""
        return (
            self.trade_band_ppm
            | self.funding_interest_ppb << 24
            | self.funding_clamp_ppb << 56
            | self.funding_cap_ppb << 88
            | self.funding_slope_ppb_s << 120
            | self.borrow_rate_wad_s << 152
            | self.epoch_seconds << 184
            | self.paused_until << 208
        )

    @staticmethod
    def unpack(word: int) -> Config:
        """Read the ``config`` word."""
        fields = []
        for bits in (24, 32, 32, 32, 32, 32, 24, 40):
            fields.append(word & ((1 << bits) - 1))
            word >>= bits
        return Config(*fields)


@dataclass(frozen=True, slots=True)
class Pot:
    """Fees not yet distributed, total cash below zero, and its cap (wad)."""

    fees: int = 0
    debt: int = 0
    debt_cap: int = 0


@dataclass(frozen=True, slots=True)
class Check:
    """An account now: equity and valuation after interest and maturing, before any sweep."""

    equity: int
    cash: int
    positions: int
    in_auction: bool
    valuation: Valuation


class LedgerState:
    """Tables of the Clearinghouse."""

    def __init__(self, store: Store) -> None:
        self.accounts = store.table("ledger.accounts", Account())
        self.terms = store.table("ledger.terms", NO_TERMS)
        self.markets = store.table("ledger.markets", Market())
        self.epochs = store.table("ledger.epochs", Epoch())
        self.borrow = store.table("ledger.borrow", BorrowIndex())
        self.configs = store.table("ledger.config", Config())
        self.pots = store.table("ledger.pot", Pot())
        self.unpaired = store.table("ledger.unpaired", 0)  # long less short lots settled
        self.venues = store.table("ledger.venues", False)

    def terms_of(self, instrument: int) -> Terms:
        """An instrument's terms; a dated one's stand under the key of its kind and underlying."""
        key = terms_key(instrument) if instrument >= DATED and is_dated(instrument) else instrument
        return self.terms.rows.get(key, self.terms.default)

    @property
    def config(self) -> Config:
        """The configuration in force."""
        return self.configs["config"]

    @property
    def pot(self) -> Pot:
        """Fees, debt and its cap."""
        return self.pots["pot"]

    def set_pot(self, pot: Pot) -> None:
        """Replace the pot."""
        self.pots["pot"] = pot
