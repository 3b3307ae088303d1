"""The volatility surface against 50-digit reference slices.

Source: vectors/ssvi.json and svi.json (mpmath; Gatheral and Jacquier, 2014, theorem 4.2 for the
conditions, Durrleman's function for their meaning); some rows are copied below.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from novate.errors import ButterflyArbitrage, Rejected
from novate.model.surface import gate, total_variance
from tests.support.smile import durrleman, essvi, raw_svi, slice_word

# theta, rho, psi, accepted, then at k: w and Durrleman's g
COPIED = [
    (0.0007, -0.1, 0.02, True, -0.2, 0.0026145822822062578, 0.3313590560193004),
    (0.03, -0.2, 0.25, True, 0.8, 0.09310708435174292, 0.3073721623603232),
    (0.5, -0.3, 0.9, True, 0.1, 0.4768643068344383, 1.4337208810813131),
    (0.02, -0.7, 0.9, False, -0.2, 0.17026253132630262, -0.5833698224384789),
]
SCALE = 2**96
QUANTUM = 1e-9  # what a unit of rho moves w by, at most, at these strikes


def check(theta: float, rho: float, psi: float, accepted: bool, k: float, w: float) -> None:
    """Verdict and total variance of one slice."""
    word = slice_word(theta, rho, psi)
    if accepted:
        gate(word, 0)
    else:
        with pytest.raises(Rejected) as refused:
            gate(word, 0)
        assert refused.value.error is ButterflyArbitrage
    assert total_variance(word, round(k * SCALE)) / SCALE == pytest.approx(w, abs=QUANTUM)


@pytest.mark.parametrize("row", COPIED)
def test_the_copied_slices(row: tuple[float, float, float, bool, float, float, float]) -> None:
    theta, rho, psi, accepted, k, w, g = row
    check(theta, rho, psi, accepted, k, w)
    at = np.array([k])
    arrays = (np.array([x]) for x in (theta, rho, psi))
    assert durrleman(*essvi(*arrays, at), at)[0] == pytest.approx(g, rel=1e-12)


def test_every_slice_of_the_file(shared_folder: Path) -> None:
    cases = _cases(shared_folder, "ssvi.json")
    assert len(cases) >= 4
    for case in cases:
        theta, rho, psi = (float(case[name]) for name in ("theta", "rho", "psi"))
        assert case["accepted"] is (float(case["min_g_grid"]) >= 0)
        for point in case["points"]:
            check(theta, rho, psi, case["accepted"], float(point["k"]), float(point["w"]))


def test_durrlemans_function_equals_the_reference(shared_folder: Path) -> None:
    """Of raw SVI slices: so the property tests measure with a function that is itself checked."""
    points = 0
    for case in _cases(shared_folder, "svi.json"):
        parameters = [float(case[name]) for name in ("a", "b", "rho", "m", "sigma")]
        for point in case["points"]:
            k = np.array([float(point["k"])])
            w, w1, w2 = raw_svi(*parameters, k)
            assert w[0] == pytest.approx(float(point["w"]), rel=1e-12)
            g = durrleman(w, w1, w2, k)[0]
            assert g == pytest.approx(float(point["g"]), rel=1e-9, abs=1e-12)
            points += 1
    assert points >= 21


def _cases(shared_folder: Path, name: str) -> list[dict[str, Any]]:
    cases: list[dict[str, Any]] = json.loads((shared_folder / "vectors" / name).read_text())[
        "cases"
    ]
    return cases
