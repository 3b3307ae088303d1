"""The whole settlement layer, contracts and model side by side, over random histories (ladder
rung 6).
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from novate.model import ledger
from novate.sim import run
from novate.sim.checkers import Checker
from novate.sim.dated import DATED_KINDS
from novate.sim.desk import person
from novate.sim.upkeep import Simulation
from novate.sim.workload import KINDS, Tally, Workload
from novate.sim.world import Difference, Settlement
from novate.units import WAD

SEEDS = [1, 2, 3, 4]
OPERATIONS = 5_250
DATED_SEEDS = [31, 32]
DATED_OPERATIONS = 2_600
DATED_HAPPENED = (
    "Fill",
    "SliceSold",
    "SurfacesPosted",
    "ExpiryListed",
    "StrikeListed",
    "EpochStarted",
    "ArraysRefreshed",
    "SettlementPrinted",
    "ExpirySettled",
)
HAPPENED = ("Fill", "SliceSold", "WrittenOff", "LayerPaid", "HaircutExecuted", "Withdrawn")


@pytest.fixture(scope="session")
def tallies(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> Path:
    """A folder that all workers of this test run share."""
    own = tmp_path_factory.getbasetemp()
    folder = (own if worker_id == "master" else own.parent) / "tallies"
    folder.mkdir(exist_ok=True)
    return folder


@pytest.mark.parametrize("seed", SEEDS)
def test_contracts_equal_model_and_invariants_hold(seed: int, tallies: Path) -> None:
    """Every operation agrees; whichever seed ends last judges what all of them covered."""
    tally = run.simulate(seed, OPERATIONS)
    assert tally.outcomes.total() >= OPERATIONS
    assert tally.events["Fill"] and tally.events["SliceSold"]
    (tallies / f"{seed}.tmp").write_bytes(pickle.dumps(tally))
    (tallies / f"{seed}.tmp").rename(tallies / f"{seed}.pickle")
    found = [path.read_bytes() for path in sorted(tallies.glob("*.pickle"))]
    if len(found) == len(SEEDS):
        judge_coverage([pickle.loads(item) for item in found])


@pytest.mark.parametrize("seed", DATED_SEEDS)
def test_contracts_equal_model_with_options_and_futures(seed: int) -> None:
    """Surfaces, listing, refreshing, trading, prints, expiry and liquidation, all drawn at random.

    What each kind of operation can come to is the sum of both seeds' business; here each happens.
    """
    tally = run.simulate(seed, DATED_OPERATIONS, dated=True)
    assert tally.outcomes.total() >= DATED_OPERATIONS
    happened = {kind for kind, outcome in tally.outcomes if outcome == "accepted"}
    assert happened >= DATED_KINDS.keys()
    assert not [name for name in DATED_HAPPENED if not tally.events[name]]


def judge_coverage(found: list[Tally]) -> None:
    """Each kind of operation ended in each way it can; accounts were liquidated and written off."""
    total = Tally(Counter(), Counter(), Counter())
    for tally in found:
        total.add(tally)
    expected = {(kind, outcome) for kind, (_, ways) in KINDS.items() for outcome in ways}
    assert set(total.outcomes) == expected
    assert not [name for name in HAPPENED if not total.events[name]]
    assert len(total.codes) > 45, sorted(total.codes)


def test_a_seed_is_one_history() -> None:
    """The same seed draws the same operations and ends in the same state."""
    first, second = Simulation(7), Simulation(7)
    for simulation in (first, second):
        while simulation.operations < 150:
            simulation.draw()
    assert first.world.state_hash() == second.world.state_hash()
    assert first.tally == second.tally


@pytest.fixture
def funded() -> tuple[Workload, int]:
    """A workload before its first draw, and a funded account."""
    workload = Workload(1)
    return workload, workload.levered[0].account


def test_money_only_the_model_has_is_found(funded: tuple[Workload, int]) -> None:
    workload, account = funded
    row = workload.world.ledger.accounts[account]
    workload.world.ledger.accounts[account] = replace(row, cash=row.cash + 1)
    with pytest.raises(Difference, match="account"):
        workload.checker.everything()


def test_money_from_nowhere_breaks_an_invariant_at_once(funded: tuple[Workload, int]) -> None:
    """Both sides credit an account without a token: they agree, but I01 does not hold."""
    workload, account = funded
    both, custody = workload.both, workload.stranger
    both.address["custody"] = both.world.addresses["custody"] = custody
    roles = ("custody", "auctioneer", "waterfall", "guardian", "options")
    peers = [both.address[role] for role in roles]
    governor = both.address["timelock"]
    both.clearinghouse.call("set_peers", both.risk.address, *peers, sender=governor)
    with pytest.raises(Difference, match="I01"):
        workload.act("deposit", both.clearinghouse, custody, ledger.credit, account, 0, WAD)


def test_a_rejection_that_only_one_side_makes_is_found() -> None:
    both = Settlement()
    account = person("levered 0").account
    step = both.step(both.clearinghouse, both.address["stranger"], ledger.credit, account, 0, WAD)
    with pytest.raises(Difference, match="rejection"):
        both.perform(replace(step, twin=lambda world: None))


def test_an_event_that_only_one_side_logs_is_found() -> None:
    both = Settlement()

    def twin(world: object) -> int:
        both.world.emit("Invented")
        return ledger.distribute_fees(both.world, both.address["stranger"])

    step = both.step(both.clearinghouse, both.address["stranger"], ledger.distribute_fees)
    with pytest.raises(Difference, match="events"):
        both.perform(replace(step, twin=twin))


def test_a_failure_names_the_command_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Checker, *_: object) -> None:
        raise Difference("made up")

    monkeypatch.setattr(Checker, "after", broken)
    with pytest.raises(run.Failure, match=r"python -m novate.sim --seed 3 --operations 50"):
        run.simulate(3, 50)


def test_the_command_runs_a_seed() -> None:
    command = [sys.executable, "-m", "novate.sim", "--seed", "5", "--operations", "60"]
    output = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert output.startswith("seed 5 done; ")
    assert "settle" in output
