"""Runs of the simulation: one seed, or many seeds over processes until an amount is reached."""

from __future__ import annotations

from novate.sim.dated import DatedSimulation
from novate.sim.upkeep import Simulation
from novate.sim.workload import Tally
from novate.sim.world import Difference

FULL_COMPARISON_EVERY = 500


class Failure(AssertionError):
    """A run found a difference; the text has the command that replays it."""


def simulate(seed: int, operations: int, dated: bool = False) -> Tally:
    """At least ``operations`` random operations on contracts and model, with options and dated
    futures if ``dated``. Errors: Failure.
    """
    simulation = None
    try:
        simulation = DatedSimulation(seed) if dated else Simulation(seed)
        compared_at = 0
        while simulation.operations < operations:
            simulation.draw()
            if simulation.operations - compared_at >= FULL_COMPARISON_EVERY:
                simulation.checker.everything()
                compared_at = simulation.operations
        simulation.checker.everything()
    except Exception as error:
        done = simulation.operations if simulation else 0
        command = f".venv/bin/python -m novate.sim --seed {seed} --operations {operations}"
        command += " --dated" if dated else ""
        raise Failure(f"after {done} operations: {error}\nreplay: {command}") from error
    return simulation.tally


__all__ = ["Difference", "Failure", "simulate"]
