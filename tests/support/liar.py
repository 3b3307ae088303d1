"""A node that lies, stalls or answers out of order: a socket, or a URL, in front of a real one."""

from __future__ import annotations

import json
import socket
import threading
import time
import urllib.request
from collections.abc import Callable
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = dict[str, Any]
Twist = Callable[[str, Answer], Answer | None]
READ_BYTES = 1 << 16
STALL_SECONDS_MAX = 120


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
        told = _twisted(self.twist, request, answer)
        if told is None:
            time.sleep(0.01)
            return
        front.sendall(json.dumps(told).encode() + b"\n")


class LiarUrl:
    """The same at a URL; while ``free`` is not set, nobody gets an answer."""

    def __init__(self, node: str) -> None:
        self.twist: Twist = honest
        self.free = threading.Event()
        self.free.set()
        self.asked = 0
        liar = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                liar.asked += 1
                body = self.rfile.read(int(self.headers["Content-Length"]))
                stalled = not liar.free.is_set()
                liar.free.wait(STALL_SECONDS_MAX)
                headers = {"Content-Type": "application/json"}
                request = urllib.request.Request(node, body, headers)
                with urllib.request.urlopen(request, timeout=60) as reply:
                    answer = json.load(reply)
                told = _twisted(liar.twist, json.loads(body), answer)
                if told is None or stalled:
                    self.close_connection = True
                    return
                data = json.dumps(told).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                with suppress(OSError):
                    self.wfile.write(data)

            def log_message(self, format: str, *arguments: Any) -> None:
                """Nobody reads it."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Take no more requests."""
        self.free.set()
        self._server.shutdown()
        self._server.server_close()


def _twisted(twist: Twist, request: Any, answer: Any) -> Any:
    """What a liar says to one request or many; None: nothing."""
    many = isinstance(answer, list)
    methods = {r["id"]: r["method"] for r in (request if many else [request])}
    told = [twist(methods[a["id"]], a) for a in (answer if many else [answer])]
    if None in told:
        return None
    return told if many else told[0]


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
