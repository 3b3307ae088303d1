"""JSON of others: as Python reads it, but never so deep that the interpreter runs out of stack."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from novate.wire.json_text import DEPTH_MAX, parse


@pytest.fixture
def raised_limit() -> Iterator[None]:
    """The recursion limit of a process that has imported eth-account."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, 100_000))
    yield
    sys.setrecursionlimit(before)


@pytest.mark.parametrize(
    "value",
    [
        1.5,
        "[" * 1_000,
        {"]": ['"', "\\", '\\"[', "}"] * 100},
        [[{"a": [1, None, True]}], []],
        ["\\" * 5 + '"' + "{" * 99],
    ],
)
def test_what_is_not_deep_is_read(value: Any) -> None:
    for indent in (None, 1):
        assert parse(json.dumps(value, indent=indent)) == value


def test_options_reach_the_parser() -> None:
    assert parse("[1.50]", parse_float=str) == ["1.50"]


@pytest.mark.parametrize("mark", ["[", '{"a":', '[{"a":'])
def test_the_depth_is_bounded_whatever_the_recursion_limit(raised_limit: None, mark: str) -> None:
    with pytest.raises(ValueError, match="nested deeper than 32"):
        parse(mark * 100_000)


def test_the_deepest_allowed_and_one_more() -> None:
    found = parse("[" * DEPTH_MAX + "]" * DEPTH_MAX)
    for _ in range(DEPTH_MAX - 1):
        (found,) = found
    assert found == []
    with pytest.raises(ValueError, match="nested deeper"):
        parse("[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1))
    wide = "[" + ",".join(["[[]]"] * 1_000) + "]"
    assert len(parse(wide)) == 1_000


@pytest.mark.parametrize("text", ["", "{", "]" * 9, '"', '"\\', "\\[", '["a]', "nul", '"\\x"'])
def test_what_is_no_json_is_a_value_error(text: str) -> None:
    with pytest.raises(ValueError):
        parse(text)
