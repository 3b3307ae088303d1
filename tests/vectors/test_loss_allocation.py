"""A loss beyond all layers cuts gains pro rata, on the real contract.

Source: vectors/loss_allocation.json (``prorata``: each gain is cut by loss / Σ gains); its rows are
copied below. One percent of an epoch is never cut, so a loss of everything takes 99 %.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from support.clearing import BUYER, Clearing
from support.core import BTC, trader

from novate.model import ledger
from novate.model.novation import Trade
from novate.units import WAD

WINNERS = [trader(f"winner {i}") for i in range(3)]
COPIED: list[tuple[list[str], str, list[str]]] = [
    (["100", "50", "25"], "35", ["20", "10", "5"]),
    (["100", "50", "25"], "200", ["100", "50", "25"]),
    (
        ["3", "3", "3"],
        "1",
        ["0.33333333333333333333", "0.33333333333333333333", "0.33333333333333333333"],
    ),
]


def winners(gains: list[str]) -> Clearing:
    """Three accounts with exactly these gains: each sold above the mark to one buyer."""
    core = Clearing()
    everyone = sorted([BUYER, *WINNERS])
    trades: list[Trade] = []
    for winner, gain in zip(WINNERS, gains, strict=True):
        core.fund(winner, 1000)
        sides = everyone.index(winner), everyone.index(BUYER)
        price = 60_000 + 10 * Decimal(gain)  # a tenth of a bitcoin
        trades.append(Trade(*sides, 0, False, 100, int(price * WAD)))
        trades.append(Trade(*sides, 0, True, 100, 60_000 * WAD))
    assert core.batch(everyone, [BTC], trades) == ["settled"] * 6
    return core


def check(gains: list[str], loss: str, cuts: list[str]) -> None:
    core = winners(gains)
    before = [core.health(winner).equity for winner in WINNERS]
    assert before == [1000 * WAD + int(Decimal(gain) * WAD) for gain in gains]
    target = core.layer(1)
    amount = int(Decimal(loss) * WAD)
    paid: Any = core.run("waterfall", "cut_gains", ledger.cut_gains, target, amount)
    most = sum(Decimal(gain) for gain in gains) * 99 / 100
    for winner, equity, cut, gain in zip(WINNERS, before, cuts, gains, strict=True):
        lost = equity - core.health(winner).equity
        exact = min(Decimal(cut), Decimal(gain) * 99 / 100) * WAD
        assert abs(lost - exact) <= 200, (lost, exact)
        assert core.health(winner).cash == 1000 * WAD
    exact = min(Decimal(loss), most) * WAD
    assert 0 <= exact - paid <= 2 * 10**9 + 1000
    core.compare([*WINNERS, target])


@pytest.mark.parametrize("case", COPIED)
def test_the_copied_rows(case: tuple[list[str], str, list[str]]) -> None:
    check(*case)


def test_every_row_of_the_file(shared_folder: Path) -> None:
    cases = json.loads((shared_folder / "vectors" / "loss_allocation.json").read_text())["cases"]
    assert len(cases) >= 3
    for case in cases:
        check(case["gains"], case["loss"], case["prorata"])
