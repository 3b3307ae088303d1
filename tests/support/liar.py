"""A node that lies, stalls or answers out of order: a socket in front of a real one."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
Twist = Callable[[str, Answer], Answer | None]
READ_BYTES = 1 << 16


def honest(method: str, answer: Answer) -> Answer:
    """Every answer as the node gave it."""
    return answer


class Liar:
    """Passes requests on; ``twist`` changes what comes back, or withholds it by None."""

    def __init__(self, folder: Path, node: Path) -> None:
        self.path = folder / "liar.ipc"
        self.twist: Twist = honest
        self._node = node
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self.path))
        self._server.listen()
        self._open: list[socket.socket] = [self._server]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more requests."""
        for held in self._open:
            held.close()

    def _accept(self) -> None:
        while True:
            try:
                front, _ = self._server.accept()
            except OSError:
                return
            self._open.append(front)
            threading.Thread(target=self._serve, args=(front,), daemon=True).start()

    def _serve(self, front: socket.socket) -> None:
        with front, socket.socket(socket.AF_UNIX) as back:
            back.connect(str(self._node))
            try:
                while request := _message(front):
                    back.sendall(json.dumps(request).encode() + b"\n")
                    self._answer(front, request, _message(back))
            except OSError:
                return

    def _answer(self, front: socket.socket, request: Any, answer: Any) -> None:
        many = isinstance(answer, list)
        methods = {r["id"]: r["method"] for r in (request if many else [request])}
        told = [self.twist(methods[a["id"]], a) for a in (answer if many else [answer])]
        if None in told:
            time.sleep(0.01)
            return
        front.sendall(json.dumps(told if many else told[0]).encode() + b"\n")


def _message(connection: socket.socket) -> Any:
    """The next whole JSON message, or None at the end."""
    data = b""
    while chunk := connection.recv(READ_BYTES):
        data += chunk
        try:
            return json.loads(data)
        except json.JSONDecodeError:
            continue
    return None
