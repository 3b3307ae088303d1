"""``novate bench api``: small, but all of it: a venue of its own, real signatures, real syncs."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from novate.bench.api import TARGETS
from novate.bench.api_line import frame
from novate.cli.main import application

SMALL = ["bench", "api", "--seconds", "1", "--orders", "1000", "--rate", "200", "--json"]


def test_the_figures_come_with_targets_and_what_was_on() -> None:
    done = CliRunner().invoke(application, SMALL)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["targets"] == TARGETS
    assert found["orders_per_s"] > 0 and found["bulk_orders_per_s"] > 0
    assert 0 < found["p50_us"] <= found["p99_us"]
    assert found["refused"] * 20 < found["orders"], "the flow is one that a venue takes"


def test_frames_are_those_of_a_client() -> None:
    assert frame(b"a" * 125)[:2] == bytes((0x81, 0xFD))
    assert frame(b"a" * 126)[:4] == bytes((0x81, 0xFE, 0, 126))
    assert frame(b"a" * 65_536)[:2] == bytes((0x81, 0xFF))
