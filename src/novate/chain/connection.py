"""One connection to one node, over web3's transports: requests out, results in.

Owns: which answer belongs to which question (one with another id is ``NodeLied``), batches, and
what goes wrong. After any fault the connection is opened anew, so that a late answer never meets a
later question. A revert that carries a registered rejection raises ``Rejected``, any other
``CallReverted``; a node that does not answer in time is ``NodeSilent``, whatever else goes wrong is
an ``RpcFault``.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, cast

from web3 import HTTPProvider
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint

from novate.chain.abi import decode_revert
from novate.chain.ipc import SocketProvider
from novate.chain.rows import raw_bytes
from novate.errors import Error, NodeLied, NodeSilent, Rejected

BATCH_MAX = 1_000
TEXT_MAX = 2_000  # of what a node gives for a reason


class RpcFault(Exception):
    """The node refused a request or did not answer; ``error`` names the kind, where it has one."""

    def __init__(self, text: str, error: Error | None = None) -> None:
        super().__init__(f"{error.name} ({error.code}): {text}" if error else text)
        self.error = error


class CallReverted(Exception):
    """A call reverted without a registered rejection (a bug, or a checked-arithmetic guard)."""


class _Ids(Iterator[int]):
    """Numbers of requests, the last of which is known."""

    def __init__(self) -> None:
        self._count = itertools.count(1)
        self.last = 0

    def __next__(self) -> int:
        self.last = next(self._count)
        return self.last


class Connection:
    """Questions to one node."""

    def __init__(self, provider: JSONBaseProvider) -> None:
        self._provider = provider
        self._ids = _Ids()
        # declared as itertools.count, used as any iterator
        provider.request_counter = self._ids  # type: ignore[assignment]

    def close(self) -> None:
        """Close the connection; the next request reopens it."""
        if isinstance(self._provider, SocketProvider):
            self._provider.close()
        elif isinstance(self._provider, HTTPProvider):
            sessions = self._provider._request_session_manager.session_cache
            for _, session in sessions.items():
                session.close()

    def request(self, method: str, *parameters: Any) -> Any:
        """One request's result. Errors: ``Rejected``, ``CallReverted``, ``RpcFault``."""
        try:
            response = self._provider.make_request(RPCEndpoint(method), parameters)
        except Exception as error:  # each transport raises its own; all of them are faults
            raise self._fault(method, error) from error
        return _result(method, self._belonging(method, response, self._ids.last))

    def request_many(self, method: str, parameters: Sequence[Sequence[Any]]) -> list[Any]:
        """The results of one method for many parameters, in as few messages as allowed."""
        found = self.request_each(method, parameters)
        for result in found:
            if isinstance(result, Exception):
                raise result
        return found

    def request_each(self, method: str, parameters: Sequence[Sequence[Any]]) -> list[Any]:
        """The same, with what a request raised in its place. Errors: ``RpcFault`` for all."""
        found: list[Any] = []
        for start in range(0, len(parameters), BATCH_MAX):
            part = parameters[start : start + BATCH_MAX]
            first = self._ids.last + 1
            try:
                responses = self._provider.make_batch_request(
                    [(RPCEndpoint(method), list(row)) for row in part]
                )
            except Exception as error:
                raise self._fault(method, error) from error
            if not isinstance(responses, list):
                responses = [responses] * len(part)  # one refusal for all of them
            if len(responses) != len(part):
                raise self._lied(f"{method}: {len(responses)} answers to {len(part)} requests")
            for number, response in enumerate(responses, first):
                answer = self._belonging(method, response, number)
                try:
                    found.append(_result(method, answer))
                except (Rejected, CallReverted, RpcFault) as error:
                    found.append(error)
        return found

    def _belonging(self, method: str, response: Any, number: int) -> dict[str, Any]:
        """The answer to this very request; a refusal may come without a number."""
        if not isinstance(response, dict) or response.get("id") not in (number, None):
            raise self._lied(f"{method}: the answer is to another request")
        if response.get("id") is None and response.get("error") is None:
            raise self._lied(f"{method}: the answer names no request")
        return cast(dict[str, Any], response)

    def _lied(self, text: str) -> RpcFault:
        self.close()
        return RpcFault(text, NodeLied)

    def _fault(self, method: str, error: Exception) -> RpcFault:
        self.close()
        silent = "timeout" in type(error).__name__.lower() or isinstance(error, TimeoutError)
        return RpcFault(f"{method}: {error!r}", NodeSilent if silent else None)


def _result(method: str, response: dict[str, Any]) -> Any:
    error = response.get("error")
    if error is None:
        if "result" not in response:
            raise RpcFault(f"{method}: neither a result nor an error", NodeLied)
        return response["result"]
    if not isinstance(error, dict):
        raise RpcFault(f"{method}: {repr(error)[:TEXT_MAX]}", NodeLied)
    text = str(error.get("message", error))[:TEXT_MAX]
    data = error.get("data")
    if error.get("code") == 3 or "revert" in text:
        raise reverted(data if isinstance(data, str) else "0x", text)
    raise RpcFault(f"{method}: {text}")


def reverted(output: str, text: str) -> Exception:
    """What a revert with this output means; one that is malformed has no name."""
    try:
        found = decode_revert(raw_bytes(output))
    except ValueError:
        found, output = None, ""
    return Rejected(found) if found is not None else CallReverted(f"{text} {output}".strip())
