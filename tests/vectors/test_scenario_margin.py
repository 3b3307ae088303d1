"""Sixteen-lane arrays of linear instruments against exact 50-digit figures from outside.

Source: vectors/scenario_margin.json (mpmath, 50 digits), under its own parameters: PSR 15 % and 18
%, initial over maintenance 1.25, no add-ons. Option rows belong to the option module. A few rows
are copied below, so that this asserts without the file too.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal, getcontext
from pathlib import Path
from typing import Any

import pytest
from support.core import BTC, ETH, ORACLE_PER_USD
from support.model import ModelVenue

from novate.model.margin import NODES_PERCENT, RiskParameters, evaluate, lanes
from novate.units import PPM, WAD, ppm_up

getcontext().prec = 60
PSR_PPM = {"BTC": 150_000, "ETH": 180_000}


@dataclass(frozen=True)
class Row:
    """One instrument: its forward, and the exact P&L of a long unit by lane (USD)."""

    underlying: str
    forward: Decimal
    array: tuple[Decimal, ...]


def decimals(text: str) -> tuple[Decimal, ...]:
    return tuple(Decimal(part) for part in text.split())


COPIED = [
    Row(
        "BTC",
        Decimal(65000),
        decimals(
            "0 0 1462.5 1462.5 -1462.5 -1462.5 4875 4875 -4875 -4875"
            " 9750 9750 -9750 -9750 9750 -9750"
        ),
    ),
    Row(
        "ETH",
        Decimal(3018),
        decimals(
            "0 0 81.486 81.486 -81.486 -81.486 271.62 271.62 -271.62 -271.62"
            " 543.24 543.24 -543.24 -543.24 543.24 -543.24"
        ),
    ),
]
WITHOUT_ADD_ONS = {
    0: RiskParameters(0, 150_000, 0, 0, 1, 0, 0, 0, 0, 1, 0, 500),
    1: RiskParameters(0, 180_000, 0, 0, 1, 0, 0, 0, 0, 1, 0, 500),
}


@pytest.fixture(scope="module")
def reference(shared_folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(
        (shared_folder / "vectors" / "scenario_margin.json").read_text()
    )
    return found


def check_lanes(row: Row) -> None:
    """A long and a short unit: each lane is the exact figure floored to the wei, the scan its
    worst, rounded up.
    """
    psr = PSR_PPM[row.underlying]
    for side in (1, -1):
        found = lanes(side * int(row.forward * WAD), psr)
        exact = [side * value * WAD for value in row.array]
        assert len(found) == len(exact) == 16
        assert all(0 <= value - lane < 1 for lane, value in zip(found, exact, strict=True))
        assert -min(found) == ppm_up(int(row.forward * WAD), psr)


@pytest.mark.parametrize("row", COPIED, ids=["perp", "future"])
def test_lanes_of_the_copied_rows(row: Row) -> None:
    check_lanes(row)


def test_lanes_of_every_linear_instrument_of_the_file(reference: dict[str, Any]) -> None:
    linear = [item for item in reference["instruments"] if item["kind"] != "option"]
    assert {item["kind"] for item in linear} == {"perp", "future"}
    for item in linear:
        array = tuple(Decimal(value) for value in item["array"])
        check_lanes(Row(item["u"], Decimal(item["F"]), array))


def test_the_nodes_are_those_of_the_file(reference: dict[str, Any]) -> None:
    definition = reference["definition"]
    assert [Decimal(n) * 100 for n in definition["nodes_B_nonuniform"]] == list(NODES_PERCENT)
    psr = {name: Decimal(value) * PPM for name, value in definition["params"]["psr"].items()}
    assert psr == PSR_PPM


def margins(positions: dict[int, int], btc: int, eth: int) -> tuple[int, int]:
    """MM and IM of the model under the file's parameters."""
    venue = ModelVenue(WITHOUT_ADD_ONS)
    venue.price(btc * ORACLE_PER_USD, eth * ORACLE_PER_USD)
    found = evaluate(venue.world, positions)
    return found.margin_maintenance, found.margin_initial


def test_the_linear_portfolios_of_the_file(reference: dict[str, Any]) -> None:
    instruments = {item["id"]: item for item in reference["instruments"]}
    seen = 0
    for portfolio in reference["portfolios"]:
        held = [(instruments[key], Decimal(q)) for key, q in portfolio["positions"]]
        if any(item["kind"] != "perp" for item, _ in held):
            continue
        exact = portfolio["C"]["exact"]
        lot = {"BTC": (BTC, 1000), "ETH": (ETH, 100)}
        positions = {lot[i["u"]][0]: int(q * lot[i["u"]][1]) for i, q in held}
        found = margins(positions, 65_000, 3_000)
        assert found == (int(Decimal(exact["MM"]) * WAD), int(Decimal(exact["IM"]) * WAD))
        seen += 1
    assert seen == 1


def test_the_copied_portfolio() -> None:
    """``long perp``: one bitcoin at 65,000."""
    assert margins({BTC: 1000}, 65_000, 3_000) == (9_750 * WAD, 12_187_500 * WAD // 1000)


@pytest.mark.parametrize(
    ("btc", "eth"), [(1, 0), (1, 10), (1, -10), (-2, 5), (3, -100), (-1, -1), (0, 7)]
)
def test_portfolios_of_linear_rows_blend_as_the_file_defines(btc: int, eth: int) -> None:
    """(1 − c)·Σ scan + c·joint scan, c = 0.5, over the exact arrays: the lanes of both added, the
    worst of each.
    """
    arrays = [[value * btc for value in COPIED[0].array]]
    arrays.append([value * 3000 / 3018 * eth for value in COPIED[1].array])
    scans = sum(-min(array) for array in arrays)
    joint = -min(a + b for a, b in zip(*arrays, strict=True))
    exact = (scans + joint) / 2 * WAD
    found, initial = margins(
        {k: v for k, v in {BTC: 1000 * btc, ETH: 100 * eth}.items() if v}, 65_000, 3_000
    )
    assert 0 <= found - exact <= 2
    assert initial == -(-found * 5 // 4)
