"""The whole settlement layer, contracts and model side by side, over random histories (ladder
rung 6).
"""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from novate.model import ledger
from novate.sim import run
from novate.sim.checkers import Checker
from novate.sim.desk import person
from novate.sim.upkeep import Simulation
from novate.sim.workload import KINDS, Workload
from novate.sim.world import Difference, Settlement
from novate.units import WAD

OPERATIONS = 5_250
HAPPENED = ("Fill", "SliceSold", "WrittenOff", "LayerPaid", "HaircutExecuted", "Withdrawn")


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_contracts_equal_model_and_invariants_hold(seed: int) -> None:
    """Every operation agrees; every kind of it ended in each way it can; money was lost."""
    tally = run.simulate(seed, OPERATIONS)
    assert tally.outcomes.total() >= OPERATIONS
    expected = {(kind, outcome) for kind, (_, ways) in KINDS.items() for outcome in ways}
    assert set(tally.outcomes) == expected
    assert not [name for name in HAPPENED if not tally.events[name]]
    assert len(tally.codes) > 40


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
    peers = [both.address[role] for role in ("custody", "auctioneer", "waterfall", "guardian")]
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
