"""``novate bench sign``: small, but all of it, answers checked."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from novate.bench.signing import TARGETS, WHAT
from novate.cli.main import application

SMALL = ["bench", "sign", "--orders", "512", "--runs", "1"]


def test_the_figures_come_with_targets_and_a_baseline() -> None:
    done = CliRunner().invoke(application, [*SMALL, "--json"])
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert all(found[key] > 0 for key in WHAT) and found["targets"] == TARGETS
    assert found["bulk_per_s"] > found["verify_per_s"] > 0
    assert found["times_baseline"]["client_per_s"] > 1 < found["times_baseline"]["verify_per_s"]
    alone = found["libsecp256k1_alone"]
    assert all(alone[key] > 0 for key in ("sign_per_s", "recover_per_s", "verify_known_key_per_s"))


def test_people_read_a_table() -> None:
    done = CliRunner().invoke(application, SMALL)
    assert done.exit_code == 0, done.output
    assert all(key in done.stdout for key in WHAT) and "libsecp256k1 alone" in done.stdout
