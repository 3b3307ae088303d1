"""Lists in a terminal: nothing is cut, however narrow it is."""

from __future__ import annotations

import pytest

from novate.cli import listing

FIELDS = (("name", "instrument"), ("size", "size"), ("id", "order"))
ROWS = [
    {"name": "BTC-27DEC26-100000-C", "size": "-0.25", "id": "0x" + "ab" * 32},
    {"name": "ETH-PERPETUAL", "size": "10", "id": "0x" + "cd" * 32},
]


def test_what_fits_is_a_table_with_numbers_on_the_right() -> None:
    head, first, second = listing.lines(ROWS, FIELDS, 120)
    assert head == "instrument             size  order"
    assert first == f"BTC-27DEC26-100000-C  -0.25  {ROWS[0]['id']}"
    assert second == f"ETH-PERPETUAL            10  {ROWS[1]['id']}"


def test_an_id_too_long_for_the_table_stands_below_its_row() -> None:
    made = listing.lines(ROWS, FIELDS, 80)
    assert made[0].split() == ["instrument", "size"]
    assert made[2] == f"  order {ROWS[0]['id']}" and made[4] == f"  order {ROWS[1]['id']}"
    assert max(map(len, made)) <= 80


@pytest.mark.parametrize("width", [1, 20, 25, 40, 80, 120])
def test_every_value_is_whole_at_every_width(width: int) -> None:
    made = listing.lines(ROWS, FIELDS, width)
    for row in ROWS:
        for value in row.values():
            assert any(value in line.split() for line in made)


def test_blocks_have_a_line_a_field_and_a_space_between_them() -> None:
    made = listing.lines(ROWS, FIELDS, 20)
    assert made[:4] == [
        "instrument  BTC-27DEC26-100000-C",
        "size        -0.25",
        f"order       {ROWS[0]['id']}",
        "",
    ]


def test_what_is_not_known_is_blank_and_keeps_its_column() -> None:
    rows = [{"name": "a", "size": None, "id": "x"}, {"name": "b", "size": "5", "id": "y"}]
    assert listing.lines(rows, FIELDS, 80) == [
        "instrument  size  order",
        "a                 x",
        "b              5  y",
    ]


def test_a_file_takes_lines_of_any_length(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("COLUMNS", raising=False)
    assert listing.width_shown() == listing.UNBOUNDED
    monkeypatch.setenv("COLUMNS", "66")
    assert listing.width_shown() == 66
