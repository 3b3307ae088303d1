"""Gas of real transactions: every target, and no figure away from the committed one (ladder rung
8)."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from novate.bench.gas import TARGETS, GasReport, measure
from novate.config import load

SNAPSHOT = Path(__file__).parents[1] / "snapshots" / "gas.json"


@pytest.fixture(scope="module")
def report() -> GasReport:
    return measure(load())


@pytest.mark.parametrize("key", sorted(TARGETS))
def test_a_figure_is_within_its_target(report: GasReport, key: str) -> None:
    assert report.figures[key] <= TARGETS[key]


def test_figures_are_within_two_percent_of_the_snapshot(report: GasReport) -> None:
    committed: dict[str, int] = json.loads(SNAPSHOT.read_text())
    assert committed.keys() == report.figures.keys()
    moved = {
        key: (committed[key], gas)
        for key, gas in report.figures.items()
        if abs(gas - committed[key]) * 50 > committed[key]
    }
    assert not moved
