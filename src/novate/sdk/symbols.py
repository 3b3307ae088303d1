"""Symbols: ccxt's spelling and the venue's, both ways; what is behind them is ``novate.naming``."""

from __future__ import annotations

from novate.naming import QUOTE, to_name, to_symbol

__all__ = ["QUOTE", "to_name", "to_symbol"]
