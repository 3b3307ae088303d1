"""A service's process is not stopped by the collector for what lives as long as it does."""

from __future__ import annotations

import subprocess
import sys

PROBE = """
import gc
from novate.services.steady import THRESHOLDS, SWITCH_SECONDS, steady
kept = [[] for _ in range(100_000)]
steady()
import sys
assert gc.get_threshold() == THRESHOLDS
assert abs(sys.getswitchinterval() - SWITCH_SECONDS) < 1e-6
assert gc.get_freeze_count() >= len(kept)
assert len(gc.get_objects()) < len(kept)
ring = []
ring.append(ring)
del ring
assert gc.collect() >= 1, "cycles made later are still found"
"""


def test_what_is_there_at_the_start_is_looked_at_no_more() -> None:
    done = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
