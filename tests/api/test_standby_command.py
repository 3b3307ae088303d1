"""``novate standby``: it follows a venue under load and is the venue once that one is gone."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from support.chaos import Up

from novate.api import hot_standby
from novate.engine import snapshot

TAKEOVER_SECONDS_MAX = 20.0  # of a machine that others use as well; the report has what it takes


class Pair(Up):
    """A venue and its standby."""

    follower: subprocess.Popen[str]

    def follow(self, *options: str) -> dict[str, Any]:
        """Begin a standby; its first line."""
        port = self.said["url"].rsplit(":", 1)[1]
        command = [sys.executable, "-m", "novate", "standby", str(self.folder), "--json"]
        command += ["--config", str(self.settings), "--port", port, "--every", "0.5", *options]
        with self.folder.with_suffix(".standby").open("a") as errors:
            self.follower = subprocess.Popen(
                command, stdout=subprocess.PIPE, stderr=errors, text=True
            )
        return self.line()

    def line(self) -> dict[str, Any]:
        """What the standby says next."""
        assert self.follower.stdout is not None
        line = self.follower.stdout.readline()
        assert line, self.errors()
        return dict(json.loads(line))

    def errors(self) -> str:
        return self.folder.with_suffix(".standby").read_text()

    def caught_up(self, sequence: int) -> dict[str, Any]:
        """Its first line behind a record."""
        while (found := self.line())["sequence"] < sequence:
            assert found["state"] == "follows"
        return found

    def kill(self) -> float:
        """The venue dies; when that was."""
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()
        return time.monotonic()

    def succeed(self) -> None:
        """The standby is the venue from now on."""
        while "accounts" not in (found := self.line()):
            pass
        assert found["url"] == self.said["url"]
        self.process, self.said = self.follower, found


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    made = Pair(tmp_path / "venue")
    made.start()
    yield made
    for process in (made.process, getattr(made, "follower", made.process)):
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        assert process.stdout is not None
        process.stdout.close()


def test_a_killed_venue_is_succeeded_under_load_and_nothing_is_lost(
    pair: Pair, record_property: Any
) -> None:
    pair.follow("--auto")
    pair.load()
    pair.trades_on()
    killed_at, before = pair.kill(), len(pair.acknowledged)
    pair.succeed()
    serving = time.monotonic() - killed_at
    while len(pair.acknowledged) <= before:
        assert time.monotonic() < killed_at + 60, pair.refusals
        time.sleep(0.01)
    trading = time.monotonic() - killed_at
    pair.trades_on()
    pair.rest()
    counts = pair.judge()
    record_property("serving_seconds", round(serving, 3))
    print(f"serves after {serving:.2f} s, takes orders after {trading:.2f} s, {counts}")
    assert serving < TAKEOVER_SECONDS_MAX
    assert counts["acknowledged"] > before > 20 and counts["matches"] > 5
    told = hot_standby.told(pair.folder)
    assert told is not None and told.state == "ended"


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "novate", "standby", str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=90)


def test_a_standby_is_promoted_when_told_to_and_never_over_a_venue_that_lives(pair: Pair) -> None:
    first = pair.follow()
    assert first["state"] == "follows" and first["pid"] == pair.follower.pid
    refused = run(pair.folder, "--promote")
    assert refused.returncode == 2 and "JournalLocked" in refused.stderr
    pair.follower.send_signal(signal.SIGUSR1)
    deadline = time.monotonic() + 20
    while "it is not replaced" not in pair.errors():
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pair.caught_up(first["sequence"] + 1)
    second = run(pair.folder)
    assert second.returncode == 2 and f"process {first['pid']} follows" in second.stderr
    pair.end()
    newest = snapshot.files(pair.folder / "journal.bin")[0]
    document = snapshot._read(newest)
    there = pair.caught_up(document.sequence)
    assert there["sequence"] == document.sequence, "an orderly end leaves nothing behind it"
    assert there["state_hash"] == sha256(document.content).hexdigest(), "of the same engine"
    found = run(pair.folder, "--promote", "--json")
    assert found.returncode == 0, found.stderr
    assert json.loads(found.stdout)["url"] == pair.said["url"]
    pair.succeed()
    pair.until(lambda health: health["ready"])


def test_a_folder_without_a_venue_or_a_standby_is_one_line(tmp_path: Path) -> None:
    for options, said in ((), "holds no venue"), (("--promote",), "no standby follows"):
        ended = run(tmp_path, *options)
        assert ended.returncode == 2 and said in ended.stderr and "Traceback" not in ended.stderr
