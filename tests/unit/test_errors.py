"""The registry of rejections: unique, partitioned, and the same on chain."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from eth_utils.crypto import keccak

from novate import errors
from tools import errors_vy

PARTITIONS = range(1, 10)


def test_codes_names_and_selectors_are_unique() -> None:
    entries = list(errors.REGISTRY.values())
    assert len({e.code for e in entries}) == len(entries) == len(errors.BY_CODE)
    assert len({e.name for e in entries}) == len(entries)
    assert len({e.selector for e in entries}) == len(entries) == len(errors.BY_SELECTOR)


def test_each_entry_is_a_module_attribute_of_its_own_name() -> None:
    for name, entry in errors.REGISTRY.items():
        assert getattr(errors, name) is entry


def test_codes_lie_in_a_partition_and_ascend_in_the_file() -> None:
    codes = [e.code for e in errors.REGISTRY.values()]
    assert codes == sorted(codes)
    assert {code // 1_000 for code in codes} <= set(PARTITIONS)


def test_sentences_end_and_statuses_are_errors() -> None:
    for entry in errors.REGISTRY.values():
        assert re.fullmatch(r"[A-Z].+\.", entry.sentence), entry
        assert re.fullmatch(r"[A-Z][A-Za-z]+", entry.name), entry
        assert 400 <= entry.http_status <= 599, entry


def test_a_selector_is_the_abi_error_of_the_name() -> None:
    assert errors.StalePrice.selector == int.from_bytes(keccak(b"StalePrice()")[:4], "big")
    assert errors.StalePrice.selector == 0x19ABF40E


def test_a_second_registration_is_refused() -> None:
    before = dict(errors.REGISTRY)
    with pytest.raises(AssertionError):
        errors._register(1001, "Unheard", 400, False, "A sentence.")
    with pytest.raises(AssertionError):
        errors._register(9999, "BadSignature", 400, False, "A sentence.")
    assert before == errors.REGISTRY


def test_require_rejects_only_when_the_condition_fails() -> None:
    errors.require(True, errors.StalePrice)
    with pytest.raises(errors.Rejected) as caught:
        errors.require(False, errors.StalePrice, "feed 1")
    assert caught.value.error is errors.StalePrice
    assert str(caught.value) == f"StalePrice (3009): {errors.StalePrice.sentence} feed 1"


def test_the_contracts_have_the_same_registry() -> None:
    assert errors_vy.TARGET.read_text() == errors_vy.render()


def test_the_check_notices_a_stale_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = tmp_path / "errors.vy"
    copy.write_text(errors_vy.render())
    monkeypatch.setattr(errors_vy, "TARGET", copy)
    monkeypatch.setattr("sys.argv", ["errors_vy.py", "--check"])
    assert errors_vy.main() == 0
    copy.write_text(errors_vy.render().replace("StalePrice", "OldPrice"))
    assert errors_vy.main() == 1
