"""Write ``contracts/lib/errors.vy`` from the registry (``--check`` compares instead)."""

from __future__ import annotations

import sys
from pathlib import Path

from novate.errors import REGISTRY

TARGET = Path(__file__).parent.parent / "src/novate/contracts/lib/errors.vy"
HEADER = '''# pragma version 0.4.3
# SPDX-License-Identifier: AGPL-3.0-only
"""
@title Rejections: one selector of `Name()` per entry of the registry `novate/errors.py`
@notice Made by tools/errors_vy.py; edit the registry, not this file.
"""

'''
BODY = '''

@internal
@pure
def require(condition: bool, selector: bytes4):
    """@notice Revert with the four bytes of `selector` unless the condition holds."""
    if not condition:
        raw_revert(slice(convert(selector, bytes32), 0, 4))
'''


def render() -> str:
    """The text of errors.vy."""
    lines = [f"{e.name}: constant(bytes4) = {e.selector:#010x}" for e in REGISTRY.values()]
    return HEADER + "\n".join(lines) + "\n" + BODY


def main() -> int:
    """Write or check; exit code 1 when the file is out of date."""
    if "--check" in sys.argv[1:]:
        return int(TARGET.read_text() != render())
    TARGET.write_text(render())
    return 0


if __name__ == "__main__":
    sys.exit(main())
