"""ABI encoding of calls, results, reverts and events of compiled contracts (by eth-abi)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from eth_abi import decode, encode
from eth_utils.crypto import keccak

from novate.errors import BY_SELECTOR, Error


def _type_of(entry: dict[str, Any]) -> str:
    kind: str = entry["type"]
    if kind.startswith("tuple"):
        inner = ",".join(_type_of(c) for c in entry["components"])
        return f"({inner}){kind[5:]}"
    return kind


@dataclass(frozen=True)
class Event:
    """A decoded log: name and arguments by name, with the address that emitted it."""

    address: str
    name: str
    arguments: dict[str, Any]


class Abi:
    """Functions and events of one contract by name."""

    def __init__(self, entries: tuple[dict[str, Any], ...]) -> None:
        self.entries = entries
        self.functions: dict[str, list[dict[str, Any]]] = {}
        for entry in entries:
            if entry["type"] == "function":
                self.functions.setdefault(entry["name"], []).append(entry)

    @cached_property
    def _events(self) -> dict[bytes, dict[str, Any]]:
        found = {}
        for entry in self.entries:
            if entry["type"] == "event":
                types = ",".join(_type_of(i) for i in entry["inputs"])
                found[keccak(f"{entry['name']}({types})".encode())] = entry
        return found

    def _pick(self, name: str, count: int) -> dict[str, Any]:
        return next(f for f in self.functions[name] if len(f["inputs"]) == count)

    def encode_call(self, name: str, *arguments: Any) -> bytes:
        """Calldata of ``name(*arguments)``."""
        function = self._pick(name, len(arguments))
        types = [_type_of(i) for i in function["inputs"]]
        selector = keccak(f"{name}({','.join(types)})".encode())[:4]
        return bytes(selector + encode(types, arguments))

    def decode_result(self, name: str, count: int, data: bytes) -> Any:
        """Value of a call: None, one value, or a tuple."""
        types = [_type_of(o) for o in self._pick(name, count)["outputs"]]
        if not types:
            return None
        values = decode(types, data)
        return values[0] if len(values) == 1 else values

    def encode_constructor(self, *arguments: Any) -> bytes:
        """ABI-encoded constructor arguments."""
        for entry in self.entries:
            if entry["type"] == "constructor":
                return encode([_type_of(i) for i in entry["inputs"]], arguments)
        assert not arguments
        return b""

    def decode_event(self, address: str, topics: list[bytes], data: bytes) -> Event | None:
        """The event behind a log, or None when this contract does not declare it."""
        entry = self._events.get(topics[0]) if topics else None
        if entry is None:
            return None
        indexed = [i for i in entry["inputs"] if i["indexed"]]
        plain = [i for i in entry["inputs"] if not i["indexed"]]
        values = dict(
            zip((i["name"] for i in plain), decode([_type_of(i) for i in plain], data), strict=True)
        )
        for item, topic in zip(indexed, topics[1:], strict=True):
            values[item["name"]] = decode([_type_of(item)], topic)[0]
        return Event(
            address, entry["name"], {i["name"]: values[i["name"]] for i in entry["inputs"]}
        )


def decode_revert(data: bytes) -> Error | None:
    """The registered rejection a revert carries, if it is one."""
    return BY_SELECTOR.get(int.from_bytes(data[:4], "big")) if len(data) >= 4 else None
