"""Deployed sizes of every deployable contract against tests/snapshots/contract_sizes.json.

A size is that of the code on chain, which EIP-170 limits: runtime and immutables. Without an
argument: compile and write the snapshot. ``--check``: compare instead, so that a size change shows
in review, and hold every contract to the limit. A deployable is a ``CamelCase.vy`` file.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from novate.chain.compile import CONTRACTS, compile_contract
from novate.limits import CONTRACT_SIZE_BYTES_MAX

SNAPSHOT = Path(__file__).parent.parent / "tests/snapshots/contract_sizes.json"
LOCAL = CONTRACTS.parent / "chain" / "local"


def measured() -> dict[str, int]:
    """Deployed size in bytes of every deployable, by name; compiles what is not cached."""
    sizes = {}
    for root in (CONTRACTS, LOCAL):
        for path in sorted(root.glob("[A-Z]*.vy")):
            made = compile_contract(path.stem, root)
            sizes[path.stem] = made.runtime_size_bytes + made.immutables_size_bytes
    return sizes


def problems(sizes: Mapping[str, int], snapshot: Mapping[str, int]) -> list[str]:
    """One sentence for each size that is above the limit or not the committed one."""
    found = [
        f"{name} is {size} bytes, above the limit of {CONTRACT_SIZE_BYTES_MAX}"
        for name, size in sizes.items()
        if size > CONTRACT_SIZE_BYTES_MAX
    ]
    for name in sorted(sizes.keys() | snapshot.keys()):
        if sizes.get(name) != snapshot.get(name):
            found.append(f"{name} is {sizes.get(name)} bytes, committed {snapshot.get(name)}")
    return found


def main() -> int:
    """Write or check; exit code 1 when a size differs or is too large."""
    sizes = measured()
    if "--check" not in sys.argv[1:]:
        SNAPSHOT.parent.mkdir(parents=True, exist_ok=True)
        SNAPSHOT.write_text(json.dumps(sizes, indent=2, sort_keys=True) + "\n")
        return int(any(size > CONTRACT_SIZE_BYTES_MAX for size in sizes.values()))
    snapshot = json.loads(SNAPSHOT.read_text()) if SNAPSHOT.exists() else {}
    found = problems(sizes, snapshot)
    for line in found:
        print(line)
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
