"""Rebuild ``src/novate/lab/oct10_2025/volatilities.csv`` from the folder of market data: ``python
-m tools.make_oct10_options --data FOLDER`` (``--check`` compares).

Facts only: the venue's mark volatility of five BTC options and its forward on 2025-10-10, 17:00 to
24:00 UTC, rounded to a hundredth of a volatility point and to a tenth of a dollar. Every minute
through the fall, every five minutes elsewhere. Needs pandas and pyarrow.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from tools.table_file import write_or_check

TARGET = Path(__file__).parent.parent / "src/novate/lab/oct10_2025/volatilities.csv"
SOURCE = "oct10_2025_okx_btc_options_10s.parquet"
START, END = pd.Timestamp("2025-10-10 17:00", tz="UTC"), pd.Timestamp("2025-10-11", tz="UTC")
FALL = pd.Timestamp("2025-10-10 20:45", tz="UTC"), pd.Timestamp("2025-10-10 22:15", tz="UTC")
SERIES = {
    "251031-80000": "BTC-USD-251031-80000-P",
    "251031-135000": "BTC-USD-251031-135000-C",
    "251128-102000": "BTC-USD-251128-102000-C",
    "251128-132000": "BTC-USD-251128-132000-C",
}
TWIN = "BTC-USD-251031-80000-C"  # the fifth series: its volatility is the put's
HEADER = """\
# novate volatilities 1: BTC options on 2025-10-10, 17:00 to 24:00 UTC; see SOURCES.md
# source: okx BTC-USD 251031-80000 (call and put), 251031-135000, 251128-102000, 251128-132000
"""


def render(data: Path) -> str:
    """The text of volatilities.csv."""
    table = pd.read_parquet(data / SOURCE)
    forward = table.drop_duplicates("ts").set_index("ts").underlying_price.dropna().sort_index()
    marks = {
        name: table[table.symbol == symbol].set_index("ts").mark_iv.sort_index()
        for name, symbol in (*SERIES.items(), ("twin", TWIN))
    }
    apart = (marks["twin"] - marks["251031-80000"]).abs().max()
    assert apart < 1e-3, "call and put of one strike show one volatility"
    lines = [",".join(["ts", "forward", *SERIES])]
    for ts in pd.date_range(START, END, freq="1min", inclusive="left"):
        if ts.minute % 5 == 0 or FALL[0] <= ts < FALL[1]:
            shown = [f"{marks[name].asof(ts):.4f}" for name in SERIES]
            lines.append(",".join([f"{ts:%Y-%m-%dT%H:%M:%SZ}", f"{forward.asof(ts):.1f}", *shown]))
    return HEADER + "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(write_or_check(__doc__, TARGET, render))
