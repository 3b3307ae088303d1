"""Changes that governance has announced and that have not run: what waits in the timelock.

Owns: a fold of the timelock's events as the chain has them: an announcement appears with the block
that holds it and is gone once it has run or was cancelled; blocks that leave the chain take their
share with them. Known is what was announced since the venue's journal begins. Times in seconds.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from novate.chain.abi import Abi
from novate.chain.backend import abi_of
from novate.chain.deployment import CONTRACT_OF, Deployment
from novate.model.risk_parameters import RiskParameters
from novate.services.calldata import Reader, Unreadable
from novate.services.indexer_journal import text
from novate.wire.records import AnyRecord, ChainReorganised, ChainTransaction

EVENTS_MAX = 1_000
SCHEDULED, EXECUTED, CANCELLED = "OperationScheduled", "OperationExecuted", "OperationCancelled"


@dataclass(slots=True)
class PendingChanges:
    """The fold; ``window`` is how long after its time a call may still run."""

    deployment: Deployment | None
    window: int
    # of each event its block, name and call, and what an announcement says
    _log: list[tuple[int, str, bytes, dict[str, Any]]] = field(default_factory=list)
    _abis: dict[str, Abi] = field(default_factory=dict)

    def follow(self, record: AnyRecord) -> None:
        """Take in one durable record."""
        if isinstance(record, ChainReorganised):
            self._log = [entry for entry in self._log if entry[0] < record.first_block]
        elif isinstance(record, ChainTransaction) and self.deployment is not None:
            timelock = bytes.fromhex(self.deployment.addresses["timelock"][2:])
            for address, topics, data in record.events:
                if address == timelock:
                    self._event(record, topics, data)

    def rows(self, now: int) -> list[dict[str, Any]]:
        """What waits, in the order in which it was announced."""
        return [row | {"state": _state(row, now)} for row in self._waiting().values()]

    def _waiting(self) -> dict[bytes, dict[str, Any]]:
        found: dict[bytes, dict[str, Any]] = {}
        for _, name, id, row in self._log:
            if name == SCHEDULED:
                found[id] = row
            else:
                found.pop(id, None)
        return found

    def _event(self, record: ChainTransaction, topics: list[bytes], data: bytes) -> None:
        event = self._abi("timelock").decode_event("", topics, data)
        if event is None or event.name not in (SCHEDULED, EXECUTED, CANCELLED):
            return
        row = self._row(record, event.arguments) if event.name == SCHEDULED else {}
        self._log.append((record.block, event.name, event.arguments["id"], row))
        if len(self._log) > EVENTS_MAX:
            waiting = self._waiting()
            self._log = [entry for entry in self._log if entry[2] in waiting][-EVENTS_MAX:]

    def _row(self, record: ChainTransaction, given: dict[str, Any]) -> dict[str, Any]:
        """An announcement in words."""
        assert self.deployment is not None
        target, data = given["target"].lower(), given["data"]
        roles = {address: role for role, address in self.deployment.acting().items()}
        role, function = roles.get(target, ""), ""
        arguments: dict[str, Any] = {}
        if role:
            with suppress(Unreadable):
                function, arguments = self._call(role, data)
        return {
            "id": text(given["id"]),
            "contract": role or target,
            "function": function,
            "arguments": arguments,
            "data": text(data),
            "announced_at": record.timestamp,
            "executable_at": given["eta"],
            "expires_at": given["eta"] + self.window,
            "transaction": text(record.transaction),
        }

    def _call(self, role: str, data: bytes) -> tuple[str, dict[str, Any]]:
        """A call in words. Errors: ``Unreadable``."""
        abi = self._abi(role)
        name, values = Reader(abi).read(data)
        inputs = next(f["inputs"] for f in abi.functions[name] if len(f["inputs"]) == len(values))
        given = {item["name"]: _plain(v) for item, v in zip(inputs, values, strict=True)}
        if (role, name) == ("risk_model", "set_parameters"):
            word = RiskParameters.unpack(values[1])
            unset = ("psr_from", "psr_set_at")  # the contract sets them
            given["word"] = {n: getattr(word, n) for n in word.__slots__ if n not in unset}
        return name, given

    def _abi(self, role: str) -> Abi:
        if role not in self._abis:
            self._abis[role] = abi_of(CONTRACT_OF[role])
        return self._abis[role]


def _state(row: dict[str, Any], now: int) -> str:
    if now < row["executable_at"]:
        return "waiting"
    return "executable" if now <= row["expires_at"] else "expired"


def _plain(value: Any) -> Any:
    """An argument as JSON has it; whole numbers as text, since they may be large."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return str(value)
    if isinstance(value, bytes):
        return text(value)
    return [_plain(one) for one in value] if isinstance(value, tuple | list) else value
