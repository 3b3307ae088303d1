"""Compile the Vyper contracts with the pinned compiler.

Results are cached on disk by the hash of every source file, so tests and the demo compile once, on
all processors (``python -m novate.chain.compile``, which ``make setup`` runs). The optimiser runs
for gas.
"""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

CONTRACTS = Path(__file__).parent.parent / "contracts"
LOCAL_CONTRACTS = Path(__file__).parent / "local"
EVM_VERSION = "prague"
# a contract that runs another's code by delegatecall speaks that one's functions and events as well
DELEGATES = {"Clearinghouse": "BackOffice"}


@dataclass(frozen=True)
class Artifact:
    """One compiled contract; the code on chain is the runtime with its immutables behind it."""

    name: str
    abi: tuple[dict[str, Any], ...]
    bytecode: bytes
    runtime_size_bytes: int
    immutables_size_bytes: int


def _sources_hash(roots: tuple[Path, ...]) -> str:
    digest = hashlib.sha256()
    for root in roots:
        for path in sorted(root.rglob("*.vy*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:20]


def _key(roots: tuple[Path, ...]) -> str:
    """What the output of a compilation from these folders is kept under, beside its name."""
    return f"built-{_sources_hash(roots)}"


def _kept_at(name: str) -> Path:
    base = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"))
    folder = base / "novate" / "contracts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{name}.json"


@cache
def compile_contract(name: str, root: Path = CONTRACTS, contracts: Path = CONTRACTS) -> Artifact:
    """Compile ``root/name.vy``; imports resolve against the ``contracts`` folder and the packages.

    Another ``contracts`` folder is a changed copy of ours: the mutation tests compile from one.
    """
    root = contracts if root == CONTRACTS else root
    roots = (contracts,) if root == contracts else (contracts, root)
    found = _cached(f"{name}-{_key(roots)}", lambda: _compile(root / f"{name}.vy", roots))
    abi = list(found["abi"])
    if name in DELEGATES and root == contracts:
        for entry in compile_contract(DELEGATES[name], contracts=contracts).abi:
            if entry["type"] in ("function", "event") and entry not in abi:
                abi.append(entry)
    code = bytes.fromhex(found["bytecode"][2:])
    sizes = found["runtime_size_bytes"], found["immutables_size_bytes"]
    return Artifact(name, tuple(abi), code, *sizes)


def missing() -> list[tuple[str, Path]]:
    """A venue's contracts that no compiler's output is kept of: name and folder."""
    found = []
    for root in (CONTRACTS, LOCAL_CONTRACTS):
        key = _key((CONTRACTS,) if root == CONTRACTS else (CONTRACTS, root))
        names = [path.stem for path in sorted(root.glob("[A-Z]*.vy"))]
        found += [(name, root) for name in names if not _kept_at(f"{name}-{key}").exists()]
    return found


def compile_all(contracts: Sequence[tuple[str, Path]]) -> None:
    """Compile contracts on all processors; what is kept already costs nothing. Raises what the
    compiler does.
    """
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(mp_context=spawn) as pool:
        for contract in contracts:
            pool.submit(_compile_ahead, *contract)
    for contract in contracts:
        compile_contract(*contract)


def _compile_ahead(name: str, root: Path) -> None:
    """For whoever asks next; what is wrong with it he is told."""
    with suppress(Exception):
        compile_contract(name, root)


@cache
def layout_of(name: str, contracts: Path = CONTRACTS) -> dict[str, dict[str, Any]]:
    """Where a contract keeps each variable, by module: ``storage_layout`` and
    ``transient_storage_layout`` in slots, ``code_layout`` (immutables) in bytes after the runtime.
    """
    built = _kept_at(f"{name}-{_key((contracts,))}")
    if built.exists():
        found: dict[str, dict[str, Any]] = json.loads(built.read_text())["layout"]
        return found
    path = contracts / f"{name}.vy"
    cached = f"{name}-layout-{_sources_hash((contracts,))}"
    return _cached(cached, lambda: _output(path, (contracts,), ["layout"])["layout"])


def _cached(name: str, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is on disk under this name, made first where it is not."""
    path = _kept_at(name)
    if not path.exists():
        made = json.dumps(make())
        temporary = path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_text(made)
        temporary.replace(path)
    found: dict[str, Any] = json.loads(path.read_text())
    return found


def _compile(path: Path, roots: tuple[Path, ...]) -> dict[str, Any]:
    out = _output(path, roots, ["abi", "bytecode", "bytecode_runtime", "layout"])
    return {
        "abi": out["abi"],
        "bytecode": out["bytecode"],
        "runtime_size_bytes": len(out["bytecode_runtime"]) // 2 - 1,
        "immutables_size_bytes": _immutables_size(out["layout"].get("code_layout", {})),
        "layout": out["layout"],
    }


def _immutables_size(layout: dict[str, Any]) -> int:
    """Bytes that immutables take behind the runtime; a module's stand under its name."""
    if "offset" in layout and "length" in layout:
        return int(layout["length"])
    return sum(_immutables_size(entry) for entry in layout.values())


def _output(path: Path, roots: tuple[Path, ...], formats: list[str]) -> dict[str, Any]:
    import site

    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle
    from vyper.compiler.settings import OptimizationLevel, Settings

    paths = [Path(p) for p in site.getsitepackages()] + list(roots)
    bundle = FilesystemInputBundle(paths)
    source = bundle.load_file(path)
    settings = Settings(optimize=OptimizationLevel.GAS, evm_version=EVM_VERSION)
    out: dict[str, Any] = compile_from_file_input(
        source, input_bundle=bundle, settings=settings, output_formats=formats
    )
    return out


if __name__ == "__main__":
    compile_all(missing())
