"""Kill −9 in the middle: the journal holds all that was promised and replays to the same state."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from novate.chain.deployment import Deployment
from novate.chain.node import local_key
from novate.config import load
from novate.engine import snapshot
from novate.engine.journal import Journal, verify_chain
from novate.engine.recovery import recover
from novate.engine.sequencer import Sequencer
from novate.services.boot import build_sequencer
from novate.wire import records

ROOT = Path(__file__).parent.parent.parent
MINUTES_SEEN = 8


def run_and_kill(folder: Path) -> tuple[int, list[dict[str, Any]]]:
    """The genesis time, and what the child said before it was killed in its next minute."""
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.support.crash_child", str(folder)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert child.stdout is not None
    node = 0
    try:
        first = json.loads(child.stdout.readline())
        node = int(first["node"])
        said = [json.loads(child.stdout.readline()) for _ in range(MINUTES_SEEN)]
        child.send_signal(signal.SIGKILL)
        assert child.wait() == -signal.SIGKILL
        said += [json.loads(line) for line in child.stdout if line.endswith("}\n")]
    finally:
        child.kill()
        child.wait()
        child.stdout.close()
        if node:
            os.kill(node, signal.SIGTERM)  # the node outlives a parent that was killed
    return int(first["genesis"]), said


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int, list[dict[str, Any]]]:
    folder = tmp_path_factory.mktemp("killed")
    genesis, said = run_and_kill(folder)
    return folder, genesis, said


def replay(folder: Path, genesis: int, promised: dict[int, str]) -> dict[int, str]:
    """State hashes of a fresh sequencer at the promised sequences."""
    deployment = Deployment.load(folder / "deployment.json")
    fresh = build_sequencer(deployment, load(), local_key("executor"), genesis)
    states = {}
    with Journal.open(folder / "journal.bin", lambda: 0, create=False) as journal:
        for entry in journal.read(1):
            fresh.handle(records.decode(entry.kind, entry.payload))
            if entry.sequence in promised:
                states[entry.sequence] = fresh.world.state_hash()
    return states


def test_every_promised_head_is_on_the_chain_after_a_kill(
    killed: tuple[Path, int, list[dict[str, Any]]],
) -> None:
    folder, _, said = killed
    with Journal.open(folder / "journal.bin", lambda: 0, create=False) as journal:
        entries = {entry.sequence: entry.hash.hex() for entry in journal.read()}
    assert len(said) >= MINUTES_SEEN
    for line in said:
        assert entries[line["sequence"]] == line["hash"]
    assert verify_chain(folder / "journal.bin").sequence == max(entries)


def test_a_replay_comes_to_the_same_state_at_every_promised_head(
    killed: tuple[Path, int, list[dict[str, Any]]],
) -> None:
    folder, genesis, said = killed
    promised = {line["sequence"]: line["state"] for line in said}
    assert len(set(promised.values())) == len(said)
    assert replay(folder, genesis, promised) == promised


def test_a_start_from_a_snapshot_ends_where_a_full_replay_does(
    killed: tuple[Path, int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, genesis, _ = killed
    shutil.copytree(folder, tmp_path / "run")
    path = tmp_path / "run" / "journal.bin"
    deployment = Deployment.load(folder / "deployment.json")

    def build() -> Sequencer:
        return build_sequencer(deployment, load(), local_key("executor"), genesis)

    with Journal.open(path, lambda: 0, create=False) as journal:
        started = recover(journal, build)
        assert started.from_snapshot is not None and not started.unused
        assert 0 < started.replayed < journal.durable.sequence
        for file in snapshot.files(path):
            file.write_bytes(file.read_bytes()[:-1])
        replayed = recover(journal, build)
        assert replayed.from_snapshot is None and len(replayed.unused) == 2
        assert replayed.completed == 0, "what was owed was appended the first time"
    one, other = (snapshot.content_of(r.sequencer) for r in (started, replayed))
    assert one == other


def test_a_torn_last_record_costs_nothing_that_was_promised(
    killed: tuple[Path, int, list[dict[str, Any]]], tmp_path: Path
) -> None:
    folder, genesis, said = killed
    Journal.open(folder / "journal.bin", lambda: 0, create=False).close()  # cuts what is spare
    data = (folder / "journal.bin").read_bytes()
    (tmp_path / "journal.bin").write_bytes(data + b"\x00" * 40)
    (tmp_path / "deployment.json").write_bytes((folder / "deployment.json").read_bytes())
    promised = {line["sequence"]: line["state"] for line in said}
    assert replay(tmp_path, genesis, promised) == promised
    assert (tmp_path / "journal.bin").read_bytes() == data
