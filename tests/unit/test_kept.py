"""What is kept is what would be computed: until a table that it is made from is written to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from support.clearing import BTC, ETH
from support.expiries import BITCOIN, Dated

from novate.model import dated_margin, margin, option_lanes
from novate.model.kept import DATED_SOURCES, KEPT_MAX, MARGIN_SOURCES, kept
from novate.model.option_id import DATED, future_id
from novate.model.state import World
from novate.model.store import Table


class Refused(Exception):
    """Raised inside a transaction."""


asked: list[int] = []


@kept("oracle.")
def round_times(world: World, factor: int) -> int:
    """A value of one table, and how often it had to be computed."""
    asked.append(factor)
    return factor * int(world.oracle.nodes[0] or 0) + world.now


@pytest.fixture
def world() -> Iterator[World]:
    asked.clear()
    yield World(1_000)


def test_a_value_is_computed_once_while_nothing_moves(world: World) -> None:
    assert [round_times(world, 2), round_times(world, 2), round_times(world, 3)] == [1_000] * 3
    assert asked == [2, 3]


def test_a_write_to_a_source_is_seen_and_one_to_another_table_costs_nothing(world: World) -> None:
    round_times(world, 2)
    world.ledger.venues["0x01"] = True
    assert round_times(world, 2) == 1_000
    world.oracle.nodes[0] = "7"
    assert round_times(world, 2) == 1_014
    assert asked == [2, 2]


def test_the_second_is_a_source(world: World) -> None:
    round_times(world, 2)
    world.now += 1
    assert round_times(world, 2) == 1_001


def test_what_is_undone_is_seen(world: World) -> None:
    with pytest.raises(Refused), world.store.transaction():
        world.oracle.nodes[0] = "7"
        assert round_times(world, 2) == 1_014
        raise Refused
    assert round_times(world, 2) == 1_000


def test_rows_that_are_replaced_are_seen(world: World) -> None:
    round_times(world, 2)
    world.oracle.nodes.replace_all({0: "9"})
    assert round_times(world, 2) == 1_018


def test_a_rejection_is_not_kept(world: World) -> None:
    @kept("oracle.")
    def refuse(_: World, argument: int) -> int:
        raise Refused(argument)

    for _ in range(2):
        with pytest.raises(Refused):
            refuse(world, 1)


def test_two_worlds_keep_apart(world: World) -> None:
    other = World(5)
    assert (round_times(world, 1), round_times(other, 1)) == (1_000, 5)


def test_no_more_than_the_bound_is_held(world: World) -> None:
    for factor in range(KEPT_MAX + 10):
        round_times(world, factor)
    (found,) = world.kept.values()
    assert len(found.values) <= KEPT_MAX


def tables_read(
    core: Dated, ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> dict[Any, set[str]]:
    """The tables that each function reads, of each instrument and of all of them together."""
    world, honest = core.world, Table.__getitem__
    found: dict[Any, set[str]] = {}
    for function in (dated_margin.row, option_lanes.words_of, margin.row, margin._valuation):
        read = found.setdefault(function, set())

        def reading(table: Table[Any, Any], key: Any, read: set[str] = read) -> Any:
            read.add(table.name)
            return honest(table, key)

        world.kept.clear()
        asked_of = [id for id in ids if id >= DATED or function is margin.row]
        with monkeypatch.context() as patched:
            patched.setattr(Table, "__getitem__", reading)
            if function is margin._valuation:
                function(world, tuple((id, 5) for id in ids))
                continue
            for id in asked_of:
                function(world, id)
    return found


def test_margin_reads_no_table_that_is_not_named(monkeypatch: pytest.MonkeyPatch) -> None:
    core = Dated()
    slot, near = core.list_all(BITCOIN, 0, (55_000, 60_000))
    later, far = core.list_all(BITCOIN, 1, (60_000,))
    core.refresh(BITCOIN, slot)  # the other expiry's arrays are built when asked for
    ids = [*near, *far, future_id(BITCOIN, slot), future_id(BITCOIN, later), BTC, ETH]
    living = tables_read(core, ids, monkeypatch)
    core.wait_until(core.expiries[0])
    expired = tables_read(core, ids, monkeypatch)
    core.print(BITCOIN, core.expiries[0], 61_000)
    printed = tables_read(core, ids, monkeypatch)
    for found in (living, expired, printed):
        for function, read in found.items():
            linear = function in (margin.row, margin._valuation)
            named = MARGIN_SOURCES if linear else DATED_SOURCES
            assert read
            assert all(name.startswith(named) for name in read), (function, read)
    assert "surfaces.words" in living[dated_margin.row]
    assert "surfaces.prints" in printed[dated_margin.row]
