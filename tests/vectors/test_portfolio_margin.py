"""The off-chain margin of whole portfolios against exact 50-digit figures from outside.

Source: vectors/scenario_margin.json (mpmath, 50 digits), under its own parameters: calendar 1 %,
short-option minimum 1 %, credit 0.5 uncapped, no other charge. One portfolio is copied below, so
that this asserts without the file too.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

from novate.model.instrument import PERP
from novate.model.portfolio import FUTURE, OPTION, Holding, Line, Rates, Shared
from novate.model.portfolio_margin import PortfolioMargin, portfolio_margin
from novate.units import WAD

RATES = {
    name: Rates(
        index=index * WAD,
        psr_ppm=psr,
        credit_permille=500,
        calendar_vega_ppm=0,
        gap_ppm=0,
        short_option_ppm=10_000,
        charge_rounding=False,
        charge_at_index=True,
    )
    for name, index, psr in (("BTC", 65_000, 150_000), ("ETH", 3_000, 180_000))
}
COPIED: list[dict[str, Any]] = [
    {"u": "BTC", "kind": "perp", "id": 0, "F": "65000"},
    {
        "u": "BTC",
        "kind": "option",
        "cp": "C",
        "id": 28,
        "F": "65390",
        "K": "71500",
        "sigma": "0.6475",
        "T_sec": 2_592_000,
    },
]


def wad(text: Any) -> int:
    return int(Decimal(str(text)) * WAD)


def line(item: dict[str, Any]) -> Line:
    name = f"{item['u']} {item['id']}"
    if item["kind"] == "perp":
        return Line(name, item["u"], PERP, wad(item["F"]))
    if item["kind"] == "future":
        return Line(name, item["u"], FUTURE, wad(item["F"]), int(item["T_sec"]))
    terms = (int(item["T_sec"]), wad(item["K"]), wad(item["sigma"]), item["cp"] == "C")
    return Line(name, item["u"], OPTION, wad(item["F"]), *terms)


def margin(items: list[dict[str, Any]], positions: list[Any]) -> PortfolioMargin:
    by_id = {item["id"]: line(item) for item in items}
    holdings = [Holding(by_id[key], wad(lots)) for key, lots in positions]
    return portfolio_margin(holdings, RATES, Shared(credit_cap=10**60))


def close(found: int, exact: str) -> bool:
    """Within a hundred-thousandth of a dollar: lanes of 1e-10 USD times the contracts held."""
    return abs(Decimal(found) / WAD - Decimal(exact)) < Decimal("1e-5")


def test_the_copied_covered_call() -> None:
    found = margin(COPIED, [[0, "1"], [28, "-1"]])
    part = found.underlyings["BTC"]
    assert close(part.scan, "9163.7815496928354842917753347787450689316225817470")
    assert close(part.charges.calendar, "226.76064167964625906116850734203826852745695339441")
    assert close(found.short_option_minimum, "650")
    assert close(found.margin_maintenance, "9390.5421913724817433529438421207833374590795351414")
    assert close(found.margin_initial, "11738.177739215602179191179802650979171823849418927")
    assert part.worst == 15


def test_every_portfolio_of_the_file(shared_folder: Path) -> None:
    document = json.loads((shared_folder / "vectors" / "scenario_margin.json").read_text())
    for case in document["portfolios"]:
        found = margin(document["instruments"], case["positions"])
        exact = case["C"]["exact"]
        for name, part in found.underlyings.items():
            assert close(part.scan, exact["scan"][name])
            assert close(part.charges.calendar, exact["calendar"][name])
            for lane, value in enumerate(exact["pnl"][name]):
                assert close(part.scenarios[lane], value), (case["name"], name, lane)
        assert close(found.scan, exact["blended_scan"])
        assert close(found.margin_maintenance, exact["MM"])
        assert close(found.margin_initial, exact["IM"])
    assert len(document["portfolios"]) == 15
