"""A small synthetic replay for the report's tests; every figure is made up."""

from __future__ import annotations

from math import sin

from novate.web.report_data import (
    AssetPrices,
    Cheat,
    Column,
    Greeks,
    GridRow,
    HeatMap,
    LadderRow,
    Liquidation,
    NodeStats,
    ReportData,
    Result,
)

START = 1_760_115_600
MINUTES = 420
LOW_AT = 260


def price(start: float, minute: int, tilt: float) -> float:
    """Falls 12 % into the low, then recovers half."""
    depth = max(0.0, 1 - abs(minute - LOW_AT) / (40 if minute < LOW_AT else 90))
    drift = 0.06 if minute > LOW_AT else 0.0
    return start * (1 - 0.12 * max(depth, drift) + 0.001 * tilt * sin(minute / 7 + tilt))


def asset(start: float) -> AssetPrices:
    """Four nodes, the first silent across the low."""
    names = ("gemini", "binance", "binance_coinm", "synthetic-1")
    index: dict[str, Column] = {
        name: [price(start, m, k) for m in range(MINUTES)] for k, name in enumerate(names)
    }
    for minute in (*range(235, 248), *range(254, 261)):
        index["gemini"][minute] = None
    mark: dict[str, Column] = {
        name: [v and v * 0.9998 for v in column] for name, column in index.items()
    }
    return {
        "index": index,
        "mark": mark,
        "chain_index": list(index["binance"]),
        "chain_mark": list(mark["binance"]),
    }


def falling(start: float, end: float, at: int) -> Column:
    """A step from start to end."""
    return [start if minute < at else end for minute in range(MINUTES)]


def result() -> Result:
    """A run that kept every promise."""
    return {
        "event": "oct10_2025",
        "accounts": 500,
        "orders": 61_240,
        "fills_matched": 18_204,
        "fills_settled": 18_204,
        "fills_busted": 0,
        "batches": 421,
        "liquidations": 37,
        "auctions_insolvent": 2,
        "bad_debt": "48211.07",
        "insurance_start": "1000000",
        "insurance_end": "951788.93",
        "users_without_positions_loss": "0",
        "custody": "12345678.9",
        "claims": "12345678.9",
        "solvency_gap": "0",
        "cheats_attempted": 9,
        "cheats_succeeded": 0,
        "gas_per_fill_median": 34_120,
        "options_listed": 96,
        "option_fills": 412,
        "option_premium": "1834210.55",
        "option_fees": "20415.75",
        "surfaces_posted": 840,
        "array_refreshes": 2_520,
        "expiries_settled": 2,
        "accounts_paid": 77,
        "paid_at_expiry": "402118.4",
        "scan_shortfall_bp": 3.2,
        "invariants": {f"I{k:02}_rule": True for k in range(1, 16)},
        "journal_head": "0x" + "ab" * 32,
        "wall_s": 187.4,
    }


def liquidations() -> list[Liquidation]:
    """Thirty-seven slices, each larger and worse than the one before."""
    return [
        {
            "ts": START + 60 * (240 + k) + 13,
            "account": f"0x{k:04x}…:0",
            "bidder": "keeper-1",
            "position": f"{(k + 1) * 0.5:.1f} BTC-PERP long",
            "notional": str(52_000 * (k + 1)),
            "recovery_pct": 99.5 - 0.13 * k,
            "equity_before": str(4_000 + 100 * k),
            "maintenance_before": str(5_200 + 130 * k),
        }
        for k in range(37)
    ]


def nodes() -> list[NodeStats]:
    """Four nodes of three kinds."""
    return [
        {
            "name": name,
            "source": source,
            "provenance": kind,
            "rounds_signed": 420 - silent,
            "rounds_total": 420,
            "silent_minutes": float(silent),
            "deviation_median_bp": 1.2 + k,
            "deviation_max_bp": 41.0 + 17 * k,
        }
        for k, (name, source, kind, silent) in enumerate(
            [
                ("gemini", "gemini BTCUSD trade", "measured", 20),
                ("binance", "binance BTCUSDT trade", "bridged", 0),
                ("binance_coinm", "binance_coinm BTCUSD_PERP mark", "measured", 0),
                ("synthetic-1", "median of the others with noise", "synthetic", 0),
            ]
        )
    ]


def cheats() -> list[Cheat]:
    """Two kinds of cheating, both stopped."""
    return [
        {
            "name": "Replay a settled match",
            "who": "operator",
            "attempts": 5,
            "succeeded": 0,
            "stopped_by": "ReceiptUsed",
        },
        {
            "name": "Post two rounds in one transaction",
            "who": "oracle submitter",
            "attempts": 4,
            "succeeded": 0,
            "stopped_by": "RoundAlreadyPosted",
        },
    ]


def greeks(size: float) -> Greeks:
    """Greeks that grow with a size."""
    return {"delta": 9_000 * size, "gamma": 310 * size, "vega": 120 * size, "theta": -80 * size}


def ladder() -> list[LadderRow]:
    """Two strikes of two expiries."""
    return [
        {
            "asset": "BTC",
            "expiry": expiry,
            "strike": strike,
            "calls": 12.5 + k,
            "puts": 8.0,
            "gross": greeks(20.5 + k),
            "makers": greeks(-4.0 - k),
        }
        for expiry in (START + 21_600, START + 1_782_000)
        for k, strike in enumerate((110_000.0, 115_000.0))
    ]


def heat_map() -> HeatMap:
    """A short straddle: every large move loses."""
    spots, vols = [-20.0, -10.0, 0.0, 10.0, 20.0], [50.0, 0.0, -30.0]
    return {
        "account": "straddle 3",
        "holds": "4 options, 1 perpetual",
        "equity": "48000",
        "maintenance": "51000",
        "spots": spots,
        "vols": vols,
        "change": [[-180 * s * s - 300 * v for s in spots] for v in vols],
    }


def grid() -> list[GridRow]:
    """Eleven portfolios, of which the first is 3.2 bp short of the exact grid."""
    return [
        {
            "account": f"straddle {k}",
            "kind": "straddle",
            "asset": "BTC",
            "options": 4,
            "notional": 1_000_000.0,
            "scan": 150_000.0 + 400 * k,
            "exact": 150_320.0,
            "charged": 1_500.0,
            "hours": 1.7,
        }
        for k in range(11)
    ]


def series() -> ReportData:
    """Seven hours, a minute a round."""
    swing = [abs(sin(m / 9)) for m in range(MINUTES)]
    near = [max(0.0, 1 - abs(m - LOW_AT) / 50) for m in range(MINUTES)]
    return {
        "ts": [START + 60 * m for m in range(MINUTES)],
        "prices": {"BTC": asset(118_000), "ETH": asset(4_100)},
        "open_interest": {
            "BTC-PERP": [42e6 * (1 - 0.3 * min(1, m / LOW_AT)) for m in range(MINUTES)],
            "ETH-PERP": [21e6 * (1 - 0.4 * min(1, m / LOW_AT)) for m in range(MINUTES)],
        },
        "headroom_median_pct": [310 - 190 * n for n in near],
        "headroom_worst_pct": [25 - 140 * n for n in near],
        "waterfall": {
            "own first loss": falling(250_000, 201_789, LOW_AT),
            "insurance": falling(1_000_000, 951_788.93, LOW_AT + 3),
            "own second tranche": [250_000.0] * MINUTES,
            "reserves": [1_000.0 + 40 * m for m in range(MINUTES)],
        },
        "solvency_gap": [0.0] * MINUTES,
        "fills": [float(int(30 + 60 * s + 120 * n)) for s, n in zip(swing, near, strict=True)],
        "busts": [0.0] * MINUTES,
        "gas_per_fill": [
            33_000 + 900 * (k % 11) + (40_000 if k % 37 == 0 else 0) for k in range(421)
        ],
        "liquidations": liquidations(),
        "nodes": nodes(),
        "cheats": cheats(),
        "parameters": {
            "PSR of BTC": "15 %",
            "Oracle quorum": "3 of 4",
            "Move bound": "5 % a round",
        },
        "cheat_settlements": 24,
        "surfaces": {
            "BTC": {"31 Oct, at the money": [42 + 17 * n for n in near]},
            "ETH": {"31 Oct, at the money": [67 + 27 * n for n in near]},
        },
        "surface_check": "Against okx marks: 0.4 points at most.",
        "option_moment": START + 60 * LOW_AT,
        "ladder": ladder(),
        "heat_map": heat_map(),
        "grid": grid(),
        "findings": [{"code": 8006, "name": "PriceGap", "row": 251, "text": "no bar for 780 s"}],
        "sources": ["gemini BTCUSD and ETHUSD: trades of each minute"],
    }
