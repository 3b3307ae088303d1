"""The funding formula F = P + clamp(I − P, −c, +c) against published figures.

Source: vectors/funding_clamp.json (the exchanges' documented formula); its three rows are copied
below.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path

import pytest

from novate.model.funding import funding_rate
from novate.model.ledger import Config
from novate.units import PPB

INDEX = 60_000 * 10**10
DAY_S = 86_400
COPIED = [
    ("0.0001", "0.0001", "0.0005", "0.0001"),
    ("-0.001", "0.0001", "0.0005", "-0.0005"),
    ("-0.0003", "0.0001", "0.0005", "0.0001"),
]


def ppb(text: str) -> int:
    scaled = Decimal(text) * PPB
    assert scaled == int(scaled)
    return int(scaled)


def check(premium: str, interest: str, clamp: str, funding: str) -> None:
    """The settled rate, from above and from below, and its mirror image."""
    config = Config(funding_interest_ppb=ppb(interest), funding_clamp_ppb=ppb(clamp))
    mark = INDEX + INDEX * ppb(premium) // PPB
    for before in (-config.funding_cap_ppb, 0, config.funding_cap_ppb):
        assert funding_rate(before, INDEX, mark, DAY_S, config) == ppb(funding)


@pytest.mark.parametrize("case", COPIED)
def test_the_copied_rows(case: tuple[str, str, str, str]) -> None:
    check(*case)


def test_every_row_of_the_file(shared_folder: Path) -> None:
    cases = json.loads((shared_folder / "vectors" / "funding_clamp.json").read_text())["cases"]
    assert len(cases) >= 3
    for case in cases:
        check(case["premium"], case["interest"], case["clamp"], case["funding"])


def test_the_cap_comes_last() -> None:
    """A premium of 1 % an eight hours settles at the cap of 0.5 % a day."""
    config = Config()
    assert funding_rate(0, INDEX, INDEX * 101 // 100, DAY_S, config) == config.funding_cap_ppb
