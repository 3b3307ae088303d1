"""Rebuild ``src/novate/lab/oct10_2025/prices.csv`` from the folder of market data: ``python -m
tools.make_oct10_prices --data FOLDER`` (``--check`` compares).

Facts only: open, high, low and close, rounded to cents, of 2025-10-10 17:00 to 24:00 UTC. Needs
pandas and pyarrow.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path

import pandas as pd

from tools.table_file import write_or_check

TARGET = Path(__file__).parent.parent / "src/novate/lab/oct10_2025/prices.csv"
START, END = pd.Timestamp("2025-10-10 17:00", tz="UTC"), pd.Timestamp("2025-10-11", tz="UTC")
SILENCE_S = 60
TRADES_1M, TRADES_1S = "oct10_2025_trades_1m.parquet", "oct10_2025_trades_1s_2030-2230.parquet"
MARKS, KLINES = "oct2025_binance_mark_klines.parquet", "binance_klines_btc_eth_2017_2026.parquet"
HEADER = """\
# novate prices 1: the crash of 2025-10-10, 17:00 to 24:00 UTC, rounded to cents; see SOURCES.md
# source: gemini BTCUSD and ETHUSD: trades of each minute (minutes without a trade are absent)
# source: binance BTCUSDT and ETHUSDT: spot quarter hours; only these were obtainable
# source: binance_coinm BTCUSD_PERP: mark price of each minute
# guide: binance,BTCUSDT,binance_coinm,BTCUSD_PERP
# guide: binance,ETHUSDT,binance_coinm,BTCUSD_PERP
# model: binance_coinm,ETHUSD_PERP,binance,ETHUSDT,binance_coinm,BTCUSD_PERP
"""


def rows(frame: pd.DataFrame, venue: str, symbol: str, kind: str, bar_s: int) -> list[str]:
    """CSV rows of the window, ascending."""
    frame = frame[(frame.ts >= START) & (frame.ts < END)].sort_values("ts")
    return [
        f"{venue},{symbol},{kind},{bar_s},{row.ts:%Y-%m-%dT%H:%M:%SZ},"
        f"{row.open:.2f},{row.high:.2f},{row.low:.2f},{row.close:.2f}"
        for row in frame.itertuples()
    ]


def silences(seconds: pd.DataFrame, symbol: str) -> list[str]:
    """Notes of the stretches over a minute without a Gemini trade, to the second (known for 20:30
    to 22:30 only).
    """
    trades = seconds[(seconds.venue == "gemini") & (seconds.symbol == symbol)].sort_values("ts")
    times = list(trades.ts)
    return [
        f"# silence: gemini,{symbol},{a:%Y-%m-%dT%H:%M:%SZ},{b:%Y-%m-%dT%H:%M:%SZ}"
        for a, b in pairwise(times)
        if (b - a).total_seconds() > SILENCE_S
    ]


def render(data: Path) -> str:
    """The text of prices.csv."""
    minutes, seconds = pd.read_parquet(data / TRADES_1M), pd.read_parquet(data / TRADES_1S)
    marks, klines = pd.read_parquet(data / MARKS), pd.read_parquet(data / KLINES)
    lines: list[str] = []
    notes: list[str] = []
    for symbol in ("BTCUSD", "ETHUSD"):
        own = minutes[(minutes.venue == "gemini") & (minutes.symbol == symbol)]
        lines += rows(own, "gemini", symbol, "trade", 60)
        notes += silences(seconds, symbol)
    for symbol in ("BTCUSDT", "ETHUSDT"):
        own = klines[(klines.symbol == symbol) & (klines.interval == "15m")]
        lines += rows(own, "binance", symbol, "trade", 900)
    own = marks[(marks.symbol == "BTCUSD_PERP") & (marks.interval == "1m")]
    lines += rows(own, "binance_coinm", "BTCUSD_PERP", "mark", 60)
    columns = "venue,symbol,kind,bar_s,ts,open,high,low,close"
    return HEADER + "\n".join([*notes, columns, *lines]) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, TARGET, render))
