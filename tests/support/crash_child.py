"""A crash run that tells after each minute what its journal promised and where its engine is; every
third minute it takes a snapshot.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from novate.config import load
from novate.demo.run import Crash
from novate.lab.prices import load_event

MINUTES = 60
SNAPSHOT_MINUTES = 3


def main(folder: Path) -> None:
    """Run until killed; the parent reads one JSON object a line."""
    crash = Crash(folder, load(), load_event(), seed=3, minutes=MINUTES)
    tell(node=crash.venue.node.pid, genesis=crash.venue.genesis_time)
    crash.fund()
    for step in range(crash.steps):
        crash.minute(step)
        if step % SNAPSHOT_MINUTES == 2:
            crash.venue.snapshot()
        head = crash.venue.journal.durable
        state = crash.venue.sequencer.world.state_hash()
        tell(sequence=head.sequence, hash=head.hash.hex(), state=state)


def tell(**line: object) -> None:
    """One line, at once."""
    print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
