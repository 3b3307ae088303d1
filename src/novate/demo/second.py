"""A second engine in a process of its own: it folds the journal while the run still writes it.

Owns: what I12 is judged by. The two share the journal's files, the deployment and the parameters,
and nothing else; on a machine with two cores the replay is done as the run ends.
"""

from __future__ import annotations

import multiprocessing
import signal
import time
from multiprocessing.connection import Connection
from pathlib import Path

from novate.chain.deployment import Deployment
from novate.chain.node import local_key
from novate.config import Parameters
from novate.engine.standby import Standby
from novate.services.boot import build_sequencer

POLL_S = 0.1


class SecondEngine:
    """The child and the pipe to it; it ends at the latest with this process."""

    def __init__(
        self, journal: Path, deployment: Deployment, parameters: Parameters, first: int
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, journal, deployment, parameters, first)
        self._process = context.Process(target=_follow, args=arguments, daemon=True)
        self._process.start()
        theirs.close()

    def state_hash(self, sequence: int) -> str:
        """The hash of its state after that record; nothing if it came to another story."""
        try:
            self._pipe.send(sequence)
            return str(self._pipe.recv())
        except (EOFError, OSError):
            return ""

    def close(self) -> None:
        """End the child."""
        self._process.terminate()
        self._process.join()
        self._pipe.close()


def _follow(
    pipe: Connection, journal: Path, deployment: Deployment, parameters: Parameters, first: int
) -> None:
    """Follow until a record is named and reached. A key pressed to stop the run is the run's."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    sequencer = build_sequencer(deployment, parameters, local_key("executor"), first)
    standby, last = Standby(journal, sequencer), -1
    while last < 0 or standby.follower.next_sequence <= last:
        if not standby.poll():
            time.sleep(POLL_S)
        if last < 0 and pipe.poll():
            try:
                last = pipe.recv()
            except EOFError:  # the run has ended without a question
                return
    pipe.send(sequencer.world.state_hash())
