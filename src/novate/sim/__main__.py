"""``python -m novate.sim --seed S --operations N``: replay one seed."""

import argparse

from novate.sim.run import simulate

parser = argparse.ArgumentParser(prog="python -m novate.sim")
parser.add_argument("--seed", type=int, required=True)
parser.add_argument("--operations", type=int, default=5_000)
chosen = parser.parse_args()
tally = simulate(chosen.seed, chosen.operations)
for (kind, outcome), count in sorted(tally.outcomes.items()):
    print(f"{kind:20} {outcome:10} {count}")
print(dict(tally.codes), dict(tally.events))
