"""What keeps the threads of a service from standing still, in whichever process they run.

Owns: how often the collector of cycles looks at what lives long, and how soon a thread that has
waited for the node or the disk gets its turn.
"""

from __future__ import annotations

import gc
import sys

# A look at all objects stops every thread for 70 ms and more, and finds nothing: records hold no
# cycles, and garbage is young when it is found. So: seldom, and at the young few at a time, since a
# look at fifty thousand of them is 10 ms and more.
THRESHOLDS = (5_000, 5, 4_000)
SWITCH_SECONDS = 0.0005


def steady() -> None:
    """All that is there now stays as long as the service does: the collector leaves it alone."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)
    sys.setswitchinterval(SWITCH_SECONDS)
