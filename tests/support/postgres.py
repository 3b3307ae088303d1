"""A real PostgreSQL server for tests: in a temporary folder, on a free loopback port, ended by id.

The server refuses to run as root; then it runs as the system's ``postgres`` or ``nobody``.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

READY_SECONDS_MAX = 30
STOP_SECONDS_MAX = 20
_NUMBERS = itertools.count()
USERS = ("postgres", "nobody")
HOW = "install the server (Debian and Ubuntu: apt-get install postgresql)"


class Missing(Exception):
    """There is no PostgreSQL server on this machine."""


def binaries() -> Path:
    """The folder of ``initdb`` and ``postgres``. Raises ``Missing``, telling how to get it."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which("postgres")
    if found:
        candidates.append(Path(found).resolve().parent)
    for folder in candidates:
        if (folder / "initdb").exists() and (folder / "postgres").exists():
            return folder
    raise Missing(HOW)


def account() -> pwd.struct_passwd | None:
    """Whose rights the server runs with; None: one's own."""
    if os.geteuid() != 0:
        return None
    for name in USERS:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise Missing("PostgreSQL does not run as root, and there is no user postgres or nobody")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def server() -> Iterator[str]:
    """The URL of an empty server's database, for as long as the context lasts."""
    tools, user = binaries(), account()
    folder = Path(tempfile.mkdtemp(prefix="novate-postgres-"))
    rights = {} if user is None else {"user": user.pw_uid, "group": user.pw_gid}
    try:
        if user is not None:
            os.chown(folder, user.pw_uid, user.pw_gid)
        data, port = folder / "data", _free_port()
        made = subprocess.run(
            [tools / "initdb", "-D", data, "-U", "novate", "-A", "trust", "-E", "UTF8", "-N"],
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            **rights,
        )
        assert made.returncode == 0, made.stderr
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [
                    *(tools / "postgres", "-D", data, "-p", str(port), "-k", folder),
                    *("-c", "listen_addresses=127.0.0.1", "-c", "fsync=off"),
                ],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                **rights,
            )
        try:
            _await(process, tools, port, folder)
            yield f"postgresql://novate@127.0.0.1:{port}/postgres"
        finally:
            process.send_signal(signal.SIGQUIT)  # at once: nothing is kept
            try:
                process.wait(STOP_SECONDS_MAX)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fresh(url: str) -> str:
    """The URL of a new, empty namespace of a server's database."""
    name = f"index_{next(_NUMBERS)}"
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(f"create schema {name}".encode())
    return f"{url}?options=-csearch_path%3D{name}"


def _await(process: subprocess.Popen[bytes], tools: Path, port: int, folder: Path) -> None:
    deadline = time.monotonic() + READY_SECONDS_MAX
    asked = [tools / "pg_isready", "-h", "127.0.0.1", "-p", str(port), "-q"]
    while subprocess.run(asked, check=False).returncode != 0:
        said = (folder / "log").read_text(errors="replace")
        assert process.poll() is None and time.monotonic() < deadline, said
        time.sleep(0.05)
