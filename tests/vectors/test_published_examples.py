"""Worked examples that Deribit and Paradex publish, recomputed exactly.

Source: vectors/published_examples.json (docs.deribit.com private/pme/simulate, 2024-06-17;
docs.paradex.trade/risk/portfolio-margin). The figures are copied below, so that this asserts
without the file too. Money and deltas are fractions: every figure agrees to 1e-15.
"""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from novate.risk.peers import delta_minimum, rules

TOLERANCE = Fraction(1, 10**15)
COPIED: dict[str, Any] = {
    "deribit_pme_docs": {
        "positions": {"BTC-PERPETUAL": "0.314538364", "BTC-28JUN24": "-0.001187534"},
        "price_range": "0.16",
        "buckets_each_side": 4,
        "standard_price_vector": [
            "-0.059685872380952380952380952380952380952380952380952",
            "-0.042729658636363636363636363636363636363636363636364",
            "-0.027247898260869565217391304347826086956521739130435",
            "-0.013056284583333333333333333333333333333333333333333",
            "0",
            "0.012051955",
            "0.023211172592592592592592592592592592592592592592593",
            "0.033573303214285714285714285714285714285714285714286",
            "0.043220804137931034482758620689655172413793103448276",
        ],
        "docs": {
            "worst_case": "0.05968587238095239",
            "roll_shock": "0.00315725898",
            "risk_matrix_margin": "0.06284313098",
            "maintenance_margin": "0.050274504784",
        },
    },
    "paradex_min_delta_docs": {
        "net_delta": "-0.5",
        "gross_delta": "2.5",
        "hedged_delta": "1.0",
        "min_delta_risk": "1400",
    },
}


def inverse_price_vector(delta: Fraction, price_range: Fraction, steps: int) -> list[Fraction]:
    """P&L in coins of an inverse position over Deribit's price steps, lowest price first; exact."""
    moves = (price_range * Fraction(step, steps) for step in range(-steps, steps + 1))
    return [delta * (1 - 1 / (1 + move)) for move in moves]


@pytest.fixture(params=["copied", "file"])
def published(request: pytest.FixtureRequest) -> dict[str, Any]:
    if request.param == "copied":
        return COPIED
    folder: Path = request.getfixturevalue("shared_folder")
    found: dict[str, Any] = json.loads((folder / "vectors/published_examples.json").read_text())
    return found


def close(found: Fraction, text: str) -> bool:
    return abs(found - Fraction(text)) <= TOLERANCE


def rule(venue: str, name: str) -> Fraction:
    return Fraction(str(rules()[venue][name]))


def test_deribits_risk_matrix_of_an_inverse_perpetual_and_future(published: dict[str, Any]) -> None:
    example = published["deribit_pme_docs"]
    deltas = [Fraction(text) for text in example["positions"].values()]
    price_range = Fraction(str(rules()["deribit_portfolio"]["price_range"]["BTC"]))
    steps = rules()["deribit_portfolio"]["steps_each_side"]
    assert (price_range, steps) == (Fraction(example["price_range"]), example["buckets_each_side"])
    vector = inverse_price_vector(sum(deltas, Fraction(0)), price_range, steps)
    assert len(vector) == len(example["standard_price_vector"]) == 9
    for found, text in zip(vector, example["standard_price_vector"], strict=True):
        assert close(found, text)
    docs = example["docs"]
    worst = -min(vector)
    assert close(worst, docs["worst_case"])
    roll = rule("deribit_portfolio", "roll_min") * sum(abs(delta) for delta in deltas)
    assert close(roll, docs["roll_shock"])
    # the venue rounds the worst case to nine decimals before it adds
    total = Fraction(round(worst * 10**9), 10**9) + roll
    assert close(total, docs["risk_matrix_margin"])
    maintenance = rule("deribit_portfolio", "maintenance") * total
    assert close(maintenance, docs["maintenance_margin"])


def test_paradexs_least_margin_of_a_perpetual_and_five_short_calls(
    published: dict[str, Any],
) -> None:
    """Long one perpetual, short five calls of delta 0.3, spot at 70,000."""
    example = published["paradex_min_delta_docs"]
    deltas = [Fraction(1), *[Fraction("-0.3")] * 5]
    net, gross = sum(deltas), sum(abs(delta) for delta in deltas)
    assert (net, gross) == (Fraction(example["net_delta"]), Fraction(example["gross_delta"]))
    assert (gross - abs(net)) / 2 == Fraction(example["hedged_delta"])
    shares = (rule("paradex_portfolio", "delta_net"), rule("paradex_portfolio", "delta_hedged"))
    found = delta_minimum(deltas, Fraction(70_000), *shares)
    assert close(found, example["min_delta_risk"])
