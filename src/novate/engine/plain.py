"""State as bytes: the values a model's tables hold, written canonically and read back.

Owns: one encoding of integers of any size, texts, bytes, containers, frozen rows, enumerations and
records. Order is kept: that of dictionaries is part of the state, since a fold may iterate them;
sets are sorted. Reading makes rows and enumerations of this package only, and calls nothing else.
"""

from __future__ import annotations

import dataclasses
import importlib
from collections import deque
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any

import msgspec

from novate.errors import Rejected, SnapshotUnusable, require
from novate.wire import records

PACKAGES = ("novate.model.", "novate.engine.")
_WORD = 1 << 63
_ENCODER = msgspec.msgpack.Encoder()
_BIG, _TUPLE, _LIST, _DICT, _SET, _DEQUE, _ROW, _ENUM, _RECORD = range(9)


def encode(value: Any) -> bytes:
    """A value as bytes: equal values have equal bytes."""
    return _ENCODER.encode(_lower(value))


def decode(data: bytes) -> Any:
    """The value behind ``encode``. Errors: ``SnapshotUnusable``."""
    try:
        return _raise(msgspec.msgpack.decode(data))
    except (msgspec.DecodeError, TypeError, ValueError, IndexError, AssertionError) as error:
        raise Rejected(SnapshotUnusable, f"content: {error}") from None


def _lower(value: Any) -> Any:
    kind: Any = type(value)
    if value is None or kind in (bool, str, bytes):
        return value
    if kind is int:
        return value if -_WORD <= value < _WORD else [_BIG, str(value)]
    if kind in _CONTAINERS:
        return [_CONTAINERS[kind], *map(_lower, value)]
    if kind is dict:
        # each row as bytes: those of a large table would take many times their size as values
        rows = ([_lower(key), _lower(row)] for key, row in value.items())
        return [_DICT, *(msgspec.Raw(_ENCODER.encode(row)) for row in rows)]
    if kind in (set, frozenset):
        return [_SET, *sorted(map(_lower, value), key=repr)]
    if isinstance(value, Enum):
        return [_ENUM, _name(kind), value.value]
    if isinstance(value, msgspec.Struct):
        # records are the only structs that a state holds; another would not be read back
        return [_RECORD, *records.encode(value)]  # type: ignore[arg-type]
    assert _is_row(kind), f"a {kind.__name__} is no state"
    return [_ROW, _name(kind), *(_lower(getattr(value, name)) for name in _fields(kind))]


def _raise(value: Any) -> Any:
    if not isinstance(value, list):
        return value
    tag, rest = value[0], value[1:]
    if tag in _MAKERS:
        return _MAKERS[tag](map(_raise, rest))
    if tag == _BIG:
        return int(rest[0])
    if tag == _DICT:
        return {_raise(key): _raise(row) for key, row in rest}
    if tag == _RECORD:
        return records.decode(rest[0], rest[1])
    if tag == _ENUM:
        return _class(rest[0])(rest[1])
    require(tag == _ROW, SnapshotUnusable, f"tag {tag}")
    return _class(rest[0])(*map(_raise, rest[1:]))


_CONTAINERS: dict[type, int] = {tuple: _TUPLE, list: _LIST, deque: _DEQUE}
_MAKERS: dict[int, Callable[[Any], Any]] = {
    _TUPLE: tuple,
    _LIST: list,
    _DEQUE: deque,
    _SET: set,
}


@cache
def _is_row(kind: Any) -> bool:
    """A dataclass or a named tuple."""
    return dataclasses.is_dataclass(kind) or (issubclass(kind, tuple) and hasattr(kind, "_fields"))


@cache
def _fields(kind: Any) -> tuple[str, ...]:
    if dataclasses.is_dataclass(kind):
        return tuple(field.name for field in dataclasses.fields(kind))
    names: tuple[str, ...] = kind._fields
    return names


@cache
def _name(kind: Any) -> str:
    """A row's class with its fields: state of other fields is not read as this."""
    assert kind.__module__.startswith(PACKAGES), kind
    fields = "" if issubclass(kind, Enum) else ",".join(_fields(kind))
    return f"{kind.__module__}:{kind.__name__}({fields})"


@cache
def _class(name: str) -> Any:
    module, _, rest = name.partition(":")
    require(module.startswith(PACKAGES), SnapshotUnusable, f"class {name}")
    try:
        found = getattr(importlib.import_module(module), rest.partition("(")[0])
    except (ImportError, AttributeError):
        raise Rejected(SnapshotUnusable, f"class {name}") from None
    sound = isinstance(found, type) and (_is_row(found) or issubclass(found, Enum))
    require(sound and _name(found) == name, SnapshotUnusable, f"class {name} is another today")
    return found
