"""Calldata as the contracts read it: a reader that takes whatever they take, and nothing else.

Anybody writes calldata, so it need not be as an encoder makes it. A Vyper function reads words
where the offsets point, modulo 2**256; beyond the end every byte is zero; padding is not looked at.
It refuses what is shorter than the heads of its arguments, and a word outside its type. Its bounds
on lengths are not in the ABI: what is longer than any of them is refused here, too.
"""

from __future__ import annotations

from typing import Any

from eth_utils.crypto import keccak

from novate.chain.abi import Abi

WORD = 32
WRAP = 2**256
LENGTH_MAX = 4096  # of a byte string or an array; no argument of ours may be longer


class Unreadable(Exception):
    """Calldata that none of a contract's functions accepts: such a call reverts."""


class Reader:
    """Reads the calls of one contract."""

    def __init__(self, abi: Abi) -> None:
        self._functions: dict[bytes, tuple[str, tuple[str, ...]]] = {}
        for functions in abi.functions.values():
            for function in functions:
                types = tuple(item["type"] for item in function["inputs"])
                selector = keccak(f"{function['name']}({','.join(types)})".encode())[:4]
                self._functions[bytes(selector)] = function["name"], types

    def read(self, data: bytes) -> tuple[str, tuple[Any, ...]]:
        """Function name and arguments. Errors: ``Unreadable``."""
        found = self._functions.get(data[:4])
        if found is None:
            raise Unreadable(f"no function 0x{data[:4].hex()}")
        name, types = found
        if len(data) < 4 + sum(map(_head, types)):
            raise Unreadable(f"too little for {name}")
        body, place = data[4:], 0
        values = []
        for kind in types:
            values.append(_value(kind, body, _word(body, place) if _dynamic(kind) else place))
            place += _head(kind)
        return name, tuple(values)


def _dynamic(kind: str) -> bool:
    """Whether the head holds an offset to the value."""
    inner, count = _split(kind)
    return kind == "bytes" or (bool(inner) and (count is None or _dynamic(inner)))


def _split(kind: str) -> tuple[str, int | None]:
    """An array's element type and its fixed length, if it has one; no element type: no array."""
    if not kind.endswith("]"):
        return "", None
    inner, _, count = kind[:-1].rpartition("[")
    return inner, int(count) if count else None


def _head(kind: str) -> int:
    """Bytes a value takes in the head."""
    inner, count = _split(kind)
    return WORD if _dynamic(kind) or not inner or count is None else count * _head(inner)


def _word(data: bytes, place: int) -> int:
    return int.from_bytes(_bytes(data, place % WRAP, WORD), "big")


def _bytes(data: bytes, place: int, count: int) -> bytes:
    return data[place : place + count].ljust(count, b"\0") if place < len(data) else bytes(count)


def _value(kind: str, data: bytes, place: int) -> Any:
    """The value that stands at a place."""
    if kind == "bytes":
        return _bytes(data, (place + WORD) % WRAP, _length(data, place))
    inner, fixed = _split(kind)
    if not inner:
        return _scalar(kind, _word(data, place))
    start, count = (place, fixed) if fixed is not None else (place + WORD, _length(data, place))
    places = [start + index * _head(inner) for index in range(count)]
    if _dynamic(inner):
        places = [start + _word(data, found) for found in places]
    return [_value(inner, data, found) for found in places]


def _length(data: bytes, place: int) -> int:
    length = _word(data, place)
    if length > LENGTH_MAX:
        raise Unreadable(f"{length} items")
    return length


def _scalar(kind: str, word: int) -> Any:
    if kind == "bytes32":
        return word.to_bytes(WORD, "big")
    if kind.startswith("int"):
        return _signed(kind, word)
    bits = {"address": 160, "bool": 1}.get(kind) or int(kind.removeprefix("uint"))
    if word >> bits:
        raise Unreadable(f"{word:#x} is no {kind}")
    if kind == "address":
        return f"0x{word:040x}"
    return bool(word) if kind == "bool" else word


def _signed(kind: str, word: int) -> int:
    """A signed integer: two's complement over the whole word."""
    value = word - WRAP if word >> 255 else word
    half = 1 << int(kind.removeprefix("int")) - 1
    if not -half <= value < half:
        raise Unreadable(f"{word:#x} is no {kind}")
    return value
