"""What is compiled is kept, and what is not kept is compiled on all processors."""

from __future__ import annotations

from pathlib import Path

import pytest

from novate.chain import compile as compiler
from novate.chain.compile import CONTRACTS, LOCAL_CONTRACTS, compile_all, missing
from novate.chain.deployment import CONTRACT_OF


def test_a_venue_lacks_all_its_contracts_until_they_are_compiled(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    absent = missing()
    assert {name for name, root in absent if root == CONTRACTS} >= set(CONTRACT_OF.values())
    assert ("TestToken", LOCAL_CONTRACTS) in absent
    small = [("Timelock", CONTRACTS), ("TestToken", LOCAL_CONTRACTS)]
    compile_all(small)
    assert missing() == [contract for contract in absent if contract not in small]


def test_what_is_kept_is_not_compiled_again(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    compile_all([("TestToken", LOCAL_CONTRACTS)])
    monkeypatch.delattr(compiler, "_compile")
    made = compiler.compile_contract.__wrapped__("TestToken", LOCAL_CONTRACTS)
    assert made == compiler.compile_contract("TestToken", LOCAL_CONTRACTS)


def test_the_layout_of_what_is_compiled_is_kept_with_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    alone = compiler.layout_of.__wrapped__("Timelock")
    compile_all([("Timelock", CONTRACTS)])
    monkeypatch.delattr(compiler, "_output")
    [apart] = tmp_path.rglob("Timelock-layout-*.json")
    apart.unlink()
    assert compiler.layout_of.__wrapped__("Timelock") == alone


def test_a_contract_that_does_not_compile_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    (tmp_path / "Broken.vy").write_text("x: uint257\n")
    with pytest.raises(Exception, match="uint257"):
        compile_all([("Broken", tmp_path)])
