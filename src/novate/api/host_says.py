"""What a running venue says of itself: its parts, whether each is ready, and figures.

Owns: what ``/health`` and ``/metrics`` tell of the host. Times in seconds.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from novate.api.metrics import Part
from novate.api.venue import Figure

if TYPE_CHECKING:
    from novate.api.host import Host

SILENT_SECONDS = 15
STILL_SECONDS = 30


def parts(host: Host) -> list[Callable[[], Part]]:
    """Every part but the engine, each asked when somebody wants to know."""
    made = _chain_part, _oracle_part, _surface_part, _index_part
    return [partial(part, host) for part in made]


def _chain_part(host: Host) -> Part:
    """The way to the chain, and a local chain's node."""
    silent = int(time.monotonic() - host.chain.heard_at)
    pid = host.kept.node.pid if host.kept is not None else None
    begun = host.supervisor.restarts["chain"] + (host.kept.revivals if host.kept else 0)
    return Part("chain", silent < SILENT_SECONDS, f"heard {silent} s ago", pid, begun)


def _oracle_part(host: Host) -> Part:
    """The newest round; one of the future means that this machine's clock went back."""
    age = int(time.time()) - host.sequencer.world.oracle.statuses[0].timestamp
    fresh = -SILENT_SECONDS <= age <= host.parameters.oracle.stale_after_seconds
    return Part("oracle", fresh, f"round {age} s old", None, host.supervisor.restarts["oracle"])


def _surface_part(host: Host) -> Part:
    """The surfaces of the options."""
    age = int(time.time()) - host.options.seen_at
    fresh = age <= host.parameters.oracle.stale_after_seconds
    restarts = host.supervisor.restarts["options"]
    return Part("surfaces", fresh, f"surfaces {age} s old", None, restarts)


def _index_part(host: Host) -> Part:
    """The read side's process: what it has not read yet, and whether it stands still."""
    child = host.index.child
    lives = child is not None and child.returncode is None
    pid = child.pid if child is not None else None
    behind, still = host.index.lag(host.journal.durable.sequence)
    moves = behind == 0 or still < STILL_SECONDS
    detail = f"{behind} records behind" + ("" if moves else f", still for {int(still)} s")
    restarts = host.supervisor.restarts["index"]
    return Part("index", lives and moves, detail if lives else "ended", pid, restarts)


def figures(host: Host) -> dict[str, Figure]:
    """Figures of the host's own, for ``/metrics``."""
    return {
        "settlement_faults": (
            "Faults of the way to the chain.",
            "fault",
            host.chain.service.faults,
        ),
        "settlement_waiting": (
            "Batches and rounds not on the chain.",
            "kind",
            {"all": float(host.chain.waiting)},
        ),
        "index_behind": (
            "Durable records that the read side has not read.",
            "source",
            {"journal": float(host.index.lag(host.journal.durable.sequence)[0])},
        ),
        "oracle_skipped": ("Rounds without a quorum.", "node", {"all": host.oracle.skipped}),
        "surface_skipped": (
            "Surfaces and settlement prices without a quorum.",
            "node",
            {"all": host.options.skipped},
        ),
    }
