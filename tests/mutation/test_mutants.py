"""Each injected bug of mutants.toml is noticed by its scenario; each scenario passes on the
contracts as they are.
"""

from __future__ import annotations

import shutil
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from mutation import checks, dated_checks

from novate.chain.compile import CONTRACTS, compile_contract
from novate.chain.harness import CallReverted, Chain
from novate.errors import Rejected

LIST = tomllib.loads((Path(__file__).parent / "mutants.toml").read_text())
CONTRACTS_WITH_MUTANTS = {
    "ArrayBuilder",
    "Auctioneer",
    "BackOffice",
    "Clearinghouse",
    "Custody",
    "Exchange",
    "Lens",
    "Options",
    "Oracle",
    "RiskModel",
    "Surfaces",
    "Timelock",
    "Waterfall",
}


def scenario(name: str) -> Callable[[], None]:
    """The check of a name."""
    found: Callable[[], None] = getattr(checks, name, None) or getattr(dated_checks, name)
    return found


@dataclass(frozen=True)
class Mutant:
    """One injected bug, where it is, and the scenario that must notice it."""

    contract: str
    file: str
    wrong: str
    original: str
    mutated: str
    check: str

    def scenario(self) -> Callable[[], None]:
        """The check, by name."""
        return scenario(self.check)


MUTANTS = [Mutant(**entry) for entry in LIST["mutant"]]


def folder_of(mutant: Mutant, target: Path) -> Path:
    """A copy of the contracts with the bug in it."""
    shutil.copytree(CONTRACTS, target)
    path = target / mutant.file
    text = path.read_text()
    found = text.count(mutant.original)
    assert found == 1, f"{mutant.file} holds the original text {found} times: {mutant.original}"
    path.write_text(text.replace(mutant.original, mutant.mutated))
    return target


def cases() -> Iterator[Any]:
    """The first mutant of each file always; every other one by night, since each compiles anew."""
    seen: set[str] = set()
    for mutant in MUTANTS:
        marks = [pytest.mark.nightly] if mutant.file in seen else []
        seen.add(mutant.file)
        yield pytest.param(mutant, marks=marks, id=f"{mutant.contract}: {mutant.wrong}")


@pytest.mark.parametrize("mutant", list(cases()))
def test_the_bug_is_noticed(
    mutant: Mutant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = folder_of(mutant, tmp_path / "contracts")
    # a mutant that does not compile proves nothing
    assert compile_contract(mutant.contract, contracts=folder).runtime_size_bytes > 0
    monkeypatch.setattr(Chain, "folders", {mutant.contract: folder})
    with pytest.raises((AssertionError, Rejected, CallReverted)):
        mutant.scenario()()


@pytest.mark.parametrize("name", sorted({mutant.check for mutant in MUTANTS}))
def test_the_scenario_passes_without_a_bug(name: str) -> None:
    scenario(name)()


def test_every_contract_has_a_mutant() -> None:
    assert {mutant.contract for mutant in MUTANTS} >= CONTRACTS_WITH_MUTANTS
    assert len({(m.file, m.original) for m in MUTANTS}) == len(MUTANTS)


def test_a_text_that_is_gone_fails(tmp_path: Path) -> None:
    gone = Mutant("Lens", "Lens.vy", "nothing", "no such text", "anything", "an_auction")
    with pytest.raises(AssertionError, match="holds the original text 0 times"):
        folder_of(gone, tmp_path / "contracts")
