"""A node's socket as a transport: large answers read in large pieces, no waiting in small steps.

Owns: one persistent connection for requests. web3's own reads 4 KB at a time, tries to decode after
each and sleeps in between: a batch of receipts takes it ten times as long (docs/decisions/0014).
And one for what a node says by itself (``Subscription``), so that nobody needs to ask again and
again.
"""

from __future__ import annotations

import socket
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
from web3.providers.base import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse

READ_BYTES = 1 << 20
ENDS = (b"}", b"]")


class SocketProvider(JSONBaseProvider):
    """Requests over a Unix socket; a request that takes longer than ``seconds`` times out."""

    def __init__(self, path: Path, seconds: float) -> None:
        super().__init__()
        self._path = path
        self._seconds = seconds
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the connection; the next request opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        """One request. Raises ``OSError``."""
        found: RPCResponse = self._ask(self.encode_rpc_request(method, params))
        return found

    def make_batch_request(self, requests: list[tuple[RPCEndpoint, Any]]) -> list[RPCResponse]:
        """Many requests in one message; answers in their order. Raises ``OSError``."""
        found = self._ask(self.encode_batch_rpc_request(requests))
        if isinstance(found, list):
            found.sort(key=lambda response: response.get("id") or 0)
        answers: list[RPCResponse] = found
        return answers

    def _ask(self, request: bytes) -> Any:
        with self._lock:
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX)
                self._socket.settimeout(self._seconds)
                self._socket.connect(str(self._path))
            self._socket.sendall(request + b"\n")
            data = bytearray()
            while True:
                part = self._socket.recv(READ_BYTES)
                if not part:
                    raise ConnectionError("the node closed the connection")
                data += part
                if part.rstrip().endswith(ENDS):
                    try:
                        return msgspec.json.decode(data)
                    except msgspec.DecodeError:
                        continue  # a bracket in the middle of an answer


class Subscription:
    """Wakes whoever waits when the node has something new of a kind: ``newHeads`` or
    ``newPendingTransactions``.

    What it says is not looked at. A node that is away or does not know the kind wakes nobody: then
    a wait lasts as long as it may.
    """

    def __init__(self, path: Path, kind: str) -> None:
        self._path = path
        self._kind = kind
        self._socket: socket.socket | None = None

    def wait(self, seconds: float) -> bool:
        """Whether something new was said within so many seconds."""
        began = time.monotonic()
        try:
            if self._socket is None:
                self._subscribe(seconds)
            assert self._socket is not None
            self._socket.settimeout(seconds)
            if self._socket.recv(READ_BYTES):
                return True
            self.close()
        except TimeoutError:
            return False
        except OSError:
            self.close()
        time.sleep(max(0.0, seconds - (time.monotonic() - began)))
        return False

    def close(self) -> None:
        """End the connection; the next wait opens another."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _subscribe(self, seconds: float) -> None:
        """Raises ``OSError``."""
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(seconds)
        self._socket.connect(str(self._path))
        request = {"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": [self._kind]}
        self._socket.sendall(msgspec.json.encode(request) + b"\n")
