"""Reads tables of a TOML document into dataclasses whose fields state their bounds.

``number``, ``amount`` and ``text`` declare a field; ``Section.read`` fills a dataclass of them and
rejects what is missing, unknown, of another type or out of bounds.
"""

from __future__ import annotations

import difflib
from dataclasses import Field, dataclass, field, fields
from typing import TYPE_CHECKING, Any, TypeVar

from novate.errors import InvalidParameter, MissingParameter, Rejected
from novate.units import WAD

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a field may hold: an integer of [low, high] (times ``scale``), or one of ``choices``."""

    low: int = 0
    high: int = 0
    scale: int = 1
    choices: tuple[str, ...] | None = None

    def wanted(self) -> str:
        """The allowed values in words."""
        if self.choices is None:
            return f"an integer from {self.low} to {self.high}"
        return " or ".join(f'"{choice}"' for choice in self.choices) or "a text"

    def allows(self, value: object) -> bool:
        """Whether ``value`` has the type and lies within the bounds."""
        if self.choices is None:
            if not isinstance(value, int) or isinstance(value, bool):
                return False
            return self.low <= value <= self.high
        return isinstance(value, str) and value != "" and value in (self.choices or (value,))


def number(low: int, high: int) -> Any:
    """An integer field within [low, high], in the unit that its name ends with."""
    return field(metadata={"bounds": Bounds(low, high)})


def amount(high_usd: int) -> Any:
    """A ``*_wad`` field of money, written in the file as whole ``*_usd`` up to ``high_usd``."""
    return field(metadata={"bounds": Bounds(0, high_usd, WAD)})


def text(*choices: str) -> Any:
    """A text field, one of ``choices`` if any are given."""
    return field(metadata={"bounds": Bounds(choices=choices)})


def missing(place: str, remedy: str) -> Rejected:
    """The rejection for a field that is not there."""
    return Rejected(MissingParameter, f"{place}: {remedy}")


def invalid(place: str, remedy: str) -> Rejected:
    """The rejection for a field that holds something it may not."""
    return Rejected(InvalidParameter, f"{place} {remedy}")


class Section:
    """One table of the document; remembers what was read, so that leftovers are noticed."""

    def __init__(self, place: str, values: dict[str, Any]) -> None:
        self.place = place
        self.values = values
        self.read_names: set[str] = set()

    def path(self, name: str) -> str:
        """Where ``name`` stands in the document."""
        return f"{self.place}.{name}" if self.place else name

    def section(self, name: str) -> Section:
        """The table ``name``."""
        self.read_names.add(name)
        if name not in self.values:
            raise missing(self.path(name), f"add the table [{self.path(name)}]")
        if not isinstance(self.values[name], dict):
            raise invalid(self.path(name), f"must be a table: write [{self.path(name)}]")
        return Section(self.path(name), self.values[name])

    def read(self, name: str, kind: type[T]) -> T:
        """The table ``name`` as a dataclass."""
        return self.section(name).fill(kind)

    def fill(self, kind: type[T]) -> T:
        """This table as a dataclass; every field of it, and no other."""
        values = {item.name: self._value(item) for item in fields(kind)}
        self.finish()
        return kind(**values)

    def _value(self, item: Field[Any]) -> int | str:
        bounds: Bounds = item.metadata["bounds"]
        name = item.name if bounds.scale == 1 else item.name.removesuffix("_wad") + "_usd"
        self.read_names.add(name)
        if name not in self.values:
            raise missing(self.path(name), f"add `{name} = ` {bounds.wanted()}")
        value = self.values[name]
        if not bounds.allows(value):
            raise invalid(self.path(name), f"is {value!r}; set it to {bounds.wanted()}")
        return value * bounds.scale if isinstance(value, int) else str(value)

    def finish(self) -> None:
        """Reject what nobody read, naming the field that was probably meant."""
        for name in sorted(self.values.keys() - self.read_names):
            near = difflib.get_close_matches(name, sorted(self.read_names), 1)
            meant = f"; did you mean {near[0]}?" if near else "; take it out"
            raise invalid(self.path(name), f"is not a parameter{meant}")


def sections(top: Section, name: str, kind: type[T]) -> tuple[T, ...]:
    """The array of tables ``[[name]]``, at least one, as dataclasses."""
    top.read_names.add(name)
    if name not in top.values:
        raise missing(top.path(name), f"add at least one table [[{name}]]")
    tables = top.values[name]
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise invalid(top.path(name), f"must be tables: write [[{name}]] above each")
    return tuple(Section(f"{name}[{i}]", table).fill(kind) for i, table in enumerate(tables))
