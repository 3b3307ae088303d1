"""Compile the Vyper contracts with the pinned compiler.

Results are cached on disk by the hash of every source file, so tests and the demo compile once. The
optimiser runs for gas.
"""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).parent.parent / "contracts"
EVM_VERSION = "prague"


@dataclass(frozen=True)
class Artifact:
    """One compiled contract."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime_size_bytes: int


def _sources_hash(roots: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*.vy*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _cache_folder() -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = base / "novate" / "contracts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@cache
def compile_contract(name: str, root: Path = CONTRACTS, contracts: Path = CONTRACTS) -> Artifact:
    """Compile ``root/name.vy``; imports resolve against the ``contracts`` folder and the packages.

    Another ``contracts`` folder is a changed copy of ours: the mutation tests compile from one.
    """
    root = contracts if root == CONTRACTS else root
    roots = (contracts,) if root == contracts else (contracts, root)
    cached = _cache_folder() / f"{name}-{_sources_hash(roots)}.json"
    if not cached.exists():
        made = json.dumps(_compile(root / f"{name}.vy", roots))
        temporary = cached.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(made)
        temporary.replace(cached)
    found = json.loads(cached.read_text())
    return Artifact(
        name, tuple(found["abi"]), bytes.fromhex(found["bytecode"][2:]), found["runtime_size_bytes"]
    )


def _compile(path: Path, roots: tuple[Path, ...]) -> dict[str, Any]:
    import site

    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings

    paths = [Path(p) for p in site.getsitepackages()] + list(roots)
    bundle = FilesystemInputBundle(paths)
    source = bundle.load_file(path)
    settings = Settings(optimize=OptimizationLevel.GAS, evm_version=EVM_VERSION)
    out = compile_from_file_input(
        source,
        input_bundle=bundle,
        settings=settings,
        output_formats=["abi", "bytecode", "bytecode_runtime"],
    )
    return {
        "abi": out["abi"],
        "bytecode": out["bytecode"],
        "runtime_size_bytes": len(out["bytecode_runtime"]) // 2 - 1,
    }
