"""``python -m novate.sim --seed S --operations N`` replays a seed; ``--seeds K`` runs K from S on.

A run over many seeds prints a line as each finishes; start it again at the first seed missing.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter
from concurrent.futures import ProcessPoolExecutor, as_completed

from novate.sim.run import Failure, simulate
from novate.sim.workload import Tally


def main() -> int:
    """Run what the arguments name; 1 if a seed failed."""
    parser = argparse.ArgumentParser(prog="python -m novate.sim")
    parser.add_argument("--seed", type=int, required=True, help="the first seed")
    parser.add_argument("--seeds", type=int, default=1, help="how many seeds")
    parser.add_argument("--operations", type=int, default=5_000, help="operations a seed")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--dated", action="store_true", help="with options and dated futures")
    chosen = parser.parse_args()
    total = Tally(Counter(), Counter(), Counter())
    failures = 0
    with ProcessPoolExecutor(chosen.workers) as pool:
        seeds = range(chosen.seed, chosen.seed + chosen.seeds)
        given = chosen.operations, chosen.dated
        running = {pool.submit(simulate, seed, *given): seed for seed in seeds}
        for finished in as_completed(running):
            try:
                total.add(finished.result())
            except Failure as failure:
                failures += 1
                print(failure, flush=True)
            done = total.outcomes.total()
            print(f"seed {running[finished]} done; {done} operations passed", flush=True)
    print_tally(total)
    return 1 if failures else 0


def print_tally(tally: Tally) -> None:
    """Outcomes by kind, then rejections and events by name."""
    for (kind, outcome), count in sorted(tally.outcomes.items()):
        print(f"{kind:20} {outcome:10} {count}")
    for counted in (tally.codes, tally.events):
        print(" ".join(f"{name}={count}" for name, count in sorted(counted.items())))


if __name__ == "__main__":
    sys.exit(main())
